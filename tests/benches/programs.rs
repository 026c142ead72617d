//! The numeric programs of `tests/programs`: native Rust against machine code against the interpreter, in one process, in
//! turns, with the same function and arguments, which must give the same result.
//!
//! `cargo bench -p opstamp-tests --bench programs -- [--filter NAME] [--rounds N] [--json FILE] [--no-interpreter]
//! [--listing]`; `--listing` prints the machine code of the programs instead.

#[expect(clippy::all, dead_code, reason = "a table that more than one user reads")]
mod kernels;
mod listing;
mod support;

use kernels::{KERNELS, Kernel, Value as Native};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value, jit};
use opstamp_platform::HostCode;
use serde_json::json;
use support::{Options, Spread, assemble, geometric_mean, programs_dir, timed};

const STACK_WORDS: usize = 1 << 20;
const NATIVE_STACK: usize = 16 << 20;

/// The times of a kernel, in nanoseconds, one of each a round.
#[derive(Default)]
struct Times {
    native: Vec<f64>,
    machine: Vec<f64>,
    interpreter: Vec<f64>,
    cycle: Vec<f64>,
}

fn main() {
    let options = Options::read(5);
    let thread = std::thread::Builder::new().stack_size(4 * NATIVE_STACK);
    thread.spawn(move || run(&options)).expect("a thread").join().expect("the benchmark ends");
}

fn run(options: &Options) {
    println!(
        "{:<15} {:>8} {:>15} {:>8} {:>9} {:>9} {:>9} {:>7}",
        "kernel", "jit/nat", "quartiles", "int/nat", "int/jit", "native ms", "iters", "cyc/it"
    );
    let mut rows = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| options.wants(kernel.file)) {
        measure(kernel, options, &mut rows);
    }
    let counted: Vec<_> = rows.iter().filter(|r| !r.void).collect();
    let mean = |f: fn(&Row) -> f64| geometric_mean(counted.iter().map(|r| f(r))).unwrap_or(f64::NAN);
    println!(
        "geometric means of {}: {:.3} {:.2} {:.2}",
        counted.len(),
        mean(|r| r.jit.median),
        mean(|r| r.int.median),
        mean(|r| r.int_jit.median)
    );
}

struct Row {
    void: bool,
    jit: Spread,
    int: Spread,
    int_jit: Spread,
}

fn measure(kernel: &Kernel, options: &Options, rows: &mut Vec<Row>) {
    let path = programs_dir().join(kernel.file).with_extension("vm3");
    let source = std::fs::read_to_string(&path).expect("source");
    let words = assemble(kernel.file, &source);
    let mut scratch = vec![0; Module::scratch_words(&words).expect("a container")];
    let module = Module::verify(&words, &mut scratch).expect("verifies");
    let features = opstamp_platform::features();
    if options.listing {
        listing::print(&module, kernel.function, features);
        return;
    }
    let entries = || -> Vec<Entry> { (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect() };
    let (mut f1, mut f2) = (entries(), entries());
    let mut code = HostCode::new(1 << 20).expect("code");
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let jopts = jit::Options { features, ..Default::default() };
    let machine = Engine::machine_code(module, &mut f1, &mut code, &mut scratch, &jopts).expect("compiles");
    let interp = Engine::interpreter(module, &mut f2).expect("interp");
    let (mut s1, mut s2) = (vec![0; STACK_WORDS], vec![0; STACK_WORDS]);
    let (mut g1, mut g2) = (vec![0; 64], vec![0; 64]);
    let imports = opstamp_tests::host::imports();
    let mut machine = Instance::new(
        &machine,
        InstanceMemory { stack: &mut s1, state: &mut g1, native_stack: NATIVE_STACK },
        &imports,
    )
    .expect("instance");
    let mut interp =
        Instance::new(&interp, InstanceMemory { stack: &mut s2, state: &mut g2, native_stack: NATIVE_STACK }, &imports)
            .expect("instance");
    let index = module.func_index(kernel.function).expect("function");
    let sizes = if options.measure { kernel.bench } else { kernel.main };
    let values: Vec<Value> = sizes.iter().map(|&x| Value::I64(x)).collect();
    let rounds = if options.measure { options.rounds } else { 1 };
    let mut t = Times::default();
    for _ in 0..rounds {
        let args: Vec<i64> = sizes.iter().map(|x| unsafe { core::ptr::read_volatile(x) }).collect();
        let (n, wanted) = timed(|| (kernel.run)(&args));
        let wanted = match wanted {
            Native::I64(x) => Value::I64(x),
            Native::F64(x) => Value::F64(x),
        };
        let (m, found) = timed(|| machine.call_index(index, &values));
        let found = found.expect("no trap").expect("result");
        assert!(opstamp_tests::driver::same(wanted, found), "{} {wanted:?} {found:?}", kernel.file);
        let i = if options.no_interpreter {
            m
        } else {
            let (i, found) = timed(|| interp.call_index(index, &values));
            let found = found.expect("no trap").expect("result");
            assert!(opstamp_tests::driver::same(wanted, found), "{} {wanted:?} {found:?}", kernel.file);
            i
        };
        t.native.push(n);
        t.machine.push(m);
        t.interpreter.push(i);
    }
    let ratio = |a: &[f64], b: &[f64]| Spread::of(a.iter().zip(b).map(|(a, b)| a / b));
    let (jit, int, int_jit) =
        (ratio(&t.machine, &t.native), ratio(&t.interpreter, &t.native), ratio(&t.interpreter, &t.machine));
    let native = Spread::of(t.native.iter().copied()).median;
    println!(
        "{:<15} {:>8.3} {:>7.3}-{:<7.3} {:>8.2} {:>9.2} {:>9.1}",
        kernel.file,
        jit.median,
        jit.low,
        jit.high,
        int.median,
        int_jit.median,
        native / 1e6
    );
    rows.push(Row { void: false, jit, int, int_jit });
}
