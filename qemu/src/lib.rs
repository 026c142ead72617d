//! opstamp inside a kernel: a small unikernel that needs no operating system, and no allocator but where it wants one.
//!
//! | module | what it is |
//! |---|---|
//! | [`guest`] | an engine and its guest in one static value |
//! | [`arch`] | what a machine supplies, and the machines: x86-64 by PVH, arm64 `virt` |
//! | `kernel` | what every image has: printing, the way in, reports |
//! | [`memory`] | finding memory that nothing uses, and dividing it |
//! | [`command_line`] | the words of the kernel's command line |
//!
//! The images are in `src/bin`: `unikernel` runs a guest that is handed in from outside, `suite` tests the engine and the
//! machine. The package `runner` beside this one builds and boots them.
#![no_std]

pub mod arch;
pub mod command_line;
pub mod guest;
#[cfg(target_os = "none")]
pub mod kernel;
pub mod memory;
