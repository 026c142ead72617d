//! Verbs of cells and of the objects behind them.
//!
//! A verb of this family does what is common inline: it finds the object, compares an index with its length, and reads or
//! writes the payload. Whatever else may be (null, an index that is out of bounds, an array that has to grow, an integer
//! that has to be boxed) is the rare half: it does the whole op anew through its service, and goes on behind the verb.
//! So a verb changes nothing before it is sure to finish, and no rule of the bytecode is written down twice.
//!
//! How an object is found is the heap's layout: the low half of a handle is the index of a record, which lies that many
//! records below [`Context::records`](crate::runtime::context::Context::records).
//! Null's low half is 0, and record 0 has length 0 and no payload: a comparison with the length finds null too.
//!
//! Records never move. So the address of the record that a cell register refers to can stay in a machine register for as
//! long as the cell register is not written, whatever is allocated, grown or collected meanwhile: [`Object::Record`]. What
//! a record of an array says, its payload's address and its length, stays the same as long as nothing is allocated, grown
//! or called: so long these two can stay in registers instead: [`Object::View`].

use super::{Any, Float, Int, IntReg};
use crate::runtime::cache::CacheSite;
use crate::runtime::frame::slot_offset;
use crate::runtime::trap::Site;

/// Where an object that an op works on is found. Its cell is always in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// By its cell, in the frame at this byte offset.
    Cell(u32),
    /// Its record's address is in this register; record 0's for null.
    Record(IntReg),
    /// It is an array, whose payload's address and length, with zeros above, are in these registers; null's length is 0.
    View {
        /// The address.
        payload: IntReg,
        /// The length.
        len: IntReg,
    },
}

/// How wide the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A byte, loaded with zeros above.
    Byte,
    /// 8 bytes: an integer, a float or a cell.
    Word,
}

/// Arithmetic on two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum DynOp {
    Add,
    Sub,
    Mul,
}

/// Comparisons of two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum DynCond {
    Eq,
    Lt,
    Le,
}

/// What a cast asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The kind of the handle.
    pub kind: u8,
    /// The length in the record, which is the shape of an object and the type of a closure.
    pub len: Option<u16>,
}

/// A pinned register that an op has among its operands.
#[derive(Clone, Copy, Debug)]
pub struct Spill {
    /// The register's slot in the frame.
    slot: u16,
    /// The machine register's number.
    number: u8,
    /// Whether it is a float register.
    float: bool,
    reads: bool,
    writes: bool,
}

impl Spill {
    /// Where it is pinned to.
    pub const fn place(self) -> Any {
        if self.float {
            Any::Float(Float::Reg(super::FloatReg(self.number as u32)))
        } else {
            Any::Int(Int::Reg(IntReg(self.number as u32)))
        }
    }

    /// The byte offset of its slot from the start of the frame.
    pub const fn offset(self) -> u32 {
        slot_offset(self.slot)
    }
}

/// The numbers of kinds of the cells that are no handles and no floats, 4 bits each, in the order of their tags from that
/// of strings on: string, int, bool, null.
pub(super) const KINDS_BY_TAG: u64 = 0x0124;

/// Handles of this kind and of those before it, integers and strings, are compared by what they refer to.
pub(super) const LAST_BY_VALUE: u64 = crate::runtime::heap::Kind::Str as u64;

/// The most pinned registers that one op has.
const SPILLS: usize = 4;

/// An op that a service does: where it is, and its pinned registers, which the service finds in the frame, and leaves
/// there.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// Where.
    pub site: Site,
    spills: [Option<Spill>; SPILLS],
}

impl Slow {
    /// An op all of whose registers are in the frame.
    pub const fn new(site: Site) -> Self {
        Self { site, spills: [None; SPILLS] }
    }

    /// Adds a register that the op reads, writes, or both; what is in the frame already needs nothing. False if there is
    /// no room.
    pub fn add(&mut self, place: Any, slot: u16, reads: bool, writes: bool) -> bool {
        let (number, float) = match place {
            Any::Int(Int::Reg(reg)) => (reg.0, false),
            Any::Float(Float::Reg(reg)) => (reg.0, true),
            Any::Int(Int::Slot(_)) | Any::Float(Float::Slot(_)) => return true,
        };
        let free = self.spills.iter_mut().find(|spill| spill.is_none());
        let room = free.is_some();
        if let Some(free) = free {
            *free = Some(Spill { slot, number: number as u8, float, reads, writes });
        }
        room
    }

    /// Those to store before the service is called.
    pub fn read(&self) -> impl Iterator<Item = Spill> {
        self.spills.into_iter().flatten().filter(|spill| spill.reads)
    }

    /// Those to load behind it.
    pub fn written(&self) -> impl Iterator<Item = Spill> {
        self.spills.into_iter().flatten().filter(|spill| spill.writes)
    }
}

/// Verbs of cells and objects. Cells are in the frame, named by their byte offset. A [`Slow`] is the op itself: what the
/// verb does not do inline its service does.
pub trait Objects {
    /// The whole op by its service.
    fn op(&mut self, slow: Slow);
    /// Finds the record of the object in a cell, for [`Object::Record`].
    fn record(&mut self, d: IntReg, cell: u32);
    /// Finds the record of the object in a cell of any kind, for [`Object::Record`]: that of null if it is no object of a
    /// shape.
    fn object_record(&mut self, d: IntReg, cell: u32);
    /// The record of null, for [`Object::Record`].
    fn null_record(&mut self, d: IntReg);
    /// Finds the payload and the length of the array in a cell, for [`Object::View`].
    fn view(&mut self, payload: IntReg, len: IntReg, cell: u32);
    /// The length of null, for [`Object::View`].
    fn null_view(&mut self, len: IntReg);

    /// Calls a closure whose frame is `frame` bytes from the start of this one: traps `null_reference`, then
    /// `stack_overflow`, at `site`; else lays out what the closure binds and behind it `args`. `cache` is of a call.
    fn call_closure(&mut self, closure: u32, args: impl Iterator<Item = Any>, frame: u32, cache: CacheSite, site: Site);

    /// The length of an array or list. This and the next two take objects found in any way, what follows no
    /// [`Object::View`].
    fn len(&mut self, d: Int, object: Object, slow: Slow);
    /// The element at an index; without `slow`, the index is in bounds. From the service of an access to an
    /// [`Object::View`] control does not come back if the index is out of bounds.
    fn get_element(&mut self, element: Element, d: Any, object: Object, x: Int, slow: Option<Slow>);
    /// Writes the element at an index; without `slow`, the index is in bounds.
    fn set_element(&mut self, element: Element, object: Object, x: Int, s: Any, slow: Option<Slow>);
    /// Adds an element at the end.
    fn push(&mut self, element: Element, object: Object, s: Any, slow: Slow);
    /// Takes the last element off.
    fn pop(&mut self, element: Element, d: Any, object: Object, slow: Slow);
    /// Field `index` of an object.
    fn get_field(&mut self, d: Any, object: Object, index: u16, slow: Slow);
    /// Writes field `index` of an object.
    fn set_field(&mut self, object: Object, index: u16, s: Any, slow: Slow);

    /// The field, as a cell, that an inline cache knows of the object in a cell of any kind, or whose record is
    /// [`Objects::object_record`]'s.
    fn get_property(&mut self, d: u32, object: Object, cache: CacheSite, slow: Slow);
    /// Writes the field that an inline cache knows.
    fn set_property(&mut self, object: Object, s: u32, cache: CacheSite, slow: Slow);

    /// The length of a string.
    fn str_len(&mut self, d: Int, cell: u32, slow: Slow);
    /// The byte at an index of a string.
    fn str_byte(&mut self, d: Int, cell: u32, x: Int, slow: Slow);

    /// The cell of an integer.
    fn box_int(&mut self, d: u32, x: Int, slow: Slow);
    /// The cell of a bool: whether `x` is not 0.
    fn box_bool(&mut self, d: u32, x: Int);
    /// The integer in a cell.
    fn unbox_int(&mut self, d: Int, cell: u32, slow: Slow);
    /// The float in a cell.
    fn unbox_float(&mut self, d: Float, cell: u32, slow: Slow);
    /// The bool in a cell, as 0 or 1.
    fn unbox_bool(&mut self, d: Int, cell: u32, slow: Slow);
    /// A cell that is a handle as `to` says.
    fn cast(&mut self, d: u32, cell: u32, to: Cast, slow: Slow);
    /// The number of a cell's kind.
    fn kind(&mut self, d: Int, cell: u32);
    /// Whether two cells hold the same.
    fn same(&mut self, d: Int, x: u32, y: u32, slow: Slow);
    /// Arithmetic on two cells.
    fn dynamic(&mut self, op: DynOp, d: u32, x: u32, y: u32, slow: Slow);
    /// A comparison of two cells.
    fn dynamic_compare(&mut self, cond: DynCond, d: Int, x: u32, y: u32, slow: Slow);
}
