//! Branches, labels, padding and the instructions without operands.

use super::word::{Op, Word};
use super::{Asm, Cc, EmitError, Gpr, Label, Mem};

/// Length of a displacement field, which is always the last thing in its instruction.
const REL32: usize = 4;

/// Greatest offset that a [`Label`] can hold, as a reference or as a place.
const LABEL_MAX: usize = 0x7fff_fffe;

/// `target - end`, if an `i32` can hold it.
#[cfg_attr(not(small), inline(always))]
fn distance(end: usize, target: usize) -> Option<i32> {
    let (end, target) = (i64::try_from(end).ok()?, i64::try_from(target).ok()?);
    i32::try_from(target.wrapping_sub(end)).ok()
}

/// The recommended nop of `len` bytes, 1 to 8 (SDM vol. 2, NOP, table 4-12; the one of 9 is a 66 before that of 8).
#[cfg_attr(not(small), inline(always))]
const fn nop_of(len: usize) -> u64 {
    match len {
        1 => 0x90,
        2 => 0x9066,
        3 => 0x00_1f_0f,
        4 => 0x00_40_1f_0f,
        5 => 0x00_00_44_1f_0f,
        6 => 0x00_00_44_1f_0f_66,
        7 => 0x00_80_1f_0f,
        _ => 0x00_84_1f_0f,
    }
}

impl Asm<'_> {
    /// Calls the code whose address is in `r`.
    #[inline]
    pub fn call_r(&mut self, r: Gpr) {
        self.reg_reg(Op::one(0xff), 0, 2, r.index(), Word::EMPTY);
    }

    /// Calls the code whose address is at `mem`.
    #[inline]
    pub fn call_m(&mut self, mem: Mem) {
        self.reg_mem(Op::one(0xff), 0, 2, mem, Word::EMPTY);
    }

    /// Jumps to the address in `r`.
    #[inline]
    pub fn jmp_r(&mut self, r: Gpr) {
        self.reg_reg(Op::one(0xff), 0, 4, r.index(), Word::EMPTY);
    }

    /// Jumps to the address at `mem`.
    #[inline]
    pub fn jmp_m(&mut self, mem: Mem) {
        self.reg_mem(Op::one(0xff), 0, 4, mem, Word::EMPTY);
    }

    /// Returns.
    #[inline]
    pub fn ret(&mut self) {
        self.plain(Op::one(0xc3), 0, Word::EMPTY);
    }

    /// Breakpoint (`int3`).
    #[inline]
    pub fn int3(&mut self) {
        self.plain(Op::one(0xcc), 0, Word::EMPTY);
    }

    /// Raises the invalid-opcode exception.
    #[inline]
    pub fn ud2(&mut self) {
        self.plain(Op::two(0x0b), 0, Word::EMPTY);
    }

    /// Tells the processor that this is a spin loop.
    #[inline]
    pub fn pause(&mut self) {
        self.plain(Op::one(0x90).prefix(0xf3), 0, Word::EMPTY);
    }

    /// Exactly `bytes` bytes that do nothing, in as few instructions as the recommended nops allow.
    pub fn nop(&mut self, bytes: usize) {
        let (pos, capacity) = (self.buf.pos(), self.buf.capacity());
        if bytes > capacity.saturating_sub(pos) {
            self.buf.fail(EmitError::Full { needed: pos.saturating_add(bytes), capacity });
            return;
        }
        let mut left = bytes;
        while left > 0 {
            let len = left.min(9);
            if len == 9 {
                self.buf.put(0x66, 1);
            }
            let tail = len.min(8);
            self.buf.put(nop_of(tail), tail);
            left -= len;
        }
    }

    /// Nops up to the next offset that is a multiple of `n`; nothing for 0. The offset counts from the buffer's start, so
    /// the code is aligned where the buffer is.
    pub fn align(&mut self, n: usize) {
        let over = self.buf.pos().checked_rem(n).unwrap_or(0);
        if over != 0 {
            self.nop(n - over);
        }
    }

    /// Jumps to `label`: 2 bytes if it is bound and near, else 5.
    #[inline]
    pub fn jmp(&mut self, label: &mut Label) {
        match label.offset() {
            Some(target) => self.jmp_to(target),
            None => self.reference(0xe9, 1, label),
        }
    }

    /// Jumps to `label` if `cc` holds: 2 bytes if it is bound and near, else 6.
    #[inline]
    pub fn jcc(&mut self, cc: Cc, label: &mut Label) {
        let cc = cc as u8;
        match label.offset() {
            Some(target) => self.near_or_far(0x70 | cc, 0x800f | u64::from(cc) << 8, 2, target),
            None => self.reference(0x800f | u64::from(cc) << 8, 2, label),
        }
    }

    /// Calls `label`.
    #[inline]
    pub fn call(&mut self, label: &mut Label) {
        match label.offset() {
            Some(target) => self.call_to(target),
            None => self.reference(0xe8, 1, label),
        }
    }

    /// `d = ` the address of `label`, by a displacement from rip.
    #[inline]
    pub fn lea_label(&mut self, d: Gpr, label: &mut Label) {
        // REX.W (and R), 8D, ModRM with mod 00 and rm 101.
        let d = u64::from(d.index());
        let head = 0x48 | (d >> 3) << 2 | 0x8d << 8 | (0b101 | (d & 7) << 3) << 16;
        match label.offset() {
            Some(target) => self.far(head, 3, target),
            None => self.reference(head, 3, label),
        }
    }

    /// Calls the code at byte offset `target` of this buffer.
    #[inline]
    pub fn call_to(&mut self, target: usize) {
        self.far(0xe8, 1, target);
    }

    /// Jumps to byte offset `target` of this buffer: 2 bytes if that is near, else 5.
    #[inline]
    pub fn jmp_to(&mut self, target: usize) {
        self.near_or_far(0xeb, 0xe9, 1, target);
    }

    /// Calls the code at `offset` bytes from the start of this buffer, which may lie outside it, in the same window.
    #[inline]
    pub fn call_outside(&mut self, offset: isize) {
        self.outside(0xe8, offset);
    }

    /// Jumps to the code at `offset` bytes from the start of this buffer, which may lie outside it, in the same window.
    #[inline]
    pub fn jmp_outside(&mut self, offset: isize) {
        self.outside(0xe9, offset);
    }

    /// A one-byte opcode and the displacement to an offset that may be negative.
    fn outside(&mut self, opcode: u64, offset: isize) {
        let at = self.buf.pos().wrapping_add(1);
        let end = at.wrapping_add(REL32) as isize;
        let disp = i32::try_from(offset.wrapping_sub(end)).unwrap_or_else(|_| {
            self.buf.fail(EmitError::BranchRange { at, target: offset as usize });
            0
        });
        self.buf.put(opcode | u64::from(disp as u32) << 8, 1 + REL32);
    }

    /// Binds `label` to the next instruction and gives every branch that names it its displacement.
    ///
    /// [`EmitError::Label`] if it is bound already, or if its references cannot be this buffer's.
    pub fn bind(&mut self, label: &mut Label) {
        let here = self.buf.pos();
        if label.offset().is_some() {
            self.buf.fail(EmitError::Label { at: here });
            return;
        }
        let mut next = label.head();
        if here > LABEL_MAX {
            self.buf.fail(EmitError::BranchRange { at: next.unwrap_or(here), target: here });
            return;
        }
        *label = Label::bound_at(here);
        // The first reference must end before `here`, each further one before the one that names it. After an overflow
        // fields hold anything; that offsets decrease still ends the walk, and what it patched is never published.
        let mut limit = here;
        while let Some(field) = next {
            if field.saturating_add(REL32) > limit {
                if self.buf.check().is_ok() {
                    self.buf.fail(EmitError::Label { at: field });
                }
                return;
            }
            next = self.buf.read_u32(field).checked_sub(1).map(|at| at as usize);
            // Both are below 2 GiB and the field ends at or before `here`.
            self.buf.patch_u32(field, (here - field - REL32) as u32);
            limit = field;
        }
    }

    /// Gives the branch that ends at byte offset `end` the displacement to `target`, both of this buffer. The four bytes that
    /// the displacement replaces.
    #[inline]
    pub fn resolve(&mut self, end: usize, target: usize) -> u32 {
        let at = end.wrapping_sub(REL32);
        let replaced = self.buf.read_u32(at);
        // Both are below 2 GiB.
        self.buf.patch_u32(at, target.wrapping_sub(end) as u32);
        replaced
    }

    /// The `len` bytes of `head` and a displacement field that joins the list of `label`, which is not bound.
    #[cfg_attr(not(small), inline(always))]
    fn reference(&mut self, head: u64, len: usize, label: &mut Label) {
        let field = self.buf.pos().wrapping_add(len);
        if field > LABEL_MAX {
            self.buf.fail(EmitError::BranchRange { at: field, target: field });
        }
        let previous = label.head().map_or(0, |at| at as u64 + 1);
        label.set_head(field.min(LABEL_MAX));
        self.buf.put(head | previous << (len * 8), len + REL32);
    }

    /// The `len` bytes of `head` and the displacement to `target`.
    #[cfg_attr(not(small), inline(always))]
    fn far(&mut self, head: u64, len: usize, target: usize) {
        let field = self.buf.pos().wrapping_add(len);
        let disp = match distance(field.wrapping_add(REL32), target) {
            Some(disp) => disp,
            None => {
                self.buf.fail(EmitError::BranchRange { at: field, target });
                0
            }
        };
        self.buf.put(head | u64::from(disp as u32) << (len * 8), len + REL32);
    }

    /// `near` with an 8-bit displacement to `target` if that reaches, else as [`Asm::far`].
    #[cfg_attr(not(small), inline(always))]
    fn near_or_far(&mut self, near: u8, far: u64, len: usize, target: usize) {
        match distance(self.buf.pos().wrapping_add(2), target) {
            Some(disp) if disp == i32::from(disp as i8) => {
                self.buf.put(u64::from(near) | u64::from(disp as u8) << 8, 2);
            }
            _ => self.far(far, len, target),
        }
    }
}
