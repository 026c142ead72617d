//! The contract between the engine and the memory that its machine code lies in.

use core::fmt;

/// A range of a code window: offsets in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRange {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl CodeRange {
    /// The number of bytes; 0 if the range is upside down.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no byte.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The smallest range of whole pages that covers it; `page` is a power of two.
    pub const fn pages(self, page: usize) -> Self {
        let mask = page.wrapping_sub(1);
        Self { start: self.start & !mask, end: self.end.saturating_add(mask) & !mask }
    }
}

/// Why code memory refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// The range is not inside the window of `size` bytes, or is upside down.
    Range {
        /// The range asked for.
        range: CodeRange,
        /// The size of the window in bytes.
        size: usize,
    },
    /// The system refused: what was tried, and its own error number.
    System {
        /// What was tried, in words that fit behind "could not".
        action: &'static str,
        /// The system's error number; 0 where it has none.
        code: i32,
    },
    /// Nothing on this host gives executable memory.
    Unsupported,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { range, size } => {
                write!(
                    f,
                    "bytes {:#x} to {:#x} are not inside the code window of {size:#x} bytes",
                    range.start, range.end
                )
            }
            Self::System { action, code } => write!(f, "could not {action}: system error {code}"),
            Self::Unsupported => write!(f, "this host gives no executable memory"),
        }
    }
}

impl core::error::Error for CodeError {}

/// The most bytes of a window that the engine uses, so that every direct branch in it reaches (arm64 `B`: Arm ARM DDI
/// 0487, C6.2.25) and every offset fits in 32 bits.
pub const MAX_WINDOW: usize = 128 << 20;

/// Memory for machine code, supplied by the host: one window that the engine writes through one permission and runs
/// through another.
///
/// Of a window beyond [`MAX_WINDOW`] the engine uses that many bytes. All offsets count in bytes from its start. The
/// engine opens a range, writes it, and publishes it before it runs it. What one thread has opened, that thread
/// publishes, even if it then has no use for it: where a system grants the permission to write by thread, that thread
/// cannot run machine code before.
///
/// # Safety
///
/// An implementation vouches that
/// - the window of [`CodeMemory::base`] and [`CodeMemory::size`] stays reserved, at the same address, until it is
///   dropped, and nobody but the engine writes to it;
/// - [`CodeMemory::open`] returns memory of exactly the range's length, whose bytes are the window's bytes at that
///   range, valid for reads and writes until the range is published;
/// - after [`CodeMemory::publish`] the range can be executed at `base + offset`, holds what was written, is not
///   writable through any mapping that is also executable, and this core's instruction fetch sees it;
/// - after an error of [`CodeMemory::open`] or [`CodeMemory::publish`] no byte is writable through an executable
///   mapping, and other published ranges hold what they held; on a page that was open, they too may have to be
///   published again;
/// - after [`CodeMemory::release`] no byte of the range's whole pages can be executed;
/// - after [`CodeMemory::sync_cores`], every core that may run the window's code has since passed a point after which
///   it fetches what had been published before the call (Arm ARM B2.4.4, "Concurrent modification and execution"; Intel
///   SDM vol. 3, 9.1.3, "Handling Self- and Cross-Modifying Code").
pub unsafe trait CodeMemory: Send {
    /// The address at which the window's first byte is executed.
    fn base(&self) -> usize;

    /// The size of the window in bytes.
    fn size(&self) -> usize;

    /// The unit of permissions in bytes, a power of two: opening a range may open the whole pages that it touches.
    fn page(&self) -> usize;

    /// Whether other threads may execute published code while a range, even one on the same page, is open. With two
    /// mappings they may; where permissions are flipped, published pages must not be opened while any thread is in
    /// guest code.
    fn concurrent_write(&self) -> bool;

    /// Makes a range writable and lends it.
    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError>;

    /// Makes an opened range executable and coherent with this core's instruction fetch, and no longer writable.
    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError>;

    /// Makes every other core that may run the window's code fetch what was published before.
    fn sync_cores(&self) -> Result<(), CodeError>;

    /// Gives the memory of the pages that lie wholly inside the range back to the system. Their addresses stay reserved
    /// and fault when they are executed, until the range is opened and published again, which gives them memory as at
    /// the first time: nothing of what they held is promised to be there then, nor that it is gone. Bytes of the range
    /// on a page that reaches beyond it stay as they are.
    ///
    /// The caller sees to it that nothing executes in the range or returns to it. The addresses may be used for other
    /// code afterwards; it is published, and made known by [`CodeMemory::sync_cores`], like all code in re-used bytes.
    /// Behind an error any part of the range may have been given back. By default it is an error: this memory gives
    /// nothing back.
    fn release(&mut self, range: CodeRange) -> Result<(), CodeError> {
        let _ = range;
        Err(CodeError::System { action: "give back pages of code memory: it keeps what it has", code: 0 })
    }

    /// Says where the shared stubs lie, before any of the window's code runs: through them, and nowhere else, guest
    /// code calls out. A host whose system unwinds native stacks by tables describes the window's frames to it here;
    /// their layout is part of the conventions ([`crate::masm::x64::convention`], [`crate::masm::a64::convention`]). By
    /// default nothing happens.
    fn describe(&mut self, stubs: CodeRange) -> Result<(), CodeError> {
        let _ = stubs;
        Ok(())
    }
}
