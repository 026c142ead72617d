//! What only x86-64 has.

mod interrupt;
mod vectors;

pub use interrupt::{Handler, Interrupted, entry};
pub use vectors::enable_vectors;

use core::arch::asm;

/// Serializes this core and drops what its TLB holds of pages that are not global: on bare metal `mov cr3`, which does
/// both (Intel SDM vol. 3, 9.3, "Serializing Instructions", and 4.10.4.1, "Operations that Invalidate TLBs and
/// Paging-Structure Caches"). So behind it, what was published before is what this core fetches (9.1.3, "Handling Self-
/// and Cross-Modifying Code"), and what was unmapped before is not there. The kernel's mappings of code windows must not be
/// global, and CR4.PCIDE must be 0: with process-context identifiers it would drop those of the current one alone.
#[cfg(target_os = "none")]
#[inline]
pub fn synchronize() {
    // SAFETY: loading CR3 with its own value changes no mapping. Not `nomem`: nothing moves across it.
    unsafe { asm!("mov {tables}, cr3", "mov cr3, {tables}", tables = out(reg) _, options(nostack, preserves_flags)) };
}

/// Serializes this core, without a privilege (Intel SDM vol. 3, 9.3, "Serializing Instructions").
#[cfg(not(target_os = "none"))]
#[inline]
pub fn synchronize() {
    crate::icache::serialize();
}

/// What this core has stored is seen by a core that it interrupts from now on: nothing is to be done behind a locked
/// instruction, which leaves no store pending (Intel SDM vol. 3, 9.2.3.9).
#[inline(always)]
pub(super) fn before_interrupt() {}

/// Call this when the page at `address`, where nothing was mapped, has been mapped: nothing is to be done, because no TLB
/// holds a translation that is not present (Intel SDM vol. 3, 4.10.4.3, "Optional Invalidation").
#[inline]
pub fn mapped(_address: usize) {}

/// Call this when the page at `address` has been unmapped: this core's TLB forgets it (Intel SDM vol. 3, 4.10.4.1). Other
/// cores forget it when they [`synchronize`] (4.10.5, "Propagation of Paging-Structure Changes to Multiple Processors").
///
/// # Safety
///
/// The core is in ring 0.
#[inline]
pub unsafe fn unmapped(address: usize) {
    // SAFETY: forgetting a translation changes no value; ring 0 by the contract.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}
