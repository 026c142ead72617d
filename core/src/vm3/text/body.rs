//! The bodies of functions: locals, labels and ops.

use super::OpSite;
use super::assemble::{Assembler, Result, float_bits};
use super::check::{FieldNames, type_text};
use super::error::{ErrorKind, Found, Wants};
use super::lexer::{Cursor, RESERVED, Tok, Token};
use super::literal::Literal;
use super::rows::{Form, Part, closest, closest_second, has_second, parts};
use super::symbols::{Kind, Symbol};
use crate::vm3::container::Func;
use crate::vm3::op::{Bank, OPS, Op, OpInfo, Operand};
use crate::vm3::types::{Composite, TypeId};

/// What an index of a slot or of a word can name.
const NAMEABLE: usize = 1 << 16;

/// No op has as many operands; lists count as one.
const MAX_OPERANDS: usize = 6;

/// The function at hand.
#[derive(Clone, Copy, Default)]
pub(super) struct Frame<'a> {
    index: u16,
    pub name: &'a str,
    pub sig: u32,
    /// Where the source of its parameter list starts.
    pub sig_at: u32,
    params: usize,
    /// The number of locals in each bank.
    locals: [u32; 3],
    /// The first word of its code.
    code: usize,
}

/// An operand as it stands in the source.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub form: Form,
    pub token: Token<'a>,
    /// The token's text, if it is a name.
    pub name: &'a str,
    /// The names of its list: first place in `args`, and number.
    pub list: (usize, usize),
}

/// What an operand names.
#[derive(Clone, Copy)]
pub(super) enum Meaning<'a> {
    /// Nothing that matters before it is encoded.
    Plain,
    Literal(Literal<'a>),
    Reg(Reg),
    Symbol(Symbol),
}

#[derive(Clone, Copy)]
pub(super) struct Reg {
    pub slot: u16,
    pub ty: TypeId,
    /// Where its type stands.
    pub type_at: u32,
}

/// The mnemonic of the ops whose form follows the function's result.
const RET: &str = "ret";

const NO_OPERAND: Given<'static> =
    Given { form: Form::Name, token: Token { tok: Tok::End, at: 0, line: 0 }, name: "", list: (0, 0) };

fn bank_place(ty: TypeId) -> usize {
    match ty.bank() {
        Bank::I64 => 0,
        Bank::F64 => 1,
        Bank::Cell => 2,
    }
}

impl<'a> Assembler<'a, '_> {
    /// Declares a parameter or local. In `regs` a register is its type, and above it its number among the locals of its
    /// bank.
    pub fn declare_reg(
        &mut self,
        owner: u16,
        name: &'a str,
        token: Token<'a>,
        ty: TypeId,
        type_at: usize,
    ) -> Result<'a, ()> {
        if self.regs.len() >= NAMEABLE {
            let what = "registers in a function";
            return Err(self.error(token, ErrorKind::TooMany { what, limit: NAMEABLE }));
        }
        let count = self.frame.locals.get_mut(bank_place(ty));
        let rank = count.map_or(0, |count| core::mem::replace(count, count.wrapping_add(1)));
        let index = self.regs.push(u64::from(ty.0) | u64::from(rank) << 16)? as u32;
        let type_at = type_at as u32;
        let symbol = Symbol { type_at, ..Symbol::new(Kind::Reg, owner, index) };
        self.declare(token, name, symbol)
    }

    /// Assembles a function's body.
    pub fn body(&mut self, func: Symbol, on_op: &mut dyn FnMut(OpSite)) -> Result<'a, ()> {
        self.cursor = Cursor::new(self.source, func.name_at as usize, func.line);
        self.regs.truncate(0);
        self.fixups.truncate(0);
        let index = func.index as u16;
        let (name, _) = self.name("a name")?;
        self.func_head(Some(index))?;
        self.frame = Frame {
            index,
            name,
            sig: func.aux,
            sig_at: func.type_at,
            params: self.regs.len(),
            locals: [0; 3],
            code: self.code.len(),
        };
        let mut slots = None;
        let mut label: Option<(&'a str, Token<'a>)> = None;
        let mut last: Option<&'static OpInfo> = None;
        let end = loop {
            self.cursor.skip_newlines();
            let token = self.cursor.peek();
            let Tok::Name(word) = token.tok else {
                return self.expected("an op, a label, `local` or `end`");
            };
            if word == "local" {
                if slots.is_some() {
                    return Err(self.error(token, ErrorKind::LateLocal));
                }
                self.cursor.take();
                self.locals(index)?;
                continue;
            }
            if slots.is_none() {
                slots = Some(self.slots()?);
            }
            if word == "end" {
                self.cursor.take();
                break token;
            }
            if RESERVED.contains(&word) {
                return Err(self.error(
                    token,
                    ErrorKind::Reserved { name: word, expected: "an op, a label's name, `local` or `end`" },
                ));
            }
            self.cursor.take();
            if self.cursor.take_if(Tok::Punct(':')) {
                let index = (self.code.len() - self.frame.code) as u32;
                let owner = self.frame.index;
                let symbol = Symbol::new(Kind::Label, owner, index);
                self.declare(token, word, symbol)?;
                label = Some((word, token));
                continue;
            }
            let word_index = self.code.len() - self.frame.code;
            last = Some(self.op(word, token)?);
            label = None;
            if self.code.len() - self.frame.code > NAMEABLE {
                let what = "words in a function";
                return Err(self.error(token, ErrorKind::TooMany { what, limit: NAMEABLE }));
            }
            on_op(OpSite { func: index, word: word_index as u16, line: token.line });
        };
        self.line_end("the end of the line behind `end`")?;
        self.resolve_labels()?;
        if let Some((name, token)) = label {
            return Err(self.error(token, ErrorKind::LabelAtEnd { name }));
        }
        match last {
            None => return Err(self.error(end, ErrorKind::NoOps { name })),
            Some(row) if !row.flags.has(crate::vm3::op::Flags::ENDS) => {
                return Err(self.error(end, ErrorKind::RunsOff { name }));
            }
            Some(_) => {}
        }
        self.finish(slots.unwrap_or(0))?;
        self.between_declarations()
    }

    /// Fills the function's record, which so far has its name and signature.
    fn finish(&mut self, slots: usize) -> Result<'a, ()> {
        let place = usize::from(self.frame.index) * 3;
        let name = self.funcs.get(place).unwrap_or(0) as u32;
        let record = Func {
            name,
            sig: self.frame.sig,
            slots: slots as u32,
            slot_count: self.regs.len() as u32,
            code: self.frame.code as u32,
            code_len: (self.code.len() - self.frame.code) as u32,
        };
        for (offset, word) in record.encode().into_iter().enumerate() {
            if let Some(held) = self.funcs.get_mut(place + offset) {
                *held = word;
            }
        }
        Ok(())
    }

    /// The rest of a `local` line.
    fn locals(&mut self, owner: u16) -> Result<'a, ()> {
        loop {
            let (name, token) = self.name("a local's name")?;
            self.punct(':', "`:` and the local's type")?;
            let type_at = self.cursor.peek().at;
            let ty = self.parse_type(0)?;
            self.declare_reg(owner, name, token, ty, type_at)?;
            if !self.cursor.take_if(Tok::Punct(',')) {
                return self.line_end("`,` or the end of the line behind the local");
            }
        }
    }

    /// Writes the slots' types: parameters, then locals by bank. Gives the first one's place.
    fn slots(&mut self) -> Result<'a, usize> {
        let first = self.lists.len();
        let (params, locals) = self.regs.as_slice().split_at_checked(self.frame.params).unwrap_or_default();
        for &reg in params {
            self.lists.push(reg as u16)?;
        }
        for bank in 0..3 {
            for &reg in locals.iter().filter(|&&reg| bank_place(TypeId(reg as u16)) == bank) {
                self.lists.push(reg as u16)?;
            }
        }
        Ok(first)
    }

    pub fn register(&self, name: &'a str, at: usize) -> Result<'a, Reg> {
        let Some(symbol) = self.lookup(Kind::Reg, self.frame.index, name) else {
            let hint = "a parameter or a name from a `local` line";
            return Err(self.undefined(Kind::Reg, self.frame.index, name, at, hint));
        };
        let place = symbol.index as usize;
        let reg = self.regs.get(place).unwrap_or(0);
        let ty = TypeId(reg as u16);
        let slot = if place < self.frame.params {
            place
        } else {
            let before: u32 = self.frame.locals.iter().take(bank_place(ty)).sum();
            self.frame.params + before as usize + (reg >> 16) as usize
        };
        Ok(Reg { slot: slot as u16, ty, type_at: symbol.type_at })
    }

    /// A list of names behind its opening bracket, which is closed by `close`.
    fn list(&mut self, close: char, name: &'static str, behind: &'static str) -> Result<'a, (usize, usize)> {
        let start = self.args.len();
        if self.cursor.peek().tok != Tok::Punct(close) {
            loop {
                let (text, token) = self.name(name)?;
                self.args.push(token.at as u64 | (text.len() as u64) << 32)?;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct(close, behind)?;
        Ok((start, self.args.len() - start))
    }

    /// A name of a list, and where it stands.
    pub fn list_name(&self, place: usize) -> (&'a str, usize) {
        let word = self.args.get(place).unwrap_or(0);
        let at = word as u32 as usize;
        (self.source.get(at..at + (word >> 32) as usize).unwrap_or(""), at)
    }

    fn operand(&mut self, number: usize) -> Result<'a, Given<'a>> {
        let token = self.cursor.peek();
        let mut given = Given { token, ..NO_OPERAND };
        match token.tok {
            Tok::Name("inf" | "nan") | Tok::Number(_) => {
                given.form = Form::Number;
                self.cursor.take();
            }
            Tok::Name("true" | "false" | "null") => {
                given.form = Form::Word;
                self.cursor.take();
            }
            Tok::Str(_) => {
                given.form = Form::Str;
                self.cursor.take();
            }
            Tok::Name(_) => {
                (given.name, _) = self.name("an operand")?;
                if self.cursor.take_if(Tok::Punct('(')) {
                    given.form = Form::Call;
                    given.list = self.list(')', "a register as an argument", "`,` or `)` behind the argument")?;
                }
            }
            Tok::Punct('[') => {
                given.form = Form::Targets;
                self.cursor.take();
                given.list = self.list(']', "a label", "`,` or `]` behind the label")?;
            }
            Tok::Punct('(') if number == 0 => {
                given.form = Form::Paren;
                self.cursor.take();
                given.token = self.cursor.peek();
                if !matches!(given.token.tok, Tok::Number(_)) {
                    return self.expected("an INT");
                }
                self.cursor.take();
                self.punct(')', "`)`")?;
            }
            _ => return self.expected("an operand: a name, a literal or a list of labels"),
        }
        Ok(given)
    }

    /// The row of an op's name; takes the name's second word.
    fn row(&mut self, name: &'a str, token: Token<'a>) -> Result<'a, usize> {
        if let Some(row) = self.mnemonics.find(name, None) {
            return Ok(row);
        }
        let called = match self.lookup(Kind::Func, 0, name).map(|symbol| symbol.kind) {
            Some(Kind::Import) => Some(("an import", "an op; `host` calls imports")),
            Some(_) => Some(("a function", "an op; `call` calls functions")),
            None => None,
        };
        if let Some((is, expected)) = called {
            return Err(self.error(token, ErrorKind::WrongKind { name, is, expected }));
        }
        if !has_second(name) {
            return Err(self.error(token, ErrorKind::UnknownOp { name, second: None, closest: closest(name) }));
        }
        let next = self.cursor.peek();
        let second = if let Tok::Name(second) = next.tok { Some(second) } else { None };
        match self.mnemonics.find(name, second) {
            Some(row) => {
                self.cursor.take();
                Ok(row)
            }
            None => {
                let closest = closest_second(name, second.unwrap_or(""));
                Err(self.error(token, ErrorKind::UnknownOp { name, second, closest }))
            }
        }
    }

    /// Assembles an op behind its name.
    fn op(&mut self, name: &'a str, token: Token<'a>) -> Result<'a, &'static OpInfo> {
        let first = self.row(name, token)?;
        self.args.truncate(0);
        let mut given = [NO_OPERAND; MAX_OPERANDS];
        let mut count = 0;
        if !self.cursor.at_line_end() {
            loop {
                let operand = self.operand(count)?;
                if let Some(place) = given.get_mut(count) {
                    *place = operand;
                }
                count += 1;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.line_end("`,` or the end of the line behind the operand")?;
        let operands = given.get(..count).unwrap_or(&[]);
        self.check_forms(first, token, operands, count)?;
        let mut meanings = [Meaning::Plain; MAX_OPERANDS];
        if let Some(row) = self.rows_of_form(first, operands).next() {
            for (number, (part, operand)) in parts(row).zip(operands).enumerate() {
                let before = number.checked_sub(1);
                let before = before.and_then(|before| Some((*operands.get(before)?, *meanings.get(before)?)));
                let meaning = self.meaning(row.mnemonic, part, operand, before)?;
                if let Some(place) = meanings.get_mut(number) {
                    *place = meaning;
                }
            }
        }
        let row = self.choose(first, operands, &meanings)?;
        self.check_types(row, token, operands, &meanings)?;
        self.encode(row, operands, &meanings)?;
        Ok(row)
    }

    /// The rows from `first` on that take operands of these forms.
    fn rows_of_form<'b>(&'b self, first: usize, operands: &'b [Given<'a>]) -> impl Iterator<Item = &'static OpInfo> {
        self.mnemonics.chain(first).filter(move |row| {
            parts(row).count() == operands.len()
                && parts(row).zip(operands).all(|(part, operand)| part.takes(operand.form))
        })
    }

    /// Checks that a row takes operands of these forms.
    fn check_forms(&self, first: usize, token: Token<'a>, operands: &[Given<'a>], count: usize) -> Result<'a, ()> {
        if operands.len() == count && self.rows_of_form(first, operands).next().is_some() {
            return Ok(());
        }
        let mut mnemonic = "";
        let mut best = 0;
        let (mut wants, mut likely) = (0, 0);
        for row in self.mnemonics.chain(first) {
            mnemonic = row.mnemonic;
            let fit = parts(row).zip(operands).take_while(|(part, operand)| part.takes(operand.form)).count();
            if fit > best {
                (best, wants, likely) = (fit, 0, 0);
            }
            if fit == best {
                let more = parts(row).nth(fit).map_or(0, Part::wants);
                wants |= more;
                likely |= if self.is_likely(row, operands, fit) { more } else { 0 };
            }
        }
        if mnemonic == RET
            && self.sig(self.frame.sig).result == TypeId::NONE
            && let [operand] = operands
        {
            return Err(self.error(operand.token, ErrorKind::RetValue { name: self.frame.name }));
        }
        if likely != 0 {
            wants = likely;
        }
        Err(match operands.get(best) {
            Some(operand) if wants != 0 => self.error(
                operand.token,
                ErrorKind::Operand { mnemonic, wants: Wants(wants), found: Found::from(operand.token) },
            ),
            _ => self.error(token, ErrorKind::OperandCount { mnemonic, found: count }),
        })
    }

    /// Whether the operands before number `at`, and the result of the function that `ret` ends, are of the banks that a row
    /// takes.
    fn is_likely(&self, row: &'static OpInfo, operands: &[Given<'a>], at: usize) -> bool {
        if row.mnemonic == RET {
            let bank = self.sig(self.frame.sig).result.bank();
            return matches!(row.operands, [Operand::Reg(_, own, _)] if *own == bank);
        }
        let mut before = None;
        parts(row).zip(operands).take(at).all(|(part, operand)| {
            let Ok(meaning) = self.meaning(row.mnemonic, part, operand, before) else { return false };
            before = Some((*operand, meaning));
            bank_fits(part, &meaning)
        })
    }

    /// Where the fields of a shape start.
    fn shape_at(&self, shape: u32) -> u32 {
        let symbols = (0..self.symbols.len() / Symbol::WORDS).filter_map(|place| self.symbol(place));
        let mut shapes = symbols.filter(|symbol| symbol.kind == Kind::Shape && symbol.index == shape);
        shapes.next().map_or(0, |symbol| symbol.type_at)
    }

    /// What an operand names; `before` is the operand before it, which of a field is the object.
    fn meaning(
        &self,
        mnemonic: &'static str,
        part: Part,
        operand: &Given<'a>,
        before: Option<(Given<'a>, Meaning<'a>)>,
    ) -> Result<'a, Meaning<'a>> {
        let (name, token) = (operand.name, operand.token);
        let undefined = |kind, hint| Err(self.undefined(kind, 0, name, token.at, hint));
        let wrong = |is, expected| Err(self.error(token, ErrorKind::WrongKind { name, is, expected }));
        let Part::Operand(part) = part else { return Ok(Meaning::Plain) };
        Ok(match part {
            Operand::Reg(..) => Meaning::Reg(self.register(name, token.at)?),
            Operand::Closure => {
                let own = self.lookup(Kind::Reg, self.frame.index, name).is_some();
                match self.lookup(Kind::Func, 0, name).filter(|_| !own).map(|symbol| symbol.kind) {
                    Some(Kind::Import) => return wrong("an import", "a register; `host` calls imports"),
                    Some(_) => return wrong("a function", "a register; `call` calls functions"),
                    None => {}
                }
                let reg = self.register(name, token.at)?;
                if !matches!(self.composite(reg.ty), Some(Composite::Fn(_))) {
                    let ty = type_text(self.source, reg.type_at);
                    let expected = "a type `fn(...)`";
                    return Err(self.error(token, ErrorKind::Class { mnemonic, name, ty, expected }));
                }
                Meaning::Reg(reg)
            }
            Operand::Func | Operand::Import => match (self.lookup(Kind::Func, 0, name), part) {
                (None, Operand::Func) => return undefined(Kind::Func, "a declared function"),
                (None, _) => return undefined(Kind::Import, "a declared import"),
                (Some(Symbol { kind: Kind::Import, .. }), Operand::Func) => {
                    return wrong("an import", "a function; `host` calls imports");
                }
                (Some(Symbol { kind: Kind::Func, .. }), Operand::Import) => {
                    return wrong("a function", "an import; `call` calls functions");
                }
                (Some(symbol), _) => Meaning::Symbol(symbol),
            },
            Operand::Table => match self.lookup(Kind::Table, 0, name) {
                Some(symbol) => Meaning::Symbol(symbol),
                None => return undefined(Kind::Table, "a declared table"),
            },
            Operand::Global(_) => match self.lookup(Kind::Global, 0, name) {
                Some(symbol) => Meaning::Symbol(symbol),
                None => return undefined(Kind::Global, "a declared global"),
            },
            Operand::Field(_) => {
                let Some((object, Meaning::Reg(reg))) = before else { return Ok(Meaning::Plain) };
                let Some(Composite::Obj(shape)) = self.composite(reg.ty) else {
                    let ty = type_text(self.source, reg.type_at);
                    let expected = "a type `obj NAME`";
                    return Err(
                        self.error(object.token, ErrorKind::Class { mnemonic, name: object.name, ty, expected })
                    );
                };
                match self.lookup(Kind::Field, shape as u16, name) {
                    Some(symbol) => Meaning::Symbol(symbol),
                    None => {
                        let ty = type_text(self.source, reg.type_at);
                        let fields = FieldNames::of(self.source, self.shape_at(shape));
                        let closest = self.closest(Kind::Field, shape as u16, name);
                        return Err(self.error(token, ErrorKind::NoField { field: name, ty, fields, closest }));
                    }
                }
            }
            Operand::Imm16
            | Operand::Imm32
            | Operand::PoolI64
            | Operand::PoolF64
            | Operand::CellConst
            | Operand::U16
            | Operand::Name => match self.token_literal(token)? {
                Some(literal) => Meaning::Literal(literal),
                None => Meaning::Plain,
            },
            Operand::Label | Operand::Targets | Operand::Args => Meaning::Plain,
        })
    }

    /// The row of these forms that the banks and the size of an INT fit.
    fn choose(&self, first: usize, operands: &[Given<'a>], meanings: &[Meaning<'a>]) -> Result<'a, &'static OpInfo> {
        let mut best = 0;
        let mut wants = 0;
        let mut mnemonic = "";
        for row in self.rows_of_form(first, operands) {
            mnemonic = row.mnemonic;
            let fit = parts(row).zip(meanings).take_while(|(part, meaning)| bank_fits(*part, meaning)).count();
            if fit == operands.len() {
                return Ok(row);
            }
            if fit > best {
                (best, wants) = (fit, 0);
            }
            if fit == best {
                wants |= parts(row).nth(fit).map_or(0, Part::wants_bank);
            }
        }
        let operand = operands.get(best).copied().unwrap_or(NO_OPERAND);
        let (what, type_at) = match meanings.get(best) {
            Some(Meaning::Reg(reg)) => (Kind::Reg.what(), reg.type_at),
            Some(Meaning::Symbol(symbol)) => (symbol.kind.what(), symbol.type_at),
            _ => ("", 0),
        };
        let (name, ty) = (operand.name, type_text(self.source, type_at));
        Err(self.error(operand.token, ErrorKind::Bank { mnemonic, what, name, ty, wants: Wants(wants) }))
    }

    /// Writes the op's words.
    fn encode(&mut self, row: &'static OpInfo, operands: &[Given<'a>], meanings: &[Meaning<'a>]) -> Result<'a, ()> {
        let mut out = Fields { word: self.code.push(row.op as u64)?, count: 0 };
        let mut texts = operands.iter().zip(meanings).enumerate();
        let mut list = (0, 0);
        for &operand in row.operands {
            if operand == Operand::Args {
                for place in list.0..list.0 + list.1 {
                    let (name, at) = self.list_name(place);
                    let reg = self.register(name, at)?;
                    self.field(&mut out, reg.slot)?;
                }
                continue;
            }
            let Some((number, (given, meaning))) = texts.next() else { return Ok(()) };
            list = given.list;
            let (text, token) = (given.name, given.token);
            match (operand, *meaning) {
                (Operand::Reg(..) | Operand::Closure, Meaning::Reg(reg)) => self.field(&mut out, reg.slot)?,
                (_, Meaning::Symbol(symbol)) => self.field(&mut out, symbol.index as u16)?,
                (Operand::Imm16, Meaning::Literal(literal)) => {
                    let Literal::Int(value) = literal else {
                        let rows = OPS.iter().filter(|other| other.mnemonic == row.mnemonic);
                        let wants =
                            rows.filter_map(|row| parts(row).nth(number)).fold(0, |all, part| all | part.wants());
                        let (mnemonic, wants, found) = (row.mnemonic, Wants(wants), Found::from(token));
                        return Err(self.error(token, ErrorKind::Operand { mnemonic, wants, found }));
                    };
                    let expected = "an INT from -32768 to 32767, or a register";
                    let value = i16::try_from(value).map_err(|_| self.unfit(token, expected))?;
                    self.field(&mut out, value as u16)?;
                }
                (Operand::Imm32, Meaning::Literal(literal)) => {
                    let value = self.int(token, literal)?;
                    self.fields(&mut out, value as u32)?;
                }
                (Operand::PoolI64, Meaning::Literal(literal)) => {
                    let value = self.int(token, literal)?;
                    let index = self.constant(value as u64)?;
                    self.fields(&mut out, index)?;
                }
                (Operand::PoolF64, Meaning::Literal(literal)) => {
                    let bits = match literal {
                        Literal::Float(value) => float_bits(value),
                        other => (self.int(token, other)? as f64).to_bits(),
                    };
                    let index = self.constant(bits)?;
                    self.fields(&mut out, index)?;
                }
                (Operand::CellConst, Meaning::Literal(Literal::Null)) => {
                    let expected = "an int, float, bool or string literal; `cell.null` gives null";
                    return Err(self.error(token, ErrorKind::Expected { expected, found: token.into() }));
                }
                (Operand::CellConst, Meaning::Literal(literal)) => {
                    let index = self.cell_constant(literal)?;
                    self.fields(&mut out, index)?;
                }
                (Operand::U16, Meaning::Literal(literal)) => {
                    let value = self.int(token, literal)?;
                    let value = u16::try_from(value).map_err(|_| self.unfit(token, "an INT from 0 to 65535"))?;
                    self.field(&mut out, value)?;
                }
                (Operand::Name, Meaning::Literal(Literal::Str(name))) => {
                    let index = self.literal_string(name)?;
                    let what = "different strings in the module before this one, which `prop` ops must number";
                    let many = ErrorKind::TooMany { what, limit: NAMEABLE };
                    let index = u16::try_from(index).map_err(|_| self.error(token, many))?;
                    self.field(&mut out, index)?;
                }
                (Operand::Label, _) => self.label(&mut out, text, token.at)?,
                (Operand::Targets, _) => {
                    let (start, count) = given.list;
                    let many = ErrorKind::TooMany { what: "targets", limit: usize::from(u16::MAX) };
                    let number = u16::try_from(count).map_err(|_| self.error(token, many))?;
                    self.field(&mut out, number)?;
                    let Some((_, (default, _))) = texts.next() else { return Ok(()) };
                    self.label(&mut out, default.name, default.token.at)?;
                    for place in start..start + count {
                        let (name, at) = self.list_name(place);
                        self.label(&mut out, name, at)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn unfit(&self, token: Token<'a>, expected: &'static str) -> super::AsmError<'a> {
        let text = if let Tok::Number(text) = token.tok { text } else { "" };
        self.error(token, ErrorKind::Unfit { text, expected })
    }

    /// Writes a field, behind three of them into an `args` word.
    fn field(&mut self, out: &mut Fields, value: u16) -> Result<'a, ()> {
        if out.count > 0 && out.count.is_multiple_of(3) {
            out.word = self.code.push(Op::Args as u64)?;
        }
        if let Some(word) = self.code.get_mut(out.word) {
            *word |= u64::from(value) << (16 + 16 * (out.count % 3));
        }
        out.count += 1;
        Ok(())
    }

    fn fields(&mut self, out: &mut Fields, value: u32) -> Result<'a, ()> {
        self.field(out, value as u16)?;
        self.field(out, (value >> 16) as u16)
    }

    /// Writes a label's field, or notes it until the label is known.
    fn label(&mut self, out: &mut Fields, name: &'a str, at: usize) -> Result<'a, ()> {
        match self.lookup(Kind::Label, self.frame.index, name) {
            Some(symbol) => self.field(out, symbol.index as u16),
            None => {
                self.field(out, 0)?;
                // Counted from the function's start, so that it fits 32 bits.
                let place = (out.word - self.frame.code) * 4 + (out.count - 1) % 3;
                self.fixups.push(at as u64 | (place as u64) << 32)?;
                Ok(())
            }
        }
    }

    fn resolve_labels(&mut self) -> Result<'a, ()> {
        for number in 0..self.fixups.len() {
            let fixup = self.fixups.get(number).unwrap_or(0);
            let (at, place) = (fixup as u32 as usize, (fixup >> 32) as usize);
            let Tok::Name(name) = Cursor::new(self.source, at, 0).peek().tok else { continue };
            let Some(symbol) = self.lookup(Kind::Label, self.frame.index, name) else {
                let hint = "a label of this function, defined as `name:`";
                return Err(self.undefined(Kind::Label, self.frame.index, name, at, hint));
            };
            if let Some(word) = self.code.get_mut(self.frame.code + place / 4) {
                *word |= u64::from(symbol.index as u16) << (16 + 16 * (place % 4));
            }
        }
        Ok(())
    }
}

/// Where the next field of an op goes.
struct Fields {
    /// The word that holds the field written last.
    word: usize,
    /// Fields written.
    count: usize,
}

/// Whether the bank of what an operand names, or the size of an INT, fits a row's part.
fn bank_fits(part: Part, meaning: &Meaning<'_>) -> bool {
    match (part, meaning) {
        (Part::Operand(Operand::Reg(_, bank, _)), Meaning::Reg(reg)) => reg.ty.bank() == bank,
        (Part::Operand(Operand::Global(bank) | Operand::Field(bank)), Meaning::Symbol(symbol)) => {
            TypeId(symbol.aux as u16).bank() == bank
        }
        (Part::Operand(Operand::Imm32), Meaning::Literal(Literal::Int(value))) => i32::try_from(*value).is_ok(),
        _ => true,
    }
}
