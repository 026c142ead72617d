//! Engines and instances in memory of this process.

use crate::Failure;
use crate::output::Output;
use opstamp::code::{CodeMemory, Marks, Seat};
use opstamp::jit::{self, CompileError, Options};
use opstamp::runtime::context::Entry;
use opstamp::vm3::container::{Container, Section};
use opstamp::vm3::text::write_type;
use opstamp::{
    CallError, CodeCache, Engine, EngineError, HostCall, HostFn, Instance, InstanceMemory, InstantiateError, Listener,
    Module, Objects, Trap, TrapReport, TypeId, Value,
};
use opstamp_platform::{HostCode, features, native_stack};
use std::alloc::{Layout, alloc_zeroed};
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

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

/// What an engine is made of.
#[derive(Clone, Copy)]
pub struct Plan<'p> {
    /// How functions are run.
    pub kind: Kind,
    /// The heat at which a function is compiled while guests run; `None` to compile all before.
    pub threshold: Option<u32>,
    /// The most bytes of machine code and of what is known of it, in which functions are evicted.
    pub limit: Option<usize>,
    /// What is told of events.
    pub listener: Option<&'p Listener<'p>>,
    /// Whether fuel is counted.
    pub fuel: bool,
}

impl Plan<'_> {
    /// An engine of that kind like any other.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, threshold: None, limit: None, listener: None, fuel: false }
    }
}

/// Hands an engine of the module to `body`, which counts `fuel` or does not.
pub fn with_engine<R>(
    module: Module<'_>,
    kind: Kind,
    fuel: bool,
    body: impl FnOnce(&Engine<'_>) -> R,
) -> Result<R, EngineError> {
    with_planned(module, Plan { fuel, ..Plan::new(kind) }, body)
}

/// Hands an engine of the module, made by the plan, to `body`.
pub fn with_planned<R>(
    module: Module<'_>,
    plan: Plan<'_>,
    body: impl FnOnce(&Engine<'_>) -> R,
) -> Result<R, EngineError> {
    let mut functions = Vec::new();
    functions.resize_with(Engine::functions_needed(&module), Entry::default);
    let body = |engine: Engine<'_>| match plan.listener {
        Some(listener) => body(&engine.with_listener(listener)),
        None => body(&engine),
    };
    match plan.kind {
        Kind::Interp if plan.fuel => Engine::interpreter_with_fuel(module, &mut functions).map(body),
        Kind::Interp => Engine::interpreter(module, &mut functions).map(body),
        Kind::Jit => {
            let mut code =
                HostCode::new(plan.limit.map_or(WINDOW, |limit| limit.min(WINDOW))).map_err(CompileError::Code)?;
            let mut scratch = vec![0; jit::scratch_words(&module)];
            let mut options = Options { features: features(), fuel: plan.fuel, ..Options::default() };
            let Some(threshold) = plan.threshold else {
                return Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options).map(body);
            };
            options.threshold = threshold;
            let Some(limit) = plan.limit else {
                return Engine::tiered(module, &mut functions, &mut code, &mut scratch, &options).map(body);
            };
            let mut map = vec![0; CodeCache::map_words(code.size())];
            let mut seats = [Seat::new()];
            let mut marks = Vec::new();
            marks.resize_with(CodeCache::mark_words(&module), Marks::default);
            let cache = CodeCache { code: &mut code, map: &mut map, limit, seats: &mut seats, marks: &mut marks };
            Engine::cached(module, &mut functions, cache, &mut scratch, &options).map(body)
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
    // A host function can fail only by a trap, whose number is its own. What could not be written is reported when the
    // output is flushed.
    let line = |bytes: &[u8]| if output.line(bytes) { Ok(()) } else { Err(Trap::host(0)) };
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
    let mut stack = zeros("the stack", sizes.stack / 8)?;
    let mut state = vec![0; Instance::state_words(engine.module())];
    let mut heap = zeros("the heap", sizes.heap / 8)?;
    // Each hasher state of the standard library has keys of its own.
    let seed = RandomState::new().hash_one(0);
    let native_stack = native_stack().unwrap_or(0).saturating_sub(OWN_FRAMES);
    let memory = InstanceMemory { heap: &mut heap, seed, stack: &mut stack, state: &mut state, native_stack };
    let instance = Instance::new(engine, memory, &imports);
    instance.map(|mut instance| body(&mut instance)).map_err(|error| refused(engine.module(), &imports, error))
}

/// Why no instance could be made; of an import, with what would have been right.
fn refused(module: &Module<'_>, imports: &[HostFn<'_>], error: InstantiateError<'_>) -> String {
    let InstantiateError::Import { name, mismatch } = error else { return error.to_string() };
    let container = module.container();
    let supplied = |import: &HostFn<'_>| {
        let types: Vec<_> = import.params.iter().map(|&ty| type_text(container, ty)).collect();
        signature(import.name, &types, import.result, container)
    };
    if !mismatch {
        let all: Vec<_> = imports.iter().map(supplied).collect();
        return format!("import {name} is not supplied by the host, which has: {}", all.join(", "));
    }
    let all = (0..container.count(Section::Imports)).filter_map(|index| module.import(index));
    let asked = all.filter(|(import, _)| *import == name).map(|(_, sig)| {
        let types: Vec<_> = module.params(&sig).unwrap_or(&[]).iter().map(|&ty| type_text(container, ty)).collect();
        signature(name, &types, sig.result, container)
    });
    let has = imports.iter().filter(|import| import.name == name).map(supplied);
    let [asked, has] = [asked.collect::<Vec<_>>(), has.collect()].map(|all| all.join(", "));
    format!("import {asked} is supplied by the host with another signature: {has}")
}

/// A function's name and signature, as an `import` line has them.
fn signature(name: &str, params: &[String], result: TypeId, container: &Container<'_>) -> String {
    let head = format!("{name}({})", params.join(", "));
    if result == TypeId::NONE { head } else { format!("{head} -> {}", type_text(container, result)) }
}

/// A type as the text form writes it.
pub fn type_text(container: &Container<'_>, ty: TypeId) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, and of an unknown type there is nothing to say.
    let _ = write_type(container, ty, &mut text);
    text
}

/// Runs `body`, and interrupts the guest when the time is over. Gives with its result whether it was interrupted.
pub fn within<R>(
    instance: &mut Instance<'_>,
    timeout: Option<Duration>,
    body: impl FnOnce(&mut Instance<'_>) -> R,
) -> Result<(R, bool), Failure> {
    let Some(timeout) = timeout else { return Ok((body(instance), false)) };
    let handle = instance.interrupter();
    thread::scope(|scope| {
        // The channel closes when the call has ended.
        let (running, ended) = mpsc::channel::<()>();
        let clock = move || {
            let over = ended.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout);
            if over {
                handle.interrupt();
            }
            over
        };
        let started = thread::Builder::new().spawn_scoped(scope, clock);
        let clock = started.map_err(|error| format!("no thread can be started for --timeout: {error}"))?;
        let result = body(instance);
        drop(running);
        Ok((result, clock.join().unwrap_or(false)))
    })
}

/// So many zero words, of which only those that are used cost memory.
fn zeros(what: &str, words: usize) -> Result<Vec<u64>, String> {
    if words == 0 {
        return Ok(Vec::new());
    }
    let refused = || format!("{what} of {words} words of 8 bytes cannot be had from the system");
    let layout = Layout::array::<u64>(words).map_err(|_| refused())?;
    // SAFETY: the layout's size is not 0.
    let start = unsafe { alloc_zeroed(layout) }.cast::<u64>();
    if start.is_null() {
        return Err(refused());
    }
    // SAFETY: the allocation is of the layout that a vector of this capacity has, and zeros are words.
    Ok(unsafe { Vec::from_raw_parts(start, words, words) })
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
