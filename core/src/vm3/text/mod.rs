//! vm3's text form: the assembler, the disassembler, literals and the `;!` expectations.
//!
//! `vm3.md`, "Text form", is normative. Where it is silent:
//! - A declaration starts on a line of its own, and so does `end`. A label may have an op behind it on its line, and
//!   another label. Lists have no comma behind their last element. Brackets are `()`, `[]` and `{}`.
//! - FLOAT has digits before the `.` and behind it, and a small `e`; hexadecimal takes no sign. A finite FLOAT that
//!   rounds to infinity does not fit an f64. An INT for an f64 is the i64's value, hexadecimal too.
//! - A string ends on its line; `\u{H}` has one to six digits.
//! - A carriage return outside strings stands in front of a newline, or ends the source.
//! - A global of type `any` takes any literal, `str` a string or `null`, every other cell type `null`, which is the
//!   same as none. A global of type i64 takes no FLOAT, `true` or `false`.
//! - Function types nest and count parameters as [`Composite`](crate::vm3::types::Composite) says, and one type is made
//!   of at most [`MAX_TYPE_PARTS`] types.
//! - A function has an op, its last op is one that control does not go on from, and types are checked as the verifier
//!   does, so that their errors have a line and column.
//! - `;!` makes an expectation only where it starts its line. It may have a comment behind it. `f(1)` alone expects
//!   that the call ends without a trap and says nothing of its result. `with` takes each setting at most once, and a
//!   call must follow it.

mod assemble;
mod body;
mod check;
mod counts;
mod disassemble;
mod error;
mod expect;
mod float;
mod lexer;
mod literal;
mod records;
mod rows;
mod symbols;
mod tables;

pub use assemble::{MAX_TYPE_PARTS, assemble};
pub use check::{FieldNames, RestType};
pub use counts::{Sizes, sizes};
pub use disassemble::{DISASSEMBLE_SCRATCH, disassemble, write_op, write_register, write_type};
pub use error::{AsmError, ErrorKind, Found, Wants};
pub use expect::{Args, Call, Expectation, Expectations, Outcome, PRINTED_KINDS, Trapped, With, expectations};
pub use float::FloatText;
pub(crate) use literal::parse_number;
pub use literal::{Literal, LiteralError, LiteralErrorKind, StrBytes, StrLit, StrText, parse_literal};
pub use rows::closest_name;

/// Where an op came from, as [`assemble`] tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpSite {
    /// The function's index.
    pub func: u16,
    /// The op's first word in the function.
    pub word: u16,
    /// The source line, from 1.
    pub line: u32,
}
