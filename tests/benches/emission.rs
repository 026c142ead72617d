//! What loading code costs: verifying, planning and emitting a large generated module and all of `tests/programs`.
//!
//! `cargo bench -p opstamp-tests --bench emission -- [--filter CORPUS] [--rounds N] [--json FILE] [--sizes]
//! [--isa x86-64|arm64|both]`
//!
//! `--sizes` prints only how much machine code there is. `--isa` says for which ISA; without it, that of the host. For
//! another ISA than the host's there are sizes alone.
//!
//! The phases, each of which goes over every module of a corpus:
//! - *verify*: `Module::verify`.
//! - *plan*: the scan before emission, of every function.
//! - *emit*: stubs and functions into plain memory, less the plan of the same round.
//! - *engine*: `Engine::machine_code`, plan and publishing included, into a window of code memory that was used before;
//!   *engine, new window*: into a fresh one each time, so that its pages are faulted in.
//! - *memcpy*: a copy of as many bytes as there are of machine code, the unit of the column `x memcpy`.
//!
//! Before them, for a function of 4 KiB in code memory: the system calls of opening and publishing it, counted by strace
//! where that is installed, and the time of publishing it.
//!
//! Rates are by the ops of the corpus (`args` words do not count) and by the bytes of its machine code: prologues, rare
//! halves, padding between functions, and one set of stubs for each module.

mod generate;
mod phases;
mod publish;
#[allow(dead_code, reason = "other benchmarks use the rest")]
mod support;

use opstamp::masm::Isa;
use phases::isa_name;
use support::Options;

fn main() {
    let options = Options::read(15, &["sizes", publish::FLAG], &[("isa", &["x86-64", "arm64", "both"])]);
    let host = Isa::HOST.expect("a host that machine code can be made for");
    let isas: Vec<Isa> = match options.value("isa") {
        None => vec![host],
        Some(wanted) => Isa::ALL.into_iter().filter(|&isa| wanted == "both" || wanted == isa_name(isa)).collect(),
    };
    if options.has(publish::FLAG) {
        return publish::steps();
    }
    let mut json = serde_json::Map::new();
    if options.wants("publish") && !options.has("sizes") {
        json.insert("publish".into(), publish::report());
    }
    type Corpus = (&'static str, fn(&Options) -> Vec<phases::Loaded>);
    let corpora: [Corpus; 2] = [("generated", phases::generated), ("programs", |_| phases::programs())];
    for (name, load) in corpora {
        if options.wants(name) {
            let measured = phases::measure(name, &load(&options), &isas, &options, options.has("sizes"));
            json.insert(name.into(), measured);
        }
    }
    options.write_json(&json.into());
}
