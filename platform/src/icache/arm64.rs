//! arm64: instruction caches need not be coherent with data caches, so written lines are cleaned to the point of
//! unification, instruction cache lines invalidated, and the pipeline is synchronized (Arm ARM DDI 0487, B2.7.4.2,
//! "Implementing changes to instructions"). The order is that of [`lines`].

use super::lines::{self, Ops};
use core::arch::asm;

/// Zero words are `udf #0` (Arm ARM, C6.2 "UDF"), so fresh memory faults as it is.
pub const FILLER: Option<u8> = None;

/// This core.
struct Core;

impl Ops for Core {
    #[inline(always)]
    fn ctr(&mut self) -> u64 {
        let value: u64;
        // SAFETY: reading CTR_EL0 changes nothing; systems let user code read it or answer in its place, because cache
        // maintenance needs it.
        unsafe { asm!("mrs {}, ctr_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    #[inline(always)]
    unsafe fn clean(&mut self, address: usize) {
        // SAFETY: cleaning a line of mapped, readable memory changes no value.
        unsafe { asm!("dc cvau, {}", in(reg) address, options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    unsafe fn invalidate(&mut self, address: usize) {
        // SAFETY: invalidating an instruction cache line of mapped memory changes no value.
        unsafe { asm!("ic ivau, {}", in(reg) address, options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn complete(&mut self) {
        // SAFETY: a barrier changes no value. Not `nomem`: earlier stores must be done.
        unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn refetch(&mut self) {
        synchronize();
    }
}

/// Executes `isb`: what this core fetches from here on is fetched anew.
#[inline(always)]
pub fn synchronize() {
    // SAFETY: a barrier changes no value. Not `nomem`: code that others wrote must be read behind it.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

pub unsafe fn publish(write: *const u8, execute: *const u8, len: usize) {
    // SAFETY: the caller vouches for both ranges.
    unsafe { lines::publish(&mut Core, write as usize, execute as usize, len) }
}

#[cfg(test)]
mod tests {
    /// The function as it was built, alone.
    #[inline(never)]
    unsafe extern "C" fn built(write: *const u8, execute: *const u8, len: usize) {
        // SAFETY: the caller vouches for the same.
        unsafe { super::publish(write, execute, len) }
    }

    /// The maintenance among the built function's instructions, by the encodings of the Arm ARM (C6.2: SYS aliases DC
    /// and IC, DSB, ISB), in the order in which they lie.
    #[test]
    fn the_built_function_has_each_instruction_in_its_place() {
        let start = std::hint::black_box(built as *const () as usize) as *const u32;
        // SAFETY: a function's instructions are readable words, up to and including its return.
        let words =
            (0..4096).map(|at| unsafe { start.add(at).read_volatile() }).take_while(|&word| word != 0xD65F_03C0);
        let name = |word: u32| match word {
            0xD50B_7B20..=0xD50B_7B3F => Some("dc cvau"),
            0xD50B_7520..=0xD50B_753F => Some("ic ivau"),
            0xD503_3B9F => Some("dsb ish"),
            0xD503_3FDF => Some("isb"),
            0xD53B_0020..=0xD53B_003F => Some("mrs ctr_el0"),
            _ => None,
        };
        let found: Vec<_> = words.filter_map(name).collect();
        assert_eq!(found, ["mrs ctr_el0", "dc cvau", "dsb ish", "ic ivau", "dsb ish", "isb"]);
    }
}
