//! The disassembler: a container's text, which assembles to the same container if the assembler made it.

use super::assemble::MAX_TYPE_PARTS;
use super::float::FloatText;
use super::lexer::is_name;
use super::literal::StrText;
use crate::vm3::container::{CellConst, Container, Func, Section, op_index};
use crate::vm3::op::{Bank, Op, Operand, each_target, field, width};
use crate::vm3::types::{Composite, TypeId};
use core::fmt::{self, Write};

/// Words of scratch that [`disassemble`] needs: three bit sets and counts for the longest function.
pub const DISASSEMBLE_SCRATCH: usize = 3 * SET_WORDS;

/// Words of a set of the word indices of a function.
const SET_WORDS: usize = (1 << 16) / 64;

/// What the text of one type may take: a unit for each parameter and each composite type, so that whatever the
/// assembler accepts is written. A container that no assembler made can describe types whose text would be
/// exponentially long; theirs is cut short with `...`.
const TYPE_BUDGET: u32 = 2 * MAX_TYPE_PARTS + 1;

/// Writes a whole module as text.
///
/// Registers are named by bank and number in the bank (`i0`, `f0`, `c2`), labels by the index of the op that they name (`L7`),
/// because a container keeps no names of them. What a container does not back (an index out of range, a code that is no
/// op) is written as `?` and a name that the text form cannot hold as a string: such text does not assemble. Takes time
/// linear in the text. `scratch` has at least [`DISASSEMBLE_SCRATCH`] words.
///
/// # Errors
///
/// Those of `out`, and an error if `scratch` is too small.
pub fn disassemble(container: &Container<'_>, out: &mut dyn Write, scratch: &mut [u64]) -> fmt::Result {
    let (sets, counts) = scratch.split_at_mut_checked(2 * SET_WORDS).ok_or(fmt::Error)?;
    let (targets, starts) = sets.split_at_mut_checked(SET_WORDS).ok_or(fmt::Error)?;
    let counts = counts.get_mut(..SET_WORDS).ok_or(fmt::Error)?;
    declarations(container, out)?;
    for index in 0..container.count(Section::Funcs) {
        if let Some(func) = container.func(index) {
            function(container, &func, out, targets, starts, counts)?;
        }
    }
    Ok(())
}

/// Writes one op as text, as [`disassemble`] does: without indentation and newline. `word` is the index of its first
/// word in the function. Takes time linear in the function where the op names labels.
///
/// # Errors
///
/// Those of `out`.
pub fn write_op(container: &Container<'_>, func: u32, word: u32, out: &mut dyn Write) -> fmt::Result {
    let Some(func) = container.func(func) else { return out.write_str("?") };
    let code = container.code(&func).unwrap_or(&[]);
    let label = |out: &mut dyn Write, target: u16| write!(out, "L{}", op_index(code, target.into()));
    op(container, &func, code.get(word as usize..).unwrap_or(&[]), out, &label)
}

/// Writes the name of a register as [`disassemble`] does: a letter for its bank, and its number in the bank, which counts
/// parameters first.
///
/// Linear in the number of the function's parameters.
///
/// # Errors
///
/// Those of `out`.
pub fn write_register(container: &Container<'_>, func: &Func, slot: u16, out: &mut dyn Write) -> fmt::Result {
    let place = usize::from(slot);
    let slots = container.slots(func).unwrap_or(&[]);
    let Some(bank) = slots.get(place).map(|ty| ty.bank()) else { return write!(out, "?{slot}") };
    let params = usize::from(container.sig(func.sig).map_or(0, |sig| sig.count)).min(slots.len());
    let earlier = slots.iter().take(params.min(place)).filter(|ty| ty.bank() == bank).count();
    // Locals are grouped by bank, so their numbers follow from where their group starts.
    let locals = slots.get(params..).unwrap_or(&[]);
    let group = params + locals.partition_point(|ty| letter(ty.bank()).1 < letter(bank).1);
    write!(out, "{}{}", letter(bank).0, earlier + place.saturating_sub(group))
}

/// The letter of a bank in generated names, and its place in the order of locals.
const fn letter(bank: Bank) -> (char, u8) {
    match bank {
        Bank::I64 => ('i', 0),
        Bank::F64 => ('f', 1),
        Bank::Cell => ('c', 2),
    }
}

fn name(container: &Container<'_>, string: Option<u32>, out: &mut dyn Write) -> fmt::Result {
    match string.and_then(|index| container.bytes(index)) {
        None => out.write_str("?"),
        Some(bytes) => match core::str::from_utf8(bytes) {
            Ok(text) if is_name(text) => out.write_str(text),
            _ => write!(out, "{}", StrText(bytes)),
        },
    }
}

/// Writes a type as the text form spells it.
///
/// # Errors
///
/// Those of `out`.
pub fn write_type(container: &Container<'_>, ty: TypeId, out: &mut dyn Write) -> fmt::Result {
    let mut budget = TYPE_BUDGET;
    type_part(container, ty, out, 0, &mut budget)
}

fn type_part(container: &Container<'_>, ty: TypeId, out: &mut dyn Write, depth: u32, budget: &mut u32) -> fmt::Result {
    if let Some(simple) = ty.simple_name() {
        return out.write_str(simple);
    }
    if *budget == 0 || depth > u32::from(Composite::DEPTH) {
        return out.write_str("...");
    }
    *budget -= 1;
    match container.composite(ty) {
        Some(Composite::Obj(shape)) => {
            out.write_str("obj ")?;
            name(container, container.shape(shape).map(|shape| shape.name), out)
        }
        Some(Composite::Fn(sig)) => {
            out.write_str("fn")?;
            signature(container, sig, out, depth + 1, budget, false)
        }
        None => out.write_str("?"),
    }
}

/// Writes parameters and result, the parameters with their registers' names if they are a function's own.
fn signature(
    container: &Container<'_>,
    sig: u32,
    out: &mut dyn Write,
    depth: u32,
    budget: &mut u32,
    named: bool,
) -> fmt::Result {
    let Some(sig) = container.sig(sig) else { return out.write_str("(?)") };
    out.write_char('(')?;
    let mut numbers = [0_u32; 3];
    for number in 0..sig.count {
        // The parameters of functions and imports are types of their own.
        if depth == 0 {
            *budget = TYPE_BUDGET;
        }
        if *budget == 0 {
            out.write_str("...")?;
            break;
        }
        *budget -= 1;
        if number > 0 {
            out.write_str(", ")?;
        }
        let ty = container.param(&sig, number).unwrap_or(TypeId::NONE);
        if named {
            let (letter, order) = letter(ty.bank());
            if let Some(count) = numbers.get_mut(usize::from(order)) {
                write!(out, "{letter}{count}: ")?;
                *count += 1;
            }
        }
        type_part(container, ty, out, depth, budget)?;
    }
    out.write_char(')')?;
    if sig.result != TypeId::NONE {
        out.write_str(" -> ")?;
        type_part(container, sig.result, out, depth, budget)?;
    }
    Ok(())
}

fn declarations(container: &Container<'_>, out: &mut dyn Write) -> fmt::Result {
    for shape in (0..container.count(Section::Shapes)).filter_map(|index| container.shape(index)) {
        out.write_str("shape ")?;
        name(container, Some(shape.name), out)?;
        out.write_str(" {")?;
        for number in 0..shape.count {
            let Some(field) = shape.fields.checked_add(number).and_then(|index| container.field(index)) else {
                out.write_str(" ?")?;
                break;
            };
            out.write_str(if number == 0 { " " } else { ", " })?;
            name(container, Some(field.name), out)?;
            out.write_str(": ")?;
            write_type(container, field.ty, out)?;
        }
        out.write_str(" }\n")?;
    }
    for table in (0..container.count(Section::Tables)).filter_map(|index| container.table(index)) {
        out.write_str("table ")?;
        name(container, Some(table.name), out)?;
        out.write_str(" = [")?;
        match container.table_data(&table) {
            Some(data) => {
                for (number, &element) in data.iter().enumerate() {
                    write!(out, "{}{}", if number == 0 { "" } else { ", " }, element as i64)?;
                }
            }
            None => out.write_str("?")?,
        }
        out.write_str("]\n")?;
    }
    for global in (0..container.count(Section::Globals)).filter_map(|index| container.global(index)) {
        out.write_str("global ")?;
        name(container, Some(global.name), out)?;
        out.write_str(": ")?;
        write_type(container, global.ty, out)?;
        if let Some(init) = global.init {
            out.write_str(" = ")?;
            match global.ty.bank() {
                Bank::I64 => int(container.constant(init), out)?,
                Bank::F64 => float(container.constant(init), out)?,
                Bank::Cell => cell_const(container, init, out)?,
            }
        }
        out.write_char('\n')?;
    }
    for import in (0..container.count(Section::Imports)).filter_map(|index| container.import(index)) {
        out.write_str("import ")?;
        name(container, Some(import.name), out)?;
        signature(container, import.sig, out, 0, &mut { TYPE_BUDGET }, false)?;
        out.write_char('\n')?;
    }
    Ok(())
}

fn int(bits: Option<u64>, out: &mut dyn Write) -> fmt::Result {
    match bits {
        Some(bits) => write!(out, "{}", bits as i64),
        None => out.write_str("?"),
    }
}

fn float(bits: Option<u64>, out: &mut dyn Write) -> fmt::Result {
    match bits {
        Some(bits) => write!(out, "{}", FloatText(f64::from_bits(bits))),
        None => out.write_str("?"),
    }
}

fn string(container: &Container<'_>, index: u32, out: &mut dyn Write) -> fmt::Result {
    match container.bytes(index) {
        Some(bytes) => write!(out, "{}", StrText(bytes)),
        None => out.write_str("?"),
    }
}

fn cell_const(container: &Container<'_>, index: u32, out: &mut dyn Write) -> fmt::Result {
    match container.cell_const(index) {
        Some(CellConst::Bool(value)) => write!(out, "{value}"),
        Some(CellConst::Int(index)) => int(container.constant(index), out),
        Some(CellConst::Float(index)) => float(container.constant(index), out),
        Some(CellConst::Str(index)) => string(container, index, out),
        None => out.write_str("?"),
    }
}

fn has(set: &[u64], place: usize) -> bool {
    set.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 != 0)
}

fn insert(set: &mut [u64], place: usize) {
    if let Some(word) = set.get_mut(place / 64) {
        *word |= 1 << (place % 64);
    }
}

fn function(
    container: &Container<'_>,
    func: &Func,
    out: &mut dyn Write,
    targets: &mut [u64],
    starts: &mut [u64],
    counts: &mut [u64],
) -> fmt::Result {
    out.write_str("\nfunc ")?;
    name(container, Some(func.name), out)?;
    signature(container, func.sig, out, 0, &mut { TYPE_BUDGET }, true)?;
    out.write_char('\n')?;
    let params = container.sig(func.sig).map_or(0, |sig| u32::from(sig.count));
    for slot in (params..func.slot_count).map_while(|slot| u16::try_from(slot).ok()) {
        let Some(ty) = container.slot(func, slot) else { break };
        out.write_str("  local ")?;
        write_register(container, func, slot, out)?;
        out.write_str(": ")?;
        write_type(container, ty, out)?;
        out.write_char('\n')?;
    }
    let code = container.code(func).unwrap_or(&[]);
    for set in [&mut *targets, &mut *starts] {
        set.fill(0);
    }
    for (place, _) in code.iter().enumerate().filter(|&(_, &word)| word as u8 != Op::Args as u8) {
        insert(starts, place);
        each_target(code.get(place..).unwrap_or(&[]), &mut |target| insert(targets, target.into()));
    }
    let mut before = 0;
    for (count, set) in counts.iter_mut().zip(&*starts) {
        *count = before;
        before += u64::from(set.count_ones());
    }
    let (targets, starts, counts) = (&*targets, &*starts, &*counts);
    // The number of ops before a word.
    let rank = |place: usize| {
        let inside = starts.get(place / 64).map_or(0, |set| (set & ((1 << (place % 64)) - 1)).count_ones());
        counts.get(place / 64).copied().unwrap_or(0) + u64::from(inside)
    };
    let label = |out: &mut dyn Write, target: u16| write!(out, "L{}", rank(target.into()));
    for place in (0..code.len()).filter(|&place| has(starts, place)) {
        if has(targets, place) {
            writeln!(out, "L{}:", rank(place))?;
        }
        out.write_str("  ")?;
        op(container, func, code.get(place..).unwrap_or(&[]), out, &label)?;
        out.write_char('\n')?;
    }
    out.write_str("end\n")
}

/// Writes an op; `words` starts with it.
fn op(
    container: &Container<'_>,
    func: &Func,
    words: &[u64],
    out: &mut dyn Write,
    label: &dyn Fn(&mut dyn Write, u16) -> fmt::Result,
) -> fmt::Result {
    let Some(row) = words.first().and_then(|&word| Op::from_code(word as u8)).and_then(Op::info) else {
        return out.write_str("?");
    };
    // What follows the op's own args words belongs to other ops.
    let rest = words.get(1..).unwrap_or(&[]);
    let own = 1 + rest.iter().position(|&word| word as u8 != Op::Args as u8).unwrap_or(rest.len());
    let words = words.get(..own).unwrap_or(words);
    out.write_str(row.mnemonic)?;
    let mut at = 0;
    // The register before a field, and the signature of what is called.
    let mut object = None;
    let mut callee = None;
    for (number, &operand) in row.operands.iter().enumerate() {
        match (number, operand) {
            (_, Operand::Args | Operand::U16) => {}
            (0, _) => out.write_char(' ')?,
            _ => out.write_str(", ")?,
        }
        let low = field(words, at);
        let wide = low.zip(field(words, at + 1)).map(|(low, high)| u32::from(low) | u32::from(high) << 16);
        let index = low.map(u32::from);
        match operand {
            Operand::Reg(..) | Operand::Closure => {
                let Some(slot) = low else { return out.write_str("?") };
                write_register(container, func, slot, out)?;
                object = container.slot(func, slot).and_then(|ty| container.composite(ty));
                if operand == Operand::Closure
                    && let Some(Composite::Fn(sig)) = object
                {
                    callee = Some(sig);
                }
            }
            Operand::Imm16 => match low {
                Some(value) => write!(out, "{}", value as i16)?,
                None => out.write_str("?")?,
            },
            Operand::Imm32 => match wide {
                Some(value) => write!(out, "{}", value as i32)?,
                None => out.write_str("?")?,
            },
            Operand::PoolI64 => int(wide.and_then(|index| container.constant(index)), out)?,
            Operand::PoolF64 => float(wide.and_then(|index| container.constant(index)), out)?,
            Operand::CellConst => match wide {
                Some(index) => cell_const(container, index, out)?,
                None => out.write_str("?")?,
            },
            Operand::U16 => match low {
                Some(value) => write!(out, "({value})")?,
                None => out.write_str("(?)")?,
            },
            Operand::Label => match low {
                Some(target) => label(out, target)?,
                None => out.write_str("?")?,
            },
            Operand::Func => {
                let called = index.and_then(|index| container.func(index));
                callee = called.map(|func| func.sig);
                name(container, called.map(|func| func.name), out)?;
            }
            Operand::Import => {
                let called = index.and_then(|index| container.import(index));
                callee = called.map(|import| import.sig);
                name(container, called.map(|import| import.name), out)?;
            }
            Operand::Args => arguments(container, func, row.op, words, (at, callee), out)?,
            Operand::Table => {
                name(container, index.and_then(|index| container.table(index)).map(|table| table.name), out)?;
            }
            Operand::Global(_) => {
                name(container, index.and_then(|index| container.global(index)).map(|global| global.name), out)?;
            }
            Operand::Field(_) => {
                let shape = match object {
                    Some(Composite::Obj(shape)) => container.shape(shape),
                    _ => None,
                };
                let field = shape.zip(index).filter(|(shape, index)| index < &shape.count);
                let field = field.and_then(|(shape, index)| container.field(shape.fields.checked_add(index)?));
                name(container, field.map(|field| field.name), out)?;
            }
            Operand::Name => match index {
                Some(index) => string(container, index, out)?,
                None => out.write_str("?")?,
            },
            Operand::Targets => {
                let count = usize::from(low.unwrap_or(0));
                out.write_char('[')?;
                for number in 0..count {
                    let Some(target) = field(words, at + 2 + number) else {
                        out.write_str("?")?;
                        break;
                    };
                    out.write_str(if number == 0 { "" } else { ", " })?;
                    label(out, target)?;
                }
                out.write_str("], ")?;
                match field(words, at + 1) {
                    Some(target) => label(out, target)?,
                    None => out.write_str("?")?,
                }
            }
        }
        at += width(&operand);
    }
    Ok(())
}

/// Writes the arguments of a call, whose fields start at `at`. For `fn.new` their number is what the destination's
/// signature leaves of the callee's.
fn arguments(
    container: &Container<'_>,
    func: &Func,
    op: Op,
    words: &[u64],
    (at, callee): (usize, Option<u32>),
    out: &mut dyn Write,
) -> fmt::Result {
    let count = |sig| container.sig(sig).map_or(0, |sig| sig.count);
    let mut number = callee.map_or(0, count);
    if op == Op::FnNew
        && let Some(Composite::Fn(left)) =
            field(words, 0).and_then(|slot| container.slot(func, slot)).and_then(|ty| container.composite(ty))
    {
        number = number.saturating_sub(count(left));
    }
    out.write_char('(')?;
    for argument in 0..usize::from(number) {
        let Some(slot) = field(words, at + argument) else {
            out.write_str("?")?;
            break;
        };
        out.write_str(if argument == 0 { "" } else { ", " })?;
        write_register(container, func, slot, out)?;
    }
    out.write_char(')')
}
