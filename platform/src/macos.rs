//! macOS on arm64 and x86-64.
//!
//! The rules that this folder obeys, and where they are stated:
//!
//! | rule | source |
//! |---|---|
//! | Memory for code made at run time is mapped with `MAP_JIT`; a program with the hardened runtime needs the entitlement `com.apple.security.cs.allow-jit` for it | Apple, "Porting just-in-time compilers to Apple silicon"; "Allow execution of JIT-compiled code entitlement" |
//! | On arm64 such memory is mapped to be written and executed, and each thread may do one or the other: `pthread_jit_write_protect_np(0)` lets the calling thread write, `pthread_jit_write_protect_np(1)` lets it execute | the same; pthread_jit_write_protect_np(3) |
//! | On arm64 `sys_icache_invalidate` makes written code visible to instruction fetch | the same; sys_cache_control(3) |
//! | On x86-64 the permissions of such memory are those of the mapping, and `mprotect` changes them | mprotect(2); pthread_jit_write_protect_np(3): "on x86-64 it does nothing" |
//! | `MADV_FREE` lets the system take the memory of pages when it needs some; a page holds what it held or zeros from then on | madvise(2) |
//! | On x86-64 a core that has fetched bytes which then change needs a serializing instruction | Intel SDM vol. 3, 9.1.3 |
//!
//! So no thread can ever write and execute the same page. On arm64 that holds by thread and not by mapping, which is
//! the one exception of this library and the system's own design.
//!
//! Opening any part of a window on arm64 lets the calling thread write to all memory of this kind, and keeps it from
//! running any, until that thread publishes. `release` on arm64 first fills the pages with zeros, which fault, because
//! no permission of a page could keep them from being executed; it ends the calling thread's permission to write as
//! `publish` does.
//!
//! `sync_cores` asks the kernel for the registers of every other thread. The kernel stops a running thread for that, by
//! an interrupt, and the return from it synchronizes the core's fetch (`ERET`: Arm ARM DDI 0487, D1.3; `IRET`: Intel
//! SDM vol. 3, 9.3). A thread that does not run returns from the kernel in the same way before it does.
//!
//! The entitlement is in `platform/macos/entitlements.plist`; a program that embeds this library is signed with it by
//!
//! ```text
//! codesign --force --options runtime --entitlements platform/macos/entitlements.plist --sign IDENTITY PROGRAM
//! ```
//!
//! where IDENTITY is a certificate's name, or `-` for a signature without one. Without the hardened runtime (`--options
//! runtime`) no entitlement is needed.

mod code;
mod stack;

pub(crate) use code::{INVALID, Mapping, page_size, sync_cores};
pub use stack::native_stack;
