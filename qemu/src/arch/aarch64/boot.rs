//! From the boot protocol to Rust: the header of a Linux image and the code behind it.
//!
//! The header and the state at the entry are those of Linux' Documentation/arch/arm64/booting.rst: MMU and data cache
//! off, interrupts masked, EL1 or EL2, the image at any multiple of 2 MiB, x0 the physical address of the device tree.
//! Other cores come in the same state from PSCI's CPU_ON (Arm DEN 0022, "Initial core configuration"), with x0 what was
//! asked for.
//!
//! The entry writes the tables while data caches are off, so it invalidates their lines before anything reads them
//! through a cache. Memory that it does not need before that it leaves alone.

use super::descriptor::{self, DEVICE_INDEX, Kind, NORMAL_INDEX};
use super::layout::{IMAGE_TABLES, PAGE};
use crate::arch::stacks;
use aarch64_cpu::registers::{CPACR_EL1, HCR_EL2, MAIR_EL1, SCTLR_EL1, TCR_EL1};
use core::arch::global_asm;
use core::cell::UnsafeCell;

/// A translation table. Memory that the MMU reads and the kernel writes by volatile accesses.
#[repr(C, align(4096))]
pub struct Table(pub UnsafeCell<[u64; 512]>);

// SAFETY: tables are reached through `tables` alone, which takes a lock.
unsafe impl Sync for Table {}

impl Table {
    /// A table that maps nothing.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }
}

/// The root of the upper half.
#[unsafe(link_section = ".tables")]
pub static ROOT: Table = Table::new();
/// Maps the image's first GiB.
#[unsafe(link_section = ".tables")]
static IMAGE_BLOCKS: Table = Table::new();
/// Maps the image's pages; one after the other, so its entries are numbered by pages.
#[unsafe(link_section = ".tables")]
static IMAGE_PAGES: [Table; IMAGE_TABLES] = [const { Table::new() }; IMAGE_TABLES];
/// The root of the lower half while the MMU is being turned on: the GiB that the image starts in, at its own address.
#[unsafe(link_section = ".tables")]
pub static IDENTITY: Table = Table::new();

/// Bits of SCTLR_EL1 that are 1 where the feature that gives them a meaning is absent: LSMAOE, nTLSMD, SPAN, EIS,
/// TSCXT, EOS.
const SCTLR_RES1: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;

/// MMU and caches on, nothing executed that can be written, stack pointers aligned.
const SCTLR: u64 = SCTLR_RES1
    | SCTLR_EL1::M::Enable.value
    | SCTLR_EL1::C::Cacheable.value
    | SCTLR_EL1::I::Cacheable.value
    | SCTLR_EL1::WXN::Enable.value
    | SCTLR_EL1::SA::Enable.value;

const MAIR: u64 = (MAIR_EL1::Attr0_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr0_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc.value)
    << (8 * NORMAL_INDEX)
    | MAIR_EL1::Attr0_Device::nonGathering_nonReordering_EarlyWriteAck.value << (8 * DEVICE_INDEX);

/// Both halves: 39 bits, 4 KiB, walks cached and inner shareable. The size of physical addresses comes from the CPU.
const TCR: u64 = TCR_EL1::T0SZ.val(25).value
    | TCR_EL1::TG0::KiB_4.value
    | TCR_EL1::SH0::Inner.value
    | TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::T1SZ.val(25).value
    | TCR_EL1::TG1::KiB_4.value
    | TCR_EL1::SH1::Inner.value
    | TCR_EL1::ORGN1::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::IRGN1::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value;

/// With this the lower half translates nothing.
const TCR_EPD0: u64 = TCR_EL1::EPD0::DisableTTBR0Walks.value;

/// EL1 on its own stack pointer, all interrupts masked: what an exception level above returns to.
const EL1H_MASKED: u64 = 0b1111 << 6 | 0b0101;

unsafe extern "C" {
    /// Where a core that PSCI starts comes in, with its number in x0.
    pub fn secondary_entry();
}

global_asm!(
    ".pushsection .boot, \"ax\"",
    ".global image_header",
    "image_header:",
    "b primary_entry",
    ".word 0",
    // The offset from a multiple of 2 MiB, and the bytes that the image takes with what is not in the file.
    ".quad 0",
    ".quad image_bytes",
    // Little-endian, pages of 4 KiB, anywhere in memory.
    ".quad 0b1010",
    ".quad 0, 0, 0",
    ".ascii \"ARM\\x64\"",
    ".word 0",

    // Goes down to EL1 if this is EL2, with the MMU off in either.
    ".macro enter_el1",
    "mrs x9, CurrentEL",
    "cmp x9, 2 << 2",
    "b.ne 1f",
    "ldr x9, ={hcr}",
    "msr hcr_el2, x9",
    // Counter and timer are EL1's own, with no offset.
    "mov x9, 3",
    "msr cnthctl_el2, x9",
    "msr cntvoff_el2, xzr",
    // Nothing is trapped but SVE and SME; floating point is not.
    "mov x9, 0x33ff",
    "msr cptr_el2, x9",
    "msr hstr_el2, xzr",
    "msr vttbr_el2, xzr",
    "mrs x9, midr_el1",
    "msr vpidr_el2, x9",
    "mrs x9, mpidr_el1",
    "msr vmpidr_el2, x9",
    "ldr x9, ={sctlr_res1}",
    "msr sctlr_el1, x9",
    "mov x9, {el1h}",
    "msr spsr_el2, x9",
    "adr x9, 1f",
    "msr elr_el2, x9",
    "eret",
    "1:",
    "msr daifset, 0b1111",
    "ldr x9, ={sctlr_res1}",
    "msr sctlr_el1, x9",
    // Rust code uses vector registers for moves of memory from its first function on.
    "ldr x9, ={cpacr}",
    "msr cpacr_el1, x9",
    "isb",
    ".endm",

    // The address of a symbol, wherever the image lies.
    ".macro here register, symbol",
    "adrp \\register, \\symbol",
    "add \\register, \\register, :lo12:\\symbol",
    ".endm",

    // Maps the pages of the image from one symbol to another. x20 is the image's address, x21 its page tables.
    ".macro map_pages from, to, attributes",
    "here x9, \\from",
    "here x10, \\to",
    "ldr x11, =\\attributes",
    "2:",
    "cmp x9, x10",
    "b.hs 3f",
    "sub x12, x9, x20",
    "lsr x12, x12, 12",
    "orr x13, x9, x11",
    "str x13, [x21, x12, lsl 3]",
    "add x9, x9, {page}",
    "b 2b",
    "3:",
    ".endm",

    "primary_entry:",
    "mov x19, x0",
    "enter_el1",
    "here x20, image_start",
    // Clear all tables.
    "here x9, tables_start",
    "here x10, tables_end",
    "2:",
    "stp xzr, xzr, [x9], 16",
    "cmp x9, x10",
    "b.lo 2b",
    // The root's first entry, the blocks' entries, and the pages of each part of the image.
    "here x9, {root}",
    "here x10, {blocks}",
    "orr x11, x10, {table_bits}",
    "str x11, [x9]",
    "here x21, {pages}",
    "mov x9, {image_tables}",
    "orr x11, x21, {table_bits}",
    "2:",
    "str x11, [x10], 8",
    "add x11, x11, {page}",
    "subs x9, x9, 1",
    "b.ne 2b",
    "map_pages image_start, text_end, {code}",
    "map_pages text_end, rodata_end, {constant}",
    "map_pages rodata_end, image_end, {data}",
    // The image's GiB at its own address, executable and not writable.
    "lsr x9, x20, 30",
    "lsl x10, x9, 30",
    "ldr x11, ={code_block}",
    "orr x10, x10, x11",
    "here x11, {identity}",
    "str x10, [x11, x9, lsl 3]",
    // A cache may hold older contents of the tables.
    "dsb sy",
    "mrs x9, ctr_el0",
    "ubfx x9, x9, 16, 4",
    "mov x10, 4",
    "lsl x10, x10, x9",
    "here x9, tables_start",
    "here x11, tables_end",
    "2:",
    "dc ivac, x9",
    "add x9, x9, x10",
    "cmp x9, x11",
    "b.lo 2b",
    "dsb sy",
    "mov x22, xzr",
    "ldr x30, =primary_mapped",
    "b mmu_on",
    "primary_mapped:",
    "ldr x9, =bss_start",
    "ldr x10, =bss_end",
    "2:",
    "cmp x9, x10",
    "b.hs 3f",
    "stp xzr, xzr, [x9], 16",
    "b 2b",
    "3:",
    "mov x0, x19",
    "mov x1, x20",
    "bl {primary}",
    "brk 0",

    ".global secondary_entry",
    "secondary_entry:",
    "mov x22, x0",
    "enter_el1",
    "ldr x30, =secondary_mapped",
    "b mmu_on",
    "secondary_mapped:",
    "mov x0, x22",
    "bl {secondary}",
    "brk 0",

    // Turns the MMU on and returns, to an address that the image is linked to run at, on the stacks of core x22.
    "mmu_on:",
    "ldr x9, ={mair}",
    "msr mair_el1, x9",
    "ldr x9, ={tcr}",
    // The size of physical addresses, at most 48 bits.
    "mrs x10, id_aa64mmfr0_el1",
    "and x10, x10, 0xf",
    "mov x11, 5",
    "cmp x10, x11",
    "csel x10, x10, x11, lo",
    "orr x9, x9, x10, lsl 32",
    "msr tcr_el1, x9",
    "here x10, {identity}",
    "msr ttbr0_el1, x10",
    "here x10, {root}",
    "msr ttbr1_el1, x10",
    "tlbi vmalle1",
    "ic iallu",
    "dsb nsh",
    "isb",
    "ldr x10, ={sctlr}",
    "msr sctlr_el1, x10",
    "isb",
    "ldr x10, =4f",
    "br x10",
    "4:",
    // The lower half translates nothing from here on, and what was cached of it goes.
    "ldr x10, ={epd0}",
    "orr x9, x9, x10",
    "msr tcr_el1, x9",
    "isb",
    "tlbi vmalle1",
    "dsb nsh",
    "isb",
    // Exceptions take SP_EL1, all else SP_EL0.
    "ldr x9, ={first} + {first_bytes}",
    "cbz x22, 5f",
    "ldr x9, ={others}",
    "ldr x10, ={other_bytes}",
    "madd x9, x22, x10, x9",
    "5:",
    "msr sp_el0, x9",
    "ldr x9, ={interrupts}",
    "add x10, x22, 1",
    "ldr x11, ={interrupt_bytes}",
    "madd x9, x10, x11, x9",
    "mov sp, x9",
    "msr spsel, 0",
    // The core's number, where Rust finds it.
    "msr tpidr_el1, x22",
    "mov x29, xzr",
    "ret",
    ".ltorg",
    ".purgem enter_el1",
    ".purgem here",
    ".purgem map_pages",
    ".popsection",
    hcr = const HCR_EL2::RW::EL1IsAarch64.value,
    sctlr_res1 = const SCTLR_RES1,
    el1h = const EL1H_MASKED,
    cpacr = const CPACR_EL1::FPEN::TrapNothing.value,
    page = const PAGE,
    image_tables = const IMAGE_TABLES,
    table_bits = const descriptor::table(0),
    code = const descriptor::attributes(Kind::Code, true),
    constant = const descriptor::attributes(Kind::Constant, true),
    data = const descriptor::attributes(Kind::Data, true),
    code_block = const descriptor::attributes(Kind::Code, false),
    mair = const MAIR,
    tcr = const TCR,
    epd0 = const TCR_EPD0,
    sctlr = const SCTLR,
    first = sym stacks::FIRST,
    first_bytes = const stacks::FIRST_BYTES,
    others = sym stacks::OTHERS,
    other_bytes = const stacks::OTHER_BYTES,
    interrupts = sym stacks::INTERRUPTS,
    interrupt_bytes = const stacks::INTERRUPT_BYTES,
    root = sym ROOT,
    blocks = sym IMAGE_BLOCKS,
    pages = sym IMAGE_PAGES,
    identity = sym IDENTITY,
    primary = sym super::machine::first_core,
    secondary = sym super::cores::other_core,
);
