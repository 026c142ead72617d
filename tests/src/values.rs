//! Values at the edges.

/// Integers: around zero, shift counts, powers of two, the ends, what float conversion and division find hard, and the
/// bit patterns of odd floats.
pub const INTS: &[i64] = &[
    0,
    1,
    -1,
    2,
    -2,
    3,
    7,
    -7,
    10,
    31,
    32,
    63,
    64,
    65,
    255,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1_0000_0000,
    -0x8000_0000,
    -0x8000_0001,
    0x5555_5555_5555_5555,
    0x1234_5678_9ABC_DEF0,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    -(1 << 53) - 1,
    (1 << 54) + 2,
    (1 << 54) + 6,
    i64::MAX,
    i64::MAX - 1,
    i64::MAX - 511,
    i64::MAX - 512,
    i64::MIN,
    i64::MIN + 1,
    0x7FF0_0000_0000_0001,
    -0x0008_0000_0000_0000,
    -0x000F_FFFF_FFFF_FFFF,
];

/// Fewer integers, for products of three and for variants.
pub const INTS_FEW: &[i64] = &[0, 1, -1, 2, 63, 64, 0x1234_5678_9ABC_DEF0, i64::MAX, i64::MIN];

/// Floats: zeros, ties, neighbours of 2^52, 2^53 and 2^63, subnormals, the ends, infinities, NaN.
pub const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    2.0,
    3.0,
    0.1,
    10.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    0.499_999_999_999_999_94,
    -0.499_999_999_999_999_94,
    0.999_999_999_999_999_9,
    1.000_000_000_000_000_2,
    -3.7,
    4_503_599_627_370_495.5,
    4_503_599_627_370_496.5,
    -4_503_599_627_370_495.5,
    9_007_199_254_740_991.0,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_774_784.0,
    9_223_372_036_854_775_808.0,
    9_223_372_036_854_777_856.0,
    -9_223_372_036_854_775_808.0,
    -9_223_372_036_854_777_856.0,
    5e-324,
    -5e-324,
    2.225_073_858_507_201e-308,
    f64::MIN_POSITIVE,
    1e-160,
    1e160,
    f64::MAX,
    f64::MIN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// Fewer floats, for products of three and for variants.
pub const FLOATS_FEW: &[f64] = &[
    0.0,
    -0.0,
    1.0,
    -2.5,
    0.1,
    10.0,
    1.000_000_000_000_000_2,
    5e-324,
    1e-160,
    -1e160,
    f64::MAX,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// The least: for products of three in variants.
pub const INTS_LEAST: &[i64] = &[0, 1, i64::MIN, 0x1234_5678_9ABC_DEF0];
/// The least: for products of three in variants.
pub const FLOATS_LEAST: &[f64] = &[-0.0, 1.5, 1.000_000_000_000_000_2, -1e160, f64::NAN];

/// Literals of the K-forms.
pub const LITERALS: &[i16] = &[
    0, 1, -1, 2, -2, 3, 4, 5, 7, -7, 8, -8, 9, 10, -10, 15, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256, -256,
    641, 1000, 1024, 4095, 4096, 8192, 16384, 32767, -16384, -32767, -32768,
];

/// Fewer literals, for variants.
pub const LITERALS_FEW: &[i16] = &[0, -1, 2, 7, 64, -32768];
