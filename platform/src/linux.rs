//! Linux on x86-64 and arm64.
//!
//! The rules that this folder obeys, and where they are stated (manual pages are those of the Linux man-pages project):
//!
//! | rule | source |
//! |---|---|
//! | Two shared mappings of one memory file show the same bytes at all times, each with its own permissions; the file lives as long as a mapping of it, so its descriptor is closed at once | memfd_create(2), mmap(2) |
//! | A memory file whose pages are to be executed is created with `MFD_EXEC`, where the kernel knows it (6.3) | memfd_create(2) |
//! | Of a file whose size is sealed no mapping can lose pages, so no access to it ends in SIGBUS | memfd_create(2), "File sealing"; fcntl(2) |
//! | Growing a file beyond RLIMIT_FSIZE sends SIGXFSZ, so the limit is looked at first | getrlimit(2) |
//! | A page is either writable or executable in a mapping; `mprotect` changes which | mprotect(2) |
//! | `MADV_POPULATE_WRITE` (5.14) gives pages memory or says that there is none; without it a store would end in a signal | madvise(2) |
//! | `MADV_REMOVE` frees the memory of a shared mapping's pages, in all mappings; `MADV_DONTNEED` that of private ones; either is zero when it is next touched | madvise(2) |
//! | `MADV_DONTFORK` leaves memory out of children: a child would share the writable mapping with its parent | madvise(2) |
//! | `membarrier` SYNC_CORE makes every running thread of the process execute an instruction that synchronizes its core, and others do so before they run again | membarrier(2); the kernel's Documentation/scheduler/membarrier.rst |
//! | On x86-64 bytes that were changed through another address need a serializing instruction before they are executed; on arm64 lines are cleaned and invalidated | [`crate::icache`] |
//!
//! A child made by `fork` does not have the window. There the value may be dropped, which does nothing, and must not be
//! used otherwise.
//!
//! [`CodeMemory::sync_cores`] uses membarrier's `SYNC_CORE` (Linux 4.16), for which the process registers itself at the first
//! call. An error means that the kernel cannot do it: then bytes that another thread may have fetched must not be used
//! again, and on arm64 other threads must not run what was published after they started.
//!
//! [`CodeMemory::release`] frees the memory at once, whichever the scheme.
//!
//! [`CodeMemory::sync_cores`]: opstamp::code::CodeMemory::sync_cores
//! [`CodeMemory::release`]: opstamp::code::CodeMemory::release

mod code;
mod stack;
mod sys;

pub(crate) use code::{INVALID, Mapping, page_size, sync_cores};
pub use stack::native_stack;
