//! Cells: the 8-byte tagged values of vm3.

use core::fmt;

/// A cell, NaN-boxed as vm3.md lays down. Only valid bit patterns exist as values of this type outside an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Cell(u64);

pub(crate) const TAG_STR: u64 = 0xFFF9;
pub(crate) const TAG_INT: u64 = 0xFFFA;
pub(crate) const TAG_BOOL: u64 = 0xFFFB;
const TAG_NULL: u64 = 0xFFFC;
pub(crate) const TAG_HANDLE: u64 = 0xFFFF;
/// The bits of the canonical NaN.
pub(crate) const NAN: u64 = 0x7FF8_0000_0000_0000;
const INT_BITS: u32 = 48;

/// The greatest length in bytes of a string that lies in its cell.
pub const SHORT_STR: usize = 5;

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content {
    /// null
    Null,
    /// A bool.
    Bool(bool),
    /// An integer of 48 bits.
    Int(i64),
    /// A float; every NaN is the canonical one.
    Float(f64),
    /// A short string: its bytes, and how many of them count.
    Str([u8; SHORT_STR], usize),
}

/// The kinds of cells, with the numbers that `cell.kind` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of the vm3 kinds")]
pub enum CellKind {
    Null,
    Bool,
    /// An integer, boxed or not.
    Int,
    Float,
    /// A string, short or on the heap.
    Str,
    List,
    Map,
    IMap,
    ArrI64,
    ArrF64,
    ArrU8,
    Obj,
    Fn,
}

impl CellKind {
    /// All kinds with their names, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Null, "null"),
        (Self::Bool, "bool"),
        (Self::Int, "int"),
        (Self::Float, "float"),
        (Self::Str, "str"),
        (Self::List, "list"),
        (Self::Map, "map"),
        (Self::IMap, "imap"),
        (Self::ArrI64, "arr.i64"),
        (Self::ArrF64, "arr.f64"),
        (Self::ArrU8, "arr.u8"),
        (Self::Obj, "obj"),
        (Self::Fn, "fn"),
    ];

    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for CellKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Cell {
    /// null
    pub const NULL: Self = Self(TAG_NULL << INT_BITS);
    /// true
    pub const TRUE: Self = Self(TAG_BOOL << INT_BITS | 1);
    /// false
    pub const FALSE: Self = Self(TAG_BOOL << INT_BITS);

    /// A bool.
    pub const fn bool(value: bool) -> Self {
        if value { Self::TRUE } else { Self::FALSE }
    }

    /// An integer, if it fits in 48 bits; others are boxed on the heap.
    pub const fn int(value: i64) -> Option<Self> {
        if value << 16 >> 16 == value {
            Some(Self(TAG_INT << INT_BITS | value as u64 & ((1 << INT_BITS) - 1)))
        } else {
            None
        }
    }

    /// A float. Every NaN becomes the canonical one.
    pub const fn float(value: f64) -> Self {
        Self(if value.is_nan() { NAN } else { value.to_bits() })
    }

    /// A string of at most [`SHORT_STR`] bytes; longer ones lie on the heap.
    pub fn str(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > SHORT_STR {
            return None;
        }
        let text = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        Some(Self(TAG_STR << INT_BITS | (bytes.len() as u64) << 40 | text))
    }

    /// Its 64 bits.
    #[cfg_attr(not(small), inline(always))]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The cell with these bits, if the pattern is valid and needs no heap.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let cell = Self(bits);
        let valid = match cell.content()? {
            Content::Null => Self::NULL,
            Content::Bool(value) => Self::bool(value),
            Content::Int(value) => Self::int(value)?,
            Content::Float(value) => Self::float(value),
            Content::Str(bytes, len) => Self::str(bytes.get(..len)?)?,
        };
        if valid == cell { Some(cell) } else { None }
    }

    /// Bits that an engine took from a slot of a verified program, which holds only valid cells.
    pub(crate) const fn from_slot(bits: u64) -> Self {
        Self(bits)
    }

    /// The float, if it is one.
    pub(crate) fn as_float(self) -> Option<f64> {
        if let Some(Content::Float(value)) = self.content() { Some(value) } else { None }
    }

    /// The bool, if it is one.
    pub(crate) fn as_bool(self) -> Option<bool> {
        if let Some(Content::Bool(value)) = self.content() { Some(value) } else { None }
    }

    /// The handle of record `index`, with the kind and generation that its meta word holds.
    pub(crate) const fn handle(meta: u16, index: u32) -> Self {
        Self(TAG_HANDLE << INT_BITS | (meta as u64) << 32 | index as u64)
    }

    /// Its low half: the index of the record, if it is a handle.
    #[cfg_attr(not(small), inline(always))]
    pub(crate) const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Bits 44 to 47: the kind of the object, if it is a handle.
    #[cfg_attr(not(small), inline(always))]
    pub(crate) const fn kind_number(self) -> u8 {
        (self.0 >> 44 & 0xF) as u8
    }

    /// The index of the record, if it is a handle of that kind.
    #[cfg_attr(not(small), inline(always))]
    pub(crate) const fn handle_of(self, kind: u8) -> Option<u32> {
        if self.0 >> 44 == TAG_HANDLE << 4 | kind as u64 { Some(self.0 as u32) } else { None }
    }

    /// Its kind; a handle says itself what it is a handle of, whether or not the object still is. `None` for no valid
    /// pattern.
    pub fn kind(self) -> Option<CellKind> {
        match self.content() {
            Some(Content::Null) => Some(CellKind::Null),
            Some(Content::Bool(_)) => Some(CellKind::Bool),
            Some(Content::Int(_)) => Some(CellKind::Int),
            Some(Content::Float(_)) => Some(CellKind::Float),
            Some(Content::Str(..)) => Some(CellKind::Str),
            None if self.is_handle() => {
                CellKind::ALL.into_iter().map(|(kind, _)| kind).find(|&kind| kind as u8 == self.kind_number())
            }
            None => None,
        }
    }

    /// The bytes of a string that lies in its cell.
    pub fn short_str(&self) -> Option<&[u8]> {
        let Some(Content::Str(_, len)) = self.content() else { return None };
        // SAFETY: a word may be read as its bytes; opstamp is little-endian only, so the lowest comes first.
        let bytes = unsafe { &*(&raw const self.0).cast::<[u8; 8]>() };
        bytes.get(..len)
    }

    /// Whether it is a string that lies in its cell.
    pub(crate) const fn is_short_str(self) -> bool {
        self.0 >> INT_BITS == TAG_STR
    }

    /// Whether it is a handle of any kind.
    pub(crate) const fn is_handle(self) -> bool {
        self.0 >> INT_BITS == TAG_HANDLE
    }

    /// What it holds. `None` for a handle, which only a heap can read, and for no valid pattern.
    pub fn content(self) -> Option<Content> {
        let low = self.0 & ((1 << INT_BITS) - 1);
        match self.0 >> INT_BITS {
            TAG_STR => {
                let [b0, b1, b2, b3, b4, ..] = low.to_le_bytes();
                Some(Content::Str([b0, b1, b2, b3, b4], usize::try_from(low >> 40).ok()?))
            }
            TAG_INT => Some(Content::Int((self.0 << 16) as i64 >> 16)),
            TAG_BOOL => match low {
                0 => Some(Content::Bool(false)),
                1 => Some(Content::Bool(true)),
                _ => None,
            },
            TAG_NULL => Some(Content::Null),
            TAG_HANDLE => None,
            _ => {
                let value = f64::from_bits(self.0);
                if value.is_nan() && self.0 != NAN { None } else { Some(Content::Float(value)) }
            }
        }
    }
}
