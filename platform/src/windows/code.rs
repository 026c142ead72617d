//! Code memory on Windows: two views of one section, or private pages whose permissions are flipped.
//!
//! The window costs address space alone until it is used: nothing in it can be executed or has memory before its first
//! open. Opening a unit of pages for the first time commits it, fills it with [`icache::FILLER`] and, with two views, makes
//! it executable; from then on, with two views, opening it makes no system call.
//!
//! A mapping is laid out as: a page of unwind data that can be read only, a guard page, the window, a guard page.

use crate::window::{Scheme, UNIT, UnitSet};
use crate::{MAX_WINDOW, icache};
use core::ffi::c_void;
use core::ptr;
use opstamp::code::{CodeError, CodeMemory, CodeRange};
use std::io;
use std::ops::Range;
use windows_sys::Win32::Foundation::{CloseHandle, ERROR_INVALID_PARAMETER, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Diagnostics::Debug::FlushInstructionCache;
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_EXECUTE, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE,
    MEM_RESERVE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_NOACCESS,
    PAGE_PROTECTION_FLAGS, PAGE_READONLY, PAGE_READWRITE, SEC_RESERVE, UnmapViewOfFile, VirtualAlloc, VirtualFree,
    VirtualProtect,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};
use windows_sys::Win32::System::Threading::{FlushProcessWriteBuffers, GetCurrentProcess};

/// A code window.
#[derive(Debug)]
pub struct WindowsCode {
    /// What the system's unwinder knows of the window. Dropped before the memory that it points to.
    #[cfg(target_arch = "x86_64")]
    table: Option<super::unwind::FunctionTable>,
    /// Releases the addresses when the window is dropped.
    _mappings: Mappings,
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

impl WindowsCode {
    /// Reserves a window of `size` bytes, rounded up to whole pages, at most [`MAX_WINDOW`].
    pub fn new(size: usize) -> Result<Self, CodeError> {
        Self::new_with(size, Scheme::Auto)
    }

    /// Reserves a window that works in the given way. Whatever had been mapped when a step fails is released.
    pub fn new_with(size: usize, scheme: Scheme) -> Result<Self, CodeError> {
        let page = page_size();
        if size == 0 || size > MAX_WINDOW {
            let action = "reserve a code window of no bytes or of more than 128 MiB";
            return Err(CodeError::System { action, code: ERROR_INVALID_PARAMETER as i32 });
        }
        let size = size.next_multiple_of(page);
        match scheme {
            Scheme::TwoMappings => Self::two_views(size, page),
            Scheme::Flip => Self::flip(size, page),
            Scheme::Auto => Self::two_views(size, page).or_else(|_| Self::flip(size, page)),
        }
    }

    /// The scheme in use, never [`Scheme::Auto`].
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Two views of a section, of which one is never executable and the other never writable.
    fn two_views(size: usize, page: usize) -> Result<Self, CodeError> {
        let lead = lead(page);
        let len = lead + size + page;
        let section = Section::new(len)?;
        let write = View::new(&section, FILE_MAP_WRITE, "map code memory to write")?;
        let execute = View::new(&section, FILE_MAP_READ | FILE_MAP_EXECUTE, "map code memory to execute")?;
        // SAFETY: the first page of each new view is nobody else's.
        unsafe {
            commit(write.0, page, PAGE_READWRITE)?;
            write_unwind_records(write.0);
            protect(write.0, page, PAGE_READONLY)?;
            commit(execute.0, page, PAGE_READONLY)?;
        }
        let unit = UNIT.max(page);
        Ok(Self {
            #[cfg(target_arch = "x86_64")]
            table: None,
            write: write.0 + lead,
            execute: execute.0 + lead,
            _mappings: Mappings::Views { _write: write, _execute: execute },
            size,
            page,
            unit,
            scheme: Scheme::TwoMappings,
            used: UnitSet::new(size.div_ceil(unit)),
            writable: UnitSet::new(0),
        })
    }

    /// Private pages.
    fn flip(size: usize, page: usize) -> Result<Self, CodeError> {
        let lead = lead(page);
        let pages = Pages::reserve(lead + size + page)?;
        let start = pages.0 + lead;
        // SAFETY: the new pages are nobody else's. A process that refuses executable memory says so here and not at the
        // first publish; afterwards the page is as it was.
        unsafe {
            commit(start, page, PAGE_READWRITE)?;
            protect(start, page, PAGE_EXECUTE_READ)?;
            decommit(start, page)?;
            commit(pages.0, page, PAGE_READWRITE)?;
            write_unwind_records(pages.0);
            protect(pages.0, page, PAGE_READONLY)?;
        }
        let units = size / page;
        Ok(Self {
            #[cfg(target_arch = "x86_64")]
            table: None,
            _mappings: Mappings::Pages { _pages: pages },
            write: start,
            execute: start,
            size,
            page,
            unit: page,
            scheme: Scheme::Flip,
            used: UnitSet::new(units),
            writable: UnitSet::new(units),
        })
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

    /// Commits and fills units that have never been used, and makes them writable and, with two views, executable.
    fn first_use(&mut self, units: Range<usize>) -> Result<(), CodeError> {
        let range = self.bytes(&units);
        // SAFETY: the ranges are inside the window's mappings, and no reference into them is live: `self` is borrowed
        // exclusively.
        unsafe {
            commit(self.write + range.start, range.len(), PAGE_READWRITE)?;
            if let Some(filler) = icache::FILLER {
                ptr::write_bytes((self.write + range.start) as *mut u8, filler, range.len());
            }
            if self.scheme == Scheme::TwoMappings {
                commit(self.execute + range.start, range.len(), PAGE_EXECUTE_READ)?;
            }
        }
        if self.scheme == Scheme::Flip {
            self.writable.set(units.clone(), true);
        }
        self.used.set(units, true);
        Ok(())
    }
}

// SAFETY: the mappings keep the window's addresses until they are dropped, and nothing else knows the writable ones.
// `open` hands out a checked range of the writable mapping, whose memory the executable mapping shares or is. No page is
// given a permission to write and one to execute in the same mapping. `publish` brings this core's instruction fetch up to
// date, and `sync_cores` the others'.
unsafe impl CodeMemory for WindowsCode {
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
        let units = self.units(range)?;
        let mut rest = units.clone();
        while let Some(fresh) = self.used.run(&rest, false) {
            rest.start = fresh.end;
            self.first_use(fresh)?;
        }
        if self.scheme == Scheme::Flip {
            let mut rest = units;
            while let Some(closed) = self.writable.run(&rest, false) {
                rest.start = closed.end;
                let bytes = self.bytes(&closed);
                // SAFETY: these are committed pages of the window, to which no reference is live.
                unsafe { protect(self.write + bytes.start, bytes.len(), PAGE_READWRITE)? };
                self.writable.set(closed, true);
            }
        }
        // SAFETY: the range is inside the mapping and now writable; its bytes are initialized, by the system if nobody
        // else; the exclusive borrow of `self` is the only way to them but for execution.
        Ok(unsafe { core::slice::from_raw_parts_mut((self.write + range.start) as *mut u8, range.len()) })
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let mut rest = self.units(range)?;
        let flip = self.scheme == Scheme::Flip;
        while let Some(run) = if flip { self.writable.run(&rest, true) } else { self.used.run(&rest, true) } {
            rest.start = run.end;
            let bytes = self.bytes(&run);
            if flip {
                // SAFETY: these are committed pages of the window, to which no reference is live.
                unsafe { protect(self.execute + bytes.start, bytes.len(), PAGE_EXECUTE_READ)? };
                self.writable.set(run, false);
            }
            let (start, end) = (bytes.start.max(range.start), bytes.end.min(range.end));
            let execute = (self.execute + start) as *const u8;
            // SAFETY: the range is committed and readable. The handle is the constant one of this process.
            if unsafe { FlushInstructionCache(GetCurrentProcess(), execute.cast(), end - start) } == 0 {
                return Err(last_error("flush the instruction cache"));
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: these units have been opened, so both addresses are mapped and readable for the clipped range.
            unsafe {
                icache::publish((self.write + start) as *const u8, execute, end - start);
            }
            // The call has cleaned and invalidated the lines; what this core had already fetched goes too.
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a barrier changes no value.
            unsafe {
                core::arch::asm!("isb", options(nostack, preserves_flags));
            }
        }
        Ok(())
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        // SAFETY: it has no preconditions.
        unsafe { FlushProcessWriteBuffers() };
        Ok(())
    }

    /// Registers the window's frames with the system's unwinder.
    #[cfg(target_arch = "x86_64")]
    fn describe(&mut self, stubs: CodeRange) -> Result<(), CodeError> {
        self.units(stubs)?;
        self.table = None;
        let lead = lead(self.page);
        // SAFETY: the records were written to the first page of the mapping, `lead` bytes before the window, which stays
        // until after the table has been dropped.
        self.table = Some(unsafe { super::unwind::FunctionTable::new(self.execute - lead, lead, self.size, stubs)? });
        Ok(())
    }
}

/// Bytes of a mapping before its window: the unwind data and a guard.
fn lead(page: usize) -> usize {
    2 * page
}

/// Writes what the unwinder reads to the first bytes of a mapping.
///
/// # Safety
///
/// The page at `address` is writable and nobody else's.
unsafe fn write_unwind_records(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the records are far smaller than a page, which is writable as the caller vouches.
    unsafe {
        ptr::copy_nonoverlapping(super::unwind::RECORDS.as_ptr(), address as *mut u8, super::unwind::RECORDS.len());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The addresses of a window.
#[derive(Debug)]
enum Mappings {
    Views { _write: View, _execute: View },
    Pages { _pages: Pages },
}

/// A section without a file, closed when dropped; its views stay.
struct Section(HANDLE);

impl Section {
    /// A section of `len` bytes that takes no memory yet. Its permissions bound those of its views together: one is mapped
    /// to write and another to execute, so it has to allow both.
    fn new(len: usize) -> Result<Self, CodeError> {
        let len = u32::try_from(len).map_err(|_| CodeError::Unsupported)?;
        let protection = PAGE_EXECUTE_READWRITE | SEC_RESERVE;
        // SAFETY: no pointer is passed.
        let section = unsafe { CreateFileMappingW(INVALID_HANDLE_VALUE, ptr::null(), protection, 0, len, ptr::null()) };
        if section.is_null() { Err(last_error("create a section for code memory")) } else { Ok(Self(section)) }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: the handle is open and this section's own.
        unsafe { CloseHandle(self.0) };
    }
}

/// A view of a whole section, unmapped when dropped.
#[derive(Debug)]
struct View(usize);

impl View {
    fn new(section: &Section, access: u32, action: &'static str) -> Result<Self, CodeError> {
        // SAFETY: a new view at an address that the system chooses touches no memory that exists.
        let view = unsafe { MapViewOfFile(section.0, access, 0, 0, 0) };
        if view.Value.is_null() { Err(last_error(action)) } else { Ok(Self(view.Value as usize)) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view is this value's own; whoever still has an address in it breaks CodeMemory's contract.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.0 as *mut c_void }) };
    }
}

/// Reserved private pages, released when dropped.
#[derive(Debug)]
struct Pages(usize);

impl Pages {
    fn reserve(len: usize) -> Result<Self, CodeError> {
        // SAFETY: reserving addresses that the system chooses touches no memory that exists.
        let start = unsafe { VirtualAlloc(ptr::null(), len, MEM_RESERVE, PAGE_NOACCESS) };
        if start.is_null() { Err(last_error("reserve addresses for a code window")) } else { Ok(Self(start as usize)) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the pages are this value's own; whoever still has an address in them breaks CodeMemory's contract.
        unsafe { VirtualFree(self.0 as *mut c_void, 0, MEM_RELEASE) };
    }
}

/// Gives reserved pages memory and a permission.
///
/// # Safety
///
/// They are the caller's, and no reference to them is live.
unsafe fn commit(address: usize, len: usize, protection: PAGE_PROTECTION_FLAGS) -> Result<(), CodeError> {
    // SAFETY: the caller vouches for the pages.
    let start = unsafe { VirtualAlloc(address as *const c_void, len, MEM_COMMIT, protection) };
    if start.is_null() { Err(last_error("back code memory with pages")) } else { Ok(()) }
}

/// Takes the memory of private pages back.
///
/// # Safety
///
/// As [`commit`].
unsafe fn decommit(address: usize, len: usize) -> Result<(), CodeError> {
    // SAFETY: the caller vouches for the pages.
    let done = unsafe { VirtualFree(address as *mut c_void, len, MEM_DECOMMIT) };
    if done == 0 { Err(last_error("give back pages of code memory")) } else { Ok(()) }
}

/// Sets the permission of committed pages.
///
/// # Safety
///
/// As [`commit`].
unsafe fn protect(address: usize, len: usize, protection: PAGE_PROTECTION_FLAGS) -> Result<(), CodeError> {
    let mut old = 0;
    // SAFETY: the caller vouches for the pages; the pointer is to a live variable.
    if unsafe { VirtualProtect(address as *const c_void, len, protection, &mut old) } != 0 {
        return Ok(());
    }
    Err(last_error(match protection {
        PAGE_EXECUTE_READ => "make code memory executable",
        PAGE_READWRITE => "make code memory writable",
        _ => "make code memory read-only",
    }))
}

/// The size of a page in bytes.
fn page_size() -> usize {
    let mut info = SYSTEM_INFO::default();
    // SAFETY: the pointer is to a live variable.
    unsafe { GetSystemInfo(&mut info) };
    usize::try_from(info.dwPageSize).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

/// The error of the call that has just failed.
fn last_error(action: &'static str) -> CodeError {
    CodeError::System { action, code: io::Error::last_os_error().raw_os_error().unwrap_or(0) }
}
