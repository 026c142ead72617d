//! Code memory that runs nothing and records what is asked of it.

use opstamp::code::{CodeError, CodeMemory, CodeRange};
use std::cell::{Cell, RefCell};
use std::ops::Range;

/// The unit of permissions: as small as a function's alignment, so that a range that is a page too short shows.
pub const PAGE: usize = 16;

/// What a page holds that has not been opened yet, or was given back.
pub const UNUSED: u8 = 0xCC;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    Open(CodeRange),
    /// No request: from the first byte that the caller has changed since its last request to the last.
    Write(CodeRange),
    Publish(CodeRange),
    Sync,
    Describe,
    Release(CodeRange),
}

/// A page is writable from its opening to its publishing. Panics where a byte changes elsewhere or at another time.
pub struct Recording {
    /// Aligned as every real window is.
    memory: Vec<u64>,
    size: usize,
    /// The bytes as they were at the last request.
    known: RefCell<Vec<u8>>,
    open: Vec<bool>,
    ever_open: Vec<bool>,
    /// What the last opening lent: behind the next request it may not be written any more.
    lent: Cell<CodeRange>,
    log: RefCell<Vec<Request>>,
    /// The request that fails, counted from 0, writes left out.
    fails: usize,
}

pub const REFUSED: CodeError = CodeError::System { action: "do what the test forbids", code: 7 };

const NOTHING: CodeRange = CodeRange { start: 0, end: 0 };

impl Recording {
    pub fn new(size: usize, fails: usize) -> Self {
        let pages = size.div_ceil(PAGE);
        Self {
            memory: vec![u64::from_ne_bytes([UNUSED; 8]); size.div_ceil(8)],
            size,
            known: RefCell::new(vec![UNUSED; size]),
            open: vec![false; pages],
            ever_open: vec![false; pages],
            lent: Cell::new(NOTHING),
            log: RefCell::default(),
            fails,
        }
    }

    /// What was asked and written since the last time.
    pub fn take_log(&mut self) -> Vec<Request> {
        self.notice_writes();
        self.lent.set(NOTHING);
        self.log.take()
    }

    /// Lets the request fail that comes after `before` others.
    pub fn fail_after(&mut self, before: usize) {
        self.fails = before;
    }

    pub fn anything_writable(&self) -> bool {
        self.open.contains(&true)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the words have as many bytes or more, all initialized.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast(), self.size) }
    }

    fn notice_writes(&self) {
        let mut known = self.known.borrow_mut();
        let bytes = self.bytes();
        let changed = |at: &usize| bytes[*at] != known[*at];
        let Some(start) = (0..self.size).find(changed) else { return };
        let end = (start..self.size).rev().find(changed).unwrap_or(start) + 1;
        let lent = self.lent.get();
        assert!(lent.start <= start && end <= lent.end, "{start:#x} to {end:#x} written, but {lent:?} was lent");
        self.log.borrow_mut().push(Request::Write(CodeRange { start, end }));
        known.copy_from_slice(bytes);
    }

    fn record(&self, request: Request) -> Result<(), CodeError> {
        self.notice_writes();
        self.lent.set(NOTHING);
        let mut log = self.log.borrow_mut();
        let before = log.iter().filter(|request| !matches!(request, Request::Write(_))).count();
        log.push(request);
        if before == self.fails { Err(REFUSED) } else { Ok(()) }
    }

    fn pages(&self, range: CodeRange) -> Range<usize> {
        assert!(range.start <= range.end && range.end <= self.size, "{range:?} is not inside the window");
        range.start / PAGE..range.end.div_ceil(PAGE)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the words have as many bytes or more, all initialized, and are borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), self.size) }
    }
}

// SAFETY: nothing is ever run from this memory: the tests make engines and call nothing.
unsafe impl CodeMemory for Recording {
    fn base(&self) -> usize {
        self.memory.as_ptr() as usize
    }

    fn size(&self) -> usize {
        self.size
    }

    fn page(&self) -> usize {
        PAGE
    }

    fn concurrent_write(&self) -> bool {
        false
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        self.record(Request::Open(range))?;
        for page in self.pages(range) {
            self.open[page] = true;
            self.ever_open[page] = true;
        }
        self.lent.set(range);
        Ok(&mut self.bytes_mut()[range.start..range.end])
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.record(Request::Publish(range))?;
        for page in self.pages(range) {
            assert!(self.ever_open[page], "page {page} of {range:?} was never opened");
            self.open[page] = false;
        }
        Ok(())
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        self.record(Request::Sync)
    }

    fn describe(&mut self, _: CodeRange) -> Result<(), CodeError> {
        self.record(Request::Describe)
    }

    fn release(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.record(Request::Release(range))?;
        for page in range.start.div_ceil(PAGE)..range.end / PAGE {
            self.open[page] = false;
            self.ever_open[page] = false;
            let bytes = page * PAGE..(page + 1) * PAGE;
            self.bytes_mut()[bytes.clone()].fill(UNUSED);
            self.known.borrow_mut()[bytes].fill(UNUSED);
        }
        Ok(())
    }
}
