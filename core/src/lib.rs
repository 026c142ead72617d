//! opstamp: a template JIT that turns vm3 bytecode into machine code, one op at a time, in memory that its host supplies.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("opstamp reads op words as they lie in a container, which is little-endian");

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
