//! Linux.

mod code;
mod stack;

pub use crate::window::Scheme;
pub use code::LinuxCode;
pub use stack::native_stack;
