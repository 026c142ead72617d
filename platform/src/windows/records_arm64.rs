//! What Windows' unwinder is told about machine code on arm64, as bytes ("ARM64 exception handling" in the
//! documentation of Visual C++).
//!
//! The convention ([`opstamp::masm::a64::convention`], "Unwinding") lets an unwinder go from any frame of machine code
//! straight to the caller of the entry stub: x29 points to what that has saved. So one sequence of unwind codes
//! describes every address of the window. It begins with `end_c`, which says that there is no prologue here: what
//! follows has all been executed, elsewhere.

use opstamp::masm::a64::convention::{HOST_FLOATS, HOST_INTS, HOST_ROOM};

/// The bytes of a window that one record is for: less than the 1 MiB that its length field can hold.
pub const CHUNK: usize = 1 << 19;

/// Unwind codes, by the table of the documentation.
const SET_FP: u8 = 0xE1;
const END: u8 = 0xE4;
const END_C: u8 = 0xE5;
/// `stp x29, x30, [sp, #-8 * (z + 1)]!`: 10zzzzzz
const SAVE_FPLR_X: u8 = 0x80;
/// A pair from x19 + n on at `[sp, #8 * z]`: 110010nn nnzzzzzz
const SAVE_REGP: usize = 0xC800;
/// A pair from d8 + n on at `[sp, #8 * z]`: 1101100n nnzzzzzz
const SAVE_FREGP: usize = 0xD800;

/// The bytes of unwind codes, whole words of them.
const CODES: usize = 24;
/// The bytes of one record: the header, and the codes.
pub const RECORD: usize = 4 + CODES;

/// The record for `len` bytes of code, at most [`CHUNK`] and a multiple of 4.
pub fn record(len: usize) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    // The length in words; version 0, no handler, no epilogues; the number of words of codes.
    let header = (len / 4) as u32 & 0x3_FFFF | ((CODES / 4) as u32) << 27;
    let (start, codes) = record.split_at_mut(4);
    start.copy_from_slice(&header.to_le_bytes());
    codes.copy_from_slice(&CODE_BYTES);
    record
}

/// What undoes the entry stub's saving: from the last to the first.
const CODE_BYTES: [u8; CODES] = {
    let mut codes = [END; CODES];
    codes[0] = END_C;
    codes[1] = SET_FP;
    let mut at = 2;
    let ints = HOST_INTS.len();
    let mut rest = HOST_FLOATS.len();
    while rest > 0 {
        rest -= 2;
        let code = SAVE_FREGP | (HOST_FLOATS[rest] as usize - 8) << 6 | (ints + rest);
        (codes[at], codes[at + 1]) = ((code >> 8) as u8, code as u8);
        at += 2;
    }
    rest = ints;
    // The first pair is the frame record, whose store has moved the stack pointer.
    while rest > 2 {
        rest -= 2;
        let code = SAVE_REGP | (HOST_INTS[rest] as usize - 19) << 6 | rest;
        (codes[at], codes[at + 1]) = ((code >> 8) as u8, code as u8);
        at += 2;
    }
    let words = ints + HOST_FLOATS.len() + HOST_ROOM / 8;
    codes[at] = SAVE_FPLR_X | (words - 1) as u8;
    assert!(words <= 64 && at + 1 < CODES);
    codes
};

#[cfg(test)]
mod tests {
    use super::{CHUNK, record};
    use opstamp::jit;
    use opstamp::masm::{Features, Isa};

    /// The codes of an assembler (llvm-mc -triple=aarch64-windows) for `stp x29, x30, [sp, #-176]!` with
    /// `.seh_save_fplr_x 176`, pairs of x19 to x28 from `[sp, #16]` with `.seh_save_regp`, pairs of d8 to d15 from
    /// `[sp, #96]` with `.seh_save_fregp`, `mov x29, sp` with `.seh_set_fp`; it has no word for `end_c`, E5 in the
    /// documentation.
    const CODES: [u8; 24] = [
        0xE5, 0xE1, 0xD9, 0x92, 0xD9, 0x10, 0xD8, 0x8E, 0xD8, 0x0C, 0xCA, 0x0A, 0xC9, 0x88, 0xC9, 0x06, 0xC8, 0x84,
        0xC8, 0x02, 0x95, 0xE4, 0xE4, 0xE4,
    ];

    #[test]
    fn the_record_is_an_assembler_s() {
        // Bits 0 to 17 the length in words, 27 to 31 the number of words of codes.
        for (len, header) in [(4096, 0x3000_0400_u32), (CHUNK, 0x3002_0000), (4, 0x3000_0001)] {
            let record = record(len);
            assert_eq!(record[..4], header.to_le_bytes());
            assert_eq!(record[4..], CODES);
        }
    }

    /// The same assembler's instructions: what the codes undo is what the entry stub begins with.
    const PROLOGUE: [u32; 11] = [
        0xA9B5_7BFD,
        0xA901_53F3,
        0xA902_5BF5,
        0xA903_63F7,
        0xA904_6BF9,
        0xA905_73FB,
        0x6D06_27E8,
        0x6D07_2FEA,
        0x6D08_37EC,
        0x6D09_3FEE,
        0x9100_03FD,
    ];

    #[test]
    fn the_entry_stub_begins_with_what_the_codes_undo() {
        let mut memory = [0; 8192];
        let stubs = jit::stubs(Isa::Arm64, &mut memory, Features::default(), usize::MAX).unwrap();
        let words = memory[stubs.enter..].chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        let words: Vec<u32> = words.take(PROLOGUE.len()).collect();
        assert_eq!(words, PROLOGUE, "{words:x?}");
    }
}
