//! A code window: what the hosted systems have in common. Which pages hold memory, which can be written, which can be
//! executed; each system's `Mapping` does what it is told by its own calls.
//!
//! The rules that this file obeys, and what they rest on:
//!
//! | rule | source |
//! |---|---|
//! | A page is filled with what faults before it can be executed for the first time, and again after it was given back: zero bytes are an instruction of x86-64 | Intel SDM vol. 2, ADD (00 /r); Arm ARM DDI 0487, C6.2, UDF |
//! | A page that is given back cannot be executed from before its memory goes, because the system replaces it by zeros | the same |
//! | Where one mapping is written and executed in turn, a page has the one permission or the other | [`Scheme::Flip`] |
//! | Written bytes are published before they are executed | [`icache`] |
//! | A request that fails leaves nothing writable that can be executed too, and with one mapping nothing writable at all that its caller does not know of | [`CodeMemory`] |
//!
//! The window costs address space alone until it is used. It grows as it is opened, in steps of a page at first and of
//! [`UNIT`] later, to the size that the host gave and not beyond; the pages on each side of it are never used, and fault.
//! Pages that are ready are opened and published without a system call, with two mappings.

use crate::host::{self, Mapping};
use crate::{MAX_WINDOW, icache};
use core::ptr;
use opstamp::code::{CodeError, CodeMemory, CodeRange};
use std::ops::Range;

/// How written code becomes executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// [`Scheme::TwoMappings`], or [`Scheme::Flip`] where the system refuses that.
    Auto,
    /// One mapping to write through and one to execute, of the same memory. Other threads may execute while code is
    /// written.
    TwoMappings,
    /// One mapping, each page of which is either writable or executable. A page that is open cannot be executed, and
    /// publishing one range takes back every other that is lent on the same pages.
    Flip,
}

/// What pages of a mapping allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: they fault.
    None,
    /// Reading and writing.
    Write,
    /// Reading and executing.
    Execute,
}

/// The most bytes that are made ready together at their first open beyond those that are asked for: enough that a module
/// of ordinary size needs a few system calls. A window starts with a page at a time, each of which costs more than the
/// calls do, and makes ready as much as it has made ready before: see [`Pages::unit`].
pub(crate) const UNIT: usize = 16 * 1024;

/// The code memory of this host: one window.
///
/// What each system makes of it stands at the head of its module.
#[derive(Debug)]
pub struct HostCode {
    mapping: Mapping,
    size: usize,
    page: usize,
    /// Never [`Scheme::Auto`].
    scheme: Scheme,
    pages: Pages,
    /// How often code was published, up to 255.
    publications: u8,
}

impl HostCode {
    /// Reserves a window of `size` bytes, rounded up to whole pages, at most [`MAX_WINDOW`]. That is the most memory
    /// that it ever takes for code, at a time.
    pub fn new(size: usize) -> Result<Self, CodeError> {
        Self::new_with(size, Scheme::Auto)
    }

    /// Reserves a window that works in the given way. Whatever had been mapped when a step fails is released.
    pub fn new_with(size: usize, scheme: Scheme) -> Result<Self, CodeError> {
        let page = host::page_size();
        if size == 0 || size > MAX_WINDOW {
            let action = "reserve a code window of no bytes or of more than 128 MiB";
            return Err(CodeError::System { action, code: host::INVALID });
        }
        let size = size.next_multiple_of(page);
        match scheme {
            Scheme::Auto => {
                Self::mapped(size, page, Scheme::TwoMappings).or_else(|_| Self::mapped(size, page, Scheme::Flip))
            }
            scheme => Self::mapped(size, page, scheme),
        }
    }

    fn mapped(size: usize, page: usize, scheme: Scheme) -> Result<Self, CodeError> {
        let mapping = Mapping::new(size, page, scheme == Scheme::TwoMappings)?;
        let code = Self { mapping, size, page, scheme, pages: Pages::new(size / page), publications: 0 };
        #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
        let code = if scheme == Scheme::TwoMappings { code.probed()? } else { code };
        Ok(code)
    }

    /// The scheme in use, never [`Scheme::Auto`].
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Runs a function, changes it and runs it again. Some emulators and hypervisors do not see a change that was made
    /// through another address; where this one does not, two mappings are refused.
    #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
    fn probed(mut self) -> Result<Self, CodeError> {
        const RET: u32 = 0xD65F_03C0;
        let range = CodeRange { start: 0, end: 8 };
        for result in [1, 2] {
            let movz_w0: u32 = 0x5280_0000 | result << 5;
            let words = [movz_w0.to_le_bytes(), RET.to_le_bytes()];
            self.open(range)?.copy_from_slice(words.as_flattened());
            self.publish(range)?;
            // SAFETY: the window's first bytes are a function of no arguments that returns a u32.
            let function = unsafe { core::mem::transmute::<usize, extern "C" fn() -> u32>(self.base()) };
            if function() != result {
                let action = "see a change of code that was made through another mapping";
                return Err(CodeError::System { action, code: 0 });
            }
        }
        self.release(CodeRange { start: 0, end: self.size })?;
        Ok(self)
    }

    /// The pages that a range touches.
    fn touched(&self, range: CodeRange) -> Result<Range<usize>, CodeError> {
        if range.start > range.end || range.end > self.size {
            return Err(CodeError::Range { range, size: self.size });
        }
        let start = range.start / self.page;
        Ok(start..if range.is_empty() { start } else { range.end.div_ceil(self.page) })
    }

    /// The bytes of a run of pages.
    fn bytes(&self, pages: &Range<usize>) -> CodeRange {
        CodeRange { start: pages.start * self.page, end: pages.end * self.page }
    }

    /// Makes pages ready that are not: gives them memory and fills it. With two mappings they then can be executed,
    /// with one they are open.
    fn make_ready(&mut self, pages: Range<usize>) -> Result<(), CodeError> {
        let made = self.try_make_ready(&pages);
        if made.is_err() {
            // What can be taken back is, what cannot is with the window. The first error is the one to tell.
            // SAFETY: these are pages of the window that nothing executes, and to which no reference is live.
            let _ = unsafe { self.mapping.set_access(self.bytes(&pages), Access::None) };
            let _ = self.discard(&pages);
        }
        made
    }

    fn try_make_ready(&mut self, pages: &Range<usize>) -> Result<(), CodeError> {
        let range = self.bytes(pages);
        // SAFETY: these are pages of the window that cannot be executed and to which no reference is live: `self` is
        // borrowed exclusively.
        unsafe { self.mapping.commit(range)? };
        let mut rest = pages.clone();
        while !rest.is_empty() {
            // Memory that comes fresh from the system is zero, which faults on arm64.
            let fresh = !self.pages.has(rest.start, TOUCHED);
            let run = self.pages.run(&rest, |flags| (flags & TOUCHED == 0) == fresh).unwrap_or(rest.clone());
            rest.start = run.end;
            if let Some(filler) = icache::FILLER.or(if fresh { None } else { Some(0) }) {
                let bytes = self.bytes(&run);
                // SAFETY: the bytes have just been made writable, and the exclusive borrow of `self` is the only way to
                // them.
                unsafe { ptr::write_bytes((self.mapping.write() + bytes.start) as *mut u8, filler, bytes.len()) };
            }
        }
        self.pages.set(pages, BACKED | TOUCHED, true);
        if self.scheme == Scheme::TwoMappings {
            // SAFETY: as above; the pages hold filler.
            unsafe { self.mapping.set_access(range, Access::Execute)? };
            self.pages.set(pages, READY, true);
        } else {
            self.pages.set(pages, READY | WRITABLE | PENDING, true);
        }
        Ok(())
    }

    /// Gives the memory of pages that cannot be executed back to the system.
    fn discard(&mut self, pages: &Range<usize>) -> Result<(), CodeError> {
        // SAFETY: these are pages of the window that cannot be executed and to which no reference is live: `self` is
        // borrowed exclusively.
        unsafe { self.mapping.discard(self.bytes(pages))? };
        self.pages.set(pages, BACKED, false);
        Ok(())
    }

    /// Makes sure that the pages that a range touches are ready; with one mapping, that they are writable. `opened`
    /// receives those that became writable.
    fn open_pages(&mut self, pages: Range<usize>, opened: &mut Vec<Range<usize>>) -> Result<(), CodeError> {
        let mut rest = pages.clone();
        while let Some(run) = self.pages.run(&rest, |flags| flags & READY == 0) {
            let flip = self.scheme == Scheme::Flip;
            // With one mapping, pages that nobody asked for would become writable and stay so.
            let run = if flip { run } else { self.pages.widen(run, self.pages.unit(UNIT / self.page)) };
            rest.start = run.end.max(rest.start);
            self.make_ready(run.clone())?;
            if flip {
                opened.push(run);
            }
        }
        if self.scheme == Scheme::Flip {
            let mut rest = pages;
            while let Some(run) = self.pages.run(&rest, |flags| flags & WRITABLE == 0) {
                rest.start = run.end;
                // SAFETY: these are pages of the window, to which no reference is live.
                unsafe { self.mapping.set_access(self.bytes(&run), Access::Write)? };
                self.pages.set(&run, WRITABLE | PENDING, true);
                opened.push(run);
            }
        }
        Ok(())
    }

    /// With one mapping, makes pages executable that were open. Where that fails they are made to fault instead, until
    /// they are published or opened again.
    fn close(&mut self, run: &Range<usize>) -> Result<(), CodeError> {
        let bytes = self.bytes(run);
        // SAFETY: these are pages of the window, to which no reference is live.
        let closed = unsafe { self.mapping.set_access(bytes, Access::Execute) };
        // SAFETY: as above.
        if closed.is_ok() || unsafe { self.mapping.set_access(bytes, Access::None) }.is_ok() {
            self.pages.set(run, WRITABLE, false);
        }
        closed
    }
}

// SAFETY: the mapping keeps the window's addresses until it is dropped, and nothing else knows the writable ones.
// `open` hands out a checked range of the mapping to write through, whose memory the executable mapping shares or is.
// No page is given a permission to write and one to execute in the same mapping (on arm64 macOS: for the same thread).
// `publish` brings this core's instruction fetch up to date, and `sync_cores` the others'. What `release` gives back
// cannot be executed.
unsafe impl CodeMemory for HostCode {
    fn base(&self) -> usize {
        self.mapping.execute()
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
        let pages = self.touched(range)?;
        if !pages.is_empty() {
            self.mapping.begin_write();
            let mut opened = Vec::new();
            if let Err(error) = self.open_pages(pages, &mut opened) {
                for run in opened {
                    // The first error is the one to tell; this one leaves the pages known as open.
                    let _ = self.close(&run);
                }
                self.mapping.end_write();
                return Err(error);
            }
        }
        let start = (self.mapping.write() + range.start) as *mut u8;
        // SAFETY: the range is inside the mapping and now writable; its bytes are initialized, by the system if nobody
        // else; the exclusive borrow of `self` is the only way to them but for execution.
        Ok(unsafe { core::slice::from_raw_parts_mut(start, range.len()) })
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let mut rest = self.touched(range)?;
        if rest.is_empty() {
            return Ok(());
        }
        self.mapping.end_write();
        self.publications = self.publications.saturating_add(1);
        let wanted = if self.scheme == Scheme::Flip { PENDING } else { READY };
        let mut result = Ok(());
        while let Some(run) = self.pages.run(&rest, |flags| flags & wanted != 0) {
            rest.start = run.end;
            let bytes = self.bytes(&run);
            let (closed, written) = match self.scheme {
                // Whatever else was lent on these pages is written too.
                Scheme::Flip => (self.close(&run), bytes),
                _ => (Ok(()), CodeRange { start: bytes.start.max(range.start), end: bytes.end.min(range.end) }),
            };
            // SAFETY: these pages are ready, so both addresses are mapped and readable for the range.
            let done = closed.and_then(|()| unsafe { self.mapping.clean(written) });
            if done.is_ok() {
                self.pages.set(&run, PENDING, false);
            }
            // The others are closed all the same: nothing stays writable behind an error.
            result = result.and(done);
        }
        result
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        // Before the first publication nothing of the window is executed, so no core has fetched what has changed since:
        // SDM vol. 3, 9.1.3 is about code that has been executed. A process of several threads that registers itself
        // for the system's call waits for milliseconds, which short programs are spared.
        if cfg!(target_arch = "x86_64") && self.publications <= 1 { Ok(()) } else { host::sync_cores() }
    }

    fn describe(&mut self, stubs: CodeRange) -> Result<(), CodeError> {
        self.touched(stubs)?;
        self.mapping.describe(self.size, stubs)
    }

    fn release(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.touched(range)?;
        let mut rest = range.start.div_ceil(self.page)..range.end / self.page;
        while let Some(run) = self.pages.run(&rest, |flags| flags & BACKED != 0) {
            let first_ready = self.pages.has(run.start, READY);
            let run = self.pages.run(&run, |flags| (flags & READY != 0) == first_ready).unwrap_or(run);
            rest.start = run.end;
            if first_ready {
                // SAFETY: these are pages of the window, which nothing executes, as the caller says, and to which no
                // reference is live.
                unsafe { self.mapping.set_access(self.bytes(&run), Access::None)? };
                self.pages.set(&run, READY | WRITABLE | PENDING, false);
            }
            self.discard(&run)?;
        }
        Ok(())
    }
}

/// The page was filled, and its permissions are those of a page in use.
const READY: u8 = 1;
/// With one mapping, the page is writable now.
const WRITABLE: u8 = 1 << 1;
/// With one mapping, the page was opened and has not been published since.
const PENDING: u8 = 1 << 2;
/// The page may hold memory of the system.
const BACKED: u8 = 1 << 3;
/// The page held memory once.
const TOUCHED: u8 = 1 << 4;

/// What the pages of a window are, a byte of flags each.
#[derive(Debug)]
struct Pages(Vec<u8>);

impl Pages {
    fn new(count: usize) -> Self {
        Self(vec![0; count])
    }

    fn has(&self, page: usize, flags: u8) -> bool {
        self.0.get(page).is_some_and(|found| found & flags == flags)
    }

    /// The first run of consecutive pages among `pages` of which `wanted` holds.
    fn run(&self, pages: &Range<usize>, wanted: impl Fn(u8) -> bool) -> Option<Range<usize>> {
        let flags = self.0.get(pages.clone())?;
        let start = flags.iter().position(|&flags| wanted(flags))?;
        let len = flags.iter().skip(start).position(|&flags| !wanted(flags)).unwrap_or(flags.len() - start);
        Some(pages.start + start..pages.start + start + len)
    }

    /// The pages of a step of growth: a power of two, as many as were ever in use among the first `most`.
    fn unit(&self, most: usize) -> usize {
        let used = self.0.iter().take(most).filter(|&&flags| flags & TOUCHED != 0).count();
        1 << used.max(1).ilog2()
    }

    /// A run of pages that are not ready, with its neighbours that are not ready either, to the bounds of units of
    /// `unit` pages.
    fn widen(&self, run: Range<usize>, unit: usize) -> Range<usize> {
        if unit <= 1 {
            return run;
        }
        let lowest = run.start / unit * unit;
        let highest = run.end.next_multiple_of(unit).min(self.0.len());
        let start = (lowest..run.start).rev().take_while(|&page| !self.has(page, READY)).last().unwrap_or(run.start);
        let end = (run.end..highest).take_while(|&page| !self.has(page, READY)).last().map_or(run.end, |last| last + 1);
        start..end
    }

    fn set(&mut self, pages: &Range<usize>, flags: u8, on: bool) {
        for found in self.0.get_mut(pages.clone()).unwrap_or_default() {
            *found = if on { *found | flags } else { *found & !flags };
        }
    }
}
