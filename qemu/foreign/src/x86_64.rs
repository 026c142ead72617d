//! A PC, entered by PVH.

use core::arch::{asm, global_asm};
use opstamp::CodeError;
use opstamp_platform::bare::{PageTables, x86_64 as isa};

/// Bytes of the kernel's stack.
pub const STACK_BYTES: usize = 256 << 10;
/// Where code is executed: the last 2 MiB of the first GiB, whose pages `code_pages` maps.
pub const CODE: usize = 511 << 21;

const WINDOW_BYTES: usize = 1 << 20;

unsafe extern "C" {
    /// The table of the code's pages.
    static mut code_pages: [u64; 512];
    /// Memory for code, from the linker's script.
    static mut window_start: [u8; WINDOW_BYTES];
}

global_asm!(
    ".section .note.pvh, \"a\", @note",
    ".balign 4",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad entry",

    ".section .text.entry, \"ax\"",
    ".code32",
    ".global entry",
    "entry:",
    "cli",
    "cld",
    "mov eax, offset root",
    "mov cr3, eax",
    "mov eax, cr4",
    "or eax, 0x20",
    "mov cr4, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or eax, 0x900",
    "wrmsr",
    "mov eax, cr0",
    "or eax, 0x80010001",
    "mov cr0, eax",
    "lgdt [segments_pointer]",
    ".byte 0xea",
    ".long 2f",
    ".word 8",
    ".code64",
    "2:",
    "mov eax, 0x10",
    "mov ds, eax",
    "mov es, eax",
    "mov ss, eax",
    "lea rsp, [rip + stack_end]",
    "call {start}",

    ".section .rodata.entry, \"a\"",
    ".balign 8",
    // The accessed bits are set, because the CPU cannot set them here.
    "segments:",
    ".quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff",
    "segments_pointer:",
    ".word 23",
    ".long segments",

    // The first 2 MiB, where code and constants lie, are executable and read-only; all else up to a GiB is writable and
    // not executable.
    ".section .data.entry, \"aw\"",
    ".balign 4096",
    "root:",
    ".quad level3 + 3",
    ".fill 511, 8, 0",
    "level3:",
    ".quad level2 + 3",
    ".fill 511, 8, 0",
    "level2:",
    ".quad 0x81",
    ".set at, 0x200000",
    ".rept 510",
    ".quad at + 0x8000000000000083",
    ".set at, at + 0x200000",
    ".endr",
    ".quad code_pages + 3",
    ".global code_pages",
    "code_pages:",
    ".fill 512, 8, 0",
    start = sym enter,
);

extern "sysv64" fn enter() -> ! {
    // SAFETY: ring 0, and vector registers are machine code's.
    unsafe { isa::enable_vectors() };
    super::start()
}

/// Writes a byte to the serial line.
pub fn write(byte: u8) {
    // SAFETY: the port is the serial line's.
    unsafe { asm!("out dx, al", in("dx") 0x3F8_u16, in("al") byte, options(nomem, nostack)) };
}

/// Ends the machine.
pub fn exit(status: u32) -> ! {
    // SAFETY: the port is QEMU's exit device's.
    unsafe { asm!("out dx, eax", "2:", "hlt", "jmp 2b", in("dx") 0xF4_u16, in("eax") 32 + status, options(noreturn)) };
}

/// Memory for code.
pub fn window() -> &'static mut [u8] {
    // SAFETY: called once.
    unsafe { &mut *(&raw mut window_start) }
}

/// The page tables.
pub struct Tables;

// SAFETY: `show` maps a page of the window present, neither writable nor NX; memory lies at its own addresses.
unsafe impl PageTables for Tables {
    const PAGE: usize = 4096;

    fn show(&mut self, execute: usize, write: usize) -> Result<(), CodeError> {
        set(execute, write as u64 | 1);
        isa::mapped(execute);
        Ok(())
    }

    fn hide(&mut self, execute: usize) {
        set(execute, 0);
        // SAFETY: ring 0.
        unsafe { isa::unmapped(execute) };
    }
}

fn set(execute: usize, entry: u64) {
    // SAFETY: one core, and the window's pages are fewer than the table's entries.
    unsafe { (&raw mut code_pages).cast::<u64>().add((execute - CODE) / 4096).write_volatile(entry) };
}
