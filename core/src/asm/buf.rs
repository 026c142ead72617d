//! The emission buffer and labels, shared by both encoders.

use core::fmt;
use core::marker::PhantomData;

/// Why emission failed. The first error sticks; what was emitted after it is meaningless and is never published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitError {
    /// The code did not fit: it needs at least `needed` bytes and the buffer holds `capacity`.
    Full {
        /// Bytes emitted so far, the ones that did not fit included.
        needed: usize,
        /// Bytes that the buffer can hold.
        capacity: usize,
    },
    /// A branch at byte offset `at` cannot reach byte offset `target`.
    BranchRange {
        /// Offset of the branch instruction (arm64) or of its displacement field (x86-64).
        at: usize,
        /// Offset of its target.
        target: usize,
    },
    /// An operand has no encoding in the instruction at byte offset `at`.
    Operand {
        /// Offset at which the instruction would have been emitted.
        at: usize,
    },
    /// A label was referenced and never bound, or bound twice; `at` is where this was found.
    Label {
        /// Offset at which it was found.
        at: usize,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { needed, capacity } => {
                write!(f, "code memory is full: {needed} bytes are needed and {capacity} are left")
            }
            Self::BranchRange { at, target } => {
                write!(f, "the branch at offset {at:#x} cannot reach its target at offset {target:#x}")
            }
            Self::Operand { at } => write!(f, "an operand of the instruction at offset {at:#x} has no encoding"),
            Self::Label { at } => write!(f, "a label was left unbound, or bound twice, at offset {at:#x}"),
        }
    }
}

impl core::error::Error for EmitError {}

/// Bytes at the end of a buffer that are never code: every write is one 8-byte store, clamped to start here.
const SLACK: usize = 8;

/// Bytes of a [`Room`].
pub const ROOM: usize = 128 + 8;

/// Bytes to be written at the end of a [`Buf`].
#[repr(transparent)]
pub struct Room([u8; ROOM]);

impl Room {
    /// Writes 8 bytes, lowest first, to `at` modulo 128: where they go depends on data, and this needs no branch.
    #[cfg_attr(not(small), inline(always))]
    pub fn put(&mut self, at: usize, bytes: u64) {
        let at = at % (ROOM - 8);
        if let Some(place) = self.0.get_mut(at..at + 8) {
            place.copy_from_slice(&bytes.to_le_bytes());
        }
    }
}

/// The most bytes of code that a buffer uses, however large its memory is: offsets must fit into a [`Label`].
const MAX_CAPACITY: usize = (BOUND - 8) as usize;

/// An append-only buffer over memory that the caller lends.
///
/// Every instruction is written by one unaligned 8-byte store at `min(position, last)`, where `last` leaves room for the
/// store. So no write can leave the buffer, and there is no branch a write: an overflow shows as a position beyond the
/// capacity, which the compiler asks for once a template ([`Buf::check`]).
pub struct Buf<'m> {
    start: *mut u8,
    /// Greatest offset at which an 8-byte store stays inside.
    last: usize,
    pos: usize,
    /// All is well while `pos` is below this: `last + 1`, and 0 once an error is recorded.
    limit: usize,
    /// There is a [`Room`] while `pos` is below this: at most `last + 9 - ROOM`, and 0 once an error is recorded.
    room_limit: usize,
    error: Option<EmitError>,
    _memory: PhantomData<&'m mut [u8]>,
}

impl<'m> Buf<'m> {
    /// A buffer that writes to `memory`. `None` if `memory` is shorter than 8 bytes.
    ///
    /// The last 8 bytes of `memory` may be written but never hold code that [`Buf::finish`] accepts, so
    /// [`Buf::capacity`] is 8 less than `memory.len()`, and never more than 8 less than 2 GiB.
    pub fn new(memory: &'m mut [u8]) -> Option<Self> {
        let last = memory.len().checked_sub(SLACK)?.min(MAX_CAPACITY);
        let room_limit = (last + SLACK + 1).saturating_sub(ROOM);
        let start = memory.as_mut_ptr();
        Some(Self { start, last, pos: 0, limit: last + 1, room_limit, error: None, _memory: PhantomData })
    }

    /// Bytes of code that the buffer can hold.
    pub fn capacity(&self) -> usize {
        self.last
    }

    /// The offset at which the next byte goes.
    #[cfg_attr(not(small), inline(always))]
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Appends the `len` lowest bytes of `bytes`, lowest first; `len` is at most 8.
    #[cfg_attr(not(small), inline(always))]
    pub fn put(&mut self, bytes: u64, len: usize) {
        debug_assert!(len <= 8);
        let at = self.pos.min(self.last);
        // SAFETY: `start` is the beginning of a slice of `last + 8` bytes that `self` borrows exclusively for 'm, and
        // `at <= last`, so the 8 bytes from `start + at` are inside it. The store is unaligned by contract.
        unsafe { self.start.add(at).cast::<u64>().write_unaligned(bytes.to_le()) };
        self.pos = self.pos.wrapping_add(len);
    }

    /// The next [`Room`] bytes, if the buffer has so many left and all went well so far. [`Buf::advance`] appends what was
    /// written there.
    #[cfg_attr(not(small), inline(always))]
    pub fn room(&mut self) -> Option<&mut Room> {
        if self.pos >= self.room_limit {
            return None;
        }
        // SAFETY: `start` is the beginning of a slice of `last + 8` bytes that `self` borrows exclusively for 'm, and
        // `pos < room_limit <= last + 9 - ROOM`, so the ROOM bytes from `pos` are inside it. A `Room` is an array of bytes,
        // and is given for no longer than `self` is borrowed.
        Some(unsafe { &mut *self.start.add(self.pos).cast::<Room>() })
    }

    /// Appends the first `len` bytes of [`Buf::room`], at most [`ROOM`].
    #[cfg_attr(not(small), inline(always))]
    pub fn advance(&mut self, len: usize) {
        debug_assert!(len <= ROOM);
        self.pos = self.pos.wrapping_add(len);
    }

    /// For many writes in a [`Room`] each: the same without looking into memory.
    #[cfg_attr(not(small), inline(always))]
    pub fn tail(&mut self) -> Tail<'_> {
        Tail { start: self.start, pos: self.pos, room_limit: self.room_limit, appended: &mut self.pos }
    }

    /// Appends one 32-bit word, lowest byte first.
    #[cfg_attr(not(small), inline(always))]
    pub fn put_u32(&mut self, word: u32) {
        self.put(u64::from(word), 4);
    }

    /// The 32-bit word at offset `at`, or 0 if that is not inside what was emitted.
    pub fn read_u32(&self, at: usize) -> u32 {
        if at > self.last || at > self.pos {
            return 0;
        }
        // SAFETY: `at <= last`, so at least 8 bytes from `start + at` are inside the borrowed slice.
        u32::from_le(unsafe { self.start.add(at).cast::<u32>().read_unaligned() })
    }

    /// Overwrites the 32-bit word at offset `at`. Does nothing if `at` is outside the buffer; that happens only after an
    /// overflow, which [`Buf::check`] reports.
    pub fn patch_u32(&mut self, at: usize, word: u32) {
        if at > self.last {
            return;
        }
        // SAFETY: `at <= last`, so at least 8 bytes from `start + at` are inside the exclusively borrowed slice.
        unsafe { self.start.add(at).cast::<u32>().write_unaligned(word.to_le()) };
    }

    /// Overwrites the byte at offset `at`, under the rules of [`Buf::patch_u32`].
    pub fn patch_u8(&mut self, at: usize, byte: u8) {
        if at > self.last {
            return;
        }
        // SAFETY: `at <= last`, so the byte is inside the exclusively borrowed slice.
        unsafe { self.start.add(at).write(byte) };
    }

    /// Takes back the last `len` bytes, which no label and no branch may name.
    pub fn rewind(&mut self, len: usize) {
        self.pos = self.pos.saturating_sub(len);
    }

    /// Records `error` unless an earlier one is recorded.
    #[cold]
    pub fn fail(&mut self, error: EmitError) {
        if self.error.is_none() {
            self.error = Some(error);
            self.limit = 0;
            self.room_limit = 0;
        }
    }

    /// Whether everything so far fits and could be encoded. The compiler asks once a template.
    #[cfg_attr(not(small), inline(always))]
    pub fn check(&self) -> Result<(), EmitError> {
        if self.pos < self.limit { Ok(()) } else { Err(self.failure()) }
    }

    #[cold]
    fn failure(&self) -> EmitError {
        self.error.unwrap_or(EmitError::Full { needed: self.pos, capacity: self.last })
    }

    /// The number of bytes emitted, if everything fits and could be encoded.
    pub fn finish(self) -> Result<usize, EmitError> {
        self.check().map(|()| self.pos)
    }
}

/// Appends to a [`Buf`], which knows of it once this is dropped.
pub struct Tail<'b> {
    start: *mut u8,
    pos: usize,
    /// The buffer's own.
    room_limit: usize,
    appended: &'b mut usize,
}

impl Tail<'_> {
    /// [`Buf::pos`]
    #[cfg_attr(not(small), inline(always))]
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// [`Buf::room`]
    #[cfg_attr(not(small), inline(always))]
    pub fn room(&mut self) -> Option<&mut Room> {
        if self.pos >= self.room_limit {
            return None;
        }
        // SAFETY: as in `Buf::room`: `start` and `room_limit` are those of a buffer that is borrowed exclusively while this
        // lives, by way of its position.
        Some(unsafe { &mut *self.start.add(self.pos).cast::<Room>() })
    }

    /// [`Buf::advance`]
    #[cfg_attr(not(small), inline(always))]
    pub fn advance(&mut self, len: usize) {
        debug_assert!(len <= ROOM);
        self.pos = self.pos.wrapping_add(len);
    }
}

impl Drop for Tail<'_> {
    #[cfg_attr(not(small), inline(always))]
    fn drop(&mut self) {
        *self.appended = self.pos;
    }
}

/// A place in the code that branches can name before it is known.
///
/// While a label is unbound, the branches that name it form a list through their own displacement fields, so a label
/// needs no memory but itself. The encoders' `bind` walks that list. One word, so tables of labels are cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(u32);

const BOUND: u32 = 1 << 31;

impl Default for Label {
    fn default() -> Self {
        Self::new()
    }
}

impl Label {
    /// A label that nothing names yet.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Its one word, for tables of labels; [`Label::from_bits`] makes it a label again.
    #[cfg_attr(not(small), inline(always))]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The label whose [`Label::bits`] these are. 0 is a new label.
    #[cfg_attr(not(small), inline(always))]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// A label at byte offset `at` (below 2 GiB).
    pub const fn bound_at(at: usize) -> Self {
        Self((at as u32).wrapping_add(BOUND))
    }

    /// Its byte offset, if it is bound.
    #[cfg_attr(not(small), inline(always))]
    pub const fn offset(self) -> Option<usize> {
        if self.0 & BOUND != 0 { Some((self.0 & !BOUND) as usize) } else { None }
    }

    /// The newest reference in the list of an unbound label: what the encoder stored with [`Label::set_head`].
    #[cfg_attr(not(small), inline(always))]
    pub const fn head(self) -> Option<usize> {
        if self.0 & BOUND == 0 && self.0 != 0 { Some((self.0 - 1) as usize) } else { None }
    }

    /// Makes the reference at byte offset `at` the newest of the list.
    #[cfg_attr(not(small), inline(always))]
    pub const fn set_head(&mut self, at: usize) {
        self.0 = (at as u32 & !BOUND) + 1;
    }

    /// Whether a branch names it that no `bind` has resolved.
    #[cfg_attr(not(small), inline(always))]
    pub const fn is_pending(self) -> bool {
        self.0 & BOUND == 0 && self.0 != 0
    }
}
