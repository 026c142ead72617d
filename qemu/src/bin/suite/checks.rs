//! The shared suite, the programs, and how many checks passed.

use crate::engines::{self, Room};
use core::fmt;
use opstamp::vm3::text;
use opstamp_qemu::kernel::Status;
use opstamp_qemu::memory::Region;
use opstamp_qemu::println;
use opstamp_tests::driver::{self, need};
use opstamp_tests::programs::{self, Program};
use opstamp_tests::{Coverage, SOURCE_BYTES};

/// Each program's name, its text and what it prints.
const PROGRAMS: &[(&str, &str, Option<&[u8]>)] = &include!(concat!(env!("OUT_DIR"), "/programs.rs"));

/// What has come of the checks.
pub struct Tally {
    tell_all: bool,
    engines: usize,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    /// `tell_all`: a line for each check. `engines`: so many of [`engines::all`] are tested.
    pub fn new(tell_all: bool, engines: usize) -> Self {
        Self { tell_all, engines, passed: 0, failed: 0, skipped: 0 }
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

/// The shared suite through every engine.
pub fn suite(region: &mut Region, tally: &mut Tally) {
    let mut room = Room::new(region, need::WORDS, need::SCRATCH, engines::SUITE);
    let source = region.values(SOURCE_BYTES);
    for engine in engines::all().into_iter().take(tally.engines) {
        let before = tally.passed;
        let mut groups = 0;
        let mut coverage = Coverage::new();
        opstamp_tests::suite(source, &mut |group| {
            groups += 1;
            let (mut memory, code) = room.parts();
            let told = core::cell::RefCell::new(&mut *tally);
            let mut report = |failure: &driver::Failure<'_>| {
                told.borrow_mut().fail(engine.name, format_args!("{}: {failure}", group.name));
            };
            let runner = engine.runner(code);
            driver::run_telling(group, &mut memory, runner, &mut coverage, &mut report, &mut |case| {
                let what = format_args!("{}: {:?} {}({:?})", group.name, case.op, case.func, case.args);
                told.borrow_mut().pass(engine.name, what);
            });
        });
        for op in coverage.missing() {
            tally.fail(engine.name, format_args!("no case for {op:?}"));
        }
        println!("suite: {} cases of {groups} modules passed on {}", tally.passed - before, engine.name);
    }
}

/// The expectations of all programs through every engine.
pub fn programs(region: &mut Region, tally: &mut Tally) {
    let sizes = PROGRAMS.iter().map(|(_, source, _)| text::sizes(source));
    let words = sizes.clone().map(|sizes| sizes.out_words).max().unwrap_or(0);
    let scratch = sizes.map(|sizes| sizes.scratch_words).max().unwrap_or(0);
    let mut room = Room::new(region, words, scratch.max(need::SCRATCH), engines::PROGRAMS);
    for engine in engines::all().into_iter().take(tally.engines) {
        let before = tally.passed;
        for &(name, source, printed) in PROGRAMS {
            let (mut memory, code) = room.parts();
            let program = Program { source, printed };
            programs::run(&program, &mut memory, engine.runner(code), &mut |line, func, wrong| match wrong {
                None => tally.pass(engine.name, format_args!("{name}:{line}: {func}")),
                Some(wrong) => tally.fail(engine.name, format_args!("{name}:{line}: {func}: {wrong}")),
            });
        }
        let (passed, programs) = (tally.passed - before, PROGRAMS.len());
        println!("programs: {passed} expectations of {programs} programs hold on {}", engine.name);
    }
}
