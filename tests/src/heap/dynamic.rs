//! `dyn.*` on all pairs of cells, beside a small evaluator written from vm3.md.

use crate::digest::{self, GUEST};
use crate::dynamic::{Dyn, pair};
use crate::func::Name;
use crate::{Case, Expect, Maker, Visit};
use opstamp::vm3::op::{OPS, Op};
use opstamp::{Trap, TrapKind, Value};

/// The cells that are tried, with the ops that make them.
const CELLS: [(&str, Dyn<'static>); 40] = [
    ("cell.null c", Dyn::Null),
    ("cell.const c, false", Dyn::Bool(false)),
    ("cell.const c, true", Dyn::Bool(true)),
    ("cell.const c, 0", Dyn::Int(0)),
    ("cell.const c, 1", Dyn::Int(1)),
    ("cell.const c, -1", Dyn::Int(-1)),
    ("cell.const c, 2", Dyn::Int(2)),
    ("cell.const c, -7", Dyn::Int(-7)),
    ("cell.const c, 140737488355327", Dyn::Int((1 << 47) - 1)),
    ("cell.const c, 140737488355328", Dyn::Int(1 << 47)),
    ("cell.const c, -140737488355328", Dyn::Int(-(1 << 47))),
    ("cell.const c, -140737488355329", Dyn::Int(-(1 << 47) - 1)),
    ("cell.const c, 9007199254740993", Dyn::Int((1 << 53) + 1)),
    ("cell.const c, 9223372036854775807", Dyn::Int(i64::MAX)),
    ("cell.const c, -9223372036854775808", Dyn::Int(i64::MIN)),
    ("cell.const c, 0.0", Dyn::Float(0.0)),
    ("cell.const c, -0.0", Dyn::Float(-0.0)),
    ("cell.const c, 1.0", Dyn::Float(1.0)),
    ("cell.const c, -1.5", Dyn::Float(-1.5)),
    ("cell.const c, 0.1", Dyn::Float(0.1)),
    ("cell.const c, 5.25", Dyn::Float(5.25)),
    ("cell.const c, 1e300", Dyn::Float(1e300)),
    ("cell.const c, 5e-324", Dyn::Float(5e-324)),
    ("cell.const c, 9007199254740992.0", Dyn::Float(9_007_199_254_740_992.0)),
    ("cell.const c, 9223372036854775808.0", Dyn::Float(9_223_372_036_854_775_808.0)),
    ("cell.const c, inf", Dyn::Float(f64::INFINITY)),
    ("cell.const c, -inf", Dyn::Float(f64::NEG_INFINITY)),
    ("cell.const c, nan", Dyn::Float(f64::NAN)),
    ("cell.const c, \"\"", Dyn::Str(b"")),
    ("cell.const c, \"a\"", Dyn::Str(b"a")),
    ("cell.const c, \"ab\"", Dyn::Str(b"ab")),
    ("cell.const c, \"abcde\"", Dyn::Str(b"abcde")),
    ("cell.const c, \"abcdef\"", Dyn::Str(b"abcdef")),
    ("cell.const c, \"abcdeg\"", Dyn::Str(b"abcdeg")),
    ("cell.const c, \"\\xFF\"", Dyn::Str(b"\xFF")),
    ("list.new l, 0", Dyn::Object(35)),
    ("map.new m, 0", Dyn::Object(36)),
    ("arr.i64.new x, 0", Dyn::Object(37)),
    ("obj.new o", Dyn::Object(38)),
    ("fn.new f, leaf()", Dyn::Object(39)),
];

/// The dynamic ops with two sources.
const PAIRS: [Op; 8] = [Op::DynAdd, Op::DynSub, Op::DynMul, Op::DynDiv, Op::DynRem, Op::DynEq, Op::DynLt, Op::DynLe];

/// The checksum that the guest makes of a result.
fn checksum(value: Dyn<'_>) -> i64 {
    match value {
        Dyn::Null | Dyn::Object(_) => unreachable!("no dynamic op gives it"),
        Dyn::Bool(value) => i64::from(value),
        Dyn::Int(value) => digest::scalar(2, value),
        Dyn::Float(value) => digest::scalar(3, crate::oracle::canonical(value.to_bits()) as i64),
        Dyn::Str(bytes) => digest::text(bytes),
    }
}

/// Whether the op has a cell as its result.
fn gives_cell(op: Op) -> bool {
    !matches!(op, Op::DynEq | Op::DynLt | Op::DynLe)
}

/// The ways in which the registers of an op can be the same: the name, and the registers. `d` is the destination.
const SHAPES: [(&str, &str, &str, &str); 4] =
    [("apart", "d", "x", "y"), ("first", "x", "x", "y"), ("second", "y", "x", "y"), ("both", "x", "x", "x")];

fn write(text: &mut crate::Text<'_>) {
    text.put(format_args!("shape S {{ i: i64, f: f64, a: any }}\nfunc leaf()\n  ret\nend\n"));
    text.put(format_args!(
        "func make(n: i64) -> any\n  local c: any, l: list, m: map, x: arr.i64, o: obj S, f: fn()\n  switch n, ["
    ));
    for at in 0..CELLS.len() - 1 {
        text.put(format_args!("{}m{at}", if at == 0 { "" } else { ", " }));
    }
    text.put(format_args!("], m{}\n", CELLS.len() - 1));
    for (at, (op, _)) in CELLS.iter().enumerate() {
        let register = op.split(' ').nth(1).unwrap_or("").trim_end_matches(',');
        text.put(format_args!("m{at}:\n  {op}\n  ret {register}\n"));
    }
    text.put(format_args!("end\n{GUEST}"));
    for row in OPS.iter().filter(|row| PAIRS.contains(&row.op)) {
        for (shape, d, x, y) in SHAPES {
            let cell = gives_cell(row.op);
            let d = if cell { d } else { "r" };
            text.put(format_args!(
                "func {:?}_{shape}(n: i64, m: i64) -> i64\n  local d: any, x: any, y: any, r: i64\n  call x, make(n)\n",
                row.op
            ));
            // The same cell by both registers, so that objects meet themselves.
            let second = if shape == "second" { "  br.i64.ne n, m, other\n  cell.mov y, x\nother:\n" } else { "" };
            text.put(format_args!("  call y, make(m)\n{second}  {} {d}, {x}, {y}\n", row.mnemonic));
            if cell {
                text.put(format_args!("  i64.const r, 3\n  call r, digest({d}, r)\n"));
            }
            text.put(format_args!("  ret r\nend\n"));
        }
    }
    for (shape, d) in [("apart", "d"), ("same", "x")] {
        text.put(format_args!(
            "func DynNeg_{shape}(n: i64) -> i64\n  local d: any, x: any, r: i64\n  call x, make(n)\n  dyn.neg {d}, x\n  \
             i64.const r, 3\n  call r, digest({d}, r)\n  ret r\nend\n"
        ));
    }
}

fn cases(visit: &mut Visit<'_>) {
    for op in PAIRS {
        for shape in SHAPES {
            let func = Name::new(format_args!("{op:?}_{}", shape.0));
            let place = if shape.0 == "second" { 4 } else { 2 };
            for (n, &(_, x)) in (0i64..).zip(&CELLS) {
                for (m, &(_, y)) in (0i64..).zip(&CELLS) {
                    if shape.0 == "both" && n != m {
                        continue;
                    }
                    let args = [Value::I64(n), Value::I64(m)];
                    let itself = shape.0 == "both" || (shape.0 == "second" && n == m);
                    let mut joined = [0; 16];
                    let outcome = match (x, y) {
                        (Dyn::Str(x), Dyn::Str(y)) if op == Op::DynAdd => {
                            joined[..x.len()].copy_from_slice(x);
                            joined[x.len()..][..y.len()].copy_from_slice(y);
                            Ok(digest::text(&joined[..x.len() + y.len()]))
                        }
                        (Dyn::Object(_), Dyn::Object(_)) if op == Op::DynEq => Ok((itself && x == y).into()),
                        _ => pair(op, x, y).map(checksum),
                    };
                    let expect = match outcome {
                        Ok(sum) => Expect::Returns(Some(Value::I64(sum))),
                        Err(kind) => Expect::Traps { trap: Trap::new(kind), func: func.as_str(), op: place },
                    };
                    visit(&Case { op, func: func.as_str(), args: &args, expect, globals: &[] });
                }
            }
        }
    }
    for func in ["DynNeg_apart", "DynNeg_same"] {
        for (n, &(_, x)) in (0i64..).zip(&CELLS) {
            let expect = match x {
                Dyn::Int(value) => Ok(Dyn::Int(value.wrapping_neg())),
                Dyn::Float(value) => Ok(Dyn::Float(-value)),
                _ => Err(TrapKind::TypeMismatch),
            };
            let expect = match expect {
                Ok(value) => Expect::Returns(Some(Value::I64(checksum(value)))),
                Err(kind) => Expect::Traps { trap: Trap::new(kind), func, op: 1 },
            };
            visit(&Case { op: Op::DynNeg, func, args: &[Value::I64(n)], expect, globals: &[] });
        }
    }
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    maker.group("dynamic ops", None, write, |(), visit| cases(visit));
}
