//! vm3's text form: the assembler, the disassembler, literals and the `;!` expectations.

mod assemble;
mod body;
mod check;
mod counts;
mod disassemble;
mod error;
mod expect;
mod lexer;
mod literal;
mod records;
mod rows;
mod symbols;
mod tables;

pub use assemble::{MAX_TYPE_DEPTH, MAX_TYPE_PARTS, assemble};
pub use counts::{Sizes, sizes};
pub use disassemble::{DISASSEMBLE_SCRATCH, disassemble, write_op, write_register, write_type};
pub use error::{AsmError, ErrorKind, Found, Wants};
pub use expect::{Args, Call, Expectation, Expectations, Outcome, PRINTED_KINDS, TRAP_NAMES, Trap, With, expectations};
pub use literal::{FloatText, Literal, LiteralError, LiteralErrorKind, StrBytes, StrLit, StrText, parse_literal};

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
