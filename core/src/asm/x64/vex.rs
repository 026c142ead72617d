//! VEX-encoded instructions: BMI2 shifts, three-operand scalar doubles (AVX) and fused multiply-add (FMA3).

use super::sse::COMPARE;
use super::word::{Map, Pp, Vex, Word};
use super::{Asm, EmitError, Fma, Gpr, Mem, Predicate, Shift, Size, Sse, SseLogic, Xmm};

/// `shlx`, `shrx` or `sarx`; `None` for the rotates, which have no such form.
#[cfg_attr(not(small), inline(always))]
const fn shiftx(op: Shift, size: Size) -> Option<Vex> {
    let pp = match op {
        Shift::Shl => Pp::P66,
        Shift::Shr => Pp::Pf2,
        Shift::Sar => Pp::Pf3,
        Shift::Rol | Shift::Ror => return None,
    };
    Some(Vex { map: Map::M0f38, pp, w: size as u8, code: 0xf7 })
}

#[cfg_attr(not(small), inline(always))]
const fn rorx(size: Size) -> Vex {
    Vex { map: Map::M0f3a, pp: Pp::Pf2, w: size as u8, code: 0xf0 }
}

#[cfg_attr(not(small), inline(always))]
const fn scalar(op: Sse) -> Vex {
    Vex { map: Map::M0f, pp: Pp::Pf2, w: 0, code: op as u8 }
}

#[cfg_attr(not(small), inline(always))]
const fn logic(op: SseLogic) -> Vex {
    Vex { map: Map::M0f, pp: Pp::P66, w: 0, code: op as u8 }
}

#[cfg_attr(not(small), inline(always))]
const fn fma(form: Fma) -> Vex {
    Vex { map: Map::M0f38, pp: Pp::P66, w: 1, code: form as u8 }
}

impl Asm<'_> {
    /// `d = src op count`, flags untouched (BMI2). [`EmitError::Operand`] for rotates.
    #[inline]
    pub fn shiftx_rr(&mut self, op: Shift, size: Size, d: Gpr, src: Gpr, count: Gpr) {
        match shiftx(op, size) {
            Some(op) => self.vex_reg(op, d.index(), count.index(), src.index(), Word::EMPTY),
            None => self.buf.fail(EmitError::Operand { at: self.buf.pos() }),
        }
    }

    /// `d = [mem] op count`, flags untouched (BMI2). [`EmitError::Operand`] for rotates.
    #[inline]
    pub fn shiftx_rm(&mut self, op: Shift, size: Size, d: Gpr, mem: Mem, count: Gpr) {
        match shiftx(op, size) {
            Some(op) => self.vex_mem(op, d.index(), count.index(), mem, Word::EMPTY),
            None => self.buf.fail(EmitError::Operand { at: self.buf.pos() }),
        }
    }

    /// `d = s` rotated right by `count`, flags untouched (BMI2).
    #[inline]
    pub fn rorx_ri(&mut self, size: Size, d: Gpr, s: Gpr, count: u8) {
        self.vex_reg(rorx(size), d.index(), 0, s.index(), Word::byte(count));
    }

    /// `d = [mem]` rotated right by `count`, flags untouched (BMI2).
    #[inline]
    pub fn rorx_mi(&mut self, size: Size, d: Gpr, mem: Mem, count: u8) {
        self.vex_mem(rorx(size), d.index(), 0, mem, Word::byte(count));
    }

    /// Fused multiply-add on the low halves (`vfmadd132sd` and so on); `d` is operand 1. The upper half of `d` stays.
    #[inline]
    pub fn fma_rr(&mut self, form: Fma, d: Xmm, s2: Xmm, s3: Xmm) {
        self.vex_reg(fma(form), d.index(), s2.index(), s3.index(), Word::EMPTY);
    }

    /// As [`Asm::fma_rr`], with operand 3 the 8 bytes at `mem`.
    #[inline]
    pub fn fma_rm(&mut self, form: Fma, d: Xmm, s2: Xmm, mem: Mem) {
        self.vex_mem(fma(form), d.index(), s2.index(), mem, Word::EMPTY);
    }

    /// `d = x op y` on the low halves; `Sqrt` takes `y` alone. The upper half of `d` is that of `x` (AVX).
    #[inline]
    pub fn avx_rrr(&mut self, op: Sse, d: Xmm, x: Xmm, y: Xmm) {
        self.vex_reg(scalar(op), d.index(), x.index(), y.index(), Word::EMPTY);
    }

    /// As [`Asm::avx_rrr`], with `y` the 8 bytes at `mem`.
    #[inline]
    pub fn avx_rrm(&mut self, op: Sse, d: Xmm, x: Xmm, mem: Mem) {
        self.vex_mem(scalar(op), d.index(), x.index(), mem, Word::EMPTY);
    }

    /// The low half of `d` = all ones if the predicate holds of those of `x` and `y`, else 0. The upper half of `d` is that
    /// of `x` (AVX).
    #[inline]
    pub fn avx_cmpsd_rrr(&mut self, predicate: Predicate, d: Xmm, x: Xmm, y: Xmm) {
        let op = Vex { map: Map::M0f, pp: Pp::Pf2, w: 0, code: COMPARE };
        self.vex_reg(op, d.index(), x.index(), y.index(), Word::byte(predicate as u8));
    }

    /// `d = x op y` on all 128 bits (AVX); `Andn` is `!x & y`.
    #[inline]
    pub fn avx_logic_rrr(&mut self, op: SseLogic, d: Xmm, x: Xmm, y: Xmm) {
        self.vex_reg(logic(op), d.index(), x.index(), y.index(), Word::EMPTY);
    }

    /// As [`Asm::avx_logic_rrr`], with `y` the 16 bytes at `mem`, which need no alignment (SDM vol. 1, 14.9).
    #[inline]
    pub fn avx_logic_rrm(&mut self, op: SseLogic, d: Xmm, x: Xmm, mem: Mem) {
        self.vex_mem(logic(op), d.index(), x.index(), mem, Word::EMPTY);
    }
}
