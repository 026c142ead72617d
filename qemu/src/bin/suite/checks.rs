//! The shared suite, the programs, and how many checks passed.

use crate::engines::{self, Engine, Room};
use core::fmt;
use opstamp::vm3::text;
use opstamp_qemu::command_line::words;
use opstamp_qemu::kernel::Status;
use opstamp_qemu::memory::Region;
use opstamp_qemu::println;
use opstamp_tests::driver::{self, CacheRoom, need};
use opstamp_tests::programs::Program;
use opstamp_tests::{Coverage, SOURCE_BYTES};

/// Each program's name, its text and what it prints.
const PROGRAMS: &[(&str, &str, Option<&[u8]>)] = &include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// What has come of the checks.
pub struct Tally {
    tell_all: bool,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    /// `tell_all`: a line for each check.
    pub fn new(tell_all: bool) -> Self {
        Self { tell_all, passed: 0, failed: 0, skipped: 0 }
    }

    pub fn pass(&mut self, group: &str, what: impl fmt::Display) {
        self.passed += 1;
        if self.tell_all {
            println!("ok {group}: {what}");
        }
    }

    pub fn fail(&mut self, group: &str, what: impl fmt::Display) {
        self.failed += 1;
        println!("FAIL {group}: {what}");
    }

    pub fn skip(&mut self, group: &str, what: impl fmt::Display) {
        self.skipped += 1;
        println!("skipped {group}: {what}");
    }

    /// Counts a check that is told whether it passed or not.
    pub fn expect(&mut self, group: &str, what: impl fmt::Display, holds: bool) {
        if holds { self.pass(group, what) } else { self.fail(group, what) }
    }

    /// Prints the sums; the status that they stand for. A run without a check is a failure.
    pub fn end(self) -> Status {
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed == 0 && self.passed > 0 { Status::Success } else { Status::Failure }
    }
}

/// What the command line chooses of the engines and of the programs.
#[derive(Clone, Copy)]
pub struct Chosen(pub &'static [u8]);

impl Chosen {
    fn names(self, wanted: &str) -> bool {
        words(self.0).any(|word| word.is(wanted))
    }

    /// Those that are named, or the usual ones.
    fn engines(self) -> impl Iterator<Item = Engine> {
        let all = engines::all();
        let named = all.iter().any(|engine| self.names(engine.word));
        let chosen = move |(index, engine): &(usize, Engine)| {
            if named { self.names(engine.word) } else { *index < engines::USUAL }
        };
        all.into_iter().enumerate().filter(chosen).map(|(_, engine)| engine)
    }

    /// All programs, or every second of them, from the first or from the second on.
    fn programs(self) -> impl Iterator<Item = &'static (&'static str, &'static str, Option<&'static [u8]>)> {
        let chosen = move |index: usize| match (self.names("odd"), self.names("even")) {
            (true, false) => !index.is_multiple_of(2),
            (false, true) => index.is_multiple_of(2),
            _ => true,
        };
        PROGRAMS.iter().enumerate().filter(move |&(index, _)| chosen(index)).map(|(_, program)| program)
    }
}

/// The shared suite through the chosen engines.
pub fn suite(region: &mut Region, tally: &mut Tally, chosen: Chosen) {
    let mut room = Room::new(region, need::WORDS, need::SCRATCH, engines::SUITE);
    let cache = &mut region.values::<CacheRoom>(1)[0];
    let source = region.values(SOURCE_BYTES);
    for engine in chosen.engines() {
        let before = tally.passed;
        let mut groups = 0;
        let mut coverage = Coverage::new();
        opstamp_tests::suite(source, &mut |group| {
            groups += 1;
            let (mut memory, code) = room.parts();
            memory.stress = engine.stress;
            let told = core::cell::RefCell::new(&mut *tally);
            let mut report = |failure: &driver::Failure<'_>| {
                told.borrow_mut().fail(engine.name, format_args!("{}: {failure}", group.name));
            };
            let runner = engine.runner(code, cache);
            let mut pass = |case: &opstamp_tests::Case<'_>| {
                let what = format_args!("{}: {:?} {}({:?})", group.name, case.op, case.func, case.args);
                told.borrow_mut().pass(engine.name, what);
            };
            driver::run(group, &mut memory, runner, &mut coverage, &mut report, &mut pass, &mut |_| {});
        });
        for op in coverage.missing() {
            tally.fail(engine.name, format_args!("no case for {op:?}"));
        }
        println!("suite: {} cases of {groups} modules passed on {}", tally.passed - before, engine.name);
    }
}

/// The expectations of the chosen programs through the chosen engines. None is run with a collection at every allocation:
/// some allocate too often for that.
pub fn programs(region: &mut Region, tally: &mut Tally, chosen: Chosen) {
    let sizes = PROGRAMS.iter().map(|(_, source, _)| text::sizes(source));
    let words = sizes.clone().map(|sizes| sizes.out_words).max().unwrap_or(0);
    let scratch = sizes.map(|sizes| sizes.scratch_words).max().unwrap_or(0);
    let mut room = Room::new(region, words, scratch.max(need::SCRATCH), engines::PROGRAMS);
    let cache = &mut region.values::<CacheRoom>(1)[0];
    for engine in chosen.engines() {
        if engine.stress {
            tally.fail(engine.name, "programs are not run so");
            continue;
        }
        let before = tally.passed;
        let mut programs = 0;
        for &(name, source, printed) in chosen.programs() {
            programs += 1;
            let (mut memory, code) = room.parts();
            let program = Program { source, printed };
            opstamp_tests::programs::run(
                &program,
                &mut memory,
                engine.runner(code, cache),
                &mut |line, func, wrong| match wrong {
                    None => tally.pass(engine.name, format_args!("{name}:{line}: {func}")),
                    Some(wrong) => tally.fail(engine.name, format_args!("{name}:{line}: {func}: {wrong}")),
                },
            );
        }
        let passed = tally.passed - before;
        println!("programs: {passed} expectations of {programs} programs hold on {}", engine.name);
    }
}
