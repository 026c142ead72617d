//! Integer data processing (C4.1.92 immediate, C4.1.95 register).

use super::imm::{BitField, Extended, Imm5, Imm12, LogicalImm, LogicalShift, MoveImm, Nzcv, Shift, Shift6};
use super::reg::{Cond, Size, X, XSp};
use super::{Buf, rd_rn, rd_rn_rm};

/// Add and subtract: the forms with a register, a shifted register, an extended register and an immediate. `$rd` is how
/// the forms that reach the stack pointer read destination 31.
macro_rules! add_sub {
    ($($name:ident $shifted:ident $extended:ident $imm:ident: $op:literal, $rd:ty, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, d: X, n: X, m: X) {
            buf.put_u32(0x0B00_0000 | $op | size.sf() | rd_rn_rm(d.number(), n.number(), m.number()));
        }

        #[doc = concat!("`", stringify!($name), " d, n, m, shift`: ", $what, ", with m shifted first.")]
        #[inline]
        pub fn $shifted(buf: &mut Buf, d: X, n: X, m: X, shift: Shift) {
            buf.put_u32(0x0B00_0000 | $op | shift.field() | rd_rn_rm(d.number(), n.number(), m.number()));
        }

        #[doc = concat!("`", stringify!($name), " d, n, m, extend`: ", $what, ", with m widened and shifted first.")]
        #[inline]
        pub fn $extended(buf: &mut Buf, size: Size, d: $rd, n: XSp, m: X, extend: Extended) {
            let operands = rd_rn_rm(d.number(), n.number(), m.number());
            buf.put_u32(0x0B20_0000 | $op | size.sf() | extend.field() | operands);
        }

        #[doc = concat!("`", stringify!($name), " d, n, #imm`: ", $what, ", with an immediate for m.")]
        #[inline]
        pub fn $imm(buf: &mut Buf, size: Size, d: $rd, n: XSp, imm: Imm12) {
            buf.put_u32(0x1100_0000 | $op | size.sf() | imm.field() | rd_rn(d.number(), n.number()));
        }
    )* };
}

add_sub! {
    add add_shifted add_extended add_imm: 0, XSp, "d = n + m";
    adds adds_shifted adds_extended adds_imm: 0x2000_0000, X, "d = n + m, and sets the flags";
    sub sub_shifted sub_extended sub_imm: 0x4000_0000, XSp, "d = n - m";
    subs subs_shifted subs_extended subs_imm: 0x6000_0000, X, "d = n - m, and sets the flags";
}

/// `cmp n, m`: the flags of n - m.
#[inline]
pub fn cmp(buf: &mut Buf, size: Size, n: X, m: X) {
    subs(buf, size, X::Zr, n, m);
}

/// `cmp n, m, shift`: the flags of n - m, with m shifted first.
#[inline]
pub fn cmp_shifted(buf: &mut Buf, n: X, m: X, shift: Shift) {
    subs_shifted(buf, X::Zr, n, m, shift);
}

/// `cmp n, m, extend`: the flags of n - m, with m widened and shifted first.
#[inline]
pub fn cmp_extended(buf: &mut Buf, size: Size, n: XSp, m: X, extend: Extended) {
    subs_extended(buf, size, X::Zr, n, m, extend);
}

/// `cmp n, #imm`: the flags of n - imm.
#[inline]
pub fn cmp_imm(buf: &mut Buf, size: Size, n: XSp, imm: Imm12) {
    subs_imm(buf, size, X::Zr, n, imm);
}

/// `cmn n, m`: the flags of n + m.
#[inline]
pub fn cmn(buf: &mut Buf, size: Size, n: X, m: X) {
    adds(buf, size, X::Zr, n, m);
}

/// `cmn n, #imm`: the flags of n + imm, which compares n with -imm.
#[inline]
pub fn cmn_imm(buf: &mut Buf, size: Size, n: XSp, imm: Imm12) {
    adds_imm(buf, size, X::Zr, n, imm);
}

/// `neg d, m`: d = -m.
#[inline]
pub fn neg(buf: &mut Buf, size: Size, d: X, m: X) {
    sub(buf, size, d, X::Zr, m);
}

/// `negs d, m`: d = -m, and sets the flags.
#[inline]
pub fn negs(buf: &mut Buf, size: Size, d: X, m: X) {
    subs(buf, size, d, X::Zr, m);
}

/// Logical instructions on registers.
macro_rules! logical {
    ($($name:ident $shifted:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, d: X, n: X, m: X) {
            buf.put_u32($op | size.sf() | rd_rn_rm(d.number(), n.number(), m.number()));
        }

        #[doc = concat!("`", stringify!($name), " d, n, m, shift`: ", $what, ", with m shifted or rotated first.")]
        #[inline]
        pub fn $shifted(buf: &mut Buf, d: X, n: X, m: X, shift: LogicalShift) {
            buf.put_u32($op | shift.field() | rd_rn_rm(d.number(), n.number(), m.number()));
        }
    )* };
}

logical! {
    and and_shifted: 0x0A00_0000, "d = n & m";
    bic bic_shifted: 0x0A20_0000, "d = n & !m";
    orr orr_shifted: 0x2A00_0000, "d = n | m";
    orn orn_shifted: 0x2A20_0000, "d = n | !m";
    eor eor_shifted: 0x4A00_0000, "d = n ^ m";
    eon eon_shifted: 0x4A20_0000, "d = n ^ !m";
    ands ands_shifted: 0x6A00_0000, "d = n & m, and sets the flags";
    bics bics_shifted: 0x6A20_0000, "d = n & !m, and sets the flags";
}

/// Logical instructions with an immediate, which brings the operand size.
macro_rules! logical_imm {
    ($($name:ident: $mnemonic:literal, $op:literal, $rd:ty, $what:literal;)*) => { $(
        #[doc = concat!("`", $mnemonic, " d, n, #imm`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, d: $rd, n: X, imm: LogicalImm) {
            buf.put_u32($op | imm.field() | rd_rn(d.number(), n.number()));
        }
    )* };
}

logical_imm! {
    and_imm: "and", 0x1200_0000, XSp, "d = n & imm";
    orr_imm: "orr", 0x3200_0000, XSp, "d = n | imm";
    eor_imm: "eor", 0x5200_0000, XSp, "d = n ^ imm";
    ands_imm: "ands", 0x7200_0000, X, "d = n & imm, and sets the flags";
}

/// `tst n, m`: the flags of n & m.
#[inline]
pub fn tst(buf: &mut Buf, size: Size, n: X, m: X) {
    ands(buf, size, X::Zr, n, m);
}

/// `tst n, #imm`: the flags of n & imm.
#[inline]
pub fn tst_imm(buf: &mut Buf, n: X, imm: LogicalImm) {
    ands_imm(buf, X::Zr, n, imm);
}

/// `mvn d, m`: d = !m.
#[inline]
pub fn mvn(buf: &mut Buf, size: Size, d: X, m: X) {
    orn(buf, size, d, X::Zr, m);
}

/// `mov d, m`.
#[inline]
pub fn mov(buf: &mut Buf, size: Size, d: X, m: X) {
    orr(buf, size, d, X::Zr, m);
}

/// `mov d, n` where one of them is the stack pointer (as `add d, n, #0`, which other registers may use too).
#[inline]
pub fn mov_sp(buf: &mut Buf, size: Size, d: XSp, n: XSp) {
    buf.put_u32(0x1100_0000 | size.sf() | rd_rn(d.number(), n.number()));
}

/// Moves of a 16-bit immediate, which brings the operand size.
macro_rules! move_wide {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, #imm`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, d: X, imm: MoveImm) {
            buf.put_u32($op | imm.field() | d.number());
        }
    )* };
}

move_wide! {
    movn: 0x1280_0000, "d = !imm";
    movz: 0x5280_0000, "d = imm";
    movk: 0x7280_0000, "replaces the 16 bits of d where imm lies";
}

/// Bit-field moves. The two bit numbers bring the operand size.
macro_rules! bit_field {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, #immr, #imms`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, d: X, n: X, bits: BitField) {
            buf.put_u32($op | bits.field() | rd_rn(d.number(), n.number()));
        }
    )* };
}

bit_field! {
    sbfm: 0x1300_0000, "moves a bit field, with sign extension above it and zeros below";
    bfm: 0x3300_0000, "moves a bit field and keeps the other bits of d";
    ubfm: 0x5300_0000, "moves a bit field, with zeros around it";
}

/// The fields of a bit-field move whose two numbers are known to be in range, for the aliases below.
const fn bits(size: Size, immr: u32, imms: u32) -> u32 {
    size.sf() | (size as u32) << 22 | immr << 16 | imms << 10
}

/// `lsl d, n, #by`.
#[inline]
pub fn lsl_imm(buf: &mut Buf, d: X, n: X, by: Shift6) {
    let top = by.size().bits() - 1;
    let fields = bits(by.size(), by.amount().wrapping_neg() & top, top - by.amount());
    buf.put_u32(0x5300_0000 | fields | rd_rn(d.number(), n.number()));
}

/// `lsr d, n, #by`: fills with zeros.
#[inline]
pub fn lsr_imm(buf: &mut Buf, d: X, n: X, by: Shift6) {
    let fields = bits(by.size(), by.amount(), by.size().bits() - 1);
    buf.put_u32(0x5300_0000 | fields | rd_rn(d.number(), n.number()));
}

/// `asr d, n, #by`: fills with the sign.
#[inline]
pub fn asr_imm(buf: &mut Buf, d: X, n: X, by: Shift6) {
    let fields = bits(by.size(), by.amount(), by.size().bits() - 1);
    buf.put_u32(0x1300_0000 | fields | rd_rn(d.number(), n.number()));
}

/// `ror d, n, #by`.
#[inline]
pub fn ror_imm(buf: &mut Buf, d: X, n: X, by: Shift6) {
    extr(buf, d, n, n, by);
}

/// `extr d, n, m, #lsb`: the bits of n:m from `lsb` on.
#[inline]
pub fn extr(buf: &mut Buf, d: X, n: X, m: X, lsb: Shift6) {
    let fields = bits(lsb.size(), 0, lsb.amount());
    buf.put_u32(0x1380_0000 | fields | rd_rn_rm(d.number(), n.number(), m.number()));
}

/// `sxtb d, n`: the low 8 bits of n with their sign.
#[inline]
pub fn sxtb(buf: &mut Buf, size: Size, d: X, n: X) {
    buf.put_u32(0x1300_0000 | bits(size, 0, 7) | rd_rn(d.number(), n.number()));
}

/// `sxth d, n`: the low 16 bits of n with their sign.
#[inline]
pub fn sxth(buf: &mut Buf, size: Size, d: X, n: X) {
    buf.put_u32(0x1300_0000 | bits(size, 0, 15) | rd_rn(d.number(), n.number()));
}

/// `sxtw d, n`: the low 32 bits of n with their sign.
#[inline]
pub fn sxtw(buf: &mut Buf, d: X, n: X) {
    buf.put_u32(0x1300_0000 | bits(Size::X, 0, 31) | rd_rn(d.number(), n.number()));
}

/// `uxtb d, n`: the low 8 bits of n; the upper 56 of d are cleared.
#[inline]
pub fn uxtb(buf: &mut Buf, d: X, n: X) {
    buf.put_u32(0x5300_0000 | bits(Size::W, 0, 7) | rd_rn(d.number(), n.number()));
}

/// `uxth d, n`: the low 16 bits of n; the upper 48 of d are cleared.
#[inline]
pub fn uxth(buf: &mut Buf, d: X, n: X) {
    buf.put_u32(0x5300_0000 | bits(Size::W, 0, 15) | rd_rn(d.number(), n.number()));
}

/// Multiply and add.
macro_rules! multiply {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m, a`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, d: X, n: X, m: X, a: X) {
            let operands = rd_rn_rm(d.number(), n.number(), m.number());
            buf.put_u32($op | size.sf() | a.number() << 10 | operands);
        }
    )* };
}

multiply! {
    madd: 0x1B00_0000, "d = a + n * m";
    msub: 0x1B00_8000, "d = a - n * m";
}

/// `mul d, n, m`: d = n * m.
#[inline]
pub fn mul(buf: &mut Buf, size: Size, d: X, n: X, m: X) {
    madd(buf, size, d, n, m, X::Zr);
}

/// `smulh d, n, m`: the upper 64 bits of the signed 128-bit product.
#[inline]
pub fn smulh(buf: &mut Buf, d: X, n: X, m: X) {
    buf.put_u32(0x9B40_7C00 | rd_rn_rm(d.number(), n.number(), m.number()));
}

/// `umulh d, n, m`: the upper 64 bits of the unsigned 128-bit product.
#[inline]
pub fn umulh(buf: &mut Buf, d: X, n: X, m: X) {
    buf.put_u32(0x9BC0_7C00 | rd_rn_rm(d.number(), n.number(), m.number()));
}

/// Instructions with two sources.
macro_rules! two_sources {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, d: X, n: X, m: X) {
            buf.put_u32($op | size.sf() | rd_rn_rm(d.number(), n.number(), m.number()));
        }
    )* };
}

two_sources! {
    udiv: 0x1AC0_0800, "d = n / m, unsigned; 0 if m is 0";
    sdiv: 0x1AC0_0C00, "d = n / m, signed, truncated; 0 if m is 0, and MIN / -1 is MIN";
    lslv: 0x1AC0_2000, "d = n shifted left by m modulo the size";
    lsrv: 0x1AC0_2400, "d = n shifted right by m modulo the size, filling with zeros";
    asrv: 0x1AC0_2800, "d = n shifted right by m modulo the size, filling with the sign";
    rorv: 0x1AC0_2C00, "d = n rotated right by m modulo the size";
}

/// Instructions with one source.
macro_rules! one_source {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, d: X, n: X) {
            buf.put_u32($op | size.sf() | rd_rn(d.number(), n.number()));
        }
    )* };
}

one_source! {
    rbit: 0x5AC0_0000, "the bits of n in reverse order";
    rev16: 0x5AC0_0400, "the bytes of each 16 bits of n in reverse order";
    clz: 0x5AC0_1000, "the number of zeros above the highest one of n; the size if n is 0";
    cls: 0x5AC0_1400, "the number of bits below the sign of n that equal it";
}

/// `rev d, n`: the bytes of n in reverse order.
#[inline]
pub fn rev(buf: &mut Buf, size: Size, d: X, n: X) {
    buf.put_u32(0x5AC0_0800 | size.sf() | (size as u32) << 10 | rd_rn(d.number(), n.number()));
}

/// Conditional selection.
macro_rules! select {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m, cond`: d = n if cond holds, else ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, size: Size, d: X, n: X, m: X, cond: Cond) {
            let operands = rd_rn_rm(d.number(), n.number(), m.number());
            buf.put_u32($op | size.sf() | cond.number() << 12 | operands);
        }
    )* };
}

select! {
    csel: 0x1A80_0000, "m";
    csinc: 0x1A80_0400, "m + 1";
    csinv: 0x5A80_0000, "!m";
    csneg: 0x5A80_0400, "-m";
}

/// `cset d, cond`: 1 if cond holds, else 0.
#[inline]
pub fn cset(buf: &mut Buf, size: Size, d: X, cond: Cond) {
    csinc(buf, size, d, X::Zr, X::Zr, cond.negate());
}

/// `csetm d, cond`: -1 if cond holds, else 0.
#[inline]
pub fn csetm(buf: &mut Buf, size: Size, d: X, cond: Cond) {
    csinv(buf, size, d, X::Zr, X::Zr, cond.negate());
}

/// `ccmp n, m, #nzcv, cond`: the flags of n - m if cond holds, else `nzcv`.
#[inline]
pub fn ccmp(buf: &mut Buf, size: Size, n: X, m: X, nzcv: Nzcv, cond: Cond) {
    let fields = cond.number() << 12 | nzcv.field();
    buf.put_u32(0x7A40_0000 | size.sf() | fields | rd_rn_rm(0, n.number(), m.number()));
}

/// `ccmp n, #imm, #nzcv, cond`: the flags of n - imm if cond holds, else `nzcv`.
#[inline]
pub fn ccmp_imm(buf: &mut Buf, size: Size, n: X, imm: Imm5, nzcv: Nzcv, cond: Cond) {
    let fields = imm.field() | cond.number() << 12 | nzcv.field();
    buf.put_u32(0x7A40_0800 | size.sf() | fields | rd_rn(0, n.number()));
}

/// `d = value` in the fewest instructions (1 to 4) that one `movz`, `movn` or logical immediate and then `movk`s can do
/// it in. Nothing is emitted for [`X::Zr`].
///
/// A value that `movz` or `movn` and one `movk` give, or less, costs a few comparisons; others cost up to 31 trials of
/// [`LogicalImm::new`].
pub fn mov_imm(buf: &mut Buf, d: X, value: u64) {
    let Some(d) = XSp::new(d) else { return };
    let (base, from) = move_base(d, value);
    buf.put_u32(base);
    for half in 0..4 {
        let wanted = half_of(value, half);
        if half_of(from, half) != wanted {
            buf.put_u32(0xF280_0000 | half << 21 | (wanted as u32) << 5 | d.number());
        }
    }
}

/// The instruction to start with, and the value that it gives.
fn move_base(d: XSp, value: u64) -> (u32, u64) {
    if let Some(word) = move_one(d, value) {
        return (word, value);
    }
    // The first half that a movz or movn must give, and how many instructions the whole takes that way.
    let wide = |background: u64| {
        let count = (0..4).filter(|&half| half_of(value, half) != background).count();
        let first = (0..4).find(|&half| half_of(value, half) != background).unwrap_or(0);
        (count, with_half(background.wrapping_mul(0x0001_0001_0001_0001), first, half_of(value, first)))
    };
    let (zeros, ones) = (wide(0), wide(0xFFFF));
    let (count, plain) = if ones.0 < zeros.0 { ones } else { zeros };
    if count > 2 {
        for first in 0..4 {
            if let Some(found) = splice(d, value, first, first) {
                return found;
            }
        }
    }
    if count > 3 {
        for first in 0..4 {
            for second in first + 1..4 {
                if let Some(found) = splice(d, value, first, second) {
                    return found;
                }
            }
        }
    }
    // `plain` has at most one half that is not background, so one instruction gives it.
    move_one(d, plain).map_or((0, plain), |word| (word, plain))
}

/// One instruction that gives `value` but for these two halves (which may be the same). A half that `movk` replaces
/// anyway may be whatever makes an immediate: a run of ones that ends inside it may as well end at its edge, and a
/// repeated element makes it equal to the half two places away, or to all others. Two halves that would be filled alike
/// are adjacent, and then a copy does as well.
fn splice(d: XSp, value: u64, first: u32, second: u32) -> Option<(u32, u64)> {
    let copy = |half: u32| {
        let opposite = half ^ 2;
        half_of(value, if opposite == first || opposite == second { half ^ 1 } else { opposite })
    };
    let fills = [(0, 0xFFFF), (0xFFFF, 0), (copy(first), copy(second))];
    fills.into_iter().find_map(|(a, b)| {
        let from = with_half(with_half(value, first, a), second, b);
        move_one(d, from).map(|word| (word, from))
    })
}

/// The 16 bits of `value` at `half` (0 to 3).
fn half_of(value: u64, half: u32) -> u64 {
    value >> (16 * half) & 0xFFFF
}

/// `value` with the 16 bits at `half` (0 to 3) replaced.
fn with_half(value: u64, half: u32, bits: u64) -> u64 {
    value & !(0xFFFF << (16 * half)) | bits << (16 * half)
}

/// The single instruction that gives `value`, if there is one.
fn move_one(d: XSp, value: u64) -> Option<u32> {
    let wide = |op: u32, bits: u64| {
        let half = (bits.trailing_zeros() / 16) & 3;
        (with_half(bits, half, 0) == 0).then(|| op | half << 21 | (half_of(bits, half) as u32) << 5 | d.number())
    };
    let narrow = value >> 32 == 0;
    let logical = |size| Some(0x3200_03E0 | LogicalImm::new(value, size)?.field() | d.number());
    wide(0xD280_0000, value)
        .or_else(|| wide(0x9280_0000, !value))
        .or_else(|| if narrow { wide(0x1280_0000, !value & 0xFFFF_FFFF) } else { None })
        .or_else(|| logical(Size::X))
        .or_else(|| logical(Size::W))
}
