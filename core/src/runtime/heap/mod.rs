//! The heap: objects behind handles, in one region that the host lends.
//!
//! ```text
//! region  | payloads, from the low end up ->          free          <- records, from the high end down |
//! ```
//!
//! A **handle** ([`Cell`]) names a record by its index. A **record** ([`Record`], 16 bytes) holds where the object's
//! payload is, its length, its kind and its generation. A **payload** is a header word and whole words behind it.
//! Payloads are laid out one behind the other, so allocation only moves the end of the payloads up; the collector slides
//! the live ones together, which costs nobody a handle, because only records know where payloads are. The two sides of
//! the region grow towards each other, so no part of it is set aside for either.
//!
//! | kind | `Record::word` | `Record::len` | payload words |
//! |---|---|---|---|
//! | `Int` | the integer itself | 0 | none |
//! | `Str` | payload | bytes | the bytes, zero-filled to a whole word |
//! | `List`, `ArrI64`, `ArrF64` | payload | elements | capacity, an element each |
//! | `ArrU8` | payload | elements | capacity, eight elements each |
//! | `Obj` | payload | the shape's index | a field each, at least one |
//! | `Fn` | payload | the type, a [`crate::vm3::types::TypeId`] | `closure` |
//! | `IMap`, `Map` | payload | entries | `map` |
//! | `Root` | a [`Cell`] that the host holds | 0 | none |
//!
//! Record 0 is the null object: of no kind and of length 0, never written. Machine code decodes null like any other
//! cell, finds length 0, and tells null from an index that is out of bounds on the cold path.
//!
//! A freed record's generation goes up by one, so a handle that a host kept is found out; a record whose generation
//! would wrap is retired until the heap is full and everything is collected.
//!
//! Everything here is safe to call with any cell: what reads an object first compares index, generation and kind with
//! the record's. What `unsafe` code rests on are the records and headers, which only this module writes.

mod array;
pub(crate) mod closure;
mod collect;
mod dynamic;
pub(crate) mod map;
mod object;
mod payload;
mod sip;
mod slots;
mod string;
#[cfg(all(test, feature = "heap"))]
mod tests;

use super::cell::Cell;
use super::trap::TrapKind;
use crate::vm3::container::Container;
use crate::vm3::types::{Composite, TypeId};

pub(crate) use closure::BOUND;
pub(crate) use collect::is_cell;
pub(crate) use dynamic::DynOp;
pub(crate) use map::MapError;
pub(crate) use object::property_of;
pub(crate) use slots::Record;

/// What an object is: bits 44 to 47 of its handle. The numbers are those that `cell.kind` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names of the vm3 types")]
pub(crate) enum Kind {
    /// An i64 outside 48 bits.
    Int = 2,
    /// More than [`super::cell::SHORT_STR`] bytes.
    Str = 4,
    List = 5,
    Map = 6,
    IMap = 7,
    ArrI64 = 8,
    ArrF64 = 9,
    ArrU8 = 10,
    Obj = 11,
    Fn = 12,
    /// A cell that the host keeps alive. No guest has a handle of this kind.
    Root = 13,
}

impl Kind {
    /// Whether objects of this kind have a payload.
    pub const fn has_payload(number: u8) -> bool {
        number != Self::Int as u8 && number != Self::Root as u8 && number != 0
    }
}

/// An allocation that failed: a collection has not made enough room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<OutOfMemory> for TrapKind {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// What the collector starts from, and what it needs to know of the objects' layout.
pub(crate) trait Roots {
    /// Calls `visit` with every cell outside the heap that keeps an object alive. Cells that are no handles may be among
    /// them.
    fn each(&mut self, visit: &mut dyn FnMut(Cell));

    /// The module, for its shapes and signatures.
    fn container(&self) -> Container<'_>;

    /// Objects have died and payloads have moved: what is known of any beside the handles that [`Roots::each`] visits is
    /// to be forgotten.
    fn moved(&mut self);

    /// A collection has ended.
    fn collected(&self, _stats: HeapStats) {}
}

/// What a heap has done, and how full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Bytes of the region.
    pub size: u64,
    /// Bytes in use: payloads with their headers, garbage included, and records.
    pub used: u64,
    /// The greatest value of `used` so far.
    pub peak: u64,
    /// Objects allocated so far.
    pub allocations: u64,
    /// Collections so far.
    pub collections: u64,
    /// Bytes of payloads that the last collection found alive.
    pub live: u64,
    /// Bytes of live payloads over all collections.
    pub marked: u64,
    /// Ticks of the host's clock spent in collections; 0 without a clock.
    pub pause_total: u64,
    /// Ticks of the longest collection.
    pub pause_max: u64,
}

/// A heap over a region that is borrowed for as long as the heap is used.
#[derive(Debug)]
pub(crate) struct Heap {
    /// The region's first word.
    start: *mut u64,
    /// The region's words.
    words: usize,
    /// Words of payloads and headers from the region's start, garbage included.
    bump: usize,
    /// Record 0, the highest; record i lies i records below it.
    record0: *mut Record,
    /// Records in the table, the null record included.
    slots: u32,
    /// The first free record, 0 for none; each holds the next in `word`.
    free: u32,
    /// The generation that a record starts with when it comes into the table.
    fresh: u32,
    /// Words that may be allocated before the next collection.
    allowance: usize,
    /// Words of payloads that are alive, while marking.
    live: usize,
    /// The first of the list of objects that are marked and still to be scanned, 0 for none, while marking.
    gray: u32,
    /// Records of kind `Root`.
    roots: u32,
    /// Collect at every allocation.
    stress: bool,
    /// How many allocations may still succeed, for tests.
    fuse: Option<u64>,
    /// What the hashes of maps are keyed with.
    hash_key: sip::Key,
    /// The host's clock.
    clock: Option<fn() -> u64>,
    stats: HeapStats,
}

/// The least number of words that are allocated between two collections that are not forced by lack of room.
const LEAST_ALLOWANCE: usize = 128 * 1024;

/// Stands for record 0 where the region is too small for it. Never written.
static NULL_RECORD: Record = Record::NULL;

impl Heap {
    /// A heap over `words` words at `start`.
    ///
    /// # Safety
    ///
    /// The words may be read and written, and nobody else does so, while the heap is used.
    pub unsafe fn new(start: *mut u64, words: usize, seed: u64) -> Self {
        // Sizes of payloads, in words, fit in 32 bits.
        let words = words.min(u32::MAX as usize);
        let mut heap = Self {
            start,
            words,
            bump: 0,
            record0: (&raw const NULL_RECORD).cast_mut(),
            slots: 1,
            free: 0,
            fresh: 0,
            allowance: LEAST_ALLOWANCE,
            live: 0,
            gray: 0,
            roots: 0,
            stress: false,
            fuse: None,
            hash_key: sip::Key::from_seed(seed),
            clock: None,
            stats: HeapStats { size: words as u64 * 8, ..HeapStats::default() },
        };
        if words >= slots::WORDS {
            // SAFETY: the last words of the region hold a record.
            unsafe {
                heap.record0 = start.add(words - slots::WORDS).cast();
                heap.record0.write(Record::NULL);
            }
        } else {
            heap.words = 0;
        }
        heap
    }

    /// The address of record 0: record i lies 16 i bytes below it. It never changes.
    pub fn record0(&self) -> u64 {
        self.record0 as u64
    }

    /// What the heap has done.
    pub fn stats(&self) -> HeapStats {
        HeapStats { used: self.used() as u64 * 8, ..self.stats }
    }

    /// Collects at every allocation from now on, or no longer.
    pub fn set_stress(&mut self, on: bool) {
        self.stress = on;
    }

    /// Lets that many allocations succeed and all behind them fail; `None` for no such bound.
    pub fn set_fuse(&mut self, allocations: Option<u64>) {
        self.fuse = allocations;
    }

    /// Gives collections a clock to be timed by.
    pub fn set_clock(&mut self, clock: Option<fn() -> u64>) {
        self.clock = clock;
    }

    /// Words in use.
    fn used(&self) -> usize {
        self.bump + self.slots as usize * slots::WORDS
    }

    /// Makes an object with `len` in its record and a payload of `words` words (at least one), all zero. Collects first
    /// if it has to. Gives its handle.
    pub fn allocate(&mut self, kind: Kind, len: u32, words: usize, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        let words = words.max(1);
        self.make_room(words.saturating_add(payload::HEADER), 1, roots)?;
        let index = self.take_slot()?;
        let payload = self.take_payload(words, index)?;
        self.stats.allocations += 1;
        Ok(self.fill_record(index, kind, len, payload as u64))
    }

    /// Makes an object without a payload.
    pub fn allocate_value(&mut self, kind: Kind, value: u64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        self.make_room(0, 1, roots)?;
        let index = self.take_slot()?;
        self.stats.allocations += 1;
        Ok(self.fill_record(index, kind, 0, value))
    }

    /// A cell of this integer: boxed if it does not fit in one.
    pub fn int(&mut self, value: i64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        match Cell::int(value) {
            Some(cell) => Ok(cell),
            None => self.allocate_value(Kind::Int, value as u64, roots),
        }
    }

    /// A cell of these bytes: on the heap if they do not fit in one. The bytes must not lie in the heap.
    pub fn str(&mut self, bytes: &[u8], roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        if let Some(cell) = Cell::str(bytes) {
            return Ok(cell);
        }
        let len = u32::try_from(bytes.len()).map_err(|_| OutOfMemory)?;
        let cell = self.allocate(Kind::Str, len, bytes.len().div_ceil(8), roots)?;
        if let Some(place) = self.bytes_mut(cell, Kind::Str) {
            place.copy_from_slice(bytes);
        }
        Ok(cell)
    }

    /// Whether a valid cell may stand where `ty` is declared.
    pub fn is_a(&self, cell: Cell, ty: TypeId, container: &Container<'_>) -> bool {
        if ty == TypeId::ANY || cell == Cell::NULL {
            return true;
        }
        let of = |kind: Kind| self.record(cell, kind);
        match ty {
            TypeId::STR => cell.is_short_str() || of(Kind::Str).is_some(),
            TypeId::ARR_I64 => of(Kind::ArrI64).is_some(),
            TypeId::ARR_F64 => of(Kind::ArrF64).is_some(),
            TypeId::ARR_U8 => of(Kind::ArrU8).is_some(),
            TypeId::LIST => of(Kind::List).is_some(),
            TypeId::IMAP => of(Kind::IMap).is_some(),
            TypeId::MAP => of(Kind::Map).is_some(),
            _ => match container.composite(ty) {
                Some(Composite::Obj(shape)) => of(Kind::Obj).is_some_and(|record| record.len == shape),
                Some(Composite::Fn(_)) => of(Kind::Fn).is_some_and(|record| record.len == u32::from(ty.0)),
                None => false,
            },
        }
    }

    /// Keeps what a cell refers to alive until [`Heap::unroot`].
    pub fn root(&mut self, cell: Cell, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        let root = self.allocate_value(Kind::Root, cell.bits(), roots)?;
        self.roots += 1;
        Ok(root)
    }

    /// The cell that a root keeps alive.
    pub fn rooted(&self, root: Cell) -> Option<Cell> {
        self.record(root, Kind::Root).map(|record| Cell::from_slot(record.word))
    }

    /// Ends a root. Whether it was one.
    pub fn unroot(&mut self, root: Cell) -> bool {
        if self.record(root, Kind::Root).is_none() {
            return false;
        }
        self.free_slot(root.index());
        self.roots = self.roots.saturating_sub(1);
        true
    }

    /// Begins an allocation of so many words: burns the fuse, and collects if it is time to.
    fn charge(&mut self, words: usize, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        if !crate::HEAP {
            return Err(OutOfMemory);
        }
        if let Some(fuse) = &mut self.fuse {
            if *fuse == 0 {
                self.collect(true, roots);
                return Err(OutOfMemory);
            }
            *fuse -= 1;
        }
        if self.stress || words > self.allowance && words <= self.words {
            self.collect(false, roots);
        }
        self.allowance = self.allowance.saturating_sub(words);
        Ok(())
    }

    /// Makes sure that `words` words and `slots` records can be taken, or says that they cannot.
    fn make_room(&mut self, words: usize, slots: u32, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        let words_of_all = words.saturating_add(slots as usize * slots::WORDS);
        self.charge(words_of_all, roots)?;
        // What no collection could make room for is refused at once.
        if !self.has_room(words, slots) && words_of_all <= self.words {
            self.collect(true, roots);
        }
        if self.has_room(words, slots) { Ok(()) } else { Err(OutOfMemory) }
    }

    fn has_room(&self, words: usize, slots: u32) -> bool {
        let new_slots = if self.free != 0 { slots.saturating_sub(1) } else { slots };
        let needed = words.saturating_add(new_slots as usize * slots::WORDS);
        self.words.saturating_sub(self.used()) >= needed
    }

    /// Gives an object a payload of at least `words` words, with what it held at its start and zeros behind that. On
    /// failure everything is as it was, but that a collection may have run.
    pub fn reserve(&mut self, cell: Cell, kind: Kind, words: usize, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        let Some(held) = self.payload(cell, kind).map(<[u64]>::len) else { return Ok(()) };
        if words <= held {
            return Ok(());
        }
        let (more, whole) = (words - held, words.saturating_add(payload::HEADER));
        self.charge(if self.is_last(cell) { more } else { whole }, roots)?;
        if self.extend_last(cell, words) {
            return Ok(());
        }
        if !self.has_room(whole, 0) {
            if more <= self.words {
                self.collect(true, roots);
            }
            // The collection may have made the object the last one.
            if self.extend_last(cell, words) {
                return Ok(());
            }
            if !self.has_room(whole, 0) {
                return Err(OutOfMemory);
            }
        }
        let index = cell.index();
        let new = self.take_payload(words, index)?;
        self.replace_payload(index, new);
        Ok(())
    }
}
