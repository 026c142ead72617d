//! Changes between machine code and the interpreter, in all programs of `tests/programs`: machine code is left at every op,
//! and entered at the head of every loop. What the programs expect holds all the same.
//!
//! `OPSTAMP_SWITCHES` is the number of ops of each program at which it is left, if it has more than that drawn at random
//! with the seed `OPSTAMP_SEED`; a tenth of that is the number of its loops. Without it all are, or [`DRAWN`] ops of a program
//! with more than [`ALL`].

mod common;

use common::{
    Alarm, ProgramFile, Room, alarmed, all_ops, from_environment, machine_code, programs, with_stack,
    words_of_functions,
};
use opstamp::jit::Options;
use opstamp::runtime::context::{Entry, Switches};
use opstamp::runtime::trap::Site;
use opstamp::vm3::container::Section;
use opstamp::vm3::op::{Flags, Op, Operand, field};
use opstamp::vm3::text::{self, Expectation, expectations};
use opstamp::{CodeMemory, Engine, Module};
use opstamp_tests::driver::Memory;
use opstamp_tests::programs::{Lent, Program, check};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of a program with more ops than this, only some are left at, drawn at random.
const ALL: usize = 2000;
const DRAWN: usize = 500;

/// How long expectations may be tried for one op, beside the first ones; if that was too short, all are.
const TRIES: Duration = Duration::from_millis(200);

/// Runs `work` for each program on as many threads as there are cores; what it gives, in the order of the programs. The
/// programs with the most ops come first.
fn each_program<T: Send>(work: impl Fn(&ProgramFile, &Alarm) -> T + Sync) -> Vec<(ProgramFile, T)> {
    // With fuel, machine code is left at every op by the test of fuel.
    let files: Vec<_> = programs().into_iter().filter(|file| !file.program().asks_for_fuel()).collect();
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(files[index].source.len()));
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one = || {
        let mut done = Vec::new();
        alarmed(|alarm| {
            with_stack(|| {
                while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    done.push((index, work(&files[index], alarm)));
                }
            });
        });
        done
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    done.sort_by_key(|&(index, _)| index);
    files.into_iter().zip(done).map(|(file, (_, done))| (file, done)).collect()
}

/// A program under test, and the memory that it runs in.
struct Bench<'b> {
    module: Module<'b>,
    program: Program<'b>,
    /// Beginning with those that are quick.
    expectations: Vec<(Duration, Expectation<'b>)>,
    functions: &'b mut [Entry],
    scratch: &'b mut [u64],
    stack: &'b mut [u64],
    heap: &'b mut [u64],
    state: &'b mut [u64],
    native_stack: usize,
}

impl<'b> Bench<'b> {
    /// Times every expectation in the interpreter.
    fn new(file: &'b ProgramFile, memory: Memory<'b>, alarm: &Alarm) -> Self {
        let Memory { words, scratch, stack, heap, state, functions, native_stack, .. } = memory;
        let used = text::assemble(&file.source, words, scratch, &mut |_| {}).expect("assembles");
        let module = Module::verify(&words[..used], scratch).expect("verifies");
        let program = file.program();
        let mut bench =
            Self { module, program, expectations: vec![], functions, scratch, stack, heap, state, native_stack };
        for expectation in expectations(&file.source) {
            let expectation = expectation.expect("an expectation");
            alarm.at(format_args!("{}:{}: timing", file.name, expectation.line));
            let started = Instant::now();
            let engine = Engine::interpreter(module, bench.functions).expect("an engine");
            let memory = Lent { stack: bench.stack, state: bench.state, heap: bench.heap, native_stack, stress: false };
            let ran = check(&engine, &program, &expectation, memory, &mut |_| {});
            assert!(ran.is_ok(), "{}:{}: the interpreter: {}", file.name, expectation.line, ran.unwrap_err());
            bench.expectations.push((started.elapsed(), expectation));
        }
        bench.expectations.sort_by_key(|&(time, _)| time);
        bench
    }

    /// Runs expectations with these options until one changes as `wanted`; the first to be tried are those that call this
    /// function and that changed the last time, then those that are quick. What was wrong, if anything was; else whether one
    /// changed.
    fn try_with(
        &mut self,
        code: &mut dyn CodeMemory,
        options: &Options,
        func: u16,
        patience: Duration,
        wanted: impl Fn(Switches) -> bool,
    ) -> Result<bool, String> {
        let module = self.module;
        let engine = Engine::tiered(module, self.functions, code, self.scratch, options).expect("an engine");
        let calls = |expectation: &Expectation<'_>| module.func_index(expectation.call.func) == Some(func);
        let direct = self.expectations.iter().position(|(_, expectation)| calls(expectation));
        let started = Instant::now();
        let mut order: Vec<usize> = (0..self.expectations.len()).collect();
        order.sort_by_key(|&index| (index != 0, Some(index) != direct));
        for (tried, &index) in order.iter().enumerate() {
            let (time, expectation) = &self.expectations[index];
            if tried > 1 && started.elapsed() + *time > patience && !calls(expectation) {
                continue;
            }
            let memory = Lent {
                stack: self.stack,
                state: self.state,
                heap: self.heap,
                native_stack: self.native_stack,
                stress: false,
            };
            let mut switches = Switches::default();
            let ran =
                check(&engine, &self.program, expectation, memory, &mut |instance| switches = instance.switches());
            if let Err(wrong) = ran {
                return Err(format!("line {}: {wrong}", expectation.line));
            }
            if wanted(switches) {
                self.expectations[..=index].rotate_right(1);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The heads of all loops: where branches lead that go back.
    fn heads(&self) -> BTreeSet<(u16, u16)> {
        let mut heads = BTreeSet::new();
        for (func, words) in words_of_functions(&self.module) {
            for at in 0..words.len() {
                let back = targets(&words[at..]).into_iter().filter(|&target| usize::from(target) <= at);
                heads.extend(back.map(|target| (func, target)));
            }
        }
        heads
    }

    /// A site as messages show it.
    fn name(&self, site: Site) -> String {
        let container = self.module.container();
        let func = container.func(site.func().into()).expect("a function");
        let words = container.code(&func).expect("its words");
        let word = usize::from(site.word());
        let op = Op::of_verified(words[word] as u8);
        let index = opstamp::vm3::container::op_index(words, word);
        format!("{} at {index} ({op:?})", container.text(func.name).unwrap_or("?"))
    }
}

/// Where the op may branch to.
fn targets(words: &[u64]) -> Vec<u16> {
    let Some(info) = Op::of_verified(words[0] as u8).info() else { return vec![] };
    if !info.flags.has(Flags::BRANCHES) {
        return vec![];
    }
    let mut targets = Vec::new();
    // No operand of a branch before its labels takes more than one field.
    for (at, operand) in info.operands.iter().enumerate() {
        match operand {
            Operand::Label => targets.extend(field(words, at)),
            Operand::Targets => {
                let count = usize::from(field(words, at).expect("the number of targets"));
                targets.extend((at + 1..at + 2 + count).filter_map(|at| field(words, at)));
            }
            _ => {}
        }
    }
    targets
}

/// Thresholds at which a function is compiled in one of its first activations.
const THRESHOLDS: [u32; 4] = [2, 4, 16, 100];

/// What came of the sites of a program.
#[derive(Default)]
struct Outcome {
    sites: usize,
    reached: usize,
    /// Those where nothing changed.
    unreached: Vec<String>,
    wrong: Vec<String>,
}

impl Outcome {
    fn add(&mut self, name: String, tried: Result<bool, String>) {
        self.sites += 1;
        match tried {
            Ok(true) => self.reached += 1,
            Ok(false) => self.unreached.push(name),
            Err(wrong) => self.wrong.push(format!("{name}: {wrong}")),
        }
    }
}

/// Whether no expectation executes these ops: each holds in the interpreter with a trap instead of every one of them. Ops
/// behind a `deopt` in the same function are left out, because machine code does not come to them.
fn never_executed(file: &ProgramFile, sites: &[Site], alarm: &Alarm) -> bool {
    let mut room = Room::for_source(&file.source);
    let Memory { words, scratch, stack, heap, state, functions, native_stack, .. } = room.memory();
    let used = text::assemble(&file.source, words, scratch, &mut |_| {}).expect("assembles");
    let words = &mut words[..used];
    let container = *Module::verify(words, scratch).expect("verifies").container();
    let section = (container.section(Section::Code).as_ptr() as usize - words.as_ptr() as usize) / size_of::<u64>();
    let records: Vec<_> =
        (0..container.count(Section::Funcs)).map(|index| container.func(index).expect("it")).collect();
    for site in sites {
        let record = records[usize::from(site.func())];
        let code = &mut words[section + record.code as usize..][..record.code_len as usize];
        let word = usize::from(site.word());
        if code[..word].iter().any(|&word| word as u8 == Op::Deopt as u8) {
            continue;
        }
        let args = code[word + 1..].iter().take_while(|&&word| word as u8 == Op::Args as u8).count();
        code[word..=word + args].fill(opstamp::vm3::op::word(Op::TrapUnreachable, 0, 0, 0));
    }
    let module = Module::verify(words, scratch).expect("verifies with traps");
    let engine = Engine::interpreter(module, functions).expect("an engine");
    expectations(&file.source).all(|expectation| {
        let memory = Lent { stack, state, heap, native_stack, stress: false };
        let expectation = expectation.expect("an expectation");
        alarm.at(format_args!("{}:{}: with traps", file.name, expectation.line));
        check(&engine, &file.program(), &expectation, memory, &mut |_| {}).is_ok()
    })
}

/// Leaves so many sites at most.
fn draw(sites: &mut Vec<Site>, count: usize, seed: u64) {
    if sites.len() > count {
        fastrand::Rng::with_seed(seed).shuffle(sites);
        sites.truncate(count);
    }
}

#[test]
fn machine_code_can_be_left_at_every_op() {
    let Some(all) = machine_code() else { return };
    let limit = from_environment("OPSTAMP_SWITCHES", 0) as usize;
    let seed = from_environment("OPSTAMP_SEED", 1);
    let started = Instant::now();
    let outcomes = each_program(|file, alarm| {
        let mut outcome = Outcome::default();
        let mut unreached = Vec::new();
        let mut room = Room::for_source(&file.source);
        let (memory, code) = room.parts();
        let mut bench = Bench::new(file, memory, alarm);
        let mut sites = all_ops(&bench.module);
        let drawn = match limit {
            0 if sites.len() > ALL => DRAWN,
            0 => ALL,
            limit => limit,
        };
        draw(&mut sites, drawn, seed);
        sites.sort_by_key(|site| site.0);
        let mut leave = |site: Site, patience: Duration| {
            alarm.at(format_args!("{}: left in {}", file.name, bench.name(site)));
            let options = Options { threshold: 0, leave_at: Some(site), ..all };
            let tried = bench.try_with(code, &options, site.func(), patience, |switches| switches.left > 0);
            (bench.name(site), tried)
        };
        for site in sites {
            match leave(site, TRIES) {
                (_, Ok(false)) => unreached.push(site),
                (name, tried) => outcome.add(name, tried),
            }
        }
        if !unreached.is_empty() && !never_executed(file, &unreached, alarm) {
            unreached.retain(|&site| {
                let (name, tried) = leave(site, Duration::MAX);
                let reached = tried != Ok(false);
                if reached {
                    outcome.add(name, tried);
                }
                !reached
            });
            if !never_executed(file, &unreached, alarm) {
                outcome.wrong.push("an op is executed, but never left".to_owned());
            }
        }
        for site in unreached {
            outcome.add(bench.name(site), Ok(false));
        }
        outcome
    });
    summary("left at", "ops", &outcomes, started);
}

#[test]
fn machine_code_can_be_entered_at_every_loop() {
    let Some(all) = machine_code() else { return };
    let limit = from_environment("OPSTAMP_SWITCHES", 0) as usize;
    let seed = from_environment("OPSTAMP_SEED", 1);
    let started = Instant::now();
    let run = |leaves: bool| {
        each_program(|file, alarm| {
            let mut room = Room::for_source(&file.source);
            let (memory, code) = room.parts();
            let mut bench = Bench::new(file, memory, alarm);
            let mut outcome = Outcome::default();
            let mut heads: Vec<Site> = bench.heads().into_iter().map(|(func, word)| Site::new(func, word)).collect();
            if limit != 0 {
                draw(&mut heads, limit.div_ceil(10), seed);
            }
            for head in heads {
                let func = head.func();
                alarm.at(format_args!("{}: entered in {}", file.name, bench.name(head)));
                let all = Options { enter_at: Some(head), ..all };
                let tries = match leaves {
                    // Every activation is interpreted from its first op on.
                    true => vec![Options { threshold: 0, leave_at: Some(Site::new(func, 0)), ..all }],
                    // The first activations are interpreted from their entry on.
                    false => THRESHOLDS.map(|threshold| Options { threshold, ..all }).to_vec(),
                };
                let mut tried = Ok(false);
                for options in tries {
                    if let Ok(false) = tried {
                        tried = bench.try_with(code, &options, func, TRIES, |switches| switches.entered > 0);
                    }
                }
                outcome.add(bench.name(head), tried);
            }
            outcome
        })
    };
    let left = run(true);
    summary("entered at, left at the entry", "loops", &left, started);
    let unreached: usize = left.iter().map(|(_, outcome)| outcome.unreached.len()).sum();
    assert_eq!(unreached, 0, "some loops are never entered");
    // Loops that only go round when their function has been called often are not among these.
    let called = run(false);
    summary("entered at, interpreted since the call", "loops", &called, started);
    let sum = |of: fn(&Outcome) -> usize| called.iter().map(|(_, outcome)| of(outcome)).sum::<usize>();
    assert!(sum(|outcome| outcome.reached) * 10 >= sum(|outcome| outcome.sites) * 8, "few loops are entered");
}

fn summary(what: &str, of: &str, outcomes: &[(ProgramFile, Outcome)], started: Instant) {
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(|(_, outcome)| of(outcome)).sum::<usize>();
    for (file, outcome) in outcomes {
        for site in &outcome.unreached {
            println!("not {what}: {}: {site}", file.name);
        }
    }
    println!(
        "switches: {what} {} of {} {of} of {} programs, {:?}",
        sum(|outcome| outcome.reached),
        sum(|outcome| outcome.sites),
        outcomes.len(),
        started.elapsed()
    );
    let wrong = outcomes
        .iter()
        .flat_map(|(file, outcome)| outcome.wrong.iter().map(move |wrong| format!("{}: {wrong}", file.name)));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
