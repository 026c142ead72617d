//! How fast the interpreter runs the numeric programs of `tests/programs`, beside the same loops as rustc compiles them.

#[allow(dead_code, reason = "the sizes of `main` are for the suite")]
#[path = "../benches/kernels.rs"]
mod kernels;
#[path = "../tests/support/mod.rs"]
mod support;

use opstamp::Value;
use std::hint::black_box;
use std::time::Instant;
use support::{assemble, interpret};

/// The least of several runs, in seconds, and the result.
fn time<R>(mut run: impl FnMut() -> R) -> (f64, R) {
    let mut best = f64::INFINITY;
    loop {
        let start = Instant::now();
        let result = black_box(run());
        let elapsed = start.elapsed().as_secs_f64();
        if elapsed >= best {
            return (best, result);
        }
        best = elapsed;
    }
}

fn main() {
    let only = std::env::args().nth(1);
    let (mut product, mut count) = (0.0, 0);
    for kernel in kernels::KERNELS {
        if only.as_ref().is_some_and(|only| only != kernel.file) {
            continue;
        }
        let path = format!("{}/programs/{}.vm3", env!("CARGO_MANIFEST_DIR"), kernel.file);
        let words = assemble(&std::fs::read_to_string(path).expect("a program"));
        let args: Vec<Value> = kernel.bench.iter().map(|&arg| arg.into()).collect();
        let (native, expected) = time(|| (kernel.run)(black_box(kernel.bench)));
        let (interpreted, found) = interpret(&words, 1 << 17, &[], |instance| {
            time(|| instance.call(kernel.function, &args).expect("a result").expect("a value"))
        });
        let same = match expected {
            kernels::Value::I64(value) => Value::I64(value).bits() == found.bits(),
            kernels::Value::F64(value) => Value::F64(value).bits() == found.bits(),
        };
        assert!(same, "{}: {found:?}, expected {expected:?}", kernel.file);
        let ratio = interpreted / native;
        println!("{:16} {native:.4} s native, {interpreted:.4} s interpreted, {ratio:.1} times", kernel.file);
        product += ratio.ln();
        count += 1;
    }
    println!("geometric mean {:.2} times", (product / f64::from(count)).exp());
}
