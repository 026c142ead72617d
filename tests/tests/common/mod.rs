//! What the hosted tests share: the engines of this host, and their memory.
#![allow(dead_code, reason = "each test uses its part")]

pub mod instance;

use opstamp::jit::Options;
use opstamp::runtime::context::Entry;
use opstamp::runtime::trap::Site;
use opstamp::vm3::container::Section;
use opstamp::vm3::op::Op;
use opstamp::vm3::text::expectations;
use opstamp::{CodeMemory, EngineError};
use opstamp_platform::HostCode;
use opstamp_tests::driver::{CacheRoom, Memory, Runner, need};
use opstamp_tests::programs::Program;
use std::path::Path;
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
    /// Whether a collection runs at every allocation.
    pub stress: bool,
}

impl EngineUnderTest {
    /// Its name, and whether the heap is under stress.
    pub fn title(&self) -> String {
        format!("{}{}", self.name, if self.stress { ", collecting at every allocation" } else { "" })
    }

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

/// A program of `tests/programs`: its file's name, its text and what it prints if that is told.
pub struct ProgramFile {
    pub name: String,
    pub source: String,
    pub printed: Option<Vec<u8>>,
}

impl ProgramFile {
    pub fn program(&self) -> Program<'_> {
        Program { source: &self.source, printed: self.printed.as_deref() }
    }
}

/// All programs of `tests/programs`.
pub fn programs() -> Vec<ProgramFile> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let entries = std::fs::read_dir(&directory).expect("the programs").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "vm3")).collect();
    files.sort();
    assert!(files.len() >= 20, "{} programs in {}", files.len(), directory.display());
    let read = |path: std::path::PathBuf| {
        let printed = path.with_extension("stdout");
        ProgramFile {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            source: std::fs::read_to_string(&path).expect("a program"),
            printed: printed.exists().then(|| std::fs::read(&printed).expect("the expected output")),
        }
    };
    files.into_iter().map(read).collect()
}

/// A number that an environment variable overrides.
pub fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, expected a number")),
        Err(_) => default,
    }
}

/// All engines of this host, in the modes that they have; a new mode goes here, and all tests run it. The first two are the
/// interpreter and the compiler as it is meant to be used, of whole modules.
pub fn engines() -> Vec<EngineUnderTest> {
    let engine = |name, options, tiered| {
        let (limit, fuel, stress) = (0, false, false);
        EngineUnderTest { name, options, tiered, limit, fuel, stress }
    };
    let mut engines = vec![engine("interpreter", None, false)];
    if let Some(all) = machine_code() {
        let pinned = |max_pinned| Some(Options { max_pinned, ..all });
        let warm = |threshold| Some(Options { threshold, ..all });
        engines.push(engine("machine code", Some(all), false));
        engines.push(engine("machine code, nothing pinned", pinned(0), false));
        engines.push(engine("machine code, two pinned", pinned(2), false));
        engines.push(engine("machine code, baseline CPU", Some(Options::default()), false));
        engines.push(engine("compiled before the first call", warm(0), true));
        engines.push(engine("compiled when called", warm(1), true));
        engines.push(engine("compiled when warm", warm(3), true));
        engines.push(engine("compiled by default", warm(opstamp::jit::DEFAULT_THRESHOLD), true));
        let cached = engine("compiled when called, in a cache of 12 KiB", warm(1), true);
        engines.push(EngineUnderTest { limit: 12 << 10, ..cached });
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

/// The engines that also run with a collection at every allocation: the interpreter, the compiler of whole modules, and the
/// two in turns.
pub fn stressed() -> Vec<EngineUnderTest> {
    let mut engines = engines();
    engines.retain(|engine| ["interpreter", "machine code", "compiled when warm"].contains(&engine.name));
    engines.iter_mut().for_each(|engine| engine.stress = true);
    engines
}

/// The options of machine code for this CPU; `None` if the compiler does not know this host's machine.
pub fn machine_code() -> Option<Options> {
    machine_code_available().then(|| Options { features: opstamp_platform::features(), ..Options::default() })
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

/// The words of each function of a module.
pub fn words_of_functions<'m>(module: &opstamp::Module<'m>) -> Vec<(u16, &'m [u64])> {
    let container = *module.container();
    let words = |index: u32| container.code(&container.func(index).expect("a function")).expect("its words");
    (0..container.count(Section::Funcs)).map(|index| (index as u16, words(index))).collect()
}

/// The sites of all ops of a module.
pub fn all_ops(module: &opstamp::Module<'_>) -> Vec<Site> {
    let of = |(func, words): (u16, &[u64])| {
        let ops = (0..words.len()).filter(|&at| words[at] as u8 != Op::Args as u8);
        ops.map(|at| Site::new(func, at as u16)).collect::<Vec<_>>()
    };
    words_of_functions(module).into_iter().flat_map(of).collect()
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
const HANGS: u32 = 300;

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
