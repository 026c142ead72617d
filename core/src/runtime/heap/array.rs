//! Growable arrays: `arr.i64`, `arr.f64`, `arr.u8` and `list`, one set of operations.

use super::payload::HEADER;
use super::{Heap, Kind, OutOfMemory, Roots};
use crate::runtime::cell::Cell;
use crate::runtime::trap::TrapKind;

/// Words of the payload of an array that was made without a hint: what growth doubles from.
const LEAST_WORDS: usize = 4;

/// The greatest number of words that a capacity hint is worth: a hint costs memory at once, and never traps.
const MOST_HINTED: u64 = 1 << 20;

impl Kind {
    /// Elements of an array of this kind in a word.
    pub const fn per_word(self) -> u64 {
        if matches!(self, Self::ArrU8) { 8 } else { 1 }
    }

    /// What the elements of a new array of this kind are.
    const fn zero(self) -> u64 {
        if matches!(self, Self::List) { Cell::NULL.bits() } else { 0 }
    }
}

impl Heap {
    /// An empty array with room for about `hint` elements.
    pub fn array_new(&mut self, kind: Kind, hint: i64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        let wanted = u64::try_from(hint).unwrap_or(0).div_ceil(kind.per_word());
        // A hint that there is no room for is no reason to collect.
        let spare = self.words.saturating_sub(self.used()) / 2;
        let words = usize::try_from(wanted.min(MOST_HINTED)).unwrap_or(0).min(spare).max(LEAST_WORDS);
        self.allocate(kind, 0, words, roots)
    }

    /// An array of `len` zeros or nulls.
    pub fn array_new_len(&mut self, kind: Kind, len: i64, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let len = u64::try_from(len).map_err(|_| TrapKind::OutOfBounds)?;
        let words = usize::try_from(len.div_ceil(kind.per_word())).map_err(|_| TrapKind::OutOfMemory)?;
        let len = u32::try_from(len).map_err(|_| TrapKind::OutOfMemory)?;
        let cell = self.allocate(kind, len, words.max(LEAST_WORDS), roots)?;
        if kind.zero() != 0
            && let Some(elements) = self.elements_mut(cell, kind)
        {
            elements.fill(kind.zero());
        }
        Ok(cell)
    }

    /// The length of an object of that kind.
    #[cfg_attr(not(small), inline(always))]
    pub fn len(&self, cell: Cell, kind: Kind) -> Result<u32, TrapKind> {
        self.record(cell, kind).map(|record| record.len).ok_or(TrapKind::NullReference)
    }

    /// Element `index`.
    #[cfg_attr(not(small), inline(always))]
    pub fn array_get(&self, cell: Cell, kind: Kind, index: u64) -> Result<u64, TrapKind> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if kind == Kind::ArrU8 {
            let bytes = self.bytes(cell, kind).ok_or(TrapKind::NullReference)?;
            return bytes.get(index).map(|&byte| byte.into()).ok_or(TrapKind::OutOfBounds);
        }
        let elements = self.elements(cell, kind).ok_or(TrapKind::NullReference)?;
        elements.get(index).copied().ok_or(TrapKind::OutOfBounds)
    }

    /// Writes element `index`.
    #[cfg_attr(not(small), inline(always))]
    pub fn array_set(&mut self, cell: Cell, kind: Kind, index: u64, value: u64) -> Result<(), TrapKind> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if kind == Kind::ArrU8 {
            let bytes = self.bytes_mut(cell, kind).ok_or(TrapKind::NullReference)?;
            *bytes.get_mut(index).ok_or(TrapKind::OutOfBounds)? = value as u8;
            return Ok(());
        }
        let elements = self.elements_mut(cell, kind).ok_or(TrapKind::NullReference)?;
        *elements.get_mut(index).ok_or(TrapKind::OutOfBounds)? = value;
        Ok(())
    }

    /// Writes all elements.
    pub fn array_fill(&mut self, cell: Cell, kind: Kind, value: u64) -> Result<(), TrapKind> {
        if kind == Kind::ArrU8 {
            self.bytes_mut(cell, kind).ok_or(TrapKind::NullReference)?.fill(value as u8);
        } else {
            self.elements_mut(cell, kind).ok_or(TrapKind::NullReference)?.fill(value);
        }
        Ok(())
    }

    /// Appends an element. A cell as the element must be a root.
    pub fn array_push(&mut self, cell: Cell, kind: Kind, value: u64, roots: &mut dyn Roots) -> Result<(), TrapKind> {
        let len = self.len(cell, kind)?;
        let held = self.payload(cell, kind).map_or(0, <[u64]>::len);
        let capacity = (held as u64).saturating_mul(kind.per_word());
        if u64::from(len) >= capacity {
            // Twice as much, so that appending costs constant time on average; where that is too much, half of what is left.
            let doubled = held.saturating_mul(2).max(LEAST_WORDS);
            if self.reserve(cell, kind, doubled, roots).is_err() {
                let spare = self.words.saturating_sub(self.used());
                // The last payload grows where it is, another one moves.
                let moved = if self.is_last(cell) { 0 } else { held.saturating_add(HEADER) };
                let more = (spare.saturating_sub(moved) / 2).max(1);
                self.reserve(cell, kind, held.saturating_add(more), roots)?;
            }
        }
        let grown = len.checked_add(1).ok_or(TrapKind::OutOfMemory)?;
        let record = self.record_mut(cell, kind).ok_or(TrapKind::NullReference)?;
        record.len = grown;
        self.array_set(cell, kind, len.into(), value)
    }

    /// Takes the last element off.
    pub fn array_pop(&mut self, cell: Cell, kind: Kind) -> Result<u64, TrapKind> {
        let last = self.len(cell, kind)?.checked_sub(1).ok_or(TrapKind::OutOfBounds)?;
        let value = self.array_get(cell, kind, last.into())?;
        if let Some(record) = self.record_mut(cell, kind) {
            record.len = last;
        }
        Ok(value)
    }
}
