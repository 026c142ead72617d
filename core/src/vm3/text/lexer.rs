//! Tokens of the text form.

use super::error::column;

/// Words that name nothing: they end functions, start `local` lines, or are literals.
pub(super) const RESERVED: [&str; 7] = ["end", "local", "inf", "nan", "true", "false", "null"];

/// What a token is. Text is borrowed from the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tok<'a> {
    /// A name, or a word that is reserved.
    Name(&'a str),
    /// Something that starts as a number does; whether it is one is for [`super::literal`] to say.
    Number(&'a str),
    /// A string with its quotes.
    Str(&'a str),
    /// A string that its line does not close.
    OpenStr,
    /// `->`
    Arrow,
    /// Any other character.
    Punct(char),
    /// The end of a line.
    Newline,
    /// The end of the source.
    End,
}

/// A token and where it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub tok: Tok<'a>,
    /// Byte offset in the source.
    pub at: usize,
    /// Line, from 1.
    pub line: u32,
}

/// Cuts a source into tokens. Never fails: what is no token of the language comes out as [`Tok::Punct`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    pub source: &'a str,
    pub at: usize,
    pub line: u32,
}

pub(super) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'$')
}

pub(super) fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit()
}

/// Whether a text is a name that a declaration may introduce.
pub(super) fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(is_name_start) && text.bytes().all(is_name_part) && !RESERVED.contains(&text)
}

impl<'a> Lexer<'a> {
    pub fn new(source: &'a str) -> Self {
        Self { source, at: 0, line: 1 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.source.as_bytes().get(at).copied()
    }

    /// The first place from `at` on whose byte is no part of a name.
    fn name_end(&self, at: usize) -> usize {
        let rest = self.source.as_bytes().get(at..).unwrap_or(&[]);
        at + rest.iter().position(|&byte| !is_name_part(byte)).unwrap_or(rest.len())
    }

    fn text(&self, start: usize, end: usize) -> &'a str {
        self.source.get(start..end).unwrap_or("")
    }

    /// The place behind a number that starts at `start`: a maximal run of name characters after an optional sign, with
    /// the sign of a decimal exponent.
    fn number_end(&self, start: usize) -> usize {
        let digits = if self.byte(start) == Some(b'-') { start + 1 } else { start };
        let end = self.name_end(digits);
        let hex = self.text(digits, end).starts_with("0x");
        let exponent = !hex
            && self.byte(end.saturating_sub(1)) == Some(b'e')
            && matches!(self.byte(end), Some(b'+' | b'-'))
            && self.byte(end + 1).is_some_and(|byte| byte.is_ascii_digit());
        if exponent { self.name_end(end + 1) } else { end }
    }

    fn string(&self, start: usize) -> (Tok<'a>, usize) {
        let mut at = start + 1;
        loop {
            match self.byte(at) {
                None | Some(b'\n') => return (Tok::OpenStr, at),
                Some(b'"') => return (Tok::Str(self.text(start, at + 1)), at + 1),
                Some(b'\\') if !matches!(self.byte(at + 1), None | Some(b'\n')) => at += 2,
                Some(_) => at += 1,
            }
        }
    }

    /// Whether a carriage return stands here that no newline follows.
    fn is_lone_return(&self, at: usize) -> bool {
        self.byte(at) == Some(b'\r') && !matches!(self.byte(at + 1), None | Some(b'\n'))
    }

    /// The next token.
    pub fn next(&mut self) -> Token<'a> {
        loop {
            match self.byte(self.at) {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\r') if !self.is_lone_return(self.at) => self.at += 1,
                Some(b';') => {
                    while !matches!(self.byte(self.at), None | Some(b'\n')) && !self.is_lone_return(self.at) {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
        let (start, line) = (self.at, self.line);
        let (tok, end) = match self.byte(start) {
            None => (Tok::End, start),
            Some(b'\n') => {
                self.line = self.line.wrapping_add(1);
                (Tok::Newline, start + 1)
            }
            Some(b'"') => self.string(start),
            Some(b'-') => match self.byte(start + 1) {
                Some(b'>') => (Tok::Arrow, start + 2),
                Some(byte) if is_name_part(byte) => {
                    let end = self.number_end(start);
                    (Tok::Number(self.text(start, end)), end)
                }
                _ => (Tok::Punct('-'), start + 1),
            },
            Some(byte) if byte.is_ascii_digit() => {
                let end = self.number_end(start);
                (Tok::Number(self.text(start, end)), end)
            }
            Some(byte) if is_name_start(byte) => {
                let end = self.name_end(start);
                (Tok::Name(self.text(start, end)), end)
            }
            Some(_) => {
                let other = self.source.get(start..).and_then(|rest| rest.chars().next());
                let other = other.unwrap_or(char::REPLACEMENT_CHARACTER);
                (Tok::Punct(other), start + other.len_utf8())
            }
        };
        self.at = end;
        Token { tok, at: start, line }
    }
}

/// A lexer with one token of lookahead, which drops newlines inside brackets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    lexer: Lexer<'a>,
    now: Token<'a>,
    depth: u32,
}

impl<'a> Cursor<'a> {
    /// Starts at byte `at`, which is in line `line`.
    pub fn new(source: &'a str, at: usize, line: u32) -> Self {
        let mut lexer = Lexer { source, at, line };
        let now = lexer.next();
        Self { lexer, now, depth: 0 }
    }

    /// The token that stands next.
    pub fn peek(&self) -> Token<'a> {
        self.now
    }

    /// The column of the token that stands next, in characters from 1.
    pub fn column(&self) -> u32 {
        column(self.lexer.source, self.now.at)
    }

    /// Takes the token that stands next.
    pub fn take(&mut self) -> Token<'a> {
        let taken = self.now;
        match taken.tok {
            Tok::Punct('(' | '[' | '{') => self.depth = self.depth.saturating_add(1),
            Tok::Punct(')' | ']' | '}') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.now = self.lexer.next();
        while self.depth > 0 && self.now.tok == Tok::Newline {
            self.now = self.lexer.next();
        }
        taken
    }

    /// Takes the next token if it is `tok`.
    pub fn take_if(&mut self, tok: Tok<'_>) -> bool {
        let same = self.now.tok == tok;
        if same {
            self.take();
        }
        same
    }

    /// Takes the newlines that stand next.
    pub fn skip_newlines(&mut self) {
        while self.now.tok == Tok::Newline {
            self.take();
        }
    }

    /// Whether the statement ends here.
    pub fn at_line_end(&self) -> bool {
        matches!(self.now.tok, Tok::Newline | Tok::End)
    }
}
