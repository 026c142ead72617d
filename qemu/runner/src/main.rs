//! `cargo qemu`: builds the images of opstamp-qemu, boots them under QEMU and checks what they do.

mod machine;

fn main() {}
