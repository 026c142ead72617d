//! opstamp-qemu
#![no_std]
