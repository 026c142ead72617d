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
mod heap;
mod objects;
mod program;
mod shrink;

use common::{EngineUnderTest, Room, alarmed, engines, from_environment, with_stack};
use coverage::Coverage;
use evaluate::{Machine, Outcome};
use opstamp::runtime::trap::Site;
use opstamp::vm3::op::Bank;
use opstamp::vm3::text;
use opstamp::{CallError, Cell, Instance, InstanceMemory, Module, TrapKind, Value};
use opstamp_tests::driver::{CacheRoom, GARBAGE};
use opstamp_tests::{digest, host};
use program::{GLOBALS, Ins, Lowered, Program, Ty};
use std::time::Instant;

/// Programs of a run, unless the environment says otherwise.
const PROGRAMS: u64 = 24_000;

/// What a call left behind: its outcome, the globals as bits, and the fuel if it is counted. Cells of a program with a heap
/// are their digests.
type Trace = (Outcome, Vec<u64>, Option<u64>);

/// Words of heap: several times what the evaluator lets a call allocate.
const HEAP_WORDS: usize = 1 << 20;

/// Stands for the digest of a cell that the stack of the program has no room to compute.
const NO_ROOM: u64 = 0xD16E_57D1_6E57_D16E;

/// Words of stack with which every digest can be computed.
const DIGEST_WORDS: usize = 400;

/// Allocations of each call that fail, each in a run of its own.
const FAILURES: usize = 3;

/// What an engine did.
#[derive(Debug, PartialEq)]
struct Run {
    /// Each call of the program.
    calls: Vec<Trace>,
    /// Calls again: which, behind how many allocations all fail, and what it did.
    failing: Vec<(usize, u64, Trace)>,
}

fn value(ty: Ty, bits: u64) -> Value {
    match ty {
        Ty::I64 => Value::I64(bits as i64),
        Ty::F64 => Value::F64(f64::from_bits(bits)),
        _ => Value::Cell(Cell::from_bits(bits).expect("a valid cell")),
    }
}

/// What a call of the evaluator left behind.
fn trace(machine: &Machine<'_>, program: &Program, outcome: Outcome) -> Trace {
    let seen = |ty: Ty, bits: u64| {
        let digested = program.heap && ty.bank() == Bank::Cell;
        if digested { machine.digest(bits, digest::DEPTH) as u64 } else { bits }
    };
    let globals = GLOBALS.iter().zip(&machine.globals).map(|(&ty, &bits)| seen(ty, bits)).collect();
    let outcome = match (outcome, program.funcs[0].result) {
        (Outcome::Returns(Some(bits)), Some(ty)) => Outcome::Returns(Some(seen(ty, bits))),
        (outcome, _) => outcome,
    };
    (outcome, globals, machine.fuel)
}

/// Whether an engine did what the evaluator did. With a small stack a digest may be missing.
fn alike(program: &Program, expected: &Trace, found: &Trace) -> bool {
    let bits = |expected: u64, found: u64| {
        expected == found || (found == NO_ROOM && program.heap && program.stack_words < DIGEST_WORDS)
    };
    let outcome = match (&expected.0, &found.0) {
        (Outcome::Returns(Some(expected)), Outcome::Returns(Some(found))) => bits(*expected, *found),
        (expected, found) => expected == found,
    };
    outcome
        && expected.2 == found.2
        && expected.1.len() == found.1.len()
        && expected.1.iter().zip(&found.1).all(|(&x, &y)| bits(x, y))
}

/// The bits of a value; of a cell in a program with a heap, the digest that the guest makes.
fn seen(instance: &mut Instance<'_>, program: &Program, value: Value) -> u64 {
    if !program.heap || value.cell().is_none() {
        return value.bits();
    }
    match instance.call("digest", &[value, Value::I64(digest::DEPTH)]) {
        Ok(Some(digest)) => digest.bits(),
        Err(CallError::Trap(report)) if report.trap.kind == TrapKind::StackOverflow => NO_ROOM,
        other => panic!("a digest ended with {other:?}"),
    }
}

/// What the evaluator says; `None` if the program takes too long.
fn expected(program: &Program, lowered: &[Lowered], coverage: &mut Coverage) -> Option<Vec<Trace>> {
    let mut machine = Machine::new(program, lowered, program.stack_words);
    let mut traces = Vec::new();
    for args in &program.calls {
        let outcome = machine.call(args).ok()?;
        traces.push(trace(&machine, program, outcome));
    }
    coverage.executed(program, lowered, &machine.counts);
    traces.iter().for_each(|(outcome, ..)| coverage.ended(program, lowered, outcome));
    Some(traces)
}

/// What an engine does, or why it did not come to run. With `stress`, a collection runs at every allocation of the calls
/// none of whose allocations fails.
fn found(
    program: &Program,
    text: &str,
    engine: &EngineUnderTest,
    room: &mut Space,
    seed: u64,
    stress: bool,
) -> Result<Run, String> {
    let (memory, code) = room.room.parts();
    let used = text::assemble(text, memory.words, memory.scratch, &mut |_| {}).map_err(|error| error.to_string())?;
    let module = Module::verify(&memory.words[..used], memory.scratch).map_err(|error| error.to_string())?;
    let engine = EngineUnderTest { fuel: program.fuel.is_some(), ..*engine };
    let mut cache = CacheRoom::new();
    let engine = engine.make(module, memory.functions, code, &mut cache, memory.scratch);
    let engine = engine.map_err(|error| error.to_string())?;
    let imports = host::imports();
    let stack = &mut memory.stack[..program.stack_words];
    let (state, native_stack) = (memory.state, memory.native_stack);
    stack.fill(GARBAGE);
    let lent = InstanceMemory { heap: &mut room.heap, seed, stack, state, native_stack };
    let mut instance = Instance::new(&engine, lent, &imports).map_err(|error| error.to_string())?;
    instance.set_heap_stress(stress);
    let mut run = Run { calls: vec![], failing: vec![] };
    let mut fuses = vec![];
    let rng = &mut fastrand::Rng::with_seed(seed);
    for call in 0..program.calls.len() {
        let before = instance.heap_stats().allocations;
        let (outcome, allocations) = once(&mut instance, program, call, None)?;
        run.calls.push(outcome);
        if program.heap {
            (0..FAILURES).for_each(|_| fuses.push((call, rng.u64(0..=allocations - before))));
        }
    }
    // A new instance, so that collections run at the same places in all engines.
    let lent = InstanceMemory { heap: &mut room.heap, seed, stack, state, native_stack };
    let mut instance = Instance::new(&engine, lent, &imports).map_err(|error| error.to_string())?;
    for (call, fuse) in fuses {
        let (outcome, _) = once(&mut instance, program, call, Some(fuse))?;
        run.failing.push((call, fuse, outcome));
    }
    Ok(run)
}

/// One call, and the allocations of the instance before its digests.
fn once(
    instance: &mut Instance<'_>,
    program: &Program,
    call: usize,
    fuse: Option<u64>,
) -> Result<(Trace, u64), String> {
    instance.reset().map_err(|error| error.to_string())?;
    instance.set_heap_fuse(fuse);
    let main = &program.funcs[0];
    let args: Vec<_> = main.slots.iter().zip(&program.calls[call]).map(|(&ty, &bits)| value(ty, bits)).collect();
    instance.set_fuel(program.fuel).map_err(|error| error.to_string())?;
    let outcome = instance.call(&main.name, &args);
    let fuel = instance.fuel();
    // Digests may take any.
    instance.set_fuel(None).map_err(|error| error.to_string())?;
    instance.set_heap_fuse(None);
    let allocations = instance.heap_stats().allocations;
    let outcome = match outcome {
        Ok(value) => Outcome::Returns(value.map(|value| seen(instance, program, value))),
        Err(CallError::Trap(report)) => Outcome::Traps(report.trap, report.func.into(), report.op as usize),
        Err(error) => return Err(error.to_string()),
    };
    let globals = (0..program.globals.len() as u32).map(|index| {
        let value = instance.global(index).expect("a global of the program");
        seen(instance, program, value)
    });
    let globals = globals.collect();
    Ok(((outcome, globals, fuel), allocations))
}

/// Memory for engines.
struct Space {
    room: Room,
    heap: Vec<u64>,
}

/// Compares all engines with the evaluator: the first difference in words, or `None`. Programs that take too long have
/// none.
fn difference(program: &Program, engines: &[EngineUnderTest], room: &mut Space, seed: u64) -> Option<String> {
    let lowered: Vec<_> = program.funcs.iter().map(program::Func::lower).collect();
    let expected = expected(program, &lowered, &mut Coverage::default())?;
    compare(program, &lowered, &expected, engines, room, seed, &mut Coverage::default())
}

/// The first difference of the engines from the evaluator and from each other. The last engine collects at every
/// allocation.
fn compare(
    program: &Program,
    lowered: &[Lowered],
    expected: &[Trace],
    engines: &[EngineUnderTest],
    room: &mut Space,
    seed: u64,
    coverage: &mut Coverage,
) -> Option<String> {
    let text = program.text(lowered);
    let mut first: Option<Run> = None;
    for (index, engine) in engines.iter().enumerate() {
        let run = match found(program, &text, engine, room, seed, index > 1) {
            Ok(run) => run,
            Err(error) => return Some(format!("{}: {error}", engine.name)),
        };
        for ((expected, found), args) in expected.iter().zip(&run.calls).zip(&program.calls) {
            if !alike(program, expected, found) {
                return Some(format!(
                    "{}: called with {args:x?}, stack of {} words, fuel {:?}\nexpected {expected:x?}\nfound    {found:x?}",
                    engine.name, program.stack_words, program.fuel
                ));
            }
        }
        match &first {
            None => first = Some(run),
            Some(first) => {
                let pairs = first.failing.iter().zip(&run.failing);
                if let Some((first, found)) = pairs.into_iter().find(|(first, found)| first != found) {
                    return Some(format!(
                        "{}: the call, the allocations that succeed, and what came of it\nexpected {first:x?}\nfound    \
                         {found:x?}",
                        engine.name
                    ));
                }
            }
        }
    }
    first.and_then(|run| out_of_memory(program, lowered, &run, coverage))
}

/// Holds the calls whose allocations failed against the evaluator: where one ended for want of memory, the evaluator leaves
/// the same behind if that op fails in it, in one of its executions.
fn out_of_memory(program: &Program, lowered: &[Lowered], run: &Run, coverage: &mut Coverage) -> Option<String> {
    let mut machine = Machine::new(program, lowered, program.stack_words);
    for (call, fuse, found) in &run.failing {
        let args = &program.calls[*call];
        let Outcome::Traps(trap, func, op) = &found.0 else { continue };
        if trap.kind != TrapKind::OutOfMemory {
            continue;
        }
        // Of a call back into the guest, which passes the trap on, the place is not known.
        if matches!(lowered[*func].code[*op], Ins::Host { .. }) {
            continue;
        }
        let mut agrees = false;
        for execution in 0.. {
            machine.fuse = Some((*func, *op, execution));
            let Ok(outcome) = machine.call(args) else { break };
            // The op was not executed so often.
            let ended = !matches!(machine.fuse, Some((.., 0)));
            agrees = alike(program, &trace(&machine, program, outcome), found);
            if agrees || ended {
                break;
            }
        }
        if !agrees {
            return Some(format!(
                "no execution of op {op} of function {func} that fails leaves behind what the engines did, called with \
                 {args:x?}, with {fuse} allocations that succeed: {found:x?}"
            ));
        }
        coverage.ended(program, lowered, &found.0);
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
        engines.push(EngineUnderTest {
            name: "machine code, options of the seed",
            options: Some(options),
            tiered: false,
            limit: 0,
            fuel: false,
            stress: false,
        });
        // Compiled when warm, after few calls and rounds of loops; and left at some op, wherever that is one.
        options.threshold = rng.u32(0..6);
        options.leave_at = rng.bool().then(|| Site::new(rng.u16(0..4), rng.u16(0..40)));
        engines.push(EngineUnderTest {
            name: "compiled when warm, left at an op",
            options: Some(options),
            tiered: true,
            limit: 0,
            fuel: false,
            stress: false,
        });
    }
    engines
}

fn try_seed(seed: u64, room: &mut Space, coverage: &mut Coverage) -> Verdict {
    let mut program = generate::program(seed);
    let lowered: Vec<_> = program.funcs.iter().map(program::Func::lower).collect();
    if seed.is_multiple_of(if program.heap { 4 } else { 2 }) {
        limit_stack(&mut program, &lowered, seed);
    }
    if seed % 4 >= 2 {
        limit_fuel(&mut program, &lowered, seed);
    }
    let Some(expected) = expected(&program, &lowered, coverage) else { return Verdict::TooLong };
    let engines = &engines_for(seed);
    let first = compare(&program, &lowered, &expected, engines, room, seed, coverage);
    let Some(first) = first else { return Verdict::Agreed };
    let small = shrink::shrink(program, &mut |program| difference(program, engines, room, seed).is_some());
    let lowered: Vec<_> = small.funcs.iter().map(program::Func::lower).collect();
    let last = difference(&small, engines, room, seed).unwrap_or_default();
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

/// Counts the program's fuel: most have enough, a third run out of it somewhere in one of their calls.
fn limit_fuel(program: &mut Program, lowered: &[Lowered], seed: u64) {
    const ENOUGH: u64 = 1 << 40;
    program.fuel = Some(ENOUGH);
    let mut machine = Machine::new(program, lowered, program.stack_words);
    let rng = &mut fastrand::Rng::with_seed(seed ^ 0xF0E1);
    let args = &program.calls[rng.usize(0..program.calls.len())];
    if rng.u32(0..3) != 0 || machine.call(args).is_err() {
        return;
    }
    let used = machine.fuel.map_or(0, |left| ENOUGH - left);
    program.fuel = Some(if rng.u32(0..8) == 0 { used } else { rng.u64(0..used.max(1)) });
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
                let mut room = Space { room: Room::new(), heap: vec![0; HEAP_WORDS] };
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
    if std::env::var_os("SHOW").is_some() {
        println!("{}", coverage.missing().join("\n"));
    }
    assert!(agreed >= programs * 9 / 10, "too many programs take too long");
    if programs >= PROGRAMS {
        let missing = coverage.missing();
        assert!(missing.is_empty(), "seen too rarely:\n{}", missing.join("\n"));
    }
}
