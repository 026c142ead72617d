//! Integer verbs on arm64.

use super::convention::{FLOAT_RESULT, RESULT, SECOND, TARGET, THIRD};
use super::tail::Tail;
use super::{A64, S64, or_sp};
use crate::asm::a64::{self, Imm12, LogicalImm, Shift, Shift6, X};
use crate::masm::{Cond, DivOp, Int, IntOp, IntUnary, Ints, Src};
use crate::runtime::trap::{Site, Trap, TrapKind};

/// The condition of a comparison, after `cmp x, y`.
pub(super) const fn cond_of(cond: Cond) -> a64::Cond {
    match cond {
        Cond::Eq => a64::Cond::Eq,
        Cond::Ne => a64::Cond::Ne,
        Cond::Lt => a64::Cond::Lt,
        Cond::Le => a64::Cond::Le,
        Cond::Gt => a64::Cond::Gt,
        Cond::Ge => a64::Cond::Ge,
        Cond::Ult => a64::Cond::Lo,
        Cond::Ule => a64::Cond::Ls,
        Cond::Ugt => a64::Cond::Hi,
        Cond::Uge => a64::Cond::Hs,
    }
}

/// A shift amount, taken modulo 64.
#[cfg_attr(not(small), inline(always))]
pub(super) const fn modulo_64(amount: u32) -> Shift6 {
    match Shift6::new(amount as u64 & 63, S64) {
        Some(amount) => amount,
        None => NO_SHIFT,
    }
}

/// Evaluated by the compiler.
const NO_SHIFT: Shift6 = Shift6::new(0, S64).unwrap();

impl A64<'_> {
    /// `cmp x, y`. May use x1.
    #[inline]
    pub(super) fn cmp(&mut self, x: X, y: Src) {
        if let Src::Imm(value) = y {
            if let Some(imm) = Imm12::new(value as u64) {
                return a64::cmp_imm(&mut self.buf, S64, or_sp(x), imm);
            }
            // `cmn` compares with the negated immediate; 0, with which its carry would differ, is done already.
            if let Some(imm) = Imm12::new(value.wrapping_neg() as u64) {
                return a64::cmn_imm(&mut self.buf, S64, or_sp(x), imm);
            }
        }
        let y = self.in_any(y, SECOND);
        a64::cmp(&mut self.buf, S64, x, y);
    }

    /// Add and subtract.
    fn sum(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        if matches!(y, Src::At(y) if self.combine(op, d, x, y)) {
            return self.computed(d, Self::target(d, RESULT));
        }
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        let literal = match y {
            Src::Imm(value) => {
                let value = if op == IntOp::Add { value } else { value.wrapping_neg() } as u64;
                (Imm12::new(value), Imm12::new(value.wrapping_neg()))
            }
            Src::At(_) => (None, None),
        };
        match literal {
            (Some(imm), _) => a64::add_imm(&mut self.buf, S64, or_sp(t), or_sp(x), imm),
            (_, Some(imm)) => a64::sub_imm(&mut self.buf, S64, or_sp(t), or_sp(x), imm),
            (None, None) => {
                let y = self.in_any(y, SECOND);
                let emit = if op == IntOp::Add { a64::add } else { a64::sub };
                emit(&mut self.buf, S64, t, x, y);
            }
        }
        self.computed(d, t);
    }

    /// And, or, xor.
    fn logic(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        if matches!(y, Src::At(y) if self.combine(op, d, x, y)) {
            return self.computed(d, Self::target(d, RESULT));
        }
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        let literal = match y {
            Src::Imm(value) => LogicalImm::new(value as u64, S64),
            Src::At(_) => None,
        };
        if let Some(imm) = literal {
            let emit = match op {
                IntOp::And => a64::and_imm,
                IntOp::Or => a64::orr_imm,
                _ => a64::eor_imm,
            };
            emit(&mut self.buf, or_sp(t), x, imm);
        } else {
            let y = self.in_any(y, SECOND);
            let emit = match op {
                IntOp::And => a64::and,
                IntOp::Or => a64::orr,
                _ => a64::eor,
            };
            emit(&mut self.buf, S64, t, x, y);
        }
        self.computed(d, t);
    }

    fn multiply(&mut self, d: Int, x: Int, y: Src) {
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        let (mut shifted, mut factors) = (None, None);
        let one_bit = |value: i64| (value as u64).is_power_of_two().then(|| modulo_64(value.trailing_zeros()));
        match y {
            Src::Imm(1) => return self.put(d, x),
            Src::Imm(value) => {
                if let Some(by) = one_bit(value) {
                    a64::lsl_imm(&mut self.buf, t, x, by);
                    shifted = Some(by);
                } else if let Some(by) = one_bit(value.wrapping_sub(1)) {
                    a64::add_shifted(&mut self.buf, t, x, x, Shift::Lsl(by));
                } else if let Some(by) = one_bit(value.wrapping_neg()) {
                    a64::sub_shifted(&mut self.buf, t, X::Zr, x, Shift::Lsl(by));
                } else {
                    let y = self.in_any(y, SECOND);
                    a64::mul(&mut self.buf, S64, t, x, y);
                    factors = Some(y);
                }
            }
            Src::At(_) => {
                let y = self.in_any(y, SECOND);
                a64::mul(&mut self.buf, S64, t, x, y);
                factors = Some(y);
            }
        }
        self.computed(d, t);
        match (d, shifted, factors) {
            (Int::Reg(_), Some(by), _) => self.leave(Tail::Shift { op: IntOp::Shl, d: t, x, by }),
            (Int::Reg(_), _, Some(y)) => self.leave(Tail::Product { d: t, x, y }),
            _ => {}
        }
    }

    fn shift(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        match y {
            Src::Imm(value) => {
                let by = modulo_64(value as u32);
                if by.amount() == 0 {
                    return self.put(d, x);
                }
                let right = modulo_64(by.amount().wrapping_neg());
                match op {
                    IntOp::Shl => a64::lsl_imm(&mut self.buf, t, x, by),
                    IntOp::Shr => a64::asr_imm(&mut self.buf, t, x, by),
                    IntOp::Ushr => a64::lsr_imm(&mut self.buf, t, x, by),
                    _ => a64::ror_imm(&mut self.buf, t, x, right),
                }
                self.computed(d, t);
                if matches!(d, Int::Reg(_)) {
                    let by = if op == IntOp::Rotl { right } else { by };
                    self.leave(Tail::Shift { op, d: t, x, by });
                }
            }
            Src::At(place) => {
                let mut by = self.in_gpr(place, SECOND);
                // The instructions take counts modulo 64 (Arm ARM, C6.2, LSLV and its kin).
                let emit = match op {
                    IntOp::Shl => a64::lslv,
                    IntOp::Shr => a64::asrv,
                    IntOp::Ushr => a64::lsrv,
                    _ => {
                        a64::neg(&mut self.buf, S64, SECOND, by);
                        by = SECOND;
                        a64::rorv
                    }
                };
                emit(&mut self.buf, S64, t, x, by);
                self.computed(d, t);
            }
        }
    }

    fn min_max(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        let y = self.any_in_gpr(y, SECOND);
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        a64::cmp(&mut self.buf, S64, x, y);
        let take_x = if op == IntOp::Min { a64::Cond::Lt } else { a64::Cond::Gt };
        a64::csel(&mut self.buf, S64, t, x, y, take_x);
        self.computed(d, t);
    }

    /// Division by a literal that needs no division; `false` if this one does.
    fn divide_simple(&mut self, op: DivOp, d: Int, x: Int, by: i64, site: Site) -> bool {
        match by {
            0 => crate::masm::Flow::trap(self, Trap::new(TrapKind::DivisionByZero), site),
            1 if op.remainder() => self.mov(d, Src::Imm(0)),
            1 => self.mov(d, Src::At(x)),
            -1 if op.signed() && op.remainder() => self.mov(d, Src::Imm(0)),
            -1 if op.signed() => self.int_unary(IntUnary::Neg, d, x),
            _ if by < 2 || by & (by - 1) != 0 => return false,
            _ => self.divide_by_power(op, d, x, by),
        }
        true
    }

    /// Division by a power of two from 2 to 2^62.
    fn divide_by_power(&mut self, op: DivOp, d: Int, x: Int, by: i64) {
        let bits = by.trailing_zeros();
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        let low = LogicalImm::new(by.wrapping_sub(1) as u64, S64);
        let high = LogicalImm::new(by.wrapping_neg() as u64, S64);
        match (op, low, high) {
            (DivOp::Udiv, ..) => a64::lsr_imm(&mut self.buf, t, x, modulo_64(bits)),
            (DivOp::Urem, Some(low), _) => a64::and_imm(&mut self.buf, or_sp(t), x, low),
            _ => {
                // Truncation: a negative dividend is first moved up by the divisor less one (Warren, Hacker's Delight,
                // 2nd edition, 10-1).
                let sign = if bits > 1 {
                    a64::asr_imm(&mut self.buf, SECOND, x, modulo_64(63));
                    SECOND
                } else {
                    x
                };
                a64::add_shifted(&mut self.buf, SECOND, x, sign, Shift::Lsr(modulo_64(64 - bits)));
                if let (DivOp::Rem, Some(high)) = (op, high) {
                    a64::and_imm(&mut self.buf, or_sp(SECOND), SECOND, high);
                    a64::sub(&mut self.buf, S64, t, x, SECOND);
                } else {
                    a64::asr_imm(&mut self.buf, t, SECOND, modulo_64(bits));
                }
            }
        }
        self.computed(d, t);
    }
}

impl Ints for A64<'_> {
    fn mov(&mut self, d: Int, s: Src) {
        match (d, s) {
            (_, Src::At(place)) if place == d => {}
            (Int::Reg(reg), Src::At(place @ Int::Slot(_))) => {
                self.in_gpr(place, super::gpr(reg.0));
            }
            (Int::Reg(reg), Src::Imm(value)) => {
                let from = self.buf.pos();
                a64::mov_imm(&mut self.buf, super::gpr(reg.0), value as u64);
                if self.buf.pos() == from + 4 {
                    self.leave(Tail::Int(super::gpr(reg.0)));
                }
            }
            _ => {
                let s = self.any_in_gpr(s, RESULT);
                self.computed(d, s);
            }
        }
    }

    #[cfg_attr(not(small), inline(always))]
    fn int(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        match op {
            IntOp::Add | IntOp::Sub => self.sum(op, d, x, y),
            IntOp::And | IntOp::Or | IntOp::Xor => self.logic(op, d, x, y),
            IntOp::Mul => self.multiply(d, x, y),
            IntOp::Shl | IntOp::Shr | IntOp::Ushr | IntOp::Rotl => self.shift(op, d, x, y),
            IntOp::Min | IntOp::Max => self.min_max(op, d, x, y),
        }
    }

    fn divide(&mut self, op: DivOp, d: Int, x: Int, y: Src, site: Site) {
        if let Src::Imm(by) = y
            && self.divide_simple(op, d, x, by, site)
        {
            return;
        }
        let y_reg = self.any_in_gpr(y, SECOND);
        if matches!(y, Src::At(_)) {
            self.trap_if_zero(y_reg, TrapKind::DivisionByZero, site);
        }
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        // The least integer by -1 gives itself (Arm ARM, C6.2, SDIV), and so the remainder 0.
        let emit = if op.signed() { a64::sdiv } else { a64::udiv };
        if op.remainder() {
            emit(&mut self.buf, S64, THIRD, x, y_reg);
            a64::msub(&mut self.buf, S64, t, THIRD, y_reg, x);
        } else {
            emit(&mut self.buf, S64, t, x, y_reg);
        }
        self.computed(d, t);
    }

    fn int_unary(&mut self, op: IntUnary, d: Int, x: Int) {
        let x = self.in_gpr(x, RESULT);
        let t = Self::target(d, RESULT);
        match op {
            IntUnary::Neg => a64::neg(&mut self.buf, S64, t, x),
            IntUnary::Not => a64::mvn(&mut self.buf, S64, t, x),
            IntUnary::Clz => a64::clz(&mut self.buf, S64, t, x),
            IntUnary::Ctz => {
                a64::rbit(&mut self.buf, S64, t, x);
                a64::clz(&mut self.buf, S64, t, t);
            }
            IntUnary::Popcnt => {
                a64::fmov_from_x(&mut self.buf, FLOAT_RESULT, x);
                a64::cnt_8b(&mut self.buf, FLOAT_RESULT, FLOAT_RESULT);
                a64::addv_8b(&mut self.buf, FLOAT_RESULT, FLOAT_RESULT);
                a64::fmov_to_x(&mut self.buf, t, FLOAT_RESULT);
            }
        }
        self.computed(d, t);
    }

    fn compare(&mut self, cond: Cond, d: Int, x: Int, y: Src) {
        let x = self.in_gpr(x, RESULT);
        self.cmp(x, y);
        let t = Self::target(d, RESULT);
        a64::cset(&mut self.buf, S64, t, cond_of(cond));
        self.computed(d, t);
    }

    fn select(&mut self, d: Int, cond: Int, x: Int, y: Int) {
        let cond = self.in_gpr(cond, TARGET);
        let x = self.in_gpr(x, RESULT);
        let y = self.in_gpr(y, SECOND);
        self.cmp(cond, Src::Imm(0));
        let t = Self::target(d, RESULT);
        a64::csel(&mut self.buf, S64, t, x, y, a64::Cond::Ne);
        self.computed(d, t);
    }
}
