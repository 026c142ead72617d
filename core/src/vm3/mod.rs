//! The bytecode vm3: its op table, types, container, text form and verifier.

pub mod container;
pub mod op;
pub mod text;
pub mod types;
pub mod verify;

pub use verify::Module;
