//! Entry from interrupts and exceptions, which may have interrupted machine code.

use super::vectors::{STATES, XSAVE};
use core::arch::naked_asm;

/// What was interrupted: the registers as they were, in the order in which [`entry`] stores them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "registers")]
pub struct Interrupted {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    /// The vector.
    pub vector: u64,
    /// The error code; 0 for vectors that have none.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// What handles interrupts and exceptions.
pub trait Handler {
    /// Handles one. Runs with interrupts masked, on the stack that the interrupt descriptor chose. What it stores in
    /// `interrupted` is what goes on.
    extern "sysv64" fn handle(interrupted: &mut Interrupted);
}

/// Whether the CPU pushes an error code for a vector (Intel SDM vol. 3, 6.15; AMD APM vol. 2, 8.2).
const fn has_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
}

/// The address of the entry for a vector, for the kernel's interrupt descriptor table. It saves all that machine code and
/// Rust use: the general registers, and the x87, SSE and AVX state by XSAVE, or by FXSAVE where the CPU has no XSAVE
/// ([`super::enable_vectors`] finds out). Then it calls [`Handler::handle`], restores everything and returns.
///
/// The descriptor has to be an interrupt gate to ring 0 from ring 0: the entry does not exchange the GS base. Give it a
/// stack of its own (IST), because machine code may have left little of the one that
/// it runs on.
pub fn entry<H: Handler, const VECTOR: u8>() -> usize {
    if has_error_code(VECTOR) {
        with_error_code::<H, VECTOR> as *const () as usize
    } else {
        without_error_code::<H, VECTOR> as *const () as usize
    }
}

#[unsafe(naked)]
unsafe extern "C" fn with_error_code<H: Handler, const VECTOR: u8>() -> ! {
    naked_asm!("push {vector}", "jmp {common}", vector = const VECTOR, common = sym common::<H>)
}

#[unsafe(naked)]
unsafe extern "C" fn without_error_code<H: Handler, const VECTOR: u8>() -> ! {
    naked_asm!("push 0", "push {vector}", "jmp {common}", vector = const VECTOR, common = sym common::<H>)
}

/// The size of the area that XSAVE fills in its standard form: the legacy region of 512 bytes, the header of 64, and the
/// AVX state behind it (Intel SDM vol. 1, 13.4), which all CPUs have at the same place.
const AREA: usize = 512 + 64 + 256;

/// The vector and the error code have been pushed. rbx, which the handler preserves, keeps the stack pointer.
#[unsafe(naked)]
unsafe extern "C" fn common<H: Handler>() -> ! {
    naked_asm!(
        "push rax",
        "push rbx",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "cld",
        "mov rbx, rsp",
        "mov rdi, rsp",
        "sub rsp, {area}",
        "and rsp, -64",
        "movzx r12d, byte ptr [rip + {xsave}]",
        "test r12d, r12d",
        "jz 2f",
        // XSAVE leaves most of the header as it is, and XRSTOR wants zeros there (SDM vol. 1, 13.7 and 13.8).
        "xor eax, eax",
        "mov [rsp + 512], rax",
        "mov [rsp + 520], rax",
        "mov [rsp + 528], rax",
        "mov [rsp + 536], rax",
        "mov [rsp + 544], rax",
        "mov [rsp + 552], rax",
        "mov [rsp + 560], rax",
        "mov [rsp + 568], rax",
        "mov eax, {states}",
        "xor edx, edx",
        "xsave64 [rsp]",
        "jmp 3f",
        "2:",
        "fxsave64 [rsp]",
        "3:",
        "call {handle}",
        "test r12d, r12d",
        "jz 4f",
        "mov eax, {states}",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "jmp 5f",
        "4:",
        "fxrstor64 [rsp]",
        "5:",
        "mov rsp, rbx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        "add rsp, 16",
        "iretq",
        area = const AREA,
        states = const STATES,
        xsave = sym XSAVE,
        handle = sym H::handle,
    )
}
