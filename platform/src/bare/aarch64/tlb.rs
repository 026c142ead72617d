//! TLB maintenance for page tables that change while they are in use.
//!
//! The sequences are written over [`TlbOps`], so that their order can be seen where nothing executes them.

/// The instructions that TLB maintenance takes.
pub trait TlbOps {
    /// `dsb ishst`: all earlier stores, those to tables among them, are complete for every table walk of the inner
    /// shareable domain.
    fn complete_stores(&mut self);

    /// `tlbi vaae1is`: every core of the inner shareable domain forgets the translation of a page, in all address
    /// spaces. `page` is the operand: bits 55 to 12 of its address (Arm ARM DDI 0487, C5.5, "TLBI VAAE1IS").
    fn forget(&mut self, page: u64);

    /// `dsb ish`: all earlier maintenance is complete on every core of the inner shareable domain.
    fn complete(&mut self);

    /// `isb`: what follows is translated anew.
    fn synchronize(&mut self);
}

/// The bits of an address that the operand of `tlbi vaae1is` holds; those above are the level hint and must be 0 for
/// none.
const OPERAND: u64 = (1 << 44) - 1;

/// What it takes after the entries of pages have been made valid that were invalid before: nothing can have remembered
/// an invalid entry, so the walks that follow need only see the stores (Arm ARM, D8, "Ordering of table walks").
pub fn mapped_by(ops: &mut impl TlbOps) {
    ops.complete_stores();
    ops.synchronize();
}

/// What it takes after the entries of the pages of 4 KiB at `addresses` have been made invalid, before their frames are
/// used for something else or another entry is written in their place: the break of break-before-make (Arm ARM, D8.16,
/// "Using break-before-make when updating translation table entries").
pub fn unmapped_by(ops: &mut impl TlbOps, addresses: impl IntoIterator<Item = usize>) {
    ops.complete_stores();
    for address in addresses {
        ops.forget(address as u64 >> 12 & OPERAND);
    }
    ops.complete();
    ops.synchronize();
}

#[cfg(target_arch = "aarch64")]
mod cpu {
    use super::TlbOps;
    use crate::icache::arm64;
    use core::arch::asm;

    /// This core, at EL1.
    struct Cpu(());

    impl TlbOps for Cpu {
        fn complete_stores(&mut self) {
            // SAFETY: barriers change no value. Not `nomem`: earlier stores must be done.
            unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
        }

        fn forget(&mut self, page: u64) {
            // SAFETY: a translation that is forgotten is walked for again; the makers of `Cpu` vouch for EL1.
            unsafe { asm!("tlbi vaae1is, {}", in(reg) page, options(nostack, preserves_flags)) };
        }

        fn complete(&mut self) {
            // SAFETY: as above.
            unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
        }

        fn synchronize(&mut self) {
            arm64::synchronize();
        }
    }

    /// Call this when the page of 4 KiB at `address`, where nothing was mapped, has been mapped, before anything
    /// accesses it: all cores see its entry.
    pub fn mapped(_address: usize) {
        super::mapped_by(&mut Cpu(()));
    }

    /// Call this when the page of 4 KiB at `address` has been unmapped: all cores forget it.
    ///
    /// # Safety
    ///
    /// The caller runs at EL1.
    pub unsafe fn unmapped(address: usize) {
        super::unmapped_by(&mut Cpu(()), [address]);
    }
}

#[cfg(target_arch = "aarch64")]
pub use cpu::{mapped, unmapped};

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Op {
        CompleteStores,
        Forget(u64),
        Complete,
        Synchronize,
    }

    #[derive(Default)]
    struct Recorder(Vec<Op>);

    impl TlbOps for Recorder {
        fn complete_stores(&mut self) {
            self.0.push(Op::CompleteStores);
        }
        fn forget(&mut self, page: u64) {
            self.0.push(Op::Forget(page));
        }
        fn complete(&mut self) {
            self.0.push(Op::Complete);
        }
        fn synchronize(&mut self) {
            self.0.push(Op::Synchronize);
        }
    }

    #[test]
    fn stores_complete_before_translations_are_forgotten() {
        let mut recorder = Recorder::default();
        unmapped_by(&mut recorder, [0xFFFF_FF80_C000_3000, 0x1000]);
        // Bits 55 to 12, so the top byte and the offset in the page are not in the operand.
        let forgotten = [Op::Forget(0xFFF_F80C_0003), Op::Forget(1)];
        let mut expected = vec![Op::CompleteStores];
        expected.extend(forgotten);
        expected.extend([Op::Complete, Op::Synchronize]);
        assert_eq!(recorder.0, expected);
    }

    #[test]
    fn new_entries_need_no_forgetting() {
        let mut recorder = Recorder::default();
        mapped_by(&mut recorder);
        assert_eq!(recorder.0, [Op::CompleteStores, Op::Synchronize]);
    }
}
