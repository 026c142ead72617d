//! The machines that the kernel runs on. Each is a folder that implements [`Arch`] for a type which `Machine` names.
//!
//! A folder also holds the entry from the boot protocol, written in assembly, and `link.ld`. What happens from the entry
//! on, in this order:
//! 1. The entry sets up the stack, page tables and whatever Rust needs, and calls the folder's own Rust entry.
//! 2. That finds the memory map, the initrd and the command line, builds the final page tables (every page either writable
//!    or executable, no page at address 0, an unmapped page below each stack), installs exception vectors, enables the
//!    vector registers that machine code uses, and calls `kernel::start` with a [`Boot`], interrupts enabled.
//! 3. `start` runs the image's own main function and ends by [`Arch::exit`].
//!
//! An exception that the kernel does not expect is told by `kernel::report`, which does not return. Rust's panics
//! end in the same way.

#[cfg(any(all(target_os = "none", target_arch = "aarch64"), all(test, not(target_os = "none"))))]
mod aarch64;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod x86_64;

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub use aarch64::Machine;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64::Machine;

#[cfg(target_os = "none")]
mod stacks;

use core::ops::Range;
use opstamp::{CodeError, CodeMemory};

/// The most cores that the kernel uses.
pub const MAX_CORES: usize = 8;

/// Bytes of stack that the first core has: the programs of the tests use 1 MiB of VM stack, and machine code at most twice as
/// many bytes of native stack.
pub const FIRST_STACK: usize = 4 << 20;

/// Bytes of stack that each other core has.
pub const OTHER_STACK: usize = 512 << 10;

/// What is added to a status, so that none is a code that QEMU itself exits with.
pub const STATUS_OFFSET: u8 = 32;

/// What the boot protocol gives.
#[derive(Debug)]
pub struct Boot {
    /// The largest piece of memory that nothing uses, page-aligned, mapped readable and writable and not executable.
    pub memory: &'static mut [u8],
    /// The initrd, or module, that the machine's loader put into memory; empty if there is none.
    pub initrd: &'static [u8],
    /// The kernel's command line, as it was given, without the zero behind it.
    pub command_line: &'static [u8],
}

/// What a machine supplies. All functions are of the machine as a whole, so none takes a value.
pub trait Arch {
    /// Code memory over a page-table alias: [`opstamp_platform::bare::AliasCode`] with this machine's page tables and
    /// interprocessor interrupts.
    type Code: CodeMemory + Send;

    /// Writes bytes to the serial console as they are. May be called on any core and in any context, exception handlers
    /// included; does not take a lock.
    fn write(bytes: &[u8]);

    /// Ends the machine with `status`, which is less than 64, plus [`STATUS_OFFSET`]: by the semihosting call SYS_EXIT_EXTENDED
    /// on arm64, by QEMU's exit device on x86-64.
    fn exit(status: u8) -> !;

    /// Code memory that is written through `memory`, which is part of [`Boot::memory`] and starts and ends at multiples of
    /// 4096, and executed at addresses that the machine chooses, which no other window has.
    fn code(memory: &'static mut [u8]) -> Result<Self::Code, CodeError>;

    /// The number of the core that this runs on: 0 for the one that booted, then counted as they were started.
    fn core() -> usize;

    /// The stack that this core runs on, outside interrupt handlers: its lowest address and one past its highest. It has
    /// [`FIRST_STACK`] or [`OTHER_STACK`] bytes. Below the lowest is a page that is not mapped.
    fn stack() -> Range<usize>;

    /// Starts all other cores. Each gets a stack, the page tables, exception vectors and vector registers of the first one,
    /// takes part in [`CodeMemory::sync_cores`] of every [`Arch::code`], and runs `main` with its number, interrupts
    /// enabled. When `main` returns, the core waits for ever, still taking part. Returns how many were started. Is called
    /// once at most.
    fn start_cores(main: fn(usize)) -> usize;

    /// Interrupts this core `hz` times a second, about, from 10 to 1000, and calls `handler` each time, in the interrupt's
    /// context with interrupts masked. Machine code may be what it interrupted: its registers, those of vectors included,
    /// are saved and restored around it.
    fn start_ticks(hz: u32, handler: fn());

    /// Ends the ticks of this core.
    fn stop_ticks();

    /// The first address of a page that the page tables let both write and execute; `None` if there is none. Reads the
    /// tables themselves.
    fn writable_and_executable() -> Option<usize>;
}
