//! Records, and the table of them.

use super::{Heap, Kind, OutOfMemory};
use crate::runtime::cell::Cell;

/// Words of a record.
pub(super) const WORDS: usize = 2;

/// Set in [`Record::meta`] of an object that the collector has reached.
pub(super) const MARK: u32 = 1 << 16;

/// Set in [`Record::meta`] of a free record whose generations have all been used.
const RETIRED: u32 = 1 << 17;

/// The generation's bits in [`Record::meta`].
const GENERATION: u32 = 0xFFF;

/// An object's record.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Record {
    /// The address of the payload's first word; the value of an object that has none; the next record of a free one.
    pub word: u64,
    /// The length; what it counts is the kind's matter.
    pub len: u32,
    /// Bits 0 to 11 the generation, 12 to 15 the kind (0 for a free record): bits 32 to 47 of the handle. Bit 16 is the
    /// collector's mark, bit 17 set in a free record that is not in the list of free ones, because its generations have
    /// all been used.
    pub meta: u32,
}

impl Record {
    /// The null object.
    pub const NULL: Self = Self { word: 0, len: 0, meta: 0 };

    /// The number of its kind, 0 if it is free.
    pub const fn kind(&self) -> u8 {
        (self.meta >> 12 & 0xF) as u8
    }
}

impl Heap {
    /// Record `index`, if the table has it.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn record_at(&self, index: u32) -> Option<*mut Record> {
        if index >= self.slots {
            return None;
        }
        // SAFETY: the table holds `slots` records, record i lying i records below record 0.
        Some(unsafe { self.record0.sub(index as usize) })
    }

    /// The record of a live object of this kind, if the cell is its handle.
    #[cfg_attr(not(small), inline(always))]
    pub fn record(&self, cell: Cell, kind: Kind) -> Option<&Record> {
        let record = self.record_at(cell.handle_of(kind as u8)?)?;
        // SAFETY: the record is in the table, which nobody writes while the heap is borrowed.
        let record = unsafe { &*record };
        if (record.meta as u16) == (cell.bits() >> 32) as u16 { Some(record) } else { None }
    }

    /// The record of a live object of this kind, to be written, if the cell is its handle.
    #[cfg_attr(not(small), inline(always))]
    pub fn record_mut(&mut self, cell: Cell, kind: Kind) -> Option<&mut Record> {
        let index = cell.index();
        self.record(cell, kind)?;
        // SAFETY: the record is in the table, as just seen, and the heap is borrowed exclusively.
        self.record_at(index).map(|record| unsafe { &mut *record })
    }

    /// Whether the cell is the handle of a live object of any kind that a guest may hold.
    pub fn is_live(&self, cell: Cell) -> bool {
        let number = cell.kind_number();
        let Some(record) = cell.handle_of(number).and_then(|index| self.record_at(index)) else { return false };
        // SAFETY: the record is in the table, which nobody writes while the heap is borrowed.
        let record = unsafe { *record };
        number != 0 && number != Kind::Root as u8 && (record.meta as u16) == (cell.bits() >> 32) as u16
    }

    /// Takes a free record. [`Heap::make_room`] has seen that there is one or room for one.
    pub(super) fn take_slot(&mut self) -> Result<u32, OutOfMemory> {
        let index = self.free;
        if let (Some(record), true) = (self.record_at(index), index != 0) {
            // SAFETY: the record is in the table.
            self.free = unsafe { (*record).word as u32 };
            return Ok(index);
        }
        let index = self.slots;
        if self.words.saturating_sub(self.used()) < WORDS || index == u32::MAX {
            return Err(OutOfMemory);
        }
        self.slots += 1;
        // SAFETY: the table ended `WORDS` words above the free part's end, so the record lies in the region.
        unsafe { self.record0.sub(index as usize).write(Record { meta: self.fresh, ..Record::NULL }) };
        Ok(index)
    }

    /// Writes a record that was taken, and gives the object's handle.
    pub(super) fn fill_record(&mut self, index: u32, kind: Kind, len: u32, word: u64) -> Cell {
        let Some(record) = self.record_at(index) else { return Cell::NULL };
        // SAFETY: the record is in the table, and the heap is borrowed exclusively.
        unsafe {
            let meta = (*record).meta & GENERATION | (kind as u32) << 12;
            record.write(Record { word, len, meta });
            Cell::handle(meta as u16, index)
        }
    }

    /// Frees a record, whose handles are stale from now on.
    pub(super) fn free_slot(&mut self, index: u32) {
        let Some(record) = self.record_at(index) else { return };
        // SAFETY: the record is in the table, and the heap is borrowed exclusively.
        unsafe {
            let generation = ((*record).meta & GENERATION) + 1;
            if generation > GENERATION {
                record.write(Record { meta: RETIRED, ..Record::NULL });
                return;
            }
            record.write(Record { word: self.free.into(), len: 0, meta: generation });
        }
        self.free = index;
    }

    /// Frees the records of what was not reached and clears the marks of the others. Gives the number of those.
    ///
    /// The list of free records is made anew, so that the lowest are taken first. A collection of `all` then shortens the
    /// table by the free records at its end, and puts retired ones back into use: the guest holds none of their handles,
    /// for it holds none of what was not reached. A host that kept one without a root could from then on find it accepted,
    /// for another object of the same kind; so it could not before 4,096 objects had come and gone in the record.
    pub(super) fn sweep(&mut self, all: bool) -> usize {
        let mut reached = 0;
        self.free = 0;
        for index in (1..self.slots).rev() {
            let Some(record) = self.record_at(index) else { break };
            // SAFETY: the record is in the table, and the heap is borrowed exclusively.
            let meta = unsafe { (*record).meta };
            if meta & MARK != 0 {
                // SAFETY: as above.
                unsafe { (*record).meta = meta & !MARK };
                reached += 1;
                continue;
            }
            let free = meta >> 12 & 0xF == 0;
            let retired = meta & RETIRED != 0;
            let generation = meta & GENERATION;
            if all && index + 1 == self.slots {
                // New records start behind the generations of all that were given up.
                let next = if free && !retired { generation } else { generation + 1 };
                self.fresh = self.fresh.max(next);
                self.slots = index;
            } else if free && (all || !retired) {
                // SAFETY: as above.
                unsafe { record.write(Record { word: self.free.into(), len: 0, meta: generation }) };
                self.free = index;
            } else if !free {
                self.free_slot(index);
            }
        }
        if self.fresh > GENERATION {
            self.fresh = 0;
        }
        reached
    }
}
