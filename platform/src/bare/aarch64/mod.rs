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
