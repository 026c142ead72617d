//! Vector registers: enabling them, and which instruction saves them.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether XSAVE saves the vector registers; else FXSAVE does.
pub(super) static XSAVE: AtomicBool = AtomicBool::new(false);

/// XCR0's bits of the x87, SSE and AVX state (Intel SDM vol. 1, 13.1).
pub(super) const STATES: u64 = 0b111;

/// Enables what machine code uses on this core: SSE (Intel SDM vol. 3, 13.1.1 to 13.1.4), and AVX where the CPU has it
/// (vol. 1, 14.3). The floating-point control registers get their initial values. States
/// of XCR0 that the kernel enabled before stay enabled. Call it on every core, before
/// [`crate::features`] is asked and before any machine code runs; all cores must be of the same kind.
///
/// # Safety
///
/// The core is in ring 0, and nobody relies on vector registers being off.
pub unsafe fn enable_vectors() {
    const XSAVE_BIT: u32 = 1 << 26;
    const AVX_BIT: u32 = 1 << 28;
    let features = __cpuid(1).ecx;
    let xsave = features & XSAVE_BIT != 0;
    // SAFETY: ring 0 by the contract, and all x86-64 CPUs have FXSAVE and SSE. The instructions change the control
    // registers that they name, and the x87 and SSE control words, and nothing else.
    unsafe {
        asm!(
            "mov {value}, cr0",
            // Neither emulated nor switched lazily: clear EM and TS, set MP.
            "and {value}, ~0xc",
            "or {value}, 0x2",
            "mov cr0, {value}",
            "mov {value}, cr4",
            // OSFXSR, OSXMMEXCPT.
            "or {value}, 0x600",
            "mov cr4, {value}",
            "fninit",
            "push 0x1f80",
            "ldmxcsr [rsp]",
            "pop {value}",
            value = out(reg) _,
        );
    }
    if xsave {
        let wanted: u64 = if features & AVX_BIT != 0 { STATES } else { STATES & 0b11 };
        // SAFETY: CPUID says that XSAVE, and with it OSXSAVE and XCR0, exist; `wanted` holds states that the CPU has, the
        // x87 state among them, and those that are enabled already stay so.
        unsafe {
            asm!(
                "mov {value}, cr4",
                // OSXSAVE.
                "or {value}, 0x40000",
                "mov cr4, {value}",
                "xgetbv",
                "or eax, {wanted:e}",
                "xsetbv",
                value = out(reg) _,
                wanted = in(reg) wanted as u32,
                in("ecx") 0,
                out("eax") _,
                out("edx") _,
                options(nostack)
            );
        }
    }
    XSAVE.store(xsave, Ordering::Relaxed);
}
