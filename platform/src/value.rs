//! Values as text: arguments of a command line or an expectation, and results.

use core::fmt;
use opstamp::runtime::cell::{Content, SHORT_STR};
use opstamp::vm3::op::Bank;
use opstamp::vm3::text::{FloatText, Literal, LiteralError, parse_literal};
use opstamp::{Cell, TypeId, Value};

/// Why a literal is no value of a type, in words that fit behind the literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It is of another type than the one wanted.
    Type(TypeId),
    /// An integer that takes more bits than a cell has.
    Int,
    /// A string that takes more bytes than a cell has: how many.
    Str(usize),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Type(ty) => write!(f, "does not fit its type, expected {}", wanted(ty)),
            Self::Int => f.write_str("as a cell needs a heap; expected at most 48 bits"),
            Self::Str(bytes) => {
                write!(f, "is a string of {bytes} bytes, which needs a heap; expected at most {SHORT_STR} bytes")
            }
        }
    }
}

/// Why a word of a command line is no value of a type, as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordError<'w> {
    /// A literal has to be text.
    NotUtf8,
    /// It is no literal.
    Literal(LiteralError<'w>),
    /// The literal does not fit.
    Misfit(&'w str, Misfit),
    /// The string does not fit.
    Str(Misfit),
}

impl fmt::Display for WordError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("it is not UTF-8, expected a literal"),
            Self::Literal(error) => error.fmt(f),
            Self::Misfit(text, misfit) => write!(f, "`{text}` {misfit}"),
            Self::Str(misfit) => write!(f, "it {misfit}"),
        }
    }
}

/// The value of a word of the command line where `ty` is declared. A string is the word's bytes as they are, everything
/// else a literal of vm3. The error says what would have been right.
pub fn from_word(word: &[u8], ty: TypeId) -> Result<Value, WordError<'_>> {
    if ty == TypeId::STR {
        return string(word, word.len()).map_err(WordError::Str);
    }
    let text = core::str::from_utf8(word).map_err(|_| WordError::NotUtf8)?;
    let literal = parse_literal(text).map_err(WordError::Literal)?;
    from_literal(literal, ty).map_err(|misfit| WordError::Misfit(text, misfit))
}

/// The value of a literal where `ty` is declared. An INT may stand for an f64, as in `f64.const`.
pub fn from_literal(literal: Literal<'_>, ty: TypeId) -> Result<Value, Misfit> {
    match (literal, ty.bank()) {
        (Literal::Int(value), Bank::I64) => Ok(value.into()),
        (Literal::Int(value), Bank::F64) => Ok((value as f64).into()),
        (Literal::Float(value), Bank::F64) => Ok(value.into()),
        (Literal::Null, Bank::Cell) => Ok(Cell::NULL.into()),
        (Literal::Str(text), Bank::Cell) if ty == TypeId::STR || ty == TypeId::ANY => {
            let mut bytes = [0; SHORT_STR];
            for (place, byte) in bytes.iter_mut().zip(text.bytes()) {
                *place = byte;
            }
            let len = text.bytes().count();
            string(bytes.get(..len).unwrap_or(&[]), len)
        }
        (Literal::Bool(value), Bank::Cell) if ty == TypeId::ANY => Ok(Cell::bool(value).into()),
        (Literal::Float(value), Bank::Cell) if ty == TypeId::ANY => Ok(Cell::float(value).into()),
        (Literal::Int(value), Bank::Cell) if ty == TypeId::ANY => Cell::int(value).map(Value::from).ok_or(Misfit::Int),
        (Literal::Int(_) | Literal::Float(_) | Literal::Bool(_) | Literal::Null | Literal::Str(_), _) => {
            Err(Misfit::Type(ty))
        }
    }
}

/// What may stand where `ty` is declared, in words.
fn wanted(ty: TypeId) -> &'static str {
    match ty {
        TypeId::I64 => "an i64, as `12`, `-3` or `0x1f`",
        TypeId::F64 => "an f64, as `1.5`, `2e-3` or `inf`",
        TypeId::STR => "a string or `null`",
        TypeId::ANY => "a literal",
        _ => "`null`",
    }
}

/// A string of `len` bytes; `bytes` are all of them if they fit a cell.
fn string(bytes: &[u8], len: usize) -> Result<Value, Misfit> {
    if len > SHORT_STR {
        return Err(Misfit::Str(len));
    }
    Cell::str(bytes).map(Value::from).ok_or(Misfit::Str(len))
}

/// Gives the bytes that a value prints as to `write`, in one piece or several.
pub fn print(value: Value, write: &mut dyn FnMut(&[u8])) {
    /// What takes text takes its bytes.
    struct Bytes<'w>(&'w mut dyn FnMut(&[u8]));
    impl fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            (self.0)(text.as_bytes());
            Ok(())
        }
    }
    let mut text = |arguments: fmt::Arguments<'_>| {
        // Taking bytes cannot fail.
        let _ = fmt::write(&mut Bytes(write), arguments);
    };
    match value {
        Value::I64(value) => text(format_args!("{value}")),
        Value::F64(value) => text(format_args!("{}", FloatText(value))),
        Value::Cell(cell) => match cell.content() {
            Some(Content::Null) => text(format_args!("null")),
            Some(Content::Bool(value)) => text(format_args!("{value}")),
            Some(Content::Int(value)) => text(format_args!("{value}")),
            Some(Content::Float(value)) => text(format_args!("{}", FloatText(value))),
            Some(Content::Str(bytes, len)) => write(bytes.get(..len).unwrap_or(&[])),
            None => text(format_args!("<object>")),
        },
    }
}
