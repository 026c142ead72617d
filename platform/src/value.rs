//! Words of a command line as values.

use core::fmt;
use opstamp::vm3::text::{LiteralError, parse_literal};
use opstamp::{HeapError, Objects, TypeId, Value};

/// Why a word of a command line is no value of a type, as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordError<'w> {
    /// A literal has to be text.
    NotUtf8,
    /// It is no literal.
    Literal(LiteralError<'w>),
    /// The literal is of another type than the one wanted.
    Type(&'w str, TypeId),
    /// The guest's heap has no room for it.
    Heap(HeapError),
}

impl fmt::Display for WordError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("it is not UTF-8, expected a literal"),
            Self::Literal(error) => error.fmt(f),
            Self::Type(text, ty) => write!(f, "`{text}` does not fit its type, expected {}", wanted(*ty)),
            Self::Heap(error) => error.fmt(f),
        }
    }
}

/// The value of a word of the command line where `ty` is declared. A string is the word's bytes as they are, everything
/// else a literal of vm3. The error says what would have been right. Who makes several values keeps each alive by a root.
pub fn from_word<'w>(objects: &mut Objects<'_>, word: &'w [u8], ty: TypeId) -> Result<Value, WordError<'w>> {
    if ty == TypeId::STR {
        return objects.new_str(word).map(Value::Cell).map_err(WordError::Heap);
    }
    let text = core::str::from_utf8(word).map_err(|_| WordError::NotUtf8)?;
    let literal = parse_literal(text).map_err(WordError::Literal)?;
    objects.literal(literal, ty).map_err(WordError::Heap)?.ok_or(WordError::Type(text, ty))
}

/// What may stand where `ty` is declared, in words.
pub fn wanted(ty: TypeId) -> &'static str {
    match ty {
        TypeId::I64 => "an i64, as `12`, `-3` or `0x1f`",
        TypeId::F64 => "an f64, as `1.5`, `2e-3` or `inf`",
        TypeId::STR => "a string or `null`",
        TypeId::ANY => "a literal",
        _ => "`null`",
    }
}
