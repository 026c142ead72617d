//! The kernel without an engine: what `cargo qemu size` compares with. It has all that `with` has but that: also code memory,
//! which is the platform's.
#![no_std]
#![no_main]

use opstamp::{CodeMemory, CodeRange};
use opstamp_qemu::arch::{Arch, Boot, Machine};
use opstamp_qemu::kernel::Status;
use opstamp_qemu::memory::Region;
use opstamp_qemu::{entry, println};

entry!(main);

fn main(boot: Boot) -> Status {
    let mut region = Region::new(boot.memory);
    let first = boot.initrd.first().copied().unwrap_or(0);
    println!("{first} {:?}", core::str::from_utf8(boot.command_line));
    match run(&mut region, first) {
        Some(address) => {
            println!("{address:#x}");
            Status::Success
        }
        None => Status::Input,
    }
}

/// Writes a byte of code, which nobody runs.
fn run(region: &mut Region, byte: u8) -> Option<usize> {
    let mut code = Machine::code(region.bytes(1 << 20, 4096)).ok()?;
    let code: &mut dyn CodeMemory = &mut code;
    let range = CodeRange { start: usize::from(byte), end: usize::from(byte) + 1 };
    code.open(range).map_err(|error| println!("error: {error}")).ok()?.fill(byte);
    code.publish(range).map_err(|error| println!("error: {error}")).ok()?;
    code.sync_cores().map_err(|error| println!("error: {error}")).ok()?;
    Some(code.base())
}
