//! A PC with local APICs, entered by PVH.

mod apic;
mod cores;
mod entry;
mod interrupts;
mod start_info;
mod tables;

use super::{Arch, Boot, STATUS_OFFSET, stacks};
use crate::{kernel, memory};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use opstamp::CodeError;
use opstamp_platform::bare::{AliasCode, x86_64 as isa};
use spin::Once;
use start_info::StartInfo;
use uart_16550::{Config, Uart16550};
use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::registers::model_specific::GsBase;

/// The machine.
#[derive(Debug)]
pub struct Machine;

/// The port of the first serial line.
const SERIAL: u16 = 0x3F8;
/// The port of QEMU's exit device.
const EXIT: u16 = 0xF4;

/// Where code windows are executed: behind all memory. Never used twice, so that nobody who still has an old address
/// runs something else.
const WINDOWS: usize = 1 << 39;
static NEXT_WINDOW: AtomicUsize = AtomicUsize::new(WINDOWS);

/// The greatest command line.
const COMMAND_LINE: usize = 4096;

/// Where the entry comes to, with the address of PVH's start information.
extern "sysv64" fn first_core(info: u32) -> ! {
    // SAFETY: nobody else uses the port yet.
    let serial = unsafe { Uart16550::new_port(SERIAL) };
    // A machine without a serial line runs too; nobody sees what it prints.
    let _ = serial.map(|mut serial| serial.init(Config::default()));
    // SAFETY: the entry hands over what the loader gave, and memory is mapped at its own addresses.
    let info = unsafe { StartInfo::at(info) };
    static LINE: Once<([u8; COMMAND_LINE], usize)> = Once::new();
    let (line, len) = LINE.call_once(|| {
        let given = info.command_line();
        let mut line = [0; COMMAND_LINE];
        let len = given.len().min(COMMAND_LINE);
        line[..len].copy_from_slice(&given[..len]);
        (line, len)
    });
    let module = info.module();
    // Below 1 MiB lie this kernel's trampoline and what the firmware left.
    let used = [0..1 << 20, tables::image(), module.clone()];
    let free = memory::largest(info.memory(), &used, 4096);
    // SAFETY: nothing outside is referred to any more: the command line was copied.
    unsafe { tables::install(info.memory(), module.clone()) };
    apic::mask_legacy();
    prepare(0);
    let initrd: &[u8] = if module.is_empty() {
        &[]
    } else {
        // SAFETY: the loader put the module there, where nothing else of the kernel lies, and the tables map it.
        unsafe { core::slice::from_raw_parts(module.start as *const u8, module.len()) }
    };
    // SAFETY: usable memory that nothing uses, mapped writable.
    let memory = unsafe { core::slice::from_raw_parts_mut(free.start as *mut u8, free.len()) };
    kernel::start(Boot { memory, initrd, command_line: &line[..*len] })
}

/// What every core does before it runs anything: its number, segments, interrupts, vector registers.
fn prepare(core: usize) {
    // The base of GS has no other use in this kernel.
    GsBase::write(VirtAddr::new(core as u64));
    interrupts::install(core);
    // SAFETY: the kernel runs in ring 0 and leaves the vector registers to machine code. The table has a handler for the
    // spurious vector.
    unsafe {
        isa::enable_vectors();
        apic::enable(interrupts::SPURIOUS);
    }
    cores::join(core);
    x86_64::instructions::interrupts::enable();
}

impl Arch for Machine {
    type Code = AliasCode<'static, tables::CodeTables, cores::Others>;

    fn write(bytes: &[u8]) {
        // SAFETY: the port is the serial line's. Its driver keeps no state that a second one would have to share; writes
        // of several cores mix.
        if let Ok(mut serial) = unsafe { Uart16550::new_port(SERIAL) } {
            serial.send_bytes_exact(bytes);
        }
    }

    fn exit(status: u8) -> ! {
        // SAFETY: the port ends the machine, or nothing is there.
        unsafe { Port::<u32>::new(EXIT).write(u32::from(STATUS_OFFSET + status)) };
        loop {
            x86_64::instructions::interrupts::disable();
            x86_64::instructions::hlt();
        }
    }

    fn code(memory: &'static mut [u8]) -> Result<Self::Code, CodeError> {
        // A page between two windows stays unmapped.
        let execute = NEXT_WINDOW.fetch_add(memory.len().next_multiple_of(4096) + 4096, Ordering::Relaxed);
        // SAFETY: `Boot::memory` is mapped writable and not executable, and the addresses are given to nobody else.
        unsafe { AliasCode::new(memory, execute, tables::CodeTables::new(), cores::Others::new()) }
    }

    fn core() -> usize {
        GsBase::read().as_u64() as usize
    }

    fn stack() -> Range<usize> {
        stacks::of(Self::core())
    }

    fn start_cores(main: fn(usize)) -> usize {
        cores::start(main)
    }

    fn start_ticks(hz: u32, handler: fn()) {
        interrupts::set_tick(Self::core(), handler);
        // SAFETY: the table has a handler for the vector.
        unsafe { apic::start_timer(hz, interrupts::TIMER) };
    }

    fn stop_ticks() {
        apic::stop_timer();
    }

    fn writable_and_executable() -> Option<usize> {
        tables::writable_and_executable()
    }
}
