//! Cells: boxes, kinds, casts, identity, constants and globals.

use crate::values::{FLOATS, INTS};
use crate::{Maker, Visit, heap, returns, traps};
use opstamp::vm3::op::Op;
use opstamp::{Trap, TrapKind, Value};

/// What `make(n)` of `cells.vm3` gives: its kind, and for numbers, bools and strings a number of the value.
const MADE: [(i64, i64); 20] = [
    (0, 0),
    (1, 1),
    (2, 5),
    (3, 5),
    (4, 1),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 0),
    (12, 0),
    (1, 0),
    (2, 1_099_511_627_776_000),
    (3, 6),
    (4, 2),
    (11, 1),
    (12, 1),
    (3, 7),
];

/// The types of `CellCast_to`, by the kind that fits; of objects and closures, also which.
const TYPES: [(i64, i64); 12] =
    [(-1, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (11, 1), (12, 0), (12, 1)];

fn fits(made: (i64, i64), ty: (i64, i64)) -> bool {
    let which = made.0 >= 11;
    made.0 == 0 || ty.0 == -1 || (made.0 == ty.0 && (!which || made.1 == ty.1))
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    let mut group = crate::func::Text::new(maker.source);
    heap::expected::fill(&mut group, include_str!("cells.vm3"), &[]);
    let text = group.as_str();
    let cases = &|visit: &mut Visit<'_>| {
        heap::expected::cases(text, visit);
        made(visit);
    };
    (maker.visit)(&crate::Group { name: "cells on the heap", text, stack_words: None, cases });
}

fn made(visit: &mut Visit<'_>) {
    let mismatch = Trap::new(TrapKind::TypeMismatch);
    for &x in INTS.iter().chain(&[(1 << 47) - 1, 1 << 47, -(1 << 47), -(1 << 47) - 1, 0xFFFF_1000_0000_0001u64 as i64])
    {
        returns(visit, Op::BoxI64, "BoxI64_round", &[Value::I64(x)], x);
        returns(visit, Op::BoxI64, "BoxI64_kind", &[Value::I64(x)], 2);
    }
    for &x in FLOATS {
        returns(visit, Op::BoxF64, "BoxF64_bits", &[Value::F64(x)], x);
    }
    for (n, &made) in (0i64..).zip(&MADE) {
        let args = &[Value::I64(n)];
        returns(visit, Op::CellSame, "CellSame_itself", args, 1);
        for (m, &other) in (0i64..).zip(&MADE) {
            let same = made == other && made.0 <= 4;
            returns(visit, Op::CellSame, "CellSame_made", &[args[0], Value::I64(m)], i64::from(same));
        }
        for (to, &ty) in (0i64..).zip(&TYPES) {
            let call = ("CellCast_to", &[args[0], Value::I64(to)][..]);
            // The cast to type 0 is op 2, with a jump behind it; the others are each three ops.
            let place = if to == 0 { 2 } else { 4 + 3 * (to as u32 - 1) };
            if fits(made, ty) {
                returns(visit, Op::CellCast, call.0, call.1, 1);
            } else {
                traps(visit, Op::CellCast, call, mismatch, (call.0, place));
            }
        }
        match made.0 {
            2 => returns(visit, Op::UnboxI64, "UnboxI64_of", args, made.1),
            _ => traps(visit, Op::UnboxI64, ("UnboxI64_of", args), mismatch, ("UnboxI64_of", 1)),
        }
        match made {
            (3, which) => {
                let value = [5.0, f64::NAN, -0.0][(which - 5) as usize];
                returns(visit, Op::UnboxF64, "UnboxF64_of", args, value);
            }
            _ => traps(visit, Op::UnboxF64, ("UnboxF64_of", args), mismatch, ("UnboxF64_of", 1)),
        }
        match made.0 {
            1 => returns(visit, Op::UnboxBool, "UnboxBool_of", args, made.1),
            _ => traps(visit, Op::UnboxBool, ("UnboxBool_of", args), mismatch, ("UnboxBool_of", 1)),
        }
    }
}
