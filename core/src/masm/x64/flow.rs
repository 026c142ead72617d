//! Control flow on x86-64.

use super::convention::SITE;
use super::{B8, X64, context, field};
use crate::asm::x64::{Alu, Cc, Gpr, Mem, Scale};
use crate::asm::{EmitError, Label};
use crate::masm::{ColdKind, Cond, Float, FloatCond, Flow, Int, IntReg, Pace, Src};
use crate::runtime::trap::{Site, Trap};

/// Bytes of a case of a dispatch: a jump with a 32-bit displacement.
const CASE: usize = 5;

impl Flow for X64<'_> {
    #[inline]
    fn bind(&mut self, label: &mut Label) {
        self.asm.bind(label);
    }

    fn loop_head(&mut self, site: Site) {
        self.asm.alu_rm(Alu::Cmp, B8, Gpr::Rsp, context(field::GUARD));
        self.cold_if(Cc::B, ColdKind::Guard { site, head: true });
    }

    // A poll is a comparison and a branch, which run beside the rest: `PACES` is not set.
    fn set_limit(&mut self, _: IntReg, _: &Pace) {
        let at = self.asm.buf.pos();
        self.asm.buf.fail(EmitError::Operand { at });
    }

    fn paced_branch(&mut self, _: IntReg, _: &Pace, _: usize, _: usize, _: Site) {
        let at = self.asm.buf.pos();
        self.asm.buf.fail(EmitError::Operand { at });
    }

    fn jump(&mut self, label: &mut Label) {
        self.asm.jmp(label);
    }

    fn branch(&mut self, cond: Cond, x: Int, y: Src, label: &mut Label) {
        self.cmp(x, y);
        self.asm.jcc(super::ints::cc(cond), label);
    }

    fn float_branch(&mut self, cond: FloatCond, x: Float, y: Float, label: &mut Label) {
        let compare = self.ucomisd_for(cond, x, y);
        match cond {
            FloatCond::Eq => {
                let mut over = Label::new();
                self.asm.jcc(Cc::P, &mut over);
                self.asm.jcc(compare.cc, label);
                self.asm.bind(&mut over);
            }
            _ => {
                self.asm.jcc(compare.cc, label);
                if compare.parity {
                    self.asm.jcc(Cc::P, label);
                }
            }
        }
    }

    fn switch(&mut self, x: Int, count: u32, default: &mut Label) {
        let x = self.in_gpr(x, Gpr::Rcx);
        self.alu(Alu::Cmp, x, Src::Imm(count.into()), Gpr::Rdx);
        self.asm.jcc(Cc::Ae, default);
        // The cases are jumps of 5 bytes: their address is the table's plus 5 x.
        let mut table = Label::new();
        self.asm.lea_label(Gpr::Rax, &mut table);
        if let (Some(five), Some(sum)) =
            (Mem::indexed(x, x, Scale::X4, 0), Mem::indexed(Gpr::Rax, Gpr::Rdx, Scale::X1, 0))
        {
            self.asm.lea(B8, Gpr::Rdx, five);
            self.asm.lea(B8, Gpr::Rax, sum);
        }
        self.asm.jmp_r(Gpr::Rax);
        self.asm.bind(&mut table);
    }

    fn switch_case(&mut self, label: &mut Label) {
        let start = self.asm.buf.pos();
        self.asm.jmp(label);
        self.asm.nop(CASE.saturating_sub(self.asm.buf.pos().wrapping_sub(start)));
    }

    fn trap(&mut self, trap: Trap, site: Site) {
        self.asm.mov_ri(SITE, site.0.into());
        let stubs = self.place.stubs;
        let stub = if trap.kind.has_payload() {
            self.asm.mov_ri(Gpr::Rax, trap.encode());
            stubs.trap
        } else {
            stubs.trap_kind.get(trap.kind as usize).copied().unwrap_or(stubs.trap)
        };
        self.asm.jmp_outside(self.stub(stub));
    }

    fn charge(&mut self, units: u32, site: Site) {
        self.asm.alu_mi(Alu::Sub, B8, context(field::FUEL), units as i32);
        self.cold_if(Cc::B, ColdKind::Unpaid { units, site });
    }

    fn refund(&mut self, units: u32) {
        self.asm.alu_mi(Alu::Add, B8, context(field::FUEL), units as i32);
    }
}
