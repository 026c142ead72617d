//! What only arm64 has.

use core::arch::asm;

/// A context-synchronizing event (Arm ARM DDI 0487, B2.7.4.2, "Implementing changes to instructions"): what was published
/// before is what this core fetches behind it. Needs no privilege.
#[inline]
pub fn synchronize() {
    // SAFETY: a barrier changes no value. Not `nomem`: nothing moves across it.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}
