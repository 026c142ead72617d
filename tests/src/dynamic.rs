//! What the dynamic ops with two sources give, written from vm3.md apart from every engine.

use opstamp::TrapKind;
use opstamp::vm3::op::Op;

/// A cell, as far as dynamic ops tell cells apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dyn<'d> {
    /// null
    Null,
    /// A bool.
    Bool(bool),
    /// An integer of any size.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string of any length.
    Str(&'d [u8]),
    /// Another object, by some number of its own.
    Object(i64),
}

fn float(cell: Dyn<'_>) -> Option<f64> {
    match cell {
        Dyn::Int(value) => Some(value as f64),
        Dyn::Float(value) => Some(value),
        _ => None,
    }
}

/// What an op on two cells gives; of a comparison, a bool. Concatenations are the caller's.
pub fn pair<'d>(op: Op, x: Dyn<'_>, y: Dyn<'_>) -> Result<Dyn<'d>, TrapKind> {
    use TrapKind::{DivisionByZero, TypeMismatch};
    match (x, y) {
        (Dyn::Int(x), Dyn::Int(y)) => {
            if matches!(op, Op::DynDiv | Op::DynRem) && y == 0 {
                return Err(DivisionByZero);
            }
            Ok(match op {
                Op::DynAdd => Dyn::Int(x.wrapping_add(y)),
                Op::DynSub => Dyn::Int(x.wrapping_sub(y)),
                Op::DynMul => Dyn::Int(x.wrapping_mul(y)),
                Op::DynDiv => Dyn::Int(x.wrapping_div(y)),
                Op::DynRem => Dyn::Int(x.wrapping_rem(y)),
                Op::DynEq => Dyn::Bool(x == y),
                Op::DynLt => Dyn::Bool(x < y),
                _ => Dyn::Bool(x <= y),
            })
        }
        (Dyn::Str(x), Dyn::Str(y)) => match op {
            Op::DynEq => Ok(Dyn::Bool(x == y)),
            Op::DynLt => Ok(Dyn::Bool(x < y)),
            Op::DynLe => Ok(Dyn::Bool(x <= y)),
            _ => Err(TypeMismatch),
        },
        _ => match (float(x), float(y)) {
            (Some(x), Some(y)) => Ok(match op {
                Op::DynAdd => Dyn::Float(x + y),
                Op::DynSub => Dyn::Float(x - y),
                Op::DynMul => Dyn::Float(x * y),
                Op::DynDiv => Dyn::Float(x / y),
                Op::DynRem => Dyn::Float(libm::fmod(x, y)),
                Op::DynEq => Dyn::Bool(x == y),
                Op::DynLt => Dyn::Bool(x < y),
                _ => Dyn::Bool(x <= y),
            }),
            _ if op == Op::DynEq => Ok(Dyn::Bool(x == y)),
            _ => Err(TypeMismatch),
        },
    }
}
