//! The programs with a native twin: C, machine code, machine code from cold, safe Rust and the interpreter, in turns.

use crate::c::{Kernels, Level};
use crate::guest::{self, Guest, Kind, Memory, with_guest};
use crate::kernels::{HEAP_KERNELS, KERNELS, Kernel, Value as Native};
use crate::support::{Options, Spread, geometric_mean, programs_dir, timed};
use crate::{callgrind, count, field::Field, listing};
use opstamp::{Module, Value};
use opstamp_tests::driver::same;
use serde_json::json;
use std::arch::asm;
use std::hint::black_box;

/// Fewer cycles of C an iteration make a row void: less than one, by more than the measurement may err.
const VOID_BELOW: f64 = 0.9;
/// The interpreter takes part in one round of so many.
const INTERPRETED: usize = 3;

/// The flag by which this program runs one part of a kernel once, and which part that is.
pub const PARTS: [&str; 5] =
    [callgrind::NOTHING, callgrind::C, callgrind::NATIVE, callgrind::MACHINE_CODE, callgrind::INTERPRETER];

/// The kernels that are asked for: those of the field's table first, in its order.
pub fn wanted(field: &Field, options: &Options) -> Vec<&'static Kernel> {
    let all = || KERNELS.iter().chain(HEAP_KERNELS);
    let first = field.kernels.iter().map(|name| {
        all().find(|kernel| kernel.file == name).unwrap_or_else(|| panic!("field.json: there is no kernel {name}"))
    });
    let rest = all().filter(|kernel| !field.kernels.iter().any(|name| name == kernel.file));
    first.chain(rest).filter(|kernel| options.wants(kernel.file)).collect()
}

/// What was measured of a kernel.
pub struct Row {
    pub name: &'static str,
    iterations: i64,
    /// Nanoseconds of C.
    c: Spread,
    /// Cycles of C an iteration.
    cycles: Spread,
    /// Times over that of C.
    pub machine_code: Spread,
    pub tiered: Spread,
    pub native: Spread,
    /// C that is less optimized.
    pub c_o1: Spread,
    pub interpreter: Option<Spread>,
    /// The interpreter's time over that of machine code.
    between: Option<Spread>,
}

impl Row {
    pub fn is_void(&self) -> bool {
        self.cycles.median < VOID_BELOW
    }

    fn print(&self) {
        let interpreter = self.interpreter.map_or("-".into(), |ratio| ratio.cell());
        println!(
            "{:<17} {:>9.2} {:>19} {:>19} {:>19} {:>19} {:>22} {:>9.2}{}",
            self.name,
            self.c.median / 1e6,
            self.machine_code.cell(),
            self.tiered.cell(),
            self.native.cell(),
            self.c_o1.cell(),
            interpreter,
            self.cycles.median,
            if self.is_void() { " void" } else { "" }
        );
    }

    pub fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "void": self.is_void(),
            "iterations": self.iterations,
            "c_ns": self.c.json(),
            "c_cycles_per_iteration": self.cycles.json(),
            "machine_code_to_c": self.machine_code.json(),
            "tiered_to_c": self.tiered.json(),
            "rust_to_c": self.native.json(),
            "c_o1_to_c": self.c_o1.json(),
            "interpreter_to_c": self.interpreter.map(|ratio| ratio.json()),
            "interpreter_to_machine_code": self.between.map(|ratio| ratio.json()),
        })
    }
}

/// Measures and prints the kernels.
pub fn measure(wanted: &[&'static Kernel], options: &Options) -> Vec<Row> {
    println!(
        "time over that of C: medians (quartiles) of {} rounds\n{:<17} {:>9} {:>19} {:>19} {:>19} {:>19} {:>22} {:>9}",
        options.rounds,
        "",
        "C, ms",
        "machine code",
        "tiered, from cold",
        "safe Rust",
        "C by -O1",
        "interpreter",
        "cycles/it"
    );
    let c = [Level::O2, Level::O1].map(Kernels::compile);
    wanted.iter().map(|kernel| measure_kernel(kernel, &c, options)).inspect(Row::print).collect()
}

/// Prints and gives the geometric means of what is not void.
pub fn means<'r>(what: &str, rows: impl IntoIterator<Item = &'r Row>) -> serde_json::Value {
    let rows: Vec<&Row> = rows.into_iter().filter(|row| !row.is_void()).collect();
    let mean =
        |of: &dyn Fn(&Row) -> Option<Spread>| geometric_mean(rows.iter().filter_map(|row| Some(of(row)?.median)));
    let machine_code = mean(&|row| Some(row.machine_code));
    let tiered = mean(&|row| Some(row.tiered));
    let native = mean(&|row| Some(row.native));
    let interpreter = mean(&|row| row.interpreter);
    let between = mean(&|row| row.between);
    let show = |mean: Option<f64>| mean.map_or("-".into(), |mean| format!("{mean:.3}"));
    println!(
        "geometric means of {what} ({}): machine code {}, tiered {}, safe Rust {}, interpreter {}; interpreter over \
         machine code {}",
        rows.len(),
        show(machine_code),
        show(tiered),
        show(native),
        show(interpreter),
        show(between)
    );
    json!({
        "programs": rows.len(),
        "machine_code_to_c": machine_code,
        "tiered_to_c": tiered,
        "rust_to_c": native,
        "interpreter_to_c": interpreter,
        "interpreter_to_machine_code": between,
    })
}

fn measure_kernel(kernel: &Kernel, [c, c_o1]: &[Kernels; 2], options: &Options) -> Row {
    let sizes = if options.measure { kernel.bench } else { kernel.main };
    let source = source(kernel);
    let module = guest::module(kernel.file, &source);
    let found = run_native(kernel, sizes);
    let run_c = || like(found, c.run(kernel.file, &opaque(sizes)));
    let run_c_o1 = || like(found, c_o1.run(kernel.file, &opaque(sizes)));
    let wanted = run_c();
    assert!(same(found, wanted), "{}: C gives {wanted:?}, Rust {found:?}", kernel.file);
    let iterations = iterations(kernel, &source, sizes, wanted);
    let [mut fast, mut cold, mut slow] = [(); 3].map(|()| Memory::new(&module));
    let function = kernel.function;
    let mut times = [const { Vec::new() }; 6];
    let mut between = Vec::new();
    let mut interpreted = Vec::new();
    with_guest(module, function, &mut fast, Kind::MachineCode, |machine_code| {
        with_guest(module, function, &mut slow, Kind::Interpreter, |interpreter| {
            check(kernel, machine_code, sizes, wanted);
            for round in 0..options.rounds {
                let (in_c, result) = timed(run_c);
                assert!(same(result, wanted), "{}: C gives {wanted:?}, then {result:?}", kernel.file);
                let (fast, ()) = timed(|| check(kernel, machine_code, sizes, wanted));
                cold.renew_code();
                let (tiered, ()) = with_guest(module, function, &mut cold, Kind::Tiered, |guest| {
                    timed(|| check(kernel, guest, sizes, wanted))
                });
                let (native, result) = timed(|| run_native(kernel, sizes));
                assert!(same(result, wanted), "{}: C gives {wanted:?}, Rust {result:?}", kernel.file);
                let (in_c_o1, result) = timed(run_c_o1);
                assert!(same(result, wanted), "{}: C gives {wanted:?}, unoptimized {result:?}", kernel.file);
                for (times, time) in times.iter_mut().zip([in_c, fast, tiered, native, in_c_o1, cycle()]) {
                    times.push(time);
                }
                if !options.has("no-interpreter") && round % INTERPRETED == 0 {
                    let (slow, ()) = timed(|| check(kernel, interpreter, sizes, wanted));
                    interpreted.push(slow / in_c);
                    between.push(slow / fast);
                }
            }
        });
    });
    let [in_c, machine_code, tiered, native, in_c_o1, cycle] = &times;
    let some = |ratios: Vec<f64>| (!ratios.is_empty()).then(|| Spread::of(ratios));
    Row {
        name: kernel.file,
        iterations,
        c: Spread::of(in_c.iter().copied()),
        cycles: Spread::of(in_c.iter().zip(cycle).map(|(time, cycle)| time / cycle / iterations as f64)),
        machine_code: Spread::of_ratios(machine_code, in_c),
        tiered: Spread::of_ratios(tiered, in_c),
        native: Spread::of_ratios(native, in_c),
        c_o1: Spread::of_ratios(in_c_o1, in_c),
        interpreter: some(interpreted),
        between: some(between),
    }
}

/// Runs the kernel's function, which must give this.
fn check(kernel: &Kernel, guest: &mut Guest<'_>, sizes: &[i64], wanted: Value) {
    let found = guest.run(sizes);
    let equal = matches!(found, Ok(Some(found)) if same(found, wanted));
    assert!(equal, "{}: C gives {wanted:?}, the guest {found:?}", kernel.file);
}

/// The iterations of a run, which must give this.
fn iterations(kernel: &Kernel, source: &str, sizes: &[i64], wanted: Value) -> i64 {
    let module = guest::module(kernel.file, &count::counting(source));
    let mut memory = Memory::new(&module);
    with_guest(module, kernel.function, &mut memory, Kind::MachineCode, |counter| {
        check(kernel, counter, sizes, wanted);
        counter.instance.global(0).and_then(Value::i64).expect("the counter")
    })
}

/// Runs one part of a kernel under valgrind; what all parts prepare is the same.
pub fn run_once(kernel: &Kernel, part: &str) {
    let module = guest::module(kernel.file, &source(kernel));
    let c = Kernels::load(Level::O2);
    let [mut fast, mut slow] = [(); 2].map(|()| Memory::new(&module));
    with_guest(module, kernel.function, &mut fast, Kind::MachineCode, |machine_code| {
        with_guest(module, kernel.function, &mut slow, Kind::Interpreter, |interpreter| match part {
            callgrind::C => {
                black_box(c.run(kernel.file, &opaque(kernel.main)));
            }
            callgrind::NATIVE => {
                black_box(run_native(kernel, kernel.main));
            }
            callgrind::MACHINE_CODE => drop(black_box(machine_code.run(kernel.main))),
            callgrind::INTERPRETER => drop(black_box(interpreter.run(kernel.main))),
            _ => {}
        });
    });
}

/// Counts instructions by valgrind, with the sizes of the programs' own `main`, and prints them.
pub fn print_instructions(wanted: &[&'static Kernel], field: &Field, options: &Options) -> serde_json::Value {
    println!(
        "instructions over those of C\n{:<17} {:>13} {:>12} {:>9} {:>11}",
        "", "C, millions", "machine code", "safe Rust", "interpreter"
    );
    Kernels::compile(Level::O2);
    let mut rows = Vec::new();
    let mut eight = Vec::new();
    for kernel in wanted {
        let start = callgrind::instructions(kernel.file, callgrind::NOTHING);
        let count = |part| callgrind::instructions(kernel.file, part).saturating_sub(start) as f64;
        let (c, native, machine_code) = (count(callgrind::C), count(callgrind::NATIVE), count(callgrind::MACHINE_CODE));
        let interpreter = if options.has("no-interpreter") { f64::NAN } else { count(callgrind::INTERPRETER) };
        println!(
            "{:<17} {:>13.2} {:>12.3} {:>9.3} {:>11.2}",
            kernel.file,
            c / 1e6,
            machine_code / c,
            native / c,
            interpreter / c
        );
        if field.kernels.iter().any(|name| name == kernel.file) {
            eight.push(machine_code / c);
        }
        rows.push(json!({
            "name": kernel.file,
            "c": c,
            "machine_code_to_c": machine_code / c,
            "rust_to_c": native / c,
            "interpreter_to_c": (!interpreter.is_nan()).then_some(interpreter / c),
        }));
    }
    if let Some(mean) = geometric_mean(eight.iter().copied()) {
        println!("geometric mean of {} kernels of the field: machine code {mean:.3}", eight.len());
    }
    rows.into()
}

/// Sizes that the compiler does not know.
fn opaque(sizes: &[i64]) -> Vec<i64> {
    // SAFETY: the pointer is a reference's.
    sizes.iter().map(|size| unsafe { core::ptr::read_volatile(size) }).collect()
}

fn run_native(kernel: &Kernel, sizes: &[i64]) -> Value {
    match (kernel.run)(&opaque(sizes)) {
        Native::I64(value) => Value::I64(value),
        Native::F64(value) => Value::F64(value),
    }
}

/// A value of the other's bank from its bits.
fn like(other: Value, bits: u64) -> Value {
    if matches!(other, Value::F64(_)) { Value::F64(f64::from_bits(bits)) } else { Value::I64(bits as i64) }
}

fn source(kernel: &Kernel) -> String {
    let path = programs_dir().join(kernel.file).with_extension("vm3");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Prints the machine code of every function but `main`.
pub fn list(kernel: &Kernel) {
    let module: Module<'_> = guest::module(kernel.file, &source(kernel));
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
