//! The stacks of all cores. The lowest page of each is a guard, which the final page tables leave
//! out.

use crate::arch::MAX_CORES;
use core::cell::UnsafeCell;
use core::ops::Range;

/// The size of a guard.
const GUARD: usize = 4096;

/// The size of the first core's stack, its guard included.
pub const FIRST_BYTES: usize = crate::arch::FIRST_STACK + GUARD;

/// The size of another core's stack, its guard included.
pub const OTHER_BYTES: usize = crate::arch::OTHER_STACK + GUARD;

/// The size of a stack for interrupts or for exceptions, its guard included.
pub const INTERRUPT_BYTES: usize = 32 << 10;

/// Memory that only a stack pointer refers to.
#[repr(C, align(4096))]
pub struct Stacks<const BYTES: usize, const COUNT: usize>(UnsafeCell<[[u8; BYTES]; COUNT]>);

// SAFETY: no reference to what it holds is ever made.
unsafe impl<const BYTES: usize, const COUNT: usize> Sync for Stacks<BYTES, COUNT> {}

impl<const BYTES: usize, const COUNT: usize> Stacks<BYTES, COUNT> {
    /// Stacks that nothing runs on.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([[0; BYTES]; COUNT]))
    }

    /// A stack, without its guard; of the last one for an index beyond it.
    pub fn bounds(&self, index: usize) -> Range<usize> {
        let start = self.0.get() as usize + index.min(COUNT - 1) * BYTES;
        start + GUARD..start + BYTES
    }

    /// The addresses of the guards.
    pub fn guards(&self) -> impl Iterator<Item = usize> + '_ {
        (0..COUNT).map(|index| self.bounds(index).start - GUARD)
    }
}

/// What the first core runs on.
pub static FIRST: Stacks<FIRST_BYTES, 1> = Stacks::new();

/// What the other cores run on: core 1 on the first.
pub static OTHERS: Stacks<OTHER_BYTES, { MAX_CORES - 1 }> = Stacks::new();

/// The stack of a core.
pub fn of(core: usize) -> Range<usize> {
    if core == 0 { FIRST.bounds(0) } else { OTHERS.bounds(core - 1) }
}

/// What they run interrupt handlers on.
pub static INTERRUPTS: Stacks<INTERRUPT_BYTES, MAX_CORES> = Stacks::new();

/// The guards of all of them.
pub fn guards() -> impl Iterator<Item = usize> {
    FIRST.guards().chain(OTHERS.guards()).chain(INTERRUPTS.guards())
}
