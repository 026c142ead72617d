//! Tests the engine and the machine, in static memory: no allocator is part of this image.
#![no_std]
#![no_main]

use opstamp_qemu::arch::Boot;
use opstamp_qemu::kernel::Status;
use opstamp_qemu::{entry, println};

entry!(main);

fn main(boot: Boot) -> Status {
    println!("{} bytes of memory", boot.memory.len());
    Status::Success
}
