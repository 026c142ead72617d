//! Tests of allocation and collection alone, with a list of cells for roots.

mod collector;
mod maps;
mod mutator;

use super::payload::{HEADER, header};
use super::slots::{MARK, WORDS};
use super::{Heap, Kind, OutOfMemory, Record, Roots};
use crate::runtime::cell::Cell;
use crate::vm3::container::Container;
use crate::vm3::text;
use std::collections::{HashMap, HashSet};
use std::{vec, vec::Vec};

/// A module with a shape of each kind of field and functions to bind.
const MODULE: &str = "
shape P { number: i64, any: any, float: f64, next: obj P }
shape Empty { }
func f(x: i64, s: str, y: f64, l: list) -> i64
  ret x
end
";

/// The roots of a test, and its module.
pub(super) struct Fake {
    cells: Vec<Cell>,
    module: Vec<u64>,
}

impl Roots for Fake {
    fn each(&mut self, visit: &mut dyn FnMut(Cell)) {
        self.cells.iter().copied().for_each(visit);
    }

    fn container(&self) -> Container<'_> {
        Container::read(&self.module).unwrap()
    }

    fn moved(&mut self) {}
}

/// A heap with its region and its roots.
struct Space {
    heap: Heap,
    roots: Fake,
    _region: Vec<u64>,
}

impl Space {
    fn new(words: usize) -> Self {
        let sizes = text::sizes(MODULE);
        let (mut module, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
        let used = text::assemble(MODULE, &mut module, &mut scratch, &mut |_| {}).unwrap();
        module.truncate(used);
        // What a region held before is nobody's concern.
        let mut region = vec![0xDEAD_BEEF_DEAD_BEEF; words];
        // SAFETY: the region lives as long as the heap, and nobody else touches it.
        let heap = unsafe { Heap::new(region.as_mut_ptr(), words, 42) };
        Self { heap, roots: Fake { cells: Vec::new(), module }, _region: region }
    }

    fn list(&mut self, capacity: usize) -> Result<Cell, OutOfMemory> {
        self.heap.allocate(Kind::List, 0, capacity, &mut self.roots)
    }

    /// Appends to an array, as `push` does.
    fn push(&mut self, array: Cell, kind: Kind, bits: u64) -> Result<(), OutOfMemory> {
        let len = self.heap.record(array, kind).unwrap().len as usize;
        let bytes = kind == Kind::ArrU8;
        let capacity = self.heap.payload(array, kind).unwrap().len();
        let full = if bytes { len == capacity * 8 } else { len == capacity };
        if full {
            self.heap.reserve(array, kind, capacity * 2, &mut self.roots)?;
        }
        self.heap.record_mut(array, kind).unwrap().len += 1;
        if bytes {
            self.heap.bytes_mut(array, kind).unwrap()[len] = bits as u8;
        } else {
            self.heap.elements_mut(array, kind).unwrap()[len] = bits;
        }
        Ok(())
    }

    fn collect(&mut self) {
        self.heap.collect(true, &mut self.roots);
        self.heap.check();
    }

    /// The handles that can be reached from the roots, found without the collector.
    fn reachable(&self) -> HashSet<Cell> {
        let mut found = HashSet::new();
        let mut left = self.roots.cells.clone();
        for index in 1..self.heap.slots {
            // SAFETY: the record is in the table.
            let record = unsafe { *self.heap.record_at(index).unwrap() };
            if record.kind() == Kind::Root as u8 {
                left.push(Cell::from_slot(record.word));
            }
        }
        let container = self.roots.container();
        while let Some(cell) = left.pop() {
            if !self.heap.is_live(cell) || !found.insert(cell) {
                continue;
            }
            let mut cells = |words: &[u64]| left.extend(words.iter().map(|&bits| Cell::from_slot(bits)));
            if let Some(words) = self.heap.elements(cell, Kind::List) {
                cells(words);
            } else if let Some(words) = self.heap.payload(cell, Kind::Obj) {
                // The fields of `P` that are cells.
                if self.heap.record(cell, Kind::Obj).unwrap().len == 0 {
                    cells(&[words[1], words[3]]);
                }
            } else if let Some(words) = self.heap.payload(cell, Kind::Fn) {
                // The parameters of `f` that are cells.
                let bound = super::closure::parts(words[0]).1;
                if bound > 1 {
                    cells(&words[2..3]);
                }
                if bound > 3 {
                    cells(&words[4..5]);
                }
            } else if let Some(words) = self.heap.payload(cell, Kind::Map) {
                // Keys and values are the first two words of each entry of three, behind a head of three.
                let placed = words[0] as u32 as usize;
                words[3..3 + 3 * placed].chunks(3).for_each(|entry| cells(&entry[..2]));
            }
        }
        assert_eq!(container.shape(0).unwrap().count, 4);
        found
    }

    /// Collects everything that is garbage, and sees that exactly what can be reached is left.
    fn collect_exactly(&mut self) {
        let reachable = self.reachable();
        self.collect();
        assert_eq!(self.reachable(), reachable);
        let mut live = HashSet::new();
        let mut words = 0;
        for index in 1..self.heap.slots {
            // SAFETY: the record is in the table.
            let record = unsafe { *self.heap.record_at(index).unwrap() };
            if record.kind() != 0 && record.kind() != Kind::Root as u8 {
                live.insert(Cell::handle(record.meta as u16, index));
            }
            if Kind::has_payload(record.kind()) {
                // SAFETY: a payload has its header before it.
                words += unsafe { (record.word as *const u64).sub(HEADER).read() } as u32 as usize + HEADER;
            }
        }
        assert_eq!(live, reachable);
        assert_eq!(self.heap.bump, words, "garbage is left among the payloads");
    }
}

impl Heap {
    /// Sees that blocks, records, and the list of free records agree.
    pub(super) fn check(&self) {
        assert!(self.words == 0 || self.used() <= self.words);
        let mut owners = HashMap::new();
        let mut from = 0;
        while from < self.bump {
            // SAFETY: blocks lie one behind the other up to `bump`.
            let (block, bits) = unsafe { (self.start.add(from), self.start.add(from).read()) };
            let (words, owner) = (bits as u32, (bits >> 32) as u32);
            assert!(words > 0);
            assert_eq!(bits, header(words, owner));
            owners.insert(block.wrapping_add(HEADER) as u64, (owner, words));
            from += words as usize + HEADER;
        }
        assert_eq!(from, self.bump);
        let (mut free, mut roots, mut retired) = (0, 0, 0);
        for index in 1..self.slots {
            // SAFETY: the record is in the table.
            let record = unsafe { *self.record_at(index).unwrap() };
            assert_eq!(record.meta & MARK, 0);
            let kind = record.kind();
            match kind {
                0 if record.meta >> 16 != 0 => retired += 1,
                0 => free += 1,
                13 => roots += 1,
                _ => assert_eq!(record.meta >> 16, 0),
            }
            if Kind::has_payload(kind) {
                let (owner, words) = owners.remove(&record.word).expect("a payload at the record's address");
                assert_eq!(owner, index);
                let room = words as usize;
                let len = record.len as usize;
                match kind {
                    4 | 10 => assert!(len <= room * 8),
                    5 | 8 | 9 => assert!(len <= room),
                    6 => self.check_map(Cell::handle(record.meta as u16, index), Kind::Map),
                    7 => self.check_map(Cell::handle(record.meta as u16, index), Kind::IMap),
                    _ => {}
                }
                if kind == Kind::Str as u8 {
                    let payload = self.payload(Cell::handle(record.meta as u16, index), Kind::Str).unwrap();
                    let bytes: Vec<u8> = payload.iter().flat_map(|word| word.to_le_bytes()).collect();
                    assert!(bytes[len..].iter().all(|&byte| byte == 0));
                }
            }
        }
        assert_eq!(roots, self.roots);
        let mut next = self.free;
        while next != 0 {
            // SAFETY: free records are in the table.
            let record = unsafe { *self.record_at(next).unwrap() };
            assert_eq!(record.meta >> 12, 0);
            free -= 1;
            next = record.word as u32;
        }
        assert_eq!(free, 0, "free records that are not in the list");
        assert!(retired < self.slots);
        if self.words > 0 {
            // SAFETY: the table has a record 0.
            let null = unsafe { *self.record0 };
            assert_eq!((null.word, null.len, null.meta), (0, 0, 0));
        }
        assert_eq!(core::mem::size_of::<Record>(), WORDS * 8);
    }
}

/// Random numbers: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }
}
