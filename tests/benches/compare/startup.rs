//! The life of a process that runs a trivial program: the `opstamp` command beside the same program in C.

use crate::c;
use crate::support::{Options, Spread};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, as it stands in `trivial.c`.
const SOURCE: &str = "func main() -> i64\n  local answer: i64\n  i64.const answer, 42\n  ret answer\nend\n";
const RESULT: &str = "42\n";
const ROUNDS: usize = 400;
/// Rounds of processes for a round of the programs.
const SHARE: usize = 30;
/// The highest ratio of times that is good enough, and the most resident memory in KiB.
const BAR: (f64, f64) = (1.5, 3072.0);

/// Builds the command, as it is released.
fn command() -> PathBuf {
    let target = c::scratch_dir().parent().expect("the target folder");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--release", "--package", "opstamp-platform", "--bin", "opstamp", "--target-dir"]);
    let status = build.arg(target).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.is_ok_and(|status| status.success()), "the command does not build");
    target.join("release/opstamp")
}

/// Measures and prints.
pub fn report(options: &Options) -> serde_json::Value {
    let rounds = if options.measure { ROUNDS.min(options.rounds * SHARE) } else { 2 };
    let file = |name: &str| c::scratch_dir().join(name);
    let (trivial, startup, source, command) = (file("trivial"), file("startup"), file("trivial.vm3"), command());
    for (source, output) in [("trivial.c", &trivial), ("startup.c", &startup)] {
        c::compile(["-O2".into(), "-o".into(), output.clone(), c::sources().join(source)]);
    }
    std::fs::write(&source, SOURCE).expect("a file in the target folder");
    for (program, args) in [(&trivial, vec![]), (&command, vec![Path::new("run"), &source])] {
        let output = Command::new(program).args(args).output().expect("the program runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), RESULT, "{}", program.display());
    }
    let output = Command::new(&startup).arg(rounds.to_string()).args([&trivial, &command, &source]).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .map(|line| line.split_whitespace().map(|word| word.parse().expect("a number")).collect())
        .collect();
    let column = |index: usize| rows.iter().map(|row| row[index]).collect::<Vec<f64>>();
    // The time from creation to end; processor time, which does not count what others run meanwhile.
    let times = Spread::of_ratios(&column(3), &column(0));
    let processor = Spread::of_ratios(&column(4), &column(1));
    let [c_us, us] = [0, 3].map(|index| Spread::of(column(index).iter().map(|time| time / 1e3)));
    let [c_resident, resident] = [2, 5].map(|index| column(index).into_iter().fold(0.0, f64::max));
    println!(
        "start-up, {rounds} rounds: opstamp {:.0} us ({:.0}-{:.0}), C {:.0} us ({:.0}-{:.0}); ratio {}, of processor time {}",
        us.median,
        us.low,
        us.high,
        c_us.median,
        c_us.low,
        c_us.high,
        times.cell(),
        processor.cell()
    );
    println!("resident at most: opstamp {resident:.0} KiB, C {c_resident:.0} KiB");
    let met = |met: bool| if met { "met    " } else { "NOT MET" };
    println!("{}: start-up at most {} times as long as C", met(times.median <= BAR.0), BAR.0);
    println!("{}: less than {} KiB resident\n", met(resident < BAR.1), BAR.1);
    json!({
        "rounds": rounds,
        "opstamp_us": us.json(),
        "c_us": c_us.json(),
        "ratio": times.json(),
        "ratio_of_processor_time": processor.json(),
        "opstamp_resident_kib": resident,
        "c_resident_kib": c_resident,
    })
}
