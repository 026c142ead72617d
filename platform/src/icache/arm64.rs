//! arm64: instruction caches need not be coherent with data caches, so written lines are cleaned to the point of
//! unification, instruction cache lines invalidated, and the pipeline is synchronized (Arm ARM DDI 0487, B2.7.4.2,
//! "Implementing changes to instructions").
//!
//! The sequence is written over [`CacheOps`], so that its order can be seen where nothing executes it: no emulator
//! models instruction caches.

/// Zero words are `udf #0` (Arm ARM, C6.2 "UDF"), so fresh memory faults as it is.
#[cfg(target_arch = "aarch64")]
pub const FILLER: Option<u8> = None;

/// Words per line as a binary logarithm, in CTR_EL0.
const IMIN_LINE: u32 = 0;
const DMIN_LINE: u32 = 16;
/// Set where data need not be cleaned to the point of unification.
const IDC: u64 = 1 << 28;
/// Set where instruction cache lines need not be invalidated.
const DIC: u64 = 1 << 29;

/// The instructions that cache maintenance takes.
pub trait CacheOps {
    /// CTR_EL0, the cache type register (Arm ARM, D24.2.34).
    fn ctr(&self) -> u64;

    /// `dc cvau`: cleans the data cache line of an address to the point of unification.
    fn clean_data(&mut self, address: usize);

    /// `ic ivau`: invalidates the instruction cache lines of an address to the point of unification, on every core of
    /// the inner shareable domain.
    fn invalidate_instructions(&mut self, address: usize);

    /// `dsb ish`: all earlier stores and maintenance are complete for every core of the inner shareable domain.
    fn complete(&mut self);

    /// `isb`: this core fetches anew what follows.
    fn synchronize(&mut self);
}

/// The smallest line of one of the two caches in bytes.
fn line(ctr: u64, field: u32) -> usize {
    4 << (ctr >> field & 0xF)
}

/// The addresses of the lines that `len` bytes at `start` touch.
fn lines(start: usize, len: usize, line: usize) -> impl Iterator<Item = usize> {
    let first = start & !(line - 1);
    let bytes = if len == 0 { 0 } else { len + (start - first) };
    (0..bytes).step_by(line).map(move |offset| first + offset)
}

/// Makes `len` bytes, written at `write` and executed at `execute`, visible to instruction fetch: for this core at
/// once, for the others behind their next context synchronization event.
///
/// Data lines are cleaned by the address that they were written at, instruction lines invalidated by the one that they
/// are fetched from: an instruction cache may be indexed by virtual addresses, and then invalidating by another address
/// need not find the line (Arm ARM, D24.2.34, the field L1Ip; D8, "Instruction caches"). All cleaning is complete
/// before any invalidation.
pub fn publish_by(ops: &mut impl CacheOps, write: usize, execute: usize, len: usize) {
    let ctr = ops.ctr();
    if ctr & IDC == 0 {
        for address in lines(write, len, line(ctr, DMIN_LINE)) {
            ops.clean_data(address);
        }
    }
    ops.complete();
    if ctr & DIC == 0 {
        for address in lines(execute, len, line(ctr, IMIN_LINE)) {
            ops.invalidate_instructions(address);
        }
        ops.complete();
    }
    ops.synchronize();
}

#[cfg(target_arch = "aarch64")]
mod cpu {
    use super::CacheOps;
    use core::arch::asm;

    /// This core. Whoever makes one vouches that the addresses it is given are mapped and readable.
    struct Cpu(());

    impl CacheOps for Cpu {
        fn ctr(&self) -> u64 {
            let value: u64;
            // SAFETY: reading CTR_EL0 changes nothing; systems let user code read it or answer in its place, because
            // cache maintenance needs it.
            unsafe { asm!("mrs {}, ctr_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
            value
        }

        fn clean_data(&mut self, address: usize) {
            // SAFETY: cleaning a line of mapped, readable memory changes no value.
            unsafe { asm!("dc cvau, {}", in(reg) address, options(nostack, preserves_flags)) };
        }

        fn invalidate_instructions(&mut self, address: usize) {
            // SAFETY: invalidating an instruction cache line of mapped memory changes no value.
            unsafe { asm!("ic ivau, {}", in(reg) address, options(nostack, preserves_flags)) };
        }

        fn complete(&mut self) {
            // SAFETY: barriers change no value. Not `nomem`: earlier stores must be done.
            unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
        }

        fn synchronize(&mut self) {
            synchronize();
        }
    }

    pub unsafe fn publish(write: *const u8, execute: *const u8, len: usize) {
        super::publish_by(&mut Cpu(()), write as usize, execute as usize, len);
    }

    /// Executes `isb`: what this core fetches from here on is fetched anew.
    pub fn synchronize() {
        // SAFETY: barriers change no value. Not `nomem`: code that others wrote must be read behind it.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
pub use cpu::{publish, synchronize};

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Op {
        Clean(usize),
        Invalidate(usize),
        Complete,
        Synchronize,
    }
    use Op::*;

    struct Recorder {
        ctr: u64,
        ops: Vec<Op>,
    }

    impl CacheOps for Recorder {
        fn ctr(&self) -> u64 {
            self.ctr
        }
        fn clean_data(&mut self, address: usize) {
            self.ops.push(Clean(address));
        }
        fn invalidate_instructions(&mut self, address: usize) {
            self.ops.push(Invalidate(address));
        }
        fn complete(&mut self) {
            self.ops.push(Complete);
        }
        fn synchronize(&mut self) {
            self.ops.push(Synchronize);
        }
    }

    fn record(ctr: u64, write: usize, execute: usize, len: usize) -> Vec<Op> {
        let mut recorder = Recorder { ctr, ops: Vec::new() };
        publish_by(&mut recorder, write, execute, len);
        recorder.ops
    }

    /// CTR_EL0 of a Cortex-A72 (Cortex-A72 TRM, 4.3.21): data lines and instruction lines of 64 bytes, PIPT, no IDC, no
    /// DIC.
    const CORTEX_A72: u64 = 0x8444_C004;

    #[test]
    fn all_is_cleaned_before_any_is_invalidated() {
        // 0x90 bytes from 0x10 before a line's end touch four lines at one address and three at the other.
        assert_eq!(
            record(CORTEX_A72, 0x1_0030, 0x7_0000, 0x90),
            [
                Clean(0x1_0000),
                Clean(0x1_0040),
                Clean(0x1_0080),
                Complete,
                Invalidate(0x7_0000),
                Invalidate(0x7_0040),
                Invalidate(0x7_0080),
                Complete,
                Synchronize
            ]
        );
    }

    #[test]
    fn the_two_caches_have_lines_of_their_own() {
        // DminLine 3: 8 words, 32 bytes. IminLine 5: 32 words, 128 bytes.
        let ctr = 0x8003_8005;
        assert_eq!(
            record(ctr, 0x101C, 0x20FC, 8),
            [Clean(0x1000), Clean(0x1020), Complete, Invalidate(0x2080), Invalidate(0x2100), Complete, Synchronize]
        );
    }

    #[test]
    fn coherent_caches_need_barriers_alone() {
        assert_eq!(
            record(CORTEX_A72 | 1 << 28, 0x1000, 0x2000, 4),
            [Complete, Invalidate(0x2000), Complete, Synchronize],
            "IDC"
        );
        assert_eq!(record(CORTEX_A72 | 1 << 29, 0x1000, 0x2000, 4), [Clean(0x1000), Complete, Synchronize], "DIC");
        assert_eq!(record(CORTEX_A72 | 3 << 28, 0x1000, 0x2000, 4), [Complete, Synchronize], "both");
    }

    #[test]
    fn no_bytes_are_no_lines() {
        assert_eq!(record(CORTEX_A72, 0x1030, 0x2030, 0), [Complete, Complete, Synchronize]);
        let last = record(CORTEX_A72, usize::MAX - 3, usize::MAX - 3, 4);
        let line = usize::MAX - 63;
        assert_eq!(last, [Clean(line), Complete, Invalidate(line), Complete, Synchronize], "the last line of all");
    }
}
