//! The kernel's command line: words between spaces. A word in double quotes may hold any byte; in quotes, a backslash stands
//! before a quote or backslash that is meant as it is.

/// The words of a command line.
#[derive(Clone, Debug)]
pub struct Words<'l>(&'l [u8]);

/// A word as it stands in the line.
#[derive(Clone, Copy, Debug)]
pub struct Word<'l> {
    raw: &'l [u8],
    quoted: bool,
}

/// Splits a command line.
pub fn words(line: &[u8]) -> Words<'_> {
    Words(line)
}

impl<'l> Iterator for Words<'l> {
    type Item = Word<'l>;

    fn next(&mut self) -> Option<Word<'l>> {
        let line = self.0.trim_ascii_start();
        let Some(inside) = line.strip_prefix(b"\"") else {
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            let (raw, rest) = line.split_at(end);
            self.0 = rest;
            return (!raw.is_empty()).then_some(Word { raw, quoted: false });
        };
        let mut escaped = false;
        let end = inside.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        // A quote that is never closed reaches to the end.
        let (raw, rest) = inside.split_at(end.unwrap_or(inside.len()));
        self.0 = rest.get(1..).unwrap_or(&[]);
        Some(Word { raw, quoted: true })
    }
}

impl<'l> Word<'l> {
    /// The bytes that are meant.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'l {
        let mut escaped = false;
        self.raw.iter().copied().filter(move |&byte| {
            escaped = self.quoted && byte == b'\\' && !escaped;
            !escaped
        })
    }

    /// Whether it is this word.
    pub fn is(self, text: &str) -> bool {
        self.bytes().eq(text.bytes())
    }

    /// The number that it is, in decimal.
    pub fn number(self) -> Option<usize> {
        core::str::from_utf8(self.raw).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::words;
    use std::string::String;
    use std::vec::Vec;

    fn split(line: &str) -> Vec<String> {
        words(line.as_bytes()).map(|word| String::from_utf8(word.bytes().collect()).expect("text")).collect()
    }

    #[test]
    fn words_are_told_apart() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("  suite -v "), ["suite", "-v"]);
        assert_eq!(split(r#"run "a b" "" "#), ["run", "a b", ""]);
        assert_eq!(split(r#""say \"x\"" "back\\slash" "\\" -3"#), ["say \"x\"", "back\\slash", "\\", "-3"]);
        assert_eq!(split(r#"pla\in "open end"#), ["pla\\in", "open end"]);
        assert_eq!(words(b"7 x").next().and_then(super::Word::number), Some(7));
        assert_eq!(words(b"-7").next().and_then(super::Word::number), None);
    }
}
