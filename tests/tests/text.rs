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

use opstamp::vm3::Module;
use opstamp::vm3::container::Container;
use opstamp::vm3::text::{AsmError, DISASSEMBLE_SCRATCH, OpSite, assemble, disassemble, sizes};
use opstamp::vm3::verify::VerifyOptions;

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

/// Assembles a module that must be right, for the verifier too.
#[track_caller]
fn words(source: &str) -> Vec<u64> {
    match asm(source) {
        Ok((words, _)) => {
            let mut scratch = vec![u64::MAX; Module::scratch_words(&words).unwrap()];
            if let Err(error) = Module::verify_with(&words, &mut scratch, VerifyOptions { heap: true }) {
                panic!("{error}\n{source}");
            }
            words
        }
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
