//! arm64 at EL1: vector registers, TLB maintenance and interrupt entry.

#[cfg(target_arch = "aarch64")]
mod cpu;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod entry;
pub mod tlb;

#[cfg(target_arch = "aarch64")]
pub use crate::icache::arm64::synchronize;
#[cfg(target_arch = "aarch64")]
pub use cpu::{Missing, enable_vectors, features};
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use entry::{Handler, Interrupted, Kind, install};
#[cfg(target_arch = "aarch64")]
pub use tlb::{mapped, unmapped};

/// What this core has stored is seen by a core that it interrupts from now on (Arm ARM K13.5.4, "Using a mailbox to send an
/// interrupt"): an interrupt may otherwise overtake stores.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) fn before_interrupt() {
    // SAFETY: a barrier changes no value. Not `nomem`: no store moves behind it.
    unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
}
