//! The services that the stubs call, as the tests want them: they note what they were given, and destroy every register
//! that the host's convention lets them.

use opstamp::runtime::context::{Context, Services, Soft};
use std::cell::RefCell;

/// A call of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    pub service: &'static str,
    pub frame: u64,
    pub site: u32,
    pub operand: u64,
}

type Answer = Box<dyn FnMut(*mut Context, Noted) -> u64>;

thread_local! {
    pub static NOTED: RefCell<Vec<Noted>> = const { RefCell::new(Vec::new()) };
    /// What the next service does.
    pub static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

pub fn take_noted() -> Vec<Noted> {
    NOTED.with_borrow_mut(std::mem::take)
}

fn serve(context: *mut Context, noted: Noted) -> u64 {
    NOTED.with_borrow_mut(|all| all.push(noted));
    let mut answer = ANSWER.take();
    let status = answer.as_mut().map_or(0, |answer| answer(context, noted));
    if ANSWER.with_borrow(Option::is_none) {
        ANSWER.set(answer);
    }
    status
}

/// Destroys every register that the host's convention lets a function destroy. Not inlined, so that a service saves none of
/// the others for it.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
fn destroy() {
    // SAFETY: all that is changed is named; the flags are by default.
    unsafe {
        std::arch::asm!(
            "mov rax, -1",
            "mov rcx, rax",
            "mov rdx, rax",
            "mov rsi, rax",
            "mov rdi, rax",
            "mov r8, rax",
            "mov r9, rax",
            "mov r10, rax",
            "mov r11, rax",
            "movq xmm0, rax",
            "movaps xmm1, xmm0",
            "movaps xmm2, xmm0",
            "movaps xmm3, xmm0",
            "movaps xmm4, xmm0",
            "movaps xmm5, xmm0",
            "movaps xmm6, xmm0",
            "movaps xmm7, xmm0",
            "movaps xmm8, xmm0",
            "movaps xmm9, xmm0",
            "movaps xmm10, xmm0",
            "movaps xmm11, xmm0",
            "movaps xmm12, xmm0",
            "movaps xmm13, xmm0",
            "movaps xmm14, xmm0",
            "movaps xmm15, xmm0",
            clobber_abi("sysv64"),
        )
    };
}

/// As above.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
fn destroy() {
    // SAFETY: all that is changed is named.
    unsafe {
        std::arch::asm!(
            "mov x0, #-1",
            "mov x1, x0",
            "mov x2, x0",
            "mov x3, x0",
            "mov x4, x0",
            "mov x5, x0",
            "mov x6, x0",
            "mov x7, x0",
            "mov x8, x0",
            "mov x9, x0",
            "mov x10, x0",
            "mov x11, x0",
            "mov x12, x0",
            "mov x13, x0",
            "mov x14, x0",
            "mov x15, x0",
            "mov x16, x0",
            "mov x17, x0",
            "mov x30, x0",
            "fmov d0, x0",
            "fmov d1, x0",
            "fmov d2, x0",
            "fmov d3, x0",
            "fmov d4, x0",
            "fmov d5, x0",
            "fmov d6, x0",
            "fmov d7, x0",
            "fmov d16, x0",
            "fmov d17, x0",
            "fmov d18, x0",
            "fmov d19, x0",
            "fmov d20, x0",
            "fmov d21, x0",
            "fmov d22, x0",
            "fmov d23, x0",
            "fmov d24, x0",
            "fmov d25, x0",
            "fmov d26, x0",
            "fmov d27, x0",
            "fmov d28, x0",
            "fmov d29, x0",
            "fmov d30, x0",
            "fmov d31, x0",
            clobber_abi("C"),
        )
    };
}

#[cfg(target_arch = "x86_64")]
fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: this reads a register.
    unsafe { std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

#[cfg(target_arch = "aarch64")]
fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: this reads a register.
    unsafe { std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack)) };
    pointer
}

/// A soft operation, by the host's own functions.
fn compute(context: *mut Context, operation: u64) -> u64 {
    // SAFETY: the stub passes the running context, to which no reference exists.
    let operands = unsafe { &mut (*context).operands };
    let [x, y, z] = [0, 1, 2].map(|index: usize| f64::from_bits(operands[index]));
    let float = match operation {
        op if op == Soft::Popcnt as u64 => {
            operands[0] = operands[0].count_ones().into();
            return 0;
        }
        op if op == Soft::Floor as u64 => x.floor(),
        op if op == Soft::Ceil as u64 => x.ceil(),
        op if op == Soft::Trunc as u64 => x.trunc(),
        op if op == Soft::Nearest as u64 => x.round_ties_even(),
        op if op == Soft::Fma as u64 => x.mul_add(y, z),
        _ => panic!("no such operation: {operation}"),
    };
    operands[0] = float.to_bits();
    0
}

macro_rules! services {
    ($($name:ident: $serve:expr;)*) => { $(
        #[cfg(target_arch = "x86_64")]
        unsafe extern "sysv64" fn $name(context: *mut Context, frame: *mut u64, site: u32, operand: u64) -> u64 {
            // Both conventions align it at every call (AMD64 supplement, 3.2.2; AAPCS64, 6.4.5.1).
            assert_eq!(stack_pointer() % 16, 0, "the native stack pointer");
            let status = $serve(context, Noted { service: stringify!($name), frame: frame as u64, site, operand });
            destroy();
            status
        }
        #[cfg(not(target_arch = "x86_64"))]
        unsafe extern "C" fn $name(context: *mut Context, frame: *mut u64, site: u32, operand: u64) -> u64 {
            // Both conventions align it at every call (AMD64 supplement, 3.2.2; AAPCS64, 6.4.5.1).
            assert_eq!(stack_pointer() % 16, 0, "the native stack pointer");
            let status = $serve(context, Noted { service: stringify!($name), frame: frame as u64, site, operand });
            destroy();
            status
        }
    )*
        pub const SERVICES: Services = Services { $($name),* };
    };
}

services! {
    host_call: serve;
    guard: serve;
    soft: |context, noted: Noted| compute(context, noted.operand);
    op: serve;
    deopt: serve;
    lazy: serve;
}
