//! The other cores.

use super::machine::{Machine, prepare};
use super::{boot, firmware, interrupts, tables};
use crate::arch::{Arch, MAX_CORES};
use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use opstamp_platform::bare::{CoreSync, Cores};
use spin::Once;

/// Who has synchronized.
pub static SYNC: CoreSync<MAX_CORES> = CoreSync::new();

/// The affinity fields of all cores, as the device tree has them.
static IDS: Once<[Option<u64>; MAX_CORES]> = Once::new();

/// What other cores run, a `fn(usize)`.
static MAIN: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// The number of cores that are ready, without the first one.
static READY: AtomicUsize = AtomicUsize::new(0);

/// The other cores, for code memory.
#[derive(Debug)]
pub struct Others(());

impl Others {
    /// All others. Only [`Machine`] makes one.
    pub(super) const fn new() -> Self {
        Self(())
    }
}

// SAFETY: every core joins `SYNC` before it runs any code from a window, and its handler acknowledges.
unsafe impl Cores for Others {
    fn sync(&self) {
        // One interrupt goes to all others.
        let mut sent = false;
        SYNC.request(Machine::core(), |_| {
            if !sent {
                interrupts::synchronize_others();
                sent = true;
            }
        });
    }
}

/// Learns which cores there are.
pub fn init(ids: [Option<u64>; MAX_CORES]) {
    IDS.call_once(|| ids);
}

/// [`Arch::start_cores`].
pub fn start(main: fn(usize)) -> usize {
    /// MPIDR_EL1's affinity fields (Arm ARM DDI 0487, D24.2, "MPIDR_EL1").
    const AFFINITY: u64 = 0xFF_00FF_FFFF;
    let own = MPIDR_EL1.get() & AFFINITY;
    MAIN.store(main as *mut (), Ordering::Release);
    let entry = tables::physical(boot::secondary_entry as *const () as usize);
    let mut started = 0;
    for &id in IDS.get().into_iter().flatten().flatten().filter(|&&id| id != own) {
        if started + 1 < MAX_CORES && firmware::start_core(id, entry, started + 1) {
            started += 1;
        }
    }
    while READY.load(Ordering::Acquire) < started {
        core::hint::spin_loop();
    }
    started
}

/// Where another core goes on, on its own stack, with the kernel's tables.
pub extern "C" fn other_core(core: usize) -> ! {
    prepare(core);
    READY.fetch_add(1, Ordering::AcqRel);
    let main = MAIN.load(Ordering::Acquire);
    // SAFETY: `start` stored a `fn(usize)` before it started this core.
    let main = unsafe { core::mem::transmute::<*mut (), fn(usize)>(main) };
    main(core);
    loop {
        aarch64_cpu::asm::wfi();
    }
}
