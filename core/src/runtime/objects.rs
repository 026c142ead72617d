//! A guest's heap as its host sees it: making values, reading them, and keeping them alive.
//!
//! A [`Cell`] that the host holds does not keep an object alive. It is good until the next call that may allocate: a call
//! into the guest, and what makes a value or a [`Root`] here. Whoever needs it for longer makes a root of it. Nothing bad
//! comes of a cell that was kept without one: the object's record knows that it is gone, everything that takes a cell
//! checks, and the answer is [`HeapError::Stale`]. Only after 4,096 other objects have come and gone in the record, or the
//! heap was full in between, may the cell be taken for another object of the same kind.

mod literals;

use super::cell::{Cell, CellKind};
use super::heap::{Heap, Kind, MapError, OutOfMemory, Roots};
use super::instance::Instance;
use super::roots::GuestRoots;
use super::trap::{Site, Trap, TrapKind};
use super::value::{Value, canonical};
use crate::vm3::container::Container;
use crate::vm3::text::FloatText;
use crate::vm3::types::TypeId;
use core::fmt;

/// A value that the host keeps alive, in one instance: made by [`Objects::root`], ended by [`Objects::unroot`]. Dropping it
/// ends nothing, because the instance is out of reach then: the value lives as long as the instance does.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a root that is dropped keeps its value alive as long as the instance lives"]
pub struct Root {
    /// The handle of the record that holds the cell.
    record: Cell,
    /// The heap that the record is in.
    heap: u64,
}

/// Why an operation on a guest's heap was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapError {
    /// There is no room for it, after everything that is garbage was collected.
    OutOfMemory,
    /// A cell is the handle of an object that is gone, because nothing kept it alive, or of another instance's.
    Stale,
    /// A root is another instance's.
    ForeignRoot,
    /// A cell is of another kind.
    Kind {
        /// What it should be.
        expected: CellKind,
        /// What it is.
        found: CellKind,
    },
    /// A key of a `map` is a float or an object.
    Key {
        /// What it is.
        found: CellKind,
    },
    /// An index is beyond an array's end.
    Index {
        /// The index.
        index: usize,
        /// The array's length.
        len: usize,
    },
    /// An object has no field of that name.
    NoField,
}

impl fmt::Display for HeapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => write!(f, "the heap has no room for it, with all garbage collected"),
            Self::Stale => write!(
                f,
                "the cell is the handle of an object that is gone or of another instance, expected one that is alive: \
                 a root keeps it so"
            ),
            Self::ForeignRoot => write!(f, "the root is another instance's, expected one of this instance"),
            Self::Kind { expected, found } => write!(f, "the cell is of kind {found}, expected {expected}"),
            Self::Key { found } => {
                write!(
                    f,
                    "the key is of kind {found}, expected {}, {}, {} or {}",
                    CellKind::Int,
                    CellKind::Bool,
                    CellKind::Str,
                    CellKind::Null
                )
            }
            Self::Index { index, len } => write!(f, "index {index} is beyond an array of {len} elements"),
            Self::NoField => write!(f, "the object's shape has no field of that name"),
        }
    }
}

impl core::error::Error for HeapError {}

impl From<OutOfMemory> for HeapError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// The trap that a host function ends with when it passes the failure on: `out_of_memory`, `out_of_bounds` or
/// `type_mismatch`.
impl From<HeapError> for Trap {
    fn from(error: HeapError) -> Self {
        Self::new(match error {
            HeapError::OutOfMemory => TrapKind::OutOfMemory,
            HeapError::Index { .. } => TrapKind::OutOfBounds,
            _ => TrapKind::TypeMismatch,
        })
    }
}

/// The heap of an instance, from [`Instance::objects`], or of a guest that is calling the host, from
/// [`super::host::HostCall::objects`].
///
/// Whatever makes a value or a root may collect. Cells that are handed to such a call are kept alive by it.
pub struct Objects<'a> {
    heap: &'a mut Heap,
    roots: GuestRoots<'a>,
}

/// The guest's roots, and cells beside them.
struct With<'a, 'r, 'c>(&'r mut GuestRoots<'a>, &'c [Cell]);

impl Roots for With<'_, '_, '_> {
    fn each(&mut self, visit: &mut dyn FnMut(Cell)) {
        self.0.each(visit);
        self.1.iter().copied().for_each(visit);
    }

    fn container(&self) -> Container<'_> {
        self.0.container()
    }

    fn moved(&mut self) {
        self.0.moved();
    }
}

impl<'a> Objects<'a> {
    pub(crate) fn of(instance: &'a mut Instance<'_>) -> Self {
        // SAFETY: the instance is borrowed exclusively, so no guest runs that is not in a host call; so the frames' cells are
        // in place.
        let roots = unsafe { GuestRoots::new(instance, core::ptr::null(), Site(0)) };
        Self { heap: instance.heap_mut(), roots }
    }

    /// The kind of a cell.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`].
    pub fn kind(&self, cell: Cell) -> Result<CellKind, HeapError> {
        match cell.kind() {
            Some(kind) if !cell.is_handle() || self.heap.is_live(cell) => Ok(kind),
            _ => Err(HeapError::Stale),
        }
    }

    /// Sees that a cell is of a kind.
    fn expect(&self, cell: Cell, expected: CellKind) -> Result<(), HeapError> {
        let found = self.kind(cell)?;
        if found == expected { Ok(()) } else { Err(HeapError::Kind { expected, found }) }
    }

    /// Sees that a cell is an array, a map or an object of a kind, and gives that kind as the heap knows it.
    fn object(&self, cell: Cell, kind: Kind) -> Result<Kind, HeapError> {
        let expected = CellKind::ALL.into_iter().find(|&(of, _)| of as u8 == kind as u8);
        expected.map_or(Err(HeapError::Stale), |(expected, _)| self.expect(cell, expected))?;
        Ok(kind)
    }

    /// Gives the bytes that a value prints as, as vm3.md lays down, to `write`, in one piece or several.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`], with nothing written.
    pub fn print(&self, value: Value, write: &mut dyn FnMut(&[u8])) -> Result<(), HeapError> {
        /// What takes text takes its bytes.
        struct Bytes<'w>(&'w mut dyn FnMut(&[u8]));
        impl fmt::Write for Bytes<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                (self.0)(text.as_bytes());
                Ok(())
            }
        }
        let text = |write: &mut dyn FnMut(&[u8]), arguments: fmt::Arguments<'_>| {
            // Taking bytes cannot fail.
            let _ = fmt::write(&mut Bytes(write), arguments);
        };
        match value {
            Value::I64(value) => text(write, format_args!("{value}")),
            Value::F64(value) => text(write, format_args!("{}", FloatText(value))),
            Value::Cell(cell) => match self.kind(cell)? {
                CellKind::Null => text(write, format_args!("null")),
                CellKind::Bool => text(write, format_args!("{}", cell == Cell::TRUE)),
                CellKind::Int => text(write, format_args!("{}", self.int(cell)?)),
                CellKind::Float => text(write, format_args!("{}", FloatText(cell.as_float().unwrap_or_default()))),
                CellKind::Str => write(self.str(&cell)?),
                kind => text(write, format_args!("<{kind}>")),
            },
        }
        Ok(())
    }

    /// The value of an integer, boxed or not.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`], [`HeapError::Kind`]; so for all that follow which take a cell.
    pub fn int(&self, cell: Cell) -> Result<i64, HeapError> {
        self.expect(cell, CellKind::Int)?;
        self.heap.int_of(cell).ok_or(HeapError::Stale)
    }

    /// The bytes of a string. Those of a short one lie in the cell itself, hence the reference.
    pub fn str<'s>(&'s self, cell: &'s Cell) -> Result<&'s [u8], HeapError> {
        self.expect(*cell, CellKind::Str)?;
        cell.short_str().or_else(|| self.heap.bytes(*cell, Kind::Str)).ok_or(HeapError::Stale)
    }

    /// The elements of an `arr.i64`.
    pub fn i64s(&self, cell: Cell) -> Result<&[i64], HeapError> {
        let kind = self.object(cell, Kind::ArrI64)?;
        let words = self.heap.elements(cell, kind).ok_or(HeapError::Stale)?;
        // SAFETY: an i64 is as large as a word and aligned as one, and every pattern is valid.
        Ok(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len()) })
    }

    /// The elements of an `arr.i64`, to be written.
    pub fn i64s_mut(&mut self, cell: Cell) -> Result<&mut [i64], HeapError> {
        let kind = self.object(cell, Kind::ArrI64)?;
        let words = self.heap.elements_mut(cell, kind).ok_or(HeapError::Stale)?;
        // SAFETY: as above.
        Ok(unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) })
    }

    /// The elements of an `arr.f64`. Every NaN is the canonical one.
    pub fn f64s(&self, cell: Cell) -> Result<impl ExactSizeIterator<Item = f64> + '_, HeapError> {
        let kind = self.object(cell, Kind::ArrF64)?;
        let words = self.heap.elements(cell, kind).ok_or(HeapError::Stale)?;
        Ok(words.iter().map(|&bits| f64::from_bits(canonical(f64::from_bits(bits)))))
    }

    /// The elements of an `arr.u8`.
    pub fn u8s(&self, cell: Cell) -> Result<&[u8], HeapError> {
        let kind = self.object(cell, Kind::ArrU8)?;
        self.heap.bytes(cell, kind).ok_or(HeapError::Stale)
    }

    /// The elements of an `arr.u8`, to be written.
    pub fn u8s_mut(&mut self, cell: Cell) -> Result<&mut [u8], HeapError> {
        let kind = self.object(cell, Kind::ArrU8)?;
        self.heap.bytes_mut(cell, kind).ok_or(HeapError::Stale)
    }

    /// The elements of a `list`.
    pub fn cells(&self, cell: Cell) -> Result<&[Cell], HeapError> {
        let kind = self.object(cell, Kind::List)?;
        let words = self.heap.elements(cell, kind).ok_or(HeapError::Stale)?;
        // SAFETY: a cell is a word in another name, and a list's elements are valid cells.
        Ok(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len()) })
    }

    /// Writes element `index` of a `list`.
    ///
    /// # Errors
    ///
    /// Those of every cell, for both; [`HeapError::Index`].
    pub fn set_cell(&mut self, list: Cell, index: usize, cell: Cell) -> Result<(), HeapError> {
        let kind = self.object(list, Kind::List)?;
        self.kind(cell)?;
        let words = self.heap.elements_mut(list, kind).ok_or(HeapError::Stale)?;
        let len = words.len();
        *words.get_mut(index).ok_or(HeapError::Index { index, len })? = cell.bits();
        Ok(())
    }

    /// The value of an object's field.
    ///
    /// # Errors
    ///
    /// Those of every cell; [`HeapError::NoField`].
    pub fn field(&self, object: Cell, name: &str) -> Result<Value, HeapError> {
        let kind = self.object(object, Kind::Obj)?;
        let container = self.roots.container();
        let shape = self.heap.record(object, kind).and_then(|record| container.shape(record.len));
        let shape = shape.ok_or(HeapError::Stale)?;
        for place in 0..shape.count {
            let Some(field) = container.field(shape.fields.wrapping_add(place)) else { break };
            if container.text(field.name) == Some(name) {
                let bits = self.heap.payload(object, kind).and_then(|words| words.get(place as usize));
                return bits.map(|&bits| Value::from_slot(field.ty.bank(), bits)).ok_or(HeapError::Stale);
            }
        }
        Err(HeapError::NoField)
    }

    /// Writes an object's field.
    ///
    /// # Errors
    ///
    /// Those of every cell; [`HeapError::NoField`] if the object has no field of the name to which the value fits.
    pub fn set_field(&mut self, object: Cell, name: &str, value: impl Into<Value>) -> Result<(), HeapError> {
        let (kind, value) = (self.object(object, Kind::Obj)?, value.into());
        if let Value::Cell(cell) = value {
            self.kind(cell)?;
        }
        let container = self.roots.container();
        let shape = self.heap.record(object, kind).and_then(|record| container.shape(record.len));
        let shape = shape.ok_or(HeapError::Stale)?;
        for place in 0..shape.count {
            let Some(field) = container.field(shape.fields.wrapping_add(place)) else { break };
            let fits = match value {
                Value::I64(_) => field.ty == TypeId::I64,
                Value::F64(_) => field.ty == TypeId::F64,
                Value::Cell(cell) => super::heap::is_cell(field.ty) && self.heap.is_a(cell, field.ty, &container),
            };
            if fits && container.text(field.name) == Some(name) {
                let words = self.heap.payload_mut(object, kind).ok_or(HeapError::Stale)?;
                *words.get_mut(place as usize).ok_or(HeapError::Stale)? = value.bits();
                return Ok(());
            }
        }
        Err(HeapError::NoField)
    }

    /// The number of entries of an `imap` or a `map`.
    pub fn map_len(&self, map: Cell) -> Result<usize, HeapError> {
        let kind = if self.kind(map)? == CellKind::IMap { Kind::IMap } else { self.object(map, Kind::Map)? };
        self.heap.record(map, kind).map(|record| record.len as usize).ok_or(HeapError::Stale)
    }

    /// The value of a key of an `imap`.
    pub fn imap_get(&self, map: Cell, key: i64) -> Result<Option<i64>, HeapError> {
        self.object(map, Kind::IMap)?;
        Ok(self.heap.imap_get(map, key))
    }

    /// Sets the value of a key of an `imap`.
    ///
    /// # Errors
    ///
    /// Those of every cell; [`HeapError::OutOfMemory`].
    pub fn imap_set(&mut self, map: Cell, key: i64, value: i64) -> Result<(), HeapError> {
        self.object(map, Kind::IMap)?;
        Ok(self.heap.imap_set(map, key, value, &mut With(&mut self.roots, &[map]))?)
    }

    /// An entry of an `imap` and the cursor of the next one: key, value, cursor. A cursor starts at 0; `None` at the end.
    pub fn imap_next(&mut self, map: Cell, cursor: i64) -> Result<Option<(i64, i64, i64)>, HeapError> {
        self.object(map, Kind::IMap)?;
        Ok(self.heap.imap_next(map, cursor))
    }

    /// The value of a key of a `map`.
    ///
    /// # Errors
    ///
    /// Those of every cell, for both; [`HeapError::Key`].
    pub fn map_get(&self, map: Cell, key: Cell) -> Result<Option<Cell>, HeapError> {
        self.object(map, Kind::Map)?;
        let found = self.kind(key)?;
        self.heap.map_get(map, key).map_err(|_| HeapError::Key { found })
    }

    /// Sets the value of a key of a `map`.
    ///
    /// # Errors
    ///
    /// Those of every cell, for all three; [`HeapError::Key`], [`HeapError::OutOfMemory`].
    pub fn map_set(&mut self, map: Cell, key: Cell, value: Cell) -> Result<(), HeapError> {
        self.object(map, Kind::Map)?;
        let found = self.kind(key)?;
        self.kind(value)?;
        let set = self.heap.map_set(map, key, value, &mut With(&mut self.roots, &[map, key, value]));
        set.map_err(|error| match error {
            MapError::KeyType => HeapError::Key { found },
            MapError::OutOfMemory => HeapError::OutOfMemory,
        })
    }

    /// An entry of a `map` and the cursor of the next one: key, value, cursor. A cursor starts at 0; `None` at the end.
    pub fn map_next(&mut self, map: Cell, cursor: i64) -> Result<Option<(Cell, Cell, i64)>, HeapError> {
        self.object(map, Kind::Map)?;
        Ok(self.heap.map_next(map, cursor))
    }

    /// A cell of this integer: boxed if it does not fit in one.
    ///
    /// # Errors
    ///
    /// [`HeapError::OutOfMemory`]; so for all that follow.
    pub fn new_int(&mut self, value: i64) -> Result<Cell, HeapError> {
        Ok(self.heap.int(value, &mut self.roots)?)
    }

    /// A string of these bytes.
    pub fn new_str(&mut self, bytes: &[u8]) -> Result<Cell, HeapError> {
        Ok(self.heap.str(bytes, &mut self.roots)?)
    }

    fn new_array(&mut self, kind: Kind, len: usize, words: usize, kept: &[Cell]) -> Result<Cell, HeapError> {
        let count = u32::try_from(len).map_err(|_| HeapError::OutOfMemory)?;
        Ok(self.heap.allocate(kind, count, words, &mut With(&mut self.roots, kept))?)
    }

    /// An `arr.i64` of these elements.
    pub fn new_i64s(&mut self, elements: &[i64]) -> Result<Cell, HeapError> {
        let cell = self.new_array(Kind::ArrI64, elements.len(), elements.len(), &[])?;
        self.i64s_mut(cell)?.copy_from_slice(elements);
        Ok(cell)
    }

    /// An `arr.f64` of these elements.
    pub fn new_f64s(&mut self, elements: &[f64]) -> Result<Cell, HeapError> {
        let cell = self.new_array(Kind::ArrF64, elements.len(), elements.len(), &[])?;
        let places = self.heap.elements_mut(cell, Kind::ArrF64).unwrap_or(&mut []);
        for (place, &element) in places.iter_mut().zip(elements) {
            *place = canonical(element);
        }
        Ok(cell)
    }

    /// An `arr.u8` of these elements.
    pub fn new_u8s(&mut self, elements: &[u8]) -> Result<Cell, HeapError> {
        let cell = self.new_array(Kind::ArrU8, elements.len(), elements.len().div_ceil(8), &[])?;
        self.u8s_mut(cell)?.copy_from_slice(elements);
        Ok(cell)
    }

    /// A `list` of these elements.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`] for an element; [`HeapError::OutOfMemory`].
    pub fn new_list(&mut self, elements: &[Cell]) -> Result<Cell, HeapError> {
        for &element in elements {
            self.kind(element)?;
        }
        let cell = self.new_array(Kind::List, elements.len(), elements.len(), elements)?;
        let places = self.heap.elements_mut(cell, Kind::List).unwrap_or(&mut []);
        for (place, &element) in places.iter_mut().zip(elements) {
            *place = element.bits();
        }
        Ok(cell)
    }

    /// An empty `imap`.
    pub fn new_imap(&mut self) -> Result<Cell, HeapError> {
        Ok(self.heap.imap_new(0, &mut self.roots)?)
    }

    /// An empty `map`.
    pub fn new_map(&mut self) -> Result<Cell, HeapError> {
        Ok(self.heap.map_new(0, &mut self.roots)?)
    }

    /// Keeps what a cell refers to alive, until [`Objects::unroot`]. It costs 16 bytes of the heap.
    ///
    /// # Errors
    ///
    /// [`HeapError::Stale`], [`HeapError::OutOfMemory`].
    pub fn root(&mut self, cell: Cell) -> Result<Root, HeapError> {
        self.kind(cell)?;
        let record = self.heap.root(cell, &mut With(&mut self.roots, &[cell]))?;
        Ok(Root { record, heap: self.heap.record0() })
    }

    /// The cell that a root keeps alive.
    ///
    /// # Errors
    ///
    /// [`HeapError::ForeignRoot`].
    pub fn get(&self, root: &Root) -> Result<Cell, HeapError> {
        if root.heap != self.heap.record0() {
            return Err(HeapError::ForeignRoot);
        }
        self.heap.rooted(root.record).ok_or(HeapError::ForeignRoot)
    }

    /// Ends a root. Gives the cell that it kept alive.
    ///
    /// # Errors
    ///
    /// [`HeapError::ForeignRoot`].
    pub fn unroot(&mut self, root: Root) -> Result<Cell, HeapError> {
        let cell = self.get(&root)?;
        self.heap.unroot(root.record);
        Ok(cell)
    }

    /// Collects everything that is garbage now.
    pub fn collect(&mut self) {
        self.heap.collect(true, &mut self.roots);
    }
}
