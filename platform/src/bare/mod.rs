//! What a kernel needs to run machine code on a bare machine. Nothing here knows a particular kernel: page tables are
//! reached through [`PageTables`], interprocessor interrupts through [`Cores`], both of which the kernel implements.
//!
//! | item | what it is |
//! |---|---|
//! | [`AliasCode`] | code memory: frames that are written at one address and executed at another |
//! | [`CoreSync`] | the count behind [`Cores::sync`]: who has passed a synchronizing point since |
//! | `x86_64`, `aarch64` | what only one ISA has: enabling of vector registers, TLB maintenance, interrupt entry |

mod alias;
mod cores;

pub mod aarch64;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as isa;
#[cfg(target_arch = "x86_64")]
use x86_64 as isa;

pub use alias::{AliasCode, PageTables};
pub use cores::{CoreSync, Cores, OneCore};
