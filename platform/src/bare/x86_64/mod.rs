//! What only x86-64 has.

/// Executes a serializing instruction (Intel SDM vol. 3, 9.3, "Serializing Instructions"): what was published before is what
/// this core fetches behind it (9.1.3, "Handling Self- and Cross-Modifying Code"). Needs no privilege.
#[inline]
pub fn synchronize() {
    crate::icache::serialize();
}
