//! Runs the `;!` expectations of a program through an engine in memory that the host lends.

use crate::driver::{Memory, Runner, SEED};
use core::cell::Cell as Shared;
use core::fmt;
use opstamp::vm3::text::{self, Expectation, Outcome, expectations};
use opstamp::{CallError, Engine, HostCall, HostFn, Instance, InstanceMemory, Module, Trap, TypeId, Value};

/// A program and what it has to print.
#[derive(Clone, Copy, Debug)]
pub struct Program<'p> {
    /// Its text.
    pub source: &'p str,
    /// What `main` prints, by the host functions `print`, `print_f64` and `print_str`, which print a line each; `None` if
    /// that is not checked.
    pub printed: Option<&'p [u8]>,
}

impl Program<'_> {
    /// Whether an expectation of it limits the fuel.
    pub fn asks_for_fuel(&self) -> bool {
        expectations(self.source).flatten().any(|expectation| expectation.with.fuel.is_some())
    }
}

/// Why a program's expectation does not hold, or could not be tried.
pub enum Wrong<'w> {
    /// The program did not come to run: the stage, and the error's own words.
    Load(&'static str, &'w dyn fmt::Display),
    /// The expectation asks for something that this run does not have, in words.
    Lacks(&'static str),
    /// The call did something else.
    Found(Result<Option<Value>, CallError>),
    /// `main` printed something else.
    Printed,
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(stage, error) => write!(f, "could not {stage}: {error}"),
            Self::Lacks(what) => write!(f, "{what}"),
            Self::Found(found) => write!(f, "found {found:?}"),
            Self::Printed => write!(f, "it printed something else than it should"),
        }
    }
}

/// The most arguments of an expectation.
const ARGS: usize = 64;

/// What a program prints, compared with what it should, as it comes.
struct Printed<'p> {
    wanted: Option<&'p [u8]>,
    at: Shared<usize>,
    wrong: Shared<bool>,
}

impl Printed<'_> {
    fn bytes(&self, bytes: &[u8]) {
        let Some(wanted) = self.wanted else { return };
        let end = self.at.get() + bytes.len();
        if wanted.get(self.at.get()..end) != Some(bytes) {
            self.wrong.set(true);
        }
        self.at.set(end);
    }
}

/// Runs each expectation of a program on a fresh instance and tells `report` of it: its line and the function it calls, and
/// what is wrong, if anything is. What cannot be loaded is told as one thing wrong in line 0.
///
/// The expectations' own stack sizes are taken from `memory.stack`, and twice as many bytes of native stack, with
/// `memory.native_stack` as the least, must be free.
pub fn run(
    program: &Program<'_>,
    memory: &mut Memory<'_>,
    runner: Runner<'_>,
    report: &mut dyn FnMut(u32, &str, Option<Wrong<'_>>),
) {
    run_some(program, memory, runner, &mut |_| true, report);
}

/// [`run`] with those expectations that are `wanted`.
pub fn run_some(
    program: &Program<'_>,
    memory: &mut Memory<'_>,
    runner: Runner<'_>,
    wanted: &mut dyn FnMut(&Expectation<'_>) -> bool,
    report: &mut dyn FnMut(u32, &str, Option<Wrong<'_>>),
) {
    macro_rules! load {
        ($stage:literal, $result:expr) => {
            match $result {
                Ok(value) => value,
                Err(error) => return report(0, "", Some(Wrong::Load($stage, &error))),
            }
        };
    }
    let used = load!("assemble", text::assemble(program.source, memory.words, memory.scratch, &mut |_| {}));
    let module = load!("verify", Module::verify(&memory.words[..used], memory.scratch));
    let functions = &mut *memory.functions;
    let runner = if program.asks_for_fuel() { runner.with_fuel() } else { runner };
    let engine = load!("make an engine", runner.engine(module, functions, memory.scratch));
    for expectation in expectations(program.source) {
        let expectation = load!("read an expectation", expectation);
        if !wanted(&expectation) {
            continue;
        }
        let memory = Lent {
            stack: &mut *memory.stack,
            state: &mut *memory.state,
            heap: &mut *memory.heap,
            native_stack: memory.native_stack,
            stress: memory.stress,
        };
        let wrong = check(&engine, program, &expectation, memory, &mut |_| {});
        report(expectation.line, expectation.call.func, wrong.err());
    }
}

/// The memory that an instance is made of.
pub struct Lent<'m> {
    /// As of [`Memory`].
    pub stack: &'m mut [u64],
    /// As of [`Memory`].
    pub state: &'m mut [u64],
    /// As of [`Memory`].
    pub heap: &'m mut [u64],
    /// As of [`Memory`].
    pub native_stack: usize,
    /// Whether a collection runs at every allocation.
    pub stress: bool,
}

/// Runs one expectation of a program on a fresh instance of an engine made of it. Shows the instance to `after` when the
/// call has ended.
pub fn check(
    engine: &Engine<'_>,
    program: &Program<'_>,
    expectation: &Expectation<'_>,
    memory: Lent<'_>,
    after: &mut dyn FnMut(&Instance<'_>),
) -> Result<(), Wrong<'static>> {
    let main = expectation.call.func == "main";
    let printed = Printed { wanted: program.printed.filter(|_| main), at: Shared::new(0), wrong: Shared::new(false) };
    let Lent { stack, state, heap, native_stack, stress } = memory;
    let bytes = usize::try_from(expectation.with.stack).unwrap_or(usize::MAX);
    let stack =
        stack.get_mut(..bytes / 8).ok_or(Wrong::Lacks("there is less memory for the stack than it asks for"))?;
    let print = |call: &mut HostCall<'_>| {
        let value = call.arg(0).ok_or(Trap::host(0))?;
        call.objects().print(value, &mut |bytes| printed.bytes(bytes))?;
        printed.bytes(b"\n");
        Ok(())
    };
    let imports = [
        HostFn { name: "print", params: &[TypeId::I64], result: TypeId::NONE, run: &print },
        HostFn { name: "print_f64", params: &[TypeId::F64], result: TypeId::NONE, run: &print },
        HostFn { name: "print_str", params: &[TypeId::STR], result: TypeId::NONE, run: &print },
    ];
    let native_stack = native_stack.max(stack.len().saturating_mul(16));
    let bytes = usize::try_from(expectation.with.heap).unwrap_or(usize::MAX);
    let heap = heap.get_mut(..bytes / 8).ok_or(Wrong::Lacks("there is less memory for the heap than it asks for"))?;
    let memory = InstanceMemory { heap, seed: SEED, stack, state, native_stack };
    let lacks = |_| Wrong::Lacks("no instance can be made: an import, or state memory, is missing");
    let mut instance = Instance::new(engine, memory, &imports).map_err(lacks)?;
    instance.set_fuel(expectation.with.fuel).map_err(|_| Wrong::Lacks("the engine counts no fuel"))?;
    instance.set_heap_stress(stress);
    let before = instance.heap_stats();
    let module = *engine.module();
    let func = module.func_index(expectation.call.func).ok_or(Wrong::Lacks("there is no such function"))?;
    let sig = module.func_sig(func.into()).ok_or(Wrong::Lacks("it has no signature"))?;
    let types = module.params(&sig).unwrap_or(&[]);
    let mut args = [Value::I64(0); ARGS];
    let mut count = 0;
    for (literal, &ty) in expectation.call.args.clone().zip(types) {
        let objects = &mut instance.objects();
        let value = objects.literal(literal, ty).map_err(|_| Wrong::Lacks("the heap has no room for an argument"))?;
        let value = value.ok_or(Wrong::Lacks("an argument does not fit"))?;
        if let Value::Cell(cell) = value {
            // Alive until the instance is gone: another argument may be made behind it.
            let _kept = objects.root(cell).map_err(|_| Wrong::Lacks("the heap has no room for an argument"))?;
        }
        *args.get_mut(count).ok_or(Wrong::Lacks("it has too many arguments"))? = value;
        count += 1;
    }
    let found = instance.call_index(func, args.get(..count).unwrap_or(&[]));
    after(&instance);
    let stats = instance.heap_stats();
    if stress && stats.collections - before.collections < stats.allocations - before.allocations {
        return Err(Wrong::Lacks("not every allocation had its collection"));
    }
    let right = match (&expectation.outcome, &found) {
        (Outcome::Ends, Ok(_)) => true,
        (Outcome::Value(literal), Ok(Some(found))) => instance.objects().is_literal(*found, *literal),
        (Outcome::Kind(kind), Ok(Some(Value::Cell(found)))) => {
            instance.objects().kind(*found).is_ok_and(|found| found.name() == *kind)
        }
        (Outcome::Trap(trap), Err(CallError::Trap(report))) => {
            report.trap == Trap { kind: trap.kind, payload: trap.payload }
                && module.func_index(trap.func) == Some(report.func)
                && trap.op == report.op
        }
        _ => false,
    };
    if !right {
        return Err(Wrong::Found(found));
    }
    let missing = printed.wanted.is_some_and(|wanted| wanted.len() != printed.at.get());
    if missing || printed.wrong.get() { Err(Wrong::Printed) } else { Ok(()) }
}
