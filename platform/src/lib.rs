//! What opstamp needs of the systems that it runs on: code memory, instruction-cache maintenance and the size of the
//! native stack.
//!
//! With `default-features = false` this is the library alone, which is `no_std` on bare metal; the feature `cli` adds
//! the `opstamp` command.
#![cfg_attr(target_os = "none", no_std)]

use opstamp::masm::Features;

#[cfg(test)]
extern crate self as opstamp_platform;

pub mod bare;
#[cfg(any(target_os = "linux", windows))]
mod fault;
pub mod icache;
#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "macos")]
pub mod macos;
#[cfg(all(test, not(all(windows, target_arch = "aarch64"))))]
#[path = "windows/records_arm64.rs"]
mod records_arm64;
pub mod value;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
mod window;
#[cfg(windows)]
pub mod windows;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_os = "linux")]
use linux as host;
#[cfg(target_os = "macos")]
use macos as host;
#[cfg(windows)]
use windows as host;

#[cfg(any(target_os = "linux", target_os = "macos", windows))]
pub use host::native_stack;
pub use opstamp::code::MAX_WINDOW;
#[cfg(any(target_os = "linux", target_os = "macos", windows))]
pub use window::{HostCode, Scheme};

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

/// What the unit tests share with the tests of the library from outside.
#[cfg(all(test, any(target_os = "linux", windows)))]
#[path = "../tests/system/mod.rs"]
mod system;

/// The README's example, compiled and run.
#[cfg(all(doctest, target_os = "linux", target_arch = "x86_64"))]
#[doc = include_str!("../../README.md")]
mod readme {}
