//! Floating point: scalar doubles in SSE2 (and `roundsd` of SSE4.1), and moves between the register files.

use super::word::{Op, REX_W, Word};
use super::{Asm, Gpr, Mem, Predicate, Round, Sse, SseLogic, Xmm};

/// Opcode `0F code` with prefix F2: scalar double.
#[cfg_attr(not(small), inline(always))]
const fn scalar(code: u8) -> Op {
    Op::two(code).prefix(0xf2)
}

/// Opcode `0F code` with prefix 66: packed double or integer.
#[cfg_attr(not(small), inline(always))]
const fn packed(code: u8) -> Op {
    Op::two(code).prefix(0x66)
}

/// The opcode of `cmpsd`.
pub(super) const COMPARE: u8 = 0xc2;
/// Bit 3 of the immediate of `roundsd`: no precision exception.
const NO_PRECISION: u8 = 8;

impl Asm<'_> {
    /// Loads the SSE control and status register from the 4 bytes at `mem`.
    #[inline]
    pub fn ldmxcsr(&mut self, mem: Mem) {
        self.reg_mem(Op::two(0xae), 0, 2, mem, Word::EMPTY);
    }

    /// Stores the SSE control and status register to the 4 bytes at `mem`.
    #[inline]
    pub fn stmxcsr(&mut self, mem: Mem) {
        self.reg_mem(Op::two(0xae), 0, 3, mem, Word::EMPTY);
    }

    /// `d = ` the 8 bytes at `mem`; the upper half of `d` is cleared.
    #[inline]
    pub fn movsd_rm(&mut self, d: Xmm, mem: Mem) {
        self.reg_mem(scalar(0x10), 0, d.index(), mem, Word::EMPTY);
    }

    /// The 8 bytes at `mem = ` the low half of `s`.
    #[inline]
    pub fn movsd_mr(&mut self, mem: Mem, s: Xmm) {
        self.reg_mem(scalar(0x11), 0, s.index(), mem, Word::EMPTY);
    }

    /// `d = s`, all 128 bits.
    #[inline]
    pub fn movaps_rr(&mut self, d: Xmm, s: Xmm) {
        self.reg_reg(Op::two(0x28), 0, d.index(), s.index(), Word::EMPTY);
    }

    /// `d = ` the 16 bytes at `mem`, which need no alignment.
    #[inline]
    pub fn movups_rm(&mut self, d: Xmm, mem: Mem) {
        self.reg_mem(Op::two(0x10), 0, d.index(), mem, Word::EMPTY);
    }

    /// The 16 bytes at `mem`, which need no alignment, `= s`.
    #[inline]
    pub fn movups_mr(&mut self, mem: Mem, s: Xmm) {
        self.reg_mem(Op::two(0x11), 0, s.index(), mem, Word::EMPTY);
    }

    /// `d = d op s` on the low halves; `Sqrt` takes `s` alone. The upper half of `d` stays.
    #[inline]
    pub fn sse_rr(&mut self, op: Sse, d: Xmm, s: Xmm) {
        self.reg_reg(scalar(op as u8), 0, d.index(), s.index(), Word::EMPTY);
    }

    /// As [`Asm::sse_rr`], with the 8 bytes at `mem`.
    #[inline]
    pub fn sse_rm(&mut self, op: Sse, d: Xmm, mem: Mem) {
        self.reg_mem(scalar(op as u8), 0, d.index(), mem, Word::EMPTY);
    }

    /// `d = d op s` on all 128 bits.
    #[inline]
    pub fn logic_rr(&mut self, op: SseLogic, d: Xmm, s: Xmm) {
        self.reg_reg(packed(op as u8), 0, d.index(), s.index(), Word::EMPTY);
    }

    /// Compares `a` with `b`: ZF, PF and CF are 111 if unordered, 000 if greater, 001 if less, 100 if equal.
    #[inline]
    pub fn ucomisd_rr(&mut self, a: Xmm, b: Xmm) {
        self.reg_reg(packed(0x2e), 0, a.index(), b.index(), Word::EMPTY);
    }

    /// As [`Asm::ucomisd_rr`], with the 8 bytes at `mem`.
    #[inline]
    pub fn ucomisd_rm(&mut self, a: Xmm, mem: Mem) {
        self.reg_mem(packed(0x2e), 0, a.index(), mem, Word::EMPTY);
    }

    /// `d = ` the signed 64-bit integer `s`, rounded by MXCSR. The upper half of `d` stays, so this waits for the old `d`
    /// unless the caller cleared it.
    #[inline]
    pub fn cvtsi2sd_rr(&mut self, d: Xmm, s: Gpr) {
        self.reg_reg(scalar(0x2a), REX_W, d.index(), s.index(), Word::EMPTY);
    }

    /// As [`Asm::cvtsi2sd_rr`], with the 8 bytes at `mem`.
    #[inline]
    pub fn cvtsi2sd_rm(&mut self, d: Xmm, mem: Mem) {
        self.reg_mem(scalar(0x2a), REX_W, d.index(), mem, Word::EMPTY);
    }

    /// `d = s` as a signed 64-bit integer, rounded toward zero; `i64::MIN` if it is not a number or out of range.
    #[inline]
    pub fn cvttsd2si_rr(&mut self, d: Gpr, s: Xmm) {
        self.reg_reg(scalar(0x2c), REX_W, d.index(), s.index(), Word::EMPTY);
    }

    /// As [`Asm::cvttsd2si_rr`], with the 8 bytes at `mem`.
    #[inline]
    pub fn cvttsd2si_rm(&mut self, d: Gpr, mem: Mem) {
        self.reg_mem(scalar(0x2c), REX_W, d.index(), mem, Word::EMPTY);
    }

    /// The low half of `d = s`; the upper half is cleared.
    #[inline]
    pub fn movq_xr(&mut self, d: Xmm, s: Gpr) {
        self.reg_reg(packed(0x6e), REX_W, d.index(), s.index(), Word::EMPTY);
    }

    /// `d = ` the low half of `s`.
    #[inline]
    pub fn movq_rx(&mut self, d: Gpr, s: Xmm) {
        self.reg_reg(packed(0x7e), REX_W, s.index(), d.index(), Word::EMPTY);
    }

    /// `d = s` rounded to an integer, without a precision exception (SSE4.1). The upper half of `d` stays.
    #[inline]
    pub fn roundsd_rr(&mut self, mode: Round, d: Xmm, s: Xmm) {
        let imm = Word::byte(mode as u8 | NO_PRECISION);
        self.reg_reg(Op::three_3a(0x0b).prefix(0x66), 0, d.index(), s.index(), imm);
    }

    /// As [`Asm::roundsd_rr`], with the 8 bytes at `mem`.
    #[inline]
    pub fn roundsd_rm(&mut self, mode: Round, d: Xmm, mem: Mem) {
        let imm = Word::byte(mode as u8 | NO_PRECISION);
        self.reg_mem(Op::three_3a(0x0b).prefix(0x66), 0, d.index(), mem, imm);
    }

    /// The low half of `d` = all ones if the predicate holds of it and that of `s`, else 0. The upper half of `d` stays.
    #[inline]
    pub fn cmpsd_rr(&mut self, predicate: Predicate, d: Xmm, s: Xmm) {
        self.reg_reg(scalar(COMPARE), 0, d.index(), s.index(), Word::byte(predicate as u8));
    }

    /// As [`Asm::cmpsd_rr`], with the 8 bytes at `mem`.
    #[inline]
    pub fn cmpsd_rm(&mut self, predicate: Predicate, d: Xmm, mem: Mem) {
        self.reg_mem(scalar(COMPARE), 0, d.index(), mem, Word::byte(predicate as u8));
    }

    /// Each 32-bit lane of `d` = all ones where it equals that of `s`, else 0; with `d == s`, all ones.
    #[inline]
    pub fn pcmpeqd_rr(&mut self, d: Xmm, s: Xmm) {
        self.reg_reg(packed(0x76), 0, d.index(), s.index(), Word::EMPTY);
    }

    /// Each half of `d` shifted right by `count` bits; 0 from 64 on.
    #[inline]
    pub fn psrlq_ri(&mut self, d: Xmm, count: u8) {
        self.reg_reg(packed(0x73), 0, 2, d.index(), Word::byte(count));
    }

    /// Each half of `d` shifted left by `count` bits; 0 from 64 on.
    #[inline]
    pub fn psllq_ri(&mut self, d: Xmm, count: u8) {
        self.reg_reg(packed(0x73), 0, 6, d.index(), Word::byte(count));
    }
}
