//! Maps: `imap` (i64 to i64) and `map` (cell to cell), in insertion order.
//!
//! A map is a compact dictionary (R. Hettinger, "More compact dictionaries with faster iteration", python-dev 2012): an
//! array of entries in the order of their insertion, and an index of it by hash with open addressing. Both lie in the
//! one payload:
//!
//! | words | hold |
//! |---|---|
//! | 0 | low half: entries placed, deleted ones included; high half: the number of entries that there is room for |
//! | 1 | the sequence number of the next entry |
//! | 2 | low half: where the last iteration stopped, a guess; high half: the index's number of places less 1, 0 for none |
//! | 3 on | entries, [`ENTRY`] words each: key, value, sequence number |
//! | behind the room for entries | the index, 32 bits a place, a power of two of them |
//!
//! A place of the index is 0 when it was never used. Else its low bits, as many as count the places, are the number of an
//! entry, from 1, and the others the same bits of the high half of the hash of the entry's key, so that few other keys
//! are looked at. All ones there with zeros above are a deleted entry's. A probe starts at the low bits of the hash and
//! takes the places one by one. At most 5/8 of them are in use, so a probe ends.
//!
//! A deleted entry has the top bit of its sequence number set. Its value is 0 and its key the distance to an entry behind
//! it up to which all are deleted as well: neither is ever a handle. Whoever runs over deleted entries writes the greater
//! distance that it found to each of them, so no row of them is run over twice.
//!
//! A cursor is the sequence number of the next entry to visit. Entries are numbered from 0 in the order of insertion and
//! their numbers rise along the array, so a cursor stays right when deleted entries are packed. Numbers do not wrap: an
//! insertion a nanosecond would take three centuries to come to 2^63.
//!
//! Deleted entries are packed when there is no room for another entry: where they lie, if they are a quarter of all, or on
//! the way to twice the room. So an insertion costs constant time on average, whatever was deleted.

use super::sip::Key;
use super::{Heap, Kind, OutOfMemory, Roots};
use crate::runtime::cell::{Cell, Content};

/// The word of the first entry.
const ENTRIES: u32 = 3;
/// Words of an entry.
const ENTRY: u32 = 3;
/// Places of the smallest index.
const LEAST_PLACES: u32 = 8;
/// Places of the greatest index: with it a payload is nearly as long as a heap can be.
const MOST_PLACES: u32 = 1 << 30;
/// Set in the sequence number of a deleted entry.
const DELETED: u64 = 1 << 63;

/// Why an operation on a `map` failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapError {
    /// The key is a float or an object.
    KeyType,
    /// There is no room for another entry. The map is as it was.
    OutOfMemory,
}

impl From<OutOfMemory> for MapError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// The number of keys and values in a payload whose first word is `head`.
pub(super) fn cell_count(head: u64) -> u32 {
    (head as u32).saturating_mul(2)
}

/// The word of one of them.
pub(super) fn cell_place(cell: u32) -> u32 {
    ENTRIES.saturating_add((cell / 2).saturating_mul(ENTRY)).saturating_add(cell % 2)
}

/// A key, its value and its sequence number.
type Entry = [u64; ENTRY as usize];

/// The number of entries that an index of so many places leaves room for.
const fn room(places: u32) -> u32 {
    places / 2 + places / 8
}

/// The words of a payload whose index has so many places.
const fn words(places: u32) -> usize {
    ENTRIES as usize + room(places) as usize * ENTRY as usize + places.div_ceil(2) as usize
}

/// What a probe of the index for a key came to.
#[derive(Clone, Copy)]
enum Probe {
    /// The key's entry, and its place in the index.
    Found { place: usize, entry: usize },
    /// There is none; where in the index it would go.
    Vacant { place: usize },
}

/// A map's payload in its parts.
struct Parts<'w> {
    head: &'w [u64],
    entries: &'w [Entry],
    index: &'w [u32],
    mask: u32,
}

impl<'w> Parts<'w> {
    #[cfg_attr(not(small), inline(always))]
    fn of(words: &'w [u64]) -> Option<Self> {
        let (head, rest) = words.split_at_checked(ENTRIES as usize)?;
        let &[counts, _, guess] = head else { return None };
        let (entries, index) = rest.split_at_checked((counts >> 32) as usize * ENTRY as usize)?;
        // SAFETY: words may be read as halves of words, of which they have two.
        let index = unsafe { core::slice::from_raw_parts(index.as_ptr().cast(), index.len() * 2) };
        Some(Self { head, entries: entries.as_chunks().0, index, mask: (guess >> 32) as u32 })
    }

    fn used(&self) -> usize {
        self.head.first().map_or(0, |&counts| counts as u32 as usize)
    }

    fn guess(&self) -> usize {
        self.head.get(2).map_or(0, |&guess| guess as u32 as usize)
    }

    /// The entries placed.
    fn placed(&self) -> &'w [Entry] {
        self.entries.get(..self.used()).unwrap_or(&[])
    }

    /// Looks for the entry whose key is the `same`.
    #[cfg_attr(not(small), inline(always))]
    fn probe(&self, hash: u64, same: impl Fn(u64) -> bool) -> Probe {
        let mask = self.mask;
        let tag = tag(hash, mask);
        let mut place = (hash as u32 & mask) as usize;
        let mut vacant = None;
        for _ in 0..=mask {
            let Some(&held) = self.index.get(place) else { break };
            if held == 0 {
                break;
            }
            if held & !mask == tag {
                let entry = (held & mask).wrapping_sub(1) as usize;
                // The number of a deleted entry is too great for any.
                if self.entries.get(entry).is_some_and(|&[key, ..]| same(key)) {
                    return Probe::Found { place, entry };
                }
            }
            if held == mask && vacant.is_none() {
                vacant = Some(place);
            }
            place = (place + 1) & mask as usize;
        }
        Probe::Vacant { place: vacant.unwrap_or(place) }
    }

    /// The place of the first entry, deleted or not, whose number is at least `cursor`.
    fn position(&self, cursor: u64) -> usize {
        let placed = self.placed();
        let before = |place: usize| placed.get(place).is_some_and(|entry| number(entry) < cursor);
        let is_it = |place: usize| place <= placed.len() && !before(place) && (place == 0 || before(place - 1));
        let guess = self.guess();
        if is_it(guess) {
            return guess;
        }
        // Where no entry is missing.
        let distance = placed.first().map_or(0, |first| cursor.saturating_sub(number(first)));
        let guess = usize::try_from(distance).map_or(placed.len(), |distance| distance.min(placed.len()));
        if is_it(guess) { guess } else { placed.partition_point(|entry| number(entry) < cursor) }
    }
}

/// The same, to be written.
struct PartsMut<'w> {
    head: &'w mut [u64],
    entries: &'w mut [Entry],
    index: &'w mut [u32],
    mask: u32,
}

impl<'w> PartsMut<'w> {
    #[cfg_attr(not(small), inline(always))]
    fn of(words: &'w mut [u64]) -> Option<Self> {
        let (head, rest) = words.split_at_mut_checked(ENTRIES as usize)?;
        let &mut [counts, _, guess] = head else { return None };
        let (entries, index) = rest.split_at_mut_checked((counts >> 32) as usize * ENTRY as usize)?;
        // SAFETY: words may be written as halves of words, of which they have two: every pattern is valid.
        let index = unsafe { core::slice::from_raw_parts_mut(index.as_mut_ptr().cast(), index.len() * 2) };
        Some(Self { head, entries: entries.as_chunks_mut().0, index, mask: (guess >> 32) as u32 })
    }

    /// The same, to be read.
    #[cfg_attr(not(small), inline(always))]
    fn read(&self) -> Parts<'_> {
        Parts { head: self.head, entries: self.entries, index: self.index, mask: self.mask }
    }

    fn set_guess(&mut self, guess: usize) {
        if let Some(word) = self.head.get_mut(2) {
            *word = *word >> 32 << 32 | guess as u32 as u64;
        }
    }

    /// Places an entry, with the place in the index that [`Parts::probe`] gave. Whether there was room.
    #[cfg_attr(not(small), inline(always))]
    fn insert(&mut self, place: usize, hash: u64, key: u64, value: u64) -> bool {
        let [counts, next, _] = self.head else { return false };
        let used = *counts as u32;
        let (Some(entry), Some(held)) = (self.entries.get_mut(used as usize), self.index.get_mut(place)) else {
            return false;
        };
        *entry = [key, value, *next];
        *held = tag(hash, self.mask) | (used + 1);
        *next = next.wrapping_add(1);
        *counts += 1;
        true
    }

    /// Marks an entry, of `used`, as deleted.
    fn delete(&mut self, place: usize, entry: usize, used: usize) {
        let behind = match self.entries.get(entry + 1) {
            Some(&[distance, _, number]) if entry + 1 < used && number & DELETED != 0 => distance,
            _ => 0,
        };
        if let Some(entry) = self.entries.get_mut(entry) {
            let [_, _, number] = *entry;
            *entry = [behind + 1, 0, number | DELETED];
        }
        if let Some(held) = self.index.get_mut(place) {
            *held = self.mask;
        }
    }

    /// The first entry from `from` on, of `used`, that is not deleted, or `used`.
    fn skip(&mut self, from: usize, used: usize) -> usize {
        let deleted = |entries: &[Entry], at: usize| match entries.get(at) {
            Some(&[distance, _, number]) if at < used && number & DELETED != 0 => Some((distance as usize).max(1)),
            _ => None,
        };
        let mut end = from;
        while let Some(distance) = deleted(self.entries, end) {
            end += distance;
        }
        let mut at = from;
        while let Some(distance) = deleted(self.entries, at) {
            if let Some([written, ..]) = self.entries.get_mut(at) {
                *written = (end - at) as u64;
            }
            at += distance;
        }
        end.min(used)
    }

    /// Packs the entries that are not deleted. Gives their number.
    fn pack(&mut self, used: usize) -> usize {
        let mut to = 0;
        for from in 0..used {
            let Some(&entry) = self.entries.get(from) else { break };
            if entry[2] & DELETED == 0 {
                if let Some(place) = self.entries.get_mut(to) {
                    *place = entry;
                }
                to += 1;
            }
        }
        to
    }

    /// Makes the index of the first `used` entries anew.
    #[cfg_attr(not(small), inline(always))]
    fn index_all(&mut self, used: usize, hash: impl Fn(u64) -> u64) {
        self.index.fill(0);
        for (entry, &[key, ..]) in (1..).zip(self.entries.iter().take(used)) {
            let hash = hash(key);
            let mut place = (hash as u32 & self.mask) as usize;
            while let Some(held) = self.index.get_mut(place) {
                if *held == 0 {
                    *held = tag(hash, self.mask) | entry;
                    break;
                }
                place = (place + 1) & self.mask as usize;
            }
        }
    }
}

/// The bits of a hash that a place of an index holds.
#[cfg_attr(not(small), inline(always))]
const fn tag(hash: u64, mask: u32) -> u32 {
    (hash >> 32) as u32 & !mask
}

/// The sequence number of an entry, deleted or not.
const fn number(&[_, _, number]: &Entry) -> u64 {
    number & !DELETED
}

impl Heap {
    /// Makes an empty `imap` with room for `hint` entries, if they take less than half of what is free; any number will do.
    pub fn imap_new(&mut self, hint: i64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        self.new_map(Kind::IMap, hint, roots)
    }

    /// The value of a key; `None` if there is none.
    pub fn imap_get(&self, map: Cell, key: i64) -> Option<i64> {
        let parts = Parts::of(self.payload(map, Kind::IMap)?)?;
        match self.find(&parts, Kind::IMap, self.hash_key.word(key as u64), key as u64) {
            Probe::Found { entry, .. } => parts.entries.get(entry).map(|&[_, value, _]| value as i64),
            Probe::Vacant { .. } => None,
        }
    }

    /// Whether there is a value of a key.
    pub fn imap_has(&self, map: Cell, key: i64) -> bool {
        self.imap_get(map, key).is_some()
    }

    /// Sets the value of a key. May collect.
    pub fn imap_set(&mut self, map: Cell, key: i64, value: i64, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        let hash = self.hash_key.word(key as u64);
        self.set_entry(map, Kind::IMap, hash, [key as u64, value as u64], roots)
    }

    /// Deletes a key with its value. Whether it was there.
    pub fn imap_del(&mut self, map: Cell, key: i64) -> bool {
        self.delete_entry(map, Kind::IMap, self.hash_key.word(key as u64), key as u64)
    }

    /// The first entry from the cursor on, and the cursor behind it: key, value, cursor. `None` at the end, and for a
    /// negative cursor. Every cursor that is not negative will do: the entries of a map are numbered from 0 in the order in
    /// which they were added, and visited are those from number `cursor` on.
    pub fn imap_next(&mut self, map: Cell, cursor: i64) -> Option<(i64, i64, i64)> {
        let (key, value, cursor) = self.next_entry(map, Kind::IMap, cursor)?;
        Some((key as i64, value as i64, cursor))
    }

    /// As [`Heap::imap_new`], for a `map`.
    pub fn map_new(&mut self, hint: i64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        self.new_map(Kind::Map, hint, roots)
    }

    /// The value of a key; `None` if there is none.
    pub fn map_get(&self, map: Cell, key: Cell) -> Result<Option<Cell>, MapError> {
        let hash = self.hash_of(key).ok_or(MapError::KeyType)?;
        let Some(parts) = self.payload(map, Kind::Map).and_then(Parts::of) else { return Ok(None) };
        Ok(match self.find(&parts, Kind::Map, hash, key.bits()) {
            Probe::Found { entry, .. } => parts.entries.get(entry).map(|&[_, value, _]| Cell::from_slot(value)),
            Probe::Vacant { .. } => None,
        })
    }

    /// Whether there is a value of a key.
    pub fn map_has(&self, map: Cell, key: Cell) -> Result<bool, MapError> {
        self.map_get(map, key).map(|value| value.is_some())
    }

    /// Sets the value of a key. May collect: map, key and value have to be reachable from the roots.
    pub fn map_set(&mut self, map: Cell, key: Cell, value: Cell, roots: &mut dyn Roots) -> Result<(), MapError> {
        let hash = self.hash_of(key).ok_or(MapError::KeyType)?;
        Ok(self.set_entry(map, Kind::Map, hash, [key.bits(), value.bits()], roots)?)
    }

    /// Deletes a key with its value. Whether it was there.
    pub fn map_del(&mut self, map: Cell, key: Cell) -> Result<bool, MapError> {
        let hash = self.hash_of(key).ok_or(MapError::KeyType)?;
        Ok(self.delete_entry(map, Kind::Map, hash, key.bits()))
    }

    /// As [`Heap::imap_next`], for a `map`.
    pub fn map_next(&mut self, map: Cell, cursor: i64) -> Option<(Cell, Cell, i64)> {
        let (key, value, cursor) = self.next_entry(map, Kind::Map, cursor)?;
        Some((Cell::from_slot(key), Cell::from_slot(value), cursor))
    }

    fn new_map(&mut self, kind: Kind, hint: i64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        let free = self.words.saturating_sub(self.used());
        let wanted = u32::try_from(hint).unwrap_or(if hint < 0 { 0 } else { u32::MAX });
        let mut places = if wanted == 0 { 0 } else { LEAST_PLACES };
        while places != 0 && room(places) < wanted {
            places = if places < MOST_PLACES { places * 2 } else { 0 };
        }
        if words(places) > free / 2 {
            places = 0;
        }
        let map = self.allocate(kind, 0, words(places), roots)?;
        if let Some([counts, _, guess, ..]) = self.payload_mut(map, kind) {
            *counts = (room(places) as u64) << 32;
            *guess = (places.saturating_sub(1) as u64) << 32;
        }
        Ok(map)
    }

    /// The hash of a key of a `map`; `None` for what is no key.
    #[inline]
    fn hash_of(&self, key: Cell) -> Option<u64> {
        match key.content() {
            // A string is short exactly if it lies in its cell, and an integer boxed exactly if it does not fit in one; so
            // what is equal has equal words here.
            Some(Content::Null | Content::Bool(_) | Content::Int(_) | Content::Str(..)) => {
                Some(self.hash_key.word(key.bits()))
            }
            Some(Content::Float(_)) => None,
            None => match self.bytes(key, Kind::Str) {
                Some(bytes) => Some(self.hash_key.bytes(bytes)),
                None => self.record(key, Kind::Int).map(|record| self.hash_key.word(record.word)),
            },
        }
    }

    /// Whether two keys of a map are one.
    #[cfg_attr(not(small), inline(always))]
    fn is_same_key(&self, kind: Kind, x: u64, y: u64) -> bool {
        x == y || kind == Kind::Map && self.is_same_object(Cell::from_slot(x), Cell::from_slot(y))
    }

    fn is_same_object(&self, x: Cell, y: Cell) -> bool {
        if !x.is_handle() || !y.is_handle() {
            return false;
        }
        match (self.bytes(x, Kind::Str), self.bytes(y, Kind::Str)) {
            (Some(x), Some(y)) => x == y,
            (None, None) => match (self.record(x, Kind::Int), self.record(y, Kind::Int)) {
                (Some(x), Some(y)) => x.word == y.word,
                _ => false,
            },
            _ => false,
        }
    }

    #[cfg_attr(not(small), inline(always))]
    fn find(&self, parts: &Parts<'_>, kind: Kind, hash: u64, key: u64) -> Probe {
        parts.probe(hash, |held| self.is_same_key(kind, held, key))
    }

    #[cfg_attr(not(small), inline(always))]
    fn set_entry(
        &mut self,
        map: Cell,
        kind: Kind,
        hash: u64,
        [key, value]: [u64; 2],
        roots: &mut dyn Roots,
    ) -> Result<(), OutOfMemory> {
        for _ in 0..2 {
            let Some(payload) = self.payload_mut(map, kind) else { return Ok(()) };
            let payload = &raw mut *payload;
            // SAFETY: the payload is in place while nothing is allocated, and nothing else refers to it: what compares keys
            // reads records and the payloads of strings.
            let Some(mut parts) = PartsMut::of(unsafe { &mut *payload }) else { return Ok(()) };
            match self.find(&parts.read(), kind, hash, key) {
                Probe::Found { entry, .. } => {
                    if let Some([_, held, _]) = parts.entries.get_mut(entry) {
                        *held = value;
                    }
                    return Ok(());
                }
                Probe::Vacant { place } if parts.insert(place, hash, key, value) => {
                    if let Some(record) = self.record_mut(map, kind) {
                        record.len += 1;
                    }
                    return Ok(());
                }
                Probe::Vacant { .. } => self.make_room_in_map(map, kind, roots)?,
            }
        }
        Err(OutOfMemory)
    }

    fn delete_entry(&mut self, map: Cell, kind: Kind, hash: u64, key: u64) -> bool {
        let Some(parts) = self.payload(map, kind).and_then(Parts::of) else { return false };
        let used = parts.used();
        let Probe::Found { place, entry } = self.find(&parts, kind, hash, key) else { return false };
        if let Some(mut parts) = self.payload_mut(map, kind).and_then(PartsMut::of) {
            parts.delete(place, entry, used);
        }
        if let Some(record) = self.record_mut(map, kind) {
            record.len = record.len.saturating_sub(1);
        }
        true
    }

    #[cfg_attr(not(small), inline(always))]
    fn next_entry(&mut self, map: Cell, kind: Kind, cursor: i64) -> Option<(u64, u64, i64)> {
        let cursor = u64::try_from(cursor).ok()?;
        let parts = Parts::of(self.payload(map, kind)?)?;
        let (used, from) = (parts.used(), parts.position(cursor));
        let mut parts = PartsMut::of(self.payload_mut(map, kind)?)?;
        let at = parts.skip(from, used);
        if at >= used {
            return None;
        }
        let &[key, value, number] = parts.entries.get(at)?;
        parts.set_guess(at + 1);
        Some((key, value, number.wrapping_add(1) as i64))
    }

    /// Makes room for another entry: packs the entries where they are, if that frees a quarter of them, or doubles the room
    /// for them. On failure the map is as it was.
    #[cold]
    #[inline(never)]
    fn make_room_in_map(&mut self, map: Cell, kind: Kind, roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        let Some(live) = self.record(map, kind).map(|record| record.len) else { return Ok(()) };
        let Some(parts) = self.payload(map, kind).and_then(Parts::of) else { return Ok(()) };
        let (used, mask) = (parts.used(), parts.mask);
        let places = match mask {
            0 => LEAST_PLACES,
            _ if room(mask + 1).saturating_sub(live) >= room(mask + 1).div_ceil(4) => mask + 1,
            _ if mask < MOST_PLACES => (mask + 1) * 2,
            _ => return Err(OutOfMemory),
        };
        self.reserve(map, kind, words(places), roots)?;
        let Some(payload) = self.payload_mut(map, kind) else { return Ok(()) };
        let live = PartsMut::of(payload).map_or(0, |mut parts| parts.pack(used));
        if let [counts, _, guess, ..] = payload {
            *counts = live as u64 | (room(places) as u64) << 32;
            *guess = ((places - 1) as u64) << 32;
        }
        let payload = &raw mut *payload;
        // SAFETY: the payload is in place, and nothing else refers to it: what hashes keys reads records and the payloads of
        // strings.
        if let Some(mut parts) = PartsMut::of(unsafe { &mut *payload }) {
            let hash_key: Key = self.hash_key;
            if kind == Kind::IMap {
                parts.index_all(live, |key| hash_key.word(key));
            } else {
                parts.index_all(live, |key| self.hash_of(Cell::from_slot(key)).unwrap_or(0));
            }
        }
        Ok(())
    }
}
