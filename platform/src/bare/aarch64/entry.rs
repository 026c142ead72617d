//! Interrupt and exception entry: a vector table (Arm ARM DDI 0487, D1, "Exception vectors") that saves everything
//! that machine code and Rust use, the vector registers included, and calls the kernel's handler.
//!
//! Threads run on SP_EL0 (`msr spsel, #0`); exceptions change to SP_EL1 by themselves. So one that is caused by running
//! off a thread's stack still has a stack for its report, and interrupts take nothing from the stacks that guests run
//! on. A fault of a handler, which may have run off its own stack, goes back to SP_EL0.

use core::arch::{asm, global_asm};
use core::mem::{offset_of, size_of};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// What was interrupted: the registers as they were.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Interrupted {
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack pointer. Changing it has an effect only if it is SP_EL0.
    pub sp: u64,
    /// The address to go on at (ELR_EL1).
    pub pc: u64,
    /// The processor state to go on in (SPSR_EL1).
    pub spsr: u64,
    /// The floating-point status.
    pub fpsr: u64,
    /// The floating-point control.
    pub fpcr: u64,
    /// v0 to v31.
    pub v: [u128; 32],
    /// The number of the vector, from 0: four each for this exception level on SP_EL0, this one on SP_EL1, a lower one
    /// in AArch64 state and a lower one in AArch32 state.
    pub vector: u64,
}

/// The kinds of exceptions, in the order of their vectors (Arm ARM, D1, "Exception vectors").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Caused by the instruction at [`Interrupted::pc`].
    Synchronous,
    /// An interrupt.
    Irq,
    /// A fast interrupt.
    Fiq,
    /// An error of the system, at no particular instruction.
    SystemError,
}

impl Interrupted {
    /// The kind of exception.
    pub const fn kind(&self) -> Kind {
        match self.vector & 3 {
            0 => Kind::Synchronous,
            1 => Kind::Irq,
            2 => Kind::Fiq,
            _ => Kind::SystemError,
        }
    }

    /// Whether SP_EL1 was in use: whether a handler was interrupted, or raised it.
    pub const fn in_handler(&self) -> bool {
        self.vector >> 2 == 1
    }
}

/// What handles interrupts and exceptions.
pub trait Handler {
    /// Handles one. Runs with interrupts masked, with the floating-point control that Rust expects, on SP_EL1, or for a
    /// fault of a handler on SP_EL0. What it stores in `interrupted` is what goes on.
    extern "C" fn handle(interrupted: &mut Interrupted);
}

/// The handler's address.
static HANDLE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Makes this core enter exceptions through the table, and all cores that did so use this handler.
///
/// # Safety
///
/// The caller runs at EL1. When an exception is taken, SP_EL0 and SP_EL1 are multiples of 16 with the size of
/// [`Interrupted`], and what the handler needs, mapped writable below, and that memory is this core's alone.
pub unsafe fn install<H: Handler>() {
    HANDLE.store(H::handle as *mut (), Ordering::Release);
    // SAFETY: the table below is aligned and mapped as the program's text is; by the contract this is EL1.
    unsafe {
        asm!(
            "adrp {table}, opstamp_vectors",
            "add {table}, {table}, :lo12:opstamp_vectors",
            "msr vbar_el1, {table}",
            "isb",
            table = out(reg) _,
            options(nostack, preserves_flags)
        );
    }
}

global_asm!(
    ".pushsection .text.opstamp_vectors, \"ax\"",
    // Each vector has room for 32 instructions. It stores x0 and x1 where the rest follows, and hands on its number in
    // x0 and the stack pointer that was interrupted in x1.
    ".macro opstamp_from_thread number",
    ".balign 0x80",
    "sub sp, sp, {size}",
    "stp x0, x1, [sp]",
    "mrs x1, sp_el0",
    "mov x0, \\number",
    "b opstamp_exception",
    ".endm",
    ".macro opstamp_from_handler number",
    ".balign 0x80",
    "sub sp, sp, {size}",
    "stp x0, x1, [sp]",
    "add x1, sp, {size}",
    "mov x0, \\number",
    "b opstamp_exception",
    ".endm",
    ".macro opstamp_handler_fault number",
    ".balign 0x80",
    "msr spsel, 0",
    "sub sp, sp, {size}",
    "stp x0, x1, [sp]",
    "msr spsel, 1",
    "mov x1, sp",
    "msr spsel, 0",
    "mov x0, \\number",
    "b opstamp_exception",
    ".endm",
    ".balign 0x800",
    "opstamp_vectors:",
    ".irp number, 0,1,2,3",
    "opstamp_from_thread \\number",
    ".endr",
    "opstamp_handler_fault 4",
    "opstamp_from_handler 5",
    "opstamp_from_handler 6",
    "opstamp_handler_fault 7",
    ".irp number, 8,9,10,11,12,13,14,15",
    "opstamp_from_thread \\number",
    ".endr",
    ".purgem opstamp_from_thread",
    ".purgem opstamp_from_handler",
    ".purgem opstamp_handler_fault",
    "opstamp_exception:",
    "stp x2, x3, [sp, 16]",
    "stp x4, x5, [sp, 32]",
    "stp x6, x7, [sp, 48]",
    "stp x8, x9, [sp, 64]",
    "stp x10, x11, [sp, 80]",
    "stp x12, x13, [sp, 96]",
    "stp x14, x15, [sp, 112]",
    "stp x16, x17, [sp, 128]",
    "stp x18, x19, [sp, 144]",
    "stp x20, x21, [sp, 160]",
    "stp x22, x23, [sp, 176]",
    "stp x24, x25, [sp, 192]",
    "stp x26, x27, [sp, 208]",
    "stp x28, x29, [sp, 224]",
    "str x0, [sp, {vector}]",
    "stp x30, x1, [sp, 240]",
    "mrs x2, elr_el1",
    "mrs x3, spsr_el1",
    "stp x2, x3, [sp, {pc}]",
    "mrs x2, fpsr",
    "mrs x3, fpcr",
    "stp x2, x3, [sp, {fpsr}]",
    "msr fpcr, xzr",
    "stp q0, q1, [sp, {v} + 0]",
    "stp q2, q3, [sp, {v} + 32]",
    "stp q4, q5, [sp, {v} + 64]",
    "stp q6, q7, [sp, {v} + 96]",
    "stp q8, q9, [sp, {v} + 128]",
    "stp q10, q11, [sp, {v} + 160]",
    "stp q12, q13, [sp, {v} + 192]",
    "stp q14, q15, [sp, {v} + 224]",
    "stp q16, q17, [sp, {v} + 256]",
    "stp q18, q19, [sp, {v} + 288]",
    "stp q20, q21, [sp, {v} + 320]",
    "stp q22, q23, [sp, {v} + 352]",
    "stp q24, q25, [sp, {v} + 384]",
    "stp q26, q27, [sp, {v} + 416]",
    "stp q28, q29, [sp, {v} + 448]",
    "stp q30, q31, [sp, {v} + 480]",
    "adrp x1, {handle}",
    "ldr x1, [x1, :lo12:{handle}]",
    "mov x0, sp",
    // The chain of frame records ends here.
    "mov x29, xzr",
    "blr x1",
    "ldp x2, x3, [sp, {fpsr}]",
    "msr fpsr, x2",
    "msr fpcr, x3",
    "ldp q0, q1, [sp, {v} + 0]",
    "ldp q2, q3, [sp, {v} + 32]",
    "ldp q4, q5, [sp, {v} + 64]",
    "ldp q6, q7, [sp, {v} + 96]",
    "ldp q8, q9, [sp, {v} + 128]",
    "ldp q10, q11, [sp, {v} + 160]",
    "ldp q12, q13, [sp, {v} + 192]",
    "ldp q14, q15, [sp, {v} + 224]",
    "ldp q16, q17, [sp, {v} + 256]",
    "ldp q18, q19, [sp, {v} + 288]",
    "ldp q20, q21, [sp, {v} + 320]",
    "ldp q22, q23, [sp, {v} + 352]",
    "ldp q24, q25, [sp, {v} + 384]",
    "ldp q26, q27, [sp, {v} + 416]",
    "ldp q28, q29, [sp, {v} + 448]",
    "ldp q30, q31, [sp, {v} + 480]",
    "ldp x2, x3, [sp, {pc}]",
    "msr elr_el1, x2",
    "msr spsr_el1, x3",
    "ldp x30, x2, [sp, 240]",
    "ldr x4, [sp, {vector}]",
    "lsr x4, x4, 2",
    "cmp x4, 1",
    // What was interrupted on SP_EL1 finds it as it was.
    "b.eq 1f",
    "msr sp_el0, x2",
    "1:",
    "ldp x28, x29, [sp, 224]",
    "ldp x26, x27, [sp, 208]",
    "ldp x24, x25, [sp, 192]",
    "ldp x22, x23, [sp, 176]",
    "ldp x20, x21, [sp, 160]",
    "ldp x18, x19, [sp, 144]",
    "ldp x16, x17, [sp, 128]",
    "ldp x14, x15, [sp, 112]",
    "ldp x12, x13, [sp, 96]",
    "ldp x10, x11, [sp, 80]",
    "ldp x8, x9, [sp, 64]",
    "ldp x6, x7, [sp, 48]",
    "ldp x4, x5, [sp, 32]",
    "ldp x2, x3, [sp, 16]",
    "ldp x0, x1, [sp]",
    "add sp, sp, {size}",
    "eret",
    ".popsection",
    size = const size_of::<Interrupted>(),
    pc = const offset_of!(Interrupted, pc),
    fpsr = const offset_of!(Interrupted, fpsr),
    v = const offset_of!(Interrupted, v),
    vector = const offset_of!(Interrupted, vector),
    handle = sym HANDLE,
);

// The pairs and offsets that the text above counts by hand.
const _: () = {
    assert!(offset_of!(Interrupted, x) == 0 && offset_of!(Interrupted, sp) == 248);
    assert!(offset_of!(Interrupted, spsr) == offset_of!(Interrupted, pc) + 8);
    assert!(offset_of!(Interrupted, fpcr) == offset_of!(Interrupted, fpsr) + 8);
    assert!(offset_of!(Interrupted, v).is_multiple_of(16) && size_of::<Interrupted>().is_multiple_of(16));
};
