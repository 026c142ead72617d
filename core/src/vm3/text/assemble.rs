//! The assembler: declarations, and the container's sections. The ops of functions are in [`super::body`].
//!
//! Three walks over the source, each linear: one counts tokens, so that every table gets a capacity that must suffice;
//! one collects the names of all declarations, so that they can be used before they are declared; one assembles, first
//! the declarations kind by kind and then the functions' bodies. Going kind by kind makes the order in which strings,
//! types and constants are numbered depend on nothing that the disassembler does not reproduce.

use super::OpSite;
use super::body::Frame;
use super::check::{skip_parentheses, skip_type};
use super::counts::Counts;
use super::error::{AsmError, ErrorKind, column, error_at, line};
use super::lexer::{Cursor, Lexer, RESERVED, Tok, Token};
use super::literal::{Literal, LiteralError, LiteralErrorKind, parse_literal};
use super::rows::Mnemonics;
use super::symbols::{Kind, Symbol};
use super::tables::{Full, Index, List, Packed, Scratch};
use crate::vm3::container::{self, Func, HEADER_WORDS, Import, SECTIONS, Section, Shape, encode_header};
use crate::vm3::types::TypeId;

/// How many types one type may be made of, itself included.
pub const MAX_TYPE_PARTS: u32 = 1 << 17;

impl<'a> From<Full> for AsmError<'a> {
    /// Cannot happen with the scratch that [`super::sizes`] states; without a place because there is none.
    fn from(_: Full) -> Self {
        AsmError { line: 1, column: 1, kind: ErrorKind::Memory { what: "scratch", needed: 0, given: 0 } }
    }
}

const BEHIND_HEAD: &str = "the end of the line behind the function's head";

pub(super) type Result<'a, T> = core::result::Result<T, AsmError<'a>>;

/// The assembler's state: the sections as they grow, and the tables to find things in them.
pub(super) struct Assembler<'a, 's> {
    pub source: &'a str,
    pub cursor: Cursor<'a>,
    pub mnemonics: Mnemonics<'s>,
    pub bytes: Packed<'s, 8>,
    pub strings: List<'s>,
    pub string_index: Index<'s>,
    pub types: List<'s>,
    pub type_index: Index<'s>,
    pub sigs: List<'s>,
    pub sig_index: Index<'s>,
    pub lists: Packed<'s, 16>,
    pub shapes: List<'s>,
    pub fields: List<'s>,
    pub consts: List<'s>,
    pub const_index: Index<'s>,
    pub cell_consts: List<'s>,
    pub cell_const_index: Index<'s>,
    pub tables: List<'s>,
    pub table_data: List<'s>,
    pub globals: List<'s>,
    pub imports: List<'s>,
    pub funcs: List<'s>,
    pub code: List<'s>,
    pub symbols: List<'s>,
    pub symbol_index: Index<'s>,
    /// The types of the parameter lists that are being read, innermost last.
    pub open_params: List<'s>,
    /// The registers of the function at hand, see [`super::body`].
    pub regs: List<'s>,
    /// The names in the lists of the op at hand.
    pub args: List<'s>,
    /// Uses of labels that are not yet defined, in the function at hand.
    pub fixups: List<'s>,
    pub frame: Frame<'a>,
    /// The types in the type at hand so far.
    pub type_parts: u32,
}

/// Assembles a module's source into a container, written to the front of `out`.
///
/// `on_op` is called once for each op, in order, with its place and source line. Gives the number of words written.
/// [`super::sizes`] states the memory that suffices; what lies in `scratch` is overwritten and of no use afterwards.
/// The time is linear in the source, if names do not collide in the hash tables. The same source gives the same
/// words, and so does the text that [`super::disassemble`] makes of them.
///
/// # Errors
///
/// The first error found, with its line and column; `out` then holds nothing of use. The verifier still has the last
/// word on what this accepts.
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

    /// Declares the names of all declarations. Gives their number; they are the first symbols. A declaration starts on
    /// a line of its own with its keyword and a name, which stands nowhere else; a function lasts to a line that starts
    /// with `end`.
    fn collect(&mut self) -> Result<'a, usize> {
        let mut lexer = Lexer::new(self.source);
        let mut counts = [0_u32; 5];
        let mut function: Option<(&'a str, Token<'a>, usize)> = None;
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
                    if let Some((name, _, name_at)) = function {
                        self.check_head_line(name_at)?;
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
                    let symbol = Symbol::new(kind, 0, index);
                    self.declare(follow, name, symbol)?;
                    if kind == Kind::Func {
                        function = Some((name, token, follow.at));
                    }
                }
                _ => line_start = false,
            }
        }
        if let Some((name, token, name_at)) = function {
            self.check_head_line(name_at)?;
            return Err(self.error(token, ErrorKind::NoEnd { name }));
        }
        self.cursor = Cursor::new(self.source, 0, 1);
        self.between_declarations()?;
        Ok(self.symbols.len() / Symbol::WORDS)
    }

    /// Checks that nothing stands on a line behind the head of a function whose name stands there.
    fn check_head_line(&self, name_at: usize) -> Result<'a, ()> {
        let mut cursor = Cursor::new(self.source, name_at, line(self.source, name_at));
        cursor.take();
        if cursor.peek().tok == Tok::Punct('(') {
            skip_parentheses(&mut cursor);
            if cursor.take_if(Tok::Arrow) {
                skip_type(&mut cursor);
            }
        }
        let token = cursor.peek();
        if cursor.at_line_end() { Ok(()) } else { Err(self.error(token, unexpected(token, BEHIND_HEAD))) }
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
            return self.line_end(BEHIND_HEAD);
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
                let symbol = Symbol { aux: ty.0.into(), type_at, ..Symbol::new(Kind::Field, index as u16, count) };
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

    /// A function's parameters and result, behind its name. Declares the parameters as registers of function `owner`,
    /// if it is given.
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
