//! The collector at its limits: depth, records that are used again and again, full heaps, speed.

use super::super::closure;
use super::super::{Heap, Kind, OutOfMemory};
use super::{Random, Space};
use crate::runtime::cell::Cell;
use std::thread;
use std::time::Instant;
use std::{vec, vec::Vec};

/// Runs a test on a stack of 64 KiB.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(64 * 1024).spawn(test).unwrap().join().unwrap();
}

/// An object of this kind that refers to `inner`.
fn nest(space: &mut Space, kind: Kind, inner: Cell) -> Result<Cell, OutOfMemory> {
    let (len, words) = match kind {
        Kind::List => (1, 1),
        Kind::Obj => (0, 4),
        Kind::Fn => (16, 3),
        _ => (0, 1),
    };
    if kind == Kind::Map {
        let map = space.heap.map_new(0, &mut space.roots)?;
        let held = core::mem::replace(&mut space.roots.cells, vec![map, inner]);
        space.heap.map_set(map, Cell::NULL, inner, &mut space.roots).map_err(|_| OutOfMemory)?;
        space.roots.cells = held;
        return Ok(map);
    }
    let outer = space.heap.allocate(kind, len, words, &mut space.roots)?;
    let payload = space.heap.payload_mut(outer, kind).unwrap();
    match kind {
        Kind::Obj => payload[3] = inner.bits(),
        Kind::Fn => (payload[0], payload[2]) = (closure::head(0, 2), inner.bits()),
        _ => payload[0] = inner.bits(),
    }
    Ok(outer)
}

#[test]
fn a_million_nested_lists_are_collected_in_fixed_memory() {
    on_a_small_stack(|| {
        // The words of a record, a header and the payload.
        for (kind, depth, each) in [
            (Kind::List, 1_000_000, 3 + 1),
            (Kind::Obj, 200_000, 3 + 4),
            (Kind::Fn, 200_000, 3 + 3),
            (Kind::Map, 200_000, 3 + 3 + 15 + 4),
        ] {
            // Garbage between them took records, too, that now lie free among theirs.
            let mut space = Space::new(depth * (each + 2));
            let mut top = Cell::NULL;
            let mut random = Random(1);
            for _ in 0..depth {
                space.roots.cells = vec![top];
                if random.below(2) == 0 {
                    space.list(1).unwrap();
                }
                top = nest(&mut space, kind, top).unwrap();
            }
            space.roots.cells = vec![top];
            assert!(space.heap.stats().collections > 0);
            space.collect();
            assert_eq!(space.heap.stats().live, (depth * (each - 2) * 8) as u64);
            let mut found = 0;
            while top != Cell::NULL {
                let payload = space.heap.payload(top, kind).unwrap();
                top = Cell::from_slot(match kind {
                    Kind::Obj => payload[3],
                    Kind::Fn => payload[2],
                    Kind::Map => payload[4],
                    _ => payload[0],
                });
                found += 1;
            }
            assert_eq!(found, depth);
            space.roots.cells.clear();
            space.collect();
            assert_eq!(space.heap.used(), 2);
        }
    });
}

#[test]
fn cycles_and_shared_objects_are_reached_once() {
    let mut space = Space::new(1 << 16);
    let list = space.list(0).unwrap();
    space.roots.cells.push(list);
    for _ in 0..1000 {
        space.push(list, Kind::List, list.bits()).unwrap();
    }
    let object = nest(&mut space, Kind::Obj, list).unwrap();
    space.push(list, Kind::List, object.bits()).unwrap();
    space.collect_exactly();
    assert_eq!(space.reachable().len(), 2);
    space.roots.cells.clear();
    space.collect_exactly();
    assert_eq!(space.reachable().len(), 0);
}

#[test]
fn random_graphs_are_reached_wholly_and_nothing_else() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let mut space = Space::new(1 << 18);
        // Each refers to some at random or, in the deep ones, mostly to the one made next.
        let deep = seed % 2 == 0;
        let cells: Vec<Cell> = (0..5000).map(|_| space.list(4).unwrap()).collect();
        for at in 0..cells.len() {
            for _ in 0..random.below(if deep { 3 } else { 4 }) {
                let to = if deep && random.below(20) != 0 { at + 1 } else { random.below(cells.len()) };
                let to = cells.get(to).copied().unwrap_or(Cell::NULL);
                space.push(cells[at], Kind::List, to.bits()).unwrap();
            }
        }
        space.roots.cells = (0..20).map(|_| cells[random.below(cells.len())]).collect();
        space.collect_exactly();
        assert!(space.reachable().len() > 20);
    }
}

#[test]
fn a_handle_of_what_is_gone_is_refused_until_its_record_has_been_used_4096_times() {
    let mut space = Space::new(100);
    // Record 2 stays, so that the table keeps record 1.
    let first = space.heap.int(i64::MAX, &mut space.roots).unwrap();
    let second = space.heap.int(i64::MIN, &mut space.roots).unwrap();
    assert_eq!((first.index(), second.index()), (1, 2));
    space.roots.cells.push(second);
    let mut stale = vec![first];
    for use_of_record in 1..4096 {
        space.heap.collect(false, &mut space.roots);
        let next = space.heap.int(i64::MAX, &mut space.roots).unwrap();
        assert_eq!(next.index(), 1);
        assert!(space.heap.is_live(next));
        assert!(stale.iter().all(|&old| old != next && !space.heap.is_live(old)), "use {use_of_record}");
        stale.push(next);
    }
    // All its generations have been used: another record is taken.
    space.heap.collect(false, &mut space.roots);
    space.heap.check();
    let next = space.heap.int(i64::MAX, &mut space.roots).unwrap();
    assert_eq!(next.index(), 3);
    assert!(!stale.iter().any(|&old| space.heap.is_live(old)));
    // So it stays.
    space.heap.collect(false, &mut space.roots);
    let next = space.heap.int(i64::MAX, &mut space.roots).unwrap();
    assert_eq!(next.index(), 3);
    assert!(!stale.iter().any(|&old| space.heap.is_live(old)));
    // Until everything is collected.
    space.collect();
    let next = space.heap.int(i64::MAX, &mut space.roots).unwrap();
    assert_eq!(next.index(), 1);
    space.heap.check();
}

#[test]
fn records_given_back_at_the_tables_end_come_with_new_generations() {
    let mut space = Space::new(1000);
    let mut stale: Vec<Cell> = Vec::new();
    for _ in 0..4000 {
        let cells: Vec<Cell> = (0..5).map(|_| space.heap.int(i64::MAX, &mut space.roots).unwrap()).collect();
        assert!(!stale.iter().any(|&old| space.heap.is_live(old)));
        stale.truncate(100);
        stale.extend(cells);
        space.collect();
        assert_eq!(space.heap.slots, 1);
    }
}

#[test]
fn a_heap_can_be_used_for_ever() {
    let mut space = Space::new(200);
    space.heap.set_stress(true);
    for _ in 0..200_000 {
        let list = space.list(3).expect("a heap without garbage");
        space.roots.cells = vec![list];
    }
    space.heap.check();
}

#[test]
fn room_once_used_for_records_serves_payloads_and_the_other_way_round() {
    let mut space = Space::new(10_000);
    for _ in 0..3 {
        while let Ok(cell) = space.heap.int(i64::MAX, &mut space.roots) {
            space.roots.cells.push(cell);
        }
        assert!(space.roots.cells.len() > 4900);
        space.roots.cells.clear();
        space.list(9_900).expect("room where records were");
        space.collect();
    }
}

#[test]
fn the_last_array_grows_where_it_is_into_all_that_is_free() {
    let mut space = Space::new(1000);
    let garbage = space.list(100).unwrap();
    let array = space.list(0).unwrap();
    space.roots.cells.push(array);
    assert!(space.heap.is_live(garbage));
    // Two records, the null record and the header are not for elements.
    for words in [800, 900, 1000 - 3 * 2 - 1] {
        assert_eq!(space.heap.reserve(array, Kind::List, words, &mut space.roots), Ok(()), "{words}");
        space.heap.check();
    }
    for words in [1000 - 6, 1000, usize::MAX / 8, usize::MAX] {
        assert_eq!(space.heap.reserve(array, Kind::List, words, &mut space.roots), Err(OutOfMemory));
        assert_eq!(space.heap.payload(array, Kind::List).unwrap().len(), 1000 - 7);
    }
    space.heap.check();
}

#[test]
fn sizes_at_the_edges_are_refused_or_served() {
    for size in 0..40 {
        let mut space = Space::new(size);
        for words in [0, 1, size, u32::MAX as usize, u32::MAX as usize + 1, usize::MAX - 1, usize::MAX] {
            let fits = size >= 2 + 2 + 1 + words.clamp(1, 100);
            assert_eq!(space.list(words).is_ok(), fits, "{words} of {size}");
            space.collect_exactly();
        }
        assert_eq!(space.heap.int(i64::MAX, &mut space.roots).is_ok(), size >= 4);
        space.collect_exactly();
    }
}

#[test]
fn roots_hold_and_let_go() {
    let mut space = Space::new(1 << 12);
    let list = space.list(1).unwrap();
    let root = space.heap.root(list, &mut space.roots).unwrap();
    let again = space.heap.root(list, &mut space.roots).unwrap();
    let text = space.heap.str(b"longer than five", &mut space.roots).unwrap();
    space.collect_exactly();
    assert!(space.heap.is_live(list) && !space.heap.is_live(text));
    assert_eq!(space.heap.rooted(root), Some(list));
    assert!(space.heap.unroot(root));
    space.collect_exactly();
    assert!(space.heap.is_live(list));
    assert_eq!(space.heap.rooted(root), None);
    assert!(!space.heap.unroot(root) && !space.heap.unroot(list) && !space.heap.unroot(Cell::NULL));
    assert!(space.heap.unroot(again));
    space.collect_exactly();
    assert!(!space.heap.is_live(list));
    // Roots are for the host alone.
    let root = space.heap.root(Cell::NULL, &mut space.roots).unwrap();
    assert!(!space.heap.is_live(root));
}

/// Marking and pauses. Run with `--ignored --nocapture` in release mode.
#[test]
#[ignore = "a measurement"]
fn speed_of_collections() {
    const OBJECTS: usize = 3_000_000;
    for (name, shuffled) in [("in order", false), ("shuffled", true)] {
        let mut space = Space::new(OBJECTS * 12);
        let all = space.list(OBJECTS).unwrap();
        space.roots.cells.push(all);
        let mut random = Random(3);
        let mut last = Cell::NULL;
        for _ in 0..OBJECTS {
            // Objects of four fields, one of them a reference to the one before.
            let object = nest(&mut space, Kind::Obj, last).unwrap();
            space.push(all, Kind::List, object.bits()).unwrap();
            last = object;
        }
        if shuffled {
            let words = space.heap.elements_mut(all, Kind::List).unwrap();
            for at in (1..words.len()).rev() {
                words.swap(at, random.below(at + 1));
            }
            let order = words.to_vec();
            for pair in order.windows(2) {
                space.heap.payload_mut(Cell::from_slot(pair[0]), Kind::Obj).unwrap()[3] = pair[1];
            }
        }
        let report = |what: &str, space: &mut Space| {
            let begin = Instant::now();
            Heap::collect(&mut space.heap, true, &mut space.roots);
            let pause = begin.elapsed();
            let live = space.heap.stats().live;
            std::println!(
                "{name}, {what}: {:.1} MB live, pause {:.1} ms, {:.0} MB/s",
                live as f64 / 1e6,
                pause.as_secs_f64() * 1e3,
                live as f64 / 1e6 / pause.as_secs_f64()
            );
        };
        report("all alive", &mut space);
        let words = space.heap.elements_mut(all, Kind::List).unwrap();
        let order = words.to_vec();
        words.iter_mut().step_by(2).for_each(|word| *word = Cell::NULL.bits());
        for &object in &order {
            space.heap.payload_mut(Cell::from_slot(object), Kind::Obj).unwrap()[3] = Cell::NULL.bits();
        }
        report("every second one dead", &mut space);
        report("again", &mut space);
        space.roots.cells.clear();
        report("all dead", &mut space);
    }
}
