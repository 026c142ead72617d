//! What a verb leaves for the next one: two verbs that one instruction does, and loads and moves that are not needed.
//!
//! A verb knows its own operands and nothing of the ops around it. What its last instruction has done is noted here. It
//! holds as long as nothing was emitted behind that instruction and no label was bound there: then control comes to the
//! next verb from that instruction and from nowhere else, and what is between the two ops can be observed by nobody, for no
//! rare half comes back there and no site is there.

use super::convention::RESULT;
use super::{A64, S64, gpr};
use crate::asm::a64::{self, D, LogicalShift, Shift, Shift6, X};
use crate::masm::{Float, Int, IntOp, Src};

/// What the last instruction has done.
#[derive(Clone, Copy)]
pub(super) enum Tail {
    /// Nothing that is of use.
    Other,
    /// Shifted or rotated `x` by a literal, into `d`.
    Shift { op: IntOp, d: X, x: X, by: Shift6 },
    /// Multiplied, into `d`.
    Product { d: X, x: X, y: X },
    /// Computed into this register, which is the `Rd` of the instruction.
    Int(X),
    /// The same.
    Float(D),
    /// Copied x0 there.
    Copy(X),
    /// Accessed an element of an array behind a check of its index, which the branch at this offset is part of. If then
    /// floats were computed, a check that is added may only be that of a load.
    Checked { branch: usize, loads: bool },
    /// Found an object, and left x16 with [`crate::runtime::context::Context::records`].
    Found,
    /// Left x0 with the value of the slot at this byte offset.
    Slot(u32),
}

impl A64<'_> {
    /// Notes what the last instruction has done.
    #[inline]
    pub(super) fn leave(&mut self, tail: Tail) {
        (self.tail, self.tail_at) = (tail, self.buf.pos());
    }

    /// What the last instruction has done.
    #[inline]
    pub(super) fn tail(&self) -> Tail {
        if self.tail_at == self.buf.pos() { self.tail } else { Tail::Other }
    }

    /// Completes a verb whose one instruction has computed an integer into `t`, which is its destination's register or x0.
    #[inline]
    pub(super) fn computed(&mut self, d: Int, t: X) {
        self.put(d, t);
        self.leave(match d {
            Int::Reg(reg) => Tail::Int(gpr(reg.0)),
            Int::Slot(at) if t == RESULT => Tail::Slot(at),
            Int::Slot(_) => Tail::Other,
        });
    }

    /// The register that a source is in, any that holds its value; `scratch`, loaded with it, if none does. For verbs that
    /// write no register between this and their last use of it.
    #[inline]
    pub(super) fn in_any(&mut self, s: Src, scratch: X) -> X {
        match (s, self.tail()) {
            (Src::At(Int::Slot(at)), Tail::Slot(held)) if at == held => RESULT,
            _ => self.any_in_gpr(s, scratch),
        }
    }

    /// Completes a verb whose one instruction, behind `before` and at `at`, has computed a float into `t`, which is its
    /// destination's register or d0.
    pub(super) fn computed_float(&mut self, d: Float, t: D, before: (Tail, usize)) {
        self.put_float(d, t);
        match (before, d) {
            // Nobody can tell whether it was computed if an access behind it traps.
            ((Tail::Checked { branch, .. }, at), Float::Reg(_)) if self.buf.pos() == at + 4 => {
                self.leave(Tail::Checked { branch, loads: true });
            }
            (_, Float::Reg(_)) => self.leave(Tail::Float(t)),
            _ => {}
        }
    }

    /// What the last instruction has done, and where it ends.
    pub(super) fn before(&self) -> (Tail, usize) {
        (self.tail(), self.buf.pos())
    }

    /// Takes the last instruction back.
    fn take_back(&mut self) {
        self.moved.get_or_insert((self.buf.pos(), -4));
        self.buf.rewind(4);
        self.tail = Tail::Other;
    }

    /// An operation on two sources one of which was shifted or multiplied just now, into the destination: in one
    /// instruction, if there is one. `false`, with nothing done, if not.
    pub(super) fn combine(&mut self, op: IntOp, d: Int, x: Int, y: Int) -> bool {
        // Asked first, because it is rare: what the operands are is hard to predict.
        let tail = self.tail();
        if !matches!(tail, Tail::Shift { .. } | Tail::Product { .. }) {
            return false;
        }
        let (Int::Reg(d), Int::Reg(x), Int::Reg(y)) = (d, x, y) else { return false };
        let (d, x, y) = (gpr(d.0), gpr(x.0), gpr(y.0));
        let other = match (x == d, y == d) {
            (false, true) => x,
            (true, false) if op != IntOp::Sub => y,
            _ => return false,
        };
        match tail {
            Tail::Shift { op: shift, d: t, x, by } if t == d => self.combine_shifted(op, d, other, (shift, x, by)),
            Tail::Product { d: t, x, y } if t == d && matches!(op, IntOp::Add | IntOp::Sub) => {
                self.take_back();
                let emit = if op == IntOp::Add { a64::madd } else { a64::msub };
                emit(&mut self.buf, S64, d, x, y, other);
                true
            }
            _ => false,
        }
    }

    fn combine_shifted(&mut self, op: IntOp, d: X, other: X, (shift, x, by): (IntOp, X, Shift6)) -> bool {
        let (sum, logic) = match shift {
            IntOp::Shl => (Some(Shift::Lsl(by)), LogicalShift::Shift(Shift::Lsl(by))),
            IntOp::Shr => (Some(Shift::Asr(by)), LogicalShift::Shift(Shift::Asr(by))),
            IntOp::Ushr => (Some(Shift::Lsr(by)), LogicalShift::Shift(Shift::Lsr(by))),
            _ => (None, LogicalShift::Ror(by)),
        };
        let logical = match op {
            IntOp::And => a64::and_shifted,
            IntOp::Or => a64::orr_shifted,
            IntOp::Xor => a64::eor_shifted,
            _ => {
                let Some(shift) = sum else { return false };
                self.take_back();
                let emit = if op == IntOp::Add { a64::add_shifted } else { a64::sub_shifted };
                emit(&mut self.buf, d, other, x, shift);
                return true;
            }
        };
        self.take_back();
        logical(&mut self.buf, d, other, x, logic);
        true
    }

    /// Moves a register of the pool into x0 as the function's result, where nothing reads the register any more: what was
    /// computed into it just now is computed into x0 instead. `false`, with nothing done, if it was not.
    pub(super) fn redirect_int(&mut self, s: X) -> bool {
        match self.tail() {
            Tail::Shift { d, .. } | Tail::Product { d, .. } | Tail::Int(d) if d == s => self.redirect(),
            Tail::Copy(d) if d == s => self.take_back(),
            _ => return false,
        }
        true
    }

    /// The same with d0.
    pub(super) fn redirect_float(&mut self, s: D) -> bool {
        let computed = matches!(self.tail(), Tail::Float(d) if d == s);
        if computed {
            self.redirect();
        }
        computed
    }

    /// Makes register 0 the destination of the last instruction.
    fn redirect(&mut self) {
        let at = self.buf.pos().saturating_sub(4);
        let word = self.buf.read_u32(at);
        self.buf.patch_u32(at, word & !0x1F);
        self.tail = Tail::Other;
    }
}
