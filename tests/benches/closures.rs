//! What a call of a closure costs beside a `call`: the same function with the same values, in loops that are the same but
//! for this op. With values that the closure binds, the `call` is given them as arguments.
//!
//! Both loops are measured in each round, and so is the loop without a call, which all of them contain. The last pair calls
//! two closures in turns, which its inline cache never holds.

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod support;

use opstamp::jit::{self, Options as Compile};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value};
use opstamp_platform::HostCode;
use std::fmt::Write;
use support::{Options, Spread, assemble, timed};

/// The most values that are bound.
const BOUND: usize = 5;

/// `empty(n)`, `static_B(n)` and `closure_B(n)` for B bound values and a named one, `static_turns(n)` and
/// `closure_turns(n)`. Each turn calls a function once.
fn source() -> String {
    let mut text = String::from(
        "func minus(x: i64, y: i64) -> i64
  i64.sub x, x, y
  ret x
end
func less(x: i64, y: i64) -> i64
  i64.lt x, x, y
  ret x
end
",
    );
    let looped = |text: &mut String, name: &str, locals: &str, before: &str, turn: &str| {
        writeln!(text, "func {name}(n: i64) -> i64\n  local i: i64, s: i64{locals}\n{before}loop:\n{turn}").unwrap();
        writeln!(text, "  i64.add i, i, 1\n  br.i64.lt i, n, loop\n  ret s\nend").unwrap();
    };
    looped(&mut text, "empty", "", "", "");
    for bound in 0..=BOUND {
        let names: Vec<_> = (0..bound).map(|index| format!("k{index}")).collect();
        let params: String = names.iter().map(|name| format!("{name}: i64, ")).collect();
        let sum: String = names.iter().map(|name| format!("  i64.sub x, x, {name}\n")).collect();
        writeln!(text, "func f{bound}({params}x: i64) -> i64\n{sum}  i64.add x, x, 1\n  ret x\nend").unwrap();
        let locals: String = names.iter().map(|name| format!(", {name}: i64")).collect();
        let values: String =
            names.iter().enumerate().map(|(index, name)| format!("  i64.const {name}, {index}\n")).collect();
        let given = names.join(", ");
        let before_last = if bound == 0 { "" } else { ", " };
        looped(
            &mut text,
            &format!("static_{bound}"),
            &locals,
            &values,
            &format!("  call s, f{bound}({given}{before_last}s)"),
        );
        looped(
            &mut text,
            &format!("closure_{bound}"),
            &format!("{locals}, f: fn(i64) -> i64"),
            &format!("{values}  fn.new f, f{bound}({given})\n"),
            "  fn.call s, f(s)",
        );
    }
    let moves = "  cell.mov h, f\n  cell.mov f, g\n  cell.mov g, h\n";
    let closures = ", f: fn(i64, i64) -> i64, g: fn(i64, i64) -> i64, h: fn(i64, i64) -> i64";
    let both = "  fn.new f, minus()\n  fn.new g, less()\n";
    looped(&mut text, "static_turns", closures, both, &format!("{moves}  call s, minus(s, i)"));
    looped(&mut text, "closure_turns", closures, both, &format!("{moves}  fn.call s, f(s, i)"));
    text
}

fn main() {
    let options = Options::read(15, &[], &[]);
    let turns = if options.measure { 20_000_000 } else { 1000 };
    let words = assemble("closures", &source());
    let mut scratch = vec![0; Module::scratch_words(&words).expect("a container")];
    let module = Module::verify(&words, &mut scratch).expect("verifies");
    let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
    let mut code = HostCode::new(1 << 20).expect("code memory");
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let compile = Compile { features: opstamp_platform::features(), ..Compile::default() };
    let engine = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &compile).expect("machine code");
    let (mut stack, mut heap) = (vec![0; 4096], vec![0; 1 << 16]);
    let mut state = vec![0; Instance::state_words(&module)];
    let memory =
        InstanceMemory { stack: &mut stack, state: &mut state, heap: &mut heap, seed: 0, native_stack: 512 * 1024 };
    let mut instance = Instance::new(&engine, memory, &[]).expect("an instance");
    let mut time = |func: &str| {
        let (nanoseconds, result) = timed(|| instance.call(func, &[Value::I64(turns)]));
        (nanoseconds / turns as f64, result.expect("no trap"))
    };
    for which in (0..=BOUND).map(|bound| bound.to_string()).chain(["turns".to_string()]) {
        let rounds = if options.measure { options.rounds } else { 1 };
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let names = ["empty".to_string(), format!("static_{which}"), format!("closure_{which}")];
            let [empty, plain, closure] = names.each_ref().map(|name| time(name));
            assert!(which == "turns" || plain.1 == closure.1, "{which}: {:?}, {:?}", plain.1, closure.1);
            for (times, (time, _)) in times.iter_mut().zip([empty, plain, closure]) {
                times.push(time);
            }
        }
        let [empty, plain, closure] = times;
        let ratio = Spread::of_ratios(&closure, &plain);
        let each = [empty, plain, closure].map(|times| Spread::of(times).median);
        let what = if which == "turns" { "two in turns".into() } else { format!("{which} bound") };
        println!(
            "{what}: fn.call / call {:.2} ({}); ns a turn: loop {:.2}, call {:.2}, fn.call {:.2}",
            ratio.median,
            ratio.quartiles(),
            each[0],
            each[1],
            each[2]
        );
    }
}
