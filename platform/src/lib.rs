//! What opstamp needs of the systems that it runs on: code memory, instruction-cache maintenance and the size of the
//! native stack.
//!
//! With `default-features = false` this is the library alone, which is `no_std` on bare metal; the feature `cli` adds the
//! `opstamp` command.
#![cfg_attr(target_os = "none", no_std)]

use opstamp::masm::Features;

pub mod bare;
pub mod icache;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "macos")]
pub mod macos;
pub mod value;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod window;
#[cfg(windows)]
pub mod windows;
#[cfg(target_arch = "x86_64")]
mod x86;

/// The code memory of this host.
#[cfg(target_os = "linux")]
pub use linux::LinuxCode as HostCode;
#[cfg(target_os = "linux")]
pub use linux::native_stack;
/// The code memory of this host.
#[cfg(target_os = "macos")]
pub use macos::MacosCode as HostCode;
#[cfg(target_os = "macos")]
pub use macos::native_stack;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
pub use window::Scheme;
/// The code memory of this host.
#[cfg(windows)]
pub use windows::WindowsCode as HostCode;
#[cfg(windows)]
pub use windows::native_stack;

/// What the CPU that runs this program can do beyond its ISA's baseline.
pub fn features() -> Features {
    #[cfg(target_arch = "x86_64")]
    {
        x86::features()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Features::default()
    }
}

/// The greatest size of a code window in bytes: as far as the shortest direct branch of the two ISAs reaches
/// (arm64 `B`, Arm ARM DDI 0487, C6.2.25).
pub const MAX_WINDOW: usize = 128 << 20;

/// The README's example, compiled and run.
#[cfg(all(doctest, target_os = "linux", target_arch = "x86_64"))]
#[doc = include_str!("../../README.md")]
mod readme {}
