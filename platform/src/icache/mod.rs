//! Making written bytes visible to this core's instruction fetch.

#[cfg(target_arch = "aarch64")]
pub(crate) mod arm64;
#[cfg(any(target_arch = "aarch64", test))]
mod lines;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use arm64 as isa;
#[cfg(target_arch = "x86_64")]
use x86_64 as isa;

/// The byte that unused code memory is filled with, so that running into it faults; `None` where fresh memory, which is
/// zero, faults by itself.
pub const FILLER: Option<u8> = isa::FILLER;

#[cfg(all(target_arch = "x86_64", not(target_os = "none")))]
pub(crate) use x86_64::serialize;

/// Makes `len` bytes, written at `write` and executed at `execute`, visible to this core's instruction fetch; the two
/// addresses may be the same. Makes no system call. Other cores need a context-synchronizing event of their own.
///
/// # Safety
///
/// Both ranges are mapped, readable, and refer to the same memory, each for the whole `len` bytes.
#[inline]
pub unsafe fn publish(write: *const u8, execute: *const u8, len: usize) {
    // SAFETY: the caller vouches for the same.
    unsafe { isa::publish(write, execute, len) }
}
