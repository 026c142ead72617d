//! The bytecode vm3: its op table, types, container, text form and verifier.

pub(crate) mod by_code;
pub mod container;
pub mod op;
pub mod text;
pub mod types;
pub mod verify;

pub use verify::Module;
