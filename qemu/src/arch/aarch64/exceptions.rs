//! What is done about interrupts and exceptions.

use super::machine::Machine;
use super::{firmware, interrupts};
use crate::arch::{Arch, MAX_CORES};
use crate::kernel::{self, Access, Exception, Status};
use aarch64_cpu::registers::{ESR_EL1, FAR_EL1, Readable};
use core::sync::atomic::{AtomicU32, Ordering};
use opstamp_platform::bare::aarch64::{Handler, Interrupted, Kind};

/// This kernel's handling.
pub struct Kernel;

impl Handler for Kernel {
    extern "C" fn handle(interrupted: &mut Interrupted) {
        match interrupted.kind() {
            Kind::Irq | Kind::Fiq => interrupts::handle(),
            Kind::Synchronous | Kind::SystemError => exception(interrupted),
        }
    }
}

/// How many exceptions a core has begun to report.
static REPORTS: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];

/// The classes of exceptions, ESR_EL1.EC, that a kernel without processes can meet (Arm ARM DDI 0487, D24.2,
/// "ESR_EL1").
fn name(class: u64) -> &'static str {
    match class {
        0b00_0000 => "undefined instruction",
        0b00_0001 => "trapped wait instruction",
        0b00_0111 => "trapped floating-point or vector instruction",
        0b00_1101 => "branch target exception",
        0b00_1110 => "illegal execution state",
        0b01_0101 => "supervisor call",
        0b01_0110 => "hypervisor call",
        0b01_1000 => "trapped system instruction",
        0b01_1001 => "trapped SVE instruction",
        0b10_0001 => "instruction abort",
        0b10_0010 => "program counter alignment fault",
        0b10_0101 => "data abort",
        0b10_0110 => "stack pointer alignment fault",
        0b10_1100 => "trapped floating-point exception",
        0b11_0001 => "hardware breakpoint",
        0b11_0011 => "software step",
        0b11_0101 => "watchpoint",
        0b11_1100 => "breakpoint instruction",
        _ => "exception of another class",
    }
}

const INSTRUCTION_ABORT: u64 = 0b10_0001;
const DATA_ABORT: u64 = 0b10_0101;

/// What an abort was about: `None` unless it is a fault of translation, access flag or permission, whose status codes
/// are 0001nn, 0010nn and 0011nn (D24.2, "ESR_EL1", the fields DFSC and IFSC).
fn access(class: u64, syndrome: u64, address: usize) -> Option<(Access, usize, bool)> {
    const WRITE: u64 = 1 << 6;
    let mapped = match syndrome >> 2 & 0b1111 {
        0b0001 => false,
        0b0010 | 0b0011 => true,
        _ => return None,
    };
    let access = match class {
        INSTRUCTION_ABORT => Access::Execute,
        DATA_ABORT if syndrome & WRITE != 0 => Access::Write,
        DATA_ABORT => Access::Read,
        _ => return None,
    };
    Some((access, address, mapped))
}

fn exception(interrupted: &Interrupted) -> ! {
    if firmware::exiting() {
        firmware::power_off();
    }
    let before = REPORTS.get(Machine::core()).map_or(0, |reports| reports.fetch_add(1, Ordering::Relaxed));
    if before > 0 {
        // If it was the console that raised it, nothing more is told.
        if before == 1 {
            Machine::write(b"\nexception while an exception was reported\n");
        }
        Machine::exit(Status::Exception as u8);
    }
    let (class, syndrome) = (ESR_EL1.read(ESR_EL1::EC), ESR_EL1.read(ESR_EL1::ISS));
    let name = match interrupted.kind() {
        Kind::SystemError => "system error",
        _ => name(class),
    };
    // The names of x0 to x30, in the order of the registers.
    const NAMES: [&str; 31] = [
        "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
        "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30",
    ];
    let mut registers = [("", 0); 34];
    let special =
        [("syndrome", ESR_EL1.get()), ("fault address", FAR_EL1.get()), ("processor state", interrupted.spsr)];
    for (place, register) in registers.iter_mut().zip(special.into_iter().chain(NAMES.into_iter().zip(interrupted.x))) {
        *place = register;
    }
    kernel::report(&Exception {
        name,
        memory: access(class, syndrome, FAR_EL1.get() as usize),
        instruction: interrupted.pc as usize,
        stack: interrupted.sp as usize,
        registers: &registers,
    })
}
