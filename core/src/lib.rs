//! opstamp: a template JIT that turns vm3 bytecode into machine code, one op at a time, in memory that its host supplies.
#![no_std]

pub mod asm;
pub mod code;
pub mod runtime;
pub mod vm3;
