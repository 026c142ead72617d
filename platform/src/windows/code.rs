//! The mappings of a code window on Windows: two views of one section, or private pages whose permissions are flipped.
//! The rules stand at the head of [`super`].
//!
//! A mapping is laid out as: a page of unwind data that can be read only, a guard page, the window, a guard page.

use super::sys;
pub use super::sys::page_size;
use super::unwind::{FunctionTable, records};
use crate::window::Access;
use core::ptr;
use opstamp::code::{CodeError, CodeRange};
use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, HANDLE};
use windows_sys::Win32::System::Memory::{
    FILE_MAP_EXECUTE, FILE_MAP_READ, FILE_MAP_WRITE, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE, PAGE_NOACCESS,
    PAGE_PROTECTION_FLAGS, PAGE_READONLY, PAGE_READWRITE, SEC_RESERVE,
};

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = ERROR_INVALID_PARAMETER as i32;

/// The addresses of a window.
#[derive(Debug)]
pub struct Mapping {
    /// What the system's unwinder knows of the window. Dropped before the memory that it points to.
    table: Option<FunctionTable>,
    _addresses: Addresses,
    /// The address through which the window is written.
    write: usize,
    /// The address at which it is executed; with one mapping the same.
    execute: usize,
    /// Bytes before the window: the unwind data and a guard.
    lead: usize,
}

/// What is released when a window is dropped.
#[derive(Debug)]
enum Addresses {
    Views { _write: View, _execute: View },
    Pages { _pages: Pages },
}

impl Mapping {
    /// Reserves a window of whole pages, all of which fault. `two` says whether to map its memory twice.
    pub fn new(size: usize, page: usize, two: bool) -> Result<Self, CodeError> {
        if two { Self::two_views(size, page) } else { Self::private(size, page) }
    }

    /// Two views of a section, of which one is never executable and the other never writable.
    fn two_views(size: usize, page: usize) -> Result<Self, CodeError> {
        let (lead, len) = layout(size, page);
        let section = Section::new(len)?;
        let write = View::new(&section, FILE_MAP_WRITE, "map code memory to write")?;
        let execute = View::new(&section, FILE_MAP_READ | FILE_MAP_EXECUTE, "map code memory to execute")?;
        // SAFETY: the first page of each new view is nobody else's.
        unsafe {
            write_unwind_records(write.0, page, size)?;
            commit(execute.0, page, PAGE_READONLY)?;
        }
        Ok(Self {
            table: None,
            write: write.0 + lead,
            execute: execute.0 + lead,
            _addresses: Addresses::Views { _write: write, _execute: execute },
            lead,
        })
    }

    /// Private pages.
    fn private(size: usize, page: usize) -> Result<Self, CodeError> {
        let (lead, len) = layout(size, page);
        let pages = Pages::reserve(len)?;
        let start = pages.0 + lead;
        // SAFETY: the new pages are nobody else's. A process that refuses executable memory says so here and not at the
        // first publish; afterwards the page is as it was.
        unsafe {
            commit(start, page, PAGE_READWRITE)?;
            protect(start, page, PAGE_EXECUTE_READ)?;
            give_back(sys::decommit(start, page))?;
            write_unwind_records(pages.0, page, size)?;
        }
        Ok(Self { table: None, _addresses: Addresses::Pages { _pages: pages }, write: start, execute: start, lead })
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
        unsafe { commit(self.write + range.start, range.len(), PAGE_READWRITE) }
    }

    /// Sets what pages that have memory allow, at the address where the window is executed.
    ///
    /// # Safety
    ///
    /// They are pages of the window, and no reference into them is live.
    pub unsafe fn set_access(&self, range: CodeRange, access: Access) -> Result<(), CodeError> {
        let (start, len) = (self.execute + range.start, range.len());
        let flags = match access {
            Access::None => PAGE_NOACCESS,
            Access::Write => PAGE_READWRITE,
            Access::Execute => PAGE_EXECUTE_READ,
        };
        // SAFETY: the caller vouches for the pages.
        unsafe {
            // In the second view too pages have to be committed before they can be used.
            if self.two() && access == Access::Execute { commit(start, len, flags) } else { protect(start, len, flags) }
        }
    }

    /// Gives the memory of pages back, or of a section's pages what they hold; they fault then.
    ///
    /// # Safety
    ///
    /// They are pages of the window that cannot be executed, and no reference into them is live.
    pub unsafe fn discard(&self, range: CodeRange) -> Result<(), CodeError> {
        let (start, len) = (self.write + range.start, range.len());
        // SAFETY: the caller vouches for the pages.
        unsafe {
            if !self.two() {
                return give_back(sys::decommit(start, len));
            }
            give_back(sys::reset(start, len))?;
            protect(start, len, PAGE_NOACCESS)
        }
    }

    /// Makes written bytes visible to this core's instruction fetch.
    ///
    /// # Safety
    ///
    /// They lie in pages of the window that are ready.
    pub unsafe fn clean(&self, range: CodeRange) -> Result<(), CodeError> {
        let start = self.execute + range.start;
        // SAFETY: the range is committed and readable, as the caller vouches.
        let flushed = unsafe { sys::flush_instruction_cache(start, range.len()) };
        flushed.map_err(|code| CodeError::System { action: "flush the instruction cache", code })?;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: both addresses are mapped and readable, as the caller vouches.
        unsafe {
            crate::icache::publish((self.write + range.start) as *const u8, start as *const u8, range.len());
        }
        // The call has cleaned and invalidated the lines; what this core had already fetched goes too.
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a barrier changes no value.
        unsafe {
            core::arch::asm!("isb", options(nostack, preserves_flags));
        }
        Ok(())
    }

    /// Registers the window's frames with the system's unwinder.
    pub fn describe(&mut self, size: usize, stubs: CodeRange) -> Result<(), CodeError> {
        self.table = None;
        let base = self.execute - self.lead;
        // SAFETY: the records were written to the first page of the mapping, `lead` bytes before the window, which
        // stays until after the table has been dropped.
        self.table = Some(unsafe { FunctionTable::new(base, self.lead, size, stubs)? });
        Ok(())
    }
}

/// The bytes before a window and those of its whole mapping.
fn layout(size: usize, page: usize) -> (usize, usize) {
    let lead = 2 * page;
    (lead, lead + size + page)
}

/// Makes every other core that runs this process's threads fetch what was published before.
pub fn sync_cores() -> Result<(), CodeError> {
    sys::flush_process_write_buffers();
    Ok(())
}

/// Makes a page read-only that starts with what the unwinder reads of a window of `size` bytes.
///
/// # Safety
///
/// The page at `address` is reserved and nobody else's.
unsafe fn write_unwind_records(address: usize, page: usize, size: usize) -> Result<(), CodeError> {
    let records = records(size);
    // SAFETY: the caller vouches for the page; the records are far smaller, and it is writable when they are written.
    unsafe {
        commit(address, page, PAGE_READWRITE)?;
        ptr::copy_nonoverlapping(records.as_ptr(), address as *mut u8, records.len());
        protect(address, page, PAGE_READONLY)
    }
}

/// A section without a file, closed when dropped; its views stay.
struct Section(HANDLE);

impl Section {
    /// A section of `len` bytes that takes no memory yet. Its permissions bound those of its views together: one is
    /// mapped to write and another to execute, so it has to allow both.
    fn new(len: usize) -> Result<Self, CodeError> {
        let len = u32::try_from(len).map_err(|_| CodeError::Unsupported)?;
        let section = sys::create_section(PAGE_EXECUTE_READWRITE | SEC_RESERVE, len);
        section.map(Self).map_err(|code| CodeError::System { action: "create a section for code memory", code })
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: the handle is open and this section's own, so the call cannot fail.
        let _ = unsafe { sys::close(self.0) };
    }
}

/// A view of a whole section, unmapped when dropped.
#[derive(Debug)]
struct View(usize);

impl View {
    fn new(section: &Section, access: u32, action: &'static str) -> Result<Self, CodeError> {
        // SAFETY: the handle is that of the section.
        unsafe { sys::map_view(section.0, access) }.map(Self).map_err(|code| CodeError::System { action, code })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the view is this value's own, so the call cannot fail; whoever still has an address in it breaks
        // CodeMemory's contract.
        let _ = unsafe { sys::unmap_view(self.0) };
    }
}

/// Reserved private pages, released when dropped.
#[derive(Debug)]
struct Pages(usize);

impl Pages {
    fn reserve(len: usize) -> Result<Self, CodeError> {
        let start = sys::reserve(len);
        start.map(Self).map_err(|code| CodeError::System { action: "reserve addresses for a code window", code })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the pages are this value's own, so the call cannot fail; whoever still has an address in them breaks
        // CodeMemory's contract.
        let _ = unsafe { sys::release(self.0) };
    }
}

/// Gives reserved pages memory and a permission; pages that have memory keep it.
///
/// # Safety
///
/// They are the caller's, and no reference to them is live.
unsafe fn commit(address: usize, len: usize, protection: PAGE_PROTECTION_FLAGS) -> Result<(), CodeError> {
    // SAFETY: the caller vouches for the pages.
    let done = unsafe { sys::commit(address, len, protection) };
    done.map_err(|code| CodeError::System { action: "back code memory with pages", code })
}

/// Names what failed when memory was to be given back.
fn give_back(done: Result<(), i32>) -> Result<(), CodeError> {
    done.map_err(|code| CodeError::System { action: "give back pages of code memory", code })
}

/// Sets the permission of committed pages.
///
/// # Safety
///
/// As [`commit`].
unsafe fn protect(address: usize, len: usize, protection: PAGE_PROTECTION_FLAGS) -> Result<(), CodeError> {
    let action = match protection {
        PAGE_NOACCESS => "close code memory",
        PAGE_READONLY => "make code memory read-only",
        PAGE_READWRITE => "make code memory writable",
        _ => "make code memory executable",
    };
    // SAFETY: the caller vouches for the pages.
    unsafe { sys::protect(address, len, protection) }.map_err(|code| CodeError::System { action, code })
}
