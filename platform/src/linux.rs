//! Linux.

mod code;
mod stack;

pub use code::{LinuxCode, Scheme};
pub use stack::native_stack;
