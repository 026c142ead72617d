//! Links the images for a bare machine by the machine's own script.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let (folder, isa) = (env::var("CARGO_MANIFEST_DIR").unwrap(), env::var("CARGO_CFG_TARGET_ARCH").unwrap());
    let script = format!("{folder}/src/arch/{isa}/link.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-bins=--script={script}");
    // Position-independent code is fine, but the image is linked to where it runs, so nothing has to relocate it.
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
