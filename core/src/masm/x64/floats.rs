//! Float verbs on x86-64.

use super::convention::{CONTEXT, FLOAT_RESULT};
use super::{B4, B8, X64, context, field, gpr, slot, xmm};
use crate::asm::Label;
use crate::asm::x64::{Alu, Cc, Fma, Gpr, Mem, Predicate, Round, Shift, Sse, SseLogic, Xmm};
use crate::masm::{ColdKind, Float, FloatCond, FloatOp, FloatReg, FloatUnary, Floats, Int, Src};
use crate::runtime::context::Soft;

/// How a comparison is made from `ucomisd`, which sets ZF, PF and CF for unordered, CF for below, ZF for equal
/// (SDM vol. 2, UCOMISD).
pub(super) struct Compare {
    /// Whether the operands are exchanged.
    pub(super) swap: bool,
    pub(super) cc: Cc,
    /// For `Eq` and `Ne`: unordered has to be told from equal by PF.
    pub(super) parity: bool,
}

pub(super) const fn compare_of(cond: FloatCond) -> Compare {
    match cond {
        FloatCond::Eq => Compare { swap: false, cc: Cc::E, parity: true },
        FloatCond::Ne => Compare { swap: false, cc: Cc::Ne, parity: true },
        FloatCond::Lt => Compare { swap: true, cc: Cc::A, parity: false },
        FloatCond::Le => Compare { swap: true, cc: Cc::Ae, parity: false },
        FloatCond::Gt => Compare { swap: false, cc: Cc::A, parity: false },
        FloatCond::Ge => Compare { swap: false, cc: Cc::Ae, parity: false },
    }
}

impl X64<'_> {
    /// `ucomisd x, y`. May use xmm0.
    fn ucomisd(&mut self, x: Float, y: Float) {
        let x = self.in_xmm(x, Xmm::Xmm0);
        match y {
            Float::Reg(reg) => self.asm.ucomisd_rr(x, xmm(reg.0)),
            Float::Slot(at) => self.asm.ucomisd_rm(x, slot(at)),
        }
    }

    /// Compares for a condition, and says how to read the flags.
    pub(super) fn ucomisd_for(&mut self, cond: FloatCond, x: Float, y: Float) -> Compare {
        let compare = compare_of(cond);
        if compare.swap {
            self.ucomisd(y, x)
        } else {
            self.ucomisd(x, y)
        }
        compare
    }

    /// Add, subtract, multiply, divide.
    fn arithmetic(&mut self, op: Sse, d: Float, x: Float, y: Float) {
        let t = Self::float_target(d, Xmm::Xmm0);
        if self.place.features.avx && d != x {
            let x = self.in_xmm(x, Xmm::Xmm0);
            match y {
                Float::Reg(reg) => self.asm.avx_rrr(op, t, x, xmm(reg.0)),
                Float::Slot(at) => self.asm.avx_rrm(op, t, x, slot(at)),
            }
            return self.put_float(d, t);
        }
        let aliased = d == y && d != x && matches!(d, Float::Reg(_));
        let (t, y) = match (aliased, op) {
            (false, _) => {
                self.get_float(t, x);
                (t, y)
            }
            // These commute, up to the choice among NaNs.
            (true, Sse::Add | Sse::Mul) => (t, x),
            (true, _) => {
                self.get_float(Xmm::Xmm0, x);
                (Xmm::Xmm0, y)
            }
        };
        self.sse(op, t, y);
        self.put_float(d, t);
    }

    fn min_max_float(&mut self, max: bool, d: Float, x: Float, y: Float) {
        let op = if max { Sse::Max } else { Sse::Min };
        // ZF: equal, which the signs of zeros decide, or unordered.
        if self.place.features.avx
            && let (Float::Reg(d), Float::Reg(a), Float::Reg(b)) = (d, x, y)
        {
            self.asm.ucomisd_rr(xmm(a.0), xmm(b.0));
            self.cold_if(Cc::E, ColdKind::FloatMinMax { max, d: Some(d), x, y });
            self.asm.avx_rrr(op, xmm(d.0), xmm(a.0), xmm(b.0));
            return self.back_here();
        }
        self.get_float(Xmm::Xmm0, x);
        self.get_float(Xmm::Xmm1, y);
        self.asm.ucomisd_rr(Xmm::Xmm0, Xmm::Xmm1);
        self.cold_if(Cc::E, ColdKind::FloatMinMax { max, d: None, x, y });
        self.asm.sse_rr(op, Xmm::Xmm0, Xmm::Xmm1);
        self.back_here();
        self.put_float(d, Xmm::Xmm0);
    }

    /// [`ColdKind::FloatMinMax`]. Without a destination, the operands are in xmm0 and xmm1, and the result goes to xmm0.
    pub(super) fn float_min_max_rarely(&mut self, max: bool, d: Option<FloatReg>, x: Float, y: Float) {
        // Equal operands differ at most in the sign of a zero, and what a NaN is joined with by `or` is a NaN.
        match (d, x, y) {
            (Some(d), Float::Reg(x), Float::Reg(y)) => {
                let (d, x, y) = (xmm(d.0), xmm(x.0), xmm(y.0));
                if !max {
                    return self.asm.avx_logic_rrr(SseLogic::Or, d, x, y);
                }
                self.asm.avx_logic_rrr(SseLogic::And, Xmm::Xmm0, x, y);
                self.asm.avx_cmpsd_rrr(Predicate::Unordered, Xmm::Xmm1, x, y);
                self.asm.avx_logic_rrr(SseLogic::Or, d, Xmm::Xmm0, Xmm::Xmm1);
            }
            _ => {
                if max {
                    self.asm.logic_rr(SseLogic::And, Xmm::Xmm0, Xmm::Xmm1);
                    self.get_float(Xmm::Xmm1, x);
                    match y {
                        Float::Reg(reg) => self.asm.cmpsd_rr(Predicate::Unordered, Xmm::Xmm1, xmm(reg.0)),
                        Float::Slot(at) => self.asm.cmpsd_rm(Predicate::Unordered, Xmm::Xmm1, slot(at)),
                    }
                }
                self.asm.logic_rr(SseLogic::Or, Xmm::Xmm0, Xmm::Xmm1);
            }
        }
    }

    fn sse(&mut self, op: Sse, t: Xmm, y: Float) {
        match y {
            Float::Reg(reg) => self.asm.sse_rr(op, t, xmm(reg.0)),
            Float::Slot(at) => self.asm.sse_rm(op, t, slot(at)),
        }
    }

    fn copysign(&mut self, d: Float, x: Float, y: Float) {
        if self.place.features.avx {
            let y = self.in_xmm(y, Xmm::Xmm1);
            // The sign of NaN counts as positive.
            self.asm.avx_cmpsd_rrr(Predicate::Ordered, Xmm::Xmm0, y, y);
            self.asm.avx_logic_rrr(SseLogic::And, Xmm::Xmm1, Xmm::Xmm0, y);
            self.asm.avx_logic_rrm(SseLogic::And, Xmm::Xmm1, Xmm::Xmm1, context(field::SIGN));
            let x = self.in_xmm(x, Xmm::Xmm0);
            self.asm.avx_logic_rrm(SseLogic::And, Xmm::Xmm0, x, context(field::MAGNITUDE));
            let t = Self::float_target(d, Xmm::Xmm0);
            self.asm.avx_logic_rrr(SseLogic::Or, t, Xmm::Xmm0, Xmm::Xmm1);
            return self.put_float(d, t);
        }
        let sign = self.in_xmm(y, Xmm::Xmm0);
        self.asm.movq_rx(Gpr::Rcx, sign);
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rdx, Gpr::Rdx);
        self.asm.ucomisd_rr(sign, sign);
        self.asm.cmov_rr(Cc::P, B8, Gpr::Rcx, Gpr::Rdx);
        match x {
            Float::Reg(reg) => self.asm.movq_rx(Gpr::Rax, xmm(reg.0)),
            Float::Slot(at) => self.asm.mov_rm(B8, Gpr::Rax, slot(at)),
        }
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rax, 1);
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rax, 1);
        self.asm.shift_ri(Shift::Shr, B8, Gpr::Rcx, 63);
        self.asm.shift_ri(Shift::Shl, B8, Gpr::Rcx, 63);
        self.asm.alu_rr(Alu::Or, B8, Gpr::Rax, Gpr::Rcx);
        self.put_bits(d, Gpr::Rax);
    }

    /// Moves the bits in a general register into a float's place.
    fn put_bits(&mut self, d: Float, s: Gpr) {
        match d {
            Float::Reg(reg) => self.asm.movq_xr(xmm(reg.0), s),
            Float::Slot(at) => self.asm.mov_mr(B8, slot(at), s),
        }
    }

    /// Loads the bits of `x`, with NaN made canonical, into `t`. May use xmm0.
    pub(super) fn canonical_bits(&mut self, t: Gpr, x: Float) {
        let x = self.in_xmm(x, Xmm::Xmm0);
        self.asm.movq_rx(t, x);
        self.asm.ucomisd_rr(x, x);
        self.asm.cmov_rm(Cc::P, B8, t, context(field::NAN));
    }

    /// [`ColdKind::Saturate`]: `d` holds the least integer, what `cvttsd2si` gives for all that does not fit.
    pub(super) fn saturate(&mut self, d: Int, x: Float, back: &mut Label) {
        let t = Self::target(d, Gpr::Rax);
        self.get_float(Xmm::Xmm0, x);
        self.asm.logic_rr(SseLogic::Xor, Xmm::Xmm1, Xmm::Xmm1);
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rcx, Gpr::Rcx);
        self.asm.ucomisd_rr(Xmm::Xmm0, Xmm::Xmm1);
        self.asm.cmov_rr(Cc::P, B8, t, Gpr::Rcx);
        self.asm.jcc(Cc::Be, back);
        self.asm.mov_ri(t, i64::MAX as u64);
    }

    /// Calls the soft operation on the operand in rax; the result is in rax.
    pub(super) fn soft_int(&mut self, op: Soft) {
        self.asm.mov_mr(B8, context(field::OPERANDS), Gpr::Rax);
        self.call_soft(op);
        self.asm.mov_rm(B8, Gpr::Rax, context(field::OPERANDS));
    }

    fn call_soft(&mut self, op: Soft) {
        self.asm.mov_ri(Gpr::Rax, op as u64);
        self.asm.call_outside(self.stub(self.place.stubs.soft));
    }

    /// Calls a soft operation on floats.
    fn soft_float(&mut self, op: Soft, d: Float, operands: &[Float]) {
        for (index, &x) in (0..).zip(operands) {
            let x = self.in_xmm(x, Xmm::Xmm0);
            self.asm.movsd_mr(Mem::base(CONTEXT, field::OPERANDS as i32 + 8 * index), x);
        }
        self.call_soft(op);
        let t = Self::float_target(d, Xmm::Xmm0);
        self.asm.movsd_rm(t, context(field::OPERANDS));
        self.put_float(d, t);
    }

    fn round(&mut self, mode: Round, soft: Soft, d: Float, x: Float) {
        if !self.place.features.sse41 {
            return self.soft_float(soft, d, &[x]);
        }
        let t = Self::float_target(d, Xmm::Xmm0);
        match x {
            Float::Reg(reg) => self.asm.roundsd_rr(mode, t, xmm(reg.0)),
            Float::Slot(at) => self.asm.roundsd_rm(mode, t, slot(at)),
        }
        self.put_float(d, t);
    }

    /// Changes the sign bit: by a mask in the context, which AVX takes from any address (SDM vol. 1, 14.9), or by one made
    /// of ones, shifted.
    fn sign(&mut self, negate: bool, d: Float, x: Float) {
        let t = Self::float_target(d, Xmm::Xmm0);
        if self.place.features.avx {
            let x = self.in_xmm(x, Xmm::Xmm0);
            let (op, mask) = if negate { (SseLogic::Xor, field::SIGN) } else { (SseLogic::And, field::MAGNITUDE) };
            self.asm.avx_logic_rrm(op, t, x, context(mask));
            return self.put_float(d, t);
        }
        self.asm.pcmpeqd_rr(Xmm::Xmm1, Xmm::Xmm1);
        if negate {
            self.asm.psllq_ri(Xmm::Xmm1, 63);
        } else {
            self.asm.psrlq_ri(Xmm::Xmm1, 1);
        }
        self.get_float(t, x);
        self.asm.logic_rr(if negate { SseLogic::Xor } else { SseLogic::And }, t, Xmm::Xmm1);
        self.put_float(d, t);
    }
}

impl Floats for X64<'_> {
    fn float_mov(&mut self, d: Float, s: Float) {
        if d == s {
            return;
        }
        match (d, s) {
            (Float::Reg(reg), _) => self.get_float(xmm(reg.0), s),
            (Float::Slot(_), Float::Reg(reg)) => self.put_float(d, xmm(reg.0)),
            (Float::Slot(to), Float::Slot(from)) => {
                self.asm.mov_rm(B8, Gpr::Rax, slot(from));
                self.asm.mov_mr(B8, slot(to), Gpr::Rax);
            }
        }
    }

    fn float_const(&mut self, d: Float, bits: u64) {
        match d {
            Float::Reg(reg) if bits == 0 => self.asm.logic_rr(SseLogic::Xor, xmm(reg.0), xmm(reg.0)),
            Float::Slot(at) => crate::masm::Ints::mov(self, Int::Slot(at), Src::Imm(bits as i64)),
            Float::Reg(_) => {
                self.asm.mov_ri(Gpr::Rax, bits);
                self.put_bits(d, Gpr::Rax);
            }
        }
    }

    #[cfg_attr(not(small), inline(always))]
    fn float(&mut self, op: FloatOp, d: Float, x: Float, y: Float) {
        match op {
            FloatOp::Add => self.arithmetic(Sse::Add, d, x, y),
            FloatOp::Sub => self.arithmetic(Sse::Sub, d, x, y),
            FloatOp::Mul => self.arithmetic(Sse::Mul, d, x, y),
            FloatOp::Div => self.arithmetic(Sse::Div, d, x, y),
            FloatOp::Min => self.min_max_float(false, d, x, y),
            FloatOp::Max => self.min_max_float(true, d, x, y),
            FloatOp::Copysign => self.copysign(d, x, y),
        }
    }

    fn float_unary(&mut self, op: FloatUnary, d: Float, x: Float) {
        match op {
            FloatUnary::Neg => self.sign(true, d, x),
            FloatUnary::Abs => self.sign(false, d, x),
            FloatUnary::Sqrt => {
                let t = Self::float_target(d, Xmm::Xmm0);
                self.sse(Sse::Sqrt, t, x);
                self.put_float(d, t);
            }
            FloatUnary::Floor => self.round(Round::Floor, Soft::Floor, d, x),
            FloatUnary::Ceil => self.round(Round::Ceil, Soft::Ceil, d, x),
            FloatUnary::Trunc => self.round(Round::Trunc, Soft::Trunc, d, x),
            FloatUnary::Nearest => self.round(Round::Nearest, Soft::Nearest, d, x),
        }
    }

    fn fma(&mut self, d: Float, x: Float, y: Float, z: Float) {
        if !self.place.features.fma {
            return self.soft_float(Soft::Fma, d, &[x, y, z]);
        }
        let t = Self::float_target(d, Xmm::Xmm0);
        // 231: t = x * y + t. 213: t = y * t + z.
        let (form, x, y) = if d == z && matches!(d, Float::Reg(_)) {
            (Fma::F231, self.in_xmm(x, Xmm::Xmm1), y)
        } else if d == y && d != x && matches!(d, Float::Reg(_)) {
            (Fma::F213, self.in_xmm(x, Xmm::Xmm1), z)
        } else {
            let y = self.in_xmm(y, Xmm::Xmm1);
            self.get_float(t, x);
            (Fma::F213, y, z)
        };
        match y {
            Float::Reg(reg) => self.asm.fma_rr(form, t, x, xmm(reg.0)),
            Float::Slot(at) => self.asm.fma_rm(form, t, x, slot(at)),
        }
        self.put_float(d, t);
    }

    fn float_compare(&mut self, cond: FloatCond, d: Int, x: Float, y: Float) {
        let t = Self::target(d, Gpr::Rax);
        self.asm.alu_rr(Alu::Xor, B4, Gpr::Rax, Gpr::Rax);
        let compare = self.ucomisd_for(cond, x, y);
        self.asm.setcc(compare.cc, Gpr::Rax);
        if compare.parity {
            let (ordered, join) = if cond == FloatCond::Eq { (Cc::Np, Alu::And) } else { (Cc::P, Alu::Or) };
            self.asm.setcc(ordered, Gpr::Rcx);
            self.asm.movzx8_rr(Gpr::Rcx, Gpr::Rcx);
            self.asm.alu_rr(join, B4, Gpr::Rax, Gpr::Rcx);
        }
        if t != Gpr::Rax {
            self.asm.mov_rr(B4, t, Gpr::Rax);
        }
        self.put(d, t);
    }

    fn float_select(&mut self, d: Float, cond: Int, x: Float, y: Float) {
        let t = Self::float_target(d, Xmm::Xmm0);
        match cond {
            Int::Reg(reg) => self.asm.test_rr(B8, gpr(reg.0), gpr(reg.0)),
            Int::Slot(at) => self.asm.alu_mi(Alu::Cmp, B8, slot(at), 0),
        }
        // Moves and loads leave the flags alone.
        let mut done = Label::new();
        if d == x && matches!(d, Float::Reg(_)) {
            self.asm.jcc(Cc::Ne, &mut done);
            self.get_float(t, y);
        } else {
            self.get_float(t, y);
            self.asm.jcc(Cc::E, &mut done);
            self.get_float(t, x);
        }
        self.asm.bind(&mut done);
        self.put_float(d, t);
    }

    fn int_to_float(&mut self, d: Float, x: Int) {
        let t = Self::float_target(d, Xmm::Xmm0);
        // The conversion merges into its destination: clearing it first ends the dependence on the old value.
        self.asm.logic_rr(SseLogic::Xor, t, t);
        match x {
            Int::Reg(reg) => self.asm.cvtsi2sd_rr(t, gpr(reg.0)),
            Int::Slot(at) => self.asm.cvtsi2sd_rm(t, slot(at)),
        }
        self.put_float(d, t);
    }

    fn float_to_int(&mut self, d: Int, x: Float) {
        let t = Self::target(d, Gpr::Rax);
        match x {
            Float::Reg(reg) => self.asm.cvttsd2si_rr(t, xmm(reg.0)),
            Float::Slot(at) => self.asm.cvttsd2si_rm(t, slot(at)),
        }
        // Only the least integer less 1 overflows (SDM vol. 2, CVTTSD2SI: the integer indefinite value).
        self.asm.alu_ri(Alu::Cmp, B8, t, 1);
        self.cold_if(Cc::O, ColdKind::Saturate { d, x });
        self.put(d, t);
    }

    fn float_bits(&mut self, d: Int, x: Float) {
        let t = Self::target(d, Gpr::Rax);
        self.canonical_bits(t, x);
        self.put(d, t);
    }

    fn float_from_bits(&mut self, d: Float, x: Int) {
        let x = self.in_gpr(x, Gpr::Rax);
        self.put_bits(d, x);
    }
}

/// The scratch register that doubles as the result is the one that the verbs above take first.
const _: () = assert!(matches!(FLOAT_RESULT, Xmm::Xmm0));
