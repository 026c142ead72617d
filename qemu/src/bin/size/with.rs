//! The kernel with the whole engine but the text form: verifier, interpreter and compiler, on a container from outside.
#![no_std]
#![no_main]

use opstamp::jit::{self, Options};
use opstamp::runtime::context::Entry;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value};
use opstamp_qemu::arch::{Arch, Boot, FIRST_STACK, Machine};
use opstamp_qemu::kernel::Status;
use opstamp_qemu::memory::Region;
use opstamp_qemu::{entry, println};

entry!(main);

fn main(boot: Boot) -> Status {
    let mut region = Region::new(boot.memory);
    let first = boot.initrd.first().copied().unwrap_or(0);
    println!("{first} {:?}", core::str::from_utf8(boot.command_line));
    match run(&mut region, boot.initrd) {
        Some([interpreted, compiled]) => {
            println!("{interpreted:#x} {compiled:#x}");
            Status::Success
        }
        None => Status::Input,
    }
}

/// Runs the module's first function, which has no parameters, in both ways.
fn run(region: &mut Region, container: &[u8]) -> Option<[u64; 2]> {
    let bytes = region.values::<u64>(container.len().div_ceil(8));
    for (word, chunk) in bytes.iter_mut().zip(container.chunks(8)) {
        *word = chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    let words: &[u64] = bytes;
    let scratch = region.values(Module::scratch_words(words).ok()?);
    let module = Module::verify(words, scratch).map_err(|error| println!("error: {error}")).ok()?;
    let count = Engine::functions_needed(&module);
    let interpreter = Engine::interpreter(module, region.values::<Entry>(count)).ok()?;
    let mut code = Machine::code(region.bytes(1 << 20, 4096)).ok()?;
    let scratch = region.values(jit::scratch_words(&module));
    let options = Options { features: opstamp_platform::features(), ..Options::default() };
    let compiled = Engine::machine_code(module, region.values(count), &mut code, scratch, &options);
    let compiled = compiled.map_err(|error| println!("error: {error}")).ok()?;
    let mut results = [0; 2];
    for (engine, result) in [interpreter, compiled].iter().zip(&mut results) {
        let (stack, state) = (region.values(4096), region.values(Instance::state_words(&module)));
        let memory = InstanceMemory { heap: &mut [], seed: 0, stack, state, native_stack: FIRST_STACK / 2 };
        let mut instance = Instance::new(engine, memory, &[]).map_err(|error| println!("error: {error}")).ok()?;
        let value = instance.call_index(0, &[]).map_err(|error| println!("{error}")).ok()?;
        *result = value.map_or(0, Value::bits);
    }
    Some(results)
}
