//! The mapping of a code window on macOS: one `MAP_JIT` mapping that is either written or executed, by thread on arm64
//! and by page on x86-64. The rules stand at the head of [`super`].
//!
//! The page on each side of the window is never used, and faults.

use crate::window::Access;
use core::ffi::{c_int, c_void};
use core::ptr;
use mach2::kern_return::KERN_SUCCESS;
use mach2::mach_port::mach_port_deallocate;
use mach2::mach_types::thread_act_array_t;
use mach2::task::task_threads;
use mach2::thread_act::thread_get_state;
use mach2::traps::mach_task_self;
use mach2::vm::mach_vm_deallocate;
use opstamp::code::{CodeError, CodeRange};
use std::io;

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = libc::EINVAL;

/// A mapping, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: usize,
    len: usize,
    page: usize,
}

impl Mapping {
    /// Reserves a window of whole pages. Two mappings are refused.
    pub fn new(size: usize, page: usize, two: bool) -> Result<Self, CodeError> {
        if two {
            return Err(CodeError::Unsupported);
        }
        // On arm64 the permissions are what the thread switches between, and fresh memory is zero, which faults when it
        // is executed; on x86-64 each page gets its permission when it is first opened.
        let protection = if cfg!(target_arch = "aarch64") {
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC
        } else {
            libc::PROT_NONE
        };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_JIT;
        let len = size + 2 * page;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(last_error(
                "map memory for code (with the hardened runtime the program must be signed with the entitlement \
                 com.apple.security.cs.allow-jit)",
            ));
        }
        Ok(Self { start: start as usize, len, page })
    }

    /// The address through which the window is written.
    pub fn write(&self) -> usize {
        self.start + self.page
    }

    /// The address at which the window is executed: the same.
    pub fn execute(&self) -> usize {
        self.start + self.page
    }

    /// Lets the calling thread write to all memory of this kind, and keeps it from running any.
    #[cfg(target_arch = "aarch64")]
    pub fn begin_write(&self) {
        // SAFETY: this changes what this thread may do with MAP_JIT memory; it publishes before it runs machine code,
        // as the contract of `open` demands, and that changes it back.
        unsafe { libc::pthread_jit_write_protect_np(0) };
    }

    /// Lets the calling thread run machine code, and not write it.
    #[cfg(target_arch = "aarch64")]
    pub fn end_write(&self) {
        // SAFETY: this changes what this thread may do with MAP_JIT memory; nothing that it has been lent is used any
        // more.
        unsafe { libc::pthread_jit_write_protect_np(1) };
    }

    /// What a thread does before it writes: nothing on this ISA.
    #[cfg(target_arch = "x86_64")]
    pub fn begin_write(&self) {}

    /// What a thread does after it has written: nothing on this ISA.
    #[cfg(target_arch = "x86_64")]
    pub fn end_write(&self) {}

    /// Gives pages memory, which holds zeros or what it held, and makes it writable.
    ///
    /// # Safety
    ///
    /// They are pages of the window, and no reference into them is live.
    pub unsafe fn commit(&self, range: CodeRange) -> Result<(), CodeError> {
        // SAFETY: as the caller vouches.
        unsafe { self.set_access(range, Access::Write) }
    }

    /// By thread there is no access of pages.
    ///
    /// # Safety
    ///
    /// None; on the other ISA there is.
    #[cfg(target_arch = "aarch64")]
    pub unsafe fn set_access(&self, _range: CodeRange, _access: Access) -> Result<(), CodeError> {
        Ok(())
    }

    /// Sets what pages allow.
    ///
    /// # Safety
    ///
    /// They are pages of the window, and no reference into them is live.
    #[cfg(target_arch = "x86_64")]
    pub unsafe fn set_access(&self, range: CodeRange, access: Access) -> Result<(), CodeError> {
        let (bits, action) = match access {
            Access::None => (libc::PROT_NONE, "close code memory"),
            Access::Write => (libc::PROT_READ | libc::PROT_WRITE, "make code memory writable"),
            Access::Execute => (libc::PROT_READ | libc::PROT_EXEC, "make code memory executable"),
        };
        // SAFETY: as the caller vouches.
        let done = unsafe { libc::mprotect((self.write() + range.start) as *mut c_void, range.len(), bits) };
        if done == 0 { Ok(()) } else { Err(last_error(action)) }
    }

    /// Lets the system take the memory of pages; they fault then.
    ///
    /// # Safety
    ///
    /// They are pages of the window that nothing executes, and no reference into them is live.
    pub unsafe fn discard(&self, range: CodeRange) -> Result<(), CodeError> {
        let start = (self.write() + range.start) as *mut c_void;
        // Until the system takes a page it holds what it held, so here that has to fault by itself.
        #[cfg(target_arch = "aarch64")]
        {
            self.begin_write();
            // SAFETY: the caller vouches for the pages, which this thread may write now.
            unsafe { ptr::write_bytes(start.cast::<u8>(), 0, range.len()) };
            self.end_write();
            // SAFETY: as above.
            unsafe { self.clean(range)? };
        }
        // SAFETY: the caller vouches for the pages.
        let done = unsafe { libc::madvise(start, range.len(), libc::MADV_FREE) };
        if done == 0 { Ok(()) } else { Err(last_error("give back pages of code memory")) }
    }

    /// Makes written bytes visible to this core's instruction fetch.
    ///
    /// # Safety
    ///
    /// They lie in the window.
    pub unsafe fn clean(&self, range: CodeRange) -> Result<(), CodeError> {
        let start = self.execute() + range.start;
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the range is inside the mapping, and readable.
        unsafe {
            sys_icache_invalidate(start as *mut c_void, range.len());
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the pages are ready, as the caller vouches, so they are readable.
        unsafe {
            crate::icache::publish(start as *const u8, start as *const u8, range.len());
        }
        Ok(())
    }

    /// Nothing is told to the system's unwinder: guest functions have no frames that it could follow.
    pub fn describe(&mut self, _size: usize, _stubs: CodeRange) -> Result<(), CodeError> {
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own; whoever still has an address in it breaks CodeMemory's contract.
        unsafe { libc::munmap(self.start as *mut c_void, self.len) };
    }
}

/// Makes every other core that runs this process's threads fetch what was published before.
pub fn sync_cores() -> Result<(), CodeError> {
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

/// The size of a page in bytes.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(16 * 1024)
}

/// The error of the system call that has just failed.
fn last_error(action: &'static str) -> CodeError {
    CodeError::System { action, code: io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}
