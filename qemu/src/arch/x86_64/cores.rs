//! The other cores.

use super::{Machine, apic, entry, interrupts, tables};
use crate::arch::{Arch, MAX_CORES};
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use opstamp_platform::bare::{CoreSync, Cores};

/// The number of cores that have come to 64-bit mode, the first one among them. The entry counts it up.
pub static STARTED: AtomicUsize = AtomicUsize::new(1);

/// The number of cores that are ready, without the first one, and [`CLOSED`].
static READY: AtomicUsize = AtomicUsize::new(0);

/// In [`READY`]: [`start`] has counted them, and whoever comes later stays out.
const CLOSED: usize = 1 << 31;

/// What other cores run, a `fn(usize)`.
static MAIN: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// The cores' APIC identifiers.
static IDS: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];

/// Who has synchronized.
pub static SYNC: CoreSync<MAX_CORES> = CoreSync::new();

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
        SYNC.request(Machine::core(), |core| {
            apic::interrupt(IDS[core].load(Ordering::Relaxed), interrupts::SYNCHRONIZE);
        });
    }
}

/// Makes this core take part.
pub fn join(core: usize) {
    IDS[core].store(apic::id(), Ordering::Relaxed);
    SYNC.join(core);
}

/// The page of memory that other cores start on: below 1 MiB, where nothing else of this kernel lies.
const TRAMPOLINE: usize = 0x8000;

/// [`Arch::start_cores`].
pub fn start(main: fn(usize)) -> usize {
    MAIN.store(main as *mut (), Ordering::Release);
    let code = entry::trampoline();
    // SAFETY: the page is memory that nothing else uses, below what `Boot` hands out. The cores are not running yet.
    unsafe {
        core::ptr::copy_nonoverlapping(code.as_ptr(), TRAMPOLINE as *mut u8, code.len());
        entry::start_with_tables(tables::root());
        apic::start_others((TRAMPOLINE >> 12) as u8);
    }
    // How many logical processors the package has room for (Intel SDM vol. 2, CPUID leaf 1, EBX bits 23 to 16) is too
    // much where some are missing, and too little where there are several packages. So it only says for how long nobody
    // may have come before all are taken to be there.
    let expected = (__cpuid(1).ebx >> 16 & 0xFF) as usize;
    const STEP: u32 = 10_000;
    let (mut quiet, mut ready) = (0, 0);
    while ready + 1 < MAX_CORES && quiet < if ready + 1 < expected { 50 } else { 20 } {
        apic::wait_us(STEP);
        let now = READY.load(Ordering::Acquire);
        quiet = if now == ready { quiet + 1 } else { 0 };
        ready = now;
    }
    READY.fetch_or(CLOSED, Ordering::AcqRel)
}

/// Where another core goes on, on its own stack, with the kernel's tables.
pub extern "sysv64" fn other_core(core: usize) -> ! {
    super::prepare(core);
    let joined =
        READY.fetch_update(Ordering::AcqRel, Ordering::Acquire, |ready| (ready & CLOSED == 0).then_some(ready + 1));
    if joined.is_err() {
        loop {
            x86_64::instructions::interrupts::disable();
            x86_64::instructions::hlt();
        }
    }
    let main = MAIN.load(Ordering::Acquire);
    // SAFETY: `start` stored a `fn(usize)` before it started this core.
    let main = unsafe { core::mem::transmute::<*mut (), fn(usize)>(main) };
    main(core);
    loop {
        x86_64::instructions::hlt();
    }
}
