//! What each computing op gives, written from vm3.md as plain arithmetic, apart from every engine.

use opstamp::vm3::op::TrapKind;

/// Computes an op from the bits of its sources in order, a literal last and sign-extended: the bits of the destination,
/// for a branch 1 if it is taken and else 0.
pub type Eval = fn(&[u64]) -> Result<u64, TrapKind>;

/// Every NaN as the canonical one: what `f64.bits`, globals and the host see.
pub fn canonical(bits: u64) -> u64 {
    if f64::from_bits(bits).is_nan() { 0x7FF8_0000_0000_0000 } else { bits }
}

fn i(bits: u64) -> i64 {
    bits as i64
}
fn f(bits: u64) -> f64 {
    f64::from_bits(bits)
}
fn divisor(bits: u64) -> Result<u64, TrapKind> {
    if bits == 0 { Err(TrapKind::DivisionByZero) } else { Ok(bits) }
}

fn min(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

fn copysign(x: f64, y: f64) -> f64 {
    let sign = if y.is_nan() { 0 } else { y.to_bits() >> 63 };
    f64::from_bits(x.to_bits() & (u64::MAX >> 1) | sign << 63)
}

/// Truncates a finite float in the range of i64 by its exponent and mantissa; the ends saturate.
fn to_i64(x: f64) -> i64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as i64 - 1075;
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    if x.is_nan() {
        return 0;
    }
    let magnitude: u128 = match exponent {
        ..=-53 => 0,
        -52..=0 => u128::from(mantissa >> -exponent),
        1..=11 => u128::from(mantissa) << exponent,
        _ => 1 << 64,
    };
    if x.is_sign_negative() {
        if magnitude > 1 << 63 { i64::MIN } else { (magnitude as i64).wrapping_neg() }
    } else if magnitude >= 1 << 63 {
        i64::MAX
    } else {
        magnitude as i64
    }
}

/// The meaning of the computing op, or of the branch, with that mnemonic; `None` for all others.
pub fn oracle(mnemonic: &str) -> Option<Eval> {
    let eval: Eval = match mnemonic {
        "i64.mov" | "i64.const" | "f64.mov" | "f64.const" | "f64.from_bits" => |a| Ok(a[0]),
        "i64.add" => |a| Ok(a[0].wrapping_add(a[1])),
        "i64.sub" => |a| Ok(a[0].wrapping_sub(a[1])),
        "i64.mul" => |a| Ok(a[0].wrapping_mul(a[1])),
        "i64.div" => |a| divisor(a[1]).map(|d| i(a[0]).wrapping_div(i(d)) as u64),
        "i64.rem" => |a| divisor(a[1]).map(|d| i(a[0]).wrapping_rem(i(d)) as u64),
        "i64.udiv" => |a| divisor(a[1]).map(|d| a[0] / d),
        "i64.urem" => |a| divisor(a[1]).map(|d| a[0] % d),
        "i64.and" => |a| Ok(a[0] & a[1]),
        "i64.or" => |a| Ok(a[0] | a[1]),
        "i64.xor" => |a| Ok(a[0] ^ a[1]),
        "i64.shl" => |a| Ok(a[0] << (a[1] % 64)),
        "i64.shr" => |a| Ok((i(a[0]) >> (a[1] % 64)) as u64),
        "i64.ushr" => |a| Ok(a[0] >> (a[1] % 64)),
        "i64.rotl" => |a| Ok(a[0].rotate_left((a[1] % 64) as u32)),
        "i64.min" => |a| Ok(i(a[0]).min(i(a[1])) as u64),
        "i64.max" => |a| Ok(i(a[0]).max(i(a[1])) as u64),
        "i64.neg" => |a| Ok(a[0].wrapping_neg()),
        "i64.not" => |a| Ok(!a[0]),
        "i64.clz" => |a| Ok(a[0].leading_zeros().into()),
        "i64.ctz" => |a| Ok(a[0].trailing_zeros().into()),
        "i64.popcnt" => |a| Ok(a[0].count_ones().into()),
        "i64.eq" | "br.i64.eq" => |a| Ok((a[0] == a[1]).into()),
        "i64.ne" | "br.i64.ne" => |a| Ok((a[0] != a[1]).into()),
        "i64.lt" | "br.i64.lt" => |a| Ok((i(a[0]) < i(a[1])).into()),
        "i64.le" | "br.i64.le" => |a| Ok((i(a[0]) <= i(a[1])).into()),
        "i64.gt" | "br.i64.gt" => |a| Ok((i(a[0]) > i(a[1])).into()),
        "i64.ge" | "br.i64.ge" => |a| Ok((i(a[0]) >= i(a[1])).into()),
        "i64.ult" | "br.i64.ult" => |a| Ok((a[0] < a[1]).into()),
        "i64.ule" | "br.i64.ule" => |a| Ok((a[0] <= a[1]).into()),
        "i64.ugt" | "br.i64.ugt" => |a| Ok((a[0] > a[1]).into()),
        "i64.uge" | "br.i64.uge" => |a| Ok((a[0] >= a[1]).into()),
        "i64.select" | "f64.select" => |a| Ok(if a[0] != 0 { a[1] } else { a[2] }),
        "f64.add" => |a| Ok((f(a[0]) + f(a[1])).to_bits()),
        "f64.sub" => |a| Ok((f(a[0]) - f(a[1])).to_bits()),
        "f64.mul" => |a| Ok((f(a[0]) * f(a[1])).to_bits()),
        "f64.div" => |a| Ok((f(a[0]) / f(a[1])).to_bits()),
        "f64.min" => |a| Ok(min(f(a[0]), f(a[1])).to_bits()),
        "f64.max" => |a| Ok((-min(-f(a[0]), -f(a[1]))).to_bits()),
        "f64.copysign" => |a| Ok(copysign(f(a[0]), f(a[1])).to_bits()),
        "f64.neg" => |a| Ok(a[0] ^ 1 << 63),
        "f64.abs" => |a| Ok(a[0] & (u64::MAX >> 1)),
        "f64.sqrt" => |a| Ok(libm::sqrt(f(a[0])).to_bits()),
        "f64.floor" => |a| Ok(libm::floor(f(a[0])).to_bits()),
        "f64.ceil" => |a| Ok(libm::ceil(f(a[0])).to_bits()),
        "f64.trunc" => |a| Ok(libm::trunc(f(a[0])).to_bits()),
        "f64.nearest" => |a| Ok(libm::rint(f(a[0])).to_bits()),
        "f64.fma" => |a| Ok(libm::fma(f(a[0]), f(a[1]), f(a[2])).to_bits()),
        "f64.eq" | "br.f64.eq" => |a| Ok((f(a[0]) == f(a[1])).into()),
        "f64.ne" | "br.f64.ne" => |a| Ok((f(a[0]) != f(a[1])).into()),
        "f64.lt" | "br.f64.lt" => |a| Ok((f(a[0]) < f(a[1])).into()),
        "f64.le" | "br.f64.le" => |a| Ok((f(a[0]) <= f(a[1])).into()),
        "f64.gt" | "br.f64.gt" => |a| Ok((f(a[0]) > f(a[1])).into()),
        "f64.ge" | "br.f64.ge" => |a| Ok((f(a[0]) >= f(a[1])).into()),
        "i64.to_f64" => |a| Ok((i(a[0]) as f64).to_bits()),
        "f64.to_i64" => |a| Ok(to_i64(f(a[0])) as u64),
        "f64.bits" => |a| Ok(canonical(a[0])),
        _ => return None,
    };
    Some(eval)
}
