//! The compiler holds a function's rare halves in a list of fixed length, which it must empty in time whatever op it
//! meets when the list is nearly full.

mod common;

use common::{EngineUnderTest, engines};
use opstamp::masm::COLD_CAPACITY;
use opstamp::vm3::text;
use opstamp::{Engine, Module, jit};
use opstamp_platform::HostCode;
use std::fmt::Write;

/// More rare halves than the list holds twice.
const MOST: usize = 2 * COLD_CAPACITY + 4;

/// A function with that many rare halves before the head of a loop whose op has two of its own beside the loop's poll.
fn source(halves: usize) -> String {
    let mut source = String::from("table t = [1]\nfunc f(x: i64, y: i64) -> i64\n  local d: i64\n");
    for _ in 0..halves {
        writeln!(source, "  table.get d, t, x").expect("strings take all");
    }
    source + "again:\n  i64.div d, x, y\n  br.i64.ne d, 0, again\n  ret d\nend\n"
}

#[test]
fn any_number_before_the_head_of_a_loop_compiles() {
    for EngineUnderTest { name, options, .. } in engines() {
        let Some(options) = options else { continue };
        for halves in 0..MOST {
            let source = source(halves);
            let sizes = text::sizes(&source);
            let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
            let used = text::assemble(&source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
            let mut scratch = vec![0; Module::scratch_words(&words[..used]).expect("a container")];
            let module = Module::verify(&words[..used], &mut scratch).expect("verifies");
            let mut functions = [opstamp::runtime::context::Entry::default()];
            let mut code = HostCode::new(1 << 16).expect("code memory");
            let mut scratch = vec![0; jit::scratch_words(&module)];
            let made = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options);
            assert!(made.is_ok(), "{name}, {halves} rare halves before the loop: {:?}", made.err());
        }
    }
}
