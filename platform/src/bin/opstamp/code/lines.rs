//! The ops of a vm3 text as their author wrote them.

use opstamp::vm3::text::OpSite;
use std::collections::HashMap;

/// The lines of a text, and which of them each op is on.
pub struct Lines<'t> {
    lines: Vec<&'t str>,
    /// By function and word; from 1.
    sites: HashMap<(u16, u16), u32>,
}

impl<'t> Lines<'t> {
    /// Of a text whose assembly gave these sites.
    pub fn new(text: &'t str, sites: &[OpSite]) -> Self {
        let sites = sites.iter().map(|site| ((site.func, site.word), site.line)).collect();
        Self { lines: text.lines().collect(), sites }
    }

    /// The labels in front of an op and the op itself, which may go over several lines inside brackets.
    pub fn op(&self, func: u16, word: usize) -> Option<(Vec<&'t str>, String)> {
        let line = *self.sites.get(&(func, u16::try_from(word).ok()?))?;
        let first = usize::try_from(line).ok()?.checked_sub(1)?;
        let above = self.lines.get(..first)?.iter().rev().map(|line| code(line).0);
        let is_label = |text: &&str| text.is_empty() || text.ends_with(':');
        let mut labels: Vec<_> = above.take_while(is_label).filter(|text| !text.is_empty()).collect();
        labels.reverse();
        let (mut op, mut depth) = (String::new(), 0);
        for line in self.lines.get(first..)? {
            let (text, opened) = code(line);
            if !op.is_empty() && !text.is_empty() {
                op.push(' ');
            }
            op.push_str(text);
            depth += opened;
            if depth <= 0 {
                break;
            }
        }
        Some((labels, op))
    }
}

/// A line without its comment and the space around it, and how many more brackets it opens than it closes.
fn code(line: &str) -> (&str, i32) {
    let (mut in_string, mut escaped, mut depth) = (false, false, 0);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b';' => return (line.get(..at).unwrap_or(line).trim(), depth),
            _ => {}
        }
    }
    (line.trim(), depth)
}
