//! Branches, addresses of code, and labels (C4.1.93).

use super::imm::{AdrOffset, BranchOffset, PageOffset, Shift6, signed_field};
use super::reg::{Cond, Size, X};
use super::{Buf, EmitError, Label};

/// The field through which an instruction names a place in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `b`, `bl`: words, ±128 MiB.
    Imm26,
    /// `b.cond`, `cbz`, `cbnz`, `ldr` of a literal: words, ±1 MiB.
    Imm19,
    /// `tbz`, `tbnz`: words, ±32 KiB.
    Imm14,
    /// `adr`: bytes, ±1 MiB.
    Adr,
}

impl Reach {
    /// The field of an instruction that was emitted with a label. `None` for every other instruction.
    const fn of(word: u32) -> Option<Self> {
        if word & 0x7C00_0000 == 0x1400_0000 {
            Some(Self::Imm26)
        } else if word & 0xFF00_0010 == 0x5400_0000
            || word & 0x7E00_0000 == 0x3400_0000
            || word & 0x3B00_0000 == 0x1800_0000
        {
            Some(Self::Imm19)
        } else if word & 0x7E00_0000 == 0x3600_0000 {
            Some(Self::Imm14)
        } else if word & 0x9F00_0000 == 0x1000_0000 {
            Some(Self::Adr)
        } else {
            None
        }
    }

    /// Width of the field in bits.
    const fn bits(self) -> u32 {
        match self {
            Self::Imm26 => 26,
            Self::Imm19 => 19,
            Self::Imm14 => 14,
            Self::Adr => 21,
        }
    }

    /// The bits of the field within the word.
    const fn mask(self) -> u32 {
        self.place((1 << self.bits()) - 1)
    }

    /// `raw`, which fits, in its place within the word.
    const fn place(self, raw: u32) -> u32 {
        match self {
            Self::Imm26 => raw,
            Self::Imm19 | Self::Imm14 => raw << 5,
            Self::Adr => (raw & 3) << 29 | raw >> 2 << 5,
        }
    }

    /// The field of `word`, as an unsigned number.
    const fn raw(self, word: u32) -> u32 {
        let word = word & self.mask();
        match self {
            Self::Imm26 => word,
            Self::Imm19 | Self::Imm14 => word >> 5,
            Self::Adr => word >> 29 | (word >> 5 & 0x7_FFFF) << 2,
        }
    }

    /// The field of an instruction at `at` that names `target`.
    fn displacement(self, at: usize, target: usize) -> Option<u32> {
        let bytes = (target as i64).wrapping_sub(at as i64);
        match self {
            Self::Adr => signed_field(bytes, self.bits()),
            _ if bytes & 3 == 0 => signed_field(bytes >> 2, self.bits()),
            _ => None,
        }
    }

    /// The field of an instruction at `at` that continues the list of an unbound label at `previous`.
    fn link(self, at: usize, previous: usize) -> Option<u32> {
        let bytes = at.checked_sub(previous)?;
        let words = u32::try_from(bytes >> 2).ok()?;
        (bytes & 3 == 0 && words != 0 && words >> self.bits() == 0).then_some(words)
    }
}

/// The field with which an instruction at `at` names `label` now: its displacement if the label is bound, else the link
/// to the newest reference, 0 if there is none. `Err` is the offset that cannot be reached.
#[cfg_attr(not(small), inline(always))]
fn field(reach: Reach, at: usize, label: &Label) -> Result<u32, usize> {
    match (label.offset(), label.head()) {
        (Some(target), _) => reach.displacement(at, target).ok_or(target),
        (None, Some(previous)) => reach.link(at, previous).ok_or(previous),
        (None, None) => Ok(0),
    }
}

/// Whether an instruction with this field can name `label` at the current position: whether its target, or the newest
/// reference if it is unbound, is near enough. It says nothing of how far away a label will be bound.
pub fn can_refer(buf: &Buf, reach: Reach, label: &Label) -> bool {
    field(reach, buf.pos(), label).is_ok()
}

/// Emits `word`, whose `reach` field is 0, naming `label`.
#[inline]
pub(super) fn refer(buf: &mut Buf, reach: Reach, word: u32, label: &mut Label) {
    let at = buf.pos();
    let raw = match field(reach, at, label) {
        Ok(raw) => raw,
        Err(target) => {
            buf.fail(EmitError::BranchRange { at, target });
            0
        }
    };
    if label.offset().is_none() {
        label.set_head(at);
    }
    buf.put_u32(word | reach.place(raw));
}

/// Makes `label` the current position and patches every reference to it.
///
/// Records [`EmitError::Label`] if it is bound already or its list leads to something that is no reference (the label
/// was used with another buffer), and [`EmitError::BranchRange`] for a reference that is too far away. Does not walk the
/// list once the buffer is full: what does not fit cannot be read back, and nothing of that code will be used. The walk
/// ends in any case, because each step goes to a lower offset.
pub fn bind(buf: &mut Buf, label: &mut Label) {
    let here = buf.pos();
    if label.offset().is_some() {
        buf.fail(EmitError::Label { at: here });
        return;
    }
    let mut next = label.head();
    *label = Label::bound_at(here);
    if here > buf.capacity() {
        return;
    }
    while let Some(at) = next {
        let word = buf.read_u32(at);
        let Some(reach) = Reach::of(word) else {
            buf.fail(EmitError::Label { at });
            return;
        };
        let Some(raw) = reach.displacement(at, here) else {
            buf.fail(EmitError::BranchRange { at, target: here });
            return;
        };
        buf.patch_u32(at, word & !reach.mask() | reach.place(raw));
        next = match reach.raw(word) {
            0 => None,
            words => at.checked_sub(words as usize * 4),
        };
    }
}

/// `b label`.
#[inline]
pub fn b(buf: &mut Buf, label: &mut Label) {
    refer(buf, Reach::Imm26, 0x1400_0000, label);
}

/// `bl label`: the address of the next instruction goes to x30.
#[inline]
pub fn bl(buf: &mut Buf, label: &mut Label) {
    refer(buf, Reach::Imm26, 0x9400_0000, label);
}

/// The word of `b` over this distance, for sites that are rewritten.
pub const fn b_word(offset: BranchOffset) -> u32 {
    0x1400_0000 | offset.raw()
}

/// The word of `bl` over this distance, for sites that are rewritten.
pub const fn bl_word(offset: BranchOffset) -> u32 {
    0x9400_0000 | offset.raw()
}

/// `b` over this distance, to code that is in no label's reach (another function or stub).
#[inline]
pub fn b_by(buf: &mut Buf, offset: BranchOffset) {
    buf.put_u32(b_word(offset));
}

/// `bl` over this distance.
#[inline]
pub fn bl_by(buf: &mut Buf, offset: BranchOffset) {
    buf.put_u32(bl_word(offset));
}

/// `b.cond label`.
#[inline]
pub fn b_cond(buf: &mut Buf, cond: Cond, label: &mut Label) {
    refer(buf, Reach::Imm19, 0x5400_0000 | cond.number(), label);
}

/// `cbz t, label`: branches if t is 0.
#[inline]
pub fn cbz(buf: &mut Buf, size: Size, t: X, label: &mut Label) {
    refer(buf, Reach::Imm19, 0x3400_0000 | size.sf() | t.number(), label);
}

/// `cbnz t, label`: branches if t is not 0.
#[inline]
pub fn cbnz(buf: &mut Buf, size: Size, t: X, label: &mut Label) {
    refer(buf, Reach::Imm19, 0x3500_0000 | size.sf() | t.number(), label);
}

/// The `b5` and `b40` fields in place.
const fn bit_field(bit: Shift6) -> u32 {
    bit.amount() >> 5 << 31 | (bit.amount() & 31) << 19
}

/// `tbz t, #bit, label`: branches if that bit of t is 0.
#[inline]
pub fn tbz(buf: &mut Buf, t: X, bit: Shift6, label: &mut Label) {
    refer(buf, Reach::Imm14, 0x3600_0000 | bit_field(bit) | t.number(), label);
}

/// `tbnz t, #bit, label`: branches if that bit of t is 1.
#[inline]
pub fn tbnz(buf: &mut Buf, t: X, bit: Shift6, label: &mut Label) {
    refer(buf, Reach::Imm14, 0x3700_0000 | bit_field(bit) | t.number(), label);
}

/// `br n`. With BTI, the target must be a `bti j` or, if n is x16 or x17, may be a `bti c`.
#[inline]
pub fn br(buf: &mut Buf, n: X) {
    buf.put_u32(0xD61F_0000 | n.number() << 5);
}

/// `blr n`: the address of the next instruction goes to x30. With BTI, the target must be a `bti c`.
#[inline]
pub fn blr(buf: &mut Buf, n: X) {
    buf.put_u32(0xD63F_0000 | n.number() << 5);
}

/// `ret n`; by convention n is x30.
#[inline]
pub fn ret(buf: &mut Buf, n: X) {
    buf.put_u32(0xD65F_0000 | n.number() << 5);
}

/// `adr d, label`: the address of the label, which need not be aligned.
#[inline]
pub fn adr(buf: &mut Buf, d: X, label: &mut Label) {
    refer(buf, Reach::Adr, 0x1000_0000 | d.number(), label);
}

/// `adr d, #offset`: the address of this instruction plus the offset.
#[inline]
pub fn adr_by(buf: &mut Buf, d: X, offset: AdrOffset) {
    buf.put_u32(0x1000_0000 | Reach::Adr.place(offset.raw()) | d.number());
}

/// `adrp d, #offset`: the address of this instruction's 4 KiB page plus the offset.
///
/// There is no form with a label: a page is one of the address at which the code runs, which the buffer does not know.
#[inline]
pub fn adrp_by(buf: &mut Buf, d: X, offset: PageOffset) {
    buf.put_u32(0x9000_0000 | Reach::Adr.place(offset.raw()) | d.number());
}
