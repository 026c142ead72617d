//! Writing module texts into a fixed buffer.

use core::fmt::{self, Write};
use opstamp::vm3::op::Bank;

/// Text in a buffer of the caller.
pub struct Text<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> Text<'b> {
    /// An empty text.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// What has been written.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// Writes formatted text.
    ///
    /// # Panics
    ///
    /// When the buffer is full.
    pub fn put(&mut self, what: fmt::Arguments<'_>) {
        self.write_fmt(what).expect("the source buffer is too small");
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// A short name, formatted in place.
pub struct Name {
    bytes: [u8; 48],
    len: usize,
}

impl Name {
    /// Formats a name of at most 48 bytes.
    pub fn new(what: fmt::Arguments<'_>) -> Self {
        let mut name = Self { bytes: [0; 48], len: 0 };
        let mut text = Text::new(&mut name.bytes);
        text.put(what);
        name.len = text.len;
        name
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

/// Writes one function's body, counting its ops.
pub struct Body<'t, 'b> {
    text: &'t mut Text<'b>,
    ops: u32,
}

/// Registers of each bank that [`Body::pressure`] keeps busy: more than any machine has.
pub const PRESSURE: u32 = 30;

impl<'t, 'b> Body<'t, 'b> {
    /// Starts a function; `head` is what stands between `func` and the end of the line.
    pub fn new(text: &'t mut Text<'b>, head: fmt::Arguments<'_>) -> Self {
        text.put(format_args!("func {head}\n"));
        Self { text, ops: 0 }
    }

    /// Goes on with a function whose first line has been written.
    pub fn rest(text: &'t mut Text<'b>) -> Self {
        Self { text, ops: 0 }
    }

    /// A line that is no op: `local` or a label.
    pub fn line(&mut self, what: fmt::Arguments<'_>) {
        self.text.put(format_args!("{what}\n"));
    }

    /// An op; gives its index.
    pub fn op(&mut self, what: fmt::Arguments<'_>) -> u32 {
        self.text.put(format_args!("  {what}\n"));
        self.ops += 1;
        self.ops - 1
    }

    /// Ends the function.
    pub fn end(self) {
        self.text.put(format_args!("end\n"));
    }

    /// Declares the registers of [`Body::pressure`] and [`Body::check`].
    pub fn pressure_locals(&mut self, banks: &[Bank]) {
        self.line(format_args!("  local n: i64, t: i64, w: i64, u: f64, v: f64"));
        for bank in banks {
            for i in 0..PRESSURE {
                match bank {
                    Bank::I64 => self.line(format_args!("  local a{i}: i64")),
                    _ => self.line(format_args!("  local e{i}: f64")),
                }
            }
        }
    }

    /// Fills [`PRESSURE`] registers of each of the banks with distinct values and uses them in a loop, so that they weigh
    /// more than registers used outside loops; the registers in `hot` are used in an inner loop and weigh still more.
    /// Each loop runs once. With `call`, the loop calls the function `leaf`, so the function is none that calls nothing.
    pub fn pressure(&mut self, banks: &[Bank], hot: &[(&str, Bank)], call: bool) {
        for bank in banks {
            for i in 0..PRESSURE {
                match bank {
                    Bank::I64 => self.op(format_args!("i64.const a{i}, {}", 3 * i + 1)),
                    _ => self.op(format_args!("f64.const e{i}, {i}.5")),
                };
            }
        }
        self.op(format_args!("i64.const n, 1"));
        self.line(format_args!("warm:"));
        if call {
            self.op(format_args!("call leaf()"));
        }
        for bank in banks {
            for i in 0..PRESSURE {
                match bank {
                    Bank::I64 => self.op(format_args!("i64.mov a{i}, a{i}")),
                    _ => self.op(format_args!("f64.mov e{i}, e{i}")),
                };
            }
        }
        self.line(format_args!("hot:"));
        for (name, bank) in hot {
            for _ in 0..2 {
                match bank {
                    Bank::I64 => self.op(format_args!("i64.mov {name}, {name}")),
                    _ => self.op(format_args!("f64.mov {name}, {name}")),
                };
            }
        }
        self.op(format_args!("br.i64.gt n, 1, hot"));
        self.op(format_args!("i64.sub n, n, 1"));
        self.op(format_args!("br.i64.gt n, 0, warm"));
    }

    /// Goes to the label `bad` unless all registers of [`Body::pressure`] still hold their values.
    pub fn check(&mut self, banks: &[Bank]) {
        for bank in banks {
            match bank {
                Bank::I64 => {
                    self.op(format_args!("i64.const t, 0"));
                    for i in 0..PRESSURE {
                        self.op(format_args!("i64.add t, t, a{i}"));
                    }
                    let sum: u32 = (0..PRESSURE).map(|i| 3 * i + 1).sum();
                    self.op(format_args!("br.i64.ne t, {sum}, bad"));
                }
                _ => {
                    self.op(format_args!("f64.const u, 0"));
                    for i in 0..PRESSURE {
                        self.op(format_args!("f64.add u, u, e{i}"));
                    }
                    let sum: f64 = (0..PRESSURE).map(|i| f64::from(i) + 0.5).sum();
                    self.op(format_args!("f64.const v, {sum:?}"));
                    self.op(format_args!("br.f64.ne u, v, bad"));
                }
            }
        }
    }

    /// The label `bad` and its trap, `user(9)`.
    pub fn bad(&mut self) {
        self.line(format_args!("bad:"));
        self.op(format_args!("trap user(9)"));
    }
}

/// The function that [`Body::pressure`] calls.
pub const LEAF: &str = "func leaf()\n  ret\nend\n";
