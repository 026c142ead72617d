//! The machine: from the entry to the kernel, and what the kernel asks of it.

use super::descriptor::Kind;
use super::devicetree::{Found, console, reserved};
use super::layout::{CODE, DEVICES, FIRMWARE, MEMORY, MEMORY_MAX, PAGE};
use super::tables::Region;
use super::{cores, exceptions, firmware, interrupts, tables};
use crate::arch::{Arch, Boot, STATUS_OFFSET, stacks};
use crate::{kernel, memory};
use aarch64_cpu::registers::{Readable, TPIDR_EL1};
use arm_gic::gicv2::registers::{Gicc, Gicd};
use arm_pl011_uart::{PL011Registers, Uart, UniqueMmioPointer};
use core::mem::size_of;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};
use dtoolkit::fdt::Fdt;
use opstamp::CodeError;
use opstamp_platform::bare::{AliasCode, aarch64 as isa};

/// The machine.
#[derive(Debug)]
pub struct Machine;

/// The serial console's registers; null until they are mapped.
static CONSOLE: AtomicPtr<PL011Registers> = AtomicPtr::new(core::ptr::null_mut());

/// The most ranges of memory that the device tree may reserve.
const RESERVED: usize = 32;

/// The bytes that a device tree takes at most (booting.rst, "Setup the device tree").
const DEVICE_TREE_MAX: usize = 2 << 20;

/// Where the entry comes to, with the physical addresses of the device tree and of the image, on the first core's
/// stack. What goes wrong before the console is found is told by the exit status alone.
pub extern "C" fn first_core(device_tree: usize, image: usize) -> ! {
    tables::init(image);
    // SAFETY: this is EL1, and the entry set SP_EL1 to this core's stack for exceptions.
    unsafe { isa::install::<exceptions::Kernel>() };
    let mut left = Region::new(FIRMWARE);
    let tree = read_device_tree(&mut left, device_tree);
    let mut devices = Region::new(DEVICES);
    let mut device = |address: usize, size: usize, what: &str| {
        let mapped = devices.map(address..address + size, Kind::Device);
        mapped.unwrap_or_else(|error| panic!("{what} at {address:#x} cannot be mapped: {error:?}"))
    };
    let registers = console(tree).unwrap_or_else(|lacks| panic!("{lacks}"));
    let registers = device(registers, size_of::<PL011Registers>(), "the serial port");
    CONSOLE.store(registers as *mut PL011Registers, Ordering::Release);
    let found = Found::read(tree).unwrap_or_else(|lacks| panic!("{lacks}"));
    let distributor = device(found.gic.distributor, size_of::<Gicd>(), "the interrupt distributor");
    let cpu_interface = device(found.gic.cpu_interface, size_of::<Gicc>(), "the interrupt controller's CPU interface");
    // SAFETY: the device tree says that these are the registers, and they have been mapped for this alone.
    unsafe { interrupts::init(distributor, cpu_interface, found.timer) };
    firmware::init(found.psci);
    cores::init(found.cores);

    let mut used: [Range<usize>; RESERVED + 3] = [const { 0..0 }; _];
    let own = [tables::image(), device_tree..device_tree + tree.data().len(), found.initrd.clone()];
    let mut ranges = own.into_iter().chain(reserved(tree));
    used.iter_mut().zip(&mut ranges).for_each(|(place, range)| *place = range);
    assert!(ranges.next().is_none(), "the device tree reserves more than {RESERVED} ranges of memory");
    let free = memory::largest([found.memory].into_iter(), &used, PAGE);
    let free = free.start..free.end.min(free.start + MEMORY_MAX);
    let memory = match Region::new(MEMORY).map(free.clone(), Kind::Data) {
        // SAFETY: memory that nothing uses, mapped writable, and nowhere else but by code windows that its owner makes.
        Ok(address) => unsafe { core::slice::from_raw_parts_mut(address as *mut u8, free.len()) },
        Err(error) => panic!("memory from {:#x} to {:#x} cannot be mapped: {error:?}", free.start, free.end),
    };
    let initrd = match &found.initrd {
        range if range.is_empty() => &[],
        range => match left.map(range.clone(), Kind::Constant) {
            // SAFETY: the loader put it there, and nothing else uses that memory.
            Ok(address) => unsafe { core::slice::from_raw_parts(address as *const u8, range.len()) },
            Err(error) => panic!("the initrd at {:#x} cannot be mapped: {error:?}", range.start),
        },
    };
    prepare(0);
    kernel::start(Boot { memory, initrd, command_line: found.command_line })
}

/// Maps and checks the device tree.
fn read_device_tree(region: &mut Region, address: usize) -> Fdt<'static> {
    /// The magic number and the size of the whole, big-endian.
    const HEADER: usize = 8;
    assert!(address != 0 && address.is_multiple_of(8), "the loader gave no device tree: x0 was {address:#x}");
    let map = |region: &mut Region, len| {
        let mapped = region.map(address..address + len, Kind::Constant);
        let mapped = mapped.unwrap_or_else(|error| panic!("the device tree cannot be mapped: {error:?}"));
        // SAFETY: the loader put it there, and nothing writes to it.
        unsafe { core::slice::from_raw_parts(mapped as *const u8, len) }
    };
    // Eight bytes at a multiple of eight lie in one page.
    let header = map(region, HEADER);
    let word = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.first_chunk()).map(|&b| u32::from_be_bytes(b));
    assert_eq!(word(0), Some(0xD00D_FEED), "what the loader gave is no device tree");
    let size = word(4).map_or(0, |size| size as usize);
    assert!(size <= DEVICE_TREE_MAX, "a device tree of {size} bytes");
    Fdt::new(map(region, size)).unwrap_or_else(|error| panic!("the device tree is damaged: {error}"))
}

/// What every core does before it runs anything; the entry has given it its number, stacks, tables and vector
/// registers.
pub fn prepare(core: usize) {
    // SAFETY: this is EL1, and the entry set SP_EL1 to this core's stack for exceptions.
    unsafe { isa::install::<exceptions::Kernel>() };
    if let Err(missing) = isa::features() {
        panic!("machine code cannot run: {missing}");
    }
    interrupts::prepare();
    cores::SYNC.join(core);
    interrupts::unmask();
}

impl Arch for Machine {
    type Code = AliasCode<'static, tables::CodeTables, cores::Others>;

    fn write(bytes: &[u8]) {
        let Some(registers) = NonNull::new(CONSOLE.load(Ordering::Acquire)) else { return };
        // SAFETY: these are the registers. The driver keeps no state beside them that a second one would have to share;
        // writes of several cores mix.
        let mut console = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        for &byte in bytes {
            while console.is_tx_fifo_full() {
                core::hint::spin_loop();
            }
            console.write_word(byte);
        }
    }

    fn exit(status: u8) -> ! {
        firmware::exit(STATUS_OFFSET + status)
    }

    fn code(memory: &'static mut [u8]) -> Result<Self::Code, CodeError> {
        let write = memory.as_ptr() as usize;
        if !(MEMORY..CODE).contains(&write) {
            let action = "make a code window of what is not part of the free memory";
            return Err(CodeError::System { action, code: 0 });
        }
        // SAFETY: `Boot::memory` is mapped writable and not executable; the addresses belong to this part of it alone.
        unsafe { AliasCode::new(memory, write + (CODE - MEMORY), tables::CodeTables::new(), cores::Others::new()) }
    }

    fn core() -> usize {
        TPIDR_EL1.get() as usize
    }

    fn stack() -> Range<usize> {
        stacks::of(Self::core())
    }

    fn start_cores(main: fn(usize)) -> usize {
        cores::start(main)
    }

    fn start_ticks(hz: u32, handler: fn()) {
        interrupts::start_ticks(hz, handler);
    }

    fn stop_ticks() {
        interrupts::stop_ticks();
    }

    fn writable_and_executable() -> Option<usize> {
        tables::writable_and_executable()
    }
}
