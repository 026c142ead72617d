//! Literals, and the text of floats and strings.

use super::float::{Decimal, FloatText};
use core::fmt;
use core::fmt::Write;

/// A literal of the text form, also as an argument on a command line and in an expectation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal<'a> {
    /// An INT. Hexadecimal is taken as bits.
    Int(i64),
    /// A FLOAT.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
    /// A string.
    Str(StrLit<'a>),
}

/// A string literal whose escapes have been checked. Equal literals have the same spelling; compare
/// [`StrLit::bytes`] to compare content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrLit<'a> {
    /// What stands between the quotes.
    body: &'a str,
}

impl<'a> StrLit<'a> {
    /// The bytes that the literal stands for, escapes resolved. A literal may stand for bytes that are no UTF-8.
    pub fn bytes(self) -> StrBytes<'a> {
        StrBytes { rest: self.body, pending: [0; 4], left: 0 }
    }

    /// The bytes in a buffer of the caller's: `None` if it is too small. The literal's text is always long enough.
    pub fn decode_into(self, buffer: &mut [u8]) -> Option<&[u8]> {
        let mut len = 0;
        for byte in self.bytes() {
            *buffer.get_mut(len)? = byte;
            len += 1;
        }
        buffer.get(..len)
    }
}

/// The bytes of a string literal, see [`StrLit::bytes`].
#[derive(Clone, Debug)]
pub struct StrBytes<'a> {
    rest: &'a str,
    /// Bytes of a character that are still to come, the next one at `4 - left`.
    pending: [u8; 4],
    left: usize,
}

impl Iterator for StrBytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.left == 0 {
            if let Some(&byte) = self.rest.as_bytes().first()
                && byte.is_ascii()
                && byte != b'\\'
            {
                self.rest = self.rest.get(1..).unwrap_or("");
                return Some(byte);
            }
            let (piece, rest) = next_piece(self.rest).ok()??;
            self.rest = rest;
            match piece {
                Piece::Byte(byte) => return Some(byte),
                Piece::Char(c) => {
                    let len = c.len_utf8();
                    let start = 4_usize.saturating_sub(len);
                    c.encode_utf8(self.pending.get_mut(start..)?);
                    self.left = len;
                }
            }
        }
        let byte = self.pending.get(4_usize.checked_sub(self.left)?).copied();
        self.left -= 1;
        byte
    }
}

/// One character or escape of a string.
enum Piece {
    Byte(u8),
    Char(char),
}

/// The first piece of a string's body and what follows it; `None` at the end.
fn next_piece(body: &str) -> Result<Option<(Piece, &str)>, LiteralErrorKind> {
    use LiteralErrorKind::{BadHex, BadUnicode, Surrogate, UnicodeLength, UnicodeRange, UnknownEscape};
    let mut chars = body.chars();
    let Some(first) = chars.next() else { return Ok(None) };
    if first != '\\' {
        return Ok(Some((Piece::Char(first), chars.as_str())));
    }
    let escape = chars.next().ok_or(UnknownEscape(None))?;
    let rest = chars.as_str();
    let byte = match escape {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '0' => 0,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            let digits = rest.get(..2).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(BadHex)?;
            let byte = u8::from_str_radix(digits, 16).map_err(|_| BadHex)?;
            return Ok(Some((Piece::Byte(byte), rest.get(2..).unwrap_or(""))));
        }
        'u' => {
            let (digits, after) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or(BadUnicode)?;
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(BadUnicode);
            }
            if digits.len() > 6 {
                return Err(UnicodeLength(digits.len()));
            }
            let number = u32::from_str_radix(digits, 16).map_err(|_| BadUnicode)?;
            let none = if number > u32::from(char::MAX) { UnicodeRange(number) } else { Surrogate(number) };
            return Ok(Some((Piece::Char(char::from_u32(number).ok_or(none)?), after)));
        }
        other => return Err(UnknownEscape(Some(other))),
    };
    Ok(Some((Piece::Byte(byte), rest)))
}

/// Why a text is no literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteralError<'a> {
    /// The text.
    pub text: &'a str,
    /// The byte of the text where the fault lies.
    pub offset: usize,
    /// The fault.
    pub kind: LiteralErrorKind,
}

/// What is wrong with a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralErrorKind {
    /// It is none of the literals.
    NotALiteral,
    /// It starts as a number and is none.
    NotANumber,
    /// An INT beyond 64 bits.
    IntRange,
    /// A finite FLOAT that rounds to infinity.
    FloatRange,
    /// A string without its closing quote.
    Unclosed,
    /// A backslash and a character that is no escape.
    UnknownEscape(Option<char>),
    /// `\x` without two hexadecimal digits.
    BadHex,
    /// `\u` without hexadecimal digits in braces.
    BadUnicode,
    /// `\u` with more than six digits: so many.
    UnicodeLength(usize),
    /// `\u` with this number, which is beyond the last character.
    UnicodeRange(u32),
    /// `\u` with this number, which is a surrogate of UTF-16 and no character.
    Surrogate(u32),
}

impl fmt::Display for LiteralError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use LiteralErrorKind::*;
        let text = self.text;
        match self.kind {
            NotALiteral => {
                write!(f, "`{text}` is no literal, expected an INT, a FLOAT, a \"string\", true, false or null")
            }
            NotANumber => write!(
                f,
                "`{text}` is no number, expected an INT as `12`, `-3` or `0x1f`, or a FLOAT as `1.5`, `2e-3`, `inf`, \
                 `-inf` or `nan`"
            ),
            IntRange => write!(
                f,
                "`{text}` does not fit an i64, expected {} to {}, or 0x0 to {:#x}",
                i64::MIN,
                i64::MAX,
                u64::MAX
            ),
            FloatRange => write!(f, "`{text}` does not fit an f64, expected at most {}, or `inf`", FloatText(f64::MAX)),
            Unclosed => write!(f, "the string is not closed, expected `\"` before the end of the line"),
            UnknownEscape(Some(c)) => {
                write!(f, "`\\{}` is no escape, expected \\n \\r \\t \\0 \\\\ \\\" \\xHH or \\u{{H}}", c.escape_debug())
            }
            UnknownEscape(None) => {
                write!(f, "`\\` ends the string, expected \\n \\r \\t \\0 \\\\ \\\" \\xHH or \\u{{H}}")
            }
            BadHex => write!(f, "`\\x` is incomplete, expected two hexadecimal digits, as \\x7f"),
            BadUnicode => write!(
                f,
                "`\\u` is incomplete, expected a Unicode scalar value of 1 to 6 hexadecimal digits in braces, as \
                 \\u{{e9}}"
            ),
            UnicodeLength(digits) => {
                write!(f, "`\\u` has {digits} digits, expected 1 to 6 hexadecimal digits in braces, as \\u{{e9}}")
            }
            UnicodeRange(number) => {
                write!(f, "`\\u{{{number:x}}}` is out of range, expected at most \\u{{{:x}}}", u32::from(char::MAX))
            }
            Surrogate(number) => write!(
                f,
                "`\\u{{{number:x}}}` is a surrogate, expected a character: at most \\u{{d7ff}}, or from \\u{{e000}} on"
            ),
        }
    }
}

impl core::error::Error for LiteralError<'_> {}

/// Reads a literal: the whole text, without blanks around it.
///
/// INT is `-?digits` in the range of i64, or `0x` and hexadecimal digits up to 2^64 - 1, taken as bits. FLOAT is
/// `-?digits`, with `.digits` or `e`, an optional sign and digits, or both; or `inf`, `-inf`, `nan`. It is rounded
/// correctly, and an error if it rounds to infinity.
pub fn parse_literal(text: &str) -> Result<Literal<'_>, LiteralError<'_>> {
    let fault = |kind| LiteralError { text, offset: 0, kind };
    match text {
        "true" => return Ok(Literal::Bool(true)),
        "false" => return Ok(Literal::Bool(false)),
        "null" => return Ok(Literal::Null),
        _ => {}
    }
    match text.bytes().next() {
        Some(b'"') => parse_string(text).map(Literal::Str),
        _ => parse_number(text).map_err(fault),
    }
}

/// [`parse_literal`] of a text that has to be an INT or a FLOAT.
pub(crate) fn parse_number(text: &str) -> Result<Literal<'_>, LiteralErrorKind> {
    use LiteralErrorKind::{FloatRange, IntRange, NotALiteral, NotANumber};
    match text {
        "inf" => return Ok(Literal::Float(f64::INFINITY)),
        "-inf" => return Ok(Literal::Float(f64::NEG_INFINITY)),
        "nan" => return Ok(Literal::Float(f64::NAN)),
        _ if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => return Err(NotALiteral),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("0x") {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotANumber);
        }
        return u64::from_str_radix(digits, 16).map(|bits| Literal::Int(bits as i64)).map_err(|_| IntRange);
    }
    let (whole, rest) = split_digits(text.strip_prefix('-').unwrap_or(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (digits, rest) = split_digits(rest);
            (Some(digits), rest)
        }
        None => (None, rest),
    };
    let (exponent, down, rest) = match rest.strip_prefix('e') {
        Some(rest) => {
            let (digits, after) = split_digits(rest.strip_prefix(['+', '-']).unwrap_or(rest));
            (Some(digits), rest.starts_with('-'), after)
        }
        None => (None, false, rest),
    };
    if whole.is_empty() || fraction == Some("") || exponent == Some("") || !rest.is_empty() {
        return Err(NotANumber);
    }
    if fraction.is_none() && exponent.is_none() {
        return text.parse().map(Literal::Int).map_err(|_| IntRange);
    }
    let digits = exponent.unwrap_or("").bytes().map(|byte| i64::from(byte.wrapping_sub(b'0')));
    let exponent = digits.fold(0_i64, |exponent, digit| exponent.saturating_mul(10).saturating_add(digit));
    let exponent = if down { -exponent } else { exponent };
    let size = f64::from_bits(Decimal { whole, fraction: fraction.unwrap_or(""), exponent }.nearest());
    let value = if text.starts_with('-') { -size } else { size };
    if value.is_finite() { Ok(Literal::Float(value)) } else { Err(FloatRange) }
}

/// The decimal digits that a text starts with, and what follows them.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn parse_string(text: &str) -> Result<StrLit<'_>, LiteralError<'_>> {
    let unclosed = LiteralError { text, offset: 0, kind: LiteralErrorKind::Unclosed };
    let inner = text.strip_prefix('"').ok_or(unclosed)?;
    let mut rest = inner;
    loop {
        let offset = text.len() - rest.len();
        if let Some(after) = rest.strip_prefix('"') {
            if !after.is_empty() {
                return Err(LiteralError { text, offset: offset + 1, kind: LiteralErrorKind::NotALiteral });
            }
            return Ok(StrLit { body: inner.get(..inner.len() - rest.len()).unwrap_or("") });
        }
        match next_piece(rest) {
            Ok(Some((_, after))) => rest = after,
            Ok(None) => return Err(unclosed),
            Err(kind) => return Err(LiteralError { text, offset, kind }),
        }
    }
}

/// Bytes as a string literal that stands for them, quotes included.
#[derive(Clone, Copy, Debug)]
pub struct StrText<'a>(pub &'a [u8]);

impl fmt::Display for StrText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    '\0' => f.write_str("\\0")?,
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    c if c.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}
