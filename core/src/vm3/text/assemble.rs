//! The assembler: declarations, and the container's sections. The ops of functions are in [`super::body`].
//!
//! Three walks over the source, each linear: one counts tokens, so that every table gets a capacity that must suffice; one
//! collects the names of all declarations, so that they can be used before they are declared; one assembles, first the
//! declarations kind by kind and then the functions' bodies. Going kind by kind makes the order in which strings, types and
//! constants are numbered depend on nothing that the disassembler does not reproduce.

use super::OpSite;
use super::body::Frame;
use super::error::{AsmError, ErrorKind, column, error_at};
use super::lexer::{Cursor, Lexer, RESERVED, Tok, Token};
use super::literal::{Literal, LiteralError, LiteralErrorKind, StrLit, parse_literal};
use super::rows::Mnemonics;
use super::tables::{Full, Hash, Index, List, Packed, Scratch, index_words, packed_words};
use crate::vm3::container::{
    self, CellConst, Func, HEADER_WORDS, Import, SECTIONS, Section, Shape, Sig, Str, encode_header,
};
use crate::vm3::op::Bank;
use crate::vm3::types::{Composite, TypeId};

/// How deep function types may be nested in each other.
pub const MAX_TYPE_DEPTH: u32 = 16;

/// How many types one type may be made of, itself included.
pub const MAX_TYPE_PARTS: u32 = 1 << 17;

/// The memory that a source needs, see [`sizes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Words of output that always suffice. The container is usually smaller.
    pub out_words: usize,
    /// Words of scratch that always suffice.
    pub scratch_words: usize,
}

/// Upper bounds for the memory that [`assemble`] needs for this source. Takes linear time.
pub fn sizes(source: &str) -> Sizes {
    let counts = Counts::of(source);
    Sizes { out_words: counts.out_words(), scratch_words: counts.scratch_words() }
}

/// Numbers of tokens, which bound the numbers of records.
#[derive(Clone, Copy, Default)]
struct Counts {
    bytes: usize,
    names: usize,
    numbers: usize,
    words: usize,
    strings: usize,
    colons: usize,
    fns: usize,
    objs: usize,
    decls: [usize; 5],
}

impl Counts {
    fn of(source: &str) -> Self {
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
    fn symbols(&self) -> usize {
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

    fn records(&self, section: Section) -> usize {
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

    fn section_words(&self, section: Section) -> usize {
        match section {
            Section::Bytes => packed_words::<8>(self.records(section)),
            Section::Lists => packed_words::<16>(self.records(section)),
            _ => self.records(section) * section.words(1) as usize,
        }
    }

    fn out_words(&self) -> usize {
        HEADER_WORDS + Section::ALL.iter().map(|&section| self.section_words(section)).sum::<usize>()
    }

    fn scratch_words(&self) -> usize {
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

    fn of_keyword(word: &str) -> Option<Self> {
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

    fn section(self) -> Option<Section> {
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
    const WORDS: usize = 4;

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

impl<'a> From<Full> for AsmError<'a> {
    /// Cannot happen with the scratch that [`sizes`] states; without a place because there is none.
    fn from(_: Full) -> Self {
        AsmError { line: 1, column: 1, kind: ErrorKind::Memory { what: "scratch", needed: 0, given: 0 } }
    }
}

pub(super) type Result<'a, T> = core::result::Result<T, AsmError<'a>>;

/// The assembler's state: the sections as they grow, and the tables to find things in them.
pub(super) struct Assembler<'a, 's> {
    pub source: &'a str,
    pub cursor: Cursor<'a>,
    pub mnemonics: Mnemonics<'s>,
    bytes: Packed<'s, 8>,
    strings: List<'s>,
    string_index: Index<'s>,
    types: List<'s>,
    type_index: Index<'s>,
    sigs: List<'s>,
    sig_index: Index<'s>,
    pub lists: Packed<'s, 16>,
    shapes: List<'s>,
    fields: List<'s>,
    consts: List<'s>,
    const_index: Index<'s>,
    cell_consts: List<'s>,
    cell_const_index: Index<'s>,
    tables: List<'s>,
    table_data: List<'s>,
    globals: List<'s>,
    imports: List<'s>,
    pub funcs: List<'s>,
    pub code: List<'s>,
    symbols: List<'s>,
    symbol_index: Index<'s>,
    /// The types of the parameter lists that are being read, innermost last.
    open_params: List<'s>,
    /// The registers of the function at hand, see [`super::body`].
    pub regs: List<'s>,
    /// The names in the lists of the op at hand.
    pub args: List<'s>,
    /// Uses of labels that are not yet defined, in the function at hand.
    pub fixups: List<'s>,
    pub frame: Frame<'a>,
    /// The types in the type at hand so far.
    type_parts: u32,
}

/// Assembles a module's source into a container, written to the front of `out`.
///
/// `on_op` is called once for each op, in order, with its place and source line. Gives the number of words written.
/// [`sizes`] states the memory that suffices; what lies in `scratch` is overwritten and of no use afterwards. The time is
/// linear in the source, if names do not collide in the hash tables. The same source gives the same words, and so does the
/// text that [`super::disassemble`] makes of them.
///
/// # Errors
///
/// The first error found, with its line and column; `out` then holds nothing of use. The verifier still has the last word
/// on what this accepts.
pub fn assemble<'a>(
    source: &'a str,
    out: &mut [u64],
    scratch: &mut [u64],
    on_op: &mut dyn FnMut(OpSite),
) -> core::result::Result<usize, AsmError<'a>> {
    let start = |kind| AsmError { line: 1, column: 1, kind };
    if source.len() >= u32::MAX as usize {
        return Err(start(ErrorKind::SourceTooLong { bytes: source.len() }));
    }
    let counts = Counts::of(source);
    let (needed, given) = (counts.scratch_words(), scratch.len());
    if given < needed {
        return Err(start(ErrorKind::Memory { what: "scratch", needed, given }));
    }
    let mut assembler = Assembler::new(source, &counts, Scratch(scratch))?;
    let declared = assembler.collect()?;
    for kind in [Kind::Shape, Kind::Table, Kind::Global, Kind::Import, Kind::Func] {
        for place in 0..declared {
            if let Some(symbol) = assembler.symbol(place)
                && symbol.kind == kind
            {
                assembler.declaration(place, symbol)?;
            }
        }
    }
    for place in 0..declared {
        if let Some(symbol) = assembler.symbol(place)
            && symbol.kind == Kind::Func
        {
            assembler.body(symbol, on_op)?;
        }
    }
    assembler.write(out)
}

impl<'a, 's> Assembler<'a, 's> {
    fn new(source: &'a str, counts: &Counts, mut scratch: Scratch<'s>) -> core::result::Result<Self, Full> {
        let scratch = &mut scratch;
        let list = |section, scratch: &mut Scratch<'s>| scratch.list(counts.section_words(section));
        let index = |section, scratch: &mut Scratch<'s>| scratch.index(counts.records(section));
        Ok(Self {
            source,
            cursor: Cursor::new(source, 0, 1),
            mnemonics: Mnemonics::new(scratch)?,
            bytes: scratch.bytes(counts.records(Section::Bytes))?,
            strings: list(Section::Strings, scratch)?,
            string_index: index(Section::Strings, scratch)?,
            types: list(Section::Types, scratch)?,
            type_index: index(Section::Types, scratch)?,
            sigs: list(Section::Sigs, scratch)?,
            sig_index: index(Section::Sigs, scratch)?,
            lists: scratch.halfwords(counts.records(Section::Lists))?,
            shapes: list(Section::Shapes, scratch)?,
            fields: list(Section::Fields, scratch)?,
            consts: list(Section::Consts, scratch)?,
            const_index: index(Section::Consts, scratch)?,
            cell_consts: list(Section::CellConsts, scratch)?,
            cell_const_index: index(Section::CellConsts, scratch)?,
            tables: list(Section::Tables, scratch)?,
            table_data: list(Section::TableData, scratch)?,
            globals: list(Section::Globals, scratch)?,
            imports: list(Section::Imports, scratch)?,
            funcs: list(Section::Funcs, scratch)?,
            code: list(Section::Code, scratch)?,
            symbols: scratch.list(counts.symbols() * Symbol::WORDS)?,
            symbol_index: scratch.index(counts.symbols())?,
            open_params: scratch.list(counts.names)?,
            regs: scratch.list(counts.colons)?,
            args: scratch.list(counts.names)?,
            fixups: scratch.list(counts.names)?,
            frame: Frame::default(),
            type_parts: 0,
        })
    }

    /// An error at a token.
    pub fn error(&self, token: Token<'a>, kind: ErrorKind<'a>) -> AsmError<'a> {
        AsmError { line: token.line, column: column(self.source, token.at), kind }
    }

    /// An error that the next token is not what was expected.
    pub fn expected<T>(&self, expected: &'static str) -> Result<'a, T> {
        let token = self.cursor.peek();
        Err(self.error(token, unexpected(token, expected)))
    }

    pub fn punct(&mut self, c: char, expected: &'static str) -> Result<'a, ()> {
        if self.cursor.take_if(Tok::Punct(c)) { Ok(()) } else { self.expected(expected) }
    }

    /// A name that is not reserved.
    pub fn name(&mut self, expected: &'static str) -> Result<'a, (&'a str, Token<'a>)> {
        let token = self.cursor.peek();
        match token.tok {
            Tok::Name(name) if RESERVED.contains(&name) => {
                Err(self.error(token, ErrorKind::Reserved { name, expected }))
            }
            Tok::Name(name) => {
                self.cursor.take();
                Ok((name, token))
            }
            _ => self.expected(expected),
        }
    }

    pub fn line_end(&mut self, expected: &'static str) -> Result<'a, ()> {
        if self.cursor.at_line_end() { Ok(()) } else { self.expected(expected) }
    }

    fn literal_of(&self, token: Token<'a>, text: &'a str) -> Result<'a, Literal<'a>> {
        parse_literal(text).map_err(|fault| {
            let place = Token { at: token.at + fault.offset, ..token };
            self.error(place, ErrorKind::Literal(fault))
        })
    }

    /// The literal that a token is; `None` if it is none.
    pub fn token_literal(&self, token: Token<'a>) -> Result<'a, Option<Literal<'a>>> {
        match token.tok {
            Tok::Number(text) | Tok::Str(text) => self.literal_of(token, text).map(Some),
            Tok::Name(text @ ("inf" | "nan" | "true" | "false" | "null")) => self.literal_of(token, text).map(Some),
            _ => Ok(None),
        }
    }

    pub fn symbol(&self, place: usize) -> Option<Symbol> {
        let words = self.symbols.as_slice().get(place.checked_mul(Symbol::WORDS)?..)?;
        words.first_chunk().copied().map(Symbol::decode)
    }

    fn set_symbol(&mut self, place: usize, symbol: Symbol) {
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

    fn find_symbol(
        &self,
        kind: Kind,
        owner: u16,
        name: &str,
    ) -> (u64, core::result::Result<usize, super::tables::Vacant>) {
        let hash = Hash::new(kind.space()).number(owner.into()).bytes(name.bytes()).finish();
        let found = self.symbol_index.find(hash, |place| {
            self.symbol(place).is_some_and(|symbol| {
                symbol.kind.space() == kind.space() && symbol.owner == owner && self.symbol_name(&symbol) == name
            })
        });
        (hash, found)
    }

    /// The symbol of that name in the namespace of `kind`.
    pub fn lookup(&self, kind: Kind, owner: u16, name: &str) -> Option<Symbol> {
        self.find_symbol(kind, owner, name).1.ok().and_then(|place| self.symbol(place))
    }

    /// Declares a name; a duplicate is an error.
    pub fn declare(&mut self, token: Token<'a>, name: &'a str, symbol: Symbol) -> Result<'a, ()> {
        let symbol = Symbol { name_at: token.at as u32, name_len: name.len() as u32, line: token.line, ..symbol };
        match self.find_symbol(symbol.kind, symbol.owner, name).1 {
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

    /// Declares the names of all declarations. Gives their number; they are the first symbols. A declaration starts on a
    /// line of its own with its keyword and a name, which stands nowhere else; a function lasts to a line that starts
    /// with `end`.
    fn collect(&mut self) -> Result<'a, usize> {
        let mut lexer = Lexer::new(self.source);
        let mut counts = [0_u32; 5];
        let mut function: Option<(&'a str, Token<'a>)> = None;
        let mut line_start = true;
        loop {
            let token = lexer.next();
            match token.tok {
                Tok::End => break,
                Tok::Newline => line_start = true,
                Tok::Name("end") if line_start => {
                    function = None;
                    line_start = false;
                }
                Tok::Name(word) if line_start => {
                    line_start = false;
                    let Some(kind) = Kind::of_keyword(word) else { continue };
                    let before = lexer;
                    let follow = lexer.next();
                    let Tok::Name(name) = follow.tok else {
                        lexer = before;
                        continue;
                    };
                    if let Some((name, _)) = function {
                        return Err(self.error(token, ErrorKind::NoEnd { name }));
                    }
                    if RESERVED.contains(&name) {
                        let expected = "a name for what is declared";
                        return Err(self.error(follow, ErrorKind::Reserved { name, expected }));
                    }
                    let Some(count) = counts.get_mut(kind as usize) else { continue };
                    let limit = kind.section().map_or(0, Section::limit);
                    if *count >= limit {
                        let what = match kind {
                            Kind::Shape => "shapes",
                            Kind::Table => "tables",
                            Kind::Global => "globals",
                            Kind::Import => "imports",
                            _ => "functions",
                        };
                        return Err(self.error(token, ErrorKind::TooMany { what, limit: limit as usize }));
                    }
                    let index = *count;
                    *count += 1;
                    let symbol = Symbol { kind, owner: 0, index, name_at: 0, name_len: 0, line: 0, aux: 0, type_at: 0 };
                    self.declare(follow, name, symbol)?;
                    if kind == Kind::Func {
                        function = Some((name, token));
                    }
                }
                _ => line_start = false,
            }
        }
        if let Some((name, token)) = function {
            return Err(self.error(token, ErrorKind::NoEnd { name }));
        }
        self.cursor = Cursor::new(self.source, 0, 1);
        self.between_declarations()?;
        Ok(self.symbols.len() / Symbol::WORDS)
    }

    /// Checks that the next thing, if any, is a declaration that [`Self::collect`] has seen.
    pub fn between_declarations(&mut self) -> Result<'a, ()> {
        self.cursor.skip_newlines();
        let word = self.cursor.peek();
        match word.tok {
            Tok::End => Ok(()),
            Tok::Name(name) if Kind::of_keyword(name).is_some() => {
                self.cursor.take();
                self.name("a name for what is declared").map(drop)
            }
            _ => self.expected("`shape`, `table`, `global`, `import` or `func`"),
        }
    }

    /// Reads a declaration; of a function only its first line.
    fn declaration(&mut self, place: usize, mut symbol: Symbol) -> Result<'a, ()> {
        self.cursor = Cursor::new(self.source, symbol.name_at as usize, symbol.line);
        let (name, _) = self.name("a name")?;
        let name_index = self.string(name.bytes())?;
        symbol.type_at = self.cursor.peek().at as u32;
        match symbol.kind {
            Kind::Shape => self.shape(name_index, symbol.index)?,
            Kind::Table => self.table(name_index)?,
            Kind::Global => {
                self.punct(':', "`:` and the global's type")?;
                symbol.type_at = self.cursor.peek().at as u32;
                symbol.aux = self.global(name_index)?.0.into();
            }
            Kind::Import => {
                symbol.aux = self.import(name_index)?;
            }
            _ => {
                let sig = self.func_head(None)?;
                symbol.aux = sig;
                self.funcs
                    .extend(Func { name: name_index, sig, slots: 0, slot_count: 0, code: 0, code_len: 0 }.encode())?;
            }
        }
        self.set_symbol(place, symbol);
        if symbol.kind == Kind::Func {
            return self.line_end("the end of the line behind the function's head");
        }
        self.line_end("the end of the line behind the declaration")?;
        self.between_declarations()
    }

    fn shape(&mut self, name: u32, index: u32) -> Result<'a, ()> {
        self.punct('{', "`{` and the shape's fields")?;
        let fields = self.fields.len() as u32;
        let mut count = 0_u32;
        if self.cursor.peek().tok != Tok::Punct('}') {
            loop {
                let (field, token) = self.name("a field's name")?;
                self.punct(':', "`:` and the field's type")?;
                let type_at = self.cursor.peek().at as u32;
                let text = self.string(field.bytes())?;
                let ty = self.parse_type(0)?;
                if count > u32::from(u16::MAX) {
                    return Err(self.error(token, ErrorKind::TooMany { what: "fields in a shape", limit: 1 << 16 }));
                }
                let symbol = Symbol {
                    kind: Kind::Field,
                    owner: index as u16,
                    index: count,
                    name_at: 0,
                    name_len: 0,
                    line: 0,
                    aux: ty.0.into(),
                    type_at,
                };
                self.declare(token, field, symbol)?;
                let [word] = container::Field { name: text, ty }.encode();
                self.fields.push(word)?;
                count += 1;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct('}', "`,` or `}` behind the field")?;
        self.shapes.extend(Shape { name, fields, count }.encode())?;
        Ok(())
    }

    fn table(&mut self, name: u32) -> Result<'a, ()> {
        self.punct('=', "`=` and the table's elements")?;
        self.punct('[', "`[` and the table's elements")?;
        let start = self.table_data.len() as u32;
        if self.cursor.peek().tok != Tok::Punct(']') {
            loop {
                let token = self.cursor.peek();
                let Some(literal) = self.token_literal(token)? else { return self.expected("an INT") };
                let value = self.int(token, literal)?;
                self.cursor.take();
                self.table_data.push(value as u64)?;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct(']', "`,` or `]` behind the element")?;
        let len = self.table_data.len() as u32 - start;
        self.tables.extend(container::Table { name, start, len }.encode())?;
        Ok(())
    }

    /// An INT, where nothing else fits.
    pub fn int(&self, token: Token<'a>, literal: Literal<'a>) -> Result<'a, i64> {
        match literal {
            Literal::Int(value) => Ok(value),
            _ => Err(self.error(token, ErrorKind::Expected { expected: "an INT", found: token.into() })),
        }
    }

    fn global(&mut self, name: u32) -> Result<'a, TypeId> {
        let ty = self.parse_type(0)?;
        let init = if self.cursor.take_if(Tok::Punct('=')) {
            let token = self.cursor.peek();
            let Some(literal) = self.token_literal(token)? else {
                return self.expected("a literal for the global's initial value");
            };
            self.cursor.take();
            let unfit = |expected| Err(self.error(token, ErrorKind::Expected { expected, found: token.into() }));
            match (ty, literal) {
                (TypeId::I64, Literal::Int(value)) => Some(self.constant(value as u64)?),
                (TypeId::I64, _) => return unfit("an INT"),
                (TypeId::F64, Literal::Int(value)) => Some(self.constant((value as f64).to_bits())?),
                (TypeId::F64, Literal::Float(value)) => Some(self.constant(float_bits(value))?),
                (TypeId::F64, _) => return unfit("a FLOAT or INT"),
                (_, Literal::Null) => None,
                (TypeId::ANY, _) | (TypeId::STR, Literal::Str(_)) => Some(self.cell_constant(literal)?),
                (TypeId::STR, _) => return unfit("a \"string\" or null"),
                _ => return unfit("null, the only literal of the global's type"),
            }
        } else {
            None
        };
        self.globals.extend(container::Global { name, ty, init }.encode())?;
        Ok(ty)
    }

    fn import(&mut self, name: u32) -> Result<'a, u32> {
        self.punct('(', "`(` and the types of the import's parameters")?;
        let sig = self.sig_rest(0)?;
        let [word] = Import { name, sig }.encode();
        self.imports.push(word)?;
        Ok(sig)
    }

    /// A function's parameters and result, behind its name. Declares the parameters as registers of function `owner`, if
    /// it is given.
    pub fn func_head(&mut self, owner: Option<u16>) -> Result<'a, u32> {
        self.punct('(', "`(` and the function's parameters")?;
        let start = self.open_params.len();
        if self.cursor.peek().tok != Tok::Punct(')') {
            loop {
                let (name, token) = self.name("a parameter's name")?;
                self.punct(':', "`:` and the parameter's type")?;
                let type_at = self.cursor.peek().at;
                let ty = self.parse_type(0)?;
                self.open_params.push(ty.0.into())?;
                if let Some(owner) = owner {
                    self.declare_reg(owner, name, token, ty, type_at)?;
                }
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct(')', "`,` or `)` behind the parameter")?;
        self.sig_end(start, 0)
    }

    /// Parameter types and the result, behind the opening parenthesis.
    fn sig_rest(&mut self, depth: u32) -> Result<'a, u32> {
        let start = self.open_params.len();
        if self.cursor.peek().tok != Tok::Punct(')') {
            loop {
                let ty = self.parse_type(depth)?;
                self.open_params.push(ty.0.into())?;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct(')', "`,` or `)` behind the type")?;
        self.sig_end(start, depth)
    }

    /// The result, and the signature whose parameters are the open ones from `start` on.
    fn sig_end(&mut self, start: usize, depth: u32) -> Result<'a, u32> {
        let token = self.cursor.peek();
        let result = if self.cursor.take_if(Tok::Arrow) { self.parse_type(depth)? } else { TypeId::NONE };
        let count = self.open_params.len() - start;
        if count > usize::from(u16::MAX) {
            let limit = usize::from(u16::MAX);
            return Err(self.error(token, ErrorKind::TooMany { what: "parameters", limit }));
        }
        let params = self.open_params.as_slice().get(start..).unwrap_or(&[]);
        let hash = params.iter().fold(Hash::new(1).number(result.0.into()), |hash, &ty| hash.number(ty)).finish();
        let (sigs, lists) = (&self.sigs, &self.lists);
        let found = self.sig_index.find(hash, |place| {
            let Some(sig) = sigs.get(place).map(Sig::decode) else { return false };
            sig.result == result
                && usize::from(sig.count) == count
                && (sig.params as usize..).zip(params).all(|(at, &ty)| lists.get(at) == Some(ty as u16))
        });
        let sig = match found {
            Ok(place) => place,
            Err(vacant) => {
                let first = self.lists.len() as u32;
                for &ty in params {
                    self.lists.push(ty as u16)?;
                }
                let [word] = Sig { params: first, count: count as u16, result }.encode();
                let place = self.sigs.push(word)?;
                self.sig_index.insert(vacant, place)?;
                place
            }
        };
        self.open_params.truncate(start);
        Ok(sig as u32)
    }

    /// A type. `depth` function types are around it.
    pub fn parse_type(&mut self, depth: u32) -> Result<'a, TypeId> {
        const EXPECTED: &str =
            "a type: i64, f64, any, str, arr.i64, arr.f64, arr.u8, list, imap, map, `obj NAME` or `fn(...)`";
        let token = self.cursor.peek();
        self.type_parts = if depth == 0 { 1 } else { self.type_parts.saturating_add(1) };
        if self.type_parts > MAX_TYPE_PARTS {
            let limit = MAX_TYPE_PARTS as usize;
            return Err(self.error(token, ErrorKind::TooMany { what: "types in one type", limit }));
        }
        let Tok::Name(name) = token.tok else { return self.expected(EXPECTED) };
        if let Some(number) = TypeId::SIMPLE.iter().position(|&simple| simple == name) {
            self.cursor.take();
            return Ok(TypeId(number as u16));
        }
        let composite = match name {
            "obj" => {
                self.cursor.take();
                let (name, token) = self.name("the name of a shape")?;
                let Some(shape) = self.lookup(Kind::Shape, 0, name) else {
                    let hint = "the name of a declared shape";
                    return Err(self.error(token, ErrorKind::Undefined { what: "shape", name, hint }));
                };
                Composite::Obj(shape.index)
            }
            "fn" => {
                if depth >= MAX_TYPE_DEPTH {
                    return Err(self.error(token, ErrorKind::TooDeep { limit: MAX_TYPE_DEPTH }));
                }
                self.cursor.take();
                self.punct('(', "`(` and the types of the function's parameters")?;
                Composite::Fn(self.sig_rest(depth + 1)?)
            }
            _ => return self.expected(EXPECTED),
        };
        let [word] = composite.encode();
        let types = &self.types;
        let hash = Hash::new(2).number(word).finish();
        let number = match self.type_index.find(hash, |place| types.get(place) == Some(word)) {
            Ok(place) => place,
            Err(vacant) => {
                let limit = Section::Types.limit() as usize;
                if self.types.len() >= limit {
                    return Err(self.error(token, ErrorKind::TooMany { what: "different obj and fn types", limit }));
                }
                let place = self.types.push(word)?;
                self.type_index.insert(vacant, place)?;
                place
            }
        };
        Ok(TypeId(TypeId::FIRST_COMPOSITE.0 + number as u16))
    }

    /// A string's index.
    pub fn string(&mut self, content: impl Iterator<Item = u8> + Clone) -> core::result::Result<u32, Full> {
        let hash = Hash::new(3).bytes(content.clone()).finish();
        let (strings, bytes) = (&self.strings, &self.bytes);
        let found = self.string_index.find(hash, |place| {
            let (start, len) = strings.get(place).map_or((0, 0), |word| (word as u32 as usize, (word >> 32) as usize));
            let held = (start..start + len).map(|at| bytes.get(at).unwrap_or(0) as u8);
            held.eq(content.clone())
        });
        let place = match found {
            Ok(place) => place,
            Err(vacant) => {
                let start = self.bytes.len();
                for byte in content {
                    self.bytes.push(byte.into())?;
                }
                let [word] = Str { start: start as u32, len: (self.bytes.len() - start) as u32 }.encode();
                let place = self.strings.push(word)?;
                self.string_index.insert(vacant, place)?;
                place
            }
        };
        Ok(place as u32)
    }

    pub fn literal_string(&mut self, text: StrLit<'a>) -> core::result::Result<u32, Full> {
        self.string(text.bytes())
    }

    /// The index of a 64-bit constant.
    pub fn constant(&mut self, bits: u64) -> core::result::Result<u32, Full> {
        let consts = &self.consts;
        let place =
            match self.const_index.find(Hash::new(4).number(bits).finish(), |place| consts.get(place) == Some(bits)) {
                Ok(place) => place,
                Err(vacant) => {
                    let place = self.consts.push(bits)?;
                    self.const_index.insert(vacant, place)?;
                    place
                }
            };
        Ok(place as u32)
    }

    /// The index of a cell constant; of null, which has none, that of `false`.
    pub fn cell_constant(&mut self, literal: Literal<'a>) -> core::result::Result<u32, Full> {
        let record = match literal {
            Literal::Int(value) => CellConst::Int(self.constant(value as u64)?),
            Literal::Float(value) => CellConst::Float(self.constant(float_bits(value))?),
            Literal::Bool(value) => CellConst::Bool(value),
            Literal::Null => CellConst::Bool(false),
            Literal::Str(text) => CellConst::Str(self.literal_string(text)?),
        };
        let [word] = record.encode();
        let held = &self.cell_consts;
        let place =
            match self.cell_const_index.find(Hash::new(5).number(word).finish(), |place| held.get(place) == Some(word))
            {
                Ok(place) => place,
                Err(vacant) => {
                    let place = self.cell_consts.push(word)?;
                    self.cell_const_index.insert(vacant, place)?;
                    place
                }
            };
        Ok(place as u32)
    }

    /// A signature.
    pub fn sig(&self, index: u32) -> Sig {
        let none = Sig { params: 0, count: 0, result: TypeId::NONE };
        self.sigs.get(index as usize).map_or(none, Sig::decode)
    }

    /// What a composite type describes.
    pub fn composite(&self, ty: TypeId) -> Option<Composite> {
        self.types.get(ty.composite()?).and_then(Composite::decode)
    }

    /// The type of parameter `number` of a signature.
    pub fn param(&self, sig: &Sig, number: usize) -> TypeId {
        self.lists.get(sig.params as usize + number).map_or(TypeId::NONE, TypeId)
    }

    fn write(&self, out: &mut [u64]) -> Result<'a, usize> {
        let sections: [(&[u64], usize); SECTIONS] = [
            (self.bytes.as_words(), self.bytes.len()),
            (self.strings.as_slice(), self.strings.len()),
            (self.types.as_slice(), self.types.len()),
            (self.sigs.as_slice(), self.sigs.len()),
            (self.lists.as_words(), self.lists.len()),
            (self.shapes.as_slice(), self.shapes.len() / 2),
            (self.fields.as_slice(), self.fields.len()),
            (self.consts.as_slice(), self.consts.len()),
            (self.cell_consts.as_slice(), self.cell_consts.len()),
            (self.tables.as_slice(), self.tables.len() / 2),
            (self.table_data.as_slice(), self.table_data.len()),
            (self.globals.as_slice(), self.globals.len() / 2),
            (self.imports.as_slice(), self.imports.len()),
            (self.funcs.as_slice(), self.funcs.len() / 3),
            (self.code.as_slice(), self.code.len()),
        ];
        let counts = sections.map(|(_, count)| count as u32);
        let needed = HEADER_WORDS + sections.iter().map(|(words, _)| words.len()).sum::<usize>();
        let end = self.source.len();
        let given = out.len();
        let place = out
            .get_mut(..needed)
            .ok_or_else(|| error_at(self.source, end, ErrorKind::Memory { what: "output", needed, given }))?;
        let words =
            encode_header(&counts).into_iter().chain(sections.iter().flat_map(|(words, _)| words.iter().copied()));
        for (slot, word) in place.iter_mut().zip(words) {
            *slot = word;
        }
        Ok(needed)
    }
}

/// That a token is another than expected; of a string that is not closed, that it is not.
pub(super) fn unexpected<'a>(token: Token<'a>, expected: &'static str) -> ErrorKind<'a> {
    match token.tok {
        Tok::OpenStr => ErrorKind::Literal(LiteralError { text: "", offset: 0, kind: LiteralErrorKind::Unclosed }),
        _ => ErrorKind::Expected { expected, found: token.into() },
    }
}

/// The bits of a float constant: a NaN is the canonical one.
pub(super) fn float_bits(value: f64) -> u64 {
    if value.is_nan() { 0x7FF8_0000_0000_0000 } else { value.to_bits() }
}

/// The bank's name, or that it is one for cells.
pub(super) fn bank_bit(bank: Bank) -> u32 {
    1 << match bank {
        Bank::I64 => 0,
        Bank::F64 => 1,
        Bank::Cell => 2,
    }
}
