//! Executable memory: the trait that a host implements.

mod memory;

pub use memory::{CodeError, CodeMemory, CodeRange, MAX_WINDOW};
