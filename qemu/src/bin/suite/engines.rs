//! The engines under test and the memory that they run in.

use core::fmt::Write;
use opstamp::jit::Options;
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{CodeMemory, Module};
use opstamp_qemu::arch::{Arch, FIRST_STACK, Machine};
use opstamp_qemu::memory::Region;
use opstamp_tests::driver::{CacheRoom, Memory, Runner, need};

/// Bytes of native stack that this image's own functions use at most, below the function that runs the image.
const OWN_FRAMES: usize = 256 << 10;

/// Bytes of native stack that guests may use on the first core.
pub const NATIVE_STACK: usize = FIRST_STACK - OWN_FRAMES;

/// Words that guests may use: of VM stack and of heap.
#[derive(Clone, Copy)]
pub struct Lent {
    pub stack: usize,
    pub heap: usize,
}

/// What the suite's cases are made for.
pub const SUITE: Lent = Lent { stack: need::STACK, heap: need::HEAP };

/// The most that a program's expectation asks for: 1 MiB and 128 MiB.
pub const PROGRAMS: Lent = Lent { stack: (1 << 20) / 8, heap: (128 << 20) / 8 };

/// An engine under test.
pub struct Engine {
    /// The word that chooses it on the command line.
    pub word: &'static str,
    pub name: &'static str,
    /// The options of the compiler unless it interprets.
    pub options: Option<Options>,
    /// Whether functions are compiled only when they are warm.
    pub tiered: bool,
    /// The bytes of a code cache that functions are evicted from; 0 for one that never has to.
    pub limit: usize,
    /// Whether a collection runs at every allocation.
    pub stress: bool,
}

/// The engines of [`all`] that are tested if the command line names none: the interpreter, and the two ways in which a kernel
/// would have machine code.
pub const USUAL: usize = 3;

/// All engines of this machine.
pub fn all() -> [Engine; 10] {
    let all = machine_code();
    let engine = |word, name, options| Engine { word, name, options, tiered: false, limit: 0, stress: false };
    let tiered =
        |word, name, threshold| Engine { tiered: true, ..engine(word, name, Some(Options { threshold, ..all })) };
    [
        engine("interpreter", "interpreter", None),
        engine("eager", "machine code", Some(all)),
        tiered("called", "machine code, compiled when called", 1),
        tiered("warm", "machine code, compiled when warm", opstamp::jit::DEFAULT_THRESHOLD),
        engine("unpinned", "machine code, nothing pinned", Some(Options { max_pinned: 0, ..all })),
        engine("two-pinned", "machine code, two pinned", Some(Options { max_pinned: 2, ..all })),
        engine("baseline", "machine code, baseline CPU", Some(Options::default())),
        Engine { stress: true, ..engine("interpreter-stress", "interpreter, collecting at every allocation", None) },
        Engine { stress: true, ..tiered("called-stress", "machine code, collecting at every allocation", 1) },
        Engine { limit: 12 << 10, ..tiered("cached", "machine code in a cache of 12 KiB", 1) },
    ]
}

/// Machine code for this CPU.
pub fn machine_code() -> Options {
    Options { features: opstamp_platform::features(), ..Options::default() }
}

impl Engine {
    /// How the suite runs it.
    pub fn runner<'r>(&self, code: &'r mut dyn CodeMemory, cache: &'r mut CacheRoom) -> Runner<'r> {
        match &self.options {
            None => Runner::Interpreter { fuel: false },
            Some(options) if self.limit != 0 => Runner::Cached(code, *options, cache, self.limit),
            Some(options) if self.tiered => Runner::Tiered(code, *options),
            Some(options) => Runner::MachineCode(code, *options),
        }
    }
}

/// Memory for an engine and its guest.
pub struct Room {
    words: &'static mut [u64],
    scratch: &'static mut [u64],
    stack: &'static mut [u64],
    heap: &'static mut [u64],
    state: &'static mut [u64],
    functions: &'static mut [Entry],
    pub code: <Machine as Arch>::Code,
}

impl Room {
    /// Memory for modules of at most `words` words, assembled in `scratch` words, and guests with what is `lent`.
    pub fn new(region: &mut Region, words: usize, scratch: usize, lent: Lent) -> Self {
        let code = region.bytes(need::CODE, 4096);
        Self {
            words: region.values(words),
            scratch: region.values(scratch),
            stack: region.values(lent.stack),
            heap: region.values(lent.heap),
            state: region.values(need::STATE),
            functions: region.values(need::FUNCTIONS),
            code: Machine::code(code).expect("a window of machine code"),
        }
    }

    /// The memory as the suite takes it, and the code memory beside it.
    pub fn parts(&mut self) -> (Memory<'_>, &mut <Machine as Arch>::Code) {
        let memory = Memory {
            words: self.words,
            scratch: self.scratch,
            stack: self.stack,
            heap: self.heap,
            stress: false,
            state: self.state,
            functions: self.functions,
            native_stack: NATIVE_STACK,
        };
        (memory, &mut self.code)
    }
}

/// Assembles and verifies a text that is known to be right.
pub fn load<'w>(source: &str, words: &'w mut [u64], scratch: &mut [u64]) -> Module<'w> {
    let used = text::assemble(source, words, scratch, &mut |_| {}).expect("assembles");
    Module::verify(&words[..used], scratch).expect("verifies")
}

/// The text of a module whose function `f` gives a number.
pub fn constant(number: usize) -> heapless::String<96> {
    let mut text = heapless::String::new();
    write!(text, "func f() -> i64\n  local r: i64\n  i64.const r, {number}\n  ret r\nend\n").expect("fits");
    text
}

/// A module that is ready to run for as long as the machine does.
pub struct Guest {
    pub name: &'static str,
    pub engine: &'static opstamp::Engine<'static>,
    /// Where its window is executed; 0 if it is interpreted.
    pub code: usize,
    /// Where its window is written.
    pub writable: usize,
    /// The window's size.
    pub window: usize,
}

impl Guest {
    /// A guest of machine code. All its memory is taken from `region`.
    pub fn new(region: &mut Region, source: &str) -> Self {
        let memory = region.bytes(1 << 20, 4096);
        let (writable, window) = (memory.as_ptr() as usize, memory.len());
        let code = Self::keep(region, Machine::code(memory).expect("a window of machine code"));
        let base = code.base();
        let (module, functions, scratch) = Self::module(region, source);
        let engine = opstamp::Engine::machine_code(module, functions, code, scratch, &machine_code());
        let engine = Self::keep(region, engine.expect("compiles"));
        Self { name: "machine code", engine, code: base, writable, window }
    }

    /// A guest that is interpreted.
    pub fn interpreted(region: &mut Region, source: &str) -> Self {
        let (module, functions, _) = Self::module(region, source);
        let engine = opstamp::Engine::interpreter(module, functions).expect("a table that is large enough");
        Self { name: "the interpreter", engine: Self::keep(region, engine), code: 0, writable: 0, window: 0 }
    }

    fn module(region: &mut Region, source: &str) -> (Module<'static>, &'static mut [Entry], &'static mut [u64]) {
        let sizes = text::sizes(source);
        let scratch = region.values(sizes.scratch_words.max(1 << 14));
        let module = load(source, region.values(sizes.out_words), scratch);
        (module, region.values(opstamp::Engine::functions_needed(&module)), scratch)
    }

    /// Puts a value where it stays.
    fn keep<T>(region: &mut Region, value: T) -> &'static mut T {
        let place = region.values::<Kept<T>>(1);
        place[0].0.insert(value)
    }
}

/// A place for a value.
struct Kept<T>(Option<T>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}
