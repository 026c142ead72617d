//! The bytecode vm3: its op table, types, container, text form and verifier.
//!
//! What follows is the definition of the language, which every engine here obeys and front ends write for.
#![doc = include_str!("vm3.md")]

pub(crate) mod by_code;
pub mod container;
pub mod op;
pub mod text;
pub mod types;
pub mod verify;

pub use verify::Module;
