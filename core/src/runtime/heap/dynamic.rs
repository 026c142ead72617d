//! Operations on cells of any kind.

use super::{Heap, Kind, Roots};
use crate::runtime::cell::{Cell, Content};
use crate::runtime::trap::TrapKind;
use core::cmp::Ordering;

/// The operations `dyn.*` on two operands that give a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub(crate) enum DynOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

/// A number.
#[derive(Clone, Copy, Debug)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl Heap {
    fn number(&self, cell: Cell) -> Option<Number> {
        match cell.content() {
            Some(Content::Int(value)) => Some(Number::Int(value)),
            Some(Content::Float(value)) => Some(Number::Float(value)),
            Some(_) => None,
            None => self.int_of(cell).map(Number::Int),
        }
    }

    /// The kind of a cell by its number: null 0, bool 1, int 2, float 3, then as in [`Kind`].
    pub fn kind_of(&self, cell: Cell) -> u64 {
        match cell.content() {
            Some(Content::Null) => 0,
            Some(Content::Bool(_)) => 1,
            Some(Content::Int(_)) => 2,
            Some(Content::Float(_)) => 3,
            Some(Content::Str(..)) => Kind::Str as u64,
            None => cell.kind_number().into(),
        }
    }

    /// Whether two cells are the same: ints and strings by value, other objects by identity, everything else by its bits.
    /// So a NaN is the same as a NaN, and 0.0 is not the same as -0.0.
    pub fn same(&self, x: Cell, y: Cell) -> bool {
        if x == y {
            return true;
        }
        match (self.int_of(x), self.int_of(y)) {
            (Some(x), Some(y)) => x == y,
            _ => self.same_str(x, y),
        }
    }

    /// `dyn.eq`
    pub fn dyn_eq(&self, x: Cell, y: Cell) -> bool {
        match (self.number(x), self.number(y)) {
            (Some(Number::Int(x)), Some(Number::Int(y))) => x == y,
            (Some(x), Some(y)) => x.float() == y.float(),
            _ => self.same(x, y),
        }
    }

    /// The order of two numbers or two strings; `None` with a NaN.
    fn order(&self, x: Cell, y: Cell) -> Result<Option<Ordering>, TrapKind> {
        match (self.number(x), self.number(y)) {
            (Some(Number::Int(x)), Some(Number::Int(y))) => Ok(Some(x.cmp(&y))),
            (Some(x), Some(y)) => Ok(x.float().partial_cmp(&y.float())),
            _ => match (self.text(x), self.text(y)) {
                (Some(x), Some(y)) => Ok(Some(x.bytes().cmp(y.bytes()))),
                _ => Err(TrapKind::TypeMismatch),
            },
        }
    }

    /// `dyn.lt`
    pub fn dyn_lt(&self, x: Cell, y: Cell) -> Result<bool, TrapKind> {
        Ok(self.order(x, y)?.is_some_and(Ordering::is_lt))
    }

    /// `dyn.le`
    pub fn dyn_le(&self, x: Cell, y: Cell) -> Result<bool, TrapKind> {
        Ok(self.order(x, y)?.is_some_and(Ordering::is_le))
    }

    /// `dyn.add` and its like. Both operands must be roots.
    pub fn dyn_op(&mut self, op: DynOp, x: Cell, y: Cell, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        let (Some(left), Some(right)) = (self.number(x), self.number(y)) else {
            let strings = self.text(x).is_some() && self.text(y).is_some();
            return if op == DynOp::Add && strings {
                self.str_concat(x, y, roots)
            } else {
                Err(TrapKind::TypeMismatch)
            };
        };
        if let (Number::Int(x), Number::Int(y)) = (left, right) {
            let value = match op {
                DynOp::Add => x.wrapping_add(y),
                DynOp::Sub => x.wrapping_sub(y),
                DynOp::Mul => x.wrapping_mul(y),
                DynOp::Div if y == -1 => x.wrapping_neg(),
                DynOp::Rem if y == -1 => 0,
                DynOp::Div => x.checked_div(y).ok_or(TrapKind::DivisionByZero)?,
                DynOp::Rem => x.checked_rem(y).ok_or(TrapKind::DivisionByZero)?,
            };
            return Ok(self.int(value, roots)?);
        }
        let (x, y) = (left.float(), right.float());
        Ok(Cell::float(match op {
            DynOp::Add => x + y,
            DynOp::Sub => x - y,
            DynOp::Mul => x * y,
            DynOp::Div => x / y,
            DynOp::Rem => libm::fmod(x, y),
        }))
    }

    /// `dyn.neg`
    pub fn dyn_neg(&mut self, x: Cell, roots: &mut dyn Roots) -> Result<Cell, TrapKind> {
        match self.number(x) {
            Some(Number::Int(value)) => Ok(self.int(value.wrapping_neg(), roots)?),
            Some(Number::Float(value)) => Ok(Cell::float(-value)),
            None => Err(TrapKind::TypeMismatch),
        }
    }
}
