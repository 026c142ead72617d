//! Links the images for a bare machine by the machine's own script, and lists the programs that become part of the suite's.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    programs(&folder.join("../tests/programs"));
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let isa = env::var("CARGO_CFG_TARGET_ARCH").expect("set by cargo");
    let script = folder.join("src/arch").join(isa).join("link.ld");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rustc-link-arg-bins=--script={}", script.display());
    // Position-independent code is fine, but the image is linked to where it runs, so nothing has to relocate it.
    println!("cargo::rustc-link-arg-bins=-no-pie");
}

/// Writes an array of each program's name, its text, and what it prints if that is told.
fn programs(folder: &Path) {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(folder).expect("the programs").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "vm3")).collect();
    files.sort();
    let mut list = String::from("[\n");
    for file in files {
        let name = file.file_name().expect("a name");
        let printed = file.with_extension("stdout");
        let printed = if printed.exists() { format!("Some(include_bytes!({printed:?}))") } else { "None".to_owned() };
        writeln!(list, "({name:?}, include_str!({file:?}), {printed}),").expect("memory");
    }
    list.push(']');
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("programs.rs"), list).expect("written");
}
