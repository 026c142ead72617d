//! Values as the host hands them in and gets them back.

use super::cell::Cell;
use crate::vm3::op::Bank;

/// A value of one of the three banks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// An integer.
    I64(i64),
    /// A float. One that comes from a guest is never a NaN other than the canonical one.
    F64(f64),
    /// A cell.
    Cell(Cell),
}

impl Value {
    /// The bank that holds it.
    pub fn bank(self) -> Bank {
        match self {
            Self::I64(_) => Bank::I64,
            Self::F64(_) => Bank::F64,
            Self::Cell(_) => Bank::Cell,
        }
    }

    /// Its bits in a slot. A NaN becomes the canonical one.
    pub fn bits(self) -> u64 {
        match self {
            Self::I64(value) => value as u64,
            Self::F64(value) => canonical(value),
            Self::Cell(value) => value.bits(),
        }
    }

    /// The value in a slot of that bank, written by a verified program.
    pub(crate) fn from_slot(bank: Bank, bits: u64) -> Self {
        match bank {
            Bank::I64 => Self::I64(bits as i64),
            Bank::F64 => Self::F64(f64::from_bits(canonical(f64::from_bits(bits)))),
            Bank::Cell => Self::Cell(Cell::from_slot(bits)),
        }
    }

    /// The integer, if it is one.
    pub fn i64(self) -> Option<i64> {
        if let Self::I64(value) = self { Some(value) } else { None }
    }

    /// The float, if it is one.
    pub fn f64(self) -> Option<f64> {
        if let Self::F64(value) = self { Some(value) } else { None }
    }

    /// The cell, if it is one.
    pub fn cell(self) -> Option<Cell> {
        if let Self::Cell(value) = self { Some(value) } else { None }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<Cell> for Value {
    fn from(value: Cell) -> Self {
        Self::Cell(value)
    }
}

/// The bits of a float, with every NaN made the canonical one.
#[cfg_attr(not(small), inline(always))]
pub fn canonical(value: f64) -> u64 {
    if value.is_nan() { 0x7FF8_0000_0000_0000 } else { value.to_bits() }
}
