//! Runs groups through an engine in memory that the host lends.

use crate::{Case, Coverage, Expect, Group, host};
use core::fmt;
use opstamp::code::{Marks, Seat};
use opstamp::jit::Options;
use opstamp::runtime::context::Entry;
use opstamp::vm3::container::Section;
use opstamp::vm3::op::Op;
use opstamp::vm3::text;
use opstamp::vm3::verify::{Fault, OpReason, RecordReason};
use opstamp::{
    CallError, CodeCache, CodeMemory, Engine, EngineError, Instance, InstanceMemory, Module, TrapReport, Value,
};

/// Sizes of [`Memory`] that suffice for the suite.
pub mod need {
    /// Words of container.
    pub const WORDS: usize = 256 * 1024;
    /// Words of scratch.
    pub const SCRATCH: usize = 512 * 1024;
    /// Words of VM stack.
    pub const STACK: usize = 16 * 1024;
    /// Words of heap.
    pub const HEAP: usize = 128 * 1024;
    /// Words of state.
    pub const STATE: usize = 1024;
    /// Entries of the function table.
    pub const FUNCTIONS: usize = 512;
    /// Bytes of native stack.
    pub const NATIVE_STACK: usize = 512 * 1024;
    /// Bytes of code memory.
    pub const CODE: usize = 4 * 1024 * 1024;
}

/// What the host lends. The sizes in [`need`] suffice for the suite.
pub struct Memory<'m> {
    /// The container of a module.
    pub words: &'m mut [u64],
    /// Scratch of assembler, verifier and compiler.
    pub scratch: &'m mut [u64],
    /// The VM stack.
    pub stack: &'m mut [u64],
    /// The heap.
    pub heap: &'m mut [u64],
    /// Whether a collection runs at every allocation.
    pub stress: bool,
    /// Globals, imports and constants.
    pub state: &'m mut [u64],
    /// The function table.
    pub functions: &'m mut [Entry],
    /// Bytes of native stack that are free.
    pub native_stack: usize,
}

/// What the VM stack is filled with before a module runs: no valid cell, and no number that a program expects.
pub const GARBAGE: u64 = 0xFFF7_DEAD_BEEF_5EED;

/// The seed of the instances' hashes.
pub(crate) const SEED: u64 = 0x6A09_E667_F3BC_C908;

/// How to run a group.
pub enum Runner<'r> {
    /// By the interpreter.
    Interpreter {
        /// Whether fuel is counted.
        fuel: bool,
    },
    /// As machine code in this memory.
    MachineCode(&'r mut dyn CodeMemory, Options),
    /// By the interpreter, and as machine code in this memory what is warm.
    Tiered(&'r mut dyn CodeMemory, Options),
    /// The same in a cache of so many bytes, where machine code is evicted.
    Cached(&'r mut dyn CodeMemory, Options, &'r mut CacheRoom, usize),
}

/// What a code cache of at most 64 KiB needs beside code memory, for one guest at a time.
pub struct CacheRoom {
    map: [u64; CodeCache::map_words(64 << 10)],
    seats: [Seat; 1],
    marks: [Marks; need::FUNCTIONS / 64],
}

impl CacheRoom {
    /// It may be used for one engine after the other.
    pub const fn new() -> Self {
        Self { map: [0; _], seats: [const { Seat::new() }; _], marks: [const { Marks::new(0) }; _] }
    }

    /// A cache of that many bytes.
    pub fn cache<'c>(&'c mut self, code: &'c mut dyn CodeMemory, limit: usize) -> CodeCache<'c> {
        CodeCache { code, map: &mut self.map, limit, seats: &mut self.seats, marks: &mut self.marks }
    }
}

impl Default for CacheRoom {
    fn default() -> Self {
        Self::new()
    }
}

impl<'r> Runner<'r> {
    /// The same, with fuel.
    #[must_use]
    pub fn with_fuel(self) -> Self {
        let with_fuel = |options| Options { fuel: true, ..options };
        match self {
            Runner::Interpreter { .. } => Runner::Interpreter { fuel: true },
            Runner::MachineCode(code, options) => Runner::MachineCode(code, with_fuel(options)),
            Runner::Tiered(code, options) => Runner::Tiered(code, with_fuel(options)),
            Runner::Cached(code, options, room, limit) => Runner::Cached(code, with_fuel(options), room, limit),
        }
    }

    /// An engine of a module.
    pub fn engine<'e>(
        self,
        module: Module<'e>,
        functions: &'e mut [Entry],
        scratch: &'e mut [u64],
    ) -> Result<Engine<'e>, EngineError>
    where
        'r: 'e,
    {
        match self {
            Runner::Interpreter { fuel: false } => Engine::interpreter(module, functions),
            Runner::Interpreter { fuel: true } => Engine::interpreter_with_fuel(module, functions),
            Runner::MachineCode(code, options) => Engine::machine_code(module, functions, code, scratch, &options),
            Runner::Tiered(code, options) => Engine::tiered(module, functions, code, scratch, &options),
            Runner::Cached(code, options, room, limit) => {
                Engine::cached(module, functions, room.cache(code, limit), scratch, &options)
            }
        }
    }
}

/// What went wrong.
pub enum Failure<'f> {
    /// The module did not come to run: the stage, and the error's own words.
    Load {
        /// What was tried.
        stage: &'static str,
        /// The error.
        error: &'f dyn fmt::Display,
    },
    /// The module does not contain the op that a case is about.
    Absent {
        /// The op.
        op: Op,
    },
    /// A call did something else than expected.
    Wrong {
        /// The case.
        case: &'f Case<'f>,
        /// What it did.
        found: Result<Option<Value>, CallError>,
    },
    /// Collections were to run at every allocation, and did not.
    Idle {
        /// Objects allocated.
        allocations: u64,
        /// Collections.
        collections: u64,
    },
    /// A global has another value than expected.
    Global {
        /// The case.
        case: &'f Case<'f>,
        /// The global.
        index: u32,
        /// Its value.
        found: Option<Value>,
    },
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { stage, error } => write!(f, "could not {stage}: {error}"),
            Self::Absent { op } => write!(f, "a case is about {op:?}, which the module does not contain"),
            Self::Wrong { case, found } => {
                write!(f, "{}({:?}): expected {:?}, found {found:?}", case.func, case.args, case.expect)
            }
            Self::Idle { allocations, collections } => {
                write!(f, "{collections} collections at {allocations} allocations, expected at least as many")
            }
            Self::Global { case, index, found } => {
                let expected = usize::try_from(*index).ok().and_then(|index| case.globals.get(index));
                write!(f, "{}({:?}): expected {expected:?} in global {index}, found {found:?}", case.func, case.args)
            }
        }
    }
}

/// Whether a module was refused because it needs a heap.
const fn is_for_heap(fault: Fault) -> bool {
    let op = matches!(fault, Fault::Op { reason: OpReason::NoHeap, .. });
    op || matches!(fault, Fault::Record { reason: RecordReason::NoHeap, .. })
}

/// Whether two values are the same to vm3: by bits, all NaNs equal.
pub fn same(x: Value, y: Value) -> bool {
    x.bank() == y.bank() && x.bits() == y.bits()
}

/// Runs a group: counts its cases in `coverage`, reports what fails, tells `told` of each case that passed, and shows the
/// instance to `after` when all have run. Gives the number of cases that passed.
pub fn run(
    group: &Group<'_>,
    memory: &mut Memory<'_>,
    runner: Runner<'_>,
    coverage: &mut Coverage,
    report: &mut dyn FnMut(&Failure<'_>),
    told: &mut dyn FnMut(&Case<'_>),
    after: &mut dyn FnMut(&Instance<'_>),
) -> u32 {
    macro_rules! load {
        ($stage:literal, $result:expr) => {
            match $result {
                Ok(value) => value,
                Err(error) => {
                    report(&Failure::Load { stage: $stage, error: &error });
                    return 0;
                }
            }
        };
    }
    let used = load!("assemble", text::assemble(group.text, memory.words, memory.scratch, &mut |_| {}));
    let module = match Module::verify(&memory.words[..used], memory.scratch) {
        Err(error) if !cfg!(feature = "heap") && is_for_heap(error.fault()) => return 0,
        outcome => load!("verify", outcome),
    };
    let functions = &mut *memory.functions;
    let engine = load!("make an engine", runner.engine(module, functions, memory.scratch));
    let imports = host::imports();
    let stack = match group.stack_words {
        None => &mut *memory.stack,
        Some(words) => &mut memory.stack[..words],
    };
    stack.fill(GARBAGE);
    let instance_memory = InstanceMemory {
        heap: &mut *memory.heap,
        seed: SEED,
        stack,
        state: &mut *memory.state,
        native_stack: memory.native_stack,
    };
    let mut instance = load!("instantiate", Instance::new(&engine, instance_memory, &imports));
    instance.set_heap_stress(memory.stress);
    load!("give fuel", instance.set_fuel(None));
    let before = instance.heap_stats();
    let mut passed = 0;
    let mut seen = Coverage::new();
    group.cases(&mut |case| {
        if seen.of(case.op) == 0 {
            seen.count(case.op);
            let mut words = module.container().section(Section::Code).iter();
            if !words.any(|&word| Op::from_code(word as u8) == Some(case.op)) {
                report(&Failure::Absent { op: case.op });
            }
        }
        coverage.count(case.op);
        if check(&mut instance, case, report) {
            told(case);
            passed += 1;
        }
    });
    after(&instance);
    let stats = instance.heap_stats();
    let (allocations, collections) = (stats.allocations - before.allocations, stats.collections - before.collections);
    if memory.stress && collections < allocations {
        report(&Failure::Idle { allocations, collections });
    }
    passed
}

fn check(instance: &mut Instance<'_>, case: &Case<'_>, report: &mut dyn FnMut(&Failure<'_>)) -> bool {
    if let Err(error) = instance.reset() {
        report(&Failure::Load { stage: "reset", error: &error });
        return false;
    }
    let found = instance.call(case.func, case.args);
    let right = match (case.expect, found) {
        (Expect::Returns(None), Ok(None)) => true,
        (Expect::Returns(Some(wanted)), Ok(Some(value))) => same(wanted, value),
        (Expect::Traps { trap, func, op }, Err(CallError::Trap(at))) => {
            let func = instance.engine().module().func_index(func);
            func.is_some_and(|func| at == TrapReport { trap, func, op })
        }
        _ => false,
    };
    if !right {
        report(&Failure::Wrong { case, found });
        return false;
    }
    for (index, &wanted) in (0..).zip(case.globals) {
        let found = instance.global(index);
        if !found.is_some_and(|found| same(wanted, found)) {
            report(&Failure::Global { case, index, found });
            return false;
        }
    }
    true
}
