//! Two costs of running guests in a kernel: the polls at loop heads, by which guests can be stopped, and threads that share one
//! engine.
//!
//! ```text
//! cargo bench -p opstamp-tests --bench costs -- [--filter NAME] [--rounds N] [--json FILE]
//! ```
//!
//! - *polls*: machine code that polls at loop heads over machine code that does not, which is compiled for this alone.
//! - *threads*: what a call takes in each of [`THREADS`] threads at once, each with its own instance of one engine, over what
//!   it takes alone; then the same for native threads with the native kernel; and the ratio of both, which is what sharing
//!   costs beyond what the machine itself does to threads.
//!
//! Times are of each thread's own processor time, so more threads than cores do no harm; every round measures all of them,
//! and the numbers are medians of the rounds' ratios. Fails above [`POLLS`] or [`SHARED`].

#[allow(dead_code, reason = "shared with other benchmarks")]
mod kernels;
#[allow(dead_code, reason = "shared with other benchmarks")]
mod support;

use kernels::{KERNELS, Kernel, Value as Native};
use opstamp::jit::{self, Options as Compiler};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value};
use opstamp_platform::HostCode;
use opstamp_tests::driver::same;
use serde_json::json;
use std::hint::black_box;
use std::sync::Barrier;
use support::{Options, Spread, assemble, programs_dir, timed};

/// The kernels: loops with little in them, for which a poll is dear, and calls, which go through what threads share.
const NAMES: [&str; 5] = ["sum_loop", "collatz", "prime_count", "mandelbrot", "fib_rec"];
const THREADS: usize = 4;
/// The most that polls may cost, as a ratio of times.
const POLLS: f64 = 1.05;
/// The most that sharing an engine may cost threads, as a ratio of slowdowns.
const SHARED: f64 = 1.05;

const STACK_WORDS: usize = (1 << 20) / 8;
const NATIVE_STACK: usize = 2 << 20;
const THREAD_STACK: usize = 16 << 20;
const WINDOW: usize = 1 << 20;

fn main() {
    let options = Options::read(15, &[], &[]);
    let kernels = KERNELS.iter().filter(|kernel| NAMES.contains(&kernel.file) && options.wants(kernel.file));
    println!(
        "{:<12} {:>7} {:>13} {:>11} {:>11} {:>7} {:>13}",
        "kernel", "polls", "quartiles", "4 guests/1", "4 native/1", "shared", "quartiles"
    );
    let mut rows = Vec::new();
    let mut over = false;
    for kernel in kernels {
        let (sizes, wanted) = (kernel.main, run(kernel, kernel.main));
        let name = kernel.file;
        let polled = Module::verify(words(name), &mut scratch(name)).expect("verifies");
        let (with, without) = (engine(polled, true), engine(polled, false));
        let alone = |engine: &Engine<'_>| threads(1, &|meet| guest(engine, kernel, wanted, meet));
        let (mut polls, mut guests, mut natives, mut shared) = (vec![], vec![], vec![], vec![]);
        for _ in 0..options.rounds {
            let (with_polls, without_polls) = (alone(with), alone(without));
            polls.push(with_polls / without_polls);
            let guests_now = threads(THREADS, &|meet| guest(with, kernel, wanted, meet)) / with_polls;
            let native = |count| threads(count, &|meet| native(kernel, sizes, meet));
            let natives_now = native(THREADS) / native(1);
            shared.push(guests_now / natives_now);
            guests.push(guests_now);
            natives.push(natives_now);
        }
        let [polls, guests, natives, shared] = [polls, guests, natives, shared].map(Spread::of);
        let good = polls.median <= POLLS && shared.median <= SHARED;
        over |= !good;
        println!(
            "{name:<12} {:>7.3} {:>13} {:>11.3} {:>11.3} {:>7.3} {:>13}{}",
            polls.median,
            polls.quartiles(),
            guests.median,
            natives.median,
            shared.median,
            shared.quartiles(),
            if good { "" } else { " over" }
        );
        rows.push(json!({
            "name": name, "polls": polls.json(), "guests": guests.json(), "natives": natives.json(),
            "shared": shared.json(),
        }));
    }
    options.write_json(&json!({ "rounds": options.rounds, "threads": THREADS, "kernels": rows }));
    if over && options.measure {
        std::process::exit(1);
    }
}

/// The mean of the nanoseconds that `work` takes in so many threads, which it starts when all of them are ready.
fn threads(count: usize, work: &(dyn Fn(&Barrier) -> f64 + Sync)) -> f64 {
    let barrier = &Barrier::new(count);
    std::thread::scope(|scope| {
        let thread = || std::thread::Builder::new().stack_size(THREAD_STACK).spawn_scoped(scope, || work(barrier));
        let threads: Vec<_> = (0..count).map(|_| thread().expect("a thread")).collect();
        threads.into_iter().map(|thread| thread.join().expect("ends well")).sum::<f64>() / count as f64
    })
}

/// A call of an instance that is made here, which must give what is wanted.
fn guest(engine: &Engine<'_>, kernel: &Kernel, wanted: Value, meet: &Barrier) -> f64 {
    let module = engine.module();
    let function = module.func_index(kernel.function).expect("the kernel's function");
    let args: Vec<Value> = kernel.main.iter().map(|&size| Value::I64(size)).collect();
    let (mut stack, mut state) = (vec![0; STACK_WORDS], vec![0; Instance::state_words(module)]);
    let memory =
        InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack: NATIVE_STACK };
    let mut instance = Instance::new(engine, memory, &[]).expect("an instance");
    meet.wait();
    let (time, found) = timed(|| instance.call_index(function, &args));
    assert!(matches!(found, Ok(Some(found)) if same(found, wanted)), "{}: {found:?}", kernel.file);
    time
}

/// A run of the native kernel.
fn native(kernel: &Kernel, sizes: &[i64], meet: &Barrier) -> f64 {
    meet.wait();
    timed(|| run(kernel, sizes)).0
}

fn run(kernel: &Kernel, sizes: &[i64]) -> Value {
    match (kernel.run)(black_box(sizes)) {
        Native::I64(value) => Value::I64(value),
        Native::F64(value) => Value::F64(value),
    }
}

/// The container of a program. It stays in memory, as all that engines are made of here.
fn words(name: &str) -> &'static [u64] {
    let path = programs_dir().join(name).with_extension("vm3");
    let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assemble(name, &source).leak()
}

fn scratch(name: &str) -> Vec<u64> {
    vec![0; Module::scratch_words(words(name)).expect("a container")]
}

fn engine(module: Module<'static>, polls: bool) -> &'static Engine<'static> {
    let functions = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect::<Vec<_>>().leak();
    let code = Box::leak(Box::new(HostCode::new(WINDOW).expect("code memory")));
    let options = Compiler { features: opstamp_platform::features(), polls, ..Compiler::default() };
    let engine = Engine::machine_code(module, functions, code, &mut vec![0; jit::scratch_words(&module)], &options);
    Box::leak(Box::new(engine.expect("an engine")))
}
