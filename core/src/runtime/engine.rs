//! The engine: a verified module made ready to run, by the interpreter or as machine code.

use super::cache;
use super::context::{Context, EnterFn, Entry};
use super::control;
use super::events::{self, Event, Listener};
use super::roots::Stopped;
use super::trap::Site;
use crate::code::reclaim::{Marks, Rounds, Visitor};
use crate::code::{CodeMemory, CodeRange, Seat, map};
use crate::jit::{self, CodeStats, CompileError, Guests, Incremental, Options, Refusal, Window};
use crate::vm3::Module;
use crate::vm3::container::{Section, op_index};
use crate::vm3::types::TypeId;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

/// How an engine runs machine code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// The entry stub.
    pub enter: EnterFn,
    /// The address of the code window.
    base: u64,
}

/// Compiling while guests run.
struct Tier<'e> {
    compiler: spin::Mutex<Incremental>,
    /// [`Engine::compile_entry`]: by its address, so that a program which makes no such engine does not have its code.
    compile: for<'a, 'b> fn(&'a Engine<'b>, u16, Option<Stopped>) -> Option<u64>,
    threshold: u32,
    /// Where machine code is evicted.
    rounds: Option<Rounds<'e>>,
    /// [`Options::enter_at`]
    enter_at: Option<Site>,
}

/// Code memory of which an engine uses the bytes again: what it holds is evicted when there is no room for more.
pub struct CodeCache<'e> {
    /// The memory. Where writing means that permissions change ([`CodeMemory::concurrent_write`]), nothing is evicted: what
    /// does not fit is interpreted.
    pub code: &'e mut dyn CodeMemory,
    /// For the map of the window; [`CodeCache::map_words`] says how many words. A shorter map makes the cache smaller.
    pub map: &'e mut [u64],
    /// The most bytes that the code and its map take together.
    pub limit: usize,
    /// A seat for every guest that runs at the same time, on as many threads or cores. Calls that find none are
    /// interpreted.
    pub seats: &'e mut [Seat],
    /// A bit for every function of the module: [`CodeCache::mark_words`] says how many words.
    pub marks: &'e mut [Marks],
}

impl CodeCache<'_> {
    /// The words of map that a window of that many bytes needs: about 4 percent of it.
    pub const fn map_words(window: usize) -> usize {
        map::words(window)
    }

    /// The words of marks that a module needs.
    pub fn mark_words(module: &Module<'_>) -> usize {
        Engine::functions_needed(module).div_ceil(64)
    }
}

/// How cold a function is that could not be compiled: it is not tried again soon.
const NEVER: u32 = u32::MAX;

/// A module made ready to run. It owns nothing: the host lends the function table, and the code memory for machine code.
/// Any number of instances may share it.
pub struct Engine<'e> {
    module: Module<'e>,
    functions: &'e [Entry],
    machine: Option<Machine>,
    /// Where the entries of functions lead that have no machine code: to a stub, or to 0 if nothing is compiled.
    lazy: u64,
    tier: Option<Tier<'e>>,
    listener: Option<&'e Listener<'e>>,
    fuel: bool,
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
    /// The marks of a code cache are too few.
    Marks {
        /// Words needed.
        needed: usize,
        /// Words given.
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
            Self::Marks { needed, given } => {
                write!(f, "the code cache has {given} words of marks, the module's functions need {needed}")
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
        let code = PhantomData;
        Ok(Self { module, functions, machine: None, lazy: 0, tier: None, listener: None, fuel: false, code })
    }

    /// An engine that interprets and counts fuel, as [`Options::fuel`] says.
    pub fn interpreter_with_fuel(module: Module<'e>, functions: &'e mut [Entry]) -> Result<Self, EngineError> {
        Ok(Self { fuel: true, ..Self::interpreter(module, functions)? })
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
        let machine = Some(Machine { enter, base: 0 });
        let fuel = options.fuel;
        Ok(Self { module, functions, machine, lazy: 0, tier: None, listener: None, fuel, code: PhantomData })
    }

    /// An engine that interprets, and compiles each function once it is warm ([`Options::threshold`]): running loops go on in
    /// machine code. A function that cannot be compiled, because the code memory is full, stays with the interpreter.
    ///
    /// Nothing is written to the code memory before the first function is warm. Several threads may run instances of it. Who
    /// finds another one compiling interprets on; nobody ever waits.
    pub fn tiered(
        module: Module<'e>,
        functions: &'e mut [Entry],
        code: &'e mut dyn CodeMemory,
        scratch: &'e mut [u64],
        options: &Options,
    ) -> Result<Self, EngineError> {
        let base = code.base();
        // SAFETY: both are borrowed exclusively for 'e, and nobody but the engine uses its compiler.
        let compiler = unsafe { Incremental::new(&module, code, scratch, Window::Once, options)? };
        Self::with_compiler(module, functions, base, compiler, options, None)
    }

    /// The same with code memory that is used again: functions are evicted when it is full, the coldest first, and compiled
    /// anew when they are warm again. `core/src/jit/tier.rs` has the policy, [`crate::code::reclaim`] the protocol.
    pub fn cached(
        module: Module<'e>,
        functions: &'e mut [Entry],
        cache: CodeCache<'e>,
        scratch: &'e mut [u64],
        options: &Options,
    ) -> Result<Self, EngineError> {
        let CodeCache { code, map, limit, seats, marks } = cache;
        let (needed, given) = (CodeCache::mark_words(&module), marks.len());
        if given < needed {
            return Err(EngineError::Marks { needed, given });
        }
        let (base, evicts) = (code.base(), code.concurrent_write());
        // SAFETY: all are borrowed exclusively for 'e, and nobody but the engine uses its compiler.
        let compiler = unsafe { Incremental::new(&module, code, scratch, Window::Cache(map, limit), options)? };
        let rounds = evicts.then(|| Rounds::new(seats, marks));
        Self::with_compiler(module, functions, base, compiler, options, rounds)
    }

    fn with_compiler(
        module: Module<'e>,
        functions: &'e mut [Entry],
        base: usize,
        compiler: Incremental,
        options: &Options,
        rounds: Option<Rounds<'e>>,
    ) -> Result<Self, EngineError> {
        let functions = fill(&module, functions)?;
        let lazy = compiler.lazy();
        for entry in functions.iter() {
            entry.code.store(lazy, Ordering::Release);
            jit::cool(entry, options.threshold);
        }
        // SAFETY: this is the address of the entry stub, in code memory that stays mapped for 'e. It is called only to run a
        // function's machine code, before which the stub was emitted, to this signature, and published.
        let enter = unsafe { core::mem::transmute::<usize, EnterFn>(compiler.enter() as usize) };
        let machine = Some(Machine { enter, base: base as u64 });
        let (threshold, enter_at) = (options.threshold, options.enter_at);
        let tier = Some(Tier {
            compiler: spin::Mutex::new(compiler),
            compile: |engine, func, asker| engine.compile_entry(func, asker),
            threshold,
            rounds,
            enter_at,
        });
        let fuel = options.fuel;
        Ok(Self { module, functions, machine, lazy, tier, listener: None, fuel, code: PhantomData })
    }

    /// The engine with a listener, which is told at once what has been compiled already.
    pub fn with_listener(mut self, listener: &'e Listener<'e>) -> Self {
        self.listener = Some(listener);
        for (func, entry) in (0..=u16::MAX).zip(self.functions) {
            if self.code_of(entry).is_some() {
                self.tell(|| self.compiled(func, entry));
            }
        }
        self
    }

    /// Tells the listener, if there is one, of the event that `event` gives.
    #[inline(always)]
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = self.listener {
            events::tell(&listener, &event());
        }
    }

    fn compiled(&self, func: u16, entry: &Entry) -> Event {
        let start = entry.start.load(Ordering::Relaxed) as usize;
        let code = CodeRange { start, end: start.saturating_add(entry.len.load(Ordering::Relaxed) as usize) };
        Event::Compiled { func, code, ops: self.op_index(func, usize::MAX) }
    }

    /// That machine code was left at this site.
    pub(crate) fn deoptimized(&self, site: Site) -> Event {
        Event::Deoptimized { func: site.func(), op: self.op_index(site.func(), site.word().into()) }
    }

    /// The number of ops before a word of a function.
    fn op_index(&self, func: u16, word: usize) -> u32 {
        let container = self.module.container();
        let code = container.func(func.into()).and_then(|func| container.code(&func));
        op_index(code.unwrap_or(&[]), word)
    }

    /// Compiles a function now, whatever its heat. Whether it has machine code then.
    pub fn compile(&self, func: u16) -> bool {
        self.tier.as_ref().map_or_else(|| self.machine.is_some(), |tier| (tier.compile)(self, func, None).is_some())
    }

    /// Gives a function's machine code up, if the engine was made with a [`CodeCache`]: its bytes are free once no guest runs
    /// it and there is a use for them. If it is called before, it is not given up after all. Whether it had machine code;
    /// `false` too while another thread compiles.
    pub fn evict(&self, func: u16) -> bool {
        let Some(tier) = &self.tier else { return false };
        let Some(mut compiler) = tier.compiler.try_lock() else { return false };
        compiler.evict(func, self.functions, &mut Asking { engine: self, rounds: tier.rounds.as_ref(), asker: None })
    }

    /// What has been made of the code memory, if functions are compiled while guests run. `None` too while another thread
    /// compiles.
    pub fn code_stats(&self) -> Option<CodeStats> {
        Some(self.tier.as_ref()?.compiler.try_lock()?.stats())
    }

    /// Gives a function machine code. `asker` is the guest that wants it, if one does.
    fn compile_entry(&self, func: u16, asker: Option<Stopped>) -> Option<u64> {
        let tier = self.tier.as_ref()?;
        let entry = self.functions.get(usize::from(func))?;
        let mut compiler = tier.compiler.try_lock()?;
        if let Some(code) = self.code_of(entry) {
            return Some(code);
        }
        let mut guests = Asking { engine: self, rounds: tier.rounds.as_ref(), asker };
        let relinked = entry.len.load(Ordering::Relaxed) != 0;
        let outcome = compiler.function(&self.module, func, self.functions, &mut guests);
        if outcome.is_ok() && !relinked {
            // Before anybody can evict it.
            self.tell(|| self.compiled(func, entry));
        }
        drop(compiler);
        match outcome {
            Ok(code) => Some(code),
            Err(Refusal::Later) => {
                jit::cool(entry, tier.threshold);
                None
            }
            Err(Refusal::Never(_)) => {
                entry.cold.store(NEVER, Ordering::Relaxed);
                None
            }
        }
    }

    /// The address of a function's machine code, if it has some.
    #[cfg_attr(not(small), inline(always))]
    fn code_of(&self, entry: &Entry) -> Option<u64> {
        let code = entry.code.load(Ordering::Acquire);
        (code != self.lazy).then_some(code)
    }

    /// The address of a function's machine code, which is compiled if it is warm enough: each time that this is asked for, it
    /// gets warmer. The guest that asks has a seat, if the engine has seats.
    #[cfg_attr(not(small), inline(always))]
    #[cfg_attr(small, inline(never))]
    pub(crate) fn warm(&self, func: u16, asker: Stopped) -> Option<u64> {
        let entry = self.functions.get(usize::from(func))?;
        let code = self.code_of(entry);
        if code.is_some() {
            return code;
        }
        // What two threads take off at once may count once only.
        let left = entry.cold.load(Ordering::Relaxed);
        if left > 1 {
            entry.cold.store(left - 1, Ordering::Relaxed);
            return None;
        }
        (self.tier.as_ref()?.compile)(self, func, Some(asker))
    }

    /// A seat for a guest that is being entered from the host, whose context is at that address; `None` if the engine has
    /// none to give.
    pub(crate) fn take_seat(&self, context: *const Context) -> Option<&'e Seat> {
        self.tier.as_ref()?.rounds.as_ref()?.take(context.addr())
    }

    /// Whether a guest may run machine code: where it can be evicted, it needs a seat.
    ///
    /// # Safety
    ///
    /// The context is live.
    pub(crate) unsafe fn is_seated(&self, context: *const Context) -> bool {
        // SAFETY: by the contract.
        self.tier.as_ref().is_none_or(|tier| tier.rounds.is_none() || unsafe { (*context).seat } != 0)
    }

    /// Acknowledges evictions for a stopped guest.
    ///
    /// # Safety
    ///
    /// The guest is stopped there, in this thread.
    pub(crate) unsafe fn acknowledge(&self, stopped: Stopped) {
        if let Some(rounds) = self.tier.as_ref().and_then(|tier| tier.rounds.as_ref()) {
            // SAFETY: by the contract; a seat that the context leads to is the engine's.
            unsafe { acknowledge(rounds, stopped) };
        }
    }

    /// Where a function's machine code is entered from outside at the head of a loop, and the address of that head.
    #[inline(never)]
    pub(crate) fn loop_entry(&self, func: u16, head: u16) -> Option<[u64; 2]> {
        let entry = self.functions.get(usize::from(func))?;
        let (machine, _) = (self.machine?, self.code_of(entry)?);
        if self.tier.as_ref()?.enter_at.is_some_and(|only| only != Site::new(func, head)) {
            return None;
        }
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

    /// Whether it counts fuel: [`Options::fuel`].
    pub fn counts_fuel(&self) -> bool {
        self.fuel
    }

    /// Whether functions are compiled while guests run.
    pub(crate) fn is_tiered(&self) -> bool {
        self.tier.is_some()
    }
}

/// # Safety
///
/// The guest is stopped there, in this thread. A seat that its context leads to is one of the engine's.
unsafe fn acknowledge(rounds: &Rounds<'_>, stopped: Stopped) {
    // SAFETY: by the contract.
    unsafe {
        if let Some(seat) = ((*stopped.context).seat as *const Seat).as_ref() {
            rounds.acknowledge(seat, |mark| stopped.functions(mark));
        }
    }
}

/// The guests of an engine, one of which may be asking for room.
struct Asking<'a, 'e> {
    engine: &'a Engine<'e>,
    rounds: Option<&'a Rounds<'e>>,
    asker: Option<Stopped>,
}

impl Guests for Asking<'_, '_> {
    fn begin(&mut self) {
        if let Some(rounds) = self.rounds {
            rounds.begin(&mut Evictor { asker: self.asker.map_or(core::ptr::null(), |asker| asker.context) });
        }
    }

    fn finished(&mut self) -> bool {
        let Some(rounds) = self.rounds else { return false };
        if let Some(asker) = self.asker {
            // SAFETY: it is stopped where it asks for room, in this thread.
            unsafe { acknowledge(rounds, asker) };
        }
        rounds.finished(&mut Evictor { asker: self.asker.map_or(core::ptr::null(), |asker| asker.context) })
    }

    fn runs(&self, func: u16) -> bool {
        self.rounds.is_none_or(|rounds| rounds.is_marked(func))
    }

    fn freed(&self, func: u16) {
        self.engine.tell(|| Event::Evicted { func });
    }
}

/// Visits the seats of guests, which are known by their contexts.
struct Evictor {
    asker: *const Context,
}

impl Visitor for Evictor {
    fn ask(&mut self, guest: usize) {
        let context = guest as *const Context;
        // The one that evicts acknowledges by itself.
        if context != self.asker {
            // SAFETY: a context stays where it is, and live, while its guest has a seat, which cannot be left while it is
            // visited. Requests are made through shared references by any thread.
            unsafe { (*context).poll.request(control::ACKNOWLEDGE) };
        }
    }

    fn walk(&mut self, guest: usize, mark: &mut dyn FnMut(u16)) {
        let stopped = Stopped { context: guest as *mut Context, frame: core::ptr::null(), site: Site(0) };
        // SAFETY: as above; it waits for a host function, and cannot go on while its seat is visited.
        unsafe { stopped.functions(mark) };
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
        caches = caches.saturating_add(cache::blocks_in(code) as u32);
    }
    Ok(functions)
}
