//! Floating point on f64, and the few vector instructions that integer code needs (C4.1.96).

use super::imm::FpImm8;
use super::reg::{Cond, D, Size, X};
use super::{Buf, rd_rn, rd_rn_rm};

/// Instructions with three registers.
macro_rules! three {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, d: D, n: D, m: D) {
            buf.put_u32($op | rd_rn_rm(d.number(), n.number(), m.number()));
        }
    )* };
}

three! {
    fmul: 0x1E60_0800, "d = n * m";
    fdiv: 0x1E60_1800, "d = n / m";
    fadd: 0x1E60_2800, "d = n + m";
    fsub: 0x1E60_3800, "d = n - m";
    fmax: 0x1E60_4800, "the greater, NaN if either is NaN, -0 below +0";
    fmin: 0x1E60_5800, "the lesser, NaN if either is NaN, -0 below +0";
    fmaxnm: 0x1E60_6800, "the greater, the other one if one is a quiet NaN";
    fminnm: 0x1E60_7800, "the lesser, the other one if one is a quiet NaN";
    fnmul: 0x1E60_8800, "d = -(n * m)";
    bsl_8b: 0x2E60_1C00, "`bsl` on 64 bits: bits of n where d has ones, bits of m where d has zeros";
    bit_8b: 0x2EA0_1C00, "`bit` on 64 bits: d takes bits of n where m has ones";
    bif_8b: 0x2EE0_1C00, "`bif` on 64 bits: d takes bits of n where m has zeros";
}

/// Instructions with two registers.
macro_rules! two {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n`: ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, d: D, n: D) {
            buf.put_u32($op | rd_rn(d.number(), n.number()));
        }
    )* };
}

two! {
    fmov: 0x1E60_4000, "d = n, and zeros above bit 63";
    fabs: 0x1E60_C000, "clears the sign";
    fneg: 0x1E61_4000, "inverts the sign";
    fsqrt: 0x1E61_C000, "the square root";
    frintn: 0x1E64_4000, "the nearest integer, ties to even";
    frintp: 0x1E64_C000, "the integer at or above n";
    frintm: 0x1E65_4000, "the integer at or below n";
    frintz: 0x1E65_C000, "n without its fraction";
    cnt_8b: 0x0E20_5800, "`cnt` on 8 bytes: the number of ones in each byte";
    addv_8b: 0x0E31_B800, "`addv` on 8 bytes: their sum modulo 256 in the low byte, and zeros above";
}

/// Instructions that round once over a product and a sum.
macro_rules! fused {
    ($($name:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " d, n, m, a`: ", $what, ", rounded once.")]
        #[inline]
        pub fn $name(buf: &mut Buf, d: D, n: D, m: D, a: D) {
            buf.put_u32($op | a.number() << 10 | rd_rn_rm(d.number(), n.number(), m.number()));
        }
    )* };
}

fused! {
    fmadd: 0x1F40_0000, "d = a + n * m";
    fmsub: 0x1F40_8000, "d = a - n * m";
    fnmadd: 0x1F60_0000, "d = -a - n * m";
    fnmsub: 0x1F60_8000, "d = -a + n * m";
}

/// Comparisons. Unordered operands set C and V.
macro_rules! compare {
    ($($name:ident $zero:ident: $op:literal, $what:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), " n, m`: the flags of the comparison, ", $what, ".")]
        #[inline]
        pub fn $name(buf: &mut Buf, n: D, m: D) {
            buf.put_u32($op | rd_rn_rm(0, n.number(), m.number()));
        }

        #[doc = concat!("`", stringify!($name), " n, #0.0`: the flags of the comparison, ", $what, ".")]
        #[inline]
        pub fn $zero(buf: &mut Buf, n: D) {
            buf.put_u32($op | 8 | rd_rn(0, n.number()));
        }
    )* };
}

compare! {
    fcmp fcmp_zero: 0x1E60_2000, "quiet for quiet NaNs";
    fcmpe fcmpe_zero: 0x1E60_2010, "with Invalid Operation for every NaN";
}

/// `fcsel d, n, m, cond`: d = n if cond holds, else m.
#[inline]
pub fn fcsel(buf: &mut Buf, d: D, n: D, m: D, cond: Cond) {
    buf.put_u32(0x1E60_0C00 | cond.number() << 12 | rd_rn_rm(d.number(), n.number(), m.number()));
}

/// `fcvtzs d, n`: to a signed integer, truncated; saturates, and NaN gives 0.
#[inline]
pub fn fcvtzs(buf: &mut Buf, size: Size, d: X, n: D) {
    buf.put_u32(0x1E78_0000 | size.sf() | rd_rn(d.number(), n.number()));
}

/// `fcvtzu d, n`: to an unsigned integer, truncated; saturates, and NaN gives 0.
#[inline]
pub fn fcvtzu(buf: &mut Buf, size: Size, d: X, n: D) {
    buf.put_u32(0x1E79_0000 | size.sf() | rd_rn(d.number(), n.number()));
}

/// `scvtf d, n`: from a signed integer of `size`, rounded as FPCR says.
#[inline]
pub fn scvtf(buf: &mut Buf, size: Size, d: D, n: X) {
    buf.put_u32(0x1E62_0000 | size.sf() | rd_rn(d.number(), n.number()));
}

/// `ucvtf d, n`: from an unsigned integer of `size`, rounded as FPCR says.
#[inline]
pub fn ucvtf(buf: &mut Buf, size: Size, d: D, n: X) {
    buf.put_u32(0x1E63_0000 | size.sf() | rd_rn(d.number(), n.number()));
}

/// `fmov xd, dn`: the 64 bits as they are.
#[inline]
pub fn fmov_to_x(buf: &mut Buf, d: X, n: D) {
    buf.put_u32(0x9E66_0000 | rd_rn(d.number(), n.number()));
}

/// `fmov dd, xn`: the 64 bits as they are.
#[inline]
pub fn fmov_from_x(buf: &mut Buf, d: D, n: X) {
    buf.put_u32(0x9E67_0000 | rd_rn(d.number(), n.number()));
}

/// `fmov d, #imm`.
#[inline]
pub fn fmov_imm(buf: &mut Buf, d: D, imm: FpImm8) {
    buf.put_u32(0x1E60_1000 | imm.field() | d.number());
}

/// `movi d, #0`: +0.0, and zeros above bit 63.
#[inline]
pub fn movi_zero(buf: &mut Buf, d: D) {
    buf.put_u32(0x2F00_E400 | d.number());
}
