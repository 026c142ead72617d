//! x86-64: caches are coherent, but the core may already have fetched bytes that are then changed through another
//! linear address. Before it executes them it must run a serializing instruction (Intel SDM vol. 3, 13.6,
//! "Self-Modifying Code"; AMD APM vol. 2, 7.6.1).

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicU8, Ordering};

/// `int3`
pub const FILLER: Option<u8> = Some(0xCC);

/// The ways to serialize without a privilege, the cheapest first.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Way {
    /// The instruction `serialize`, made for it.
    Direct = 1,
    /// `iretq` to the next instruction. Tens of nanoseconds everywhere, where `cpuid` costs microseconds under a
    /// hypervisor, which must intercept it.
    Iret,
    /// `cpuid`, where a shadow stack has no entry for an `iretq` that no interrupt precedes.
    Cpuid,
}

/// The way that this CPU and thread model allow; 0 until asked for.
static WAY: AtomicU8 = AtomicU8::new(0);

pub unsafe fn publish(_write: *const u8, _execute: *const u8, _len: usize) {
    serialize();
}

/// Waits until all earlier instructions have completed and discards what has been fetched ahead.
#[inline]
pub(crate) fn serialize() {
    let mut way = WAY.load(Ordering::Relaxed);
    if way == 0 {
        way = probe() as u8;
        WAY.store(way, Ordering::Relaxed);
    }
    if way == Way::Direct as u8 {
        // SAFETY: CPUID says that the instruction exists. It has no operand and changes nothing (`serialize` in bytes,
        // which older assemblers do not know). Not `nomem`: earlier stores must be done.
        unsafe { asm!(".byte 0x0f, 0x01, 0xe8", options(nostack, preserves_flags)) };
    } else if way == Way::Iret as u8 {
        // SAFETY: the frame that `iretq` pops holds this stack segment, stack pointer, flags, code segment and the next
        // address, so it changes nothing; there is no shadow stack. Without `nostack` the compiler keeps nothing below
        // the stack pointer.
        unsafe {
            asm!(
                "mov {keep}, rsp",
                "mov {seg:e}, ss",
                "push {seg}",
                "push {keep}",
                "pushfq",
                "mov {seg:e}, cs",
                "push {seg}",
                "lea {seg}, [rip + 2f]",
                "push {seg}",
                "iretq",
                "2:",
                keep = out(reg) _,
                seg = out(reg) _,
                options(preserves_flags)
            );
        }
    } else {
        __cpuid(0);
    }
}

/// Chooses the way.
#[cold]
fn probe() -> Way {
    // In EDX.
    const SERIALIZE: u64 = 1 << (32 + 14);
    if crate::x86::leaf_7() & SERIALIZE != 0 {
        return Way::Direct;
    }
    let shadow_stack: u64;
    // SAFETY: `rdsspq` is a no-op where shadow stacks are off or unknown, and then leaves the zero.
    unsafe {
        asm!("rdsspq {ssp}", ssp = inout(reg) 0_u64 => shadow_stack, options(nomem, nostack, preserves_flags));
    }
    if shadow_stack == 0 { Way::Iret } else { Way::Cpuid }
}
