//! The shared stubs on x86-64. Each one's contract stands above it; what it does not name it preserves as the convention
//! says.

use super::convention::{CONTEXT, FLOAT_POOL, FLOAT_RESULT, FRAME, HOST_SAVED, INT_POOL, RESULT, SERVICE_FRAME, SITE};
use super::{B4, B8, X64, context, field, gpr, xmm};
use crate::asm::x64::{Alu, Cc, Gpr, Mem, Scale, Shift, Unary};
use crate::asm::{EmitError, Label};
use crate::masm::{PoolReg, Stubs, first_floats};
use crate::runtime::cache::call;
use crate::runtime::context::{Entry, Services};
use crate::runtime::frame::{HEADER, slot_offset};
use crate::runtime::heap::{BOUND, Record};
use crate::runtime::trap::TrapKind;
use core::mem::{offset_of, size_of};

/// Where `lazy` is: behind `enter`.
pub(super) const LAZY: usize = 128;

/// MXCSR with all exceptions masked, round to nearest, no flushing (SDM vol. 1, 10.2.3).
const MXCSR: i32 = 0x1F80;
/// Bytes of an adaptor, a power of two.
const ADAPTOR_BYTES: usize = 64;
/// The most values that an adaptor copies without a loop.
const UNROLLED: u32 = 6;

impl X64<'_> {
    /// Emits all stubs.
    pub(super) fn emit_stubs(&mut self) -> Stubs {
        let mut stubs = Stubs { floats: self.place.stubs.floats, ..Stubs::default() };
        let mut leave = Label::new();
        let mut unwind = Label::new();

        stubs.enter = self.asm.buf.pos();
        self.enter(&mut leave);

        // rbx holds the frame of the function, whose header says which it is; the return address leads to its caller.
        self.pad_to(LAZY);
        stubs.lazy = self.asm.buf.pos();
        self.asm.mov_rm(B4, SITE, Mem::base(FRAME, 0));
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rax, Gpr::Rax);
        // The same with the function's own site in rdx and not 0 in rax.
        stubs.whole = self.asm.buf.pos();
        let mut jump = Label::new();
        self.service(offset_of!(Services, lazy), |reg| reg.callee_saved, None, &mut unwind);
        self.asm.test_rr(B4, Gpr::Rax, Gpr::Rax);
        self.asm.jcc(Cc::Ne, &mut jump);
        self.asm.mov_rm(B8, RESULT, context(field::RESULT));
        self.asm.movsd_rm(FLOAT_RESULT, context(field::FLOAT_RESULT));
        self.asm.ret();
        self.asm.bind(&mut jump);
        self.asm.jmp_m(context(field::OPERANDS));

        // Ends the run: rax holds the trap's bits, rdx the site, rbx its frame. Does not return.
        self.asm.align(16);
        stubs.trap = self.asm.buf.pos();
        self.asm.mov_mr(B8, context(field::TRAP), RESULT);
        self.asm.mov_mr(B8, context(field::TRAP_SITE), SITE);
        self.asm.mov_mr(B8, context(field::TRAP_FRAME), FRAME);
        self.asm.bind(&mut unwind);
        self.asm.mov_rm(B8, Gpr::Rsp, context(field::ENTRY_SP));
        self.asm.mov_ri(RESULT, 1);
        self.asm.jmp(&mut leave);

        // Ends the run with one kind of trap: rdx holds the site. Does not return.
        for (kind, _) in TrapKind::ALL {
            if let Some(place) = stubs.trap_kind.get_mut(kind as usize) {
                *place = self.asm.buf.pos();
            }
            self.asm.mov_ri(RESULT, kind as u64);
            self.asm.jmp_to(stubs.trap);
        }

        // rdx holds the site. Uses rax, rcx, rdx, xmm0, xmm1.
        self.asm.align(16);
        let mut guarded = Label::new();
        stubs.poll = self.asm.buf.pos();
        self.asm.mov_ri(Gpr::Rax, u64::MAX);
        self.asm.jmp(&mut guarded);
        stubs.guard = self.asm.buf.pos();
        // The stack pointer as the guest compared it: above the return address of this call.
        self.asm.lea(B8, Gpr::Rax, Mem::base(Gpr::Rsp, 8));
        self.asm.bind(&mut guarded);
        self.service(offset_of!(Services, guard), |_| true, None, &mut unwind);
        self.asm.ret();

        // rax holds the operation, the context the operands and then the result. Uses rax, rcx, rdx, xmm0, xmm1.
        self.asm.align(16);
        stubs.soft = self.asm.buf.pos();
        self.service(offset_of!(Services, soft), |_| true, None, &mut unwind);
        self.asm.ret();

        // rax holds the import, rcx its frame, rdx the site. Uses all that calls may.
        self.asm.align(16);
        stubs.host = self.asm.buf.pos();
        self.service(offset_of!(Services, host_call), |reg| reg.callee_saved, Some(Gpr::Rcx), &mut unwind);
        self.asm.ret();

        // rdx holds the site, rax where to go on (`LEAVE_BEHIND`, `LEAVE_AT`). Gives the function's result in rax or xmm0, or
        // clears ZF if machine code goes on. Uses all that calls may.
        self.asm.align(16);
        stubs.deopt = self.asm.buf.pos();
        self.service(offset_of!(Services, deopt), |reg| reg.callee_saved, None, &mut unwind);
        self.asm.test_rr(B4, Gpr::Rax, Gpr::Rax);
        self.asm.mov_rm(B8, RESULT, context(field::RESULT));
        self.asm.movsd_rm(FLOAT_RESULT, context(field::FLOAT_RESULT));
        self.asm.ret();

        if crate::HEAP {
            self.heap_stubs(&mut stubs, &mut unwind);
        }
        self.asm.align(16);
        stubs.end = self.asm.buf.pos();
        stubs
    }

    fn heap_stubs(&mut self, stubs: &mut Stubs, unwind: &mut Label) {
        // rdx holds the site, for `cached_op` rax the operand. Uses rax, rcx, rdx, xmm0, xmm1.
        self.asm.align(16);
        stubs.op = self.asm.buf.pos();
        self.asm.alu_rr(Alu::Xor, B4, RESULT, RESULT);
        stubs.cached_op = self.asm.buf.pos();
        self.service(offset_of!(Services, op), |_| true, None, unwind);
        self.asm.ret();

        self.asm.align(16);
        let (first, many) = self.adaptors();
        self.asm.align(16);
        stubs.closure = self.asm.buf.pos();
        self.closure(stubs, first, many);
    }

    /// What a call of a closure that binds something goes through: rax holds the address of the cache's word
    /// [`call::ADAPTOR`], rbx that of the laid out frame. Copies what is bound into the frame and goes on at the function.
    /// Gives the adaptor of 1 value, behind which those of up to [`UNROLLED`] follow every [`ADAPTOR_BYTES`], and that of
    /// more. Uses rax, rcx, rdx, xmm0.
    fn adaptors(&mut self) -> (usize, usize) {
        let cached = |index: usize| Mem::base(Gpr::Rax, 8 * (index as i32 - call::ADAPTOR as i32));
        self.asm.align(ADAPTOR_BYTES);
        let first = self.asm.buf.pos();
        for count in 1..=UNROLLED {
            self.asm.align(ADAPTOR_BYTES);
            let start = self.asm.buf.pos();
            let inside = count as usize <= call::BOUND_COUNT;
            if !inside {
                self.asm.mov_rm(B8, Gpr::Rdx, cached(call::BOUND));
            }
            let bound = |index: u32| {
                let word = 8 * (BOUND + index) as i32;
                let from = if inside { cached(call::BOUND + index as usize) } else { Mem::base(Gpr::Rdx, word) };
                (from, Mem::base(FRAME, slot_offset(index as u16) as i32))
            };
            for index in (0..count - count % 2).step_by(2) {
                let (from, to) = bound(index);
                self.asm.movups_rm(FLOAT_RESULT, from);
                self.asm.movups_mr(to, FLOAT_RESULT);
            }
            if count % 2 != 0 {
                let (from, to) = bound(count - 1);
                self.asm.mov_rm(B8, Gpr::Rcx, from);
                self.asm.mov_mr(B8, to, Gpr::Rcx);
            }
            self.enter_cached(cached(call::ENTRY));
            if self.asm.buf.pos().wrapping_sub(start) > ADAPTOR_BYTES {
                self.asm.buf.fail(EmitError::Operand { at: start });
            }
        }
        self.asm.align(16);
        let many = self.asm.buf.pos();
        let (payload, left) = (Gpr::Rdx, Gpr::Rcx);
        let mut even = Label::new();
        self.asm.mov_rm(B8, payload, cached(call::BOUND));
        self.asm.movzx16_rm(left, Mem::base(payload, 2));
        self.asm.test_ri(B4, left, 1);
        self.asm.jcc(Cc::E, &mut even);
        // Value i is in word 1 + i of the payload, and of the frame.
        let at = |base: Gpr, disp: i32| Mem::indexed(base, left, Scale::X8, disp).unwrap_or(Mem::base(base, 0));
        self.asm.movsd_rm(FLOAT_RESULT, at(payload, 0));
        self.asm.movsd_mr(at(FRAME, 0), FLOAT_RESULT);
        self.asm.alu_ri(Alu::Sub, B4, left, 1);
        self.asm.bind(&mut even);
        self.asm.movups_rm(FLOAT_RESULT, at(payload, -8));
        self.asm.movups_mr(at(FRAME, -8), FLOAT_RESULT);
        self.asm.alu_ri(Alu::Sub, B4, left, 2);
        self.asm.jcc(Cc::Ne, &mut even);
        self.enter_cached(cached(call::ENTRY));
        (first, many)
    }

    /// Goes to the function whose entry's address is in memory.
    fn enter_cached(&mut self, entry: Mem) {
        self.asm.mov_rm(B8, Gpr::Rax, entry);
        self.asm.jmp_m(Mem::base(Gpr::Rax, offset_of!(Entry, code) as i32));
    }

    /// Fills the cache of a call of a closure: rax holds its cell, rdx the site, rcx in its low half the distance to the
    /// callee's frame and in its high half that of the cache from the context. Traps null, then a stack that has no room
    /// for the callee's frame. Uses rcx, rdx.
    fn closure(&mut self, stubs: &Stubs, first: usize, many: usize) {
        let (entry, payload, frame, count, words) = (Gpr::Rsi, Gpr::Rdi, Gpr::R8, Gpr::R9, Gpr::Rcx);
        let saved = [entry, payload, frame, count];
        let trap = |kind: TrapKind| Label::bound_at(stubs.trap_kind.get(kind as usize).copied().unwrap_or(stubs.trap));
        let word = |index: usize| Mem::base(words, 8 * index as i32);
        for reg in saved {
            self.asm.push_r(reg);
        }
        self.asm.mov_rr(B4, entry, Gpr::Rax);
        self.asm.shift_ri(Shift::Shl, B8, entry, size_of::<Record>().trailing_zeros() as u8);
        self.asm.jcc(Cc::E, &mut trap(TrapKind::NullReference));
        self.asm.mov_rm(B8, payload, context(field::RECORDS));
        self.asm.alu_rr(Alu::Sub, B8, payload, entry);
        self.asm.mov_rm(B8, payload, Mem::base(payload, offset_of!(Record, word) as i32));
        // The function's entry, by the lowest 16 bits of the first word.
        self.asm.movzx16_rm(entry, Mem::base(payload, 0));
        self.asm.shift_ri(Shift::Shl, B8, entry, size_of::<Entry>().trailing_zeros() as u8);
        self.asm.alu_rm(Alu::Add, B8, entry, context(field::ENTRIES));
        self.asm.mov_rr(B4, frame, words);
        self.asm.shift_ri(Shift::Shr, B8, words, 32);
        self.asm.alu_rr(Alu::Add, B8, words, CONTEXT);
        // The greatest address of a frame that leaves room for the distance and the callee's frame.
        self.asm.mov_rm(B4, count, Mem::base(entry, offset_of!(Entry, frame_bytes) as i32));
        self.asm.alu_rr(Alu::Add, B8, count, frame);
        self.asm.unary_r(Unary::Neg, B8, count);
        self.asm.alu_rm(Alu::Add, B8, count, context(field::STACK_END));
        self.asm.jcc(Cc::Ae, &mut trap(TrapKind::StackOverflow));
        self.asm.alu_rr(Alu::Cmp, B8, FRAME, count);
        self.asm.jcc(Cc::A, &mut trap(TrapKind::StackOverflow));
        self.asm.mov_mr(B8, word(call::LIMIT), count);
        self.asm.alu_mi(Alu::Add, B8, word(call::MISSES), 1);
        self.asm.mov_mr(B8, word(call::ENTRY), entry);
        // The bound arguments follow the first word, whose next 16 bits are their number.
        self.asm.movzx16_rm(count, Mem::base(payload, 2));
        if let Some(mem) = Mem::indexed(frame, count, Scale::X8, HEADER as i32) {
            self.asm.lea(B8, frame, mem);
        }
        self.asm.mov_mr(B8, word(call::ARGS), frame);
        let (mut several, mut find, mut adapt, mut filled) = (Label::new(), Label::new(), Label::new(), Label::new());
        self.asm.test_rr(B4, count, count);
        self.asm.jcc(Cc::E, &mut filled);
        self.asm.alu_ri(Alu::Cmp, B4, count, call::BOUND_COUNT as i32);
        self.asm.jcc(Cc::A, &mut several);
        let (adaptor, value) = (frame, Gpr::Rdx);
        self.asm.mov_rr(B4, adaptor, count);
        let mut next = Label::bound_at(self.asm.buf.pos());
        let to = Mem::indexed(words, count, Scale::X8, 8 * (call::BOUND as i32 - 1));
        if let (Some(from), Some(to)) = (Mem::indexed(payload, count, Scale::X8, 0), to) {
            self.asm.mov_rm(B8, value, from);
            self.asm.mov_mr(B8, to, value);
        }
        self.asm.alu_ri(Alu::Sub, B4, count, 1);
        self.asm.jcc(Cc::Ne, &mut next);
        self.asm.bind(&mut find);
        self.asm.shift_ri(Shift::Shl, B4, adaptor, ADAPTOR_BYTES.trailing_zeros() as u8);
        self.asm.lea_label(value, &mut Label::bound_at(first));
        if let Some(mem) = Mem::indexed(value, adaptor, Scale::X1, -(ADAPTOR_BYTES as i32)) {
            self.asm.lea(B8, adaptor, mem);
        }
        self.asm.bind(&mut adapt);
        self.asm.mov_mr(B8, word(call::ADAPTOR), adaptor);
        self.asm.lea(B8, entry, word(call::ADAPTOR));
        self.asm.bind(&mut filled);
        self.asm.mov_mr(B8, word(call::TARGET), entry);
        self.asm.mov_mr(B8, word(call::CELL), Gpr::Rax);
        for reg in saved.into_iter().rev() {
            self.asm.pop_r(reg);
        }
        self.asm.ret();
        self.asm.bind(&mut several);
        self.asm.mov_mr(B8, word(call::BOUND), payload);
        self.asm.mov_rr(B4, adaptor, count);
        self.asm.alu_ri(Alu::Cmp, B4, count, UNROLLED as i32);
        self.asm.jcc(Cc::Be, &mut find);
        self.asm.lea_label(adaptor, &mut Label::bound_at(many));
        self.asm.jmp(&mut adapt);
    }

    /// The entry from the host: rdi holds the context, rsi the frame, rdx the code. Gives 0, or 1 for a trap, in rax.
    /// Saves what System V and the MXCSR's callee-saved control bits demand, and the entry around this one.
    fn enter(&mut self, leave: &mut Label) {
        for reg in HOST_SAVED {
            self.asm.push_r(reg);
        }
        self.asm.alu_ri(Alu::Sub, B8, Gpr::Rsp, 8);
        self.asm.stmxcsr(Mem::base(Gpr::Rsp, 0));
        self.asm.mov_mi(B4, Mem::base(Gpr::Rsp, 4), MXCSR);
        self.asm.ldmxcsr(Mem::base(Gpr::Rsp, 4));
        self.asm.mov_rr(B8, CONTEXT, Gpr::Rdi);
        self.asm.mov_rr(B8, FRAME, Gpr::Rsi);
        self.asm.push_m(context(field::ENTRY_SP));
        self.asm.mov_mr(B8, context(field::ENTRY_SP), Gpr::Rsp);
        self.asm.call_r(Gpr::Rdx);
        self.asm.mov_mr(B8, context(field::RESULT), RESULT);
        self.asm.movsd_mr(context(field::FLOAT_RESULT), FLOAT_RESULT);
        self.asm.alu_rr(Alu::Xor, B4, RESULT, RESULT);
        self.asm.bind(leave);
        self.asm.pop_m(context(field::ENTRY_SP));
        self.asm.ldmxcsr(Mem::base(Gpr::Rsp, 0));
        self.asm.alu_ri(Alu::Add, B8, Gpr::Rsp, 8);
        for reg in HOST_SAVED.into_iter().rev() {
            self.asm.pop_r(reg);
        }
        self.asm.ret();
    }

    /// Pads to an offset, which must not be passed already.
    fn pad_to(&mut self, offset: usize) {
        let at = self.asm.buf.pos();
        if at > offset {
            self.asm.buf.fail(EmitError::Operand { at });
        }
        while self.asm.buf.pos() < offset && self.asm.buf.check().is_ok() {
            self.asm.int3();
        }
    }

    /// Calls a service with the context, the frame (or what `frame` holds), the site in rdx and the operand in rax, with
    /// the pool registers that `keep` names saved, those that System V keeps excepted, and of the floats those that no
    /// function pins. Unwinds if it gives 1; any other status is left in rax.
    fn service(&mut self, at: usize, keep: fn(&PoolReg) -> bool, frame: Option<Gpr>, unwind: &mut Label) {
        let ints = || INT_POOL.iter().filter(|reg| keep(reg) && !HOST_SAVED.contains(&gpr(reg.number)));
        let count = self.place.stubs.floats;
        let floats = || first_floats(&FLOAT_POOL, count).filter(|reg| keep(reg));
        // r12 keeps the stack pointer over the call, which must be made with it at a multiple of 16 (3.2.2). The word at it
        // leads unwinders to the entry.
        self.asm.push_r(SERVICE_FRAME);
        for reg in ints() {
            self.asm.push_r(gpr(reg.number));
        }
        let room = 8 * floats().count() as i32;
        if room != 0 {
            self.asm.alu_ri(Alu::Sub, B8, Gpr::Rsp, room);
        }
        for (place, reg) in (0..).zip(floats()) {
            self.asm.movsd_mr(Mem::base(Gpr::Rsp, 8 * place), xmm(reg.number));
        }
        self.asm.push_m(context(field::ENTRY_SP));
        self.asm.mov_rr(B8, SERVICE_FRAME, Gpr::Rsp);
        self.asm.alu_ri(Alu::And, B8, Gpr::Rsp, -16);
        self.asm.mov_rr(B8, Gpr::Rsi, frame.unwrap_or(FRAME));
        self.asm.mov_rr(B8, Gpr::Rcx, Gpr::Rax);
        self.asm.mov_rr(B8, Gpr::Rdi, CONTEXT);
        self.asm.mov_rm(B8, Gpr::Rax, context(field::SERVICES));
        self.asm.call_m(Mem::base(Gpr::Rax, at as i32));
        self.asm.mov_rr(B8, Gpr::Rsp, SERVICE_FRAME);
        self.asm.alu_ri(Alu::Cmp, B8, Gpr::Rax, 1);
        self.asm.jcc(Cc::E, unwind);
        for (place, reg) in (0..).zip(floats()) {
            self.asm.movsd_rm(xmm(reg.number), Mem::base(Gpr::Rsp, 8 + 8 * place));
        }
        self.asm.alu_ri(Alu::Add, B8, Gpr::Rsp, 8 + room);
        let mut kept: heapless::Vec<Gpr, { INT_POOL.len() }> = heapless::Vec::new();
        for reg in ints() {
            if kept.push(gpr(reg.number)).is_err() {
                break;
            }
        }
        for reg in kept.into_iter().rev() {
            self.asm.pop_r(reg);
        }
        self.asm.pop_r(SERVICE_FRAME);
    }
}
