//! The float that is nearest to a decimal number.
//!
//! The first 19 digits times a power of ten of 128 bits give a lower and an upper bound of the number. Rounding never goes
//! down where its argument goes up, so where both bounds round to the same float the number does too. Otherwise, which is
//! rare, the number is compared exactly with what lies halfway between the two floats.

use super::power;
use core::cmp::Ordering;

/// A decimal number: digits of its whole part and of its fraction, as text, and a power of ten.
#[derive(Clone, Copy)]
pub(in super::super) struct Decimal<'a> {
    pub whole: &'a str,
    pub fraction: &'a str,
    pub exponent: i64,
}

impl Decimal<'_> {
    /// The digits from the first on that is not 0.
    fn digits(&self) -> impl Iterator<Item = u8> {
        let digits = self.whole.bytes().chain(self.fraction.bytes()).map(|byte| byte.wrapping_sub(b'0'));
        digits.skip_while(|&digit| digit == 0)
    }

    /// The bits of the nearest float, of two that are as near the even one. Infinity for what is too large.
    pub fn nearest(&self) -> u64 {
        let (mut count, mut first, mut cut) = (0_i64, 0_u64, false);
        // By `for_each`, because iterators made of others are slow to ask one by one.
        self.digits().for_each(|digit| {
            if count < 19 {
                first = first * 10 + u64::from(digit);
            } else {
                cut |= digit != 0;
            }
            count += 1;
        });
        let last = self.exponent.saturating_sub(self.fraction.len() as i64);
        let ten = last.saturating_add((count - 19).max(0));
        if first == 0 || ten < -342 {
            return 0;
        }
        if ten > 308 {
            return super::INFINITY;
        }
        let ten = ten as i32;
        // Two floats that are exact have a product and a quotient that is rounded once.
        if !cut && first < super::HIDDEN && ten.unsigned_abs() <= 19 {
            let (first, power) = (first as f64, 10_u64.pow(ten.unsigned_abs()) as f64);
            return if ten < 0 { first / power } else { first * power }.to_bits();
        }
        let zeros = first.leading_zeros();
        let (first, power) = (u128::from(first << zeros), power::significand(ten));
        // The upper 128 of 192 bits, of which at most one is 0 before the first 1.
        let low = first * (power >> 64) + ((first * u128::from(power as u64)) >> 64);
        // Above it by what the power lacks, at most 1 in its last place, and what has been cut off.
        let more = (power >> 64) + 1;
        let high = low.checked_add(2).and_then(|high| high.checked_add(if cut { more << zeros } else { 0 }));
        let two = power::exponent(ten) - zeros as i32 + 65;
        let nearest = round(low, two);
        if high.is_some_and(|high| round(high, two) == nearest) {
            return nearest;
        }
        match self.compare_with_half(nearest, last, count) {
            Ordering::Less => nearest,
            Ordering::Equal => nearest + (nearest & 1),
            Ordering::Greater => nearest + 1,
        }
    }

    /// Compares it with what lies halfway between a float and the next one. `last` is the power of ten of the last of its
    /// `count` digits.
    fn compare_with_half(&self, bits: u64, last: i64, count: i64) -> Ordering {
        let (fraction, biased) = (bits & (super::HIDDEN - 1), (bits >> super::FRACTION_BITS) as i32);
        let (c, q) = if biased == 0 { (fraction, 1) } else { (fraction | super::HIDDEN, biased) };
        let mut half = Number::new(2 * c + 1);
        let half_two = q - super::EXPONENT_BIAS - 1;
        // What lies halfway has at most 767 digits (the sum of 1 - 1022 - 52 binary places and 307 zeros before them), so of
        // the digits behind those it only matters whether there are any.
        let mut number = Number::new(0);
        let mut ten = last.saturating_add((count - MOST_DIGITS).max(0));
        let mut rest = false;
        for (index, digit) in (0_i64..).zip(self.digits()) {
            if index < MOST_DIGITS {
                number.multiply_add(10, digit.into());
            } else {
                rest |= digit != 0;
            }
        }
        if rest {
            number.multiply_add(10, 1);
            ten -= 1;
        }
        let ten = ten as i32;
        let up = if ten < 0 { &mut half } else { &mut number };
        for _ in 0..ten.unsigned_abs() {
            up.multiply_add(5, 0);
        }
        let two = ten - half_two;
        if two < 0 {
            half.shift(two.unsigned_abs())
        } else {
            number.shift(two.unsigned_abs())
        }
        number.compare(&half)
    }
}

/// Digits that are taken as they are.
const MOST_DIGITS: i64 = 768;

/// The float nearest to `value`, which has at least 127 bits, times 2^(`two` - 128).
fn round(value: u128, two: i32) -> u64 {
    let zeros = value.leading_zeros();
    let value = value << zeros;
    let exponent = two - zeros as i32;
    // Biased, of the bit before the first one.
    let biased = exponent + 1022;
    if biased >= 2047 {
        return super::INFINITY;
    }
    // Bits that have no place, of 128: more for a subnormal.
    let over = 75 + (1 - biased).max(0).unsigned_abs();
    let kept = value.checked_shr(over).unwrap_or(0) as u64;
    let rest = 128_u32.checked_sub(over).map_or(0, |left| value << left);
    let half = 1 << 127;
    let up = rest > half || rest == half && kept & 1 != 0;
    // The first one, which is not stored, adds to the exponent.
    (((biased - 1).max(0) as u64) << super::FRACTION_BITS) + kept + u64::from(up)
}

/// A natural number of up to 3072 bits, the lowest first: more than any that is compared.
struct Number {
    parts: [u32; 96],
}

impl Number {
    fn new(value: u64) -> Self {
        let mut parts = [0; 96];
        (parts[0], parts[1]) = (value as u32, (value >> 32) as u32);
        Self { parts }
    }

    fn multiply_add(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for part in &mut self.parts {
            carry += u64::from(*part) * u64::from(factor);
            *part = carry as u32;
            carry >>= 32;
        }
    }

    /// Multiplies by a power of two.
    fn shift(&mut self, two: u32) {
        let whole = (two / 32) as usize;
        for index in (0..self.parts.len()).rev() {
            let part = index.checked_sub(whole).and_then(|from| self.parts.get(from)).copied().unwrap_or(0);
            if let Some(place) = self.parts.get_mut(index) {
                *place = part;
            }
        }
        self.multiply_add(1 << (two % 32), 0);
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.parts.iter().rev().cmp(other.parts.iter().rev())
    }
}
