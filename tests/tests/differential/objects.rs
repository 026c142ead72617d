//! The evaluator's heap: plain Rust collections that are never collected, and what the heap ops do with them.

use crate::evaluate::Machine;
use crate::program::{Arg, Constant, SHAPES, Ty};
use opstamp::runtime::cell::Content;
use opstamp::vm3::op::Op;
use opstamp::{Cell, TrapKind};
use opstamp_tests::digest;
use opstamp_tests::dynamic::{self, Dyn};
use opstamp_tests::oracle::canonical;
use std::collections::HashMap;
use std::hash::Hash;

/// The high half of a cell that names an object of the evaluator, by its place. No cell of an engine has it.
const OBJECT: u64 = 0xFFF0_0001;

/// What one call may allocate, by the evaluator's own count; the heap of the engines is several times as large.
const MOST: usize = 1 << 20;

/// Lengths from here on are too long for the heap of the engines, whatever the elements.
const TOO_LONG: i64 = 1 << 27;
/// Lengths up to here are none of a problem.
const SHORT: i64 = 1 << 15;

/// Entries in order of insertion: those that are deleted stay as `None`, so an entry's place is its number.
#[derive(Clone, Debug)]
pub struct Ordered<K, V> {
    entries: Vec<Option<(K, V)>>,
    places: HashMap<K, usize>,
}

impl<K: Hash + Eq + Clone, V: Copy> Ordered<K, V> {
    fn new() -> Self {
        Self { entries: Vec::new(), places: HashMap::new() }
    }

    fn get(&self, key: &K) -> Option<V> {
        let place = *self.places.get(key)?;
        self.entries[place].as_ref().map(|entry| entry.1)
    }

    fn set(&mut self, key: K, value: V) {
        if let Some(&place) = self.places.get(&key) {
            self.entries[place] = Some((key, value));
        } else {
            self.places.insert(key.clone(), self.entries.len());
            self.entries.push(Some((key, value)));
        }
    }

    fn delete(&mut self, key: &K) -> bool {
        let place = self.places.remove(key);
        place.is_some_and(|place| self.entries[place].take().is_some())
    }

    /// The first entry from number `cursor` on, and the number behind it.
    fn next(&self, cursor: i64) -> Option<(K, V, i64)> {
        let from = usize::try_from(cursor).ok()?;
        let place = (from..self.entries.len()).find(|&place| self.entries[place].is_some())?;
        self.entries[place].clone().map(|(key, value)| (key, value, place as i64 + 1))
    }

    fn live(&self) -> impl Iterator<Item = &(K, V)> {
        self.entries.iter().flatten()
    }
}

/// What equal keys of a `map` have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Null,
    Bool(bool),
    Int(i64),
    Str(Vec<u8>),
}

#[derive(Clone, Debug)]
pub enum Object {
    Int(i64),
    Str(Vec<u8>),
    List(Vec<u64>),
    I64s(Vec<u64>),
    F64s(Vec<u64>),
    U8s(Vec<u64>),
    IMap(Ordered<i64, i64>),
    Map(Ordered<Key, u64>),
    /// The shape, and the fields.
    Obj(usize, Vec<u64>),
    /// The function, the bound arguments and the type.
    Closure(usize, Vec<u64>, usize),
}

/// A cell as ops see it.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Vec<u8>),
    /// An object of another kind, by its place.
    Object(usize),
}

type Outcome<T> = Result<T, TrapKind>;

const NULL: u64 = 0xFFFC_0000_0000_0000;

impl Machine<'_> {
    fn place(bits: u64) -> Option<usize> {
        (bits >> 32 == OBJECT).then_some(bits as u32 as usize)
    }

    fn object(&self, bits: u64) -> Outcome<&Object> {
        assert!(bits == NULL || Self::place(bits).is_some(), "{bits:#x} is no object");
        Self::place(bits).map(|place| &self.objects[place]).ok_or(TrapKind::NullReference)
    }

    fn object_mut(&mut self, bits: u64) -> Outcome<&mut Object> {
        Self::place(bits).map(|place| &mut self.objects[place]).ok_or(TrapKind::NullReference)
    }

    /// Counts memory; the call is given up when it takes too much.
    fn charge(&mut self, bytes: usize) {
        self.allocated += bytes;
        self.gives_up |= self.allocated > MOST;
    }

    fn make(&mut self, object: Object) -> u64 {
        let size = match &object {
            Object::Str(bytes) => bytes.len(),
            Object::List(items) | Object::I64s(items) | Object::F64s(items) | Object::U8s(items) => 8 * items.len(),
            _ => 0,
        };
        self.charge(64 + size);
        self.objects.push(object);
        OBJECT << 32 | (self.objects.len() as u64 - 1)
    }

    fn int(&mut self, value: i64) -> u64 {
        Cell::int(value).map_or_else(|| self.make(Object::Int(value)), Cell::bits)
    }

    fn string(&mut self, bytes: &[u8]) -> u64 {
        Cell::str(bytes).map_or_else(|| self.make(Object::Str(bytes.into())), Cell::bits)
    }

    /// The cell of a constant.
    pub fn constant(&mut self, constant: Constant) -> u64 {
        match constant {
            Constant::Bool(value) => Cell::bool(value).bits(),
            Constant::Int(value) => self.int(value),
            Constant::Float(value) => Cell::float(value).bits(),
            Constant::Str(bytes) => self.string(bytes),
        }
    }

    fn seen(&self, bits: u64) -> Seen {
        if let Some(place) = Self::place(bits) {
            return match &self.objects[place] {
                Object::Int(value) => Seen::Int(*value),
                Object::Str(bytes) => Seen::Str(bytes.clone()),
                _ => Seen::Object(place),
            };
        }
        match Cell::from_bits(bits).and_then(Cell::content).expect("a valid cell") {
            Content::Null => Seen::Null,
            Content::Bool(value) => Seen::Bool(value),
            Content::Int(value) => Seen::Int(value),
            Content::Float(value) => Seen::Float(value),
            Content::Str(bytes, len) => Seen::Str(bytes[..len].into()),
        }
    }

    fn kind(&self, bits: u64) -> i64 {
        match self.seen(bits) {
            Seen::Null => 0,
            Seen::Bool(_) => 1,
            Seen::Int(_) => 2,
            Seen::Float(_) => 3,
            Seen::Str(_) => 4,
            Seen::Object(place) => match &self.objects[place] {
                Object::Int(_) | Object::Str(_) => unreachable!("seen by value"),
                Object::List(_) => 5,
                Object::Map(_) => 6,
                Object::IMap(_) => 7,
                Object::I64s(_) => 8,
                Object::F64s(_) => 9,
                Object::U8s(_) => 10,
                Object::Obj(..) => 11,
                Object::Closure(..) => 12,
            },
        }
    }

    fn is_a(&self, bits: u64, ty: Ty) -> bool {
        let kind = self.kind(bits);
        kind == 0
            || match ty {
                Ty::Any => true,
                Ty::I64 | Ty::F64 => false,
                Ty::Str => kind == 4,
                Ty::List => kind == 5,
                Ty::Map => kind == 6,
                Ty::IMap => kind == 7,
                Ty::ArrI64 => kind == 8,
                Ty::ArrF64 => kind == 9,
                Ty::ArrU8 => kind == 10,
                Ty::Obj(shape) => {
                    kind == 11 && matches!(self.object(bits), Ok(Object::Obj(found, _)) if *found == shape)
                }
                Ty::Fn(ty) => {
                    kind == 12 && matches!(self.object(bits), Ok(Object::Closure(_, _, found)) if *found == ty)
                }
            }
    }

    fn text(&self, bits: u64) -> Outcome<Vec<u8>> {
        match self.seen(bits) {
            Seen::Null => Err(TrapKind::NullReference),
            Seen::Str(bytes) => Ok(bytes),
            other => unreachable!("{other:?} is no string"),
        }
    }

    fn key(&self, bits: u64) -> Outcome<Key> {
        match self.seen(bits) {
            Seen::Null => Ok(Key::Null),
            Seen::Bool(value) => Ok(Key::Bool(value)),
            Seen::Int(value) => Ok(Key::Int(value)),
            Seen::Str(bytes) => Ok(Key::Str(bytes)),
            Seen::Float(_) | Seen::Object(_) => Err(TrapKind::TypeMismatch),
        }
    }

    fn elements(&mut self, bits: u64) -> Outcome<&mut Vec<u64>> {
        match self.object_mut(bits)? {
            Object::List(items) | Object::I64s(items) | Object::F64s(items) | Object::U8s(items) => Ok(items),
            other => unreachable!("{other:?} is no array"),
        }
    }

    fn imap(&mut self, bits: u64) -> Outcome<&mut Ordered<i64, i64>> {
        match self.object_mut(bits)? {
            Object::IMap(map) => Ok(map),
            other => unreachable!("{other:?} is no imap"),
        }
    }

    fn map(&mut self, bits: u64) -> Outcome<&mut Ordered<Key, u64>> {
        match self.object_mut(bits)? {
            Object::Map(map) => Ok(map),
            other => unreachable!("{other:?} is no map"),
        }
    }

    /// The cell of a key that a map gives back.
    fn key_cell(&mut self, key: Key) -> u64 {
        match key {
            Key::Null => NULL,
            Key::Bool(value) => Cell::bool(value).bits(),
            Key::Int(value) => self.int(value),
            Key::Str(bytes) => self.string(&bytes),
        }
    }

    fn new_len(&mut self, len: i64, empty: u64) -> Outcome<Vec<u64>> {
        match len {
            ..0 => Err(TrapKind::OutOfBounds),
            TOO_LONG.. => Err(TrapKind::OutOfMemory),
            _ => {
                self.gives_up |= len > SHORT;
                Ok(vec![empty; len.min(SHORT) as usize])
            }
        }
    }

    fn as_dyn<'s>(seen: &'s Seen) -> Dyn<'s> {
        match seen {
            Seen::Null => Dyn::Null,
            Seen::Bool(value) => Dyn::Bool(*value),
            Seen::Int(value) => Dyn::Int(*value),
            Seen::Float(value) => Dyn::Float(*value),
            Seen::Str(bytes) => Dyn::Str(bytes),
            Seen::Object(place) => Dyn::Object(*place as i64),
        }
    }

    fn cell_of(&mut self, value: Dyn<'_>) -> u64 {
        match value {
            Dyn::Int(value) => self.int(value),
            Dyn::Float(value) => Cell::float(value).bits(),
            Dyn::Bool(value) => value.into(),
            other => unreachable!("no dynamic op gives {other:?}"),
        }
    }

    fn dynamic(&mut self, op: Op, x: u64, y: u64) -> Outcome<u64> {
        let (x, y) = (self.seen(x), self.seen(y));
        if let (Seen::Str(x), Seen::Str(y), Op::DynAdd) = (&x, &y, op) {
            let joined = [&x[..], &y[..]].concat();
            return Ok(self.string(&joined));
        }
        let value = dynamic::pair(op, Self::as_dyn(&x), Self::as_dyn(&y))?;
        Ok(self.cell_of(value))
    }

    fn same(&self, x: u64, y: u64) -> bool {
        match (self.seen(x), self.seen(y)) {
            (Seen::Float(x), Seen::Float(y)) => x.to_bits() == y.to_bits(),
            (x, y) => x == y,
        }
    }

    /// The field of an object by its name.
    fn property(&self, bits: u64, name: &str) -> Outcome<(usize, Ty, u64)> {
        let Seen::Object(place) = self.seen(bits) else {
            return Err(if bits == NULL { TrapKind::NullReference } else { TrapKind::TypeMismatch });
        };
        let Object::Obj(shape, fields) = &self.objects[place] else { return Err(TrapKind::TypeMismatch) };
        let at = SHAPES[*shape].1.iter().position(|field| field.0 == name).ok_or(TrapKind::TypeMismatch)?;
        Ok((at, SHAPES[*shape].1[at].1, fields[at]))
    }

    fn fields(&mut self, bits: u64) -> Outcome<&mut Vec<u64>> {
        match self.object_mut(bits)? {
            Object::Obj(_, fields) => Ok(fields),
            other => unreachable!("{other:?} is no object with fields"),
        }
    }

    /// A closure of a function with bound arguments.
    pub fn closure(&mut self, func: usize, bound: Vec<u64>, ty: usize) -> u64 {
        self.charge(8 * bound.len());
        self.make(Object::Closure(func, bound, ty))
    }

    /// What a closure calls.
    pub fn callee(&self, bits: u64) -> Outcome<(usize, Vec<u64>)> {
        match self.object(bits)? {
            Object::Closure(func, bound, _) => Ok((*func, bound.clone())),
            other => unreachable!("{other:?} is no closure"),
        }
    }

    /// Runs a heap op: the registers that it writes with their new bits, in order. `get` reads a register and `ty` gives
    /// its type.
    pub fn heap_op(
        &mut self,
        op: Op,
        args: &[Arg],
        get: &dyn Fn(u16) -> u64,
        ty: &dyn Fn(u16) -> Ty,
    ) -> Outcome<Vec<(u16, u64)>> {
        let slot = |at: usize| match args[at] {
            Arg::Reg(slot) => slot,
            other => unreachable!("{other:?} is no register"),
        };
        // A number from a register or a literal.
        let n = |at: usize| match args[at] {
            Arg::Reg(slot) => get(slot) as i64,
            Arg::Literal(value) => value.into(),
            other => unreachable!("{other:?} is no number"),
        };
        let r = |at: usize| get(slot(at));
        let field = |at: usize| match args[at] {
            Arg::Field(field, _) => field,
            other => unreachable!("{other:?} is no field"),
        };
        let name = |at: usize| match args[at] {
            Arg::Name(name) => name,
            other => unreachable!("{other:?} is no name"),
        };
        let to = |bits: u64| Ok(vec![(slot(0), bits)]);
        let index = |at: i64, len: usize| usize::try_from(at).ok().filter(|&at| at < len).ok_or(TrapKind::OutOfBounds);
        match op {
            Op::ArrI64New | Op::ArrI64NewK => to(self.make(Object::I64s(vec![]))),
            Op::ArrF64New | Op::ArrF64NewK => to(self.make(Object::F64s(vec![]))),
            Op::ArrU8New | Op::ArrU8NewK => to(self.make(Object::U8s(vec![]))),
            Op::ListNew | Op::ListNewK => to(self.make(Object::List(vec![]))),
            Op::ArrI64NewLen | Op::ArrI64NewLenK => {
                let items = self.new_len(n(1), 0)?;
                to(self.make(Object::I64s(items)))
            }
            Op::ArrF64NewLen | Op::ArrF64NewLenK => {
                let items = self.new_len(n(1), 0)?;
                to(self.make(Object::F64s(items)))
            }
            Op::ArrU8NewLen | Op::ArrU8NewLenK => {
                let items = self.new_len(n(1), 0)?;
                to(self.make(Object::U8s(items)))
            }
            Op::ListNewLen | Op::ListNewLenK => {
                let items = self.new_len(n(1), NULL)?;
                to(self.make(Object::List(items)))
            }
            Op::ArrI64Len | Op::ArrF64Len | Op::ArrU8Len | Op::ListLen => to(self.elements(r(1))?.len() as u64),
            Op::ArrI64Push | Op::ArrF64Push | Op::ArrU8Push | Op::ListPush => {
                let value = element(op, r(1));
                self.elements(r(0))?.push(value);
                self.charge(16);
                Ok(vec![])
            }
            Op::ArrI64Pop | Op::ArrF64Pop | Op::ArrU8Pop | Op::ListPop => {
                to(self.elements(r(1))?.pop().ok_or(TrapKind::OutOfBounds)?)
            }
            Op::ArrI64Get | Op::ArrF64Get | Op::ArrU8Get | Op::ListGet => {
                let items = self.elements(r(1))?;
                to(items[index(n(2), items.len())?])
            }
            Op::ArrI64Set | Op::ArrF64Set | Op::ArrU8Set | Op::ListSet => {
                let value = element(op, r(2));
                let items = self.elements(r(0))?;
                let at = index(n(1), items.len())?;
                items[at] = value;
                Ok(vec![])
            }
            Op::ArrI64Fill | Op::ArrF64Fill | Op::ArrU8Fill | Op::ListFill => {
                let value = element(op, r(1));
                self.elements(r(0))?.fill(value);
                Ok(vec![])
            }

            Op::IMapNew | Op::IMapNewK => to(self.make(Object::IMap(Ordered::new()))),
            Op::MapNew | Op::MapNewK => to(self.make(Object::Map(Ordered::new()))),
            Op::IMapLen => to(self.imap(r(1))?.places.len() as u64),
            Op::MapLen => to(self.map(r(1))?.places.len() as u64),
            Op::IMapGet => to(self.imap(r(1))?.get(&n(2)).unwrap_or(0) as u64),
            Op::IMapHas => to(self.imap(r(1))?.get(&n(2)).is_some().into()),
            Op::IMapSet => {
                self.imap(r(0))?.set(n(1), n(2));
                self.charge(64);
                Ok(vec![])
            }
            Op::IMapDel => to(self.imap(r(1))?.delete(&n(2)).into()),
            Op::IMapNext => match self.imap(r(2))?.next(n(3)) {
                Some((key, value, cursor)) => {
                    Ok(vec![(slot(0), key as u64), (slot(1), value as u64), (slot(3), cursor as u64)])
                }
                None => Ok(vec![(slot(3), -1i64 as u64)]),
            },
            Op::MapGet | Op::MapHas | Op::MapDel => {
                self.object(r(1))?;
                let key = self.key(r(2))?;
                let map = self.map(r(1))?;
                to(match op {
                    Op::MapGet => map.get(&key).unwrap_or(NULL),
                    Op::MapHas => map.get(&key).is_some().into(),
                    _ => map.delete(&key).into(),
                })
            }
            Op::MapSet => {
                self.object(r(0))?;
                let key = self.key(r(1))?;
                self.map(r(0))?.set(key, r(2));
                self.charge(64);
                Ok(vec![])
            }
            Op::MapNext => match self.map(r(2))?.next(n(3)) {
                Some((key, value, cursor)) => {
                    let key = self.key_cell(key);
                    Ok(vec![(slot(0), key), (slot(1), value), (slot(3), cursor as u64)])
                }
                None => Ok(vec![(slot(3), -1i64 as u64)]),
            },

            Op::StrLen => to(self.text(r(1))?.len() as u64),
            Op::StrByte => {
                let text = self.text(r(1))?;
                to(text[index(n(2), text.len())?].into())
            }
            Op::StrConcat => {
                let joined = [self.text(r(1))?, self.text(r(2))?].concat();
                to(self.string(&joined))
            }
            Op::StrEq => to((self.text(r(1))? == self.text(r(2))?).into()),
            Op::StrCmp => to(self.text(r(1))?.cmp(&self.text(r(2))?) as i64 as u64),
            Op::StrSlice => {
                let text = self.text(r(1))?;
                let range = usize::try_from(n(2)).ok().zip(usize::try_from(n(3)).ok());
                let part = range.and_then(|(from, to)| text.get(from..to)).ok_or(TrapKind::OutOfBounds)?;
                to(self.string(part))
            }
            Op::StrFromI64 => to(self.string(n(1).to_string().as_bytes())),
            Op::StrFromF64 => to(self.string(float_text(r(1)).as_bytes())),
            Op::StrToI64 => to(number(&self.text(r(1))?, false).ok_or(TrapKind::TypeMismatch)?),
            Op::StrToF64 => to(number(&self.text(r(1))?, true).ok_or(TrapKind::TypeMismatch)?),

            Op::ObjNew => {
                let Ty::Obj(shape) = ty(slot(0)) else { unreachable!("a register of an object") };
                let empty = |ty: Ty| if matches!(ty, Ty::I64 | Ty::F64) { 0 } else { NULL };
                let fields: Vec<_> = SHAPES[shape].1.iter().map(|field| empty(field.1)).collect();
                to(self.make(Object::Obj(shape, fields)))
            }
            Op::ObjGetI64 | Op::ObjGetF64 | Op::ObjGetCell => to(self.fields(r(1))?[field(2)]),
            Op::ObjSetI64 | Op::ObjSetF64 | Op::ObjSetCell => {
                self.fields(r(0))?[field(1)] = r(2);
                Ok(vec![])
            }
            Op::PropGet => {
                let (_, ty, bits) = self.property(r(1), name(2))?;
                to(match ty {
                    Ty::I64 => self.int(bits as i64),
                    Ty::F64 => canonical(bits),
                    _ => bits,
                })
            }
            Op::PropSet => {
                let (at, ty, _) = self.property(r(0), name(1))?;
                let value = match (ty, self.seen(r(2))) {
                    (Ty::I64, Seen::Int(value)) => value as u64,
                    (Ty::F64, Seen::Float(value)) => value.to_bits(),
                    (Ty::I64 | Ty::F64, _) => return Err(TrapKind::TypeMismatch),
                    (ty, _) if self.is_a(r(2), ty) => r(2),
                    _ => return Err(TrapKind::TypeMismatch),
                };
                self.fields(r(0))?[at] = value;
                Ok(vec![])
            }

            Op::BoxI64 => to(self.int(n(1))),
            Op::BoxF64 => to(canonical(r(1))),
            Op::BoxBool => to(Cell::bool(r(1) != 0).bits()),
            Op::UnboxI64 => match self.seen(r(1)) {
                Seen::Int(value) => to(value as u64),
                _ => Err(TrapKind::TypeMismatch),
            },
            Op::UnboxF64 => match self.seen(r(1)) {
                Seen::Float(value) => to(value.to_bits()),
                _ => Err(TrapKind::TypeMismatch),
            },
            Op::UnboxBool => match self.seen(r(1)) {
                Seen::Bool(value) => to(value.into()),
                _ => Err(TrapKind::TypeMismatch),
            },
            Op::CellKind => to(self.kind(r(1)) as u64),
            Op::CellCast => {
                if self.is_a(r(1), ty(slot(0))) {
                    to(r(1))
                } else {
                    Err(TrapKind::TypeMismatch)
                }
            }
            Op::CellSame => to(self.same(r(1), r(2)).into()),
            Op::DynNeg => match self.seen(r(1)) {
                Seen::Int(value) => to(self.int(value.wrapping_neg())),
                Seen::Float(value) => to(Cell::float(-value).bits()),
                _ => Err(TrapKind::TypeMismatch),
            },
            _ => {
                let value = self.dynamic(op, r(1), r(2))?;
                to(value)
            }
        }
    }

    /// What the guest's digest of a cell is.
    pub fn digest(&self, bits: u64, depth: i64) -> i64 {
        let kind = self.kind(bits);
        let number = |value: i64| digest::scalar(kind, value);
        let bound = |len: usize, depth: i64| if depth <= 0 { 0 } else { len.min(digest::BREADTH as usize) };
        let flat = |items: &[u64], map: fn(u64) -> u64| {
            let sum = digest::mix(kind, items.len() as i64);
            let items = items.iter().take(bound(items.len(), depth));
            items.fold(sum, |sum, &item| digest::mix(sum, map(item) as i64))
        };
        match self.seen(bits) {
            Seen::Null => digest::NULL,
            Seen::Bool(value) => number(value.into()),
            Seen::Int(value) => number(value),
            Seen::Float(value) => number(value.to_bits() as i64),
            Seen::Str(bytes) => digest::text(&bytes),
            Seen::Object(place) => match &self.objects[place] {
                Object::Int(_) | Object::Str(_) => unreachable!("seen by value"),
                Object::I64s(items) | Object::U8s(items) => flat(items, |item| item),
                Object::F64s(items) => flat(items, canonical),
                Object::List(items) => {
                    let sum = digest::mix(kind, items.len() as i64);
                    let items = items.iter().take(bound(items.len(), depth));
                    items.fold(sum, |sum, &item| digest::mix(sum, self.digest(item, depth - 1)))
                }
                Object::IMap(map) => {
                    let len = map.places.len();
                    let entries = map.live().take(bound(len, depth));
                    entries.fold(digest::mix(kind, len as i64), |sum, entry| {
                        digest::mix(digest::mix(sum, entry.0), entry.1)
                    })
                }
                Object::Map(map) => {
                    let len = map.places.len();
                    let entries = map.live().take(bound(len, depth));
                    entries.fold(digest::mix(kind, len as i64), |sum, (key, value)| {
                        let key = match key {
                            Key::Null => digest::NULL,
                            Key::Bool(value) => digest::scalar(1, (*value).into()),
                            Key::Int(value) => digest::scalar(2, *value),
                            Key::Str(bytes) => digest::text(bytes),
                        };
                        digest::mix(digest::mix(sum, key), self.digest(*value, depth - 1))
                    })
                }
                Object::Obj(..) if depth <= 0 => kind,
                Object::Obj(shape, fields) => digest::FIELDS.iter().fold(kind, |sum, name| {
                    let at = SHAPES[*shape].1.iter().position(|field| field.0 == *name).expect("a common field");
                    let value = match SHAPES[*shape].1[at].1 {
                        Ty::I64 => digest::scalar(2, fields[at] as i64),
                        Ty::F64 => digest::scalar(3, canonical(fields[at]) as i64),
                        _ => self.digest(fields[at], depth - 1),
                    };
                    digest::mix(sum, value)
                }),
                Object::Closure(..) => kind,
            },
        }
    }
}

/// What an array op stores of a value.
fn element(op: Op, bits: u64) -> u64 {
    if matches!(op, Op::ArrU8Push | Op::ArrU8Set | Op::ArrU8Fill) { bits & 255 } else { bits }
}

fn float_text(bits: u64) -> String {
    let value = f64::from_bits(bits);
    if value.is_nan() { "nan".into() } else { format!("{value:?}") }
}

/// The bits of the number that a text is: an i64 by `-?digits`, or an f64 by any number literal.
fn number(text: &[u8], float: bool) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    if digits(magnitude) {
        let value: i64 = text.parse().ok()?;
        return Some(if float { (value as f64).to_bits() } else { value as u64 });
    }
    if !float {
        return None;
    }
    match text {
        "inf" => return Some(f64::INFINITY.to_bits()),
        "-inf" => return Some(f64::NEG_INFINITY.to_bits()),
        "nan" => return Some(canonical(f64::NAN.to_bits())),
        _ => {}
    }
    if let Some(hex) = text.strip_prefix("0x") {
        let right = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        return u64::from_str_radix(hex, 16).ok().filter(|_| right).map(|bits| (bits as i64 as f64).to_bits());
    }
    let (mantissa, exponent) = magnitude.split_once('e').unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if !digits(whole) || !digits(fraction) || !digits(exponent) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(f64::to_bits)
}
