//! What a code cache costs whose size is a part of the program's code: the same calls by the interpreter, by machine code
//! in a cache of that size, and in one that holds all. Ratios to the interpreter in the same round.

#[allow(dead_code, reason = "other benchmarks use the rest")]
mod support;

use opstamp::code::{Marks, Seat};
use opstamp::jit::Options as Compile;
use opstamp::runtime::context::Entry;
use opstamp::{CodeCache, CodeMemory, Engine, Instance, InstanceMemory, Module, Value};
use opstamp_platform::HostCode;
use std::fmt::Write;
use support::{Options, Spread, assemble, timed};

/// Functions of the program.
const COUNT: usize = 2000;

/// `main(rounds)` calls every function once a round: in any order that evicts by age, each call comes just too late.
fn source() -> String {
    let mut text = String::from("func main(rounds: i64) -> i64\nlocal x: i64\nagain:\n");
    for k in 0..COUNT {
        writeln!(text, "call x, f{k}(x)").expect("writes");
    }
    text += "i64.sub rounds, rounds, 1\nbr.i64.gt rounds, 0, again\nret x\nend\n";
    for k in 0..COUNT {
        writeln!(text, "func f{k}(x: i64) -> i64\nlocal i: i64, y: i64\nagain:").expect("writes");
        for j in 0..8 {
            writeln!(text, "i64.mul x, x, {}\ni64.add y, x, i\ni64.xor x, y, {j}", 2 * k + 3).expect("writes");
        }
        writeln!(text, "i64.add i, i, 1\nbr.i64.lt i, 3, again\nret x\nend").expect("writes");
    }
    text
}

/// One engine, asked for a result again and again.
fn with_engine<T>(words: &[u64], limit: Option<usize>, work: impl FnOnce(&mut Instance<'_>) -> T) -> T {
    let mut scratch = vec![0; 1 << 16];
    let module = Module::verify(words, &mut scratch).unwrap_or_else(|error| panic!("{error}"));
    let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
    let mut code = HostCode::new(8 << 20).expect("code memory");
    let mut map = vec![0; CodeCache::map_words(code.size())];
    let (mut seats, mut marks) = ([Seat::new()], [const { Marks::new(0) }; COUNT / 64 + 1]);
    let options = Compile { features: opstamp_platform::features(), ..Compile::default() };
    let engine = match limit {
        None => Engine::interpreter(module, &mut functions),
        Some(limit) => {
            let cache = CodeCache { code: &mut code, map: &mut map, limit, seats: &mut seats, marks: &mut marks };
            Engine::cached(module, &mut functions, cache, &mut scratch, &options)
        }
    };
    let engine = engine.unwrap_or_else(|error| panic!("{error}"));
    let (mut stack, mut state) = (vec![0; 1024], vec![0; 8]);
    let memory =
        InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack: 256 << 10 };
    work(&mut Instance::new(&engine, memory, &[]).unwrap_or_else(|error| panic!("{error}")))
}

fn main() {
    let options = Options::read(5, &[], &[]);
    let words = assemble("the program", &source());
    let turns: i64 = if options.measure { 400 } else { 2 };
    let run = |instance: &mut Instance<'_>| {
        let (time, found) = timed(|| instance.call("main", &[Value::I64(turns)]));
        (time, found.ok().flatten(), instance.engine().code_stats())
    };
    // All of it, to know its size.
    let whole = with_engine(&words, Some(usize::MAX), |instance| {
        (0..instance.engine().functions().len()).for_each(|func| assert!(instance.engine().compile(func as u16)));
        instance.engine().code_stats().expect("nobody compiles").used
    });
    println!("{COUNT} functions of {whole} bytes of machine code, called in turn {turns} times from the start");
    println!("{:>14} {:>18} {:>15} {:>9} {:>9}", "cache", "time/interpreter", "middle half", "compiled", "freed");
    for part in [1, 2, 5, 20, 100] {
        let limit = whole / part + whole / 20;
        let limit = if part == 1 { usize::MAX } else { limit };
        let (mut ours, mut others, mut last) = (Vec::new(), Vec::new(), None);
        for _ in 0..options.rounds {
            let (interpreted, wanted, _) = with_engine(&words, None, run);
            let (cached, found, stats) = with_engine(&words, Some(limit), run);
            assert!(wanted.is_some() && wanted == found, "{wanted:?}, {found:?}");
            ours.push(cached);
            others.push(interpreted);
            last = stats;
        }
        let (ratio, stats) = (Spread::of_ratios(&ours, &others), last.expect("nobody compiles"));
        let name = if part == 1 { "all".into() } else { format!("1/{part}") };
        println!("{name:>14} {:18.3} {:>15} {:9} {:9}", ratio.median, ratio.quartiles(), stats.compiled, stats.freed);
    }
}
