//! Links by the machine's script.

fn main() {
    let (folder, isa) = (std::env::var("CARGO_MANIFEST_DIR").unwrap(), std::env::var("CARGO_CFG_TARGET_ARCH").unwrap());
    println!("cargo::rustc-link-arg-bins=--script={folder}/src/{isa}.ld");
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
