//! Exceptions, hints, barriers, cache maintenance and system registers (C4.1.93, C5.2, C5.3).

use super::Buf;
use super::reg::X;

/// The word of [`nop`], for sites that are rewritten.
pub const NOP: u32 = 0xD503_201F;

/// Instructions without operands.
macro_rules! plain {
    ($($name:ident: $word:expr, $what:literal;)*) => { $(
        #[doc = $what]
        #[inline]
        pub fn $name(buf: &mut Buf) {
            buf.put_u32($word);
        }
    )* };
}

plain! {
    nop: NOP, "`nop`.";
    yield_: 0xD503_203F, "`yield`: says that this is a spin-wait loop.";
    bti_c: 0xD503_245F, "`bti c`: a landing pad for calls, and for `br` through x16 or x17. A `nop` where BTI is absent.";
    bti_j: 0xD503_249F, "`bti j`: a landing pad for jumps by `br`. A `nop` where BTI is absent.";
    bti_jc: 0xD503_24DF, "`bti jc`: a landing pad for calls and jumps. A `nop` where BTI is absent.";
    isb: 0xD503_3FDF, "`isb`: what follows is fetched again, so it sees code and system state that changed before.";
}

/// `brk #imm`: a breakpoint exception.
#[inline]
pub fn brk(buf: &mut Buf, imm: u16) {
    buf.put_u32(0xD420_0000 | u32::from(imm) << 5);
}

/// `udf #imm`: permanently undefined. `udf #0` is the zero word, so zeroed memory faults.
#[inline]
pub fn udf(buf: &mut Buf, imm: u16) {
    buf.put_u32(u32::from(imm));
}

/// What a barrier orders: a shareability domain (outer, none, inner, full system) and kinds of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Barrier {
    /// Outer shareable; loads before, loads and stores after.
    Oshld = 1,
    /// Outer shareable; stores.
    Oshst = 2,
    /// Outer shareable; all.
    Osh = 3,
    /// Non-shareable; loads before, loads and stores after.
    Nshld = 5,
    /// Non-shareable; stores.
    Nshst = 6,
    /// Non-shareable; all.
    Nsh = 7,
    /// Inner shareable; loads before, loads and stores after.
    Ishld = 9,
    /// Inner shareable; stores.
    Ishst = 10,
    /// Inner shareable; all.
    Ish = 11,
    /// Full system; loads before, loads and stores after.
    Ld = 13,
    /// Full system; stores.
    St = 14,
    /// Full system; all.
    Sy = 15,
}

/// `dsb option`: waits until the accesses before it, cache maintenance included, are complete.
#[inline]
pub fn dsb(buf: &mut Buf, option: Barrier) {
    buf.put_u32(0xD503_309F | (option as u32) << 8);
}

/// `dmb option`: orders the accesses before it against those after.
#[inline]
pub fn dmb(buf: &mut Buf, option: Barrier) {
    buf.put_u32(0xD503_30BF | (option as u32) << 8);
}

/// System registers that code at EL0 may read and write. The value is `op0` to `op2` in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SysReg {
    /// The condition flags, in bits 28 (V) to 31 (N).
    Nzcv = 0x1B_4200,
    /// Floating-point control.
    Fpcr = 0x1B_4400,
    /// Floating-point status.
    Fpsr = 0x1B_4420,
}

/// `mrs t, reg`.
#[inline]
pub fn mrs(buf: &mut Buf, t: X, reg: SysReg) {
    buf.put_u32(0xD520_0000 | reg as u32 | t.number());
}

/// `msr reg, t`.
#[inline]
pub fn msr(buf: &mut Buf, reg: SysReg, t: X) {
    buf.put_u32(0xD500_0000 | reg as u32 | t.number());
}

/// `mrs t, ctr_el0`: the cache type register, which can only be read.
#[inline]
pub fn mrs_ctr_el0(buf: &mut Buf, t: X) {
    buf.put_u32(0xD53B_0020 | t.number());
}

/// `dc cvau, t`: cleans the data cache line of address t to the point of unification.
#[inline]
pub fn dc_cvau(buf: &mut Buf, t: X) {
    buf.put_u32(0xD50B_7B20 | t.number());
}

/// `ic ivau, t`: invalidates the instruction cache line of address t to the point of unification.
#[inline]
pub fn ic_ivau(buf: &mut Buf, t: X) {
    buf.put_u32(0xD50B_7520 | t.number());
}
