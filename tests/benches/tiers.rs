//! What tiering costs: the instructions of whole processes that run a program, by the interpreter, as machine code of the
//! whole module, and by both with the default threshold. Counted by valgrind, which no other load on the machine disturbs.
//!
//! ```text
//! cargo bench -p opstamp-tests --bench tiers -- [--filter NAME] [--expectations] [--threshold N] [--json FILE]
//! ```
//!
//! A process assembles and verifies the program, makes the engine, and runs `main` if there is one; with `--expectations` everything that the
//! program expects instead, each expectation on an instance of its own. Fails if tiering takes more than [`OVER_EAGER`] times
//! what compiling the whole module takes, or more than interpreting does, but for [`COUNTING`].
//!
//! The column `module` is a process that only assembles and verifies; `tiered/eager` and `tiered/in` are ratios of whole
//! processes, `net` the first of them without that part. Where interpreting takes more than [`CLEAR`] times the time of
//! tiering, it is not counted, and `tiered/in` is the ratio of the times.

#[allow(dead_code, reason = "shared with other benchmarks")]
mod callgrind;
#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "shared with other benchmarks")]
mod support;

use common::{EngineUnderTest, ProgramFile, Room, machine_code, programs, runner, with_stack};
use opstamp::jit;
use opstamp::vm3::text::{self, Expectation};
use opstamp_tests::programs::run_some;
use serde_json::json;
use support::{Options, timed};

/// The most that tiering may cost, as a multiple of what compiling all costs.
const OVER_EAGER: f64 = 1.1;
/// What finding out that nothing is warm may cost, as a share of what interpreting costs: ten instructions a call or so.
const COUNTING: f64 = 0.0005;
/// A ratio of times that leaves no doubt about the ratio of instructions.
const CLEAR: f64 = 4.0;

const ENGINES: [&str; 4] = ["module", "interpreter", "eager", "tiered"];

fn main() {
    let options = Options::read(1, &["expectations"], &[("once", &ENGINES), ("program", &[]), ("threshold", &[])]);
    let setting = |name| options.value(name);
    let threshold = setting("threshold").map_or(jit::DEFAULT_THRESHOLD, |text| text.parse().expect("a threshold"));
    let mut files = programs();
    files.retain(|file| setting("program").map_or_else(|| options.wants(&file.name), |name| name == file.name));
    if let Some(engine) = setting("once") {
        return with_stack(|| files.iter().for_each(|file| once(file, engine, threshold, options.has("expectations"))));
    }
    if !options.measure {
        // As a test, one program in this process.
        let quick = |file: &&ProgramFile| file.name == "gcd.vm3";
        return with_stack(|| {
            for file in files.iter().filter(quick) {
                ENGINES.iter().for_each(|engine| once(file, engine, threshold, true));
            }
        });
    }
    println!(
        "{:<24} {:>12} {:>12} {:>12} {:>12} {:>12} {:>7} {:>9}",
        "program", "module", "interpreter", "eager", "tiered", "tiered/eager", "net", "tiered/in"
    );
    let mut rows = Vec::new();
    let mut missed = Vec::new();
    for file in &files {
        let count = |engine: &&str| {
            let threshold = threshold.to_string();
            let mut args = vec!["--program", &file.name, "--once", engine, "--threshold", &threshold];
            args.extend(options.has("expectations").then_some("--expectations"));
            callgrind::instructions_of(&args) as f64
        };
        let [module, eager, tiered] = ["module", "eager", "tiered"].map(|engine| count(&engine));
        let time = |engine| with_stack(|| timed(|| once(file, engine, threshold, options.has("expectations"))).0);
        let times = time("tiered") / time("interpreter");
        let interpreter = if times * CLEAR < 1.0 { f64::NAN } else { count(&"interpreter") };
        let over_eager = tiered / eager;
        let over_interpreter = if interpreter.is_nan() { times } else { tiered / interpreter };
        let net = (tiered - module) / (eager - module);
        let good = over_eager <= OVER_EAGER && over_interpreter <= 1.0 + COUNTING;
        println!(
            "{:<24} {module:>12} {interpreter:>12} {eager:>12} {tiered:>12} {over_eager:>12.3} {net:>7.3} \
             {over_interpreter:>9.3}{}",
            file.name,
            if good { "" } else { " over" }
        );
        if !good {
            missed.push(&file.name);
        }
        rows.push(json!({
            "name": file.name, "module": module, "interpreter": interpreter, "eager": eager, "tiered": tiered,
            "tiered_to_interpreter": over_interpreter,
        }));
    }
    options.write_json(&json!({ "threshold": threshold, "programs": rows }));
    if !missed.is_empty() {
        println!("over the bars: {missed:?}");
        std::process::exit(1);
    }
}

/// What one process under valgrind does.
fn once(file: &ProgramFile, engine: &str, threshold: u32, expectations: bool) {
    let mut room = Room::for_source(&file.source);
    let (mut memory, code) = room.parts();
    if engine == "module" {
        let used = text::assemble(&file.source, memory.words, memory.scratch, &mut |_| {}).expect("assembles");
        opstamp::Module::verify(&memory.words[..used], memory.scratch).expect("verifies");
        return;
    }
    let mut options = machine_code().map(|all| jit::Options { threshold, ..all }).filter(|_| engine != "interpreter");
    if let Some(options) = &mut options {
        // Valgrind gives the sum of zeros of different signs the wrong one.
        options.features.fma = false;
    }
    let engine =
        EngineUnderTest { name: "", options, tiered: engine == "tiered", limit: 0, fuel: false, stress: false };
    let main = |expectation: &Expectation<'_>| expectation.call.func == "main";
    // Programs without a `main` run everything.
    let all = expectations || !text::expectations(&file.source).flatten().any(|expectation| main(&expectation));
    let mut ran = 0;
    run_some(
        &file.program(),
        &mut memory,
        runner(&engine, code, &mut opstamp_tests::driver::CacheRoom::new()),
        &mut |expectation| all || main(expectation),
        &mut |line, _, wrong| {
            ran += 1;
            assert!(wrong.is_none(), "{}:{line} does not hold", file.name);
        },
    );
    assert!(ran > 0, "{}: nothing ran", file.name);
}
