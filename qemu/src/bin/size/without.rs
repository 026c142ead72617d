//! The kernel without an engine: what `cargo qemu size` compares with.
#![no_std]
#![no_main]

use opstamp_qemu::arch::Boot;
use opstamp_qemu::kernel::Status;
use opstamp_qemu::{entry, println};

entry!(main);

fn main(boot: Boot) -> Status {
    let first = boot.initrd.first().copied().unwrap_or(0);
    println!("{first} {:?}", core::str::from_utf8(boot.command_line));
    Status::Success
}
