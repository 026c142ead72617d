//! Templates of control flow inside a function.

use super::super::Backend;
use super::super::emit::{Compiler, OpAt};
use super::super::plan::field_of;
use crate::masm::{Any, Cond, Src};
use crate::runtime::cell::Cell;

impl<'m, M: Backend<'m>> Compiler<'_, '_, M> {
    /// `jump`: nothing if it goes to the next op.
    pub(super) fn jump(&mut self, target: u16, at: OpAt<'_>) {
        if usize::from(target) != at.word + 1 {
            self.with_label(target, |masm, label| masm.jump(label));
        }
    }

    /// `br.null` and `br.nonnull`.
    pub(super) fn branch_null(&mut self, cond: Cond, at: OpAt<'_>) {
        let x = at.at_a.int();
        let null = Src::Imm(Cell::NULL.bits() as i64);
        self.with_label(at.b, |masm, label| masm.branch(cond, x, null, label));
    }

    /// `switch`
    pub(super) fn switch(&mut self, at: OpAt<'_>) {
        let x = at.at_a.int();
        self.with_label(at.c, |masm, label| masm.switch(x, at.b.into(), label));
        for case in 0..usize::from(at.b) {
            let target = field_of(at.words(), 3 + case);
            self.with_label(target, |masm, label| masm.switch_case(label));
        }
    }

    /// `ret`
    pub(super) fn ret(&mut self, value: Option<Any>) {
        if let Some(value) = value {
            self.masm.result(value);
        }
        let saved = self.plan.saved;
        self.masm.epilogue(&saved);
    }

    /// `deopt`: the interpreter goes on behind it in this frame.
    pub(super) fn deopt(&mut self, at: OpAt<'_>) {
        self.leave(at.word, at.word + 1, true);
    }
}
