//! Templates of the ops on cells and objects. What has no verb of its own is done by its service.

use super::super::Backend;
use super::super::emit::{Compiler, OpAt};
use super::super::plan::{bound_count, closure_sig, field_of, is_array};
use super::super::shape::SHAPES;
use crate::masm::{Any, Cast, DynCond, DynOp, Element, Int, Object, Slow, Src};
use crate::runtime::cache::{CacheSite, PROPERTY_BLOCKS, call};
use crate::runtime::frame::slot_offset;
use crate::runtime::heap::Kind;
use crate::vm3::op::Op;
use crate::vm3::types::{Composite, TypeId};

impl<'m, M: Backend<'m>> Compiler<'_, '_, M> {
    /// Emits the template of an op that needs a heap.
    #[inline(never)]
    pub(super) fn heap(&mut self, op: Op, at: OpAt<'_>) {
        if !crate::HEAP {
            return;
        }
        match op {
            Op::FnNew => self.fn_new(at),
            Op::FnCall => self.call_closure(None, at.a, 1, at),
            Op::FnCallI64 | Op::FnCallCell => self.call_closure(Some(Any::Int(at.at_a.int())), at.b, 2, at),
            Op::FnCallF64 => self.call_closure(Some(Any::Float(at.at_a.float())), at.b, 2, at),

            Op::ArrI64Len | Op::ArrF64Len | Op::ArrU8Len | Op::ListLen => {
                let (object, slow) = (self.object(at.b), self.slow(at));
                self.masm.len(at.at_a.int(), object, slow);
            }
            Op::ArrI64Get | Op::ListGet => self.get_element(Element::Word, Any::Int(at.at_a.int()), at),
            Op::ArrF64Get => self.get_element(Element::Word, Any::Float(at.at_a.float()), at),
            Op::ArrU8Get => self.get_element(Element::Byte, Any::Int(at.at_a.int()), at),
            Op::ArrI64Set | Op::ListSet => self.set_element(Element::Word, Any::Int(at.at_c.int()), at),
            Op::ArrF64Set => self.set_element(Element::Word, Any::Float(at.at_c.float()), at),
            Op::ArrU8Set => self.set_element(Element::Byte, Any::Int(at.at_c.int()), at),
            Op::ArrI64Push | Op::ListPush => self.push(Element::Word, Any::Int(at.at_b.int()), at),
            Op::ArrF64Push => self.push(Element::Word, Any::Float(at.at_b.float()), at),
            Op::ArrU8Push => self.push(Element::Byte, Any::Int(at.at_b.int()), at),
            Op::ArrI64Pop | Op::ListPop => self.pop(Element::Word, Any::Int(at.at_a.int()), at),
            Op::ArrF64Pop => self.pop(Element::Word, Any::Float(at.at_a.float()), at),
            Op::ArrU8Pop => self.pop(Element::Byte, Any::Int(at.at_a.int()), at),

            Op::ObjGetI64 | Op::ObjGetCell => self.get_field(Any::Int(at.at_a.int()), at),
            Op::ObjGetF64 => self.get_field(Any::Float(at.at_a.float()), at),
            Op::ObjSetI64 | Op::ObjSetCell => self.set_field(Any::Int(at.at_c.int()), at),
            Op::ObjSetF64 => self.set_field(Any::Float(at.at_c.float()), at),

            Op::PropGet => match self.cache(at.c, false) {
                Some(cache) => {
                    let (object, slow) = (self.property_object(at.b), self.slow(at));
                    self.masm.get_property(slot_offset(at.a), object, cache, slow);
                }
                None => self.service(at),
            },
            Op::PropSet => match self.cache(at.b, true) {
                Some(cache) => {
                    let (object, slow) = (self.property_object(at.a), self.slow(at));
                    self.masm.set_property(object, slot_offset(at.c), cache, slow);
                }
                None => self.service(at),
            },

            Op::StrLen => {
                let slow = self.slow(at);
                self.masm.str_len(at.at_a.int(), slot_offset(at.b), slow);
            }
            Op::StrByte => {
                let slow = self.slow(at);
                self.masm.str_byte(at.at_a.int(), slot_offset(at.b), at.at_c.int(), slow);
            }

            Op::BoxI64 => {
                let slow = self.slow(at);
                self.masm.box_int(slot_offset(at.a), at.at_b.int(), slow);
            }
            // A float is a cell as it is, but for NaN, of which there is one.
            Op::BoxF64 => self.masm.float_bits(Int::Slot(slot_offset(at.a)), at.at_b.float()),
            Op::BoxBool => self.masm.box_bool(slot_offset(at.a), at.at_b.int()),
            Op::UnboxI64 => {
                let slow = self.slow(at);
                self.masm.unbox_int(at.at_a.int(), slot_offset(at.b), slow);
            }
            Op::UnboxF64 => {
                let slow = self.slow(at);
                self.masm.unbox_float(at.at_a.float(), slot_offset(at.b), slow);
            }
            Op::UnboxBool => {
                let slow = self.slow(at);
                self.masm.unbox_bool(at.at_a.int(), slot_offset(at.b), slow);
            }
            Op::CellCast => self.cast(at),
            Op::CellKind => self.masm.kind(at.at_a.int(), slot_offset(at.b)),
            Op::CellSame => {
                let slow = self.slow(at);
                self.masm.same(at.at_a.int(), slot_offset(at.b), slot_offset(at.c), slow);
            }
            Op::DynAdd => self.dynamic(DynOp::Add, at),
            Op::DynSub => self.dynamic(DynOp::Sub, at),
            Op::DynMul => self.dynamic(DynOp::Mul, at),
            Op::DynEq => self.dynamic_compare(DynCond::Eq, at),
            Op::DynLt => self.dynamic_compare(DynCond::Lt, at),
            Op::DynLe => self.dynamic_compare(DynCond::Le, at),

            _ => self.service(at),
        }
    }

    /// The whole op by its service.
    pub(super) fn service(&mut self, at: OpAt<'_>) {
        if !crate::HEAP {
            return;
        }
        let slow = self.slow(at);
        self.masm.op(slow);
    }

    /// The op as its service takes it: with the pinned registers that it reads and writes.
    fn slow(&self, at: OpAt<'_>) -> Slow {
        let mut slow = Slow::new(self.site(at.word));
        let words = at.words();
        let shape = SHAPES.get(words.first().map_or(0, |&word| word as u8));
        let mut fields = shape.reads | shape.writes;
        while fields != 0 {
            let field = fields.trailing_zeros();
            let slot = field_of(words, field as usize);
            // No op has more such registers than there is room for.
            slow.add(self.plan.place(slot).any(), slot, shape.reads >> field & 1 != 0, shape.writes >> field & 1 != 0);
            fields &= fields - 1;
        }
        slow
    }

    /// The next inline cache, of an access to the property that is string `name`.
    fn cache(&mut self, name: u16, writes: bool) -> Option<CacheSite> {
        CacheSite::property(self.container, self.next_cache(PROPERTY_BLOCKS), name, writes)
    }

    /// The number of the first of the next blocks.
    fn next_cache(&mut self, blocks: u32) -> u32 {
        let number = self.caches;
        self.caches = number.saturating_add(blocks);
        number
    }

    /// Where the object in a cell slot is found.
    fn object(&self, slot: u16) -> Object {
        self.plan.record(slot).unwrap_or(Object::Cell(slot_offset(slot)))
    }

    /// The same for an op that changes the record.
    fn changed(&self, slot: u16) -> Object {
        match self.object(slot) {
            Object::View { .. } => Object::Cell(slot_offset(slot)),
            object => object,
        }
    }

    /// The same for an access by name, which takes cells of all types. The record of an array or a list is pinned without a
    /// look at its kind, so where that may be, the object is found anew.
    fn property_object(&self, slot: u16) -> Object {
        let array = self.container.slot(&self.func, slot).is_some_and(is_array);
        if array { Object::Cell(slot_offset(slot)) } else { self.object(slot) }
    }

    fn get_element(&mut self, element: Element, d: Any, at: OpAt<'_>) {
        let (object, slow) = (self.object(at.b), self.out_of_bounds(at.b, at.c, at));
        self.masm.get_element(element, d, object, at.at_c.int(), slow);
    }

    fn set_element(&mut self, element: Element, s: Any, at: OpAt<'_>) {
        let (object, slow) = (self.object(at.a), self.out_of_bounds(at.a, at.b, at));
        self.masm.set_element(element, object, at.at_b.int(), s, slow);
    }

    /// The service of an access to an element, if the index is not known to be in bounds. Behind it, it is.
    fn out_of_bounds(&mut self, array: u16, index: u16, at: OpAt<'_>) -> Option<Slow> {
        if self.bounds.has(array, index, at.word) {
            return None;
        }
        if !self.plan.records.is_empty() {
            self.bounds.add(array, index, at.word);
        }
        Some(self.slow(at))
    }

    fn push(&mut self, element: Element, s: Any, at: OpAt<'_>) {
        let (object, slow) = (self.changed(at.a), self.slow(at));
        self.masm.push(element, object, s, slow);
    }

    fn pop(&mut self, element: Element, d: Any, at: OpAt<'_>) {
        let (object, slow) = (self.changed(at.b), self.slow(at));
        self.masm.pop(element, d, object, slow);
    }

    fn get_field(&mut self, d: Any, at: OpAt<'_>) {
        let (object, slow) = (self.object(at.b), self.slow(at));
        self.masm.get_field(d, object, at.c, slow);
    }

    fn set_field(&mut self, s: Any, at: OpAt<'_>) {
        let (object, slow) = (self.object(at.a), self.slow(at));
        self.masm.set_field(object, at.b, s, slow);
    }

    fn dynamic(&mut self, op: DynOp, at: OpAt<'_>) {
        let slow = self.slow(at);
        self.masm.dynamic(op, slot_offset(at.a), slot_offset(at.b), slot_offset(at.c), slow);
    }

    fn dynamic_compare(&mut self, cond: DynCond, at: OpAt<'_>) {
        let slow = self.slow(at);
        self.masm.dynamic_compare(cond, at.at_a.int(), slot_offset(at.b), slot_offset(at.c), slow);
    }

    /// `cell.cast`: what is null, a short string or of another type is left to the service.
    fn cast(&mut self, at: OpAt<'_>) {
        let ty = self.container.slot(&self.func, at.a).unwrap_or(TypeId::ANY);
        let slow = self.slow(at);
        let to = match (ty, self.container.composite(ty)) {
            (TypeId::ANY, _) => return self.masm.mov(at.at_a.int(), Src::At(at.at_b.int())),
            (TypeId::STR, _) => return self.service(at),
            (TypeId::ARR_I64, _) => Cast { kind: Kind::ArrI64 as u8, len: None },
            (TypeId::ARR_F64, _) => Cast { kind: Kind::ArrF64 as u8, len: None },
            (TypeId::ARR_U8, _) => Cast { kind: Kind::ArrU8 as u8, len: None },
            (TypeId::LIST, _) => Cast { kind: Kind::List as u8, len: None },
            (TypeId::IMAP, _) => Cast { kind: Kind::IMap as u8, len: None },
            (TypeId::MAP, _) => Cast { kind: Kind::Map as u8, len: None },
            (_, Some(Composite::Obj(shape))) => match u16::try_from(shape) {
                Ok(shape) => Cast { kind: Kind::Obj as u8, len: Some(shape) },
                Err(_) => return self.service(at),
            },
            _ => Cast { kind: Kind::Fn as u8, len: Some(ty.0) },
        };
        self.masm.cast(slot_offset(at.a), slot_offset(at.b), to, slow);
    }

    /// `fn.new`: the service finds what is bound in the frame.
    fn fn_new(&mut self, at: OpAt<'_>) {
        let types = self.container.slots(&self.func).unwrap_or(&[]);
        for index in 0..bound_count(self.container, at.words(), types) {
            let slot = field_of(at.words(), 2 + usize::from(index));
            if self.plan.place(slot).is_pinned() {
                self.masm.store(slot_offset(slot), self.plan.place(slot).any());
            }
        }
        self.service(at);
    }

    /// `fn.call`: the arguments that are named follow those that the closure binds.
    fn call_closure(&mut self, d: Option<Any>, closure: u16, first: usize, at: OpAt<'_>) {
        let number = self.next_cache(call::BLOCKS);
        let types = self.container.slots(&self.func).unwrap_or(&[]);
        let sig = closure_sig(self.container, types, closure.into()).and_then(|sig| self.container.sig(sig));
        let Some(sig) = sig else { return };
        // Where no offset reaches the cache, the interpreter goes on.
        let Some(cache) = CacheSite::call(self.container, number) else { return self.leave(at.word, at.word, false) };
        let (frame, site, plan) = (self.frame(), self.site(at.word), &self.plan);
        let args = (0..sig.count).map(|index| plan.place(field_of(at.words(), first + usize::from(index))).any());
        self.masm.call_closure(slot_offset(closure), args, frame, cache, site);
        if let Some(d) = d {
            self.masm.take_result(d);
        }
    }
}
