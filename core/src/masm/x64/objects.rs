//! Cells and objects on x86-64.

use super::convention::{FLOAT_RESULT, FRAME, SITE};
use super::{B4, B8, X64, context, field, gpr, slot};
use crate::asm::x64::{Alu, Cc, Gpr, Mem, Scale, Shift, Sse, Xmm};
use crate::asm::{EmitError, Label};
use crate::masm::{
    Any, Cast, Cold, ColdKind, DynCond, DynOp, Element, Float, Int, IntReg, LAST_BY_VALUE, Object, Objects, Slow,
};
use crate::runtime::cache::{Access, CHAIN, CacheSite, call};
use crate::runtime::cell::{Cell, TAG_HANDLE, TAG_INT, TAG_STR};
use crate::runtime::heap::{Kind, Record};
use crate::runtime::trap::{Site, TrapKind};
use core::mem::{offset_of, size_of};

/// The binary logarithm of a record's size.
const RECORD_SHIFT: u8 = size_of::<Record>().trailing_zeros() as u8;
const _: () = assert!(size_of::<Record>() == 1 << RECORD_SHIFT);

/// The length in the record whose address is in a register: 4 bytes.
fn len_of(record: Gpr) -> Mem {
    Mem::base(record, offset_of!(Record, len) as i32)
}

/// The payload's address in that record.
fn payload_of(record: Gpr) -> Mem {
    Mem::base(record, offset_of!(Record, word) as i32)
}

impl X64<'_> {
    /// The rest of a verb is the op's service, if a branch went to `label`. The hot code goes on here.
    fn cold_op(&mut self, label: Label, slow: Slow) {
        let back = self.asm.buf.pos();
        if self.cold.push(Cold { label, back, kind: ColdKind::Op(slow) }).is_err() {
            self.asm.buf.fail(EmitError::Label { at: back });
        }
    }

    /// [`ColdKind::Op`].
    pub(super) fn service_op(&mut self, slow: Slow) {
        if !crate::HEAP {
            return;
        }
        self.call_service(slow, self.place.stubs.op);
    }

    /// [`ColdKind::Cache`]: eax holds what is looked for.
    pub(super) fn cache_chain(&mut self, mut service: Label, found: usize, cache: CacheSite, slow: Slow) {
        if !crate::HEAP {
            return;
        }
        self.asm.mov_rm(B8, Gpr::Rdx, context(field::GLOBALS));
        for index in 1..CHAIN as i32 {
            let entry = Mem::base(Gpr::Rdx, cache.offset as i32 + 8 * index);
            let mut next = Label::new();
            self.asm.alu_rm(Alu::Cmp, B4, Gpr::Rax, entry);
            self.asm.jcc(Cc::Ne, &mut next);
            self.asm.mov_rm(B8, Gpr::Rdx, entry);
            self.asm.jmp(&mut Label::bound_at(found));
            self.asm.bind(&mut next);
        }
        self.asm.bind(&mut service);
        self.asm.mov_ri(Gpr::Rax, cache.operand.into());
        self.call_service(slow, self.place.stubs.cached_op);
    }

    /// Finds an object's payload, in rcx, and the offset of its field by an inline cache, in rdx. Goes to `chain` for
    /// another entry than the first, to `service` for what is no object. Gives the place that the chain comes back to.
    fn find_property(&mut self, object: Object, cache: CacheSite, chain: &mut Label, service: &mut Label) -> u32 {
        let record = match object {
            Object::Record(reg) => gpr(reg.0),
            Object::Cell(cell) => {
                self.asm.mov_rm(B8, Gpr::Rax, slot(cell));
                self.compare_kind(Gpr::Rax, Gpr::Rcx, Kind::Obj as u8);
                self.asm.jcc(Cc::Ne, service);
                self.asm.mov_rr(B4, Gpr::Rax, Gpr::Rax);
                self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, RECORD_SHIFT);
                self.asm.mov_rm(B8, Gpr::Rcx, context(field::RECORDS));
                self.asm.alu_rr(Alu::Sub, B8, Gpr::Rcx, Gpr::Rax);
                Gpr::Rcx
            }
            Object::View { .. } => {
                self.refuse();
                return 0;
            }
        };
        self.asm.mov_rm(B4, Gpr::Rax, len_of(record));
        self.asm.mov_rm(B8, Gpr::Rcx, payload_of(record));
        if record != Gpr::Rcx {
            self.asm.test_rr(B8, Gpr::Rcx, Gpr::Rcx);
            self.asm.jcc(Cc::E, service);
        }
        if cache.access.mark() != 0 {
            self.asm.alu_ri(Alu::Add, B4, Gpr::Rax, cache.access.mark() as i32);
        }
        self.asm.mov_rm(B8, Gpr::Rdx, context(field::GLOBALS));
        self.asm.mov_rm(B8, Gpr::Rdx, Mem::base(Gpr::Rdx, cache.offset as i32));
        self.asm.alu_rr(Alu::Cmp, B4, Gpr::Rax, Gpr::Rdx);
        self.asm.jcc(Cc::Ne, chain);
        let found = self.asm.buf.pos() as u32;
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rdx, 32);
        found
    }

    /// Compares the tag and the kind of the cell in `s` with those of handles of a kind. Uses `t`.
    fn compare_kind(&mut self, s: Gpr, t: Gpr, kind: u8) {
        self.asm.mov_rr(B8, t, s);
        self.asm.shift_ri(Shift::Shr, B8, t, 44);
        self.asm.alu_ri(Alu::Cmp, B4, t, (TAG_HANDLE << 4 | u64::from(kind)) as i32);
    }

    /// The hot code of a property access ends here.
    fn cold_cache(&mut self, label: Label, service: Label, found: u32, cache: CacheSite, slow: Slow) {
        let back = self.asm.buf.pos();
        let kind = ColdKind::Cache { service, found, cache, slow };
        if self.cold.push(Cold { label, back, kind }).is_err() {
            self.asm.buf.fail(EmitError::Label { at: back });
        }
    }

    fn call_service(&mut self, slow: Slow, stub: usize) {
        for spill in slow.read() {
            self.store_any(slot(spill.offset()), spill.place());
        }
        self.asm.mov_ri(SITE, slow.site.0.into());
        self.asm.call_outside(self.stub(stub));
        for spill in slow.written() {
            self.load_any(spill.place(), slot(spill.offset()));
        }
    }

    /// Leaves the address of a cell's record in `t`, which is not rax. Uses rax.
    fn find(&mut self, t: Gpr, cell: u32) {
        self.asm.mov_rm(B4, Gpr::Rax, slot(cell));
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, RECORD_SHIFT);
        self.asm.mov_rm(B8, t, context(field::RECORDS));
        self.asm.alu_rr(Alu::Sub, B8, t, Gpr::Rax);
    }

    /// The register that holds the address of an object's record: its own, or rcx. Uses rax.
    fn record_in(&mut self, object: Object) -> Gpr {
        match object {
            Object::Record(reg) => gpr(reg.0),
            Object::Cell(cell) => {
                self.find(Gpr::Rcx, cell);
                Gpr::Rcx
            }
            Object::View { .. } => {
                self.refuse();
                Gpr::Rcx
            }
        }
    }

    /// The place of element `x`, below the length; goes to `cold`, if it is given, for any other. The place is behind rcx;
    /// it may use rdx too. Uses rax.
    fn element(&mut self, element: Element, object: Object, x: Int, cold: Option<&mut Label>) -> Option<Mem> {
        if let Object::View { payload, len } = object {
            let x = self.in_gpr(x, Gpr::Rdx);
            if let Some(cold) = cold {
                self.asm.alu_rr(Alu::Cmp, B8, x, gpr(len.0));
                self.asm.jcc(Cc::Ae, cold);
            }
            return Mem::indexed(gpr(payload.0), x, scale(element), 0);
        }
        let record = self.record_in(object);
        let x = self.in_gpr(x, Gpr::Rdx);
        if let Some(cold) = cold {
            self.asm.mov_rm(B4, Gpr::Rax, len_of(record));
            self.asm.alu_rr(Alu::Cmp, B8, x, Gpr::Rax);
            self.asm.jcc(Cc::Ae, cold);
        }
        self.asm.mov_rm(B8, Gpr::Rcx, payload_of(record));
        Mem::indexed(Gpr::Rcx, x, scale(element), 0)
    }

    /// Loads what is in memory at `mem` into `d`, wherever that is. Uses rax.
    fn load_element_at(&mut self, element: Element, d: Any, mem: Mem) {
        match (element, d) {
            (Element::Word, Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at))) => {
                self.asm.mov_rm(B8, Gpr::Rax, mem);
                self.asm.mov_mr(B8, slot(at), Gpr::Rax);
            }
            (Element::Word, _) => self.load_any(d, mem),
            (Element::Byte, Any::Int(place)) => {
                let t = Self::target(place, Gpr::Rax);
                self.asm.movzx8_rm(t, mem);
                self.put(place, t);
            }
            (Element::Byte, Any::Float(_)) => self.refuse(),
        }
    }

    /// Stores `s`, wherever it is, in memory at `mem`. Uses rax.
    fn store_element_at(&mut self, element: Element, mem: Mem, s: Any) {
        match (element, s) {
            (Element::Word, Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at))) => {
                self.asm.mov_rm(B8, Gpr::Rax, slot(at));
                self.asm.mov_mr(B8, mem, Gpr::Rax);
            }
            (Element::Word, _) => self.store_any(mem, s),
            (Element::Byte, Any::Int(place)) => {
                let s = self.in_gpr(place, Gpr::Rax);
                self.asm.mov_mr8(mem, s);
            }
            (Element::Byte, Any::Float(_)) => self.refuse(),
        }
    }

    /// What no template asks for, such as an array of bytes that are floats.
    fn refuse(&mut self) {
        let at = self.asm.buf.pos();
        self.asm.buf.fail(EmitError::Operand { at });
    }

    /// The payload of an object, in rcx; goes to `cold` for null. Uses rax.
    fn payload(&mut self, object: Object, cold: &mut Label) {
        let record = self.record_in(object);
        self.asm.mov_rm(B8, Gpr::Rcx, payload_of(record));
        self.asm.test_rr(B8, Gpr::Rcx, Gpr::Rcx);
        self.asm.jcc(Cc::E, cold);
    }

    /// Compares the tag of the cell in `s` with one of 16 bits. Uses rdx.
    fn compare_tag(&mut self, s: Gpr, tag: u64) {
        self.asm.mov_rr(B8, Gpr::Rdx, s);
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rdx, 48);
        self.asm.alu_ri(Alu::Cmp, B4, Gpr::Rdx, tag as i32);
    }

    /// With a cell in rax whose tag was compared with that of integers, and another in rcx: goes to `floats` or to `cold`
    /// unless both are integers, which then are in the high 48 bits of the two.
    fn two_ints(&mut self, floats: &mut Label, cold: &mut Label) {
        self.compare_tag(Gpr::Rax, TAG_INT);
        self.asm.jcc(Cc::Ne, floats);
        self.compare_tag(Gpr::Rcx, TAG_INT);
        self.asm.jcc(Cc::Ne, cold);
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, 16);
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rcx, 16);
    }

    /// The other way: goes to `cold` unless both are floats, which then are in xmm0 and xmm1. The tag of the first is in
    /// rdx.
    fn two_floats(&mut self, cold: &mut Label) {
        self.asm.alu_ri(Alu::Cmp, B4, Gpr::Rdx, TAG_STR as i32);
        self.asm.jcc(Cc::Ae, cold);
        self.compare_tag(Gpr::Rcx, TAG_STR);
        self.asm.jcc(Cc::Ae, cold);
        self.asm.movq_xr(FLOAT_RESULT, Gpr::Rax);
        self.asm.movq_xr(Xmm::Xmm1, Gpr::Rcx);
    }

    /// Makes a cell of the integer in `x`, in rax; goes to `cold` if 48 bits do not hold it.
    fn tag_int(&mut self, x: Int, cold: &mut Label) {
        // Moved up by a product, which overflows exactly where bits are lost. Below there is room for the tag.
        match x {
            Int::Reg(reg) => self.asm.imul_rri(B8, Gpr::Rax, gpr(reg.0), 1 << 16),
            Int::Slot(at) => self.asm.imul_rmi(B8, Gpr::Rax, slot(at), 1 << 16),
        }
        self.tag_moved(cold);
    }

    /// The second half of making a cell: rax holds the product.
    fn tag_moved(&mut self, cold: &mut Label) {
        self.asm.jcc(Cc::O, cold);
        self.asm.alu_ri(Alu::Add, B8, Gpr::Rax, TAG_INT as i32);
        self.asm.shift_ri(Shift::Ror, B8, Gpr::Rax, 16);
    }

    /// Puts a condition in a place as 0 or 1. Uses rax.
    fn put_condition(&mut self, d: Int, cc: Cc) {
        let t = Self::target(d, Gpr::Rax);
        self.asm.setcc(cc, Gpr::Rax);
        self.asm.movzx8_rr(t, Gpr::Rax);
        self.put(d, t);
    }
}

const fn scale(element: Element) -> Scale {
    match element {
        Element::Byte => Scale::X1,
        Element::Word => Scale::X8,
    }
}

/// The words of a payload: the low half of the word before it.
const CAPACITY: Mem = Mem::base(Gpr::Rcx, -8);

impl Objects for X64<'_> {
    fn op(&mut self, slow: Slow) {
        self.service_op(slow);
    }

    fn record(&mut self, d: IntReg, cell: u32) {
        self.find(gpr(d.0), cell);
    }

    fn object_record(&mut self, d: IntReg, cell: u32) {
        self.asm.mov_rm(B8, Gpr::Rax, slot(cell));
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rdx, Gpr::Rdx);
        self.compare_kind(Gpr::Rax, Gpr::Rcx, Kind::Obj as u8);
        self.asm.cmov_rr(Cc::Ne, B8, Gpr::Rax, Gpr::Rdx);
        self.asm.mov_rr(B4, Gpr::Rax, Gpr::Rax);
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, RECORD_SHIFT);
        self.asm.mov_rm(B8, gpr(d.0), context(field::RECORDS));
        self.asm.alu_rr(Alu::Sub, B8, gpr(d.0), Gpr::Rax);
    }

    fn null_record(&mut self, d: IntReg) {
        self.asm.mov_rm(B8, gpr(d.0), context(field::RECORDS));
    }

    fn view(&mut self, payload: IntReg, len: IntReg, cell: u32) {
        self.find(Gpr::Rcx, cell);
        self.asm.mov_rm(B4, gpr(len.0), len_of(Gpr::Rcx));
        self.asm.mov_rm(B8, gpr(payload.0), payload_of(Gpr::Rcx));
    }

    fn null_view(&mut self, len: IntReg) {
        self.asm.alu_rr(Alu::Xor, B4, gpr(len.0), gpr(len.0));
    }

    fn call_closure(
        &mut self,
        closure: u32,
        args: impl Iterator<Item = Any>,
        frame: u32,
        cache: CacheSite,
        site: Site,
    ) {
        let word = |index: usize| context(cache.from_context() as usize + 8 * index);
        self.asm.mov_rm(B8, Gpr::Rax, slot(closure));
        self.asm.alu_rm(Alu::Cmp, B8, Gpr::Rax, word(call::CELL));
        let mut label = Label::new();
        self.asm.jcc(Cc::Ne, &mut label);
        self.asm.alu_rm(Alu::Cmp, B8, FRAME, word(call::LIMIT));
        self.trap_if(Cc::A, TrapKind::StackOverflow, site);
        // Filling the cache compares with the limit.
        let back = self.asm.buf.pos();
        if self.cold.push(Cold { label, back, kind: ColdKind::Callee { frame, cache, site } }).is_err() {
            self.asm.buf.fail(EmitError::Label { at: back });
        }
        for (index, value) in (0..).zip(args) {
            if index == 0 {
                self.asm.mov_rm(B8, Gpr::Rcx, word(call::ARGS));
            }
            if let Some(mem) = Mem::indexed(FRAME, Gpr::Rcx, Scale::X1, 8 * index) {
                self.store_any_by(Gpr::Rax, mem, value);
            }
        }
        // The upper half is all zeros or all ones: no function's number.
        self.asm.mov_mi(B8, slot(frame), site.0 as i32);
        self.asm.alu_ri(Alu::Add, B8, FRAME, frame as i32);
        self.asm.mov_rm(B8, Gpr::Rax, word(call::TARGET));
        self.asm.call_m(Mem::base(Gpr::Rax, 0));
        self.asm.alu_ri(Alu::Sub, B8, FRAME, frame as i32);
    }

    fn len(&mut self, d: Int, object: Object, slow: Slow) {
        let mut cold = Label::new();
        let t = Self::target(d, Gpr::Rax);
        if let Object::View { len, .. } = object {
            self.asm.mov_rr(B4, Gpr::Rax, gpr(len.0));
        } else {
            let record = self.record_in(object);
            self.asm.mov_rm(B4, Gpr::Rax, len_of(record));
        }
        self.asm.test_rr(B4, Gpr::Rax, Gpr::Rax);
        self.asm.jcc(Cc::E, &mut cold);
        if t != Gpr::Rax {
            self.asm.mov_rr(B4, t, Gpr::Rax);
        }
        self.put(d, t);
        self.cold_op(cold, slow);
    }

    fn get_element(&mut self, element: Element, d: Any, object: Object, x: Int, slow: Option<Slow>) {
        let mut cold = Label::new();
        if let Some(mem) = self.element(element, object, x, slow.is_some().then_some(&mut cold)) {
            self.load_element_at(element, d, mem);
        }
        if let Some(slow) = slow {
            self.cold_op(cold, slow);
        }
    }

    fn set_element(&mut self, element: Element, object: Object, x: Int, s: Any, slow: Option<Slow>) {
        let mut cold = Label::new();
        if let Some(mem) = self.element(element, object, x, slow.is_some().then_some(&mut cold)) {
            self.store_element_at(element, mem, s);
        }
        if let Some(slow) = slow {
            self.cold_op(cold, slow);
        }
    }

    fn push(&mut self, element: Element, object: Object, s: Any, slow: Slow) {
        let mut cold = Label::new();
        // The record must outlive the address of the payload.
        let record = match object {
            Object::Record(reg) => gpr(reg.0),
            Object::Cell(cell) => {
                self.find(Gpr::Rdx, cell);
                Gpr::Rdx
            }
            Object::View { .. } => {
                self.refuse();
                Gpr::Rdx
            }
        };
        self.asm.mov_rm(B8, Gpr::Rcx, payload_of(record));
        self.asm.test_rr(B8, Gpr::Rcx, Gpr::Rcx);
        self.asm.jcc(Cc::E, &mut cold);
        match element {
            Element::Word => {
                self.asm.mov_rm(B4, Gpr::Rax, len_of(record));
                self.asm.alu_rm(Alu::Cmp, B4, Gpr::Rax, CAPACITY);
                self.asm.jcc(Cc::Ae, &mut cold);
            }
            Element::Byte => {
                // A capacity of 2^32 bytes or more looks smaller than it is, so no length gets beyond 32 bits.
                self.asm.mov_rm(B4, Gpr::Rax, CAPACITY);
                self.asm.shift_ri(Shift::Shl, B4, Gpr::Rax, 3);
                self.asm.alu_rm(Alu::Cmp, B4, Gpr::Rax, len_of(record));
                self.asm.jcc(Cc::Be, &mut cold);
                self.asm.mov_rm(B4, Gpr::Rax, len_of(record));
            }
        }
        if let Some(mem) = Mem::indexed(Gpr::Rcx, Gpr::Rax, scale(element), 0) {
            self.asm.lea(B8, Gpr::Rcx, mem);
        }
        self.asm.alu_mi(Alu::Add, B4, len_of(record), 1);
        self.store_element_at(element, Mem::base(Gpr::Rcx, 0), s);
        self.cold_op(cold, slow);
    }

    fn pop(&mut self, element: Element, d: Any, object: Object, slow: Slow) {
        let mut cold = Label::new();
        let record = match object {
            Object::Record(reg) => gpr(reg.0),
            Object::Cell(cell) => {
                self.find(Gpr::Rdx, cell);
                Gpr::Rdx
            }
            Object::View { .. } => {
                self.refuse();
                Gpr::Rdx
            }
        };
        self.asm.mov_rm(B4, Gpr::Rax, len_of(record));
        self.asm.alu_ri(Alu::Sub, B4, Gpr::Rax, 1);
        self.asm.jcc(Cc::B, &mut cold);
        self.asm.mov_rm(B8, Gpr::Rcx, payload_of(record));
        self.asm.mov_mr(B4, len_of(record), Gpr::Rax);
        if let Some(mem) = Mem::indexed(Gpr::Rcx, Gpr::Rax, scale(element), 0) {
            self.load_element_at(element, d, mem);
        }
        self.cold_op(cold, slow);
    }

    fn get_field(&mut self, d: Any, object: Object, index: u16, slow: Slow) {
        let mut cold = Label::new();
        self.payload(object, &mut cold);
        self.load_element_at(Element::Word, d, Mem::base(Gpr::Rcx, 8 * i32::from(index)));
        self.cold_op(cold, slow);
    }

    fn set_field(&mut self, object: Object, index: u16, s: Any, slow: Slow) {
        let mut cold = Label::new();
        self.payload(object, &mut cold);
        self.store_element_at(Element::Word, Mem::base(Gpr::Rcx, 8 * i32::from(index)), s);
        self.cold_op(cold, slow);
    }

    fn get_property(&mut self, d: u32, object: Object, cache: CacheSite, slow: Slow) {
        let (mut chain, mut service) = (Label::new(), Label::new());
        let found = self.find_property(object, cache, &mut chain, &mut service);
        let Some(place) = Mem::indexed(Gpr::Rcx, Gpr::Rdx, Scale::X1, 0) else { return self.refuse() };
        match cache.access {
            Access::Cell => self.asm.mov_rm(B8, Gpr::Rax, place),
            Access::Int => {
                self.asm.imul_rmi(B8, Gpr::Rax, place, 1 << 16);
                self.tag_moved(&mut service);
            }
            Access::Float => {
                // The service makes NaN canonical.
                self.asm.mov_rm(B8, Gpr::Rax, place);
                self.asm.movq_xr(FLOAT_RESULT, Gpr::Rax);
                self.asm.ucomisd_rr(FLOAT_RESULT, FLOAT_RESULT);
                self.asm.jcc(Cc::P, &mut service);
            }
        }
        self.asm.mov_mr(B8, slot(d), Gpr::Rax);
        self.cold_cache(chain, service, found, cache, slow);
    }

    fn set_property(&mut self, object: Object, s: u32, cache: CacheSite, slow: Slow) {
        let (mut chain, mut service) = (Label::new(), Label::new());
        let found = self.find_property(object, cache, &mut chain, &mut service);
        if let Some(place) = Mem::indexed(Gpr::Rcx, Gpr::Rdx, Scale::X1, 0) {
            self.asm.lea(B8, Gpr::Rcx, place);
        }
        self.asm.mov_rm(B8, Gpr::Rax, slot(s));
        match cache.access {
            Access::Cell => {}
            Access::Int => {
                self.compare_tag(Gpr::Rax, TAG_INT);
                self.asm.jcc(Cc::Ne, &mut service);
                self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, 16);
                self.asm.shift_ri(Shift::Sar, B8, Gpr::Rax, 16);
            }
            Access::Float => {
                self.compare_tag(Gpr::Rax, TAG_STR);
                self.asm.jcc(Cc::Ae, &mut service);
            }
        }
        self.asm.mov_mr(B8, Mem::base(Gpr::Rcx, 0), Gpr::Rax);
        self.cold_cache(chain, service, found, cache, slow);
    }

    fn str_len(&mut self, d: Int, cell: u32, slow: Slow) {
        let (mut cold, mut done) = (Label::new(), Label::new());
        // The tag of a short string, its 4 zero bits and its length are the highest 24 bits.
        self.asm.mov_rm(B8, Gpr::Rdx, slot(cell));
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rdx, 40);
        self.asm.alu_ri(Alu::Sub, B4, Gpr::Rdx, (TAG_STR << 8) as i32);
        self.asm.alu_ri(Alu::Cmp, B4, Gpr::Rdx, 16);
        self.asm.jcc(Cc::B, &mut done);
        self.find(Gpr::Rcx, cell);
        self.asm.mov_rm(B4, Gpr::Rdx, len_of(Gpr::Rcx));
        self.asm.test_rr(B4, Gpr::Rdx, Gpr::Rdx);
        self.asm.jcc(Cc::E, &mut cold);
        self.asm.bind(&mut done);
        self.put(d, Gpr::Rdx);
        self.cold_op(cold, slow);
    }

    fn str_byte(&mut self, d: Int, cell: u32, x: Int, slow: Slow) {
        let (mut cold, mut long, mut done) = (Label::new(), Label::new(), Label::new());
        let t = Self::target(d, Gpr::Rax);
        self.asm.mov_rm(B8, Gpr::Rdx, slot(cell));
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rdx, 40);
        self.asm.alu_ri(Alu::Sub, B4, Gpr::Rdx, (TAG_STR << 8) as i32);
        self.asm.alu_ri(Alu::Cmp, B4, Gpr::Rdx, 16);
        self.asm.jcc(Cc::Ae, &mut long);
        // The byte at an index of a short string is at that index of the cell's slot.
        self.get(Gpr::Rcx, x);
        self.asm.alu_rr(Alu::Cmp, B8, Gpr::Rcx, Gpr::Rdx);
        self.asm.jcc(Cc::Ae, &mut cold);
        if let Some(mem) = Mem::indexed(FRAME, Gpr::Rcx, Scale::X1, cell as i32) {
            self.asm.movzx8_rm(Gpr::Rax, mem);
        }
        self.asm.jmp(&mut done);
        self.asm.bind(&mut long);
        if let Some(mem) = self.element(Element::Byte, Object::Cell(cell), x, Some(&mut cold)) {
            self.asm.movzx8_rm(Gpr::Rax, mem);
        }
        self.asm.bind(&mut done);
        if t != Gpr::Rax {
            self.asm.mov_rr(B4, t, Gpr::Rax);
        }
        self.put(d, t);
        self.cold_op(cold, slow);
    }

    fn box_int(&mut self, d: u32, x: Int, slow: Slow) {
        let mut cold = Label::new();
        self.tag_int(x, &mut cold);
        self.asm.mov_mr(B8, slot(d), Gpr::Rax);
        self.cold_op(cold, slow);
    }

    fn box_bool(&mut self, d: u32, x: Int) {
        let x = self.in_gpr(x, Gpr::Rcx);
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rax, Gpr::Rax);
        self.asm.test_rr(B8, x, x);
        self.asm.setcc(Cc::Ne, Gpr::Rax);
        self.asm.mov_ri(Gpr::Rcx, Cell::FALSE.bits());
        self.asm.alu_rr(Alu::Or, B8, Gpr::Rax, Gpr::Rcx);
        self.asm.mov_mr(B8, slot(d), Gpr::Rax);
    }

    fn unbox_int(&mut self, d: Int, cell: u32, slow: Slow) {
        let mut cold = Label::new();
        self.asm.mov_rm(B8, Gpr::Rax, slot(cell));
        self.compare_tag(Gpr::Rax, TAG_INT);
        self.asm.jcc(Cc::Ne, &mut cold);
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, 16);
        self.asm.shift_ri(Shift::Sar, B8, Gpr::Rax, 16);
        self.put(d, Gpr::Rax);
        self.cold_op(cold, slow);
    }

    fn unbox_float(&mut self, d: Float, cell: u32, slow: Slow) {
        let mut cold = Label::new();
        self.asm.mov_rm(B8, Gpr::Rax, slot(cell));
        self.compare_tag(Gpr::Rax, TAG_STR);
        self.asm.jcc(Cc::Ae, &mut cold);
        match d {
            Float::Reg(reg) => self.asm.movq_xr(super::xmm(reg.0), Gpr::Rax),
            Float::Slot(at) => self.asm.mov_mr(B8, slot(at), Gpr::Rax),
        }
        self.cold_op(cold, slow);
    }

    fn unbox_bool(&mut self, d: Int, cell: u32, slow: Slow) {
        let mut cold = Label::new();
        self.asm.mov_rm(B8, Gpr::Rax, slot(cell));
        self.asm.mov_ri(Gpr::Rcx, Cell::FALSE.bits());
        self.asm.alu_rr(Alu::Sub, B8, Gpr::Rax, Gpr::Rcx);
        self.asm.alu_ri(Alu::Cmp, B8, Gpr::Rax, 1);
        self.asm.jcc(Cc::A, &mut cold);
        self.put(d, Gpr::Rax);
        self.cold_op(cold, slow);
    }

    fn cast(&mut self, d: u32, cell: u32, to: Cast, slow: Slow) {
        let mut cold = Label::new();
        self.asm.mov_rm(B8, Gpr::Rax, slot(cell));
        self.compare_kind(Gpr::Rax, Gpr::Rcx, to.kind);
        self.asm.jcc(Cc::Ne, &mut cold);
        if let Some(len) = to.len {
            self.asm.mov_rr(B4, Gpr::Rcx, Gpr::Rax);
            self.asm.shift_ri(Shift::Shl, B8, Gpr::Rcx, RECORD_SHIFT);
            self.asm.mov_rm(B8, Gpr::Rdx, context(field::RECORDS));
            self.asm.alu_rr(Alu::Sub, B8, Gpr::Rdx, Gpr::Rcx);
            self.asm.alu_mi(Alu::Cmp, B4, len_of(Gpr::Rdx), len.into());
            self.asm.jcc(Cc::Ne, &mut cold);
        }
        self.asm.mov_mr(B8, slot(d), Gpr::Rax);
        self.cold_op(cold, slow);
    }

    fn kind(&mut self, d: Int, cell: u32) {
        let (mut handle, mut done) = (Label::new(), Label::new());
        self.asm.mov_rm(B8, Gpr::Rcx, slot(cell));
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rcx, 44);
        self.asm.mov_rr(B4, Gpr::Rax, Gpr::Rcx);
        self.asm.alu_ri(Alu::And, B4, Gpr::Rax, 15);
        self.asm.alu_ri(Alu::Cmp, B4, Gpr::Rcx, (TAG_HANDLE << 4) as i32);
        self.asm.jcc(Cc::Ae, &mut handle);
        // Tags from that of strings on pick 4 bits of a word each; all below are floats.
        self.asm.shift_ri(Shift::Shr, B4, Gpr::Rcx, 4);
        self.asm.mov_ri(Gpr::Rax, 3);
        self.asm.alu_ri(Alu::Sub, B4, Gpr::Rcx, TAG_STR as i32);
        self.asm.jcc(Cc::B, &mut done);
        self.asm.mov_ri(Gpr::Rax, crate::masm::KINDS_BY_TAG);
        self.asm.shift_ri(Shift::Shl, B4, Gpr::Rcx, 2);
        self.asm.shift_rcl(Shift::Shr, B4, Gpr::Rax);
        self.asm.alu_ri(Alu::And, B4, Gpr::Rax, 15);
        self.asm.bind(&mut handle);
        self.asm.bind(&mut done);
        self.put(d, Gpr::Rax);
    }

    fn same(&mut self, d: Int, x: u32, y: u32, slow: Slow) {
        let mut cold = Label::new();
        // Equal bits are the same; different ones only of two boxed integers or two long strings.
        let mut done = Label::new();
        self.asm.mov_rm(B8, Gpr::Rax, slot(x));
        self.asm.mov_ri(Gpr::Rcx, 1);
        self.asm.alu_rm(Alu::Cmp, B8, Gpr::Rax, slot(y));
        self.asm.jcc(Cc::E, &mut done);
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rax, 44);
        self.asm.alu_ri(Alu::Sub, B4, Gpr::Rax, (TAG_HANDLE << 4) as i32);
        self.asm.alu_ri(Alu::Cmp, B4, Gpr::Rax, LAST_BY_VALUE as i32);
        self.asm.jcc(Cc::Be, &mut cold);
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rcx, Gpr::Rcx);
        self.asm.bind(&mut done);
        self.put(d, Gpr::Rcx);
        self.cold_op(cold, slow);
    }

    fn dynamic(&mut self, op: DynOp, d: u32, x: u32, y: u32, slow: Slow) {
        let (mut cold, mut floats, mut done) = (Label::new(), Label::new(), Label::new());
        self.asm.mov_rm(B8, Gpr::Rax, slot(x));
        self.asm.mov_rm(B8, Gpr::Rcx, slot(y));
        self.two_ints(&mut floats, &mut cold);
        match op {
            DynOp::Add => self.asm.alu_rr(Alu::Add, B8, Gpr::Rax, Gpr::Rcx),
            DynOp::Sub => self.asm.alu_rr(Alu::Sub, B8, Gpr::Rax, Gpr::Rcx),
            DynOp::Mul => {
                self.asm.shift_ri(Shift::Sar, B8, Gpr::Rcx, 16);
                self.asm.imul_rr(B8, Gpr::Rax, Gpr::Rcx);
            }
        }
        // 16 bits up, 64 bits overflow exactly where the result does not fit in 48.
        self.tag_moved(&mut cold);
        self.asm.mov_mr(B8, slot(d), Gpr::Rax);
        self.asm.jmp(&mut done);
        self.asm.bind(&mut floats);
        self.two_floats(&mut cold);
        let sse = match op {
            DynOp::Add => Sse::Add,
            DynOp::Sub => Sse::Sub,
            DynOp::Mul => Sse::Mul,
        };
        self.asm.sse_rr(sse, FLOAT_RESULT, Xmm::Xmm1);
        // The service makes NaN canonical.
        self.asm.ucomisd_rr(FLOAT_RESULT, FLOAT_RESULT);
        self.asm.jcc(Cc::P, &mut cold);
        self.asm.movsd_mr(slot(d), FLOAT_RESULT);
        self.asm.bind(&mut done);
        self.cold_op(cold, slow);
    }

    fn dynamic_compare(&mut self, cond: DynCond, d: Int, x: u32, y: u32, slow: Slow) {
        let (mut cold, mut floats, mut done) = (Label::new(), Label::new(), Label::new());
        self.asm.mov_rm(B8, Gpr::Rax, slot(x));
        self.asm.mov_rm(B8, Gpr::Rcx, slot(y));
        self.two_ints(&mut floats, &mut cold);
        self.asm.alu_rr(Alu::Cmp, B8, Gpr::Rax, Gpr::Rcx);
        let cc = match cond {
            DynCond::Eq => Cc::E,
            DynCond::Lt => Cc::L,
            DynCond::Le => Cc::Le,
        };
        self.put_condition(d, cc);
        self.asm.jmp(&mut done);
        self.asm.bind(&mut floats);
        self.two_floats(&mut cold);
        // Exchanged, so that what is unordered is neither above nor equal (SDM vol. 2, UCOMISD).
        self.asm.ucomisd_rr(Xmm::Xmm1, FLOAT_RESULT);
        match cond {
            DynCond::Eq => {
                let t = Self::target(d, Gpr::Rax);
                self.asm.setcc(Cc::E, Gpr::Rax);
                self.asm.setcc(Cc::Np, Gpr::Rcx);
                self.asm.alu_rr(Alu::And, B4, Gpr::Rax, Gpr::Rcx);
                self.asm.movzx8_rr(t, Gpr::Rax);
                self.put(d, t);
            }
            DynCond::Lt => self.put_condition(d, Cc::A),
            DynCond::Le => self.put_condition(d, Cc::Ae),
        }
        self.asm.bind(&mut done);
        self.cold_op(cold, slow);
    }
}
