//! What runs beside the guest's code: cells, frames, the context that machine code sees, host functions and traps.

pub mod cache;
pub mod cell;
pub mod context;
pub mod control;
pub mod engine;
pub mod events;
pub mod frame;
pub(crate) mod fuel;
pub(crate) mod heap;
pub mod host;
pub mod instance;
pub mod objects;
pub(crate) mod roots;
pub(crate) mod services;
pub mod trap;
pub mod value;
pub mod walk;
