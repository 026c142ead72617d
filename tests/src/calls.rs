//! Cases for calls: argument lists of every size, recursion, tail calls, positions of traps and the depth of the stack.

use crate::func::{Body, LEAF, Name, PRESSURE, Text};
use crate::host::fold;
use crate::{Case, Expect, Maker, returns, traps};
use opstamp::vm3::op::{Bank, Op};
use opstamp::{Cell, Trap, TrapKind, Value};

const BOTH: &[Bank] = &[Bank::I64, Bank::F64];
/// Parameters, at most.
const PARAMS: usize = 40;
const OVERFLOW: Trap = Trap::new(TrapKind::StackOverflow);

/// The bank of parameter `i` in pattern `pattern`: all of one bank, or mixed.
fn param(pattern: usize, i: usize) -> Bank {
    match pattern {
        0 => Bank::I64,
        1 => Bank::F64,
        2 => [Bank::I64, Bank::F64, Bank::Cell][i % 3],
        _ => [Bank::Cell, Bank::F64, Bank::F64, Bank::I64, Bank::I64][i * 7 % 5],
    }
}

fn type_name(bank: Bank) -> &'static str {
    match bank {
        Bank::I64 => "i64",
        Bank::F64 => "f64",
        Bank::Cell => "any",
    }
}

/// The argument that stands for place `i`.
fn argument(pattern: usize, i: usize) -> Value {
    let number = i as i64 * 3 + 1;
    match param(pattern, i) {
        Bank::I64 => Value::I64(if i.is_multiple_of(2) { number } else { -number }),
        Bank::F64 => Value::F64(number as f64 + 0.5),
        Bank::Cell => Value::Cell(if i.is_multiple_of(2) { Cell::NULL } else { Cell::TRUE }),
    }
}

fn params(text: &mut Text<'_>, pattern: usize, count: usize) {
    for i in 0..count {
        let comma = if i == 0 { "" } else { ", " };
        text.put(format_args!("{comma}p{i}: {}", type_name(param(pattern, i))));
    }
}

/// Folds all parameters into `s` as [`fold`] does.
fn fold_params(body: &mut Body<'_, '_>, pattern: usize, count: usize) {
    for i in 0..count {
        body.op(format_args!("i64.mul s, s, 31"));
        match param(pattern, i) {
            Bank::I64 => {
                body.op(format_args!("i64.add s, s, p{i}"));
            }
            Bank::F64 => {
                body.op(format_args!("f64.to_i64 t, p{i}"));
                body.op(format_args!("i64.add s, s, t"));
            }
            Bank::Cell => {
                body.op(format_args!("i64.add s, s, 1"));
                body.op(format_args!("br.nonnull p{i}, on{i}"));
                body.op(format_args!("i64.add s, s, 1"));
                body.line(format_args!("on{i}:"));
            }
        }
    }
}

/// The place of the argument that a rotated list has at `i`: the next of the same bank, around the end.
fn rotated(pattern: usize, count: usize, i: usize) -> usize {
    let mut place = i;
    loop {
        place = (place + 1) % count;
        if param(pattern, place) == param(pattern, i) {
            return place;
        }
    }
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    for pattern in 0..4 {
        for count in 0..=PARAMS {
            argument_lists(maker, pattern, count);
        }
    }
    results(maker);
    recursion(maker);
    live_across(maker);
    tails(maker);
    growing_tails(maker);
    overflow(maker);
    entry_fits(maker);
    host_overflow(maker);
    tail_overflow(maker);
    tail_by_one(maker);
}

/// One list of parameters: called from the host, from a guest with constants, with its own parameters in other places, and
/// by a tail call that rotates them.
fn argument_lists(maker: &mut Maker<'_>, pattern: usize, count: usize) {
    let name = Name::new(format_args!("{count} parameters of pattern {pattern}"));
    maker.group(
        name.as_str(),
        None,
        |text| {
            text.put(format_args!("func sum("));
            params(text, pattern, count);
            text.put(format_args!(") -> i64\n  local s: i64, t: i64\n"));
            let mut body = Body::rest(text);
            fold_params(&mut body, pattern, count);
            body.op(format_args!("ret s"));
            body.end();

            text.put(format_args!("func constant() -> i64\n  local d: i64\n"));
            for i in 0..count {
                text.put(format_args!("  local p{i}: {}\n", type_name(param(pattern, i))));
            }
            for i in 0..count {
                match argument(pattern, i) {
                    Value::I64(value) => text.put(format_args!("  i64.const p{i}, {value}\n")),
                    Value::F64(value) => text.put(format_args!("  f64.const p{i}, {value:?}\n")),
                    Value::Cell(Cell::NULL) => text.put(format_args!("  cell.null p{i}\n")),
                    Value::Cell(_) => text.put(format_args!("  cell.const p{i}, true\n")),
                }
            }
            text.put(format_args!("  call d, sum("));
            list(text, count, |i| i);
            text.put(format_args!(")\n  ret d\nend\n"));

            text.put(format_args!("func turned("));
            params(text, pattern, count);
            text.put(format_args!(") -> i64\n  local d: i64, e: i64\n  call d, sum("));
            list(text, count, |i| rotated(pattern, count, i));
            text.put(format_args!(")\n  call e, sum("));
            list(text, count, |i| i);
            text.put(format_args!(")\n  i64.xor d, d, e\n  ret d\nend\n"));

            text.put(format_args!("func tail_turned(turns: i64"));
            for i in 0..count {
                text.put(format_args!(", p{i}: {}", type_name(param(pattern, i))));
            }
            text.put(format_args!(
                ") -> i64\n  br.i64.le turns, 0, last\n  i64.sub turns, turns, 1\n  tail tail_turned(turns"
            ));
            for i in 0..count {
                text.put(format_args!(", p{}", rotated(pattern, count, i)));
            }
            text.put(format_args!(")\nlast:\n  tail sum("));
            list(text, count, |i| i);
            text.put(format_args!(")\nend\n"));
        },
        |(), visit| {
            let mut args = [Value::I64(0); PARAMS + 1];
            for (i, arg) in args.iter_mut().skip(1).take(count).enumerate() {
                *arg = argument(pattern, i);
            }
            let sum = |args: &[Value]| args.iter().fold(0, |sum, &arg| fold(sum, arg));
            let straight = sum(&args[1..=count]);
            returns(visit, Op::RetI64, "sum", &args[1..=count], straight);
            returns(visit, Op::CallI64, "constant", &[], straight);
            let turn = |args: &[Value]| {
                let mut turned = [Value::I64(0); PARAMS];
                for i in 0..count {
                    turned[i] = args[rotated(pattern, count, i)];
                }
                turned
            };
            let once = turn(&args[1..=count]);
            returns(visit, Op::CallI64, "turned", &args[1..=count], sum(&once[..count]) ^ straight);
            let mut turned = [Value::I64(0); PARAMS];
            turned[..count].copy_from_slice(&args[1..=count]);
            for turns in 0..4 {
                args[0] = Value::I64(turns);
                returns(visit, Op::Tail, "tail_turned", &args[..=count], sum(&turned[..count]));
                turned = turn(&turned[..count]);
            }
        },
    );
}

fn list(text: &mut Text<'_>, count: usize, place: impl Fn(usize) -> usize) {
    for i in 0..count {
        text.put(format_args!("{}p{}", if i == 0 { "" } else { ", " }, place(i)));
    }
}

const RESULTS: &str = "
global g: i64
func none(x: i64)
  global.set g, x
  ret
end
func int(x: i64) -> i64
  global.set g, x
  i64.add x, x, 1
  ret x
end
func float(x: f64) -> f64
  f64.add x, x, x
  ret x
end
func cell(x: any) -> any
  ret x
end
func short(x: str) -> str
  ret x
end
func call_none(x: i64)
  call none(x)
  ret
end
func call_int(x: i64) -> i64
  call x, int(x)
  call x, int(x)
  ret x
end
func call_dropped(x: i64, y: f64, z: any) -> i64
  call int(x)
  call float(y)
  call cell(z)
  call none(x)
  ret x
end
func call_float(x: f64) -> f64
  local d: f64
  call d, float(x)
  f64.sub d, d, x
  ret d
end
func call_cell(x: any) -> any
  local d: any
  call d, cell(x)
  ret d
end
func call_fits(x: str) -> any
  local d: any
  call d, cell(x)
  call d, short(x)
  ret d
end
func tail_none(x: i64)
  tail none(x)
end
func tail_float(x: f64) -> f64
  tail float(x)
end
func tail_cell(x: any) -> any
  tail cell(x)
end
func tail_int(y: f64, z: any, x: i64) -> i64
  tail int(x)
end
";

fn results(maker: &mut Maker<'_>) {
    maker.fixed("results", RESULTS, |visit| {
        for x in [0i64, 1, -1, i64::MIN, i64::MAX - 2, 77] {
            let args = [Value::I64(x), Value::F64(f64::NAN), Value::Cell(Cell::TRUE)];
            let none = Expect::Returns(None);
            visit(&Case { op: Op::Call, func: "call_none", args: &args[..1], expect: none, globals: &args[..1] });
            visit(&Case { op: Op::Tail, func: "tail_none", args: &args[..1], expect: none, globals: &args[..1] });
            returns(visit, Op::CallI64, "call_int", &args[..1], x + 2);
            returns(visit, Op::Call, "call_dropped", &args, x);
            returns(visit, Op::Tail, "tail_int", &[args[1], args[2], args[0]], x + 1);
        }
        for x in [0.0, -0.0, 1.5, f64::INFINITY, f64::NAN, 5e-324] {
            returns(visit, Op::CallF64, "call_float", &[Value::F64(x)], x + x - x);
            returns(visit, Op::Tail, "tail_float", &[Value::F64(x)], x + x);
        }
        let short = Cell::str(b"ab\0cd").unwrap_or(Cell::NULL);
        for x in [Cell::NULL, Cell::TRUE, Cell::float(1.0), short] {
            returns(visit, Op::CallCell, "call_cell", &[x.into()], x);
            returns(visit, Op::Tail, "tail_cell", &[x.into()], x);
        }
        for x in [Cell::NULL, short] {
            returns(visit, Op::CallCell, "call_fits", &[x.into()], x);
        }
    });
}

const RECURSION: &str = "
func fib(n: i64) -> i64
  local a: i64, b: i64
  br.i64.lt n, 2, base
  i64.sub   a, n, 1
  call      a, fib(a)
  i64.sub   b, n, 2
  call      b, fib(b)
  i64.add   a, a, b
  ret       a
base:
  ret       n
end
func is_even(n: i64) -> i64
  local d: i64
  br.i64.eq n, 0, yes
  i64.sub n, n, 1
  call d, is_odd(n)
  ret d
yes:
  i64.const d, 1
  ret d
end
func is_odd(n: i64) -> i64
  local d: i64, x: f64, c: any
  br.i64.eq n, 0, no
  i64.sub n, n, 1
  call d, is_even(n)
no:
  ret d
end
func even(n: i64) -> i64
  local d: i64
  br.i64.eq n, 0, yes
  i64.sub n, n, 1
  tail odd(d, n)
yes:
  i64.const d, 1
  ret d
end
func odd(z: i64, n: i64) -> i64
  br.i64.eq n, 0, no
  i64.sub n, n, 1
  tail even(n)
no:
  ret z
end
func power(x: f64, n: i64) -> f64
  local d: f64, one: f64
  f64.const one, 1
  br.i64.le n, 0, last
  i64.sub n, n, 1
  call d, power(x, n)
  f64.mul d, d, x
  ret d
last:
  ret one
end
func divide(n: i64, x: i64, y: i64) -> i64
  br.i64.le n, 0, last
  i64.sub n, n, 1
  call n, divide(n, x, y)
  ret n
last:
  i64.div x, x, y
  ret x
end
func divide_tail(n: i64, x: i64, y: i64) -> i64
  br.i64.le n, 0, last
  i64.sub n, n, 1
  tail divide_tail(n, x, y)
last:
  i64.rem x, x, y
  ret x
end
";

fn recursion(maker: &mut Maker<'_>) {
    maker.fixed("recursion", RECURSION, |visit| {
        for (n, wanted) in [(0, 0), (1, 1), (2, 1), (10, 55), (15, 610)] {
            returns(visit, Op::CallI64, "fib", &[Value::I64(n)], wanted);
        }
        for n in [0, 1, 2, 7, 100] {
            let args = &[Value::I64(n)];
            returns(visit, Op::CallI64, "is_even", args, 1 - n % 2);
            returns(visit, Op::CallI64, "is_odd", args, n % 2);
            returns(visit, Op::Tail, "even", args, 1 - n % 2);
            returns(visit, Op::Tail, "odd", &[Value::I64(0), args[0]], n % 2);
            let power: f64 = (0..n).fold(1.0, |product, _| product * 1.25);
            returns(visit, Op::CallF64, "power", &[Value::F64(1.25), args[0]], power);
            let division = Trap::new(TrapKind::DivisionByZero);
            let (good, bad) = ([args[0], 17.into(), 5.into()], [args[0], 17.into(), 0.into()]);
            returns(visit, Op::I64Div, "divide", &good, 3);
            returns(visit, Op::I64Rem, "divide_tail", &good, 2);
            traps(visit, Op::I64Div, ("divide", &bad), division, ("divide", 4));
            traps(visit, Op::I64Rem, ("divide_tail", &bad), division, ("divide_tail", 3));
        }
        returns(visit, Op::Tail, "even", &[Value::I64(100_000)], 1);
        returns(visit, Op::Tail, "even", &[Value::I64(100_001)], 0);
    });
}

/// Many registers live across calls of functions that use as many themselves.
fn live_across(maker: &mut Maker<'_>) {
    maker.group(
        "live across calls",
        None,
        |text| {
            text.put(format_args!("{LEAF}"));
            for (func, callee, dest) in
                [("lowest", None, ""), ("low", Some("lowest(k)"), "r, "), ("high", Some("low(k)"), "x, ")]
            {
                let result = if func == "low" { "f64" } else { "i64" };
                let mut body = Body::new(text, format_args!("{func}(k: i64) -> {result}"));
                body.pressure_locals(BOTH);
                body.line(format_args!("  local r: i64, x: f64, y: f64"));
                body.pressure(BOTH, &[("r", Bank::I64), ("x", Bank::F64)], callee.is_some());
                if let Some(callee) = callee {
                    body.op(format_args!("f64.const y, 2.5"));
                    body.op(format_args!("call {dest}{callee}"));
                    body.op(format_args!("call {callee}"));
                }
                body.check(BOTH);
                match func {
                    "lowest" => {
                        body.op(format_args!("i64.add r, k, 3"));
                        body.op(format_args!("ret r"));
                    }
                    "low" => {
                        body.op(format_args!("i64.to_f64 x, r"));
                        body.op(format_args!("f64.add x, x, y"));
                        body.op(format_args!("ret x"));
                    }
                    _ => {
                        body.op(format_args!("f64.mul x, x, y"));
                        body.op(format_args!("f64.to_i64 r, x"));
                        body.op(format_args!("ret r"));
                    }
                }
                body.bad();
                body.end();
            }
        },
        |(), visit| {
            for k in [0i64, 1, 100, -7] {
                let low = (k + 3) as f64 + 2.5;
                returns(visit, Op::CallF64, "low", &[Value::I64(k)], low);
                returns(visit, Op::CallI64, "high", &[Value::I64(k)], (low * 2.5) as i64);
            }
        },
    );
}

const TAILS: &str = "
func swap(n: i64, a: i64, b: i64) -> i64
  br.i64.le n, 0, done
  i64.sub n, n, 1
  tail swap(n, b, a)
done:
  i64.mul a, a, 10
  i64.add a, a, b
  ret a
end
func swap_f(n: i64, a: f64, b: f64) -> f64
  br.i64.le n, 0, done
  i64.sub n, n, 1
  tail swap_f(n, b, a)
done:
  f64.sub a, a, b
  ret a
end
func swap_c(n: i64, a: any, b: any) -> any
  br.i64.le n, 0, done
  i64.sub n, n, 1
  tail swap_c(n, b, a)
done:
  ret a
end
func cycle(n: i64, a: i64, b: i64, c: i64, d: i64) -> i64
  br.i64.le n, 0, done
  i64.sub n, n, 1
  tail cycle(n, b, c, d, a)
done:
  i64.mul a, a, 10
  i64.add a, a, b
  i64.mul a, a, 10
  i64.add a, a, c
  i64.mul a, a, 10
  i64.add a, a, d
  ret a
end
func copy(n: i64, a: i64, b: i64, c: i64) -> i64
  br.i64.le n, 0, done
  i64.sub n, n, 1
  tail copy(n, b, a, a)
done:
  i64.mul a, a, 10
  i64.add a, a, b
  i64.mul a, a, 10
  i64.add a, a, c
  ret a
end
func two_cycles(n: i64, a: i64, b: i64, c: i64, d: i64, e: i64) -> i64
  br.i64.le n, 0, done
  i64.sub n, n, 1
  tail two_cycles(n, b, a, d, e, c)
done:
  i64.mul a, a, 10
  i64.add a, a, b
  i64.mul a, a, 10
  i64.add a, a, c
  i64.mul a, a, 10
  i64.add a, a, d
  i64.mul a, a, 10
  i64.add a, a, e
  ret a
end
func loop(n: i64, s: i64) -> i64
  local t: i64
  br.i64.eq t, 0, on
  trap user(3)
on:
  i64.const t, 1
  br.i64.le n, 0, done
  i64.add s, s, n
  i64.sub n, n, 1
  tail loop(n, s)
done:
  ret s
end
";

fn tails(maker: &mut Maker<'_>) {
    maker.fixed("tail calls", TAILS, |visit| {
        let op = Op::Tail;
        for n in 0..8i64 {
            let odd = n % 2 == 1;
            let ints = |count: usize| {
                let mut args = [Value::I64(n), 1.into(), 2.into(), 3.into(), 4.into(), 5.into()];
                args[0] = Value::I64(n);
                (args, count + 1)
            };
            let (args, count) = ints(2);
            returns(visit, op, "swap", &args[..count], if odd { 21 } else { 12 });
            let (args, count) = ints(4);
            let cycled = [1234, 2341, 3412, 4123][n as usize % 4];
            returns(visit, op, "cycle", &args[..count], cycled);
            let (args, count) = ints(3);
            let copied = match n {
                0 => 123,
                _ if odd => 211,
                _ => 122,
            };
            returns(visit, op, "copy", &args[..count], copied);
            let (args, count) = ints(5);
            let front = if odd { 21000 } else { 12000 };
            returns(visit, op, "two_cycles", &args[..count], front + [345, 453, 534][n as usize % 3]);
            let floats = [Value::I64(n), 1.5.into(), 0.25.into()];
            returns(visit, op, "swap_f", &floats, if odd { -1.25 } else { 1.25 });
            let cells = [Value::I64(n), Cell::TRUE.into(), Cell::NULL.into()];
            returns(visit, op, "swap_c", &cells, if odd { Cell::NULL } else { Cell::TRUE });
            returns(visit, op, "loop", &[Value::I64(n * 1000), 0.into()], (0..=n * 1000).sum::<i64>());
        }
    });
}

/// Tail calls whose argument list grows by one each time, then shrinks to one.
fn growing_tails(maker: &mut Maker<'_>) {
    const STEPS: usize = 20;
    maker.group(
        "growing tail calls",
        None,
        |text| {
            for count in 1..=STEPS {
                text.put(format_args!("func g{count}("));
                for i in 0..count {
                    text.put(format_args!("{}p{i}: i64", if i == 0 { "" } else { ", " }));
                }
                text.put(format_args!(") -> i64\n  local q: i64, x: f64\n"));
                if count == STEPS {
                    for i in 0..count {
                        text.put(format_args!("  i64.mul q, q, 3\n  i64.add q, q, p{i}\n"));
                    }
                    text.put(format_args!("  tail last(q)\nend\n"));
                } else {
                    text.put(format_args!("  i64.add q, p0, {count}\n  tail g{}(q, ", count + 1));
                    list(text, count, |i| count - 1 - i);
                    text.put(format_args!(")\nend\n"));
                }
            }
            text.put(format_args!("func last(x: i64) -> i64\n  i64.neg x, x\n  ret x\nend\n"));
            text.put(format_args!(
                "func main(x: i64) -> i64\n  local d: i64\n  call d, g1(x)\n  i64.add d, d, x\n  ret d\nend\n"
            ));
        },
        |(), visit| {
            for x in [0i64, 1, -5, 1000] {
                let mut args = [0; STEPS];
                args[0] = x;
                for count in 1..STEPS {
                    let old = args;
                    args[0] = old[0] + count as i64;
                    for i in 0..count {
                        args[i + 1] = old[count - 1 - i];
                    }
                }
                let sum = args.iter().fold(0i64, |sum, &arg| sum * 3 + arg);
                returns(visit, Op::Tail, "g1", &[Value::I64(x)], -sum);
                returns(visit, Op::CallI64, "main", &[Value::I64(x)], x - sum);
            }
        },
    );
}

/// The depth at which recursion overflows, for stacks that end at every place in a frame. A frame is a word and a word for
/// each slot.
fn overflow(maker: &mut Maker<'_>) {
    for locals in [0, 1, 5, PRESSURE as usize] {
        for stack in [2, 7, 64, 100, 101, 102, 1000] {
            let name = Name::new(format_args!("stack of {stack} words, frames of {}", locals + 3));
            let text = |text: &mut Text<'_>| {
                text.put(format_args!("global depth: i64\nfunc deep(n: i64, c: any)\n"));
                for i in 0..locals {
                    text.put(format_args!("  local a{i}: i64\n"));
                }
                text.put(format_args!("  global.get n, depth\n"));
                for i in 0..locals {
                    text.put(format_args!("  i64.add a{i}, n, {i}\n"));
                }
                text.put(format_args!("  i64.add n, n, 1\n  global.set depth, n\n  call deep(n, c)\n  ret\nend\n"));
            };
            maker.group(name.as_str(), Some(stack), text, |(), visit| {
                let depth = stack / (3 + locals);
                let op = if depth == 0 { 0 } else { locals as u32 + 3 };
                let expect = Expect::Traps { trap: OVERFLOW, func: "deep", op };
                let globals = &[Value::I64(depth as i64)];
                let args = &[Value::I64(9), Cell::TRUE.into()];
                for _ in 0..2 {
                    visit(&Case { op: Op::Call, func: "deep", args, expect, globals });
                }
            });
        }
    }
}

/// An entry function whose frame just fits, or is one word too large.
fn entry_fits(maker: &mut Maker<'_>) {
    for (stack, fits) in [(0, false), (1, false), (5, false), (6, true), (7, true)] {
        let name = Name::new(format_args!("entry with {stack} words of stack"));
        let text =
            "func five(a: i64, b: f64) -> i64\n  local c: i64, d: f64, e: any\n  i64.add c, a, 1\n  ret c\nend\n";
        maker.group(
            name.as_str(),
            Some(stack),
            |source| source.put(format_args!("{text}")),
            |(), visit| {
                let args = &[Value::I64(4), Value::F64(0.0)];
                if fits {
                    returns(visit, Op::RetI64, "five", args, 5);
                } else {
                    traps(visit, Op::RetI64, ("five", args), OVERFLOW, ("five", 0));
                }
            },
        );
    }
}

/// A host call needs a frame with a slot for each argument, and at least one.
fn host_overflow(maker: &mut Maker<'_>) {
    for stack in 0..10 {
        let name = Name::new(format_args!("host calls with {stack} words of stack"));
        let text = "import h_none()\nimport h_mix(i64, i64) -> i64\n\
            func none()\n  nop\n  host h_none()\n  ret\nend\n\
            func mix(x: i64, y: i64) -> i64\n  nop\n  host x, h_mix(x, y)\n  ret x\nend\n";
        maker.group(
            name.as_str(),
            Some(stack),
            |source| source.put(format_args!("{text}")),
            |(), visit| {
                let args = [Value::I64(2), Value::I64(3)];
                for (func, op, frame, host, args, value) in [
                    ("none", Op::Host, 1, 2, &args[..0], None),
                    ("mix", Op::HostI64, 3, 3, &args[..], Some(Value::I64(65))),
                ] {
                    let expect = if stack < frame {
                        Expect::Traps { trap: OVERFLOW, func, op: 0 }
                    } else if stack < frame + host {
                        Expect::Traps { trap: OVERFLOW, func, op: 1 }
                    } else {
                        Expect::Returns(value)
                    };
                    visit(&Case { op, func, args, expect, globals: &[] });
                }
            },
        );
    }
}

/// A tail call to a function with a larger frame overflows in the caller.
fn tail_overflow(maker: &mut Maker<'_>) {
    for stack in [2, 5, 6, 11, 12, 13] {
        let name = Name::new(format_args!("tail calls with {stack} words of stack"));
        let text = "global reached: i64\n\
            func small(x: i64) -> i64\n  i64.add x, x, 1\n  global.set reached, x\n  tail large(x, x)\nend\n\
            func large(x: i64, y: i64) -> i64\n  local a: i64, b: f64, c: any\n  i64.add a, x, y\n  global.set reached, a\n  \
            call a, large(a, x)\n  ret a\nend\n";
        maker.group(
            name.as_str(),
            Some(stack),
            |source| source.put(format_args!("{text}")),
            |(), visit| {
                let (func, op, reached) = match stack {
                    ..6 => ("small", 2, 11),
                    6..12 => ("large", 2, 22),
                    _ => ("large", 2, 33),
                };
                let expect = Expect::Traps { trap: OVERFLOW, func, op };
                let args = &[Value::I64(10)];
                visit(&Case { op: Op::Tail, func: "small", args, expect, globals: &[Value::I64(reached)] });
            },
        );
    }
}

/// A tail call to a function whose frame is larger by a single word, with and without that word, and back.
fn tail_by_one(maker: &mut Maker<'_>) {
    for stack in 2..5 {
        let name = Name::new(format_args!("tails by a word in {stack} words of stack"));
        let text = "func one(x: i64) -> i64\n  i64.add x, x, 1\n  tail two(x, x)\nend\n\
            func two(x: i64, y: i64) -> i64\n  i64.add x, x, y\n  br.i64.gt x, 100, done\n  tail one(x)\ndone:\n  ret x\nend\n";
        maker.group(
            name.as_str(),
            Some(stack),
            |source| source.put(format_args!("{text}")),
            |(), visit| {
                let args = &[Value::I64(5)];
                if stack < 3 {
                    traps(visit, Op::Tail, ("one", args), OVERFLOW, ("one", 1));
                } else {
                    let mut x = 5;
                    while x <= 100 {
                        x = 2 * (x + 1);
                    }
                    returns(visit, Op::Tail, "one", args, x);
                }
            },
        );
    }
}
