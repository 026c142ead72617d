//! Immediates that are enumerated whole: logical immediates and 8-bit floating-point numbers.

use crate::cases::emit;
use crate::draw::{Rng, seed};
use crate::oracle::Batch;
use opstamp::asm::a64::{self, D, FpImm8, LogicalImm, Size, X, XSp};
use std::collections::{HashMap, HashSet};

/// Every logical immediate of 64 bits: its fields `N:immr:imms` and its value, from the Arm ARM's description: a run of
/// ones in an element, rotated right, repeated. `imms` is the length of the run less 1, below a prefix that tells the size
/// of the element.
pub fn logical_immediates() -> Vec<(u32, u64)> {
    let mut all = Vec::new();
    for (element, prefix) in [(2, 0x3C), (4, 0x38), (8, 0x30), (16, 0x20), (32, 0), (64, 0x1000)] {
        for ones in 1..element {
            for rotation in 0..element {
                let bits: Vec<bool> = (0..64).map(|bit| (bit % element + rotation) % element < ones).collect();
                let value = bits.iter().rev().fold(0, |value, &bit| value << 1 | u64::from(bit));
                all.push((prefix | (rotation as u32) << 6 | (ones as u32 - 1), value));
            }
        }
    }
    all
}

/// Those of 32 bits: the ones whose elements are at most 32 bits, cut to 32.
pub fn logical_immediates_32() -> Vec<(u32, u64)> {
    let narrow = logical_immediates().into_iter().filter(|&(fields, _)| fields & 0x1000 == 0);
    narrow.map(|(fields, value)| (fields, value & 0xFFFF_FFFF)).collect()
}

#[test]
fn all_logical_immediates() {
    let (wide, narrow) = (logical_immediates(), logical_immediates_32());
    let distinct = |all: &[(u32, u64)]| all.iter().map(|&(_, value)| value).collect::<HashSet<_>>().len();
    assert_eq!((wide.len(), distinct(&wide)), (5334, 5334));
    assert_eq!((narrow.len(), distinct(&narrow)), (1302, 1302));

    let mut batch = Batch::new();
    for (size, letter, all) in [(Size::X, 'x', &wide), (Size::W, 'w', &narrow)] {
        for &(fields, value) in all {
            let imm = LogicalImm::new(value, size).unwrap_or_else(|| panic!("{value:#x} is a logical immediate"));
            let put = [
                ("and", emit(|b| a64::and_imm(b, XSp::X3, X::X4, imm))),
                ("orr", emit(|b| a64::orr_imm(b, XSp::X3, X::X4, imm))),
                ("eor", emit(|b| a64::eor_imm(b, XSp::X3, X::X4, imm))),
                ("ands", emit(|b| a64::ands_imm(b, X::X3, X::X4, imm))),
            ];
            for (name, word) in put {
                let word = word.expect("it has an encoding");
                assert_eq!(word >> 10 & 0x1FFF, fields, "{value:#x}");
                batch.expect(format!("{name} {letter}3, {letter}4, #{value:#x}"), word);
            }
        }
    }
    batch.check();
}

#[test]
fn no_other_logical_immediates() {
    let mut rng = Rng::new(seed());
    for (size, all) in [(Size::X, logical_immediates()), (Size::W, logical_immediates_32())] {
        let members: HashMap<u64, u32> = all.iter().map(|&(fields, value)| (value, fields)).collect();
        let agrees = |value: u64| {
            let refused = LogicalImm::new(value, size).is_none();
            assert_eq!(refused, !members.contains_key(&value), "{value:#x} as an immediate of {size:?}");
        };
        for &(_, value) in &all {
            for bit in 0..64 {
                agrees(value ^ 1 << bit);
            }
        }
        for value in [0, 0xFFFF_FFFF, 1 << 32, u64::MAX, u64::MAX << 32] {
            agrees(value);
        }
        for _ in 0..100_000 {
            agrees(rng.next());
            agrees(rng.next() & 0xFFFF_FFFF);
        }
    }
}

#[test]
fn all_floating_point_immediates() {
    let mut batch = Batch::new();
    let mut members = HashSet::new();
    for sign in [1.0, -1.0] {
        for n in 16..=31 {
            for r in -3..=4 {
                let value: f64 = sign * f64::from(n) / 16.0 * 2.0_f64.powi(r);
                let imm = FpImm8::new(value.to_bits()).unwrap_or_else(|| panic!("{value} is an immediate"));
                batch.expect(
                    format!("fmov d7, #{value:?}"),
                    emit(|b| a64::fmov_imm(b, D::D7, imm)).expect("it encodes"),
                );
                members.insert(value.to_bits());
            }
        }
    }
    assert_eq!(members.len(), 256);
    batch.check();

    let mut rng = Rng::new(seed());
    let flipped: Vec<u64> = members.iter().flat_map(|&bits| (0..64).map(move |bit| bits ^ 1 << bit)).collect();
    let special =
        [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE, f64::MAX, 32.0, 0.0625, 0.1];
    let random = std::iter::repeat_with(|| rng.next()).take(100_000);
    // A 12-bit top covers all signs, exponents and first fraction bits with nothing below.
    let tops = (0..1 << 16).map(|top| top << 48);
    for bits in flipped.into_iter().chain(special.map(f64::to_bits)).chain(random).chain(tops) {
        assert_eq!(FpImm8::new(bits).is_some(), members.contains(&bits), "{bits:#x}");
    }
}
