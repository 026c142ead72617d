//! The arm64 encoder against an independent assembler.
//!
//! Every case is an instruction that the encoder emitted and the assembly text of the same instruction, written by this
//! test's own formatter from the operands' names. `llvm-mc` assembles the texts, a batch at a time, and the bytes must be
//! equal. Each instruction is swept over every register and every edge value in each of its operands, then drawn at
//! random. `OPSTAMP_SEED` sets the seed of the random draws, which is printed.
#![allow(missing_docs, reason = "a test")]

mod cases;
mod draw;
mod immediates;
mod labels;
mod limits;
mod moves;
mod oracle;

use cases::Case;
use draw::{Draw, Rng, seed};
use opstamp::asm::EmitError;
use oracle::Batch;

/// Random draws of each instruction.
const RANDOM: usize = 100;

/// Checks that the encoder refuses what it must, and leaves the rest to the oracle.
fn settle(name: &str, case: Case, batch: &mut Batch) {
    match (case.text, case.word) {
        (Some(text), Ok(word)) => batch.expect(text, word),
        (None, Err(EmitError::Operand { at: 0 })) => {}
        (text, word) => panic!("{name}: expected {text:?} (None: refused), the encoder says {word:x?}"),
    }
}

#[test]
fn every_operand_of_every_instruction() {
    let mut batch = Batch::new();
    let mut rng = Rng::new(seed());
    for (name, build) in cases::all() {
        let mut probe = Draw::new(&mut rng, None);
        build(&mut probe);
        let choices = probe.choices();
        for (operand, &count) in choices.iter().enumerate() {
            for choice in 0..count {
                settle(&name, build(&mut Draw::new(&mut rng, Some((operand, choice)))), &mut batch);
            }
        }
        for _ in 0..RANDOM {
            settle(&name, build(&mut Draw::new(&mut rng, None)), &mut batch);
        }
    }
    batch.check();
}
