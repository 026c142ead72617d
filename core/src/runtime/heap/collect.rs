//! The collector: marks from the roots, frees the records of what was not reached, slides the live payloads together.
//!
//! Marking goes into an object as soon as it is reached, while it is in the caches, and keeps the way back on a short
//! stack of its own. What is deeper than that stack is put on a list, to start from again when the stack is empty; the
//! list runs through the headers of the objects that are on it (in place of the record's index, which is known again when
//! the object is taken off). So marking needs fixed memory, however deep the objects refer to one another, and no
//! recursion. Each object is put on the stack or the list at most once, when it is first reached.
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

/// How deep marking goes before it makes a list of what is deeper.
const DEPTH: usize = 32;

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
        roots.moved();
        self.allowance = self.live.saturating_add(reached.saturating_mul(slots::WORDS)).max(LEAST_ALLOWANCE);
        self.stats.collections += 1;
        self.stats.live = self.live as u64 * 8;
        self.stats.marked = self.stats.marked.wrapping_add(self.stats.live);
        if let (Some(clock), Some(begin)) = (self.clock, begin) {
            let pause = clock().wrapping_sub(begin);
            self.stats.pause_total = self.stats.pause_total.wrapping_add(pause);
            self.stats.pause_max = self.stats.pause_max.max(pause);
        }
        roots.collected(self.stats());
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

    /// Marks an object, and puts it on the list if it may refer to others.
    fn mark(&mut self, cell: Cell) {
        if let Some(index) = self.reach(cell) {
            self.enlist(index);
        }
    }

    /// Marks an object. Gives its record if it was not marked before and may refer to others.
    #[cfg_attr(not(small), inline(always))]
    fn reach(&mut self, cell: Cell) -> Option<u32> {
        let number = cell.kind_number();
        let index = cell.handle_of(number)?;
        let record = self.record_at(index)?;
        // SAFETY: the record is in the table; one of a kind with a payload holds its address, with a header before it.
        unsafe {
            if number == 0 || (*record).meta != (cell.bits() >> 32 & 0xFFFF) as u32 {
                return None;
            }
            (*record).meta |= MARK;
            if !Kind::has_payload(number) {
                return None;
            }
            let head = ((*record).word as *const u64).sub(HEADER);
            self.live += head.read() as u32 as usize + HEADER;
        }
        let refers = [Kind::List, Kind::Map, Kind::Obj, Kind::Fn].iter().any(|&kind| kind as u8 == number);
        refers.then_some(index)
    }

    /// The header of an object's payload.
    fn header_of(&self, index: u32) -> Option<*mut u64> {
        // SAFETY: the record is in the table; what is marked and refers to others has a payload with a header before it.
        self.record_at(index).map(|record| unsafe { ((*record).word as *mut u64).sub(HEADER) })
    }

    /// Puts an object on the list.
    fn enlist(&mut self, index: u32) {
        let Some(head) = self.header_of(index) else { return };
        // SAFETY: it is a header.
        unsafe { head.write(header(head.read() as u32, self.gray)) };
        self.gray = index;
    }

    /// Takes an object off the list.
    fn delist(&mut self) -> Option<u32> {
        let index = Some(self.gray).filter(|&index| index != 0)?;
        let head = self.header_of(index)?;
        // SAFETY: it is a header, of an object on the list.
        unsafe {
            let bits = head.read();
            self.gray = (bits >> 32) as u32;
            head.write(header(bits as u32, index));
        }
        Some(index)
    }

    /// Scans the objects on the list, and what they refer to, until none is left.
    fn drain(&mut self, container: &Container<'_>) {
        // The objects that are being scanned, each with the first cell that has not been looked at.
        let mut stack = [(0, 0); DEPTH];
        while let Some(first) = self.delist() {
            let mut depth: usize = 1;
            stack[0] = (first, 0);
            while let Some((index, cell)) = depth.checked_sub(1).and_then(|top| stack.get_mut(top)) {
                match self.next_child(*index, cell, container) {
                    None => depth -= 1,
                    Some(child) => match stack.get_mut(depth) {
                        Some(place) => {
                            *place = (child, 0);
                            depth += 1;
                        }
                        None => self.enlist(child),
                    },
                }
            }
        }
    }

    /// Marks what the object refers to from cell `at` on, up to the first that is to be scanned itself.
    fn next_child(&mut self, index: u32, at: &mut u32, container: &Container<'_>) -> Option<u32> {
        let record = self.record_at(index)?;
        // SAFETY: the record is in the table, and an object that refers to others has a payload.
        let (payload, len, kind, words, head) = unsafe {
            let payload = (*record).word as *const u64;
            (payload, (*record).len, (*record).kind(), payload.sub(HEADER).read() as u32, payload.read())
        };
        let shape = if kind == Kind::Obj as u8 { container.shape(len) } else { None };
        let count = match kind {
            k if k == Kind::List as u8 => len,
            k if k == Kind::Map as u8 => super::map::cell_count(head),
            k if k == Kind::Obj as u8 => shape?.count,
            _ => super::closure::parts(head).1.into(),
        };
        while *at < count {
            let place = match kind {
                k if k == Kind::List as u8 => Some(*at),
                k if k == Kind::Map as u8 => Some(super::map::cell_place(*at)),
                k if k == Kind::Obj as u8 => {
                    let field = container.field(shape?.fields.wrapping_add(*at));
                    field.is_some_and(|field| is_cell(field.ty)).then_some(*at)
                }
                _ => super::closure::bound_cell(container, head, *at),
            };
            *at += 1;
            let Some(place) = place.filter(|&place| place < words) else { continue };
            // SAFETY: the word lies in the payload.
            let cell = Cell::from_slot(unsafe { payload.add(place as usize).read() });
            if let Some(child) = self.reach(cell) {
                return Some(child);
            }
        }
        None
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

/// Whether values of this type are cells.
pub(crate) fn is_cell(ty: TypeId) -> bool {
    ty != TypeId::I64 && ty != TypeId::F64
}
