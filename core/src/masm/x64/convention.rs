//! The register convention of guest code on x86-64.
//!
//! | register | role | across a call of a guest function |
//! |---|---|---|
//! | rsp | native stack: return addresses and saved registers only; not aligned, stubs align it | kept |
//! | rbp | context ([`crate::runtime::context::Context`]) | kept |
//! | rbx | frame: the start of the running function's frame | kept: the caller moves it to the callee's and back |
//! | rax | scratch; result of i64 and cells | lost |
//! | rcx | scratch (shift counts) | lost |
//! | rdx | scratch (division); between plain ops by table, a second base of the frame | lost |
//! | rsi, rdi, r8, r9 | pool of integers | lost |
//! | r10 to r15 | pool of integers | kept: a function that pins to them saves them |
//! | xmm0 | scratch; result of f64 | lost |
//! | xmm1 | scratch | lost |
//! | xmm2 to xmm7 | pool of floats | lost |
//! | xmm8 to xmm15 | pool of floats | kept: a function that pins to them saves them |
//!
//! Arguments lie in the callee's frame. Flags hold nothing between verbs. The direction flag is clear, MXCSR is its default
//! (round to nearest, no flushing, all exceptions masked), as the entry stub sets it.
//!
//! Calls to Rust follow the System V ABI (AMD64 supplement, 3.2) on every system. It keeps rbx, rbp and r12 to r15, so of
//! what guest functions keep a stub has to save r10, r11 and xmm8 to xmm15: of the latter as many as the window's functions
//! may pin ([`crate::masm::Stubs::floats`]), so none in a module without floats. Guest functions keep more than System V does,
//! because most values of a function that calls live across a call, and a leaf seldom needs more than four.
//!
//! # Unwinding
//!
//! A system that walks native stacks (for exceptions, debuggers, profilers) needs no table of guest functions: from every
//! frame of machine code it can go on at the caller of the entry stub, leaving out the frames between.
//! - Behind a call from a shared stub to Rust, [`SERVICE_FRAME`] points to a word of the native stack that holds
//!   [`Context::entry_sp`] as it was at the call. Rust keeps that register, so every unwinder knows it here.
//! - In guest functions [`CONTEXT`] points to the context, whose `entry_sp` is that word.
//! - From the address in `entry_sp` upward lie, 8 bytes each: the `entry_sp` of the entry around this one, the MXCSR of
//!   the host, the registers [`HOST_SAVED`] from the last to the first, and the return address into the host.
//!
//! [`Context::entry_sp`]: crate::runtime::context::Context::entry_sp

use crate::asm::x64::{Gpr, Xmm};
use crate::masm::PoolReg;

/// Holds the context's address.
pub const CONTEXT: Gpr = Gpr::Rbp;
/// Holds the frame's address.
pub const FRAME: Gpr = Gpr::Rbx;
/// Result of integers and cells, and the first scratch register.
pub const RESULT: Gpr = Gpr::Rax;
/// Result of floats, and the first scratch register for floats.
pub const FLOAT_RESULT: Xmm = Xmm::Xmm0;
/// Points to the native stack in the stubs' calls to Rust; see [unwinding](self#unwinding).
pub const SERVICE_FRAME: Gpr = Gpr::R12;
/// What System V keeps and a host expects back, in the order in which the entry stub saves it (AMD64 supplement, 3.2.1).
pub const HOST_SAVED: [Gpr; 6] = [Gpr::Rbx, Gpr::Rbp, Gpr::R12, Gpr::R13, Gpr::R14, Gpr::R15];
/// Holds the second base of the frame ([`crate::masm::Masm::near`]): the scratch register that plain operations by table
/// leave alone.
pub const NEAR: Gpr = Gpr::Rdx;
/// The site that a stub is told.
pub const SITE: Gpr = Gpr::Rdx;

const fn pool(number: u32, callee_saved: bool) -> PoolReg {
    PoolReg { number, callee_saved }
}

/// The integer pool: first those that cost nothing in a leaf.
pub const INT_POOL: [PoolReg; 10] = [
    pool(Gpr::Rsi as u32, false),
    pool(Gpr::Rdi as u32, false),
    pool(Gpr::R8 as u32, false),
    pool(Gpr::R9 as u32, false),
    pool(Gpr::R10 as u32, true),
    pool(Gpr::R11 as u32, true),
    pool(Gpr::R12 as u32, true),
    pool(Gpr::R13 as u32, true),
    pool(Gpr::R14 as u32, true),
    pool(Gpr::R15 as u32, true),
];

/// The float pool: first those that cost nothing in a leaf.
pub const FLOAT_POOL: [PoolReg; 14] = [
    pool(Xmm::Xmm2 as u32, false),
    pool(Xmm::Xmm3 as u32, false),
    pool(Xmm::Xmm4 as u32, false),
    pool(Xmm::Xmm5 as u32, false),
    pool(Xmm::Xmm6 as u32, false),
    pool(Xmm::Xmm7 as u32, false),
    pool(Xmm::Xmm8 as u32, true),
    pool(Xmm::Xmm9 as u32, true),
    pool(Xmm::Xmm10 as u32, true),
    pool(Xmm::Xmm11 as u32, true),
    pool(Xmm::Xmm12 as u32, true),
    pool(Xmm::Xmm13 as u32, true),
    pool(Xmm::Xmm14 as u32, true),
    pool(Xmm::Xmm15 as u32, true),
];
