//! The expectations of `tests/programs` through every engine of this host.

mod common;

use common::{
    Alarm, EngineUnderTest, ProgramFile, Room, alarmed, engines, engines_with_fuel, programs, runner, stressed,
    with_stack,
};
use opstamp::vm3::text::{self, Expectation, expectations};
use opstamp_tests::driver::{CacheRoom, Memory};
use opstamp_tests::programs::{Lent, check, run_some};
use std::collections::BTreeSet;
use std::time::Instant;

#[test]
fn every_expectation_holds_on_every_engine() {
    run_on_all(engines());
}

#[test]
fn every_expectation_holds_where_fuel_is_counted() {
    run_on_all(engines_with_fuel());
}

fn run_on_all(engines: Vec<EngineUnderTest>) {
    let files = programs();
    alarmed(|alarm| {
        with_stack(|| {
            for engine in &engines {
                run_on(engine, &files, alarm, &mut |_, _| true);
            }
        })
    });
}

/// Allocations of an expectation that a collection is run at, and what they may cost all together: bytes of heap that are in
/// use, times allocations.
const ALLOCATIONS: u64 = 4000;
const COLLECTED: u64 = 1 << 31;

#[test]
fn expectations_hold_when_every_allocation_collects() {
    let files = programs();
    alarmed(|alarm| {
        with_stack(|| {
            let chosen: Vec<BTreeSet<u32>> = files.iter().map(|file| few_allocations(file, alarm)).collect();
            let lines = chosen.iter().map(BTreeSet::len).sum::<usize>();
            let all = files.iter().map(|file| expectations(&file.source).count()).sum::<usize>();
            println!("programs: {lines} of {all} expectations with a collection at every allocation");
            assert!(lines * 10 >= all * 9, "few expectations with a collection at every allocation");
            for engine in stressed() {
                run_on(&engine, &files, alarm, &mut |file, expectation| chosen[file].contains(&expectation.line));
            }
        })
    });
}

/// The lines of the expectations that allocate little enough, which the fastest engine finds out.
fn few_allocations(file: &ProgramFile, alarm: &Alarm) -> BTreeSet<u32> {
    let (mut room, mut cache) = (Room::for_source(&file.source), CacheRoom::new());
    let (memory, code) = room.parts();
    let Memory { words, scratch, stack, heap, state, functions, native_stack, .. } = memory;
    let used = text::assemble(&file.source, words, scratch, &mut |_| {}).expect("assembles");
    let module = opstamp::Module::verify(&words[..used], scratch).expect("verifies");
    let engine = engines().into_iter().take(2).next_back().expect("an engine");
    let engine = EngineUnderTest { fuel: file.program().asks_for_fuel(), ..engine };
    let engine = engine.make(module, functions, code, &mut cache, scratch).expect("an engine");
    let few = |expectation: &Expectation<'_>| {
        alarm.at(format_args!("{}:{}: counting", file.name, expectation.line));
        let memory = Lent { stack, state, heap, native_stack, stress: false };
        let mut few = false;
        let ran = check(&engine, &file.program(), expectation, memory, &mut |instance| {
            let stats = instance.heap_stats();
            few = stats.allocations <= ALLOCATIONS && stats.allocations.saturating_mul(stats.peak) <= COLLECTED;
        });
        assert!(ran.is_ok(), "{}:{}: {}", file.name, expectation.line, ran.unwrap_err());
        few
    };
    let all = expectations(&file.source).map(|expectation| expectation.expect("an expectation"));
    all.filter(few).map(|expectation| expectation.line).collect()
}

/// Runs the expectations that are wanted of the program of an index, which is told too.
fn run_on(
    engine: &EngineUnderTest,
    files: &[ProgramFile],
    alarm: &Alarm,
    wanted: &mut dyn FnMut(usize, &Expectation<'_>) -> bool,
) {
    let started = Instant::now();
    let engine_name = engine.title();
    let mut failures = Vec::new();
    let mut passed = 0;
    for (index, file) in files.iter().enumerate() {
        let name = &file.name;
        let all = expectations(&file.source).map(|expectation| expectation.expect("an expectation"));
        assert!(all.clone().count() > 0, "{name} has no expectation");
        let count = all.filter(|expectation| wanted(index, expectation)).count();
        let (mut room, mut cache) = (Room::for_source(&file.source), CacheRoom::new());
        let (mut memory, code) = room.parts();
        memory.stress = engine.stress;
        let mut tried = 0;
        let wanted = &mut |expectation: &Expectation<'_>| wanted(index, expectation);
        run_some(&file.program(), &mut memory, runner(engine, code, &mut cache), wanted, &mut |line, func, wrong| {
            alarm.at(format_args!("{engine_name}: {name}:{line}"));
            tried += 1;
            match wrong {
                None => passed += 1,
                Some(wrong) => failures.push(format!("{engine_name}: {name}:{line}: {func}: {wrong}")),
            }
        });
        assert_eq!(tried, count, "{engine_name}: {name}: not every expectation was tried");
    }
    let (count, time) = (files.len(), started.elapsed());
    println!("programs: {passed} expectations of {count} programs hold on {engine_name}, {time:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
