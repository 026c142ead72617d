//! Engines and instances in memory of this process.

use crate::Failure;
use crate::output::Output;
use opstamp::jit::{self, CompileError, Options};
use opstamp::runtime::context::Entry;
use opstamp::{
    CallError, Engine, EngineError, HostCall, HostFn, Instance, InstanceMemory, InstantiateError, Module, Objects,
    Trap, TrapReport, TypeId, Value,
};
use opstamp_platform::{HostCode, features, native_stack};
use std::hash::{BuildHasher, RandomState};

/// The size of the code window in bytes. It costs addresses alone until it is used.
const WINDOW: usize = 64 << 20;

/// Native stack that lies between the measurement and the call into the guest, in bytes.
const OWN_FRAMES: usize = 16 * 1024;

/// How functions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As machine code.
    Jit,
    /// By the interpreter.
    Interp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 2] = [Kind::Interp, Kind::Jit];

    /// The kind's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jit => "jit",
            Self::Interp => "interp",
        }
    }
}

/// Hands an engine of the module to `body`, which counts `fuel` or does not.
pub fn with_engine<R>(
    module: Module<'_>,
    kind: Kind,
    fuel: bool,
    body: impl FnOnce(&Engine<'_>) -> R,
) -> Result<R, EngineError> {
    let mut functions = Vec::new();
    functions.resize_with(Engine::functions_needed(&module), Entry::default);
    match kind {
        Kind::Interp if fuel => Engine::interpreter_with_fuel(module, &mut functions).map(|engine| body(&engine)),
        Kind::Interp => Engine::interpreter(module, &mut functions).map(|engine| body(&engine)),
        Kind::Jit => {
            let mut code = HostCode::new(WINDOW).map_err(CompileError::Code)?;
            let mut scratch = vec![0; jit::scratch_words(&module)];
            let options = Options { features: features(), fuel, ..Options::default() };
            let engine = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options)?;
            Ok(body(&engine))
        }
    }
}

/// What an instance is given, in bytes.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Its VM stack.
    pub stack: usize,
    /// Its heap.
    pub heap: usize,
}

/// Hands a fresh instance to `body`. What the guest prints goes to `output`.
pub fn with_instance<R>(
    engine: &Engine<'_>,
    sizes: Sizes,
    output: &Output,
    body: impl FnOnce(&mut Instance<'_>) -> R,
) -> Result<R, String> {
    // A host function can fail only by a trap. What could not be written is reported when the output is flushed.
    let line = |bytes: &[u8]| output.line(bytes).map_err(|_| Trap::host(0));
    let show = |call: &mut HostCall<'_>| {
        let value = call.arg(0);
        line(&value.map(|value| printed(&call.objects(), value)).unwrap_or_default())
    };
    let function = |name, ty| HostFn { name, params: ty, result: TypeId::NONE, run: &show };
    let imports = [
        function("print", &[TypeId::I64]),
        function("print_f64", &[TypeId::F64]),
        function("print_str", &[TypeId::STR]),
    ];
    let mut stack = vec![0; sizes.stack / 8];
    let mut state = vec![0; Instance::state_words(engine.module())];
    let mut heap = vec![0; sizes.heap / 8];
    // Each hasher state of the standard library has keys of its own.
    let seed = RandomState::new().hash_one(0);
    let native_stack = native_stack().unwrap_or(0).saturating_sub(OWN_FRAMES);
    let memory = InstanceMemory { heap: &mut heap, seed, stack: &mut stack, state: &mut state, native_stack };
    let instance = Instance::new(engine, memory, &imports);
    instance.map(|mut instance| body(&mut instance)).map_err(|error: InstantiateError<'_>| error.to_string())
}

/// A failed call in words: the trap with the names of its trap and function, or what was wrong with the call.
pub fn failed_call(module: &Module<'_>, error: CallError) -> Failure {
    match error {
        CallError::Trap(TrapReport { trap, func, op }) => {
            Failure::Trap(format!("{trap} in {} at op {op}", function_name(module, func)))
        }
        other => Failure::error(other),
    }
}

/// The name of a function, by its index.
pub fn function_name<'m>(module: &Module<'m>, func: u16) -> &'m str {
    let container = module.container();
    container.func(func.into()).and_then(|func| container.text(func.name)).unwrap_or("?")
}

/// The bytes that a value prints as.
pub fn printed(objects: &Objects<'_>, value: Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A value that the guest has just given is alive.
    let _ = objects.print(value, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// The values that `make` gives one by one, all kept alive until the last is made.
pub fn values<E: From<String>>(
    instance: &mut Instance<'_>,
    count: usize,
    mut make: impl FnMut(&mut Objects<'_>, usize) -> Result<Value, E>,
) -> Result<Vec<Value>, E> {
    let objects = &mut instance.objects();
    let (mut values, mut roots) = (Vec::new(), Vec::new());
    for index in 0..count {
        let value = make(objects, index)?;
        if let Value::Cell(cell) = value {
            roots.push(objects.root(cell).map_err(|error| error.to_string())?);
        }
        values.push(value);
    }
    for root in roots {
        objects.unroot(root).map_err(|error| error.to_string())?;
    }
    Ok(values)
}
