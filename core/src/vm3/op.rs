//! The op table: the single source for the assembler, the disassembler, the verifier, the interpreter and the compiler.
//!
//! A row is an op's name in Rust, its mnemonic in the text form, its operands in the order of the text, its flags and the
//! traps that the op itself can give. Ops that share a mnemonic differ in their operands (a register or a literal in the
//! last place, a result or none, the bank): the assembler takes the row that the operands fit.
//!
//! An op is one 64-bit word, little-endian: `code: u8, flags: u8 = 0, a: u16, b: u16, c: u16`. Operands take the 16-bit
//! fields `a`, `b`, `c` in order, then three fields of each following [`Op::Args`] word, which holds operands only. A
//! register operand is the index of its slot in the frame, so that no engine translates it; which bank a slot belongs to
//! is the slot's declared type.

pub use crate::runtime::trap::TrapKind;
use Bank::{Cell, F64, I64};
use CellClass::{Any, ArrF64, ArrI64, ArrU8, AsDeclared, IMap, List, Map, Obj, Str};
use Operand::{
    Args, CellConst, Closure, Field, Func, Global, Imm16, Imm32, Import, Label, Name, PoolF64, PoolI64, Table, Targets,
    U16,
};

/// The three register banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bank {
    /// 64-bit integers.
    I64,
    /// IEEE 754 binary64.
    F64,
    /// Tagged cells.
    Cell,
}

/// What an op demands of the declared type of a cell register, beyond its bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellClass {
    /// Read: any cell type. Written: exactly `any`, because only `any` holds every cell.
    Any,
    /// Any cell type; the op's own rule in the verifier relates it to the other operands.
    AsDeclared,
    /// `str`. Written: `str` or `any`; the same holds for the classes below.
    Str,
    /// `arr.i64`.
    ArrI64,
    /// `arr.f64`.
    ArrF64,
    /// `arr.u8`.
    ArrU8,
    /// `list`.
    List,
    /// `imap`.
    IMap,
    /// `map`.
    Map,
    /// `obj NAME`, of the shape that the op's other operands imply.
    Obj,
}

/// How an op touches a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    Read,
    /// Only written, after all reads of the op.
    Write,
    /// Read, then written.
    ReadWrite,
}

/// One operand of an op, in the order of the text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register: one field, the slot index.
    Reg(Access, Bank, CellClass),
    /// A literal in the range of i16: one field.
    Imm16,
    /// A literal in the range of i32: two fields, the low half first.
    Imm32,
    /// An i64 in the constant pool: two fields, the low half of the index first.
    PoolI64,
    /// The bits of an f64 in the constant pool: two fields.
    PoolF64,
    /// An entry of the cell constants: two fields.
    CellConst,
    /// A literal in the range of u16: one field.
    U16,
    /// A branch target: one field, the index of a word in the function.
    Label,
    /// A function: one field. Its argument list follows as [`Operand::Args`].
    Func,
    /// An imported host function: one field. Its argument list follows.
    Import,
    /// A read register that holds a closure: one field. Its argument list follows.
    Closure,
    /// The registers that a callee's signature asks for: one field each, in its order.
    Args,
    /// A table: one field.
    Table,
    /// A global of that bank: one field.
    Global(Bank),
    /// A field of the object's shape, of that bank: one field.
    Field(Bank),
    /// A string constant that names a field: one field, an index of the string section below 65,536.
    Name,
    /// The targets of a `switch`: one field for their number, one for the default, then one for each. In the text the
    /// list stands before the default.
    Targets,
}

impl Operand {
    /// A number for each operand that differs.
    const fn code(self) -> u32 {
        let (kind, bank) = match self {
            Self::Reg(access, bank, class) => (17 + (access as u32 * 16 + class as u32), bank as u32),
            Self::Imm16 => (0, 0),
            Self::Imm32 => (1, 0),
            Self::PoolI64 => (2, 0),
            Self::PoolF64 => (3, 0),
            Self::CellConst => (4, 0),
            Self::U16 => (5, 0),
            Self::Label => (6, 0),
            Self::Func => (7, 0),
            Self::Import => (8, 0),
            Self::Closure => (9, 0),
            Self::Args => (10, 0),
            Self::Table => (11, 0),
            Self::Global(bank) => (12, bank as u32),
            Self::Field(bank) => (13, bank as u32),
            Self::Name => (14, 0),
            Self::Targets => (15, 0),
        };
        kind << 2 | bank
    }
}

const fn d(bank: Bank) -> Operand {
    Operand::Reg(Access::Write, bank, AsDeclared)
}
const fn r(bank: Bank) -> Operand {
    Operand::Reg(Access::Read, bank, AsDeclared)
}
const fn rw(bank: Bank) -> Operand {
    Operand::Reg(Access::ReadWrite, bank, AsDeclared)
}
/// A cell register that is written.
const fn cd(class: CellClass) -> Operand {
    Operand::Reg(Access::Write, Cell, class)
}
/// A cell register that is read.
const fn cr(class: CellClass) -> Operand {
    Operand::Reg(Access::Read, Cell, class)
}

/// Properties of an op, as a bit set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// Control never goes on to the next op.
    pub const ENDS: Self = Self(1);
    /// May continue at a label.
    pub const BRANCHES: Self = Self(2);
    /// Runs other code of the guest or the host, which may clobber every register that is not saved.
    pub const CALLS: Self = Self(4);
    /// Needs a heap.
    pub const HEAP: Self = Self(8);

    /// Both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

const NONE: Flags = Flags::NONE;
const ENDS: Flags = Flags::ENDS;
const BRANCHES: Flags = Flags::BRANCHES;
const JUMPS: Flags = Flags::ENDS.and(Flags::BRANCHES);
const CALLS: Flags = Flags::CALLS;
const TAIL: Flags = Flags::CALLS.and(Flags::ENDS);
const HEAP: Flags = Flags::HEAP;
const HEAPCALL: Flags = Flags::HEAP.and(Flags::CALLS);

/// A row of the op table.
#[derive(Debug)]
pub struct OpInfo {
    /// The op.
    pub op: Op,
    /// Its name in the text form.
    pub mnemonic: &'static str,
    /// Its operands in the order of the text, which is the order of the fields but for [`Operand::Targets`].
    pub operands: &'static [Operand],
    /// Its properties.
    pub flags: Flags,
}

impl OpInfo {
    /// The traps that it can give by itself (not those of code that it calls, nor `interrupted` and `out_of_fuel`).
    pub fn traps(&self) -> &'static [TrapKind] {
        let index = usize::from((self.op as u8).wrapping_sub(FIRST));
        TRAPS.get(index).copied().unwrap_or(&[])
    }
}

macro_rules! ops {
    ($($name:ident $mnemonic:literal [$($operand:expr),*] $flags:ident [$($trap:ident),*];)*) => {
        /// An op of vm3. The number is the `code` byte of its word; 0 is no op.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Op {
            /// Not an op: a word of operands that belongs to the op before it.
            Args = 1,
            $(#[doc = concat!("`", $mnemonic, "`")] $name,)*
        }

        /// All ops, in the order of their codes.
        pub static OPS: &[OpInfo] = &[$(OpInfo {
            op: Op::$name,
            mnemonic: $mnemonic,
            operands: &[$($operand),*],
            flags: $flags,
        }),*];

        /// All mnemonics, one behind the other.
        static MNEMONICS: &str = concat!($($mnemonic),*);

        /// The traps of each row, apart from it because no engine asks for them.
        static TRAPS: &[&[TrapKind]] = &[$(&[$(TrapKind::$trap),*]),*];
    };
}

ops! {
    Nop "nop" [] NONE [];
    I64Mov "i64.mov" [d(I64), r(I64)] NONE [];
    F64Mov "f64.mov" [d(F64), r(F64)] NONE [];
    CellMov "cell.mov" [cd(AsDeclared), cr(AsDeclared)] NONE [];
    I64Const "i64.const" [d(I64), Imm32] NONE [];
    I64ConstPool "i64.const" [d(I64), PoolI64] NONE [];
    F64Const "f64.const" [d(F64), PoolF64] NONE [];
    CellNull "cell.null" [cd(AsDeclared)] NONE [];
    CellConst "cell.const" [cd(AsDeclared), CellConst] NONE [];

    I64Add "i64.add" [d(I64), r(I64), r(I64)] NONE [];
    I64Sub "i64.sub" [d(I64), r(I64), r(I64)] NONE [];
    I64Mul "i64.mul" [d(I64), r(I64), r(I64)] NONE [];
    I64Div "i64.div" [d(I64), r(I64), r(I64)] NONE [DivisionByZero];
    I64Rem "i64.rem" [d(I64), r(I64), r(I64)] NONE [DivisionByZero];
    I64Udiv "i64.udiv" [d(I64), r(I64), r(I64)] NONE [DivisionByZero];
    I64Urem "i64.urem" [d(I64), r(I64), r(I64)] NONE [DivisionByZero];
    I64And "i64.and" [d(I64), r(I64), r(I64)] NONE [];
    I64Or "i64.or" [d(I64), r(I64), r(I64)] NONE [];
    I64Xor "i64.xor" [d(I64), r(I64), r(I64)] NONE [];
    I64Shl "i64.shl" [d(I64), r(I64), r(I64)] NONE [];
    I64Shr "i64.shr" [d(I64), r(I64), r(I64)] NONE [];
    I64Ushr "i64.ushr" [d(I64), r(I64), r(I64)] NONE [];
    I64Rotl "i64.rotl" [d(I64), r(I64), r(I64)] NONE [];
    I64Min "i64.min" [d(I64), r(I64), r(I64)] NONE [];
    I64Max "i64.max" [d(I64), r(I64), r(I64)] NONE [];

    I64AddK "i64.add" [d(I64), r(I64), Imm16] NONE [];
    I64SubK "i64.sub" [d(I64), r(I64), Imm16] NONE [];
    I64MulK "i64.mul" [d(I64), r(I64), Imm16] NONE [];
    I64DivK "i64.div" [d(I64), r(I64), Imm16] NONE [DivisionByZero];
    I64RemK "i64.rem" [d(I64), r(I64), Imm16] NONE [DivisionByZero];
    I64UdivK "i64.udiv" [d(I64), r(I64), Imm16] NONE [DivisionByZero];
    I64UremK "i64.urem" [d(I64), r(I64), Imm16] NONE [DivisionByZero];
    I64AndK "i64.and" [d(I64), r(I64), Imm16] NONE [];
    I64OrK "i64.or" [d(I64), r(I64), Imm16] NONE [];
    I64XorK "i64.xor" [d(I64), r(I64), Imm16] NONE [];
    I64ShlK "i64.shl" [d(I64), r(I64), Imm16] NONE [];
    I64ShrK "i64.shr" [d(I64), r(I64), Imm16] NONE [];
    I64UshrK "i64.ushr" [d(I64), r(I64), Imm16] NONE [];
    I64RotlK "i64.rotl" [d(I64), r(I64), Imm16] NONE [];

    I64Neg "i64.neg" [d(I64), r(I64)] NONE [];
    I64Not "i64.not" [d(I64), r(I64)] NONE [];
    I64Clz "i64.clz" [d(I64), r(I64)] NONE [];
    I64Ctz "i64.ctz" [d(I64), r(I64)] NONE [];
    I64Popcnt "i64.popcnt" [d(I64), r(I64)] NONE [];

    I64Eq "i64.eq" [d(I64), r(I64), r(I64)] NONE [];
    I64Ne "i64.ne" [d(I64), r(I64), r(I64)] NONE [];
    I64Lt "i64.lt" [d(I64), r(I64), r(I64)] NONE [];
    I64Le "i64.le" [d(I64), r(I64), r(I64)] NONE [];
    I64Gt "i64.gt" [d(I64), r(I64), r(I64)] NONE [];
    I64Ge "i64.ge" [d(I64), r(I64), r(I64)] NONE [];
    I64Ult "i64.ult" [d(I64), r(I64), r(I64)] NONE [];
    I64Ule "i64.ule" [d(I64), r(I64), r(I64)] NONE [];
    I64Ugt "i64.ugt" [d(I64), r(I64), r(I64)] NONE [];
    I64Uge "i64.uge" [d(I64), r(I64), r(I64)] NONE [];
    I64EqK "i64.eq" [d(I64), r(I64), Imm16] NONE [];
    I64NeK "i64.ne" [d(I64), r(I64), Imm16] NONE [];
    I64LtK "i64.lt" [d(I64), r(I64), Imm16] NONE [];
    I64LeK "i64.le" [d(I64), r(I64), Imm16] NONE [];
    I64GtK "i64.gt" [d(I64), r(I64), Imm16] NONE [];
    I64GeK "i64.ge" [d(I64), r(I64), Imm16] NONE [];
    I64UltK "i64.ult" [d(I64), r(I64), Imm16] NONE [];
    I64UleK "i64.ule" [d(I64), r(I64), Imm16] NONE [];
    I64UgtK "i64.ugt" [d(I64), r(I64), Imm16] NONE [];
    I64UgeK "i64.uge" [d(I64), r(I64), Imm16] NONE [];
    I64Select "i64.select" [d(I64), r(I64), r(I64), r(I64)] NONE [];

    F64Add "f64.add" [d(F64), r(F64), r(F64)] NONE [];
    F64Sub "f64.sub" [d(F64), r(F64), r(F64)] NONE [];
    F64Mul "f64.mul" [d(F64), r(F64), r(F64)] NONE [];
    F64Div "f64.div" [d(F64), r(F64), r(F64)] NONE [];
    F64Min "f64.min" [d(F64), r(F64), r(F64)] NONE [];
    F64Max "f64.max" [d(F64), r(F64), r(F64)] NONE [];
    F64Copysign "f64.copysign" [d(F64), r(F64), r(F64)] NONE [];
    F64Neg "f64.neg" [d(F64), r(F64)] NONE [];
    F64Abs "f64.abs" [d(F64), r(F64)] NONE [];
    F64Sqrt "f64.sqrt" [d(F64), r(F64)] NONE [];
    F64Floor "f64.floor" [d(F64), r(F64)] NONE [];
    F64Ceil "f64.ceil" [d(F64), r(F64)] NONE [];
    F64Trunc "f64.trunc" [d(F64), r(F64)] NONE [];
    F64Nearest "f64.nearest" [d(F64), r(F64)] NONE [];
    F64Fma "f64.fma" [d(F64), r(F64), r(F64), r(F64)] NONE [];
    F64Eq "f64.eq" [d(I64), r(F64), r(F64)] NONE [];
    F64Ne "f64.ne" [d(I64), r(F64), r(F64)] NONE [];
    F64Lt "f64.lt" [d(I64), r(F64), r(F64)] NONE [];
    F64Le "f64.le" [d(I64), r(F64), r(F64)] NONE [];
    F64Gt "f64.gt" [d(I64), r(F64), r(F64)] NONE [];
    F64Ge "f64.ge" [d(I64), r(F64), r(F64)] NONE [];
    F64Select "f64.select" [d(F64), r(I64), r(F64), r(F64)] NONE [];

    I64ToF64 "i64.to_f64" [d(F64), r(I64)] NONE [];
    F64ToI64 "f64.to_i64" [d(I64), r(F64)] NONE [];
    F64Bits "f64.bits" [d(I64), r(F64)] NONE [];
    F64FromBits "f64.from_bits" [d(F64), r(I64)] NONE [];

    Jump "jump" [Label] JUMPS [];
    BrI64Eq "br.i64.eq" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Ne "br.i64.ne" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Lt "br.i64.lt" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Le "br.i64.le" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Gt "br.i64.gt" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Ge "br.i64.ge" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Ult "br.i64.ult" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Ule "br.i64.ule" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Ugt "br.i64.ugt" [r(I64), r(I64), Label] BRANCHES [];
    BrI64Uge "br.i64.uge" [r(I64), r(I64), Label] BRANCHES [];
    BrI64EqK "br.i64.eq" [r(I64), Imm16, Label] BRANCHES [];
    BrI64NeK "br.i64.ne" [r(I64), Imm16, Label] BRANCHES [];
    BrI64LtK "br.i64.lt" [r(I64), Imm16, Label] BRANCHES [];
    BrI64LeK "br.i64.le" [r(I64), Imm16, Label] BRANCHES [];
    BrI64GtK "br.i64.gt" [r(I64), Imm16, Label] BRANCHES [];
    BrI64GeK "br.i64.ge" [r(I64), Imm16, Label] BRANCHES [];
    BrI64UltK "br.i64.ult" [r(I64), Imm16, Label] BRANCHES [];
    BrI64UleK "br.i64.ule" [r(I64), Imm16, Label] BRANCHES [];
    BrI64UgtK "br.i64.ugt" [r(I64), Imm16, Label] BRANCHES [];
    BrI64UgeK "br.i64.uge" [r(I64), Imm16, Label] BRANCHES [];
    BrF64Eq "br.f64.eq" [r(F64), r(F64), Label] BRANCHES [];
    BrF64Ne "br.f64.ne" [r(F64), r(F64), Label] BRANCHES [];
    BrF64Lt "br.f64.lt" [r(F64), r(F64), Label] BRANCHES [];
    BrF64Le "br.f64.le" [r(F64), r(F64), Label] BRANCHES [];
    BrF64Gt "br.f64.gt" [r(F64), r(F64), Label] BRANCHES [];
    BrF64Ge "br.f64.ge" [r(F64), r(F64), Label] BRANCHES [];
    BrNull "br.null" [cr(AsDeclared), Label] BRANCHES [];
    BrNonnull "br.nonnull" [cr(AsDeclared), Label] BRANCHES [];
    Switch "switch" [r(I64), Targets] JUMPS [];
    Ret "ret" [] ENDS [];
    RetI64 "ret" [r(I64)] ENDS [];
    RetF64 "ret" [r(F64)] ENDS [];
    RetCell "ret" [cr(AsDeclared)] ENDS [];
    TrapUnreachable "trap unreachable" [] ENDS [Unreachable];
    TrapUser "trap user" [U16] ENDS [User];
    Deopt "deopt" [] NONE [];

    Call "call" [Func, Args] CALLS [StackOverflow];
    CallI64 "call" [d(I64), Func, Args] CALLS [StackOverflow];
    CallF64 "call" [d(F64), Func, Args] CALLS [StackOverflow];
    CallCell "call" [cd(AsDeclared), Func, Args] CALLS [StackOverflow];
    Tail "tail" [Func, Args] TAIL [StackOverflow];
    Host "host" [Import, Args] CALLS [StackOverflow, Host];
    HostI64 "host" [d(I64), Import, Args] CALLS [StackOverflow, Host];
    HostF64 "host" [d(F64), Import, Args] CALLS [StackOverflow, Host];
    HostCell "host" [cd(AsDeclared), Import, Args] CALLS [StackOverflow, Host];
    FnNew "fn.new" [cd(AsDeclared), Func, Args] HEAP [OutOfMemory];
    FnCall "fn.call" [Closure, Args] HEAPCALL [NullReference, StackOverflow];
    FnCallI64 "fn.call" [d(I64), Closure, Args] HEAPCALL [NullReference, StackOverflow];
    FnCallF64 "fn.call" [d(F64), Closure, Args] HEAPCALL [NullReference, StackOverflow];
    FnCallCell "fn.call" [cd(AsDeclared), Closure, Args] HEAPCALL [NullReference, StackOverflow];

    TableGet "table.get" [d(I64), Table, r(I64)] NONE [OutOfBounds];
    GlobalGetI64 "global.get" [d(I64), Global(I64)] NONE [];
    GlobalGetF64 "global.get" [d(F64), Global(F64)] NONE [];
    GlobalGetCell "global.get" [cd(AsDeclared), Global(Cell)] NONE [];
    GlobalSetI64 "global.set" [Global(I64), r(I64)] NONE [];
    GlobalSetF64 "global.set" [Global(F64), r(F64)] NONE [];
    GlobalSetCell "global.set" [Global(Cell), cr(AsDeclared)] NONE [];

    ArrI64New "arr.i64.new" [cd(ArrI64), r(I64)] HEAP [OutOfMemory];
    ArrI64NewK "arr.i64.new" [cd(ArrI64), Imm16] HEAP [OutOfMemory];
    ArrI64NewLen "arr.i64.new_len" [cd(ArrI64), r(I64)] HEAP [OutOfBounds, OutOfMemory];
    ArrI64NewLenK "arr.i64.new_len" [cd(ArrI64), Imm16] HEAP [OutOfBounds, OutOfMemory];
    ArrI64Len "arr.i64.len" [d(I64), cr(ArrI64)] HEAP [NullReference];
    ArrI64Push "arr.i64.push" [cr(ArrI64), r(I64)] HEAP [NullReference, OutOfMemory];
    ArrI64Pop "arr.i64.pop" [d(I64), cr(ArrI64)] HEAP [NullReference, OutOfBounds];
    ArrI64Get "arr.i64.get" [d(I64), cr(ArrI64), r(I64)] HEAP [NullReference, OutOfBounds];
    ArrI64Set "arr.i64.set" [cr(ArrI64), r(I64), r(I64)] HEAP [NullReference, OutOfBounds];
    ArrI64Fill "arr.i64.fill" [cr(ArrI64), r(I64)] HEAP [NullReference];
    ArrF64New "arr.f64.new" [cd(ArrF64), r(I64)] HEAP [OutOfMemory];
    ArrF64NewK "arr.f64.new" [cd(ArrF64), Imm16] HEAP [OutOfMemory];
    ArrF64NewLen "arr.f64.new_len" [cd(ArrF64), r(I64)] HEAP [OutOfBounds, OutOfMemory];
    ArrF64NewLenK "arr.f64.new_len" [cd(ArrF64), Imm16] HEAP [OutOfBounds, OutOfMemory];
    ArrF64Len "arr.f64.len" [d(I64), cr(ArrF64)] HEAP [NullReference];
    ArrF64Push "arr.f64.push" [cr(ArrF64), r(F64)] HEAP [NullReference, OutOfMemory];
    ArrF64Pop "arr.f64.pop" [d(F64), cr(ArrF64)] HEAP [NullReference, OutOfBounds];
    ArrF64Get "arr.f64.get" [d(F64), cr(ArrF64), r(I64)] HEAP [NullReference, OutOfBounds];
    ArrF64Set "arr.f64.set" [cr(ArrF64), r(I64), r(F64)] HEAP [NullReference, OutOfBounds];
    ArrF64Fill "arr.f64.fill" [cr(ArrF64), r(F64)] HEAP [NullReference];
    ArrU8New "arr.u8.new" [cd(ArrU8), r(I64)] HEAP [OutOfMemory];
    ArrU8NewK "arr.u8.new" [cd(ArrU8), Imm16] HEAP [OutOfMemory];
    ArrU8NewLen "arr.u8.new_len" [cd(ArrU8), r(I64)] HEAP [OutOfBounds, OutOfMemory];
    ArrU8NewLenK "arr.u8.new_len" [cd(ArrU8), Imm16] HEAP [OutOfBounds, OutOfMemory];
    ArrU8Len "arr.u8.len" [d(I64), cr(ArrU8)] HEAP [NullReference];
    ArrU8Push "arr.u8.push" [cr(ArrU8), r(I64)] HEAP [NullReference, OutOfMemory];
    ArrU8Pop "arr.u8.pop" [d(I64), cr(ArrU8)] HEAP [NullReference, OutOfBounds];
    ArrU8Get "arr.u8.get" [d(I64), cr(ArrU8), r(I64)] HEAP [NullReference, OutOfBounds];
    ArrU8Set "arr.u8.set" [cr(ArrU8), r(I64), r(I64)] HEAP [NullReference, OutOfBounds];
    ArrU8Fill "arr.u8.fill" [cr(ArrU8), r(I64)] HEAP [NullReference];
    ListNew "list.new" [cd(List), r(I64)] HEAP [OutOfMemory];
    ListNewK "list.new" [cd(List), Imm16] HEAP [OutOfMemory];
    ListNewLen "list.new_len" [cd(List), r(I64)] HEAP [OutOfBounds, OutOfMemory];
    ListNewLenK "list.new_len" [cd(List), Imm16] HEAP [OutOfBounds, OutOfMemory];
    ListLen "list.len" [d(I64), cr(List)] HEAP [NullReference];
    ListPush "list.push" [cr(List), cr(Any)] HEAP [NullReference, OutOfMemory];
    ListPop "list.pop" [cd(Any), cr(List)] HEAP [NullReference, OutOfBounds];
    ListGet "list.get" [cd(Any), cr(List), r(I64)] HEAP [NullReference, OutOfBounds];
    ListSet "list.set" [cr(List), r(I64), cr(Any)] HEAP [NullReference, OutOfBounds];
    ListFill "list.fill" [cr(List), cr(Any)] HEAP [NullReference];

    IMapNew "imap.new" [cd(IMap), r(I64)] HEAP [OutOfMemory];
    IMapNewK "imap.new" [cd(IMap), Imm16] HEAP [OutOfMemory];
    IMapLen "imap.len" [d(I64), cr(IMap)] HEAP [NullReference];
    IMapGet "imap.get" [d(I64), cr(IMap), r(I64)] HEAP [NullReference];
    IMapHas "imap.has" [d(I64), cr(IMap), r(I64)] HEAP [NullReference];
    IMapSet "imap.set" [cr(IMap), r(I64), r(I64)] HEAP [NullReference, OutOfMemory];
    IMapDel "imap.del" [d(I64), cr(IMap), r(I64)] HEAP [NullReference];
    IMapNext "imap.next" [rw(I64), rw(I64), cr(IMap), rw(I64)] HEAP [NullReference];
    MapNew "map.new" [cd(Map), r(I64)] HEAP [OutOfMemory];
    MapNewK "map.new" [cd(Map), Imm16] HEAP [OutOfMemory];
    MapLen "map.len" [d(I64), cr(Map)] HEAP [NullReference];
    MapGet "map.get" [cd(Any), cr(Map), cr(Any)] HEAP [NullReference, TypeMismatch];
    MapHas "map.has" [d(I64), cr(Map), cr(Any)] HEAP [NullReference, TypeMismatch];
    MapSet "map.set" [cr(Map), cr(Any), cr(Any)] HEAP [NullReference, TypeMismatch, OutOfMemory];
    MapDel "map.del" [d(I64), cr(Map), cr(Any)] HEAP [NullReference, TypeMismatch];
    MapNext "map.next" [cd(Any), cd(Any), cr(Map), rw(I64)] HEAP [NullReference];

    StrLen "str.len" [d(I64), cr(Str)] HEAP [NullReference];
    StrByte "str.byte" [d(I64), cr(Str), r(I64)] HEAP [NullReference, OutOfBounds];
    StrConcat "str.concat" [cd(Str), cr(Str), cr(Str)] HEAP [NullReference, OutOfMemory];
    StrEq "str.eq" [d(I64), cr(Str), cr(Str)] HEAP [NullReference];
    StrCmp "str.cmp" [d(I64), cr(Str), cr(Str)] HEAP [NullReference];
    StrSlice "str.slice" [cd(Str), cr(Str), r(I64), r(I64)] HEAP [NullReference, OutOfBounds, OutOfMemory];
    StrFromI64 "str.from_i64" [cd(Str), r(I64)] HEAP [OutOfMemory];
    StrFromF64 "str.from_f64" [cd(Str), r(F64)] HEAP [OutOfMemory];
    StrToI64 "str.to_i64" [d(I64), cr(Str)] HEAP [NullReference, TypeMismatch];
    StrToF64 "str.to_f64" [d(F64), cr(Str)] HEAP [NullReference, TypeMismatch];

    ObjNew "obj.new" [cd(AsDeclared)] HEAP [OutOfMemory];
    ObjGetI64 "obj.get" [d(I64), cr(Obj), Field(I64)] HEAP [NullReference];
    ObjGetF64 "obj.get" [d(F64), cr(Obj), Field(F64)] HEAP [NullReference];
    ObjGetCell "obj.get" [cd(AsDeclared), cr(Obj), Field(Cell)] HEAP [NullReference];
    ObjSetI64 "obj.set" [cr(Obj), Field(I64), r(I64)] HEAP [NullReference];
    ObjSetF64 "obj.set" [cr(Obj), Field(F64), r(F64)] HEAP [NullReference];
    ObjSetCell "obj.set" [cr(Obj), Field(Cell), cr(AsDeclared)] HEAP [NullReference];
    PropGet "prop.get" [cd(Any), cr(Any), Name] HEAP [NullReference, TypeMismatch, OutOfMemory];
    PropSet "prop.set" [cr(Any), Name, cr(Any)] HEAP [NullReference, TypeMismatch];

    BoxI64 "box.i64" [cd(Any), r(I64)] HEAP [OutOfMemory];
    BoxF64 "box.f64" [cd(Any), r(F64)] HEAP [];
    BoxBool "box.bool" [cd(Any), r(I64)] HEAP [];
    UnboxI64 "unbox.i64" [d(I64), cr(Any)] HEAP [TypeMismatch];
    UnboxF64 "unbox.f64" [d(F64), cr(Any)] HEAP [TypeMismatch];
    UnboxBool "unbox.bool" [d(I64), cr(Any)] HEAP [TypeMismatch];
    CellKind "cell.kind" [d(I64), cr(Any)] HEAP [];
    CellCast "cell.cast" [cd(AsDeclared), cr(Any)] HEAP [TypeMismatch];
    CellSame "cell.same" [d(I64), cr(Any), cr(Any)] HEAP [];

    DynAdd "dyn.add" [cd(Any), cr(Any), cr(Any)] HEAP [TypeMismatch, OutOfMemory];
    DynSub "dyn.sub" [cd(Any), cr(Any), cr(Any)] HEAP [TypeMismatch, OutOfMemory];
    DynMul "dyn.mul" [cd(Any), cr(Any), cr(Any)] HEAP [TypeMismatch, OutOfMemory];
    DynDiv "dyn.div" [cd(Any), cr(Any), cr(Any)] HEAP [TypeMismatch, OutOfMemory, DivisionByZero];
    DynRem "dyn.rem" [cd(Any), cr(Any), cr(Any)] HEAP [TypeMismatch, OutOfMemory, DivisionByZero];
    DynNeg "dyn.neg" [cd(Any), cr(Any)] HEAP [TypeMismatch, OutOfMemory];
    DynEq "dyn.eq" [d(I64), cr(Any), cr(Any)] HEAP [];
    DynLt "dyn.lt" [d(I64), cr(Any), cr(Any)] HEAP [TypeMismatch];
    DynLe "dyn.le" [d(I64), cr(Any), cr(Any)] HEAP [TypeMismatch];
}

/// The code of the first row: the rows' codes follow it without a gap.
const FIRST: u8 = Op::Nop as u8;

/// Where each row's mnemonic starts in [`MNEMONICS`], and the end of the last one.
static MNEMONIC_STARTS: [u16; OPS.len() + 1] = {
    let mut starts = [0; OPS.len() + 1];
    let mut row = 0;
    while row < OPS.len() {
        starts[row + 1] = starts[row] + OPS[row].mnemonic.len() as u16;
        row += 1;
    }
    starts
};

/// The operands of all rows, with lists that are equal, or part of one another, only once.
struct Operands<const N: usize> {
    lists: [Operand; N],
    /// By row where its list starts, times 8, and how long it is.
    places: [u16; OPS.len()],
}

impl<const N: usize> Operands<N> {
    /// Also gives the number of operands in the lists.
    const fn new() -> (Self, usize) {
        let mut all = Self { lists: [Operand::Imm16; N], places: [0; OPS.len()] };
        let (mut count, mut row) = (0, 0);
        while row < OPS.len() {
            let list = OPS[row].operands;
            assert!(list.len() < 8);
            let mut start = 0;
            while start < count && !all.holds(list, start, count) {
                start += 1;
            }
            let mut index = 0;
            while index < list.len() {
                all.lists[start + index] = list[index];
                index += 1;
            }
            if start + list.len() > count {
                count = start + list.len();
            }
            all.places[row] = (start << 3 | list.len()) as u16;
            row += 1;
        }
        (all, count)
    }

    /// Whether the list is that at `start`, or may become it.
    const fn holds(&self, list: &[Operand], start: usize, count: usize) -> bool {
        let mut index = 0;
        while index < list.len() && start + index < count {
            if self.lists[start + index].code() != list[index].code() {
                return false;
            }
            index += 1;
        }
        true
    }
}

static OPERANDS: Operands<{ Operands::<2048>::new().1 }> = Operands::new().0;

/// The ops by code. What is no op passes for operands.
static BY_CODE: [Op; 256] = {
    let mut ops = [Op::Args; 256];
    let mut row = 0;
    while row < OPS.len() {
        ops[OPS[row].op as usize] = OPS[row].op;
        row += 1;
    }
    ops
};

impl Op {
    /// The op of a `code` byte. `None` for 0 and for codes beyond the table.
    #[inline]
    pub fn from_code(code: u8) -> Option<Op> {
        let op = Self::of_verified(code);
        if op as u8 == code { Some(op) } else { None }
    }

    /// The op of the `code` byte of a verified word; [`Op::Args`] for codes that no verified word has.
    #[inline(always)]
    pub fn of_verified(code: u8) -> Op {
        BY_CODE[usize::from(code)]
    }

    /// The operands in its row. Engines ask for these here, because the rows as a whole take much more room.
    pub fn operands(self) -> &'static [Operand] {
        let place = OPERANDS.places.get(usize::from((self as u8).wrapping_sub(FIRST)));
        let (start, len) = place.map_or((0, 0), |&place| (usize::from(place >> 3), usize::from(place & 7)));
        OPERANDS.lists.get(start..start + len).unwrap_or(&[])
    }

    /// The mnemonic in its row; `None` for [`Op::Args`].
    pub fn mnemonic(self) -> Option<&'static str> {
        let index = usize::from((self as u8).checked_sub(FIRST)?);
        let (start, end) = (MNEMONIC_STARTS.get(index)?, MNEMONIC_STARTS.get(index + 1)?);
        MNEMONICS.get(usize::from(*start)..usize::from(*end))
    }

    /// Its row; `None` for [`Op::Args`], which is no op.
    #[inline]
    pub fn info(self) -> Option<&'static OpInfo> {
        OPS.get(usize::from((self as u8).checked_sub(FIRST)?))
    }
}

/// The 16-bit field `index` of an op's words: 0, 1, 2 are `a`, `b`, `c` of `words[0]`, 3 to 5 those of `words[1]`, and so
/// on. `None` if the slice ends before it.
#[inline]
pub fn field(words: &[u64], index: usize) -> Option<u16> {
    words.get(index / 3).map(|&word| (word >> (16 + 16 * (index % 3))) as u16)
}

/// Calls `each` with the targets of the op that `words` starts with.
pub fn each_target(words: &[u64], each: &mut dyn FnMut(u16)) {
    let Some(op) = words.first().and_then(|&word| Op::from_code(word as u8)) else { return };
    let mut at = 0;
    for operand in op.operands() {
        match operand {
            Operand::Label => field(words, at).map_or((), &mut *each),
            Operand::Targets => {
                let count = usize::from(field(words, at).unwrap_or(0));
                for target in (at + 1..).take(count + 1).map_while(|at| field(words, at)) {
                    each(target);
                }
            }
            _ => {}
        }
        at += width(operand);
    }
}

/// The fields of an operand whose number of fields is fixed; those that are not come last.
pub const fn width(operand: &Operand) -> usize {
    match operand {
        Operand::Imm32 | Operand::PoolI64 | Operand::PoolF64 | Operand::CellConst => 2,
        Operand::Args | Operand::Targets => 0,
        _ => 1,
    }
}

/// A code word made of a code and three fields.
#[inline]
pub const fn word(op: Op, a: u16, b: u16, c: u16) -> u64 {
    op as u64 | (a as u64) << 16 | (b as u64) << 32 | (c as u64) << 48
}

#[cfg(test)]
mod tests {
    use super::{OPS, Op};

    #[test]
    fn what_engines_ask_for_is_what_the_rows_say() {
        for row in OPS {
            assert_eq!(row.op.operands(), row.operands, "{}", row.mnemonic);
            assert_eq!(row.op.mnemonic(), Some(row.mnemonic));
        }
        assert_eq!((Op::Args.operands(), Op::Args.mnemonic()), (&[][..], None));
    }
}
