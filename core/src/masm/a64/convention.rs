//! The register convention of guest code on arm64.
//!
//! | register | role | across a call of a guest function |
//! |---|---|---|
//! | sp | native stack: return addresses and saved registers only; always a multiple of 16 | kept |
//! | x19 | context ([`crate::runtime::context::Context`]) | kept |
//! | x20 | frame: the start of the running function's frame | kept: the caller moves it to the callee's and back |
//! | x0 | scratch; result of i64 and cells; operand of a stub | lost |
//! | x1 | scratch; frame of a host call | lost |
//! | x2 | scratch; site for a stub | lost |
//! | x3 to x15 | pool of integers | lost |
//! | x16 | scratch; the address that an indirect jump or call goes to | lost |
//! | x17 | address of memory that no immediate offset reaches | lost |
//! | x18 | never touched: some systems own it | kept |
//! | x21 to x27 | pool of integers | kept: a function that pins to them saves them |
//! | x28 | the last frame address at which [`SMALL`] bytes fit on the VM stack; 0 if there is none | kept |
//! | x29 | the host's frame record; guest functions make none | kept |
//! | x30 | return address: a function that calls others saves it | lost |
//! | d0 | scratch; result of f64 | lost |
//! | d1, d2 | scratch | lost |
//! | d3 to d7, d16 to d31 | pool of floats | lost |
//! | d8 to d15 | pool of floats | kept: a function that pins to them saves them |
//!
//! Arguments lie in the callee's frame. Flags hold nothing between verbs. FPCR is 0 (round to nearest, no flushing, NaN
//! operands propagate, no exception traps), as the entry stub sets it.
//!
//! A function that calls nothing saves nothing but what it pins to, x30 included: whatever it calls after all (a poll,
//! the interpreter behind a `deopt`) it calls with x30 on the stack.
//!
//! Calls to Rust follow AAPCS64 (6.1.1, 6.1.2), which keeps x19 to x28 and the low halves of v8 to v15: all that guest
//! functions keep. So a call of a host function saves nothing but x30. The platform register x18 (6.1.1) is left alone
//! everywhere. `br` goes through x16, which a `bti c` at a function's
//! entry would let in (Arm ARM DDI 0487, C6.2, BTI).
//!
//! # Unwinding
//!
//! A system that walks native stacks needs no table of guest functions: from every frame of machine code it can go on
//! at the caller of the entry stub, leaving out the frames between. x29 points to what that has saved, everywhere but
//! in its own first and last instructions: from there upward lie, 8 bytes each, [`HOST_INTS`], [`HOST_FLOATS`] and
//! [`HOST_ROOM`] bytes for the host's FPCR and the entry around this one.

use crate::asm::a64::{D, X};
use crate::masm::PoolReg;

/// Holds the context's address.
pub const CONTEXT: X = X::X19;
/// Holds the frame's address.
pub const FRAME: X = X::X20;
/// Holds the end of the VM stack less [`SMALL`]: below or at it there is room for every small frame.
pub const ROOM_END: X = X::X28;
/// Bytes, from the start of a frame, whose check takes one comparison.
pub const SMALL: u32 = 4096;
/// Result of integers and cells, operand of a stub, and the first scratch register.
pub const RESULT: X = X::X0;
/// Scratch; the frame that the stub of host calls is told.
pub const SECOND: X = X::X1;
/// Scratch.
pub const THIRD: X = X::X2;
/// The site that a stub is told.
pub const SITE: X = THIRD;
/// The target of an indirect jump or call, and scratch otherwise.
pub const TARGET: X = X::X16;
/// Addresses of memory that no immediate offset reaches. Only the verbs' last step to memory uses it.
pub const FAR: X = X::X17;
/// The return address.
pub const LINK: X = X::X30;
/// Result of floats, and the first scratch register for floats.
pub const FLOAT_RESULT: D = D::D0;
/// Scratch for floats.
pub const FLOAT_SECOND: D = D::D1;
/// Scratch for floats.
pub const FLOAT_THIRD: D = D::D2;

/// What AAPCS64 keeps and a host expects back (6.1.1), in the order in which the entry stub saves it: with x29 and x30
/// first they make its frame record (6.4.6).
pub const HOST_INTS: [X; 12] =
    [X::X29, X::X30, X::X19, X::X20, X::X21, X::X22, X::X23, X::X24, X::X25, X::X26, X::X27, X::X28];
/// Of these AAPCS64 keeps the low halves (6.1.2). The entry stub saves them behind the integers.
pub const HOST_FLOATS: [D; 8] = [D::D8, D::D9, D::D10, D::D11, D::D12, D::D13, D::D14, D::D15];
/// Bytes above them.
pub const HOST_ROOM: usize = 16;

const fn lost(number: u32) -> PoolReg {
    PoolReg { number, callee_saved: false }
}

const fn kept(number: u32) -> PoolReg {
    PoolReg { number, callee_saved: true }
}

/// The integer pool: first those that cost nothing in a leaf.
pub const INT_POOL: [PoolReg; 20] = [
    lost(X::X3 as u32),
    lost(X::X4 as u32),
    lost(X::X5 as u32),
    lost(X::X6 as u32),
    lost(X::X7 as u32),
    lost(X::X8 as u32),
    lost(X::X9 as u32),
    lost(X::X10 as u32),
    lost(X::X11 as u32),
    lost(X::X12 as u32),
    lost(X::X13 as u32),
    lost(X::X14 as u32),
    lost(X::X15 as u32),
    kept(X::X21 as u32),
    kept(X::X22 as u32),
    kept(X::X23 as u32),
    kept(X::X24 as u32),
    kept(X::X25 as u32),
    kept(X::X26 as u32),
    kept(X::X27 as u32),
];

/// The float pool: first those that cost nothing in a leaf.
pub const FLOAT_POOL: [PoolReg; 29] = [
    lost(D::D3 as u32),
    lost(D::D4 as u32),
    lost(D::D5 as u32),
    lost(D::D6 as u32),
    lost(D::D7 as u32),
    lost(D::D16 as u32),
    lost(D::D17 as u32),
    lost(D::D18 as u32),
    lost(D::D19 as u32),
    lost(D::D20 as u32),
    lost(D::D21 as u32),
    lost(D::D22 as u32),
    lost(D::D23 as u32),
    lost(D::D24 as u32),
    lost(D::D25 as u32),
    lost(D::D26 as u32),
    lost(D::D27 as u32),
    lost(D::D28 as u32),
    lost(D::D29 as u32),
    lost(D::D30 as u32),
    lost(D::D31 as u32),
    kept(D::D8 as u32),
    kept(D::D9 as u32),
    kept(D::D10 as u32),
    kept(D::D11 as u32),
    kept(D::D12 as u32),
    kept(D::D13 as u32),
    kept(D::D14 as u32),
    kept(D::D15 as u32),
];
