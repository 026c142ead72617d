//! Cells and objects on arm64.

use super::convention::{CONTEXT, FLOAT_RESULT, FLOAT_SECOND, FRAME, RESULT, SECOND, SITE, TARGET, THIRD};
use super::ints::modulo_64;
use super::tail::Tail;
use super::{A64, CHAINED, S64, field, fpr, gpr, or_sp};
use crate::asm::a64::{
    self, BitField, Cond, Extend, Extended, Imm12, IndexExtend, LogicalImm, Mem, MoveImm, Nzcv, Offset7, Offset9,
    PairMem, Size, X,
};
use crate::asm::{EmitError, Label};
use crate::masm::{
    Any, Cast, Cold, ColdKind, DynCond, DynOp, Element, Float, Int, IntReg, KINDS_BY_TAG, LAST_BY_VALUE, Object,
    Objects, Slow,
};
use crate::runtime::cache::{Access, CHAIN, CacheSite, call};
use crate::runtime::cell::{Cell, TAG_BOOL, TAG_HANDLE, TAG_INT, TAG_STR};
use crate::runtime::heap::{Kind, Record};
use crate::runtime::trap::Site;
use core::mem::{offset_of, size_of};

/// A handle's record lies its index times the size of a record below the first: what the last operand of a subtraction
/// may be.
const BY_RECORD: Extended = match Extended::new(Extend::Uxtw, size_of::<Record>().trailing_zeros()) {
    Some(extended) if size_of::<Record>().is_power_of_two() => extended,
    _ => panic!(),
};

/// The 48 bits of an integer in its cell.
const LOW_48: BitField = BitField::new(0, 47, Size::X).unwrap();
/// Bits 44 to 47: a handle's kind.
const KIND: BitField = BitField::new(44, 47, Size::X).unwrap();
/// The lowest 4 bits.
const NIBBLE: LogicalImm = LogicalImm::new(15, Size::X).unwrap();
/// The tag of integers in its place.
const INT_ABOVE: MoveImm = MoveImm::new(TAG_INT as u16, 48, Size::X).unwrap();
const ONE: Imm12 = Imm12::new(1).unwrap();
/// The payload's address in a record, and the word behind it, whose low half is the length.
const PAYLOAD_AND_LEN: Offset7<3> = Offset7::new(WORD).unwrap();
const LOW_HALF: Extended = Extended::new(Extend::Uxtw, 0).unwrap();
/// From one entry of an inline cache to the next.
const ENTRY: Imm12 = Imm12::new(8).unwrap();
/// The pairs of words of a call's cache.
const CELL_AND_LIMIT: Offset7<3> = Offset7::new(8 * call::CELL as i64).unwrap();
const ARGS_AND_TARGET: Offset7<3> = Offset7::new(8 * call::ARGS as i64).unwrap();
const _: () = assert!(call::LIMIT == call::CELL + 1 && call::TARGET == call::ARGS + 1);
/// The flags of a comparison with something greater: no carry.
const LOWER: Nzcv = Nzcv::new(0).unwrap();
const SHORT: Imm12 = Imm12::new(16).unwrap();
/// The last kind whose objects are compared by value.
const BY_VALUE: Imm12 = Imm12::new(LAST_BY_VALUE).unwrap();
/// From a payload back to the word that holds its capacity.
const CAPACITY: Offset9 = Offset9::new(-8).unwrap();

/// The flags of a comparison with what is not greater.
const CARRY: Nzcv = Nzcv::new(2).unwrap();
/// Instructions that a check is put before, at most.
const MOST_MOVED: usize = 32;

const LEN: i64 = offset_of!(Record, len) as i64;
const WORD: i64 = offset_of!(Record, word) as i64;

/// The length in a record: 4 bytes.
fn len_of(record: X) -> Mem<2> {
    Mem::at(or_sp(record), LEN).unwrap_or(Mem::index(or_sp(record), X::Zr, IndexExtend::Lsl, false))
}

/// The payload's address in a record.
fn payload_of(record: X) -> Mem<3> {
    Mem::at(or_sp(record), WORD).unwrap_or(Mem::index(or_sp(record), X::Zr, IndexExtend::Lsl, false))
}

const _: () = assert!(LEN == WORD + 8);
const _: () =
    assert!(matches!((Mem::<2>::at(a64::XSp::X0, LEN), Mem::<3>::at(a64::XSp::X0, WORD)), (Some(_), Some(_))));

impl A64<'_> {
    /// The rest of a verb is the op's service, if a branch went to `label`. The hot code goes on here.
    fn cold_op(&mut self, label: Label, slow: Slow) {
        let back = self.buf.pos();
        if self.cold.push(Cold { label, back, kind: ColdKind::Op(slow) }).is_err() {
            self.buf.fail(EmitError::Label { at: back });
        }
    }

    /// [`ColdKind::Op`]: the return address may still be in x30 alone.
    pub(super) fn service_op(&mut self, slow: Slow) {
        if !crate::HEAP {
            return;
        }
        self.call_service(slow, None);
    }

    /// [`ColdKind::Cache`]: x0 holds what is looked for, x2 the address of the first entry.
    pub(super) fn cache_chain(&mut self, mut service: Label, found: usize, cache: CacheSite, slow: Slow) {
        if !crate::HEAP {
            return;
        }
        let mut hit: [Label; CHAIN - 1] = [const { Label::new() }; CHAIN - 1];
        for (label, index) in hit.iter_mut().zip(1..) {
            if let Some(entry) = Mem::at(or_sp(THIRD), 8 * index) {
                a64::ldr_w(&mut self.buf, TARGET, entry);
            }
            a64::cmp(&mut self.buf, Size::W, RESULT, TARGET);
            a64::b_cond(&mut self.buf, Cond::Eq, label);
        }
        a64::bind(&mut self.buf, &mut service);
        self.call_service(slow, Some(cache));
        // The caller emits the way back behind this.
        let mut over = Label::new();
        a64::b(&mut self.buf, &mut over);
        // The hot code reads the entry that x2 leads to.
        for label in hit.iter_mut().rev() {
            a64::bind(&mut self.buf, label);
            a64::add_imm(&mut self.buf, S64, or_sp(THIRD), or_sp(THIRD), ENTRY);
        }
        a64::b(&mut self.buf, &mut Label::bound_at(found));
        a64::bind(&mut self.buf, &mut over);
    }

    /// Finds an object's payload, in x1, and the offset of its field by an inline cache, in x16. Goes to `chain` for
    /// another entry than the first, to `service` for what is no object. Gives the place that the chain comes back to.
    fn find_property(&mut self, object: Object, cache: CacheSite, chain: &mut Label, service: &mut Label) -> u32 {
        let record = match object {
            Object::Record(reg) => gpr(reg.0),
            Object::Cell(cell) => {
                self.compare_kind(cell, Kind::Obj as u8);
                a64::b_cond(&mut self.buf, Cond::Ne, service);
                self.load_context(TARGET, field::RECORDS);
                a64::sub_extended(&mut self.buf, S64, or_sp(SECOND), or_sp(TARGET), RESULT, BY_RECORD);
                SECOND
            }
            Object::View { .. } => {
                self.refuse();
                return 0;
            }
        };
        a64::ldr_w(&mut self.buf, RESULT, len_of(record));
        a64::ldr_x(&mut self.buf, SECOND, payload_of(record));
        if record != SECOND {
            a64::cbz(&mut self.buf, S64, SECOND, service);
        }
        if cache.access.mark() != 0 {
            self.add_offset(RESULT, RESULT, cache.access.mark());
        }
        self.load_context(THIRD, field::GLOBALS);
        self.add_offset(THIRD, THIRD, cache.offset);
        if let (Some(shape), Some(offset)) = (Mem::at(or_sp(THIRD), 0), Mem::at(or_sp(THIRD), 4)) {
            a64::ldr_w(&mut self.buf, TARGET, shape);
            a64::cmp(&mut self.buf, Size::W, RESULT, TARGET);
            a64::b_cond(&mut self.buf, Cond::Ne, chain);
            let found = self.buf.pos() as u32;
            a64::ldr_w(&mut self.buf, TARGET, offset);
            return found;
        }
        self.refuse();
        0
    }

    /// Loads a cell into x0, and compares its tag and kind with those of handles of a kind. Uses x1 and x16.
    fn compare_kind(&mut self, cell: u32, kind: u8) {
        let mem = self.slot(cell);
        a64::ldr_x(&mut self.buf, RESULT, mem);
        a64::lsr_imm(&mut self.buf, SECOND, RESULT, modulo_64(44));
        a64::mov_imm(&mut self.buf, TARGET, TAG_HANDLE << 4 | u64::from(kind));
        a64::cmp(&mut self.buf, S64, SECOND, TARGET);
    }

    /// The hot code of a property access ends here.
    fn cold_cache(&mut self, label: Label, service: Label, found: u32, cache: CacheSite, slow: Slow) {
        let back = self.buf.pos();
        let kind = ColdKind::Cache { service, found, cache, slow };
        if self.cold.push(Cold { label, back, kind }).is_err() {
            self.buf.fail(EmitError::Label { at: back });
        }
    }

    fn call_service(&mut self, slow: Slow, cache: Option<CacheSite>) {
        for spill in slow.read() {
            self.store_any(FRAME, spill.offset(), spill.place());
        }
        if self.leaf {
            self.push_link();
        }
        a64::mov_imm(&mut self.buf, SITE, slow.site.0.into());
        match cache {
            None => self.call_stub(self.place.stubs.op),
            Some(cache) => {
                a64::mov_imm(&mut self.buf, RESULT, cache.operand.into());
                self.call_stub(self.place.stubs.cached_op);
            }
        }
        if self.leaf {
            self.pop_link();
        }
        for spill in slow.written() {
            let mem = self.slot(spill.offset());
            self.load_any(spill.place(), mem);
        }
    }

    /// Leaves the address of a cell's record in `t`. Uses x0 and x16.
    fn find(&mut self, t: X, cell: u32) {
        let again = matches!(self.tail(), Tail::Found);
        let mem = self.slot(cell);
        a64::ldr_x(&mut self.buf, RESULT, mem);
        if !again {
            self.load_context(TARGET, field::RECORDS);
        }
        a64::sub_extended(&mut self.buf, S64, or_sp(t), or_sp(TARGET), RESULT, BY_RECORD);
    }

    /// The register that holds the address of an object's record: its own, or x1. Uses x0 and x16.
    fn record_in(&mut self, object: Object) -> X {
        match object {
            Object::Record(reg) => gpr(reg.0),
            Object::Cell(cell) => {
                self.find(SECOND, cell);
                SECOND
            }
            Object::View { .. } => {
                self.refuse();
                SECOND
            }
        }
    }

    /// The registers with the payload, x1 if no other, and with an index below the length; goes to `cold`, if it is given,
    /// for any other index. Uses x0, x2 and x16.
    fn element(&mut self, object: Object, x: Int, cold: Option<&mut Label>) -> (X, X) {
        if let Object::View { payload, len } = object {
            let x = self.in_gpr(x, THIRD);
            if let Some(cold) = cold {
                a64::cmp(&mut self.buf, S64, x, gpr(len.0));
                a64::b_cond(&mut self.buf, Cond::Hs, cold);
            }
            return (gpr(payload.0), x);
        }
        let record = self.record_in(object);
        let x = self.in_gpr(x, THIRD);
        if let Some(cold) = cold {
            a64::ldp_x(&mut self.buf, SECOND, RESULT, PairMem::offset(or_sp(record), PAYLOAD_AND_LEN));
            a64::cmp_extended(&mut self.buf, S64, or_sp(x), RESULT, LOW_HALF);
            a64::b_cond(&mut self.buf, Cond::Hs, cold);
        } else {
            a64::ldr_x(&mut self.buf, SECOND, payload_of(record));
        }
        (SECOND, x)
    }

    /// Accesses an element by `access`, which is given the payload and the index; if it may be out of bounds, `slow` does it
    /// then.
    fn access(
        &mut self,
        object: Object,
        x: Int,
        slow: Option<Slow>,
        loads: bool,
        access: impl FnOnce(&mut Self, X, X),
    ) {
        let Some(slow) = slow else {
            let (base, x) = self.element(object, x, None);
            return access(self, base, x);
        };
        let mut cold = Label::new();
        let added = match (object, x) {
            (Object::View { payload, len }, Int::Reg(x)) => {
                let tail = self.add_check(gpr(x.0), gpr(len.0), loads);
                tail.map(|tail| (gpr(payload.0), gpr(x.0), Some(tail)))
            }
            _ => None,
        };
        let (base, x, tail) = added.unwrap_or_else(|| {
            let (base, x) = self.element(object, x, Some(&mut cold));
            (base, x, cold.head().map(|branch| Tail::Checked { branch, loads: false }))
        });
        access(self, base, x);
        self.cold_op(cold, slow);
        if let (Object::View { .. }, Some(tail)) = (object, tail) {
            self.leave(tail);
        }
    }

    /// Lets the branch of the accesses just before take also what is not below `len`: their rare halves then go on with that
    /// of the access that comes now. Gives what it leaves then; `None`, with nothing done, if there is none to add to.
    ///
    /// One of the accesses traps then, in its service. Those before it are done by theirs; what was to be computed between
    /// them is left out. Nobody can tell, for nothing of it is stored.
    fn add_check(&mut self, x: X, len: X, loads: bool) -> Option<Tail> {
        let Tail::Checked { branch, loads: only_loads } = self.tail() else { return None };
        if only_loads && !loads {
            return None;
        }
        let pos = self.buf.pos();
        let first_moved = branch + 4;
        let mut words: heapless::Vec<u32, MOST_MOVED> = heapless::Vec::new();
        for at in (first_moved..pos).step_by(4) {
            words.push(self.buf.read_u32(at)).ok()?;
        }
        // One of them may have loaded the index. Those of floats have bit 26 set.
        if words.iter().any(|word| word & 1 << 26 == 0 && word & 0x1F == x.number()) {
            return None;
        }
        let first = self.cold.iter().rposition(|cold| cold.label.head() == Some(branch))?;
        let newest = self.cold.last_mut().filter(|cold| matches!(cold.kind, ColdKind::Op(_)))?;
        newest.back = CHAINED;
        self.buf.rewind(pos - branch);
        a64::ccmp(&mut self.buf, S64, x, len, CARRY, Cond::Lo);
        let mut label = Label::new();
        a64::b_cond(&mut self.buf, Cond::Hs, &mut label);
        let branch = label.head()?;
        self.cold.get_mut(first)?.label = label;
        for word in words {
            self.buf.put_u32(word);
        }
        self.moved.get_or_insert((first_moved, 4));
        Some(Tail::Checked { branch, loads: only_loads })
    }

    /// Loads the element at index `x` of the payload in `base`. Uses x0.
    fn load_element_at(&mut self, element: Element, d: Any, base: X, x: X) {
        match (element, d) {
            (Element::Word, Any::Float(Float::Reg(reg))) => {
                a64::ldr_d(&mut self.buf, fpr(reg.0), Mem::index(or_sp(base), x, IndexExtend::Lsl, true));
            }
            (Element::Word, Any::Int(place)) => {
                let t = Self::target(place, RESULT);
                a64::ldr_x(&mut self.buf, t, Mem::index(or_sp(base), x, IndexExtend::Lsl, true));
                self.put(place, t);
            }
            (Element::Word, Any::Float(Float::Slot(at))) => {
                a64::ldr_x(&mut self.buf, RESULT, Mem::index(or_sp(base), x, IndexExtend::Lsl, true));
                self.put(Int::Slot(at), RESULT);
            }
            (Element::Byte, Any::Int(place)) => {
                let t = Self::target(place, RESULT);
                a64::ldrb(&mut self.buf, t, Mem::index(or_sp(base), x, IndexExtend::Lsl, false));
                self.put(place, t);
            }
            (Element::Byte, Any::Float(_)) => self.refuse(),
        }
    }

    /// Stores `s` as the element at index `x` of the payload in `base`. Uses x0, unless `x` is x0, and x17.
    fn store_element_at(&mut self, element: Element, base: X, x: X, s: Any) {
        let scratch = if x == RESULT { TARGET } else { RESULT };
        match (element, s) {
            (Element::Word, Any::Float(Float::Reg(reg))) => {
                a64::str_d(&mut self.buf, fpr(reg.0), Mem::index(or_sp(base), x, IndexExtend::Lsl, true));
            }
            (Element::Word, Any::Int(place)) => {
                let s = self.in_gpr(place, scratch);
                a64::str_x(&mut self.buf, s, Mem::index(or_sp(base), x, IndexExtend::Lsl, true));
            }
            (Element::Word, Any::Float(Float::Slot(at))) => {
                let s = self.in_gpr(Int::Slot(at), scratch);
                a64::str_x(&mut self.buf, s, Mem::index(or_sp(base), x, IndexExtend::Lsl, true));
            }
            (Element::Byte, Any::Int(place)) => {
                let s = self.in_gpr(place, scratch);
                a64::strb(&mut self.buf, s, Mem::index(or_sp(base), x, IndexExtend::Lsl, false));
            }
            (Element::Byte, Any::Float(_)) => self.refuse(),
        }
    }

    /// What no template asks for, such as an array of bytes that are floats.
    fn refuse(&mut self) {
        let at = self.buf.pos();
        self.buf.fail(EmitError::Operand { at });
    }

    /// The payload of an object, in x2; goes to `cold` for null. Uses x0, x1 and x16.
    fn payload(&mut self, object: Object, cold: &mut Label) {
        let record = self.record_in(object);
        a64::ldr_x(&mut self.buf, THIRD, payload_of(record));
        a64::cbz(&mut self.buf, S64, THIRD, cold);
    }

    /// Loads a cell into `t`, and its tag into x2.
    fn tagged(&mut self, t: X, cell: u32) {
        let mem = self.slot(cell);
        a64::ldr_x(&mut self.buf, t, mem);
        a64::lsr_imm(&mut self.buf, THIRD, t, modulo_64(48));
    }

    /// Compares the tag in x2. Uses x16.
    fn compare_tag(&mut self, tag: u64) {
        a64::mov_imm(&mut self.buf, TARGET, tag);
        a64::cmp(&mut self.buf, S64, THIRD, TARGET);
    }

    /// Loads two cells into x0 and x1: goes to `floats` if the first is no integer, to `cold` if only the second is none;
    /// else both are in the high 48 bits.
    fn two_ints(&mut self, x: u32, y: u32, floats: &mut Label, cold: &mut Label) {
        let mem = self.slot(y);
        a64::ldr_x(&mut self.buf, SECOND, mem);
        self.tagged(RESULT, x);
        self.compare_tag(TAG_INT);
        a64::b_cond(&mut self.buf, Cond::Ne, floats);
        a64::lsr_imm(&mut self.buf, THIRD, SECOND, modulo_64(48));
        a64::cmp(&mut self.buf, S64, THIRD, TARGET);
        a64::b_cond(&mut self.buf, Cond::Ne, cold);
        a64::lsl_imm(&mut self.buf, RESULT, RESULT, modulo_64(16));
        a64::lsl_imm(&mut self.buf, SECOND, SECOND, modulo_64(16));
    }

    /// Goes to `cold` unless the cells that `two_ints` loaded are floats, which then are in d0 and d1.
    fn two_floats(&mut self, cold: &mut Label) {
        self.compare_tag(TAG_STR);
        a64::b_cond(&mut self.buf, Cond::Hs, cold);
        a64::lsr_imm(&mut self.buf, THIRD, SECOND, modulo_64(48));
        a64::cmp(&mut self.buf, S64, THIRD, TARGET);
        a64::b_cond(&mut self.buf, Cond::Hs, cold);
        a64::fmov_from_x(&mut self.buf, FLOAT_RESULT, RESULT);
        a64::fmov_from_x(&mut self.buf, FLOAT_SECOND, SECOND);
    }

    /// Makes a cell of the integer in `x`, in x0; goes to `cold` if 48 bits do not hold it.
    fn tag_int(&mut self, x: X, cold: &mut Label) {
        a64::sbfm(&mut self.buf, RESULT, x, LOW_48);
        a64::cmp(&mut self.buf, S64, RESULT, x);
        a64::b_cond(&mut self.buf, Cond::Ne, cold);
        a64::movk(&mut self.buf, RESULT, INT_ABOVE);
    }

    /// Puts a condition in a place as 0 or 1. Uses x0.
    fn put_condition(&mut self, d: Int, cond: Cond) {
        let t = Self::target(d, RESULT);
        a64::cset(&mut self.buf, S64, t, cond);
        self.put(d, t);
    }

    /// Loads the length of a short string into x2, or something from 16 on.
    fn short_len(&mut self, cell: u32) {
        // The tag of a short string, its 4 zero bits and its length are the highest 24 bits.
        let mem = self.slot(cell);
        a64::ldr_x(&mut self.buf, THIRD, mem);
        a64::lsr_imm(&mut self.buf, THIRD, THIRD, modulo_64(40));
        a64::mov_imm(&mut self.buf, TARGET, TAG_STR << 8);
        a64::sub(&mut self.buf, S64, THIRD, THIRD, TARGET);
        a64::cmp_imm(&mut self.buf, S64, or_sp(THIRD), SHORT);
    }
}

impl Objects for A64<'_> {
    fn op(&mut self, slow: Slow) {
        self.service_op(slow);
    }

    fn record(&mut self, d: IntReg, cell: u32) {
        self.find(gpr(d.0), cell);
    }

    fn object_record(&mut self, d: IntReg, cell: u32) {
        self.compare_kind(cell, Kind::Obj as u8);
        a64::csel(&mut self.buf, S64, RESULT, RESULT, X::Zr, Cond::Eq);
        self.load_context(TARGET, field::RECORDS);
        a64::sub_extended(&mut self.buf, S64, or_sp(gpr(d.0)), or_sp(TARGET), RESULT, BY_RECORD);
    }

    fn null_record(&mut self, d: IntReg) {
        self.load_context(gpr(d.0), field::RECORDS);
    }

    fn view(&mut self, payload: IntReg, len: IntReg, cell: u32) {
        self.find(SECOND, cell);
        a64::ldr_w(&mut self.buf, gpr(len.0), len_of(SECOND));
        a64::ldr_x(&mut self.buf, gpr(payload.0), payload_of(SECOND));
        self.leave(Tail::Found);
    }

    fn null_view(&mut self, len: IntReg) {
        a64::mov_imm(&mut self.buf, gpr(len.0), 0);
    }

    fn call_closure(
        &mut self,
        closure: u32,
        args: impl Iterator<Item = Any>,
        frame: u32,
        cache: CacheSite,
        site: Site,
    ) {
        let words = TARGET;
        let mem = self.slot(closure);
        a64::ldr_x(&mut self.buf, RESULT, mem);
        self.add_offset(words, CONTEXT, cache.from_context());
        a64::ldp_x(&mut self.buf, SECOND, THIRD, PairMem::offset(or_sp(words), CELL_AND_LIMIT));
        a64::cmp(&mut self.buf, S64, RESULT, SECOND);
        // Lower: another closure, or the frame is behind the limit.
        a64::ccmp(&mut self.buf, S64, THIRD, FRAME, LOWER, Cond::Eq);
        self.cold_if(Cond::Lo, ColdKind::Callee { frame, cache, site });
        a64::ldp_x(&mut self.buf, RESULT, TARGET, PairMem::offset(or_sp(words), ARGS_AND_TARGET));
        for (index, value) in (0..).zip(args) {
            if index == 0 {
                a64::add(&mut self.buf, S64, RESULT, FRAME, RESULT);
            }
            // One call may have thousands. What this emits is jumped over.
            self.keep_cold_near();
            self.store_any(RESULT, 8 * index, value);
        }
        a64::mov_imm(&mut self.buf, SITE, site.0.into());
        self.add_offset(FRAME, FRAME, frame);
        if let (Some(header), Some(code)) = (Mem::at(or_sp(FRAME), 0), Mem::at(or_sp(TARGET), 0)) {
            // With a zero upper half: no function's number.
            a64::str_x(&mut self.buf, SITE, header);
            a64::ldr_x(&mut self.buf, RESULT, code);
        }
        a64::blr(&mut self.buf, RESULT);
        self.sub_offset(FRAME, FRAME, frame);
    }

    fn len(&mut self, d: Int, object: Object, slow: Slow) {
        let mut cold = Label::new();
        let len = if let Object::View { len, .. } = object {
            gpr(len.0)
        } else {
            let record = self.record_in(object);
            a64::ldr_w(&mut self.buf, RESULT, len_of(record));
            RESULT
        };
        a64::cbz(&mut self.buf, S64, len, &mut cold);
        self.put(d, len);
        self.cold_op(cold, slow);
    }

    fn get_element(&mut self, element: Element, d: Any, object: Object, x: Int, slow: Option<Slow>) {
        self.access(object, x, slow, true, |masm, base, x| masm.load_element_at(element, d, base, x));
    }

    fn set_element(&mut self, element: Element, object: Object, x: Int, s: Any, slow: Option<Slow>) {
        self.access(object, x, slow, false, |masm, base, x| masm.store_element_at(element, base, x, s));
    }

    fn push(&mut self, element: Element, object: Object, s: Any, slow: Slow) {
        let mut cold = Label::new();
        let record = self.record_in(object);
        a64::ldr_x(&mut self.buf, THIRD, payload_of(record));
        a64::cbz(&mut self.buf, S64, THIRD, &mut cold);
        a64::ldr_w(&mut self.buf, TARGET, Mem::unscaled(or_sp(THIRD), CAPACITY));
        if element == Element::Byte {
            // A capacity of 2^32 bytes or more looks smaller than it is, so no length gets beyond 32 bits.
            a64::lsl_imm(&mut self.buf, TARGET, TARGET, BYTES);
        }
        a64::ldr_w(&mut self.buf, RESULT, len_of(record));
        a64::cmp(&mut self.buf, Size::W, RESULT, TARGET);
        a64::b_cond(&mut self.buf, Cond::Hs, &mut cold);
        self.store_element_at(element, THIRD, RESULT, s);
        a64::add_imm(&mut self.buf, S64, or_sp(RESULT), or_sp(RESULT), ONE);
        a64::str_w(&mut self.buf, RESULT, len_of(record));
        self.cold_op(cold, slow);
    }

    fn pop(&mut self, element: Element, d: Any, object: Object, slow: Slow) {
        let mut cold = Label::new();
        let record = self.record_in(object);
        a64::ldr_w(&mut self.buf, RESULT, len_of(record));
        a64::cbz(&mut self.buf, S64, RESULT, &mut cold);
        a64::sub_imm(&mut self.buf, S64, or_sp(RESULT), or_sp(RESULT), ONE);
        a64::str_w(&mut self.buf, RESULT, len_of(record));
        a64::ldr_x(&mut self.buf, SECOND, payload_of(record));
        self.load_element_at(element, d, SECOND, RESULT);
        self.cold_op(cold, slow);
    }

    fn get_field(&mut self, d: Any, object: Object, index: u16, slow: Slow) {
        let mut cold = Label::new();
        self.payload(object, &mut cold);
        let mem = self.at(THIRD, 8 * u32::from(index));
        self.load_any(d, mem);
        self.cold_op(cold, slow);
    }

    fn set_field(&mut self, object: Object, index: u16, s: Any, slow: Slow) {
        let mut cold = Label::new();
        self.payload(object, &mut cold);
        self.store_any(THIRD, 8 * u32::from(index), s);
        self.cold_op(cold, slow);
    }

    fn get_property(&mut self, d: u32, object: Object, cache: CacheSite, slow: Slow) {
        let (mut chain, mut service) = (Label::new(), Label::new());
        let found = self.find_property(object, cache, &mut chain, &mut service);
        let mem = Mem::index(or_sp(SECOND), TARGET, IndexExtend::Lsl, false);
        a64::ldr_x(&mut self.buf, SECOND, mem);
        match cache.access {
            Access::Cell => self.put(Int::Slot(d), SECOND),
            Access::Int => {
                self.tag_int(SECOND, &mut service);
                self.put(Int::Slot(d), RESULT);
            }
            Access::Float => {
                // The service makes NaN canonical.
                a64::fmov_from_x(&mut self.buf, FLOAT_RESULT, SECOND);
                a64::fcmp(&mut self.buf, FLOAT_RESULT, FLOAT_RESULT);
                a64::b_cond(&mut self.buf, Cond::Vs, &mut service);
                self.put(Int::Slot(d), SECOND);
            }
        }
        self.cold_cache(chain, service, found, cache, slow);
    }

    fn set_property(&mut self, object: Object, s: u32, cache: CacheSite, slow: Slow) {
        let (mut chain, mut service) = (Label::new(), Label::new());
        let found = self.find_property(object, cache, &mut chain, &mut service);
        a64::add(&mut self.buf, S64, SECOND, SECOND, TARGET);
        self.tagged(RESULT, s);
        match cache.access {
            Access::Cell => {}
            Access::Int => {
                self.compare_tag(TAG_INT);
                a64::b_cond(&mut self.buf, Cond::Ne, &mut service);
                a64::sbfm(&mut self.buf, RESULT, RESULT, LOW_48);
            }
            Access::Float => {
                self.compare_tag(TAG_STR);
                a64::b_cond(&mut self.buf, Cond::Hs, &mut service);
            }
        }
        if let Some(mem) = Mem::at(or_sp(SECOND), 0) {
            a64::str_x(&mut self.buf, RESULT, mem);
        }
        self.cold_cache(chain, service, found, cache, slow);
    }

    fn str_len(&mut self, d: Int, cell: u32, slow: Slow) {
        let (mut cold, mut done) = (Label::new(), Label::new());
        self.short_len(cell);
        a64::b_cond(&mut self.buf, Cond::Lo, &mut done);
        self.find(SECOND, cell);
        a64::ldr_w(&mut self.buf, THIRD, len_of(SECOND));
        a64::cbz(&mut self.buf, S64, THIRD, &mut cold);
        a64::bind(&mut self.buf, &mut done);
        self.put(d, THIRD);
        self.cold_op(cold, slow);
    }

    fn str_byte(&mut self, d: Int, cell: u32, x: Int, slow: Slow) {
        let (mut cold, mut long, mut done) = (Label::new(), Label::new(), Label::new());
        self.short_len(cell);
        a64::b_cond(&mut self.buf, Cond::Hs, &mut long);
        let index = self.in_gpr(x, SECOND);
        a64::cmp(&mut self.buf, S64, index, THIRD);
        a64::b_cond(&mut self.buf, Cond::Hs, &mut cold);
        // The byte at an index of a short string is at that index of the cell's slot.
        self.add_offset(RESULT, FRAME, cell);
        a64::ldrb(&mut self.buf, RESULT, Mem::index(or_sp(RESULT), index, IndexExtend::Lsl, false));
        a64::b(&mut self.buf, &mut done);
        a64::bind(&mut self.buf, &mut long);
        let (base, index) = self.element(Object::Cell(cell), x, Some(&mut cold));
        a64::ldrb(&mut self.buf, RESULT, Mem::index(or_sp(base), index, IndexExtend::Lsl, false));
        a64::bind(&mut self.buf, &mut done);
        self.put(d, RESULT);
        self.cold_op(cold, slow);
    }

    fn box_int(&mut self, d: u32, x: Int, slow: Slow) {
        let mut cold = Label::new();
        let x = self.in_gpr(x, SECOND);
        self.tag_int(x, &mut cold);
        self.put(Int::Slot(d), RESULT);
        self.cold_op(cold, slow);
    }

    fn box_bool(&mut self, d: u32, x: Int) {
        let x = self.in_gpr(x, SECOND);
        a64::cmp(&mut self.buf, S64, x, X::Zr);
        a64::mov_imm(&mut self.buf, RESULT, Cell::FALSE.bits());
        // One more where it is not 0.
        a64::csinc(&mut self.buf, S64, RESULT, RESULT, RESULT, Cond::Eq);
        self.put(Int::Slot(d), RESULT);
    }

    fn unbox_int(&mut self, d: Int, cell: u32, slow: Slow) {
        let mut cold = Label::new();
        self.tagged(RESULT, cell);
        self.compare_tag(TAG_INT);
        a64::b_cond(&mut self.buf, Cond::Ne, &mut cold);
        let t = Self::target(d, RESULT);
        a64::sbfm(&mut self.buf, t, RESULT, LOW_48);
        self.put(d, t);
        self.cold_op(cold, slow);
    }

    fn unbox_float(&mut self, d: Float, cell: u32, slow: Slow) {
        let mut cold = Label::new();
        self.tagged(RESULT, cell);
        self.compare_tag(TAG_STR);
        a64::b_cond(&mut self.buf, Cond::Hs, &mut cold);
        match d {
            Float::Reg(reg) => a64::fmov_from_x(&mut self.buf, fpr(reg.0), RESULT),
            Float::Slot(at) => self.put(Int::Slot(at), RESULT),
        }
        self.cold_op(cold, slow);
    }

    fn unbox_bool(&mut self, d: Int, cell: u32, slow: Slow) {
        let mut cold = Label::new();
        self.tagged(RESULT, cell);
        self.compare_tag(TAG_BOOL);
        a64::b_cond(&mut self.buf, Cond::Ne, &mut cold);
        // Of a bool nothing but the lowest bit is not its tag.
        let t = Self::target(d, RESULT);
        a64::and_imm(&mut self.buf, or_sp(t), RESULT, NIBBLE);
        self.put(d, t);
        self.cold_op(cold, slow);
    }

    fn cast(&mut self, d: u32, cell: u32, to: Cast, slow: Slow) {
        let mut cold = Label::new();
        self.compare_kind(cell, to.kind);
        a64::b_cond(&mut self.buf, Cond::Ne, &mut cold);
        if let Some(len) = to.len {
            self.load_context(TARGET, field::RECORDS);
            a64::sub_extended(&mut self.buf, S64, or_sp(SECOND), or_sp(TARGET), RESULT, BY_RECORD);
            a64::ldr_w(&mut self.buf, SECOND, len_of(SECOND));
            a64::mov_imm(&mut self.buf, TARGET, len.into());
            a64::cmp(&mut self.buf, S64, SECOND, TARGET);
            a64::b_cond(&mut self.buf, Cond::Ne, &mut cold);
        }
        self.put(Int::Slot(d), RESULT);
        self.cold_op(cold, slow);
    }

    fn kind(&mut self, d: Int, cell: u32) {
        let mut done = Label::new();
        self.tagged(SECOND, cell);
        a64::ubfm(&mut self.buf, RESULT, SECOND, KIND);
        self.compare_tag(TAG_HANDLE);
        a64::b_cond(&mut self.buf, Cond::Eq, &mut done);
        // Tags from that of strings on pick 4 bits of a word each; all below are floats.
        a64::mov_imm(&mut self.buf, RESULT, 3);
        a64::mov_imm(&mut self.buf, TARGET, TAG_STR);
        a64::subs(&mut self.buf, S64, THIRD, THIRD, TARGET);
        a64::b_cond(&mut self.buf, Cond::Lo, &mut done);
        a64::lsl_imm(&mut self.buf, THIRD, THIRD, modulo_64(2));
        a64::mov_imm(&mut self.buf, RESULT, KINDS_BY_TAG);
        a64::lsrv(&mut self.buf, S64, RESULT, RESULT, THIRD);
        a64::and_imm(&mut self.buf, or_sp(RESULT), RESULT, NIBBLE);
        a64::bind(&mut self.buf, &mut done);
        self.put(d, RESULT);
    }

    fn same(&mut self, d: Int, x: u32, y: u32, slow: Slow) {
        let mut cold = Label::new();
        // Equal bits are the same; different ones only of two boxed integers or two long strings.
        let mut done = Label::new();
        let (mem, other) = (self.slot(x), RESULT);
        a64::ldr_x(&mut self.buf, other, mem);
        let mem = self.slot(y);
        a64::ldr_x(&mut self.buf, THIRD, mem);
        a64::mov_imm(&mut self.buf, SECOND, 1);
        a64::cmp(&mut self.buf, S64, other, THIRD);
        a64::b_cond(&mut self.buf, Cond::Eq, &mut done);
        a64::lsr_imm(&mut self.buf, other, other, modulo_64(44));
        a64::mov_imm(&mut self.buf, THIRD, TAG_HANDLE << 4);
        a64::sub(&mut self.buf, S64, other, other, THIRD);
        a64::cmp_imm(&mut self.buf, S64, or_sp(other), BY_VALUE);
        a64::b_cond(&mut self.buf, Cond::Ls, &mut cold);
        a64::mov_imm(&mut self.buf, SECOND, 0);
        a64::bind(&mut self.buf, &mut done);
        self.put(d, SECOND);
        self.cold_op(cold, slow);
    }

    fn dynamic(&mut self, op: DynOp, d: u32, x: u32, y: u32, slow: Slow) {
        let (mut cold, mut floats, mut done) = (Label::new(), Label::new(), Label::new());
        self.two_ints(x, y, &mut floats, &mut cold);
        // 16 bits up, 64 bits overflow exactly where the result does not fit in 48.
        match op {
            DynOp::Add => {
                a64::adds(&mut self.buf, S64, RESULT, RESULT, SECOND);
                a64::b_cond(&mut self.buf, Cond::Vs, &mut cold);
            }
            DynOp::Sub => {
                a64::subs(&mut self.buf, S64, RESULT, RESULT, SECOND);
                a64::b_cond(&mut self.buf, Cond::Vs, &mut cold);
            }
            DynOp::Mul => {
                a64::asr_imm(&mut self.buf, SECOND, SECOND, modulo_64(16));
                a64::smulh(&mut self.buf, THIRD, RESULT, SECOND);
                a64::mul(&mut self.buf, S64, RESULT, RESULT, SECOND);
                a64::cmp_shifted(&mut self.buf, THIRD, RESULT, a64::Shift::Asr(modulo_64(63)));
                a64::b_cond(&mut self.buf, Cond::Ne, &mut cold);
            }
        }
        a64::lsr_imm(&mut self.buf, RESULT, RESULT, modulo_64(16));
        a64::movk(&mut self.buf, RESULT, INT_ABOVE);
        self.put(Int::Slot(d), RESULT);
        a64::b(&mut self.buf, &mut done);
        a64::bind(&mut self.buf, &mut floats);
        self.two_floats(&mut cold);
        let emit = match op {
            DynOp::Add => a64::fadd,
            DynOp::Sub => a64::fsub,
            DynOp::Mul => a64::fmul,
        };
        emit(&mut self.buf, FLOAT_RESULT, FLOAT_RESULT, FLOAT_SECOND);
        // The service makes NaN canonical.
        a64::fcmp(&mut self.buf, FLOAT_RESULT, FLOAT_RESULT);
        a64::b_cond(&mut self.buf, Cond::Vs, &mut cold);
        self.put_float(Float::Slot(d), FLOAT_RESULT);
        a64::bind(&mut self.buf, &mut done);
        self.cold_op(cold, slow);
    }

    fn dynamic_compare(&mut self, cond: DynCond, d: Int, x: u32, y: u32, slow: Slow) {
        let (mut cold, mut floats, mut done) = (Label::new(), Label::new(), Label::new());
        self.two_ints(x, y, &mut floats, &mut cold);
        a64::cmp(&mut self.buf, S64, RESULT, SECOND);
        // Of floats, `Mi` and `Ls` are false where `Lt` and `Le` are true: unordered ones (C6.2, FCMP).
        let (ints, ordered) = match cond {
            DynCond::Eq => (Cond::Eq, Cond::Eq),
            DynCond::Lt => (Cond::Lt, Cond::Mi),
            DynCond::Le => (Cond::Le, Cond::Ls),
        };
        self.put_condition(d, ints);
        a64::b(&mut self.buf, &mut done);
        a64::bind(&mut self.buf, &mut floats);
        self.two_floats(&mut cold);
        a64::fcmp(&mut self.buf, FLOAT_RESULT, FLOAT_SECOND);
        self.put_condition(d, ordered);
        a64::bind(&mut self.buf, &mut done);
        self.cold_op(cold, slow);
    }
}

/// From a number of words to one of bytes, in 32 bits.
const BYTES: a64::Shift6 = a64::Shift6::new(3, Size::W).unwrap();
