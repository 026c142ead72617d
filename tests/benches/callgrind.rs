//! Instruction counts by valgrind, which no other load on the machine can disturb.

use std::process::Command;

/// What one process under valgrind runs once, by the flag that tells it so.
pub const NOTHING: &str = "once-nothing";
pub const C: &str = "once-c";
pub const NATIVE: &str = "once-native";
pub const MACHINE_CODE: &str = "once-machine-code";
pub const INTERPRETER: &str = "once-interpreter";

/// The instructions that this program executes if it is told to run this part of a kernel, its start included.
pub fn instructions(kernel: &str, part: &str) -> u64 {
    instructions_of(&["--filter", kernel, &format!("--{part}")])
}

/// The instructions that this program executes with these arguments, its start included.
pub fn instructions_of(args: &[&str]) -> u64 {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("cannot run valgrind: {error}"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?} fail under valgrind:\n{log}");
    let collected = log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("valgrind counted nothing:\n{log}"))
}
