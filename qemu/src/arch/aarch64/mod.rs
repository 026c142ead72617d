//! The `virt` machine of QEMU.
