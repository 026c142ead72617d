//! Float verbs on arm64. Its instructions give what vm3 asks for: minimum and maximum give NaN if either operand is NaN and
//! order -0 below +0, conversion saturates and gives 0 for NaN (Arm ARM DDI 0487, C7.2, FMIN, FMAX, FCVTZS).

use super::convention::{FLOAT_RESULT, FLOAT_SECOND, FLOAT_THIRD, RESULT, SECOND};
use super::{A64, S64, fpr};
use crate::asm::a64::{self, D, FpImm8, X};
use crate::masm::{Float, FloatCond, FloatOp, FloatUnary, Floats, Int, Src};

/// The bits of the canonical NaN.
const NAN: u64 = 0x7FF8_0000_0000_0000;

/// The condition of a comparison, after `fcmp x, y`: unordered operands clear N and Z and set C and V (C6.2, FCMP).
pub(super) const fn cond_of(cond: FloatCond) -> a64::Cond {
    match cond {
        FloatCond::Eq => a64::Cond::Eq,
        FloatCond::Ne => a64::Cond::Ne,
        FloatCond::Lt => a64::Cond::Mi,
        FloatCond::Le => a64::Cond::Ls,
        FloatCond::Gt => a64::Cond::Gt,
        FloatCond::Ge => a64::Cond::Ge,
    }
}

impl A64<'_> {
    /// `fcmp x, y`. May use d0 and d1.
    pub(super) fn fcmp(&mut self, x: Float, y: Float) {
        let x = self.in_fpr(x, FLOAT_RESULT);
        let y = self.in_fpr(y, FLOAT_SECOND);
        a64::fcmp(&mut self.buf, x, y);
    }

    fn copysign(&mut self, d: Float, x: Float, y: Float) {
        let sign = self.in_fpr(y, FLOAT_SECOND);
        let x = self.in_fpr(x, FLOAT_THIRD);
        a64::movi_zero(&mut self.buf, FLOAT_RESULT);
        a64::fcmp(&mut self.buf, sign, sign);
        // The sign of NaN counts as positive.
        a64::fcsel(&mut self.buf, FLOAT_SECOND, sign, FLOAT_RESULT, a64::Cond::Vc);
        // -0 is the mask of the sign bit.
        a64::fneg(&mut self.buf, FLOAT_RESULT, FLOAT_RESULT);
        a64::bsl_8b(&mut self.buf, FLOAT_RESULT, FLOAT_SECOND, x);
        self.put_float(d, FLOAT_RESULT);
    }

    /// Moves the bits in a general register into a float's place.
    fn put_bits(&mut self, d: Float, s: X) {
        match d {
            Float::Reg(reg) => a64::fmov_from_x(&mut self.buf, fpr(reg.0), s),
            Float::Slot(at) => self.put(Int::Slot(at), s),
        }
    }

    /// Loads the bits of `x`, with NaN made canonical, into `t`, which is not x1. May use x1 and d0.
    pub(super) fn canonical_bits(&mut self, t: X, x: Float) {
        let x = self.in_fpr(x, FLOAT_RESULT);
        a64::fcmp(&mut self.buf, x, x);
        a64::mov_imm(&mut self.buf, SECOND, NAN);
        a64::fmov_to_x(&mut self.buf, t, x);
        a64::csel(&mut self.buf, S64, t, t, SECOND, a64::Cond::Vc);
    }
}

impl Floats for A64<'_> {
    fn float_mov(&mut self, d: Float, s: Float) {
        if d == s {
            return;
        }
        let s = self.in_fpr(s, Self::float_target(d, FLOAT_RESULT));
        self.put_float(d, s);
    }

    fn float_const(&mut self, d: Float, bits: u64) {
        match d {
            Float::Slot(at) => crate::masm::Ints::mov(self, Int::Slot(at), Src::Imm(bits as i64)),
            Float::Reg(reg) => {
                if bits == 0 {
                    a64::movi_zero(&mut self.buf, fpr(reg.0));
                } else if let Some(imm) = FpImm8::new(bits) {
                    a64::fmov_imm(&mut self.buf, fpr(reg.0), imm);
                } else {
                    a64::mov_imm(&mut self.buf, RESULT, bits);
                    a64::fmov_from_x(&mut self.buf, fpr(reg.0), RESULT);
                }
            }
        }
    }

    #[cfg_attr(not(small), inline(always))]
    fn float(&mut self, op: FloatOp, d: Float, x: Float, y: Float) {
        let before = self.before();
        let emit = match op {
            FloatOp::Add => a64::fadd,
            FloatOp::Sub => a64::fsub,
            FloatOp::Mul => a64::fmul,
            FloatOp::Div => a64::fdiv,
            FloatOp::Min => a64::fmin,
            FloatOp::Max => a64::fmax,
            FloatOp::Copysign => return self.copysign(d, x, y),
        };
        let x = self.in_fpr(x, FLOAT_RESULT);
        let y = self.in_fpr(y, FLOAT_SECOND);
        let t = Self::float_target(d, FLOAT_RESULT);
        emit(&mut self.buf, t, x, y);
        self.computed_float(d, t, before);
    }

    fn float_unary(&mut self, op: FloatUnary, d: Float, x: Float) {
        let before = self.before();
        let emit = match op {
            FloatUnary::Neg => a64::fneg,
            FloatUnary::Abs => a64::fabs,
            FloatUnary::Sqrt => a64::fsqrt,
            FloatUnary::Floor => a64::frintm,
            FloatUnary::Ceil => a64::frintp,
            FloatUnary::Trunc => a64::frintz,
            FloatUnary::Nearest => a64::frintn,
        };
        let x = self.in_fpr(x, FLOAT_RESULT);
        let t = Self::float_target(d, FLOAT_RESULT);
        emit(&mut self.buf, t, x);
        self.computed_float(d, t, before);
    }

    fn fma(&mut self, d: Float, x: Float, y: Float, z: Float) {
        let before = self.before();
        let x = self.in_fpr(x, FLOAT_RESULT);
        let y = self.in_fpr(y, FLOAT_SECOND);
        let z = self.in_fpr(z, FLOAT_THIRD);
        let t = Self::float_target(d, FLOAT_RESULT);
        a64::fmadd(&mut self.buf, t, x, y, z);
        self.computed_float(d, t, before);
    }

    fn float_compare(&mut self, cond: FloatCond, d: Int, x: Float, y: Float) {
        self.fcmp(x, y);
        let t = Self::target(d, RESULT);
        a64::cset(&mut self.buf, S64, t, cond_of(cond));
        self.computed(d, t);
    }

    fn float_select(&mut self, d: Float, cond: Int, x: Float, y: Float) {
        let before = self.before();
        let cond = self.in_gpr(cond, RESULT);
        let x = self.in_fpr(x, FLOAT_RESULT);
        let y = self.in_fpr(y, FLOAT_SECOND);
        self.cmp(cond, Src::Imm(0));
        let t = Self::float_target(d, FLOAT_RESULT);
        a64::fcsel(&mut self.buf, t, x, y, a64::Cond::Ne);
        self.computed_float(d, t, before);
    }

    fn int_to_float(&mut self, d: Float, x: Int) {
        let before = self.before();
        let x = self.in_gpr(x, RESULT);
        let t = Self::float_target(d, FLOAT_RESULT);
        a64::scvtf(&mut self.buf, S64, t, x);
        self.computed_float(d, t, before);
    }

    fn float_to_int(&mut self, d: Int, x: Float) {
        let x = self.in_fpr(x, FLOAT_RESULT);
        let t = Self::target(d, RESULT);
        a64::fcvtzs(&mut self.buf, S64, t, x);
        self.computed(d, t);
    }

    fn float_bits(&mut self, d: Int, x: Float) {
        let t = Self::target(d, RESULT);
        self.canonical_bits(t, x);
        self.put(d, t);
    }

    fn float_from_bits(&mut self, d: Float, x: Int) {
        let x = self.in_gpr(x, RESULT);
        self.put_bits(d, x);
    }
}

/// What a callee's result is in is scratch, so nothing pinned is lost by a call.
const _: () = assert!(matches!(FLOAT_RESULT, D::D0) && matches!(RESULT, X::X0));
