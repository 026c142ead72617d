//! Literals against Rust's own parsing, and the text of floats and strings.

use fastrand::Rng;
use opstamp::vm3::text::{FloatText, Literal, LiteralErrorKind, StrText, parse_literal};

fn bytes(literal: &str) -> Vec<u8> {
    match parse_literal(literal) {
        Ok(Literal::Str(text)) => {
            let all: Vec<u8> = text.bytes().collect();
            let mut buffer = vec![0; literal.len()];
            assert_eq!(text.decode_into(&mut buffer), Some(&all[..]));
            assert_eq!(text.decode_into(&mut vec![0; all.len()]), Some(&all[..]));
            assert!(all.is_empty() || text.decode_into(&mut vec![0; all.len() - 1]).is_none());
            all
        }
        other => panic!("{literal}: {other:?}"),
    }
}

fn float(text: &str) -> u64 {
    match parse_literal(text) {
        Ok(Literal::Float(value)) => value.to_bits(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn words() {
    assert_eq!(parse_literal("true"), Ok(Literal::Bool(true)));
    assert_eq!(parse_literal("false"), Ok(Literal::Bool(false)));
    assert_eq!(parse_literal("null"), Ok(Literal::Null));
    assert_eq!(float("inf"), 0x7ff0_0000_0000_0000);
    assert_eq!(float("-inf"), 0xfff0_0000_0000_0000);
    assert!(f64::from_bits(float("nan")).is_nan());
}

#[test]
fn ints() {
    let cases = [
        ("0", 0),
        ("-0", 0),
        ("007", 7),
        ("-1", -1),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("0x0", 0),
        ("0xFf", 255),
        ("0x7fffffffffffffff", i64::MAX),
        ("0x8000000000000000", i64::MIN),
        ("0xffffffffffffffff", -1),
        ("0x00000000000000000001", 1),
    ];
    for (text, value) in cases {
        assert_eq!(parse_literal(text), Ok(Literal::Int(value)), "{text}");
    }
    for text in
        ["9223372036854775808", "-9223372036854775809", "0x10000000000000000", "99999999999999999999999999999999999"]
    {
        assert_eq!(parse_literal(text).unwrap_err().kind, LiteralErrorKind::IntRange, "{text}");
    }
    let mut random = Rng::with_seed(1);
    for _ in 0..10_000 {
        let value = random.u64(..) as i64 >> random.usize(..64);
        assert_eq!(parse_literal(&value.to_string()), Ok(Literal::Int(value)));
        assert_eq!(parse_literal(&format!("{value:#x}")), Ok(Literal::Int(value)));
    }
}

#[test]
fn floats() {
    let cases: [(&str, u64); 14] = [
        ("0.0", 0),
        ("-0.0", 1 << 63),
        ("1.0", 0x3ff0_0000_0000_0000),
        ("1e0", 0x3ff0_0000_0000_0000),
        ("1e+0", 0x3ff0_0000_0000_0000),
        ("-1.5", 0xbff8_0000_0000_0000),
        ("0.1", 0x3fb9_9999_9999_999a),
        ("1e16", 0x4341_c379_37e0_8000),
        ("5e-324", 1),
        ("2e-324", 0),
        ("1.7976931348623157e308", 0x7fef_ffff_ffff_ffff),
        // Ties to even: 2^53 + 1 is halfway, and just above it is not.
        ("9007199254740993.0", 0x4340_0000_0000_0000),
        ("9007199254740993.00000000000000000000000000000000000001", 0x4340_0000_0000_0001),
        ("2.2250738585072011e-308", 0x000f_ffff_ffff_ffff),
    ];
    for (text, bits) in cases {
        assert_eq!(float(text), bits, "{text}");
    }
    let mut random = Rng::with_seed(2);
    for _ in 0..20_000 {
        let value = f64::from_bits(random.u64(..));
        if value.is_nan() {
            continue;
        }
        assert_eq!(float(&FloatText(value).to_string()), value.to_bits());
        let digits = format!("{}.{}e{}", random.u64(..) >> random.usize(..60), random.u64(..), random.usize(..280));
        assert_eq!(float(&digits), digits.parse::<f64>().unwrap().to_bits(), "{digits}");
        let digits = format!("-{}e-{}", random.u64(..), random.usize(..340));
        assert_eq!(float(&digits), digits.parse::<f64>().unwrap().to_bits(), "{digits}");
    }
    for text in ["1e309", "-1e309", "1.7976931348623159e308", "1e99999999999999999999"] {
        assert_eq!(parse_literal(text).unwrap_err().kind, LiteralErrorKind::FloatRange, "{text}");
    }
}

#[test]
fn not_literals() {
    for text in [
        "-",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "1e-",
        "1.5e",
        "1x",
        "0x",
        "0xg",
        "-0x1",
        "0X1",
        "1E5",
        "1_000",
        "--1",
        "1.5.5",
        "1e5e5",
        "1 ",
        "1-",
        "-nan",
        "-infinity",
        "0x1.0",
        "1f64",
    ] {
        assert_eq!(parse_literal(text).unwrap_err().kind, LiteralErrorKind::NotANumber, "{text}");
    }
    for text in ["", " ", " 1", "+1", ".5", "x", "True", "NaN", "Inf", "infinity", "nul", "'a'", "é"] {
        assert_eq!(parse_literal(text).unwrap_err().kind, LiteralErrorKind::NotALiteral, "{text}");
    }
    let strings = [
        ("\"", 0, LiteralErrorKind::Unclosed),
        ("\"ab", 0, LiteralErrorKind::Unclosed),
        ("\"ab\\\"", 0, LiteralErrorKind::Unclosed),
        ("\"ab\"c", 4, LiteralErrorKind::NotALiteral),
        ("\"é\\q\"", 3, LiteralErrorKind::UnknownEscape(Some('q'))),
        ("\"\\", 1, LiteralErrorKind::UnknownEscape(None)),
        ("\"a\\x1\"", 2, LiteralErrorKind::BadHex),
        ("\"a\\xg0\"", 2, LiteralErrorKind::BadHex),
        ("\"\\x+1\"", 1, LiteralErrorKind::BadHex),
        ("\"\\xéé\"", 1, LiteralErrorKind::BadHex),
        ("\"\\u\"", 1, LiteralErrorKind::BadUnicode),
        ("\"\\u{}\"", 1, LiteralErrorKind::BadUnicode),
        ("\"\\u{d800}\"", 1, LiteralErrorKind::Surrogate(0xd800)),
        ("\"\\u{110000}\"", 1, LiteralErrorKind::UnicodeRange(0x11_0000)),
        ("\"\\u{0000001}\"", 1, LiteralErrorKind::UnicodeLength(7)),
        ("\"\\u{+1}\"", 1, LiteralErrorKind::BadUnicode),
        ("\"\\u{12\"", 1, LiteralErrorKind::BadUnicode),
    ];
    for (text, offset, kind) in strings {
        let error = parse_literal(text).unwrap_err();
        assert_eq!((error.offset, error.kind), (offset, kind), "{text}");
    }
}

#[test]
fn strings() {
    assert_eq!(bytes(r#""""#), b"");
    assert_eq!(bytes(r#""ab;c""#), b"ab;c");
    assert_eq!(bytes(r#""\n\r\t\0\\\"""#), [10, 13, 9, 0, 92, 34]);
    assert_eq!(bytes(r#""\x00\x7f\xff\xC3\xa9""#), [0, 0x7f, 0xff, 0xc3, 0xa9]);
    assert_eq!(bytes(r#""\u{0}\u{e9}\u{20AC}\u{01F600}é€""#), "\0é€😀é€".as_bytes());
    let mut random = Rng::with_seed(3);
    for _ in 0..5_000 {
        let content: Vec<u8> = (0..random.usize(..40))
            .flat_map(|_| match random.usize(..3) {
                0 => vec![random.u64(..) as u8],
                1 => vec![random.u64(..) as u8 & 0x7f],
                _ => char::from_u32(random.usize(..0x11_0000) as u32).unwrap_or('"').to_string().into_bytes(),
            })
            .collect();
        let text = StrText(&content).to_string();
        assert!(!text.contains('\n'));
        assert_eq!(bytes(&text), content, "{text}");
    }
}

#[test]
fn float_text() {
    let cases: [(f64, &str); 12] = [
        (1.5, "1.5"),
        (6.0, "6.0"),
        (1e16, "1e16"),
        (1e15, "1000000000000000.0"),
        (1e-5, "1e-5"),
        (0.0001, "0.0001"),
        (-0.0, "-0.0"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
        (5e-324, "5e-324"),
    ];
    for (value, text) in cases {
        assert_eq!(FloatText(value).to_string(), text);
    }
}
