//! Windows on x86-64 and arm64.
//!
//! The rules that this folder obeys, and where Microsoft states them (learn.microsoft.com/windows/win32/api unless said
//! otherwise):
//!
//! | rule | source |
//! |---|---|
//! | Two views of one section show the same bytes at all times; each has the permissions that it was mapped with, within the section's | memoryapi, `CreateFileMappingW`, `MapViewOfFile` |
//! | A page of a `SEC_RESERVE` section has no memory and no access until `VirtualAlloc` commits it in a view, and then starts as zeros | `CreateFileMappingW` (`SEC_RESERVE`), `VirtualAlloc` |
//! | Changing the permissions of private pages is `VirtualProtect` | `VirtualProtect` |
//! | Private pages are decommitted by `VirtualFree`; those of a section cannot be. `MEM_RESET` says of a view, if the paging file is behind it, that what its pages hold is of no more use: the system need not keep it, or write it to the paging file | `VirtualFree` (`MEM_DECOMMIT`), `VirtualAlloc` (`MEM_RESET`) |
//! | Whoever generates or changes code calls `FlushInstructionCache` before it runs | processthreadsapi, `FlushInstructionCache` |
//! | On x86-64 bytes that were changed through another address need a serializing instruction besides | Intel SDM vol. 3, 9.1.3 |
//! | Unwinders know generated code by the function tables that are registered for it | winnt, `RtlAddFunctionTable`; "x64 exception handling" and "ARM64 exception handling" in the documentation of Visual C++ |
//! | With control-flow guard every address of executable pages is a valid target unless `*_TARGETS_INVALID` was asked for | `MapViewOfFile`, `VirtualAlloc`, "Memory Protection Constants" |
//!
//! `sync_cores` is `FlushProcessWriteBuffers`, documented to interrupt every processor that runs a thread of the
//! process. Returning from an interrupt is what the other cores need: `IRET` serializes (Intel SDM vol. 3, 9.3; AMD APM
//! vol. 2, 7.6.4), `ERET` synchronizes the context (Arm ARM DDI 0487, D1.3). A core that runs none of the process's
//! threads then passes such a point before it runs one: it switches its address space (a write to CR3 serializes), or
//! returns from the interrupt that made it switch.
//!
//! [`CodeMemory::release`] gives private pages' memory back at once. A section's pages it makes inaccessible in both views
//! and marks as of no more use, so that the system may take their memory for others; they still count as committed
//! until the window is dropped.
//!
//! Control-flow guard: of the window only the entry stub is called indirectly by a host that checks its calls; guest
//! code and what it calls make no checks. In pages mapped as they are here that call passes, and one to any other
//! address of the window would pass as well: the set of targets is not narrowed. To narrow it, pages would be allocated
//! with `PAGE_TARGETS_INVALID` (views: `FILE_MAP_TARGETS_INVALID`), changed with `PAGE_TARGETS_NO_UPDATE`, and the
//! entry stub registered by `SetProcessValidCallTargets`, for a view by `SetProcessValidCallTargetsForMappedView`,
//! which must be given the section. A mistake in that ends the process at its first call into machine code, no system
//! that the tests run on has the guard, and what it would add is small: guest code cannot choose what the host calls.
//! Should that be wanted, the place is `describe`, which learns where the entry stub is before anything runs.
//!
//! Where the process forbids dynamic code (`ProcessDynamicCodePolicy`), both schemes are refused with the system's
//! error 1655, `ERROR_DYNAMIC_CODE_BLOCKED`.
//!
//! [`CodeMemory::release`]: opstamp::code::CodeMemory::release

mod code;
#[cfg(target_arch = "aarch64")]
mod records_arm64;
mod stack;
mod sys;
#[cfg(target_arch = "x86_64")]
mod unwind;
#[cfg(target_arch = "aarch64")]
mod unwind_arm64;
#[cfg(target_arch = "aarch64")]
use unwind_arm64 as unwind;

pub(crate) use code::{INVALID, Mapping, page_size, sync_cores};
pub use stack::native_stack;
