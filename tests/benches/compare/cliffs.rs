//! Functions that are unusually large in one way, beside functions of as many ops that are not: time per op of compiling
//! them and of running them.

use crate::guest::{self, Kind, Memory, with_guest};
use crate::support::{Options, Spread, assemble, timed};
use opstamp::masm::{FUNCTION_ALIGN, Isa, Place};
use opstamp::vm3::container::Section;
use opstamp::vm3::op::Op;
use opstamp::{Module, Value, jit};
use serde_json::json;
use std::fmt::Write;

/// How many times as long as in the plain function an op may take.
const BAR: f64 = 3.0;
/// Bytes of machine code that the branches go across.
const ACROSS: usize = 1 << 20;
/// Registers of a plain function.
const PLAIN: usize = 8;

/// A function `f(n: i64) -> i64` and how many ops it runs for each unit of n.
struct Case {
    text: String,
    executed: f64,
}

/// A pair that is compared.
struct Pair {
    what: &'static str,
    plain: Case,
    cliff: Case,
    n: i64,
}

/// Ops over that many registers in turn, in a loop that is run n times.
fn registers(registers: usize, ops: usize) -> Case {
    let mut text = format!("func f(n: i64) -> i64\n  local i: i64{}\nloop:\n", locals(registers));
    for k in 0..ops {
        let (x, y, name) = (k % registers, (k + 3) % registers, ["add", "xor", "sub", "add"][k / registers % 4]);
        let _ = writeln!(text, "  i64.{name} r{x}, r{x}, {}", if k % 2 == 0 { format!("r{y}") } else { "7".into() });
    }
    text += "  i64.add i, i, 1\n  br.i64.lt i, n, loop\n  ret r0\nend\n";
    Case { text, executed: ops as f64 + 2.0 }
}

fn locals(count: usize) -> String {
    let mut text = String::new();
    for k in 0..count {
        let _ = write!(text, "{}r{k}: i64", if k % 500 == 499 { "\n  local " } else { ", " });
    }
    text
}

/// A loop of two branches, over that many ops that are not run.
fn far(over: usize, behind: usize) -> Case {
    let filler = |count: usize| {
        let op = |k: usize| format!("  i64.rem r{}, r{}, r{}\n", k % 40, (k + 7) % 40, (k + 19) % 40);
        (0..count).map(op).collect::<String>()
    };
    let head = format!("func f(n: i64) -> i64\n  local i: i64, x: i64{}\n", locals(40));
    let text = format!(
        "{head}  br.i64.ge n, 0, loop\n  jump skip\nloop:\n  i64.add i, i, 1\n  br.i64.ne i, -1, there\nback:\n  br.i64.lt i, n, \
         loop\n  ret x\nskip:\n{}there:\n  i64.xor x, x, i\n  br.i64.ne i, -1, back\n{}  ret r0\nend\n",
        filler(over),
        filler(behind)
    );
    Case { text, executed: 5.0 }
}

/// That many loops, one behind the other, each of which goes round so often; with one loop, its body is as long.
fn loops(count: usize, turns: usize) -> Case {
    let mut text = String::from("func f(n: i64) -> i64\n  local i: i64, k: i64, x: i64, y: i64\nagain:\n");
    for k in 0..count {
        let _ =
            write!(text, "  i64.const k, {turns}\nl{k}:\n  i64.add x, x, k\n  i64.xor y, y, x\n  i64.sub k, k, 1\n");
        let _ = writeln!(text, "  br.i64.gt k, 0, l{k}");
    }
    text += "  i64.add i, i, 1\n  br.i64.lt i, n, again\n  ret y\nend\n";
    Case { text, executed: (count * (4 * turns + 1)) as f64 + 2.0 }
}

/// As many ops, of which only the last branches back.
fn one_loop(count: usize, turns: usize) -> Case {
    let mut text = String::from("func f(n: i64) -> i64\n  local i: i64, k: i64, x: i64, y: i64, m: i64\n");
    let _ = writeln!(text, "  i64.mul m, n, {turns}\nagain:");
    for k in 0..count {
        let _ = write!(text, "  i64.const k, {turns}\n  i64.add x, x, k\n  i64.xor y, y, x\n  i64.sub k, k, 1\n");
        let _ = writeln!(text, "  br.i64.lt k, 0, l{k}\nl{k}:");
    }
    text += "  i64.add i, i, 1\n  br.i64.lt i, m, again\n  ret y\nend\n";
    Case { text, executed: (turns * (count * 5 + 2)) as f64 }
}

/// That many loops inside each other, all of which end with the innermost.
fn nested(count: usize) -> Case {
    let mut text = String::from("func f(n: i64) -> i64\n  local i: i64, x: i64\n");
    for k in 0..count {
        let _ = writeln!(text, "l{k}:\n  i64.add x, x, {k}");
    }
    text += "  i64.add i, i, 1\n";
    for k in (0..count).rev() {
        let _ = writeln!(text, "  br.i64.lt i, n, l{k}\n  i64.xor x, x, {k}");
    }
    text += "  ret x\nend\n";
    Case { text, executed: 3.0 }
}

/// As many ops with one loop inside.
fn flat(count: usize) -> Case {
    let mut text = String::from("func f(n: i64) -> i64\n  local i: i64, x: i64\n");
    for k in 0..count {
        let _ = writeln!(text, "  i64.add x, x, {k}");
    }
    text += "again:\n  i64.add x, x, 1\n  i64.add i, i, 1\n  br.i64.lt i, n, again\n";
    for k in (1..count).rev() {
        let _ = writeln!(text, "  br.i64.lt i, n, l{k}\n  i64.xor x, x, {k}\nl{k}:");
    }
    text += "  ret x\nend\n";
    Case { text, executed: 3.0 }
}

/// The bytes of machine code that a module's only function becomes.
fn size(module: &Module<'_>) -> usize {
    let isa = Isa::HOST.expect("a host that machine code can be made for");
    let features = opstamp_platform::features();
    let mut memory = vec![0; 16 * ACROSS];
    let stubs = jit::stubs(isa, &mut memory, features, jit::most_floats(module)).expect("the stubs fit");
    let start = stubs.end.next_multiple_of(FUNCTION_ALIGN);
    let mut scratch = vec![0; jit::scratch_words(module)];
    let place = Place::new(start, features, stubs, 0);
    let listing = jit::function(isa, module, 0, &mut memory[start..], place, &mut scratch, usize::MAX);
    listing.expect("compiles").end()
}

/// Measures and prints.
pub fn report(options: &Options) -> serde_json::Value {
    const FILLER: usize = 60_000;
    let pairs = [
        Pair { what: "200 registers", plain: registers(PLAIN, 2000), cliff: registers(200, 2000), n: 20_000 },
        Pair {
            what: "frame of 10,000 slots",
            plain: registers(PLAIN, 10_000),
            cliff: registers(10_000, 10_000),
            n: 2000,
        },
        Pair { what: "branches across 1 MiB", plain: far(0, FILLER), cliff: far(FILLER, 0), n: 5_000_000 },
        Pair { what: "1,000 loops", plain: one_loop(1000, 50), cliff: loops(1000, 50), n: 100 },
        Pair { what: "1,000 nested loops", plain: flat(1000), cliff: nested(1000), n: 5_000_000 },
    ];
    println!(
        "{:<23} {:>9} {:>21} {:>21} {:>19} {:>21}",
        "cliffs, machine code", "bytes", "compile, ns/op", "ratio", "run, ns/op", "ratio"
    );
    let mut json = serde_json::Map::new();
    for pair in pairs {
        json.insert(pair.what.into(), measure(&pair, options));
    }
    println!();
    json.into()
}

/// The ops of a module.
fn ops(module: &Module<'_>) -> f64 {
    let code = module.container().section(Section::Code);
    code.iter().filter(|&&word| Op::from_code(word as u8) != Some(Op::Args)).count() as f64
}

fn measure(pair: &Pair, options: &Options) -> serde_json::Value {
    let n = if options.measure { pair.n } else { 2 };
    let containers = [&pair.plain, &pair.cliff].map(|case| assemble(pair.what, &case.text));
    let mut memories = containers.each_ref().map(|words| Memory::new(&guest::verify(pair.what, words)));
    let mut compile = [const { Vec::new() }; 2];
    let mut run = [const { Vec::new() }; 2];
    let bytes = containers.each_ref().map(|words| size(&guest::verify(pair.what, words)));
    assert!(!pair.what.starts_with("branches") || bytes.iter().all(|&bytes| bytes > ACROSS), "too short: {bytes:?}");
    for (words, memory) in containers.iter().zip(&mut memories) {
        let module = guest::verify(pair.what, words);
        let [slow, fast] = [Kind::Interpreter, Kind::MachineCode]
            .map(|kind| with_guest(module, "f", memory, kind, |guest| guest.run(&[3])));
        assert!(matches!(slow, Ok(Some(Value::I64(_)))), "{}: {slow:?}", pair.what);
        assert_eq!(slow, fast, "{}", pair.what);
    }
    for _ in 0..options.rounds {
        let cases = [&pair.plain, &pair.cliff];
        for (((words, memory), case), (compile, run)) in
            containers.iter().zip(&mut memories).zip(cases).zip(compile.iter_mut().zip(&mut run))
        {
            let (time, module) = timed(|| {
                let module = guest::verify(pair.what, words);
                guest::compile(module, memory);
                module
            });
            compile.push(time / ops(&module));
            with_guest(module, "f", memory, Kind::MachineCode, |guest| {
                let (time, result) = timed(|| guest.run(&[n]));
                assert!(result.is_ok(), "{}: {result:?}", pair.what);
                run.push(time / (case.executed * n as f64));
            });
        }
    }
    let ratio = |times: &[Vec<f64>; 2]| Spread::of_ratios(&times[1], &times[0]);
    let (compile_ratio, run_ratio) = (ratio(&compile), ratio(&run));
    let [[plain_compile, cliff_compile], [plain_run, cliff_run]] =
        [&compile, &run].map(|times| times.each_ref().map(|times| Spread::of(times.iter().copied()).median));
    let met = compile_ratio.median <= BAR && run_ratio.median <= BAR;
    println!(
        "{:<23} {:>9} {plain_compile:>9.1} to {cliff_compile:>8.1} {:>21} {plain_run:>8.3} to {cliff_run:>7.3} {:>21}  {}",
        pair.what,
        bytes[1],
        compile_ratio.cell(),
        run_ratio.cell(),
        if met { "met" } else { "NOT MET" }
    );
    json!({
        "plain_bytes": bytes[0],
        "bytes": bytes[1],
        "plain_compile_ns_per_op": plain_compile,
        "compile_ns_per_op": cliff_compile,
        "compile_ratio": compile_ratio.json(),
        "plain_run_ns_per_op": plain_run,
        "run_ns_per_op": cliff_run,
        "run_ratio": run_ratio.json(),
    })
}
