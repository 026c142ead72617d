//! Executable memory: the trait that a host implements, and patching what it holds.

mod memory;
mod patch;

pub use memory::{CodeError, CodeMemory, CodeRange, MAX_WINDOW};
pub use patch::{Patch, PatchError, patch};
