//! What the rows of the lane are, for each kind of operation and each combination of conditions on its operands.
//!
//! The functions named after kinds say what the verb of the operation says, in stencils.

use super::{
    A, ANY, AVX, BMI1, BMI2, C, D, Format, GLOBALS, LINK, LZCNT, MAGNITUDE, NAN, NEEDS_SIB, NO_BASE, NONE, POPCNT,
    ROWS, Recipe, Row, SIGN, STEPS, SUM, Table,
};
use super::{VERB, X, Y};
use crate::asm::x64::stencil::{Disp, Stencil};
use crate::asm::x64::{Alu, Bits, Cc, Shift, Sse, SseLogic, Unary};
use crate::masm::x64::convention::INT_POOL;
use crate::masm::x64::floats::{Compare, compare_of};
use crate::masm::x64::ints::{cc, shift_of, takes_other};
use crate::masm::{FloatOp, IntOp, IntUnary, Plain};

macro_rules! kinds {
    ($($name:ident)*) => {
        /// How the instructions of an operation depend on its operands.
        #[derive(Clone, Copy)]
        #[repr(u8)]
        pub(super) enum Kind { $($name),* }

        pub(super) const ALL: &[Kind] = &[$(Kind::$name),*];
    };
}

kinds! {
    Verb Mov FloatMov Const Add Sub Logic Multiply MinMax AddK SubK LogicK MultiplyK ShiftK RotateK ShiftX ShiftCl Unary
    Count IntCompare CompareK Branch BranchK Avx FloatNeg FloatAbs Sqrt FloatCompare FloatCompareSwapped FloatBranch
    FloatBranchSwapped IntToFloat FloatBits FloatFromBits LoadInt LoadFloat StoreInt
}

pub(super) const KINDS: usize = ALL.len();

/// What the lane does for an operation.
pub const fn recipe(plain: Plain) -> Recipe {
    use Kind::*;
    let (kind, needs, variant) = match plain {
        Plain::Mov => (Mov, 0, 0),
        Plain::FloatMov => (FloatMov, 0, 0),
        Plain::Const => (Const, 0, 0),
        Plain::Int(op) => match op {
            IntOp::Add => (Add, 0, 0),
            IntOp::Sub => (Sub, 0, 0),
            IntOp::And => (Logic, 0, (Alu::And as u8) << 3),
            IntOp::Or => (Logic, 0, (Alu::Or as u8) << 3),
            IntOp::Xor => (Logic, 0, (Alu::Xor as u8) << 3),
            IntOp::Mul => (Multiply, 0, 0),
            IntOp::Rotl => (ShiftCl, 0, (Shift::Rol as u8) << 3),
            IntOp::Shl | IntOp::Shr | IntOp::Ushr => (ShiftX, BMI2, Stencil::shiftx_variant(shift_of(op))),
            IntOp::Min | IntOp::Max => (MinMax, 0, takes_other(op) as u8),
        },
        Plain::IntK(op) => match op {
            IntOp::Add => (AddK, 0, 0),
            IntOp::Sub => (SubK, 0, 0),
            IntOp::And => (LogicK, 0, (Alu::And as u8) << 3),
            IntOp::Or => (LogicK, 0, (Alu::Or as u8) << 3),
            IntOp::Xor => (LogicK, 0, (Alu::Xor as u8) << 3),
            IntOp::Mul => (MultiplyK, 0, 0),
            IntOp::Rotl => (RotateK, BMI2, (Shift::Rol as u8) << 3),
            IntOp::Shl | IntOp::Shr | IntOp::Ushr => (ShiftK, 0, (shift_of(op) as u8) << 3),
            IntOp::Min | IntOp::Max => (Verb, 0, 0),
        },
        Plain::IntUnary(op) => match op {
            IntUnary::Neg => (Unary, 0, (self::Unary::Neg as u8) << 3),
            IntUnary::Not => (Unary, 0, (self::Unary::Not as u8) << 3),
            IntUnary::Clz => (Count, LZCNT, Bits::Lzcnt.last_opcode_byte()),
            IntUnary::Ctz => (Count, BMI1, Bits::Tzcnt.last_opcode_byte()),
            IntUnary::Popcnt => (Count, POPCNT, Bits::Popcnt.last_opcode_byte()),
        },
        Plain::Compare(cond) => (IntCompare, 0, cc(cond) as u8),
        Plain::CompareK(cond) => (CompareK, 0, cc(cond) as u8),
        Plain::Branch(cond) => (Branch, 0, cc(cond) as u8),
        Plain::BranchK(cond) => (BranchK, 0, cc(cond) as u8),
        Plain::Float(op) => match op {
            FloatOp::Add => (Avx, AVX, Sse::Add as u8),
            FloatOp::Sub => (Avx, AVX, Sse::Sub as u8),
            FloatOp::Mul => (Avx, AVX, Sse::Mul as u8),
            FloatOp::Div => (Avx, AVX, Sse::Div as u8),
            FloatOp::Min | FloatOp::Max | FloatOp::Copysign => (Verb, 0, 0),
        },
        Plain::FloatNeg => (FloatNeg, AVX, 0),
        Plain::FloatAbs => (FloatAbs, AVX, 0),
        Plain::Sqrt => (Sqrt, 0, Sse::Sqrt as u8),
        Plain::FloatCompare(cond) => match compare_of(cond) {
            Compare { parity: true, .. } => (Verb, 0, 0),
            Compare { swap: false, cc, .. } => (FloatCompare, 0, cc as u8),
            Compare { cc, .. } => (FloatCompareSwapped, 0, cc as u8),
        },
        Plain::FloatBranch(cond) => match compare_of(cond) {
            Compare { parity: true, .. } => (Verb, 0, 0),
            Compare { swap: false, cc, .. } => (FloatBranch, 0, cc as u8),
            Compare { cc, .. } => (FloatBranchSwapped, 0, cc as u8),
        },
        Plain::IntToFloat => (IntToFloat, 0, 0),
        Plain::FloatBits => (FloatBits, 0, 0),
        Plain::FloatFromBits => (FloatFromBits, 0, 0),
        Plain::GetInt => (LoadInt, 0, 0),
        Plain::GetFloat => (LoadFloat, 0, 0),
        Plain::SetInt => (StoreInt, 0, 0),
    };
    Recipe::new(kind as u8, needs, variant, plain.branches())
}

impl Recipe {
    /// The verb does it.
    pub const VERB: Self = Self::new(Kind::Verb as u8, 0, 0, false);
}

/// The conditions on the operands, as [`Format`] has them.
#[derive(Clone, Copy)]
pub(super) struct Case {
    pub d: bool,
    pub x: bool,
    pub y: bool,
    pub dx: bool,
    pub dy: bool,
}

/// Instructions one after the other.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub steps: [Stencil; 3 * STEPS],
    pub len: usize,
    pub unless: u8,
}

const NOTHING: Stencil = Stencil::none(NONE);

const fn form() -> Form {
    Form { steps: [NOTHING; 3 * STEPS], len: 0, unless: 0 }
}

impl Form {
    /// With an instruction more, at the next place of a row that may hold it.
    const fn then(mut self, step: Stencil) -> Self {
        if self.len.is_multiple_of(STEPS) && !step.is_simple() {
            self.len += 1;
        }
        self.steps[self.len] = step;
        self.len += 1;
        self
    }

    /// Loads a place into a general register.
    const fn get(self, register: u8, place: u8, pinned: bool) -> Self {
        let mov = if pinned { Stencil::mov_mr().on(place, register) } else { Stencil::mov_rm().on(register, place) };
        self.then(mov)
    }

    /// Stores register A if the destination is in the frame.
    const fn put(self, case: Case) -> Self {
        if case.d { self } else { self.then(Stencil::mov_mr().on(A, D)) }
    }

    /// The first source in the target.
    const fn get_x(self, case: Case) -> Self {
        if case.d && case.dx { self } else { self.get(case.t(), X, case.x) }
    }

    /// As [`Form::get`], for floats.
    const fn get_float(self, register: u8, place: u8, pinned: bool) -> Self {
        let mov = if pinned { Stencil::movaps() } else { Stencil::movsd_rm() };
        self.then(mov.on(register, place))
    }

    /// As [`Form::put`], for floats.
    const fn put_float(self, case: Case) -> Self {
        if case.d { self } else { self.then(Stencil::movsd_mr().on(A, D)) }
    }
}

impl Case {
    const fn new(bits: u8) -> Self {
        Self {
            d: bits & 1 != 0,
            x: bits >> 1 & 1 != 0,
            y: bits >> 2 & 1 != 0,
            dx: bits >> 3 & 1 != 0,
            dy: bits >> 4 & 1 != 0,
        }
    }

    /// The register to compute in: the destination, or scratch.
    const fn t(self) -> u8 {
        if self.d { D } else { A }
    }

    /// Of an operation on a literal: it is small, and it is 0.
    const fn small(self) -> bool {
        self.y
    }
    const fn zero(self) -> bool {
        self.dy
    }
}

/// `None`: the verb does it.
pub(super) const fn build(kind: Kind, case: Case) -> Option<Form> {
    Some(match kind {
        Kind::Verb => return None,
        Kind::Mov => mov(case),
        Kind::FloatMov => float_mov(case),
        Kind::Const => constant(case),
        Kind::Add if case.x && case.y => {
            Form { unless: NO_BASE as u8, ..form().then(Stencil::lea().on(case.t(), SUM)).put(case) }
        }
        Kind::Add => simple(Alu::Add, false, case),
        Kind::Sub if case.d && case.dy && !case.dx => {
            let add = if case.x { Stencil::alu_mr(Alu::Add).on(X, D) } else { Stencil::alu_rm(Alu::Add).on(D, X) };
            form().then(Stencil::unary(self::Unary::Neg).on(NONE, D)).then(add)
        }
        Kind::Sub => simple(Alu::Sub, false, case),
        // The variant makes it the operation.
        Kind::Logic => simple(Alu::Add, true, case),
        Kind::Multiply => multiply(case),
        Kind::MinMax => min_max(case),
        Kind::AddK | Kind::SubK if case.x => {
            if case.zero() {
                return Some(mov(case));
            }
            let disp = if case.small() { Disp::Byte } else { Disp::Word };
            Form { unless: NEEDS_SIB as u8, ..form().then(Stencil::lea().at_base(disp).on(case.t(), X)).put(case) }
        }
        Kind::AddK | Kind::SubK => return simple_k(false, case),
        Kind::LogicK => return simple_k(true, case),
        Kind::MultiplyK if case.zero() => return None,
        Kind::MultiplyK => form().then(Stencil::imul_rmi(case.small()).on(case.t(), X)).put(case),
        Kind::RotateK if case.x && !case.dx && !case.zero() => return None,
        Kind::ShiftK | Kind::RotateK => {
            let form = form().get_x(case);
            if case.zero() {
                return Some(form.put(case));
            }
            form.then(Stencil::shift_i(case.small()).on(NONE, case.t())).put(case)
        }
        Kind::ShiftX => {
            let (form, count) = if case.y { (form(), Y) } else { (form().get(C, Y, false), C) };
            form.then(Stencil::shiftx().second(count).on(case.t(), X)).put(case)
        }
        Kind::ShiftCl => {
            let form = form().get(C, Y, case.y).get_x(case);
            form.then(Stencil::shift_cl().on(NONE, case.t())).put(case)
        }
        Kind::Unary => form().get_x(case).then(Stencil::unary_varied().on(NONE, case.t())).put(case),
        Kind::Count => form().then(Stencil::count().on(case.t(), X)).put(case),
        Kind::IntCompare => compare(false, case),
        Kind::CompareK => compare(true, case),
        Kind::Branch => cmp(form(), false, case).then(Stencil::jcc().on(NONE, LINK)),
        Kind::BranchK => cmp(form(), true, case).then(Stencil::jcc().on(NONE, LINK)),
        Kind::Avx if !case.dx => {
            let (form, x) = if case.x { (form(), X) } else { (form().get_float(A, X, false), A) };
            form.then(Stencil::avx().second(x).on(case.t(), Y)).put_float(case)
        }
        Kind::Avx => {
            let form = if case.d { form() } else { form().get_float(A, X, false) };
            form.then(Stencil::sse().on(case.t(), Y)).put_float(case)
        }
        Kind::FloatNeg => sign(SseLogic::Xor, SIGN, case),
        Kind::FloatAbs => sign(SseLogic::And, MAGNITUDE, case),
        Kind::Sqrt => form().then(Stencil::sse().on(case.t(), X)).put_float(case),
        Kind::FloatCompare => float_compare(X, Y, case.x, case),
        Kind::FloatCompareSwapped => float_compare(Y, X, case.y, case),
        Kind::FloatBranch => ucomisd(form(), X, Y, case.x).then(Stencil::jcc().on(NONE, LINK)),
        Kind::FloatBranchSwapped => ucomisd(form(), Y, X, case.y).then(Stencil::jcc().on(NONE, LINK)),
        Kind::IntToFloat => {
            let t = case.t();
            let form = form().then(Stencil::logic(SseLogic::Xor).on(t, t));
            form.then(Stencil::cvtsi2sd().on(t, X)).put_float(case)
        }
        Kind::FloatBits => {
            let (form, x) = if case.x { (form(), X) } else { (form().get_float(A, X, false), A) };
            let form = form.then(Stencil::movq_rx().on(x, case.t())).then(Stencil::ucomisd().on(x, x));
            form.then(Stencil::cmov(Cc::P).on(case.t(), NAN)).put(case)
        }
        Kind::FloatFromBits => {
            let (form, x) = if case.x { (form(), X) } else { (form().get(A, X, false), A) };
            form.then(if case.d { Stencil::movq_xr().on(D, x) } else { Stencil::mov_mr().on(x, D) })
        }
        Kind::LoadInt | Kind::LoadFloat => {
            let float = case.d && matches!(kind, Kind::LoadFloat);
            let load = if float { Stencil::movsd_rm() } else { Stencil::mov_rm() };
            let form = global(if case.d { load.on(D, A) } else { load.on(C, A) }, form(), case);
            if case.d { form } else { form.then(Stencil::mov_mr().on(C, D)) }
        }
        Kind::StoreInt => return store(case),
    })
}

const fn mov(case: Case) -> Form {
    match case {
        Case { dx: true, .. } => form(),
        Case { d: true, .. } => form().get(D, X, case.x),
        Case { x: true, .. } => form().then(Stencil::mov_mr().on(X, D)),
        _ => form().get(A, X, false).put(case),
    }
}

const fn float_mov(case: Case) -> Form {
    match case {
        Case { dx: true, .. } => form(),
        Case { d: true, .. } => form().get_float(D, X, case.x),
        Case { x: true, .. } => form().then(Stencil::movsd_mr().on(X, D)),
        _ => form().get(A, X, false).put(case),
    }
}

/// Small literals are those that are not negative.
const fn constant(case: Case) -> Form {
    form().then(match case {
        Case { d: false, .. } => Stencil::mov_mi().on(NONE, D),
        _ if case.zero() => Stencil::clear().on(D, D),
        _ if case.small() => Stencil::mov_ri().on(NONE, D),
        _ => Stencil::mov_mi().on(NONE, D),
    })
}

const fn vary(step: Stencil, vary: bool) -> Stencil {
    if vary { step.vary_code() } else { step }
}

/// An operation that has a two-operand instruction.
const fn simple(alu: Alu, varied: bool, case: Case) -> Form {
    let (mr, rm) = (vary(Stencil::alu_mr(alu), varied), vary(Stencil::alu_rm(alu), varied));
    if !case.d && case.dx {
        return if case.y { form().then(mr.on(Y, D)) } else { form().get(A, Y, false).then(mr.on(A, D)) };
    }
    if case.d && case.dy {
        return form().then(if case.x { mr.on(X, D) } else { rm.on(D, X) });
    }
    let t = case.t();
    form().get_x(case).then(if case.y { mr.on(Y, t) } else { rm.on(t, Y) }).put(case)
}

/// The same with a literal, for add or the variant.
const fn simple_k(varied: bool, case: Case) -> Option<Form> {
    let alu = Stencil::alu_mi(Alu::Add, case.small());
    let alu = if varied { alu.vary_modrm() } else { alu };
    if !case.d && case.dx {
        return Some(form().then(alu.on(NONE, D)));
    }
    if !case.d && !case.small() {
        // There is a shorter form for rax.
        return None;
    }
    Some(form().get_x(case).then(alu.on(NONE, case.t())).put(case))
}

const fn multiply(case: Case) -> Form {
    let t = case.t();
    if case.d && case.dy {
        return form().then(Stencil::imul_rm().on(D, X));
    }
    form().get_x(case).then(Stencil::imul_rm().on(t, Y)).put(case)
}

const fn min_max(case: Case) -> Form {
    let (other, pinned) = if case.d && case.dy { (X, case.x) } else { (Y, case.y) };
    let (form, other) = if pinned { (form(), other) } else { (form().get(C, other, false), C) };
    let (form, t) = (if case.d && case.dy { form } else { form.get_x(case) }, case.t());
    form.then(Stencil::alu_mr(Alu::Cmp).on(other, t)).then(Stencil::cmov_varied().on(t, other)).put(case)
}

/// Changes the sign bit by a mask.
const fn sign(op: SseLogic, mask: u8, case: Case) -> Form {
    let (form, x) = if case.x { (form(), X) } else { (form().get_float(A, X, false), A) };
    form.then(Stencil::avx_logic(op).second(x).on(case.t(), mask)).put_float(case)
}

/// The comparison of the first source with the second or the literal.
const fn cmp(form: Form, literal: bool, case: Case) -> Form {
    let (mr, rm) = (Stencil::alu_mr(Alu::Cmp), Stencil::alu_rm(Alu::Cmp));
    match case {
        Case { x: true, .. } if literal && case.zero() => form.then(Stencil::test().on(X, X)),
        _ if literal => form.then(Stencil::alu_mi(Alu::Cmp, case.small()).on(NONE, X)),
        Case { x: true, y: true, .. } => form.then(mr.on(Y, X)),
        Case { x: true, .. } => form.then(rm.on(X, Y)),
        Case { y: true, .. } => form.then(mr.on(Y, X)),
        _ => form.get(C, X, false).then(rm.on(C, Y)),
    }
}

const fn compare(literal: bool, case: Case) -> Form {
    let t = case.t();
    if case.dx || (!literal && case.dy) {
        let form = cmp(form(), literal, case).then(Stencil::setcc(false).on(NONE, A));
        form.then(Stencil::movzx8().on(t, A)).put(case)
    } else {
        let form = cmp(form().then(Stencil::clear().on(t, t)), literal, case);
        form.then(Stencil::setcc(case.d).on(NONE, t)).put(case)
    }
}

/// No register of the pool is one of the first four, whose low bytes need no REX.
const _: () = {
    let mut index = 0;
    while index < INT_POOL.len() {
        assert!(INT_POOL[index].number >= 4);
        index += 1;
    }
};

const fn ucomisd(form: Form, x: u8, y: u8, pinned: bool) -> Form {
    if pinned {
        form.then(Stencil::ucomisd().on(x, y))
    } else {
        form.get_float(A, x, false).then(Stencil::ucomisd().on(A, y))
    }
}

const fn float_compare(x: u8, y: u8, pinned: bool, case: Case) -> Form {
    let form = ucomisd(form().then(Stencil::clear().on(A, A)), x, y, pinned).then(Stencil::setcc(false).on(NONE, A));
    if case.d { form.then(Stencil::mov_mr32().on(A, D)) } else { form.put(case) }
}

/// Loads the globals' address and does `access` at the literal behind it.
const fn global(access: Stencil, form: Form, case: Case) -> Form {
    let disp = match case {
        _ if case.zero() => Disp::None,
        _ if case.small() => Disp::Byte,
        _ => Disp::Word,
    };
    form.then(Stencil::mov_rm().on(A, GLOBALS)).then(access.at_base(disp))
}

const fn store(case: Case) -> Option<Form> {
    if case.x {
        return Some(global(Stencil::mov_mr().on(X, A), form(), case));
    }
    let disp = match case {
        _ if case.zero() => Disp::None,
        _ if case.small() => Disp::Byte,
        _ => Disp::Word,
    };
    let form = form().then(Stencil::mov_rm().on(A, GLOBALS)).get(C, X, false);
    Some(form.then(Stencil::mov_mr().on(C, A).at_base(disp)))
}

/// The part of a format that does not depend on the operands.
pub(super) const fn format(kind: Kind) -> Format {
    let plain = Format {
        rows: [VERB; 32],
        mask: u64::MAX,
        factor: 1,
        bias: 128,
        fields: 0,
        right: 48,
        limit: 256,
        literal: 0,
        multiply: false,
    };
    let literal = Format { literal: u32::MAX, ..plain };
    match kind {
        Kind::AddK | Kind::LogicK | Kind::CompareK => literal,
        Kind::SubK => Format { factor: -1, ..literal },
        Kind::MultiplyK => Format { multiply: true, ..literal },
        Kind::ShiftK | Kind::RotateK => Format { mask: 63, bias: 0, limit: 2, ..literal },
        Kind::Const => Format { right: 32, bias: 0, limit: 1 << 31, ..literal },
        Kind::Branch | Kind::FloatBranch | Kind::FloatBranchSwapped => Format { fields: 16, ..plain },
        Kind::BranchK => Format { fields: 16, ..literal },
        Kind::LoadInt | Kind::LoadFloat => Format { right: 32, mask: 0xffff, factor: 8, ..literal },
        Kind::StoreInt => Format { right: 16, mask: 0xffff, factor: 8, ..literal },
        _ => plain,
    }
}

/// The table under construction; row 0 is [`VERB`]'s.
struct Builder {
    rows: [Row; ROWS],
    steps: [[Stencil; STEPS]; ROWS],
    used: usize,
}

impl Builder {
    /// The number of a row, which is added if it is new.
    const fn row(&mut self, row: Row, steps: &[Stencil]) -> u8 {
        let mut index = 1;
        while index < self.used {
            let [first, second] = &self.steps[index];
            if self.rows[index].next == row.next
                && self.rows[index].unless == row.unless
                && first.same(&steps[0])
                && second.same(&steps[1])
            {
                return index as u8;
            }
            index += 1;
        }
        self.rows[index] = row;
        self.steps[index] = [steps[0], steps[1]];
        self.used += 1;
        index as u8
    }

    /// The number of the first row of a form.
    const fn form(&mut self, form: &Form) -> u8 {
        let mut next = VERB;
        let mut row = if form.len == 0 { 1 } else { form.len.div_ceil(STEPS) };
        while row > 0 {
            row -= 1;
            let unless = if row == 0 { form.unless } else { 0 };
            next = self.row(Row { next, unless }, form.steps.split_at(row * STEPS).1);
        }
        next
    }
}

pub(super) const fn table() -> Table {
    let verb = Row { next: VERB, unless: ANY as u8 };
    let mut builder = Builder { rows: [verb; ROWS], steps: [[NOTHING; STEPS]; ROWS], used: 1 };
    let mut formats = [format(Kind::Verb); KINDS];
    let mut kind = 0;
    while kind < KINDS {
        formats[kind] = format(ALL[kind]);
        let mut bits = 0;
        while bits < 32 {
            if let Some(form) = build(ALL[kind], Case::new(bits)) {
                formats[kind].rows[bits as usize] = builder.form(&form);
            }
            bits += 1;
        }
        kind += 1;
    }
    assert!(builder.used == ROWS, "the table is to be as long as it is full");
    Table { formats, rows: builder.rows, steps: builder.steps }
}
