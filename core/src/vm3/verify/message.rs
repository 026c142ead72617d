//! The words of a refusal.

use super::TypeId;
use super::error::{Expected, Fault, OpReason, RecordReason, Spot, Thing, VerifyError};
use super::names::{RESERVED, is_identifier};
use crate::vm3::container::{Container, Section};
use crate::vm3::op::{Bank, Op};
use crate::vm3::types::Composite;
use core::fmt;

/// The string that names a record, if it has one.
pub(super) fn name<'a>(container: &Container<'a>, section: Section, index: u32) -> Option<&'a str> {
    let name = match section {
        Section::Shapes => container.shape(index)?.name,
        Section::Fields => container.field(index)?.name,
        Section::Tables => container.table(index)?.name,
        Section::Globals => container.global(index)?.name,
        Section::Imports => container.import(index)?.name,
        Section::Funcs => container.func(index)?.name,
        _ => return None,
    };
    container.text(name)
}

/// What one record of a section is called.
fn noun(section: Section) -> &'static str {
    match section {
        Section::Bytes => "byte",
        Section::Strings => "string",
        Section::Types => "composite type",
        Section::Sigs => "signature",
        Section::Lists => "type list element",
        Section::Shapes => "shape",
        Section::Fields => "field",
        Section::Consts => "constant",
        Section::CellConsts => "cell constant",
        Section::Tables => "table",
        Section::TableData => "table element",
        Section::Globals => "global",
        Section::Imports => "import",
        Section::Funcs => "function",
        Section::Code => "code word",
    }
}

/// A record by name, or by number if it has none.
struct Record<'m, 'a>(&'m Container<'a>, Section, u32);

impl fmt::Display for Record<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self(container, section, index) = self;
        match name(container, section, index) {
            Some(name) => write!(f, "{} {name}", noun(section)),
            None => write!(f, "{} {index}", noun(section)),
        }
    }
}

/// A type as the text form writes it. A closure type inside another is written `fn(..)`, so that what a message holds is
/// bounded.
struct Type<'m, 'a> {
    container: Option<&'m Container<'a>>,
    ty: TypeId,
    inner: bool,
}

impl fmt::Display for Type<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.ty.simple_name() {
            return f.write_str(name);
        }
        if self.ty == TypeId::NONE {
            return f.write_str("no value");
        }
        let unknown = |f: &mut fmt::Formatter<'_>| write!(f, "type {}", self.ty.0);
        let Some(container) = self.container else { return unknown(f) };
        match container.composite(self.ty) {
            None => unknown(f),
            Some(Composite::Obj(shape)) => match name(container, Section::Shapes, shape) {
                Some(name) => write!(f, "obj {name}"),
                None => write!(f, "obj {shape}"),
            },
            Some(Composite::Fn(_)) if self.inner => f.write_str("fn(..)"),
            Some(Composite::Fn(sig)) => {
                let Some(sig) = container.sig(sig) else { return unknown(f) };
                let inner = |ty| Type { container: self.container, ty, inner: true };
                f.write_str("fn(")?;
                for (index, &ty) in container.params(&sig).unwrap_or(&[]).iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, inner(ty))?;
                }
                f.write_str(")")?;
                if sig.result == TypeId::NONE { Ok(()) } else { write!(f, " -> {}", inner(sig.result)) }
            }
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(index) => write!(f, "operand {index}"),
            Self::Argument(index) => write!(f, "argument {index}"),
            Self::Default => write!(f, "the default target"),
            Self::Target(index) => write!(f, "target {index}"),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fields => "fields",
            Self::Slots => "slots",
            Self::Words => "words",
        })
    }
}

impl fmt::Debug for VerifyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyError({self})")
    }
}

impl fmt::Display for VerifyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let container = Container::read(self.words).ok();
        let context = Context { container: container.as_ref() };
        match self.fault {
            Fault::Container(error) => write!(f, "{error}"),
            Fault::Scratch { needed, given } => {
                write!(f, "verification needs {needed} words of scratch memory, {given} were given")
            }
            Fault::Covered { section, owner, used, count } => {
                let (noun, owner) = (noun(section), noun(owner));
                write!(f, "the {owner}s end at {noun} {used} of {count}, expected them to cover every {noun}")
            }
            Fault::Record { section, index, reason } => {
                match container.as_ref().and_then(|container| name(container, section, index)) {
                    Some(name) => write!(f, "{} {index} ({name}): ", noun(section))?,
                    None => write!(f, "{} {index}: ", noun(section))?,
                }
                context.record(f, reason)
            }
            Fault::Op { func, op, code, reason } => {
                match container.as_ref().and_then(|container| name(container, Section::Funcs, func)) {
                    Some(name) => write!(f, "in {name} at op {op}")?,
                    None => write!(f, "in function {func} at op {op}")?,
                }
                if let Some(mnemonic) = Op::from_code(code).and_then(Op::mnemonic) {
                    write!(f, " ({mnemonic})")?;
                }
                f.write_str(": ")?;
                context.op(f, code, reason)
            }
        }
    }
}

impl core::error::Error for VerifyError<'_> {}

/// What messages take names from.
struct Context<'m, 'a> {
    container: Option<&'m Container<'a>>,
}

impl<'m, 'a> Context<'m, 'a> {
    fn ty(&self, ty: TypeId) -> Type<'m, 'a> {
        Type { container: self.container, ty, inner: false }
    }

    fn bytes(&self, string: u32) -> &'a [u8] {
        self.container.and_then(|container| container.bytes(string)).unwrap_or(&[])
    }

    fn record(&self, f: &mut fmt::Formatter<'_>, reason: RecordReason) -> fmt::Result {
        match reason {
            RecordReason::Reserved => write!(f, "a reserved part is not zero"),
            RecordReason::Kind => write!(f, "its kind is unknown"),
            RecordReason::Start { found, expected } => {
                write!(f, "what it owns starts at {found}, expected {expected}, where the record before it ends")
            }
            RecordReason::Overflow => write!(f, "what it owns ends beyond {}", u32::MAX),
            RecordReason::Range { section, end, count } => {
                write!(f, "what it owns ends at {} {end}, the section has {count}", noun(section))
            }
            RecordReason::Index { section, index, count } => {
                write!(f, "it names {} {index}, expected an index below {count}", noun(section))
            }
            RecordReason::Equal => write!(f, "an earlier string has the same bytes, expected each string once"),
            RecordReason::Name { name } => {
                let bytes = self.bytes(name);
                match core::str::from_utf8(bytes) {
                    Ok(text) if RESERVED.contains(&text) => write!(f, "its name \"{text}\" is reserved"),
                    _ if is_identifier(bytes) => write!(f, "its name is no identifier"),
                    _ => {
                        let start = bytes.get(..32).unwrap_or(bytes).escape_ascii();
                        write!(f, "its name \"{start}\" is no identifier, expected [A-Za-z_.$][A-Za-z0-9_.$]*")
                    }
                }
            }
            RecordReason::Duplicate { name } => {
                let start = self.bytes(name);
                write!(f, "its name \"{}\" is taken", start.get(..32).unwrap_or(start).escape_ascii())
            }
            RecordReason::Type { ty, before } => {
                let first = TypeId::FIRST_COMPOSITE.0;
                write!(f, "it names type {}, expected one below {}", ty.0, TypeId::SIMPLE.len())?;
                if before == 0 { Ok(()) } else { write!(f, " or {first} to {}", u32::from(first) + before - 1) }
            }
            RecordReason::ClosureParams { count } => {
                write!(f, "a closure type with {count} parameters, expected at most {}", Composite::PARAMS)
            }
            RecordReason::Depth => {
                write!(f, "closure types are nested deeper than {}", Composite::DEPTH)
            }
            RecordReason::Limit { thing, found, least, most } => {
                write!(f, "it has {found} {thing}, expected {least} to {most}")
            }
            RecordReason::Param { slot, found, expected } => {
                write!(f, "slot {slot} is {}, expected {} as the signature says", self.ty(found), self.ty(expected))
            }
            RecordReason::Order { slot, found } => {
                write!(f, "slot {slot} is {}, expected locals in the order i64, f64, cells", self.ty(found))
            }
            RecordReason::Init { found, expected } => {
                let literal = if found == TypeId::STR { "a string" } else { "no string" };
                write!(f, "its initial value is {literal} and does not fit {}", self.ty(expected))
            }
            RecordReason::NoHeap => write!(f, "its initial value needs a heap, which this host does not lend"),
        }
    }

    fn op(&self, f: &mut fmt::Formatter<'_>, code: u8, reason: OpReason) -> fmt::Result {
        match reason {
            OpReason::Unknown => write!(f, "no op has the code {code}"),
            OpReason::Flags { flags } => write!(f, "the flags byte is {flags:#04x}, expected zero"),
            OpReason::Stray => write!(f, "the function starts with an args word, expected an op"),
            OpReason::Extra => write!(f, "it has more args words than operands"),
            OpReason::Missing { spot } => write!(f, "{spot} is missing, expected an args word that holds it"),
            OpReason::Unused { value } => {
                write!(f, "a field behind the last operand holds {value}, expected zero")
            }
            OpReason::Slot { spot, reg, count } => {
                write!(f, "{spot} is register {reg}, expected a register below {count}")
            }
            OpReason::Register { spot, reg, found, expected } => {
                write!(f, "{spot} is register {reg} ({}), expected ", self.ty(found))?;
                self.expected(f, expected)
            }
            OpReason::Value { spot, section, index, found, expected } => {
                match (section, self.container) {
                    (Section::Types, _) => write!(f, "{spot} is a closure in register {index}")?,
                    (_, Some(container)) => write!(f, "{spot} is {}", Record(container, section, index))?,
                    (_, None) => write!(f, "{spot} is {} {index}", noun(section))?,
                }
                match section {
                    Section::Types | Section::Funcs | Section::Imports if found == TypeId::NONE => {
                        f.write_str(" without a result, expected ")?;
                    }
                    Section::Types | Section::Funcs | Section::Imports => {
                        write!(f, " with the result {}, expected ", self.ty(found))?;
                    }
                    _ => write!(f, " ({}), expected ", self.ty(found))?,
                }
                self.expected(f, expected)
            }
            OpReason::Index { spot, section, index, count } => {
                write!(f, "{spot} is {} {index}, expected an index below {count}", noun(section))
            }
            OpReason::Target { spot, word, count } => {
                write!(f, "{spot} leads to word {word}, expected a word below {count}")
            }
            OpReason::TargetArgs { spot, word } => {
                write!(f, "{spot} leads to word {word}, which holds operands, expected the word of an op")
            }
            OpReason::Result { expected } => {
                write!(f, "it returns no value, expected {}", self.ty(expected))
            }
            OpReason::RunsOff => {
                write!(f, "control runs off the end of the function, expected an op that never goes on")
            }
            OpReason::NoHeap => write!(f, "it needs a heap, which this host does not lend"),
        }
    }

    fn expected(&self, f: &mut fmt::Formatter<'_>, expected: Expected) -> fmt::Result {
        match expected {
            Expected::Exactly(ty) | Expected::Fits(ty) => write!(f, "{}", self.ty(ty)),
            Expected::OrAny(ty) => write!(f, "{} or any", self.ty(ty)),
            Expected::Bank(Bank::I64) => f.write_str("i64"),
            Expected::Bank(Bank::F64) => f.write_str("f64"),
            Expected::Bank(Bank::Cell) => f.write_str("a cell"),
            Expected::Object => f.write_str("an object type"),
            Expected::Closure => f.write_str("a closure type"),
            Expected::Rest { func } => {
                let index = u32::from(func);
                match self.container {
                    Some(container) => {
                        write!(f, "the type of {} less its first parameters", Record(container, Section::Funcs, index))
                    }
                    None => write!(f, "the type of function {index} less its first parameters"),
                }
            }
        }
    }
}
