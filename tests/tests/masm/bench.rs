//! Machine code made of single verbs, and a context to run it in: no module, no compiler, no engine.

use opstamp::CodeMemory;
use opstamp::asm::{Buf, EmitError};
use opstamp::code::CodeRange;
use opstamp::masm::a64::A64;
use opstamp::masm::x64::X64;
use opstamp::masm::{
    Any, Calls, FUNCTION_ALIGN, Features, Float, FloatReg, Int, IntReg, Masm, Place, PoolReg, Saved, Stubs,
};
use opstamp::runtime::context::{Context, EnterFn, Services};
use opstamp::runtime::frame::slot_offset;
use opstamp::runtime::trap::Site;
use opstamp_platform::HostCode;
use std::ops::{Deref, DerefMut};

/// A macro assembler, whatever it borrows.
pub trait Family: 'static {
    type Masm<'m>: Masm<'m>;
}

pub struct FamilyX64;
impl Family for FamilyX64 {
    type Masm<'m> = X64<'m>;
}

pub struct FamilyA64;
impl Family for FamilyA64 {
    type Masm<'m> = A64<'m>;
}

/// The function that all test code claims to be, and the op in it.
pub const FUNC: u16 = 0x1234;
pub const SITE: Site = Site::new(FUNC, 0x5678);

/// Words of frame: enough for slots beyond every short offset.
const STACK_WORDS: usize = 140_000;
/// Slots of the frame by use. Operands arrive and leave in the first, canaries of all pool registers in the next.
pub const IN: u16 = 0;
pub const OUT: u16 = 8;
pub const CANARY_IN: u16 = 32;
pub const CANARY_OUT: u16 = 128;
/// Slots for operands in the frame that short and long offsets reach.
pub const NEAR: u16 = 300;
pub const FAR: u16 = 60_000;

/// What slots that nothing wrote hold.
pub const POISON: u64 = 0xDEAD_BEEF_0BAD_F00D;

const CODE: usize = 96 << 20;

/// Words behind the context.
const STATE_WORDS: usize = 40_000;

/// The state of an instance: its context, and the words behind it.
#[repr(C)]
pub struct State {
    context: Context,
    pub words: [u64; STATE_WORDS],
}

impl Deref for State {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl DerefMut for State {
    fn deref_mut(&mut self) -> &mut Context {
        &mut self.context
    }
}

/// A window of code with stubs, and an instance's memory.
pub struct Bench {
    code: HostCode,
    pub context: Box<State>,
    pub services: Box<Services>,
    pub stack: Vec<u64>,
    pub features: Features,
    stubs: Stubs,
    next: usize,
}

/// A function in the window.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub address: u64,
    pub len: usize,
}

impl Bench {
    pub fn new<F: Family>(features: Features) -> Self {
        Self::with_floats::<F>(features, usize::MAX)
    }

    /// With stubs that preserve only what functions need that pin at most so many floats.
    pub fn with_floats<F: Family>(features: Features, floats: usize) -> Self {
        let mut code = HostCode::new(CODE).expect("code memory");
        let memory = code.open(CodeRange { start: 0, end: 8192 }).expect("opens");
        let place = Place::new(0, features, Stubs { floats, ..Stubs::default() }, 0);
        let mut masm = F::Masm::new(Buf::new(memory).expect("large enough"), place);
        let stubs = masm.stubs();
        masm.finish().expect("stubs can be emitted");
        drop(masm);
        code.publish(CodeRange { start: 0, end: stubs.end }).expect("publishes");
        let next = stubs.end.next_multiple_of(FUNCTION_ALIGN);
        let services = Box::new(super::services::SERVICES);
        let mut bench = Self {
            code,
            context: Box::new(State { context: Context::new(), words: [0; STATE_WORDS] }),
            services,
            stack: vec![POISON; STACK_WORDS],
            features,
            stubs,
            next,
        };
        bench.context.services = (&raw const *bench.services) as u64;
        bench.context.stack_end = bench.stack.as_ptr_range().end as u64;
        bench
    }

    /// Whether stubs preserve a register of the pools, by its index in both: all integers, and of the floats that callees
    /// keep, and of the others, as many as a function may pin.
    pub fn preserves<F: Family>(&self, index: usize) -> bool {
        let pool = <F::Masm<'_> as Masm<'_>>::FLOAT_POOL;
        let Some(index) = index.checked_sub(<F::Masm<'_> as Masm<'_>>::INT_POOL.len()) else { return true };
        pool[..index].iter().filter(|reg| reg.callee_saved == pool[index].callee_saved).count() < self.stubs.floats
    }

    /// Bytes of all stubs.
    pub fn stub_bytes(&self) -> usize {
        self.stubs.end
    }

    /// Forgets all functions.
    pub fn clear(&mut self) {
        self.next = self.stubs.end.next_multiple_of(FUNCTION_ALIGN);
    }

    /// Emits a function into `room` bytes. It may run after [`Bench::publish`].
    pub fn try_emit<F: Family>(
        &mut self,
        room: usize,
        far_branches: bool,
        body: &mut dyn FnMut(&mut F::Masm<'_>),
    ) -> Result<Code, EmitError> {
        let start = self.next;
        let memory = self.code.open(CodeRange { start, end: start + room }).expect("opens");
        let (features, stubs) = (self.features, self.stubs);
        let place = Place { far_branches, ..Place::new(start, features, stubs, FUNC) };
        let mut masm = F::Masm::new(Buf::new(memory).expect("large enough"), place);
        body(&mut masm);
        masm.flush_cold();
        let len = masm.finish()?;
        drop(masm);
        self.next = (start + len).next_multiple_of(FUNCTION_ALIGN);
        Ok(Code { address: (self.code.base() + start) as u64, len })
    }

    pub fn emit<F: Family>(&mut self, body: &mut dyn FnMut(&mut F::Masm<'_>)) -> Code {
        self.try_emit::<F>(64 * 1024, false, body).expect("can be emitted")
    }

    /// Makes what was emitted since [`Bench::clear`] executable.
    pub fn publish(&mut self) {
        self.code.publish(CodeRange { start: 0, end: self.next }).expect("publishes");
    }

    /// The entry stub.
    pub fn enter_fn(&self) -> EnterFn {
        // SAFETY: the stub was emitted for this type of function and published.
        unsafe { std::mem::transmute::<usize, EnterFn>(self.code.base() + self.stubs.enter) }
    }

    /// Runs a function with its frame at the start of the stack; 0, or 1 for a trap.
    pub fn run(&mut self, code: Code) -> u64 {
        let here = 0_u8;
        if self.context.native_limit == 0 {
            self.context.native_limit = (&raw const here) as u64 - 256 * 1024;
            self.set_guard(self.context.native_limit);
        }
        let enter = self.enter_fn();
        let frame = self.stack.as_mut_ptr();
        // SAFETY: the code was emitted by verbs that touch this frame, this context and what it refers to.
        let status = unsafe { enter((&raw mut *self.context).cast(), frame, code.address) };
        assert_eq!(self.context.entry_sp, 0, "the entry around it is restored");
        status
    }

    /// Sets the word that polls and stack checks read.
    pub fn set_guard(&mut self, guard: u64) {
        let limit = std::mem::replace(&mut self.context.native_limit, guard);
        self.context.take_poll();
        self.context.native_limit = limit;
    }

    pub fn slot(&self, slot: u32) -> u64 {
        self.stack[1 + slot as usize]
    }

    pub fn set_slot(&mut self, slot: u32, value: u64) {
        self.stack[1 + slot as usize] = value;
    }
}

/// The registers of the pools that callees keep.
pub fn all_saved<F: Family>() -> Saved {
    let mask = |pool: &[PoolReg]| pool.iter().filter(|reg| reg.callee_saved).map(|reg| 1 << reg.number).sum();
    Saved { ints: mask(<F::Masm<'_> as Masm<'_>>::INT_POOL), floats: mask(<F::Masm<'_> as Masm<'_>>::FLOAT_POOL) }
}

/// Every register of the pools, the integers first.
pub fn pool<F: Family>() -> Vec<Any> {
    let ints = <F::Masm<'_> as Masm<'_>>::INT_POOL.iter().map(|reg| Any::Int(Int::Reg(IntReg(reg.number))));
    let floats = <F::Masm<'_> as Masm<'_>>::FLOAT_POOL.iter().map(|reg| Any::Float(Float::Reg(FloatReg(reg.number))));
    ints.chain(floats).collect()
}

/// Loads every register of the pools from its canary.
pub fn load_canaries<F: Family>(masm: &mut F::Masm<'_>) {
    for (slot, reg) in (CANARY_IN..).zip(pool::<F>()) {
        masm.load(reg, slot_offset(slot));
    }
}

/// Stores every register of the pools.
pub fn store_canaries<F: Family>(masm: &mut F::Masm<'_>) {
    for (slot, reg) in (CANARY_OUT..).zip(pool::<F>()) {
        masm.store(slot_offset(slot), reg);
    }
}

/// A value for each canary that no operand has.
pub fn canary(index: usize) -> u64 {
    0x3FF1_2345_0000_0000 | index as u64
}
