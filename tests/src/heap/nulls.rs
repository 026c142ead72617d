//! Null where an op needs an object: `null_reference`, whatever else is wrong. All derived from the op table.

use crate::func::{Body, Name, Text};
use crate::{Maker, traps};
use core::fmt::Write;
use opstamp::vm3::op::{Access, Bank, CellClass, OPS, OpInfo, Operand};
use opstamp::{Trap, TrapKind};

/// Cases, at most.
const CASES: usize = 128;

/// The type of an operand that is a cell.
fn type_name(class: CellClass) -> &'static str {
    match class {
        CellClass::Any | CellClass::AsDeclared => "any",
        CellClass::Str => "str",
        CellClass::ArrI64 => "arr.i64",
        CellClass::ArrF64 => "arr.f64",
        CellClass::ArrU8 => "arr.u8",
        CellClass::List => "list",
        CellClass::IMap => "imap",
        CellClass::Map => "map",
        CellClass::Obj => "obj S",
    }
}

/// Whether null in operand `at` traps.
fn refuses_null(row: &OpInfo, at: usize) -> bool {
    match row.operands[at] {
        Operand::Closure => true,
        Operand::Reg(Access::Read, Bank::Cell, CellClass::Any) => {
            // Of `prop.*`, the object is the first cell that is read.
            let by_name = row.operands.contains(&Operand::Name);
            let first = row.operands.iter().position(|operand| matches!(operand, Operand::Reg(Access::Read, ..)));
            by_name && first == Some(at)
        }
        Operand::Reg(Access::Read, Bank::Cell, class) => class != CellClass::AsDeclared,
        _ => false,
    }
}

/// Writes the function of a case: the index of the op.
fn write(text: &mut Text<'_>, row: &OpInfo, null: usize, index: usize) -> u32 {
    let mut body = Body::new(text, format_args!("f{index}()"));
    for (at, operand) in row.operands.iter().enumerate() {
        match operand {
            Operand::Reg(_, Bank::I64, _) => body.line(format_args!("  local r{at}: i64")),
            Operand::Reg(_, Bank::F64, _) => body.line(format_args!("  local r{at}: f64")),
            Operand::Reg(_, Bank::Cell, class) => {
                body.line(format_args!("  local r{at}: {}", type_name(*class)));
            }
            Operand::Closure => {
                let result = match row.operands[0] {
                    Operand::Reg(_, Bank::I64, _) => " -> i64",
                    Operand::Reg(_, Bank::F64, _) => " -> f64",
                    Operand::Reg(..) => " -> any",
                    _ => "",
                };
                body.line(format_args!("  local r{at}: fn(){result}"));
            }
            _ => {}
        }
    }
    // Everything else is wrong too: indices, keys, and what a field cannot take.
    for (at, operand) in row.operands.iter().enumerate().filter(|&(at, _)| at != null) {
        match operand {
            Operand::Reg(Access::Read | Access::ReadWrite, Bank::I64, _) => {
                body.op(format_args!("i64.const r{at}, -1"));
            }
            Operand::Reg(Access::Read, Bank::Cell, CellClass::Any) => {
                body.op(format_args!("cell.const r{at}, 1.5"));
            }
            Operand::Reg(Access::Read, Bank::Cell, CellClass::Str) => {
                body.op(format_args!("cell.const r{at}, \"no number\""));
            }
            _ => {}
        }
    }
    let mut line = [0; 96];
    let mut line = Text::new(&mut line);
    let _ = write!(line, "{}", row.mnemonic);
    let mut separator = " ";
    for (at, operand) in row.operands.iter().enumerate() {
        let _ = match operand {
            Operand::Field(Bank::I64) => write!(line, "{separator}i"),
            Operand::Field(Bank::F64) => write!(line, "{separator}f"),
            Operand::Field(Bank::Cell) => write!(line, "{separator}a"),
            Operand::Name => write!(line, "{separator}\"nowhere\""),
            Operand::Args => write!(line, "()"),
            _ => write!(line, "{separator}r{at}"),
        };
        separator = ", ";
    }
    let place = body.op(format_args!("{}", line.as_str()));
    body.op(format_args!("ret"));
    body.end();
    place
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    let each = |visit: &mut dyn FnMut(usize, &'static OpInfo, usize)| {
        let mut index = 0;
        for row in OPS.iter().filter(|row| row.traps().contains(&TrapKind::NullReference)) {
            let operands = (0..row.operands.len()).filter(|&at| refuses_null(row, at));
            assert!(operands.clone().next().is_some(), "{:?} names no operand that may not be null", row.op);
            for at in operands {
                visit(index, row, at);
                index += 1;
            }
        }
    };
    maker.group(
        "null references",
        None,
        |text| {
            let mut places = [0; CASES];
            text.put(format_args!("shape S {{ i: i64, f: f64, a: any }}\n"));
            each(&mut |index, row, null| places[index] = write(text, row, null, index));
            places
        },
        |places, visit| {
            each(&mut |index, row, _| {
                let func = Name::new(format_args!("f{index}"));
                let call = (func.as_str(), &[][..]);
                traps(visit, row.op, call, Trap::new(TrapKind::NullReference), (func.as_str(), places[index]));
            });
        },
    );
}
