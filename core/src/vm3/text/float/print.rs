//! The shortest text that reads back: Raffaello Giulietti, "The Schubfach way to render doubles".

use super::power;
use core::fmt;

/// The fewest decimal digits, without zeros behind them, that read back as this finite positive float, the closest to it
/// if there are several, and of two that are as close the greater one, as Rust does; and the power of ten of the last digit.
fn shortest(bits: u64) -> (u64, i32) {
    let (fraction, biased) = (bits & (super::HIDDEN - 1), (bits >> super::FRACTION_BITS) as i32);
    let (c, q) = if biased == 0 { (fraction, 1) } else { (fraction | super::HIDDEN, biased) };
    let q = q - super::EXPONENT_BIAS;
    // Below a power of two the next float is half as far away, but for the least normal one.
    let closer = u64::from(fraction == 0 && biased > 1);
    // floor(log10(2^q)), or of 3/4 of that.
    let k = (q * 1_262_611 - closer as i32 * 524_031) >> 22;
    let power = power::significand(-k) + u128::from(!(0..=power::EXACT).contains(&-k));
    let h = q + power::exponent(-k) + 1;
    // 4 times the float and the ends of the interval that reads back as it, divided by 10^k.
    let scaled = |c: u64| round_to_odd(power, c << h);
    let (low, value, high) = (scaled(4 * c - 2 + closer), scaled(4 * c), scaled(4 * c + 2));
    // The ends read back as it if it is even.
    let (low, high) = (low + (c & 1), high - (c & 1));
    let s = value / 4;
    let tens = s / 10;
    let (below, above) = (low <= 40 * tens, 40 * tens + 40 <= high);
    if tens != 0 && below != above {
        return trimmed(tens + u64::from(above), k + 1);
    }
    let (below, above) = (low <= 4 * s, 4 * s + 4 <= high);
    let up = if below != above { above } else { value >= 4 * s + 2 };
    trimmed(s + u64::from(up), k)
}

/// The upper 64 of the 192 bits of the product, with the lowest one set if any below is.
fn round_to_odd(power: u128, c: u64) -> u64 {
    let c = u128::from(c);
    let product = (power >> 64) * c + ((u128::from(power as u64) * c) >> 64);
    (product >> 64) as u64 | u64::from(product as u64 > 1)
}

/// Without the zeros at the end.
fn trimmed(mut digits: u64, mut exponent: i32) -> (u64, i32) {
    while digits.is_multiple_of(10) && digits != 0 {
        digits /= 10;
        exponent += 1;
    }
    (digits, exponent)
}

/// The longest text: a sign, 17 digits, a point, and an exponent of 5 bytes.
const LONGEST: usize = 24;

/// A text that is written from its end.
struct Text {
    bytes: [u8; LONGEST],
    start: usize,
}

impl Text {
    fn put(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }

    /// Puts the last `count` digits of a number before the text, and gives those before them.
    fn digits(&mut self, mut number: u64, count: i32) -> u64 {
        for _ in 0..count {
            self.put(b'0' + (number % 10) as u8);
            number /= 10;
        }
        number
    }
}

/// Writes a float: as Rust's `{:?}`, but `nan`.
pub(super) fn write(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        return f.write_str("nan");
    }
    let bits = value.to_bits() & !(1 << 63);
    let mut text = Text { bytes: [0; LONGEST], start: LONGEST };
    if bits == super::INFINITY {
        for &byte in b"fni" {
            text.put(byte);
        }
    } else {
        let (digits, exponent) = if bits == 0 { (0, 0) } else { shortest(bits) };
        let count = digits.checked_ilog10().unwrap_or(0) as i32 + 1;
        // The power of ten of the first digit.
        let first = count + exponent - 1;
        // From 1e-4 to 1e16 without an exponent.
        if (-4..16).contains(&first) {
            let zeros = exponent.max(0);
            let behind = (-exponent).max(1);
            let rest = if exponent < 0 { text.digits(digits, behind) } else { digits };
            if exponent >= 0 {
                text.put(b'0');
            }
            text.put(b'.');
            text.digits(0, zeros);
            text.digits(rest, (first + 1 - zeros).max(1));
        } else {
            let size = first.unsigned_abs().into();
            text.digits(size, if size < 10 { 1 } else { 2 + i32::from(size >= 100) });
            if first < 0 {
                text.put(b'-');
            }
            text.put(b'e');
            let rest = text.digits(digits, count - 1);
            if count > 1 {
                text.put(b'.');
            }
            text.digits(rest, 1);
        }
    }
    if value.is_sign_negative() {
        text.put(b'-');
    }
    let written = text.bytes.get(text.start..).unwrap_or(&[]);
    f.write_str(core::str::from_utf8(written).unwrap_or("?"))
}
