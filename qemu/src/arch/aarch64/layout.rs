//! Virtual addresses: 39 bits, pages of 4 KiB, the upper half (TTBR1). The lower half translates nothing once the
//! kernel runs, so a null pointer faults.
//!
//! | from | what |
//! |---|---|
//! | [`BASE`] | the image, at most 64 MiB |
//! | [`DEVICES`] | registers of devices |
//! | [`FIRMWARE`] | the device tree and the initrd, read-only |
//! | [`MEMORY`] | free memory |
//! | [`CODE`] | code windows: what is written at `MEMORY + n` is executed at `CODE + n` |

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// The first address of the upper half, where the image is linked to run (`link.ld`).
pub const BASE: usize = 0xFFFF_FF80_0000_0000;
/// Bytes that an entry of the root table maps, the unit of the regions here.
pub const GIB: usize = 1 << 30;
/// Registers of devices.
pub const DEVICES: usize = BASE + GIB;
/// What the loader left in memory.
pub const FIRMWARE: usize = BASE + 2 * GIB;
/// Free memory, at most [`MEMORY_MAX`] bytes.
pub const MEMORY: usize = BASE + 128 * GIB;
/// The second addresses of free memory, for code.
pub const CODE: usize = BASE + 256 * GIB;
/// The most free memory that is used.
pub const MEMORY_MAX: usize = CODE - MEMORY - GIB;

/// The tables that map the image, 2 MiB each.
pub const IMAGE_TABLES: usize = 32;
