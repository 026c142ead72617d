//! Code memory on Linux: two mappings of one memory file, or one mapping whose permissions are flipped.
//!
//! The window costs address space alone until it is used: nothing in it can be executed or is resident before its first
//! open. Opening a unit of pages for the first time fills it with [`icache::FILLER`] and, with two mappings, makes it
//! executable; from then on, with two mappings, opening and publishing it make no system call.

use crate::window::{Scheme, UNIT, UnitSet};
use crate::{MAX_WINDOW, icache};
use core::ffi::{c_int, c_uint, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use opstamp::code::{CodeError, CodeMemory, CodeRange};
use std::io;
use std::ops::Range;

/// A code window.
///
/// A child made by `fork` does not have the window (`MADV_DONTFORK`): it would share the writable memory with its parent.
/// There the value may be dropped, which does nothing, and must not be used otherwise.
#[derive(Debug)]
pub struct LinuxCode {
    /// Unmaps all of it when the window is dropped.
    _reservation: Reservation,
    /// The address through which the window is written.
    write: usize,
    /// The address at which it is executed; with [`Scheme::Flip`] the same.
    execute: usize,
    size: usize,
    page: usize,
    /// The bytes that one bit of the sets below stands for.
    unit: usize,
    /// Never [`Scheme::Auto`].
    scheme: Scheme,
    /// Units that have been opened at least once.
    used: UnitSet,
    /// With [`Scheme::Flip`], units that are writable now.
    writable: UnitSet,
}

impl LinuxCode {
    /// Reserves a window of `size` bytes, rounded up to whole pages, at most [`MAX_WINDOW`].
    pub fn new(size: usize) -> Result<Self, CodeError> {
        Self::new_with(size, Scheme::Auto)
    }

    /// Reserves a window that works in the given way. Whatever had been mapped when a step fails is released.
    pub fn new_with(size: usize, scheme: Scheme) -> Result<Self, CodeError> {
        let page = page_size();
        if size == 0 || size > MAX_WINDOW {
            let action = "reserve a code window of no bytes or of more than 128 MiB";
            return Err(CodeError::System { action, code: libc::EINVAL });
        }
        let size = size.next_multiple_of(page);
        match scheme {
            Scheme::TwoMappings => Self::two_mappings(size, page),
            Scheme::Flip => Self::flip(size, page),
            Scheme::Auto => Self::two_mappings(size, page).or_else(|_| Self::flip(size, page)),
        }
    }

    /// The scheme in use, never [`Scheme::Auto`].
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Guard, writable mapping, guard, executable mapping, guard.
    fn two_mappings(size: usize, page: usize) -> Result<Self, CodeError> {
        let reservation = Reservation::new(2 * size + 3 * page)?;
        let write = reservation.start + page;
        let execute = write + size + page;
        {
            let file = MemoryFile::new(size)?;
            file.map(write, size, libc::PROT_READ | libc::PROT_WRITE)?;
            // Where the system refuses executable mappings it says so here, while there is still another way.
            file.map(execute, size, libc::PROT_READ | libc::PROT_EXEC)?;
        }
        protect(execute, size, libc::PROT_NONE)?;
        reservation.keep_from_children()?;
        let unit = UNIT.max(page);
        let used = UnitSet::new(size.div_ceil(unit));
        let writable = UnitSet::new(0);
        let scheme = Scheme::TwoMappings;
        let code = Self { _reservation: reservation, write, execute, size, page, unit, scheme, used, writable };
        #[cfg(target_arch = "aarch64")]
        let code = code.probed()?;
        Ok(code)
    }

    /// Guard, mapping, guard.
    fn flip(size: usize, page: usize) -> Result<Self, CodeError> {
        let reservation = Reservation::new(size + 2 * page)?;
        let start = reservation.start + page;
        // Systems that refuse executable memory say so here and not at the first publish.
        protect(start, page, libc::PROT_READ | libc::PROT_EXEC)?;
        protect(start, page, libc::PROT_NONE)?;
        reservation.keep_from_children()?;
        let units = size / page;
        let (used, writable) = (UnitSet::new(units), UnitSet::new(units));
        Ok(Self {
            _reservation: reservation,
            write: start,
            execute: start,
            size,
            page,
            unit: page,
            scheme: Scheme::Flip,
            used,
            writable,
        })
    }

    /// Runs a function, changes it and runs it again. Some emulators and hypervisors do not see a change that was made
    /// through another address; where this one does not, two mappings are refused.
    #[cfg(target_arch = "aarch64")]
    fn probed(mut self) -> Result<Self, CodeError> {
        const RET: u32 = 0xD65F_03C0;
        let range = CodeRange { start: 0, end: 8 };
        for result in [1, 2] {
            let movz_w0: u32 = 0x5280_0000 | result << 5;
            let words = [movz_w0.to_le_bytes(), RET.to_le_bytes()];
            self.open(range)?.copy_from_slice(words.as_flattened());
            self.publish(range)?;
            // SAFETY: the window's first bytes are a function of no arguments that returns a u32.
            let function = unsafe { core::mem::transmute::<usize, extern "C" fn() -> u32>(self.execute) };
            if function() != result {
                let action = "see a change of code that was made through another mapping";
                return Err(CodeError::System { action, code: 0 });
            }
        }
        self.open(range)?.fill(0);
        self.publish(range)?;
        Ok(self)
    }

    /// The units that a range touches.
    fn units(&self, range: CodeRange) -> Result<Range<usize>, CodeError> {
        if range.start > range.end || range.end > self.size {
            return Err(CodeError::Range { range, size: self.size });
        }
        if range.is_empty() {
            return Ok(0..0);
        }
        Ok(range.start / self.unit..range.end.div_ceil(self.unit))
    }

    /// The bytes of a run of units; the last unit of a window may be cut short.
    fn bytes(&self, units: &Range<usize>) -> CodeRange {
        CodeRange { start: units.start * self.unit, end: (units.end * self.unit).min(self.size) }
    }

    /// Fills writable units that have never been used.
    fn fill(&mut self, range: CodeRange) {
        if let Some(filler) = icache::FILLER {
            // SAFETY: the range is inside the writable mapping, and the exclusive borrow of `self` is the only way to it.
            unsafe { ptr::write_bytes((self.write + range.start) as *mut u8, filler, range.len()) };
        }
    }

    /// Makes units of the two mappings ready for their first use.
    fn first_use(&mut self, units: Range<usize>) -> Result<(), CodeError> {
        let range = self.bytes(&units);
        let address = (self.write + range.start) as *mut c_void;
        // SAFETY: the range is inside the writable mapping; faulting its pages in changes no value.
        let populated = unsafe { libc::madvise(address, range.len(), libc::MADV_POPULATE_WRITE) };
        if populated != 0 {
            let error = last_error("back code memory with pages");
            // Kernels before 5.14 do not know the advice, and find out about a lack of memory at the first store.
            if !matches!(error, CodeError::System { code: libc::EINVAL, .. }) {
                return Err(error);
            }
        }
        self.fill(range);
        protect(self.execute + range.start, range.len(), libc::PROT_READ | libc::PROT_EXEC)?;
        self.used.set(units, true);
        Ok(())
    }

    /// Makes units of the one mapping writable.
    fn make_writable(&mut self, units: Range<usize>) -> Result<(), CodeError> {
        let range = self.bytes(&units);
        protect(self.write + range.start, range.len(), libc::PROT_READ | libc::PROT_WRITE)?;
        self.writable.set(units.clone(), true);
        let mut rest = units;
        while let Some(fresh) = self.used.run(&rest, false) {
            self.fill(self.bytes(&fresh));
            rest.start = fresh.end;
            self.used.set(fresh, true);
        }
        Ok(())
    }
}

// SAFETY: the reservation keeps the window's addresses until it is dropped, and nothing else knows the writable ones.
// `open` hands out a checked range of the writable mapping, whose memory the executable mapping shares or is. A mapping
// is created, and protected by `protect`, either writable or executable. `publish` brings this core's instruction fetch up
// to date, and `sync_cores` the others'.
unsafe impl CodeMemory for LinuxCode {
    fn base(&self) -> usize {
        self.execute
    }

    fn size(&self) -> usize {
        self.size
    }

    fn page(&self) -> usize {
        self.page
    }

    fn concurrent_write(&self) -> bool {
        self.scheme == Scheme::TwoMappings
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        let mut rest = self.units(range)?;
        match self.scheme {
            Scheme::Flip => {
                while let Some(closed) = self.writable.run(&rest, false) {
                    rest.start = closed.end;
                    self.make_writable(closed)?;
                }
            }
            _ => {
                while let Some(fresh) = self.used.run(&rest, false) {
                    rest.start = fresh.end;
                    self.first_use(fresh)?;
                }
            }
        }
        // SAFETY: the range is inside the mapping and now writable; its bytes are initialized, by the kernel if nobody
        // else; the exclusive borrow of `self` is the only way to them but for execution.
        Ok(unsafe { core::slice::from_raw_parts_mut((self.write + range.start) as *mut u8, range.len()) })
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let mut rest = self.units(range)?;
        while let Some(run) =
            if self.scheme == Scheme::Flip { self.writable.run(&rest, true) } else { self.used.run(&rest, true) }
        {
            rest.start = run.end;
            let bytes = self.bytes(&run);
            if self.scheme == Scheme::Flip {
                protect(self.execute + bytes.start, bytes.len(), libc::PROT_READ | libc::PROT_EXEC)?;
                self.writable.set(run, false);
            }
            let (start, end) = (bytes.start.max(range.start), bytes.end.min(range.end));
            let (write, execute) = ((self.write + start) as *const u8, (self.execute + start) as *const u8);
            // SAFETY: these units have been opened, so both addresses are mapped and readable for the clipped range.
            unsafe { icache::publish(write, execute, end - start) };
        }
        Ok(())
    }

    /// Uses membarrier's `SYNC_CORE` (Linux 4.16), for which the process registers itself at the first call. An error
    /// means that the kernel cannot do it: then bytes that another thread may have fetched must not be used again, and
    /// on arm64 other threads must not run what was published after they started.
    fn sync_cores(&self) -> Result<(), CodeError> {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        const ACTION: &str = "make every core fetch published code (membarrier SYNC_CORE)";
        if !REGISTERED.load(Ordering::Acquire) {
            membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, ACTION)?;
            REGISTERED.store(true, Ordering::Release);
        }
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, ACTION)
    }
}

/// A range of addresses that nothing else is mapped at, and that is unmapped when dropped.
#[derive(Debug)]
struct Reservation {
    start: usize,
    len: usize,
    /// The process that has it; a child has not.
    owner: libc::pid_t,
}

impl Reservation {
    /// Reserves without access and without memory behind it.
    fn new(len: usize) -> Result<Self, CodeError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(last_error("reserve addresses for a code window"));
        }
        // SAFETY: getpid has no preconditions.
        let owner = unsafe { libc::getpid() };
        Ok(Self { start: start as usize, len, owner })
    }

    /// Leaves it out of children made by `fork`.
    fn keep_from_children(&self) -> Result<(), CodeError> {
        // SAFETY: the range is this reservation's own.
        let failed = unsafe { libc::madvise(self.start as *mut c_void, self.len, libc::MADV_DONTFORK) };
        if failed == 0 { Ok(()) } else { Err(last_error("keep code memory out of forked children")) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: getpid has no preconditions.
        if unsafe { libc::getpid() } == self.owner {
            // SAFETY: the range is this reservation's own; whoever still has an address in it breaks CodeMemory's
            // contract. Unmapping a whole range of mappings fails only if the kernel has no memory to split one, and
            // then there is nothing to be done.
            unsafe { libc::munmap(self.start as *mut c_void, self.len) };
        }
    }
}

/// A file in memory without a name, closed when dropped; its mappings stay.
struct MemoryFile(c_int);

impl MemoryFile {
    /// A file of `size` bytes that takes no memory yet and whose size is sealed, so that no mapping of it can lose pages.
    fn new(size: usize) -> Result<Self, CodeError> {
        // Growing a file past this limit would end the process with SIGXFSZ.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live rlimit.
        if unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } != 0 || limit.rlim_cur < size as libc::rlim_t {
            let action = "create a memory file: the limit of file sizes is below the window's";
            return Err(CodeError::System { action, code: libc::EFBIG });
        }
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let file = Self::create(flags | libc::MFD_EXEC).or_else(|error| match error {
            // Kernels before 6.3 do not know MFD_EXEC and need none.
            CodeError::System { code: libc::EINVAL, .. } => Self::create(flags),
            error => Err(error),
        })?;
        let length = libc::off_t::try_from(size).map_err(|_| CodeError::Unsupported)?;
        // SAFETY: the descriptor is open and this file's own.
        if unsafe { libc::ftruncate(file.0, length) } != 0 {
            return Err(last_error("size the memory file of a code window"));
        }
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: as above.
        if unsafe { libc::fcntl(file.0, libc::F_ADD_SEALS, seals) } != 0 {
            return Err(last_error("seal the memory file of a code window"));
        }
        Ok(file)
    }

    fn create(flags: c_uint) -> Result<Self, CodeError> {
        // SAFETY: the name is a string that ends in zero.
        let descriptor = unsafe { libc::memfd_create(c"opstamp".as_ptr(), flags) };
        if descriptor < 0 { Err(last_error("create a memory file")) } else { Ok(Self(descriptor)) }
    }

    /// Maps the first `size` bytes over reserved addresses.
    fn map(&self, address: usize, size: usize, protection: c_int) -> Result<(), CodeError> {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: the callers pass ranges of their own reservation, which this replaces.
        let mapped = unsafe { libc::mmap(address as *mut c_void, size, protection, flags, self.0, 0) };
        if mapped == libc::MAP_FAILED {
            let executable = protection & libc::PROT_EXEC != 0;
            return Err(last_error(if executable { "map code memory to execute" } else { "map code memory to write" }));
        }
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open and this file's own.
        unsafe { libc::close(self.0) };
    }
}

/// Sets the permissions of whole pages of a window.
fn protect(address: usize, len: usize, protection: c_int) -> Result<(), CodeError> {
    // SAFETY: the callers pass whole pages of their own window, through which no reference is live: they hold it
    // exclusively.
    if unsafe { libc::mprotect(address as *mut c_void, len, protection) } == 0 {
        return Ok(());
    }
    Err(last_error(match protection {
        libc::PROT_NONE => "close code memory",
        protection if protection & libc::PROT_EXEC != 0 => "make code memory executable",
        _ => "make code memory writable",
    }))
}

fn membarrier(command: c_int, action: &'static str) -> Result<(), CodeError> {
    // SAFETY: membarrier takes a command, flags and a CPU number, and touches no memory.
    if unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } == 0 { Ok(()) } else { Err(last_error(action)) }
}

/// The size of a page in bytes.
fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

/// The error of the system call that has just failed.
fn last_error(action: &'static str) -> CodeError {
    CodeError::System { action, code: io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}
