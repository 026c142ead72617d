//! Verifying, planning and emitting a corpus of modules, phase by phase.

use crate::generate;
use crate::support::{Options, Spread, assemble, programs_dir, timed};
use opstamp::masm::{FUNCTION_ALIGN, Features, Isa, Place};
use opstamp::runtime::context::Entry;
use opstamp::vm3::container::Section;
use opstamp::vm3::op::Op;
use opstamp::{Engine, Module, jit};
use opstamp_platform::HostCode;
use serde_json::json;
use std::hint::black_box;

/// Ops of the generated module.
const GENERATED_OPS: usize = 1_000_000;
const SEED: u64 = 3;
/// Bytes of code memory, enough for every corpus.
const WINDOW: usize = 64 << 20;
/// The least time of a sample in nanoseconds; what takes less is repeated.
const SAMPLE: f64 = 10e6;

/// A module of a corpus.
pub struct Loaded {
    name: String,
    words: Vec<u64>,
}

impl Loaded {
    fn new(name: &str, source: &str) -> Self {
        Self { name: name.into(), words: assemble(name, source) }
    }

    fn verify(&self, scratch: &mut [u64]) -> Module<'_> {
        Module::verify(&self.words, scratch).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// The large generated module; a hundredth of it if nothing is measured.
pub fn generated(options: &Options) -> Vec<Loaded> {
    let ops = if options.measure { GENERATED_OPS } else { GENERATED_OPS / 100 };
    vec![Loaded::new("generated", &generate::module(ops, SEED))]
}

/// All of `tests/programs`.
pub fn programs() -> Vec<Loaded> {
    let mut paths: Vec<_> = std::fs::read_dir(programs_dir())
        .expect("the folder of programs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "vm3"))
        .collect();
    paths.sort();
    let load = |path: &std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy();
        Loaded::new(&name, &std::fs::read_to_string(path).expect("a source"))
    };
    paths.iter().map(load).collect()
}

/// Counts of ops and bytes.
#[derive(Clone, Copy, Default)]
struct Size {
    functions: usize,
    ops: usize,
    stub_bytes: usize,
    function_bytes: usize,
}

impl Size {
    fn bytes(&self) -> usize {
        self.stub_bytes + self.function_bytes
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "functions": self.functions,
            "ops": self.ops,
            "stub_bytes": self.stub_bytes,
            "function_bytes": self.function_bytes,
        })
    }

    fn add(&mut self, other: &Self) {
        self.functions += other.functions;
        self.ops += other.ops;
        self.stub_bytes += other.stub_bytes;
        self.function_bytes += other.function_bytes;
    }
}

/// An ISA's name on the command line and in reports.
pub const fn isa_name(isa: Isa) -> &'static str {
    match isa {
        Isa::X86_64 => "x86-64",
        Isa::Arm64 => "arm64",
    }
}

/// Memory that the phases share.
struct Bench<'c> {
    modules: Vec<Module<'c>>,
    corpus: &'c [Loaded],
    scratch: Vec<u64>,
    memory: Vec<u8>,
    copy: Vec<u8>,
    entries: Vec<Entry>,
    code: HostCode,
    isa: Isa,
    options: jit::Options,
}

impl Bench<'_> {
    fn verify(&mut self) {
        for loaded in self.corpus {
            black_box(loaded.verify(&mut self.scratch));
        }
    }

    fn plan(&mut self) {
        for module in &self.modules {
            for func in 0..module.func_count() {
                let planned = jit::plan(self.isa, module, func as u16, &mut self.scratch, self.options.max_pinned);
                planned.expect("plans");
                black_box(&mut self.scratch);
            }
        }
    }

    fn compile(&mut self) {
        for module in 0..self.modules.len() {
            black_box(self.compile_module(module));
        }
    }

    fn compile_module(&mut self, module: usize) -> Size {
        let module = &self.modules[module];
        let jit::Options { features, max_pinned, .. } = self.options;
        let stubs = jit::stubs(self.isa, &mut self.memory, features, jit::most_floats(module)).expect("the stubs fit");
        let start = stubs.end.next_multiple_of(FUNCTION_ALIGN);
        let mut offset = start;
        for func in 0..module.func_count() {
            let place = Place::new(offset, features, stubs, func as u16);
            let memory = &mut self.memory[offset..];
            let listing = jit::function(self.isa, module, func as u16, memory, place, &mut self.scratch, max_pinned);
            offset += listing.expect("compiles").end();
        }
        Size { stub_bytes: start, function_bytes: offset - start, ..Size::default() }
    }

    fn engine(&mut self) {
        for module in &self.modules {
            let made =
                Engine::machine_code(*module, &mut self.entries, &mut self.code, &mut self.scratch, &self.options);
            black_box(made.expect("compiles"));
        }
    }

    fn engine_in_new_windows(&mut self) {
        for module in &self.modules {
            let mut code = HostCode::new(WINDOW).expect("code memory");
            let made = Engine::machine_code(*module, &mut self.entries, &mut code, &mut self.scratch, &self.options);
            black_box(made.expect("compiles"));
        }
    }

    fn copy(&mut self, bytes: usize) {
        self.copy[..bytes].copy_from_slice(&self.memory[..bytes]);
        black_box(&mut self.copy);
    }
}

/// Prints and gives the sizes of a corpus's machine code, with `sizes_only` nothing else, and the times of the phases on
/// the ISA of this host.
pub fn measure(name: &str, corpus: &[Loaded], isas: &[Isa], options: &Options, sizes_only: bool) -> serde_json::Value {
    let mut scratch = vec![0; 1 << 20];
    let modules: Vec<_> = corpus.iter().map(|loaded| loaded.verify(&mut scratch)).collect();
    let needed = modules.iter().map(jit::scratch_words).max().unwrap_or(0);
    scratch.resize(scratch.len().max(needed), 0);
    let functions = modules.iter().map(Engine::functions_needed).max().unwrap_or(0);
    let mut bench = Bench {
        modules,
        corpus,
        scratch,
        memory: vec![1; WINDOW],
        copy: vec![1; WINDOW],
        entries: (0..functions).map(|_| Entry::default()).collect(),
        code: HostCode::new(WINDOW).expect("code memory"),
        isa: Isa::X86_64,
        options: jit::Options::default(),
    };
    let mut all_sizes = serde_json::Map::new();
    let mut host = None;
    for &isa in isas {
        let is_host = Isa::HOST == Some(isa);
        bench.isa = isa;
        bench.options.features = if is_host { opstamp_platform::features() } else { Features::ALL };
        let total = sizes(name, &mut bench);
        all_sizes.insert(isa_name(isa).into(), total.json());
        if is_host {
            host = Some((total, bench.options));
        }
    }
    let Some((total, host_options)) = host.filter(|_| !sizes_only) else {
        return json!({ "size": all_sizes });
    };
    (bench.isa, bench.options) = (Isa::HOST.unwrap_or(bench.isa), host_options);
    let bytes = total.bytes();

    type Phase<'p, 'c> = (&'static str, &'p dyn Fn(&mut Bench<'c>));
    let copy = |bench: &mut Bench<'_>| bench.copy(bytes);
    let phases: [Phase<'_, '_>; 6] = [
        ("verify", &Bench::verify),
        ("plan", &Bench::plan),
        ("plan and emit", &Bench::compile),
        ("engine", &Bench::engine),
        ("engine, new window", &Bench::engine_in_new_windows),
        ("memcpy", &copy),
    ];
    let repeats = phases.map(|(_, phase)| {
        phase(&mut bench);
        let (time, ()) = timed(|| phase(&mut bench));
        if options.measure { (SAMPLE / time).ceil() as u32 } else { 1 }
    });
    let mut times = phases.map(|_| Vec::new());
    for _ in 0..options.rounds {
        for (((_, phase), times), &repeats) in phases.iter().zip(&mut times).zip(&repeats) {
            let (time, ()) = timed(|| (0..repeats).for_each(|_| phase(&mut bench)));
            times.push(time / f64::from(repeats));
        }
    }
    let [verify, plan, compile, engine, fresh, memcpy] = times;
    let emit: Vec<f64> = compile.iter().zip(&plan).map(|(compile, plan)| compile - plan).collect();
    let rows = [
        ("verify", &verify),
        ("plan", &plan),
        ("emit", &emit),
        ("plan and emit", &compile),
        ("engine", &engine),
        ("engine, new window", &fresh),
        ("memcpy", &memcpy),
    ];
    println!("{:<19} {:>8} {:>17} {:>10} {:>10} {:>9}", "phase", "ns/op", "quartiles", "Mops/s", "MB/s", "x memcpy");
    let mut json = serde_json::Map::new();
    for (name, times) in rows {
        let per_op = Spread::of(times.iter().map(|time| time / total.ops as f64));
        let by_memcpy = Spread::of_ratios(times, &memcpy);
        let bytes_per_ns = Spread::of(times.iter().map(|time| bytes as f64 / time));
        let quartiles = per_op.quartiles();
        println!(
            "{name:<19} {:>8.2} {quartiles:>17} {:>10.1} {:>10.0} {:>9.2}",
            per_op.median,
            1e3 / per_op.median,
            1e3 * bytes_per_ns.median,
            by_memcpy.median
        );
        let row = json!({ "ns_per_op": per_op.json(), "code_bytes_per_ns": bytes_per_ns.json(), "times_memcpy": by_memcpy.json() });
        json.insert(name.into(), row);
    }
    println!();
    json!({ "size": all_sizes, "phases": json })
}

/// Emits the whole corpus, and prints and adds up how much machine code that is.
fn sizes(name: &str, bench: &mut Bench<'_>) -> Size {
    let sizes: Vec<Size> = (0..bench.modules.len())
        .map(|index| {
            let module = bench.modules[index];
            let code = module.container().section(Section::Code);
            let ops = code.iter().filter(|&&word| Op::from_code(word as u8) != Some(Op::Args)).count();
            Size { functions: module.func_count() as usize, ops, ..bench.compile_module(index) }
        })
        .collect();
    let mut total = Size::default();
    sizes.iter().for_each(|size| total.add(size));
    print_sizes(&format!("{name}, {}", isa_name(bench.isa)), bench.corpus, &sizes, &total);
    total
}

fn print_sizes(name: &str, corpus: &[Loaded], sizes: &[Size], total: &Size) {
    let width = corpus.iter().map(|loaded| loaded.name.len()).max().unwrap_or(0).max(name.len() + 8);
    println!(
        "{:<width$} {:>9} {:>9} {:>10} {:>8} {:>13}",
        name, "functions", "ops", "bytes", "bytes/op", "without stubs"
    );
    let line = |name: &str, size: &Size| {
        let by_op = |bytes: usize| bytes as f64 / size.ops as f64;
        println!(
            "{name:<width$} {:>9} {:>9} {:>10} {:>8.1} {:>13.1}",
            size.functions,
            size.ops,
            size.bytes(),
            by_op(size.bytes()),
            by_op(size.function_bytes)
        );
    };
    if corpus.len() > 1 {
        for (loaded, size) in corpus.iter().zip(sizes) {
            line(&loaded.name, size);
        }
        let mut small = Size::default();
        sizes.iter().filter(|size| size.ops < 10_000).for_each(|size| small.add(size));
        line("below 10k ops", &small);
    }
    line("all", total);
}
