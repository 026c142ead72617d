//! The verbs on values: integers and floats.

use crate::bench::{Bench, Family, SITE};
use crate::cases::{Count, Places, Verb, Want, check, float, int, src, tuples};
use opstamp::asm::Label;
use opstamp::masm::{
    Any, Cond, DivOp, Float, FloatCond, FloatOp, FloatUnary, Floats, Flow, Int, IntOp, IntUnary, Ints, Src,
};
use opstamp::runtime::trap::TrapKind;
use opstamp::vm3::op::Bank::{self, F64, I64};
use opstamp_tests::values::{FLOATS, FLOATS_FEW, INTS, INTS_FEW};

/// Literals: the edges of what the instructions of either ISA can hold, and patterns.
const LITERALS: &[i64] = &[
    0,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    4,
    5,
    7,
    8,
    9,
    10,
    15,
    16,
    17,
    -8,
    31,
    32,
    63,
    64,
    65,
    -64,
    127,
    128,
    -128,
    -129,
    255,
    256,
    1000,
    4095,
    4096,
    4097,
    -4095,
    -4096,
    -4097,
    32767,
    -32768,
    0xFF_F000,
    0x100_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    -0x8000_0000,
    -0x8000_0001,
    0xFFFF_FFFF,
    0x1_0000_0000,
    1 << 30,
    1 << 31,
    1 << 62,
    0x5555_5555_5555_5555,
    0x00FF_00FF_00FF_00FF,
    0x0000_FFFF_0000_0000,
    0x1234_5678_9ABC_DEF0,
    -0x1234_5678_9ABC_DEF0,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
    -0x0004_0000_0000_0000,
];

const INT_OPS: [IntOp; 12] = [
    IntOp::Add,
    IntOp::Sub,
    IntOp::Mul,
    IntOp::And,
    IntOp::Or,
    IntOp::Xor,
    IntOp::Shl,
    IntOp::Shr,
    IntOp::Ushr,
    IntOp::Rotl,
    IntOp::Min,
    IntOp::Max,
];
const DIV_OPS: [DivOp; 4] = [DivOp::Div, DivOp::Rem, DivOp::Udiv, DivOp::Urem];
const CONDS: [Cond; 10] =
    [Cond::Eq, Cond::Ne, Cond::Lt, Cond::Le, Cond::Gt, Cond::Ge, Cond::Ult, Cond::Ule, Cond::Ugt, Cond::Uge];
const FLOAT_CONDS: [FloatCond; 6] =
    [FloatCond::Eq, FloatCond::Ne, FloatCond::Lt, FloatCond::Le, FloatCond::Gt, FloatCond::Ge];

fn int_op(op: IntOp, x: i64, y: i64) -> i64 {
    match op {
        IntOp::Add => x.wrapping_add(y),
        IntOp::Sub => x.wrapping_sub(y),
        IntOp::Mul => x.wrapping_mul(y),
        IntOp::And => x & y,
        IntOp::Or => x | y,
        IntOp::Xor => x ^ y,
        IntOp::Shl => x.wrapping_shl(y as u32),
        IntOp::Shr => x.wrapping_shr(y as u32),
        IntOp::Ushr => (x as u64).wrapping_shr(y as u32) as i64,
        IntOp::Rotl => x.rotate_left((y & 63) as u32),
        IntOp::Min => x.min(y),
        IntOp::Max => x.max(y),
    }
}

fn divide(op: DivOp, x: u64, y: u64) -> Want {
    if y == 0 {
        return Want::Trap(TrapKind::DivisionByZero);
    }
    Want::Bits(match op {
        DivOp::Div => (x as i64).wrapping_div(y as i64) as u64,
        DivOp::Rem => (x as i64).wrapping_rem(y as i64) as u64,
        DivOp::Udiv => x / y,
        DivOp::Urem => x % y,
    })
}

pub fn holds(cond: Cond, x: u64, y: u64) -> bool {
    let (sx, sy) = (x as i64, y as i64);
    match cond {
        Cond::Eq => x == y,
        Cond::Ne => x != y,
        Cond::Lt => sx < sy,
        Cond::Le => sx <= sy,
        Cond::Gt => sx > sy,
        Cond::Ge => sx >= sy,
        Cond::Ult => x < y,
        Cond::Ule => x <= y,
        Cond::Ugt => x > y,
        Cond::Uge => x >= y,
    }
}

pub fn float_holds(cond: FloatCond, x: u64, y: u64) -> bool {
    let (x, y) = (f64::from_bits(x), f64::from_bits(y));
    match cond {
        FloatCond::Eq => x == y,
        FloatCond::Ne => x != y,
        FloatCond::Lt => x < y,
        FloatCond::Le => x <= y,
        FloatCond::Gt => x > y,
        FloatCond::Ge => x >= y,
    }
}

fn float_op(op: FloatOp, x: f64, y: f64) -> Want {
    let nan = x.is_nan() || y.is_nan();
    Want::Float(match op {
        FloatOp::Add => x + y,
        FloatOp::Sub => x - y,
        FloatOp::Mul => x * y,
        FloatOp::Div => x / y,
        FloatOp::Min | FloatOp::Max if nan => f64::NAN,
        // The total order puts -0 below +0.
        FloatOp::Min => {
            if x.total_cmp(&y).is_lt() {
                x
            } else {
                y
            }
        }
        FloatOp::Max => {
            if x.total_cmp(&y).is_gt() {
                x
            } else {
                y
            }
        }
        FloatOp::Copysign if y.is_nan() => return Want::Float(x.abs()),
        FloatOp::Copysign => x.copysign(y),
    })
}

fn float_unary(op: FloatUnary, x: f64) -> f64 {
    match op {
        FloatUnary::Neg => -x,
        FloatUnary::Abs => x.abs(),
        FloatUnary::Sqrt => x.sqrt(),
        FloatUnary::Floor => x.floor(),
        FloatUnary::Ceil => x.ceil(),
        FloatUnary::Trunc => x.trunc(),
        FloatUnary::Nearest => x.round_ties_even(),
    }
}

fn canonical(bits: u64) -> u64 {
    if f64::from_bits(bits).is_nan() { 0x7FF8_0000_0000_0000 } else { bits }
}

fn verb<F: Family>(
    name: String,
    banks: &'static [Bank],
    emit: impl Fn(&mut F::Masm<'_>, &[Any]) + 'static,
    want: impl Fn(&[u64]) -> Want + 'static,
) -> Verb<F> {
    Verb { name, banks, emit: Box::new(emit), want: Box::new(want) }
}

fn bits(value: i64) -> Want {
    Want::Bits(value as u64)
}

/// Verbs whose operands are all places.
fn plain<F: Family>() -> Vec<Verb<F>> {
    let mut all = vec![
        verb::<F>("mov".into(), &[I64, I64], |m, p| m.mov(int(p[0]), src(p[1])), |v| Want::Bits(v[0])),
        verb::<F>(
            "select".into(),
            &[I64, I64, I64, I64],
            |m, p| m.select(int(p[0]), int(p[1]), int(p[2]), int(p[3])),
            |v| Want::Bits(if v[0] != 0 { v[1] } else { v[2] }),
        ),
        verb::<F>("float_mov".into(), &[F64, F64], |m, p| m.float_mov(float(p[0]), float(p[1])), |v| Want::Bits(v[0])),
        verb::<F>(
            "fma".into(),
            &[F64, F64, F64, F64],
            |m, p| m.fma(float(p[0]), float(p[1]), float(p[2]), float(p[3])),
            |v| Want::Float(f64::from_bits(v[0]).mul_add(f64::from_bits(v[1]), f64::from_bits(v[2]))),
        ),
        verb::<F>(
            "float_select".into(),
            &[F64, I64, F64, F64],
            |m, p| m.float_select(float(p[0]), int(p[1]), float(p[2]), float(p[3])),
            |v| Want::Bits(if v[0] != 0 { v[1] } else { v[2] }),
        ),
        verb::<F>(
            "int_to_float".into(),
            &[F64, I64],
            |m, p| m.int_to_float(float(p[0]), int(p[1])),
            |v| Want::Float(v[0] as i64 as f64),
        ),
        verb::<F>(
            "float_to_int".into(),
            &[I64, F64],
            |m, p| m.float_to_int(int(p[0]), float(p[1])),
            |v| bits(f64::from_bits(v[0]) as i64),
        ),
        verb::<F>(
            "float_bits".into(),
            &[I64, F64],
            |m, p| m.float_bits(int(p[0]), float(p[1])),
            |v| Want::Bits(canonical(v[0])),
        ),
        verb::<F>(
            "float_from_bits".into(),
            &[F64, I64],
            |m, p| m.float_from_bits(float(p[0]), int(p[1])),
            |v| Want::Bits(v[0]),
        ),
    ];
    for op in INT_OPS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.int(op, int(p[0]), int(p[1]), src(p[2]));
        all.push(verb::<F>(format!("{op:?}"), &[I64, I64, I64], emit, move |v| {
            bits(int_op(op, v[0] as i64, v[1] as i64))
        }));
    }
    for op in DIV_OPS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.divide(op, int(p[0]), int(p[1]), src(p[2]), SITE);
        all.push(verb::<F>(format!("{op:?}"), &[I64, I64, I64], emit, move |v| divide(op, v[0], v[1])));
    }
    for op in [IntUnary::Neg, IntUnary::Not, IntUnary::Clz, IntUnary::Ctz, IntUnary::Popcnt] {
        let want = move |v: &[u64]| {
            Want::Bits(match op {
                IntUnary::Neg => v[0].wrapping_neg(),
                IntUnary::Not => !v[0],
                IntUnary::Clz => v[0].leading_zeros().into(),
                IntUnary::Ctz => v[0].trailing_zeros().into(),
                IntUnary::Popcnt => v[0].count_ones().into(),
            })
        };
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.int_unary(op, int(p[0]), int(p[1]));
        all.push(verb::<F>(format!("{op:?}"), &[I64, I64], emit, want));
    }
    for cond in CONDS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.compare(cond, int(p[0]), int(p[1]), src(p[2]));
        let want = move |v: &[u64]| Want::Bits(holds(cond, v[0], v[1]).into());
        all.push(verb::<F>(format!("compare {cond:?}"), &[I64, I64, I64], emit, want));
        for backward in [false, true] {
            let emit = move |m: &mut F::Masm<'_>, p: &[Any]| {
                let (x, y) = (int(p[1]), src(p[2]));
                branched::<F>(m, int(p[0]), backward, |m, label| m.branch(cond, x, y, label));
            };
            all.push(verb::<F>(format!("branch {cond:?}"), &[I64, I64, I64], emit, want));
        }
    }
    for op in [FloatOp::Add, FloatOp::Sub, FloatOp::Mul, FloatOp::Div, FloatOp::Min, FloatOp::Max, FloatOp::Copysign] {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.float(op, float(p[0]), float(p[1]), float(p[2]));
        let want = move |v: &[u64]| float_op(op, f64::from_bits(v[0]), f64::from_bits(v[1]));
        all.push(verb::<F>(format!("float {op:?}"), &[F64, F64, F64], emit, want));
    }
    for op in [
        FloatUnary::Neg,
        FloatUnary::Abs,
        FloatUnary::Sqrt,
        FloatUnary::Floor,
        FloatUnary::Ceil,
        FloatUnary::Trunc,
        FloatUnary::Nearest,
    ] {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.float_unary(op, float(p[0]), float(p[1]));
        let want = move |v: &[u64]| Want::Float(float_unary(op, f64::from_bits(v[0])));
        all.push(verb::<F>(format!("float {op:?}"), &[F64, F64], emit, want));
    }
    for cond in FLOAT_CONDS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.float_compare(cond, int(p[0]), float(p[1]), float(p[2]));
        let want = move |v: &[u64]| Want::Bits(float_holds(cond, v[0], v[1]).into());
        all.push(verb::<F>(format!("float_compare {cond:?}"), &[I64, F64, F64], emit, want));
        for backward in [false, true] {
            let emit = move |m: &mut F::Masm<'_>, p: &[Any]| {
                let (x, y) = (float(p[1]), float(p[2]));
                branched::<F>(m, int(p[0]), backward, |m, label| m.float_branch(cond, x, y, label));
            };
            all.push(verb::<F>(format!("float_branch {cond:?}"), &[I64, F64, F64], emit, want));
        }
    }
    all
}

/// 1 if the branch is taken, else 0.
fn branched<F: Family>(m: &mut F::Masm<'_>, d: Int, backward: bool, branch: impl Fn(&mut F::Masm<'_>, &mut Label)) {
    let (mut taken, mut done, mut start) = (Label::new(), Label::new(), Label::new());
    if backward {
        m.jump(&mut start);
        m.bind(&mut taken);
        m.mov(d, Src::Imm(1));
        m.jump(&mut done);
        m.bind(&mut start);
        branch(m, &mut taken);
        m.mov(d, Src::Imm(0));
    } else {
        branch(m, &mut taken);
        m.mov(d, Src::Imm(0));
        m.jump(&mut done);
        m.bind(&mut taken);
        m.mov(d, Src::Imm(1));
    }
    m.bind(&mut done);
}

/// Verbs with a literal.
fn with_literal<F: Family>(y: i64) -> Vec<Verb<F>> {
    let mut all =
        vec![verb::<F>(format!("mov {y:#x}"), &[I64], move |m, p| m.mov(int(p[0]), Src::Imm(y)), move |_| bits(y))];
    for op in INT_OPS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.int(op, int(p[0]), int(p[1]), Src::Imm(y));
        all.push(verb::<F>(format!("{op:?} {y:#x}"), &[I64, I64], emit, move |v| bits(int_op(op, v[0] as i64, y))));
    }
    for op in DIV_OPS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.divide(op, int(p[0]), int(p[1]), Src::Imm(y), SITE);
        all.push(verb::<F>(format!("{op:?} {y:#x}"), &[I64, I64], emit, move |v| divide(op, v[0], y as u64)));
    }
    for cond in CONDS {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.compare(cond, int(p[0]), int(p[1]), Src::Imm(y));
        let want = move |v: &[u64]| Want::Bits(holds(cond, v[0], y as u64).into());
        all.push(verb::<F>(format!("compare {cond:?} {y:#x}"), &[I64, I64], emit, want));
        for backward in [false, true] {
            let emit = move |m: &mut F::Masm<'_>, p: &[Any]| {
                let x = int(p[1]);
                branched::<F>(m, int(p[0]), backward, |m, label| m.branch(cond, x, Src::Imm(y), label));
            };
            all.push(verb::<F>(format!("branch {cond:?} {y:#x}"), &[I64, I64], emit, want));
        }
    }
    all
}

/// A dispatch: the number of the case, or 1000 for the default.
fn switch<F: Family>(cases: u32) -> Verb<F> {
    let emit = move |m: &mut F::Masm<'_>, p: &[Any]| {
        let (d, mut default, mut done) = (int(p[0]), Label::new(), Label::new());
        let mut labels = vec![Label::new(); cases as usize];
        m.switch(int(p[1]), cases, &mut default);
        for label in &mut labels {
            m.switch_case(label);
        }
        for (number, label) in (0..).zip(&mut labels) {
            m.bind(label);
            m.mov(d, Src::Imm(number));
            m.jump(&mut done);
        }
        m.bind(&mut default);
        m.mov(d, Src::Imm(1000));
        m.bind(&mut done);
    };
    let want = move |v: &[u64]| Want::Bits(if v[0] < u64::from(cases) { v[0] } else { 1000 });
    verb::<F>(format!("switch of {cases}"), &[I64, I64], emit, want)
}

/// All of it.
pub fn check_all<F: Family>(bench: &mut Bench, count: &mut Count) {
    // NaNs of other signs and payloads than Rust's own, one of them signaling.
    let nans = [0xFFF8_0000_0000_0000, 0x7FF0_0000_0000_0001, 0xFFFF_FFFF_FFFF_FFFF].map(f64::from_bits);
    let (floats, few) = ([FLOATS, &nans].concat(), [FLOATS_FEW, &nans].concat());
    for verb in plain::<F>() {
        let sources = &verb.banks[1..];
        let values = match sources.len() {
            0 | 1 => tuples(sources, INTS, &floats),
            2 => tuples(sources, INTS, &few),
            _ => tuples(sources, INTS_FEW, &few),
        };
        check(bench, &verb, Places::All, &values, count);
    }
    for &literal in LITERALS {
        let near = [literal, literal.wrapping_sub(1), literal.wrapping_add(1), literal.wrapping_neg()];
        let values: Vec<i64> = INTS_FEW.iter().copied().chain(near).chain([-7, 0xFFFF_FFFF, i64::MIN + 1]).collect();
        for verb in with_literal::<F>(literal) {
            check(bench, &verb, Places::Few, &tuples(&verb.banks[1..], &values, &[]), count);
        }
    }
    let consts = FLOATS.iter().map(|x| x.to_bits());
    let short = (0..=255_u64).map(|imm| imm & 0x80 << 56 | (0x400 - 4 + (imm >> 4 & 7)) << 52 | (imm & 15) << 48);
    for value in consts.chain(short).chain([1, 0x7FF4_0000_0000_0001, 0x3FF0_0000_0000_0001]) {
        let emit = move |m: &mut F::Masm<'_>, p: &[Any]| m.float_const(float(p[0]) as Float, value);
        let verb = verb::<F>(format!("float_const {value:#x}"), &[F64], emit, move |_| Want::Bits(value));
        check(bench, &verb, Places::All, &[vec![]], count);
    }
    for cases in [1, 2, 3, 40, 300] {
        let values = [0, 1, 2, 3, 39, 40, 299, 300, 301, 1 << 32, -1, i64::MIN, i64::MAX];
        check(bench, &switch::<F>(cases), Places::All, &tuples(&[I64], &values, &[]), count);
    }
}
