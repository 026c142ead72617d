//! What the CPU has, by its identification registers, and enabling it.

use core::arch::asm;
use core::fmt;
use opstamp::masm::Features;

/// What machine code needs and this CPU lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Floating point.
    FloatingPoint,
    /// Advanced SIMD, whose registers the floats and the bit counts use.
    AdvancedSimd,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::FloatingPoint => "floating point (ID_AA64PFR0_EL1.FP)",
            Self::AdvancedSimd => "Advanced SIMD (ID_AA64PFR0_EL1.AdvSIMD)",
        };
        write!(f, "this CPU lacks {what}")
    }
}

impl core::error::Error for Missing {}

/// Looks in ID_AA64PFR0_EL1 (Arm ARM DDI 0487, D24.2, "ID_AA64PFR0_EL1") for what machine code needs of every arm64
/// CPU. Beyond it the compiler makes use of nothing optional, so the answer has nothing set.
pub fn features() -> Result<Features, Missing> {
    let value: u64;
    // SAFETY: reading an identification register changes nothing; at EL1 it may be read.
    unsafe { asm!("mrs {}, id_aa64pfr0_el1", out(reg) value, options(nomem, nostack, preserves_flags)) };
    // A field of all ones means that there is none.
    let absent = |lowest: u32| value >> lowest & 0xF == 0xF;
    if absent(16) {
        Err(Missing::FloatingPoint)
    } else if absent(20) {
        Err(Missing::AdvancedSimd)
    } else {
        Ok(Features::default())
    }
}

/// Lets this core use the floating-point and vector registers at EL1: CPACR_EL1.FPEN (Arm ARM, D24.2, "CPACR_EL1").
/// Rust code for `aarch64-unknown-none` uses them too, so a kernel for that target sets the bits before its first Rust
/// function.
///
/// # Safety
///
/// The caller runs at EL1, and saves these registers wherever one thread's values must survive another's.
pub unsafe fn enable_vectors() {
    const FPEN: u64 = 0b11 << 20;
    // SAFETY: by the contract; the bits only lift a trap, and `isb` makes that take effect before what follows.
    unsafe {
        asm!(
            "mrs {value}, cpacr_el1",
            "orr {value}, {value}, {fpen}",
            "msr cpacr_el1, {value}",
            "isb",
            value = out(reg) _,
            fpen = const FPEN,
            options(nostack, preserves_flags)
        );
    }
}
