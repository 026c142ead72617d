//! LLVM's assembler as an oracle.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use object::{Object, ObjectSection};

/// The assembler's path. Without it the caller's check does not run: a failure where `CI` is set, else a loud line.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["llvm-mc".to_string()].into_iter().chain((14..=30).rev().map(|v| format!("llvm-mc-{v}")));
    let found =
        names.flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(&name))).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "llvm-mc is not on PATH: install the package llvm");
        // Not by `println`, which the test harness keeps to itself when a test passes.
        let line = "SKIPPED: x86-64 bytes were not compared with an assembler; install the package llvm for llvm-mc";
        writeln!(std::io::stderr(), "{line}").expect("write to stderr");
    }
    found
}

fn run(tool: &PathBuf, name: &str, text: &str, args: &[&str]) -> Vec<u8> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (dir.join(format!("{name}.s")), dir.join(format!("{name}.out")));
    std::fs::write(&input, text).expect("write the assembler's input");
    let result = Command::new(tool)
        .args(["-triple=x86_64", "-x86-asm-syntax=intel"])
        .args(args)
        .arg("-o")
        .args([&output, &input])
        .output()
        .expect("run llvm-mc");
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "llvm-mc refused {}:\n{:.2000}", input.display(), errors);
    std::fs::read(&output).expect("read the assembler's output")
}

/// The bytes of each line of `text`, which holds one instruction a line and no branch to a label. `name` is the stem of
/// the files it goes through.
pub fn lines(tool: &PathBuf, name: &str, text: &str) -> Vec<Vec<u8>> {
    let output = String::from_utf8(run(tool, name, text, &["-show-encoding"])).expect("the assembler writes text");
    output
        .lines()
        .filter_map(|line| line.split_once("encoding: [")?.1.split_once(']'))
        .map(|(bytes, _)| {
            let byte =
                |b: &str| u8::from_str_radix(b.trim_start_matches("0x"), 16).expect("an encoding without fixups");
            bytes.split(',').map(byte).collect()
        })
        .collect()
}

/// The whole code of a program.
pub fn program(tool: &PathBuf, name: &str, text: &str) -> Vec<u8> {
    let file = run(tool, name, text, &["--filetype=obj"]);
    let object = object::File::parse(&*file).expect("an object file");
    let code = object.section_by_name(".text").expect("a .text section");
    assert_eq!(code.relocations().count(), 0, "every label is local");
    code.data().expect("its bytes").to_vec()
}
