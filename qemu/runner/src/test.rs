//! `cargo qemu test`

use crate::boot::{Boot, End, tail};
use crate::machine::Isa;
use crate::{Failure, foreign, guests, image, line, size, variants};
use std::ffi::OsStr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
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
    /// With this status, and all of these words on the console; of words with a bar between them one.
    Report(u8, &'static [&'static str]),
}

/// A test that boots the suite's image.
struct Test {
    name: &'static str,
    cores: u32,
    /// The kernel's command line, without options, of each boot.
    lines: &'static [&'static str],
    /// More boots, with the engines that are not the usual ones.
    more: &'static [&'static str],
    /// Whether it depends on time, so that nothing else may run meanwhile.
    alone: bool,
    want: Want,
}

/// The statuses of `kernel::Status`.
const PANIC: u8 = 3;
const EXCEPTION: u8 = 4;

/// What the report says of an access that a mapping does not permit, and of one where nothing is mapped.
const FORBIDDEN: &str = "which is mapped but does not permit it, at instruction 0x";
const UNMAPPED: &str = "which is not mapped, at instruction 0x";
/// What the report says of an instruction that fills code memory, on x86-64 and on arm64.
const FILLER: &str = "breakpoint|undefined instruction";

const fn passes(name: &'static str, lines: &'static [&'static str], more: &'static [&'static str]) -> Test {
    Test { name, cores: 1, lines, more, alone: false, want: Want::Passed }
}

const fn alone(name: &'static str, cores: u32, lines: &'static [&'static str]) -> Test {
    Test { name, cores, lines, more: &[], alone: true, want: Want::Passed }
}

const fn reports(lines: &'static [&'static str; 1], words: &'static [&'static str]) -> Test {
    let want = Want::Report(EXCEPTION, words);
    Test { name: lines[0], cores: 1, lines, more: &[], alone: false, want }
}

/// The engines are those of `engines::all` in the image. What takes long is divided, so that no boot takes a minute.
const TESTS: &[Test] = &[
    passes(
        "programs",
        &["programs interpreter odd", "programs interpreter even", "programs eager", "programs called"],
        &["programs warm", "programs unpinned", "programs two-pinned", "programs baseline"],
    ),
    passes(
        "suite",
        &[
            "permissions suite interpreter permissions",
            "suite eager permissions",
            "suite called permissions",
            "suite called-stress permissions",
            "suite cached permissions",
        ],
        &["suite interpreter-stress", "suite warm", "suite unpinned", "suite two-pinned", "suite baseline"],
    ),
    reports(&["protect-code"], &["exception on core 0: ", ": write to 0x", FORBIDDEN]),
    reports(&["protect-kernel-code"], &["exception on core 0: ", ": write to 0x", FORBIDDEN]),
    reports(&["protect-constants"], &["exception on core 0: ", ": write to 0x", FORBIDDEN]),
    reports(&["protect-data"], &["exception on core 0: ", ": execution of 0x", FORBIDDEN]),
    reports(&["protect-writable-view"], &["exception on core 0: ", ": execution of 0x", FORBIDDEN]),
    reports(&["protect-unopened"], &["exception on core 0: ", ": execution of 0x", UNMAPPED]),
    reports(&["protect-stack"], &["exception on core 0: ", ": write to 0x", UNMAPPED]),
    reports(&["protect-handler-stack"], &["exception on core 0: ", ": write to 0x", UNMAPPED]),
    reports(&["protect-null"], &["exception on core 0: ", ": read of 0x8, ", UNMAPPED]),
    reports(&["protect-filler"], &["exception on core 0: ", FILLER, " at instruction 0x"]),
    Test {
        name: "protect-panic",
        cores: 1,
        lines: &["protect-panic"],
        more: &[],
        alone: false,
        want: Want::Report(PANIC, &["kernel panic on core 0: ", "as the command line wants"]),
    },
    alone("preempt", 1, &["preempt"]),
    alone("cores", 4, &["cores 4 permissions"]),
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
    let chosen: Vec<&Test> = TESTS.iter().filter(|test| wanted(test.name)).collect();
    let others: Vec<&(&str, Run)> = OTHERS.iter().filter(|(name, _)| wanted(name)).collect();
    let tally = Mutex::new((0, 0));
    let tell = |isa: Isa, name: &str, seconds: f64, outcome: Result<String, String>| {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(said) => {
                tally.0 += 1;
                let colon = if said.is_empty() { "" } else { ": " };
                println!("ok     {} {name} ({seconds:.1} s){colon}{said}", isa.name());
            }
            Err(what) => {
                tally.1 += 1;
                println!("FAILED {} {name} ({seconds:.1} s): {what}", isa.name());
            }
        }
    };
    let mut kernels = Vec::new();
    if !chosen.is_empty() {
        let built: Vec<_> = at_once(isas, |&isa| (isa, image::build(isa, "suite")));
        for (isa, kernel) in built {
            kernels.push((isa, kernel?));
        }
    }
    let mut boots = Vec::new();
    for test in chosen {
        for (isa, kernel) in &kernels {
            let more = if request.engines { test.more } else { &[] };
            boots.extend(test.lines.iter().chain(more).map(|line| (*isa, kernel, test, *line)));
        }
    }
    let run = |&(isa, kernel, test, line): &(Isa, &PathBuf, &Test, &str)| {
        let started = Instant::now();
        let name = if test.lines.len() > 1 { line } else { test.name };
        let outcome = boot(isa, kernel, test, line, request.verbose);
        tell(isa, name, started.elapsed().as_secs_f64(), outcome);
    };
    let (alone, many): (Vec<_>, Vec<_>) = boots.into_iter().partition(|(_, _, test, _)| test.alone);
    at_once(&many, run);
    alone.iter().for_each(run);
    at_once(isas, |&isa| {
        for (name, test) in &others {
            let started = Instant::now();
            let outcome = test(isa);
            tell(isa, name, started.elapsed().as_secs_f64(), outcome);
        }
    });
    let (passed, failed) = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err(Failure { text: "error: a test failed".to_owned(), code: 1 }) }
}

/// What `work` gives for each item, in their order. As many are worked on at once as there are cores.
fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let count = thread::available_parallelism().map_or(1, usize::from).min(items.len());
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn boot(isa: Isa, kernel: &Path, test: &Test, line: &str, verbose: bool) -> Result<String, String> {
    let mut words: Vec<&str> = line.split(' ').collect();
    if verbose {
        words.push("-v");
    }
    let (end, output) = console(isa, kernel, test.cores, &line::quote(&words)?, None, verbose, LIMIT)?;
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
            let missing = words.iter().find(|word| !word.split('|').any(|word| text.contains(word)));
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
