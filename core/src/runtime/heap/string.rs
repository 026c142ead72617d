//! Strings: immutable bytes, up to [`SHORT_STR`] of them in the cell itself.

use super::{Heap, Kind, Roots};
use crate::runtime::cell::{Cell, Content, SHORT_STR};
use crate::runtime::trap::TrapKind;
use crate::vm3::text::{FloatText, Literal, parse_number};
use core::fmt::{self, Write};

/// The bytes of a string, wherever they are.
pub(crate) enum Text<'h> {
    /// In the cell.
    Short([u8; SHORT_STR], usize),
    /// On the heap.
    Long(&'h [u8]),
}

impl Text<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, len) => bytes.get(..*len).unwrap_or(&[]),
            Self::Long(bytes) => bytes,
        }
    }
}

/// The longest text of a number: an f64 takes at most 24 bytes, an i64 at most 20.
const NUMBER: usize = 32;

/// A number's text.
struct Buffer {
    bytes: [u8; NUMBER],
    len: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(fmt::Error)?;
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Heap {
    /// The bytes of a string.
    pub fn text(&self, cell: Cell) -> Option<Text<'_>> {
        match cell.content() {
            Some(Content::Str(bytes, len)) => Some(Text::Short(bytes, len)),
            Some(_) => None,
            None => self.bytes(cell, Kind::Str).map(Text::Long),
        }
    }

    /// The bytes of what can only be a string or null.
    fn str_of(&self, cell: Cell) -> Result<Text<'_>, TrapKind> {
        self.text(cell).ok_or(TrapKind::NullReference)
    }

    /// The number of bytes.
    pub fn str_len(&self, cell: Cell) -> Result<u64, TrapKind> {
        Ok(self.str_of(cell)?.bytes().len() as u64)
    }

    /// Byte `index`.
    pub fn str_byte(&self, cell: Cell, index: u64) -> Result<u64, TrapKind> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.str_of(cell)?.bytes().get(index).map(|&byte| byte.into()).ok_or(TrapKind::OutOfBounds)
    }

    /// -1, 0 or 1 by the order of the bytes.
    pub fn str_cmp(&self, x: Cell, y: Cell) -> Result<i64, TrapKind> {
        let x = self.str_of(x)?;
        Ok(x.bytes().cmp(self.str_of(y)?.bytes()) as i64)
    }

    /// Whether both are strings of the same bytes.
    pub fn same_str(&self, x: Cell, y: Cell) -> bool {
        match (self.text(x), self.text(y)) {
            (Some(x), Some(y)) => x.bytes() == y.bytes(),
            _ => false,
        }
    }

    /// The bytes of both, one behind the other. Both must be roots.
    pub fn str_concat(&mut self, x: Cell, y: Cell, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let (first, second) = (self.str_of(x)?.bytes().len(), self.str_of(y)?.bytes().len());
        self.str_of_parts([(x, 0, first), (y, 0, second)], roots)
    }

    /// Bytes `from` to `to`. The string must be a root.
    pub fn str_slice(&mut self, cell: Cell, from: i64, to: i64, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let len = self.str_of(cell)?.bytes().len();
        let place = |at: i64| usize::try_from(at).ok().filter(|&at| at <= len);
        let (Some(from), Some(to)) = (place(from), place(to)) else { return Err(TrapKind::OutOfBounds) };
        let part = to.checked_sub(from).ok_or(TrapKind::OutOfBounds)?;
        if part == len {
            return Ok(cell);
        }
        self.str_of_parts([(cell, from, part), (Cell::NULL, 0, 0)], roots)
    }

    /// A string of parts of two others, each from a byte on so many bytes.
    fn str_of_parts(&mut self, parts: [(Cell, usize, usize); 2], roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let len = parts[0].2.checked_add(parts[1].2).ok_or(TrapKind::OutOfMemory)?;
        let mut short = [0; SHORT_STR];
        let long = if len <= SHORT_STR {
            None
        } else {
            let len = u32::try_from(len).map_err(|_| TrapKind::OutOfMemory)?;
            Some(self.allocate(Kind::Str, len, (len as usize).div_ceil(8), roots)?)
        };
        let mut to = 0;
        for (cell, from, part) in parts {
            if part == 0 {
                continue;
            }
            match (long, cell.is_handle()) {
                (Some(long), true) => self.copy_str(long, to, cell, from, part),
                (Some(long), false) => {
                    let Text::Short(bytes, _) = self.str_of(cell)? else { continue };
                    let source = bytes.get(from..from.saturating_add(part)).unwrap_or(&[]);
                    let place = self.bytes_mut(long, Kind::Str).and_then(|all| all.get_mut(to..to + source.len()));
                    if let Some(place) = place {
                        place.copy_from_slice(source);
                    }
                }
                (None, _) => {
                    let text = self.str_of(cell)?;
                    let source = text.bytes().get(from..from.saturating_add(part)).unwrap_or(&[]);
                    if let Some(place) = short.get_mut(to..to.saturating_add(source.len())) {
                        place.copy_from_slice(source);
                    }
                }
            }
            to = to.saturating_add(part);
        }
        Ok(long.unwrap_or_else(|| short.get(..len).and_then(Cell::str).unwrap_or(Cell::NULL)))
    }

    fn str_of_number(&mut self, number: fmt::Arguments<'_>, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let mut buffer = Buffer { bytes: [0; NUMBER], len: 0 };
        // A number's text always fits.
        let _ = buffer.write_fmt(number);
        Ok(self.str(buffer.bytes.get(..buffer.len).unwrap_or(&[]), roots)?)
    }

    /// The decimal text of an integer.
    pub fn str_from_i64(&mut self, value: i64, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        self.str_of_number(format_args!("{value}"), roots)
    }

    /// The shortest text that reads back.
    pub fn str_from_f64(&mut self, value: f64, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        self.str_of_number(format_args!("{}", FloatText(value)), roots)
    }

    /// The integer of a text `-?digits`.
    pub fn str_to_i64(&self, cell: Cell) -> Result<i64, TrapKind> {
        let text = self.str_of(cell)?;
        let digits = core::str::from_utf8(text.bytes()).ok().filter(|text| !text.starts_with('+'));
        digits.and_then(|text| text.parse().ok()).ok_or(TrapKind::TypeMismatch)
    }

    /// The number of a text that is an INT or a FLOAT; an INT is converted.
    pub fn str_to_f64(&self, cell: Cell) -> Result<f64, TrapKind> {
        let text = self.str_of(cell)?;
        match core::str::from_utf8(text.bytes()).ok().map(parse_number) {
            Some(Ok(Literal::Int(value))) => Ok(value as f64),
            Some(Ok(Literal::Float(value))) => Ok(value),
            _ => Err(TrapKind::TypeMismatch),
        }
    }
}
