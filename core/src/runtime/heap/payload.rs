//! Payloads: blocks of whole words behind a header.

use super::{Heap, Kind, OutOfMemory};
use crate::runtime::cell::Cell;

/// Words of a payload's header: the number of the payload's words in the low half, the index of the object's record in
/// the high half; 0 there if the object has left the payload behind.
pub(super) const HEADER: usize = 1;

/// A header.
pub(super) const fn header(words: u32, owner: u32) -> u64 {
    words as u64 | (owner as u64) << 32
}

impl Heap {
    /// Takes words for a payload, all zero. [`Heap::make_room`] has seen that there are so many.
    pub(super) fn take_payload(&mut self, words: usize, owner: u32) -> Result<*mut u64, OutOfMemory> {
        let end = self.bump.checked_add(words).and_then(|end| end.checked_add(HEADER)).ok_or(OutOfMemory)?;
        if end > self.words.saturating_sub(self.slots as usize * super::slots::WORDS) {
            return Err(OutOfMemory);
        }
        // SAFETY: the words from the payloads' end to `end` lie in the region, below the records.
        let payload = unsafe {
            let block = self.start.add(self.bump);
            block.write(header(words as u32, owner));
            let payload = block.add(HEADER);
            payload.write_bytes(0, words);
            payload
        };
        self.bump = end;
        self.note_peak();
        Ok(payload)
    }

    pub(super) fn note_peak(&mut self) {
        self.stats.peak = self.stats.peak.max(self.used() as u64 * 8);
    }

    /// Whether nothing lies behind an object's payload.
    pub(super) fn is_last(&self, cell: Cell) -> bool {
        let Some(record) = self.record_at(cell.index()) else { return false };
        // SAFETY: the record is in the table, and of an object with a payload, as the caller has seen; so it holds the
        // payload's address, with a header before it. The other address is one past the payloads' last word.
        unsafe {
            let payload = (*record).word as *const u64;
            payload.wrapping_add(payload.sub(HEADER).read() as u32 as usize) == self.start.add(self.bump)
        }
    }

    /// Makes the payload of an object `words` words long where it is, if nothing lies behind it.
    pub(super) fn extend_last(&mut self, cell: Cell, words: usize) -> bool {
        if !self.is_last(cell) {
            return false;
        }
        let Some(record) = self.record_at(cell.index()) else { return false };
        // SAFETY: as above.
        let (payload, held) = unsafe {
            let payload = (*record).word as *mut u64;
            (payload, payload.sub(HEADER).read() as u32 as usize)
        };
        let Some(more) = words.checked_sub(held) else { return true };
        if self.words.saturating_sub(self.used()) < more {
            return false;
        }
        // SAFETY: the words behind the payload are free, as just seen.
        unsafe {
            payload.add(held).write_bytes(0, more);
            payload.sub(HEADER).write(header(words as u32, cell.index()));
        }
        self.bump += more;
        self.note_peak();
        true
    }

    /// Moves an object to a longer payload, and leaves the old one to the collector.
    pub(super) fn replace_payload(&mut self, index: u32, new: *mut u64) {
        let Some(record) = self.record_at(index) else { return };
        // SAFETY: the record is in the table, of an object with a payload; the new payload is longer and apart.
        unsafe {
            let old = (*record).word as *mut u64;
            let held = old.sub(HEADER).read() as u32;
            new.copy_from_nonoverlapping(old, held as usize);
            old.sub(HEADER).write(header(held, 0));
            (*record).word = new as u64;
        }
    }

    /// The words of a live object's payload, all of its capacity, if the cell is the handle of one of this kind.
    #[cfg_attr(not(small), inline(always))]
    pub fn payload(&self, cell: Cell, kind: Kind) -> Option<&[u64]> {
        if !Kind::has_payload(kind as u8) {
            return None;
        }
        let record = self.record(cell, kind)?;
        let payload = record.word as *const u64;
        // SAFETY: the record of a live object of such a kind holds the address of its payload, which has a header before
        // it; nobody writes them while the heap is borrowed.
        Some(unsafe { core::slice::from_raw_parts(payload, payload.sub(HEADER).read() as u32 as usize) })
    }

    /// The same, to be written.
    #[cfg_attr(not(small), inline(always))]
    pub fn payload_mut(&mut self, cell: Cell, kind: Kind) -> Option<&mut [u64]> {
        if !Kind::has_payload(kind as u8) {
            return None;
        }
        let payload = self.record(cell, kind)?.word as *mut u64;
        // SAFETY: as above; the heap is borrowed exclusively.
        Some(unsafe { core::slice::from_raw_parts_mut(payload, payload.sub(HEADER).read() as u32 as usize) })
    }

    /// The bytes of a live object of the kinds `Str` and `ArrU8`.
    pub fn bytes(&self, cell: Cell, kind: Kind) -> Option<&[u8]> {
        let len = self.record(cell, kind)?.len as usize;
        let words = self.payload(cell, kind)?;
        // SAFETY: words may be read as bytes.
        let (_, bytes, _) = unsafe { words.align_to::<u8>() };
        bytes.get(..len)
    }

    /// The same, to be written.
    pub fn bytes_mut(&mut self, cell: Cell, kind: Kind) -> Option<&mut [u8]> {
        let len = self.record(cell, kind)?.len as usize;
        let words = self.payload_mut(cell, kind)?;
        // SAFETY: words may be written as bytes: every pattern of theirs is valid.
        let (_, bytes, _) = unsafe { words.align_to_mut::<u8>() };
        bytes.get_mut(..len)
    }

    /// Copies `len` bytes of the string `from`, from byte `at` on, to byte `to` of the string `cell`; nothing if the bytes
    /// are not there. Both lie on the heap.
    pub fn copy_str(&mut self, cell: Cell, to: usize, from: Cell, at: usize, len: usize) {
        let source = self.bytes(from, Kind::Str).and_then(|bytes| bytes.get(at..at.checked_add(len)?));
        let Some(source) = source.map(<[u8]>::as_ptr) else { return };
        let place = self.bytes_mut(cell, Kind::Str).and_then(|bytes| bytes.get_mut(to..to.checked_add(len)?));
        if let Some(place) = place {
            // SAFETY: both are ranges of `len` bytes of live payloads; nothing has moved between. They may overlap.
            unsafe { core::ptr::copy(source, place.as_mut_ptr(), len) };
        }
    }

    /// The elements of a live object of the kinds `ArrI64`, `ArrF64` and `List`.
    #[cfg_attr(not(small), inline(always))]
    pub fn elements(&self, cell: Cell, kind: Kind) -> Option<&[u64]> {
        let len = self.record(cell, kind)?.len as usize;
        self.payload(cell, kind)?.get(..len)
    }

    /// The same, to be written.
    #[cfg_attr(not(small), inline(always))]
    pub fn elements_mut(&mut self, cell: Cell, kind: Kind) -> Option<&mut [u64]> {
        let len = self.record(cell, kind)?.len as usize;
        self.payload_mut(cell, kind)?.get_mut(..len)
    }
}
