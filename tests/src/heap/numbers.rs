//! Numbers as text, and text as numbers.

use crate::digest::{self, GUEST};
use crate::func::{Name, Text};
use crate::values::{FLOATS, INTS};
use crate::{Maker, returns, traps};
use core::fmt::Write;
use opstamp::vm3::op::Op;
use opstamp::{Trap, TrapKind, Value};

/// Texts, as they stand in a literal, with the i64 that `str.to_i64` makes of them: `-?digits`, in range.
const TO_I64: &[(&str, Option<i64>)] = &[
    ("0", Some(0)),
    ("7", Some(7)),
    ("-7", Some(-7)),
    ("-0", Some(0)),
    ("00", Some(0)),
    ("00012", Some(12)),
    ("-00012", Some(-12)),
    ("12345", Some(12345)),
    ("123456", Some(123_456)),
    ("0000000000000000000000000000000000000000123", Some(123)),
    ("-0000000000000000000000009223372036854775808", Some(i64::MIN)),
    ("9223372036854775807", Some(i64::MAX)),
    ("9223372036854775808", None),
    ("-9223372036854775808", Some(i64::MIN)),
    ("-9223372036854775809", None),
    ("18446744073709551616", None),
    ("18446744073709551615", None),
    ("99999999999999999999999999", None),
    ("", None),
    ("-", None),
    ("--1", None),
    ("+1", None),
    (" 1", None),
    ("1 ", None),
    ("1\\n", None),
    ("1\\0", None),
    ("\\0", None),
    ("1.0", None),
    ("1e3", None),
    ("0x10", None),
    ("1_000", None),
    ("12a", None),
    ("a12", None),
    ("inf", None),
    ("true", None),
    ("\\u{0661}", None),
    ("\\xFF", None),
    ("-1-1", None),
];

/// The same for `str.to_f64`: a number literal of vm3.
const TO_F64: &[(&str, Option<f64>)] = &[
    ("0", Some(0.0)),
    ("7", Some(7.0)),
    ("-7", Some(-7.0)),
    ("0.0", Some(0.0)),
    ("-0.0", Some(-0.0)),
    ("1.5", Some(1.5)),
    ("-1.5", Some(-1.5)),
    ("1e5", Some(1e5)),
    ("1e+5", Some(1e5)),
    ("1e-5", Some(1e-5)),
    ("-1e05", Some(-1e5)),
    ("1.5e3", Some(1500.0)),
    ("00.50", Some(0.5)),
    ("inf", Some(f64::INFINITY)),
    ("-inf", Some(f64::NEG_INFINITY)),
    ("nan", Some(f64::NAN)),
    ("0x10", Some(16.0)),
    ("0xFfFfFfFfFfFfFfFf", Some(-1.0)),
    ("0x10000000000000000", None),
    ("9223372036854775807", Some(9_223_372_036_854_775_807.0)),
    ("-9223372036854775808", Some(-9_223_372_036_854_775_808.0)),
    ("9223372036854775808", None),
    ("9223372036854775808.0", Some(9_223_372_036_854_775_808.0)),
    ("9007199254740993", Some(9_007_199_254_740_992.0)),
    ("9007199254740993.0", Some(9_007_199_254_740_992.0)),
    ("9007199254740993.0000000000000000000000000000001", Some(9_007_199_254_740_994.0)),
    ("0.1", Some(0.1)),
    ("0.1000000000000000055511151231257827021181583404541015625", Some(0.1)),
    ("2.2250738585072011e-308", Some(2.225_073_858_507_201e-308)),
    ("2.2250738585072014e-308", Some(f64::MIN_POSITIVE)),
    ("1.7976931348623157e308", Some(f64::MAX)),
    ("1.7976931348623159e308", None),
    ("1e309", None),
    ("-1e309", None),
    ("5e-324", Some(5e-324)),
    ("2.4703282292062328e-324", Some(5e-324)),
    ("2.4703282292062327e-324", Some(0.0)),
    ("1e-400", Some(0.0)),
    ("-1e-400", Some(-0.0)),
    ("123456789012345678901234567890.0", Some(123_456_789_012_345_678_901_234_567_890.0)),
    ("", None),
    ("-", None),
    ("+1.5", None),
    (".5", None),
    ("-.5", None),
    ("1.", None),
    ("1.e5", None),
    ("e5", None),
    ("1e", None),
    ("1e+", None),
    ("1e5.0", None),
    ("1.5.0", None),
    (" 1.5", None),
    ("1.5 ", None),
    ("1.5\\0", None),
    ("+inf", None),
    ("infinity", None),
    ("Inf", None),
    ("-nan", None),
    ("NaN", None),
    ("0x", None),
    ("-0x10", None),
    ("0x1.8", None),
    ("true", None),
    ("null", None),
    ("1,5", None),
    ("1_0.0", None),
    ("abcdefgh", None),
    ("\\xFF\\xFE", None),
];

const TEXT: &str = "
shape S { i: i64, f: f64, a: any }
func StrFromI64_sum(x: i64) -> i64
  local s: str, d: i64
  str.from_i64 s, x
  i64.const d, 3
  call d, digest(s, d)
  ret d
end
func StrFromF64_sum(x: f64) -> i64
  local s: str, d: i64
  str.from_f64 s, x
  i64.const d, 3
  call d, digest(s, d)
  ret d
end
func StrToI64_back(x: i64) -> i64
  local s: str
  str.from_i64 s, x
  str.to_i64 x, s
  ret x
end
func StrToF64_back(x: f64) -> f64
  local s: str
  str.from_f64 s, x
  str.to_f64 x, s
  ret x
end
func StrToF64_int(x: i64) -> f64
  local s: str, d: f64
  str.from_i64 s, x
  str.to_f64 d, s
  ret d
end
";

/// Floats whose shortest text is hard to find, beside [`FLOATS`].
const HARD: &[f64] = &[
    1e15,
    1e16,
    1e17,
    123_456_789_012_345_680.0,
    1e-4,
    1e-5,
    1.234e-5,
    1e21,
    1e22,
    1e23,
    9.5e-3,
    2e-44,
    4.35,
    0.3,
    2.0 / 3.0,
    1e100,
    1.797_693_134_862_315_5e308,
    5e-323,
    1.000_000_000_000_000_1e23,
    8.41e21,
    299_792_458.0,
    -1.1e-10,
    65_536.5,
];

/// The checksum of a formatted text.
fn sum(what: core::fmt::Arguments<'_>) -> i64 {
    let mut bytes = [0; 512];
    let mut text = Text::new(&mut bytes);
    let _ = text.write_fmt(what);
    digest::text(text.as_str().as_bytes())
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    maker.group(
        "numbers and strings",
        None,
        |text| {
            text.put(format_args!("{TEXT}{GUEST}"));
            let rows = TO_I64.iter().map(|row| row.0).zip(0..).map(|row| ("StrToI64", "i64", row));
            for (op, ty, (literal, at)) in
                rows.chain(TO_F64.iter().map(|row| row.0).zip(0..).map(|row| ("StrToF64", "f64", row)))
            {
                text.put(format_args!(
                    "func {op}_{at}() -> {ty}\n  local s: str, d: {ty}\n  cell.const s, \"{literal}\"\n  str.to_{ty} d, s\n  \
                     ret d\nend\n"
                ));
            }
        },
        |(), visit| {
            let ends = [9999, 10000, -9999, 99999, 100_000, -99999, 123_456_789_012];
            for &x in INTS.iter().chain(&ends) {
                let args = &[Value::I64(x)];
                returns(visit, Op::StrFromI64, "StrFromI64_sum", args, sum(format_args!("{x}")));
                returns(visit, Op::StrToI64, "StrToI64_back", args, x);
                returns(visit, Op::StrToF64, "StrToF64_int", args, x as f64);
            }
            for &x in FLOATS.iter().chain(HARD) {
                let wanted = if x.is_nan() { sum(format_args!("nan")) } else { sum(format_args!("{x:?}")) };
                returns(visit, Op::StrFromF64, "StrFromF64_sum", &[Value::F64(x)], wanted);
                returns(visit, Op::StrToF64, "StrToF64_back", &[Value::F64(x)], x);
            }
            // Powers of two with their neighbours, and others of all exponents.
            for exponent in (1..2046).step_by(7) {
                let power = f64::from_bits(exponent << 52);
                for x in [power, -power, power.next_down(), power.next_up(), f64::from_bits(exponent * 0x000F_EDCB_A987_6543)]
                {
                    let wanted = if x.is_nan() { sum(format_args!("nan")) } else { sum(format_args!("{x:?}")) };
                    returns(visit, Op::StrFromF64, "StrFromF64_sum", &[Value::F64(x)], wanted);
                    returns(visit, Op::StrToF64, "StrToF64_back", &[Value::F64(x)], x);
                }
            }
            let mismatch = Trap::new(TrapKind::TypeMismatch);
            for (at, &(_, wanted)) in TO_I64.iter().enumerate() {
                let func = Name::new(format_args!("StrToI64_{at}"));
                match wanted {
                    Some(value) => returns(visit, Op::StrToI64, func.as_str(), &[], value),
                    None => traps(visit, Op::StrToI64, (func.as_str(), &[]), mismatch, (func.as_str(), 1)),
                }
            }
            for (at, &(_, wanted)) in TO_F64.iter().enumerate() {
                let func = Name::new(format_args!("StrToF64_{at}"));
                match wanted {
                    Some(value) => returns(visit, Op::StrToF64, func.as_str(), &[], value),
                    None => traps(visit, Op::StrToF64, (func.as_str(), &[]), mismatch, (func.as_str(), 1)),
                }
            }
        },
    );
}
