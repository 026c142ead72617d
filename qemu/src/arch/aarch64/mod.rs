//! QEMU's `virt` machine, or another with a GICv2, a PL011 and PSCI, entered as Linux is.

mod descriptor;
mod devicetree;

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod cores;
#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod layout;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod tables;

#[cfg(target_os = "none")]
pub use machine::Machine;
