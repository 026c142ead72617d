//! Literals as values: arguments of a command line, and the values that expectations name.

use super::{HeapError, Objects};
use crate::runtime::cell::{Cell, CellKind, SHORT_STR};
use crate::runtime::heap::Kind;
use crate::runtime::value::Value;
use crate::vm3::op::Bank;
use crate::vm3::text::Literal;
use crate::vm3::types::TypeId;

impl Objects<'_> {
    /// A string of these bytes, for which no buffer is needed.
    ///
    /// # Errors
    ///
    /// [`HeapError::OutOfMemory`]
    pub fn new_str_of(&mut self, bytes: impl Iterator<Item = u8> + Clone) -> Result<Cell, HeapError> {
        let len = bytes.clone().count();
        let mut short = [0; SHORT_STR];
        if let Some(short) = short.get_mut(..len) {
            short.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
            return Ok(Cell::str(short).unwrap_or(Cell::NULL));
        }
        let count = u32::try_from(len).map_err(|_| HeapError::OutOfMemory)?;
        let cell = self.heap.allocate(Kind::Str, count, len.div_ceil(8), &mut self.roots)?;
        let places = self.heap.bytes_mut(cell, Kind::Str).unwrap_or(&mut []);
        places.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        Ok(cell)
    }

    /// The value of a literal where `ty` is declared: an INT may stand for an f64, as in `f64.const`, and what takes more
    /// than a cell is made on the heap. `None` if the literal does not fit the type.
    ///
    /// # Errors
    ///
    /// [`HeapError::OutOfMemory`]
    pub fn literal(&mut self, literal: Literal<'_>, ty: TypeId) -> Result<Option<Value>, HeapError> {
        let any = ty == TypeId::ANY;
        Ok(match (literal, ty.bank()) {
            (Literal::Int(value), Bank::I64) => Some(value.into()),
            (Literal::Int(value), Bank::F64) => Some((value as f64).into()),
            (Literal::Float(value), Bank::F64) => Some(value.into()),
            (Literal::Null, Bank::Cell) => Some(Cell::NULL.into()),
            (Literal::Str(text), Bank::Cell) if any || ty == TypeId::STR => Some(self.new_str_of(text.bytes())?.into()),
            (Literal::Bool(value), Bank::Cell) if any => Some(Cell::bool(value).into()),
            (Literal::Float(value), Bank::Cell) if any => Some(Cell::float(value).into()),
            (Literal::Int(value), Bank::Cell) if any => Some(self.new_int(value)?.into()),
            (Literal::Int(_) | Literal::Float(_) | Literal::Bool(_) | Literal::Null | Literal::Str(_), _) => None,
        })
    }

    /// Whether a value is the one that a literal stands for: i64 and f64 by their bits with all NaNs equal, strings by their
    /// bytes, an INT as an f64 where the value is one.
    pub fn is_literal(&self, value: Value, literal: Literal<'_>) -> bool {
        let bits = value.bits();
        match (value, literal) {
            (Value::I64(value), Literal::Int(wanted)) => value == wanted,
            (Value::F64(_), Literal::Int(wanted)) => bits == Value::F64(wanted as f64).bits(),
            (Value::F64(_), Literal::Float(wanted)) => bits == Value::F64(wanted).bits(),
            (Value::Cell(cell), Literal::Int(wanted)) => {
                self.kind(cell) == Ok(CellKind::Int) && self.int(cell) == Ok(wanted)
            }
            (Value::Cell(_), Literal::Float(wanted)) => bits == Cell::float(wanted).bits(),
            (Value::Cell(_), Literal::Bool(wanted)) => bits == Cell::bool(wanted).bits(),
            (Value::Cell(_), Literal::Null) => bits == Cell::NULL.bits(),
            (Value::Cell(cell), Literal::Str(wanted)) => {
                self.str(&cell).is_ok_and(|bytes| bytes.iter().copied().eq(wanted.bytes()))
            }
            _ => false,
        }
    }
}
