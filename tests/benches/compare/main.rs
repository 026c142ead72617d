//! opstamp beside C, native Rust and the figures of other engines: speed of code, speed of making it, start-up.
//!
//! ```text
//! cargo bench -p opstamp-tests --bench compare
//! cargo bench -p opstamp-tests --bench compare -- [SECTION]... [--filter NAME] [--rounds N] [--json FILE] [--svg FILE]
//!     [--no-interpreter] [--listing]
//! ```
//!
//! The sections, all of which but `--callgrind` run if none is named:
//! - `--programs`: the programs of `tests/programs` that have a twin in C (`benches/c`, compiled by `gcc -O2`, or what `CC`
//!   names) and in safe Rust (`kernels.rs`), eight of which are those of `field.json`. All run in turns in this process,
//!   with the same arguments, which no compiler knows, and must give equal results. *Machine code* is compiled before;
//!   *tiered* starts with a cold engine each time, at the default threshold, so compiling is part of its time; the guests
//!   have 64 MiB of heap. Then a table beside the figures of other engines, and which of the aims are met.
//! - `--emission`: how fast machine code is made, and how much; `--bench emission` has the details.
//! - `--startup`: the `opstamp` command on a trivial program beside the same program in C, as processes.
//! - `--first-result`: from a container in memory to the result of a function of 100 ops.
//! - `--cliffs`: whether time per op holds where functions are unusually large in one way.
//! - `--callgrind`: instructions of the programs, counted by valgrind, with the sizes of the programs' own `main`.
//!
//! `--filter` keeps the programs with NAME in their names. `--listing` prints their machine code instead. Numbers go to
//! `compare.json` in the target folder and a plot of the programs to `compare.svg` beside it, unless `--json` and `--svg`
//! say otherwise.
//!
//! Times are of this thread's processor time; those of processes by the clock. A ratio is the median over rounds, each of
//! which runs every competitor once. An iteration is an entry of a function or a passage of a loop's head, as `count` has
//! the program count them. A row whose C needs less than a cycle an iteration is *void* and in no mean: there the C
//! compiler has done away with the work. A cycle is measured beside it, as a chain of additions.

mod c;
mod cliffs;
mod field;
mod first_result;
mod guest;
mod plot;
mod programs;
mod startup;

#[path = "../callgrind.rs"]
mod callgrind;
#[path = "../count.rs"]
mod count;
#[path = "../generate.rs"]
mod generate;
#[path = "../kernels.rs"]
mod kernels;
#[path = "../listing.rs"]
mod listing;
#[allow(dead_code, reason = "the benchmark of emission uses the rest")]
#[path = "../phases.rs"]
mod phases;
#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../support.rs"]
mod support;

use field::Field;
use opstamp::masm::Isa;
use programs::Row;
use serde_json::json;
use std::path::PathBuf;
use support::{Options, geometric_mean};

const THREAD_STACK: usize = 64 << 20;
const SECTIONS: [&str; 6] = ["programs", "emission", STARTUP, "first-result", "cliffs", CALLGRIND];
/// The section that only runs if it is named, because it takes minutes.
const CALLGRIND: &str = "callgrind";
const STARTUP: &str = "startup";

fn main() {
    let flags: Vec<&'static str> =
        SECTIONS.into_iter().chain(["no-interpreter", "listing"]).chain(programs::PARTS).collect();
    let options = Options::read(9, &flags, &[("svg", &[])]);
    let thread = std::thread::Builder::new().stack_size(THREAD_STACK).spawn(move || run(&options));
    if thread.expect("a thread").join().is_err() {
        std::process::exit(1);
    }
}

fn run(options: &Options) {
    let field = Field::read();
    let wanted = programs::wanted(&field, options);
    if options.has("listing") {
        wanted.into_iter().for_each(programs::list);
        return;
    }
    if let Some(part) = programs::PARTS.into_iter().find(|part| options.has(part)) {
        let kernel = wanted.into_iter().find(|kernel| options.names(kernel.file));
        programs::run_once(kernel.expect("the name of a kernel"), part);
        return;
    }
    let named = SECTIONS.iter().any(|section| options.has(section));
    // As a test, this builds nothing else.
    let by_default = |section: &str| section != CALLGRIND && (options.measure || section != STARTUP);
    let has = |section: &str| options.has(section) || !named && by_default(section);
    let mut json = serde_json::Map::new();
    json.insert("compiler".into(), c::version().into());
    json.insert("cpu".into(), cpu().into());
    json.insert("rounds".into(), options.rounds.into());
    println!("{}, {}\n", c::version(), cpu());
    if has("programs") {
        let rows = programs::measure(&wanted, options);
        json.insert("programs".into(), report(&rows, &field));
        if options.measure {
            let machine = format!("{}, {}, {} rounds", cpu(), c::version(), options.rounds);
            write(options.value("svg"), "compare.svg", &plot::svg(&rows, &field, &machine));
        }
    }
    if has(CALLGRIND) {
        json.insert("instructions".into(), programs::print_instructions(&wanted, &field, options));
        println!();
    }
    if has("emission") {
        let host = [Isa::HOST.expect("a host that machine code can be made for")];
        let measured = phases::measure("generated", &phases::generated(options), &host, options, false);
        json.insert("emission".into(), measured);
    }
    if has(STARTUP) {
        json.insert("startup".into(), startup::report(options));
    }
    if has("first-result") {
        json.insert("first_result".into(), first_result::report(options));
    }
    if has("cliffs") {
        json.insert("cliffs".into(), cliffs::report(options));
    }
    if options.measure {
        let text = serde_json::to_string_pretty(&json).expect("values of plain types") + "\n";
        write(options.json.as_ref().and_then(|path| path.to_str()), "compare.json", &text);
    }
}

/// Writes a file where it was asked for, or into the target folder.
fn write(asked: Option<&str>, name: &str, text: &str) {
    let target = c::scratch_dir().parent().expect("the target folder");
    let path = asked.map_or_else(|| target.join(name), PathBuf::from);
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    println!("written: {}", path.display());
}

/// What the CPU calls itself.
fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown CPU", |(_, name)| name).trim().into()
}

/// Prints what follows from the rows of the programs.
fn report(rows: &[Row], field: &Field) -> serde_json::Value {
    let is_of_field = |row: &&Row| field.kernels.iter().any(|name| name == row.name);
    let of_field: Vec<&Row> = rows.iter().filter(is_of_field).collect();
    println!();
    let of_all = programs::means("all programs", rows);
    let mut json = json!({
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "geometric_means_of_all": of_all,
    });
    if of_field.len() == field.kernels.len() {
        json["geometric_means"] = programs::means("the kernels of the field", of_field.iter().copied());
        let ratios: Vec<f64> = of_field.iter().map(|row| row.machine_code.median).collect();
        print_field(&of_field, field);
        json["field"] = serde_json::from_str(include_str!("field.json")).expect("JSON");
        let bars = field.bars(&ratios);
        for bar in &bars {
            println!("{}: {}", if bar.met { "met    " } else { "NOT MET" }, bar.what);
        }
        json["bars"] = bars.iter().map(|bar| json!({ "bar": bar.what, "met": bar.met })).collect();
    }
    println!();
    json
}

/// Prints opstamp among the field, the fastest first.
fn print_field(rows: &[&Row], field: &Field) {
    let mut lines: Vec<(&str, Vec<f64>)> =
        field.engines.iter().map(|engine| (engine.name.as_str(), engine.ratios.clone())).collect();
    let of = |ratio: fn(&Row) -> f64| rows.iter().map(|row| ratio(row)).collect();
    lines.push(("* opstamp, machine code", of(|row| row.machine_code.median)));
    lines.push(("* opstamp, from cold", of(|row| row.tiered.median)));
    lines.push(("* safe Rust", of(|row| row.native.median)));
    lines.push(("* gcc -O1", of(|row| row.c_o1.median)));
    let mean = |ratios: &[f64]| geometric_mean(ratios.iter().copied()).unwrap_or(f64::NAN);
    lines.sort_by(|(_, one), (_, other)| mean(one).total_cmp(&mean(other)));
    println!("\ntime over that of gcc -O2, lower is better; * measured now, the others {}", field.measured);
    print!("{:<28}", "");
    field.kernels.iter().for_each(|kernel| print!(" {kernel:>11}"));
    println!(" {:>9}", "geo. mean");
    for (name, ratios) in lines {
        print!("{name:<28}");
        ratios.iter().for_each(|ratio| print!(" {ratio:>11.2}"));
        println!(" {:>9.2}", mean(&ratios));
    }
    println!();
}
