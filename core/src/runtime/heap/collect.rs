//! The collector: marks from the roots, frees the records of what was not reached, slides the live payloads together.
//!
//! Marking keeps its stack in the headers of the objects that are on it (in place of the record's index, which is known
//! again when the object is taken off), so it needs no memory of its own, however deep the objects refer to one another,
//! and no recursion. Each object is put on the stack at most once, when it is first reached.
//!
//! Sliding keeps the order of the payloads (R. Jones, A. Hosking, E. Moss, "The Garbage Collection Handbook", 3.1), so
//! objects that have lived long come to lie at the low end, where nothing moves any more. A share of garbage among them
//! is left where it is, so that one dead object does not move everything above it.

use super::payload::{HEADER, header};
use super::slots::{self, MARK};
use super::{Heap, Kind, LEAST_ALLOWANCE, Roots};
use crate::runtime::cell::Cell;
use crate::vm3::container::Container;
use crate::vm3::types::TypeId;

/// The share of the live words that may be left as garbage among payloads that are not moved, as a shift.
const SLACK_SHIFT: u32 = 5;

impl Heap {
    /// Collects. `all` leaves no garbage anywhere; else some may stay where moving everything above it would cost more.
    pub fn collect(&mut self, all: bool, roots: &mut dyn Roots) {
        let begin = self.clock.map(|clock| clock());
        self.live = 0;
        self.gray = 0;
        roots.each(&mut |cell| self.mark(cell));
        self.mark_host_roots();
        let container = roots.container();
        self.drain(&container);
        let reached = self.sweep(all);
        self.compact(if all { 0 } else { self.live >> SLACK_SHIFT });
        self.allowance = self.live.saturating_add(reached.saturating_mul(slots::WORDS)).max(LEAST_ALLOWANCE);
        self.stats.collections += 1;
        self.stats.live = self.live as u64 * 8;
        self.stats.marked = self.stats.marked.wrapping_add(self.stats.live);
        if let (Some(clock), Some(begin)) = (self.clock, begin) {
            let pause = clock().wrapping_sub(begin);
            self.stats.pause_total = self.stats.pause_total.wrapping_add(pause);
            self.stats.pause_max = self.stats.pause_max.max(pause);
        }
    }

    fn mark_host_roots(&mut self) {
        let mut left = self.roots;
        for index in 1..self.slots {
            if left == 0 {
                break;
            }
            let Some(record) = self.record_at(index) else { break };
            // SAFETY: the record is in the table.
            unsafe {
                if (*record).kind() == Kind::Root as u8 {
                    (*record).meta |= MARK;
                    left -= 1;
                    let cell = Cell::from_slot((*record).word);
                    self.mark(cell);
                }
            }
        }
    }

    /// Marks an object, and puts it on the stack if it may refer to others.
    #[inline]
    fn mark(&mut self, cell: Cell) {
        let number = cell.kind_number();
        let Some(index) = cell.handle_of(number) else { return };
        let Some(record) = self.record_at(index) else { return };
        // SAFETY: the record is in the table; one of a kind with a payload holds its address, with a header before it.
        unsafe {
            if number == 0 || (*record).meta != (cell.bits() >> 32 & 0xFFFF) as u32 {
                return;
            }
            (*record).meta |= MARK;
            if !Kind::has_payload(number) {
                return;
            }
            let head = ((*record).word as *mut u64).sub(HEADER);
            let words = head.read() as u32;
            self.live += words as usize + HEADER;
            let refers = [Kind::List, Kind::Map, Kind::Obj, Kind::Fn].iter().any(|&kind| kind as u8 == number);
            if refers {
                head.write(header(words, self.gray));
                self.gray = index;
            }
        }
    }

    /// Scans the objects on the stack until none is left.
    fn drain(&mut self, container: &Container<'_>) {
        while self.gray != 0 {
            let index = self.gray;
            let Some(record) = self.record_at(index) else { break };
            // SAFETY: the record is in the table, and an object on the stack has a payload. The words are read one by one,
            // because marking writes headers.
            unsafe {
                let Record { word, len, kind } = Record::of(record);
                let payload = word as *mut u64;
                let head = payload.sub(HEADER);
                let bits = head.read();
                self.gray = (bits >> 32) as u32;
                let words = bits as u32;
                head.write(header(words, index));
                let cell_at = |heap: &mut Self, place: u32| {
                    if place < words {
                        heap.mark(Cell::from_slot(payload.add(place as usize).read()));
                    }
                };
                match kind {
                    k if k == Kind::List as u8 => (0..len).for_each(|place| cell_at(self, place)),
                    k if k == Kind::Map as u8 => {
                        let entries = super::map::entry_cells(payload.read());
                        entries.for_each(|place| cell_at(self, place));
                    }
                    k if k == Kind::Obj as u8 => {
                        let Some(shape) = container.shape(len) else { continue };
                        for place in 0..shape.count {
                            let ty = container.field(shape.fields.wrapping_add(place)).map(|field| field.ty);
                            if ty.is_some_and(is_cell) {
                                cell_at(self, place);
                            }
                        }
                    }
                    _ => super::closure::bound_cells(container, payload.read()).for_each(|place| cell_at(self, place)),
                }
            }
        }
    }

    /// Slides the live payloads down over the garbage between them, but for the first `slack` words of it.
    fn compact(&mut self, slack: usize) {
        let (mut from, mut to, mut slack) = (0, 0, slack);
        while from < self.bump {
            // SAFETY: blocks lie one behind the other from the region's start to `bump`, each a header and its words.
            // `to` is at most `from`, so a live block moves down to where no live one is.
            unsafe {
                let block = self.start.add(from);
                let bits = block.read();
                let size = bits as u32 as usize + HEADER;
                let record = self.record_at((bits >> 32) as u32).filter(|_| bits >> 32 != 0);
                let owner = record.filter(|&record| {
                    Kind::has_payload((*record).kind()) && (*record).word == block.add(HEADER) as u64
                });
                match owner {
                    Some(record) => {
                        if to != from {
                            let new = self.start.add(to);
                            new.copy_from(block, size);
                            (*record).word = new.add(HEADER) as u64;
                        }
                        to += size;
                    }
                    None if to == from && size <= slack => {
                        block.write(header(bits as u32, 0));
                        slack -= size;
                        to += size;
                    }
                    None => {}
                }
                from += size;
            }
        }
        self.bump = to;
    }
}

/// What the scan of an object reads of its record.
struct Record {
    word: u64,
    len: u32,
    kind: u8,
}

impl Record {
    /// # Safety
    ///
    /// `record` is in the table.
    unsafe fn of(record: *mut super::Record) -> Self {
        // SAFETY: by the contract.
        unsafe { Self { word: (*record).word, len: (*record).len, kind: (*record).kind() } }
    }
}

/// Whether values of this type are cells.
pub(crate) fn is_cell(ty: TypeId) -> bool {
    ty != TypeId::I64 && ty != TypeId::F64
}
