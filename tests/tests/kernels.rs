//! The native kernels of the benchmarks give what the programs beside them are expected to give.

#[path = "../benches/kernels.rs"]
mod kernels;

use kernels::{HEAP_KERNELS, KERNELS, Value};
use std::path::Path;

/// The program of that name.
fn source(stem: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = ["programs", "heap_programs"].map(|folder| tests.join(folder).join(stem).with_extension("vm3"));
    let path = paths.into_iter().find(|path| path.exists());
    std::fs::read_to_string(path.unwrap_or_else(|| panic!("{stem}.vm3"))).expect("a program")
}

#[test]
fn kernels_give_what_the_programs_expect() {
    for kernel in KERNELS.iter().chain(HEAP_KERNELS) {
        let found = match (kernel.run)(kernel.main) {
            Value::I64(value) => value.to_string(),
            Value::F64(value) => format!("{value:?}"),
        };
        let source = source(kernel.file);
        let expected = source.lines().find_map(|line| line.strip_prefix(";! main() = "));
        assert_eq!(Some(found.as_str()), expected, "{}", kernel.file);
        assert!(source.contains(&format!("\nfunc {}(", kernel.function)), "{}: no {}", kernel.file, kernel.function);
        assert_eq!(kernel.main.len(), kernel.bench.len(), "{}", kernel.file);
    }
}
