//! Runs a guest that was handed in as an initrd.
#![no_std]
#![no_main]

use opstamp_qemu::arch::Boot;
use opstamp_qemu::kernel::Status;
use opstamp_qemu::{entry, println};

entry!(main);

fn main(boot: Boot) -> Status {
    println!("{} bytes of guest", boot.initrd.len());
    Status::Success
}
