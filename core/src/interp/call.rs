//! Argument lists and frames of calls.

use crate::runtime::cell::Cell;
use crate::runtime::context::Entry;

/// The slot `index` of a frame.
///
/// # Safety
///
/// `frame` is a frame on a VM stack that has that slot.
#[inline(always)]
pub(super) unsafe fn slot(frame: *mut u64, index: u16) -> *mut u64 {
    // SAFETY: the slots follow the header word of the frame, which has this one by the contract.
    unsafe { frame.add(1 + usize::from(index)) }
}

/// The operand fields of an op, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    next: *const u16,
}

impl Fields {
    /// The fields of the op at `op` from field `first` on, which is below 3.
    ///
    /// # Safety
    ///
    /// `op` is an op of a verified function; `first` is below 3.
    #[inline(always)]
    pub(super) unsafe fn new(op: *const u64, first: usize) -> Self {
        // SAFETY: a word is four units of 16 bits, little-endian as all engines are: the code and flags, `a`, `b`, `c`.
        Self { next: unsafe { op.cast::<u16>().add(1 + first) } }
    }

    /// The next field.
    ///
    /// # Safety
    ///
    /// The op has another field.
    #[inline(always)]
    pub(super) unsafe fn next(&mut self) -> u16 {
        if self.next.addr() & 7 == 0 {
            // SAFETY: behind `c` the fields go on in the next word, behind its code and flags.
            self.next = unsafe { self.next.add(1) };
        }
        // SAFETY: the verifier found as many words as the op has fields.
        unsafe {
            let field = self.next.read();
            self.next = self.next.add(1);
            field
        }
    }

    /// The field that `index` calls of [`Fields::next`] would go past.
    ///
    /// # Safety
    ///
    /// The op has that field, and no field has been read by [`Fields::next`].
    unsafe fn at(self, index: usize) -> u16 {
        let first = (self.next.addr() & 7) / 2 - 1;
        let index = first + index;
        // SAFETY: `next` is field `first` of the op's first word, unit `first + 1`; fields lie as in `new` and `next`.
        unsafe { self.next.sub(first).add(index / 3 * 4 + index % 3).read() }
    }
}

/// Copies the arguments that the `args` words from `args` on name from the slots of `frame` to the places from `to` up to
/// `end`.
///
/// # Safety
///
/// `to` is below `end`; the words have a field, which is a slot of `frame`, for each place; the places are in another frame
/// of the VM stack.
#[inline(always)]
pub(super) unsafe fn copy_args(mut args: *const u64, frame: *mut u64, mut to: *mut u64, end: *mut u64) {
    loop {
        // SAFETY: by the contract, there is a word for every three places or fewer that are left.
        let word = unsafe { args.read() };
        for field in 1..4 {
            // SAFETY: as above.
            unsafe { to.write(slot(frame, (word >> (16 * field)) as u16).read()) };
            to = to.wrapping_add(1);
            if to >= end {
                return;
            }
        }
        args = args.wrapping_add(1);
    }
}

/// Gives the locals of a frame of the function with that entry their initial values.
///
/// # Safety
///
/// `frame` is a frame of that function inside the VM stack.
#[inline(always)]
pub(super) unsafe fn init_locals(entry: &Entry, frame: *mut u64) {
    // SAFETY: the parameters are followed by `zeros` and then `nulls` locals in the frame. The stores are volatile because
    // most functions have a few locals, for which a call of memset costs several times the stores.
    unsafe {
        let mut local = frame.add(1 + entry.params as usize);
        let nulls = local.add(entry.zeros as usize);
        while local < nulls {
            local.write_volatile(0);
            local = local.add(1);
        }
        let end = nulls.add(entry.nulls as usize);
        while local < end {
            local.write_volatile(Cell::NULL.bits());
            local = local.add(1);
        }
    }
}

/// Argument lists up to this length are moved through a buffer.
const BUFFER: usize = 16;

/// Moves the arguments that `fields` names from the slots of `frame` to its first slots, all at once: `tail`.
///
/// # Safety
///
/// The op has `count` more fields, which are slots of `frame`; the VM stack goes on for `count` slots from the start of
/// the frame.
pub(super) unsafe fn move_args(mut fields: Fields, count: u32, frame: *mut u64) {
    let mut buffer = [0; BUFFER];
    let Some(values) = buffer.get_mut(..count as usize) else {
        // SAFETY: by the contract.
        return unsafe { move_many(fields, count as usize, frame) };
    };
    for value in values.iter_mut() {
        // SAFETY: by the contract.
        *value = unsafe { slot(frame, fields.next()).read() };
    }
    for (index, value) in values.iter().enumerate() {
        // SAFETY: by the contract.
        unsafe { frame.add(1 + index).write(*value) };
    }
}

/// A set of slots of one frame.
struct Slots([u64; 1 << 10]);

impl Slots {
    fn has(&self, slot: usize) -> bool {
        self.0.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 != 0)
    }

    fn add(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word |= 1 << (slot % 64);
        }
    }
}

/// [`move_args`] for lists of any length, in place, because there may be no free slot left on the VM stack.
///
/// A parameter may be written when no other parameter that is still to be written reads it. Each pass writes those that
/// can be seen to be so from one bit for "read" and one for "read more than once". A parameter waits for the next pass
/// only if at least two of its readers were left at the start of this one, so each pass but the first takes twice as many
/// parameters to force, and 16 passes are enough for 65,536. What is left are cycles in which everyone has one reader.
///
/// # Safety
///
/// As for [`move_args`].
#[cold]
#[inline(never)]
unsafe fn move_many(fields: Fields, count: usize, frame: *mut u64) {
    // SAFETY: the fields from the first on, as the contract has them.
    let source = |param: usize| unsafe { usize::from(fields.at(param)) };
    // SAFETY: parameters and sources are slots that the contract grants.
    let copy = |to: usize, from: usize| unsafe { frame.add(1 + to).write(frame.add(1 + from).read()) };
    let mut done = Slots([0; 1 << 10]);
    for param in 0..count {
        if source(param) == param {
            done.add(param);
        }
    }
    loop {
        let mut read = Slots([0; 1 << 10]);
        let mut shared = Slots([0; 1 << 10]);
        for param in (0..count).filter(|&param| !done.has(param)) {
            let from = source(param);
            if read.has(from) { shared.add(from) } else { read.add(from) }
        }
        let mut progress = false;
        for start in 0..count {
            let mut param = start;
            let mut free = !done.has(param) && !read.has(param);
            while free {
                let from = source(param);
                copy(param, from);
                done.add(param);
                progress = true;
                free = from < count && !done.has(from) && !shared.has(from);
                param = from;
            }
        }
        if !progress {
            break;
        }
    }
    for start in 0..count {
        if done.has(start) {
            continue;
        }
        // SAFETY: a parameter's slot.
        let first = unsafe { frame.add(1 + start).read() };
        let mut param = start;
        while source(param) != start {
            copy(param, source(param));
            done.add(param);
            param = source(param);
        }
        // SAFETY: a parameter's slot.
        unsafe { frame.add(1 + param).write(first) };
        done.add(param);
    }
}
