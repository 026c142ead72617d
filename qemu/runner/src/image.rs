//! Building the kernel's images.

use crate::machine::{Form, Isa};
use object::{Object, ObjectSegment};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where cargo puts what it builds for a bare machine: beside this program's own folder, in one for each machine, so that
/// they can be built at once.
fn target_folder(isa: Isa) -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
    let folder = program.ancestors().nth(2).ok_or("this program lies in no target folder")?;
    Ok(folder.join("bare").join(isa.name()))
}

/// This repository's root.
pub fn repository() -> PathBuf {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR"));
    runner.ancestors().nth(2).unwrap_or(runner).to_owned()
}

/// The compiler that rustup would run has a library for the target.
fn has_library(isa: Isa) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).current_dir(repository()).args(["--print", "sysroot"]).output();
    output.is_ok_and(|output| {
        let root = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&root).join("lib/rustlib").join(isa.target()).join("lib").is_dir()
    })
}

/// cargo with all that a build for a bare machine needs, in `folder`, with what it makes in `target`: the library that rustup installed, or else Debian's
/// compiler with the sources of the library, and Debian's linker.
pub fn cargo(isa: Isa, folder: &Path, target: &Path) -> Result<Command, String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(folder).args(["build", "--quiet", "--target", isa.target()]);
    command.arg("--target-dir").arg(target);
    if has_library(isa) {
        return Ok(command);
    }
    for (file, package) in [
        ("/usr/bin/rustc", "rustc-web"),
        ("/usr/lib/rustlib/src/rust/library/core/src/lib.rs", "rust-web-src"),
        ("/usr/bin/ld.lld", "lld"),
    ] {
        if !Path::new(file).exists() {
            let target = isa.target();
            return Err(format!(
                "there is no standard library for {target}: run `rustup target add {target}`, or install Debian's \
                 compiler and its sources (`sudo apt-get install -y rustc-web rust-web-src lld`): {file} of {package} \
                 is missing"
            ));
        }
    }
    let linker = format!("CARGO_TARGET_{}_LINKER", isa.target().to_uppercase().replace('-', "_"));
    command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1").env(linker, "ld.lld");
    command.arg("-Zbuild-std=core,alloc,compiler_builtins").arg("-Zbuild-std-features=compiler-builtins-mem");
    Ok(command)
}

/// Builds an image of this repository's kernel in a profile of its manifest, with these features, and gives the linked file.
pub fn linked(isa: Isa, name: &str, profile: &str, features: &str) -> Result<PathBuf, String> {
    let target = target_folder(isa)?;
    let mut command = cargo(isa, &repository(), &target)?;
    command.args(["--profile", profile, "--package", "opstamp-qemu", "--no-default-features"]);
    command.args(["--features", "kernel", "--features", features, "--bin", name]);
    run(&mut command)?;
    Ok(target.join(isa.target()).join(profile).join(name))
}

/// Runs a command whose output is shown.
pub fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

/// The file that QEMU takes, made of a linked one.
pub fn bootable(isa: Isa, linked: &Path) -> Result<PathBuf, String> {
    match isa.form() {
        Form::Elf => Ok(linked.to_owned()),
        Form::Flat => {
            let read = fs::read(linked).map_err(|error| format!("{}: {error}", linked.display()))?;
            let flat = flatten(&read).map_err(|error| format!("{}: {error}", linked.display()))?;
            let path = linked.with_extension("img");
            fs::write(&path, flat).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(path)
        }
    }
}

/// Builds a release image and makes it ready for QEMU.
pub fn build(isa: Isa, name: &str) -> Result<PathBuf, String> {
    bootable(isa, &linked(isa, name, "release", "default")?)
}

/// What the segments of an ELF file hold, each at its place behind the first.
fn flatten(file: &[u8]) -> Result<Vec<u8>, object::Error> {
    let file = object::File::parse(file)?;
    let mut segments = Vec::new();
    for segment in file.segments() {
        let data = segment.data()?;
        if !data.is_empty() {
            segments.push((segment.address(), data));
        }
    }
    let first = segments.iter().map(|&(address, _)| address).min().unwrap_or(0);
    let mut flat = Vec::new();
    for (address, data) in segments {
        let start = (address - first) as usize;
        flat.resize(flat.len().max(start + data.len()), 0);
        flat[start..start + data.len()].copy_from_slice(data);
    }
    Ok(flat)
}
