//! `cargo qemu test`

use crate::boot::{Boot, End, tail};
use crate::machine::Isa;
use crate::{Failure, foreign, guests, image, line, size, variants};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

pub struct Request {
    /// None stands for all.
    pub isas: Vec<Isa>,
    /// None stands for all.
    pub names: Vec<String>,
    pub verbose: bool,
    pub engines: bool,
}

/// How a test of the suite's image has to end.
enum Want {
    /// With no failed check.
    Passed,
    /// With this status, and all of these words on the console.
    Report(u8, &'static [&'static str]),
}

/// A boot of the suite's image.
struct Test {
    name: &'static str,
    cores: u32,
    /// The kernel's command line, without options.
    line: &'static str,
    want: Want,
}

/// The statuses of `kernel::Status`.
const PANIC: u8 = 3;
const EXCEPTION: u8 = 4;

/// What the report says of an access that a mapping does not permit, and of one where nothing is mapped.
const FORBIDDEN: &str = "which is mapped but does not permit it, at instruction 0x";
const UNMAPPED: &str = "which is not mapped, at instruction 0x";

const fn passes(name: &'static str, cores: u32, line: &'static str) -> Test {
    Test { name, cores, line, want: Want::Passed }
}

const fn reports(name: &'static str, words: &'static [&'static str]) -> Test {
    Test { name, cores: 1, line: name, want: Want::Report(EXCEPTION, words) }
}

const TESTS: &[Test] = &[
    passes("suite", 1, "permissions suite permissions"),
    passes("programs", 1, "programs"),
    passes("preempt", 1, "preempt"),
    passes("cores", 4, "cores 4 permissions"),
    reports("protect-code", &["exception on core 0: ", ": write to 0x", FORBIDDEN]),
    reports("protect-kernel-code", &["exception on core 0: ", ": write to 0x", FORBIDDEN]),
    reports("protect-constants", &["exception on core 0: ", ": write to 0x", FORBIDDEN]),
    reports("protect-data", &["exception on core 0: ", ": execution of 0x", FORBIDDEN]),
    reports("protect-writable-view", &["exception on core 0: ", ": execution of 0x", FORBIDDEN]),
    reports("protect-unopened", &["exception on core 0: ", ": execution of 0x", UNMAPPED]),
    reports("protect-stack", &["exception on core 0: ", ": write to 0x", UNMAPPED]),
    reports("protect-handler-stack", &["exception on core 0: ", ": write to 0x", UNMAPPED]),
    reports("protect-null", &["exception on core 0: ", ": read of 0x8, ", UNMAPPED]),
    reports("protect-filler", &["exception on core 0: ", " at instruction 0x"]),
    Test {
        name: "protect-panic",
        cores: 1,
        line: "protect-panic",
        want: Want::Report(PANIC, &["kernel panic on core 0: ", "as the command line wants"]),
    },
];

/// How long a boot may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What runs a test, and gives what it says.
type Run = fn(Isa) -> Result<String, String>;

/// Tests that are more than one boot of that image.
const OTHERS: [(&str, Run); 4] = [
    (variants::NAME, variants::run),
    (guests::NAME, guests::run),
    (size::NAME, size::measure),
    (foreign::NAME, foreign::run),
];

/// All names.
fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|test| test.name).chain(OTHERS.map(|(name, _)| name))
}

pub fn list() -> Result<(), Failure> {
    names().for_each(|name| println!("{name}"));
    Ok(())
}

pub fn run(request: &Request) -> Result<(), Failure> {
    if let Some(name) = request.names.iter().find(|name| names().all(|known| known != **name)) {
        let known: Vec<_> = names().collect();
        return Err(format!("unknown test `{name}`, expected some of: {}", known.join(", ")).into());
    }
    let wanted = |name: &str| request.names.is_empty() || request.names.iter().any(|wanted| wanted == name);
    let isas = if request.isas.is_empty() { &Isa::ALL[..] } else { &request.isas };
    let (mut passed, mut failed) = (0, 0);
    for &isa in isas {
        let mut tell = |name: &str, started: Instant, outcome: Result<String, String>| {
            let seconds = started.elapsed().as_secs_f64();
            match outcome {
                Ok(said) => {
                    passed += 1;
                    println!(
                        "ok     {} {name} ({seconds:.1} s){}{said}",
                        isa.name(),
                        if said.is_empty() { "" } else { ": " }
                    );
                }
                Err(what) => {
                    failed += 1;
                    println!("FAILED {} {name} ({seconds:.1} s): {what}", isa.name());
                }
            }
        };
        let chosen: Vec<_> = TESTS.iter().filter(|test| wanted(test.name)).collect();
        if !chosen.is_empty() {
            let kernel = image::build(isa, "suite")?;
            for test in chosen {
                let started = Instant::now();
                tell(test.name, started, boot(isa, &kernel, test, request));
            }
        }
        for (name, test) in OTHERS.iter().filter(|(name, _)| wanted(name)) {
            let started = Instant::now();
            tell(name, started, test(isa));
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err(Failure { text: "error: a test failed".to_owned(), code: 1 }) }
}

fn boot(isa: Isa, kernel: &Path, test: &Test, request: &Request) -> Result<String, String> {
    let mut words: Vec<&str> = test.line.split(' ').collect();
    if request.verbose {
        words.push("-v");
    }
    if request.engines {
        words.push("--engines");
    }
    let (end, output) = console(isa, kernel, test.cores, &line::quote(&words)?, None, request.verbose, LIMIT)?;
    let text = String::from_utf8_lossy(&output);
    let shown = || format!("; the last lines of the console:\n{}", tail(&output));
    let status = match end {
        End::Status(status) => status,
        End::Qemu(status) => return Err(format!("the machine ended by itself: QEMU's {status}{}", shown())),
        End::Hang(limit) => return Err(format!("no end within {limit:?}{}", shown())),
    };
    match test.want {
        Want::Passed => {
            let sums = text.trim_end().lines().next_back().unwrap_or_default();
            let right = status == 0 && sums.ends_with("skipped") && sums.contains(" 0 failed");
            if right { Ok(sums.to_owned()) } else { Err(format!("status {status}{}", shown())) }
        }
        Want::Report(wanted, words) => {
            let missing = words.iter().find(|word| !text.contains(**word));
            match missing {
                _ if status != wanted => Err(format!("status {status}, expected {wanted}{}", shown())),
                Some(word) => Err(format!("`{word}` is not reported{}", shown())),
                None => Ok(text.trim_start().lines().next().unwrap_or_default().to_owned()),
            }
        }
    }
}

/// Boots a kernel: how it ended and all that its console said, which is shown too if that is wanted.
pub fn console(
    isa: Isa,
    kernel: &Path,
    cores: u32,
    line: &OsStr,
    initrd: Option<&Path>,
    shown: bool,
    limit: Duration,
) -> Result<(End, Vec<u8>), String> {
    use std::io::Write;
    let mut output = Vec::new();
    let boot = Boot { isa, kernel, cores, line, initrd, options: &[], limit };
    let end = boot.run(&mut |bytes| {
        output.extend_from_slice(bytes);
        if shown {
            let _ = std::io::stdout().write_all(bytes);
        }
    })?;
    Ok((end, output))
}
