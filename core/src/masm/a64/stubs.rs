//! The shared stubs on arm64. Each one's contract stands above it; what it does not name it preserves as the convention
//! says.

use super::convention::{
    CONTEXT, FLOAT_POOL, FLOAT_RESULT, FLOAT_SECOND, FRAME, HOST_FLOATS, HOST_INTS, HOST_ROOM, INT_POOL, LINK, RESULT,
    ROOM_END, SECOND, SITE, SMALL, TARGET, THIRD,
};
use super::saves::Saves;
use super::{A64, S64, field, fpr, gpr, or_sp};
use crate::asm::a64::{
    self, Cond, Extend, Extended, Imm12, IndexExtend, Mem, Offset7, PairMem, Shift, Shift6, Size, SysReg, X, XSp,
};
use crate::asm::{EmitError, Label};
use crate::masm::{FUNCTION_ALIGN, Stubs, first_floats};
use crate::runtime::cache::call;
use crate::runtime::context::{Entry, Services};
use crate::runtime::frame::{HEADER, slot_offset};
use crate::runtime::heap::{BOUND, Record};
use crate::runtime::trap::TrapKind;
use core::mem::{offset_of, size_of};

/// Where `lazy` is: behind `enter`.
pub(super) const LAZY: usize = 192;

/// Where the entry keeps the host's FPCR, and the entry around it, above the registers.
const OLD_FPCR: i64 = 8 * (HOST_INTS.len() + HOST_FLOATS.len()) as i64;
const OLD_ENTRY: i64 = OLD_FPCR + 8;
/// Bytes of an adaptor, a power of two.
const ADAPTOR_BYTES: usize = 64;
/// The most values that an adaptor copies without a loop.
const UNROLLED: u32 = 6;

impl A64<'_> {
    /// Emits all stubs.
    pub(super) fn emit_stubs(&mut self) -> Stubs {
        let mut stubs = Stubs { floats: self.place.stubs.floats, ..Stubs::default() };
        let mut leave = Label::new();
        let mut unwind = Label::new();
        let link = Saves::new([LINK], [], 0);

        stubs.enter = self.buf.pos();
        self.enter(&mut leave);

        // x20 holds the frame of the function, whose header says which it is; x30 leads to its caller.
        self.pad_to(LAZY);
        stubs.lazy = self.buf.pos();
        if let Some(mem) = Mem::at(or_sp(FRAME), 0) {
            a64::ldr_w(&mut self.buf, SITE, mem);
        }
        a64::mov_imm(&mut self.buf, RESULT, 0);
        // The same with the function's own site in x2 and not 0 in x0.
        stubs.whole = self.buf.pos();
        let mut jump = Label::new();
        self.save(&link);
        self.service(offset_of!(Services, lazy), FRAME, &mut unwind);
        self.restore(&link);
        a64::cbnz(&mut self.buf, S64, RESULT, &mut jump);
        self.load_result();
        a64::ret(&mut self.buf, LINK);
        a64::bind(&mut self.buf, &mut jump);
        self.load_context(TARGET, field::OPERANDS);
        a64::br(&mut self.buf, TARGET);

        // Ends the run: x0 holds the trap's bits, x2 the site, x20 its frame. Does not return.
        self.align();
        let mut trap = Label::bound_at(self.buf.pos());
        stubs.trap = self.buf.pos();
        self.store_context(field::TRAP, RESULT);
        self.store_context(field::TRAP_SITE, SITE);
        self.store_context(field::TRAP_FRAME, FRAME);
        a64::bind(&mut self.buf, &mut unwind);
        self.load_context(TARGET, field::ENTRY_SP);
        a64::mov_sp(&mut self.buf, S64, XSp::Sp, or_sp(TARGET));
        a64::mov_imm(&mut self.buf, RESULT, 1);
        a64::b(&mut self.buf, &mut leave);

        // Ends the run with one kind of trap: x2 holds the site. Does not return.
        for (kind, _) in TrapKind::ALL {
            if let Some(place) = stubs.trap_kind.get_mut(kind as usize) {
                *place = self.buf.pos();
            }
            a64::mov_imm(&mut self.buf, RESULT, kind as u64);
            a64::b(&mut self.buf, &mut trap);
        }

        // x2 holds the site; the caller has pushed its x30 and 8 bytes more. Uses x0 to x2, x16, x17, x30, d0 to d2.
        self.align();
        let mut guarded = Label::new();
        stubs.poll = self.buf.pos();
        a64::mov_imm(&mut self.buf, RESULT, u64::MAX);
        a64::b(&mut self.buf, &mut guarded);
        stubs.guard = self.buf.pos();
        // The stack pointer as the guest compared it.
        if let Some(pushed) = Imm12::new(16) {
            a64::add_imm(&mut self.buf, S64, or_sp(RESULT), XSp::Sp, pushed);
        }
        a64::bind(&mut self.buf, &mut guarded);
        self.keeping_all(offset_of!(Services, guard), &mut unwind);

        // x0 holds the import, x1 its frame, x2 the site. Uses all that calls may.
        self.align();
        stubs.host = self.buf.pos();
        self.save(&link);
        self.service(offset_of!(Services, host_call), SECOND, &mut unwind);
        self.restore(&link);
        a64::ret(&mut self.buf, LINK);

        // x2 holds the site, x0 where to go on (`LEAVE_BEHIND`, `LEAVE_AT`). Gives the function's result in x0 or d0, or clears
        // Z if machine code goes on. Uses all that calls may.
        self.align();
        stubs.deopt = self.buf.pos();
        self.save(&link);
        self.service(offset_of!(Services, deopt), FRAME, &mut unwind);
        self.restore(&link);
        a64::cmp(&mut self.buf, S64, RESULT, X::Zr);
        self.load_result();
        a64::ret(&mut self.buf, LINK);

        if crate::HEAP {
            self.heap_stubs(&mut stubs, &mut unwind);
        }
        self.align();
        stubs.end = self.buf.pos();
        stubs
    }

    fn heap_stubs(&mut self, stubs: &mut Stubs, unwind: &mut Label) {
        // x2 holds the site, for `cached_op` x0 the operand. Uses x0 to x2, x16, x17, x30, d0 to d2.
        self.align();
        stubs.op = self.buf.pos();
        a64::mov_imm(&mut self.buf, RESULT, 0);
        stubs.cached_op = self.buf.pos();
        self.keeping_all(offset_of!(Services, op), unwind);

        self.align();
        let adaptors = self.adaptors();
        self.align();
        stubs.closure = self.buf.pos();
        if adaptors.and_then(|(first, many)| self.closure(stubs, first, many)).is_none() {
            let at = self.buf.pos();
            self.buf.fail(EmitError::Operand { at });
        }
    }

    /// What a call of a closure that binds something goes through: x16 holds the address of the cache's word
    /// [`call::ADAPTOR`], x20 that of the laid out frame. Copies what is bound into the frame and goes on at the function.
    /// Gives the adaptor of 1 value, behind which those of up to [`UNROLLED`] follow every [`ADAPTOR_BYTES`], and that of
    /// more. Uses x0, x1, x2, x16, d0, d1. `None` if an operand has no encoding.
    fn adaptors(&mut self) -> Option<(usize, usize)> {
        let cached = |index: usize| 8 * (index as i64 - call::ADAPTOR as i64);
        let pair = |base: X, at: i64| Offset7::new(at).map(|at| PairMem::offset(or_sp(base), at));
        self.align_to(ADAPTOR_BYTES);
        let first = self.buf.pos();
        for count in 1..=UNROLLED {
            self.align_to(ADAPTOR_BYTES);
            let start = self.buf.pos();
            let inside = count as usize <= call::BOUND_COUNT;
            let base = if inside { TARGET } else { THIRD };
            if !inside {
                a64::ldr_x(&mut self.buf, base, Mem::at(or_sp(TARGET), cached(call::BOUND))?);
            }
            let bound = |index: u32| {
                let from = if inside { cached(call::BOUND + index as usize) } else { 8 * i64::from(BOUND + index) };
                (from, i64::from(slot_offset(index as u16)))
            };
            for index in (0..count - count % 2).step_by(2) {
                let (from, to) = bound(index);
                a64::ldp_x(&mut self.buf, RESULT, SECOND, pair(base, from)?);
                a64::stp_x(&mut self.buf, RESULT, SECOND, pair(FRAME, to)?);
            }
            if count % 2 != 0 {
                let (from, to) = bound(count - 1);
                a64::ldr_x(&mut self.buf, RESULT, Mem::at(or_sp(base), from)?);
                a64::str_x(&mut self.buf, RESULT, Mem::at(or_sp(FRAME), to)?);
            }
            self.enter_cached(cached(call::ENTRY))?;
            if self.buf.pos().wrapping_sub(start) > ADAPTOR_BYTES {
                return None;
            }
        }
        self.align();
        let many = self.buf.pos();
        let (from, to, left) = (SECOND, RESULT, THIRD);
        let (one, word) = (Imm12::new(1)?, Imm12::new(8)?);
        let mut even = Label::new();
        a64::ldr_x(&mut self.buf, from, Mem::at(or_sp(TARGET), cached(call::BOUND))?);
        a64::ldrh(&mut self.buf, left, Mem::at(or_sp(from), 2)?);
        a64::tbz(&mut self.buf, left, Shift6::new(0, S64)?, &mut even);
        // Value i is in word 1 + i of the payload, and of the frame.
        a64::ldr_d(&mut self.buf, FLOAT_RESULT, Mem::index(or_sp(from), left, IndexExtend::Lsl, true));
        a64::str_d(&mut self.buf, FLOAT_RESULT, Mem::index(or_sp(FRAME), left, IndexExtend::Lsl, true));
        a64::sub_imm(&mut self.buf, S64, or_sp(left), or_sp(left), one);
        a64::bind(&mut self.buf, &mut even);
        a64::add_imm(&mut self.buf, S64, or_sp(from), or_sp(from), word);
        a64::add_imm(&mut self.buf, S64, or_sp(to), or_sp(FRAME), word);
        let mut next = Label::bound_at(self.buf.pos());
        let step = Offset7::new(16)?;
        a64::ldp_d(&mut self.buf, FLOAT_RESULT, FLOAT_SECOND, PairMem::post(or_sp(from), step));
        a64::stp_d(&mut self.buf, FLOAT_RESULT, FLOAT_SECOND, PairMem::post(or_sp(to), step));
        a64::subs_imm(&mut self.buf, S64, left, or_sp(left), Imm12::new(2)?);
        a64::b_cond(&mut self.buf, Cond::Ne, &mut next);
        self.enter_cached(cached(call::ENTRY))?;
        Some((first, many))
    }

    /// Goes to the function whose entry's address is at this distance from x16.
    fn enter_cached(&mut self, entry: i64) -> Option<()> {
        a64::ldr_x(&mut self.buf, TARGET, Mem::at(or_sp(TARGET), entry)?);
        a64::ldr_x(&mut self.buf, TARGET, Mem::at(or_sp(TARGET), offset_of!(Entry, code) as i64)?);
        a64::br(&mut self.buf, TARGET);
        Some(())
    }

    /// Fills the cache of a call of a closure: x0 holds its cell, x1 the distance to the callee's frame, x2 the site, x16 the
    /// address of the cache. Traps null, then a stack that has no room for the callee's frame. Uses x0, x1. `None` if an
    /// operand has no encoding.
    fn closure(&mut self, stubs: &Stubs, first: usize, many: usize) -> Option<()> {
        let (payload, entry, count, limit, words) = (X::X3, X::X4, X::X5, X::X6, TARGET);
        let trap = |kind: TrapKind| Label::bound_at(stubs.trap_kind.get(kind as usize).copied().unwrap_or(stubs.trap));
        let word = |index: usize| Mem::at(or_sp(words), 8 * index as i64);
        let lsl = |by: u32| Shift6::new(by.into(), S64).map(Shift::Lsl);
        let (by_word, by_adaptor) = (lsl(3)?, Shift6::new(ADAPTOR_BYTES.trailing_zeros().into(), S64)?);
        let saves = Saves::new([payload, entry, count, limit], [], 0);
        self.save(&saves);
        a64::cbz(&mut self.buf, Size::W, RESULT, &mut trap(TrapKind::NullReference));
        self.load_context(payload, field::RECORDS);
        let by_record = Extended::new(Extend::Uxtw, size_of::<Record>().trailing_zeros())?;
        a64::sub_extended(&mut self.buf, S64, or_sp(payload), or_sp(payload), RESULT, by_record);
        a64::ldr_x(&mut self.buf, payload, Mem::at(or_sp(payload), offset_of!(Record, word) as i64)?);
        // The function's entry, by the lowest 16 bits of the first word.
        a64::ldrh(&mut self.buf, count, Mem::at(or_sp(payload), 0)?);
        self.load_context(entry, field::ENTRIES);
        a64::add_shifted(&mut self.buf, entry, entry, count, lsl(size_of::<Entry>().trailing_zeros())?);
        // The greatest address of a frame that leaves room for the distance and the callee's frame.
        a64::ldr_w(&mut self.buf, count, Mem::at(or_sp(entry), offset_of!(Entry, frame_bytes) as i64)?);
        a64::add(&mut self.buf, S64, count, count, SECOND);
        self.load_context(limit, field::STACK_END);
        a64::subs(&mut self.buf, S64, limit, limit, count);
        a64::b_cond(&mut self.buf, Cond::Lo, &mut trap(TrapKind::StackOverflow));
        a64::cmp(&mut self.buf, S64, FRAME, limit);
        a64::b_cond(&mut self.buf, Cond::Hi, &mut trap(TrapKind::StackOverflow));
        a64::str_x(&mut self.buf, limit, word(call::LIMIT)?);
        a64::ldr_x(&mut self.buf, count, word(call::MISSES)?);
        a64::add_imm(&mut self.buf, S64, or_sp(count), or_sp(count), Imm12::new(1)?);
        a64::str_x(&mut self.buf, count, word(call::MISSES)?);
        a64::str_x(&mut self.buf, entry, word(call::ENTRY)?);
        // The bound arguments follow the first word, whose next 16 bits are their number.
        a64::ldrh(&mut self.buf, count, Mem::at(or_sp(payload), 2)?);
        a64::add_shifted(&mut self.buf, SECOND, SECOND, count, by_word);
        a64::add_imm(&mut self.buf, S64, or_sp(SECOND), or_sp(SECOND), Imm12::new(HEADER.into())?);
        a64::str_x(&mut self.buf, SECOND, word(call::ARGS)?);
        let (mut several, mut find, mut adapt, mut filled) = (Label::new(), Label::new(), Label::new(), Label::new());
        a64::cbz(&mut self.buf, S64, count, &mut filled);
        a64::cmp_imm(&mut self.buf, S64, or_sp(count), Imm12::new(call::BOUND_COUNT as u64)?);
        a64::b_cond(&mut self.buf, Cond::Hi, &mut several);
        let (adaptor, base) = (limit, entry);
        a64::lsl_imm(&mut self.buf, adaptor, count, by_adaptor);
        a64::add_imm(&mut self.buf, S64, or_sp(base), or_sp(words), Imm12::new(8 * (call::BOUND as u64 - 1))?);
        let mut next = Label::bound_at(self.buf.pos());
        a64::ldr_x(&mut self.buf, SECOND, Mem::index(or_sp(payload), count, IndexExtend::Lsl, true));
        a64::str_x(&mut self.buf, SECOND, Mem::index(or_sp(base), count, IndexExtend::Lsl, true));
        a64::subs_imm(&mut self.buf, S64, count, or_sp(count), Imm12::new(1)?);
        a64::b_cond(&mut self.buf, Cond::Ne, &mut next);
        a64::bind(&mut self.buf, &mut find);
        a64::adr(&mut self.buf, SECOND, &mut Label::bound_at(first));
        a64::add(&mut self.buf, S64, adaptor, adaptor, SECOND);
        a64::sub_imm(&mut self.buf, S64, or_sp(adaptor), or_sp(adaptor), Imm12::new(ADAPTOR_BYTES as u64)?);
        a64::bind(&mut self.buf, &mut adapt);
        a64::str_x(&mut self.buf, adaptor, word(call::ADAPTOR)?);
        a64::add_imm(&mut self.buf, S64, or_sp(entry), or_sp(words), Imm12::new(8 * call::ADAPTOR as u64)?);
        a64::bind(&mut self.buf, &mut filled);
        a64::str_x(&mut self.buf, entry, word(call::TARGET)?);
        a64::str_x(&mut self.buf, RESULT, word(call::CELL)?);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
        a64::bind(&mut self.buf, &mut several);
        a64::str_x(&mut self.buf, payload, word(call::BOUND)?);
        a64::lsl_imm(&mut self.buf, adaptor, count, by_adaptor);
        a64::cmp_imm(&mut self.buf, S64, or_sp(count), Imm12::new(UNROLLED.into())?);
        a64::b_cond(&mut self.buf, Cond::Ls, &mut find);
        a64::adr(&mut self.buf, adaptor, &mut Label::bound_at(many));
        a64::b(&mut self.buf, &mut adapt);
        Some(())
    }

    /// The entry from the host: x0 holds the context, x1 the frame, x2 the code. Gives 0, or 1 for a trap, in x0. Saves
    /// what AAPCS64 demands, FPCR and the entry around this one.
    fn enter(&mut self, leave: &mut Label) {
        let saves = Saves::new(HOST_INTS, HOST_FLOATS, HOST_ROOM as u32);
        self.save(&saves);
        a64::mov_sp(&mut self.buf, S64, XSp::X29, XSp::Sp);
        let (Some(fpcr), Some(entry)) = (Mem::at(XSp::Sp, OLD_FPCR), Mem::at(XSp::Sp, OLD_ENTRY)) else { return };
        a64::mrs(&mut self.buf, TARGET, SysReg::Fpcr);
        a64::str_x(&mut self.buf, TARGET, fpcr);
        a64::msr(&mut self.buf, SysReg::Fpcr, X::Zr);
        a64::mov(&mut self.buf, S64, CONTEXT, X::X0);
        a64::mov(&mut self.buf, S64, FRAME, X::X1);
        self.load_context(ROOM_END, field::STACK_END);
        if let Some(small) = Imm12::new(SMALL.into()) {
            a64::subs_imm(&mut self.buf, S64, ROOM_END, or_sp(ROOM_END), small);
        }
        a64::csel(&mut self.buf, S64, ROOM_END, ROOM_END, X::Zr, Cond::Hs);
        self.load_context(TARGET, field::ENTRY_SP);
        a64::str_x(&mut self.buf, TARGET, entry);
        a64::mov_sp(&mut self.buf, S64, or_sp(TARGET), XSp::Sp);
        self.store_context(field::ENTRY_SP, TARGET);
        a64::blr(&mut self.buf, X::X2);
        self.store_context(field::RESULT, RESULT);
        let mem = self.at(CONTEXT, field::FLOAT_RESULT as u32);
        a64::str_d(&mut self.buf, FLOAT_RESULT, mem);
        a64::mov_imm(&mut self.buf, RESULT, 0);
        a64::bind(&mut self.buf, leave);
        a64::ldr_x(&mut self.buf, TARGET, entry);
        self.store_context(field::ENTRY_SP, TARGET);
        a64::ldr_x(&mut self.buf, TARGET, fpcr);
        a64::msr(&mut self.buf, SysReg::Fpcr, TARGET);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
    }

    /// Loads the result that the interpreter has left.
    fn load_result(&mut self) {
        self.load_context(RESULT, field::RESULT);
        let mem = self.at(CONTEXT, field::FLOAT_RESULT as u32);
        a64::ldr_d(&mut self.buf, FLOAT_RESULT, mem);
    }

    /// Calls a service with x0 as its operand, with every register of the pools kept but floats that no function pins, and
    /// returns.
    fn keeping_all(&mut self, at: usize, unwind: &mut Label) {
        // Those that guest functions keep AAPCS64 keeps too.
        let ints = INT_POOL.iter().filter(|reg| !reg.callee_saved).map(|reg| gpr(reg.number));
        let floats = first_floats(&FLOAT_POOL, self.place.stubs.floats).filter(|reg| !reg.callee_saved);
        let saves = Saves::new([LINK].into_iter().chain(ints), floats.map(|reg| fpr(reg.number)), 0);
        self.save(&saves);
        self.service(at, FRAME, unwind);
        self.restore(&saves);
        a64::ret(&mut self.buf, LINK);
    }

    /// Calls a service with the context, the frame that `frame` holds, the site in x2 and the operand in x0. Unwinds if it
    /// gives 1; any other status is left in x0. x30 is lost.
    fn service(&mut self, at: usize, frame: X, unwind: &mut Label) {
        a64::mov(&mut self.buf, S64, X::X3, RESULT);
        if frame != X::X1 {
            a64::mov(&mut self.buf, S64, X::X1, frame);
        }
        a64::mov(&mut self.buf, S64, X::X0, CONTEXT);
        self.load_context(TARGET, field::SERVICES);
        let mem = self.at(TARGET, at as u32);
        a64::ldr_x(&mut self.buf, TARGET, mem);
        a64::blr(&mut self.buf, TARGET);
        if let Some(one) = Imm12::new(1) {
            a64::cmp_imm(&mut self.buf, S64, or_sp(X::X0), one);
        }
        a64::b_cond(&mut self.buf, Cond::Eq, unwind);
    }

    /// Pads with words that fault to an offset, which must not be passed already.
    fn pad_to(&mut self, offset: usize) {
        let at = self.buf.pos();
        if at > offset {
            self.buf.fail(EmitError::Operand { at });
        }
        while self.buf.pos() < offset && self.buf.check().is_ok() {
            a64::udf(&mut self.buf, 0);
        }
    }

    /// Pads with words that fault to where a function may start.
    fn align(&mut self) {
        self.align_to(FUNCTION_ALIGN);
    }

    /// Pads with words that fault to a multiple of so many bytes.
    fn align_to(&mut self, bytes: usize) {
        while !self.buf.pos().is_multiple_of(bytes) {
            a64::udf(&mut self.buf, 0);
        }
    }
}

/// The second argument of a service is where a host call's frame is, the third where every site is.
const _: () = assert!(matches!((SECOND, SITE), (X::X1, X::X2)));
