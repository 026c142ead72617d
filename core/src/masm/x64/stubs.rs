//! The shared stubs on x86-64. Each one's contract stands above it; what it does not name it preserves as the convention
//! says.

use super::convention::{CONTEXT, FLOAT_POOL, FLOAT_RESULT, FRAME, HOST_SAVED, INT_POOL, RESULT, SERVICE_FRAME, SITE};
use super::{B4, B8, X64, context, field, gpr, xmm};
use crate::asm::x64::{Alu, Cc, Gpr, Mem, Shift};
use crate::asm::{EmitError, Label};
use crate::masm::{PoolReg, Stubs, first_floats};
use crate::runtime::context::{Entry, Services};
use crate::runtime::heap::Record;
use crate::runtime::trap::TrapKind;
use core::mem::{offset_of, size_of};

/// Where `lazy` is: behind `enter`.
pub(super) const LAZY: usize = 128;

/// MXCSR with all exceptions masked, round to nearest, no flushing (SDM vol. 1, 10.2.3).
const MXCSR: i32 = 0x1F80;

impl X64<'_> {
    /// Emits all stubs.
    pub(super) fn emit_stubs(&mut self) -> Stubs {
        let mut stubs = Stubs { floats: self.place.stubs.floats, ..Stubs::default() };
        let mut leave = Label::new();
        let mut unwind = Label::new();

        stubs.enter = self.asm.buf.pos();
        self.enter(&mut leave);

        // rbx holds the frame of the function, whose header says which it is; the return address leads to its caller.
        self.align_to(LAZY);
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
        stubs.guard = self.asm.buf.pos();
        // The stack pointer as the guest compared it: above the return address of this call.
        self.asm.lea(B8, Gpr::Rax, Mem::base(Gpr::Rsp, 8));
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
        stubs.closure = self.asm.buf.pos();
        self.closure(stubs);
    }

    /// Lays out a closure's frame: eax holds the low half of its cell, rcx the frame's address, rdx the site. Gives the
    /// place of the first argument that is not bound in rax and the code's address in rdx. Uses rcx.
    fn closure(&mut self, stubs: &Stubs) {
        let (payload, count) = (Gpr::Rsi, Gpr::Rdi);
        let trap = |kind: TrapKind| Label::bound_at(stubs.trap_kind.get(kind as usize).copied().unwrap_or(stubs.trap));
        self.asm.push_r(payload);
        self.asm.push_r(count);
        self.asm.test_rr(B4, Gpr::Rax, Gpr::Rax);
        self.asm.jcc(Cc::E, &mut trap(TrapKind::NullReference));
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, size_of::<Record>().trailing_zeros() as u8);
        self.asm.mov_rm(B8, payload, context(field::RECORDS));
        self.asm.alu_rr(Alu::Sub, B8, payload, Gpr::Rax);
        self.asm.mov_rm(B8, payload, Mem::base(payload, offset_of!(Record, word) as i32));
        // The function's entry, by the lowest 16 bits of the first word.
        self.asm.movzx16_rm(Gpr::Rax, Mem::base(payload, 0));
        self.asm.imul_rri(B8, Gpr::Rax, Gpr::Rax, size_of::<Entry>() as i32);
        self.asm.alu_rm(Alu::Add, B8, Gpr::Rax, context(field::ENTRIES));
        self.asm.mov_rm(B4, count, Mem::base(Gpr::Rax, offset_of!(Entry, frame_bytes) as i32));
        self.asm.alu_rr(Alu::Add, B8, count, Gpr::Rcx);
        self.asm.alu_rm(Alu::Cmp, B8, count, context(field::STACK_END));
        self.asm.jcc(Cc::A, &mut trap(TrapKind::StackOverflow));
        self.asm.mov_mr(B8, Mem::base(Gpr::Rcx, 0), SITE);
        self.asm.mov_rm(B8, Gpr::Rdx, Mem::base(Gpr::Rax, offset_of!(Entry, code) as i32));
        // The bound arguments follow the first word, whose next 16 bits are their number.
        self.asm.movzx16_rm(count, Mem::base(payload, 2));
        let (mut next, mut done) = (Label::new(), Label::new());
        self.asm.bind(&mut next);
        self.asm.alu_ri(Alu::Add, B8, Gpr::Rcx, 8);
        self.asm.alu_ri(Alu::Add, B8, payload, 8);
        self.asm.alu_ri(Alu::Sub, B4, count, 1);
        self.asm.jcc(Cc::B, &mut done);
        self.asm.mov_rm(B8, Gpr::Rax, Mem::base(payload, 0));
        self.asm.mov_mr(B8, Mem::base(Gpr::Rcx, 0), Gpr::Rax);
        self.asm.jmp(&mut next);
        self.asm.bind(&mut done);
        self.asm.mov_rr(B8, Gpr::Rax, Gpr::Rcx);
        self.asm.pop_r(count);
        self.asm.pop_r(payload);
        self.asm.ret();
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
    fn align_to(&mut self, offset: usize) {
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
