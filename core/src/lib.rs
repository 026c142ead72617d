//! opstamp: a template JIT that turns vm3 bytecode into machine code, one op at a time, in memory that its host supplies.
//!
//! # Features
//!
//! All are on by default. A kernel that is short of room leaves out what its guests do not need; what is left agrees bit for
//! bit with the whole. The public API is the same.
//!
//! - `heap`: objects, their collector, strings and the text of numbers in them, and every op that works on them, in the
//!   interpreter and in both compilers. Without it the verifier refuses those ops by name, as it does with
//!   [`VerifyOptions::heap`](vm3::verify::VerifyOptions::heap) off; cells that need no heap (null, bools, short strings,
//!   small ints, floats) stay, the memory in [`InstanceMemory::heap`] is not used, and what a host tries to make there is
//!   out of memory.
//! - `stencils`: on x86-64, the table by which ops are put together from instructions that are made ahead. Without it
//!   templates call the macro assembler's verbs: the same machine code takes longer to make. On arm64 it
//!   changes nothing.
//!
//! Compiled for size (`opt-level` "s" or "z") the tables that stay are packed too.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("opstamp reads op words as they lie in a container, which is little-endian");

/// Whether the feature `heap` is on. Without it no verified op asks for what stands behind this.
pub(crate) const HEAP: bool = cfg!(feature = "heap");

pub mod asm;
pub mod code;
pub mod interp;
pub mod jit;
pub mod masm;
pub mod runtime;
pub mod vm3;

pub use code::{CodeError, CodeMemory, CodeRange, Seat};
pub use jit::CodeStats;
pub use runtime::cell::{Cell, CellKind};
pub use runtime::control::{Interrupter, PollAction, PollCall, PollHandler};
pub use runtime::engine::{CodeCache, Engine, EngineError};
pub use runtime::events::{Event, Listener};
pub use runtime::heap::HeapStats;
pub use runtime::host::{HostCall, HostFn};
pub use runtime::instance::{CallError, FuelError, Instance, InstanceMemory, InstantiateError, TrapReport};
pub use runtime::objects::{HeapError, Objects, Root};
pub use runtime::trap::{Trap, TrapKind};
pub use runtime::value::Value;
pub use runtime::walk::{GuestFrame, Walk};
pub use vm3::Module;
pub use vm3::types::TypeId;
