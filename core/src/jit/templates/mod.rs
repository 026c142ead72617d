//! The templates: one for each op, found by the op's name. A plain op's template is its verb; the others are in the files
//! of their families.

mod calls;
mod flow;
mod heap;

use super::emit::{Compiler, OpAt};
use super::plan::field_of;
use crate::masm::{
    Any, Cond, ContextWord, DivOp, Float, FloatCond, FloatOp, FloatUnary, Int, IntOp, IntUnary, Masm, Src,
};
use crate::runtime::cell::Cell;
use crate::runtime::instance::literal;
use crate::runtime::trap::{Trap, TrapKind};
use crate::vm3::op::Op;

/// A 32-bit literal or index in the fields `b` and `c`.
fn wide(op: OpAt<'_>) -> u32 {
    u32::from(op.b) | u32::from(op.c) << 16
}

/// A literal in a 16-bit field.
fn literal16(field: u16) -> Src {
    Src::Imm(i64::from(field as i16))
}

impl<'m, M: Masm<'m>> Compiler<'_, '_, M> {
    /// Emits the template of one op.
    ///
    /// Which op comes next is hard to predict, so the helpers below are inlined: there is this one dispatch on the op, and
    /// none on the selector of a family.
    #[inline(always)]
    pub(super) fn template(&mut self, op: Op, at: OpAt<'_>) {
        match op {
            Op::Nop => {}
            Op::I64Mov | Op::CellMov => self.masm.mov(at.at_a.int(), Src::At(at.at_b.int())),
            Op::F64Mov => self.masm.float_mov(at.at_a.float(), at.at_b.float()),
            Op::I64Const => self.masm.mov(at.at_a.int(), Src::Imm(i64::from(wide(at) as i32))),
            Op::I64ConstPool => self.masm.mov(at.at_a.int(), Src::Imm(self.constant(at) as i64)),
            Op::F64Const => self.masm.float_const(at.at_a.float(), self.constant(at)),
            Op::CellNull => self.masm.mov(at.at_a.int(), Src::Imm(Cell::NULL.bits() as i64)),
            Op::CellConst => self.cell_const(at),

            Op::I64Add => self.int_op(IntOp::Add, at),
            Op::I64Sub => self.int_op(IntOp::Sub, at),
            Op::I64Mul => self.int_op(IntOp::Mul, at),
            Op::I64Div => self.divide(DivOp::Div, at),
            Op::I64Rem => self.divide(DivOp::Rem, at),
            Op::I64Udiv => self.divide(DivOp::Udiv, at),
            Op::I64Urem => self.divide(DivOp::Urem, at),
            Op::I64And => self.int_op(IntOp::And, at),
            Op::I64Or => self.int_op(IntOp::Or, at),
            Op::I64Xor => self.int_op(IntOp::Xor, at),
            Op::I64Shl => self.int_op(IntOp::Shl, at),
            Op::I64Shr => self.int_op(IntOp::Shr, at),
            Op::I64Ushr => self.int_op(IntOp::Ushr, at),
            Op::I64Rotl => self.int_op(IntOp::Rotl, at),
            Op::I64Min => self.int_op(IntOp::Min, at),
            Op::I64Max => self.int_op(IntOp::Max, at),
            Op::I64AddK => self.int_op_k(IntOp::Add, at),
            Op::I64SubK => self.int_op_k(IntOp::Sub, at),
            Op::I64MulK => self.int_op_k(IntOp::Mul, at),
            Op::I64DivK => self.divide_k(DivOp::Div, at),
            Op::I64RemK => self.divide_k(DivOp::Rem, at),
            Op::I64UdivK => self.divide_k(DivOp::Udiv, at),
            Op::I64UremK => self.divide_k(DivOp::Urem, at),
            Op::I64AndK => self.int_op_k(IntOp::And, at),
            Op::I64OrK => self.int_op_k(IntOp::Or, at),
            Op::I64XorK => self.int_op_k(IntOp::Xor, at),
            Op::I64ShlK => self.int_op_k(IntOp::Shl, at),
            Op::I64ShrK => self.int_op_k(IntOp::Shr, at),
            Op::I64UshrK => self.int_op_k(IntOp::Ushr, at),
            Op::I64RotlK => self.int_op_k(IntOp::Rotl, at),
            Op::I64Neg => self.int_unary(IntUnary::Neg, at),
            Op::I64Not => self.int_unary(IntUnary::Not, at),
            Op::I64Clz => self.int_unary(IntUnary::Clz, at),
            Op::I64Ctz => self.int_unary(IntUnary::Ctz, at),
            Op::I64Popcnt => self.int_unary(IntUnary::Popcnt, at),

            Op::I64Eq => self.compare(Cond::Eq, at),
            Op::I64Ne => self.compare(Cond::Ne, at),
            Op::I64Lt => self.compare(Cond::Lt, at),
            Op::I64Le => self.compare(Cond::Le, at),
            Op::I64Gt => self.compare(Cond::Gt, at),
            Op::I64Ge => self.compare(Cond::Ge, at),
            Op::I64Ult => self.compare(Cond::Ult, at),
            Op::I64Ule => self.compare(Cond::Ule, at),
            Op::I64Ugt => self.compare(Cond::Ugt, at),
            Op::I64Uge => self.compare(Cond::Uge, at),
            Op::I64EqK => self.compare_k(Cond::Eq, at),
            Op::I64NeK => self.compare_k(Cond::Ne, at),
            Op::I64LtK => self.compare_k(Cond::Lt, at),
            Op::I64LeK => self.compare_k(Cond::Le, at),
            Op::I64GtK => self.compare_k(Cond::Gt, at),
            Op::I64GeK => self.compare_k(Cond::Ge, at),
            Op::I64UltK => self.compare_k(Cond::Ult, at),
            Op::I64UleK => self.compare_k(Cond::Ule, at),
            Op::I64UgtK => self.compare_k(Cond::Ugt, at),
            Op::I64UgeK => self.compare_k(Cond::Uge, at),
            Op::I64Select => {
                let y = self.plan.place(field_of(at.words(), 3)).int();
                self.masm.select(at.at_a.int(), at.at_b.int(), at.at_c.int(), y);
            }

            Op::F64Add => self.float_op(FloatOp::Add, at),
            Op::F64Sub => self.float_op(FloatOp::Sub, at),
            Op::F64Mul => self.float_op(FloatOp::Mul, at),
            Op::F64Div => self.float_op(FloatOp::Div, at),
            Op::F64Min => self.float_op(FloatOp::Min, at),
            Op::F64Max => self.float_op(FloatOp::Max, at),
            Op::F64Copysign => self.float_op(FloatOp::Copysign, at),
            Op::F64Neg => self.float_unary(FloatUnary::Neg, at),
            Op::F64Abs => self.float_unary(FloatUnary::Abs, at),
            Op::F64Sqrt => self.float_unary(FloatUnary::Sqrt, at),
            Op::F64Floor => self.float_unary(FloatUnary::Floor, at),
            Op::F64Ceil => self.float_unary(FloatUnary::Ceil, at),
            Op::F64Trunc => self.float_unary(FloatUnary::Trunc, at),
            Op::F64Nearest => self.float_unary(FloatUnary::Nearest, at),
            Op::F64Fma => {
                let z = self.plan.place(field_of(at.words(), 3)).float();
                self.masm.fma(at.at_a.float(), at.at_b.float(), at.at_c.float(), z);
            }
            Op::F64Eq => self.float_compare(FloatCond::Eq, at),
            Op::F64Ne => self.float_compare(FloatCond::Ne, at),
            Op::F64Lt => self.float_compare(FloatCond::Lt, at),
            Op::F64Le => self.float_compare(FloatCond::Le, at),
            Op::F64Gt => self.float_compare(FloatCond::Gt, at),
            Op::F64Ge => self.float_compare(FloatCond::Ge, at),
            Op::F64Select => {
                let y = self.plan.place(field_of(at.words(), 3)).float();
                self.masm.float_select(at.at_a.float(), at.at_b.int(), at.at_c.float(), y);
            }
            Op::I64ToF64 => self.masm.int_to_float(at.at_a.float(), at.at_b.int()),
            Op::F64ToI64 => self.masm.float_to_int(at.at_a.int(), at.at_b.float()),
            Op::F64Bits => self.masm.float_bits(at.at_a.int(), at.at_b.float()),
            Op::F64FromBits => self.masm.float_from_bits(at.at_a.float(), at.at_b.int()),

            Op::Jump => self.jump(at.a, at),
            Op::BrI64Eq => self.branch(Cond::Eq, at),
            Op::BrI64Ne => self.branch(Cond::Ne, at),
            Op::BrI64Lt => self.branch(Cond::Lt, at),
            Op::BrI64Le => self.branch(Cond::Le, at),
            Op::BrI64Gt => self.branch(Cond::Gt, at),
            Op::BrI64Ge => self.branch(Cond::Ge, at),
            Op::BrI64Ult => self.branch(Cond::Ult, at),
            Op::BrI64Ule => self.branch(Cond::Ule, at),
            Op::BrI64Ugt => self.branch(Cond::Ugt, at),
            Op::BrI64Uge => self.branch(Cond::Uge, at),
            Op::BrI64EqK => self.branch_k(Cond::Eq, at),
            Op::BrI64NeK => self.branch_k(Cond::Ne, at),
            Op::BrI64LtK => self.branch_k(Cond::Lt, at),
            Op::BrI64LeK => self.branch_k(Cond::Le, at),
            Op::BrI64GtK => self.branch_k(Cond::Gt, at),
            Op::BrI64GeK => self.branch_k(Cond::Ge, at),
            Op::BrI64UltK => self.branch_k(Cond::Ult, at),
            Op::BrI64UleK => self.branch_k(Cond::Ule, at),
            Op::BrI64UgtK => self.branch_k(Cond::Ugt, at),
            Op::BrI64UgeK => self.branch_k(Cond::Uge, at),
            Op::BrF64Eq => self.float_branch(FloatCond::Eq, at),
            Op::BrF64Ne => self.float_branch(FloatCond::Ne, at),
            Op::BrF64Lt => self.float_branch(FloatCond::Lt, at),
            Op::BrF64Le => self.float_branch(FloatCond::Le, at),
            Op::BrF64Gt => self.float_branch(FloatCond::Gt, at),
            Op::BrF64Ge => self.float_branch(FloatCond::Ge, at),
            Op::BrNull => self.branch_null(Cond::Eq, at),
            Op::BrNonnull => self.branch_null(Cond::Ne, at),
            Op::Switch => self.switch(at),
            Op::Ret => self.ret(None),
            Op::RetI64 | Op::RetCell => self.ret(Some(Any::Int(at.at_a.int()))),
            Op::RetF64 => self.ret(Some(Any::Float(at.at_a.float()))),
            Op::TrapUnreachable => self.masm.trap(Trap::new(TrapKind::Unreachable), self.site(at.word)),
            Op::TrapUser => self.masm.trap(Trap::user(at.a), self.site(at.word)),
            Op::Deopt => self.deopt(at),

            Op::Call => self.call(None, at.a, 1, at),
            Op::CallI64 | Op::CallCell => self.call(Some(Any::Int(at.at_a.int())), at.b, 2, at),
            Op::CallF64 => self.call(Some(Any::Float(at.at_a.float())), at.b, 2, at),
            Op::Tail => self.tail(at),
            Op::Host => self.host(None, at.a, 1, at),
            Op::HostI64 | Op::HostCell => self.host(Some(Any::Int(at.at_a.int())), at.b, 2, at),
            Op::HostF64 => self.host(Some(Any::Float(at.at_a.float())), at.b, 2, at),

            Op::TableGet => self.table_get(at),
            Op::GlobalGetI64 | Op::GlobalGetCell => self.global_get(Any::Int(at.at_a.int()), at),
            Op::GlobalGetF64 => self.global_get(Any::Float(at.at_a.float()), at),
            Op::GlobalSetI64 | Op::GlobalSetCell => self.global_set(Any::Int(at.at_b.int()), at),
            Op::GlobalSetF64 => self.global_set(Any::Float(at.at_b.float()), at),

            _ => self.heap(op, at),
        }
    }

    /// The entry of the constant pool that an op names.
    fn constant(&self, at: OpAt<'_>) -> u64 {
        self.container.constant(wide(at)).unwrap_or(0)
    }

    fn cell_const(&mut self, at: OpAt<'_>) {
        let cell = self.container.cell_const(wide(at)).and_then(|constant| literal(self.container, constant));
        match cell {
            Some(cell) => self.masm.mov(at.at_a.int(), Src::Imm(cell.bits() as i64)),
            None => self.service(at),
        }
    }

    #[inline(always)]
    fn int_op(&mut self, op: IntOp, at: OpAt<'_>) {
        self.masm.int(op, at.at_a.int(), at.at_b.int(), Src::At(at.at_c.int()));
    }

    #[inline(always)]
    fn int_op_k(&mut self, op: IntOp, at: OpAt<'_>) {
        self.masm.int(op, at.at_a.int(), at.at_b.int(), literal16(at.c));
    }

    #[inline(always)]
    fn divide(&mut self, op: DivOp, at: OpAt<'_>) {
        let y = Src::At(at.at_c.int());
        self.masm.divide(op, at.at_a.int(), at.at_b.int(), y, self.site(at.word));
    }

    #[inline(always)]
    fn divide_k(&mut self, op: DivOp, at: OpAt<'_>) {
        self.masm.divide(op, at.at_a.int(), at.at_b.int(), literal16(at.c), self.site(at.word));
    }

    #[inline(always)]
    fn int_unary(&mut self, op: IntUnary, at: OpAt<'_>) {
        self.masm.int_unary(op, at.at_a.int(), at.at_b.int());
    }

    #[inline(always)]
    fn compare(&mut self, cond: Cond, at: OpAt<'_>) {
        self.masm.compare(cond, at.at_a.int(), at.at_b.int(), Src::At(at.at_c.int()));
    }

    #[inline(always)]
    fn compare_k(&mut self, cond: Cond, at: OpAt<'_>) {
        self.masm.compare(cond, at.at_a.int(), at.at_b.int(), literal16(at.c));
    }

    #[inline(always)]
    fn float_op(&mut self, op: FloatOp, at: OpAt<'_>) {
        self.masm.float(op, at.at_a.float(), at.at_b.float(), at.at_c.float());
    }

    #[inline(always)]
    fn float_unary(&mut self, op: FloatUnary, at: OpAt<'_>) {
        self.masm.float_unary(op, at.at_a.float(), at.at_b.float());
    }

    #[inline(always)]
    fn float_compare(&mut self, cond: FloatCond, at: OpAt<'_>) {
        self.masm.float_compare(cond, at.at_a.int(), at.at_b.float(), at.at_c.float());
    }

    fn table_get(&mut self, at: OpAt<'_>) {
        let (d, x): (Int, Int) = (at.at_a.int(), at.at_c.int());
        if let Some(table) = self.container.table(at.b.into()) {
            self.masm.load_element(d, ContextWord::Tables, table.start, table.len, x, self.site(at.word));
        }
    }

    fn global_get(&mut self, d: Any, at: OpAt<'_>) {
        self.masm.load_word(d, ContextWord::Globals, at.b.into());
    }

    fn global_set(&mut self, s: Any, at: OpAt<'_>) {
        self.masm.store_word(ContextWord::Globals, at.a.into(), s);
    }

    #[inline(always)]
    fn float_branch(&mut self, cond: FloatCond, at: OpAt<'_>) {
        let (x, y): (Float, Float) = (at.at_a.float(), at.at_b.float());
        self.with_label(at.c, |masm, label| masm.float_branch(cond, x, y, label));
    }
}
