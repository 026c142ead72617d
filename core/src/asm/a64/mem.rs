//! Loads and stores (C4.1.94).

use super::branch::{Reach, refer};
use super::imm::{Offset7, Offset9, Offset12};
use super::reg::{D, Size, X, XSp};
use super::{Buf, EmitError, Label, rd_rn};

/// How an index register is widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IndexExtend {
    /// The low 32 bits, with zeros.
    Uxtw = 2,
    /// All 64 bits.
    Lsl = 3,
    /// The low 32 bits, with their sign.
    Sxtw = 6,
    /// All 64 bits, in the encoding for signed numbers: the same as `Lsl`.
    Sxtx = 7,
}

/// Where a load or store of 2^`SCALE` bytes goes. Made by its constructors, which take offsets that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mem<const SCALE: u32>(u32);

impl<const SCALE: u32> Mem<SCALE> {
    /// `[base, #offset]`, unsigned and scaled.
    #[inline]
    pub const fn offset(base: XSp, offset: Offset12<SCALE>) -> Self {
        Self(1 << 24 | offset.field() | base.number() << 5)
    }

    /// `[base, #offset]`, signed and not scaled: the `ldur` and `stur` forms.
    #[inline]
    pub const fn unscaled(base: XSp, offset: Offset9) -> Self {
        Self(offset.field() | base.number() << 5)
    }

    /// `[base, #bytes]` in whichever of the two forms holds it, scaled first. `None` if neither does.
    #[inline]
    pub const fn at(base: XSp, bytes: i64) -> Option<Self> {
        if bytes >= 0
            && let Some(offset) = Offset12::new(bytes as u64)
        {
            return Some(Self::offset(base, offset));
        }
        match Offset9::new(bytes) {
            Some(offset) => Some(Self::unscaled(base, offset)),
            None => None,
        }
    }

    /// `[base, index, extend]`, or `[base, index, extend #SCALE]` if `scaled`: the widened index counts elements of the
    /// access size.
    #[inline]
    pub const fn index(base: XSp, index: X, extend: IndexExtend, scaled: bool) -> Self {
        let fields = index.number() << 16 | (extend as u32) << 13 | (scaled as u32) << 12;
        Self(1 << 21 | 2 << 10 | fields | base.number() << 5)
    }

    /// `[base, #offset]!`: base += offset, then the access there.
    #[inline]
    pub const fn pre(base: XSp, offset: Offset9) -> Self {
        Self(3 << 10 | offset.field() | base.number() << 5)
    }

    /// `[base], #offset`: the access at base, then base += offset.
    #[inline]
    pub const fn post(base: XSp, offset: Offset9) -> Self {
        Self(1 << 10 | offset.field() | base.number() << 5)
    }

    /// Whether general-purpose register `t` is transferred and also written back as the base: CONSTRAINED UNPREDICTABLE.
    /// Number 31 is the zero register here and the stack pointer there.
    #[cfg_attr(not(small), inline(always))]
    const fn clashes(self, t: X) -> bool {
        let writeback = self.0 & (1 << 24 | 1 << 10) == 1 << 10;
        writeback && self.0 >> 5 & 31 == t.number() && t.number() != 31
    }
}

/// Where a load or store of two registers of 2^`SCALE` bytes each goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairMem<const SCALE: u32>(u32);

impl<const SCALE: u32> PairMem<SCALE> {
    /// `[base, #offset]`.
    #[inline]
    pub const fn offset(base: XSp, offset: Offset7<SCALE>) -> Self {
        Self(2 << 23 | offset.field() | base.number() << 5)
    }

    /// `[base, #offset]!`: base += offset, then the access there.
    #[inline]
    pub const fn pre(base: XSp, offset: Offset7<SCALE>) -> Self {
        Self(3 << 23 | offset.field() | base.number() << 5)
    }

    /// `[base], #offset`: the access at base, then base += offset.
    #[inline]
    pub const fn post(base: XSp, offset: Offset7<SCALE>) -> Self {
        Self(1 << 23 | offset.field() | base.number() << 5)
    }

    #[cfg_attr(not(small), inline(always))]
    const fn clashes(self, t: X) -> bool {
        let writeback = self.0 & 1 << 23 != 0;
        writeback && self.0 >> 5 & 31 == t.number() && t.number() != 31
    }
}

/// Emits `word`, or records [`EmitError::Operand`] if `refused`.
#[cfg_attr(not(small), inline(always))]
fn put_unless(buf: &mut Buf, refused: bool, word: u32) {
    if refused {
        buf.fail(EmitError::Operand { at: buf.pos() });
    }
    buf.put_u32(word);
}

/// Loads and stores of one general-purpose register.
macro_rules! access {
    ($($name:ident: $scale:literal, $op:literal, $what:literal;)*) => { $(
        #[doc = concat!($what, ".\n\n[`EmitError::Operand`] if the address is written back to `t`.")]
        #[inline]
        pub fn $name(buf: &mut Buf, t: X, mem: Mem<$scale>) {
            put_unless(buf, mem.clashes(t), $op | mem.0 | t.number());
        }
    )* };
}

access! {
    str_x: 3, 0xF800_0000, "`str xt, mem`: stores 64 bits";
    ldr_x: 3, 0xF840_0000, "`ldr xt, mem`: loads 64 bits";
    str_w: 2, 0xB800_0000, "`str wt, mem`: stores the low 32 bits";
    ldr_w: 2, 0xB840_0000, "`ldr wt, mem`: loads 32 bits, with zeros above";
    ldrsw: 2, 0xB880_0000, "`ldrsw xt, mem`: loads 32 bits, with their sign above";
    strh: 1, 0x7800_0000, "`strh wt, mem`: stores the low 16 bits";
    ldrh: 1, 0x7840_0000, "`ldrh wt, mem`: loads 16 bits, with zeros above";
    strb: 0, 0x3800_0000, "`strb wt, mem`: stores the low 8 bits";
    ldrb: 0, 0x3840_0000, "`ldrb wt, mem`: loads 8 bits, with zeros above";
}

/// Loads that extend the sign to `size`: the opc field is 2 for 64 bits and 3 for 32.
macro_rules! access_signed {
    ($($name:ident: $scale:literal, $op:literal, $bits:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " t, mem`: loads ", $bits, " bits with their sign up to `size`.")]
        ///
        /// [`EmitError::Operand`] if the address is written back to `t`.
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, t: X, mem: Mem<$scale>) {
            let opc = match size {
                Size::X => 2 << 22,
                Size::W => 3 << 22,
            };
            put_unless(buf, mem.clashes(t), $op | opc | mem.0 | t.number());
        }
    )* };
}

access_signed! {
    ldrsh: 1, 0x7800_0000, "16";
    ldrsb: 0, 0x3800_0000, "8";
}

/// Loads and stores of one SIMD and floating-point register.
macro_rules! access_fp {
    ($($name:ident: $scale:literal, $op:literal, $what:literal;)*) => { $(
        #[doc = concat!($what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, t: D, mem: Mem<$scale>) {
            buf.put_u32($op | mem.0 | t.number());
        }
    )* };
}

access_fp! {
    str_d: 3, 0xFC00_0000, "`str dt, mem`: stores the low 64 bits";
    ldr_d: 3, 0xFC40_0000, "`ldr dt, mem`: loads 64 bits, with zeros above";
    str_q: 4, 0x3C80_0000, "`str qt, mem`: stores 128 bits";
    ldr_q: 4, 0x3CC0_0000, "`ldr qt, mem`: loads 128 bits";
}

/// Stores and loads of a pair.
macro_rules! pairs {
    ($($store:ident $load:ident: $scale:literal, $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`stp t, u, mem`: stores ", $what, " of t, then of u behind it.")]
        ///
        /// [`EmitError::Operand`] if the address is written back to one of them.
        #[inline]
        pub fn $store(buf: &mut Buf, t: X, u: X, mem: PairMem<$scale>) {
            let word = $op | mem.0 | u.number() << 10 | t.number();
            put_unless(buf, mem.clashes(t) || mem.clashes(u), word);
        }

        #[doc = concat!("`ldp t, u, mem`: loads ", $what, " into t, and those behind into u.")]
        ///
        /// [`EmitError::Operand`] if t and u are the same, or the address is written back to one of them.
        #[inline]
        pub fn $load(buf: &mut Buf, t: X, u: X, mem: PairMem<$scale>) {
            let word = $op | 1 << 22 | mem.0 | u.number() << 10 | t.number();
            put_unless(buf, t == u || mem.clashes(t) || mem.clashes(u), word);
        }
    )* };
}

pairs! {
    stp_w ldp_w: 2, 0x2800_0000, "32 bits";
    stp_x ldp_x: 3, 0xA800_0000, "64 bits";
}

/// Stores and loads of a pair of SIMD and floating-point registers.
macro_rules! pairs_fp {
    ($($store:ident $load:ident: $scale:literal, $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`stp t, u, mem`: stores ", $what, " of t, then of u behind it.")]
        #[inline]
        pub fn $store(buf: &mut Buf, t: D, u: D, mem: PairMem<$scale>) {
            buf.put_u32($op | mem.0 | u.number() << 10 | t.number());
        }

        #[doc = concat!("`ldp t, u, mem`: loads ", $what, " into t, and those behind into u.")]
        ///
        /// [`EmitError::Operand`] if t and u are the same.
        #[inline]
        pub fn $load(buf: &mut Buf, t: D, u: D, mem: PairMem<$scale>) {
            put_unless(buf, t == u, $op | 1 << 22 | mem.0 | u.number() << 10 | t.number());
        }
    )* };
}

pairs_fp! {
    stp_d ldp_d: 3, 0x6C00_0000, "64 bits";
    stp_q ldp_q: 4, 0xAC00_0000, "128 bits";
}

/// `ldr xt, label`: loads 64 bits from a place in the code within 1 MiB. It need only be aligned to 4 bytes.
#[inline]
pub fn ldr_literal_x(buf: &mut Buf, t: X, label: &mut Label) {
    refer(buf, Reach::Imm19, 0x5800_0000 | rd_rn(t.number(), 0), label);
}

/// `ldr dt, label`: loads 64 bits from a place in the code within 1 MiB. It need only be aligned to 4 bytes.
#[inline]
pub fn ldr_literal_d(buf: &mut Buf, t: D, label: &mut Label) {
    refer(buf, Reach::Imm19, 0x5C00_0000 | rd_rn(t.number(), 0), label);
}
