//! `cargo qemu`: builds the images of opstamp-qemu, boots them under QEMU and checks what they do.

mod boot;
mod foreign;
mod guests;
mod image;
mod line;
mod machine;
mod run;
mod size;
mod test;
mod variants;

use lexopt::{Arg, Parser, ValueExt};
use machine::Isa;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
cargo qemu test [--isa ISA] [--engines] [-v] [--list] [NAME]...
    boot the machines, as many at once as there are cores, and run the tests, or those of these names; -v tells of each
    case, --engines adds engines that are not the usual ones, --list prints the names
cargo qemu run [--isa ISA] [--func NAME] [--engine jit|interp] [--limit SECONDS] FILE [ARG]...
    run a function of a module as a guest of the kernel and print its result; FILE is vm3 text or a container
cargo qemu size [--isa ISA]
    print the bytes that the engine adds to a kernel, with all features of its crate and without some, and fail if they
    are too many

ISA is x86-64 or arm64: without it, test and size take both, and run takes x86-64. Behind `--` every word of run is an ARG.
The exit code is 0 if all went well, 1 for a failed test or a trap, 2 for bad input, 3 if the machine failed.
";

/// Seconds that a guest may run.
const LIMIT: u64 = 60;

/// Why the command failed.
pub struct Failure {
    /// What to say on standard error.
    pub text: String,
    /// The exit code.
    pub code: u8,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self { text: format!("error: {text}"), code: 2 }
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::from(format!("{error}\n\n{}", HELP.trim_end()))
    }
}

fn main() -> ExitCode {
    match command(Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", failure.text);
            failure.code.into()
        }
    }
}

fn command(mut args: Parser) -> Result<(), Failure> {
    let Some(first) = args.next()? else {
        return Err(Failure::from(format!("missing command, expected test, run or size\n\n{}", HELP.trim_end())));
    };
    match first {
        Arg::Short('h') | Arg::Long("help") => {
            print!("{HELP}");
            Ok(())
        }
        Arg::Value(name) if name == "test" => test(args),
        Arg::Value(name) if name == "run" => run(args),
        Arg::Value(name) if name == "size" => size(args),
        other => Err(other.unexpected().into()),
    }
}

/// The value of `--isa`.
fn isa(args: &mut Parser) -> Result<Isa, Failure> {
    let name = args.value()?.string()?;
    let found = Isa::ALL.into_iter().find(|isa| isa.name() == name);
    found.ok_or_else(|| Failure::from(format!("unknown ISA `{name}`, expected x86-64 or arm64")))
}

fn test(mut args: Parser) -> Result<(), Failure> {
    let mut request = test::Request { isas: Vec::new(), names: Vec::new(), verbose: false, engines: false };
    let mut list = false;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("isa") => request.isas.push(isa(&mut args)?),
            Arg::Long("engines") => request.engines = true,
            Arg::Long("list") => list = true,
            Arg::Short('v') | Arg::Long("verbose") => request.verbose = true,
            Arg::Value(name) => request.names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if list { test::list() } else { test::run(&request) }
}

fn run(mut args: Parser) -> Result<(), Failure> {
    let (mut file, mut isa_wanted, mut func, mut engine, mut limit) = (None, Isa::X86_64, None, None, LIMIT);
    let mut words: Vec<OsString> = Vec::new();
    loop {
        // A word that starts as a negative number is an argument of the guest.
        let negative = |word: &std::ffi::OsStr| {
            word.to_str()
                .and_then(|word| word.strip_prefix('-'))
                .is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()) || word == "inf")
        };
        if let Some(word) = args.try_raw_args().and_then(|mut raw| raw.next_if(negative)) {
            words.push(word);
            continue;
        }
        let Some(arg) = args.next()? else { break };
        match arg {
            Arg::Value(value) if file.is_none() => file = Some(value),
            Arg::Value(value) => words.push(value),
            Arg::Long("isa") => isa_wanted = isa(&mut args)?,
            Arg::Long("func") => func = Some(args.value()?),
            Arg::Long("engine") => {
                let name = args.value()?;
                if name != "jit" && name != "interp" {
                    let name = name.display();
                    return Err(Failure::from(format!("unknown engine `{name}`, expected jit or interp")));
                }
                engine = Some(name);
            }
            Arg::Long("limit") => limit = args.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| Failure::from("missing argument FILE".to_owned()))?;
    let limit = Duration::from_secs(limit);
    run::run(&run::Request { isa: isa_wanted, file, func, engine, args: words, limit })
}

fn size(mut args: Parser) -> Result<(), Failure> {
    let mut isas = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("isa") => isas.push(isa(&mut args)?),
            other => return Err(other.unexpected().into()),
        }
    }
    size::run(if isas.is_empty() { &Isa::ALL } else { &isas })
}
