//! The text of floats. Rust's own has tables of some 12 KB and code of as much; this is a tenth of it. Printing
//! is faster, reading about as fast.

mod parse;
mod power;
mod print;

use core::fmt;

pub(super) use parse::Decimal;

/// Of binary64 (IEEE 754-2019, 3.4): the bits of the fraction, the one before it, which is not stored, and what is added
/// to the exponent of the last bit.
const FRACTION_BITS: u32 = 52;
const HIDDEN: u64 = 1 << FRACTION_BITS;
const EXPONENT_BIAS: i32 = 1023 + 52;
const INFINITY: u64 = f64::INFINITY.to_bits();

/// The text of an f64 wherever vm3 prints one: the shortest that reads back, as Rust's `{:?}`, and `nan`.
#[derive(Clone, Copy, Debug)]
pub struct FloatText(pub f64);

impl fmt::Display for FloatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::write(f, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Literal, LiteralErrorKind, parse_literal};
    use super::FloatText;
    use std::format;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// xorshift64 (Marsaglia, "Xorshift RNGs").
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: u64) -> usize {
            (self.next() % end) as usize
        }
    }

    /// Floats at the edges of all exponents, and some anywhere.
    fn floats() -> Vec<f64> {
        let mut bits: Vec<u64> = (0..2047_u64).flat_map(|e| [0, 1, 2, 3].map(|low| (e << 52) + low)).collect();
        bits.extend((1..=2047_u64).flat_map(|e| [1, 2, 3].map(|low| (e << 52) - low)));
        bits.extend((0..52).flat_map(|shift| [1_u64 << shift, (1 << shift) - 1]));
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        bits.extend((0..200_000).map(|_| random.next()));
        // Short ones.
        let short = |random: &mut Random| (random.below(100_000) as f64 / 1000.0).to_bits();
        bits.extend((0..20_000).map(|_| short(&mut random)));
        bits.extend((-340..309).map(|e| format!("1e{e}").parse::<f64>().unwrap_or_default().to_bits()));
        bits.into_iter().map(f64::from_bits).filter(|value| value.is_finite()).collect()
    }

    #[test]
    fn floats_are_printed_as_rust_does() {
        for value in floats() {
            assert_eq!(FloatText(value).to_string(), format!("{value:?}"));
            assert_eq!(FloatText(-value).to_string(), format!("{:?}", -value));
        }
        for (value, text) in [(f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf"), (f64::NAN, "nan"), (-0.0, "-0.0")] {
            assert_eq!(FloatText(value).to_string(), text);
        }
    }

    #[track_caller]
    fn reads(text: &str) {
        let wanted: f64 = text.parse().unwrap();
        match parse_literal(text) {
            Ok(Literal::Float(value)) => assert_eq!(value.to_bits(), wanted.to_bits(), "{text}"),
            other => {
                assert!(wanted.is_infinite(), "{text}: {other:?}");
                assert_eq!(other.map_err(|error| error.kind), Err(LiteralErrorKind::FloatRange), "{text}");
            }
        }
    }

    #[test]
    fn floats_are_read_as_rust_does() {
        for value in floats() {
            reads(&format!("{value:?}"));
            reads(&format!("{value:e}"));
            reads(&format!("{value:.20e}"));
        }
    }

    /// Digits, a point somewhere among them, and an exponent.
    fn number(random: &mut Random, digits: usize) -> String {
        let mut text: String = (0..digits).map(|_| char::from(b'0' + random.below(10) as u8)).collect();
        text.insert(1 + random.below(digits as u64), '.');
        if text.ends_with('.') {
            text.push('0');
        }
        let exponent = random.below(760) as i64 - 380;
        format!("{text}e{exponent}")
    }

    #[test]
    fn numbers_of_any_length_are_read_as_rust_does() {
        let mut random = Random(0x2545_F491_4F6C_DD1D);
        for _ in 0..100_000 {
            let digits = 1 + random.below(30);
            reads(&number(&mut random, digits));
        }
        for _ in 0..300 {
            let digits = 1 + random.below(1500);
            reads(&number(&mut random, digits));
        }
        for text in ["0.0", "-0.0", "0e999999999999999999999", "1e-999999999999999999999", "1e99999999999999999999"] {
            reads(text);
        }
    }

    /// What lies halfway between a float and the next one, to the last digit; and a little above and below.
    #[test]
    fn numbers_halfway_between_floats_are_read_as_rust_does() {
        let mut random = Random(0xD1B5_4A32_D192_ED03);
        let mut all: Vec<u64> = (0..400).map(|_| random.next() & !(1 << 63)).collect();
        all.extend([
            0,
            1,
            (1 << 52) - 1,
            1 << 52,
            f64::MAX.to_bits(),
            1.0_f64.to_bits(),
            9007199254740992.0_f64.to_bits(),
        ]);
        for bits in all.into_iter().filter(|&bits| f64::from_bits(bits).is_finite()) {
            let half = halfway(bits);
            reads(&half);
            reads(&format!("{half}1"));
            reads(&format!("{half}00000000000000000000000000000000000001"));
            // The last digit of what lies halfway is 5, or 0 of a whole number.
            if let Some(rest) = half.strip_suffix('5') {
                reads(&format!("{rest}49999999999999999999999"));
            }
        }
    }

    /// The decimal digits of what lies halfway between a float and the next one.
    fn halfway(bits: u64) -> String {
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
        let c = 2 * (if biased == 0 { fraction } else { fraction | 1 << 52 }) + 1;
        let two = biased.max(1) - 1076;
        // The digits of c, then doubled or halved so many times.
        let (mut digits, mut point) = (c.to_string().into_bytes(), 0);
        digits.iter_mut().for_each(|digit| *digit -= b'0');
        for _ in 0..two.unsigned_abs() {
            let factor = if two < 0 { 5 } else { 2 };
            let mut carry = 0;
            for digit in digits.iter_mut().rev() {
                carry += *digit * factor;
                *digit = carry % 10;
                carry /= 10;
            }
            if carry != 0 {
                digits.insert(0, carry);
            }
            point += usize::from(two < 0);
        }
        while digits.len() <= point {
            digits.insert(0, 0);
        }
        let mut text: String = digits.iter().map(|&digit| char::from(b'0' + digit)).collect();
        text.insert(text.len() - point, '.');
        if text.ends_with('.') {
            text.push('0');
        }
        text
    }
}
