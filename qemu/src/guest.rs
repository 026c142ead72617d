//! opstamp inside a kernel: an embedding that needs no operating system and no allocator.
//!
//! [`Guest`] holds, in one value that a kernel can put in a `static`, all memory that a guest and its engine use. The kernel
//! hands in a module as text or as a container, and calls its functions.

use opstamp::runtime::context::Entry;
use opstamp::vm3::container;
use opstamp::vm3::text;
use opstamp::{CallError, Engine, EngineError, HostFn, Instance, InstanceMemory, Module, Value};

/// Memory for one guest: `WORDS` words each for its module, for scratch, for its VM stack and for its state, and
/// `FUNCTIONS` entries.
pub struct Guest<const WORDS: usize, const FUNCTIONS: usize> {
    module: [u64; WORDS],
    scratch: [u64; WORDS],
    stack: [u64; WORDS],
    state: [u64; WORDS],
    functions: [Entry; FUNCTIONS],
}

/// Why a guest gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestError {
    /// The text is no valid UTF-8, or does not assemble: the line and column of the first error, from 1.
    Text {
        /// The line; 0 if the bytes are no UTF-8.
        line: u32,
        /// The column.
        column: u32,
    },
    /// The container is refused by the verifier, or does not fit the memory.
    Module,
    /// The engine could not be made.
    Engine(EngineError),
    /// An import that the kernel does not supply, or too little state memory.
    Instantiate,
    /// The call was refused, or trapped.
    Call(CallError),
}

impl<const WORDS: usize, const FUNCTIONS: usize> Guest<WORDS, FUNCTIONS> {
    /// Memory that holds nothing yet.
    pub const fn new() -> Self {
        Self {
            module: [0; WORDS],
            scratch: [0; WORDS],
            stack: [0; WORDS],
            state: [0; WORDS],
            functions: [const { Entry::new() }; FUNCTIONS],
        }
    }

    /// Runs `func` of the module in `bytes`, vm3 text or a container, by the interpreter. `native_stack` bytes of the
    /// caller's stack are free for it.
    pub fn run(
        &mut self,
        bytes: &[u8],
        func: &str,
        args: &[Value],
        imports: &[HostFn<'_>],
        native_stack: usize,
    ) -> Result<Option<Value>, GuestError> {
        let len = self.load(bytes)?;
        let words = self.module.get(..len).ok_or(GuestError::Module)?;
        let module = Module::verify(words, &mut self.scratch).map_err(|_| GuestError::Module)?;
        let engine = Engine::interpreter(module, &mut self.functions).map_err(GuestError::Engine)?;
        let memory =
            InstanceMemory { heap: &mut [], seed: 0, stack: &mut self.stack, state: &mut self.state, native_stack };
        let mut instance = Instance::new(&engine, memory, imports).map_err(|_| GuestError::Instantiate)?;
        instance.call(func, args).map_err(GuestError::Call)
    }

    /// Puts a module into the guest's memory as a container, and gives its number of words.
    fn load(&mut self, bytes: &[u8]) -> Result<usize, GuestError> {
        if bytes.first_chunk::<4>() == Some(&container::MAGIC.to_le_bytes()) {
            let (chunks, rest) = bytes.as_chunks::<8>();
            let room = self.module.get_mut(..chunks.len()).ok_or(GuestError::Module)?;
            for (word, chunk) in room.iter_mut().zip(chunks) {
                *word = u64::from_le_bytes(*chunk);
            }
            return if rest.is_empty() { Ok(chunks.len()) } else { Err(GuestError::Module) };
        }
        let source = core::str::from_utf8(bytes).map_err(|_| GuestError::Text { line: 0, column: 0 })?;
        text::assemble(source, &mut self.module, &mut self.scratch, &mut |_| {})
            .map_err(|error| GuestError::Text { line: error.line, column: error.column })
    }
}

impl<const WORDS: usize, const FUNCTIONS: usize> Default for Guest<WORDS, FUNCTIONS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACT: &[u8] = b"func fact(n: i64) -> i64\n  local r: i64\n  i64.const r, 1\nagain:\n  i64.mul r, r, n\n  \
        i64.sub n, n, 1\n  br.i64.gt n, 0, again\n  ret r\nend\n";

    #[test]
    fn a_guest_runs_in_static_memory() {
        let mut guest: Guest<4096, 16> = Guest::new();
        assert_eq!(guest.run(FACT, "fact", &[Value::I64(10)], &[], 1 << 20), Ok(Some(Value::I64(3_628_800))));
        // The same module as a container, copied from the memory that it was assembled into.
        let len = guest.load(FACT).expect("assembles");
        let mut bytes = [0; 4096];
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&guest.module[..len]) {
            *place = word.to_le_bytes();
        }
        let container = &bytes[..len * 8];
        assert_eq!(guest.run(container, "fact", &[Value::I64(5)], &[], 1 << 20), Ok(Some(Value::I64(120))));
        let cut = &container[..container.len() - 1];
        assert_eq!(guest.run(cut, "fact", &[Value::I64(5)], &[], 1 << 20), Err(GuestError::Module));
        let bad = guest.run(b"func f()\n  rot\nend\n", "f", &[], &[], 1 << 20);
        assert_eq!(bad, Err(GuestError::Text { line: 2, column: 3 }));
    }
}
