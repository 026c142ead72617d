//! The kernel on other machines than the usual one.

use crate::boot::{Boot, End, tail};
use crate::image;
use crate::machine::Isa;
use std::ffi::OsStr;
use std::time::Duration;

pub const NAME: &str = "variants";

/// What differs, and QEMU's options for it, behind the usual ones.
type Variant = (&'static str, &'static [&'static str]);

const X86_64: &[Variant] = &[("no AVX and no XSAVE", &["-cpu", "Nehalem"]), ("another chipset", &["-machine", "pc"])];

const ARM64: &[Variant] = &[
    ("entry at EL2, PSCI by smc", &["-machine", "virtualization=on", "-cpu", "cortex-a72"]),
    ("a secure world beside the kernel's", &["-machine", "virtualization=on,secure=on", "-cpu", "cortex-a57"]),
    ("an older CPU and more memory", &["-cpu", "cortex-a53", "-m", "3G"]),
];

/// Cores of each machine.
const CORES: u32 = 4;
/// The tests that it runs.
const LINE: &str = "permissions preempt cores 4 permissions";

/// Boots all variants of a machine.
pub fn run(isa: Isa) -> Result<String, String> {
    let kernel = image::build(isa, "suite")?;
    let variants = match isa {
        Isa::X86_64 => X86_64,
        Isa::Arm64 => ARM64,
    };
    for (what, options) in variants {
        let limit = Duration::from_secs(120);
        let boot = Boot { isa, kernel: &kernel, cores: CORES, line: OsStr::new(LINE), initrd: None, options, limit };
        let mut output = Vec::new();
        let end = boot.run(&mut |bytes| output.extend_from_slice(bytes))?;
        if !matches!(end, End::Status(0)) || !tail(&output).ends_with(" 0 failed, 0 skipped") {
            return Err(format!("{what}: {end:?}; the last lines of the console:\n{}", tail(&output)));
        }
    }
    let names: Vec<_> = variants.iter().map(|(what, _)| *what).collect();
    Ok(names.join("; "))
}
