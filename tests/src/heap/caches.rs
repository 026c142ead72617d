//! Property accesses that see many shapes at one site, in all orders.

use crate::func::Text;
use crate::{Case, Expect, Maker, Visit, returns};
use opstamp::vm3::op::Op;
use opstamp::{Trap, TrapKind, Value};

/// Shapes with a field `v`.
const SHAPES: i64 = 13;

/// The type of the field `v` of a shape, and the number of fields before it.
fn field(shape: i64) -> (&'static str, i64) {
    (["i64", "f64", "any"][(shape % 3) as usize], shape * 5 % 7)
}

/// The guest makes one object of each shape in a list, the last an object without such a field, then an array. `walk` adds
/// 1 to the field `v` of the object that the digits of `order` choose, base 16, and folds what it was before; the same
/// through one site for all.
fn write(text: &mut Text<'_>) {
    for shape in 0..SHAPES {
        let (ty, before) = field(shape);
        text.put(format_args!("shape S{shape} {{ "));
        (0..before).for_each(|at| text.put(format_args!("p{at}: {}, ", if at % 2 == 0 { "any" } else { "i64" })));
        text.put(format_args!("v: {ty}, last: i64 }}\n"));
    }
    text.put(format_args!(
        "shape None {{ w: i64 }}\nfunc all() -> list\n  local l: list, c: any, i: i64, f: f64, z: obj None\n"
    ));
    text.put(format_args!("  local xs: arr.i64"));
    (0..SHAPES).for_each(|shape| text.put(format_args!(", o{shape}: obj S{shape}")));
    text.put(format_args!("\n  list.new l, 0\n"));
    for shape in 0..SHAPES {
        let value = initial(shape);
        text.put(format_args!("  obj.new o{shape}\n"));
        match field(shape).0 {
            "i64" => text.put(format_args!("  i64.const i, {value}\n  obj.set o{shape}, v, i\n")),
            "f64" => text.put(format_args!("  f64.const f, {value}\n  obj.set o{shape}, v, f\n")),
            _ => text.put(format_args!("  i64.const i, {value}\n  box.i64 c, i\n  obj.set o{shape}, v, c\n")),
        }
        text.put(format_args!("  list.push l, o{shape}\n"));
    }
    text.put(format_args!(
        "  obj.new z\n  list.push l, z\n  arr.i64.new xs, 0\n  list.push l, xs\n  ret l\nend\n{WALK}"
    ));
}

const WALK: &str = "
func walk(order: i64, times: i64) -> i64
  local l: list, o: any, c: any, one: any, d: i64, s: i64, left: i64, f: f64
  call l, all()
again:
  i64.mov left, order
more:
  i64.and d, left, 15
  i64.ushr left, left, 4
  list.get o, l, d
  prop.get c, o, \"v\"
  cell.const one, 1
  dyn.add one, c, one
  prop.set o, \"v\", one
  cell.kind d, c
  br.i64.eq d, 3, float
  unbox.i64 d, c
  jump fold
float:
  unbox.f64 f, c
  f64.to_i64 d, f
fold:
  i64.mul s, s, 31
  i64.add s, s, d
  br.i64.ne left, 0, more
  i64.sub times, times, 1
  br.i64.gt times, 0, again
  ret s
end
";

/// The index in `walk` of the first access, and of the second.
const GET: u32 = 5;

/// What the field of a shape holds at first. Of the integers, some are not of 48 bits.
fn initial(shape: i64) -> i64 {
    match shape % 6 {
        0 => 1 << (40 + shape),
        _ => shape * 100 - 7,
    }
}

/// What `walk` gives, or that it traps.
fn walk(order: i64, times: i64) -> Option<i64> {
    let mut values = [0; SHAPES as usize];
    (0..SHAPES).zip(&mut values).for_each(|(shape, value)| *value = initial(shape));
    let mut sum = 0i64;
    for _ in 0..times.max(1) {
        let mut left = order as u64;
        loop {
            let value = values.get_mut((left & 15) as usize)?;
            sum = sum.wrapping_mul(31).wrapping_add(*value);
            *value += 1;
            left >>= 4;
            if left == 0 {
                break;
            }
        }
    }
    Some(sum)
}

fn cases(visit: &mut Visit<'_>) {
    let mut order = 0x0123_4567_89AB_CDEFu64 as i64;
    // Each shape alone, pairs, more and more shapes, and all of them in changing orders.
    for shape in 0..SHAPES {
        case(shape, 3, visit);
        case(shape << 4 | 1, 50, visit);
        case(0x0CBA_9876_5432_1000u64 as i64 >> (4 * (12 - shape)), 20, visit);
    }
    for _ in 0..200 {
        order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0xABCD_1234);
        case(order, 2, visit);
        // Without the digits 13 to 15, so that it does not trap.
        case(order & 0x7777_7777_7777_7777, 10, visit);
        case((order & 0x7777_7777_7777_7777) + 0x0505_0505_0505_0505, 10, visit);
    }
}

fn case(order: i64, times: i64, visit: &mut Visit<'_>) {
    let args = [Value::I64(order), Value::I64(times)];
    match walk(order, times) {
        Some(sum) => {
            returns(visit, Op::PropGet, "walk", &args, sum);
            returns(visit, Op::PropSet, "walk", &args, sum);
        }
        None => {
            // The digit 15 is no element of the list.
            let first = (0..16).map(|at| order as u64 >> (4 * at) & 15).find(|&digit| digit >= SHAPES as u64);
            let (kind, op) =
                if first == Some(15) { (TrapKind::OutOfBounds, GET - 1) } else { (TrapKind::TypeMismatch, GET) };
            let expect = Expect::Traps { trap: Trap::new(kind), func: "walk", op };
            visit(&Case { op: Op::PropGet, func: "walk", args: &args, expect, globals: &[] });
        }
    }
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    maker.group("properties of many shapes", None, write, |(), visit| cases(visit));
}
