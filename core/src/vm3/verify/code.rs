//! What the verifier proves about the op words.
//!
//! Each op is first held against its row of a compact table that is derived from the op table: three fields at once,
//! without a branch for each operand. What that table cannot say or does not accept goes through the operands one by one,
//! which alone decides what is refused, and why.

use super::error::{Expected, Fault, OpReason, RecordReason, Spot};
use super::records::{literal_type, needs_heap};
use super::{Composite, TypeId, VerifyOptions};
use crate::vm3::by_code::by_code;
use crate::vm3::container::{Container, Section, Shape, Sig, op_index};
use crate::vm3::op::{Access, Bank, CellClass, Flags, OPS, Op, Operand};

/// What is right for every op of a code, in the places of the fields `a`, `b`, `c` of its word.
#[derive(Clone, Copy)]
struct Row {
    /// Whether the rest of the row says all that there is to check.
    complete: bool,
    /// Bits of the word that have to be zero.
    zero: u64,
    /// The fields that are registers of one type.
    regs: u64,
    /// Their types.
    types: u64,
    /// How far to shift the word for its branch target, 0 if it has none.
    label: u8,
    /// Whether control never goes on to the next op.
    ends: bool,
    /// Whether it needs a heap.
    heap: bool,
}

/// Whether the op returns to the caller, so that its operand depends on the function's result.
const fn returns(op: Op) -> bool {
    matches!(op, Op::Ret | Op::RetI64 | Op::RetF64 | Op::RetCell)
}

/// The type that a register has to have, if there is only one.
const fn only_type(access: Access, bank: Bank, class: CellClass) -> Option<TypeId> {
    let read = matches!(access, Access::Read);
    match (bank, class) {
        (Bank::I64, _) => Some(TypeId::I64),
        (Bank::F64, _) => Some(TypeId::F64),
        (_, CellClass::Any) if !read => Some(TypeId::ANY),
        (_, CellClass::Any | CellClass::AsDeclared | CellClass::Obj) => None,
        (_, class) if read => class_type(class),
        _ => None,
    }
}

/// The type that a class names.
const fn class_type(class: CellClass) -> Option<TypeId> {
    match class {
        CellClass::Any | CellClass::AsDeclared | CellClass::Obj => None,
        CellClass::Str => Some(TypeId::STR),
        CellClass::ArrI64 => Some(TypeId::ARR_I64),
        CellClass::ArrF64 => Some(TypeId::ARR_F64),
        CellClass::ArrU8 => Some(TypeId::ARR_U8),
        CellClass::List => Some(TypeId::LIST),
        CellClass::IMap => Some(TypeId::IMAP),
        CellClass::Map => Some(TypeId::MAP),
    }
}

const fn row(op: Op, operands: &[Operand], flags: Flags) -> Row {
    let mut row = Row {
        complete: false,
        zero: !0xFF,
        regs: 0,
        types: 0,
        label: 0,
        ends: flags.has(Flags::ENDS),
        heap: flags.has(Flags::HEAP),
    };
    if returns(op) {
        return row;
    }
    let mut index = 0;
    let mut field = 0;
    while index < operands.len() {
        let wide = matches!(operands[index], Operand::Imm32);
        let end = if wide { field + 2 } else { field + 1 };
        if end > 3 {
            return row;
        }
        let shift = 16 + 16 * field;
        let place = if wide { 0xFFFF_FFFF << shift } else { 0xFFFF << shift };
        let simple = match operands[index] {
            Operand::Reg(access, bank, class) => match only_type(access, bank, class) {
                Some(ty) => {
                    row.regs |= place;
                    row.types |= (ty.0 as u64) << shift;
                    true
                }
                None => false,
            },
            Operand::Imm16 | Operand::U16 | Operand::Imm32 => true,
            Operand::Label => {
                row.label = shift as u8;
                true
            }
            _ => false,
        };
        if !simple {
            return row;
        }
        row.zero &= !place;
        field = end;
        index += 1;
    }
    row.complete = true;
    row
}

impl Row {
    const fn same(&self, other: &Self) -> bool {
        self.complete == other.complete
            && self.zero == other.zero
            && self.regs == other.regs
            && self.types == other.types
            && self.label == other.label
            && self.ends == other.ends
            && self.heap == other.heap
    }
}

const fn rows() -> [Row; 256] {
    let mut rows = [Row { complete: false, ..row(Op::Args, &[], Flags::NONE) }; 256];
    let mut index = 0;
    while index < OPS.len() {
        rows[OPS[index].op as usize] = row(OPS[index].op, OPS[index].operands, OPS[index].flags);
        index += 1;
    }
    rows
}

by_code! {
    /// The rows, by code.
    static ROWS: [Row; ROW_COUNT] = rows();
}

/// Checks the code of every function. The records have been checked.
pub(super) fn check(container: &Container<'_>, options: VerifyOptions) -> Result<(), Fault> {
    (0..container.count(Section::Funcs)).try_for_each(|index| {
        let missing = Fault::Record { section: Section::Funcs, index, reason: RecordReason::Overflow };
        let func = container.func(index).ok_or(missing)?;
        let code = container.code(&func).ok_or(missing)?;
        let slots = container.slots(&func).ok_or(missing)?;
        let sig = container.sig(func.sig).ok_or(missing)?;
        let checker = Checker { container, options, code, slots, result: sig.result };
        checker.all().map_err(|(word, reason)| fault(index, code, word, reason))
    })
}

/// Says of which op a reason is. An `args` word counts as the op that it follows.
#[cold]
fn fault(func: u32, code: &[u64], word: usize, reason: OpReason) -> Fault {
    let args = |&&word: &&u64| word as u8 == Op::Args as u8;
    let at = code.get(..=word).unwrap_or(code);
    let back = at.iter().rev().take_while(args).count();
    let word = word.saturating_sub(back);
    let code_byte = code.get(word).map_or(0, |&word| word as u8);
    Fault::Op { func, op: op_index(code, word), code: code_byte, reason }
}

/// The types of the registers that the three fields of a word name, each in the place of its field.
#[inline(always)]
fn types(slots: &[TypeId], word: u64) -> u64 {
    let ty = |shift: u32| {
        let slot = (word >> shift) as u16;
        u64::from(slots.get(usize::from(slot)).map_or(u16::MAX, |ty| ty.0)) << shift
    };
    ty(16) | ty(32) | ty(48)
}

/// A value and what is known about it: an operand, or the result of what an operand names.
#[derive(Clone, Copy)]
struct Value {
    spot: Spot,
    thing: Named,
    ty: TypeId,
}

#[derive(Clone, Copy)]
enum Named {
    Register(u16),
    Record(Section, u32),
}

impl Value {
    /// That the value is not what was expected.
    #[cold]
    fn not(self, expected: Expected) -> OpReason {
        let Self { spot, thing, ty: found } = self;
        match thing {
            Named::Register(reg) => OpReason::Register { spot, reg, found, expected },
            Named::Record(section, index) => OpReason::Value { spot, section, index, found, expected },
        }
    }
}

/// What a call calls.
#[derive(Clone, Copy)]
struct Callee {
    result: Value,
    sig: Sig,
}

/// What is known of an op after some of its operands.
#[derive(Default)]
struct Known {
    /// The type that a value is to fit: of the register that is written, or of the place that is.
    place: Option<TypeId>,
    /// The register that is written first.
    written: Option<Value>,
    /// The value that goes there.
    value: Option<Value>,
    shape: Option<Shape>,
    callee: Option<Callee>,
}

/// A reader of the fields of one op.
struct Fields<'c> {
    code: &'c [u64],
    /// The place of the word at hand, and the word.
    at: usize,
    word: u64,
    /// How many of its fields were read.
    read: u32,
}

impl Fields<'_> {
    #[inline]
    fn next(&mut self, spot: Spot) -> Result<u16, OpReason> {
        if self.read == 3 {
            let word = self.code.get(self.at + 1).copied().unwrap_or(0);
            if word as u8 != Op::Args as u8 {
                return Err(OpReason::Missing { spot });
            }
            self.at += 1;
            self.word = word;
            self.read = 0;
            let flags = (word >> 8) as u8;
            if flags != 0 {
                return Err(OpReason::Flags { flags });
            }
        }
        self.read += 1;
        Ok((self.word >> (16 * self.read)) as u16)
    }

    fn next_u32(&mut self, spot: Spot) -> Result<u32, OpReason> {
        let low = self.next(spot)?;
        Ok(u32::from(low) | u32::from(self.next(spot)?) << 16)
    }

    /// Checks that the fields that were not read are zero, and gives the place of the next word.
    fn end(mut self) -> Result<usize, OpReason> {
        while self.read < 3 {
            self.read += 1;
            let value = (self.word >> (16 * self.read)) as u16;
            if value != 0 {
                return Err(OpReason::Unused { value });
            }
        }
        Ok(self.at + 1)
    }
}

struct Checker<'m, 'a> {
    container: &'m Container<'a>,
    options: VerifyOptions,
    code: &'a [u64],
    slots: &'a [TypeId],
    result: TypeId,
}

impl Checker<'_, '_> {
    /// Checks all ops; says at which word what is wrong.
    fn all(&self) -> Result<(), (usize, OpReason)> {
        let (code, slots) = (self.code, self.slots);
        let no_heap = !self.options.heap;
        let mut at = 0;
        let mut ends = false;
        while let Some(&word) = code.get(at) {
            let row = ROWS.get(word as u8);
            let bad = (word & row.zero) | ((types(slots, word) ^ row.types) & row.regs);
            let target = (word >> row.label) as u16;
            let label = row.label == 0 || self.is_op(target);
            at = if row.complete && bad == 0 && label && !(row.heap && no_heap) {
                at + 1
            } else {
                self.op(at, word).map_err(|reason| (at, reason))?
            };
            ends = row.ends;
        }
        if ends { Ok(()) } else { Err((code.len().saturating_sub(1), OpReason::RunsOff)) }
    }

    #[inline(always)]
    fn is_op(&self, target: u16) -> bool {
        self.code.get(usize::from(target)).is_some_and(|&word| word as u8 != Op::Args as u8)
    }

    /// Checks the op at a word, operand by operand, and gives the place of the next op.
    #[inline(never)]
    fn op(&self, at: usize, word: u64) -> Result<usize, OpReason> {
        let op = Op::from_code(word as u8).ok_or(OpReason::Unknown)?;
        if op == Op::Args {
            return Err(if at == 0 { OpReason::Stray } else { OpReason::Extra });
        }
        let flags = (word >> 8) as u8;
        if flags != 0 {
            return Err(OpReason::Flags { flags });
        }
        if ROWS.get(word as u8).heap && !self.options.heap {
            return Err(OpReason::NoHeap);
        }
        let mut fields = Fields { code: self.code, at, word, read: 0 };
        let mut known = Known::default();
        if returns(op) {
            known.place = Some(self.result);
        }
        for (number, operand) in (1..).zip(op.operands()) {
            self.operand(op, &mut fields, Spot::Operand(number), *operand, &mut known)?;
        }
        match (known.value, known.place) {
            (Some(value), Some(place)) if value.ty == TypeId::NONE || !value.ty.fits(place) => {
                return Err(value.not(Expected::Fits(place)));
            }
            (None, Some(expected)) if returns(op) && expected != TypeId::NONE => {
                return Err(OpReason::Result { expected });
            }
            _ => {}
        }
        fields.end()
    }

    fn operand(
        &self,
        op: Op,
        fields: &mut Fields<'_>,
        spot: Spot,
        operand: Operand,
        known: &mut Known,
    ) -> Result<(), OpReason> {
        match operand {
            Operand::Reg(access, bank, class) => {
                let value = self.register(fields.next(spot)?, spot)?;
                self.reg(op, value, access, bank, class, known)?;
            }
            Operand::Imm16 | Operand::U16 => {
                fields.next(spot)?;
            }
            Operand::Imm32 => {
                fields.next_u32(spot)?;
            }
            Operand::PoolI64 | Operand::PoolF64 => {
                let index = fields.next_u32(spot)?;
                self.found(spot, Section::Consts, index, self.container.constant(index))?;
            }
            Operand::CellConst => {
                let index = fields.next_u32(spot)?;
                let constant = self.found(spot, Section::CellConsts, index, self.container.cell_const(index))?;
                if !self.options.heap && needs_heap(self.container, constant) {
                    return Err(OpReason::NoHeap);
                }
                let thing = Named::Record(Section::CellConsts, index);
                known.value = Some(Value { spot, thing, ty: literal_type(constant) });
            }
            Operand::Label => self.target(spot, fields.next(spot)?)?,
            Operand::Targets => {
                let count = fields.next(spot)?;
                self.target(Spot::Default, fields.next(Spot::Default)?)?;
                for index in 0..count {
                    let spot = Spot::Target(index);
                    self.target(spot, fields.next(spot)?)?;
                }
            }
            Operand::Func => {
                let index = u32::from(fields.next(spot)?);
                let func = self.found(spot, Section::Funcs, index, self.container.func(index))?;
                self.callee(op, spot, Named::Record(Section::Funcs, index), func.sig, known)?;
            }
            Operand::Import => {
                let index = u32::from(fields.next(spot)?);
                let import = self.found(spot, Section::Imports, index, self.container.import(index))?;
                self.callee(op, spot, Named::Record(Section::Imports, index), import.sig, known)?;
            }
            Operand::Closure => {
                let reg = fields.next(spot)?;
                let value = self.register(reg, spot)?;
                let Some(Composite::Fn(sig)) = self.container.composite(value.ty) else {
                    return Err(value.not(Expected::Closure));
                };
                self.callee(op, spot, Named::Record(Section::Types, reg.into()), sig, known)?;
            }
            Operand::Args => self.args(op, fields, spot, known)?,
            Operand::Table => {
                let index = fields.next(spot)?.into();
                self.found(spot, Section::Tables, index, self.container.table(index))?;
            }
            Operand::Global(bank) => {
                let index = fields.next(spot)?.into();
                let global = self.found(spot, Section::Globals, index, self.container.global(index))?;
                let value = Value { spot, thing: Named::Record(Section::Globals, index), ty: global.ty };
                storage(value, bank, known)?;
            }
            Operand::Field(bank) => {
                let index = u32::from(fields.next(spot)?);
                let (first, count) = known.shape.map_or((0, 0), |shape| (shape.fields, shape.count));
                let field = if index < count { self.container.field(first.saturating_add(index)) } else { None };
                let Some(field) = field else {
                    return Err(OpReason::Index { spot, section: Section::Fields, index, count });
                };
                let thing = Named::Record(Section::Fields, first.saturating_add(index));
                storage(Value { spot, thing, ty: field.ty }, bank, known)?;
            }
            Operand::Name => {
                let index = fields.next(spot)?.into();
                self.found(spot, Section::Strings, index, self.container.string_record(index))?;
            }
        }
        Ok(())
    }

    /// A register that exists.
    #[inline]
    fn register(&self, reg: u16, spot: Spot) -> Result<Value, OpReason> {
        match self.slots.get(usize::from(reg)) {
            Some(&ty) => Ok(Value { spot, thing: Named::Register(reg), ty }),
            None => Err(OpReason::Slot { spot, reg, count: self.slots.len() as u32 }),
        }
    }

    /// Checks a register operand by itself.
    fn reg(
        &self,
        op: Op,
        value: Value,
        access: Access,
        bank: Bank,
        class: CellClass,
        known: &mut Known,
    ) -> Result<(), OpReason> {
        let ty = value.ty;
        let written = access == Access::Write;
        if ty.bank() != bank {
            let expected = match only_type(access, bank, class) {
                Some(only) => Expected::Exactly(only),
                None => class_type(class).map_or(Expected::Bank(bank), Expected::OrAny),
            };
            return Err(value.not(expected));
        }
        let right = match class {
            _ if bank != Bank::Cell => true,
            CellClass::AsDeclared => true,
            CellClass::Any => !written || ty == TypeId::ANY,
            CellClass::Obj => match self.container.composite(ty) {
                Some(Composite::Obj(shape)) => {
                    known.shape = self.container.shape(shape);
                    true
                }
                _ => return Err(value.not(Expected::Object)),
            },
            class => class_type(class).is_some_and(|only| if written { only.fits(ty) } else { only == ty }),
        };
        if !right {
            return Err(value.not(match class_type(class) {
                Some(only) if written => Expected::OrAny(only),
                only => Expected::Exactly(only.unwrap_or(TypeId::ANY)),
            }));
        }
        if op == Op::ObjNew && !matches!(self.container.composite(ty), Some(Composite::Obj(_))) {
            return Err(value.not(Expected::Object));
        }
        if written {
            known.place = known.place.or(Some(ty));
            known.written = known.written.or(Some(value));
        } else if class == CellClass::AsDeclared && (bank == Bank::Cell || returns(op)) {
            known.value = Some(value);
        }
        Ok(())
    }

    /// A record that an operand names, if it was found.
    fn found<T>(&self, spot: Spot, section: Section, index: u32, record: Option<T>) -> Result<T, OpReason> {
        let count = self.container.count(section);
        record.ok_or(OpReason::Index { spot, section, index, count })
    }

    fn target(&self, spot: Spot, word: u16) -> Result<(), OpReason> {
        if self.is_op(word) {
            return Ok(());
        }
        let count = self.code.len() as u32;
        Err(if u32::from(word) < count {
            OpReason::TargetArgs { spot, word }
        } else {
            OpReason::Target { spot, word, count }
        })
    }

    /// Notes what is called, and checks what depends on its signature but for the arguments.
    fn callee(&self, op: Op, spot: Spot, thing: Named, sig: u32, known: &mut Known) -> Result<(), OpReason> {
        let sig = self.found(spot, Section::Sigs, sig, self.container.sig(sig))?;
        let result = Value { spot, thing, ty: sig.result };
        known.callee = Some(Callee { result, sig });
        match op {
            Op::FnNew => Ok(()),
            Op::Tail if sig.result != self.result => Err(result.not(Expected::Exactly(self.result))),
            _ => {
                known.value = Some(result);
                Ok(())
            }
        }
    }

    /// Checks the registers that are passed to a callee.
    fn args(&self, op: Op, fields: &mut Fields<'_>, spot: Spot, known: &Known) -> Result<(), OpReason> {
        let missing = OpReason::Missing { spot };
        let callee = known.callee.ok_or(missing)?;
        let mut params = self.container.params(&callee.sig).ok_or(missing)?;
        if op == Op::FnNew {
            params = self.bound(params, callee, known.written.ok_or(missing)?)?;
        }
        for (number, &param) in (1..=u16::MAX).zip(params) {
            let spot = Spot::Argument(number);
            let value = self.register(fields.next(spot)?, spot)?;
            if !value.ty.fits(param) {
                return Err(value.not(Expected::Fits(param)));
            }
        }
        Ok(())
    }

    /// The parameters that `fn.new` binds: those that its destination's closure type does not have. The rest, and the
    /// result, are to be the same.
    fn bound<'p>(&self, params: &'p [TypeId], callee: Callee, written: Value) -> Result<&'p [TypeId], OpReason> {
        let Some(Composite::Fn(sig)) = self.container.composite(written.ty) else {
            return Err(written.not(Expected::Closure));
        };
        let sig = self.container.sig(sig);
        let rest = sig.and_then(|sig| self.container.params(&sig));
        match rest.and_then(|rest| params.strip_suffix(rest)) {
            Some(bound) if sig.is_some_and(|sig| sig.result == callee.sig.result) => Ok(bound),
            _ => {
                let func = if let Named::Record(_, index) = callee.result.thing { index as u16 } else { 0 };
                Err(written.not(Expected::Rest { func }))
            }
        }
    }
}

/// Notes a global or a field: the value if a register was written before it, else the place that is written.
fn storage(value: Value, bank: Bank, known: &mut Known) -> Result<(), OpReason> {
    if value.ty.bank() != bank {
        return Err(value.not(Expected::Bank(bank)));
    }
    match known.written {
        Some(_) => known.value = Some(value),
        None => known.place = Some(value.ty),
    }
    Ok(())
}
