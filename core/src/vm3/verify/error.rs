//! Why a container is refused: what, where, and what would have been right.

use super::TypeId;
use super::message::name;
use crate::vm3::container::{Container, ContainerError, Section};
use crate::vm3::op::Bank;

/// Why a container is refused. It borrows the container, for the names in its message.
#[derive(Clone, Copy)]
pub struct VerifyError<'a> {
    pub(super) words: &'a [u64],
    pub(super) fault: Fault,
}

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The header, or padding.
    Container(ContainerError),
    /// The scratch memory is too short.
    Scratch {
        /// Words needed.
        needed: usize,
        /// Words given.
        given: usize,
    },
    /// The records of a section do not own another section to its end.
    Covered {
        /// The section that is owned.
        section: Section,
        /// The section whose records own it.
        owner: Section,
        /// The number of its records that are owned.
        used: u32,
        /// The number of its records.
        count: u32,
    },
    /// A record.
    Record {
        /// Its section.
        section: Section,
        /// Its index in the section.
        index: u32,
        /// What is wrong with it.
        reason: RecordReason,
    },
    /// An op.
    Op {
        /// The function.
        func: u32,
        /// The op's ordinal in the function; `args` words do not count.
        op: u32,
        /// The `code` byte of the op.
        code: u8,
        /// What is wrong with it.
        reason: OpReason,
    },
}

/// What a record has too many or too few of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Thing {
    Fields,
    Slots,
    Words,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordReason {
    /// A reserved part is not zero, or a flag neither 0 nor 1.
    Reserved,
    /// Its kind is unknown.
    Kind,
    /// What it owns does not start where the record before it ends.
    Start {
        /// The start.
        found: u32,
        /// The end of the record before.
        expected: u32,
    },
    /// What it owns ends beyond the greatest index.
    Overflow,
    /// What it owns ends behind its section.
    Range {
        /// The section.
        section: Section,
        /// The end.
        end: u32,
        /// The number of records of the section.
        count: u32,
    },
    /// It names a record that is not there.
    Index {
        /// The section.
        section: Section,
        /// The index.
        index: u32,
        /// The number of records of the section.
        count: u32,
    },
    /// A string that has the bytes of an earlier one.
    Equal,
    /// Its name is no identifier or is reserved.
    Name {
        /// The string.
        name: u32,
    },
    /// Its name is taken in its namespace.
    Duplicate {
        /// The string.
        name: u32,
    },
    /// It names a type that is unknown or not allowed here.
    Type {
        /// The type.
        ty: TypeId,
        /// The number of composite types that may be named.
        before: u32,
    },
    /// A closure type with too many parameters.
    ClosureParams {
        /// Their number.
        count: u16,
    },
    /// Closure types are nested too deep.
    Depth,
    /// It has too many or too few of something.
    Limit {
        /// Of what.
        thing: Thing,
        /// The number found.
        found: u32,
        /// The least number allowed.
        least: u32,
        /// The greatest number allowed.
        most: u32,
    },
    /// A slot has another type than the parameter that it holds.
    Param {
        /// The slot.
        slot: u32,
        /// Its type.
        found: TypeId,
        /// The parameter's type.
        expected: TypeId,
    },
    /// A local's bank comes before the bank of the local before it.
    Order {
        /// The slot.
        slot: u32,
        /// Its type.
        found: TypeId,
    },
    /// A global's initial value does not fit its type.
    Init {
        /// The type of the value.
        found: TypeId,
        /// The type of the global.
        expected: TypeId,
    },
    /// A global's initial value needs a heap.
    NoHeap,
}

/// A part of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// An operand, counted from 1 in the order of the op's fields.
    Operand(u8),
    /// An argument of a call, counted from 1.
    Argument(u16),
    /// The default target of a `switch`.
    Default,
    /// Another target of a `switch`, counted from 0 as the value that takes it.
    Target(u16),
}

/// What an operand, or the result of what it names, has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Of exactly this type.
    Exactly(TypeId),
    /// Of this type or `any`.
    OrAny(TypeId),
    /// Of a type that fits this one.
    Fits(TypeId),
    /// Of that bank.
    Bank(Bank),
    /// Of an object type.
    Object,
    /// Of a closure type.
    Closure,
    /// Of the closure type that remains of a function's signature.
    Rest {
        /// The function.
        func: u16,
    },
}

/// What is wrong with an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpReason {
    /// No op has this code.
    Unknown,
    /// The flags byte of the op or one of its `args` words is not zero.
    Flags {
        /// The byte.
        flags: u8,
    },
    /// The function starts with an `args` word.
    Stray,
    /// More `args` words follow than the op has operands for.
    Extra,
    /// An operand is missing because an `args` word is.
    Missing {
        /// The operand.
        spot: Spot,
    },
    /// A field behind the last operand is not zero.
    Unused {
        /// The value.
        value: u16,
    },
    /// A register is none of the function's slots.
    Slot {
        /// The operand.
        spot: Spot,
        /// The register.
        reg: u16,
        /// The number of slots.
        count: u32,
    },
    /// A register has the wrong type.
    Register {
        /// The operand.
        spot: Spot,
        /// The register.
        reg: u16,
        /// Its type.
        found: TypeId,
        /// What would have been right.
        expected: Expected,
    },
    /// What an operand names has the wrong type, or gives a result of the wrong type.
    Value {
        /// The operand.
        spot: Spot,
        /// The section of what it names; [`Section::Types`] stands for the closure in the register `index`.
        section: Section,
        /// Its index.
        index: u32,
        /// Its type, or that of its result.
        found: TypeId,
        /// What would have been right.
        expected: Expected,
    },
    /// An operand names a record that is not there.
    Index {
        /// The operand.
        spot: Spot,
        /// The section.
        section: Section,
        /// The index.
        index: u32,
        /// The number of records that can be named.
        count: u32,
    },
    /// A branch out of the function.
    Target {
        /// The operand.
        spot: Spot,
        /// The word.
        word: u16,
        /// The number of words.
        count: u32,
    },
    /// A branch into the operands of an op.
    TargetArgs {
        /// The operand.
        spot: Spot,
        /// The word.
        word: u16,
    },
    /// `ret` without a value in a function that has a result.
    Result {
        /// The type of the result.
        expected: TypeId,
    },
    /// The last op of the function goes on behind it.
    RunsOff,
    /// The op, or its constant, needs a heap.
    NoHeap,
}

impl<'a> VerifyError<'a> {
    #[cold]
    pub(super) fn new(words: &'a [u64], fault: Fault) -> Self {
        Self { words, fault }
    }

    /// What is wrong, and where.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The name of the function in which it is, if it is in one that has a name.
    pub fn func_name(&self) -> Option<&'a str> {
        let container = Container::read(self.words).ok()?;
        match self.fault {
            Fault::Op { func: index, .. } | Fault::Record { section: Section::Funcs, index, .. } => {
                name(&container, Section::Funcs, index)
            }
            _ => None,
        }
    }
}
