//! The `;!` lines.

use opstamp::runtime::trap::TrapKind;
use opstamp::vm3::text::{Expectation, Literal, Outcome, Trapped, With, expectations};

fn read(source: &str) -> Vec<Result<Expectation<'_>, String>> {
    expectations(source).map(|item| item.map_err(|error| error.to_string())).collect()
}

#[test]
fn the_examples() {
    let source = "    ;! fib(20) = 6765
;! half(3.0) = 1.5 ; a comment
; ;! no() = 1
ret ;! nor(this)
\t;! reset()
;! get(5) traps out_of_bounds in get at 3
;! with stack=4096 heap=65536 fuel=1000
;! deep(1000000) traps stack_overflow in deep at 2
;! f(-1, 0x10, nan, -inf, \"a;\\n\", true, false, null) = \"x, y\"
;! g() = <arr.i64>
;! h() traps user(65535) in $h at 0
;!i()traps host(4294967295)in main at 4294967295
;! with fuel=0
; between

;! with(1) = null";
    let all = read(source);
    let all: Vec<&Expectation<'_>> = all.iter().map(|item| item.as_ref().unwrap()).collect();
    let usual = With { stack: 1_048_576, heap: 67_108_864, fuel: None };
    let heads: Vec<_> = all.iter().map(|e| (e.line, e.call.func, e.call.args.len(), e.with)).collect();
    let tight = With { stack: 4096, heap: 65536, fuel: Some(1000) };
    assert_eq!(
        heads,
        [
            (1, "fib", 1, usual),
            (2, "half", 1, usual),
            (5, "reset", 0, usual),
            (6, "get", 1, usual),
            (8, "deep", 1, tight),
            (9, "f", 8, usual),
            (10, "g", 0, usual),
            (11, "h", 0, usual),
            (12, "i", 0, usual),
            (16, "with", 1, With { fuel: Some(0), ..usual }),
        ]
    );
    let trap = |kind, payload, func, op| Outcome::Trap(Trapped { kind, payload, func, op });
    let outcomes: Vec<_> = all.iter().map(|e| e.outcome).collect();
    assert_eq!(
        outcomes[..5],
        [
            Outcome::Value(Literal::Int(6765)),
            Outcome::Value(Literal::Float(1.5)),
            Outcome::Ends,
            trap(TrapKind::OutOfBounds, 0, "get", 3),
            trap(TrapKind::StackOverflow, 0, "deep", 2),
        ]
    );
    assert_eq!(
        outcomes[6..],
        [
            Outcome::Kind("arr.i64"),
            trap(TrapKind::User, 65_535, "$h", 0),
            trap(TrapKind::Host, u32::MAX, "main", u32::MAX),
            Outcome::Value(Literal::Null),
        ]
    );
    assert!(matches!(outcomes[5], Outcome::Value(Literal::Str(s)) if s.bytes().eq(*b"x, y")));
    let args: Vec<Literal<'_>> = all[5].call.args.clone().collect();
    assert_eq!(args[..2], [Literal::Int(-1), Literal::Int(16)]);
    assert!(matches!(args[2], Literal::Float(x) if x.is_nan()));
    assert_eq!(args[3], Literal::Float(f64::NEG_INFINITY));
    assert!(matches!(args[4], Literal::Str(s) if s.bytes().eq(*b"a;\n")));
    assert_eq!(args[5..], [Literal::Bool(true), Literal::Bool(false), Literal::Null]);
}

#[test]
fn every_trap_is_known() {
    for name in [
        "unreachable",
        "division_by_zero",
        "out_of_bounds",
        "null_reference",
        "type_mismatch",
        "stack_overflow",
        "out_of_memory",
        "interrupted",
        "out_of_fuel",
    ] {
        let source = format!(";! f() traps {name} in f at 1");
        let Outcome::Trap(trap) = read(&source)[0].as_ref().unwrap().outcome else { panic!("{name}") };
        // The table's own names are the same words in another case.
        let camel: String = format!("{:?}", trap.kind);
        assert_eq!(camel.to_lowercase(), name.replace('_', ""));
    }
}

#[test]
fn errors_tell_their_place() {
    let cases = [
        (";! f(1) = ?", "1:11: found `?`, expected a literal, or a kind as `<list>`"),
        ("\n  ;! f(1 = 2", "2:10: found `=`, expected `,` or `)` behind the argument"),
        (";! f(x) = 2", "1:6: found `x`, expected a literal as an argument"),
        (";! f", "1:5: found the end of the file, expected `(` and the arguments"),
        (";!\n;! f() = 1", "1:3: found the end of the file, expected a call, as `f(1, 2.5)`, or `with`"),
        (";! f() 5", "1:8: found `5`, expected `=`, `traps` or the end of the line"),
        (";! f() = 5 6", "1:12: found `6`, expected the end of the line behind the result"),
        (";! f() = <str>", "1:11: found `str`, expected list, map, imap, arr.i64, arr.f64, arr.u8, obj or fn"),
        (
            ";! f() traps boom in f at 1",
            "1:14: found `boom`, expected the name of a trap: unreachable, user(N), division_by_zero, out_of_bounds, \
             null_reference, type_mismatch, stack_overflow, out_of_memory, interrupted, out_of_fuel or host(N)",
        ),
        (";! f() traps user in f at 1", "1:19: found `in`, expected `(` and the trap's number"),
        (";! f() traps user(65536) in f at 1", "1:19: `65536` does not fit here, expected a number from 0 to 65535"),
        (";! f() traps unreachable at 1", "1:26: found `at`, expected `in` and the function that traps"),
        (
            ";! f() traps unreachable in f at -1",
            "1:34: `-1` does not fit here, expected the index of the op that traps",
        ),
        (
            ";! with stack=1 stack=2\n;! f()",
            "1:17: found `stack`, expected `stack=`, `heap=` or `fuel=`, each at most once",
        ),
        (";! with\n;! f()", "1:8: found the end of the file, expected `stack=`, `heap=` or `fuel=`, each at most once"),
        (
            ";! with fuel=18446744073709551616\n;! f()",
            "1:14: `18446744073709551616` does not fit here, expected a number from 0 to 18446744073709551615",
        ),
        (";! with fuel=1", "1:4: `with` stands alone, expected a `;!` line with a call behind it"),
        (
            ";! with fuel=1\n;! with fuel=2\n;! f()",
            "1:4: `with` stands alone, expected a `;!` line with a call behind it",
        ),
        (
            ";! f(9223372036854775808)",
            "1:6: `9223372036854775808` does not fit an i64, expected -9223372036854775808 to 9223372036854775807, or \
             0x0 to 0xffffffffffffffff",
        ),
        (";! f(\"é\\q\")", "1:8: `\\q` is no escape, expected \\n \\r \\t \\0 \\\\ \\\" \\xHH or \\u{H}"),
    ];
    for (source, message) in cases {
        let all = read(source);
        assert_eq!(all.last().unwrap().as_ref().map(|_| ()), Err(&message.to_string()), "{source}");
        // Nothing comes behind an error.
        assert_eq!(all.iter().filter(|item| item.is_err()).count(), 1);
    }
}

#[test]
fn columns_count_characters() {
    let source = "  ;! fib( 20 ,\"é\\n\",nan) =  6765
;!f()traps user(7) in f at 1
;! f() = <list>
;! f() ; no more
;! with fuel=1
\t;! g(1)";
    let all = read(source);
    let places: Vec<_> = all
        .iter()
        .map(|item| {
            let expectation = item.as_ref().unwrap();
            let mut args = expectation.call.args.clone();
            let mut columns = Vec::new();
            while args.len() > 0 {
                columns.push(args.column());
                args.next();
            }
            (expectation.line, expectation.call.column, columns, expectation.outcome_column)
        })
        .collect();
    // A line that says nothing of the outcome ends behind its text.
    let expected =
        [(1, 6, vec![11, 15, 21], 29), (2, 3, vec![], 12), (3, 4, vec![], 10), (4, 4, vec![], 17), (6, 5, vec![7], 9)];
    assert_eq!(places, expected);
}
