//! `mov_imm`: the value it builds, and that nothing shorter builds it.

use crate::draw::{Rng, seed};
use crate::immediates::{logical_immediates, logical_immediates_32};
use opstamp::asm::Buf;
use opstamp::asm::a64::{X, mov_imm};
use std::collections::{HashMap, HashSet};

/// Values that one logical immediate gives, with some of their 16-bit halves blanked: (mask of what is kept, rest).
struct Shortest {
    blanked: [HashSet<(u64, u64)>; 3],
}

/// The masks that keep all 16-bit halves but `count`.
fn masks(count: u32) -> impl Iterator<Item = u64> {
    (0_u32..16)
        .filter(move |set| set.count_ones() == count)
        .map(|set| (0..4).filter(|half| set >> half & 1 == 0).map(|half| 0xFFFF_u64 << (16 * half)).sum())
}

fn halves(value: u64) -> [u64; 4] {
    [0, 16, 32, 48].map(|shift| value >> shift & 0xFFFF)
}

impl Shortest {
    fn new() -> Self {
        let all: Vec<u64> = logical_immediates().into_iter().chain(logical_immediates_32()).map(|(_, v)| v).collect();
        let blanked = [0, 1, 2]
            .map(|count| masks(count).flat_map(|mask| all.iter().map(move |&value| (mask, value & mask))).collect());
        Self { blanked }
    }

    /// The fewest instructions: one `movz`, `movn` (64 or 32 bits) or logical immediate, then one `movk` for every half
    /// that differs.
    fn count(&self, value: u64) -> usize {
        let h = halves(value);
        let unlike = |background: u64, part: &[u64]| part.iter().filter(|&&half| half != background).count();
        // One of the halves that differ from the background comes from the first instruction.
        let movz = unlike(0, &h).max(1);
        let movn = unlike(0xFFFF, &h).max(1);
        let movn_32 = unlike(0xFFFF, &h[..2]).max(1) + unlike(0, &h[2..]);
        let logical = (0..3).find(|&k| masks(k as u32).any(|mask| self.blanked[k].contains(&(mask, value & mask))));
        movz.min(movn).min(movn_32).min(logical.map_or(4, |movks| movks + 1))
    }
}

/// Runs a sequence of moves to register `d`, by the descriptions of the instructions in the Arm ARM.
fn run(d: u32, words: &[u32], logical: &HashMap<u32, u64>) -> u64 {
    let mut held = 0xDEAD_BEEF_DEAD_BEEF_u64;
    for &word in words {
        assert_eq!(word & 31, d, "the destination of {word:08x}");
        let (imm, shift) = (u64::from(word >> 5 & 0xFFFF), 16 * (word >> 21 & 3));
        let narrow = word >> 31 == 0;
        held = match word >> 23 & 0xFF {
            0b1010_0101 if !narrow || shift < 32 => imm << shift,
            0b0010_0101 if narrow => u64::from(!((imm as u32) << shift)),
            0b0010_0101 => !(imm << shift),
            0b1110_0101 if !narrow => held & !(0xFFFF << shift) | imm << shift,
            0b0110_0100 => {
                assert_eq!(word >> 5 & 31, 31, "the source of {word:08x}");
                let value = logical[&(word >> 10 & 0x1FFF)];
                if narrow { value & 0xFFFF_FFFF } else { value }
            }
            _ => panic!("{word:08x} is no move of an immediate"),
        };
    }
    held
}

fn check(value: u64, shortest: &Shortest, logical: &HashMap<u32, u64>) {
    let mut memory = [0; 32];
    let mut buf = Buf::new(&mut memory).expect("32 bytes are enough");
    // Any destination but register 31, and a different one for nearly every value.
    let d = (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % 31;
    mov_imm(&mut buf, X::ALL[d], value);
    let length = buf.finish().expect("four instructions fit");
    let words: Vec<u32> = memory[..length].chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    assert_eq!(run(d as u32, &words, logical), value, "{words:08x?} should give {value:#x}");
    assert_eq!(words.len(), shortest.count(value), "{words:08x?} for {value:#x}");
}

#[test]
fn shortest_and_right() {
    let shortest = Shortest::new();
    let logical: HashMap<u32, u64> = logical_immediates().into_iter().collect();
    let check = |value| check(value, &shortest, &logical);

    let parts = [0, 0xFFFF, 1, 0x8000, 0x5555, 0x00FF, 0xFF00, 0x1234, 0xFFFE, 0x3FF0];
    for code in 0..parts.len().pow(4) {
        check((0..4).fold(0, |value, half| value << 16 | parts[code / parts.len().pow(half) % parts.len()]));
    }
    let mut rng = Rng::new(seed());
    for (_, value) in logical_immediates().into_iter().chain(logical_immediates_32()) {
        check(value);
        check(value & 0xFFFF_FFFF);
        for _ in 0..4 {
            let (half, other) = (16 * rng.below(4), 16 * rng.below(4));
            let changed = value & !(0xFFFF << half) | (rng.next() & 0xFFFF) << half;
            check(changed);
            check(changed & !(0xFFFF << other) | (rng.next() & 0xFFFF) << other);
        }
    }
    for bit in 0..64 {
        check(1 << bit);
        check((1 << bit) - 1);
        check(!(1 << bit));
        check(u64::MAX << bit);
    }
    for value in [0.1, 1.0 / 3.0, std::f64::consts::PI, -2.5, 1e300, f64::MIN_POSITIVE, f64::NAN] {
        check(value.to_bits());
    }
    for _ in 0..20_000 {
        check(rng.next() >> rng.below(64));
    }
}

#[test]
fn nothing_for_the_zero_register() {
    let mut memory = [0; 32];
    for value in [0, 1, 0x5555_5555_5555_5555, 0x1234_5678_9ABC_DEF0] {
        let mut buf = Buf::new(&mut memory).expect("32 bytes are enough");
        mov_imm(&mut buf, X::Zr, value);
        assert_eq!(buf.finish(), Ok(0), "a logical immediate there would change the stack pointer");
    }
}
