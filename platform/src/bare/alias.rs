//! Code memory as a page-table alias: the same frames at two addresses.

use super::Cores;
use crate::{MAX_WINDOW, icache};
use opstamp::code::{CodeError, CodeMemory, CodeRange};

/// Page-table access, as much of it as code memory needs. The kernel implements it over its own tables.
///
/// # Safety
///
/// An implementation vouches that
/// - [`PageTables::PAGE`] is the size of the pages that it maps, a power of two;
/// - after [`PageTables::show`] succeeded, every core that uses these tables reads and executes, but does not write, at
///   `execute` the frame that is mapped at `write`, until [`PageTables::hide`];
/// - after [`PageTables::hide`] this core does not execute at `execute`, and no other does once [`Cores::sync`] returned.
///
/// What TLB maintenance that takes is stated, and done, by the functions of the ISA's module: `mapped` and `unmapped`.
pub unsafe trait PageTables {
    /// The size of a page in bytes.
    const PAGE: usize;

    /// Maps the page at `execute`, where nothing is mapped, to the frame that is mapped at `write`: readable and
    /// executable by the kernel, and never writable.
    fn show(&mut self, execute: usize, write: usize) -> Result<(), CodeError>;

    /// Unmaps the page at `execute`, which [`PageTables::show`] mapped.
    fn hide(&mut self, execute: usize);
}

/// A code window over memory that the kernel gives away: written where it is mapped already, executed at a second address.
///
/// A page is executable from its first opening on, filled with [`icache::FILLER`] where nothing was written yet, so opening
/// and publishing a page again changes no table. Dropping the window unmaps the second addresses.
pub struct AliasCode<'m, T: PageTables, C: Cores> {
    memory: &'m mut [u8],
    execute: usize,
    /// The bytes from the start on that can be executed, whole pages.
    shown: usize,
    tables: T,
    cores: C,
}

impl<'m, T: PageTables, C: Cores> AliasCode<'m, T, C> {
    /// A window over `memory`, executed at `execute`. Both start at a multiple of the page's size, and the memory's size is
    /// one too, at most [`MAX_WINDOW`]; anything else is refused.
    ///
    /// # Safety
    ///
    /// `memory` is mapped readable and writable and not executable, and stays so for `'m`. The addresses from `execute` on,
    /// as many as the memory has bytes, are unused in the tables behind `tables`, and stay so but for what this value does.
    pub unsafe fn new(memory: &'m mut [u8], execute: usize, tables: T, cores: C) -> Result<Self, CodeError> {
        let start = memory.as_ptr() as usize;
        let size = memory.len();
        let whole = (start | size | execute).is_multiple_of(T::PAGE);
        if size == 0 || size > MAX_WINDOW || !whole || execute.checked_add(size).is_none() {
            let action = "make a code window of memory that is not whole pages, at most 128 MiB";
            return Err(CodeError::System { action, code: 0 });
        }
        Ok(Self { memory, execute, shown: 0, tables, cores })
    }

    /// A range's place in the memory.
    fn checked(&self, range: CodeRange) -> Result<core::ops::Range<usize>, CodeError> {
        let size = self.memory.len();
        if range.start > range.end || range.end > size {
            return Err(CodeError::Range { range, size });
        }
        Ok(range.start..range.end)
    }
}

// SAFETY: the memory is borrowed exclusively for the window's life, and the addresses from `execute` on belong to it by
// the contract of `new`. `open` lends a checked range of the memory, whose frames `PageTables::show` made readable and
// executable at the same offset behind `execute`; that mapping is never writable, by its contract, and the memory's own is
// never executable, by that of `new`. `publish` brings this core's instruction fetch up to date, and `sync_cores` the
// others'.
unsafe impl<T: PageTables + Send, C: Cores + Send> CodeMemory for AliasCode<'_, T, C> {
    fn base(&self) -> usize {
        self.execute
    }

    fn size(&self) -> usize {
        self.memory.len()
    }

    fn page(&self) -> usize {
        T::PAGE
    }

    fn concurrent_write(&self) -> bool {
        true
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        let place = self.checked(range)?;
        while self.shown < place.end {
            let page = self.shown..self.shown + T::PAGE;
            let address = self.execute + self.shown;
            let Some(bytes) = self.memory.get_mut(page.clone()) else { break };
            bytes.fill(icache::FILLER.unwrap_or(0));
            let write = bytes.as_ptr();
            self.tables.show(address, write as usize)?;
            // SAFETY: the page is mapped readable at both addresses. It is published behind the mapping, because instruction
            // lines are invalidated by the address that they are fetched from: what is fetched there is the filler.
            unsafe { icache::publish(write, address as *const u8, T::PAGE) };
            self.shown = page.end;
        }
        let size = self.memory.len();
        self.memory.get_mut(place).ok_or(CodeError::Range { range, size })
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let place = self.checked(range)?;
        let end = place.end.min(self.shown);
        let Some(bytes) = self.memory.get(place.start..end) else { return Ok(()) };
        let execute = (self.execute + place.start) as *const u8;
        // SAFETY: pages below `shown` are mapped readable at both addresses, and show the same frames.
        unsafe { icache::publish(bytes.as_ptr(), execute, bytes.len()) };
        Ok(())
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        self.cores.sync();
        Ok(())
    }
}

impl<T: PageTables, C: Cores> Drop for AliasCode<'_, T, C> {
    fn drop(&mut self) {
        for offset in (0..self.shown).step_by(T::PAGE) {
            self.tables.hide(self.execute + offset);
        }
        self.cores.sync();
    }
}
