//! Instances of every engine of this host, for tests of what is around a call.

use super::{EngineUnderTest, engines};
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{Engine, HostFn, Instance, InstanceMemory, Listener, Module, PollHandler, jit};
use opstamp_platform::HostCode;
use opstamp_tests::driver::{GARBAGE, need};

/// What an instance is made of.
#[derive(Clone, Copy)]
pub struct Setup<'s> {
    pub source: &'s str,
    pub imports: &'s [HostFn<'s>],
    pub handler: Option<&'s PollHandler<'s>>,
    pub listener: Option<&'s Listener<'s>>,
    /// Words of the VM stack.
    pub stack: usize,
    pub native_stack: usize,
}

impl<'s> Setup<'s> {
    pub fn new(source: &'s str, imports: &'s [HostFn<'s>]) -> Self {
        Self { source, imports, handler: None, listener: None, stack: 1 << 12, native_stack: need::NATIVE_STACK }
    }

    /// Runs `run` on a fresh instance of every engine.
    pub fn each(self, mut run: impl FnMut(&EngineUnderTest, &mut Instance<'_>)) {
        for engine in engines() {
            self.with(&engine, |instance| run(&engine, instance));
        }
    }

    /// Runs `run` on a fresh instance of an engine.
    pub fn with<R>(self, under_test: &EngineUnderTest, run: impl FnOnce(&mut Instance<'_>) -> R) -> R {
        let words = assemble(self.source);
        let mut scratch = vec![0; Module::scratch_words(&words).expect("a container")];
        let module = Module::verify(&words, &mut scratch).unwrap_or_else(|error| panic!("{error}"));
        let mut entries: Vec<Entry> = Vec::new();
        entries.resize_with(Engine::functions_needed(&module), Entry::default);
        let mut code = HostCode::new(need::CODE).expect("code memory");
        let mut scratch = vec![0; jit::scratch_words(&module)];
        let mut cache = super::CacheRoom::new();
        let engine = under_test.make(module, &mut entries, &mut code, &mut cache, &mut scratch);
        let mut engine = engine.unwrap_or_else(|error| panic!("{}: {error}", under_test.name));
        if let Some(listener) = self.listener {
            engine = engine.with_listener(listener);
        }
        let mut stack = vec![GARBAGE; self.stack];
        let (mut state, mut heap) = (vec![GARBAGE; Instance::state_words(&module)], vec![0; 1 << 14]);
        let memory = InstanceMemory {
            stack: &mut stack,
            state: &mut state,
            heap: &mut heap,
            seed: 0,
            native_stack: self.native_stack,
        };
        let mut instance = Instance::new(&engine, memory, self.imports).unwrap_or_else(|error| panic!("{error}"));
        instance.set_poll_handler(self.handler);
        run(&mut instance)
    }
}

/// The container of a source.
pub fn assemble(source: &str) -> Vec<u64> {
    let sizes = text::sizes(source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    words.truncate(used);
    words
}
