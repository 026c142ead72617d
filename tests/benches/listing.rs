//! The machine code of a function beside its ops.

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use opstamp::masm::{FUNCTION_ALIGN, Features, Isa, Place};
use opstamp::vm3::op::Op;
use opstamp::vm3::text::write_op;
use opstamp::{Module, jit};

/// Bytes of memory for one function and the stubs.
const MEMORY: usize = 16 << 20;

/// Prints what the compiler emits for the function of that index. Addresses count from its start.
pub fn print(module: &Module<'_>, index: u16, features: Features) {
    let func = module.func(index.into()).expect("a function of the module");
    let mut memory = vec![0; MEMORY];
    let stubs = jit::stubs(Isa::X86_64, &mut memory, features, jit::most_floats(module)).expect("stubs");
    let start = stubs.end.next_multiple_of(FUNCTION_ALIGN);
    let mut scratch = vec![0; jit::scratch_words(module)];
    let place = Place::new(start, features, stubs, index);
    let listing = jit::function(Isa::X86_64, module, index, &mut memory[start..], place, &mut scratch, usize::MAX)
        .expect("compiles");
    let mut marks = std::collections::BTreeMap::new();
    for word in 0..func.code.len() {
        if let Some(offset) = listing.op(word).filter(|_| Op::from_code(func.code[word] as u8).is_some()) {
            let mut text = String::new();
            write_op(module.container(), func.index, word as u32, &mut text).expect("strings take all");
            marks.entry(offset).or_insert_with(Vec::new).push(text);
        }
    }
    println!("{}: {} bytes, rare halves from {:x}h", func.name, listing.len(), listing.cold());
    let code = &memory[start..start + listing.len()];
    let mut formatter = IntelFormatter::new();
    let mut out = String::new();
    for instruction in Decoder::with_ip(64, code, 0, DecoderOptions::NONE).iter() {
        let at = instruction.ip() as usize;
        for mark in marks.get(&at).into_iter().flatten() {
            println!("                              ; {mark}");
        }
        out.clear();
        formatter.format(&instruction, &mut out);
        println!("  {at:5x}  {out}");
    }
}
