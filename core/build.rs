//! Says by `cfg(small)` whether the crate is compiled for size (`opt-level` "s" or "z"): its tables are packed then, and
//! what is inlined is the optimizer's choice.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(small)");
    if env::var("OPT_LEVEL").is_ok_and(|level| level == "s" || level == "z") {
        println!("cargo::rustc-cfg=small");
    }
}
