//! The `opstamp` command: runs, assembles, prints, checks and tests vm3 modules.
//!
//! The exit code is 0 when all went well, 1 when a guest trapped or an expectation failed, and 2 for bad input or usage.
//!
//! On Unix the C library calls `main` directly: the start of Rust's own runtime looks for the stack's end in
//! /proc/self/maps, which takes longer than a short guest.
#![cfg_attr(unix, no_main)]

mod asm;
mod check;
mod code;
mod dis;
mod input;
mod output;
mod report;
mod run;
mod session;
mod test;

use lexopt::{Arg, Parser};
use std::ffi::OsString;
use std::fmt::Write;

/// Why a subcommand ended early.
pub enum Failure {
    /// The guest trapped: what to say behind `trap: `.
    Trap(String),
    /// Bad input or usage, or the system refused: what to say behind `error: `.
    Error(String),
    /// Expectations failed, and that has been said.
    Mismatch,
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Error(what)
    }
}

impl Failure {
    /// Bad input, a refusal of the system.
    pub fn error(what: impl ToString) -> Self {
        Self::Error(what.to_string())
    }

    /// Bad usage of `command`: the words to say are followed by where to read on.
    pub fn usage(command: &str, what: impl std::fmt::Display) -> Self {
        Self::Error(format!("{what} (`opstamp {command} --help` shows the usage)"))
    }
}

/// A subcommand.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What stands behind its name, in the notation of a synopsis.
    pub synopsis: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The rest of its help.
    pub details: &'static str,
    /// Does it, with the arguments that follow its name.
    pub run: fn(&Command, Parser) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[run::COMMAND, asm::COMMAND, dis::COMMAND, check::COMMAND, code::COMMAND, test::COMMAND];

impl Command {
    /// Bad usage of this subcommand.
    pub fn usage(&self, what: impl std::fmt::Display) -> Failure {
        Failure::usage(self.name, what)
    }

    /// An argument that the subcommand itself has no use for: the request for help, or bad usage.
    pub fn other(&self, arg: Arg<'_>) -> Failure {
        self.usage(arg.unexpected())
    }

    /// The one positional argument of a subcommand that takes nothing else.
    pub fn only_path(&self, mut args: Parser) -> Result<OsString, Failure> {
        let mut path = None;
        while let Some(arg) = args.next().map_err(|error| self.usage(error))? {
            match arg {
                Arg::Value(value) if path.is_none() => path = Some(value),
                other => return Err(self.other(other)),
            }
        }
        path.ok_or_else(|| self.usage("missing argument FILE"))
    }

    fn help(&self) -> String {
        format!("Usage: opstamp {} {}\n\n{}\n\n{}\n", self.name, self.synopsis, self.summary, self.details)
    }
}

/// The help of the command as a whole.
fn help() -> String {
    let mut text = String::from("Usage: opstamp COMMAND [ARGUMENT]...\n\nCommands:\n");
    for Command { name, synopsis, summary, .. } in COMMANDS {
        let _ = writeln!(text, "  {name} {synopsis}\n      {summary}");
    }
    text.push_str(
        "\nOptions:\n  -h, --help     print this, or the help of a command behind its name\n  \
         -V, --version  print the version\n\n\
         Exit codes: 0 for success; 1 if the guest trapped or an expectation failed; 2 for bad input or usage.\n",
    );
    text
}

/// Runs the command with the program's arguments, the first of which is its own name, and gives the exit code.
fn command(arguments: Vec<OsString>) -> u8 {
    let (failure, code) = match dispatch(arguments) {
        Ok(()) => return 0,
        Err(Failure::Trap(what)) => (format!("trap: {what}\n"), 1),
        Err(Failure::Mismatch) => return 1,
        Err(Failure::Error(what)) => (format!("error: {what}\n"), 2),
    };
    output::to_stderr(&failure);
    code
}

fn dispatch(arguments: Vec<OsString>) -> Result<(), Failure> {
    let asks_for_help = |argument: &OsString| argument == "-h" || argument == "--help";
    let Some(name) = arguments.get(1) else {
        return Err(Failure::Error(format!("missing command\n\n{}", help().trim_end())));
    };
    if asks_for_help(name) || name == "help" {
        return output::to_stdout(help().as_bytes());
    }
    if name == "-V" || name == "--version" {
        return output::to_stdout(concat!("opstamp ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    }
    let Some(command) = COMMANDS.iter().find(|command| *name == *command.name) else {
        let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        return Err(Failure::Error(format!(
            "unknown command `{}`, expected one of: {}",
            name.display(),
            names.join(", ")
        )));
    };
    let rest = arguments.get(2..).unwrap_or(&[]);
    if rest.iter().take_while(|argument| *argument != "--").any(asks_for_help) {
        return output::to_stdout(command.help().as_bytes());
    }
    (command.run)(command, Parser::from_args(rest.to_vec()))
}

// The unwinder that GCC links statically, named before the standard library asks for the shared one. Loading that, and the
// CPUIDs of its initializer, would take a fifth of a short run.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[link(name = "gcc_eh")]
unsafe extern "C" {}

#[cfg(unix)]
mod entry {
    use std::ffi::{CStr, OsStr, c_char, c_int};
    use std::os::unix::ffi::OsStrExt;

    /// The C library's entry point.
    ///
    /// # Safety
    ///
    /// `argv` points to `argc` strings, as the C library vouches.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
        let argument = |index| {
            // SAFETY: the index is below `argc`.
            let text = unsafe { CStr::from_ptr(*argv.add(index)) };
            OsStr::from_bytes(text.to_bytes()).to_owned()
        };
        super::command((0..usize::try_from(argc).unwrap_or(0)).map(argument).collect()).into()
    }
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    command(std::env::args_os().collect()).into()
}
