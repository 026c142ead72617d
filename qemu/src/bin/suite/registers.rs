//! Whether interrupts leave every register as it was.

use crate::checks::Tally;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use opstamp_qemu::arch::{Arch, Machine};

/// Values of registers, in the order in which [`hold`] loads and stores them.
#[derive(Clone, Copy, PartialEq)]
#[repr(C, align(16))]
struct Values {
    /// v0 to v31.
    v: [[u64; 2]; 32],
    /// x2 to x30, and a place of no meaning.
    x: [u64; 30],
    fpsr: u64,
    fpcr: u64,
}

/// Interrupts so far, and how many are waited for.
static COUNT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Loads all registers from `values`, waits until the first of `count` has reached the second, and stores them all
/// again. x0 and x1 are what it waits with.
#[unsafe(naked)]
unsafe extern "C" fn hold(values: *mut Values, count: *const [AtomicU64; 2]) {
    naked_asm!(
        "stp x29, x30, [sp, -176]!",
        "stp x19, x20, [sp, 16]",
        "stp x21, x22, [sp, 32]",
        "stp x23, x24, [sp, 48]",
        "stp x25, x26, [sp, 64]",
        "stp x27, x28, [sp, 80]",
        "stp d8, d9, [sp, 96]",
        "stp d10, d11, [sp, 112]",
        "stp d12, d13, [sp, 128]",
        "stp d14, d15, [sp, 144]",
        "stp x0, x1, [sp, 160]",
        "add x1, x0, 512",
        "ldp x2, x3, [x1, 240]",
        "msr fpsr, x2",
        "msr fpcr, x3",
        "ld1 {{v0.2d, v1.2d, v2.2d, v3.2d}}, [x0], 64",
        "ld1 {{v4.2d, v5.2d, v6.2d, v7.2d}}, [x0], 64",
        "ld1 {{v8.2d, v9.2d, v10.2d, v11.2d}}, [x0], 64",
        "ld1 {{v12.2d, v13.2d, v14.2d, v15.2d}}, [x0], 64",
        "ld1 {{v16.2d, v17.2d, v18.2d, v19.2d}}, [x0], 64",
        "ld1 {{v20.2d, v21.2d, v22.2d, v23.2d}}, [x0], 64",
        "ld1 {{v24.2d, v25.2d, v26.2d, v27.2d}}, [x0], 64",
        "ld1 {{v28.2d, v29.2d, v30.2d, v31.2d}}, [x0], 64",
        "ldp x2, x3, [x0, 0]",
        "ldp x4, x5, [x0, 16]",
        "ldp x6, x7, [x0, 32]",
        "ldp x8, x9, [x0, 48]",
        "ldp x10, x11, [x0, 64]",
        "ldp x12, x13, [x0, 80]",
        "ldp x14, x15, [x0, 96]",
        "ldp x16, x17, [x0, 112]",
        "ldp x18, x19, [x0, 128]",
        "ldp x20, x21, [x0, 144]",
        "ldp x22, x23, [x0, 160]",
        "ldp x24, x25, [x0, 176]",
        "ldp x26, x27, [x0, 192]",
        "ldp x28, x29, [x0, 208]",
        "ldr x30, [x0, 224]",
        // The flags hold whether the count is reached; x0 and x1 take turns.
        "2:",
        "ldr x0, [sp, 168]",
        "ldp x0, x1, [x0]",
        "cmp x0, x1",
        "b.lo 2b",
        "ldr x0, [sp, 160]",
        "st1 {{v0.2d, v1.2d, v2.2d, v3.2d}}, [x0], 64",
        "st1 {{v4.2d, v5.2d, v6.2d, v7.2d}}, [x0], 64",
        "st1 {{v8.2d, v9.2d, v10.2d, v11.2d}}, [x0], 64",
        "st1 {{v12.2d, v13.2d, v14.2d, v15.2d}}, [x0], 64",
        "st1 {{v16.2d, v17.2d, v18.2d, v19.2d}}, [x0], 64",
        "st1 {{v20.2d, v21.2d, v22.2d, v23.2d}}, [x0], 64",
        "st1 {{v24.2d, v25.2d, v26.2d, v27.2d}}, [x0], 64",
        "st1 {{v28.2d, v29.2d, v30.2d, v31.2d}}, [x0], 64",
        "stp x2, x3, [x0, 0]",
        "stp x4, x5, [x0, 16]",
        "stp x6, x7, [x0, 32]",
        "stp x8, x9, [x0, 48]",
        "stp x10, x11, [x0, 64]",
        "stp x12, x13, [x0, 80]",
        "stp x14, x15, [x0, 96]",
        "stp x16, x17, [x0, 112]",
        "stp x18, x19, [x0, 128]",
        "stp x20, x21, [x0, 144]",
        "stp x22, x23, [x0, 160]",
        "stp x24, x25, [x0, 176]",
        "stp x26, x27, [x0, 192]",
        "stp x28, x29, [x0, 208]",
        "str x30, [x0, 224]",
        "mrs x2, fpsr",
        "mrs x3, fpcr",
        "stp x2, x3, [x0, 240]",
        "msr fpcr, xzr",
        "ldp x19, x20, [sp, 16]",
        "ldp x21, x22, [sp, 32]",
        "ldp x23, x24, [sp, 48]",
        "ldp x25, x26, [sp, 64]",
        "ldp x27, x28, [sp, 80]",
        "ldp d8, d9, [sp, 96]",
        "ldp d10, d11, [sp, 112]",
        "ldp d12, d13, [sp, 128]",
        "ldp d14, d15, [sp, 144]",
        "ldp x29, x30, [sp], 176",
        "ret",
    )
}

/// Changes what a handler may change.
fn tick() {
    crate::preempt::trash_vectors();
    // SAFETY: the handler's own status; what was interrupted gets its own back.
    unsafe { core::arch::asm!("msr fpsr, xzr", options(nomem, nostack)) };
    COUNT[0].fetch_add(1, Ordering::SeqCst);
}

/// Runs the test.
pub fn run(tally: &mut Tally) {
    const TICKS: u64 = 20;
    /// FPSR: the saturation and inexact bits. FPCR: round towards zero, flush to zero, default NaN.
    const FPSR: u64 = 1 << 27 | 1 << 4;
    const FPCR: u64 = 0b11 << 22 | 1 << 24 | 1 << 25;
    let word = |index: usize| 0x0123_4567_89AB_CDEF_u64.wrapping_mul(2 * index as u64 + 1);
    let wanted = Values {
        v: core::array::from_fn(|index| [word(index), !word(index)]),
        x: core::array::from_fn(|index| word(index + 32)),
        fpsr: FPSR,
        fpcr: FPCR,
    };
    let mut found = wanted;
    COUNT[0].store(0, Ordering::SeqCst);
    COUNT[1].store(TICKS, Ordering::SeqCst);
    Machine::start_ticks(1000, tick);
    // SAFETY: it stores to what it is given, and keeps what a function has to keep.
    unsafe { hold(&raw mut found, &raw const COUNT) };
    Machine::stop_ticks();
    let x = (0..29).find(|&index| found.x[index] != wanted.x[index]).map(|index| index + 2);
    let v = (0..32).find(|&index| found.v[index] != wanted.v[index]);
    let status = (found.fpsr, found.fpcr) == (FPSR, FPCR);
    let what = format_args!(
        "first register that {TICKS} ticks changed: of x {x:?}, of v {v:?}; FPSR {:#x}, FPCR {:#x}",
        found.fpsr, found.fpcr
    );
    tally.expect("preempt", what, x.is_none() && v.is_none() && status);
}
