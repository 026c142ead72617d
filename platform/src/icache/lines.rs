//! The order of cache maintenance on arm64, apart from the instructions that do it: so that a test on any machine can
//! see the order, which no emulator would miss.
//!
//! After instructions have been written (Arm ARM DDI 0487, B2.7.4.2, "Implementing changes to instructions", in earlier
//! issues B2.4.4):
//! 1. `DC CVAU` of each line, by the address that was written: cleans data to the point of unification. Not needed
//!    where CTR_EL0.IDC is 1.
//! 2. `DSB ISH`: the cleaning, or where there is none the stores, are complete.
//! 3. `IC IVAU` of each line, by the address that is executed: invalidates what instruction caches hold. Not needed
//!    where CTR_EL0.DIC is 1.
//! 4. `DSB ISH`: the invalidation is complete.
//! 5. `ISB`: this core fetches again.

/// Instructions of the maintenance.
pub trait Ops {
    /// CTR_EL0, the cache type register (Arm ARM, D24.2.34).
    fn ctr(&mut self) -> u64;
    /// `DC CVAU`
    ///
    /// # Safety
    ///
    /// The address is mapped and readable.
    unsafe fn clean(&mut self, address: usize);
    /// `IC IVAU`
    ///
    /// # Safety
    ///
    /// The address is mapped and readable.
    unsafe fn invalidate(&mut self, address: usize);
    /// `DSB ISH`
    fn complete(&mut self);
    /// `ISB`
    fn refetch(&mut self);
}

/// Words per line as a binary logarithm, in CTR_EL0.
const IMIN_LINE: u32 = 0;
const DMIN_LINE: u32 = 16;
/// Set where data need not be cleaned to the point of unification.
const IDC: u64 = 1 << 28;
/// Set where instruction cache lines need not be invalidated.
const DIC: u64 = 1 << 29;

/// The addresses of the lines that `len` bytes at `start` touch; `field` says whose smallest line counts.
fn lines(start: usize, len: usize, ctr: u64, field: u32) -> impl Iterator<Item = usize> {
    let line = 4 << (ctr >> field & 0xF);
    (start & !(line - 1)..start.saturating_add(len)).step_by(line)
}

/// Makes `len` bytes, written at `write` and executed at `execute`, visible to this core's instruction fetch.
///
/// # Safety
///
/// Both ranges are mapped, readable, and refer to the same memory.
#[inline(always)]
pub unsafe fn publish(ops: &mut impl Ops, write: usize, execute: usize, len: usize) {
    let ctr = ops.ctr();
    if ctr & IDC == 0 {
        for address in lines(write, len, ctr, DMIN_LINE) {
            // SAFETY: the line is one of the range, or begins below it in the same page.
            unsafe { ops.clean(address) };
        }
    }
    ops.complete();
    if ctr & DIC == 0 {
        for address in lines(execute, len, ctr, IMIN_LINE) {
            // SAFETY: as above.
            unsafe { ops.invalidate(address) };
        }
    }
    ops.complete();
    ops.refetch();
}

#[cfg(test)]
mod tests {
    use super::{Ops, publish};

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Op {
        Clean(usize),
        Invalidate(usize),
        Dsb,
        Isb,
    }
    use Op::{Clean, Dsb, Invalidate, Isb};

    struct Recorder {
        ctr: u64,
        ops: Vec<Op>,
    }

    impl Ops for Recorder {
        fn ctr(&mut self) -> u64 {
            self.ctr
        }
        unsafe fn clean(&mut self, address: usize) {
            self.ops.push(Clean(address));
        }
        unsafe fn invalidate(&mut self, address: usize) {
            self.ops.push(Invalidate(address));
        }
        fn complete(&mut self) {
            self.ops.push(Dsb);
        }
        fn refetch(&mut self) {
            self.ops.push(Isb);
        }
    }

    fn record(ctr: u64, write: usize, execute: usize, len: usize) -> Vec<Op> {
        let mut recorder = Recorder { ctr, ops: Vec::new() };
        // SAFETY: the recorder does nothing at the addresses.
        unsafe { publish(&mut recorder, write, execute, len) };
        recorder.ops
    }

    /// As a Cortex-A72 has it: lines of 64 bytes in both caches, and both need maintenance.
    const BOTH: u64 = 0x8444_C004;

    #[test]
    fn clean_then_invalidate_then_refetch() {
        // 12 bytes over the end of a line in both places.
        let ops = record(BOTH, 0x1_0038, 0x2_0038, 12);
        let expected = [Clean(0x1_0000), Clean(0x1_0040), Dsb, Invalidate(0x2_0000), Invalidate(0x2_0040), Dsb, Isb];
        assert_eq!(ops, expected);
        // One word, the last of its line.
        assert_eq!(record(BOTH, 0x3C, 0x103C, 4), [Clean(0), Dsb, Invalidate(0x1000), Dsb, Isb]);
        // Whole lines, and not one more.
        let ops = record(BOTH, 0x4000, 0x8000, 4096);
        let cleaned: Vec<_> = (0..64).map(|line| Clean(0x4000 + 64 * line)).collect();
        let invalidated: Vec<_> = (0..64).map(|line| Invalidate(0x8000 + 64 * line)).collect();
        assert_eq!(ops, [&cleaned[..], &[Dsb], &invalidated, &[Dsb, Isb]].concat());
    }

    #[test]
    fn each_cache_has_its_own_line() {
        // Data lines of 4 << 5 bytes, instruction lines of 4 << 3.
        let ops = record(0x5_0003, 0x1000, 0x2000, 128);
        let expected = [
            Clean(0x1000),
            Dsb,
            Invalidate(0x2000),
            Invalidate(0x2020),
            Invalidate(0x2040),
            Invalidate(0x2060),
            Dsb,
            Isb,
        ];
        assert_eq!(ops, expected);
    }

    #[test]
    fn what_a_cache_does_by_itself_is_left_out_and_barriers_stay() {
        let (idc, dic) = (1 << 28, 1 << 29);
        assert_eq!(record(BOTH | idc, 0x1000, 0x2000, 4), [Dsb, Invalidate(0x2000), Dsb, Isb]);
        assert_eq!(record(BOTH | dic, 0x1000, 0x2000, 4), [Clean(0x1000), Dsb, Dsb, Isb]);
        assert_eq!(record(BOTH | idc | dic, 0x1000, 0x2000, 4), [Dsb, Dsb, Isb]);
    }
}
