//! The mappings of a code window on Linux: two of one memory file, or one whose permissions are flipped. The rules
//! stand at the head of [`super`].

use super::sys;
pub use super::sys::page_size;
use crate::fault;
use crate::window::Access;
use core::ffi::{c_int, c_uint};
use opstamp::code::{CodeError, CodeRange};

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = libc::EINVAL;

/// The addresses of a window.
#[derive(Debug)]
pub struct Mapping {
    reservation: Reservation,
    /// The address through which the window is written.
    write: usize,
    /// The address at which it is executed; with one mapping the same.
    execute: usize,
}

impl Mapping {
    /// Reserves a window of whole pages, all of which fault. `two` says whether to map its memory twice.
    pub fn new(size: usize, page: usize, two: bool) -> Result<Self, CodeError> {
        let mapping = if two { Self::two_mappings(size, page)? } else { Self::one_mapping(size, page)? };
        mapping.reservation.keep_from_children()?;
        Ok(mapping)
    }

    /// Guard, mapping to write, guard, mapping to execute, guard.
    fn two_mappings(size: usize, page: usize) -> Result<Self, CodeError> {
        let reservation = Reservation::new(2 * size + 3 * page, page)?;
        let write = reservation.start + page;
        let execute = write + size + page;
        {
            let file = MemoryFile::new(size)?;
            file.map(write, size, libc::PROT_NONE)?;
            // Where the system refuses executable mappings it says so here, while there is still another way.
            file.map(execute, size, libc::PROT_READ | libc::PROT_EXEC)?;
        }
        let mapping = Self { reservation, write, execute };
        // SAFETY: these are the new mapping's own pages.
        unsafe { mapping.set_access(CodeRange { start: 0, end: size }, Access::None)? };
        Ok(mapping)
    }

    /// Guard, mapping, guard.
    fn one_mapping(size: usize, page: usize) -> Result<Self, CodeError> {
        let reservation = Reservation::new(size + 2 * page, page)?;
        let start = reservation.start + page;
        let mapping = Self { reservation, write: start, execute: start };
        let first = CodeRange { start: 0, end: page };
        // Systems that refuse executable memory say so here and not at the first publish.
        // SAFETY: these are the new mapping's own pages.
        unsafe {
            mapping.set_access(first, Access::Execute)?;
            mapping.set_access(first, Access::None)?;
        }
        Ok(mapping)
    }

    /// The address through which the window is written.
    pub fn write(&self) -> usize {
        self.write
    }

    /// The address at which the window is executed.
    pub fn execute(&self) -> usize {
        self.execute
    }

    /// What a thread does before it writes: nothing here.
    pub fn begin_write(&self) {}

    /// What a thread does after it has written: nothing here.
    pub fn end_write(&self) {}

    fn two(&self) -> bool {
        self.write != self.execute
    }

    /// Gives pages memory, which holds zeros or what it held, and makes it writable.
    ///
    /// # Safety
    ///
    /// They are pages of the window, and no reference into them is live.
    pub unsafe fn commit(&self, range: CodeRange) -> Result<(), CodeError> {
        // SAFETY: the caller vouches for the pages.
        unsafe { protect(self.write + range.start, range.len(), Access::Write)? };
        // SAFETY: as above; faulting pages in changes no value.
        match unsafe { sys::madvise(self.write + range.start, range.len(), libc::MADV_POPULATE_WRITE) } {
            // Kernels before 5.14 do not know the advice, and find out about a lack of memory at the first store.
            Ok(()) | Err(libc::EINVAL) => Ok(()),
            Err(code) => Err(CodeError::System { action: "back code memory with pages", code }),
        }
    }

    /// Sets what pages allow, at the address where the window is executed.
    ///
    /// # Safety
    ///
    /// They are pages of the window, and no reference into them is live.
    pub unsafe fn set_access(&self, range: CodeRange, access: Access) -> Result<(), CodeError> {
        // SAFETY: the caller vouches for the pages.
        unsafe { protect(self.execute + range.start, range.len(), access) }
    }

    /// Gives the memory of pages back; they fault then.
    ///
    /// # Safety
    ///
    /// They are pages of the window that cannot be executed, and no reference into them is live.
    pub unsafe fn discard(&self, range: CodeRange) -> Result<(), CodeError> {
        let (start, len) = (self.write + range.start, range.len());
        let failed = |code| CodeError::System { action: "give back pages of code memory", code };
        // SAFETY: the caller vouches for the pages.
        unsafe {
            if self.two() {
                // Older kernels demand that the pages be writable for this.
                sys::madvise(start, len, libc::MADV_REMOVE).map_err(failed)?;
                protect(start, len, Access::None)
            } else {
                protect(start, len, Access::None)?;
                sys::madvise(start, len, libc::MADV_DONTNEED).map_err(failed)
            }
        }
    }

    /// Makes written bytes visible to this core's instruction fetch.
    ///
    /// # Safety
    ///
    /// They lie in pages of the window that are ready.
    pub unsafe fn clean(&self, range: CodeRange) -> Result<(), CodeError> {
        let (write, execute) = ((self.write + range.start) as *const u8, (self.execute + range.start) as *const u8);
        fault::note("clean");
        // SAFETY: both addresses are mapped and readable, as the caller vouches.
        unsafe { crate::icache::publish(write, execute, range.len()) };
        Ok(())
    }

    /// Linux' unwinders learn of code by themselves, or not at all.
    pub fn describe(&mut self, _size: usize, _stubs: CodeRange) -> Result<(), CodeError> {
        Ok(())
    }
}

/// Makes every other core that runs this process's threads fetch what was published before.
pub fn sync_cores() -> Result<(), CodeError> {
    let done = sys::membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE).or_else(|code| match code {
        // The process has not registered itself yet.
        libc::EPERM => {
            sys::membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE)?;
            sys::membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE)
        }
        code => Err(code),
    });
    let action = "make every core fetch published code (membarrier SYNC_CORE)";
    done.map_err(|code| CodeError::System { action, code })
}

/// A range of addresses that nothing else is mapped at, and that is unmapped when dropped.
#[derive(Debug)]
struct Reservation {
    start: usize,
    len: usize,
    page: usize,
    /// The process that has it; a child has not.
    owner: libc::pid_t,
}

impl Reservation {
    /// Reserves without access and without memory behind it.
    fn new(len: usize, page: usize) -> Result<Self, CodeError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: nothing is replaced.
        let start = unsafe { sys::mmap(0, len, libc::PROT_NONE, flags, -1) };
        let start = start.map_err(|code| CodeError::System { action: "reserve addresses for a code window", code })?;
        Ok(Self { start, len, page, owner: sys::getpid() })
    }

    /// Leaves it out of children made by `fork`.
    fn keep_from_children(&self) -> Result<(), CodeError> {
        // SAFETY: the range is this reservation's own.
        let kept = unsafe { sys::madvise(self.start, self.len, libc::MADV_DONTFORK) };
        kept.map_err(|code| CodeError::System { action: "keep code memory out of forked children", code })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if sys::getpid() != self.owner {
            return;
        }
        let (page, inner) = (self.page, self.start + self.page..self.start + self.len - self.page);
        // SAFETY: the range is this reservation's own; whoever still has an address in it breaks CodeMemory's contract.
        unsafe {
            if sys::munmap(self.start, self.len).is_err() {
                // The kernel had no room to split mappings at its two ends, which the guards may share with
                // inaccessible neighbours. What has memory ends where its mappings end; should a guard stay, that costs
                // addresses.
                let _ = sys::munmap(inner.start, inner.len());
                let _ = sys::munmap(self.start, page);
                let _ = sys::munmap(inner.end, page);
            }
        }
    }
}

/// A file in memory without a name, closed when dropped; its mappings stay.
struct MemoryFile(c_int);

impl MemoryFile {
    /// A file of `size` bytes that takes no memory yet and whose size is sealed.
    fn new(size: usize) -> Result<Self, CodeError> {
        let failed = |action| move |code| CodeError::System { action, code };
        let limit = sys::file_size_limit().map_err(failed("read the limit of file sizes"))?;
        if limit < size as libc::rlim_t {
            let action = "create a memory file: the limit of file sizes is below the window's";
            return Err(CodeError::System { action, code: libc::EFBIG });
        }
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let file = Self::create(flags | libc::MFD_EXEC).or_else(|code| match code {
            // Kernels before 6.3 do not know MFD_EXEC and need none.
            libc::EINVAL => Self::create(flags),
            code => Err(code),
        });
        let file = file.map_err(failed("create a memory file"))?;
        sys::ftruncate(file.0, size).map_err(failed("size the memory file of a code window"))?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        sys::add_seals(file.0, seals).map_err(failed("seal the memory file of a code window"))?;
        Ok(file)
    }

    fn create(flags: c_uint) -> Result<Self, c_int> {
        sys::memfd_create(c"opstamp", flags).map(Self)
    }

    /// Maps the first `size` bytes over reserved addresses.
    fn map(&self, address: usize, size: usize, access: c_int) -> Result<(), CodeError> {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let executable = access & libc::PROT_EXEC != 0;
        let action = if executable { "map code memory to execute" } else { "map code memory to write" };
        // SAFETY: the callers pass ranges of their own reservation, which this replaces.
        let mapped = unsafe { sys::mmap(address, size, access, flags, self.0) };
        mapped.map(drop).map_err(|code| CodeError::System { action, code })
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        // The descriptor is gone in any case, and nothing was written through it that could be lost.
        let _ = sys::close(self.0);
    }
}

/// Sets the permissions of whole pages of a window.
///
/// # Safety
///
/// They are the caller's own, and no reference into them is live.
unsafe fn protect(address: usize, len: usize, access: Access) -> Result<(), CodeError> {
    let (bits, action) = match access {
        Access::None => (libc::PROT_NONE, "close code memory"),
        Access::Write => (libc::PROT_READ | libc::PROT_WRITE, "make code memory writable"),
        Access::Execute => (libc::PROT_READ | libc::PROT_EXEC, "make code memory executable"),
    };
    // SAFETY: as the caller vouches.
    unsafe { sys::mprotect(address, len, bits) }.map_err(|code| CodeError::System { action, code })
}
