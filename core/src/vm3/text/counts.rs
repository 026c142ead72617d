//! The memory that a source needs.

use super::lexer::{Lexer, Tok};
use super::rows::Mnemonics;
use super::symbols::{Kind, Symbol};
use super::tables::{index_words, packed_words};
use crate::vm3::container::{HEADER_WORDS, Section};

/// The memory that a source needs, see [`sizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Words of output that always suffice. The container is usually smaller.
    pub out_words: usize,
    /// Words of scratch that always suffice.
    pub scratch_words: usize,
}

/// Upper bounds for the memory that [`super::assemble`] needs for this source. Takes linear time.
pub fn sizes(source: &str) -> Sizes {
    let counts = Counts::of(source);
    Sizes { out_words: counts.out_words(), scratch_words: counts.scratch_words() }
}

/// Numbers of tokens, which bound the numbers of records.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    bytes: usize,
    pub names: usize,
    numbers: usize,
    words: usize,
    strings: usize,
    pub colons: usize,
    fns: usize,
    objs: usize,
    decls: [usize; 5],
}

impl Counts {
    pub fn of(source: &str) -> Self {
        let mut counts = Self { bytes: source.len(), ..Self::default() };
        let mut lexer = Lexer::new(source);
        loop {
            match lexer.next().tok {
                Tok::Name(name) => {
                    counts.names += 1;
                    if let Some(kind) = Kind::of_keyword(name)
                        && let Some(count) = counts.decls.get_mut(kind as usize)
                    {
                        *count += 1;
                    }
                    match name {
                        "fn" => counts.fns += 1,
                        "obj" => counts.objs += 1,
                        "inf" | "nan" => counts.numbers += 1,
                        "true" | "false" => counts.words += 1,
                        _ => {}
                    }
                }
                Tok::Number(_) => counts.numbers += 1,
                Tok::Str(_) => counts.strings += 1,
                Tok::Punct(':') => counts.colons += 1,
                Tok::End => return counts,
                _ => {}
            }
        }
    }

    fn kind(&self, kind: Kind) -> usize {
        self.decls.get(kind as usize).copied().unwrap_or(0)
    }
    fn all_decls(&self) -> usize {
        self.decls.iter().sum()
    }
    /// Declared names: parameters, locals, fields and labels have a colon behind them.
    pub fn symbols(&self) -> usize {
        self.all_decls() + self.colons
    }
    fn literals(&self) -> usize {
        self.numbers + self.words + self.strings
    }
    fn types(&self) -> usize {
        self.fns + self.objs
    }
    fn sigs(&self) -> usize {
        self.fns + self.kind(Kind::Func) + self.kind(Kind::Import)
    }
    /// A type in a signature or of a slot is a name in the source, and a parameter, which counts twice, is two.
    fn lists(&self) -> usize {
        self.names
    }
    /// An op of n operands has a name and at least n further tokens, and an operand takes at most two of three fields.
    fn code(&self) -> usize {
        self.names + self.numbers + self.strings
    }

    pub fn records(&self, section: Section) -> usize {
        match section {
            Section::Bytes => self.bytes,
            Section::Strings => self.strings + self.symbols(),
            Section::Types => self.types(),
            Section::Sigs => self.sigs(),
            Section::Lists => self.lists(),
            Section::Shapes => self.kind(Kind::Shape),
            Section::Fields => self.colons,
            Section::Consts => self.numbers,
            Section::CellConsts => self.literals(),
            Section::Tables => self.kind(Kind::Table),
            Section::TableData => self.numbers,
            Section::Globals => self.kind(Kind::Global),
            Section::Imports => self.kind(Kind::Import),
            Section::Funcs => self.kind(Kind::Func),
            Section::Code => self.code(),
        }
    }

    pub fn section_words(&self, section: Section) -> usize {
        match section {
            Section::Bytes => packed_words::<8>(self.records(section)),
            Section::Lists => packed_words::<16>(self.records(section)),
            _ => self.records(section) * section.words(1) as usize,
        }
    }

    pub fn out_words(&self) -> usize {
        HEADER_WORDS + Section::ALL.iter().map(|&section| self.section_words(section)).sum::<usize>()
    }

    pub fn scratch_words(&self) -> usize {
        let indexed = [Section::Strings, Section::Types, Section::Sigs, Section::Consts, Section::CellConsts];
        self.out_words() - HEADER_WORDS
            + indexed.iter().map(|&section| index_words(self.records(section))).sum::<usize>()
            + Mnemonics::WORDS
            + self.symbols() * Symbol::WORDS
            + index_words(self.symbols())
            + self.colons
            + 3 * self.names
    }
}
