//! Executable memory: the trait that a host implements, patching what it holds, and using its bytes again.

pub(crate) mod map;
mod memory;
mod patch;
pub mod reclaim;

pub use memory::{CodeError, CodeMemory, CodeRange, MAX_WINDOW};
pub use patch::{Patch, PatchError, patch};
pub use reclaim::{Marks, Seat};
