//! The engines under test and the memory that they run in.

use opstamp::CodeMemory;
use opstamp::jit::Options;
use opstamp::runtime::context::Entry;
use opstamp_qemu::arch::{Arch, FIRST_STACK, Machine};
use opstamp_qemu::memory::Region;
use opstamp_tests::driver::{Memory, Runner, need};

/// Bytes of native stack that this image's own functions use at most, below the function that runs the image.
const OWN_FRAMES: usize = 256 << 10;

/// Bytes of native stack that guests may use on the first core.
pub const NATIVE_STACK: usize = FIRST_STACK - OWN_FRAMES;

/// An engine under test: its name, and the options of the compiler unless it interprets.
pub struct Engine {
    pub name: &'static str,
    pub options: Option<Options>,
}

/// All engines of this machine.
pub fn all() -> [Engine; 5] {
    let all = machine_code();
    let engine = |name, options| Engine { name, options };
    [
        engine("interpreter", None),
        engine("machine code", Some(all)),
        engine("machine code, nothing pinned", Some(Options { max_pinned: 0, ..all })),
        engine("machine code, two pinned", Some(Options { max_pinned: 2, ..all })),
        engine("machine code, baseline CPU", Some(Options::default())),
    ]
}

/// Machine code for this CPU.
pub fn machine_code() -> Options {
    Options { features: opstamp_platform::features(), ..Options::default() }
}

impl Engine {
    /// How the suite runs it.
    pub fn runner<'r>(&'r self, code: &'r mut dyn CodeMemory) -> Runner<'r> {
        match &self.options {
            None => Runner::Interpreter,
            Some(options) => Runner::MachineCode(code, options),
        }
    }
}

/// Memory for an engine and its guest.
pub struct Room {
    words: &'static mut [u64],
    scratch: &'static mut [u64],
    stack: &'static mut [u64],
    state: &'static mut [u64],
    functions: &'static mut [Entry],
    pub code: <Machine as Arch>::Code,
}

impl Room {
    /// Memory for modules of at most `words` words, assembled in `scratch` words.
    pub fn new(region: &mut Region, words: usize, scratch: usize) -> Self {
        let code = region.bytes(need::CODE, 4096);
        Self {
            words: region.values(words),
            scratch: region.values(scratch),
            stack: region.values((1 << 20) / 8),
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
            state: self.state,
            functions: self.functions,
            native_stack: NATIVE_STACK,
        };
        (memory, &mut self.code)
    }
}
