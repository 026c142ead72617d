//! A random mutator on the heap, and the same on values of std: what can be reached from the roots must be equal, whatever
//! was collected, and wherever memory ran out.

use super::super::closure;
use super::super::map::MapError;
use super::super::{Kind, OutOfMemory};
use super::{Random, Space};
use crate::runtime::cell::{Cell, Content};
use std::collections::HashSet;
use std::{vec, vec::Vec};

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Vec<u8>),
    /// An object, by its place in [`World::objects`].
    Object(usize),
}

impl Value {
    fn is_key(&self) -> bool {
        !matches!(self, Self::Float(_) | Self::Object(_))
    }
}

#[derive(Debug)]
enum Data {
    List(Vec<Value>),
    I64(Vec<i64>),
    F64(Vec<f64>),
    U8(Vec<u8>),
    IMap(Vec<(i64, i64)>),
    Map(Vec<(Value, Value)>),
    P { number: i64, any: Value, float: f64, next: Value },
    Empty,
    Fn { number: i64, s: Value, float: f64, list: Value, bound: u16 },
}

const REGISTERS: usize = 60;
/// Of these: those that numbers and strings go to.
const SCALARS: usize = 12;

struct World {
    space: Space,
    random: Random,
    objects: Vec<(Cell, Data)>,
    /// What the first roots hold.
    registers: Vec<Value>,
    /// The cells of the host's roots, and what they hold.
    held: Vec<(Cell, Value)>,
    /// How often memory ran out.
    failures: usize,
}

impl World {
    fn new(words: usize, seed: u64) -> Self {
        let mut space = Space::new(words);
        space.roots.cells = vec![Cell::NULL; REGISTERS];
        let registers = vec![Value::Null; REGISTERS];
        Self { space, random: Random(seed), objects: Vec::new(), registers, held: Vec::new(), failures: 0 }
    }

    fn put(&mut self, register: usize, cell: Cell, value: Value) {
        self.space.roots.cells[register] = cell;
        self.registers[register] = value;
    }

    fn get(&self, register: usize) -> (Cell, Value) {
        (self.space.roots.cells[register], self.registers[register].clone())
    }

    /// Does something at random.
    fn step(&mut self) {
        if self.try_step().is_err() {
            self.failures += 1;
            let register = self.random.below(REGISTERS);
            self.put(register, Cell::NULL, Value::Null);
        }
    }

    fn try_step(&mut self) -> Result<(), OutOfMemory> {
        let choice = self.random.below(20);
        let register = self.random.below(if choice < 4 { SCALARS } else { REGISTERS });
        let space = &mut self.space;
        match choice {
            0 => {
                let (cell, value) = match self.random.below(4) {
                    0 => (Cell::NULL, Value::Null),
                    1 => (Cell::TRUE, Value::Bool(true)),
                    2 => (Cell::float(1.5), Value::Float(1.5)),
                    _ => (Cell::int(-7).unwrap(), Value::Int(-7)),
                };
                self.put(register, cell, value);
            }
            1 => {
                let value = self.random.bits() as i64 >> self.random.below(64);
                let cell = space.heap.int(value, &mut space.roots)?;
                self.put(register, cell, Value::Int(value));
            }
            2 | 3 => {
                let len = [3, 5, 6, 8, 9, 40, 400][self.random.below(7)];
                let bytes: Vec<u8> = (0..len).map(|_| self.random.below(3) as u8).collect();
                let cell = space.heap.str(&bytes, &mut space.roots)?;
                self.put(register, cell, Value::Str(bytes));
            }
            4 | 5 => self.make(register)?,
            6..15 => self.store(register)?,
            15 | 16 => self.load(register),
            17 if self.held.len() < 8 => {
                let (cell, value) = self.get(register);
                let root = self.space.heap.root(cell, &mut self.space.roots)?;
                self.held.push((root, value));
            }
            17 | 18 => {
                if !self.held.is_empty() {
                    let (root, value) = self.held.swap_remove(self.random.below(self.held.len()));
                    let cell = self.space.heap.rooted(root).unwrap();
                    assert!(self.space.heap.unroot(root));
                    assert!(!self.space.heap.unroot(root));
                    assert_eq!(self.space.heap.rooted(root), None);
                    self.put(register, cell, value);
                }
            }
            _ => {
                let all = self.random.below(4) == 0;
                if self.random.below(4) == 0 {
                    space.heap.collect(all, &mut space.roots);
                }
            }
        }
        Ok(())
    }

    /// Makes an object, whose contents are from registers.
    fn make(&mut self, register: usize) -> Result<(), OutOfMemory> {
        let capacity = [0, 1, 4, 30, 200][self.random.below(5)];
        let ((first, first_value), (second, second_value)) =
            (self.get((register + capacity + 1) % REGISTERS), self.get(register));
        let space = &mut self.space;
        let mut new = |kind, len, words| space.heap.allocate(kind, len, words, &mut space.roots);
        let (cell, data) = match self.random.below(9) {
            0 | 1 => (new(Kind::List, 0, capacity)?, Data::List(vec![])),
            2 => (new(Kind::ArrI64, 0, capacity)?, Data::I64(vec![])),
            3 => (new(Kind::ArrF64, 3, capacity.max(3))?, Data::F64(vec![0.0; 3])),
            4 => (new(Kind::ArrU8, 0, capacity)?, Data::U8(vec![])),
            5 => (space.heap.imap_new(capacity as i64, &mut space.roots)?, Data::IMap(vec![])),
            6 => (space.heap.map_new(capacity as i64, &mut space.roots)?, Data::Map(vec![])),
            7 => {
                let empty = self.random.below(4) == 0;
                let cell = new(Kind::Obj, u32::from(empty), if empty { 0 } else { 4 })?;
                let data = Data::P { number: 0, any: first_value, float: 0.0, next: second_value };
                if !empty {
                    let fields = space.heap.payload_mut(cell, Kind::Obj).unwrap();
                    (fields[1], fields[3]) = (first.bits(), second.bits());
                }
                (cell, if empty { Data::Empty } else { data })
            }
            _ => {
                let bound = self.random.below(5) as u16;
                let cell = new(Kind::Fn, 16, 1 + usize::from(bound))?;
                // A number that would be the null object's handle, were it a cell.
                let number = 0xFFFF_5000_0000_0000_u64 as i64;
                let words = space.heap.payload_mut(cell, Kind::Fn).unwrap();
                words[0] = closure::head(0, bound);
                for (word, bits) in words[1..].iter_mut().zip([number as u64, first.bits(), 0, second.bits()]) {
                    *word = bits;
                }
                (cell, Data::Fn { number, s: first_value, float: 0.0, list: second_value, bound })
            }
        };
        self.objects.push((cell, data));
        self.put(register, cell, Value::Object(self.objects.len() - 1));
        Ok(())
    }

    /// Changes the object in a register, if there is one.
    fn store(&mut self, register: usize) -> Result<(), OutOfMemory> {
        let (object, Value::Object(place)) = self.get(register) else { return Ok(()) };
        let (first, second) = (self.random.below(REGISTERS), self.random.below(REGISTERS));
        let ((key, key_value), (cell, value)) = (self.get(first), self.get(second));
        let bits = self.random.bits();
        let count = [1, 1, 3, 50][self.random.below(4)];
        let choice = self.random.below(4);
        let space = &mut self.space;
        match &mut self.objects[place].1 {
            Data::List(values) if choice == 0 && !values.is_empty() => {
                let at = bits as usize % values.len();
                space.heap.elements_mut(object, Kind::List).unwrap()[at] = cell.bits();
                values[at] = value;
            }
            Data::List(values) if choice == 1 && !values.is_empty() => {
                space.heap.record_mut(object, Kind::List).unwrap().len -= 1;
                values.pop();
            }
            Data::List(values) => {
                for _ in 0..count {
                    space.push(object, Kind::List, cell.bits())?;
                    values.push(value.clone());
                }
            }
            Data::I64(values) => {
                for _ in 0..count {
                    space.push(object, Kind::ArrI64, bits)?;
                    values.push(bits as i64);
                }
            }
            Data::F64(values) => {
                for _ in 0..count {
                    space.push(object, Kind::ArrF64, 1.5_f64.to_bits())?;
                    values.push(1.5);
                }
            }
            Data::U8(values) => {
                for _ in 0..count * 8 {
                    space.push(object, Kind::ArrU8, bits)?;
                    values.push(bits as u8);
                }
            }
            Data::IMap(entries) => {
                for key in (bits as i64 % 64..).step_by(7).take(count) {
                    let old = entries.iter().position(|entry| entry.0 == key);
                    if choice == 0 {
                        assert_eq!(space.heap.imap_del(object, key), old.is_some());
                        old.map(|old| entries.remove(old));
                    } else {
                        space.heap.imap_set(object, key, bits as i64, &mut space.roots)?;
                        match old {
                            Some(old) => entries[old].1 = bits as i64,
                            None => entries.push((key, bits as i64)),
                        }
                    }
                }
            }
            Data::Map(_) if !key_value.is_key() => {
                assert_eq!(space.heap.map_set(object, key, cell, &mut space.roots), Err(MapError::KeyType));
            }
            Data::Map(entries) => {
                let old = entries.iter().position(|entry| entry.0 == key_value);
                if choice == 0 {
                    assert_eq!(space.heap.map_del(object, key), Ok(old.is_some()));
                    old.map(|old| entries.remove(old));
                } else {
                    space.heap.map_set(object, key, cell, &mut space.roots).map_err(|_| OutOfMemory)?;
                    match old {
                        Some(old) => entries[old].1 = value,
                        None => entries.push((key_value, value)),
                    }
                }
            }
            Data::P { number, any, float, next } => {
                let fields = space.heap.payload_mut(object, Kind::Obj).unwrap();
                fields.copy_from_slice(&[bits, cell.bits(), 2.5_f64.to_bits(), key.bits()]);
                (*number, *any, *float, *next) = (bits as i64, value, 2.5, key_value);
            }
            Data::Empty | Data::Fn { .. } => {}
        }
        Ok(())
    }

    /// Loads what the object in a register holds into it.
    fn load(&mut self, register: usize) {
        let (object, Value::Object(place)) = self.get(register) else { return };
        let at = self.random.below(100);
        let heap = &mut self.space.heap;
        let (cell, value) = match &self.objects[place].1 {
            Data::List(values) if !values.is_empty() => {
                let at = at % values.len();
                (Cell::from_slot(heap.elements(object, Kind::List).unwrap()[at]), values[at].clone())
            }
            Data::Map(entries) if !entries.is_empty() => {
                let (key, value, _) = heap.map_next(object, 0).unwrap();
                if at.is_multiple_of(2) { (key, entries[0].0.clone()) } else { (value, entries[0].1.clone()) }
            }
            Data::P { any, next, .. } => {
                let fields = heap.payload(object, Kind::Obj).unwrap();
                let (bits, value) = if at.is_multiple_of(2) { (fields[1], any) } else { (fields[3], next) };
                (Cell::from_slot(bits), value.clone())
            }
            Data::Fn { s, bound: 2.., .. } => (Cell::from_slot(heap.payload(object, Kind::Fn).unwrap()[2]), s.clone()),
            _ => return,
        };
        self.put(register, cell, value);
    }

    /// Sees that a cell holds a value, and remembers which objects are still to be looked into.
    fn compare(&self, cell: Cell, value: &Value, left: &mut Vec<usize>) {
        let heap = &self.space.heap;
        let content = match cell.content() {
            None if heap.bytes(cell, Kind::Str).is_some() => Value::Str(heap.bytes(cell, Kind::Str).unwrap().to_vec()),
            None if heap.record(cell, Kind::Int).is_some() => {
                Value::Int(heap.record(cell, Kind::Int).unwrap().word as i64)
            }
            None => {
                let &Value::Object(place) = value else { panic!("{cell:?} where {value:?} should be") };
                assert_eq!(cell, self.objects[place].0);
                assert!(heap.is_live(cell));
                left.push(place);
                return;
            }
            Some(Content::Null) => Value::Null,
            Some(Content::Bool(value)) => Value::Bool(value),
            Some(Content::Int(value)) => Value::Int(value),
            Some(Content::Float(value)) => Value::Float(value),
            Some(Content::Str(bytes, len)) => Value::Str(bytes[..len].to_vec()),
        };
        assert_eq!(&content, value);
    }

    /// Sees that everything that can be reached is what it should be.
    fn verify(&mut self) {
        self.space.heap.check();
        let mut left = Vec::new();
        for (&cell, value) in self.space.roots.cells.iter().zip(&self.registers) {
            self.compare(cell, value, &mut left);
        }
        for (root, value) in &self.held {
            self.compare(self.space.heap.rooted(*root).unwrap(), value, &mut left);
        }
        let mut seen = HashSet::new();
        while let Some(place) = left.pop() {
            if seen.insert(place) {
                self.compare_object(place, &mut left);
            }
        }
    }

    fn compare_object(&mut self, place: usize, left: &mut Vec<usize>) {
        let object = self.objects[place].0;
        if let Data::Map(entries) = &self.objects[place].1 {
            let (mut cursor, mut found) = (0, Vec::new());
            while let Some((key, value, next)) = self.space.heap.map_next(object, cursor) {
                found.push((key, value));
                cursor = next;
            }
            assert_eq!(found.len(), entries.len());
            for (&(key, value), entry) in found.iter().zip(entries) {
                self.compare(key, &entry.0, left);
                self.compare(value, &entry.1, left);
                assert_eq!(self.space.heap.map_get(object, key), Ok(Some(value)));
            }
            return;
        }
        if let Data::IMap(entries) = &self.objects[place].1 {
            let (mut cursor, mut found) = (0, Vec::new());
            while let Some((key, value, next)) = self.space.heap.imap_next(object, cursor) {
                found.push((key, value));
                cursor = next;
            }
            assert_eq!(&found, entries);
            return;
        }
        let heap = &self.space.heap;
        match &self.objects[place].1 {
            Data::List(values) => {
                let words = heap.elements(object, Kind::List).unwrap();
                assert_eq!(words.len(), values.len());
                for (&bits, value) in words.iter().zip(values) {
                    self.compare(Cell::from_slot(bits), value, left);
                }
            }
            Data::I64(values) => {
                assert!(
                    heap.elements(object, Kind::ArrI64)
                        .unwrap()
                        .iter()
                        .map(|&bits| bits as i64)
                        .eq(values.iter().copied())
                );
            }
            Data::F64(values) => {
                let words = heap.elements(object, Kind::ArrF64).unwrap();
                assert!(words.iter().map(|&bits| f64::from_bits(bits)).eq(values.iter().copied()));
            }
            Data::U8(values) => assert_eq!(heap.bytes(object, Kind::ArrU8).unwrap(), values),
            Data::P { number, any, float, next } => {
                let fields = heap.payload(object, Kind::Obj).unwrap();
                assert_eq!((fields[0], fields[2]), (*number as u64, float.to_bits()));
                self.compare(Cell::from_slot(fields[1]), any, left);
                self.compare(Cell::from_slot(fields[3]), next, left);
            }
            Data::Fn { number, s, float, list, bound } => {
                let words = heap.payload(object, Kind::Fn).unwrap();
                assert_eq!(closure::parts(words[0]), (0, *bound));
                let bound = usize::from(*bound);
                assert!(bound < 1 || words[1] == *number as u64);
                assert!(bound < 3 || words[3] == float.to_bits());
                if bound > 1 {
                    self.compare(Cell::from_slot(words[2]), s, left);
                }
                if bound > 3 {
                    self.compare(Cell::from_slot(words[4]), list, left);
                }
            }
            Data::Empty => assert_eq!(heap.record(object, Kind::Obj).unwrap().len, 1),
            Data::Map(_) | Data::IMap(_) => {}
        }
    }
}

#[test]
fn what_can_be_reached_stays_what_it_is() {
    let mut failures = 0;
    for seed in 0..200 {
        let stress = seed % 3 == 0;
        let mut world = World::new([1000, 1 << 12, 1 << 18][seed as usize % 5 % 3], seed);
        world.space.heap.set_stress(stress);
        for step in 0..10_000 {
            world.step();
            if step % 256 == 0 {
                world.verify();
            }
        }
        world.verify();
        world.space.collect_exactly();
        world.verify();
        failures += world.failures;
        // Without roots nothing is left.
        for (root, _) in core::mem::take(&mut world.held) {
            assert!(world.space.heap.unroot(root));
        }
        world.space.roots.cells.clear();
        world.space.collect_exactly();
        assert_eq!((world.space.heap.bump, world.space.heap.slots), (0, 1));
    }
    assert!(failures > 1000, "memory ran out {failures} times only");
}

#[test]
fn regions_of_all_sizes_are_used_and_not_left() {
    for words in (0..300).chain([1000, 3000]) {
        for seed in 0..3 {
            let mut world = World::new(words, seed);
            world.space.heap.set_stress(seed == 2);
            for step in 0..300 {
                world.step();
                if step % 20 == 0 {
                    world.verify();
                }
            }
            world.verify();
            world.space.collect_exactly();
        }
    }
}

#[test]
fn wherever_memory_runs_out_everything_stays_what_it_is() {
    for seed in 0..20 {
        for allocations in 0.. {
            let mut world = World::new(1 << 18, seed);
            world.space.heap.set_fuse(Some(allocations));
            let mut after = None;
            for _ in 0..300 {
                world.step();
                if world.failures > 0 && after.is_none() {
                    world.verify();
                    world.space.heap.set_fuse(None);
                    after = Some(40);
                }
                match &mut after {
                    Some(0) => break,
                    Some(after) => *after -= 1,
                    None => {}
                }
            }
            world.verify();
            world.space.collect_exactly();
            world.verify();
            if world.failures == 0 {
                assert!(allocations > 50);
                break;
            }
        }
    }
}
