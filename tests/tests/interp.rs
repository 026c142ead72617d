//! The interpreter's integer and float ops against native Rust.

mod support;

use opstamp::vm3::op::Op;
use opstamp::{CallError, TrapKind, TypeId, Value};
use support::{Builder, Code, code, int, interpret, trap};

const I: TypeId = TypeId::I64;
const F: TypeId = TypeId::F64;
const CANONICAL: u64 = 0x7FF8_0000_0000_0000;

fn ints() -> Vec<i64> {
    let mut all = vec![
        0,
        1,
        -1,
        2,
        -2,
        3,
        -3,
        5,
        7,
        -7,
        10,
        31,
        32,
        33,
        62,
        63,
        64,
        65,
        127,
        128,
        -63,
        -64,
        -65,
        255,
        256,
        1000,
        32767,
        -32768,
        32768,
        65535,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FFFF,
        0x1_0000_0000,
        -0x8000_0000,
        i64::MAX,
        i64::MAX - 1,
        i64::MIN,
        i64::MIN + 1,
        0x5555_5555_5555_5555,
        -0x5555_5555_5555_5556,
        0x0123_4567_89AB_CDEF,
        1 << 47,
        1 << 53,
        (1 << 53) + 1,
        -(1 << 53) - 1,
    ];
    let mut random = Random(1);
    all.extend((0..20).map(|_| random.next() as i64));
    all
}

fn floats() -> Vec<f64> {
    let mut all = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        -1.5,
        2.5,
        -2.5,
        3.5,
        0.49999999999999994,
        -0.49999999999999994,
        0.1,
        3.0,
        1e300,
        -1e300,
        1e-300,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        -f64::MIN_POSITIVE,
        5e-324,
        -5e-324,
        2.225073858507201e-308,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        9007199254740991.0,
        9007199254740992.0,
        9007199254740994.0,
        4503599627370495.5,
        4503599627370496.0,
        4503599627370497.0,
        -4503599627370495.5,
        -4503599627370496.0,
        2251799813685247.5,
        2251799813685248.5,
        -2251799813685248.5,
        9223372036854775807.0,
        9223372036854774784.0,
        -9223372036854775808.0,
        -9223372036854777856.0,
        1.8446744073709552e19,
        4294967296.5,
        f64::EPSILON,
        1.0 + f64::EPSILON,
        1.0 - f64::EPSILON / 2.0,
        std::f64::consts::PI,
    ];
    let mut random = Random(2);
    all.extend((0..30).map(|_| f64::from_bits(random.next())));
    all.extend((0..30).map(|_| (random.next() as i64 >> 20) as f64 / 1024.0));
    all
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }
}

type Binary = (Op, Op, fn(i64, i64) -> Option<i64>);

/// Integer ops with two register operands, and the form with a literal.
#[rustfmt::skip]
const BINARY: &[Binary] = &[
    (Op::I64Add, Op::I64AddK, |x, y| Some((i128::from(x) + i128::from(y)) as i64)),
    (Op::I64Sub, Op::I64SubK, |x, y| Some((i128::from(x) - i128::from(y)) as i64)),
    (Op::I64Mul, Op::I64MulK, |x, y| Some((i128::from(x) * i128::from(y)) as i64)),
    (Op::I64Div, Op::I64DivK, |x, y| i128::from(x).checked_div(i128::from(y)).map(|q| q as i64)),
    (Op::I64Rem, Op::I64RemK, |x, y| i128::from(x).checked_rem(i128::from(y)).map(|r| r as i64)),
    (Op::I64Udiv, Op::I64UdivK, |x, y| (x as u64).checked_div(y as u64).map(|q| q as i64)),
    (Op::I64Urem, Op::I64UremK, |x, y| (x as u64).checked_rem(y as u64).map(|r| r as i64)),
    (Op::I64And, Op::I64AndK, |x, y| Some(x & y)),
    (Op::I64Or, Op::I64OrK, |x, y| Some(x | y)),
    (Op::I64Xor, Op::I64XorK, |x, y| Some(x ^ y)),
    (Op::I64Shl, Op::I64ShlK, |x, y| Some(x << y.rem_euclid(64))),
    (Op::I64Shr, Op::I64ShrK, |x, y| Some(x >> y.rem_euclid(64))),
    (Op::I64Ushr, Op::I64UshrK, |x, y| Some((x as u64 >> y.rem_euclid(64)) as i64)),
    (Op::I64Rotl, Op::I64RotlK, |x, y| Some((((x as u64 as u128) * ((1 << 64) + 1)) >> (64 - y.rem_euclid(64))) as i64)),
    (Op::I64Min, Op::Args, |x, y| Some(if x < y { x } else { y })),
    (Op::I64Max, Op::Args, |x, y| Some(if x > y { x } else { y })),
    (Op::I64Eq, Op::I64EqK, |x, y| Some((x == y).into())),
    (Op::I64Ne, Op::I64NeK, |x, y| Some((x != y).into())),
    (Op::I64Lt, Op::I64LtK, |x, y| Some((x < y).into())),
    (Op::I64Le, Op::I64LeK, |x, y| Some((x <= y).into())),
    (Op::I64Gt, Op::I64GtK, |x, y| Some((x > y).into())),
    (Op::I64Ge, Op::I64GeK, |x, y| Some((x >= y).into())),
    (Op::I64Ult, Op::I64UltK, |x, y| Some(((x as u64) < y as u64).into())),
    (Op::I64Ule, Op::I64UleK, |x, y| Some((x as u64 <= y as u64).into())),
    (Op::I64Ugt, Op::I64UgtK, |x, y| Some((x as u64 > y as u64).into())),
    (Op::I64Uge, Op::I64UgeK, |x, y| Some((x as u64 >= y as u64).into())),
];

#[test]
fn integer_ops_with_registers() {
    let mut module = Builder::default();
    for (op, _, _) in BINARY {
        module.func(&format!("{op:?}"), &[I, I], I, &[I], code(&[(*op, &[2, 0, 1]), (Op::RetI64, &[2])]));
        // The destination may be a source.
        module.func(&format!("{op:?}x"), &[I, I], I, &[], code(&[(*op, &[0, 0, 1]), (Op::RetI64, &[0])]));
        module.func(&format!("{op:?}y"), &[I, I], I, &[], code(&[(*op, &[1, 0, 1]), (Op::RetI64, &[1])]));
    }
    interpret(&module.finish(), 64, &[], |instance| {
        for (index, (op, _, native)) in (0..).zip(BINARY) {
            for x in ints() {
                for y in ints() {
                    for form in 0..3 {
                        let func = 3 * index + form;
                        let expected = native(x, y).map_or(trap(TrapKind::DivisionByZero, func, 0), int);
                        assert_eq!(instance.call_index(func, &[x.into(), y.into()]), expected, "{op:?} {x} {y} {form}");
                    }
                }
            }
        }
    });
}

const LITERALS: [i16; 16] = [0, 1, -1, 2, 3, 7, -7, 10, 63, 64, 65, -64, 255, 1000, i16::MAX, i16::MIN];

#[test]
fn integer_ops_with_literals() {
    let mut module = Builder::default();
    let forms = || BINARY.iter().filter(|(_, op, _)| *op != Op::Args);
    for (_, op, _) in forms() {
        for (index, literal) in LITERALS.into_iter().enumerate() {
            let body = code(&[(Op::Nop, &[]), (*op, &[1, 0, literal as u16]), (Op::RetI64, &[1])]);
            module.func(&format!("{op:?}.{index}"), &[I], I, &[I], body);
        }
    }
    interpret(&module.finish(), 64, &[], |instance| {
        let mut func = 0;
        for (_, op, native) in forms() {
            for literal in LITERALS {
                for x in ints() {
                    let expected = native(x, literal.into()).map_or(trap(TrapKind::DivisionByZero, func, 1), int);
                    assert_eq!(instance.call_index(func, &[x.into()]), expected, "{op:?} {x} {literal}");
                }
                func += 1;
            }
        }
    });
}

type Branch = (Op, Op, fn(i64, i64) -> bool);

#[rustfmt::skip]
const BRANCHES: &[Branch] = &[
    (Op::BrI64Eq, Op::BrI64EqK, |x, y| x == y),
    (Op::BrI64Ne, Op::BrI64NeK, |x, y| x != y),
    (Op::BrI64Lt, Op::BrI64LtK, |x, y| x < y),
    (Op::BrI64Le, Op::BrI64LeK, |x, y| x <= y),
    (Op::BrI64Gt, Op::BrI64GtK, |x, y| x > y),
    (Op::BrI64Ge, Op::BrI64GeK, |x, y| x >= y),
    (Op::BrI64Ult, Op::BrI64UltK, |x, y| (x as u64) < y as u64),
    (Op::BrI64Ule, Op::BrI64UleK, |x, y| x as u64 <= y as u64),
    (Op::BrI64Ugt, Op::BrI64UgtK, |x, y| x as u64 > y as u64),
    (Op::BrI64Uge, Op::BrI64UgeK, |x, y| x as u64 >= y as u64),
];

/// `if taken { 1 } else { 2 }` around a branch whose target is its last operand; and the same with the target before it.
fn branch(op: Op, operands: &[u16], d: u16) -> [Code; 2] {
    let [one, two] = [[d, 1, 0], [d, 2, 0]];
    let mut forward = Code::default();
    let br = forward.op(op, &[operands, &[0]].concat());
    forward.op(Op::I64Const, &two);
    forward.op(Op::RetI64, &[d]);
    let target = forward.here();
    forward.patch(br, operands.len(), target);
    forward.op(Op::I64Const, &one);
    forward.op(Op::RetI64, &[d]);
    let mut backward = Code::default();
    backward.op(Op::Jump, &[3]);
    backward.op(Op::I64Const, &one);
    backward.op(Op::RetI64, &[d]);
    backward.op(op, &[operands, &[1]].concat());
    backward.op(Op::I64Const, &two);
    backward.op(Op::RetI64, &[d]);
    [forward, backward]
}

#[test]
fn integer_branches() {
    let mut module = Builder::default();
    let mut number = 0;
    let mut add = |params: &[TypeId], bodies: [Code; 2]| {
        for body in bodies {
            module.func(&format!("f{number}"), params, I, &[I], body);
            number += 1;
        }
    };
    for (op, with_literal, _) in BRANCHES {
        add(&[I, I], branch(*op, &[0, 1], 2));
        for literal in LITERALS {
            add(&[I], branch(*with_literal, &[0, literal as u16], 1));
        }
    }
    interpret(&module.finish(), 64, &[], |instance| {
        let mut func = 0;
        for (op, _, native) in BRANCHES {
            for form in 0..2 {
                for x in ints() {
                    for y in ints() {
                        let expected = if native(x, y) { 1 } else { 2 };
                        let found = instance.call_index(func + form, &[x.into(), y.into()]);
                        assert_eq!(found, int(expected), "{op:?} {x} {y} {form}");
                    }
                }
            }
            func += 2;
            for literal in LITERALS {
                for form in 0..2 {
                    for x in ints() {
                        let expected = if native(x, literal.into()) { 1 } else { 2 };
                        let found = instance.call_index(func + form, &[x.into()]);
                        assert_eq!(found, int(expected), "{op:?} {x} {literal} {form}");
                    }
                }
                func += 2;
            }
        }
    });
}

#[test]
fn integer_unary_ops_and_moves() {
    type Unary = (Op, fn(i64) -> i64);
    let unary: &[Unary] = &[
        (Op::I64Mov, |x| x),
        (Op::I64Neg, |x| (-i128::from(x)) as i64),
        (Op::I64Not, |x| -1 ^ x),
        (Op::I64Clz, |x| (0..64).take_while(|bit| x as u64 & 1 << (63 - bit) == 0).count() as i64),
        (Op::I64Ctz, |x| (0..64).take_while(|bit| x as u64 & 1 << bit == 0).count() as i64),
        (Op::I64Popcnt, |x| (0..64).filter(|bit| x as u64 & 1 << bit != 0).count() as i64),
    ];
    let mut module = Builder::default();
    for (op, _) in unary {
        module.func(&format!("{op:?}"), &[I], I, &[I], code(&[(*op, &[1, 0]), (Op::RetI64, &[1])]));
    }
    let select = code(&[(Op::I64Select, &[3, 0, 1, 2]), (Op::RetI64, &[3])]);
    let select = module.func("select", &[I, I, I], I, &[I], select);
    interpret(&module.finish(), 64, &[], |instance| {
        for x in ints() {
            for (index, (op, native)) in (0..).zip(unary) {
                assert_eq!(instance.call_index(index, &[x.into()]), int(native(x)), "{op:?} {x}");
            }
            let expected = if x == 0 { 8 } else { 7 };
            assert_eq!(instance.call_index(select, &[x.into(), 7.into(), 8.into()]), int(expected));
        }
    });
}

#[test]
fn constants() {
    let mut module = Builder::default();
    let long = module.constant(0x8000_0001_7FFF_FFFE);
    let half = module.constant(0.5f64.to_bits());
    let nan = module.constant(0xFFF0_0000_0000_0001);
    for (index, literal) in [0i32, 1, -1, 65536, -65536, i32::MAX, i32::MIN].into_iter().enumerate() {
        let (low, high) = (literal as u16, (literal >> 16) as u16);
        let body = code(&[(Op::I64Const, &[0, low, high]), (Op::RetI64, &[0])]);
        module.func(&format!("i{index}"), &[], I, &[I], body);
    }
    let pool = |op, ret, at: u32| code(&[(op, &[0, at as u16, (at >> 16) as u16]), (ret, &[0])]);
    module.func("long", &[], I, &[I], pool(Op::I64ConstPool, Op::RetI64, long));
    module.func("half", &[], F, &[F], pool(Op::F64Const, Op::RetF64, half));
    module.func("not_a_number", &[], F, &[F], pool(Op::F64Const, Op::RetF64, nan));
    interpret(&module.finish(), 64, &[], |instance| {
        for (index, literal) in [0, 1, -1, 65536, -65536, 0x7FFF_FFFF, -0x8000_0000].into_iter().enumerate() {
            assert_eq!(instance.call(&format!("i{index}"), &[]), int(literal));
        }
        assert_eq!(instance.call("long", &[]), int(-9223372030412324866));
        assert_eq!(instance.call("half", &[]), Ok(Some(Value::F64(0.5))));
        assert_eq!(instance.call("not_a_number", &[]).unwrap().map(Value::bits), Some(CANONICAL));
    });
}

fn same(found: Result<Option<Value>, CallError>, expected: f64, what: &str) {
    let found = found.unwrap().and_then(Value::f64).unwrap();
    let bits = if expected.is_nan() { CANONICAL } else { expected.to_bits() };
    assert_eq!(found.to_bits(), bits, "{what}: {found:?}, expected {expected:?}");
}

/// The lesser by IEEE's total order, in which -0 lies below +0.
fn native_min(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { std::cmp::min_by(x, y, f64::total_cmp) }
}

fn native_max(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { std::cmp::max_by(x, y, f64::total_cmp) }
}

#[test]
fn float_ops() {
    type Unary = (Op, fn(f64) -> f64);
    type Binary = (Op, fn(f64, f64) -> f64);
    let unary: &[Unary] = &[
        (Op::F64Mov, |x| x),
        (Op::F64Neg, |x| -x),
        (Op::F64Abs, f64::abs),
        (Op::F64Sqrt, f64::sqrt),
        (Op::F64Floor, f64::floor),
        (Op::F64Ceil, f64::ceil),
        (Op::F64Trunc, f64::trunc),
        (Op::F64Nearest, f64::round_ties_even),
    ];
    let binary: &[Binary] = &[
        (Op::F64Add, |x, y| x + y),
        (Op::F64Sub, |x, y| x - y),
        (Op::F64Mul, |x, y| x * y),
        (Op::F64Div, |x, y| x / y),
        (Op::F64Min, native_min),
        (Op::F64Max, native_max),
        (Op::F64Copysign, |x, y| x.copysign(if y.is_nan() { 1.0 } else { y })),
    ];
    let mut module = Builder::default();
    for (op, _) in unary {
        module.func(&format!("{op:?}"), &[F], F, &[F], code(&[(*op, &[1, 0]), (Op::RetF64, &[1])]));
    }
    for (op, _) in binary {
        module.func(&format!("{op:?}"), &[F, F], F, &[F], code(&[(*op, &[2, 0, 1]), (Op::RetF64, &[2])]));
    }
    let fma = module.func("fma", &[F, F, F], F, &[F], code(&[(Op::F64Fma, &[3, 0, 1, 2]), (Op::RetF64, &[3])]));
    let select = code(&[(Op::F64Select, &[3, 0, 1, 2]), (Op::RetF64, &[3])]);
    let select = module.func("select", &[I, F, F], F, &[F], select);
    interpret(&module.finish(), 64, &[], |instance| {
        for x in floats() {
            for (index, (op, native)) in (0..).zip(unary) {
                same(instance.call_index(index, &[x.into()]), native(x), &format!("{op:?} {x:?}"));
            }
            for y in floats() {
                for (index, (op, native)) in (unary.len() as u16..).zip(binary) {
                    let found = instance.call_index(index, &[x.into(), y.into()]);
                    same(found, native(x, y), &format!("{op:?} {x:?} {y:?}"));
                }
                same(instance.call_index(select, &[0.into(), x.into(), y.into()]), y, "select");
                same(instance.call_index(select, &[2.into(), x.into(), y.into()]), x, "select");
                for z in floats().into_iter().step_by(3) {
                    let found = instance.call_index(fma, &[x.into(), y.into(), z.into()]);
                    same(found, x.mul_add(y, z), &format!("fma {x:?} {y:?} {z:?}"));
                }
            }
        }
    });
}

/// Sums whose exact value lies beside or on a tie, so that rounding twice gives another result.
#[test]
fn fma_rounds_once() {
    let mut module = Builder::default();
    module.func("fma", &[F, F, F], F, &[F], code(&[(Op::F64Fma, &[3, 0, 1, 2]), (Op::RetF64, &[3])]));
    interpret(&module.finish(), 64, &[], |instance| {
        let mut random = Random(3);
        for _ in 0..20_000 {
            // Few bits set make ties frequent; all exponents but those of infinities occur.
            let mut operand = || {
                let fraction = random.next() & random.next() & 0x800F_FFFF_FFFF_FFFF;
                f64::from_bits(fraction | (random.next() % 2047) << 52)
            };
            let (x, y) = (operand(), operand());
            let near = x * y * f64::from_bits((1023 - 60 + random.next() % 120) << 52);
            for z in [near, -near, -(x * y), f64::from_bits(random.next())] {
                let found = instance.call_index(0, &[x.into(), y.into(), z.into()]);
                same(found, x.mul_add(y, z), &format!("fma {x:?} {y:?} {z:?}"));
            }
        }
    });
}

#[test]
fn float_comparisons_and_branches() {
    type Compare = (Op, Op, fn(f64, f64) -> bool);
    let compare: &[Compare] = &[
        (Op::F64Eq, Op::BrF64Eq, |x, y| x == y),
        (Op::F64Ne, Op::BrF64Ne, |x, y| x != y),
        (Op::F64Lt, Op::BrF64Lt, |x, y| x < y),
        (Op::F64Le, Op::BrF64Le, |x, y| x <= y),
        (Op::F64Gt, Op::BrF64Gt, |x, y| x > y),
        (Op::F64Ge, Op::BrF64Ge, |x, y| x >= y),
    ];
    let mut module = Builder::default();
    for (op, br, _) in compare {
        module.func(&format!("{op:?}"), &[F, F], I, &[I], code(&[(*op, &[2, 0, 1]), (Op::RetI64, &[2])]));
        for (form, body) in branch(*br, &[0, 1], 2).into_iter().enumerate() {
            module.func(&format!("{br:?}{form}"), &[F, F], I, &[I], body);
        }
    }
    interpret(&module.finish(), 64, &[], |instance| {
        for x in floats() {
            for y in floats() {
                for (index, (op, _, native)) in (0..).zip(compare) {
                    let args = [x.into(), y.into()];
                    let taken = native(x, y);
                    assert_eq!(instance.call_index(3 * index, &args), int(taken.into()), "{op:?} {x:?} {y:?}");
                    for form in 1..3 {
                        let expected = int(if taken { 1 } else { 2 });
                        assert_eq!(instance.call_index(3 * index + form, &args), expected, "br {op:?} {x:?} {y:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn conversions() {
    let mut module = Builder::default();
    module.func("to_f64", &[I], F, &[F], code(&[(Op::I64ToF64, &[1, 0]), (Op::RetF64, &[1])]));
    module.func("to_i64", &[F], I, &[I], code(&[(Op::F64ToI64, &[1, 0]), (Op::RetI64, &[1])]));
    module.func("bits", &[F], I, &[I], code(&[(Op::F64Bits, &[1, 0]), (Op::RetI64, &[1])]));
    module.func("from_bits", &[I], F, &[F], code(&[(Op::F64FromBits, &[1, 0]), (Op::RetF64, &[1])]));
    // A NaN that was never canonical: from bits, negated, and back.
    let round = code(&[(Op::F64FromBits, &[2, 0]), (Op::F64Neg, &[2, 2]), (Op::F64Bits, &[1, 2]), (Op::RetI64, &[1])]);
    module.func("round", &[I], I, &[I, F], round);
    let sign = code(&[
        (Op::F64FromBits, &[1, 0]),
        (Op::F64ToI64, &[0, 1]),
        (Op::I64ToF64, &[2, 0]),
        (Op::I64AddK, &[0, 0, 1]),
        (Op::I64ToF64, &[2, 0]),
        (Op::F64Copysign, &[2, 2, 1]),
        (Op::RetF64, &[2]),
    ]);
    module.func("sign", &[I], F, &[F, F], sign);
    interpret(&module.finish(), 64, &[], |instance| {
        for x in ints() {
            same(instance.call("to_f64", &[x.into()]), x as f64, "to_f64");
            same(instance.call("from_bits", &[x.into()]), f64::from_bits(x as u64), "from_bits");
        }
        for x in floats() {
            let expected = if x.is_nan() { CANONICAL } else { x.to_bits() };
            assert_eq!(instance.call("bits", &[x.into()]), int(expected as i64));
        }
        let limits = [
            (f64::NAN, 0),
            (f64::INFINITY, i64::MAX),
            (f64::NEG_INFINITY, i64::MIN),
            (9223372036854775808.0, i64::MAX),
            (9223372036854774784.0, 9223372036854774784),
            (-9223372036854775808.0, i64::MIN),
            (-9223372036854777856.0, i64::MIN),
            (-0.9, 0),
            (1.9999999999999998, 1),
            (-2.5, -2),
            (5e-324, 0),
        ];
        for (x, expected) in limits {
            assert_eq!(instance.call("to_i64", &[x.into()]), int(expected), "{x:?}");
        }
        for nan in [0x7FF0_0000_0000_0001u64, 0xFFF8_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, CANONICAL] {
            assert_eq!(instance.call("round", &[(nan as i64).into()]), int(CANONICAL as i64));
            same(instance.call("sign", &[(nan as i64).into()]), 1.0, "sign");
        }
    });
}
