//! QEMU's `virt` machine, entered by the protocol of a Linux image at EL1.

use core::arch::{asm, global_asm};
use opstamp::CodeError;
use opstamp_platform::bare::{PageTables, aarch64 as isa};

/// Bytes of the kernel's stack.
pub const STACK_BYTES: usize = 256 << 10;
/// Where code is executed: the last 2 MiB of the second GiB, whose pages `code_pages` maps.
pub const CODE: usize = (1 << 30) + (511 << 21);

const WINDOW_BYTES: usize = 1 << 20;

unsafe extern "C" {
    /// The table of the code's pages.
    static mut code_pages: [u64; 512];
    /// Memory for code, from the linker's script.
    static mut window_start: [u8; WINDOW_BYTES];
}

/// A page: valid, inner shareable, accessed, read-only, not for EL0 (Arm ARM DDI 0487, D8.3).
const PAGE_OF_CODE: u64 = 0b11 | 1 << 7 | 0b11 << 8 | 1 << 10 | 1 << 54;

global_asm!(
    ".section .text.entry, \"ax\"",
    ".global entry",
    "entry:",
    "b 2f",
    ".word 0",
    ".quad 0",
    ".quad image_bytes",
    ".quad 0b0010",
    ".quad 0, 0, 0",
    ".ascii \"ARM\\x64\"",
    ".word 0",
    "2:",
    "mov x0, 3 << 20",
    "msr cpacr_el1, x0",
    // Memory that the image's file does not hold.
    "ldr x0, =bss_start",
    "ldr x1, =bss_end",
    "3:",
    "str xzr, [x0], 8",
    "cmp x0, x1",
    "b.lo 3b",
    // Attribute 0 is normal memory, written back; attribute 1 a device.
    "mov x0, 0x4ff",
    "msr mair_el1, x0",
    // 39 bits by TTBR0 alone, 4 KiB, walks cached and inner shareable.
    "ldr x0, =0x803519",
    "msr tcr_el1, x0",
    "ldr x0, =root",
    "msr ttbr0_el1, x0",
    "dsb sy",
    "tlbi vmalle1",
    "ic iallu",
    "dsb sy",
    "isb",
    // MMU, caches, WXN, and the bits that are 1.
    "ldr x0, =0x30d8180d",
    "msr sctlr_el1, x0",
    "isb",
    "ldr x0, =stack_end",
    "mov sp, x0",
    "bl {start}",
    ".ltorg",

    // The second GiB: its second 2 MiB, where code and constants lie, are executable and read-only; all behind them is
    // writable and not executable.
    ".section .data.entry, \"aw\"",
    ".balign 4096",
    "root:",
    ".quad 0x60000000000405", // the devices
    ".quad level2 + 3",
    ".fill 510, 8, 0",
    "level2:",
    ".quad 0",
    ".quad 0x40000040200781",
    ".set at, 0x40400000",
    ".rept 509",
    ".quad at + 0x60000000000701",
    ".set at, at + 0x200000",
    ".endr",
    ".quad code_pages + 3",
    ".global code_pages",
    "code_pages:",
    ".fill 512, 8, 0",
    start = sym enter,
);

extern "C" fn enter() -> ! {
    // SAFETY: EL1, and there is one thread.
    unsafe { isa::enable_vectors() };
    super::start()
}

/// Writes a byte to the serial line.
pub fn write(byte: u8) {
    const UART: *mut u32 = 0x0900_0000 as *mut u32;
    // SAFETY: the address is the serial line's data register.
    unsafe { UART.write_volatile(byte.into()) };
}

/// Ends the machine.
pub fn exit(status: u32) -> ! {
    const APPLICATION_EXIT: u64 = 0x20026;
    let block = [APPLICATION_EXIT, u64::from(32 + status)];
    // SAFETY: the semihosting call SYS_EXIT_EXTENDED, which does not return.
    unsafe { asm!("hlt 0xf000", "2:", "wfi", "b 2b", in("w0") 0x20, in("x1") &raw const block, options(noreturn)) };
}

/// Memory for code.
pub fn window() -> &'static mut [u8] {
    // SAFETY: called once.
    unsafe { &mut *(&raw mut window_start) }
}

/// The page tables.
pub struct Tables;

// SAFETY: `show` maps a page of the window read-only and executable; memory lies at its own addresses.
unsafe impl PageTables for Tables {
    const PAGE: usize = 4096;

    fn show(&mut self, execute: usize, write: usize) -> Result<(), CodeError> {
        set(execute, write as u64 | PAGE_OF_CODE);
        isa::mapped(execute);
        Ok(())
    }

    fn hide(&mut self, execute: usize) {
        set(execute, 0);
        // SAFETY: EL1.
        unsafe { isa::unmapped(execute) };
    }
}

fn set(execute: usize, entry: u64) {
    // SAFETY: one core, and the window's pages are fewer than the table's entries.
    unsafe { (&raw mut code_pages).cast::<u64>().add((execute - CODE) / 4096).write_volatile(entry) };
}
