//! The expectations of `tests/programs` through every engine of this host.

mod common;

use common::{Room, alarmed, engines, machine_code, programs, runner, with_stack};
use opstamp::vm3::text::expectations;
use opstamp_tests::programs::{run, run_some};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[test]
fn every_expectation_holds_on_every_engine() {
    let failures = alarmed(|alarm| with_stack(|| run_all(alarm)));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run_all(alarm: &common::Alarm) -> Vec<String> {
    let files = programs();
    let mut failures = Vec::new();
    for engine in engines() {
        let started = Instant::now();
        let mut passed = 0;
        for file in &files {
            let name = &file.name;
            let wanted = expectations(&file.source).count();
            assert!(wanted > 0, "{name} has no expectation");
            let mut room = Room::for_source(&file.source);
            let (mut memory, code) = room.parts();
            let mut tried = 0;
            run(&file.program(), &mut memory, runner(&engine, code), &mut |line, func, wrong| {
                alarm.at(format_args!("{}: {name}:{line}", engine.name));
                tried += 1;
                match wrong {
                    None => passed += 1,
                    Some(wrong) => failures.push(format!("{}: {name}:{line}: {func}: {wrong}", engine.name)),
                }
            });
            assert_eq!(tried, wanted, "{}: {name}: not every expectation was tried", engine.name);
        }
        let (count, time) = (files.len(), started.elapsed());
        println!("programs: {passed} expectations of {count} programs hold on {}, {time:?}", engine.name);
    }
    failures
}
