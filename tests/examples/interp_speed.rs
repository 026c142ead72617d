//! How fast the interpreter runs three kernels, beside the same loops as rustc compiles them.
#[path = "../tests/support/mod.rs"]
mod support;

use opstamp::vm3::op::Op;
use opstamp::{TypeId, Value};
use std::hint::black_box;
use std::time::Instant;
use support::{Builder, code, interpret};

const I: TypeId = TypeId::I64;
const F: TypeId = TypeId::F64;

fn sum_loop(n: i64) -> i64 {
    let (mut s, mut i) = (0i64, 0i64);
    while i < n {
        s = s.wrapping_add(i ^ (s << 1));
        i += 1;
    }
    s
}

fn fib(n: i64) -> i64 {
    if n < 2 { n } else { fib(n - 1).wrapping_add(fib(n - 2)) }
}

fn escape(cx: f64, cy: f64, max: i64) -> i64 {
    let (mut x, mut y, mut i) = (0.0f64, 0.0f64, 0);
    while i < max {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            break;
        }
        y = x * y;
        y = y + y + cy;
        x = xx - yy + cx;
        i += 1;
    }
    i
}

fn time<R>(run: impl Fn() -> R) -> (f64, R) {
    let mut best = f64::INFINITY;
    let mut result = black_box(run());
    for _ in 0..5 {
        let start = Instant::now();
        result = black_box(run());
        best = best.min(start.elapsed().as_secs_f64());
    }
    (best, result)
}

fn main() {
    let mut module = Builder::default();
    let four = module.constant(4.0f64.to_bits()) as u16;
    let sum = code(&[
        (Op::BrI64LeK, &[0, 0, 6]),
        (Op::I64ShlK, &[3, 2, 1]),
        (Op::I64Xor, &[3, 1, 3]),
        (Op::I64Add, &[2, 2, 3]),
        (Op::I64AddK, &[1, 1, 1]),
        (Op::BrI64Lt, &[1, 0, 1]),
        (Op::RetI64, &[2]),
    ]);
    module.func("sum", &[I], I, &[I, I, I], sum);
    let fib_rec = code(&[
        (Op::BrI64LtK, &[0, 2, 7]),
        (Op::I64SubK, &[1, 0, 1]),
        (Op::CallI64, &[1, 1, 1]),
        (Op::I64SubK, &[2, 0, 2]),
        (Op::CallI64, &[2, 1, 2]),
        (Op::I64Add, &[1, 1, 2]),
        (Op::RetI64, &[1]),
        (Op::RetI64, &[0]),
    ]);
    module.func("fib", &[I], I, &[I, I], fib_rec);
    // cx cy max | i | x y xx yy t four
    let escape_ops = code(&[
        (Op::F64Const, &[9, four, 0]),
        (Op::BrI64LeK, &[2, 0, 13]),
        (Op::F64Mul, &[6, 4, 4]),
        (Op::F64Mul, &[7, 5, 5]),
        (Op::F64Add, &[8, 6, 7]),
        (Op::BrF64Gt, &[8, 9, 13]),
        (Op::F64Mul, &[5, 4, 5]),
        (Op::F64Add, &[5, 5, 5]),
        (Op::F64Add, &[5, 5, 1]),
        (Op::F64Sub, &[4, 6, 7]),
        (Op::F64Add, &[4, 4, 0]),
        (Op::I64AddK, &[3, 3, 1]),
        (Op::BrI64Lt, &[3, 2, 2]),
        (Op::RetI64, &[3]),
    ]);
    module.func("escape", &[F, F, I], I, &[I, F, F, F, F, F, F], escape_ops);
    interpret(&module.finish(), 4096, &[], |instance| {
        let instance = std::cell::RefCell::new(instance);
        let call = |name: &str, args: &[Value]| instance.borrow_mut().call(name, args).unwrap().unwrap();
        let report = |name: &str, ops: f64, guest: (f64, Value), native: (f64, i64)| {
            assert_eq!(guest.1, Value::I64(native.1));
            let ns = guest.0 / ops * 1e9;
            println!("{name:8} {:.3} s, {ns:.2} ns an op, {:.1} times native", guest.0, guest.0 / native.0);
        };
        let n = 20_000_000;
        report("sum", 5.0 * n as f64, time(|| call("sum", &[n.into()])), time(|| sum_loop(black_box(n))));
        let calls = 2.0 * fib(33) as f64;
        report("fib", 4.5 * calls, time(|| call("fib", &[32.into()])), time(|| fib(black_box(32))));
        let (cx, cy, n) = (-0.1, 0.1, 10_000_000);
        report(
            "escape",
            11.0 * n as f64,
            time(|| call("escape", &[cx.into(), cy.into(), n.into()])),
            time(|| escape(black_box(cx), black_box(cy), black_box(n))),
        );
    });
}
