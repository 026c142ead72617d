//! The host functions that the suite's modules import, and the cases for `host`.

use crate::{Case, Expect, Maker, returns, traps};
use opstamp::vm3::op::Op;
use opstamp::{Cell, HostFn, Trap, TrapKind, TypeId, Value};

/// The host functions of the suite, for every module of it.
pub fn imports() -> [HostFn<'static>; 13] {
    const I64: TypeId = TypeId::I64;
    const F64: TypeId = TypeId::F64;
    const ANY: TypeId = TypeId::ANY;
    const STR: TypeId = TypeId::STR;
    const NONE: TypeId = TypeId::NONE;
    [
        HostFn { name: "h_none", params: &[], result: NONE, run: &|_| Ok(()) },
        HostFn {
            name: "h_mix",
            params: &[I64, I64],
            result: I64,
            run: &|call| {
                call.set_result(call.i64(0).wrapping_mul(31).wrapping_add(call.i64(1)));
                Ok(())
            },
        },
        HostFn {
            name: "h_scale",
            params: &[F64, I64],
            result: F64,
            run: &|call| {
                call.set_result(call.f64(0) * call.i64(1) as f64);
                Ok(())
            },
        },
        HostFn {
            name: "h_same",
            params: &[ANY],
            result: ANY,
            run: &|call| {
                call.set_result(call.cell(0));
                Ok(())
            },
        },
        HostFn {
            name: "h_str",
            params: &[STR, I64],
            result: STR,
            run: &|call| {
                call.set_result(if call.i64(1) == 0 {
                    call.cell(0)
                } else {
                    Cell::str(b"other").unwrap_or(Cell::NULL)
                });
                Ok(())
            },
        },
        HostFn {
            name: "h_many",
            params: &[I64, F64, ANY, I64, F64, ANY, I64, F64, ANY, I64, F64, I64],
            result: I64,
            run: &|call| {
                let mut sum = 0i64;
                for index in 0..call.arg_count() {
                    sum = fold(sum, call.arg(index).unwrap_or(Value::I64(-1)));
                }
                call.set_result(sum);
                Ok(())
            },
        },
        HostFn { name: "h_trap", params: &[I64], result: I64, run: &|call| trap_unless_zero(call.i64(0)) },
        HostFn { name: "h_trap_none", params: &[I64], result: NONE, run: &|call| trap_unless_zero(call.i64(0)) },
        HostFn { name: "h_trap_f64", params: &[I64], result: F64, run: &|call| trap_unless_zero(call.i64(0)) },
        HostFn { name: "h_trap_any", params: &[I64], result: ANY, run: &|call| trap_unless_zero(call.i64(0)) },
        HostFn {
            name: "h_back",
            params: &[I64, F64],
            result: I64,
            run: &|call| {
                let args = [Value::I64(call.i64(0)), Value::F64(call.f64(1))];
                let value = call.call("back", &args).map_err(|error| error.as_trap())?;
                call.set_result(value.unwrap_or(Value::I64(-1)));
                Ok(())
            },
        },
        HostFn {
            name: "h_misfit",
            params: &[I64],
            result: F64,
            run: &|call| {
                if call.i64(0) == 0 {
                    call.set_result(1.0);
                } else {
                    call.set_result(1);
                }
                Ok(())
            },
        },
        HostFn { name: "h_silent", params: &[], result: ANY, run: &|_| Ok(()) },
    ]
}

/// What the `h_trap` functions do: `host(N)` with the low 32 bits of a number that is not 0.
fn trap_unless_zero(number: i64) -> Result<(), Trap> {
    if number == 0 { Ok(()) } else { Err(Trap::host(number as u32)) }
}

/// Folds a value into a checksum: what `h_many` and the guests' own checksums do.
pub fn fold(sum: i64, value: Value) -> i64 {
    let part = match value {
        Value::I64(value) => value,
        Value::F64(value) => value as i64,
        Value::Cell(cell) => 1 + i64::from(cell == Cell::NULL),
    };
    sum.wrapping_mul(31).wrapping_add(part)
}

const HOSTS: &str = "
import h_none()
import h_mix(i64, i64) -> i64
import h_scale(f64, i64) -> f64
import h_same(any) -> any
import h_str(str, i64) -> str
import h_many(i64, f64, any, i64, f64, any, i64, f64, any, i64, f64, i64) -> i64
import h_trap(i64) -> i64
import h_silent() -> any
import h_trap_none(i64)
import h_trap_f64(i64) -> f64
import h_trap_any(i64) -> any
import h_misfit(i64) -> f64
global seen: i64 = 7

func none()
  host h_none()
  ret
end
func mix(x: i64, y: i64) -> i64
  local d: i64
  host d, h_mix(x, y)
  ret d
end
func mix_same(x: i64) -> i64
  host x, h_mix(x, x)
  ret x
end
func mix_swap(x: i64, y: i64) -> i64
  local d: i64, e: i64
  host d, h_mix(x, y)
  host e, h_mix(y, x)
  i64.sub d, d, e
  ret d
end
func scale(x: f64, y: i64) -> f64
  host x, h_scale(x, y)
  ret x
end
func same(c: any) -> any
  local d: any
  host d, h_same(c)
  ret d
end
func str(c: str, i: i64) -> str
  local d: str
  host d, h_str(c, i)
  ret d
end
func silent() -> any
  local d: any
  cell.const d, true
  host d, h_silent()
  ret d
end
func trap_none(x: i64)
  host h_trap_none(x)
  ret
end
func trap_f64(x: i64) -> f64
  local d: f64
  f64.const d, 1
  host d, h_trap_f64(x)
  ret d
end
func trap_any(x: i64) -> any
  local d: any
  cell.const d, true
  host d, h_trap_any(x)
  ret d
end
func dropped(x: i64, y: i64) -> i64
  local u: f64
  host h_mix(x, y)
  host h_scale(u, x)
  host h_silent()
  i64.add x, x, y
  ret x
end
func many(a: i64, b: f64, c: any, d: i64, e: f64, f: any, g: i64, h: f64, i: str, j: i64, k: f64, l: i64) -> i64
  host l, h_many(a, b, c, d, e, f, g, h, i, j, k, l)
  ret l
end
func misfit(x: i64) -> f64
  local d: f64
  host d, h_misfit(x)
  ret d
end
func trap(x: i64) -> i64
  local d: i64
  i64.const d, 5
  global.set seen, x
  host d, h_trap(x)
  ret d
end
func trap_below(x: i64, y: i64) -> i64
  call x, trap(x)
  i64.add x, x, y
  ret x
end
func loop(n: i64) -> i64
  local i: i64, s: i64, u: f64, v: f64
  f64.const v, 0.5
again:
  br.i64.ge i, n, done
  host s, h_mix(s, i)
  host u, h_scale(v, i)
  br.f64.lt u, v, next
  i64.add s, s, 1
next:
  f64.add v, v, v
  i64.add i, i, 1
  jump again
done:
  ret s
end
";

/// `loop` of [`HOSTS`].
fn looped(n: i64) -> i64 {
    let (mut s, mut v) = (0i64, 0.5f64);
    for i in 0..n {
        s = s.wrapping_mul(31).wrapping_add(i);
        if v * i as f64 >= v {
            s = s.wrapping_add(1);
        }
        v += v;
    }
    s
}

const BACK: &str = "
import h_back(i64, f64) -> i64
global depth: i64

func outer(n: i64, x: f64) -> i64
  local d: i64, e: i64
  i64.mul e, n, 3
  host d, h_back(n, x)
  i64.add d, d, e
  ret d
end
func back(n: i64, x: f64) -> i64
  local e: i64, d: i64
  global.get d, depth
  i64.add d, d, 1
  global.set depth, d
  f64.to_i64 e, x
  br.i64.eq n, 0, done
  br.i64.lt n, 0, bad
  i64.sub n, n, 1
  call d, outer(n, x)
  i64.add d, d, e
  ret d
done:
  ret e
bad:
  trap user(77)
end
";

pub(crate) fn groups(maker: &mut Maker<'_>) {
    maker.fixed("host functions", HOSTS, |visit| {
        visit(&Case { op: Op::Host, func: "none", args: &[], expect: Expect::Returns(None), globals: &[] });
        for x in [0, 1, -1, i64::MIN, i64::MAX, 12345] {
            for y in [0, 3, -5, i64::MIN] {
                let mixed = |x: i64, y: i64| x.wrapping_mul(31).wrapping_add(y);
                let args = [Value::I64(x), Value::I64(y)];
                returns(visit, Op::HostI64, "mix", &args, mixed(x, y));
                returns(visit, Op::HostI64, "mix_swap", &args, mixed(x, y).wrapping_sub(mixed(y, x)));
                returns(visit, Op::Host, "dropped", &args, x.wrapping_add(y));
                returns(visit, Op::HostF64, "scale", &[Value::F64(0.1), args[1]], 0.1 * y as f64);
            }
            returns(visit, Op::HostI64, "mix_same", &[Value::I64(x)], x.wrapping_mul(32));
        }
        returns(visit, Op::HostF64, "scale", &[Value::F64(f64::INFINITY), Value::I64(0)], f64::NAN);
        returns(visit, Op::HostF64, "scale", &[Value::F64(-0.0), Value::I64(1)], -0.0);
        let short = Cell::str(b"\0a\xFFz!").unwrap_or(Cell::NULL);
        for cell in [Cell::NULL, Cell::TRUE, Cell::FALSE, Cell::float(1.5), Cell::float(f64::NAN), short] {
            returns(visit, Op::HostCell, "same", &[cell.into()], cell);
        }
        for int in [0, -1, (1 << 47) - 1, -(1 << 47)] {
            let cell = Cell::int(int).unwrap_or(Cell::NULL);
            returns(visit, Op::HostCell, "same", &[cell.into()], cell);
        }
        let other = Cell::str(b"other").unwrap_or(Cell::NULL);
        returns(visit, Op::HostCell, "str", &[short.into(), Value::I64(0)], short);
        returns(visit, Op::HostCell, "str", &[short.into(), Value::I64(1)], other);
        returns(visit, Op::HostCell, "silent", &[], Cell::NULL);
        for seed in 0..4 {
            let mut args = [Value::I64(0); 12];
            let mut sum = 0;
            for (at, arg) in (0i64..).zip(&mut args) {
                let number = (seed * 100 + at * 7) * if at % 2 == 0 { 1 } else { -1 };
                let cell = if (seed + at) % 2 == 0 { Cell::NULL } else { short };
                *arg = match at {
                    1 | 4 | 7 | 10 => Value::F64(number as f64 + 0.25),
                    2 | 5 | 8 => Value::Cell(cell),
                    _ => Value::I64(number),
                };
                sum = fold(sum, *arg);
            }
            returns(visit, Op::HostI64, "many", &args, sum);
        }
        returns(visit, Op::HostF64, "misfit", &[Value::I64(0)], 1.0);
        let mismatch = Trap::new(TrapKind::TypeMismatch);
        traps(visit, Op::HostF64, ("misfit", &[Value::I64(1)]), mismatch, ("misfit", 0));
        returns(visit, Op::HostI64, "trap", &[Value::I64(0)], 0);
        let zero = &[Value::I64(0)];
        visit(&Case { op: Op::Host, func: "trap_none", args: zero, expect: Expect::Returns(None), globals: &[] });
        returns(visit, Op::HostF64, "trap_f64", zero, 0.0);
        returns(visit, Op::HostCell, "trap_any", zero, Cell::NULL);
        traps(visit, Op::Host, ("trap_none", &[Value::I64(6)]), Trap::host(6), ("trap_none", 0));
        traps(visit, Op::HostF64, ("trap_f64", &[Value::I64(7)]), Trap::host(7), ("trap_f64", 1));
        traps(visit, Op::HostCell, ("trap_any", &[Value::I64(8)]), Trap::host(8), ("trap_any", 1));
        for number in [1, 2, 0x7FFF_FFFF, 0xFFFF_FFFF] {
            let expect = Expect::Traps { trap: Trap::host(number), func: "trap", op: 2 };
            let args = [Value::I64(number.into()), Value::I64(3)];
            let globals = &args[..1];
            visit(&Case { op: Op::HostI64, func: "trap", args: &args[..1], expect, globals });
            visit(&Case { op: Op::HostI64, func: "trap_below", args: &args, expect, globals });
        }
        returns(visit, Op::CallI64, "trap_below", &[Value::I64(0), Value::I64(3)], 3);
        for n in [0, 1, 2, 50] {
            returns(visit, Op::HostI64, "loop", &[Value::I64(n)], looped(n));
        }
    });
    maker.fixed("re-entry", BACK, |visit| {
        for n in [0i64, 1, 2, 9] {
            let wanted = 5 + (1..=n).map(|level| 5 + 3 * level).sum::<i64>();
            let args = [Value::I64(n), Value::F64(5.9)];
            let expect = Expect::Returns(Some(Value::I64(wanted)));
            let globals = &[Value::I64(n + 1)];
            visit(&Case { op: Op::HostI64, func: "outer", args: &args, expect, globals });
        }
        let args = [Value::I64(-1), Value::F64(0.0)];
        let expect = Expect::Traps { trap: Trap::user(77), func: "outer", op: 1 };
        visit(&Case { op: Op::HostI64, func: "outer", args: &args, expect, globals: &[Value::I64(1)] });
        traps(visit, Op::TrapUser, ("back", &args), Trap::user(77), ("back", 11));
    });
}
