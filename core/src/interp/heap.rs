//! The ops that work on the heap: what the interpreter does at them, and what machine code calls where it has no faster
//! way ([`crate::runtime::context::Services::op`]).

use super::call::Fields;
use crate::runtime::cell::Cell;
use crate::runtime::context::Context;
use crate::runtime::heap::{DynOp, Heap, Kind, MapError, closure, property_of};
use crate::runtime::instance::Instance;
use crate::runtime::roots::{GuestRoots, Stopped};
use crate::runtime::services;
use crate::runtime::trap::{Site, Trap, TrapKind};
use crate::runtime::value::canonical;
use crate::vm3::container::Container;
use crate::vm3::op::Op;
use crate::vm3::types::{Composite, TypeId};

/// The op that is run: its words, the frame and the instance.
struct Step<'e> {
    instance: *mut Instance<'e>,
    container: &'e Container<'e>,
    op: *const u64,
    frame: *mut u64,
    site: Site,
}

/// Runs the heap op at `site` in the frame at `frame`: 0, or 1 with the trap in the context. It is any op with the flag
/// [`crate::vm3::op::Flags::HEAP`] but the calls of closures, or a `cell.const`.
///
/// What such an op takes grows with its objects, and it may have collected. So requests to the guest are taken behind each:
/// `interrupted` may be the trap of one that has had its effect.
///
/// # Safety
///
/// `context` belongs to the running instance of a verified module, which nothing else refers to until this returns;
/// `frame` is the innermost frame of its VM stack, in place, and `site` is such an op of that frame's function.
pub(crate) unsafe fn run(context: *mut Context, frame: *mut u64, site: Site) -> u64 {
    if !crate::HEAP {
        // SAFETY: the context is live.
        unsafe { Context::set_trap(context, Trap::new(TrapKind::Unreachable), site, frame) };
        return 1;
    }
    // SAFETY: by the contract; the engine outlives the instance.
    let outcome = unsafe {
        let instance = (*context).instance as *mut Instance<'_>;
        let container = (*instance).engine().module().container();
        let words = (*instance).engine().functions().get(usize::from(site.func())).map_or(0, |entry| entry.words);
        let op = (words as *const u64).add(usize::from(site.word()));
        Step { instance, container, op, frame, site }.run()
    };
    match outcome {
        // SAFETY: by the contract.
        Ok(()) => unsafe { services::poll_behind(Stopped { context, frame, site }) },
        Err(kind) => {
            // SAFETY: the context is live.
            unsafe { Context::set_trap(context, Trap::new(kind), site, frame) };
            1
        }
    }
}

type Outcome<T> = Result<T, TrapKind>;

impl<'e> Step<'e> {
    /// Field `index` of the op.
    #[inline(always)]
    fn field(&self, index: usize) -> u16 {
        // SAFETY: the op has that field: the callers go by its row in the op table, as the verifier did.
        unsafe { self.op.cast::<u16>().add(1 + index + index / 3).read() }
    }

    /// The register in field `index`.
    #[inline(always)]
    fn get(&self, index: usize) -> u64 {
        // SAFETY: the field is a register of the op, so a slot of the frame.
        unsafe { super::call::slot(self.frame, self.field(index)).read() }
    }

    #[inline(always)]
    fn cell(&self, index: usize) -> Cell {
        Cell::from_slot(self.get(index))
    }

    #[inline(always)]
    fn float(&self, index: usize) -> f64 {
        f64::from_bits(self.get(index))
    }

    /// The literal in field `index`.
    fn literal(&self, index: usize) -> i64 {
        i64::from(self.field(index) as i16)
    }

    #[inline(always)]
    fn set(&mut self, index: usize, bits: u64) -> Outcome<()> {
        // SAFETY: the field is a register of the op, so a slot of the frame.
        unsafe { super::call::slot(self.frame, self.field(index)).write(bits) };
        Ok(())
    }

    fn set_cell(&mut self, index: usize, cell: Cell) -> Outcome<()> {
        self.set(index, cell.bits())
    }

    /// The heap. No reference that it gave before may be in use.
    #[inline(always)]
    fn heap(&mut self) -> &mut Heap {
        // SAFETY: the instance is live and nothing else refers to it; the result borrows `self`.
        unsafe { (*self.instance).heap_mut() }
    }

    /// The heap, and the roots of an allocation.
    fn alloc(&mut self) -> (&mut Heap, GuestRoots<'e>) {
        // SAFETY: the guest is stopped at this op, in this frame. The roots refer to nothing in the instance.
        let roots = unsafe { GuestRoots::new(self.instance, self.frame, self.site) };
        (self.heap(), roots)
    }

    /// The declared type of the register in field `index`.
    fn type_of(&self, index: usize) -> TypeId {
        let func = self.container.func(self.site.func().into());
        func.and_then(|func| self.container.slot(&func, self.field(index))).unwrap_or(TypeId::NONE)
    }

    fn run(mut self) -> Outcome<()> {
        use Kind::{ArrF64, ArrI64, ArrU8, List};
        // SAFETY: the word is an op's, whose first byte is its number, little-endian as all engines are.
        let op = unsafe { self.op.cast::<Op>().read() };
        match op {
            Op::CellConst => self.cell_const(),
            Op::FnNew => self.fn_new(),

            Op::ArrI64New => self.array_new(ArrI64, self.get(1) as i64),
            Op::ArrF64New => self.array_new(ArrF64, self.get(1) as i64),
            Op::ArrU8New => self.array_new(ArrU8, self.get(1) as i64),
            Op::ListNew => self.array_new(List, self.get(1) as i64),
            Op::ArrI64NewK => self.array_new(ArrI64, self.literal(1)),
            Op::ArrF64NewK => self.array_new(ArrF64, self.literal(1)),
            Op::ArrU8NewK => self.array_new(ArrU8, self.literal(1)),
            Op::ListNewK => self.array_new(List, self.literal(1)),
            Op::ArrI64NewLen => self.array_new_len(ArrI64, self.get(1) as i64),
            Op::ArrF64NewLen => self.array_new_len(ArrF64, self.get(1) as i64),
            Op::ArrU8NewLen => self.array_new_len(ArrU8, self.get(1) as i64),
            Op::ListNewLen => self.array_new_len(List, self.get(1) as i64),
            Op::ArrI64NewLenK => self.array_new_len(ArrI64, self.literal(1)),
            Op::ArrF64NewLenK => self.array_new_len(ArrF64, self.literal(1)),
            Op::ArrU8NewLenK => self.array_new_len(ArrU8, self.literal(1)),
            Op::ListNewLenK => self.array_new_len(List, self.literal(1)),
            Op::ArrI64Len => self.len(ArrI64),
            Op::ArrF64Len => self.len(ArrF64),
            Op::ArrU8Len => self.len(ArrU8),
            Op::ListLen => self.len(List),
            Op::ArrI64Push => self.push(ArrI64),
            Op::ArrF64Push => self.push(ArrF64),
            Op::ArrU8Push => self.push(ArrU8),
            Op::ListPush => self.push(List),
            Op::ArrI64Pop => self.pop(ArrI64),
            Op::ArrF64Pop => self.pop(ArrF64),
            Op::ArrU8Pop => self.pop(ArrU8),
            Op::ListPop => self.pop(List),
            Op::ArrI64Get => self.array_get(ArrI64),
            Op::ArrF64Get => self.array_get(ArrF64),
            Op::ArrU8Get => self.array_get(ArrU8),
            Op::ListGet => self.array_get(List),
            Op::ArrI64Set => self.array_set(ArrI64),
            Op::ArrF64Set => self.array_set(ArrF64),
            Op::ArrU8Set => self.array_set(ArrU8),
            Op::ListSet => self.array_set(List),
            Op::ArrI64Fill => self.fill(ArrI64),
            Op::ArrF64Fill => self.fill(ArrF64),
            Op::ArrU8Fill => self.fill(ArrU8),
            Op::ListFill => self.fill(List),

            Op::IMapNew => self.imap_new(self.get(1) as i64),
            Op::IMapNewK => self.imap_new(self.literal(1)),
            Op::MapNew => self.map_new(self.get(1) as i64),
            Op::MapNewK => self.map_new(self.literal(1)),
            Op::IMapLen => self.len(Kind::IMap),
            Op::MapLen => self.len(Kind::Map),
            Op::IMapGet => {
                let (map, key) = (self.object(1)?, self.get(2) as i64);
                let value = self.heap().imap_get(map, key).unwrap_or(0);
                self.set(0, value as u64)
            }
            Op::IMapHas => {
                let (map, key) = (self.object(1)?, self.get(2) as i64);
                let found = self.heap().imap_has(map, key);
                self.set(0, found.into())
            }
            Op::IMapSet => {
                let (map, key, value) = (self.object(0)?, self.get(1) as i64, self.get(2) as i64);
                let (heap, mut roots) = self.alloc();
                Ok(heap.imap_set(map, key, value, &mut roots)?)
            }
            Op::IMapDel => {
                let (map, key) = (self.object(1)?, self.get(2) as i64);
                let deleted = self.heap().imap_del(map, key);
                self.set(0, deleted.into())
            }
            Op::IMapNext => {
                let (map, cursor) = (self.object(2)?, self.get(3) as i64);
                let next = self.heap().imap_next(map, cursor);
                self.next(next.map(|(key, value, cursor)| (key as u64, value as u64, cursor)))
            }
            Op::MapGet => {
                let (map, key) = (self.object(1)?, self.cell(2));
                let value = self.heap().map_get(map, key)?.unwrap_or(Cell::NULL);
                self.set_cell(0, value)
            }
            Op::MapHas => {
                let (map, key) = (self.object(1)?, self.cell(2));
                let found = self.heap().map_has(map, key)?;
                self.set(0, found.into())
            }
            Op::MapSet => {
                let (map, key, value) = (self.object(0)?, self.cell(1), self.cell(2));
                let (heap, mut roots) = self.alloc();
                Ok(heap.map_set(map, key, value, &mut roots)?)
            }
            Op::MapDel => {
                let (map, key) = (self.object(1)?, self.cell(2));
                let deleted = self.heap().map_del(map, key)?;
                self.set(0, deleted.into())
            }
            Op::MapNext => {
                let (map, cursor) = (self.object(2)?, self.get(3) as i64);
                let next = self.heap().map_next(map, cursor);
                self.next(next.map(|(key, value, cursor)| (key.bits(), value.bits(), cursor)))
            }

            Op::StrLen => {
                let text = self.cell(1);
                let len = self.heap().str_len(text)?;
                self.set(0, len)
            }
            Op::StrByte => {
                let (text, index) = (self.cell(1), self.get(2));
                let byte = self.heap().str_byte(text, index)?;
                self.set(0, byte)
            }
            Op::StrConcat => {
                let (x, y) = (self.cell(1), self.cell(2));
                let (heap, mut roots) = self.alloc();
                let text = heap.str_concat(x, y, &mut roots)?;
                self.set_cell(0, text)
            }
            Op::StrEq => {
                let (x, y) = (self.cell(1), self.cell(2));
                let equal = self.heap().str_cmp(x, y)? == 0;
                self.set(0, equal.into())
            }
            Op::StrCmp => {
                let (x, y) = (self.cell(1), self.cell(2));
                let order = self.heap().str_cmp(x, y)?;
                self.set(0, order as u64)
            }
            Op::StrSlice => {
                let (text, from, to) = (self.cell(1), self.get(2) as i64, self.get(3) as i64);
                let (heap, mut roots) = self.alloc();
                let part = heap.str_slice(text, from, to, &mut roots)?;
                self.set_cell(0, part)
            }
            Op::StrFromI64 => {
                let value = self.get(1) as i64;
                let (heap, mut roots) = self.alloc();
                let text = heap.str_from_i64(value, &mut roots)?;
                self.set_cell(0, text)
            }
            Op::StrFromF64 => {
                let value = self.float(1);
                let (heap, mut roots) = self.alloc();
                let text = heap.str_from_f64(value, &mut roots)?;
                self.set_cell(0, text)
            }
            Op::StrToI64 => {
                let text = self.cell(1);
                let value = self.heap().str_to_i64(text)?;
                self.set(0, value as u64)
            }
            Op::StrToF64 => {
                let text = self.cell(1);
                let value = self.heap().str_to_f64(text)?;
                self.set(0, canonical(value))
            }

            Op::ObjNew => {
                let Some(Composite::Obj(shape)) = self.container.composite(self.type_of(0)) else {
                    return Err(TrapKind::TypeMismatch);
                };
                let container = self.container;
                let (heap, mut roots) = self.alloc();
                let object = heap.object_new(shape, container, &mut roots)?;
                self.set_cell(0, object)
            }
            Op::ObjGetI64 | Op::ObjGetF64 | Op::ObjGetCell => {
                let (object, field) = (self.cell(1), self.field(2));
                let value = self.heap().field(object, field.into())?;
                self.set(0, value)
            }
            Op::ObjSetI64 | Op::ObjSetF64 | Op::ObjSetCell => {
                let (object, field, value) = (self.cell(0), self.field(1), self.get(2));
                self.heap().set_field(object, field.into(), value)
            }
            Op::PropGet => {
                let (object, name) = (self.cell(1), self.field(2));
                let shape = self.heap().shape_of(object)?;
                let property = property_of(self.container, shape, name.into())?;
                let (heap, mut roots) = self.alloc();
                let value = heap.property(object, property, &mut roots)?;
                self.set_cell(0, value)
            }
            Op::PropSet => {
                let (object, name, value) = (self.cell(0), self.field(1), self.cell(2));
                let container = self.container;
                let shape = self.heap().shape_of(object)?;
                let property = property_of(container, shape, name.into())?;
                self.heap().set_property(object, property, value, container)
            }

            Op::BoxI64 => {
                let value = self.get(1) as i64;
                let (heap, mut roots) = self.alloc();
                let cell = heap.int(value, &mut roots)?;
                self.set_cell(0, cell)
            }
            Op::BoxF64 => self.set_cell(0, Cell::float(self.float(1))),
            Op::BoxBool => self.set_cell(0, Cell::bool(self.get(1) != 0)),
            Op::UnboxI64 => {
                let cell = self.cell(1);
                let value = self.heap().int_of(cell).ok_or(TrapKind::TypeMismatch)?;
                self.set(0, value as u64)
            }
            Op::UnboxF64 => self.set(0, self.cell(1).as_float().ok_or(TrapKind::TypeMismatch)?.to_bits()),
            Op::UnboxBool => self.set(0, self.cell(1).as_bool().ok_or(TrapKind::TypeMismatch)?.into()),
            Op::CellKind => {
                let cell = self.cell(1);
                let kind = self.heap().kind_of(cell);
                self.set(0, kind)
            }
            Op::CellCast => {
                let (cell, ty, container) = (self.cell(1), self.type_of(0), self.container);
                if !self.heap().is_a(cell, ty, container) {
                    return Err(TrapKind::TypeMismatch);
                }
                self.set_cell(0, cell)
            }
            Op::CellSame => {
                let (x, y) = (self.cell(1), self.cell(2));
                let same = self.heap().same(x, y);
                self.set(0, same.into())
            }

            Op::DynAdd => self.dyn_op(DynOp::Add),
            Op::DynSub => self.dyn_op(DynOp::Sub),
            Op::DynMul => self.dyn_op(DynOp::Mul),
            Op::DynDiv => self.dyn_op(DynOp::Div),
            Op::DynRem => self.dyn_op(DynOp::Rem),
            Op::DynNeg => {
                let x = self.cell(1);
                let (heap, mut roots) = self.alloc();
                let value = heap.dyn_neg(x, &mut roots)?;
                self.set_cell(0, value)
            }
            Op::DynEq => {
                let (x, y) = (self.cell(1), self.cell(2));
                let equal = self.heap().dyn_eq(x, y);
                self.set(0, equal.into())
            }
            Op::DynLt => {
                let (x, y) = (self.cell(1), self.cell(2));
                let less = self.heap().dyn_lt(x, y)?;
                self.set(0, less.into())
            }
            Op::DynLe => {
                let (x, y) = (self.cell(1), self.cell(2));
                let less = self.heap().dyn_le(x, y)?;
                self.set(0, less.into())
            }
            // By the contract of `run`, no other op comes here.
            _ => Err(TrapKind::Unreachable),
        }
    }

    /// The object in the register in field `index`, which is not null.
    fn object(&self, index: usize) -> Outcome<Cell> {
        let cell = self.cell(index);
        if cell == Cell::NULL { Err(TrapKind::NullReference) } else { Ok(cell) }
    }

    fn cell_const(&mut self) -> Outcome<()> {
        let index = u32::from(self.field(1)) | u32::from(self.field(2)) << 16;
        // SAFETY: the guest is stopped at this op, in this frame, and no reference to the heap is in use.
        let cell = unsafe { Instance::constant_of(self.instance, index, self.frame, self.site)? };
        self.set_cell(0, cell)
    }

    fn fn_new(&mut self) -> Outcome<()> {
        let (ty, func, container) = (self.type_of(0), self.field(1), self.container);
        let sig_of = |sig| container.sig(sig).ok_or(TrapKind::TypeMismatch);
        let Some(Composite::Fn(rest)) = container.composite(ty) else { return Err(TrapKind::TypeMismatch) };
        let whole = container.func(func.into()).map_or(Err(TrapKind::TypeMismatch), |func| sig_of(func.sig))?;
        let bound = whole.count.saturating_sub(sig_of(rest)?.count);
        let (heap, mut roots) = self.alloc();
        let words = usize::from(bound).saturating_add(closure::BOUND as usize);
        let cell = heap.allocate(Kind::Fn, ty.0.into(), words, &mut roots)?;
        // SAFETY: the op has a field, which is a slot of the frame, for each bound argument.
        let (mut fields, frame) = (unsafe { Fields::new(self.op, 2) }, self.frame);
        if let Some((head, places)) = self.heap().payload_mut(cell, Kind::Fn).and_then(<[u64]>::split_first_mut) {
            *head = closure::head(func, bound);
            for place in places.iter_mut().take(bound.into()) {
                // SAFETY: as above.
                *place = unsafe { super::call::slot(frame, fields.next()).read() };
            }
        }
        self.set_cell(0, cell)
    }

    fn array_new(&mut self, kind: Kind, hint: i64) -> Outcome<()> {
        let (heap, mut roots) = self.alloc();
        let cell = heap.array_new(kind, hint, &mut roots)?;
        self.set_cell(0, cell)
    }

    fn array_new_len(&mut self, kind: Kind, len: i64) -> Outcome<()> {
        let (heap, mut roots) = self.alloc();
        let cell = heap.array_new_len(kind, len, &mut roots)?;
        self.set_cell(0, cell)
    }

    fn len(&mut self, kind: Kind) -> Outcome<()> {
        let cell = self.cell(1);
        let len = self.heap().len(cell, kind)?;
        self.set(0, len.into())
    }

    fn push(&mut self, kind: Kind) -> Outcome<()> {
        let (cell, value) = (self.cell(0), self.get(1));
        let (heap, mut roots) = self.alloc();
        heap.array_push(cell, kind, value, &mut roots)
    }

    fn pop(&mut self, kind: Kind) -> Outcome<()> {
        let cell = self.cell(1);
        let value = self.heap().array_pop(cell, kind)?;
        self.set(0, value)
    }

    fn array_get(&mut self, kind: Kind) -> Outcome<()> {
        let (cell, index) = (self.cell(1), self.get(2));
        let value = self.heap().array_get(cell, kind, index)?;
        self.set(0, value)
    }

    fn array_set(&mut self, kind: Kind) -> Outcome<()> {
        let (cell, index, value) = (self.cell(0), self.get(1), self.get(2));
        self.heap().array_set(cell, kind, index, value)
    }

    fn fill(&mut self, kind: Kind) -> Outcome<()> {
        let (cell, value) = (self.cell(0), self.get(1));
        self.heap().array_fill(cell, kind, value)
    }

    fn imap_new(&mut self, hint: i64) -> Outcome<()> {
        let (heap, mut roots) = self.alloc();
        let cell = heap.imap_new(hint, &mut roots)?;
        self.set_cell(0, cell)
    }

    fn map_new(&mut self, hint: i64) -> Outcome<()> {
        let (heap, mut roots) = self.alloc();
        let cell = heap.map_new(hint, &mut roots)?;
        self.set_cell(0, cell)
    }

    /// `next k, v, m, cur`: at the end all are left alone but `cur`, which becomes -1. The three are written in this order,
    /// so where registers coincide `cur` is what stays.
    fn next(&mut self, entry: Option<(u64, u64, i64)>) -> Outcome<()> {
        match entry {
            Some((key, value, cursor)) => {
                self.set(0, key)?;
                self.set(1, value)?;
                self.set(3, cursor as u64)
            }
            None => self.set(3, -1_i64 as u64),
        }
    }

    fn dyn_op(&mut self, op: DynOp) -> Outcome<()> {
        let (x, y) = (self.cell(1), self.cell(2));
        let (heap, mut roots) = self.alloc();
        let value = heap.dyn_op(op, x, y, &mut roots)?;
        self.set_cell(0, value)
    }
}

impl From<MapError> for TrapKind {
    fn from(error: MapError) -> Self {
        match error {
            MapError::KeyType => Self::TypeMismatch,
            MapError::OutOfMemory => Self::OutOfMemory,
        }
    }
}
