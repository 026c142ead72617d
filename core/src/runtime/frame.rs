//! Frames on the VM stack: the same in the interpreter and in machine code.
//!
//! | offset in bytes | holds |
//! |---|---|
//! | 0 | the call site in the caller ([`Site`], 32 bits); for a frame entered from the host, word 0 of its own function |
//! | 4 | after a `tail` by machine code the callee's index plus 1, 32 bits; else 0, or all ones if the site is above 2^31 |
//! | 8 + 8 i | slot i: the parameters in their order, then the locals: all i64, then all f64, then all cells |
//!
//! The frame of a callee starts where its caller's ends, so a frame is left by subtracting the caller's size, which the
//! caller's function implies, and the stack is walked by the sites alone. `tail` keeps the site of the frame that it
//! reuses. A host call lays its arguments out as the frame of a callee with that many slots, at least one: the result
//! comes back in slot 0.
//!
//! [`Site`]: super::trap::Site

/// Bytes of a frame before its first slot.
pub const HEADER: u32 = 8;

/// The byte offset in a frame of what a `tail` leaves.
pub const TAIL_CALLEE: u32 = 4;

/// The function that a frame's header says is to be run, for a callee of machine code without machine code of its own: the
/// callee of a `tail`; else `None`, and the op at the site names it.
pub const fn tail_callee(header: u64) -> Option<u16> {
    match header >> 32 {
        number @ 1..=0x1_0000 => Some((number - 1) as u16),
        _ => None,
    }
}

/// The byte offset of a slot from the start of its frame.
#[cfg_attr(not(small), inline(always))]
pub const fn slot_offset(slot: u16) -> u32 {
    HEADER + 8 * slot as u32
}

/// The bytes of a frame with that many slots (at most 65,536).
#[cfg_attr(not(small), inline(always))]
pub const fn frame_bytes(slots: u32) -> u32 {
    HEADER + 8 * slots
}

/// Bytes from the start of a frame to the end of a callee's, or a host function's, at most.
pub const GREATEST_REACH: u64 = 2 * frame_bytes(1 << 16) as u64;

/// The bytes of the frame of a host call with that many arguments.
#[cfg_attr(not(small), inline(always))]
pub const fn host_frame_bytes(args: u16) -> u32 {
    frame_bytes(if args == 0 { 1 } else { args as u32 })
}
