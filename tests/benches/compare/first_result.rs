//! From a container in memory to the first result of a function of 100 ops: verification, engine, instance and call, in
//! memory that the host has at hand.

use crate::support::{Options, Spread, assemble};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value, jit};
use opstamp_platform::HostCode;
use serde_json::json;
use std::fmt::Write;
use std::time::Instant;

const OPS: usize = 100;
const SAMPLES: usize = 2000;
/// The longest time to a result that is good enough, in nanoseconds.
const BAR: f64 = 20_000.0;
const WINDOW: usize = 1 << 20;
/// Enough for the module.
const SCRATCH_WORDS: usize = 1 << 14;

/// The text of a function of 100 ops, and what it gives for 7.
fn source() -> (String, i64) {
    let mut text = String::from("func f(x: i64) -> i64\n  local y: i64, i: i64, a: f64, b: f64\n");
    let (mut x, mut i, mut b, mut ops) = (7_i64, 0_i64, 0.0_f64, 0);
    let mut op = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "  {line}").expect("strings take all");
        ops += 1;
    };
    // Eight groups of twelve ops, each with a branch that is taken or not, and four ops behind them.
    for group in 0..8 {
        op(format_args!("i64.add x, x, {group}"));
        op(format_args!("i64.mul y, x, x"));
        op(format_args!("i64.xor x, x, y"));
        op(format_args!("i64.shr y, y, 3"));
        op(format_args!("i64.add x, x, y"));
        op(format_args!("i64.and y, x, 1023"));
        op(format_args!("i64.to_f64 a, y"));
        op(format_args!("f64.mul a, a, a"));
        op(format_args!("f64.add b, b, a"));
        op(format_args!("br.i64.lt y, 512, l{group}"));
        op(format_args!("i64.add i, i, 1"));
        op(format_args!("i64.sub x, x, y\nl{group}:"));
        x = x.wrapping_add(group);
        let mut y = x.wrapping_mul(x);
        x ^= y;
        y >>= 3;
        x = x.wrapping_add(y);
        y = x & 1023;
        b += (y * y) as f64;
        if y >= 512 {
            i += 1;
            x = x.wrapping_sub(y);
        }
    }
    op(format_args!("f64.to_i64 y, b"));
    op(format_args!("i64.add x, x, y"));
    op(format_args!("i64.add x, x, i"));
    op(format_args!("ret x"));
    assert_eq!(ops, OPS);
    text += "end\n";
    (text, x.wrapping_add(b as i64).wrapping_add(i))
}

/// Which engine is made.
#[derive(Clone, Copy)]
enum Way {
    /// Everything is compiled before the call.
    MachineCode,
    /// The interpreter starts, and compiles what is warm.
    Tiered,
    Interpreter,
}

/// Measures and prints.
pub fn report(options: &Options) -> serde_json::Value {
    let (text, wanted) = source();
    let words = assemble("first result", &text);
    let samples = if options.measure { SAMPLES } else { 2 };
    println!("from container to result, a function of {OPS} ops, {samples} samples: microseconds");
    let ways = [
        ("machine code", Way::MachineCode, false),
        ("machine code, into pages that were never used", Way::MachineCode, true),
        ("tiered", Way::Tiered, false),
        ("tiered, into pages that were never used", Way::Tiered, true),
        ("interpreter", Way::Interpreter, false),
    ];
    let mut json = serde_json::Map::new();
    for (name, way, renew) in ways {
        let measured = measure(&words, wanted, way, renew, samples);
        let met = if measured.all.median <= BAR { "met    " } else { "NOT MET" };
        println!(
            "{met}: {name:<46} {:>7.2} ({:.2}-{:.2}; the first {:.2}): verification {:.2}, engine {:.2}, instance {:.2}, \
             call {:.2}",
            measured.all.median / 1e3,
            measured.all.low / 1e3,
            measured.all.high / 1e3,
            measured.first / 1e3,
            measured.steps[0] / 1e3,
            measured.steps[1] / 1e3,
            measured.steps[2] / 1e3,
            measured.steps[3] / 1e3
        );
        json.insert(
            name.into(),
            json!({ "ns": measured.all.json(), "first_ns": measured.first, "steps_ns": measured.steps }),
        );
    }
    println!();
    json.into()
}

struct Measured {
    all: Spread,
    first: f64,
    /// The medians of verification, engine, instance and call.
    steps: [f64; 4],
}

fn measure(words: &[u64], wanted: i64, way: Way, renew: bool, samples: usize) -> Measured {
    let mut code = HostCode::new(WINDOW).expect("code memory");
    let mut functions = [Entry::default()];
    let mut scratch = vec![0; SCRATCH_WORDS];
    let (mut stack, mut state, mut heap) = (vec![0; 4096], vec![0; 64], vec![0; 1024]);
    let options = jit::Options { features: opstamp_platform::features(), ..Default::default() };
    let mut times: Vec<[f64; 5]> = Vec::new();
    for _ in 0..samples {
        if renew {
            code = HostCode::new(WINDOW).expect("code memory");
        }
        let start = Instant::now();
        let module = Module::verify(words, &mut scratch).expect("verifies");
        let verified = start.elapsed();
        let engine = match way {
            Way::MachineCode => Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options),
            Way::Tiered => Engine::tiered(module, &mut functions, &mut code, &mut scratch, &options),
            Way::Interpreter => Engine::interpreter(module, &mut functions),
        }
        .expect("an engine");
        let made = start.elapsed();
        let memory =
            InstanceMemory { heap: &mut heap, seed: 0, stack: &mut stack, state: &mut state, native_stack: 512 << 10 };
        let mut instance = Instance::new(&engine, memory, &[]).expect("an instance");
        let instantiated = start.elapsed();
        let result = instance.call_index(0, &[Value::I64(7)]);
        let all = start.elapsed();
        assert_eq!(result, Ok(Some(Value::I64(wanted))));
        let steps = [verified, made - verified, instantiated - made, all - instantiated, all];
        times.push(steps.map(|step| step.as_nanos() as f64));
    }
    let median = |step: usize| Spread::of(times.iter().map(|times| times[step])).median;
    Measured {
        all: Spread::of(times.iter().map(|times| times[4])),
        first: times[0][4],
        steps: [0, 1, 2, 3].map(median),
    }
}
