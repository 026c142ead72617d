//! What the hosted tests share: the engines of this host, and their memory.
#![allow(dead_code, reason = "each test uses its part")]

pub mod instance;

use opstamp::jit::Options;
use opstamp::runtime::context::Entry;
use opstamp::vm3::text::expectations;
use opstamp::{CodeMemory, EngineError};
use opstamp_platform::HostCode;
use opstamp_tests::driver::{CacheRoom, Memory, Runner, need};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An engine of this host: its name, and the options of the compiler unless it interprets.
pub struct EngineUnderTest {
    pub name: &'static str,
    pub options: Option<Options>,
    /// Whether functions are compiled only when they are warm.
    pub tiered: bool,
    /// The bytes of a code cache that functions are evicted from; 0 for one that never has to.
    pub limit: usize,
    /// Whether fuel is counted.
    pub fuel: bool,
}

impl EngineUnderTest {
    /// An engine for a module.
    pub fn make<'e>(
        &'e self,
        module: opstamp::Module<'e>,
        functions: &'e mut [Entry],
        code: &'e mut dyn CodeMemory,
        cache: &'e mut CacheRoom,
        scratch: &'e mut [u64],
    ) -> Result<opstamp::Engine<'e>, EngineError> {
        runner(self, code, cache).engine(module, functions, scratch)
    }
}

/// All engines of this host.
pub fn engines() -> Vec<EngineUnderTest> {
    let interpreter = EngineUnderTest { name: "interpreter", options: None, tiered: false, limit: 0, fuel: false };
    let mut engines = vec![interpreter];
    if machine_code_available() {
        let all = Options { features: opstamp_platform::features(), ..Options::default() };
        let threshold = |threshold| Options { threshold, ..all };
        let mut add = |name, options, tiered, limit| {
            engines.push(EngineUnderTest { name, options: Some(options), tiered, limit, fuel: false });
        };
        add("machine code", all, false, 0);
        add("machine code, nothing pinned", Options { max_pinned: 0, ..all }, false, 0);
        add("machine code, two pinned", Options { max_pinned: 2, ..all }, false, 0);
        add("machine code, baseline CPU", Options::default(), false, 0);
        add("compiled when called", threshold(1), true, 0);
        add("compiled when warm", threshold(3), true, 0);
        add("compiled when called, in a cache of 12 KiB", threshold(1), true, 12 << 10);
    }
    engines
}

/// The engines that also count fuel: the interpreter, the compiler of whole modules, and what is in turns run by both.
pub fn engines_with_fuel() -> Vec<EngineUnderTest> {
    let names = [
        ("interpreter", "interpreter with fuel"),
        ("machine code", "machine code with fuel"),
        ("compiled when warm", "compiled when warm, with fuel"),
    ];
    let with_fuel = |engine: EngineUnderTest| {
        let (_, name) = names.into_iter().find(|(name, _)| *name == engine.name)?;
        Some(EngineUnderTest { name, fuel: true, ..engine })
    };
    engines().into_iter().filter_map(with_fuel).collect()
}

/// Whether the compiler knows this host's machine.
fn machine_code_available() -> bool {
    static AVAILABLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *AVAILABLE.get_or_init(compiles)
}

fn compiles() -> bool {
    let mut room = Room::new();
    let memory = room.memory();
    let words = opstamp::vm3::text::assemble("func f()\n  ret\nend\n", memory.words, memory.scratch, &mut |_| {});
    let module = opstamp::Module::verify(&memory.words[..words.expect("assembles")], memory.scratch).expect("verifies");
    let mut code = HostCode::new(need::CODE).expect("code memory");
    let engine =
        opstamp::Engine::machine_code(module, memory.functions, &mut code, memory.scratch, &Options::default());
    !matches!(engine, Err(EngineError::Compile(opstamp::jit::CompileError::Host)))
}

/// Memory for the driver.
pub struct Room {
    words: Vec<u64>,
    scratch: Vec<u64>,
    stack: Vec<u64>,
    heap: Vec<u64>,
    state: Vec<u64>,
    functions: Vec<Entry>,
    pub code: HostCode,
}

impl Room {
    pub fn new() -> Self {
        Self {
            words: vec![0; need::WORDS],
            scratch: vec![0; need::SCRATCH],
            stack: vec![0; need::STACK],
            heap: vec![0; need::HEAP],
            state: vec![0; need::STATE],
            functions: (0..need::FUNCTIONS).map(|_| Entry::default()).collect(),
            code: HostCode::new(need::CODE).expect("code memory"),
        }
    }

    /// Memory that also suffices for this source.
    pub fn for_source(source: &str) -> Self {
        let mut room = Self::new();
        let sizes = opstamp::vm3::text::sizes(source);
        room.words.resize(sizes.out_words.max(need::WORDS), 0);
        room.scratch.resize(sizes.scratch_words.max(need::SCRATCH), 0);
        let stack = expectations(source).flatten().map(|expectation| expectation.with.stack as usize / 8).max();
        room.stack.resize(stack.unwrap_or(0).max(need::STACK), 0);
        let heap = expectations(source).flatten().map(|expectation| expectation.with.heap as usize / 8).max();
        room.heap = vec![0; heap.unwrap_or(0).max(need::HEAP)];
        room
    }

    pub fn memory(&mut self) -> Memory<'_> {
        self.parts().0
    }

    /// The memory, and the code memory beside it.
    pub fn parts(&mut self) -> (Memory<'_>, &mut HostCode) {
        let memory = Memory {
            words: &mut self.words,
            scratch: &mut self.scratch,
            stack: &mut self.stack,
            heap: &mut self.heap,
            stress: false,
            state: &mut self.state,
            functions: &mut self.functions,
            native_stack: need::NATIVE_STACK,
        };
        (memory, &mut self.code)
    }
}

/// How the driver runs this engine.
pub fn runner<'r>(engine: &EngineUnderTest, code: &'r mut dyn CodeMemory, cache: &'r mut CacheRoom) -> Runner<'r> {
    let runner = match engine.options {
        None => Runner::Interpreter { fuel: false },
        Some(options) if engine.limit != 0 => Runner::Cached(code, options, cache, engine.limit),
        Some(options) if engine.tiered => Runner::Tiered(code, options),
        Some(options) => Runner::MachineCode(code, options),
    };
    if engine.fuel { runner.with_fuel() } else { runner }
}

/// Runs `work` on a thread whose native stack has room for what [`need::NATIVE_STACK`] promises.
pub fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(16 * need::NATIVE_STACK);
        let thread = builder.spawn_scoped(scope, work).expect("a thread");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Where a test is, for the message if a guest never comes back.
#[derive(Default)]
pub struct Alarm {
    place: Mutex<String>,
    ticks: AtomicU64,
    done: AtomicBool,
}

/// Seconds without progress after which a test is given up.
const HANGS: u32 = 60;

impl Alarm {
    /// The test has come to this place.
    pub fn at(&self, place: impl std::fmt::Display) {
        *self.place.lock().expect("the lock") = place.to_string();
        self.ticks.fetch_add(1, Ordering::Relaxed);
    }

    fn watch(&self) {
        let (mut last, mut still) = (0, 0);
        while !self.done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(1));
            let ticks = self.ticks.load(Ordering::Relaxed);
            still = if ticks == last { still + 1 } else { 0 };
            last = ticks;
            if still == HANGS {
                eprintln!("no progress for {HANGS} s: {}", self.place.lock().expect("the lock"));
                std::process::abort();
            }
        }
    }
}

/// Runs `work`, which says where it is; aborts the process if it stays there for too long, because a guest that a broken
/// engine runs cannot be stopped otherwise.
pub fn alarmed<T>(work: impl FnOnce(&Alarm) -> T) -> T {
    let alarm = Arc::new(Alarm::default());
    let watched = Arc::clone(&alarm);
    std::thread::spawn(move || watched.watch());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&alarm)));
    alarm.done.store(true, Ordering::Relaxed);
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
