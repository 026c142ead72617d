//! vm3's text form: assembler, disassembler, literals and expectations.

#[path = "text/errors.rs"]
mod errors;
#[path = "text/expectations.rs"]
mod expectations;
#[path = "text/literals.rs"]
mod literals;
#[path = "text/modules.rs"]
mod modules;
#[path = "text/robustness.rs"]
mod robustness;
#[path = "text/rows.rs"]
mod rows;

use opstamp::vm3::container::Container;
use opstamp::vm3::text::{AsmError, DISASSEMBLE_SCRATCH, OpSite, assemble, disassemble, sizes};

/// Assembles with exactly the memory that `sizes` states, full of ones.
fn asm(source: &str) -> Result<(Vec<u64>, Vec<OpSite>), AsmError<'_>> {
    let sizes = sizes(source);
    let mut out = vec![u64::MAX; sizes.out_words];
    let mut scratch = vec![u64::MAX; sizes.scratch_words];
    let mut sites = Vec::new();
    let words = assemble(source, &mut out, &mut scratch, &mut |site| sites.push(site))?;
    out.truncate(words);
    Ok((out, sites))
}

#[track_caller]
fn words(source: &str) -> Vec<u64> {
    match asm(source) {
        Ok((words, _)) => words,
        Err(error) => panic!("{error}\n{source}"),
    }
}

fn text(words: &[u64]) -> String {
    let mut text = String::new();
    let mut scratch = vec![u64::MAX; DISASSEMBLE_SCRATCH];
    disassemble(&Container::read(words).unwrap(), &mut text, &mut scratch).unwrap();
    text
}

/// Checks that the module's disassembly assembles to the same words.
#[track_caller]
fn round_trip(source: &str) {
    let first = words(source);
    let again = text(&first);
    assert_eq!(words(&again), first, "the disassembly is\n{again}");
}

/// xorshift64*, for reproducible cases.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
