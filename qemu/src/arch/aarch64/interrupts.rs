//! Interrupts: the controller (GICv2, Arm IHI 0048), the tick of the virtual timer, and those between cores.

use super::cores;
use super::machine::Machine;
use crate::arch::{Arch, MAX_CORES};
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_TVAL_EL0, DAIF, Readable, Writeable};
use arm_gic::gicv2::registers::{Gicc, Gicd};
use arm_gic::gicv2::{GicV2, SgiTarget, SgiTargetListFilter};
use arm_gic::{IntId, InterruptGroup};
use core::arch::asm;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use spin::Mutex;

/// The controller. Whoever locks it has interrupts masked. Its CPU interface is at the same address for every core,
/// which reaches its own there.
static GIC: Mutex<Option<GicV2<'static>>> = Mutex::new(None);

/// The view of the controller's registers that is used: that of this security state, whatever its groups are called.
const VIEW: InterruptGroup = InterruptGroup::Group0;

/// The interrupt by which a core makes others synchronize.
const SYNCHRONIZE: IntId = IntId::sgi(0);

/// The virtual timer's private interrupt.
static TIMER: AtomicU32 = AtomicU32::new(0);

/// What the timer calls, for each core, and its period.
static TICKS: [AtomicPtr<()>; MAX_CORES] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CORES];
static PERIODS: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];

/// Learns where the controller is and which private interrupt is the timer's.
///
/// # Safety
///
/// The addresses are those of the registers, mapped as a device's and given to nobody else.
pub unsafe fn init(distributor: usize, cpu_interface: usize, timer: u32) {
    TIMER.store(timer, Ordering::Relaxed);
    // SAFETY: by the contract.
    let gic = unsafe { GicV2::new(distributor as *mut Gicd, cpu_interface as *mut Gicc) };
    *GIC.lock() = Some(gic);
}

/// Lets this core take interrupts of its own and from other cores, once they are unmasked.
pub fn prepare() {
    with_gic(|gic| {
        gic.setup();
        // With security extensions, the view that is not secure has its own enable in this place (IHI 0048, 4.3.1).
        gic.enable_group0(true);
        // Software-generated interrupts may be enabled for good, which makes this fail for nothing.
        let _ = gic.enable_interrupt(SYNCHRONIZE, true);
    });
}

/// Unmasks interrupts and system errors on this core.
pub fn unmask() {
    // SAFETY: vectors are installed, and whoever masked interrupts on purpose restores what was before.
    unsafe { asm!("msr daifclr, 0b0111", options(nostack)) };
}

/// Calls a function with interrupts masked.
fn masked<T>(function: impl FnOnce() -> T) -> T {
    let before = DAIF.get();
    // SAFETY: masking interrupts breaks nothing.
    unsafe { asm!("msr daifset, 0b0011", options(nostack)) };
    let result = function();
    DAIF.set(before);
    result
}

fn with_gic<T>(function: impl FnOnce(&mut GicV2<'static>) -> T) -> Option<T> {
    masked(|| GIC.lock().as_mut().map(function))
}

/// Interrupts all other cores, which then synchronize.
pub fn synchronize_others() {
    // The stores that the others are to see come first.
    aarch64_cpu::asm::barrier::dsb(aarch64_cpu::asm::barrier::ISHST);
    with_gic(|gic| {
        let target_list_filter = SgiTargetListFilter::ForwardOthersOnly;
        gic.send_sgi(SYNCHRONIZE, SgiTarget::List { target_list_filter, target_list: 0 });
    });
}

/// Handles an interrupt that was taken.
pub fn handle() {
    let Some(interrupt) = with_gic(|gic| gic.get_and_acknowledge_interrupt(VIEW)).flatten() else { return };
    // Above the number lies which core sent it.
    let number = interrupt.raw_value() & 0x3FF;
    if number == SYNCHRONIZE.raw_value() {
        cores::SYNC.acknowledge(Machine::core());
    } else if number == timer().raw_value() {
        tick();
    }
    with_gic(|gic| gic.end_interrupt(interrupt, VIEW));
}

fn timer() -> IntId {
    IntId::ppi(TIMER.load(Ordering::Relaxed))
}

/// Starts this core's tick.
pub fn start_ticks(hz: u32, handler: fn()) {
    let core = Machine::core();
    let period = CNTFRQ_EL0.get() / u64::from(hz.max(1));
    if let (Some(place), Some(length)) = (TICKS.get(core), PERIODS.get(core)) {
        place.store(handler as *mut (), Ordering::Release);
        length.store(period, Ordering::Relaxed);
    }
    let enabled = with_gic(|gic| gic.enable_interrupt(timer(), true));
    assert!(matches!(enabled, Some(Ok(()))), "the controller does not enable the timer's interrupt");
    CNTV_TVAL_EL0.set(period);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
}

/// Ends it.
pub fn stop_ticks() {
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::CLEAR);
}

fn tick() {
    let core = Machine::core();
    // The timer's line is high until its next value lies ahead.
    CNTV_TVAL_EL0.set(PERIODS.get(core).map_or(u64::MAX, |period| period.load(Ordering::Relaxed)));
    let handler = TICKS.get(core).map_or(core::ptr::null_mut(), |tick| tick.load(Ordering::Acquire));
    if !handler.is_null() {
        // SAFETY: `start_ticks` stored a `fn()`.
        let handler = unsafe { core::mem::transmute::<*mut (), fn()>(handler) };
        handler();
    }
}
