//! opstamp: a template JIT that turns vm3 bytecode into machine code, one op at a time, in memory that its host supplies.
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

pub use code::{CodeError, CodeMemory, CodeRange};
pub use runtime::cell::{Cell, CellKind};
pub use runtime::engine::{Engine, EngineError};
pub use runtime::heap::HeapStats;
pub use runtime::host::{HostCall, HostFn};
pub use runtime::instance::{CallError, Instance, InstanceMemory, InstantiateError, TrapReport};
pub use runtime::objects::{HeapError, Objects, Root};
pub use runtime::trap::{Trap, TrapKind};
pub use runtime::value::Value;
pub use vm3::Module;
pub use vm3::types::TypeId;
