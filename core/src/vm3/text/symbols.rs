//! Declared names.

use super::assemble::{Assembler, Result};
use super::error::{AsmError, ErrorKind, error_at};
use super::lexer::Token;
use super::rows::closest_name;
use super::tables::{Hash, Vacant};
use crate::vm3::container::Section;

/// What a name may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Shape,
    Table,
    Global,
    Import,
    Func,
    Field,
    Reg,
    Label,
}

impl Kind {
    const ALL: [Kind; 8] =
        [Kind::Shape, Kind::Table, Kind::Global, Kind::Import, Kind::Func, Kind::Field, Kind::Reg, Kind::Label];

    pub fn of_keyword(word: &str) -> Option<Self> {
        match word {
            "shape" => Some(Self::Shape),
            "table" => Some(Self::Table),
            "global" => Some(Self::Global),
            "import" => Some(Self::Import),
            "func" => Some(Self::Func),
            _ => None,
        }
    }

    /// The namespace: functions and imports share one.
    fn space(self) -> u64 {
        if self == Self::Import { Self::Func as u64 } else { self as u64 }
    }

    pub fn what(self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::Table => "table",
            Self::Global => "global",
            Self::Import => "import",
            Self::Func => "function",
            Self::Field => "field",
            Self::Reg => "register",
            Self::Label => "label",
        }
    }

    pub fn section(self) -> Option<Section> {
        match self {
            Self::Shape => Some(Section::Shapes),
            Self::Table => Some(Section::Tables),
            Self::Global => Some(Section::Globals),
            Self::Import => Some(Section::Imports),
            Self::Func => Some(Section::Funcs),
            _ => None,
        }
    }
}

/// A declared name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub kind: Kind,
    /// The function of a register or label, the shape of a field.
    pub owner: u16,
    /// The index in its kind; of a register its place in the order of declaration; of a label its word.
    pub index: u32,
    /// Where the name stands.
    pub name_at: u32,
    pub name_len: u32,
    /// The line of the name.
    pub line: u32,
    /// The type of a global or field, the signature of a function or import.
    pub aux: u32,
    /// Where the source of that type, or of the parameter list, starts.
    pub type_at: u32,
}

impl Symbol {
    pub const WORDS: usize = 4;

    /// What is known ahead of the name's place and type.
    pub fn new(kind: Kind, owner: u16, index: u32) -> Self {
        Self { kind, owner, index, name_at: 0, name_len: 0, line: 0, aux: 0, type_at: 0 }
    }

    fn encode(self) -> [u64; Self::WORDS] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [
            pair(self.name_at, self.name_len),
            pair(self.line, self.index),
            pair(u32::from(self.owner) | (self.kind as u32) << 16, self.aux),
            u64::from(self.type_at),
        ]
    }

    fn decode(words: [u64; Self::WORDS]) -> Self {
        let [name, place, kind, ty] = words;
        Self {
            kind: Kind::ALL.get((kind >> 16 & 0xF) as usize).copied().unwrap_or(Kind::Label),
            owner: kind as u16,
            index: (place >> 32) as u32,
            name_at: name as u32,
            name_len: (name >> 32) as u32,
            line: place as u32,
            aux: (kind >> 32) as u32,
            type_at: ty as u32,
        }
    }
}

impl<'a> Assembler<'a, '_> {
    pub fn symbol(&self, place: usize) -> Option<Symbol> {
        let words = self.symbols.as_slice().get(place.checked_mul(Symbol::WORDS)?..)?;
        words.first_chunk().copied().map(Symbol::decode)
    }

    pub fn set_symbol(&mut self, place: usize, symbol: Symbol) {
        for (offset, word) in symbol.encode().into_iter().enumerate() {
            if let Some(slot) = self.symbols.get_mut(place * Symbol::WORDS + offset) {
                *slot = word;
            }
        }
    }

    pub fn symbol_name(&self, symbol: &Symbol) -> &'a str {
        let start = symbol.name_at as usize;
        self.source.get(start..start + symbol.name_len as usize).unwrap_or("")
    }

    fn find_symbol(&self, kind: Kind, owner: u16, name: &str) -> core::result::Result<usize, Vacant> {
        let hash = Hash::new(kind.space()).number(owner.into()).bytes(name.bytes()).finish();
        self.symbol_index.find(hash, |place| {
            self.symbol(place).is_some_and(|symbol| {
                symbol.kind.space() == kind.space() && symbol.owner == owner && self.symbol_name(&symbol) == name
            })
        })
    }

    /// The symbol of that name in the namespace of `kind`.
    pub fn lookup(&self, kind: Kind, owner: u16, name: &str) -> Option<Symbol> {
        self.find_symbol(kind, owner, name).ok().and_then(|place| self.symbol(place))
    }

    /// That a name is not declared.
    pub fn undefined(&self, kind: Kind, owner: u16, name: &'a str, at: usize, hint: &'static str) -> AsmError<'a> {
        let closest = self.closest(kind, owner, name);
        error_at(self.source, at, ErrorKind::Undefined { what: kind.what(), name, hint, closest })
    }

    /// The declared name of that kind that is most like this one.
    pub fn closest(&self, kind: Kind, owner: u16, name: &str) -> Option<&'a str> {
        let symbols = (0..self.symbols.len() / Symbol::WORDS).filter_map(|place| self.symbol(place));
        let declared = symbols.filter(|symbol| symbol.kind == kind && symbol.owner == owner);
        closest_name(name, declared.map(|symbol| self.symbol_name(&symbol)))
    }

    /// Declares a name; a duplicate is an error.
    pub fn declare(&mut self, token: Token<'a>, name: &'a str, symbol: Symbol) -> Result<'a, ()> {
        let symbol = Symbol { name_at: token.at as u32, name_len: name.len() as u32, line: token.line, ..symbol };
        match self.find_symbol(symbol.kind, symbol.owner, name) {
            Ok(place) => {
                let first = self.symbol(place).unwrap_or(symbol);
                Err(self.error(token, ErrorKind::Duplicate { what: first.kind.what(), name, line: first.line }))
            }
            Err(vacant) => {
                let place = self.symbols.extend(symbol.encode())? / Symbol::WORDS;
                self.symbol_index.insert(vacant, place)?;
                Ok(())
            }
        }
    }
}
