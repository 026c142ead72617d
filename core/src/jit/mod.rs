//! The compiler: verified ops to machine code, one template an op.

use crate::asm::EmitError;
use crate::code::{CodeError, CodeMemory};
use crate::runtime::context::{EnterFn, Entry};
use crate::vm3::Module;
use core::fmt;

/// What the compiler may assume and shall do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {}

/// Why a function could not be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// Code memory refused.
    Code(CodeError),
    /// Emission failed in function `func`.
    Emit {
        /// The function, by its index.
        func: u16,
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
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(error) => error.fmt(f),
            Self::Emit { func, error } => write!(f, "function {func} cannot be compiled: {error}"),
            Self::Scratch { needed, given } => {
                write!(f, "the scratch memory for compilation has {given} words, {needed} are needed")
            }
        }
    }
}

impl core::error::Error for CompileError {}

impl From<CodeError> for CompileError {
    fn from(error: CodeError) -> Self {
        Self::Code(error)
    }
}

/// The number of words of scratch that compiling the module needs.
pub fn scratch_words(module: &Module<'_>) -> usize {
    let _ = module;
    0
}

pub(crate) fn compile_module(
    module: &Module<'_>,
    functions: &[Entry],
    code: &mut dyn CodeMemory,
    scratch: &mut [u64],
    options: &Options,
) -> Result<EnterFn, CompileError> {
    let _ = (module, functions, code, scratch, options);
    Err(CompileError::Code(CodeError::Unsupported))
}
