//! What the compiler's scans need to know of each op, worked out from the op table at build time: one small entry a code.

use crate::vm3::by_code::by_code;
use crate::vm3::op::{Access, Bank, CellClass, Flags, OPS, Op, Operand};

/// No field.
pub const NO_FIELD: u8 = 0xFF;

/// What an op asks of the scan beyond its first three fields. No op is of two kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// It may branch.
    Branch,
    /// It has registers beyond the first word, more than one written register, one that is read and written, arguments, or
    /// objects, writes a cell, or unsettles.
    Other,
}

/// An op as the scans see it. A mask has a bit for each 16-bit field, from `a` of the first word on.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Fields that are registers which are read and can be pinned (i64 and f64).
    pub reads: u8,
    /// Fields that are registers which are written and can be pinned.
    pub writes: u8,
    /// Fields that are cell registers which are written.
    pub cells: u8,
    /// Fields that are cell registers whose object the op works on, so that it gains from a pinned record.
    pub objects: u8,
    /// The field of a branch target, or [`NO_FIELD`].
    pub label: u8,
    /// The field at which an argument list starts, behind the callee's field, or [`NO_FIELD`].
    pub args: u8,
    /// The field of the number of targets of a `switch`, or [`NO_FIELD`].
    pub targets: u8,
    /// Ones in the fields of the first word that are such registers: read in `b` and `c`, read or written in `a`.
    pub registers: u64,
    /// Whether what is known of a payload's address and length must be found anew behind it ([`crate::masm::Object::View`]).
    pub unsettles: bool,
    /// How the scan has to look at it.
    pub kind: Kind,
    /// The op's flags.
    pub flags: Flags,
}

/// The first three fields of an op as the scan sees them.
#[derive(Clone, Copy)]
pub struct Fields {
    word: u64,
    registers: u64,
}

impl Fields {
    /// One of them.
    #[cfg_attr(not(small), inline(always))]
    pub fn number(self, field: usize) -> u16 {
        (self.word >> ((16 + 16 * field) & 63)) as u16
    }

    /// Whether it is a register.
    #[cfg_attr(not(small), inline(always))]
    pub fn is_register(self, field: usize) -> bool {
        self.registers >> ((16 + 16 * field) & 63) & 1 != 0
    }
}

const NOTHING: Shape = Shape {
    reads: 0,
    writes: 0,
    cells: 0,
    objects: 0,
    label: NO_FIELD,
    args: NO_FIELD,
    targets: NO_FIELD,
    registers: 0,
    unsettles: false,
    kind: Kind::Plain,
    flags: Flags::NONE,
};

impl Shape {
    /// The op's word. Of its fields, those that are no registers differ from one another in their lowest bytes, which are the
    /// greatest there are.
    #[cfg_attr(not(small), inline(always))]
    pub fn fields(&self, word: u64) -> Fields {
        const SPARE: u64 = 0xFFFD_FFFE_FFFF_0000;
        Fields { word: (word ^ SPARE) & self.registers ^ SPARE, registers: self.registers }
    }

    const fn mark(&self) -> u8 {
        let look = !matches!(self.kind, Kind::Plain) as u8 * mark::LOOK;
        let branches = self.flags.has(Flags::BRANCHES) as u8 * mark::BRANCHES;
        let calls = self.flags.has(Flags::CALLS) as u8 * mark::CALLS;
        look | branches | calls
    }

    /// Whether the register in the first field is written and not read.
    #[inline(always)]
    pub fn is_written_first(&self) -> bool {
        self.writes & !self.reads & 1 != 0
    }

    const fn same(&self, other: &Self) -> bool {
        self.reads == other.reads
            && self.writes == other.writes
            && self.cells == other.cells
            && self.objects == other.objects
            && self.label == other.label
            && self.args == other.args
            && self.targets == other.targets
            && self.registers == other.registers
            && self.unsettles == other.unsettles
            && self.kind as u8 == other.kind as u8
            && self.flags.has(other.flags)
            && other.flags.has(self.flags)
    }
}

by_code! {
    /// The shapes, by code.
    pub static SHAPES: [Shape; SHAPE_COUNT] = build();
}

/// What the first pass over the words asks of each code.
pub mod mark {
    /// The second pass has to look at the op by itself: it is not [`super::Kind::Plain`].
    pub const LOOK: u8 = 1;
    /// The op branches.
    pub const BRANCHES: u8 = 2;
    /// The op calls.
    pub const CALLS: u8 = 4;
}

/// A combination of [`mark`].
#[cfg_attr(not(small), inline(always))]
pub fn mark(code: u8) -> u8 {
    if cfg!(small) { SHAPES.get(code).mark() } else { MARKS[usize::from(code)] }
}

static MARKS: [u8; 256] = {
    let mut marks = [0; 256];
    let mut code = 0;
    while code < 256 && !cfg!(small) {
        marks[code] = SHAPES.get(code as u8).mark();
        code += 1;
    }
    marks
};

const fn build() -> [Shape; 256] {
    let mut shapes = [NOTHING; 256];
    let mut row = 0;
    while row < OPS.len() {
        let info = &OPS[row];
        let mut shape = NOTHING;
        shape.flags = info.flags;
        let mut field = 0;
        let mut index = 0;
        while index < info.operands.len() {
            match info.operands[index] {
                Operand::Reg(access, bank, class) => {
                    if matches!(bank, Bank::Cell) {
                        if !matches!(access, Access::Read) {
                            shape.cells |= 1 << field;
                        } else if has_record(class) && inline(info.op) || field == of_property(info.op) {
                            shape.objects |= 1 << field;
                        }
                    } else {
                        if !matches!(access, Access::Write) {
                            shape.reads |= 1 << field;
                        }
                        if !matches!(access, Access::Read) {
                            shape.writes |= 1 << field;
                        }
                    }
                    field += 1;
                }
                Operand::Label => {
                    shape.label = field;
                    field += 1;
                }
                Operand::Args => shape.args = field,
                Operand::Targets => {
                    shape.targets = field;
                    field += 2;
                }
                Operand::Imm32 | Operand::PoolI64 | Operand::PoolF64 | Operand::CellConst => field += 2,
                _ => field += 1,
            }
            index += 1;
        }
        shape.unsettles = unsettles(info.op, info.flags);
        if info.flags.has(Flags::BRANCHES) {
            shape.kind = Kind::Branch;
        } else if shape.args != NO_FIELD
            || shape.reads > 7
            || shape.writes > 1
            || shape.reads & shape.writes != 0
            || shape.cells | shape.objects != 0
            || shape.unsettles
        {
            shape.kind = Kind::Other;
        }
        let mut registers = shape.reads & 7 | shape.writes & 1;
        while registers != 0 {
            shape.registers |= 0xFFFF << (16 + 16 * registers.trailing_zeros());
            registers &= registers - 1;
        }
        shapes[info.op as usize] = shape;
        row += 1;
    }
    shapes
}

/// Whether a register of that class holds an object whose elements or fields an op reaches through its record.
const fn has_record(class: CellClass) -> bool {
    matches!(class, CellClass::ArrI64 | CellClass::ArrF64 | CellClass::ArrU8 | CellClass::List | CellClass::Obj)
}

/// Whether control may come out behind the op with a payload moved or a length changed: behind all that may allocate, grow
/// or run code of others.
const fn unsettles(op: Op, flags: Flags) -> bool {
    let settled = matches!(
        op,
        Op::ArrI64Len
            | Op::ArrI64Get
            | Op::ArrI64Set
            | Op::ArrF64Len
            | Op::ArrF64Get
            | Op::ArrF64Set
            | Op::ArrU8Len
            | Op::ArrU8Get
            | Op::ArrU8Set
            | Op::ListLen
            | Op::ListGet
            | Op::ListSet
            | Op::ObjGetI64
            | Op::ObjGetF64
            | Op::ObjGetCell
            | Op::ObjSetI64
            | Op::ObjSetF64
            | Op::ObjSetCell
    );
    // A long string is the service's matter.
    let serves = flags.has(Flags::HEAP) || flags.has(Flags::CALLS) || matches!(op, Op::CellConst);
    serves && !flags.has(Flags::ENDS) && !settled
}

/// Whether the op's template reaches the object by itself.
const fn inline(op: Op) -> bool {
    !matches!(op, Op::ArrI64Fill | Op::ArrF64Fill | Op::ArrU8Fill | Op::ListFill)
}

/// The field with the object of a property access.
const fn of_property(op: Op) -> u8 {
    match op {
        Op::PropGet => 1,
        Op::PropSet => 0,
        _ => NO_FIELD,
    }
}
