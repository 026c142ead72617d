//! Cases for control flow inside a function, and for traps and `deopt`.

use crate::func::{Body, Name, PRESSURE};
use crate::values::INTS;
use crate::{Case, Expect, Maker, returns, traps};
use opstamp::vm3::op::{Bank, Op};
use opstamp::{Cell, Trap, TrapKind, Value};

const BOTH: &[Bank] = &[Bank::I64, Bank::F64];

const SMALL: &str = "
global g: i64 = 3

func nothing()
  nop
  ret
end
func nops(x: i64) -> i64
  nop
  nop
  i64.add x, x, 1
  nop
  ret x
end
func over(x: i64) -> i64
  jump past
  i64.const x, 99
past:
  jump next
next:
  ret x
end
func back(n: i64) -> i64
  local s: i64
  jump test
body:
  i64.add s, s, n
  i64.sub n, n, 1
test:
  br.i64.gt n, 0, body
  ret s
end
func nest(n: i64) -> i64
  local i: i64, j: i64, k: i64, s: i64
i:
  br.i64.ge i, n, done
  i64.const j, 0
j:
  br.i64.ge j, i, i.next
  i64.const k, 0
k:
  br.i64.ge k, j, j.next
  i64.add s, s, 1
  i64.add k, k, 1
  jump k
j.next:
  i64.add j, j, 1
  jump j
i.next:
  i64.add i, i, 1
  jump i
done:
  ret s
end
func to_self(x: i64) -> i64
again:
  i64.add x, x, 1
  br.i64.lt x, 10, again
  ret x
end
func to_start(x: i64) -> i64
start:
  br.i64.ge x, 10, done
  i64.add x, x, 3
  jump start
done:
  ret x
end
func taken_to_next(x: i64, y: f64) -> i64
  br.i64.eq x, 0, a
a:
  br.f64.lt y, y, b
b:
  br.i64.eq x, x, c
c:
  ret x
end
func ret_f64(x: f64) -> f64
  ret x
end
func ret_local() -> f64
  local d: f64
  ret d
end
func ret_i64_local() -> i64
  local d: i64
  ret d
end
func ret_cell(x: any) -> any
  ret x
end
func ret_null() -> str
  local d: str
  ret d
end
func stop(x: i64) -> i64
  global.set g, x
  br.i64.eq x, 0, zero
  br.i64.eq x, 1, one
  br.i64.eq x, 2, two
  trap unreachable
zero:
  trap user(0)
one:
  trap user(1)
two:
  trap user(65535)
end
func stop_at_once()
  trap unreachable
end
func below(x: i64) -> i64
  local d: i64
  i64.const d, 4
  call d, stop(x)
  ret d
end
func far_below(x: i64, n: i64) -> i64
  br.i64.le n, 0, last
  i64.sub n, n, 1
  call n, far_below(x, n)
  ret n
last:
  call x, below(x)
  ret x
end
func wide(x: i64) -> i64
  local a: i64, b: i64, c: i64, d: i64, u: f64
  i64.const a, 0x123456789ABCDEF0
  i64.select b, x, a, a
  f64.fma u, u, u, u
  i64.const c, 0
  i64.div d, b, c
  ret d
end
";

const DEOPT: &str = "
global g: i64
global h: f64
func once(x: i64) -> i64
  deopt
  i64.add x, x, 1
  ret x
end
func last(x: f64) -> f64
  deopt
  ret x
end
func cell(x: any, y: i64) -> any
  deopt
  ret x
end
func none(x: i64)
  global.set g, x
  deopt
  i64.add x, x, 1
  global.set g, x
  ret
end
func loop(n: i64) -> i64
  local i: i64, s: i64, u: f64, v: f64
  f64.const v, 0.25
again:
  i64.add s, s, i
  f64.add u, u, v
  deopt
  i64.xor s, s, 5
  i64.add i, i, 1
  br.i64.lt i, n, again
  global.set h, u
  ret s
end
func at(n: i64, k: i64) -> i64
  local i: i64, s: i64
again:
  i64.mul s, s, 3
  i64.add s, s, i
  br.i64.ne i, k, on
  deopt
on:
  i64.add i, i, 1
  br.i64.lt i, n, again
  ret s
end
func callee(x: i64) -> i64
  i64.mul x, x, 3
  deopt
  i64.add x, x, 1
  ret x
end
func caller(n: i64) -> i64
  local i: i64, s: i64, t: i64
again:
  call t, callee(i)
  i64.add s, s, t
  i64.add i, i, 1
  br.i64.lt i, n, again
  deopt
  call t, callee(n)
  i64.add s, s, t
  ret s
end
func recurse(n: i64) -> i64
  local d: i64
  br.i64.le n, 0, zero
  deopt
  i64.sub d, n, 1
  call d, recurse(d)
  i64.add d, d, n
  ret d
zero:
  deopt
  ret n
end
func tails(n: i64, s: i64) -> i64
  br.i64.le n, 0, zero
  deopt
  i64.add s, s, n
  i64.sub n, n, 1
  tail tails(n, s)
zero:
  ret s
end
func stop(x: i64) -> i64
  deopt
  i64.rem x, x, x
  ret x
end
func stop_below(x: i64) -> i64
  deopt
  call x, stop(x)
  ret x
end
func before_trap(x: i64) -> i64
  global.set g, x
  deopt
  trap user(8)
end
";

pub(crate) fn groups(maker: &mut Maker<'_>) {
    maker.expected("loops that count", include_str!("paced.vm3"), &[]);
    small(maker);
    for count in [0, 1, 2, 3, 5, 8, 17, 300] {
        switches(maker, count);
    }
    switch_loop(maker);
    far(maker);
    deopts(maker);
    deopt_all_live(maker);
    zeroed(maker);
    unwritten(maker);
}

fn small(maker: &mut Maker<'_>) {
    maker.fixed("control flow", SMALL, |visit| {
        visit(&Case { op: Op::Nop, func: "nothing", args: &[], expect: Expect::Returns(None), globals: &[] });
        visit(&Case { op: Op::Ret, func: "nothing", args: &[], expect: Expect::Returns(None), globals: &[] });
        for x in [0i64, 1, 2, 3, 9, 10, -4, i64::MIN, i64::MAX - 1] {
            let args = &[Value::I64(x)];
            returns(visit, Op::Nop, "nops", args, x + 1);
            returns(visit, Op::Jump, "over", args, x);
            returns(visit, Op::Jump, "taken_to_next", &[args[0], Value::F64(f64::NAN)], x);
            if x < 1000 && x > -1000 {
                returns(visit, Op::Jump, "back", args, (1..=x).sum::<i64>());
                let cube: i64 = (0..x.max(0)).map(|i| (0..i).sum::<i64>()).sum();
                returns(visit, Op::Jump, "nest", args, cube);
                returns(visit, Op::BrI64LtK, "to_self", args, 10.max(x + 1));
                let started = (x..).step_by(3).find(|&y| y >= 10).unwrap_or(0);
                returns(visit, Op::Jump, "to_start", args, started);
            }
        }
        for x in [0.0, -0.0, 1.5, f64::NAN, f64::NEG_INFINITY] {
            returns(visit, Op::RetF64, "ret_f64", &[Value::F64(x)], x);
        }
        returns(visit, Op::RetF64, "ret_local", &[], 0.0);
        returns(visit, Op::RetI64, "ret_i64_local", &[], 0);
        for cell in [Cell::NULL, Cell::TRUE, Cell::float(-0.0), Cell::float(f64::NAN)] {
            returns(visit, Op::RetCell, "ret_cell", &[cell.into()], cell);
        }
        returns(visit, Op::RetCell, "ret_null", &[], Cell::NULL);
        for (x, trap, op) in [
            (0, Trap::user(0), 5),
            (1, Trap::user(1), 6),
            (2, Trap::user(65535), 7),
            (3, Trap::new(TrapKind::Unreachable), 4),
        ] {
            let about = if x == 3 { Op::TrapUnreachable } else { Op::TrapUser };
            let expect = Expect::Traps { trap, func: "stop", op };
            let args = [Value::I64(x), Value::I64(20)];
            for (func, count) in [("stop", 1), ("below", 1), ("far_below", 2)] {
                visit(&Case { op: about, func, args: &args[..count], expect, globals: &args[..1] });
            }
        }
        let unreachable = Trap::new(TrapKind::Unreachable);
        traps(visit, Op::TrapUnreachable, ("stop_at_once", &[]), unreachable, ("stop_at_once", 0));
        let division = Trap::new(TrapKind::DivisionByZero);
        traps(visit, Op::I64Div, ("wide", &[Value::I64(1)]), division, ("wide", 4));
    });
}

/// Switches with that many targets: over a parameter, over a register that is cold, and with targets that repeat.
fn switches(maker: &mut Maker<'_>, count: i64) {
    let name = Name::new(format_args!("switch of {count}"));
    maker.group(
        name.as_str(),
        None,
        |text| {
            for (func, cold) in [("plain", false), ("cold", true)] {
                let mut body = Body::new(text, format_args!("{func}(x: i64) -> i64"));
                body.line(format_args!("  local d: i64, y: i64"));
                if cold {
                    body.pressure_locals(BOTH);
                    body.op(format_args!("i64.mov y, x"));
                    body.pressure(BOTH, &[], false);
                } else {
                    body.op(format_args!("i64.mov y, x"));
                }
                body.line(format_args!("  switch y, ["));
                for i in 0..count {
                    body.line(format_args!("    l{i}{}", if i + 1 == count { "" } else { "," }));
                }
                body.op(format_args!("], other"));
                for i in 0..count {
                    body.line(format_args!("l{i}:"));
                    body.op(format_args!("i64.const d, {}", 1000 + 7 * i));
                    body.op(format_args!("jump done"));
                }
                body.line(format_args!("other:"));
                body.op(format_args!("i64.const d, -5"));
                body.line(format_args!("done:"));
                if cold {
                    body.check(BOTH);
                    body.op(format_args!("br.i64.ne x, y, bad"));
                }
                body.op(format_args!("ret d"));
                if cold {
                    body.bad();
                }
                body.end();
            }
            let mut body = Body::new(text, format_args!("shared(x: i64) -> i64"));
            body.line(format_args!("  local d: i64\n  switch x, ["));
            for i in 0..count {
                let comma = if i + 1 == count { "" } else { "," };
                body.line(format_args!("    {}{comma}", if i % 3 == 1 { "other" } else { "one" }));
            }
            body.op(format_args!("], other"));
            body.line(format_args!("one:"));
            body.op(format_args!("i64.const d, 1"));
            body.line(format_args!("other:"));
            body.op(format_args!("i64.add d, d, 10"));
            body.op(format_args!("ret d"));
            body.end();
        },
        |(), visit| {
            let edges = [count, count + 1, -count, 1 << 31, 1 << 32, (1 << 32) + 1, (1 << 16), -(1 << 32)];
            let large = (0..4).map(|i| (i64::MAX / 8).wrapping_add(i).wrapping_mul(8));
            for x in (0..count).chain(edges).chain(large).chain(INTS.iter().copied()) {
                let inside = (0..count).contains(&x);
                let wanted = if inside { 1000 + 7 * x } else { -5 };
                returns(visit, Op::Switch, "plain", &[Value::I64(x)], wanted);
                returns(visit, Op::Switch, "cold", &[Value::I64(x)], wanted);
                let wanted = if inside && x % 3 != 1 { 11 } else { 10 };
                returns(visit, Op::Switch, "shared", &[Value::I64(x)], wanted);
            }
        },
    );
}

/// A state machine: a switch whose targets lie before it.
fn switch_loop(maker: &mut Maker<'_>) {
    let text = "
func run(n: i64, state: i64) -> i64
  local s: i64
  jump dispatch
a:
  i64.mul s, s, 3
  i64.const state, 2
  jump step
b:
  i64.add s, s, 11
  i64.const state, 0
  jump step
c:
  i64.xor s, s, 85
  i64.const state, 1
step:
  i64.sub n, n, 1
dispatch:
  br.i64.le n, 0, done
  switch state, [a, b, c], done
done:
  ret s
end
";
    maker.fixed("switch loop", text, |visit| {
        for n in [0, 1, 2, 3, 4, 100] {
            for start in [-1, 0, 1, 2, 3] {
                let (mut s, mut state) = (0i64, start);
                for _ in 0..n {
                    (s, state) = match state {
                        0 => (s.wrapping_mul(3), 2),
                        1 => (s.wrapping_add(11), 0),
                        2 => (s ^ 85, 1),
                        other => (s, other),
                    };
                }
                returns(visit, Op::Switch, "run", &[Value::I64(n), Value::I64(start)], s);
            }
        }
    });
}

/// Branches over more code than a short branch reaches.
fn far(maker: &mut Maker<'_>) {
    const LONG: i64 = 4000;
    maker.group(
        "far branches",
        None,
        |text| {
            let mut body = Body::new(text, format_args!("far(x: i64, y: f64) -> i64"));
            body.line(format_args!("  local d: i64, n: i64"));
            body.op(format_args!("br.i64.eq x, 0, out"));
            body.op(format_args!("br.f64.lt y, y, out"));
            body.op(format_args!("switch x, [out, again, out], again"));
            body.line(format_args!("again:"));
            for _ in 0..LONG {
                body.op(format_args!("i64.add d, d, x"));
            }
            body.op(format_args!("i64.add n, n, 1"));
            body.op(format_args!("br.i64.lt n, 3, again"));
            body.line(format_args!("out:"));
            body.op(format_args!("ret d"));
            body.end();
        },
        |(), visit| {
            for x in [0, 1, 2, 3, -1, 1 << 40] {
                let wanted = if x == 2 { 0 } else { x * LONG * 3 };
                returns(visit, Op::BrI64LtK, "far", &[Value::I64(x), Value::F64(f64::NAN)], wanted);
            }
        },
    );
}

fn deopts(maker: &mut Maker<'_>) {
    maker.fixed("deopt", DEOPT, |visit| {
        let op = Op::Deopt;
        for x in [0i64, 1, -1, 41, i64::MIN] {
            let args = &[Value::I64(x)];
            returns(visit, op, "once", args, x + 1);
            let globals = &[Value::I64(x + 1)];
            visit(&Case { op, func: "none", args, expect: Expect::Returns(None), globals });
            let expect = Expect::Traps { trap: Trap::user(8), func: "before_trap", op: 2 };
            visit(&Case { op, func: "before_trap", args, expect, globals: args });
        }
        for x in [0.0, -0.0, 1.5, f64::NAN] {
            returns(visit, op, "last", &[Value::F64(x)], x);
        }
        for cell in [Cell::NULL, Cell::TRUE, Cell::float(2.5)] {
            returns(visit, op, "cell", &[cell.into(), Value::I64(9)], cell);
        }
        for n in [1i64, 2, 3, 10, 100] {
            let mut s = 0;
            (0..n).for_each(|i| s = (s + i) ^ 5);
            let globals = &[Value::I64(0), Value::F64(0.25 * n as f64)];
            let expect = Expect::Returns(Some(Value::I64(s)));
            visit(&Case { op, func: "loop", args: &[Value::I64(n)], expect, globals });
            for k in [-1, 0, 1, n - 1, n] {
                let mut s = 0i64;
                (0..n).for_each(|i| s = s.wrapping_mul(3).wrapping_add(i));
                returns(visit, op, "at", &[Value::I64(n), Value::I64(k)], s);
            }
            let sum: i64 = (0..=n).map(|i| 3 * i + 1).sum();
            returns(visit, op, "caller", &[Value::I64(n)], sum);
            returns(visit, op, "recurse", &[Value::I64(n)], (1..=n).sum::<i64>());
            returns(visit, op, "tails", &[Value::I64(n), Value::I64(5)], 5 + (1..=n).sum::<i64>());
        }
        let division = Trap::new(TrapKind::DivisionByZero);
        returns(visit, op, "stop", &[Value::I64(5)], 0);
        traps(visit, op, ("stop", &[Value::I64(0)]), division, ("stop", 1));
        traps(visit, op, ("stop_below", &[Value::I64(0)]), division, ("stop", 1));
    });
}

/// `deopt` in the middle of a loop with many registers of every bank live, checked behind it.
fn deopt_all_live(maker: &mut Maker<'_>) {
    maker.group(
        "deopt with all live",
        None,
        |text| {
            for (func, call) in [("leaf_loop", false), ("calling_loop", true)] {
                let mut body = Body::new(text, format_args!("{func}(k: i64, c: any, x: f64) -> any"));
                body.pressure_locals(BOTH);
                body.line(format_args!("  local i: i64, y: f64, z: any"));
                body.op(format_args!("f64.mov y, x"));
                body.op(format_args!("cell.mov z, c"));
                body.pressure(BOTH, &[("y", Bank::F64)], call);
                body.line(format_args!("again:"));
                body.op(format_args!("br.i64.ne i, k, on"));
                body.op(format_args!("deopt"));
                body.line(format_args!("on:"));
                for i in 0..PRESSURE {
                    body.op(format_args!("i64.add a{i}, a{i}, 1"));
                    body.op(format_args!("f64.neg e{i}, e{i}"));
                }
                body.op(format_args!("i64.add i, i, 1"));
                body.op(format_args!("br.i64.lt i, 4, again"));
                for i in 0..PRESSURE {
                    body.op(format_args!("i64.sub a{i}, a{i}, 4"));
                }
                body.check(BOTH);
                body.op(format_args!("br.f64.ne x, y, bad"));
                body.op(format_args!("ret z"));
                body.bad();
                body.end();
            }
            text.put(format_args!("func leaf()\n  deopt\n  ret\nend\n"));
        },
        |(), visit| {
            for func in ["leaf_loop", "calling_loop"] {
                for k in -1..=4 {
                    for cell in [Cell::NULL, Cell::TRUE] {
                        let args = &[Value::I64(k), cell.into(), Value::F64(1.25)];
                        returns(visit, Op::Deopt, func, args, cell);
                    }
                }
            }
        },
    );
}

/// Locals that are read on one path without having been written, behind a write on another. `path` gives 0 for an even x and
/// else 7; `later` reads in a loop what its body writes further down; `above` jumps back to a read that stands above the
/// write.
const UNWRITTEN: &str = "
func path(x: i64) -> i64
  local a: i64, b: f64, c: any, r: i64
  i64.and r, x, 1
  br.i64.eq r, 0, even
  i64.const a, 3
  f64.const b, 4.0
  cell.const c, true
even:
  f64.to_i64 r, b
  i64.add r, r, a
  br.null c, done
  br.i64.eq a, 0, bad
done:
  ret r
bad:
  trap user(9)
end
func later(n: i64) -> i64
  local i: i64, s: i64, x: f64, y: f64
again:
  i64.mul s, s, 3
  i64.add s, s, i
  f64.add y, y, x
  br.i64.ge i, n, done
  i64.add i, i, 1
  i64.to_f64 x, i
  jump again
done:
  f64.to_i64 i, y
  i64.xor s, s, i
  ret s
end
func above(x: i64) -> i64
  local a: i64, b: f64, t: i64
  jump start
read:
  f64.to_i64 t, b
  i64.add t, t, a
  ret t
write:
  i64.const a, 20
  f64.const b, 2.0
  jump read
start:
  br.i64.eq x, 0, read
  jump write
end
func switched(x: i64) -> i64
  local a: i64, b: f64, t: i64
  switch x, [one, two, both], none
one:
  i64.const a, 5
  jump none
two:
  f64.const b, 6.0
  jump none
both:
  i64.const a, 5
  f64.const b, 6.0
none:
  f64.to_i64 t, b
  i64.mul t, t, 10
  i64.add t, t, a
  ret t
end
func same_op(x: i64) -> i64
  local a: i64, b: f64, c: f64
  i64.sub a, a, x
  f64.sub b, b, c
  f64.bits x, b
  i64.add a, a, x
  ret a
end
func dest_of_call(x: i64) -> i64
  local a: i64, b: i64
  br.i64.eq x, 0, skip
  call a, same_op(x)
skip:
  call b, same_op(a)
  i64.sub a, a, b
  ret a
end
";

fn unwritten(maker: &mut Maker<'_>) {
    maker.fixed("unwritten locals", UNWRITTEN, |visit| {
        for _ in 0..2 {
            for x in 0..8i64 {
                let args = &[Value::I64(x)];
                returns(visit, Op::RetI64, "path", args, if x % 2 == 0 { 0 } else { 7 });
                let (mut s, mut y) = (0i64, 0);
                for i in 0..=x {
                    s = s * 3 + i;
                    y += i;
                }
                returns(visit, Op::F64Add, "later", args, s ^ y);
                returns(visit, Op::Jump, "above", args, if x == 0 { 0 } else { 22 });
                returns(visit, Op::Switch, "switched", args, [5, 60, 65].get(x as usize).copied().unwrap_or(0));
                returns(visit, Op::I64Sub, "same_op", args, -x);
                returns(visit, Op::CallI64, "dest_of_call", args, -2 * x);
            }
        }
    });
}

/// Locals start as zero and null, whatever an earlier call left on the stack.
fn zeroed(maker: &mut Maker<'_>) {
    maker.group(
        "locals start as zero",
        None,
        |text| {
            let mut body = Body::new(text, format_args!("dirty(x: i64) -> i64"));
            for i in 0..40 {
                body.line(format_args!("  local a{i}: i64, e{i}: f64, c{i}: any"));
            }
            body.line(format_args!("  local s: i64"));
            for i in 0..40 {
                body.op(format_args!("br.i64.ne a{i}, 0, bad"));
                body.op(format_args!("f64.bits s, e{i}"));
                body.op(format_args!("br.i64.ne s, 0, bad"));
                body.op(format_args!("br.nonnull c{i}, bad"));
            }
            body.op(format_args!("i64.const s, 0"));
            for i in 0..40 {
                body.op(format_args!("i64.const a{i}, -1"));
                body.op(format_args!("f64.const e{i}, nan"));
                body.op(format_args!("cell.const c{i}, \"dirty\""));
            }
            for i in 0..40 {
                body.op(format_args!("i64.add s, s, a{i}"));
            }
            body.op(format_args!("ret s"));
            body.bad();
            body.end();
            text.put(format_args!(
                "func twice(x: i64) -> i64\n  local p: i64, q: i64\n  call p, dirty(x)\n  call q, dirty(x)\n  \
                 i64.add p, p, q\n  ret p\nend\nfunc fill(x: i64) -> i64\n  local y: i64, z: any\n  \
                 br.i64.ne y, 0, bad\n  br.nonnull z, bad\n  i64.const y, 3\n  cell.const z, true\n  \
                 br.i64.eq x, 0, done\n  i64.sub x, x, 1\n  tail fill(x)\ndone:\n  ret y\nbad:\n  trap user(9)\nend\n"
            ));
        },
        |(), visit| {
            for _ in 0..2 {
                returns(visit, Op::CallI64, "twice", &[Value::I64(0)], -80);
                returns(visit, Op::RetI64, "dirty", &[Value::I64(0)], -40);
                returns(visit, Op::Tail, "fill", &[Value::I64(3)], 3);
            }
        },
    );
}
