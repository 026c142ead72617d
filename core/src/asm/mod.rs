//! Instruction encoders. They know bytes and labels; they know no VM.
//!
//! [`Buf`] is the one place that writes machine code. Both encoders append to it, refuse operands that have no encoding
//! through their operand types ([`x64`], [`a64`]) and record what can only be found late (a branch out of range, a full
//! buffer) as a sticky [`EmitError`], which [`Buf::finish`] returns.

mod buf;

pub mod a64;
pub mod x64;

pub use buf::{Buf, EmitError, Label, ROOM, Room, Tail};
