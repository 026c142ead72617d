//! Maps against models in std collections, and their hashes against std's.

use super::super::map::MapError;
use super::super::sip::{Key, hash};
use super::super::{Heap, Kind, OutOfMemory};
use super::{Random, Space};
use crate::runtime::cell::Cell;
use core::hash::{BuildHasher, Hasher};
use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::time::{Duration, Instant};
use std::{format, vec, vec::Vec};

#[test]
fn siphash_1_3_is_that_of_std_and_the_key_is_used_as_in_siphash_2_4() {
    let mut random = Random(1);
    for len in 0..200 {
        let bytes: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        assert_eq!(hash::<1, 3>(Key(0, 0), &bytes), hasher.finish(), "{bytes:?}");
        let (k0, k1) = (random.bits(), random.bits());
        #[allow(deprecated, reason = "the one keyed SipHash that core has")]
        let mut hasher = core::hash::SipHasher::new_with_keys(k0, k1);
        hasher.write(&bytes);
        assert_eq!(hash::<2, 4>(Key(k0, k1), &bytes), hasher.finish(), "{bytes:?}");
        assert_eq!(Key(k0, k1).bytes(&bytes), hash::<1, 3>(Key(k0, k1), &bytes));
        assert_eq!(Key(k0, k1).word(k0), hash::<1, 3>(Key(k0, k1), &k0.to_le_bytes()));
    }
}

#[test]
fn the_key_is_the_seed_and_the_next_number_of_splitmix64() {
    // The numbers for the seed 1234567, as commonly given for SplitMix64: 6457827717110365317, 3203168211198807973.
    let Key(first, second) = Key::from_seed(1_234_567);
    assert_eq!((first, second), (1_234_567, 6_457_827_717_110_365_317));
    assert_eq!(Key::from_seed(1_234_567_u64.wrapping_add(0x9E37_79B9_7F4A_7C15)).1, 3_203_168_211_198_807_973);
}

impl Heap {
    /// Sees that a map's entries and index agree.
    pub(super) fn check_map(&self, map: Cell, kind: Kind) {
        let words = self.payload(map, kind).unwrap();
        let (used, room) = (words[0] as u32 as usize, (words[0] >> 32) as usize);
        let places = if words[2] >> 32 == 0 { 0 } else { (words[2] >> 32) as usize + 1 };
        assert!(used <= room);
        assert!(places == 0 || places.is_power_of_two() && room < places - 1);
        assert!(words.len() >= 3 + 3 * room + places / 2);
        let index: Vec<u32> =
            words[3 + 3 * room..].iter().flat_map(|&word| [word as u32, (word >> 32) as u32]).take(places).collect();
        let mask = places.wrapping_sub(1) as u32;
        let (mut live, mut next) = (0, 0);
        for at in 0..used {
            let &[key, value, number] = &words[3 + 3 * at..6 + 3 * at] else { unreachable!() };
            let deleted = number >> 63 != 0;
            let number = number << 1 >> 1;
            assert!(number >= next && number < words[1]);
            next = number + 1;
            let places: Vec<usize> = (0..places)
                .filter(|&place| index[place] != 0 && index[place] != mask && index[place] & mask == at as u32 + 1)
                .collect();
            assert_eq!(places.len(), usize::from(!deleted), "places of entry {at}");
            if deleted {
                assert!(value == 0 && key >= 1 && at + key as usize <= used);
                assert!((at..at + key as usize).all(|at| words[5 + 3 * at] >> 63 != 0));
            } else {
                live += 1;
                match kind {
                    Kind::IMap => assert_eq!(self.imap_get(map, key as i64), Some(value as i64)),
                    _ => assert_eq!(
                        self.map_get(map, Cell::from_slot(key)),
                        Ok(Some(Cell::from_slot(value))),
                        "entry {at}"
                    ),
                }
            }
        }
        assert!(index.iter().filter(|&&place| place != 0).count() <= used);
        assert_eq!(live, self.record(map, kind).unwrap().len);
    }
}

/// What a map should hold: entries in the order of their insertion, `None` for those deleted. So the place of an entry is
/// its number.
struct Model<K> {
    entries: Vec<Option<(K, i64)>>,
    places: HashMap<K, usize>,
}

impl<K: Clone + Eq + core::hash::Hash> Model<K> {
    fn new() -> Self {
        Self { entries: Vec::new(), places: HashMap::new() }
    }

    fn get(&self, key: &K) -> Option<i64> {
        self.places.get(key).map(|&place| self.entries[place].as_ref().unwrap().1)
    }

    fn set(&mut self, key: K, value: i64) {
        let place = *self.places.entry(key.clone()).or_insert_with(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        let key = self.entries[place].take().map_or(key, |(key, _)| key);
        self.entries[place] = Some((key, value));
    }

    fn del(&mut self, key: &K) -> bool {
        self.places.remove(key).map(|place| self.entries[place] = None).is_some()
    }

    fn next(&self, cursor: i64) -> Option<(K, i64, i64)> {
        let from = usize::try_from(cursor).ok()?;
        let (place, entry) = (self.entries.iter().enumerate().skip(from)).find(|(_, entry)| entry.is_some())?;
        let (key, value) = entry.clone().unwrap();
        Some((key, value, place as i64 + 1))
    }
}

/// Cursors at which a guest may ask: those that a map gave, and any others.
fn some_cursor(random: &mut Random, placed: usize) -> i64 {
    match random.below(10) {
        0 => random.bits() as i64,
        1 => [i64::MIN, -1, 0, i64::MAX][random.below(4)],
        _ => random.below(placed + 2) as i64,
    }
}

#[test]
fn imap_is_its_model() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut space = Space::new(1 << 16);
        space.heap.set_stress(seed % 2 == 0);
        let map = space.heap.imap_new([0, 1, 5, 6, 1000, -1, i64::MAX][random.below(7)], &mut space.roots).unwrap();
        space.roots.cells.push(map);
        let mut model = Model::new();
        let mut cursor = 0;
        let keys = [3, 30, 300, 3000][random.below(4)];
        // How many in a hundred operations set and delete, for some time each.
        let mut mix = (50, 25);
        for step in 0..6000 {
            if step % 500 == 0 {
                mix = [(50, 25), (90, 5), (5, 90), (45, 45)][random.below(4)];
            }
            let mut key = random.below(keys) as i64;
            key = [key, key << 32, -key, i64::MAX - key][key as usize % 4];
            match random.below(100) {
                kind if kind < mix.0 => {
                    let value = random.bits() as i64;
                    space.heap.imap_set(map, key, value, &mut space.roots).unwrap();
                    model.set(key, value);
                }
                kind if kind < mix.0 + mix.1 => assert_eq!(space.heap.imap_del(map, key), model.del(&key)),
                kind if kind % 3 == 0 => {
                    assert_eq!(space.heap.imap_get(map, key), model.get(&key));
                    assert_eq!(space.heap.imap_has(map, key), model.get(&key).is_some());
                }
                kind => {
                    if kind % 3 == 1 {
                        cursor = some_cursor(&mut random, model.entries.len());
                    }
                    let found = space.heap.imap_next(map, cursor);
                    assert_eq!(found, model.next(cursor), "from {cursor}");
                    cursor = found.map_or(-1, |(.., cursor)| cursor);
                }
            }
            assert_eq!(space.heap.record(map, Kind::IMap).unwrap().len as usize, model.places.len());
            if step % 100 == 0 {
                space.heap.check_map(map, Kind::IMap);
            }
        }
        space.collect_exactly();
        let mut cursor = 0;
        let mut all = Vec::new();
        while let Some((key, value, next)) = space.heap.imap_next(map, cursor) {
            all.push((key, value));
            cursor = next;
        }
        assert_eq!(all, model.entries.into_iter().flatten().collect::<Vec<_>>());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum MapKey {
    Null,
    Bool(bool),
    Int(i64),
    Str(Vec<u8>),
}

impl MapKey {
    fn random(random: &mut Random, keys: usize) -> Self {
        let number = random.below(keys);
        match number % 6 {
            0 => Self::Int(number as i64),
            1 => Self::Int((number as i64) << 50),
            2 => Self::Str(format!("{number}").into_bytes()),
            3 => Self::Str(format!("the key {number}").into_bytes()),
            4 => [Self::Null, Self::Bool(true), Self::Bool(false), Self::Str(vec![])][number % 4].clone(),
            _ => Self::Str(vec![b'x'; number % 100]),
        }
    }

    /// A cell of it, with an object of its own.
    fn cell(&self, space: &mut Space) -> Cell {
        match self {
            Self::Null => Cell::NULL,
            &Self::Bool(value) => Cell::bool(value),
            &Self::Int(value) => space.heap.int(value, &mut space.roots).unwrap(),
            Self::Str(bytes) => space.heap.str(bytes, &mut space.roots).unwrap(),
        }
    }

    fn of(cell: Cell, space: &Space) -> Self {
        use crate::runtime::cell::Content;
        match cell.content() {
            Some(Content::Null) => Self::Null,
            Some(Content::Bool(value)) => Self::Bool(value),
            Some(Content::Int(value)) => Self::Int(value),
            Some(Content::Str(bytes, len)) => Self::Str(bytes[..len].to_vec()),
            Some(Content::Float(_)) => unreachable!(),
            None => match space.heap.record(cell, Kind::Int) {
                Some(record) => Self::Int(record.word as i64),
                None => Self::Str(space.heap.bytes(cell, Kind::Str).unwrap().to_vec()),
            },
        }
    }
}

#[test]
fn map_is_its_model() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut space = Space::new(1 << 16);
        space.heap.set_stress(seed % 2 == 0);
        let map = space.heap.map_new(random.below(10) as i64, &mut space.roots).unwrap();
        let mut model = Model::new();
        let mut cursor = 0;
        let keys = [6, 60, 600][random.below(3)];
        for step in 0..3000 {
            let key = MapKey::random(&mut random, keys);
            space.roots.cells = vec![map];
            let cell = key.cell(&mut space);
            space.roots.cells.push(cell);
            match random.below(100) {
                0..50 => {
                    // Boxed, so that it has to be found in the map.
                    let value = i64::MIN + step;
                    let boxed = space.heap.int(value, &mut space.roots).unwrap();
                    space.roots.cells.push(boxed);
                    space.heap.map_set(map, cell, boxed, &mut space.roots).unwrap();
                    model.set(key, value);
                }
                50..75 => assert_eq!(space.heap.map_del(map, cell), Ok(model.del(&key))),
                75..90 => {
                    let value = space.heap.map_get(map, cell).unwrap();
                    let value = value.map(|value| space.heap.record(value, Kind::Int).unwrap().word as i64);
                    assert_eq!(value, model.get(&key));
                    assert_eq!(space.heap.map_has(map, cell), Ok(value.is_some()));
                }
                kind => {
                    if kind % 2 == 0 {
                        cursor = some_cursor(&mut random, model.entries.len());
                    }
                    let found = space.heap.map_next(map, cursor).map(|(key, value, cursor)| {
                        let value = space.heap.record(value, Kind::Int).unwrap().word as i64;
                        (MapKey::of(key, &space), value, cursor)
                    });
                    assert_eq!(found, model.next(cursor), "from {cursor}");
                    cursor = found.map_or(-1, |(.., cursor)| cursor);
                }
            }
            assert_eq!(space.heap.record(map, Kind::Map).unwrap().len as usize, model.places.len());
            if step % 100 == 0 {
                space.heap.check_map(map, Kind::Map);
            }
        }
        space.roots.cells = vec![map];
        space.collect_exactly();
    }
}

#[test]
fn floats_and_objects_are_no_keys() {
    let mut space = Space::new(4096);
    let map = space.heap.map_new(0, &mut space.roots).unwrap();
    let list = space.list(1).unwrap();
    space.roots.cells = vec![map, list];
    for key in [Cell::float(1.0), Cell::float(f64::NAN), Cell::float(0.0), Cell::float(-f64::INFINITY), list, map] {
        assert_eq!(space.heap.map_get(map, key), Err(MapError::KeyType));
        assert_eq!(space.heap.map_has(map, key), Err(MapError::KeyType));
        assert_eq!(space.heap.map_del(map, key), Err(MapError::KeyType));
        assert_eq!(space.heap.map_set(map, key, Cell::NULL, &mut space.roots), Err(MapError::KeyType));
    }
    assert_eq!(space.heap.map_next(map, 0), None);
}

#[test]
fn a_map_that_cannot_grow_is_as_it_was() {
    for (words, stress) in (4..200).flat_map(|words| [(words, false), (words, true)]) {
        let mut space = Space::new(words);
        space.heap.set_stress(stress);
        let Ok(map) = space.heap.imap_new(3, &mut space.roots) else { continue };
        space.roots.cells.push(map);
        let mut keys = 0;
        while space.heap.imap_set(map, keys, -keys, &mut space.roots).is_ok() {
            keys += 1;
        }
        for again in 0..2 {
            assert_eq!(space.heap.imap_set(map, keys, 0, &mut space.roots), Err(OutOfMemory), "{again}");
            space.heap.check();
            assert_eq!(space.heap.record(map, Kind::IMap).unwrap().len as i64, keys);
            assert!((0..keys).all(|key| space.heap.imap_get(map, key) == Some(-key)));
            assert_eq!(space.heap.imap_get(map, keys), None);
        }
        // What is deleted makes room.
        if keys > 0 {
            (0..keys).for_each(|key| assert!(space.heap.imap_del(map, key)));
            assert_eq!(space.heap.imap_set(map, 7, 8, &mut space.roots), Ok(()));
            assert_eq!(space.heap.imap_next(map, 0), Some((7, 8, keys + 1)));
            space.heap.check();
        }
    }
}

#[test]
fn a_queue_stays_small() {
    let mut space = Space::new(200);
    let map = space.heap.imap_new(0, &mut space.roots).unwrap();
    space.roots.cells.push(map);
    for step in 0..200_000 {
        space.heap.imap_set(map, step, step, &mut space.roots).unwrap();
        if step >= 10 {
            assert_eq!(space.heap.imap_next(map, 0), Some((step - 10, step - 10, step - 9)));
            assert!(space.heap.imap_del(map, step - 10));
        }
    }
}

/// Each of these takes seconds at most if every step takes constant time on average, and hours if a step takes time in
/// proportion to the map.
#[test]
fn what_was_deleted_costs_nothing_afterwards() {
    const KEYS: i64 = 300_000;
    let begin = Instant::now();
    let filled = || {
        let mut space = Space::new(1 << 22);
        let map = space.heap.imap_new(0, &mut space.roots).unwrap();
        space.roots.cells.push(map);
        (0..KEYS).for_each(|key| space.heap.imap_set(map, key, key, &mut space.roots).unwrap());
        (space, map)
    };
    // Oldest first, asking for the first one every time.
    let (mut space, map) = filled();
    for key in 0..KEYS {
        assert_eq!(space.heap.imap_next(map, 0), Some((key, key, key + 1)));
        assert!(space.heap.imap_del(map, key));
    }
    assert_eq!(space.heap.imap_next(map, 0), None);
    // In the middle, in both directions, asking at the start of the gap and in it.
    for down in [false, true] {
        let (mut space, map) = filled();
        for key in 1..KEYS - 1 {
            assert!(space.heap.imap_del(map, if down { KEYS - 1 - key } else { key }));
        }
        for cursor in 1..KEYS {
            assert_eq!(space.heap.imap_next(map, 1), Some((KEYS - 1, KEYS - 1, KEYS)));
            assert_eq!(space.heap.imap_next(map, cursor), Some((KEYS - 1, KEYS - 1, KEYS)));
        }
        // A queue in a map that was once large.
        for key in KEYS..3 * KEYS {
            space.heap.imap_set(map, key, key, &mut space.roots).unwrap();
            assert_eq!(space.heap.imap_next(map, 0).map(|(key, ..)| key), Some(0));
            assert!(space.heap.imap_del(map, key));
        }
        space.heap.check_counts(map);
    }
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

impl Heap {
    fn check_counts(&self, map: Cell) {
        let words = self.payload(map, Kind::IMap).unwrap();
        let used = words[0] as u32 as usize;
        let live = (0..used).filter(|at| words[5 + 3 * at] >> 63 == 0).count();
        assert_eq!(live, self.record(map, Kind::IMap).unwrap().len as usize);
    }
}

#[test]
fn cells_that_are_no_maps_are_refused() {
    let mut space = Space::new(4096);
    let map = space.heap.imap_new(0, &mut space.roots).unwrap();
    space.heap.imap_set(map, 1, 2, &mut space.roots).unwrap();
    let list = space.list(1).unwrap();
    space.roots.cells.push(list);
    space.collect();
    for cell in [map, list, Cell::NULL, Cell::TRUE, Cell::float(0.0)] {
        assert_eq!(space.heap.imap_get(cell, 1), None);
        assert!(!space.heap.imap_has(cell, 1));
        assert_eq!(space.heap.imap_set(cell, 1, 2, &mut space.roots), Ok(()));
        assert!(!space.heap.imap_del(cell, 1));
        assert_eq!(space.heap.imap_next(cell, 0), None);
        assert_eq!(space.heap.map_get(cell, Cell::NULL), Ok(None));
        assert_eq!(space.heap.map_next(cell, 0), None);
    }
}

/// Fill and sum beside std's map. Run with `--ignored --nocapture` in release mode.
#[test]
#[ignore = "a measurement"]
fn speed_beside_std() {
    for keys in [1_000_i64, 100_000, 1_000_000, 4_000_000] {
        let rounds = (4_000_000 / keys).max(1);
        let mut best = [Duration::MAX; 4];
        for _ in 0..3 {
            let begin = Instant::now();
            let mut sum = 0_i64;
            let mut filled = Duration::ZERO;
            for _ in 0..rounds {
                let begin = Instant::now();
                let mut map = HashMap::new();
                (0..keys).for_each(|key| {
                    map.insert(std::hint::black_box(key), key);
                });
                filled += begin.elapsed();
                sum += (0..keys).map(|key| map[&std::hint::black_box(key)]).sum::<i64>();
                std::hint::black_box(map.hasher().hash_one(1));
            }
            best[0] = best[0].min(filled);
            best[1] = best[1].min(begin.elapsed() - filled);
            let mut space = Space::new(1 << 26);
            let begin = Instant::now();
            let mut filled = Duration::ZERO;
            for _ in 0..rounds {
                let begin = Instant::now();
                let map = space.heap.imap_new(0, &mut space.roots).unwrap();
                space.roots.cells = vec![map];
                (0..keys).for_each(|key| {
                    space.heap.imap_set(map, std::hint::black_box(key), key, &mut space.roots).unwrap()
                });
                filled += begin.elapsed();
                sum -= (0..keys).map(|key| space.heap.imap_get(map, std::hint::black_box(key)).unwrap()).sum::<i64>();
            }
            best[2] = best[2].min(filled);
            best[3] = best[3].min(begin.elapsed() - filled);
            assert_eq!(sum, 0);
        }
        let each = best.map(|time| time.as_nanos() as f64 / (rounds * keys) as f64);
        std::println!(
            "{keys:>8} keys, ns each: std fill {:.1} get {:.1}, imap fill {:.1} get {:.1}",
            each[0],
            each[1],
            each[2],
            each[3]
        );
    }
}
