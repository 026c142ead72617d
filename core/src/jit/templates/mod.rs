//! The templates: one for each op, found by the op's name. A plain op's template is its verb; the others are in the files
//! of their families.

mod calls;
mod flow;
mod heap;

use super::Backend;
use super::emit::{Compiler, OpAt};
use super::plan::field_of;
use crate::masm::{Any, Cond, ContextWord, DivOp, FloatCond, FloatOp, FloatUnary, Int, IntOp, IntUnary, Plain, Src};
use crate::runtime::cell::Cell;
use crate::runtime::instance::literal;
use crate::runtime::trap::{Trap, TrapKind};
use crate::vm3::op::{OPS, Op};

/// A 32-bit literal or index in the fields `b` and `c`.
fn wide(op: OpAt<'_>) -> u32 {
    u32::from(op.b) | u32::from(op.c) << 16
}

/// A literal in a 16-bit field.
fn literal16(field: u16) -> Src {
    Src::Imm(i64::from(field as i16))
}

/// The ops that a backend may make by table. They have no template below: their verbs are found by this.
const fn plain(op: Op) -> Option<Plain> {
    Some(match op {
        Op::I64Mov | Op::CellMov => Plain::Mov,
        Op::F64Mov => Plain::FloatMov,
        Op::I64Const => Plain::Const,
        Op::I64Add => Plain::Int(IntOp::Add),
        Op::I64Sub => Plain::Int(IntOp::Sub),
        Op::I64Mul => Plain::Int(IntOp::Mul),
        Op::I64And => Plain::Int(IntOp::And),
        Op::I64Or => Plain::Int(IntOp::Or),
        Op::I64Xor => Plain::Int(IntOp::Xor),
        Op::I64Shl => Plain::Int(IntOp::Shl),
        Op::I64Shr => Plain::Int(IntOp::Shr),
        Op::I64Ushr => Plain::Int(IntOp::Ushr),
        Op::I64Rotl => Plain::Int(IntOp::Rotl),
        Op::I64Min => Plain::Int(IntOp::Min),
        Op::I64Max => Plain::Int(IntOp::Max),
        Op::I64AddK => Plain::IntK(IntOp::Add),
        Op::I64SubK => Plain::IntK(IntOp::Sub),
        Op::I64MulK => Plain::IntK(IntOp::Mul),
        Op::I64AndK => Plain::IntK(IntOp::And),
        Op::I64OrK => Plain::IntK(IntOp::Or),
        Op::I64XorK => Plain::IntK(IntOp::Xor),
        Op::I64ShlK => Plain::IntK(IntOp::Shl),
        Op::I64ShrK => Plain::IntK(IntOp::Shr),
        Op::I64UshrK => Plain::IntK(IntOp::Ushr),
        Op::I64RotlK => Plain::IntK(IntOp::Rotl),
        Op::I64Neg => Plain::IntUnary(IntUnary::Neg),
        Op::I64Not => Plain::IntUnary(IntUnary::Not),
        Op::I64Clz => Plain::IntUnary(IntUnary::Clz),
        Op::I64Ctz => Plain::IntUnary(IntUnary::Ctz),
        Op::I64Popcnt => Plain::IntUnary(IntUnary::Popcnt),
        Op::I64Eq => Plain::Compare(Cond::Eq),
        Op::I64Ne => Plain::Compare(Cond::Ne),
        Op::I64Lt => Plain::Compare(Cond::Lt),
        Op::I64Le => Plain::Compare(Cond::Le),
        Op::I64Gt => Plain::Compare(Cond::Gt),
        Op::I64Ge => Plain::Compare(Cond::Ge),
        Op::I64Ult => Plain::Compare(Cond::Ult),
        Op::I64Ule => Plain::Compare(Cond::Ule),
        Op::I64Ugt => Plain::Compare(Cond::Ugt),
        Op::I64Uge => Plain::Compare(Cond::Uge),
        Op::I64EqK => Plain::CompareK(Cond::Eq),
        Op::I64NeK => Plain::CompareK(Cond::Ne),
        Op::I64LtK => Plain::CompareK(Cond::Lt),
        Op::I64LeK => Plain::CompareK(Cond::Le),
        Op::I64GtK => Plain::CompareK(Cond::Gt),
        Op::I64GeK => Plain::CompareK(Cond::Ge),
        Op::I64UltK => Plain::CompareK(Cond::Ult),
        Op::I64UleK => Plain::CompareK(Cond::Ule),
        Op::I64UgtK => Plain::CompareK(Cond::Ugt),
        Op::I64UgeK => Plain::CompareK(Cond::Uge),
        Op::F64Add => Plain::Float(FloatOp::Add),
        Op::F64Sub => Plain::Float(FloatOp::Sub),
        Op::F64Mul => Plain::Float(FloatOp::Mul),
        Op::F64Div => Plain::Float(FloatOp::Div),
        Op::F64Lt => Plain::FloatCompare(FloatCond::Lt),
        Op::F64Le => Plain::FloatCompare(FloatCond::Le),
        Op::F64Gt => Plain::FloatCompare(FloatCond::Gt),
        Op::F64Ge => Plain::FloatCompare(FloatCond::Ge),
        Op::F64Neg => Plain::FloatNeg,
        Op::F64Abs => Plain::FloatAbs,
        Op::F64Sqrt => Plain::Sqrt,
        Op::I64ToF64 => Plain::IntToFloat,
        Op::F64Bits => Plain::FloatBits,
        Op::F64FromBits => Plain::FloatFromBits,
        Op::BrI64Eq => Plain::Branch(Cond::Eq),
        Op::BrI64Ne => Plain::Branch(Cond::Ne),
        Op::BrI64Lt => Plain::Branch(Cond::Lt),
        Op::BrI64Le => Plain::Branch(Cond::Le),
        Op::BrI64Gt => Plain::Branch(Cond::Gt),
        Op::BrI64Ge => Plain::Branch(Cond::Ge),
        Op::BrI64Ult => Plain::Branch(Cond::Ult),
        Op::BrI64Ule => Plain::Branch(Cond::Ule),
        Op::BrI64Ugt => Plain::Branch(Cond::Ugt),
        Op::BrI64Uge => Plain::Branch(Cond::Uge),
        Op::BrI64EqK => Plain::BranchK(Cond::Eq),
        Op::BrI64NeK => Plain::BranchK(Cond::Ne),
        Op::BrI64LtK => Plain::BranchK(Cond::Lt),
        Op::BrI64LeK => Plain::BranchK(Cond::Le),
        Op::BrI64GtK => Plain::BranchK(Cond::Gt),
        Op::BrI64GeK => Plain::BranchK(Cond::Ge),
        Op::BrI64UltK => Plain::BranchK(Cond::Ult),
        Op::BrI64UleK => Plain::BranchK(Cond::Ule),
        Op::BrI64UgtK => Plain::BranchK(Cond::Ugt),
        Op::BrI64UgeK => Plain::BranchK(Cond::Uge),
        Op::BrF64Lt => Plain::FloatBranch(FloatCond::Lt),
        Op::BrF64Le => Plain::FloatBranch(FloatCond::Le),
        Op::BrF64Gt => Plain::FloatBranch(FloatCond::Gt),
        Op::BrF64Ge => Plain::FloatBranch(FloatCond::Ge),
        Op::GlobalGetI64 | Op::GlobalGetCell => Plain::GetInt,
        Op::GlobalGetF64 => Plain::GetFloat,
        Op::GlobalSetI64 | Op::GlobalSetCell => Plain::SetInt,
        _ => return None,
    })
}

/// [`plain`] by the op's code.
pub(super) const PLAIN: [Option<Plain>; 256] = {
    let mut all = [None; 256];
    let mut row = 0;
    while row < OPS.len() {
        all[OPS[row].op as usize] = plain(OPS[row].op);
        row += 1;
    }
    all
};

/// How an op is emitted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// By its template.
    Template,
    /// By table, if the backend can.
    Table,
    /// So too, and it branches to the word in its last field.
    Branch,
}

impl Lane {
    /// That of a plain op.
    pub(super) const fn of(plain: Plain) -> Self {
        if plain.branches() { Self::Branch } else { Self::Table }
    }
}

impl<'m, M: Backend<'m>> Compiler<'_, '_, M> {
    /// Emits the template of one op.
    ///
    /// Which op comes next is hard to predict, so the helpers below are inlined: there is this one dispatch on the op, and
    /// none on the selector of a family. Most ops do not come here where a backend makes plain ones by table.
    #[inline(always)]
    pub(super) fn template(&mut self, op: Op, at: OpAt<'_>) {
        match op {
            Op::Nop => {}
            Op::I64ConstPool => self.masm.mov(at.at_a.int(), Src::Imm(self.constant(at) as i64)),
            Op::F64Const => self.masm.float_const(at.at_a.float(), self.constant(at)),
            Op::CellNull => self.masm.mov(at.at_a.int(), Src::Imm(Cell::NULL.bits() as i64)),
            Op::CellConst => self.cell_const(at),

            Op::I64Div => self.divide(DivOp::Div, at),
            Op::I64Rem => self.divide(DivOp::Rem, at),
            Op::I64Udiv => self.divide(DivOp::Udiv, at),
            Op::I64Urem => self.divide(DivOp::Urem, at),
            Op::I64DivK => self.divide_k(DivOp::Div, at),
            Op::I64RemK => self.divide_k(DivOp::Rem, at),
            Op::I64UdivK => self.divide_k(DivOp::Udiv, at),
            Op::I64UremK => self.divide_k(DivOp::Urem, at),

            Op::I64Select => {
                let y = self.plan.place(field_of(at.words(), 3)).int();
                self.masm.select(at.at_a.int(), at.at_b.int(), at.at_c.int(), y);
            }

            Op::F64Min => self.float_op(FloatOp::Min, at),
            Op::F64Max => self.float_op(FloatOp::Max, at),
            Op::F64Copysign => self.float_op(FloatOp::Copysign, at),
            Op::F64Floor => self.float_unary(FloatUnary::Floor, at),
            Op::F64Ceil => self.float_unary(FloatUnary::Ceil, at),
            Op::F64Trunc => self.float_unary(FloatUnary::Trunc, at),
            Op::F64Nearest => self.float_unary(FloatUnary::Nearest, at),
            Op::F64Eq => self.masm.float_compare(FloatCond::Eq, at.at_a.int(), at.at_b.float(), at.at_c.float()),
            Op::F64Ne => self.masm.float_compare(FloatCond::Ne, at.at_a.int(), at.at_b.float(), at.at_c.float()),
            Op::F64ToI64 => self.masm.float_to_int(at.at_a.int(), at.at_b.float()),
            Op::F64Fma => {
                let z = self.plan.place(field_of(at.words(), 3)).float();
                self.masm.fma(at.at_a.float(), at.at_b.float(), at.at_c.float(), z);
            }
            Op::F64Select => {
                let y = self.plan.place(field_of(at.words(), 3)).float();
                self.masm.float_select(at.at_a.float(), at.at_b.int(), at.at_c.float(), y);
            }

            Op::Jump => self.jump(at.a, at),
            Op::BrF64Eq => self.float_branch(FloatCond::Eq, at),
            Op::BrF64Ne => self.float_branch(FloatCond::Ne, at),
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
            Op::GlobalSetF64 => {
                self.masm.store_word(ContextWord::Globals, at.a.into(), Any::Float(at.at_b.float()));
            }

            _ => match plain(op) {
                Some(plain) => self.verb(plain, at),
                None => self.heap(op, at),
            },
        }
    }

    /// Emits a plain op by its verb.
    #[inline(always)]
    fn verb(&mut self, plain: Plain, at: OpAt<'_>) {
        let (a, b, c) = (at.at_a, at.at_b, at.at_c);
        match plain {
            Plain::Mov => self.masm.mov(a.int(), Src::At(b.int())),
            Plain::FloatMov => self.masm.float_mov(a.float(), b.float()),
            Plain::Const => self.masm.mov(a.int(), Src::Imm(i64::from(wide(at) as i32))),
            Plain::Int(op) => self.masm.int(op, a.int(), b.int(), Src::At(c.int())),
            Plain::IntK(op) => self.masm.int(op, a.int(), b.int(), literal16(at.c)),
            Plain::IntUnary(op) => self.masm.int_unary(op, a.int(), b.int()),
            Plain::Compare(cond) => self.masm.compare(cond, a.int(), b.int(), Src::At(c.int())),
            Plain::CompareK(cond) => self.masm.compare(cond, a.int(), b.int(), literal16(at.c)),
            Plain::Float(op) => self.masm.float(op, a.float(), b.float(), c.float()),
            Plain::FloatNeg => self.float_unary(FloatUnary::Neg, at),
            Plain::FloatAbs => self.float_unary(FloatUnary::Abs, at),
            Plain::Sqrt => self.float_unary(FloatUnary::Sqrt, at),
            Plain::FloatCompare(cond) => self.masm.float_compare(cond, a.int(), b.float(), c.float()),
            Plain::IntToFloat => self.masm.int_to_float(a.float(), b.int()),
            Plain::FloatBits => self.masm.float_bits(a.int(), b.float()),
            Plain::FloatFromBits => self.masm.float_from_bits(a.float(), b.int()),
            Plain::GetInt => self.masm.load_word(Any::Int(a.int()), ContextWord::Globals, at.b.into()),
            Plain::GetFloat => self.masm.load_word(Any::Float(a.float()), ContextWord::Globals, at.b.into()),
            Plain::SetInt => self.masm.store_word(ContextWord::Globals, at.a.into(), Any::Int(b.int())),
            Plain::Branch(cond) => {
                let (x, y) = (a.int(), Src::At(b.int()));
                self.with_label(at.c, |masm, label| masm.branch(cond, x, y, label));
            }
            Plain::BranchK(cond) => {
                let x = a.int();
                self.with_label(at.c, |masm, label| masm.branch(cond, x, literal16(at.b), label));
            }
            Plain::FloatBranch(cond) => self.float_branch(cond, at),
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
    fn divide(&mut self, op: DivOp, at: OpAt<'_>) {
        let y = Src::At(at.at_c.int());
        self.masm.divide(op, at.at_a.int(), at.at_b.int(), y, self.site(at.word));
    }

    #[inline(always)]
    fn divide_k(&mut self, op: DivOp, at: OpAt<'_>) {
        self.masm.divide(op, at.at_a.int(), at.at_b.int(), literal16(at.c), self.site(at.word));
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
    fn float_branch(&mut self, cond: FloatCond, at: OpAt<'_>) {
        let (x, y) = (at.at_a.float(), at.at_b.float());
        self.with_label(at.c, |masm, label| masm.float_branch(cond, x, y, label));
    }

    fn table_get(&mut self, at: OpAt<'_>) {
        let (d, x): (Int, Int) = (at.at_a.int(), at.at_c.int());
        if let Some(table) = self.container.table(at.b.into()) {
            self.masm.load_element(d, ContextWord::Tables, table.start, table.len, x, self.site(at.word));
        }
    }
}
