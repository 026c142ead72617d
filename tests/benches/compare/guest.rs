//! Engines and instances for the benchmark.

use crate::support::assemble;
use opstamp::runtime::context::Entry;
use opstamp::{CallError, Engine, Instance, InstanceMemory, Module, Value, jit};
use opstamp_platform::HostCode;

/// Words of VM stack and heap of an instance: what programs expect.
const STACK_WORDS: usize = (1 << 20) / 8;
const HEAP_WORDS: usize = (64 << 20) / 8;
/// Bytes of native stack that an instance is promised. Native kernels recurse too.
const NATIVE_STACK: usize = 2 << 20;
/// Bytes of code memory.
const WINDOW: usize = 16 << 20;

/// How a guest runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As machine code, compiled before.
    MachineCode,
    /// From the interpreter into machine code, at the default threshold: compiling is part of the first run.
    Tiered,
    Interpreter,
}

/// What a guest is lent.
pub struct Memory {
    functions: Vec<Entry>,
    code: HostCode,
    scratch: Vec<u64>,
    stack: Vec<u64>,
    state: Vec<u64>,
    heap: Vec<u64>,
}

impl Memory {
    /// For guests of this module.
    pub fn new(module: &Module<'_>) -> Self {
        Self {
            functions: (0..Engine::functions_needed(module)).map(|_| Entry::default()).collect(),
            code: HostCode::new(WINDOW).expect("code memory"),
            scratch: vec![0; jit::scratch_words(module)],
            stack: vec![0; STACK_WORDS],
            state: vec![0; Instance::state_words(module)],
            heap: vec![0; HEAP_WORDS],
        }
    }

    /// Gives the code memory back and takes a new one, no page of which was used before.
    pub fn renew_code(&mut self) {
        self.code = HostCode::new(WINDOW).expect("code memory");
    }
}

/// A verified module, which stays in memory.
pub fn module(name: &str, source: &str) -> Module<'static> {
    let words = assemble(name, source).leak();
    verify(name, words)
}

/// The module of a container.
pub fn verify<'w>(name: &str, words: &'w [u64]) -> Module<'w> {
    let mut scratch = vec![0; Module::scratch_words(words).expect("a container")];
    Module::verify(words, &mut scratch).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compiles every function of a module.
pub fn compile(module: Module<'_>, memory: &mut Memory) {
    let Memory { functions, code, scratch, .. } = memory;
    let engine = Engine::machine_code(module, functions, code, scratch, &options());
    std::hint::black_box(engine.unwrap_or_else(|error| panic!("no engine: {error}")));
}

fn options() -> jit::Options {
    jit::Options { features: opstamp_platform::features(), ..Default::default() }
}

/// A module's function, ready to run.
pub struct Guest<'g> {
    pub instance: Instance<'g>,
    function: u16,
}

impl Guest<'_> {
    /// Runs the function.
    pub fn run(&mut self, sizes: &[i64]) -> Result<Option<Value>, CallError> {
        let mut args = [Value::I64(0); 4];
        let args = &mut args[..sizes.len()];
        args.iter_mut().zip(sizes).for_each(|(arg, &size)| *arg = Value::I64(size));
        self.instance.call_index(self.function, args)
    }
}

/// Makes an engine and an instance, and hands the guest to `body`.
pub fn with_guest<R>(
    module: Module<'_>,
    function: &str,
    memory: &mut Memory,
    kind: Kind,
    body: impl FnOnce(&mut Guest<'_>) -> R,
) -> R {
    let function = module.func_index(function).unwrap_or_else(|| panic!("there is no function {function}"));
    let Memory { functions, code, scratch, stack, state, heap } = memory;
    let options = options();
    let engine = match kind {
        Kind::MachineCode => Engine::machine_code(module, functions, code, scratch, &options),
        Kind::Tiered => Engine::tiered(module, functions, code, scratch, &options),
        Kind::Interpreter => Engine::interpreter(module, functions),
    };
    let engine = engine.unwrap_or_else(|error| panic!("no engine: {error}"));
    let memory = InstanceMemory { heap, seed: 0, stack, state, native_stack: NATIVE_STACK };
    let instance = Instance::new(&engine, memory, &[]).unwrap_or_else(|error| panic!("no instance: {error}"));
    body(&mut Guest { instance, function })
}
