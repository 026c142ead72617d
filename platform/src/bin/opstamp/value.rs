//! Values as text: arguments of a command line or an expectation, and results.

use opstamp::runtime::cell::{Content, SHORT_STR};
use opstamp::vm3::op::Bank;
use opstamp::vm3::text::{FloatText, Literal, parse_literal};
use opstamp::{Cell, TypeId, Value};

/// The value of a word of the command line where `ty` is declared. A string is the word's bytes as they are, everything
/// else a literal of vm3. The error says what would have been right.
pub fn from_word(word: &[u8], ty: TypeId) -> Result<Value, String> {
    if ty == TypeId::STR {
        return string(word).map_err(|what| format!("it {what}"));
    }
    let text = std::str::from_utf8(word).map_err(|_| "it is not UTF-8, expected a literal".to_owned())?;
    let literal = parse_literal(text).map_err(|error| error.to_string())?;
    from_literal(literal, ty).map_err(|what| format!("`{text}` {what}"))
}

/// The value of a literal where `ty` is declared. An INT may stand for an f64, as in `f64.const`. The error is what to say
/// behind the literal.
pub fn from_literal(literal: Literal<'_>, ty: TypeId) -> Result<Value, String> {
    match (literal, ty.bank()) {
        (Literal::Int(value), Bank::I64) => Ok(value.into()),
        (Literal::Int(value), Bank::F64) => Ok((value as f64).into()),
        (Literal::Float(value), Bank::F64) => Ok(value.into()),
        (Literal::Null, Bank::Cell) => Ok(Cell::NULL.into()),
        (Literal::Str(text), Bank::Cell) if ty == TypeId::STR || ty == TypeId::ANY => {
            string(&text.bytes().collect::<Vec<u8>>())
        }
        (Literal::Bool(value), Bank::Cell) if ty == TypeId::ANY => Ok(Cell::bool(value).into()),
        (Literal::Float(value), Bank::Cell) if ty == TypeId::ANY => Ok(Cell::float(value).into()),
        (Literal::Int(value), Bank::Cell) if ty == TypeId::ANY => Cell::int(value)
            .map(Value::from)
            .ok_or_else(|| "as a cell needs a heap; expected at most 48 bits".to_owned()),
        (Literal::Int(_) | Literal::Float(_) | Literal::Bool(_) | Literal::Null | Literal::Str(_), _) => {
            Err(format!("does not fit its type, expected {}", wanted(ty)))
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

fn string(bytes: &[u8]) -> Result<Value, String> {
    Cell::str(bytes).map(Value::from).ok_or_else(|| {
        format!("is a string of {} bytes, which needs a heap; expected at most {SHORT_STR} bytes", bytes.len())
    })
}

/// The bytes that a value prints as.
pub fn print(value: Value) -> Vec<u8> {
    match value {
        Value::I64(value) => value.to_string().into_bytes(),
        Value::F64(value) => FloatText(value).to_string().into_bytes(),
        Value::Cell(cell) => match cell.content() {
            Some(Content::Null) => b"null".to_vec(),
            Some(Content::Bool(value)) => value.to_string().into_bytes(),
            Some(Content::Int(value)) => value.to_string().into_bytes(),
            Some(Content::Float(value)) => FloatText(value).to_string().into_bytes(),
            Some(Content::Str(bytes, len)) => bytes.get(..len).unwrap_or(&[]).to_vec(),
            None => b"<object>".to_vec(),
        },
    }
}
