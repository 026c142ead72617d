//! The expectations of `tests/programs` through every engine of this host.

mod common;

use common::{Room, engines, engines_with_fuel, runner, with_stack};
use opstamp::vm3::text::expectations;
use opstamp_tests::driver::CacheRoom;
use opstamp_tests::programs::{self, Program};
use std::path::Path;

#[test]
fn every_expectation_holds_on_every_engine() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("the programs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "vm3"))
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} programs in {}", files.len(), directory.display());
    let failures: Vec<String> = with_stack(|| {
        let mut failures = Vec::new();
        for engine in engines().into_iter().chain(engines_with_fuel()) {
            let mut passed = 0;
            for path in &files {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let source = std::fs::read_to_string(path).expect("a program");
                let printed = path.with_extension("stdout");
                let printed = printed.exists().then(|| std::fs::read(&printed).expect("the expected output"));
                let wanted = expectations(&source).count();
                assert!(wanted > 0, "{name} has no expectation");
                let (mut room, mut cache) = (Room::for_source(&source), CacheRoom::new());
                let (mut memory, code) = room.parts();
                let program = Program { source: &source, printed: printed.as_deref() };
                let mut tried = 0;
                programs::run(&program, &mut memory, runner(&engine, code, &mut cache), &mut |line, func, wrong| {
                    tried += 1;
                    match wrong {
                        None => passed += 1,
                        Some(wrong) => failures.push(format!("{}: {name}:{line}: {func}: {wrong}", engine.name)),
                    }
                });
                assert_eq!(tried, wanted, "{}: {name}: not every expectation was tried", engine.name);
            }
            println!("programs: {passed} expectations of {} programs hold on {}", files.len(), engine.name);
        }
        failures
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
