//! Types of cell registers, calls and results: checked here for the sake of the message; the verifier checks again.

use super::assemble::{Assembler, Result};
use super::body::{Given, Meaning, Reg};
use super::error::{ErrorKind, error_at};
use super::lexer::{Cursor, Tok, Token};
use super::literal::Literal;
use super::rows::{Part, parts};
use crate::vm3::container::Sig;
use crate::vm3::op::{Access, Bank, CellClass, Op, OpInfo, Operand};
use crate::vm3::types::{Composite, TypeId};
use core::fmt;

impl<'a> Assembler<'a, '_> {
    /// Checks the types of cells, the registers of calls, and results.
    pub fn check_types(
        &self,
        row: &'static OpInfo,
        token: Token<'a>,
        operands: &[Given<'a>],
        meanings: &[Meaning<'a>],
    ) -> Result<'a, ()> {
        let each = || parts(row).zip(operands).zip(meanings).map(|((part, operand), meaning)| (part, operand, meaning));
        let mnemonic = row.mnemonic;
        // The first register, and the last one: destination and source of the ops whose types are related.
        let mut regs = each().filter_map(|(_, operand, meaning)| match meaning {
            Meaning::Reg(reg) => Some((operand, *reg)),
            _ => None,
        });
        let first = regs.next();
        let last = regs.last().or(first);
        let fits = |(given, reg): (&Given<'a>, Reg), holds: bool, place, type_at| {
            if holds {
                return Ok(());
            }
            let (what, name, ty) = ("register", given.name, type_text(self.source, reg.type_at));
            let expected = type_text(self.source, type_at);
            Err(self.error(given.token, ErrorKind::Type { what, name, ty, place, expected }))
        };
        for (part, operand, meaning) in each() {
            match (part, meaning) {
                (Part::Operand(Operand::Reg(access, Bank::Cell, class)), Meaning::Reg(reg)) => {
                    if let Some(expected) = self.class_misfit(access, class, reg.ty) {
                        let (name, ty) = (operand.name, type_text(self.source, reg.type_at));
                        return Err(self.error(operand.token, ErrorKind::Class { mnemonic, name, ty, expected }));
                    }
                }
                (Part::Operand(Operand::Global(Bank::Cell) | Operand::Field(Bank::Cell)), Meaning::Symbol(symbol)) => {
                    let held = TypeId(symbol.aux as u16);
                    match (parts(row).next(), first, last) {
                        (Some(Part::Operand(Operand::Reg(Access::Write, ..))), Some(dest), _) => {
                            fits(dest, held.fits(dest.1.ty), "for the value that is read", symbol.type_at)?;
                        }
                        (_, _, Some(source)) => {
                            fits(source, source.1.ty.fits(held), "for the value that is stored", symbol.type_at)?;
                        }
                        _ => {}
                    }
                }
                (Part::Operand(Operand::Func | Operand::Import), Meaning::Symbol(symbol)) => {
                    self.check_call(row, operands, first, operand, symbol.aux, symbol.type_at)?;
                }
                (Part::Operand(Operand::Closure), Meaning::Reg(reg)) => {
                    if let Some(Composite::Fn(sig)) = self.composite(reg.ty) {
                        self.check_call(row, operands, first, operand, sig, reg.type_at)?;
                    }
                }
                _ => {}
            }
        }
        let class = |(given, reg): (&Given<'a>, Reg), expected| {
            let (name, ty) = (given.name, type_text(self.source, reg.type_at));
            Err(self.error(given.token, ErrorKind::Class { mnemonic, name, ty, expected }))
        };
        match (row.op, first, last) {
            (Op::CellMov, Some(dest), Some(source)) => {
                fits(source, source.1.ty.fits(dest.1.ty), "to be moved there", dest.1.type_at)
            }
            (Op::CellConst, Some(dest), _) => match meanings.get(1) {
                Some(Meaning::Literal(Literal::Str(_))) if matches!(dest.1.ty, TypeId::STR | TypeId::ANY) => Ok(()),
                Some(Meaning::Literal(Literal::Str(_))) => class(dest, "str or any for a string"),
                _ if dest.1.ty == TypeId::ANY => Ok(()),
                _ => class(dest, "any for this literal"),
            },
            (Op::ObjNew, Some(dest), _) => match self.composite(dest.1.ty) {
                Some(Composite::Obj(_)) => Ok(()),
                _ => class(dest, "a type `obj NAME`"),
            },
            (Op::Ret | Op::RetI64 | Op::RetF64 | Op::RetCell, value, _) => {
                let result = self.sig(self.frame.sig).result;
                let name = self.frame.name;
                match value {
                    None if result == TypeId::NONE => Ok(()),
                    None => {
                        let result = result_text(self.source, self.frame.sig_at);
                        Err(self.error(token, ErrorKind::RetMissing { name, result }))
                    }
                    Some((given, _)) if result == TypeId::NONE => {
                        Err(self.error(given.token, ErrorKind::RetValue { name }))
                    }
                    Some((_, reg)) if reg.ty.fits(result) => Ok(()),
                    Some((given, reg)) => {
                        let (what, name, ty) = ("register", given.name, type_text(self.source, reg.type_at));
                        let expected = result_text(self.source, self.frame.sig_at);
                        let place = "as the function's result";
                        Err(self.error(given.token, ErrorKind::Type { what, name, ty, place, expected }))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    /// What a cell register's type should have been, if it is not what the op wants.
    fn class_misfit(&self, access: Access, class: CellClass, ty: TypeId) -> Option<&'static str> {
        let (wanted, read, written) = match class {
            CellClass::AsDeclared => return None,
            CellClass::Any if access == Access::Read => return None,
            CellClass::Any => (TypeId::ANY, "any", "any"),
            CellClass::Str => (TypeId::STR, "str", "str or any"),
            CellClass::ArrI64 => (TypeId::ARR_I64, "arr.i64", "arr.i64 or any"),
            CellClass::ArrF64 => (TypeId::ARR_F64, "arr.f64", "arr.f64 or any"),
            CellClass::ArrU8 => (TypeId::ARR_U8, "arr.u8", "arr.u8 or any"),
            CellClass::List => (TypeId::LIST, "list", "list or any"),
            CellClass::IMap => (TypeId::IMAP, "imap", "imap or any"),
            CellClass::Map => (TypeId::MAP, "map", "map or any"),
            CellClass::Obj => {
                return if matches!(self.composite(ty), Some(Composite::Obj(_))) {
                    None
                } else {
                    Some("a type `obj NAME`")
                };
            }
        };
        match access {
            Access::Read => (ty != wanted).then_some(read),
            Access::Write => (ty != wanted && ty != TypeId::ANY).then_some(written),
            Access::ReadWrite => (ty != wanted).then_some(read),
        }
    }

    /// Checks the arguments and the result of a call. `dest` is the first register of the op, `callee` what is called.
    fn check_call(
        &self,
        row: &'static OpInfo,
        operands: &[Given<'a>],
        dest: Option<(&Given<'a>, Reg)>,
        callee: &Given<'a>,
        sig_index: u32,
        sig_at: u32,
    ) -> Result<'a, ()> {
        let name = callee.name;
        let sig = self.sig(sig_index);
        let (start, found) = callee.list;
        let takes = usize::from(sig.count);
        let binds = row.op == Op::FnNew;
        if found > takes || (found < takes && !binds) {
            return Err(self.error(callee.token, ErrorKind::ArgCount { name, takes, at_most: binds, found }));
        }
        for number in 0..found {
            let (arg, at) = self.list_name(start + number);
            let reg = self.register(arg, at)?;
            if !reg.ty.fits(self.param(&sig, number)) {
                let (ty, expected) = (type_text(self.source, reg.type_at), param_text(self.source, sig_at, number));
                let kind = ErrorKind::ArgType { number: number + 1, callee: name, name: arg, ty, expected };
                return Err(error_at(self.source, at, kind));
            }
        }
        if row.op == Op::Tail {
            let wanted = self.sig(self.frame.sig).result;
            if sig.result != wanted {
                let (result, wanted) = (result_text(self.source, sig_at), result_text(self.source, self.frame.sig_at));
                let kind = ErrorKind::TailResult { name, result, caller: self.frame.name, wanted };
                return Err(self.error(callee.token, kind));
            }
            return Ok(());
        }
        let (Some((given, reg)), 2) = (dest, operands.len()) else { return Ok(()) };
        // Only for messages: a type's text may be long.
        let ty = || type_text(self.source, reg.type_at);
        if binds {
            let fits = match self.composite(reg.ty) {
                Some(Composite::Fn(left)) => self.is_rest(&self.sig(left), &sig, found),
                _ => false,
            };
            if !fits {
                let (left, source) = (takes - found, self.source);
                let rest = RestType { source, sig_at, bound: found, left };
                let kind = ErrorKind::ClosureType { name: given.name, ty: ty(), callee: name, bound: found, rest };
                return Err(self.error(given.token, kind));
            }
        } else if sig.result == TypeId::NONE {
            return Err(self.error(callee.token, ErrorKind::NoResult { mnemonic: row.mnemonic, name }));
        } else if !sig.result.fits(reg.ty) {
            let result = result_text(self.source, sig_at);
            return Err(self.error(given.token, ErrorKind::ResultType { name, result, dest: given.name, ty: ty() }));
        }
        Ok(())
    }

    /// Whether `left` is what remains of `whole` when its first `bound` parameters are bound.
    fn is_rest(&self, left: &Sig, whole: &Sig, bound: usize) -> bool {
        left.result == whole.result
            && usize::from(left.count) + bound == usize::from(whole.count)
            && (0..usize::from(left.count)).all(|number| self.param(left, number) == self.param(whole, number + bound))
    }
}

/// The type of a closure: what is left of a signature when its first parameters are bound. For messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestType<'a> {
    source: &'a str,
    /// Where the parameter list starts.
    sig_at: u32,
    bound: usize,
    /// The number of parameters that are left.
    left: usize,
}

impl fmt::Display for RestType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { source, sig_at, bound, left } = self;
        f.write_str("fn(")?;
        for number in 0..left {
            if number == usize::from(Composite::PARAMS) {
                f.write_str(", ...")?;
                break;
            }
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, param_text(source, sig_at, bound + number))?;
        }
        f.write_str(")")?;
        match result_type(source, sig_at) {
            Some(result) => write!(f, " -> {result}"),
            None => Ok(()),
        }
    }
}

/// The names of a shape's fields. For messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldNames<'a> {
    source: &'a str,
    /// Where their opening brace stands.
    at: usize,
}

impl<'a> FieldNames<'a> {
    /// Those of the shape whose `{` stands there.
    pub(super) fn of(source: &'a str, brace_at: u32) -> Self {
        Self { source, at: brace_at as usize }
    }
}

impl fmt::Display for FieldNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut cursor = Cursor::new(self.source, self.at, 0);
        cursor.take();
        for number in 0..=SHOWN {
            let Tok::Name(name) = cursor.take().tok else { break };
            match number {
                0 => write!(f, "one of its fields: `{name}`")?,
                SHOWN => return f.write_str(", ..."),
                _ => write!(f, ", `{name}`")?,
            }
            cursor.take();
            if skip_type(&mut cursor).is_none() || !cursor.take_if(Tok::Punct(',')) {
                return Ok(());
            }
        }
        f.write_str("a shape that has fields")
    }
}

/// Takes a type, and gives the place behind it. No recursion: what is inside parentheses is skipped by counting them.
pub(super) fn skip_type(cursor: &mut Cursor<'_>) -> Option<usize> {
    loop {
        let token = cursor.take();
        let Tok::Name(name) = token.tok else { return None };
        let mut end = token.at + name.len();
        if name == "obj"
            && let Tok::Name(shape) = cursor.peek().tok
        {
            end = cursor.peek().at + shape.len();
            cursor.take();
        }
        if name == "fn" {
            end = skip_parentheses(cursor);
            if cursor.take_if(Tok::Arrow) {
                continue;
            }
        }
        return Some(end);
    }
}

/// The type that stands at a place of the source.
pub(super) fn type_text(source: &str, at: u32) -> &str {
    let mut cursor = Cursor::new(source, at as usize, 0);
    skip_type(&mut cursor).and_then(|end| source.get(at as usize..end)).unwrap_or("")
}

/// Takes what parentheses hold, from the opening one on, and gives the place behind the closing one.
pub(super) fn skip_parentheses(cursor: &mut Cursor<'_>) -> usize {
    let mut depth = 0_u32;
    loop {
        let token = cursor.take();
        match token.tok {
            Tok::Punct('(') => depth += 1,
            Tok::Punct(')') => depth = depth.saturating_sub(1),
            Tok::End => return token.at,
            _ => {}
        }
        if depth == 0 {
            return token.at + 1;
        }
    }
}

/// The result's type in a signature at a place of the source, which is a parameter list or a function type.
fn result_text(source: &str, at: u32) -> &str {
    result_type(source, at).unwrap_or("no result")
}

/// The same, if there is a result.
fn result_type(source: &str, at: u32) -> Option<&str> {
    let mut cursor = Cursor::new(source, at as usize, 0);
    cursor.take_if(Tok::Name("fn"));
    skip_parentheses(&mut cursor);
    cursor.take_if(Tok::Arrow).then(|| type_text(source, cursor.peek().at as u32))
}

/// The type of parameter `number` in such a signature.
fn param_text(source: &str, at: u32, number: usize) -> &str {
    let mut cursor = Cursor::new(source, at as usize, 0);
    cursor.take_if(Tok::Name("fn"));
    cursor.take();
    let mut depth = 0_u32;
    let mut left = number;
    while left > 0 {
        match cursor.take().tok {
            Tok::Punct('(') => depth += 1,
            Tok::Punct(')') => depth = depth.saturating_sub(1),
            Tok::Punct(',') if depth == 0 => left -= 1,
            Tok::End => return "",
            _ => {}
        }
    }
    let mut named = cursor;
    named.take();
    if named.take_if(Tok::Punct(':')) {
        cursor = named;
    }
    type_text(source, cursor.peek().at as u32)
}
