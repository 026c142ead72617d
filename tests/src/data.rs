//! Cases for tables, globals and cells.

use crate::func::{Body, Name};
use crate::values::{FLOATS, INTS};
use crate::{Case, Expect, Maker, returns, traps};
use opstamp::vm3::op::{Bank, Op};
use opstamp::{Cell, Trap, TrapKind, Value};

const BOTH: &[Bank] = &[Bank::I64, Bank::F64];

pub(crate) fn groups(maker: &mut Maker<'_>) {
    for count in [0, 1, 2, 12, 200] {
        tables(maker, count);
    }
    globals(maker);
    global_pressure(maker);
    cells(maker);
}

fn element(i: i64) -> i64 {
    match i % 4 {
        0 => i * 3 - 7,
        1 => i64::MIN + i,
        2 => i64::MAX - i,
        _ => -i << 33,
    }
}

/// A table between two others: every index of it, and those beyond its ends.
fn tables(maker: &mut Maker<'_>, count: i64) {
    let name = Name::new(format_args!("table of {count}"));
    maker.group(
        name.as_str(),
        None,
        |text| {
            text.put(format_args!("table before = [-1, -2, -3]\ntable t = ["));
            for i in 0..count {
                text.put(format_args!("{}{}", if i == 0 { "" } else { ", " }, element(i)));
            }
            text.put(format_args!("]\ntable after = [-4, -5, -6]\n"));
            text.put(format_args!("func get(i: i64) -> i64\n  local d: i64\n  table.get d, t, i\n  ret d\nend\n"));
            text.put(format_args!("func get_same(i: i64) -> i64\n  table.get i, t, i\n  ret i\nend\n"));
            text.put(format_args!(
                "func others(i: i64) -> i64\n  local d: i64, e: i64\n  table.get d, before, i\n  table.get e, after, i\n  \
                 i64.mul d, d, e\n  ret d\nend\n"
            ));
            let mut places = [("", 0); 4];
            for (slot, (func, hot)) in places.iter_mut().zip([
                ("cold", &[][..]),
                ("hot", &[("d", Bank::I64), ("j", Bank::I64)][..]),
                ("hot_d", &[("d", Bank::I64)][..]),
                ("hot_i", &[("j", Bank::I64)][..]),
            ]) {
                let mut body = Body::new(text, format_args!("{func}(i: i64) -> i64"));
                body.pressure_locals(BOTH);
                body.line(format_args!("  local d: i64, j: i64"));
                body.op(format_args!("i64.mov j, i"));
                body.pressure(BOTH, hot, false);
                *slot = (func, body.op(format_args!("table.get d, t, j")));
                body.check(BOTH);
                body.op(format_args!("br.i64.ne j, i, bad"));
                body.op(format_args!("ret d"));
                body.bad();
                body.end();
            }
            places
        },
        |places, visit| {
            let plain = [("get", 0), ("get_same", 0)];
            let edges = [count, count + 1, -2, -3, 1 << 29, 1 << 32, 1 << 60, 1 << 61, (1 << 61) + 1];
            for i in (0..count).chain(edges).chain(INTS.iter().copied()) {
                for &(func, place) in plain.iter().chain(places) {
                    let args = &[Value::I64(i)];
                    if (0..count).contains(&i) {
                        returns(visit, Op::TableGet, func, args, element(i));
                    } else {
                        traps(visit, Op::TableGet, (func, args), Trap::new(TrapKind::OutOfBounds), (func, place));
                    }
                }
            }
            for i in 0..3 {
                returns(visit, Op::TableGet, "others", &[Value::I64(i)], (i + 1) * (i + 4));
            }
            let outside = Trap::new(TrapKind::OutOfBounds);
            traps(visit, Op::TableGet, ("others", &[Value::I64(3)]), outside, ("others", 0));
        },
    );
}

const GLOBALS: &str = "
global i: i64 = -5
global f: f64 = 0.1
global c: any = \"hello\"
global s: str = \"\"
global z: i64
global y: f64
global x: any
global n: f64 = nan
global b: any = true
global k: any = 140737488355327
global m: i64 = 0x8000000000000000
global r: any = 2.5
func get_i() -> i64
  local d: i64
  global.get d, i
  ret d
end
func get_f() -> f64
  local d: f64
  global.get d, f
  ret d
end
func get_c() -> any
  local d: any
  global.get d, c
  ret d
end
func get_s() -> any
  local d: any
  global.get d, s
  ret d
end
func set_i(v: i64)
  global.set i, v
  ret
end
func set_f(v: f64)
  global.set f, v
  ret
end
func set_bits(v: i64) -> i64
  local d: f64
  f64.from_bits d, v
  global.set f, d
  global.get d, f
  f64.bits v, d
  ret v
end
func set_c(v: any)
  global.set c, v
  ret
end
func set_s(v: str) -> any
  local d: any
  global.set s, v
  global.set c, v
  global.get d, s
  ret d
end
func swap()
  local a: i64, b: i64, p: f64, q: f64
  global.get a, i
  global.get b, z
  global.set i, b
  global.set z, a
  global.get p, f
  global.get q, y
  global.set f, q
  global.set y, p
  ret
end
func count(n: i64) -> i64
  local a: i64
again:
  global.get a, z
  i64.add a, a, n
  global.set z, a
  i64.sub n, n, 1
  br.i64.gt n, 0, again
  global.get a, z
  ret a
end
func trapping(v: i64)
  global.set i, v
  i64.div v, v, v
  global.set z, v
  ret
end
";

fn globals(maker: &mut Maker<'_>) {
    maker.fixed("globals", GLOBALS, |visit| {
        let text = |text: &[u8]| Value::Cell(Cell::str(text).unwrap_or(Cell::NULL));
        let first = [
            Value::I64(-5),
            Value::F64(0.1),
            text(b"hello"),
            text(b""),
            Value::I64(0),
            Value::F64(0.0),
            Value::Cell(Cell::NULL),
            Value::F64(f64::NAN),
            Value::Cell(Cell::TRUE),
            Value::Cell(Cell::int((1 << 47) - 1).unwrap_or(Cell::NULL)),
            Value::I64(i64::MIN),
            Value::Cell(Cell::float(2.5)),
        ];
        let got = |value| Expect::Returns(Some(value));
        for (op, func, value) in [
            (Op::GlobalGetI64, "get_i", first[0]),
            (Op::GlobalGetF64, "get_f", first[1]),
            (Op::GlobalGetCell, "get_c", first[2]),
            (Op::GlobalGetCell, "get_s", first[3]),
        ] {
            visit(&Case { op, func, args: &[], expect: got(value), globals: &first });
        }
        let none = Expect::Returns(None);
        for &value in INTS {
            let mut after = first;
            after[0] = Value::I64(value);
            let args = &[after[0]];
            visit(&Case { op: Op::GlobalSetI64, func: "set_i", args, expect: none, globals: &after });
        }
        for &value in FLOATS {
            let mut after = first;
            after[1] = Value::F64(value);
            let args = &[after[1]];
            visit(&Case { op: Op::GlobalSetF64, func: "set_f", args, expect: none, globals: &after });
        }
        let nan = f64::NAN.to_bits() as i64;
        for bits in [nan, nan | i64::MIN, nan | 1, 0x7FF0_0000_0000_0001, -1, 0x7FF0_0000_0000_0000, i64::MIN] {
            let value = f64::from_bits(bits as u64);
            let wanted = if value.is_nan() { 0x7FF8_0000_0000_0000 } else { bits };
            let mut after = first;
            after[1] = Value::F64(value);
            let expect = got(Value::I64(wanted));
            let args = &[Value::I64(bits)];
            visit(&Case { op: Op::GlobalSetF64, func: "set_bits", args, expect, globals: &after });
        }
        for value in [Value::Cell(Cell::NULL), Value::Cell(Cell::FALSE), text(b"abcde"), Value::Cell(Cell::float(-0.0))]
        {
            let mut after = first;
            after[2] = value;
            visit(&Case { op: Op::GlobalSetCell, func: "set_c", args: &[value], expect: none, globals: &after });
        }
        for value in [Value::Cell(Cell::NULL), text(b"ab")] {
            let mut after = first;
            after[2] = value;
            after[3] = value;
            visit(&Case { op: Op::GlobalSetCell, func: "set_s", args: &[value], expect: got(value), globals: &after });
        }
        let mut after = first;
        after.swap(0, 4);
        after.swap(1, 5);
        visit(&Case { op: Op::GlobalSetI64, func: "swap", args: &[], expect: none, globals: &after });
        for n in [1i64, 5, 100] {
            returns(visit, Op::GlobalGetI64, "count", &[Value::I64(n)], (1..=n).sum::<i64>());
        }
        let mut after = first;
        after[0] = Value::I64(0);
        let trap = Trap::new(TrapKind::DivisionByZero);
        let expect = Expect::Traps { trap, func: "trapping", op: 1 };
        let args = &[Value::I64(0)];
        visit(&Case { op: Op::GlobalSetI64, func: "trapping", args, expect, globals: &after });
    });
}

/// Globals read and written through hot and cold registers.
fn global_pressure(maker: &mut Maker<'_>) {
    maker.group(
        "globals under pressure",
        None,
        |text| {
            text.put(format_args!("global i: i64\nglobal f: f64\n"));
            for (func, hot) in [("cold", &[][..]), ("hot", &[("d", Bank::I64), ("x", Bank::F64)][..])] {
                let mut body = Body::new(text, format_args!("{func}(p: i64, q: f64) -> f64"));
                body.pressure_locals(BOTH);
                body.line(format_args!("  local d: i64, x: f64"));
                body.op(format_args!("i64.mov d, p"));
                body.op(format_args!("f64.mov x, q"));
                body.pressure(BOTH, hot, false);
                body.op(format_args!("global.set i, d"));
                body.op(format_args!("global.set f, x"));
                body.op(format_args!("i64.const d, 0"));
                body.op(format_args!("f64.const x, 0"));
                body.op(format_args!("global.get d, i"));
                body.op(format_args!("global.get x, f"));
                body.check(BOTH);
                body.op(format_args!("br.i64.ne d, p, bad"));
                body.op(format_args!("ret x"));
                body.bad();
                body.end();
            }
        },
        |(), visit| {
            for func in ["cold", "hot"] {
                for (&i, &f) in INTS.iter().zip(FLOATS.iter().rev()) {
                    let args = &[Value::I64(i), Value::F64(f)];
                    let expect = Expect::Returns(Some(Value::F64(f)));
                    visit(&Case { op: Op::GlobalSetF64, func, args, expect, globals: args });
                }
            }
        },
    );
}

const CELLS: &str = "
func mov(c: any) -> any
  local d: any, e: any
  cell.mov d, c
  cell.mov e, d
  cell.null c
  cell.mov c, e
  ret c
end
func widen(c: str) -> any
  local d: any
  cell.mov d, c
  ret d
end
func self(c: any) -> any
  cell.mov c, c
  ret c
end
func nulled(c: any) -> any
  cell.null c
  ret c
end
func null_str(c: str) -> str
  cell.null c
  ret c
end
func is_null(c: any) -> i64
  local d: i64
  br.null c, yes
  ret d
yes:
  i64.const d, 1
  ret d
end
func is_nonnull(c: any) -> i64
  local d: i64
  br.nonnull c, yes
  ret d
yes:
  i64.const d, 1
  ret d
end
func null_loop(c: any, n: i64) -> i64
  local i: i64, d: any
again:
  i64.add i, i, 1
  br.i64.lt i, n, skip
  cell.mov d, c
skip:
  br.null d, again
  ret i
end
func nonnull_loop(c: any, n: i64) -> i64
  local i: i64
again:
  i64.add i, i, 1
  br.i64.lt i, n, skip
  cell.null c
skip:
  br.nonnull c, again
  ret i
end
func typed(a: arr.i64, b: list, c: map, d: imap, e: arr.f64, f: arr.u8, g: str) -> i64
  local n: i64
  br.nonnull a, bad
  br.nonnull b, bad
  br.nonnull c, bad
  br.nonnull d, bad
  br.nonnull e, bad
  br.nonnull f, bad
  br.null g, done
  i64.add n, n, 1
done:
  ret n
bad:
  trap unreachable
end
func t() -> any
  local d: any
  cell.const d, true
  ret d
end
func f() -> any
  local d: any
  cell.const d, false
  ret d
end
func int() -> any
  local d: any
  cell.const d, 1
  ret d
end
func int_min() -> any
  local d: any
  cell.const d, -140737488355328
  ret d
end
func float() -> any
  local d: any
  cell.const d, 1.0
  ret d
end
func minus() -> any
  local d: any
  cell.const d, -0.0
  ret d
end
func not_a_number() -> any
  local d: any
  cell.const d, nan
  ret d
end
func infinity() -> any
  local d: any
  cell.const d, -inf
  ret d
end
func empty() -> str
  local d: str
  cell.const d, \"\"
  ret d
end
func five() -> str
  local d: str
  cell.const d, \"\\0\\xFFabc\"
  ret d
end
func euro() -> any
  local d: any
  cell.const d, \"\\u{20AC}x\"
  ret d
end
";

fn cells(maker: &mut Maker<'_>) {
    maker.fixed("cells", CELLS, |visit| {
        let text = |text: &[u8]| Cell::str(text).unwrap_or(Cell::NULL);
        let int = |value: i64| Cell::int(value).unwrap_or(Cell::NULL);
        let all = [
            Cell::NULL,
            Cell::TRUE,
            Cell::FALSE,
            int(0),
            int(-1),
            int((1 << 47) - 1),
            Cell::float(0.0),
            Cell::float(-0.0),
            Cell::float(f64::NAN),
            Cell::float(f64::NEG_INFINITY),
            Cell::float(f64::MAX),
            text(b""),
            text(b"\0"),
            text(b"\xFF\xFF\xFF\xFF\xFF"),
        ];
        for cell in all {
            let args = &[Value::Cell(cell)];
            let null = i64::from(cell == Cell::NULL);
            returns(visit, Op::CellMov, "mov", args, cell);
            returns(visit, Op::CellMov, "self", args, cell);
            returns(visit, Op::CellNull, "nulled", args, Cell::NULL);
            returns(visit, Op::BrNull, "is_null", args, null);
            returns(visit, Op::BrNonnull, "is_nonnull", args, 1 - null);
            if cell != Cell::NULL {
                for n in [1, 2, 10] {
                    returns(visit, Op::BrNull, "null_loop", &[args[0], Value::I64(n)], n);
                    returns(visit, Op::BrNonnull, "nonnull_loop", &[args[0], Value::I64(n)], n);
                }
            }
        }
        returns(visit, Op::CellMov, "widen", &[text(b"ab").into()], text(b"ab"));
        returns(visit, Op::CellNull, "null_str", &[text(b"ab").into()], Cell::NULL);
        let mut typed = [Value::Cell(Cell::NULL); 7];
        returns(visit, Op::BrNull, "typed", &typed, 0);
        typed[6] = text(b"x").into();
        returns(visit, Op::BrNull, "typed", &typed, 1);
        for (func, cell) in [
            ("t", Cell::TRUE),
            ("f", Cell::FALSE),
            ("int", int(1)),
            ("int_min", int(-(1 << 47))),
            ("float", Cell::float(1.0)),
            ("minus", Cell::float(-0.0)),
            ("not_a_number", Cell::float(f64::NAN)),
            ("infinity", Cell::float(f64::NEG_INFINITY)),
            ("empty", text(b"")),
            ("five", text(b"\0\xFFabc")),
            ("euro", text("€x".as_bytes())),
        ] {
            returns(visit, Op::CellConst, func, &[], cell);
        }
    });
}
