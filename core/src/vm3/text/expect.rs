//! Expectations: the `;!` lines of a source, which say what calls of its functions give.

use super::assemble::unexpected;
use super::error::{AsmError, ErrorKind, column};
use super::lexer::{Cursor, Tok, Token, is_name};
use super::literal::{Literal, parse_literal};
use crate::runtime::trap::TrapKind;

/// An expectation: a call on a fresh instance, and its outcome.
#[derive(Clone, Debug)]
pub struct Expectation<'a> {
    /// The source line, from 1.
    pub line: u32,
    /// What is called.
    pub call: Call<'a>,
    /// What must come of it.
    pub outcome: Outcome<'a>,
    /// The column of that, behind `=` or `traps`, in characters from 1; of the line's end if the line says nothing.
    pub outcome_column: u32,
    /// What the instance is given.
    pub with: With,
}

/// A call of a function with literals.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The function's name.
    pub func: &'a str,
    /// Its column, in characters from 1.
    pub column: u32,
    /// The arguments.
    pub args: Args<'a>,
}

/// The arguments of a [`Call`], in order.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    cursor: Cursor<'a>,
    left: usize,
}

impl Args<'_> {
    /// The column of the argument that comes next, in characters from 1.
    pub fn column(&self) -> u32 {
        self.cursor.column()
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = Literal<'a>;

    fn next(&mut self) -> Option<Literal<'a>> {
        self.left = self.left.checked_sub(1)?;
        let literal = literal(self.cursor.take()).and_then(Result::ok);
        self.cursor.take();
        literal
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Args<'_> {}

/// What must come of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// It ends without a trap. Its result, if it has one, may be any.
    Ends,
    /// It gives this value. i64 and f64 compare by bits with all NaNs equal, strings by content.
    Value(Literal<'a>),
    /// It gives a cell that prints as `<kind>`.
    Kind(&'a str),
    /// It traps.
    Trap(Trapped<'a>),
}

/// The trap that a call must end with, and where it must strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trapped<'a> {
    /// Its kind.
    pub kind: TrapKind,
    /// The number of `user(N)`, below 65,536, and of `host(N)`, else 0.
    pub payload: u32,
    /// The function that traps.
    pub func: &'a str,
    /// The index of the op that traps.
    pub op: u32,
}

/// What the instance is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct With {
    /// Bytes of VM stack.
    pub stack: u64,
    /// Bytes of heap.
    pub heap: u64,
    /// Fuel; `None` is none at all, without counting.
    pub fuel: Option<u64>,
}

impl Default for With {
    fn default() -> Self {
        Self { stack: 1 << 20, heap: 64 << 20, fuel: None }
    }
}

/// The names of the kinds of cells that print as `<kind>`.
pub const PRINTED_KINDS: [&str; 8] = ["list", "map", "imap", "arr.i64", "arr.f64", "arr.u8", "obj", "fn"];

/// The expectations of a source, in order. A line is one if `;!` are its first characters but blanks; anything else
/// about the source need not be right. Behind the first error come no more.
pub fn expectations(source: &str) -> Expectations<'_> {
    Expectations { source, at: 0, line: 1, with: None, failed: false }
}

/// See [`expectations`].
#[derive(Clone, Debug)]
pub struct Expectations<'a> {
    source: &'a str,
    /// Where the next line starts.
    at: usize,
    /// Its number.
    line: u32,
    /// A `with` for the next line, and its place.
    with: Option<(With, usize, u32)>,
    failed: bool,
}

impl<'a> Iterator for Expectations<'a> {
    type Item = Result<Expectation<'a>, AsmError<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            let Some(rest) = self.source.get(self.at..).filter(|rest| !rest.is_empty()) else {
                let (_, at, line) = self.with.take()?;
                self.failed = true;
                return Some(Err(AsmError { line, column: column(self.source, at), kind: ErrorKind::LoneWith }));
            };
            let text = rest.split_once('\n').map_or(rest, |(text, _)| text);
            let (start, line) = (self.at, self.line);
            self.at += text.len() + 1;
            self.line = self.line.wrapping_add(1);
            let Some(body) = text.trim_start_matches([' ', '\t', '\r']).strip_prefix(";!") else { continue };
            let at = start + (text.len() - body.len());
            // The lexer ends with the line, because an expectation does.
            let source = self.source.get(..start + text.len()).unwrap_or("");
            let mut reader = Reader { source: self.source, cursor: Cursor::new(source, at, line) };
            let item = reader.line(self.with.map(|(with, ..)| with));
            match item {
                Ok(Line::With(with, token)) => {
                    if let Some((_, at, line)) = self.with {
                        self.failed = true;
                        return Some(Err(AsmError {
                            line,
                            column: column(self.source, at),
                            kind: ErrorKind::LoneWith,
                        }));
                    }
                    self.with = Some((with, token.at, token.line));
                }
                Ok(Line::Call(expectation)) => {
                    self.with = None;
                    return Some(Ok(expectation));
                }
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

enum Line<'a> {
    With(With, Token<'a>),
    Call(Expectation<'a>),
}

/// The literal that a token is, `None` if it can be none.
fn literal<'a>(token: Token<'a>) -> Option<Result<Literal<'a>, super::LiteralError<'a>>> {
    match token.tok {
        Tok::Number(text) | Tok::Str(text) => Some(parse_literal(text)),
        Tok::Name(text @ ("inf" | "nan" | "true" | "false" | "null")) => Some(parse_literal(text)),
        _ => None,
    }
}

/// Reads one line.
struct Reader<'a> {
    source: &'a str,
    cursor: Cursor<'a>,
}

impl<'a> Reader<'a> {
    fn error(&self, token: Token<'a>, kind: ErrorKind<'a>) -> AsmError<'a> {
        AsmError { line: token.line, column: column(self.source, token.at), kind }
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, AsmError<'a>> {
        let token = self.cursor.peek();
        Err(self.error(token, unexpected(token, expected)))
    }

    fn punct(&mut self, c: char, expected: &'static str) -> Result<(), AsmError<'a>> {
        if self.cursor.take_if(Tok::Punct(c)) { Ok(()) } else { self.expected(expected) }
    }

    fn name(&mut self, expected: &'static str) -> Result<&'a str, AsmError<'a>> {
        match self.cursor.peek().tok {
            Tok::Name(name) if is_name(name) => {
                self.cursor.take();
                Ok(name)
            }
            _ => self.expected(expected),
        }
    }

    fn literal(&mut self, expected: &'static str) -> Result<Literal<'a>, AsmError<'a>> {
        let token = self.cursor.peek();
        match literal(token) {
            None => self.expected(expected),
            Some(Ok(literal)) => {
                self.cursor.take();
                Ok(literal)
            }
            Some(Err(fault)) => {
                let place = Token { at: token.at + fault.offset, ..token };
                Err(self.error(place, ErrorKind::Literal(fault)))
            }
        }
    }

    /// A decimal number that is not negative, as `N`.
    fn number<N: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<N, AsmError<'a>> {
        let token = self.cursor.peek();
        let Tok::Number(text) = token.tok else { return self.expected(expected) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse().ok().filter(|_| digits).and_then(|value: u64| N::try_from(value).ok()) {
            Some(value) => {
                self.cursor.take();
                Ok(value)
            }
            None => Err(self.error(token, ErrorKind::Unfit { text, expected })),
        }
    }

    fn end(&mut self, expected: &'static str) -> Result<(), AsmError<'a>> {
        if self.cursor.at_line_end() { Ok(()) } else { self.expected(expected) }
    }

    /// `with` are the settings for this line, if the line before it gave some.
    fn line(&mut self, with: Option<With>) -> Result<Line<'a>, AsmError<'a>> {
        const START: &str = "a call, as `f(1, 2.5)`, or `with`";
        let token = self.cursor.peek();
        let func = self.name(START)?;
        if func == "with" && self.cursor.peek().tok != Tok::Punct('(') {
            return self.with().map(|with| Line::With(with, token));
        }
        self.punct('(', "`(` and the arguments")?;
        let mut args = Args { cursor: self.cursor, left: 0 };
        if self.cursor.peek().tok != Tok::Punct(')') {
            loop {
                self.literal("a literal as an argument")?;
                args.left += 1;
                if !self.cursor.take_if(Tok::Punct(',')) {
                    break;
                }
            }
        }
        self.punct(')', "`,` or `)` behind the argument")?;
        let (outcome, outcome_column) = self.outcome()?;
        let (with, column) = (with.unwrap_or_default(), column(self.source, token.at));
        Ok(Line::Call(Expectation {
            line: token.line,
            call: Call { func, column, args },
            outcome,
            outcome_column,
            with,
        }))
    }

    /// What must come of the call, and its column.
    fn outcome(&mut self) -> Result<(Outcome<'a>, u32), AsmError<'a>> {
        const OUTCOME: &str = "`=`, `traps` or the end of the line";
        if self.cursor.at_line_end() {
            return Ok((Outcome::Ends, self.cursor.column()));
        }
        if self.cursor.take_if(Tok::Name("traps")) {
            let column = self.cursor.column();
            return self.trap().map(|trap| (Outcome::Trap(trap), column));
        }
        self.punct('=', OUTCOME)?;
        let column = self.cursor.column();
        let outcome = if self.cursor.take_if(Tok::Punct('<')) {
            const KIND: &str = "list, map, imap, arr.i64, arr.f64, arr.u8, obj or fn";
            let Tok::Name(kind) = self.cursor.peek().tok else { return self.expected(KIND) };
            if !PRINTED_KINDS.contains(&kind) {
                return self.expected(KIND);
            }
            self.cursor.take();
            self.punct('>', "`>`")?;
            Outcome::Kind(kind)
        } else {
            Outcome::Value(self.literal("a literal, or a kind as `<list>`")?)
        };
        self.end("the end of the line behind the result")?;
        Ok((outcome, column))
    }

    fn trap(&mut self) -> Result<Trapped<'a>, AsmError<'a>> {
        const KIND: &str = "the name of a trap: unreachable, user(N), division_by_zero, out_of_bounds, null_reference, \
                            type_mismatch, stack_overflow, out_of_memory, interrupted, out_of_fuel or host(N)";
        let Tok::Name(name) = self.cursor.peek().tok else { return self.expected(KIND) };
        let Some(kind) = TrapKind::from_name(name) else { return self.expected(KIND) };
        self.cursor.take();
        let mut payload = 0;
        if kind.has_payload() {
            self.punct('(', "`(` and the trap's number")?;
            payload = match kind {
                TrapKind::User => self.number::<u16>("a number from 0 to 65535")?.into(),
                _ => self.number("a number from 0 to 4294967295")?,
            };
            self.punct(')', "`)`")?;
        }
        if !self.cursor.take_if(Tok::Name("in")) {
            return self.expected("`in` and the function that traps");
        }
        let func = self.name("the name of the function that traps")?;
        if !self.cursor.take_if(Tok::Name("at")) {
            return self.expected("`at` and the index of the op that traps");
        }
        let op = self.number("the index of the op that traps")?;
        self.end("the end of the line behind the trap")?;
        Ok(Trapped { kind, payload, func, op })
    }

    fn with(&mut self) -> Result<With, AsmError<'a>> {
        const SETTING: &str = "`stack=`, `heap=` or `fuel=`, each at most once";
        let mut with = With::default();
        let mut seen = [false; 3];
        loop {
            let token = self.cursor.peek();
            let number = match token.tok {
                Tok::Name("stack") => 0,
                Tok::Name("heap") => 1,
                Tok::Name("fuel") => 2,
                _ => return self.expected(SETTING),
            };
            match seen.get_mut(number) {
                Some(seen) if !*seen => *seen = true,
                _ => return self.expected(SETTING),
            }
            self.cursor.take();
            self.punct('=', "`=` and a number")?;
            let value = self.number("a number from 0 to 18446744073709551615")?;
            match number {
                0 => with.stack = value,
                1 => with.heap = value,
                _ => with.fuel = Some(value),
            }
            if self.cursor.at_line_end() {
                return Ok(with);
            }
        }
    }
}
