//! Runs a guest that was handed in as an initrd: vm3 text, or a container. What the guest prints and its result go to the
//! console; the last line says what went wrong, if anything did.
//!
//! Command line: `[--name FILE] [--func NAME] [--engine jit|interp] [-- ARG...]`. This kernel wants a heap, because what a
//! guest needs depends on the guest; the engine itself takes slices, wherever they lie.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use linked_list_allocator::LockedHeap;
use opstamp::jit::{self, Options};
use opstamp::runtime::context::Entry;
use opstamp::vm3::container::{ContainerError, MAGIC};
use opstamp::vm3::text;
use opstamp::{
    CallError, Engine, HeapError, HostCall, HostFn, Instance, InstanceMemory, Module, Objects, Trap, TypeId, Value,
};
use opstamp_platform::{features, value};
use opstamp_qemu::arch::{Arch, Boot, FIRST_STACK, Machine};
use opstamp_qemu::command_line::words;
use opstamp_qemu::kernel::Status;
use opstamp_qemu::memory::Region;
use opstamp_qemu::{entry, println};

entry!(main);

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Bytes of code window.
const WINDOW: usize = 64 << 20;
/// Bytes of VM stack, as `opstamp run` gives them.
const STACK: usize = 1 << 20;
/// The most bytes of heap that the guest is given.
const GUEST_HEAP: usize = 64 << 20;
/// Bytes of native stack for this kernel's own functions.
const OWN_FRAMES: usize = 64 << 10;

/// Why there is no result: what to print.
enum Failure {
    /// The guest trapped.
    Trap(String),
    /// The guest cannot be run.
    Input(String),
}

/// What the command line asks for.
struct Request {
    file: String,
    func: String,
    interpret: bool,
    args: Vec<Vec<u8>>,
}

fn main(boot: Boot) -> Status {
    let mut region = Region::new(boot.memory);
    let window = region.bytes(WINDOW, 4096);
    let heap = region.bytes(region.left(), 1);
    // SAFETY: the memory is this kernel's for ever, nobody else uses it, and the heap is initialized once.
    unsafe { HEAP.lock().init(heap.as_mut_ptr(), heap.len()) };
    let done = request(boot.command_line).and_then(|request| run(&request, boot.initrd, window));
    match done {
        Ok(()) => Status::Success,
        Err(Failure::Trap(what)) => {
            println!("trap: {what}");
            Status::Failure
        }
        Err(Failure::Input(what)) => {
            println!("error: {what}");
            Status::Input
        }
    }
}

fn request(line: &[u8]) -> Result<Request, Failure> {
    let mut words = words(line).map(|word| word.bytes().collect::<Vec<u8>>());
    let mut request =
        Request { file: "guest".to_string(), func: "main".to_string(), interpret: false, args: Vec::new() };
    while let Some(word) = words.next() {
        let mut text = || String::from_utf8_lossy(&words.next().unwrap_or_default()).into_owned();
        match &*word {
            b"--name" => request.file = text(),
            b"--func" => request.func = text(),
            b"--engine" => request.interpret = text() == "interp",
            b"--" => {
                request.args = words.collect();
                break;
            }
            word => {
                let word = word.escape_ascii();
                return Err(Failure::Input(format!("the kernel's command line has an unknown word `{word}`")));
            }
        }
    }
    Ok(request)
}

/// Memory for `count` values, or an error that says what it was for.
fn memory<T: Default>(what: &str, count: usize) -> Result<Vec<T>, Failure> {
    let mut memory = Vec::new();
    let (bytes, free) = (count.saturating_mul(size_of::<T>()), HEAP.lock().free());
    let full = |_| Failure::Input(format!("{what} takes {bytes} bytes of memory, the machine has {free} left"));
    memory.try_reserve_exact(count).map_err(full)?;
    memory.resize_with(count, T::default);
    Ok(memory)
}

fn run(request: &Request, bytes: &[u8], window: &'static mut [u8]) -> Result<(), Failure> {
    let wrong = |what: &dyn core::fmt::Display| Failure::Input(format!("{}: {what}", request.file));
    let words = container(request, bytes)?;
    let needed = Module::scratch_words(&words).map_err(|error| wrong(&error))?;
    let mut scratch = memory("verification", needed)?;
    let module = Module::verify(&words, &mut scratch).map_err(|error| wrong(&error))?;
    let func = module
        .func_index(&request.func)
        .ok_or_else(|| wrong(&format_args!("there is no function `{}`", request.func)))?;
    let types = module.func_sig(func.into()).and_then(|sig| module.params(&sig)).unwrap_or(&[]);
    if types.len() != request.args.len() {
        let (name, takes, given) = (&request.func, types.len(), request.args.len());
        let plural = if takes == 1 { "" } else { "s" };
        return Err(Failure::Input(format!("{name} takes {takes} argument{plural}, {given} given")));
    }

    let mut functions: Vec<Entry> = memory("the function table", Engine::functions_needed(&module))?;
    let mut code = Machine::code(window).map_err(|error| Failure::Input(error.to_string()))?;
    let engine = if request.interpret {
        Engine::interpreter(module, &mut functions)
    } else {
        let mut scratch = memory("compilation", jit::scratch_words(&module))?;
        let options = Options { features: features(), ..Options::default() };
        Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options)
    };
    let engine = engine.map_err(|error| wrong(&error))?;

    let print = |call: &mut HostCall<'_>| -> Result<(), Trap> {
        if let Some(value) = call.arg(0) {
            print_line(&call.objects(), value)?;
        }
        Ok(())
    };
    let function = |name, params| HostFn { name, params, result: TypeId::NONE, run: &print };
    let imports = [
        function("print", &[TypeId::I64]),
        function("print_f64", &[TypeId::F64]),
        function("print_str", &[TypeId::STR]),
    ];
    let mut stack = memory("the VM stack", STACK / 8)?;
    let mut state = memory("the globals", Instance::state_words(&module))?;
    // Half of what is left, at most what vm3.md gives expectations: the rest is for what the kernel itself still makes.
    let left = HEAP.lock().free() / 2;
    let mut heap = memory("the guest's heap", left.min(GUEST_HEAP) / 8)?;
    let memory = InstanceMemory {
        heap: &mut heap,
        seed: 0,
        stack: &mut stack,
        state: &mut state,
        native_stack: FIRST_STACK - OWN_FRAMES,
    };
    let mut instance = Instance::new(&engine, memory, &imports).map_err(|error| wrong(&error))?;
    let args = arguments(&mut instance, types, request)?;
    match instance.call_index(func, &args) {
        Ok(result) => {
            if let Some(value) = result {
                print_line(&instance.objects(), value).map_err(|error| wrong(&error))?;
            }
            Ok(())
        }
        Err(CallError::Trap(report)) => {
            let name = module.func(report.func.into()).map_or("?", |func| func.name);
            Err(Failure::Trap(format!("{} in {name} at op {}", report.trap, report.op)))
        }
        Err(other) => Err(Failure::Input(other.to_string())),
    }
}

/// The guest as a container.
fn container(request: &Request, bytes: &[u8]) -> Result<Vec<u64>, Failure> {
    let wrong = |what: &dyn core::fmt::Display| Failure::Input(format!("{}: {what}", request.file));
    if bytes.starts_with(&MAGIC.to_le_bytes()) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(wrong(&ContainerError::Size { bytes: bytes.len() }));
        }
        let mut words = memory("the module", chunks.len())?;
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        return Ok(words);
    }
    let source = core::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = 1 + bytes.iter().take(at).filter(|&&byte| byte == b'\n').count();
        wrong(&format_args!("neither a vm3 container nor text: line {line} is not UTF-8 (byte {at} of the file)"))
    })?;
    let sizes = text::sizes(source);
    let mut words = memory("the module", sizes.out_words)?;
    let mut scratch = memory("assembly", sizes.scratch_words)?;
    let count = text::assemble(source, &mut words, &mut scratch, &mut |_| {})
        .map_err(|error| Failure::Input(format!("{}:{error}", request.file)))?;
    words.truncate(count);
    Ok(words)
}

fn arguments(instance: &mut Instance<'_>, types: &[TypeId], request: &Request) -> Result<Vec<Value>, Failure> {
    let objects = &mut instance.objects();
    let mut values = Vec::new();
    for ((number, word), &ty) in (1..).zip(&request.args).zip(types) {
        let value =
            value::from_word(objects, word, ty).map_err(|what| Failure::Input(format!("argument {number}: {what}")))?;
        if let Value::Cell(cell) = value {
            // Alive as long as the instance, which runs once.
            let _kept = objects.root(cell).map_err(|what| Failure::Input(format!("argument {number}: {what}")))?;
        }
        values.push(value);
    }
    Ok(values)
}

fn print_line(objects: &Objects<'_>, value: Value) -> Result<(), HeapError> {
    objects.print(value, &mut Machine::write)?;
    Machine::write(b"\n");
    Ok(())
}
