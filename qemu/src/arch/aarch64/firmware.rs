//! What firmware and the emulator do: starting cores, turning the machine off, taking its exit status.

use super::devicetree::Conduit;
use core::sync::atomic::{AtomicBool, Ordering};
use smccc::{Hvc, Smc, psci};
use spin::Once;

static CONDUIT: Once<Conduit> = Once::new();

/// How far this machine's end has come: whether semihosting was asked, and whether firmware was.
static EXITING: AtomicBool = AtomicBool::new(false);
static OFF: AtomicBool = AtomicBool::new(false);

/// Learns how PSCI is called.
pub fn init(conduit: Conduit) {
    CONDUIT.call_once(|| conduit);
}

/// Starts a core by PSCI's CPU_ON: it comes in at the physical address `entry` with `number` in x0. Gives whether it
/// will.
pub fn start_core(id: u64, entry: usize, number: usize) -> bool {
    let (entry, number) = (entry as u64, number as u64);
    match CONDUIT.get() {
        Some(Conduit::Hvc) => psci::cpu_on::<Hvc>(id, entry, number).is_ok(),
        Some(Conduit::Smc) => psci::cpu_on::<Smc>(id, entry, number).is_ok(),
        None => false,
    }
}

/// Ends the machine with a status by semihosting's SYS_EXIT_EXTENDED. Where there is no semihosting its instruction is
/// undefined; the exception's handler asks [`exiting`] and turns the machine off.
pub fn exit(status: u8) -> ! {
    EXITING.store(true, Ordering::Release);
    semihosting::process::exit(status.into())
}

/// Whether an exception comes from [`exit`].
pub fn exiting() -> bool {
    EXITING.load(Ordering::Acquire)
}

/// Turns the machine off by PSCI's SYSTEM_OFF, without a status. If firmware does not take the call, this core stops.
pub fn power_off() -> ! {
    let conduit = CONDUIT.get().filter(|_| !OFF.swap(true, Ordering::AcqRel));
    let _ = match conduit {
        Some(Conduit::Hvc) => psci::system_off::<Hvc>(),
        Some(Conduit::Smc) => psci::system_off::<Smc>(),
        None => Ok(()),
    };
    loop {
        aarch64_cpu::asm::wfi();
    }
}
