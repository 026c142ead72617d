//! The machines: what QEMU is called with, and how each tells its exit status.

use std::path::Path;
use std::process::Command;

/// An instruction set, and the machine that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    X86_64,
    Arm64,
}

/// How QEMU takes a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the linker left it.
    Elf,
    /// The bytes as they lie in memory, from the first segment on.
    Flat,
}

impl Isa {
    pub const ALL: [Isa; 2] = [Isa::X86_64, Isa::Arm64];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Arm64 => "arm64",
        }
    }

    /// The compiler's target.
    pub const fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-none",
            Self::Arm64 => "aarch64-unknown-none",
        }
    }

    /// The emulator and the Debian package that has it.
    pub const fn emulator(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Self::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
        }
    }

    /// What QEMU's `-kernel` takes: as an ELF it gives an arm64 kernel neither device tree nor initrd.
    pub const fn form(self) -> Form {
        match self {
            Self::X86_64 => Form::Elf,
            Self::Arm64 => Form::Flat,
        }
    }

    /// QEMU with a machine that runs `kernel`, serial console on standard output, nothing else.
    pub fn command(self, kernel: &Path, cores: u32) -> Command {
        let mut command = Command::new(self.emulator().0);
        match self {
            // `max` is every feature that the emulator has.
            Self::X86_64 => command.args(["-machine", "q35", "-cpu", "max"]).args([
                // A port whose written value ends the machine: see `status`.
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=0x04",
            ]),
            Self::Arm64 => command.args(["-machine", "virt", "-cpu", "max", "-semihosting"]),
        };
        command.args(["-m", "512", "-smp", &cores.to_string(), "-nodefaults", "-no-reboot"]);
        command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]).arg("-kernel").arg(kernel);
        command
    }

    /// The status that the kernel ended with, by QEMU's exit code (32 + status is what it writes); `None` if the kernel did not end the machine.
    pub fn status(self, code: i32) -> Option<u8> {
        match self {
            // The device makes 2n + 1 of what is written, so that a kernel cannot feign QEMU's own success.
            Self::X86_64 if code & 1 != 0 => u8::try_from(code >> 1).ok()?.checked_sub(STATUS_OFFSET),
            Self::X86_64 => None,
            // The semihosting call hands the code over as it is.
            Self::Arm64 => u8::try_from(code).ok()?.checked_sub(STATUS_OFFSET),
        }
    }
}

/// What kernels add to their status, so that none is one of QEMU's own codes.
const STATUS_OFFSET: u8 = 32;
