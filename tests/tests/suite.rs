//! The shared suite through every engine of this host, and checks of the suite itself.

mod common;

use common::{
    Room, alarmed, all_ops, engines, engines_with_fuel, from_environment, machine_code, runner, stressed, with_stack,
};
use opstamp::Module;
use opstamp::jit::Options;
use opstamp::runtime::trap::Site;
use opstamp::vm3::op::{Flags, Op};
use opstamp::vm3::text;
use opstamp_tests::driver::{CacheRoom, Runner};
use opstamp_tests::oracle::{canonical, oracle};
use opstamp_tests::values::{FLOATS, INTS};
use opstamp_tests::{Coverage, SOURCE_BYTES, driver, suite};
use std::collections::BTreeMap;
use std::time::Instant;

/// Failures that are printed for one engine.
const SHOWN: u32 = 20;

#[test]
fn every_engine_passes() {
    alarmed(|alarm| with_stack(|| run_all(alarm)));
}

/// Every engine; some also with a collection at every allocation.
fn run_all(alarm: &common::Alarm) {
    for engine in engines().into_iter().chain(engines_with_fuel()).chain(stressed()) {
        let name = &*engine.title();
        let started = Instant::now();
        let (mut room, mut cache) = (Room::new(), CacheRoom::new());
        let mut source = vec![0; SOURCE_BYTES];
        let (mut groups, mut passed, mut failed) = (0, 0, 0);
        let mut longest = 0;
        let mut coverage = Coverage::new();
        suite(&mut source, &mut |group| {
            alarm.at(format_args!("{name}: {}", group.name));
            let (mut memory, code) = room.parts();
            memory.stress = engine.stress;
            longest = longest.max(group.text.len());
            groups += 1;
            let mut report = |failure: &driver::Failure<'_>| {
                failed += 1;
                if failed <= SHOWN {
                    println!("{name}: {}: {failure}", group.name);
                }
            };
            let runner = runner(&engine, code, &mut cache);
            passed += driver::run(group, &mut memory, runner, &mut coverage, &mut report, &mut |_| {}, &mut |_| {});
        });
        println!(
            "suite: {passed} cases passed on {name} ({groups} modules of at most {longest} bytes, {:?})",
            started.elapsed()
        );
        assert_eq!(failed, 0, "cases failed on {name}");
        let refused = |op: &Op| !cfg!(feature = "heap") && op.info().is_some_and(|row| row.flags.has(Flags::HEAP));
        assert_eq!(coverage.of(Op::ObjNew) == 0, refused(&Op::ObjNew), "modules that need a heap");
        let missing: Vec<_> = coverage.missing().filter(|op| !refused(op)).collect();
        assert!(missing.is_empty(), "ops without a case: {missing:?}");
    }
}

/// Times that each module of the suite runs, left at another op each time; or a tenth of `OPSTAMP_SWITCHES`.
const LEFT: u64 = 8;

#[test]
fn machine_code_is_left_at_ops_of_every_module() {
    let Some(all) = machine_code() else { return };
    let started = Instant::now();
    let times = from_environment("OPSTAMP_SWITCHES", 10 * LEFT).div_ceil(10) as usize;
    let rng = &mut fastrand::Rng::with_seed(from_environment("OPSTAMP_SEED", 1));
    let (mut modules, mut sites, mut left) = (0, 0, 0);
    alarmed(|alarm| {
        with_stack(|| {
            let mut room = Room::new();
            let mut source = vec![0; SOURCE_BYTES];
            suite(&mut source, &mut |group| {
                modules += 1;
                let mut ops = ops(group.text);
                rng.shuffle(&mut ops);
                for &leave_at in ops.iter().take(times) {
                    alarm.at(format_args!("{}: left at {leave_at:?}", group.name));
                    let (mut memory, code) = room.parts();
                    let options = Options { threshold: 0, leave_at: Some(leave_at), ..all };
                    sites += 1;
                    driver::run(
                        group,
                        &mut memory,
                        Runner::Tiered(code, options),
                        &mut Coverage::new(),
                        &mut |failure| panic!("{}: left at {leave_at:?}: {failure}", group.name),
                        &mut |_| {},
                        &mut |instance| left += usize::from(instance.switches().left > 0),
                    );
                }
            });
        });
    });
    println!("suite: left at {left} of {sites} ops of {modules} modules, {:?}", started.elapsed());
    // The others are behind traps, and where no case comes to.
    assert!(left * 100 >= sites * 90, "left at {left} of {sites} ops");
}

/// The sites of all ops of a module.
fn ops(source: &str) -> Vec<Site> {
    let mut room = Room::new();
    let memory = room.memory();
    let used = text::assemble(source, memory.words, memory.scratch, &mut |_| {}).expect("assembles");
    match Module::verify(&memory.words[..used], memory.scratch) {
        Ok(module) => all_ops(&module),
        // It is refused where it runs, too.
        Err(_) if !cfg!(feature = "heap") => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// The float functions of the oracle that it has from a library, against the host's own.
#[test]
#[cfg_attr(all(windows, target_env = "gnu"), ignore = "the fma of MinGW's C library rounds twice")]
fn oracle_agrees_with_the_host() {
    type Host = fn(f64) -> f64;
    let one: BTreeMap<&str, Host> = BTreeMap::from([
        ("f64.sqrt", f64::sqrt as Host),
        ("f64.floor", f64::floor),
        ("f64.ceil", f64::ceil),
        ("f64.trunc", f64::trunc),
        ("f64.nearest", f64::round_ties_even),
    ]);
    let seeds = INTS.iter().map(|&x| x as f64).chain(FLOATS.iter().copied());
    let values: Vec<f64> = seeds.flat_map(|x| [x, -x, x + 0.5, x * 1.1, x / 3.0, x.next_up(), x.next_down()]).collect();
    let mut compared = 0;
    for &x in &values {
        for (name, host) in &one {
            let found = oracle(name).expect("in the oracle")(&[x.to_bits()]).expect("does not trap");
            assert_eq!(canonical(found), canonical(host(x).to_bits()), "{name} of {x:?}");
            compared += 1;
        }
        let found = oracle("f64.to_i64").expect("in the oracle")(&[x.to_bits()]).expect("does not trap");
        assert_eq!(found as i64, x as i64, "f64.to_i64 of {x:?}");
        for &y in &values {
            for &z in FLOATS {
                let bits = [x, y, z].map(f64::to_bits);
                let found = oracle("f64.fma").expect("in the oracle")(&bits).expect("does not trap");
                assert_eq!(canonical(found), canonical(x.mul_add(y, z).to_bits()), "fma of {x:?}, {y:?}, {z:?}");
                compared += 1;
            }
        }
    }
    println!("oracle: {compared} results compared with the host's");
    assert!(compared > 1_000_000);
}
