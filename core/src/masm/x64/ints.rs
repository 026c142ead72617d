//! Integer verbs on x86-64.

use super::convention::RESULT;
use super::{B4, B8, X64, gpr, same, slot};
use crate::asm::x64::{Alu, Bits, Cc, Gpr, Mem, Scale, Shift, Unary};
use crate::masm::{ColdKind, Cond, DivOp, Int, IntOp, IntUnary, Ints, Src};
use crate::runtime::context::Soft;
use crate::runtime::trap::{Site, TrapKind};

/// The condition code of a comparison, after `cmp x, y`.
pub(super) const fn cc(cond: Cond) -> Cc {
    match cond {
        Cond::Eq => Cc::E,
        Cond::Ne => Cc::Ne,
        Cond::Lt => Cc::L,
        Cond::Le => Cc::Le,
        Cond::Gt => Cc::G,
        Cond::Ge => Cc::Ge,
        Cond::Ult => Cc::B,
        Cond::Ule => Cc::Be,
        Cond::Ugt => Cc::A,
        Cond::Uge => Cc::Ae,
    }
}

pub(super) const fn shift_of(op: IntOp) -> Shift {
    match op {
        IntOp::Shl => Shift::Shl,
        IntOp::Shr => Shift::Sar,
        IntOp::Ushr => Shift::Shr,
        _ => Shift::Rol,
    }
}

/// When the minimum or maximum is the other source, after `cmp one, other`.
pub(super) const fn takes_other(op: IntOp) -> Cc {
    if matches!(op, IntOp::Min) { Cc::G } else { Cc::L }
}

impl X64<'_> {
    /// `cmp x, y`. Leaves rax alone; may use rcx and rdx.
    pub(super) fn cmp(&mut self, x: Int, y: Src) {
        match (x, y) {
            (Int::Reg(reg), Src::Imm(0)) => self.asm.test_rr(B8, gpr(reg.0), gpr(reg.0)),
            (Int::Reg(reg), _) => self.alu(Alu::Cmp, gpr(reg.0), y, Gpr::Rdx),
            (Int::Slot(at), Src::At(Int::Reg(reg))) => self.asm.alu_mr(Alu::Cmp, B8, slot(at), gpr(reg.0)),
            (Int::Slot(at), Src::Imm(value)) if i32::try_from(value).is_ok() => {
                self.asm.alu_mi(Alu::Cmp, B8, slot(at), value as i32);
            }
            (Int::Slot(at), _) => {
                self.asm.mov_rm(B8, Gpr::Rcx, slot(at));
                self.alu(Alu::Cmp, Gpr::Rcx, y, Gpr::Rdx);
            }
        }
    }

    /// Add and subtract: by `lea` where the sources are registers or literals, whatever the destination is; its forms are
    /// as short and as fast as the two-operand ones, or a byte longer, and there is no case to tell apart.
    fn sum(&mut self, subtract: bool, d: Int, x: Int, y: Src) {
        if let (true, Src::Imm(value)) = (subtract, y) {
            return self.sum(false, d, x, Src::Imm(value.wrapping_neg()));
        }
        if let Int::Reg(base) = x {
            let mem = match y {
                Src::At(Int::Reg(index)) if !subtract => Mem::indexed(gpr(base.0), gpr(index.0), Scale::X1, 0),
                Src::Imm(0) => return crate::masm::Ints::mov(self, d, Src::At(x)),
                Src::Imm(value) => i32::try_from(value).ok().map(|disp| Mem::base(gpr(base.0), disp)),
                _ => None,
            };
            if let Some(mem) = mem {
                let t = Self::target(d, Gpr::Rax);
                self.asm.lea(B8, t, mem);
                return self.put(d, t);
            }
        }
        if subtract && same(d, y) && d != x && matches!(d, Int::Reg(_)) {
            let t = Self::target(d, Gpr::Rax);
            self.asm.unary_r(Unary::Neg, B8, t);
            return self.alu(Alu::Add, t, Src::At(x), Gpr::Rcx);
        }
        self.simple(if subtract { Alu::Sub } else { Alu::Add }, d, x, y);
    }

    /// An operation that has a two-operand instruction; `Sub` only if the destination is no register that is `y` alone.
    fn simple(&mut self, alu: Alu, d: Int, x: Int, y: Src) {
        if let (Int::Slot(at), true) = (d, d == x) {
            match y {
                Src::Imm(value) if i32::try_from(value).is_ok() => {
                    self.asm.alu_mi(alu, B8, slot(at), value as i32);
                }
                Src::At(Int::Reg(reg)) => self.asm.alu_mr(alu, B8, slot(at), gpr(reg.0)),
                _ => {
                    self.load(Gpr::Rax, y);
                    self.asm.alu_mr(alu, B8, slot(at), Gpr::Rax);
                }
            }
            return;
        }
        let t = Self::target(d, Gpr::Rax);
        let other = if same(d, y) && matches!(d, Int::Reg(_)) {
            // These commute, and with all three places the same it does not matter.
            Src::At(x)
        } else {
            self.get(t, x);
            y
        };
        self.alu(alu, t, other, Gpr::Rcx);
        self.put(d, t);
    }

    fn multiply(&mut self, d: Int, x: Int, y: Src) {
        let t = Self::target(d, Gpr::Rax);
        match y {
            Src::Imm(value) if value > 0 && value & (value - 1) == 0 => {
                self.get(t, x);
                if value > 1 {
                    self.asm.shift_ri(Shift::Shl, B8, t, value.trailing_zeros() as u8);
                }
            }
            Src::Imm(value @ (3 | 5 | 9)) => {
                let x = self.in_gpr(x, Gpr::Rcx);
                let scale = match value {
                    3 => Scale::X2,
                    5 => Scale::X4,
                    _ => Scale::X8,
                };
                if let Some(mem) = Mem::indexed(x, x, scale, 0) {
                    self.asm.lea(B8, t, mem);
                }
            }
            Src::Imm(value) => match (i32::try_from(value), x) {
                (Ok(imm), Int::Reg(reg)) => self.asm.imul_rri(B8, t, gpr(reg.0), imm),
                (Ok(imm), Int::Slot(at)) => self.asm.imul_rmi(B8, t, slot(at), imm),
                (Err(_), _) => {
                    self.asm.mov_ri(Gpr::Rcx, value as u64);
                    self.get(t, x);
                    self.asm.imul_rr(B8, t, Gpr::Rcx);
                }
            },
            Src::At(y) => {
                // Multiplication commutes, so if the destination is the second source the first one is the operand.
                let other = if d == y && matches!(d, Int::Reg(_)) {
                    x
                } else {
                    self.get(t, x);
                    y
                };
                match other {
                    Int::Reg(reg) => self.asm.imul_rr(B8, t, gpr(reg.0)),
                    Int::Slot(at) => self.asm.imul_rm(B8, t, slot(at)),
                }
            }
        }
        self.put(d, t);
    }

    fn shift(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        let shift = shift_of(op);
        let t = Self::target(d, Gpr::Rax);
        match y {
            Src::Imm(value) => {
                let count = (value & 63) as u8;
                match x {
                    Int::Reg(reg) if op == IntOp::Rotl && self.place.features.bmi2 && d != x && count != 0 => {
                        self.asm.rorx_ri(B8, t, gpr(reg.0), 64 - count);
                    }
                    _ => {
                        self.get(t, x);
                        if count != 0 {
                            self.asm.shift_ri(shift, B8, t, count);
                        }
                    }
                }
            }
            Src::At(count) if op != IntOp::Rotl && self.place.features.bmi2 => {
                let count = self.in_gpr(count, Gpr::Rcx);
                match x {
                    Int::Reg(reg) => self.asm.shiftx_rr(shift, B8, t, gpr(reg.0), count),
                    Int::Slot(at) => self.asm.shiftx_rm(shift, B8, t, slot(at), count),
                }
            }
            Src::At(count) => {
                self.get(Gpr::Rcx, count);
                self.get(t, x);
                self.asm.shift_rcl(shift, B8, t);
            }
        }
        self.put(d, t);
    }

    fn min_max(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        let t = Self::target(d, Gpr::Rax);
        // These commute: what is in the destination is compared with the other source.
        let (x, other) = if same(d, y) && matches!(d, Int::Reg(_)) { (d, Src::At(x)) } else { (x, y) };
        let other = match other {
            Src::At(place) => self.in_gpr(place, Gpr::Rcx),
            Src::Imm(value) => {
                self.asm.mov_ri(Gpr::Rcx, value as u64);
                Gpr::Rcx
            }
        };
        self.get(t, x);
        self.asm.alu_rr(Alu::Cmp, B8, t, other);
        self.asm.cmov_rr(takes_other(op), B8, t, other);
        self.put(d, t);
    }

    /// Loads any source into a register.
    pub(super) fn load(&mut self, d: Gpr, s: Src) {
        match s {
            Src::At(place) => self.get(d, place),
            Src::Imm(value) => self.asm.mov_ri(d, value as u64),
        }
    }

    /// Division by a literal that needs no division; `false` if this one does.
    fn divide_simple(&mut self, op: DivOp, d: Int, x: Int, by: i64, site: Site) -> bool {
        match by {
            0 => super::super::Flow::trap(self, crate::runtime::trap::Trap::new(TrapKind::DivisionByZero), site),
            1 if op.remainder() => self.mov(d, Src::Imm(0)),
            1 => self.mov(d, Src::At(x)),
            -1 if op.signed() => self.divide_by_minus_one(d, x, op.remainder()),
            _ if !(2..=1 << 30).contains(&by) || by & (by - 1) != 0 => return false,
            _ => {
                let bits = by.trailing_zeros() as u8;
                let mask = (by - 1) as i32;
                let t = Self::target(d, Gpr::Rax);
                if !op.signed() {
                    self.get(t, x);
                    if op.remainder() {
                        self.asm.alu_ri(Alu::And, B8, t, mask);
                    } else {
                        self.asm.shift_ri(Shift::Shr, B8, t, bits);
                    }
                } else {
                    // Truncation: a negative dividend is first moved up by the divisor less one (Warren, Hacker's
                    // Delight, 2nd edition, 10-1).
                    self.get(Gpr::Rcx, x);
                    self.asm.mov_rr(B8, Gpr::Rdx, Gpr::Rcx);
                    if bits > 1 {
                        self.asm.shift_ri(Shift::Sar, B8, Gpr::Rdx, 63);
                    }
                    self.asm.shift_ri(Shift::Shr, B8, Gpr::Rdx, 64 - bits);
                    self.asm.alu_rr(Alu::Add, B8, Gpr::Rcx, Gpr::Rdx);
                    if op.remainder() {
                        self.asm.alu_ri(Alu::And, B8, Gpr::Rcx, mask);
                        self.asm.alu_rr(Alu::Sub, B8, Gpr::Rcx, Gpr::Rdx);
                    } else {
                        self.asm.shift_ri(Shift::Sar, B8, Gpr::Rcx, bits);
                    }
                    self.put(d, Gpr::Rcx);
                    return true;
                }
                self.put(d, t);
            }
        }
        true
    }

    /// The quotient or remainder of a division by -1, which `idiv` refuses for the least integer.
    pub(super) fn divide_by_minus_one(&mut self, d: Int, x: Int, remainder: bool) {
        if remainder { self.mov(d, Src::Imm(0)) } else { self.int_unary(IntUnary::Neg, d, x) }
    }
}

impl Ints for X64<'_> {
    fn mov(&mut self, d: Int, s: Src) {
        if same(d, s) {
            return;
        }
        match (d, s) {
            (Int::Reg(reg), Src::Imm(0)) => self.asm.alu_rr(Alu::Xor, B4, gpr(reg.0), gpr(reg.0)),
            (Int::Reg(reg), _) => self.load(gpr(reg.0), s),
            (Int::Slot(at), Src::At(Int::Reg(reg))) => self.asm.mov_mr(B8, slot(at), gpr(reg.0)),
            (Int::Slot(at), Src::Imm(value)) if i32::try_from(value).is_ok() => {
                self.asm.mov_mi(B8, slot(at), value as i32);
            }
            (Int::Slot(at), _) => {
                self.load(RESULT, s);
                self.asm.mov_mr(B8, slot(at), RESULT);
            }
        }
    }

    #[cfg_attr(not(small), inline(always))]
    fn int(&mut self, op: IntOp, d: Int, x: Int, y: Src) {
        match op {
            IntOp::Add => self.sum(false, d, x, y),
            IntOp::Sub => self.sum(true, d, x, y),
            IntOp::And => self.simple(Alu::And, d, x, y),
            IntOp::Or => self.simple(Alu::Or, d, x, y),
            IntOp::Xor => self.simple(Alu::Xor, d, x, y),
            IntOp::Mul => self.multiply(d, x, y),
            IntOp::Shl | IntOp::Shr | IntOp::Ushr | IntOp::Rotl => self.shift(op, d, x, y),
            IntOp::Min | IntOp::Max => self.min_max(op, d, x, y),
        }
    }

    fn divide(&mut self, op: DivOp, d: Int, x: Int, y: Src, site: Site) {
        let divisor = match y {
            Src::Imm(by) => {
                if self.divide_simple(op, d, x, by, site) {
                    return;
                }
                self.asm.mov_ri(Gpr::Rcx, by as u64);
                Gpr::Rcx
            }
            Src::At(place) => {
                let divisor = self.in_gpr(place, Gpr::Rcx);
                self.asm.test_rr(B8, divisor, divisor);
                self.trap_if(Cc::E, TrapKind::DivisionByZero, site);
                if op.signed() {
                    self.asm.alu_ri(Alu::Cmp, B8, divisor, -1);
                    self.cold_if(Cc::E, ColdKind::DivideByMinusOne { d, x, remainder: op.remainder() });
                }
                divisor
            }
        };
        self.get(Gpr::Rax, x);
        if op.signed() {
            self.asm.cqo();
            self.asm.unary_r(Unary::Idiv, B8, divisor);
        } else {
            self.asm.alu_rr(Alu::Xor, B4, Gpr::Rdx, Gpr::Rdx);
            self.asm.unary_r(Unary::Div, B8, divisor);
        }
        self.put(d, if op.remainder() { Gpr::Rdx } else { Gpr::Rax });
        if op.signed() && matches!(y, Src::At(_)) {
            self.back_here();
        }
    }

    fn int_unary(&mut self, op: IntUnary, d: Int, x: Int) {
        let t = Self::target(d, Gpr::Rax);
        let features = self.place.features;
        let (scan, found) = match op {
            IntUnary::Neg | IntUnary::Not => {
                self.get(t, x);
                self.asm.unary_r(if op == IntUnary::Neg { Unary::Neg } else { Unary::Not }, B8, t);
                return self.put(d, t);
            }
            IntUnary::Popcnt if !features.popcnt => {
                self.get(Gpr::Rax, x);
                self.soft_int(Soft::Popcnt);
                return self.put(d, Gpr::Rax);
            }
            IntUnary::Popcnt => (Bits::Popcnt, true),
            IntUnary::Clz if features.lzcnt => (Bits::Lzcnt, true),
            IntUnary::Clz => (Bits::Bsr, false),
            IntUnary::Ctz if features.bmi1 => (Bits::Tzcnt, true),
            IntUnary::Ctz => (Bits::Bsf, false),
        };
        let t = if found { t } else { Gpr::Rax };
        match x {
            Int::Reg(reg) => self.asm.bits_rr(scan, B8, t, gpr(reg.0)),
            Int::Slot(at) => self.asm.bits_rm(scan, B8, t, slot(at)),
        }
        if !found {
            // The scans leave the destination undefined for 0 and set ZF (SDM vol. 2, BSF and BSR).
            let none = if op == IntUnary::Clz { 127 } else { 64 };
            self.asm.mov_ri(Gpr::Rcx, none);
            self.asm.cmov_rr(Cc::E, B8, t, Gpr::Rcx);
            if op == IntUnary::Clz {
                self.asm.alu_ri(Alu::Xor, B8, t, 63);
            }
        }
        self.put(d, t);
    }

    fn compare(&mut self, cond: Cond, d: Int, x: Int, y: Src) {
        let t = Self::target(d, Gpr::Rax);
        if d == x || same(d, y) {
            self.cmp(x, y);
            self.asm.setcc(cc(cond), Gpr::Rax);
            self.asm.movzx8_rr(t, Gpr::Rax);
        } else {
            self.asm.alu_rr(Alu::Xor, B4, t, t);
            self.cmp(x, y);
            self.asm.setcc(cc(cond), t);
        }
        self.put(d, t);
    }

    fn select(&mut self, d: Int, cond: Int, x: Int, y: Int) {
        match cond {
            Int::Reg(reg) => self.asm.test_rr(B8, gpr(reg.0), gpr(reg.0)),
            Int::Slot(at) => self.asm.alu_mi(Alu::Cmp, B8, slot(at), 0),
        }
        let t = Self::target(d, Gpr::Rax);
        let (cc, other) = if d == x && matches!(d, Int::Reg(_)) {
            (Cc::E, y)
        } else {
            self.get(t, y);
            (Cc::Ne, x)
        };
        match other {
            Int::Reg(reg) => self.asm.cmov_rr(cc, B8, t, gpr(reg.0)),
            Int::Slot(at) => self.asm.cmov_rm(cc, B8, t, slot(at)),
        }
        self.put(d, t);
    }
}
