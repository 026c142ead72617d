//! The float operations of vm3 that Rust's core lacks or gives another meaning.
//!
//! Each gives the correctly rounded value of IEEE 754-2019 (§5.4.1 squareRoot and fusedMultiplyAdd, §5.3.1 roundToIntegral,
//! §9.6 minimum and maximum, §5.5.1 copySign but for a NaN as the sign) in the float environment that Rust code has, which
//! rounds to nearest. Which NaN results is not observable in vm3.

const SIGN: u64 = 1 << 63;
/// 2^52: floats of at least this magnitude are whole numbers, and below it the spacing near it is 1.
const WHOLE: f64 = 4_503_599_627_370_496.0;

/// NaN if either operand is NaN; -0 lies below +0.
#[inline(always)]
pub(super) fn min(x: f64, y: f64) -> f64 {
    if x < y {
        x
    } else if y < x {
        y
    } else if x == y {
        f64::from_bits(x.to_bits() | y.to_bits())
    } else {
        f64::NAN
    }
}

/// NaN if either operand is NaN; -0 lies below +0.
#[inline(always)]
pub(super) fn max(x: f64, y: f64) -> f64 {
    if x > y {
        x
    } else if y > x {
        y
    } else if x == y {
        f64::from_bits(x.to_bits() & y.to_bits())
    } else {
        f64::NAN
    }
}

/// The magnitude of `x` with the sign of `y`; a NaN as `y` counts as positive.
#[inline(always)]
pub(super) fn copysign(x: f64, y: f64) -> f64 {
    let sign = if y.is_nan() { 0 } else { y.to_bits() & SIGN };
    f64::from_bits(x.to_bits() & !SIGN | sign)
}

/// `x` with the sign of `like`, where both have the same sign but for a zero `x`.
#[inline(always)]
fn signed_like(x: f64, like: f64) -> f64 {
    f64::from_bits(x.to_bits() & !SIGN | like.to_bits() & SIGN)
}

/// The magnitude of `x`.
#[inline(always)]
pub(super) fn abs(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & !SIGN)
}

/// `x` with the other sign.
#[inline(always)]
pub(super) fn neg(x: f64) -> f64 {
    f64::from_bits(x.to_bits() ^ SIGN)
}

/// Toward zero.
#[inline(always)]
pub(super) fn trunc(x: f64) -> f64 {
    if abs(x) < WHOLE {
        // SAFETY: a magnitude below 2^52 is no NaN and fits in an i64.
        let whole = unsafe { x.to_int_unchecked::<i64>() };
        signed_like(whole as f64, x)
    } else {
        x
    }
}

/// Downward.
#[inline(always)]
pub(super) fn floor(x: f64) -> f64 {
    let whole = trunc(x);
    if whole > x { whole - 1.0 } else { whole }
}

/// Upward.
#[inline(always)]
pub(super) fn ceil(x: f64) -> f64 {
    let whole = trunc(x);
    if whole < x { whole + 1.0 } else { whole }
}

/// To the nearest whole number, ties to the even one.
#[inline(always)]
pub(super) fn nearest(x: f64) -> f64 {
    let magnitude = abs(x);
    // Near 2^52 floats are spaced by 1, so the addition rounds to a whole number, and the subtraction is exact.
    if magnitude < WHOLE { signed_like((magnitude + WHOLE) - WHOLE, x) } else { x }
}

/// The square root.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
pub(super) fn sqrt(x: f64) -> f64 {
    use core::arch::x86_64::{_mm_cvtsd_f64, _mm_set_sd, _mm_sqrt_sd};
    // SAFETY: the instructions need SSE2, which this build targets.
    #[allow(unused_unsafe, reason = "safe where the features are known, in some toolchains")]
    unsafe {
        let x = _mm_set_sd(x);
        _mm_cvtsd_f64(_mm_sqrt_sd(x, x))
    }
}

/// The square root.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[inline(always)]
pub(super) fn sqrt(x: f64) -> f64 {
    use core::arch::aarch64::{vdup_n_f64, vget_lane_f64, vsqrt_f64};
    // SAFETY: the instructions need Advanced SIMD, which this build targets.
    #[allow(unused_unsafe, reason = "safe where the features are known, in some toolchains")]
    unsafe {
        vget_lane_f64::<0>(vsqrt_f64(vdup_n_f64(x)))
    }
}

/// The square root.
#[cfg(not(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
)))]
pub(super) fn sqrt(x: f64) -> f64 {
    libm::sqrt(x)
}

/// `x * y + z`, rounded once.
#[cfg(all(target_arch = "x86_64", target_feature = "fma"))]
#[inline(always)]
pub(super) fn fma(x: f64, y: f64, z: f64) -> f64 {
    use core::arch::x86_64::{_mm_cvtsd_f64, _mm_fmadd_sd, _mm_set_sd};
    // SAFETY: the instructions need FMA3, which this build targets.
    #[allow(unused_unsafe, reason = "safe where the features are known, in some toolchains")]
    unsafe {
        _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(x), _mm_set_sd(y), _mm_set_sd(z)))
    }
}

/// `x * y + z`, rounded once.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[inline(always)]
pub(super) fn fma(x: f64, y: f64, z: f64) -> f64 {
    use core::arch::aarch64::{vdup_n_f64, vfma_f64, vget_lane_f64};
    // SAFETY: the instructions need Advanced SIMD, which this build targets.
    #[allow(unused_unsafe, reason = "safe where the features are known, in some toolchains")]
    unsafe {
        vget_lane_f64::<0>(vfma_f64(vdup_n_f64(z), vdup_n_f64(x), vdup_n_f64(y)))
    }
}

/// `x * y + z`, rounded once.
#[cfg(not(any(
    all(target_arch = "x86_64", target_feature = "fma"),
    all(target_arch = "aarch64", target_feature = "neon")
)))]
#[inline(never)]
pub(super) fn fma(x: f64, y: f64, z: f64) -> f64 {
    libm::fma(x, y, z)
}
