//! Tests the engine and the machine that it runs on. No allocator is part of this image.
//!
//! The words of the command line are the tests, run in that order:
//! `suite` the shared suite and `programs` the programs of `tests/programs`, both through the usual engines, or those that
//! are named (`engines::all` has the words); with `odd` or `even` only every second program;
//! `permissions` a look at the page tables; `preempt` guests that the timer stops; `cores N` one guest on N cores at once;
//! `protect-...` what ends the machine with a report. `-v` anywhere tells of each case.
#![no_std]
#![no_main]

mod checks;
mod cores;
mod engines;
mod preempt;
mod protect;
#[cfg(target_arch = "aarch64")]
mod registers;

use checks::{Chosen, Tally};
use opstamp_qemu::arch::{Arch, Boot, Machine};
use opstamp_qemu::command_line::{Word, words};
use opstamp_qemu::kernel::Status;
use opstamp_qemu::memory::Region;
use opstamp_qemu::{entry, println};

entry!(main);

fn main(boot: Boot) -> Status {
    let mut region = Region::new(boot.memory);
    let option = |text| words(boot.command_line).any(|word| word.is(text));
    let mut tally = Tally::new(option("-v"));
    let chosen = Chosen(boot.command_line);
    let mut line = words(boot.command_line);
    while let Some(word) = line.next() {
        let number = line.clone().next().and_then(Word::number);
        match word {
            word if word.is("-v") || word.is("odd") || word.is("even") => {}
            word if engines::all().iter().any(|engine| word.is(engine.word)) => {}
            word if word.is("suite") => checks::suite(&mut region, &mut tally, chosen),
            word if word.is("programs") => checks::programs(&mut region, &mut tally, chosen),
            word if word.is("permissions") => {
                let found = Machine::writable_and_executable();
                tally.expect("permissions", "no page is writable and executable", found.is_none());
            }
            word if word.is("preempt") => preempt::run(&mut region, &mut tally),
            word if word.is("cores") => cores::run(&mut region, &mut tally, number.unwrap_or(1)),
            word if protect::run(&mut region, word) => {
                println!("FAIL what should have ended the machine did not");
                return Status::Failure;
            }
            // The number of cores.
            word if word.number().is_some() => {}
            _ => {
                println!("error: the command line has a word that is no test: {}", boot.command_line.escape_ascii());
                return Status::Input;
            }
        }
    }
    tally.end()
}
