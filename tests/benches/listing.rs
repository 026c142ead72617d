//! The machine code of a function beside its ops.

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use opstamp::masm::{Features, Isa, Place};
use opstamp::vm3::op::Op;
use opstamp::vm3::text::write_op;
use opstamp::{Module, jit};

/// Prints what the compiler emits for a function.
pub fn print(module: &Module<'_>, name: &str, features: Features) {
    let mut memory = vec![0; 16 << 20];
    let stubs = jit::stubs(Isa::X86_64, &mut memory, features).expect("stubs");
    let start = stubs.end.next_multiple_of(64);
    let func = module.func_by_name(name).expect("a function of the module");
    let index = u16::try_from(func.index).expect("an index");
    let mut scratch = vec![0; jit::scratch_words(module)];
    let place = Place::new(start, features, stubs, index);
    let listing = jit::function(Isa::X86_64, module, index, &mut memory[start..], place, &mut scratch, usize::MAX)
        .expect("compiles");
    let mut marks = std::collections::BTreeMap::new();
    for word in 0..func.code.len() {
        if let Some(offset) = listing.op(word).filter(|_| Op::from_code(func.code[word] as u8).is_some()) {
            let mut text = String::new();
            let _ = write_op(module.container(), func.index, word as u32, &mut text);
            marks.entry(offset).or_insert_with(Vec::new).push(text);
        }
    }
    println!("{name}: {} bytes, body at {:#x}, cold at {:#x}", listing.len(), listing.body(), listing.cold());
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
