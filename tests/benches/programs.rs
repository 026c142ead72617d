//! The numeric programs of `tests/programs`: native Rust, machine code and the interpreter, in turns in one process, with
//! the same function and arguments, whose results must be equal.
//!
//! ```text
//! cargo bench -p opstamp-tests --bench programs -- [--filter NAME] [--rounds N] [--json FILE] [--no-interpreter] [--listing]
//!     [--callgrind]
//! ```
//!
//! `--listing` prints the machine code of the programs instead, `--callgrind` counts instructions by valgrind, with the
//! sizes of the programs' own `main`. Native code is what rustc makes for the target at hand,
//! x86-64's baseline unless `RUSTFLAGS` say otherwise; machine code uses every feature of the CPU.
//!
//! Times are of this thread's processor time. An iteration is an entry of a function or a passage of a loop's head, as
//! [`count`] has the program count them. A row whose native code needs less than a cycle an iteration is *void* and in
//! no mean: there the native compiler has done away with the work. A cycle is measured beside it, as a chain of additions.

mod callgrind;
mod count;
mod kernels;
mod listing;
mod support;

use kernels::{KERNELS, Kernel, Value as Native};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value, jit};
use opstamp_platform::HostCode;
use opstamp_tests::driver::same;
use serde_json::json;
use std::arch::asm;
use std::hint::black_box;
use support::{Options, Spread, assemble, programs_dir, timed};

/// Words of VM stack of an instance: what programs expect.
const STACK_WORDS: usize = (1 << 20) / 8;
/// Bytes of native stack that an instance is promised. Native kernels recurse too.
const NATIVE_STACK: usize = 2 << 20;
const THREAD_STACK: usize = 64 << 20;
/// Bytes of code memory for one program.
const WINDOW: usize = 1 << 20;
/// Fewer native cycles an iteration make a row void: less than one, by more than the measurement may err.
const VOID_BELOW: f64 = 0.9;

const FLAGS: &[&str] = &[
    "no-interpreter",
    "listing",
    "callgrind",
    callgrind::NOTHING,
    callgrind::NATIVE,
    callgrind::MACHINE_CODE,
    callgrind::INTERPRETER,
];

fn main() {
    let options = Options::read(9, FLAGS, &[]);
    let thread = std::thread::Builder::new().stack_size(THREAD_STACK).spawn(move || run(&options));
    if thread.expect("a thread").join().is_err() {
        std::process::exit(1);
    }
}

fn run(options: &Options) {
    let kernels = KERNELS.iter().filter(|kernel| options.wants(kernel.file));
    if options.has("listing") {
        kernels.for_each(list);
        return;
    }
    if let Some(part) = FLAGS.iter().filter(|flag| flag.starts_with("once-")).find(|flag| options.has(flag)) {
        kernels.for_each(|kernel| run_once(kernel, part));
        return;
    }
    if options.has("callgrind") {
        print_instructions(kernels, options);
        return;
    }
    println!(
        "{:<15} {:>9} {:>13} {:>9} {:>13} {:>9} {:>13} {:>10} {:>11} {:>7} {:>9}",
        "kernel",
        "mc/native",
        "quartiles",
        "in/native",
        "quartiles",
        "in/mc",
        "quartiles",
        "native ms",
        "iterations",
        "ns/it",
        "cycles/it"
    );
    let rows: Vec<Row> = kernels.map(|kernel| measure(kernel, options)).inspect(Row::print).collect();
    let counted: Vec<&Row> = rows.iter().filter(|row| !row.is_void()).collect();
    let machine_code = geometric_mean(counted.iter().map(|row| row.machine_code.median));
    let interpreter = geometric_mean(counted.iter().filter_map(|row| Some(row.interpreter?.median)));
    let between = geometric_mean(counted.iter().filter_map(|row| Some(row.between?.median)));
    let show = |mean: Option<f64>| mean.map_or("-".into(), |mean| format!("{mean:.3}"));
    println!(
        "geometric means of {} of {} programs: machine code/native {}, interpreter/native {}, interpreter/machine code {}",
        counted.len(),
        rows.len(),
        show(machine_code),
        show(interpreter),
        show(between)
    );
    options.write_json(&json!({
        "rounds": options.rounds,
        "kernels": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "geometric_means": {
            "machine_code_to_native": machine_code,
            "interpreter_to_native": interpreter,
            "interpreter_to_machine_code": between,
        },
    }));
}

/// The geometric mean; `None` of nothing.
fn geometric_mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = numbers.map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}

/// What was measured of a kernel.
struct Row {
    name: &'static str,
    iterations: i64,
    /// Nanoseconds.
    native: Spread,
    /// Native cycles an iteration.
    cycles: Spread,
    /// Time over that of native code.
    machine_code: Spread,
    interpreter: Option<Spread>,
    /// The interpreter's time over that of machine code.
    between: Option<Spread>,
}

impl Row {
    fn is_void(&self) -> bool {
        self.cycles.median < VOID_BELOW
    }

    fn print(&self) {
        let show = |ratio: Option<Spread>| {
            ratio.map_or(("-".into(), "-".into()), |ratio| (format!("{:.3}", ratio.median), ratio.quartiles()))
        };
        let (interpreter, between) = (show(self.interpreter), show(self.between));
        println!(
            "{:<15} {:>9.3} {:>13} {:>9} {:>13} {:>9} {:>13} {:>10.2} {:>11} {:>7.2} {:>9.2}{}",
            self.name,
            self.machine_code.median,
            self.machine_code.quartiles(),
            interpreter.0,
            interpreter.1,
            between.0,
            between.1,
            self.native.median / 1e6,
            self.iterations,
            self.native.median / self.iterations as f64,
            self.cycles.median,
            if self.is_void() { " void" } else { "" }
        );
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "void": self.is_void(),
            "iterations": self.iterations,
            "native_ns": self.native.json(),
            "native_cycles_per_iteration": self.cycles.json(),
            "machine_code_to_native": self.machine_code.json(),
            "interpreter_to_native": self.interpreter.map(|ratio| ratio.json()),
            "interpreter_to_machine_code": self.between.map(|ratio| ratio.json()),
        })
    }
}

fn measure(kernel: &Kernel, options: &Options) -> Row {
    let sizes = if options.measure { kernel.bench } else { kernel.main };
    let source = source(kernel);
    let mut machine_code = Guest::new(kernel, &source, true);
    let mut interpreter = (!options.has("no-interpreter")).then(|| Guest::new(kernel, &source, false));

    let wanted = native(kernel, sizes);
    let iterations = iterations(kernel, &source, sizes, wanted);
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..options.rounds {
        let (native, result) = timed(|| native(kernel, sizes));
        assert!(same(result, wanted), "{}: native code gives {wanted:?}, then {result:?}", kernel.file);
        let (machine_code, ()) = timed(|| machine_code.check(sizes, wanted));
        let interpreter = interpreter.as_mut().map(|interpreter| timed(|| interpreter.check(sizes, wanted)).0);
        for (times, time) in times.iter_mut().zip([Some(native), Some(machine_code), interpreter, Some(cycle())]) {
            times.extend(time);
        }
    }
    let [native, machine_code, interpreter, cycle] = &times;
    let some = |ratio: &dyn Fn() -> Spread| (!interpreter.is_empty()).then(ratio);
    Row {
        name: kernel.file,
        iterations,
        native: Spread::of(native.iter().copied()),
        cycles: Spread::of(native.iter().zip(cycle).map(|(time, cycle)| time / cycle / iterations as f64)),
        machine_code: Spread::of_ratios(machine_code, native),
        interpreter: some(&|| Spread::of_ratios(interpreter, native)),
        between: some(&|| Spread::of_ratios(interpreter, machine_code)),
    }
}

/// The iterations of a run, which must give this.
fn iterations(kernel: &Kernel, source: &str, sizes: &[i64], wanted: Value) -> i64 {
    let mut counter = Guest::new(kernel, &count::counting(source), true);
    counter.check(sizes, wanted);
    counter.instance.global(0).and_then(Value::i64).expect("the counter")
}

/// Runs one part of a kernel under valgrind; what all parts prepare is the same.
fn run_once(kernel: &Kernel, part: &str) {
    let source = source(kernel);
    let mut machine_code = Guest::new(kernel, &source, true);
    let mut interpreter = Guest::new(kernel, &source, false);
    let args: Vec<Value> = kernel.main.iter().map(|&size| Value::I64(size)).collect();
    let run = |guest: &mut Guest| {
        let _ = black_box(guest.instance.call_index(guest.function, &args));
    };
    match part {
        callgrind::NATIVE => {
            black_box(native(kernel, kernel.main));
        }
        callgrind::MACHINE_CODE => run(&mut machine_code),
        callgrind::INTERPRETER => run(&mut interpreter),
        _ => {}
    }
}

fn print_instructions<'k>(kernels: impl Iterator<Item = &'k Kernel>, options: &Options) {
    println!(
        "instructions    {:>10} {:>12} {:>12} {:>9} {:>9}",
        "native/it", "mach.code/it", "interpr./it", "mc/native", "in/native"
    );
    for kernel in kernels {
        let iterations = iterations(kernel, &source(kernel), kernel.main, native(kernel, kernel.main)) as f64;
        let start = callgrind::instructions(kernel.file, callgrind::NOTHING);
        let count = |part| callgrind::instructions(kernel.file, part).saturating_sub(start) as f64 / iterations;
        let (native, machine_code) = (count(callgrind::NATIVE), count(callgrind::MACHINE_CODE));
        let interpreter = if options.has("no-interpreter") { f64::NAN } else { count(callgrind::INTERPRETER) };
        println!(
            "{:<15} {native:>10.2} {machine_code:>12.2} {interpreter:>12.2} {:>9.2} {:>9.2}",
            kernel.file,
            machine_code / native,
            interpreter / native
        );
    }
}

/// Runs the native kernel with sizes that the compiler does not know.
fn native(kernel: &Kernel, sizes: &[i64]) -> Value {
    // SAFETY: the pointer is a reference's.
    let sizes: Vec<i64> = sizes.iter().map(|size| unsafe { core::ptr::read_volatile(size) }).collect();
    match (kernel.run)(&sizes) {
        Native::I64(value) => Value::I64(value),
        Native::F64(value) => Value::F64(value),
    }
}

/// A kernel's program, ready to run.
struct Guest {
    kernel: &'static str,
    instance: Instance<'static>,
    function: u16,
}

impl Guest {
    /// An instance of a module in memory that it keeps until the process ends.
    fn new(kernel: &Kernel, source: &str, machine_code: bool) -> Self {
        let module = module(kernel.file, source);
        let functions = Vec::leak((0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect());
        let engine = if machine_code {
            let code = Box::leak(Box::new(HostCode::new(WINDOW).expect("code memory")));
            let options = jit::Options { features: opstamp_platform::features(), ..Default::default() };
            Engine::machine_code(module, functions, code, &mut vec![0; jit::scratch_words(&module)], &options)
        } else {
            Engine::interpreter(module, functions)
        };
        let engine = engine.unwrap_or_else(|error| panic!("{}: {error}", kernel.file));
        let memory = InstanceMemory {
            heap: &mut [],
            seed: 0,
            stack: vec![0; STACK_WORDS].leak(),
            state: vec![0; Instance::state_words(&module)].leak(),
            native_stack: NATIVE_STACK,
        };
        let instance = Instance::new(Box::leak(Box::new(engine)), memory, &[]);
        let instance = instance.unwrap_or_else(|error| panic!("{}: {error}", kernel.file));
        let function = module.func_index(kernel.function).expect("the kernel's function");
        Self { kernel: kernel.file, instance, function }
    }

    /// Runs the kernel's function, which must give this.
    fn check(&mut self, sizes: &[i64], wanted: Value) {
        let mut args = [Value::I64(0); 4];
        let args = &mut args[..sizes.len()];
        args.iter_mut().zip(sizes).for_each(|(arg, &size)| *arg = Value::I64(size));
        let found = self.instance.call_index(self.function, args);
        let equal = matches!(found, Ok(Some(found)) if same(found, wanted));
        assert!(equal, "{}: native code gives {wanted:?}, the guest {found:?}", self.kernel);
    }
}

fn source(kernel: &Kernel) -> String {
    let path = programs_dir().join(kernel.file).with_extension("vm3");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// A verified module, which stays in memory.
fn module(name: &str, source: &str) -> Module<'static> {
    let words = assemble(name, source).leak();
    let mut scratch = vec![0; Module::scratch_words(words).expect("a container")];
    Module::verify(words, &mut scratch).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Prints the machine code of every function but `main`.
fn list(kernel: &Kernel) {
    let module = module(kernel.file, &source(kernel));
    println!("{}", kernel.file);
    let main = module.func_index("main");
    for func in (0..module.func_count() as u16).filter(|&func| Some(func) != main) {
        listing::print(&module, func, opstamp_platform::features());
    }
}

/// The nanoseconds that a cycle takes now: one addition of a register in a chain of them.
fn cycle() -> f64 {
    const TURNS: u64 = 50_000;
    let (time, ()) = timed(|| {
        // SAFETY: the loop counts a register down to 0 and touches no memory.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            asm!(
                "2:", ".rept 16", "add {x}, {y}", ".endr", "dec {n}", "jnz 2b",
                x = inout(reg) 1_u64 => _, y = in(reg) 3_u64, n = inout(reg) TURNS => _, options(nomem, nostack)
            );
        }
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        unsafe {
            asm!(
                "2:", ".rept 16", "add {x}, {x}, {y}", ".endr", "subs {n}, {n}, #1", "b.ne 2b",
                x = inout(reg) 1_u64 => _, y = in(reg) 3_u64, n = inout(reg) TURNS => _, options(nomem, nostack)
            );
        }
    });
    time / (16 * TURNS) as f64
}
