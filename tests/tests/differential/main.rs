//! Random programs through every engine of this host and through a plain evaluator: same results, traps, places of traps
//! and globals.
//!
//! `OPSTAMP_DIFF_PROGRAMS` is the number of programs, `OPSTAMP_SEED` the seed of the first; the others have the seeds behind
//! it. A program that fails is made smaller and printed.

#[path = "../common/mod.rs"]
mod common;
mod coverage;
mod evaluate;
mod generate;
mod program;
mod shrink;

use common::{EngineUnderTest, Room, alarmed, engines, with_stack};
use coverage::Coverage;
use evaluate::{Machine, Outcome};
use opstamp::vm3::op::Bank;
use opstamp::vm3::text;
use opstamp::{CallError, Cell, Engine, Instance, InstanceMemory, Module, Value};
use opstamp_tests::driver::GARBAGE;
use opstamp_tests::host;
use program::{GLOBALS, Lowered, Program};
use std::time::Instant;

/// Programs of a run, unless the environment says otherwise.
const PROGRAMS: u64 = 20_100;

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, expected a number")),
        Err(_) => default,
    }
}

/// What a call left behind: its outcome, and the globals as bits.
type Trace = (Outcome, Vec<u64>);

fn value(bank: Bank, bits: u64) -> Value {
    match bank {
        Bank::I64 => Value::I64(bits as i64),
        Bank::F64 => Value::F64(f64::from_bits(bits)),
        Bank::Cell => Value::Cell(Cell::from_bits(bits).expect("a valid cell")),
    }
}

/// What the evaluator says; `None` if the program takes too long.
fn expected(program: &Program, lowered: &[Lowered], coverage: &mut Coverage) -> Option<Vec<Trace>> {
    let mut machine = Machine::new(program, lowered, program.stack_words);
    let mut traces = Vec::new();
    for args in &program.calls {
        let outcome = machine.call(args).ok()?;
        traces.push((outcome, machine.globals.clone()));
    }
    coverage.executed(program, lowered, &machine.counts);
    traces.iter().for_each(|(outcome, _)| coverage.ended(program, lowered, outcome));
    Some(traces)
}

/// What an engine does, or why it did not come to run.
fn found(program: &Program, text: &str, engine: &EngineUnderTest, room: &mut Room) -> Result<Vec<Trace>, String> {
    let (memory, code) = room.parts();
    let used = text::assemble(text, memory.words, memory.scratch, &mut |_| {}).map_err(|error| error.to_string())?;
    let module = Module::verify(&memory.words[..used], memory.scratch).map_err(|error| error.to_string())?;
    let engine = match &engine.options {
        None => Engine::interpreter(module, memory.functions),
        Some(options) => Engine::machine_code(module, memory.functions, code, memory.scratch, options),
    };
    let engine = engine.map_err(|error| error.to_string())?;
    let imports = host::imports();
    let stack = &mut memory.stack[..program.stack_words];
    stack.fill(GARBAGE);
    let memory =
        InstanceMemory { heap: &mut [], seed: 0, stack, state: memory.state, native_stack: memory.native_stack };
    let mut instance = Instance::new(&engine, memory, &imports).map_err(|error| error.to_string())?;
    let main = &program.funcs[0];
    let mut traces = Vec::new();
    for args in &program.calls {
        instance.reset();
        let args: Vec<_> = main.slots.iter().zip(args).map(|(&bank, &bits)| value(bank, bits)).collect();
        let outcome = match instance.call(&main.name, &args) {
            Ok(value) => Outcome::Returns(value.map(Value::bits)),
            Err(CallError::Trap(report)) => Outcome::Traps(report.trap, report.func.into(), report.op as usize),
            Err(error) => return Err(error.to_string()),
        };
        let globals = (0..GLOBALS.len() as u32).map(|index| instance.global(index).map_or(0, Value::bits)).collect();
        traces.push((outcome, globals));
    }
    Ok(traces)
}

/// Compares all engines with the evaluator: the first difference in words, or `None`. Programs that take too long have
/// none.
fn difference(program: &Program, engines: &[EngineUnderTest], room: &mut Room) -> Option<String> {
    let lowered: Vec<_> = program.funcs.iter().map(program::Func::lower).collect();
    let expected = expected(program, &lowered, &mut Coverage::default())?;
    compare(program, &program.text(&lowered), &expected, engines, room)
}

fn compare(
    program: &Program,
    text: &str,
    expected: &[Trace],
    engines: &[EngineUnderTest],
    room: &mut Room,
) -> Option<String> {
    for engine in engines {
        match found(program, text, engine, room) {
            Err(error) => return Some(format!("{}: {error}", engine.name)),
            Ok(found) => {
                for ((expected, found), args) in expected.iter().zip(&found).zip(&program.calls) {
                    if expected != found {
                        return Some(format!(
                            "{}: called with {args:x?}, stack of {} words\nexpected {expected:x?}\nfound    {found:x?}",
                            engine.name, program.stack_words
                        ));
                    }
                }
            }
        }
    }
    None
}

/// What became of a seed.
enum Verdict {
    Agreed,
    TooLong,
    Differed(String),
}

/// The interpreter, the compiler as it is meant to be used, and the compiler with options that depend on the seed: any
/// number of pinned registers, and any of this CPU's features left out.
fn engines_for(seed: u64) -> Vec<EngineUnderTest> {
    let mut engines = engines();
    engines.truncate(2);
    if let Some(EngineUnderTest { options: Some(all), .. }) = engines.get(1) {
        let rng = &mut fastrand::Rng::with_seed(seed ^ 0x5EED);
        let mut options = *all;
        options.max_pinned = if rng.bool() { 0 } else { rng.usize(1..20) };
        let features = &mut options.features;
        for feature in [
            &mut features.popcnt,
            &mut features.lzcnt,
            &mut features.bmi1,
            &mut features.bmi2,
            &mut features.sse41,
            &mut features.avx,
            &mut features.fma,
        ] {
            *feature &= rng.bool();
        }
        engines.push(EngineUnderTest { name: "machine code, options of the seed", options: Some(options) });
    }
    engines
}

fn try_seed(seed: u64, room: &mut Room, coverage: &mut Coverage) -> Verdict {
    let mut program = generate::program(seed);
    let lowered: Vec<_> = program.funcs.iter().map(program::Func::lower).collect();
    if seed.is_multiple_of(2) {
        limit_stack(&mut program, &lowered, seed);
    }
    let Some(expected) = expected(&program, &lowered, coverage) else { return Verdict::TooLong };
    let text = program.text(&lowered);
    let engines = &engines_for(seed);
    let Some(first) = compare(&program, &text, &expected, engines, room) else { return Verdict::Agreed };
    let small = shrink::shrink(program, &mut |program| difference(program, engines, room).is_some());
    let lowered: Vec<_> = small.funcs.iter().map(program::Func::lower).collect();
    let last = difference(&small, engines, room).unwrap_or_default();
    let options = engines.last().map(|engine| engine.options);
    Verdict::Differed(format!(
        "seed {seed}, options {options:?}: {first}\nmade smaller:\n{}\n{last}",
        small.text(&lowered)
    ))
}

/// Gives the program a stack that is one word too small for one of its calls, so that traps for want of stack strike at all
/// kinds of calls.
fn limit_stack(program: &mut Program, lowered: &[Lowered], seed: u64) {
    let mut machine = Machine::new(program, lowered, program.stack_words);
    for args in &program.calls {
        if machine.call(args).is_err() {
            return;
        }
    }
    let rng = &mut fastrand::Rng::with_seed(!seed);
    let only_tails = rng.bool() && machine.demands.iter().any(|(_, tail)| *tail);
    let kept = machine.demands.iter().filter(|(_, tail)| *tail || !only_tails);
    let demands: std::collections::BTreeSet<usize> = kept.map(|(words, _)| *words).collect();
    let pick = demands.iter().nth(rng.usize(0..demands.len())).copied().unwrap_or(1);
    program.stack_words = (pick - 1).min(program.stack_words);
}

#[test]
fn engines_agree() {
    let programs = from_environment("OPSTAMP_DIFF_PROGRAMS", PROGRAMS);
    let seed = from_environment("OPSTAMP_SEED", 1);
    let engines = engines_for(seed);
    let names: Vec<_> = engines.iter().map(|engine| engine.name).collect();
    println!("differential: seed {seed}, {programs} programs through {}", names.join(", "));
    let started = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let work = |worker: u64| {
        alarmed(|alarm| {
            with_stack(|| {
                let mut room = Room::new();
                let mut coverage = Coverage::default();
                let (mut agreed, mut too_long) = (0u64, 0u64);
                for seed in
                    (0..programs).skip(worker as usize).step_by(workers as usize).map(|at| seed.wrapping_add(at))
                {
                    alarm.at(format_args!("seed {seed}"));
                    match try_seed(seed, &mut room, &mut coverage) {
                        Verdict::Agreed => agreed += 1,
                        Verdict::TooLong => too_long += 1,
                        Verdict::Differed(report) => panic!("{report}"),
                    }
                }
                (agreed, too_long, coverage)
            })
        })
    };
    let mut coverage = Coverage::default();
    let (mut agreed, mut too_long) = (0, 0);
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        for thread in threads {
            let (more_agreed, more_too_long, part) =
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            agreed += more_agreed;
            too_long += more_too_long;
            coverage.merge(part);
        }
    });
    let (things, least, executed) = coverage.summary();
    println!(
        "differential: {agreed} programs agree, {too_long} left out because they take too long; {executed} ops executed by \
         the evaluator, {things} kinds of op, operand and trap seen at least {least} times each; {:?}",
        started.elapsed()
    );
    assert!(agreed >= programs * 9 / 10, "too many programs take too long");
    if programs >= PROGRAMS {
        let missing = coverage.missing();
        assert!(missing.is_empty(), "seen too rarely:\n{}", missing.join("\n"));
    }
}
