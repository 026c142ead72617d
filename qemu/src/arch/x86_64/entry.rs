//! From the boot protocol, and from a core's reset, to Rust.
//!
//! PVH ("x86/HVM direct boot ABI" of Xen) enters in 32-bit mode with paging off and the address of the start information in
//! ebx; another core starts in real mode at the page that its start-up interrupt named. Both come to 64-bit mode by one way,
//! through `enter_long`.

use core::arch::global_asm;

unsafe extern "C" {
    /// The first byte of what other cores execute in real mode.
    static trampoline_start: u8;
    /// One past its last.
    static trampoline_end: u8;
    /// The page tables that another core starts with: their address.
    static mut starting_tables: u32;
}

/// The code that other cores start with. It can lie on any page of the first 64 KiB; its entry is its first byte.
pub fn trampoline() -> &'static [u8] {
    let (start, end) = (&raw const trampoline_start, &raw const trampoline_end);
    // SAFETY: the linker places both symbols around the trampoline, in read-only memory.
    unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Sets the page tables that other cores start with.
///
/// # Safety
///
/// No other core is being started at this time.
pub unsafe fn start_with_tables(address: u32) {
    // SAFETY: by the contract nothing reads the word now.
    unsafe { (&raw mut starting_tables).write_volatile(address) };
}

global_asm!(
    // The ELF note that names the entry (Xen's public/elfnote.h: XEN_ELFNOTE_PHYS32_ENTRY).
    ".section .note.pvh, \"a\", @note",
    ".balign 4",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad pvh_entry",

    ".section .boot, \"ax\"",
    ".code32",
    ".global pvh_entry",
    "pvh_entry:",
    "cli",
    "cld",
    "mov edi, ebx",
    "mov ebp, offset first_core",
    "mov eax, offset early_pml4",
    "jmp enter_long",

    ".global other_core_32",
    "other_core_32:",
    "mov ax, 0x10",
    "mov ds, ax",
    "mov ebp, offset other_core",
    "mov eax, [starting_tables]",

    // eax holds the address of the page tables, ebp where to go on in 64-bit mode (Intel SDM vol. 3, 9.8.5, "Initializing
    // IA-32e Mode").
    "enter_long:",
    "mov cr3, eax",
    "mov eax, cr4",
    "or eax, 0x20", // PAE
    "mov cr4, eax",
    "mov ecx, 0xc0000080", // EFER
    "rdmsr",
    "or eax, 0x900", // LME, NXE
    "wrmsr",
    "mov eax, cr0",
    "and eax, 0x9fffffff", // caches on
    "or eax, 0x80010001",  // PG, WP, PE
    "mov cr0, eax",
    "lgdt [boot_gdt_pointer]",
    ".byte 0xea", // jmp 8:long_mode
    ".long long_mode",
    ".word 8",

    ".code64",
    "long_mode:",
    "xor eax, eax",
    "mov fs, ax",
    "mov gs, ax",
    "mov al, 0x10",
    "mov ds, ax",
    "mov es, ax",
    "mov ss, ax",
    "mov ebp, ebp",
    "jmp rbp",

    "first_core:",
    "mov edi, edi",
    "lea rsp, [rip + {first_stack} + {first_bytes}]",
    "call {first}",
    "ud2",

    "other_core:",
    "mov edi, 1",
    "lock xadd [rip + {started}], rdi",
    "cmp rdi, {cores}",
    "jae 2f",
    "mov rax, rdi",
    "imul rax, rax, {other_bytes}",
    "lea rsp, [rip + {other_stacks}]",
    "add rsp, rax",
    "call {other}",
    "2:",
    "cli",
    "hlt",
    "jmp 2b",

    ".section .rodata.boot, \"a\"",
    ".code16",
    ".global trampoline_start, trampoline_end",
    "trampoline_start:",
    "jmp 2f",
    ".balign 4",
    ".word 31", // at offset 4: the pointer to the segments
    ".long boot_gdt",
    "2:",
    "cli",
    "cld",
    "mov ax, cs",
    "mov ds, ax",
    ".byte 0x66", // a base of 32 bits
    "lgdt [4]",
    "mov eax, cr0",
    "or al, 1",
    "mov cr0, eax",
    ".byte 0x66, 0xea", // jmp 0x18:other_core_32
    ".long other_core_32",
    ".word 0x18",
    "trampoline_end:",
    ".code64",

    ".balign 8",
    // The accessed bits are set, because the CPU cannot set them here.
    "boot_gdt:",
    ".quad 0",
    ".quad 0x00af9b000000ffff", // 0x08: 64-bit code
    ".quad 0x00cf93000000ffff", // 0x10: data
    ".quad 0x00cf9b000000ffff", // 0x18: 32-bit code
    "boot_gdt_pointer:",
    ".word 31",
    ".long boot_gdt",

    // The first gibibyte at its own addresses, in pages of 2 MiB, until the kernel has built its own tables.
    ".section .data.boot, \"aw\"",
    ".balign 4096",
    "early_pml4:",
    ".quad early_pdpt + 3",
    ".fill 511, 8, 0",
    "early_pdpt:",
    ".quad early_pd + 3",
    ".fill 511, 8, 0",
    "early_pd:",
    ".set page, 0",
    ".rept 512",
    ".quad page + 0x83",
    ".set page, page + 0x200000",
    ".endr",
    ".global starting_tables",
    "starting_tables:",
    ".long 0",
    first_stack = sym super::stacks::FIRST,
    first_bytes = const super::stacks::FIRST_BYTES,
    other_stacks = sym super::stacks::OTHERS,
    other_bytes = const super::stacks::OTHER_BYTES,
    cores = const crate::arch::MAX_CORES,
    started = sym super::cores::STARTED,
    first = sym super::first_core,
    other = sym super::cores::other_core,
);
