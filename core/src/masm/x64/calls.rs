//! Functions, calls, the frame and the memory behind the context on x86-64.

use super::convention::{FLOAT_POOL, FLOAT_RESULT, FRAME, INT_POOL, RESULT, SITE};
use super::{B4, B8, X64, context, field, gpr, int_of, slot, xmm};
use crate::asm::Label;
use crate::asm::x64::{Alu, Cc, Gpr, Mem, Scale, Xmm};
use crate::masm::{Any, Callee, Calls, ColdKind, ContextWord, EarlyReturn, Float, Int, Saved, Src};
use crate::runtime::frame::TAIL_CALLEE;
use crate::runtime::services::{LEAVE_BEHIND, SWITCH};
use crate::runtime::trap::{Site, TrapKind};

impl X64<'_> {
    /// Loads the address in a context word into rax.
    fn base(&mut self, base: ContextWord) {
        let at = match base {
            ContextWord::Globals => field::GLOBALS,
            ContextWord::Tables => field::TABLES,
        };
        self.asm.mov_rm(B8, Gpr::Rax, context(at));
    }

    /// Loads 8 bytes of memory into a place.
    pub(super) fn load_any(&mut self, d: Any, mem: Mem) {
        match d {
            Any::Float(Float::Reg(reg)) => self.asm.movsd_rm(xmm(reg.0), mem),
            Any::Int(Int::Reg(reg)) => self.asm.mov_rm(B8, gpr(reg.0), mem),
            Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at)) => {
                self.asm.mov_rm(B8, Gpr::Rcx, mem);
                self.asm.mov_mr(B8, slot(at), Gpr::Rcx);
            }
        }
    }

    /// Stores the value of a place in 8 bytes of memory. May use rcx.
    pub(super) fn store_any(&mut self, mem: Mem, s: Any) {
        self.store_any_by(Gpr::Rcx, mem, s);
    }

    /// Stores the value of a place in 8 bytes of memory. May use `t`.
    pub(super) fn store_any_by(&mut self, t: Gpr, mem: Mem, s: Any) {
        match s {
            Any::Float(Float::Reg(reg)) => self.asm.movsd_mr(mem, xmm(reg.0)),
            Any::Int(Int::Reg(reg)) => self.asm.mov_mr(B8, mem, gpr(reg.0)),
            Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at)) => {
                self.asm.mov_rm(B8, t, slot(at));
                self.asm.mov_mr(B8, mem, t);
            }
        }
    }

    fn save(&mut self, saved: &Saved) {
        for reg in INT_POOL.iter().filter(|reg| saved.ints >> reg.number & 1 != 0) {
            self.asm.push_r(gpr(reg.number));
        }
        let count = saved.floats.count_ones() as i32;
        if count != 0 {
            self.asm.alu_ri(Alu::Sub, B8, Gpr::Rsp, 8 * count);
            let kept = FLOAT_POOL.iter().filter(|reg| saved.floats >> reg.number & 1 != 0);
            for (place, reg) in (0..).zip(kept) {
                self.asm.movsd_mr(Mem::base(Gpr::Rsp, 8 * place), xmm(reg.number));
            }
        }
    }

    fn restore(&mut self, saved: &Saved) {
        let count = saved.floats.count_ones() as i32;
        if count != 0 {
            let kept = FLOAT_POOL.iter().filter(|reg| saved.floats >> reg.number & 1 != 0);
            for (place, reg) in (0..).zip(kept) {
                self.asm.movsd_rm(xmm(reg.number), Mem::base(Gpr::Rsp, 8 * place));
            }
            self.asm.alu_ri(Alu::Add, B8, Gpr::Rsp, 8 * count);
        }
        for reg in INT_POOL.iter().rev().filter(|reg| saved.ints >> reg.number & 1 != 0) {
            self.asm.pop_r(gpr(reg.number));
        }
    }
}

impl Calls for X64<'_> {
    fn prologue(&mut self, leaf: bool, site: Site, saved: &Saved) {
        self.entry = Label::bound_at(self.asm.buf.pos());
        if !leaf {
            self.asm.alu_rm(Alu::Cmp, B8, Gpr::Rsp, context(field::GUARD));
            self.cold_if(Cc::B, ColdKind::Guard { site, head: false });
        }
        self.save(saved);
    }

    fn prologue_or_return(&mut self, leaf: bool, site: Site, saved: &Saved, early: &EarlyReturn) {
        self.prologue(leaf, site, &Saved::default());
        let mut stay = Label::new();
        crate::masm::Flow::branch(self, early.cond.negate(), early.x, early.y, &mut stay);
        if let Some(value) = early.value {
            self.result(value);
        }
        self.asm.ret();
        self.asm.bind(&mut stay);
        self.save(saved);
    }

    fn epilogue(&mut self, saved: &Saved) {
        self.restore(saved);
        self.asm.ret();
    }

    fn result(&mut self, value: Any) {
        match value {
            Any::Int(place) => self.get(RESULT, place),
            Any::Float(place) => self.get_float(FLOAT_RESULT, place),
        }
    }

    fn deopt(&mut self, site: Site, behind: bool) {
        self.asm.mov_ri(SITE, site.0.into());
        self.asm.mov_ri(RESULT, if behind { LEAVE_BEHIND } else { SWITCH });
        self.asm.jmp(&mut self.leave);
    }

    fn leaving(&mut self) {
        self.asm.bind(&mut self.leave);
    }

    fn left(&mut self, loops: bool, saved: &Saved) {
        self.asm.call_outside(self.stub(self.place.stubs.deopt));
        if loops {
            self.asm.jcc(Cc::Ne, &mut self.reload);
        }
        self.epilogue(saved);
    }

    fn entering(&mut self, saved: &Saved) -> usize {
        let at = self.asm.buf.pos();
        self.save(saved);
        self.asm.bind(&mut self.reload);
        at
    }

    fn entered(&mut self) {
        self.asm.jmp_m(context(field::OPERANDS + 8));
    }

    fn data(&mut self, word: u64) {
        self.asm.buf.put(word, 8);
    }

    fn check_stack(&mut self, end: u32, site: Site) {
        self.asm.lea(B8, Gpr::Rax, slot(end));
        self.asm.alu_rm(Alu::Cmp, B8, Gpr::Rax, context(field::STACK_END));
        self.trap_if(Cc::A, TrapKind::StackOverflow, site);
    }

    #[inline]
    fn store(&mut self, offset: u32, value: Any) {
        self.store_any(slot(offset), value);
    }

    fn fill(&mut self, offset: u32, count: u32, bits: u64) {
        if count <= 4 {
            for index in 0..count {
                crate::masm::Ints::mov(self, Int::Slot(offset + 8 * index), Src::Imm(bits as i64));
            }
            return;
        }
        // Counts a negative index up to 0 from the end of the run.
        self.asm.mov_ri(Gpr::Rax, bits);
        self.asm.mov_ri(Gpr::Rcx, i64::from(count).wrapping_neg() as u64);
        let mut again = Label::new();
        self.asm.bind(&mut again);
        if let Some(mem) = Mem::indexed(FRAME, Gpr::Rcx, Scale::X8, (offset + 8 * count) as i32) {
            self.asm.mov_mr(B8, mem, Gpr::Rax);
        }
        self.asm.alu_ri(Alu::Add, B8, Gpr::Rcx, 1);
        self.asm.jcc(Cc::Ne, &mut again);
    }

    fn exchange(&mut self, x: u32, y: u32) {
        self.asm.mov_rm(B8, Gpr::Rax, slot(x));
        self.asm.mov_rm(B8, Gpr::Rcx, slot(y));
        self.asm.mov_mr(B8, slot(x), Gpr::Rcx);
        self.asm.mov_mr(B8, slot(y), Gpr::Rax);
    }

    fn load(&mut self, value: Any, offset: u32) {
        self.load_any(value, slot(offset));
    }

    fn call(&mut self, callee: Callee, frame: u32, site: Site) {
        // The upper half is all zeros or all ones: no function's number.
        self.asm.mov_mi(B8, slot(frame), site.0 as i32);
        self.asm.alu_ri(Alu::Add, B8, FRAME, frame as i32);
        match callee {
            Callee::Own => self.asm.call(&mut self.entry),
            Callee::Entry { at, .. } => {
                self.asm.mov_rm(B8, Gpr::Rax, context(field::ENTRIES));
                self.asm.call_m(Mem::base(Gpr::Rax, at as i32));
            }
        }
        self.asm.alu_ri(Alu::Sub, B8, FRAME, frame as i32);
    }

    fn take_result(&mut self, d: Any) {
        match d {
            Any::Int(place) => self.put(place, RESULT),
            Any::Float(place) => self.put_float(place, FLOAT_RESULT),
        }
    }

    fn tail(&mut self, callee: Callee, saved: &Saved) {
        self.restore(saved);
        match callee {
            Callee::Own => self.asm.jmp(&mut self.entry),
            Callee::Entry { at, func } => {
                self.asm.mov_mi(B4, slot(TAIL_CALLEE), 1 + i32::from(func));
                self.asm.mov_rm(B8, Gpr::Rax, context(field::ENTRIES));
                self.asm.jmp_m(Mem::base(Gpr::Rax, at as i32));
            }
        }
    }

    fn host(&mut self, index: u32, frame: u32, site: Site) {
        self.asm.mov_mi(B4, slot(frame), site.0 as i32);
        self.asm.lea(B8, Gpr::Rcx, slot(frame));
        self.asm.mov_ri(SITE, site.0.into());
        self.asm.mov_ri(Gpr::Rax, index.into());
        self.asm.call_outside(self.stub(self.place.stubs.host));
    }

    fn load_word(&mut self, d: Any, base: ContextWord, index: u32) {
        self.base(base);
        self.load_any(d, Mem::base(Gpr::Rax, 8 * index as i32));
    }

    fn store_word(&mut self, base: ContextWord, index: u32, s: Any) {
        if let Any::Float(x) = s {
            self.canonical_bits(Gpr::Rdx, x);
            self.base(base);
            self.asm.mov_mr(B8, Mem::base(Gpr::Rax, 8 * index as i32), Gpr::Rdx);
        } else if let Some(place) = int_of(s) {
            self.base(base);
            self.store_any(Mem::base(Gpr::Rax, 8 * index as i32), Any::Int(place));
        }
    }

    fn load_element(&mut self, d: Int, base: ContextWord, start: u32, len: u32, x: Int, site: Site) {
        let x = self.in_gpr(x, Gpr::Rcx);
        self.alu(Alu::Cmp, x, Src::Imm(len.into()), Gpr::Rdx);
        self.trap_if(Cc::Ae, TrapKind::OutOfBounds, site);
        self.base(base);
        let disp = u64::from(start) * 8;
        let disp = i32::try_from(disp).unwrap_or_else(|_| {
            self.asm.mov_ri(Gpr::Rdx, disp);
            self.asm.alu_rr(Alu::Add, B8, Gpr::Rax, Gpr::Rdx);
            0
        });
        if let Some(mem) = Mem::indexed(Gpr::Rax, x, Scale::X8, disp) {
            self.load_any(Any::Int(d), mem);
        }
    }
}

/// What a callee's result is in is scratch, so nothing pinned is lost by a call.
const _: () = assert!(matches!(RESULT, Gpr::Rax) && matches!(FLOAT_RESULT, Xmm::Xmm0));
