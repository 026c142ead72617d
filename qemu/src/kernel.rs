//! What every image of this kernel has, on every machine: printing, the way in, and reports of what went wrong.

use crate::arch::{Arch, Boot, Machine};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

/// What the machine's exit status says. The runner tells a machine that ended by itself from one that it ended by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// All went well.
    Success = 0,
    /// The guest trapped, or a test failed.
    Failure = 1,
    /// The guest could not be run: a bad module, or bad arguments.
    Input = 2,
    /// The kernel panicked.
    Panic = 3,
    /// An exception that the kernel did not expect was reported.
    Exception = 4,
}

/// The serial console.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        Machine::write(text.as_bytes());
        Ok(())
    }
}

/// Prints to the serial console.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::kernel::Console, format_args!($($arg)*));
    }};
}

/// Prints a line to the serial console.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::print!("{}\n", format_args!($($arg)*)) };
}

/// Names the main function of an image: `fn(Boot) -> Status`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// What [`opstamp_qemu::kernel::start`] calls.
        #[unsafe(no_mangle)]
        fn opstamp_image_main(boot: $crate::arch::Boot) -> $crate::kernel::Status {
            let main: fn($crate::arch::Boot) -> $crate::kernel::Status = $main;
            main(boot)
        }
    };
}

unsafe extern "Rust" {
    fn opstamp_image_main(boot: Boot) -> Status;
}

/// Runs the image. The machine's entry calls it, once, on the core that booted, when all that [`crate::arch`] demands has
/// been done.
pub fn start(boot: Boot) -> ! {
    // SAFETY: every image defines it with `entry!`, which gives it this signature.
    let status = unsafe { opstamp_image_main(boot) };
    Machine::exit(status as u8)
}

/// What an instruction tried to do with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// The fetch of the instruction itself.
    Execute,
}

/// An exception that the kernel did not expect.
#[derive(Debug)]
pub struct Exception<'a> {
    /// Its name in the manual's words, as `page fault` or `data abort`.
    pub name: &'a str,
    /// For a fault of memory: what was tried at which address, and whether something is mapped there, that is, whether the
    /// fault is one of permission.
    pub memory: Option<(Access, usize, bool)>,
    /// The address of the instruction that raised it.
    pub instruction: usize,
    /// The stack pointer there.
    pub stack: usize,
    /// The registers that say more, with their names: the error code or syndrome, and whatever else helps.
    pub registers: &'a [(&'a str, u64)],
}

/// Tells of an exception on the console and ends the machine. The first line is the same on all machines:
/// `exception on core 0: page fault: write to 0x101000, which is mapped but does not permit it, at instruction 0x100b20`.
pub fn report(exception: &Exception<'_>) -> ! {
    print!("\nexception on core {}: {}", Machine::core(), exception.name);
    if let Some((access, address, mapped)) = exception.memory {
        let tried = match access {
            Access::Read => "read of",
            Access::Write => "write to",
            Access::Execute => "execution of",
        };
        let why = if mapped { "mapped but does not permit it" } else { "not mapped" };
        print!(": {tried} {address:#x}, which is {why},");
    }
    println!(" at instruction {:#x}", exception.instruction);
    let stack = Machine::stack();
    print!("  stack pointer {:#x}, stack {:#x} to {:#x}", exception.stack, stack.start, stack.end);
    for (index, (name, value)) in exception.registers.iter().enumerate() {
        let before = if index % 4 == 0 { "\n  " } else { ", " };
        print!("{before}{name} {value:#x}");
    }
    println!();
    Machine::exit(Status::Exception as u8)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("\nkernel panic on core {}: {info}", Machine::core());
    Machine::exit(Status::Panic as u8)
}
