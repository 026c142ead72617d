//! Powers of ten in binary, which both directions start from.

/// 10^k for k from 0 to 27, moved up to 64 bits; none of them loses a bit.
static MINOR: [u64; MINORS] = {
    let mut powers = [0; MINORS];
    let mut k = 0;
    while k < MINORS {
        let power = 5_u64.pow(k as u32);
        powers[k] = power << power.leading_zeros();
        k += 1;
    }
    powers
};

const MINORS: usize = 28;

/// 10^k for every 28th k from -364 on, moved to 192 bits and truncated, the highest word first. The product with a minor
/// one then has the right first 128 bits for all k from -342 to 324.
#[rustfmt::skip]
static MAJOR: [[u64; 3]; 25] = [
    [0xe1afa13afbd14d6d, 0x82189c09a3a1ec21, 0x7a43516213c7e04c],
    [0xe3e27a444d8d98b7, 0xfd1b1b2308169b25, 0x363b1f2c568dc3e2],
    [0xe61acf033d1a45df, 0x6fb92487298e33bd, 0xadd7728c20b99bd1],
    [0xe858ad248f5c22c9, 0xd1b3400f8f9cff68, 0xf910f9f648232f14],
    [0xea9c227723ee8bcb, 0x465e15a979c1cadc, 0x0a0ce827eac11f2d],
    [0xece53cec4a314ebd, 0xa4f8bf5635246428, 0x4609ac5c7899ca36],
    [0xef340a98172aace4, 0x86fb897116c87c34, 0x9c39c1da4c49278d],
    [0xf18899b1bc3f8ca1, 0xdc44e6c3cb279ac1, 0xf80f36174730ca34],
    [0xf3e2f893dec3f126, 0x5a89dba3c3efccfa, 0xd8ecb58659be9c90],
    [0xf64335bcf065d37d, 0x4d4617b5ff4a16d5, 0xaa09501d5954a559],
    [0xf8a95fcf88747d94, 0x75a44c6397ce912a, 0x33cca6c06b07b74d],
    [0xfb158592be068d2e, 0xeed6e2f0f0d56712, 0xac2e4f162cfad40a],
    [0xfd87b5f28300ca0d, 0x8bca9d6e188853fc, 0x76dcb60081ce0fa5],
    [0x8000000000000000, 0x0000000000000000, 0x0000000000000000],
    [0x813f3978f8940984, 0x4000000000000000, 0x0000000000000000],
    [0x82818f1281ed449f, 0xbff8f10e7a8921a4, 0x2000000000000000],
    [0x83c7088e1aab65db, 0x792667c6da79e0fa, 0x0861d3ee22d1cc53],
    [0x850fadc09923329e, 0x03e2cf6bc604ddb0, 0x74a7ef0198791097],
    [0x865b86925b9bc5c2, 0x0b8a2392ba45a9b2, 0x5c6658d409fb8bf7],
    [0x87aa9aff79042286, 0x90fb44d2f05d0842, 0xfb118fc9c217a1d2],
    [0x88fcf317f22241e2, 0x441fece3bdf81f03, 0x12f274928400100d],
    [0x8a5296ffe33cc92f, 0x82bd6b70d99aaa6f, 0xbc10c5c5cda97c8d],
    [0x8bab8eefb6409c1a, 0x1ad089b6c2f7548e, 0x25c7b885ba466e37],
    [0x8d07e33455637eb2, 0xdb0b487b6423e1e8, 0x7ec63730f500b406],
    [0x8e679c2f5e44ff8f, 0x570f09eaa7ea7648, 0x5961db50c6d2b886],
];

/// The `k` of the first major power.
const FIRST: i32 = -364;

/// The greatest k for which [`significand`] is 10^k without loss, if k is not negative.
pub(super) const EXACT: i32 = 55;

/// The first 128 bits of 10^k, the highest one a 1: 10^k is at least as much times 2^([`exponent`] - 127), and less than one
/// more. `k` is from -342 to 324; for others the result is some number.
pub(super) fn significand(k: i32) -> u128 {
    let place = k.wrapping_sub(FIRST) as usize;
    let minor = MINOR.get(place % MINORS).map_or(0, |&minor| u128::from(minor));
    let [high, middle, low] = MAJOR.get(place / MINORS).map_or([0; 3], |major| major.map(u128::from));
    // The product has 256 bits. What the words carry is below 2^64, so no sum overflows.
    let third = (low * minor) >> 64;
    let second = middle * minor + third;
    let first = high * minor + (second >> 64);
    if first >> 127 != 0 { first } else { first << 1 | (second as u64 >> 63) as u128 }
}

/// The greatest power of 2 that is not above 10^k, for k from -350 to 350.
pub(super) const fn exponent(k: i32) -> i32 {
    // log2(10) with 16 bits behind the point.
    k.wrapping_mul(217_706) >> 16
}

#[cfg(test)]
mod tests {
    use super::{EXACT, exponent, significand};
    use std::cmp::Ordering;
    use std::vec::Vec;

    /// A number of any size, the lowest part first.
    fn number(value: u128) -> Vec<u32> {
        (0..4).map(|part| (value >> (32 * part)) as u32).collect()
    }

    fn times(number: &mut Vec<u32>, factor: u32) {
        let mut carry = 0;
        for part in number.iter_mut() {
            carry += u64::from(*part) * u64::from(factor);
            *part = carry as u32;
            carry >>= 32;
        }
        number.push(carry as u32);
    }

    fn times_power(number: &mut Vec<u32>, factor: u32, count: i32) {
        for _ in 0..count {
            times(number, factor);
        }
    }

    fn compare(x: &[u32], y: &[u32]) -> Ordering {
        let part = |number: &[u32], index: usize| number.get(index).copied().unwrap_or(0);
        let parts = (0..x.len().max(y.len())).rev();
        parts.map(|index| part(x, index).cmp(&part(y, index))).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// How `value` times 2^`two` compares with 10^k.
    fn against_power(value: u128, two: i32, k: i32) -> Ordering {
        let (mut x, mut y) = (number(value), number(1));
        times_power(&mut x, 2, two);
        times_power(&mut y, 2, -two);
        times_power(&mut y, 10, k);
        times_power(&mut x, 10, -k);
        compare(&x, &y)
    }

    #[test]
    fn powers_have_the_right_first_bits() {
        for k in -342..=324 {
            let (value, two) = (significand(k), exponent(k) - 127);
            assert_eq!(value >> 127, 1, "{k}");
            let order = against_power(value, two, k);
            assert_eq!(order, if (0..=EXACT).contains(&k) { Ordering::Equal } else { Ordering::Less }, "{k}");
            if value != u128::MAX {
                assert_eq!(against_power(value + 1, two, k), Ordering::Greater, "{k}");
            }
        }
    }
}
