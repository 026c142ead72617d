//! What can be wrong with a source, and how it is said.

use super::check::{FieldNames, RestType};
use super::lexer::{Tok, Token, is_name_part};
use super::literal::LiteralError;
use super::rows;
use core::fmt::{self, Write};

/// The first error of a source. Its text is `line:column: what is wrong, and what was expected`; a command puts the
/// file's name and a colon ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AsmError<'a> {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub kind: ErrorKind<'a>,
}

/// What is wrong. Names, types and literals are borrowed from the source.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the pieces of the message, which Display puts together")]
pub enum ErrorKind<'a> {
    /// The source has 4 GiB or more.
    SourceTooLong { bytes: usize },
    /// The scratch or output memory is smaller than this source needs.
    Memory { what: &'static str, needed: usize, given: usize },
    /// Another token was expected.
    Expected { expected: &'static str, found: Found<'a> },
    /// A literal that is none.
    Literal(LiteralError<'a>),
    /// A literal that does not fit its place.
    Unfit { text: &'a str, expected: &'static str },
    /// A reserved word where a name is wanted.
    Reserved { name: &'a str, expected: &'static str },
    /// A name that is taken.
    Duplicate { what: &'static str, name: &'a str, line: u32 },
    /// A name that is not declared.
    Undefined { what: &'static str, name: &'a str, hint: &'static str, closest: Option<&'a str> },
    /// A name of another kind than the place takes.
    WrongKind { name: &'a str, is: &'static str, expected: &'static str },
    /// A field that a shape does not have.
    NoField { field: &'a str, ty: &'a str, fields: FieldNames<'a>, closest: Option<&'a str> },
    /// A function without `end`; the error stands where it starts, or where the next one starts.
    NoEnd { name: &'a str },
    /// A function without an op.
    NoOps { name: &'a str },
    /// A function whose last op lets control go on.
    RunsOff { name: &'a str },
    /// A label with no op behind it.
    LabelAtEnd { name: &'a str },
    /// `local` behind an op or label.
    LateLocal,
    /// Function types nested too deep.
    TooDeep { limit: u32 },
    /// More of something than the container can number.
    TooMany { what: &'static str, limit: usize },
    /// No op has this name.
    UnknownOp { name: &'a str, second: Option<&'a str>, closest: Option<&'static str> },
    /// No form of the op has this number of operands.
    OperandCount { mnemonic: &'static str, found: usize },
    /// An operand of another form than the op takes.
    Operand { mnemonic: &'static str, wants: Wants, found: Found<'a> },
    /// A register, global or field of another bank than the op takes.
    Bank { mnemonic: &'static str, what: &'static str, name: &'a str, ty: &'a str, wants: Wants },
    /// A cell register of another type than the op takes.
    Class { mnemonic: &'static str, name: &'a str, ty: &'a str, expected: &'static str },
    /// A register whose type does not fit that of the thing it meets.
    Type { what: &'static str, name: &'a str, ty: &'a str, place: &'static str, expected: &'a str },
    /// A call with another number of arguments than the signature.
    ArgCount { name: &'a str, takes: usize, at_most: bool, found: usize },
    /// An argument whose type does not fit.
    ArgType { number: usize, callee: &'a str, name: &'a str, ty: &'a str, expected: &'a str },
    /// A destination for a call without result.
    NoResult { mnemonic: &'static str, name: &'a str },
    /// A result whose type does not fit the destination.
    ResultType { name: &'a str, result: &'a str, dest: &'a str, ty: &'a str },
    /// `ret` without a value in a function that has a result.
    RetMissing { name: &'a str, result: &'a str },
    /// `ret` with a value in a function that has none.
    RetValue { name: &'a str },
    /// A tail call to a function with another result type.
    TailResult { name: &'a str, result: &'a str, caller: &'a str, wanted: &'a str },
    /// `fn.new` into a register whose type is not the rest of the signature.
    ClosureType { name: &'a str, ty: &'a str, callee: &'a str, bound: usize, rest: RestType<'a> },
    /// An expectation that nothing follows.
    LoneWith,
}

/// A token as a message names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a>(pub(super) Tok<'a>);

impl<'a> From<Token<'a>> for Found<'a> {
    fn from(token: Token<'a>) -> Self {
        Self(token.tok)
    }
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Tok::Name(text) | Tok::Number(text) => write!(f, "`{text}`"),
            Tok::Str(text) => {
                f.write_str("the string ")?;
                let mut chars = text.chars();
                for c in chars.by_ref().take(LONGEST) {
                    if is_seen(c) { f.write_char(c)? } else { write!(f, "{}", c.escape_unicode())? }
                }
                f.write_str(if chars.as_str().is_empty() { "" } else { "..." })
            }
            Tok::OpenStr => f.write_str("a string that its line does not close"),
            Tok::Arrow => f.write_str("`->`"),
            Tok::Punct('\r') => f.write_str("a carriage return (\\u{d}) without the newline that ends a line"),
            Tok::Punct(c) if !is_seen(c) => write!(f, "the character {}", c.escape_unicode()),
            Tok::Punct(c) => write!(f, "`{c}`"),
            Tok::Newline => f.write_str("the end of the line"),
            Tok::End => f.write_str("the end of the file"),
        }
    }
}

/// Whether a character can be seen, and is not taken for another that cannot: no control, no blank but the space.
fn is_seen(c: char) -> bool {
    c.is_ascii_graphic() || c == ' ' || (!c.is_ascii() && c.escape_debug().eq([c]))
}

/// The characters of a name or number that a message shows.
const LONGEST: usize = 60;

/// Passes a message on, with names and numbers cut that are long.
struct Cut<'w> {
    to: &'w mut dyn Write,
    /// The characters of the name at hand so far.
    run: usize,
}

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while !rest.is_empty() {
            let name = rest.bytes().position(|byte| !is_name_part(byte)).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(name).unwrap_or((rest, ""));
            let room = LONGEST.saturating_sub(self.run);
            self.to.write_str(name.get(..room).unwrap_or(name))?;
            if self.run <= LONGEST && name.len() > room {
                self.to.write_str("...")?;
            }
            self.run = self.run.saturating_add(name.len());
            let between = after.bytes().position(is_name_part).unwrap_or(after.len());
            let (between, after) = after.split_at_checked(between).unwrap_or((after, ""));
            if !between.is_empty() {
                self.to.write_str(between)?;
                self.run = 0;
            }
            rest = after;
        }
        Ok(())
    }
}

/// The operands that an op takes at some place, as a set of forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants(pub(super) u32);

impl Wants {
    pub(super) const NAMES: [&'static str; 17] = [
        "an i64 register",
        "an f64 register",
        "a cell register",
        "a literal from -32768 to 32767",
        "an INT",
        "a FLOAT or INT",
        "an int, float, bool or string literal",
        "`(N)` with N from 0 to 65535",
        "a label",
        "a function with its arguments, as `f(x)`",
        "an import with its arguments, as `name(x)`",
        "a closure with its arguments, as `c(x)`",
        "a table",
        "a global",
        "a field",
        "a field's name as a \"string\"",
        "a list of labels, as `[L0, L1]`",
    ];
    pub(super) const GLOBAL_I64: u32 = 17;
    pub(super) const FIELD_I64: u32 = 20;
    const BANKS: [&'static str; 3] = ["i64", "f64", "a cell type"];
}

impl fmt::Display for Wants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().chain(&Self::BANKS).chain(&Self::BANKS);
        let mut left = self.0.count_ones();
        let mut first = true;
        for (_, name) in (0..32).zip(names).filter(|(bit, _)| self.0 >> bit & 1 != 0) {
            left = left.saturating_sub(1);
            let before = match (first, left) {
                (true, _) => "",
                (false, 0) => " or ",
                (false, _) => ", ",
            };
            write!(f, "{before}{name}")?;
            first = false;
        }
        Ok(())
    }
}

impl fmt::Display for AsmError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.kind)
    }
}

impl core::error::Error for AsmError<'_> {}

impl fmt::Display for ErrorKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(&mut Cut { to: f, run: 0 })
    }
}

impl ErrorKind<'_> {
    fn write(&self, f: &mut Cut<'_>) -> fmt::Result {
        match *self {
            Self::SourceTooLong { bytes } => {
                write!(f, "the source has {bytes} bytes, expected less than {}", u32::MAX)
            }
            Self::Memory { what, needed, given } => {
                write!(f, "the {what} memory has {given} words, expected at least {needed}")
            }
            Self::Expected { expected, found } => write!(f, "found {found}, expected {expected}"),
            Self::Literal(fault) => write!(f, "{fault}"),
            Self::Unfit { text, expected } => write!(f, "`{text}` does not fit here, expected {expected}"),
            Self::Reserved { name, expected } => {
                write!(f, "`{name}` is a reserved word, expected {expected}")
            }
            Self::Duplicate { what, name, line } => {
                write!(f, "{what} `{name}` is declared in line {line} already, expected a new name")
            }
            Self::Undefined { what, name, hint, closest } => {
                write!(f, "there is no {what} `{name}`, expected {hint}")?;
                write_closest(closest, f)
            }
            Self::WrongKind { name, is, expected } => write!(f, "`{name}` is {is}, expected {expected}"),
            Self::NoField { field, ty, fields, closest } => {
                write!(f, "`{ty}` has no field `{field}`, expected {fields}")?;
                write_closest(closest, f)
            }
            Self::NoEnd { name } => write!(f, "function `{name}` does not end, expected `end` on a line of its own"),
            Self::NoOps { name } => write!(f, "function `{name}` has no op, expected at least one before `end`"),
            Self::RunsOff { name } => write!(
                f,
                "function `{name}` runs off its end, expected its last op to be one that control does not go on from, \
                 such as `ret`"
            ),
            Self::LabelAtEnd { name } => write!(f, "label `{name}` names no op, expected an op between it and `end`"),
            Self::LateLocal => write!(f, "`local` stands behind an op or label, expected it before the first of them"),
            Self::TooDeep { limit } => {
                write!(f, "this `fn` stands inside {limit} others, expected at most {limit} in each other")
            }
            Self::TooMany { what, limit } => write!(f, "too many {what}, expected at most {limit}"),
            Self::UnknownOp { name, second, closest } => {
                write!(f, "there is no op `{name}")?;
                if let Some(second) = second {
                    write!(f, " {second}")?;
                }
                match closest {
                    Some(closest) => write!(f, "`, expected an op; the closest name is `{closest}`"),
                    None => write!(f, "`, expected an op, a label with `:`, or `end`"),
                }
            }
            Self::OperandCount { mnemonic, found } => {
                let plural = if found == 1 { "" } else { "s" };
                write!(f, "`{mnemonic}` has {found} operand{plural} here, expected ")?;
                rows::write_forms(mnemonic, f)
            }
            Self::Operand { mnemonic, wants, found } => {
                write!(f, "found {found}, expected {wants} in `{mnemonic}`")
            }
            Self::Bank { mnemonic, what, name, ty, wants } => {
                write!(f, "{what} `{name}` is {ty}, expected {wants} in `{mnemonic}`")
            }
            Self::Class { mnemonic, name, ty, expected } => {
                write!(f, "register `{name}` is {ty}, expected {expected} in `{mnemonic}`")
            }
            Self::Type { what, name, ty, place, expected } => {
                write!(f, "{what} `{name}` is {ty}, expected {expected} {place}")
            }
            Self::ArgCount { name, takes, at_most, found } => {
                let plural = if found == 1 { "" } else { "s" };
                let most = if at_most { "at most " } else { "" };
                write!(f, "`{name}` has {found} argument{plural} here, expected {most}{takes}")
            }
            Self::ArgType { number, callee, name, ty, expected } => {
                write!(f, "register `{name}` is {ty}, expected {expected} as argument {number} of `{callee}`")
            }
            Self::NoResult { mnemonic, name } => {
                write!(f, "`{name}` has no result, expected `{mnemonic}` without a destination")
            }
            Self::ResultType { name, result, dest, ty } => {
                write!(f, "register `{dest}` is {ty}, expected {result} for the result of `{name}`")
            }
            Self::RetMissing { name, result } => {
                write!(f, "`ret` has no value, expected a register of type {result}, the result of `{name}`")
            }
            Self::RetValue { name } => {
                write!(f, "`ret` has a value, expected `ret` alone because `{name}` has no result")
            }
            Self::TailResult { name, result, caller, wanted } => {
                write!(f, "`{name}` gives {result}, expected a function that gives {wanted} as `{caller}` does")
            }
            Self::ClosureType { name, ty, callee, bound, rest } => {
                let plural = if bound == 1 { "" } else { "s" };
                write!(
                    f,
                    "register `{name}` is {ty}, expected {rest}, which is left of `{callee}` with {bound} \
                     argument{plural} bound"
                )
            }
            Self::LoneWith => write!(f, "`with` stands alone, expected a `;!` line with a call behind it"),
        }
    }
}

fn write_closest(closest: Option<&str>, f: &mut Cut<'_>) -> fmt::Result {
    match closest {
        Some(closest) => write!(f, "; the closest name is `{closest}`"),
        None => Ok(()),
    }
}

/// The column, in characters from 1, of byte `at` of a source.
pub(super) fn column(source: &str, at: usize) -> u32 {
    let before = source.as_bytes().get(..at).unwrap_or(source.as_bytes());
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.get(start..).unwrap_or(&[]);
    // Bytes 0b10xx_xxxx continue a character.
    line.iter().filter(|&&byte| byte & 0xC0 != 0x80).count().wrapping_add(1) as u32
}

/// The line, from 1, of byte `at` of a source.
pub(super) fn line(source: &str, at: usize) -> u32 {
    let before = source.as_bytes().get(..at).unwrap_or(source.as_bytes());
    before.iter().filter(|&&byte| byte == b'\n').count().wrapping_add(1) as u32
}

/// An error at byte `at` of a source.
pub(super) fn error_at<'a>(source: &'a str, at: usize, kind: ErrorKind<'a>) -> AsmError<'a> {
    AsmError { line: line(source, at), column: column(source, at), kind }
}
