//! Immediate operands. Each type holds only values that its field can hold, so encoding one cannot fail.

use super::reg::Size;

/// An immediate of add, subtract and compare: 0 to 4095, or such a number times 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imm12(u32);

impl Imm12 {
    /// `None` unless `value` is below 4096, or a multiple of 4096 below 2^24.
    #[inline]
    pub const fn new(value: u64) -> Option<Self> {
        if value < 1 << 12 {
            Some(Self((value as u32) << 10))
        } else if value < 1 << 24 && value & 0xFFF == 0 {
            Some(Self(1 << 22 | (value as u32) >> 12 << 10))
        } else {
            None
        }
    }

    /// The `sh` and `imm12` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// An immediate of the logical instructions, with the operand size it was made for: a run of ones, rotated, in an
/// element of 2, 4, 8, 16, 32 or 64 bits that is repeated over the register (`DecodeBitMasks` in the Arm ARM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogicalImm {
    field: u32,
    size: Size,
}

impl LogicalImm {
    /// `None` if `value` is no such pattern, is all zeros or all ones, or has bits above `size`.
    #[inline]
    pub const fn new(value: u64, size: Size) -> Option<Self> {
        let repeated = match size {
            Size::X => value,
            Size::W if value >> 32 == 0 => value << 32 | value,
            Size::W => return None,
        };
        if repeated == 0 || repeated == u64::MAX {
            return None;
        }
        // Rotated so that a run of ones starts at bit 0, the number must repeat with the length of that run plus the run
        // of zeros below the top. A length that does not divide 64 would make all bits equal, so it is a power of two.
        let rotation = (repeated & repeated.wrapping_add(1)).trailing_zeros() & 63;
        let normal = repeated.rotate_right(rotation);
        let ones = normal.trailing_ones();
        let element = normal.leading_zeros() + ones;
        if repeated.rotate_right(element & 63) != repeated {
            return None;
        }
        let n = element >> 6;
        let immr = rotation.wrapping_neg() & (element - 1);
        let imms = ((element.wrapping_neg() << 1) | (ones - 1)) & 0x3F;
        Some(Self { field: n << 22 | immr << 16 | imms << 10, size })
    }

    /// `sf` and the `N`, `immr` and `imms` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.size.sf() | self.field
    }
}

/// An immediate of `movz`, `movn` and `movk`: 16 bits at one of the register's 16-bit places, with the operand size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveImm(u32);

impl MoveImm {
    /// `value` shifted left by `lsl` bits. `None` unless `lsl` is 0, 16, 32 or 48 and below the size.
    #[inline]
    pub const fn new(value: u16, lsl: u32, size: Size) -> Option<Self> {
        if lsl & 15 == 0 && lsl < size.bits() {
            Some(Self(size.sf() | (lsl >> 4) << 21 | (value as u32) << 5))
        } else {
            None
        }
    }

    /// `sf` and the `hw` and `imm16` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// A bit number or shift amount, with the operand size it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift6 {
    amount: u8,
    size: Size,
}

impl Shift6 {
    /// `None` unless `amount` is below the number of bits of `size`.
    #[inline]
    pub const fn new(amount: u64, size: Size) -> Option<Self> {
        if amount < size.bits() as u64 { Some(Self { amount: amount as u8, size }) } else { None }
    }

    /// The amount, 0 to 63.
    #[cfg_attr(not(small), inline(always))]
    pub const fn amount(self) -> u32 {
        self.amount as u32
    }

    /// The operand size.
    #[cfg_attr(not(small), inline(always))]
    pub const fn size(self) -> Size {
        self.size
    }
}

/// How add, subtract and compare shift their last operand. The amount brings the operand size of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Left.
    Lsl(Shift6),
    /// Right, filling with zeros.
    Lsr(Shift6),
    /// Right, filling with the sign.
    Asr(Shift6),
}

impl Shift {
    /// `sf` and the `shift` and `imm6` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        let (kind, by) = match self {
            Self::Lsl(by) => (0, by),
            Self::Lsr(by) => (1, by),
            Self::Asr(by) => (2, by),
        };
        by.size.sf() | kind << 22 | by.amount() << 10
    }
}

/// How the logical instructions shift their last operand: a [`Shift`], or a rotation, which add and subtract lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogicalShift {
    /// A shift.
    Shift(Shift),
    /// Rotation to the right.
    Ror(Shift6),
}

impl LogicalShift {
    /// `sf` and the `shift` and `imm6` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        match self {
            Self::Shift(shift) => shift.field(),
            Self::Ror(by) => by.size.sf() | 3 << 22 | by.amount() << 10,
        }
    }
}

/// Which low bits of a register are widened, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Extend {
    /// 8 bits, with zeros.
    Uxtb,
    /// 16 bits, with zeros.
    Uxth,
    /// 32 bits, with zeros.
    Uxtw,
    /// 64 bits, as they are.
    Uxtx,
    /// 8 bits, with their sign.
    Sxtb,
    /// 16 bits, with their sign.
    Sxth,
    /// 32 bits, with their sign.
    Sxtw,
    /// 64 bits, as they are.
    Sxtx,
}

/// How the extended-register forms of add, subtract and compare widen and then shift their last operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended(u32);

impl Extended {
    /// Widened by `extend`, then shifted left. `None` if `lsl` is above 4.
    #[inline]
    pub const fn new(extend: Extend, lsl: u32) -> Option<Self> {
        if lsl <= 4 { Some(Self((extend as u32) << 13 | lsl << 10)) } else { None }
    }

    /// The `option` and `imm3` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// The two bit numbers of a bit-field move, with the operand size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField(u32);

impl BitField {
    /// `None` unless `immr` and `imms` are both below the number of bits of `size`.
    #[inline]
    pub const fn new(immr: u32, imms: u32, size: Size) -> Option<Self> {
        if immr < size.bits() && imms < size.bits() {
            // N, bit 22, must equal sf.
            Some(Self(size.sf() | (size as u32) << 22 | immr << 16 | imms << 10))
        } else {
            None
        }
    }

    /// `sf` and the `N`, `immr` and `imms` fields in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// The flags that `ccmp` sets when its condition does not hold: N is 8, Z 4, C 2, V 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nzcv(u32);

impl Nzcv {
    /// `None` above 15.
    #[inline]
    pub const fn new(flags: u32) -> Option<Self> {
        if flags < 16 { Some(Self(flags)) } else { None }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// The unsigned immediate of `ccmp`, 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imm5(u32);

impl Imm5 {
    /// `None` above 31.
    #[inline]
    pub const fn new(value: u64) -> Option<Self> {
        if value < 32 { Some(Self((value as u32) << 16)) } else { None }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// An f64 that `fmov` can hold in 8 bits: ±n/16 × 2^r with n from 16 to 31 and r from -3 to 4 (`VFPExpandImm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FpImm8(u32);

impl FpImm8 {
    /// The f64 with these bits. `None` for every other number; both zeros are among those.
    #[inline]
    pub const fn new(bits: u64) -> Option<Self> {
        // Bit 62 is the inverse of bits 61 to 54, which are all alike; the 48 lowest bits are zero.
        let exponent = bits >> 54 & 0x1FF;
        if bits & 0xFFFF_FFFF_FFFF == 0 && (exponent == 0x100 || exponent == 0x0FF) {
            Some(Self(((bits >> 63) as u32) << 20 | ((bits >> 48) as u32 & 0x7F) << 13))
        } else {
            None
        }
    }

    /// The `imm8` field in place.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// An unsigned byte offset from a base, scaled: a multiple of 2^`SCALE`, the size of the access, of at most 4095 times
/// that. The scale is in the type so that an offset made for one access size cannot serve another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset12<const SCALE: u32>(u32);

impl<const SCALE: u32> Offset12<SCALE> {
    /// `None` if `bytes` is no multiple of the access size or too large.
    #[inline]
    pub const fn new(bytes: u64) -> Option<Self> {
        let scaled = bytes >> SCALE;
        if scaled < 1 << 12 && scaled << SCALE == bytes { Some(Self((scaled as u32) << 10)) } else { None }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// A signed byte offset from a base, -256 to 255, not scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset9(u32);

impl Offset9 {
    /// `None` outside -256 to 255.
    #[inline]
    pub const fn new(bytes: i64) -> Option<Self> {
        match signed_field(bytes, 9) {
            Some(field) => Some(Self(field << 12)),
            None => None,
        }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// A signed byte offset of a register pair, scaled: a multiple of 2^`SCALE`, the size of one register of the pair, from
/// -64 to 63 times that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset7<const SCALE: u32>(u32);

impl<const SCALE: u32> Offset7<SCALE> {
    /// `None` if `bytes` is no multiple of the register's size or out of range.
    #[inline]
    pub const fn new(bytes: i64) -> Option<Self> {
        match signed_field(bytes >> SCALE, 7) {
            Some(field) if bytes >> SCALE << SCALE == bytes => Some(Self(field << 15)),
            _ => None,
        }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn field(self) -> u32 {
        self.0
    }
}

/// The byte distance from an `adr` to what it names, ±1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdrOffset(u32);

impl AdrOffset {
    /// `None` outside -2^20 to 2^20 - 1.
    #[inline]
    pub const fn new(bytes: i64) -> Option<Self> {
        match signed_field(bytes, 21) {
            Some(field) => Some(Self(field)),
            None => None,
        }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn raw(self) -> u32 {
        self.0
    }
}

/// The byte distance from the 4 KiB page of an `adrp` to the page that it names, ±4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageOffset(u32);

impl PageOffset {
    /// `None` unless `bytes` is a multiple of 4096 from -2^32 to 2^32 - 4096.
    #[inline]
    pub const fn new(bytes: i64) -> Option<Self> {
        match signed_field(bytes >> 12, 21) {
            Some(field) if bytes & 0xFFF == 0 => Some(Self(field)),
            _ => None,
        }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn raw(self) -> u32 {
        self.0
    }
}

/// The byte distance from a `b` or `bl` to its target, ±128 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchOffset(u32);

impl BranchOffset {
    /// `None` unless `bytes` is a multiple of 4 from -2^27 to 2^27 - 4.
    #[inline]
    pub const fn new(bytes: i64) -> Option<Self> {
        match signed_field(bytes >> 2, 26) {
            Some(field) if bytes & 3 == 0 => Some(Self(field)),
            _ => None,
        }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn raw(self) -> u32 {
        self.0
    }
}

/// `value` as a two's complement field of `bits` bits (1 to 31). `None` if it does not fit.
#[cfg_attr(not(small), inline(always))]
pub(super) const fn signed_field(value: i64, bits: u32) -> Option<u32> {
    let half = 1_i64 << (bits - 1);
    if -half <= value && value < half { Some(value as u32 & ((1 << bits) - 1)) } else { None }
}
