//! Code memory on macOS: one `MAP_JIT` mapping that is either written or executed, by thread on arm64 and by page on
//! x86-64. The page on each side of the window is never used, and faults.

use crate::MAX_WINDOW;
use crate::window::Scheme;
use core::ffi::{c_int, c_void};
use core::ptr;
use mach2::kern_return::KERN_SUCCESS;
use mach2::mach_port::mach_port_deallocate;
use mach2::mach_types::thread_act_array_t;
use mach2::task::task_threads;
use mach2::thread_act::thread_get_state;
use mach2::traps::mach_task_self;
use mach2::vm::mach_vm_deallocate;
use opstamp::code::{CodeError, CodeMemory, CodeRange};
use std::io;

/// A code window.
///
/// On arm64, opening any part of it lets the calling thread write to all memory of this kind, and keeps it from running
/// any, until that thread publishes.
#[derive(Debug)]
pub struct MacosCode {
    mapping: Mapping,
    size: usize,
    page: usize,
    #[cfg(target_arch = "x86_64")]
    pages: flip::Pages,
}

impl MacosCode {
    /// Reserves a window of `size` bytes, rounded up to whole pages, at most [`MAX_WINDOW`].
    pub fn new(size: usize) -> Result<Self, CodeError> {
        Self::new_with(size, Scheme::Auto)
    }

    /// Reserves a window that works in the given way. Here that can only be [`Scheme::Flip`].
    pub fn new_with(size: usize, scheme: Scheme) -> Result<Self, CodeError> {
        if scheme == Scheme::TwoMappings {
            return Err(CodeError::Unsupported);
        }
        if size == 0 || size > MAX_WINDOW {
            let action = "reserve a code window of no bytes or of more than 128 MiB";
            return Err(CodeError::System { action, code: libc::EINVAL });
        }
        let page = page_size();
        let size = size.next_multiple_of(page);
        let mapping = Mapping::new(size + 2 * page)?;
        Ok(Self {
            mapping,
            size,
            page,
            #[cfg(target_arch = "x86_64")]
            pages: flip::Pages::new(size / page),
        })
    }

    /// The scheme in use, [`Scheme::Flip`].
    pub fn scheme(&self) -> Scheme {
        Scheme::Flip
    }

    fn check(&self, range: CodeRange) -> Result<(), CodeError> {
        let inside = range.start <= range.end && range.end <= self.size;
        if inside { Ok(()) } else { Err(CodeError::Range { range, size: self.size }) }
    }

    /// Lets the calling thread write the range.
    #[cfg(target_arch = "aarch64")]
    fn make_writable(&mut self, _range: CodeRange) -> Result<(), CodeError> {
        // SAFETY: this changes what this thread may do with MAP_JIT memory; `publish` changes it back before the thread
        // runs machine code, as the contract of `open` demands.
        unsafe { libc::pthread_jit_write_protect_np(0) };
        Ok(())
    }

    /// Lets the calling thread execute again, and makes the range visible to instruction fetch.
    #[cfg(target_arch = "aarch64")]
    fn make_executable(&mut self, range: CodeRange) -> Result<(), CodeError> {
        // SAFETY: the first call changes what this thread may do with MAP_JIT memory; the range of the second is inside
        // the mapping, and readable.
        unsafe {
            libc::pthread_jit_write_protect_np(1);
            sys_icache_invalidate((self.base() + range.start) as *mut c_void, range.len());
        }
        Ok(())
    }

    /// Makes the pages of the range writable.
    #[cfg(target_arch = "x86_64")]
    fn make_writable(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let base = self.base();
        // SAFETY: the window is this value's own, and borrowed exclusively.
        unsafe { self.pages.open(base, self.page, range) }
    }

    /// Makes the pages of the range executable.
    #[cfg(target_arch = "x86_64")]
    fn make_executable(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let base = self.base();
        // SAFETY: the window is this value's own, and borrowed exclusively.
        unsafe { self.pages.close(base, self.page, range) }
    }
}

// SAFETY: the mapping keeps the window's addresses until it is dropped, and nothing else knows them. `open` hands out a
// checked range of it that this thread may write from then on. On x86-64 a page is writable or executable; on arm64 the
// system sees to that by thread. `publish` brings this core's instruction fetch up to date, and `sync_cores` the others'.
unsafe impl CodeMemory for MacosCode {
    fn base(&self) -> usize {
        self.mapping.start + self.page
    }

    fn size(&self) -> usize {
        self.size
    }

    fn page(&self) -> usize {
        self.page
    }

    fn concurrent_write(&self) -> bool {
        false
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        self.check(range)?;
        if !range.is_empty() {
            self.make_writable(range)?;
        }
        // SAFETY: the range is inside the mapping and now writable; its bytes are initialized, by the kernel if nobody
        // else; the exclusive borrow of `self` is the only way to them but for execution.
        Ok(unsafe { core::slice::from_raw_parts_mut((self.base() + range.start) as *mut u8, range.len()) })
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.check(range)?;
        if range.is_empty() { Ok(()) } else { self.make_executable(range) }
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        let failed = |code| CodeError::System { action: "make every core fetch published code", code };
        let mut threads: thread_act_array_t = ptr::null_mut();
        let mut count = 0;
        // SAFETY: the pointers are to live variables.
        let status = unsafe { task_threads(mach_task_self(), &mut threads, &mut count) };
        if status != KERN_SUCCESS {
            return Err(failed(status));
        }
        for index in 0..count as usize {
            let mut state = [0_u32; STATE_WORDS as usize];
            let mut words = STATE_WORDS;
            // SAFETY: the kernel gave `count` threads, each with a right that is given back here. The state has room for
            // the number of words that is passed. A thread that ended meanwhile gives an error, and runs nothing.
            unsafe {
                let thread = *threads.add(index);
                thread_get_state(thread, STATE_FLAVOR, state.as_mut_ptr(), &mut words);
                mach_port_deallocate(mach_task_self(), thread);
            }
        }
        let bytes = size_of::<u32>() * count as usize;
        // SAFETY: the kernel allocated the list for this call.
        unsafe { mach_vm_deallocate(mach_task_self(), threads as u64, bytes as u64) };
        Ok(())
    }
}

/// The general registers, and the words that they take: `ARM_THREAD_STATE64` and `x86_THREAD_STATE64` of
/// <mach/thread_status.h>.
#[cfg(target_arch = "aarch64")]
const STATE_FLAVOR: c_int = 6;
#[cfg(target_arch = "aarch64")]
const STATE_WORDS: u32 = 68;
#[cfg(target_arch = "x86_64")]
const STATE_FLAVOR: c_int = 4;
#[cfg(target_arch = "x86_64")]
const STATE_WORDS: u32 = 42;

#[cfg(target_arch = "aarch64")]
unsafe extern "C" {
    /// <libkern/OSCacheControl.h>, in libSystem.
    fn sys_icache_invalidate(start: *mut c_void, len: usize);
}

/// A mapping, unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    start: usize,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> Result<Self, CodeError> {
        // On arm64 the permissions are what the thread switches between, and fresh memory is zero, which faults when it
        // is executed; on x86-64 each page gets its permission when it is first opened.
        let protection = if cfg!(target_arch = "aarch64") {
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC
        } else {
            libc::PROT_NONE
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_JIT;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(last_error(
                "map memory for code (with the hardened runtime the program must be signed with the entitlement \
                 com.apple.security.cs.allow-jit)",
            ));
        }
        Ok(Self { start: start as usize, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own; whoever still has an address in it breaks CodeMemory's contract.
        unsafe { libc::munmap(self.start as *mut c_void, self.len) };
    }
}

/// Pages that are either writable or executable.
#[cfg(target_arch = "x86_64")]
mod flip {
    use super::{c_int, c_void, last_error, ptr};
    use crate::icache;
    use crate::window::UnitSet;
    use opstamp::code::{CodeError, CodeRange};
    use std::ops::Range;

    /// What the pages of a window are now.
    #[derive(Debug)]
    pub struct Pages {
        /// Pages that have been opened at least once.
        used: UnitSet,
        /// Pages that are writable now.
        writable: UnitSet,
    }

    /// The pages that a range touches.
    fn pages(range: CodeRange, page: usize) -> Range<usize> {
        range.start / page..range.end.div_ceil(page)
    }

    impl Pages {
        pub fn new(count: usize) -> Self {
            Self { used: UnitSet::new(count), writable: UnitSet::new(count) }
        }

        /// Makes pages writable, and fills those that are used for the first time.
        ///
        /// # Safety
        ///
        /// The range lies in the window at `base`, and no reference into it is live.
        pub unsafe fn open(&mut self, base: usize, page: usize, range: CodeRange) -> Result<(), CodeError> {
            let all = pages(range, page);
            let mut rest = all.clone();
            while let Some(run) = self.writable.run(&rest, false) {
                rest.start = run.end;
                // SAFETY: as the caller vouches.
                unsafe { protect(base, page, &run, libc::PROT_READ | libc::PROT_WRITE)? };
                self.writable.set(run, true);
            }
            let mut rest = all;
            while let Some(run) = self.used.run(&rest, false) {
                rest.start = run.end;
                if let Some(filler) = icache::FILLER {
                    // SAFETY: as the caller vouches; the pages have just been made writable.
                    unsafe { ptr::write_bytes((base + run.start * page) as *mut u8, filler, run.len() * page) };
                }
                self.used.set(run, true);
            }
            Ok(())
        }

        /// Makes those pages executable that are writable, and drops what this core has fetched of them.
        ///
        /// # Safety
        ///
        /// As [`Pages::open`].
        pub unsafe fn close(&mut self, base: usize, page: usize, range: CodeRange) -> Result<(), CodeError> {
            let mut rest = pages(range, page);
            while let Some(run) = self.writable.run(&rest, true) {
                rest.start = run.end;
                let start = (base + run.start * page) as *const u8;
                // SAFETY: as the caller vouches; the pages have been opened, so they are mapped, and now readable.
                unsafe {
                    protect(base, page, &run, libc::PROT_READ | libc::PROT_EXEC)?;
                    icache::publish(start, start, run.len() * page);
                }
                self.writable.set(run, false);
            }
            Ok(())
        }
    }

    /// Sets the permission of pages.
    ///
    /// # Safety
    ///
    /// They lie in the window at `base`, and no reference into them is live.
    unsafe fn protect(base: usize, page: usize, pages: &Range<usize>, protection: c_int) -> Result<(), CodeError> {
        let start = (base + pages.start * page) as *mut c_void;
        // SAFETY: as the caller vouches.
        if unsafe { libc::mprotect(start, pages.len() * page, protection) } == 0 {
            return Ok(());
        }
        let executable = protection & libc::PROT_EXEC != 0;
        Err(last_error(if executable { "make code memory executable" } else { "make code memory writable" }))
    }
}

/// The size of a page in bytes.
fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(16 * 1024)
}

/// The error of the system call that has just failed.
fn last_error(action: &'static str) -> CodeError {
    CodeError::System { action, code: io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}
