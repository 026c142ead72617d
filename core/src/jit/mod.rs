//! The compiler: verified ops to machine code, one template an op.
//!
//! | file | what it does |
//! |---|---|
//! | `shape` | what the scans need of each op, from the op table |
//! | `plan` | the scan before emission: loops, uses, pinning |
//! | `bounds` | which indices are known to be in bounds |
//! | `pace` | loops that poll once in many rounds |
//! | `emit` | one function: prologue, one template an op, rare halves |
//! | `near` | a second base for frames of many slots |
//! | `templates` | the templates, by family |
//! | `tier` | functions one by one while guests run, and the code cache |
//!
//! Emission goes straight into the memory that the host opened; there is no intermediate form.
#![doc = include_str!("SPEED.md")]

mod bounds;
mod emit;
mod near;
mod pace;
mod plan;
mod shape;
mod templates;
mod tier;

use crate::asm::{Buf, EmitError};
use crate::code::{CodeError, CodeMemory, CodeRange, MAX_WINDOW};
use crate::masm::a64::A64;
use crate::masm::x64::{X64, lane};
use crate::masm::{FUNCTION_ALIGN, Features, Isa, Masm, Place, Stubs};
use crate::runtime::context::Entry;
use crate::runtime::trap::Site;
use crate::vm3::Module;
use crate::vm3::container::Section;
use crate::vm3::types::TypeId;
use core::fmt;
use core::sync::atomic::Ordering;
use templates::Lane;

pub use emit::Listing;
pub use tier::CodeStats;
pub(crate) use tier::{Guests, Incremental, Refusal, Window, cool};

/// What the compiler may assume and shall do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the CPU that will run the code can do.
    pub features: Features,
    /// The most registers of each bank that are pinned to machine registers. Lower it to measure what pinning brings, or
    /// to test operands in the frame; no result depends on it.
    pub max_pinned: usize,
    /// How often a function is called, and its loops go round, in the interpreter before it is compiled; 0 compiles it at its
    /// first call. Counts only where functions are compiled when they are warm ([`crate::Engine::tiered`]).
    pub threshold: u32,
    /// An op at which machine code is always left, so that the interpreter runs it: for tests, and for hosts that want to look
    /// at a guest there.
    pub leave_at: Option<Site>,
    /// Whether fuel is counted, in machine code and where the engine interprets: one unit an op, as vm3.md has it. An
    /// instance has none until its host gives it some ([`crate::Instance::set_fuel`]). Machine code without fuel has no
    /// trace of it.
    pub fuel: bool,
    /// The only head of a loop at which the interpreter hands running loops to machine code; `None` for all heads. For tests.
    pub enter_at: Option<Site>,
    /// Whether the heads of loops poll. Without polls nothing stops a guest that loops: to measure what they cost, never to
    /// run a guest.
    #[doc(hidden)]
    pub polls: bool,
}

/// The default of [`Options::threshold`]: compiling an op takes about as long as interpreting it so many times.
pub const DEFAULT_THRESHOLD: u32 = 32;

impl Default for Options {
    fn default() -> Self {
        Self {
            features: Features::default(),
            max_pinned: usize::MAX,
            threshold: DEFAULT_THRESHOLD,
            leave_at: None,
            fuel: false,
            enter_at: None,
            polls: true,
        }
    }
}

/// Why a function could not be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// Code memory refused.
    Code(CodeError),
    /// Emission failed in function `func`, or in the stubs.
    Emit {
        /// The function, by its index; `None` for the stubs.
        func: Option<u16>,
        /// What failed.
        error: EmitError,
    },
    /// The scratch memory is too short.
    Scratch {
        /// Words needed.
        needed: usize,
        /// Words given.
        given: usize,
    },
    /// The module has no such function.
    NoFunction {
        /// Its index.
        func: u16,
    },
    /// No backend emits for the CPU that this program runs on.
    Host,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(error) => error.fmt(f),
            Self::Emit { func: Some(func), error } => write!(f, "function {func} cannot be compiled: {error}"),
            Self::Emit { func: None, error } => write!(f, "the stubs cannot be emitted: {error}"),
            Self::Scratch { needed, given } => {
                write!(f, "the scratch memory for compilation has {given} words, {needed} are needed")
            }
            Self::NoFunction { func } => write!(f, "the module has no function {func}"),
            Self::Host => write!(f, "there is no backend for this CPU; the interpreter runs everywhere"),
        }
    }
}

impl core::error::Error for CompileError {}

impl From<CodeError> for CompileError {
    fn from(error: CodeError) -> Self {
        Self::Code(error)
    }
}

/// The number of words of scratch that compiling any one function of the module needs: 8 bytes an op word and 48 a
/// register, of the largest function.
pub fn scratch_words(module: &Module<'_>) -> usize {
    let container = module.container();
    let functions = (0..container.count(Section::Funcs)).filter_map(|index| container.func(index));
    functions.map(|func| plan::scratch_words(&func)).max().unwrap_or(0)
}

/// The most f64 registers that a function of the module has: no function pins more floats.
pub fn most_floats(module: &Module<'_>) -> usize {
    let container = module.container();
    let functions = (0..container.count(Section::Funcs)).filter_map(|index| container.func(index));
    let floats = |func| container.slots(&func).unwrap_or(&[]).iter().filter(|&&ty| ty == TypeId::F64).count();
    functions.map(floats).max().unwrap_or(0)
}

/// Emits the shared stubs for an ISA to the start of `memory`, which stands for the start of a code window. No byte of
/// them depends on the host. Functions with these stubs pin at most `floats` f64 registers each, and the stubs preserve no
/// more; [`most_floats`] says how many a module has use for.
pub fn stubs(isa: Isa, memory: &mut [u8], features: Features, floats: usize) -> Result<Stubs, CompileError> {
    match isa {
        Isa::X86_64 => emit_stubs::<X64<'_>>(memory, features, floats),
        Isa::Arm64 => emit_stubs::<A64<'_>>(memory, features, floats),
    }
}

/// Where the stubs `enter` and `lazy` of an ISA lie, as offsets from the window's start: known before they are emitted.
pub(crate) const fn first_stubs(isa: Isa) -> (usize, usize) {
    match isa {
        Isa::X86_64 => (0, X64::LAZY),
        Isa::Arm64 => (0, A64::LAZY),
    }
}

/// Compiles function `func` for an ISA to the start of `memory`, which lies `place.offset` bytes behind the start of the
/// code window. The code can run anywhere in that window once every function that it calls has an entry. No byte of it
/// depends on the host.
pub fn function<'s>(
    isa: Isa,
    module: &Module<'_>,
    func: u16,
    memory: &mut [u8],
    place: Place,
    scratch: &'s mut [u64],
    max_pinned: usize,
) -> Result<Listing<'s>, CompileError> {
    let extent = match function_once(isa, module, func, memory, place, scratch, max_pinned) {
        // Only functions whose code is larger than the reach of the shortest conditional branch come here.
        Err(CompileError::Emit { error: EmitError::BranchRange { .. }, .. }) if !place.far_branches => {
            let place = Place { far_branches: true, ..place };
            function_once(isa, module, func, memory, place, scratch, max_pinned)
        }
        outcome => outcome,
    };
    extent.map(|extent| extent.listing(scratch))
}

/// A macro assembler, and how it makes the ops of vm3.
trait Backend<'m>: Masm<'m> {
    /// By the op's code.
    const LANES: &'static [(Lane, Self::Recipe); 256];
    /// Whether there are ops that [`Masm::run`] makes.
    const RUNS: bool;
}

static X64_LANES: [(Lane, lane::Recipe); 256] = {
    let mut lanes = [(Lane::Template, lane::Recipe::VERB); 256];
    let mut code = 0;
    while code < 256 && cfg!(feature = "stencils") {
        if let Some(plain) = templates::PLAIN[code] {
            lanes[code] = (Lane::of(plain), lane::recipe(plain));
        }
        code += 1;
    }
    lanes
};

impl<'m> Backend<'m> for X64<'m> {
    const LANES: &'static [(Lane, lane::Recipe); 256] = &X64_LANES;
    const RUNS: bool = cfg!(feature = "stencils");
}

impl<'m> Backend<'m> for A64<'m> {
    const LANES: &'static [(Lane, ()); 256] = &[(Lane::Template, ()); 256];
    const RUNS: bool = false;
}

fn function_once(
    isa: Isa,
    module: &Module<'_>,
    func: u16,
    memory: &mut [u8],
    place: Place,
    scratch: &mut [u64],
    max_pinned: usize,
) -> Result<emit::Extent, CompileError> {
    match isa {
        Isa::X86_64 => emit::function::<X64<'_>>(module, func, memory, place, scratch, max_pinned),
        Isa::Arm64 => emit::function::<A64<'_>>(module, func, memory, place, scratch, max_pinned),
    }
}

/// Does only the first part of [`function`]: the scan that decides which registers are pinned. For tools that measure
/// how the time of compiling divides; the plan is left in `scratch` and cannot be used.
pub fn plan(
    isa: Isa,
    module: &Module<'_>,
    func: u16,
    scratch: &mut [u64],
    max_pinned: usize,
) -> Result<(), CompileError> {
    let max_pinned = (max_pinned, max_pinned);
    match isa {
        Isa::X86_64 => emit::plan::<X64<'_>>(module, func, scratch, max_pinned, true).map(drop),
        Isa::Arm64 => emit::plan::<A64<'_>>(module, func, scratch, max_pinned, true).map(drop),
    }
}

fn emit_stubs<'m, M: Masm<'m>>(memory: &'m mut [u8], features: Features, floats: usize) -> Result<Stubs, CompileError> {
    let capacity = memory.len();
    let place = Place::new(0, features, Stubs { floats, ..Stubs::default() }, 0);
    let full = EmitError::Full { needed: 8, capacity };
    let buf = Buf::new(memory).ok_or(CompileError::Emit { func: None, error: full })?;
    let mut masm = M::new(buf, place);
    let stubs = masm.stubs();
    masm.finish().map_err(|error| CompileError::Emit { func: None, error })?;
    Ok(stubs)
}

/// Bytes to open for the stubs: more than either ISA needs, and less than any code memory that is of use.
const STUB_ROOM: usize = 2048;
/// Bytes to open for a function of that many words at first: what almost all need.
const fn function_room(words: u32, slots: u32) -> usize {
    512 + words as usize * 24 + slots as usize * 2
}
/// Of a function's room, what many get along with: half.
const LIKELY: usize = 2;

/// Compiles every function of the module into code memory, publishes all, and points the entries at it. Gives the address
/// of the entry stub.
pub(crate) fn compile_module(
    module: &Module<'_>,
    functions: &mut [Entry],
    code: &mut dyn CodeMemory,
    scratch: &mut [u64],
    options: &Options,
) -> Result<usize, CompileError> {
    let mut opened = 0;
    let compiled = emit_module(module, functions, code, scratch, options, &mut opened);
    // All that was opened is published, what no code came to lie in too and even where compiling failed: code memory may
    // not stay open.
    let published = code.publish(CodeRange { start: 0, end: opened });
    let stubs = compiled?;
    published?;
    code.sync_cores()?;
    code.describe(CodeRange { start: 0, end: stubs.end })?;
    let base = code.base();
    for entry in functions.iter() {
        let start = entry.start.load(Ordering::Relaxed) as usize;
        entry.code.store((base + start) as u64, Ordering::Release);
    }
    Ok(base + stubs.enter)
}

/// Writes the stubs, whose places it gives, and every function of the module to code memory, of which it opens the first
/// `opened` bytes.
fn emit_module(
    module: &Module<'_>,
    functions: &mut [Entry],
    code: &mut dyn CodeMemory,
    scratch: &mut [u64],
    options: &Options,
    opened: &mut usize,
) -> Result<Stubs, CompileError> {
    let isa = Isa::HOST.ok_or(CompileError::Host)?;
    let needed = scratch_words(module);
    let given = scratch.len();
    if given < needed {
        return Err(CompileError::Scratch { needed, given });
    }
    let floats = most_floats(module);
    let stubs = with_room(code, opened, 0, STUB_ROOM, |memory| stubs(isa, memory, options.features, floats))?;
    let mut offset = stubs.end.next_multiple_of(FUNCTION_ALIGN);
    for (index, entry) in (0..=u16::MAX).zip(functions.iter_mut()) {
        let room = function_room(entry.word_count, entry.frame_bytes / 8);
        let first_cache = entry.first_cache;
        let leave_at = options.leave_at.filter(|site| site.func() == index).map(|site| site.word());
        let place = Place {
            first_cache,
            leave_at,
            fuel: options.fuel,
            polls: options.polls,
            ..Place::new(offset, options.features, stubs, index)
        };
        let (len, end) = with_room(code, opened, offset, room, |memory| {
            let listing = function(isa, module, index, memory, place, &mut *scratch, options.max_pinned)?;
            Ok((listing.len(), listing.end()))
        })?;
        *entry.start.get_mut() = offset as u32;
        *entry.len.get_mut() = len as u32;
        offset = offset.saturating_add(end);
    }
    Ok(stubs)
}

/// Runs `emit` on freshly opened memory at `offset`; on more of it as long as it says that the memory is full. Of a room of
/// at most a page, the rest of the page that `offset` is in is tried first if that is likely to do: emitting a short
/// function twice, once in a while, takes less time than a system takes to find a page for what is seldom used.
fn with_room<T>(
    code: &mut dyn CodeMemory,
    opened: &mut usize,
    offset: usize,
    room: usize,
    mut emit: impl FnMut(&mut [u8]) -> Result<T, CompileError>,
) -> Result<T, CompileError> {
    let (size, page) = (code.size().min(MAX_WINDOW), code.page());
    let rest = offset.checked_next_multiple_of(page).map_or(0, |end| end.saturating_sub(offset));
    let mut room = if room <= page && (room / LIKELY..room).contains(&rest) { rest } else { room };
    loop {
        let end = offset.saturating_add(room).min(size);
        let memory = code.open(CodeRange { start: offset.min(end), end })?;
        *opened = end.max(*opened);
        match emit(memory) {
            Err(CompileError::Emit { error: EmitError::Full { .. }, .. }) if end < size => {
                room = room.saturating_mul(4)
            }
            outcome => return outcome,
        }
    }
}
