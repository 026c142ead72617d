//! arm64: instruction caches need not be coherent with data caches, so written lines are cleaned to the point of
//! unification, instruction cache lines invalidated, and the pipeline is synchronized (Arm ARM DDI 0487, B2.7.4.2,
//! "Implementing changes to instructions").

use core::arch::asm;

/// Zero words are `udf #0` (Arm ARM, C6.2 "UDF"), so fresh memory faults as it is.
pub const FILLER: Option<u8> = None;

/// Words per line as a binary logarithm, in [`ctr`].
const IMIN_LINE: u32 = 0;
const DMIN_LINE: u32 = 16;
/// Set where data need not be cleaned to the point of unification.
const IDC: u64 = 1 << 28;
/// Set where instruction cache lines need not be invalidated.
const DIC: u64 = 1 << 29;

/// CTR_EL0, the cache type register (Arm ARM, D24.2.34).
fn ctr() -> u64 {
    let value: u64;
    // SAFETY: reading CTR_EL0 changes nothing; systems let user code read it or answer in its place, because cache
    // maintenance needs it.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The smallest line of one of the two caches in bytes.
fn line(ctr: u64, field: u32) -> usize {
    4 << (ctr >> field & 0xF)
}

/// The addresses of the lines that `len` bytes at `start` touch.
fn lines(start: usize, len: usize, line: usize) -> impl Iterator<Item = usize> {
    let first = start & !(line - 1);
    (first..start + len).step_by(line)
}

pub unsafe fn publish(write: *const u8, execute: *const u8, len: usize) {
    let ctr = ctr();
    if ctr & IDC == 0 {
        for address in lines(write as usize, len, line(ctr, DMIN_LINE)) {
            // SAFETY: cleaning a line of mapped, readable memory changes no value.
            unsafe { asm!("dc cvau, {}", in(reg) address, options(nostack, preserves_flags)) };
        }
    }
    // SAFETY: barriers change no value. Not `nomem`: earlier stores must be done.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    if ctr & DIC == 0 {
        for address in lines(execute as usize, len, line(ctr, IMIN_LINE)) {
            // SAFETY: invalidating an instruction cache line of mapped memory changes no value.
            unsafe { asm!("ic ivau, {}", in(reg) address, options(nostack, preserves_flags)) };
        }
    }
    // SAFETY: barriers change no value.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}
