//! The engine: a verified module made ready to run, by the interpreter or as machine code.

use super::cache;
use super::context::{EnterFn, Entry};
use crate::code::CodeMemory;
use crate::jit::{self, CompileError, Options};
use crate::vm3::Module;
use crate::vm3::container::Section;
use crate::vm3::types::TypeId;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

/// How an engine runs machine code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// The entry stub.
    pub enter: EnterFn,
    /// Where the entries of functions lead that have no machine code; 0 if all have some.
    lazy: u64,
    /// The address of the code window.
    base: u64,
}

/// Compiling while guests run.
struct Tier {
    compiler: spin::Mutex<jit::Incremental>,
    threshold: u32,
}

/// The heat of a function that could not be compiled, and is not tried again.
const REFUSED: u32 = u32::MAX;

/// A module made ready to run. It owns nothing: the host lends the function table, and the code memory for machine code.
/// Any number of instances may share it.
pub struct Engine<'e> {
    module: Module<'e>,
    functions: &'e [Entry],
    machine: Option<Machine>,
    tier: Option<Tier>,
    /// Borrows the code memory without naming its type, under which no reference to the engine could be shortened.
    code: PhantomData<&'e mut ()>,
}

/// Why an engine could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The function table is too short.
    Functions {
        /// Entries needed: one a function.
        needed: usize,
        /// Entries given.
        given: usize,
    },
    /// A function could not be compiled.
    Compile(CompileError),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Functions { needed, given } => {
                write!(f, "the function table has {given} entries, the module needs {needed}")
            }
            Self::Compile(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for EngineError {}

impl From<CompileError> for EngineError {
    fn from(error: CompileError) -> Self {
        Self::Compile(error)
    }
}

impl<'e> Engine<'e> {
    /// The number of [`Entry`] records that the module's function table needs.
    pub fn functions_needed(module: &Module<'_>) -> usize {
        usize::try_from(module.container().count(Section::Funcs)).unwrap_or(usize::MAX)
    }

    /// An engine that interprets. It needs no executable memory.
    pub fn interpreter(module: Module<'e>, functions: &'e mut [Entry]) -> Result<Self, EngineError> {
        let functions = fill(&module, functions)?;
        Ok(Self { module, functions, machine: None, tier: None, code: PhantomData })
    }

    /// An engine that runs machine code: compiles every function of the module into `code`, which stays borrowed for the
    /// engine's life. `scratch` is used only during the call; [`jit::scratch_words`] says how many words it needs.
    ///
    /// The machine code is for the CPU that this program runs on; `options` state its features.
    pub fn machine_code(
        module: Module<'e>,
        functions: &'e mut [Entry],
        code: &'e mut dyn CodeMemory,
        scratch: &mut [u64],
        options: &Options,
    ) -> Result<Self, EngineError> {
        let functions = fill(&module, functions)?;
        let start = jit::compile_module(&module, functions, code, scratch, options)?;
        // SAFETY: `start` is the address of the entry stub, which was emitted to this signature and published in code
        // memory that stays mapped for 'e.
        let enter = unsafe { core::mem::transmute::<usize, EnterFn>(start) };
        let machine = Some(Machine { enter, lazy: 0, base: 0 });
        Ok(Self { module, functions, machine, tier: None, code: PhantomData })
    }

    /// An engine that interprets, and compiles each function once it is warm ([`Options::threshold`]): running loops go on in
    /// machine code. A function that cannot be compiled, because the code memory is full, stays with the interpreter.
    ///
    /// Several threads may run instances of it. Who finds another one compiling interprets on; nobody ever waits.
    pub fn tiered(
        module: Module<'e>,
        functions: &'e mut [Entry],
        code: &'e mut dyn CodeMemory,
        scratch: &'e mut [u64],
        options: &Options,
    ) -> Result<Self, EngineError> {
        let functions = fill(&module, functions)?;
        let base = code.base();
        // SAFETY: both are borrowed exclusively for 'e, and nobody but the engine uses its compiler.
        let compiler = unsafe { jit::Incremental::new(&module, code, scratch, options)? };
        let stubs = *compiler.stubs();
        let lazy = base.saturating_add(stubs.lazy) as u64;
        for entry in functions.iter() {
            entry.code.store(lazy, Ordering::Release);
        }
        // SAFETY: this is the address of the entry stub, which was emitted to this signature and published in code memory
        // that stays mapped for 'e.
        let enter = unsafe { core::mem::transmute::<usize, EnterFn>(base.saturating_add(stubs.enter)) };
        let machine = Some(Machine { enter, lazy, base: base as u64 });
        let tier = Some(Tier { compiler: spin::Mutex::new(compiler), threshold: options.threshold });
        Ok(Self { module, functions, machine, tier, code: PhantomData })
    }

    /// Compiles a function now, whatever its heat. Whether it has machine code then.
    pub fn compile(&self, func: u16) -> bool {
        self.tier.as_ref().map_or_else(
            || self.machine.is_some(),
            |tier| {
                self.functions.get(usize::from(func)).and_then(|entry| self.compile_entry(tier, func, entry)).is_some()
            },
        )
    }

    fn compile_entry(&self, tier: &Tier, func: u16, entry: &Entry) -> Option<u64> {
        let mut compiler = tier.compiler.try_lock()?;
        if let Some(code) = self.code_of(entry) {
            return Some(code);
        }
        let compiled = compiler.function(&self.module, func, entry).ok();
        if compiled.is_none() {
            entry.heat.store(REFUSED, Ordering::Relaxed);
        }
        compiled
    }

    /// The address of a function's machine code, if it has some.
    #[cfg_attr(not(small), inline(always))]
    fn code_of(&self, entry: &Entry) -> Option<u64> {
        let code = entry.code.load(Ordering::Acquire);
        if code == 0 || self.machine.is_some_and(|machine| machine.lazy == code) { None } else { Some(code) }
    }

    /// The address of a function's machine code, which is compiled if it is warm enough with `more` of heat.
    pub(crate) fn warm(&self, func: u16, more: u32) -> Option<u64> {
        let entry = self.functions.get(usize::from(func))?;
        if let Some(code) = self.code_of(entry) {
            return Some(code);
        }
        let tier = self.tier.as_ref()?;
        let heat = entry.heat.load(Ordering::Relaxed);
        if heat == REFUSED {
            return None;
        }
        // What two threads add at once may count once only.
        let heat = heat.saturating_add(more).min(REFUSED - 1);
        entry.heat.store(heat, Ordering::Relaxed);
        if heat < tier.threshold { None } else { self.compile_entry(tier, func, entry) }
    }

    /// Where a function's machine code is entered from outside at the head of a loop, and the address of that head.
    pub(crate) fn loop_entry(&self, func: u16, head: u16) -> Option<[u64; 2]> {
        let entry = self.functions.get(usize::from(func))?;
        let (machine, _) = (self.machine?, self.code_of(entry)?);
        let table = entry.loops.load(Ordering::Relaxed);
        if table == 0 {
            return None;
        }
        let start = machine.base.wrapping_add(entry.start.load(Ordering::Relaxed).into());
        // SAFETY: the function has machine code, so its table of loops was written before, in memory that stays readable: a
        // word with the number of words behind it, then these.
        let word = |index: u32| unsafe {
            let table = (machine.base as *const u8).add(table as usize);
            table.cast::<u64>().add(index as usize).read_unaligned()
        };
        let first = word(0);
        let found = (1..=first as u32).map(word).find(|&word| word as u32 == head.into())?;
        Some([start.wrapping_add(first >> 32), start.wrapping_add(found >> 32)])
    }

    /// The module.
    pub fn module(&self) -> &Module<'e> {
        &self.module
    }

    /// The function table.
    pub fn functions(&self) -> &'e [Entry] {
        self.functions
    }

    pub(crate) fn machine(&self) -> Option<Machine> {
        self.machine
    }

    /// Whether functions are compiled while guests run.
    pub(crate) fn is_tiered(&self) -> bool {
        self.tier.is_some()
    }
}

/// Fills the entries that the module needs with what its functions' records say, and gives exactly those.
fn fill<'e>(module: &Module<'_>, functions: &'e mut [Entry]) -> Result<&'e mut [Entry], EngineError> {
    let needed = Engine::functions_needed(module);
    let given = functions.len();
    let functions = functions.get_mut(..needed).ok_or(EngineError::Functions { needed, given })?;
    let container = module.container();
    let mut caches = 0_u32;
    for (index, entry) in (0..).zip(functions.iter_mut()) {
        let Some(func) = container.func(index) else { continue };
        let Some(sig) = container.sig(func.sig) else { continue };
        let params = u32::from(sig.count);
        let locals = params..func.slot_count;
        let cells = locals.clone().rev().take_while(|&slot| {
            let ty = container.list(func.slots.wrapping_add(slot));
            ty.is_some_and(|ty| ty != TypeId::I64 && ty != TypeId::F64)
        });
        let nulls = cells.count() as u32;
        let code = container.code(&func).unwrap_or(&[]);
        *entry = Entry {
            words: code.as_ptr() as u64,
            word_count: func.code_len,
            frame_bytes: super::frame::frame_bytes(func.slot_count),
            params,
            zeros: func.slot_count.saturating_sub(params).saturating_sub(nulls),
            nulls,
            first_cache: caches,
            result: sig.result.0.into(),
            ..Entry::default()
        };
        caches = caches.saturating_add(cache::sites_in(code) as u32);
    }
    Ok(functions)
}
