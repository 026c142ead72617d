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

/// How an engine runs functions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// By the interpreter.
    Interpreter,
    /// As machine code, entered through this stub.
    Machine(EnterFn),
}

/// A module made ready to run. It owns nothing: the host lends the function table, and the code memory for machine code.
/// Any number of instances may share it.
pub struct Engine<'e> {
    module: Module<'e>,
    functions: &'e [Entry],
    mode: Mode,
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
        Ok(Self { module, functions, mode: Mode::Interpreter, code: PhantomData })
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
        Ok(Self { module, functions, mode: Mode::Machine(enter), code: PhantomData })
    }

    /// The module.
    pub fn module(&self) -> &Module<'e> {
        &self.module
    }

    /// The function table.
    pub fn functions(&self) -> &'e [Entry] {
        self.functions
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
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
