//! Making other cores pass a synchronizing point.

use super::isa;
use core::sync::atomic::{AtomicU64, Ordering};

/// The machine's other cores, as code memory needs them. The kernel implements it, with [`CoreSync`] and its own way to send
/// an interprocessor interrupt.
///
/// # Safety
///
/// An implementation vouches that, when [`Cores::sync`] returns, every other core that may run the window's code has since
/// executed a synchronizing instruction: `isa::synchronize` of its ISA's module.
pub unsafe trait Cores {
    /// Makes every other core synchronize, and waits until all have.
    fn sync(&self);
}

/// A machine with one core, or a kernel that runs a window's code on one core alone.
#[derive(Clone, Copy, Debug)]
pub struct OneCore;

// SAFETY: there is no other core.
unsafe impl Cores for OneCore {
    fn sync(&self) {}
}

/// The count of synchronizing points, for at most `N` cores, which the kernel numbers from 0.
///
/// Whoever wants the others synchronized raises the count ([`CoreSync::request`]) and interrupts them; the interrupt's
/// handler calls [`CoreSync::acknowledge`], which synchronizes and stores the count that it saw before. While it waits, the
/// requester acknowledges what others want of it, so two cores that request at the same time with interrupts masked do not
/// wait for each other.
#[derive(Debug)]
pub struct CoreSync<const N: usize> {
    wanted: AtomicU64,
    /// The last count that each core has acknowledged; [`ABSENT`] for a core that runs no code.
    seen: [AtomicU64; N],
}

/// Greater than any count.
const ABSENT: u64 = u64::MAX;

impl<const N: usize> CoreSync<N> {
    /// No core takes part.
    pub const fn new() -> Self {
        Self { wanted: AtomicU64::new(0), seen: [const { AtomicU64::new(ABSENT) }; N] }
    }

    /// Core `core` takes part from now on: from here on it answers requests. Call it on that core, before it runs any code
    /// from a window.
    pub fn join(&self, core: usize) {
        if let Some(seen) = self.seen.get(core) {
            // Sequentially consistent, as the request is: whichever of the two comes first, either the requester finds
            // this core or this core's synchronization comes behind the request.
            seen.store(self.wanted.load(Ordering::SeqCst), Ordering::SeqCst);
            isa::synchronize();
            self.acknowledge(core);
        }
    }

    /// Core `core` runs no code from now on.
    pub fn leave(&self, core: usize) {
        if let Some(seen) = self.seen.get(core) {
            seen.store(ABSENT, Ordering::SeqCst);
        }
    }

    /// Synchronizes this core. The handler of the interprocessor interrupt calls it.
    pub fn acknowledge(&self, core: usize) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        isa::synchronize();
        if let Some(seen) = self.seen.get(core) {
            seen.fetch_max(wanted, Ordering::SeqCst);
        }
    }

    /// Makes every other core that takes part synchronize, and waits until all have. `me` is the calling core. `interrupt`
    /// sends the interprocessor interrupt to a core, and is called for each that has to be.
    pub fn request(&self, me: usize, mut interrupt: impl FnMut(usize)) {
        let wanted = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        isa::before_interrupt();
        let behind = |seen: &AtomicU64| seen.load(Ordering::SeqCst) < wanted;
        let others = || self.seen.iter().enumerate().filter(|&(core, _)| core != me);
        for (core, _) in others().filter(|(_, seen)| behind(seen)) {
            interrupt(core);
        }
        while others().any(|(_, seen)| behind(seen)) {
            self.acknowledge(me);
            core::hint::spin_loop();
        }
    }
}

impl<const N: usize> Default for CoreSync<N> {
    fn default() -> Self {
        Self::new()
    }
}
