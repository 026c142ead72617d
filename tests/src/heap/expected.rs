//! Cases written as `;!` expectations in the text of a module.
//!
//! A function that an expectation calls is named after the op that the case is about: the op's name in Rust, and
//! whatever follows it behind an underscore.

use crate::func::{Name, Text};
use crate::{Case, Expect, Visit};
use core::fmt::Write;
use opstamp::vm3::op::{OPS, Op};
use opstamp::vm3::text::{Literal, Outcome, expectations};
use opstamp::{Cell, Trap, Value};

/// Arguments of a case, at most.
const ARGS: usize = 8;

/// Writes a template with each `$` and the letter behind it replaced.
///
/// # Panics
///
/// When a letter is not among `replaced`, or the buffer is full.
pub(crate) fn fill(text: &mut Text<'_>, template: &str, replaced: &[(char, &str)]) {
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('$') {
        let letter = behind.chars().next();
        let with = replaced.iter().find(|(known, _)| Some(*known) == letter).expect("a known letter").1;
        text.put(format_args!("{before}{with}"));
        rest = &behind[1..];
    }
    text.put(format_args!("{rest}"));
}

/// The op that a function of this name is about.
fn op(func: &str) -> Op {
    let name = func.split_once('_').map_or(func, |(name, _)| name);
    let found = OPS.iter().find(|row| Name::new(format_args!("{:?}", row.op)).as_str() == name);
    found.expect("a function named after an op").op
}

/// The value of a literal as the host gives it and gets it.
fn value(literal: Literal<'_>) -> Value {
    let mut bytes = [0; 64];
    match literal {
        Literal::Int(value) => Value::I64(value),
        Literal::Float(value) => Value::F64(value),
        Literal::Bool(value) => Value::Cell(Cell::bool(value)),
        Literal::Null => Value::Cell(Cell::NULL),
        Literal::Str(text) => {
            let bytes = text.decode_into(&mut bytes).expect("a short string");
            Value::Cell(Cell::str(bytes).expect("a string of at most 5 bytes"))
        }
    }
}

/// Hands out the expectations of a text as cases. Numbers stand for i64 and f64, so that a function of a case neither takes
/// nor gives one as a cell.
///
/// # Panics
///
/// When an expectation is wrong in itself, or says what a case cannot.
pub(crate) fn cases(text: &str, visit: &mut Visit<'_>) {
    for expectation in expectations(text) {
        let expectation = match expectation {
            Ok(expectation) => expectation,
            Err(error) => {
                let mut line = [0; 200];
                let mut line = Text::new(&mut line);
                let _ = write!(line, "{error}");
                panic!("{}", line.as_str());
            }
        };
        let func = expectation.call.func;
        let mut args = [Value::I64(0); ARGS];
        let mut count = 0;
        for literal in expectation.call.args {
            args[count] = value(literal);
            count += 1;
        }
        let expect = match expectation.outcome {
            Outcome::Ends => Expect::Returns(None),
            Outcome::Value(literal) => Expect::Returns(Some(value(literal))),
            Outcome::Trap(at) => {
                Expect::Traps { trap: Trap { kind: at.kind, payload: at.payload }, func: at.func, op: at.op }
            }
            Outcome::Kind(_) => panic!("{func} gives a kind, which a case cannot compare"),
        };
        visit(&Case { op: op(func), func, args: &args[..count], expect, globals: &[] });
    }
}
