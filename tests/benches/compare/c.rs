//! The kernels in C, compiled when the benchmark starts and loaded into its process.

use libloading::{Library, Symbol};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: [&str; 2] = ["numeric.c", "heap.c"];
/// Multiplication and addition are not contracted, as in vm3; on the baseline of x86-64 that changes nothing.
const FLAGS: [&str; 3] = ["-ffp-contract=off", "-shared", "-fPIC"];

/// How much the C compiler optimizes.
#[derive(Clone, Copy)]
pub enum Level {
    /// What ratios are relative to.
    O2,
    /// One of the figures of the field, measured again: it says how far the field's kernels are like these.
    O1,
}

impl Level {
    const fn flag(self) -> &'static str {
        match self {
            Self::O2 => "-O2",
            Self::O1 => "-O1",
        }
    }

    fn library(self) -> PathBuf {
        scratch_dir().join(format!("libkernels{}.so", self.flag()))
    }
}

/// The folder of the sources.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/c")
}

/// Where Cargo lets benchmarks put files.
pub fn scratch_dir() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs the C compiler, `CC` or gcc.
pub fn compile(args: impl IntoIterator<Item = PathBuf>) {
    let compiler = compiler();
    let output = Command::new(&compiler).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run the C compiler {compiler}: {error}"));
    assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
}

fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "gcc".into())
}

/// The compiler's first line about itself.
pub fn version() -> String {
    let output = Command::new(compiler()).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").into()
}

/// The compiled kernels.
pub struct Kernels(Library);

impl Kernels {
    /// Compiles and loads them.
    pub fn compile(level: Level) -> Self {
        let files = SOURCES.map(|name| sources().join(name));
        let flags = [level.flag()].into_iter().chain(FLAGS).map(PathBuf::from);
        compile(flags.chain(["-o".into(), level.library()]).chain(files).chain(["-lm".into()]));
        Self::load(level)
    }

    /// Loads what was compiled before.
    pub fn load(level: Level) -> Self {
        // SAFETY: loading the library runs no code of its own.
        let library = unsafe { Library::new(level.library()) };
        Self(library.unwrap_or_else(|error| panic!("cannot load the C kernels: {error}")))
    }

    /// Runs a kernel; its result as bits.
    pub fn run(&self, name: &str, sizes: &[i64]) -> u64 {
        type Run = unsafe extern "C" fn(*const i64) -> u64;
        // SAFETY: `kernels.h` declares every kernel to this signature.
        let run: Symbol<'_, Run> = unsafe { self.0.get(format!("kernel_{name}")) }
            .unwrap_or_else(|error| panic!("there is no C kernel {name}: {error}"));
        // SAFETY: the sizes are as many as the kernel reads, and outlive the call.
        unsafe { run(sizes.as_ptr()) }
    }
}
