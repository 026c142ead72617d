//! What opstamp needs of the systems that it runs on: code memory, instruction-cache maintenance and the size of the
//! native stack.
//!
//! With `default-features = false` this is the library alone, which is `no_std` on bare metal; the feature `cli` adds the
//! `opstamp` command.
#![cfg_attr(target_os = "none", no_std)]

pub mod icache;
#[cfg(target_os = "linux")]
pub mod linux;

/// The code memory of this host.
#[cfg(target_os = "linux")]
pub use linux::LinuxCode as HostCode;
#[cfg(target_os = "linux")]
pub use linux::native_stack;

/// The greatest size of a code window in bytes: as far as the shortest direct branch of the two ISAs reaches
/// (arm64 `B`, Arm ARM DDI 0487, C6.2.25).
pub const MAX_WINDOW: usize = 128 << 20;
