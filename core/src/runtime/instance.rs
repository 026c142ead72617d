//! An instance: one guest with its own stack and globals, and the calls into it.

use super::cache::{self, CacheStats};
use super::cell::{Cell, Content};
use super::context::{CONTEXT_WORDS, Context, NATIVE_RESERVE, Services, Switches};
use super::control::{Interrupter, PollHandler};
use super::engine::Engine;
use super::frame;
use super::heap::{Heap, HeapStats, OutOfMemory};
use super::host::HostFn;
use super::objects::Objects;
use super::roots::{Activation, GuestRoots, Stopped};
use super::services::{SWITCH, TRAPPED};
use super::trap::{Site, Trap, TrapKind};
use super::value::Value;
use super::walk::Walk;
use crate::code::Seat;
use crate::interp::{Exits, Start};
use crate::vm3::Module;
use crate::vm3::container::{CellConst, Container, Section, op_index};
use crate::vm3::op::Bank;
use crate::vm3::types::TypeId;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

/// The memory that the host lends to an instance.
pub struct InstanceMemory<'e> {
    /// The VM stack: frames of 8 bytes a slot and 8 a header.
    pub stack: &'e mut [u64],
    /// What machine code knows of the instance, globals, resolved imports, constants and inline caches;
    /// [`Instance::state_words`] says how many words.
    pub state: &'e mut [u64],
    /// The heap: objects and the table of their handles. Of any length; the guest's traps `out_of_memory` say when it is
    /// too short.
    pub heap: &'e mut [u64],
    /// What the hashes of maps start from. A host that runs guests which it does not trust takes it from a source of
    /// randomness, so that nobody can choose keys that collide; with equal seeds runs are equal.
    pub seed: u64,
    /// Bytes of native stack that the host guarantees to be free at every call into the instance. Machine code uses at
    /// most twice as many bytes of it as of the VM stack (on arm64, which keeps it a multiple of 16), and
    /// [`NATIVE_RESERVE`] bytes for host functions and stubs.
    pub native_stack: usize,
}

/// One guest: its stack, its globals and its imports.
pub struct Instance<'e> {
    /// At the start of the state, because others than the running thread refer to it, and the instance may move.
    context: *mut Context,
    engine: &'e Engine<'e>,
    heap: Heap,
    /// The VM stack: its first word and the number of its words. A pointer made once, because a call from a host function
    /// works on the stack while the frames below are in use, and so must not borrow all of it anew.
    stack: *mut u64,
    stack_words: usize,
    /// Behind the context, the globals; behind them a word for each import, and one for each cell constant.
    state: *mut u64,
    state_words: usize,
    /// Both are borrowed for the instance's life.
    memory: PhantomData<&'e mut [u64]>,
    heap_words: usize,
    globals: usize,
    imports: &'e [HostFn<'e>],
    native_stack: usize,
    poll_handler: Option<&'e PollHandler<'e>>,
    /// The first frame of the entry that trapped last.
    trap_base: *const u64,
}

/// Why an instance could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstantiateError<'e> {
    /// The state memory is too short.
    State {
        /// Words needed.
        needed: usize,
        /// Words given.
        given: usize,
    },
    /// Nobody supplies an import, or only with another signature.
    Import {
        /// The name that the module imports.
        name: &'e str,
        /// Whether a function of that name was supplied whose signature is another.
        mismatch: bool,
    },
    /// The heap is too short for the initial value of a global.
    Heap {
        /// The name of the global.
        name: &'e str,
        /// Words given.
        given: usize,
    },
}

impl fmt::Display for InstantiateError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { needed, given } => {
                write!(f, "the state memory has {given} words, an instance of the module needs {needed}")
            }
            Self::Import { name, mismatch: false } => write!(f, "import {name} is not supplied by the host"),
            Self::Import { name, mismatch: true } => {
                write!(f, "import {name} is supplied by the host with another signature than the module declares")
            }
            Self::Heap { name, given } => {
                write!(f, "the heap has {given} words, which is too few for the initial value of global {name}")
            }
        }
    }
}

impl core::error::Error for InstantiateError<'_> {}

/// A trap with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapReport {
    /// The trap.
    pub trap: Trap,
    /// The function in which it happened, by its index in the module.
    pub func: u16,
    /// The op in that function, counted as vm3.md does: from 0, without `args` words.
    pub op: u32,
}

/// Why a call from the host gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The module has no such function.
    NoFunction,
    /// The number of arguments is wrong.
    ArgCount {
        /// The number that the function takes.
        expected: usize,
        /// The number given.
        given: usize,
    },
    /// An argument does not fit its parameter's type.
    ArgType {
        /// The argument, from 0.
        index: usize,
        /// The parameter's type.
        expected: TypeId,
    },
    /// An argument is the handle of an object that is gone, because nothing kept it alive, or of another instance's.
    ArgStale {
        /// The argument, from 0.
        index: usize,
    },
    /// The guest trapped.
    Trap(TrapReport),
}

impl CallError {
    /// The trap, if it was one; `host(0)` for a call that was refused. What a host function returns to pass the failure
    /// of a call back into the guest on to its own caller.
    pub fn as_trap(self) -> Trap {
        if let Self::Trap(report) = self { report.trap } else { Trap::host(0) }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFunction => write!(f, "the module has no such function"),
            Self::ArgCount { expected, given } => write!(f, "the function takes {expected} arguments, {given} given"),
            Self::ArgType { index, expected } => match expected.simple_name() {
                Some(name) => write!(f, "argument {} does not fit its type, expected {name}", index + 1),
                None => write!(f, "argument {} does not fit its type, expected null", index + 1),
            },
            Self::ArgStale { index } => write!(
                f,
                "argument {} is the handle of an object that is gone or of another instance, expected one that is alive: \
                 a root keeps it so",
                index + 1
            ),
            Self::Trap(TrapReport { trap, func, op }) => write!(f, "trap: {trap} in function {func} at op {op}"),
        }
    }
}

impl core::error::Error for CallError {}

/// A limit of fuel was asked for, of an instance whose engine counts none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuelError;

impl fmt::Display for FuelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the engine counts no fuel, expected one made with `Options::fuel` or `interpreter_with_fuel`")
    }
}

impl core::error::Error for FuelError {}

impl<'e> Instance<'e> {
    /// The number of words of state that an instance of the module needs: some for what machine code knows of it, one a
    /// global, one an import, one a cell constant, and some for the inline cache of each property access and of each call of a closure. Reads
    /// the code of all functions.
    pub fn state_words(module: &Module<'_>) -> usize {
        let words = cache::first_word(module.container()).saturating_add(cache::state_words(module));
        CONTEXT_WORDS.saturating_add(words)
    }

    /// An instance of the engine's module: globals at their initial values, imports resolved by name among `imports`.
    pub fn new(
        engine: &'e Engine<'e>,
        memory: InstanceMemory<'e>,
        imports: &'e [HostFn<'e>],
    ) -> Result<Self, InstantiateError<'e>> {
        let module = *engine.module();
        let container = module.container();
        let needed = Self::state_words(&module);
        let given = memory.state.len();
        let state = memory.state.get_mut(..needed).ok_or(InstantiateError::State { needed, given })?;
        let all = state.as_mut_ptr();
        // SAFETY: the first of the words, which are borrowed exclusively for 'e, are as many as a context has, and
        // aligned as it is. `state` is the others, so nothing of the instance refers to the context but by this
        // pointer.
        let (context, state) = unsafe {
            let context = all.cast::<Context>();
            context.write(Context::new());
            (context, core::slice::from_raw_parts_mut(all.add(CONTEXT_WORDS), needed.saturating_sub(CONTEXT_WORDS)))
        };
        let globals = usize::try_from(container.count(Section::Globals)).unwrap_or(usize::MAX);
        for (index, word) in (0..container.count(Section::Imports)).zip(state.iter_mut().skip(globals)) {
            *word = resolve(&module, index, imports)?;
        }
        let imported = usize::try_from(container.count(Section::Imports)).unwrap_or(usize::MAX);
        // The constants: none is made yet.
        for word in state.iter_mut().skip(globals.saturating_add(imported)) {
            *word = 0;
        }
        let first_cache = cache::first_word(container);
        cache::clear(state.get_mut(first_cache..).unwrap_or(&mut []));
        // SAFETY: the words are borrowed exclusively for 'e, for as long as the instance can be used.
        let heap = unsafe { Heap::new(memory.heap.as_mut_ptr(), memory.heap.len(), memory.seed) };
        let mut instance = Self {
            context,
            engine,
            heap,
            stack: memory.stack.as_mut_ptr(),
            stack_words: memory.stack.len(),
            state: state.as_mut_ptr(),
            state_words: state.len(),
            memory: PhantomData,
            heap_words: memory.heap.len(),
            globals,
            imports,
            native_stack: memory.native_stack,
            poll_handler: None,
            trap_base: ptr::null(),
        };
        instance.reset()?;
        Ok(instance)
    }

    /// Puts all globals back to their initial values. What is on the heap is garbage then, but for what the host roots.
    pub fn reset(&mut self) -> Result<(), InstantiateError<'e>> {
        let module = *self.engine.module();
        let container = module.container();
        let count = container.count(Section::Globals);
        // Nothing may refer to the heap while the first of them is made.
        for index in 0..count {
            self.set_state(index, initial(&module, index).unwrap_or(Cell::NULL.bits()));
        }
        for index in 0..count {
            let Some(global) = container.global(index) else { continue };
            let (Bank::Cell, Some(at)) = (global.ty.bank(), global.init) else { continue };
            if let Ok(cell) = self.constant(at) {
                self.set_state(index, cell.bits());
            } else {
                let name = container.text(global.name).unwrap_or("?");
                return Err(InstantiateError::Heap { name, given: self.heap_words });
            }
        }
        Ok(())
    }

    fn set_state(&mut self, index: u32, bits: u64) {
        if (index as usize) < self.state_words {
            // SAFETY: the word lies in the words that were borrowed exclusively for 'e, and the instance is borrowed
            // exclusively.
            unsafe { self.state.add(index as usize).write(bits) };
        }
    }

    /// The cell of constant `index`: made when it is first asked for, if it lies on the heap, and kept in the state from
    /// then on.
    fn constant(&mut self, index: u32) -> Result<Cell, OutOfMemory> {
        // SAFETY: the instance is borrowed exclusively, so no guest runs that is not in a host call.
        unsafe { Self::constant_of(self, index, core::ptr::null(), Site(0)) }
    }

    /// The same for a guest that is stopped at `site` in the frame at `frame`.
    ///
    /// # Safety
    ///
    /// As for [`GuestRoots::new`]; nothing else refers to the instance's heap.
    pub(crate) unsafe fn constant_of(
        this: *mut Self,
        index: u32,
        frame: *const u64,
        site: Site,
    ) -> Result<Cell, OutOfMemory> {
        // SAFETY: by the contract. The references are to the engine and to the heap, which no root lies in.
        let (container, heap, place, mut roots) = unsafe {
            let container = *(*this).engine().module().container();
            let first = container.count(Section::Globals).saturating_add(container.count(Section::Imports));
            let place = (*this).state.add(first.saturating_add(index) as usize);
            (container, &mut (*this).heap, place, GuestRoots::new(this, frame, site))
        };
        let Some(constant) = container.cell_const(index) else { return Ok(Cell::NULL) };
        if let Some(cell) = literal(&container, constant) {
            return Ok(cell);
        }
        // SAFETY: the state has a word for each constant.
        let known = unsafe { place.read() };
        if known != 0 {
            return Ok(Cell::from_slot(known));
        }
        let cell = match constant {
            CellConst::Int(at) => heap.int(container.constant(at).unwrap_or(0) as i64, &mut roots)?,
            CellConst::Str(at) => heap.str(container.bytes(at).unwrap_or(&[]), &mut roots)?,
            CellConst::Bool(_) | CellConst::Float(_) => Cell::NULL,
        };
        // SAFETY: as above.
        unsafe { place.write(cell.bits()) };
        Ok(cell)
    }

    /// The heap.
    #[cfg_attr(not(small), inline(always))]
    pub(crate) fn heap_mut(&mut self) -> &mut Heap {
        &mut self.heap
    }

    /// The heap.
    #[cfg_attr(not(small), inline(always))]
    pub(crate) fn heap(&self) -> &Heap {
        &self.heap
    }

    /// What the heap has done.
    pub fn heap_stats(&self) -> HeapStats {
        self.heap.stats()
    }

    /// How often its activations changed between machine code and the interpreter, since it was made.
    pub fn switches(&self) -> Switches {
        // SAFETY: the context lies in words that were borrowed for 'e; only the thread that runs the guest writes these.
        unsafe { (*self.context).switches }
    }

    /// Its heap, to make values in it, to read them and to keep them alive.
    pub fn objects(&mut self) -> Objects<'_> {
        Objects::of(self)
    }

    /// Collects at every allocation from now on, or no longer. For tests: it makes wrong uses of handles show at once, and
    /// everything slow.
    pub fn set_heap_stress(&mut self, on: bool) {
        self.heap.set_stress(on);
    }

    /// Lets that many allocations succeed and all behind them fail, as if the heap were full; `None` lets all succeed that
    /// there is room for. For tests of what happens where memory runs out. An array or a map that grows counts as one.
    pub fn set_heap_fuse(&mut self, allocations: Option<u64>) {
        self.heap.set_fuse(allocations);
    }

    /// Gives the instance a clock to time its collections by, in ticks of any length: [`HeapStats`] has the sums.
    pub fn set_clock(&mut self, clock: Option<fn() -> u64>) {
        self.heap.set_clock(clock);
    }

    /// Gives the guest that much fuel, in place of what it has left; with `None` the most there is, which no guest uses up.
    /// All calls from now on share it, those that host functions make included. Without this an instance of an engine that
    /// counts fuel has none, and every call traps `out_of_fuel`.
    ///
    /// An engine that counts no fuel refuses a limit, which it could not keep.
    pub fn set_fuel(&mut self, units: Option<u64>) -> Result<(), FuelError> {
        if self.engine.counts_fuel() {
            // SAFETY: the context lies in words that were borrowed exclusively for 'e, and no guest runs that is not in a
            // host call.
            unsafe { (*self.context).fuel = units.unwrap_or(u64::MAX) };
        } else if units.is_some() {
            return Err(FuelError);
        }
        Ok(())
    }

    /// The fuel that is left; `None` if the engine counts none.
    pub fn fuel(&self) -> Option<u64> {
        // SAFETY: the context lies in words that were borrowed for 'e; only the thread that runs the guest writes this one.
        self.engine.counts_fuel().then(|| unsafe { (*self.context).fuel })
    }

    /// What the inline caches of the property accesses and of the calls of closures have seen, in the order of the
    /// functions and of the ops in them. Machine code fills them; the interpreter has none.
    pub fn cache_stats(&self) -> impl Iterator<Item = CacheStats> + '_ {
        let container = self.engine.module().container();
        // SAFETY: the state's words are borrowed for 'e, and no guest writes them while the instance is borrowed.
        let state = unsafe { core::slice::from_raw_parts(self.state, self.state_words) };
        let blocks = state.get(cache::first_word(container)..).unwrap_or(&[]);
        cache::stats(container, blocks, self.engine.functions())
    }

    /// The words of all inline caches.
    pub(crate) fn caches(&self) -> *mut [u64] {
        let first = cache::first_word(self.engine.module().container()).min(self.state_words);
        core::ptr::slice_from_raw_parts_mut(self.state.wrapping_add(first), self.state_words.saturating_sub(first))
    }

    /// The words of the state.
    pub(crate) fn state(&self) -> *const u64 {
        self.state
    }

    /// The innermost entry.
    pub(crate) fn activation(&self) -> *const Activation {
        // SAFETY: the context lies in words that are borrowed for 'e; only the thread that runs the guest writes this
        // one.
        unsafe { (*self.context).activation as *const Activation }
    }

    /// The engine of an instance that others may refer to.
    ///
    /// # Safety
    ///
    /// The instance is live.
    pub(crate) unsafe fn engine_of(instance: *const Self) -> &'e Engine<'e> {
        // SAFETY: by the contract; the field is never written.
        unsafe { (*instance).engine }
    }

    /// The engine.
    pub fn engine(&self) -> &'e Engine<'e> {
        self.engine
    }

    /// The handle by which other threads, interrupt handlers and host functions interrupt the guest.
    pub fn interrupter(&self) -> Interrupter<'e> {
        // SAFETY: the context lies in words that are borrowed exclusively for 'e, so nobody else can give them another
        // use before that ends, whatever becomes of the instance. Who uses the instance accesses the poll words by
        // atomic operations only, writes the other fields through the raw pointer, and never makes an exclusive
        // reference to the context. Machine code loads the guard, which is as good: aligned words of 8 bytes are loaded
        // whole (SDM vol. 3A, "Guaranteed Atomic Operations"; Arm ARM DDI 0487, B2.2.1).
        Interrupter::new(unsafe { &(*self.context).poll })
    }

    /// Gives the instance a handler that decides about the guest when [`Interrupter::poll`] asks for it; `None` takes
    /// it away.
    pub fn set_poll_handler(&mut self, handler: Option<&'e PollHandler<'e>>) {
        self.poll_handler = handler;
    }

    /// The host's poll handler.
    pub(crate) fn poll_handler(&self) -> Option<&'e PollHandler<'e>> {
        self.poll_handler
    }

    /// The frames of the guest as they were when the last call trapped, the innermost first, whose op is that of the
    /// [`TrapReport`]. Nothing if it did not trap; a call that is refused changes nothing. A trap of a call that a host
    /// function made, and passed on, is a trap of the op that called the host function.
    pub fn trap_trace(&self) -> Walk<'_> {
        // SAFETY: the context lies in words that are borrowed for 'e; only the thread that runs the guest writes these.
        // The frames have not been written since the trap: the address is cleared before, when a call starts, a host
        // function is called, or a call ends without a trap. Those of the entries around it have called host functions.
        unsafe {
            let (frame, site) = ((*self.context).trap_frame as *const u64, Site((*self.context).trap_site as u32));
            Walk::trapped(self, frame, site, self.trap_base)
        }
    }

    /// The value of a global, by its index in the module.
    pub fn global(&self, index: u32) -> Option<Value> {
        let global = self.engine.module().container().global(index)?;
        let bits = self.state_word(usize::try_from(index).ok()?)?;
        Some(Value::from_slot(global.ty.bank(), bits))
    }

    /// Calls a function by its name. A cell that it gives is good until the next call that may allocate; see
    /// [`super::objects`].
    pub fn call(&mut self, func: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
        let index = self.engine.module().func_index(func).ok_or(CallError::NoFunction)?;
        self.call_index(index, args)
    }

    /// Calls a function by its index in the module.
    pub fn call_index(&mut self, func: u16, args: &[Value]) -> Result<Option<Value>, CallError> {
        self.enter(func, args, self.stack as u64)
    }

    /// Whether a value from the host may stand where `ty` is declared: of the type's bank, and if it is a handle, one of a
    /// live object of that type.
    pub(crate) fn accepts(&self, ty: TypeId, value: Value) -> bool {
        let cell = match (ty, value) {
            (TypeId::I64, Value::I64(_)) | (TypeId::F64, Value::F64(_)) => return true,
            (TypeId::I64 | TypeId::F64 | TypeId::NONE, _) => return false,
            (_, Value::Cell(cell)) => cell,
            _ => return false,
        };
        if cell.is_handle() {
            return self.heap.is_live(cell) && self.heap.is_a(cell, ty, self.engine.module().container());
        }
        match Cell::from_bits(cell.bits()).and_then(Cell::content) {
            Some(Content::Null) => true,
            Some(Content::Str(..)) => ty == TypeId::STR || ty == TypeId::ANY,
            Some(_) => ty == TypeId::ANY,
            None => false,
        }
    }

    /// A word of the state.
    fn state_word(&self, index: usize) -> Option<u64> {
        if index >= self.state_words {
            return None;
        }
        // SAFETY: the word lies in the words that were borrowed for 'e; only the thread that runs the guest writes them.
        Some(unsafe { self.state.add(index).read() })
    }

    /// An import's host function.
    pub(crate) fn import(&self, index: u32) -> Option<HostFn<'e>> {
        let place = self.globals.checked_add(usize::try_from(index).ok()?)?;
        self.imports.get(usize::try_from(self.state_word(place)?).ok()?).copied()
    }

    /// Calls a function with its frame at `start`, an address in the VM stack above which nothing is in use.
    pub(crate) fn enter(&mut self, func: u16, args: &[Value], start: u64) -> Result<Option<Value>, CallError> {
        let engine = self.engine;
        let container = engine.module().container();
        let record = container.func(func.into()).ok_or(CallError::NoFunction)?;
        let sig = container.sig(record.sig).ok_or(CallError::NoFunction)?;
        if args.len() != usize::from(sig.count) {
            return Err(CallError::ArgCount { expected: sig.count.into(), given: args.len() });
        }
        for (index, &value) in (0..sig.count).zip(args) {
            let expected = container.param(&sig, index).ok_or(CallError::NoFunction)?;
            if !self.accepts(expected, value) {
                if value.cell().is_some_and(|cell| cell.is_handle() && !self.heap.is_live(cell)) {
                    return Err(CallError::ArgStale { index: index.into() });
                }
                return Err(CallError::ArgType { index: index.into(), expected });
            }
        }
        let site = Site::new(func, 0);
        let stack_start = self.stack as u64;
        let stack_end = self.stack.wrapping_add(self.stack_words) as u64;
        let size = u64::from(frame::frame_bytes(record.slot_count));
        let here = native_stack_pointer();
        let context = self.context;
        // SAFETY: the context lies in words that were borrowed exclusively for 'e; only this thread writes what is not atomic
        // in it.
        let (native_limit, outermost) = unsafe {
            (*context).trap_frame = 0;
            let outermost = (*context).entry_sp == 0;
            if outermost {
                let budget = self.native_stack.saturating_sub(NATIVE_RESERVE) as u64;
                // Up to the next even number, so that there is never more than the budget.
                (*context).native_limit = here.saturating_sub(budget).saturating_add(1) & !1;
                (*context).poll.begin((*context).native_limit);
            }
            ((*context).native_limit, outermost)
        };
        let fits = start >= stack_start && start.saturating_add(size) <= stack_end;
        // Guest code adds to a frame's address before it compares, which must not pass the end of the address space.
        let wraps = stack_end.checked_add(frame::GREATEST_REACH).is_none();
        if !fits || wraps || here <= native_limit {
            // There is no frame, and the walk does not read it.
            self.trap_base = self.stack;
            // SAFETY: as above.
            unsafe { Context::set_trap(context, Trap::new(TrapKind::StackOverflow), site, self.stack) };
            return Err(self.report());
        }
        // SAFETY: the frame lies in the VM stack, whose words were borrowed exclusively for 'e: its start is a whole number
        // of words behind the stack's, and a header and a slot for each parameter fit before its end. Frames in use end
        // before it.
        let frame = unsafe {
            let frame = self.stack.byte_add((start - stack_start) as usize);
            frame.write(site.0.into());
            for (index, value) in args.iter().enumerate() {
                frame.add(1 + index).write(value.bits());
            }
            frame
        };
        let instance = &raw mut *self;
        // SAFETY: as above; the context stays where it is until the guest has returned, which is after the seat has been left.
        let seated = unsafe { Seated::new(context, engine, outermost) };
        let mut activation = Activation::new(self.activation(), frame);
        // SAFETY: as above; the guard ends before the activation does.
        let entered = unsafe {
            (*context).stack_end = stack_end;
            (*context).globals = (*instance).state as u64;
            (*context).tables = container.section(Section::TableData).as_ptr() as u64;
            (*context).entries = engine.functions().as_ptr() as u64;
            (*context).services = (&raw const SERVICES) as u64;
            (*context).records = (*instance).heap.record0();
            (*context).instance = instance as u64;
            Entered::new(context, &raw mut activation)
        };
        // Machine code polls at the entry of functions that call others and at loop heads: not in a leaf without loops,
        // where the interpreter polls. So what was asked for before this call is found here in every engine.
        let start = Stopped { context, frame, site };
        // SAFETY: the context is this exclusively borrowed instance's, which is not touched meanwhile.
        let stopped = unsafe { super::services::poll(start) } == TRAPPED;
        // SAFETY: the context is live.
        let mut code = if unsafe { engine.is_seated(context) } { engine.warm(func, start) } else { None };
        let status = loop {
            if stopped {
                break TRAPPED;
            }
            // SAFETY: the module is verified; the frame lies in the VM stack with its header and arguments in place;
            // `instance` is this exclusively borrowed instance, which is not touched again until the guest has returned. Code
            // was compiled by the engine from the verified function and published, or is what the interpreter goes on at.
            let status = unsafe {
                match (code, engine.machine()) {
                    (Some(code), Some(machine)) => (machine.enter)(context, frame, code),
                    _ => {
                        (*context).entry_sp = here;
                        let status = crate::interp::run(context, frame, func, Start::Entry, Exits::All);
                        (*context).float_result = (*context).result;
                        status
                    }
                }
            };
            if status != SWITCH {
                break status;
            }
            // SAFETY: the context is live.
            code = Some(unsafe { (*context).operands[0] });
        };
        drop(entered);
        drop(seated);
        if status != 0 {
            self.trap_base = frame;
            return Err(self.report());
        }
        // SAFETY: as above.
        let (int, float) = unsafe {
            (*context).trap_frame = 0;
            ((*context).result, (*context).float_result)
        };
        if sig.result == TypeId::NONE {
            return Ok(None);
        }
        let bank = sig.result.bank();
        Ok(Some(Value::from_slot(bank, if bank == Bank::F64 { float } else { int })))
    }

    /// The trap in the context.
    fn report(&self) -> CallError {
        // SAFETY: the context lies in words that are borrowed for 'e; only the thread that runs the guest writes these.
        let (bits, site) = unsafe { ((*self.context).trap, Site((*self.context).trap_site as u32)) };
        let trap = Trap::decode(bits).unwrap_or(Trap::new(TrapKind::Unreachable));
        let container = self.engine.module().container();
        let code = container.func(site.func().into()).and_then(|func| container.code(&func)).unwrap_or(&[]);
        CallError::Trap(TrapReport { trap, func: site.func(), op: op_index(code, site.word().into()) })
    }
}

/// An entry into the guest. Ends when dropped, also if a host function panics and the host catches that.
struct Entered {
    context: *mut Context,
    /// The native stack pointer of the entry around it.
    outer_sp: u64,
    /// The activation of the entry around it.
    outer: u64,
}

impl Entered {
    /// # Safety
    ///
    /// The context is live and only this thread writes what is not atomic in it, both until the result is dropped.
    unsafe fn new(context: *mut Context, activation: *mut Activation) -> Self {
        // SAFETY: by the contract.
        unsafe {
            let outer = core::mem::replace(&mut (*context).activation, activation as u64);
            Self { context, outer_sp: (*context).entry_sp, outer }
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: by the contract of `new`.
        unsafe {
            (*self.context).entry_sp = self.outer_sp;
            (*self.context).activation = self.outer;
        }
    }
}

/// A guest's seat in the engine, where it needs one, for an entry from the host: taken by the outermost entry, and handed back
/// to the host function that made the entry by the others.
struct Seated<'e> {
    context: *mut Context,
    seat: Option<&'e Seat>,
    outermost: bool,
}

impl<'e> Seated<'e> {
    /// # Safety
    ///
    /// The context is live, stays where it is until the result is dropped, and only this thread writes what is not atomic in
    /// it. A seat that it leads to is the engine's.
    unsafe fn new(context: *mut Context, engine: &Engine<'e>, outermost: bool) -> Self {
        // SAFETY: by the contract.
        unsafe {
            let seat = if outermost {
                let seat = engine.take_seat(context);
                (*context).seat = seat.map_or(0, |seat| (&raw const *seat).addr() as u64);
                seat
            } else {
                let seat = ((*context).seat as *const Seat).as_ref();
                seat.inspect(|seat| seat.leave_host())
            };
            Self { context, seat, outermost }
        }
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        let Some(seat) = self.seat else { return };
        if self.outermost {
            seat.leave();
            // SAFETY: by the contract of `new`.
            unsafe { (*self.context).seat = 0 };
        } else {
            seat.enter_host();
        }
    }
}

/// The address of something on the native stack near its top.
#[inline(never)]
pub(crate) fn native_stack_pointer() -> u64 {
    let here = 0u8;
    (&raw const here) as u64
}

/// The place among `imports` of what the module's import `index` asks for.
fn resolve<'e>(module: &Module<'e>, index: u32, imports: &[HostFn<'_>]) -> Result<u64, InstantiateError<'e>> {
    let container = module.container();
    let unknown = InstantiateError::Import { name: "?", mismatch: false };
    let import = container.import(index).ok_or(unknown)?;
    let name = container.text(import.name).ok_or(unknown)?;
    let sig = container.sig(import.sig).ok_or(unknown)?;
    let mut mismatch = false;
    for (place, host) in (0..).zip(imports) {
        if host.name != name {
            continue;
        }
        let same = host.params.len() == usize::from(sig.count)
            && host.result == sig.result
            && (0..sig.count).zip(host.params).all(|(param, ty)| container.param(&sig, param) == Some(*ty));
        if same {
            return Ok(place);
        }
        mismatch = true;
    }
    Err(InstantiateError::Import { name, mismatch })
}

/// The initial bits of a global.
fn initial(module: &Module<'_>, index: u32) -> Option<u64> {
    let container = module.container();
    let global = container.global(index)?;
    match (global.ty.bank(), global.init) {
        (Bank::I64 | Bank::F64, None) => Some(0),
        (Bank::I64, Some(at)) => container.constant(at),
        (Bank::F64, Some(at)) => Some(super::value::canonical(f64::from_bits(container.constant(at)?))),
        (Bank::Cell, None) => Some(Cell::NULL.bits()),
        (Bank::Cell, Some(at)) => literal(container, container.cell_const(at)?).map(Cell::bits),
    }
}

/// The cell of a literal that needs no heap.
pub(crate) fn literal(container: &Container<'_>, constant: CellConst) -> Option<Cell> {
    match constant {
        CellConst::Bool(value) => Some(Cell::bool(value)),
        CellConst::Int(at) => Cell::int(container.constant(at)? as i64),
        CellConst::Float(at) => Some(Cell::float(f64::from_bits(container.constant(at)?))),
        CellConst::Str(at) => Cell::str(container.bytes(at)?),
    }
}

static SERVICES: Services = super::services::SERVICES;
