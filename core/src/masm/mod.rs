//! The macro assembler: one set of verbs, two ISAs behind it.
//!
//! A verb says what a template wants done with values, not how a machine does it. Its operands are places ([`Int`],
//! [`Float`]): a machine register that a bytecode register is pinned to, or a slot of the frame. So each ISA picks its own
//! best form for each mix of places (a memory operand on x86-64, a load into a scratch register on arm64), and a template
//! stays one line. What machine registers exist and what each is for stands in one page per ISA: [`x64::convention`],
//! [`a64::convention`]. What another ISA has to supply stands in `PORTING.md` beside this file.
//!
//! Scratch registers never leave a verb: no verb takes or gives one, so no template can hold one across verbs.
//!
//! Rare halves of a verb (traps, polls, saturation) go behind the function's hot code: the macro assembler keeps a short
//! list of them ([`Cold`]) and writes it out when the function ends, or between two ops when the list is full.

pub mod a64;
mod objects;
pub mod x64;

use crate::asm::{Buf, EmitError, Label};
use crate::runtime::cache::CacheSite;
use crate::runtime::trap::{Site, Trap};
use core::fmt;

pub use objects::{Cast, DynCond, DynOp, Element, Object, Objects, Slow, Spill};
use objects::{KINDS_BY_TAG, LAST_BY_VALUE};

/// A machine register for integers and cells, by its machine number; what it may be used for is the convention's matter.
///
/// It is as wide as the other half of [`Int`], so that places are moved in whole words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntReg(pub u32);

/// A machine register for floats, by its machine number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatReg(pub u32);

/// Where an integer or a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Int {
    /// Pinned to a machine register.
    Reg(IntReg),
    /// In the frame, at this byte offset.
    Slot(u32),
}

/// Where a float is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    /// Pinned to a machine register.
    Reg(FloatReg),
    /// In the frame, at this byte offset.
    Slot(u32),
}

/// An integer source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Src {
    /// A place.
    At(Int),
    /// A literal.
    Imm(i64),
}

/// A value of any bank that moves unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Any {
    /// An integer or a cell.
    Int(Int),
    /// A float.
    Float(Float),
}

/// A place as a backend wants it for [`Masm::plain`]: its own four words, which only it understands.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Prepared(pub [u64; 4]);

/// An operation that a backend may make by table instead of by its verb: one without a rare half and without calls, which
/// takes few instructions and whose operands are the fields of one word. `K` stands for a literal of 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the verbs and of the vm3 ops")]
pub enum Plain {
    Mov,
    FloatMov,
    /// A literal of 32 bits.
    Const,
    Int(IntOp),
    /// All but `Min` and `Max`.
    IntK(IntOp),
    IntUnary(IntUnary),
    Compare(Cond),
    CompareK(Cond),
    /// All but `Min`, `Max` and `Copysign`.
    Float(FloatOp),
    FloatNeg,
    FloatAbs,
    Sqrt,
    /// All but `Eq` and `Ne`.
    FloatCompare(FloatCond),
    IntToFloat,
    FloatBits,
    FloatFromBits,
    /// Loads a word behind [`ContextWord::Globals`].
    GetInt,
    GetFloat,
    /// Stores one.
    SetInt,
    /// The last instruction is the branch.
    Branch(Cond),
    BranchK(Cond),
    /// All but `Eq` and `Ne`.
    FloatBranch(FloatCond),
}

impl Plain {
    /// Whether it may branch, to the word in its last field.
    #[inline]
    pub const fn branches(self) -> bool {
        matches!(self, Self::Branch(_) | Self::BranchK(_) | Self::FloatBranch(_))
    }
}

/// The operands of a plain operation.
#[derive(Clone, Copy, Debug)]
pub struct PlainOp<'p> {
    /// From bit 16 on three fields of 16 bits: the destination and sources, by their number in `places`, indices and
    /// literals, in the order of the vm3 op. What is below bit 16 does not matter.
    pub word: u64,
    /// All places. What is no number of a place in `word` may exceed them.
    pub places: &'p [Prepared],
}

/// A register of the pool that bytecode registers are pinned to.
#[derive(Clone, Copy, Debug)]
pub struct PoolReg {
    /// Its machine number.
    pub number: u32,
    /// Whether guest functions preserve it, so that it survives calls and whoever uses it saves it.
    pub callee_saved: bool,
}

/// The registers of a float pool that functions may pin something to, each at most `count` ([`Stubs::floats`]).
fn first_floats(pool: &[PoolReg], count: usize) -> impl Iterator<Item = &PoolReg> {
    let kind = move |saved: bool| pool.iter().filter(move |reg| reg.callee_saved == saved).take(count);
    kind(false).chain(kind(true))
}

/// Integer operations on two sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum IntOp {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Ushr,
    Rotl,
    Min,
    Max,
}

/// Divisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum DivOp {
    Div,
    Rem,
    Udiv,
    Urem,
}

impl DivOp {
    /// Whether the operands are signed.
    pub const fn signed(self) -> bool {
        matches!(self, Self::Div | Self::Rem)
    }

    /// Whether the result is the remainder.
    pub const fn remainder(self) -> bool {
        matches!(self, Self::Rem | Self::Urem)
    }
}

/// Integer operations on one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum IntUnary {
    Neg,
    Not,
    Clz,
    Ctz,
    Popcnt,
}

/// Integer comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum Cond {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Ult,
    Ule,
    Ugt,
    Uge,
}

impl Cond {
    /// The comparison that holds exactly when this one does not.
    #[must_use]
    pub const fn negate(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
            Self::Ult => Self::Uge,
            Self::Ule => Self::Ugt,
            Self::Ugt => Self::Ule,
            Self::Uge => Self::Ult,
        }
    }
}

/// Float comparisons; with a NaN all are false but `Ne`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum FloatCond {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Float operations on two sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Copysign,
}

/// Float operations on one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum FloatUnary {
    Neg,
    Abs,
    Sqrt,
    Floor,
    Ceil,
    Trunc,
    Nearest,
}

/// The return from a function of which nothing has run: with `value` if the comparison holds. All places are in the frame.
#[derive(Clone, Copy, Debug)]
pub struct EarlyReturn {
    /// The comparison.
    pub cond: Cond,
    /// Its first operand.
    pub x: Int,
    /// Its second operand.
    pub y: Src,
    /// The result.
    pub value: Option<Any>,
}

/// Words of the context that templates reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextWord {
    /// [`crate::runtime::context::Context::globals`]
    Globals,
    /// [`crate::runtime::context::Context::tables`]
    Tables,
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// The function that is being compiled, at its own entry.
    Own,
    /// Another one, through the word at this byte offset in the engine's function table.
    Entry {
        /// The byte offset.
        at: u32,
        /// The function.
        func: u16,
    },
}

/// An instruction set that machine code can be made for, on any host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// x86-64, little-endian by nature.
    X86_64,
    /// arm64 (AArch64, A64), little-endian.
    Arm64,
}

impl Isa {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    /// The one of the CPU that this program was built for; `None` if no backend emits for it.
    pub const HOST: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
        Some(Self::Arm64)
    } else {
        None
    };
}

/// What a CPU can do beyond its ISA's baseline: an input to compilation, so that code for another machine can be made, and
/// a kernel can leave out what it has not enabled. Whatever is missing is done by other instructions or by a service, with
/// the same result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the CPU features")]
pub struct Features {
    pub popcnt: bool,
    pub lzcnt: bool,
    pub bmi1: bool,
    pub bmi2: bool,
    pub sse41: bool,
    pub avx: bool,
    pub fma: bool,
}

impl Features {
    /// Everything that the backends can make use of.
    pub const ALL: Self = Self { popcnt: true, lzcnt: true, bmi1: true, bmi2: true, sse41: true, avx: true, fma: true };
}

/// The places of the shared stubs in the code window, as offsets in bytes from its start. [`Masm::stubs`] emits them once
/// an engine, and states each one's register contract.
#[derive(Clone, Copy, Debug)]
pub struct Stubs {
    /// How many floats a function in the window may pin at most. Pinning takes the first register of the pool that is free
    /// and will do, so of the float registers that guest functions keep, and of those that they do not, only the first so
    /// many ever hold anything: no stub preserves others, whatever is said below.
    pub floats: usize,
    /// The entry from the host ([`crate::runtime::context::EnterFn`]): 0, at the window's start.
    pub enter: usize,
    /// Ends the run with the trap whose bits are in the result register, at the site in the site register.
    pub trap: usize,
    /// The same with the trap of that [`crate::runtime::trap::TrapKind`] number.
    pub trap_kind: [usize; 12],
    /// At a function's entry: a poll, or the end of the native stack. Preserves every register of the pools.
    pub guard: usize,
    /// At the head of a loop: a poll. The function's entry has answered for what it and this take of the native stack.
    /// Preserves every register of the pools.
    pub poll: usize,
    /// Calls a host function.
    pub host: usize,
    /// Calls a soft operation ([`crate::runtime::context::Soft`]). Preserves every register of the pools. 0 where the ISA
    /// lacks none of them.
    pub soft: usize,
    /// Goes on in the interpreter until the frame returns, then returns its result; or says that machine code goes on.
    pub deopt: usize,
    /// Stands for a function that has no machine code: its entry leads here. Runs it, or has it compiled and goes there.
    /// Always [`Masm::LAZY`].
    pub lazy: usize,
    /// The same for a function that is left at its entry, and interpreted.
    pub whole: usize,
    /// Runs an op by its service. Preserves every register of the pools.
    pub op: usize,
    /// The same, with the number of an inline cache plus 1 in the result register.
    pub cached_op: usize,
    /// Fills the inline cache of a call of a closure. Preserves every register of the pools.
    pub closure: usize,
    /// One past the last byte of all stubs.
    pub end: usize,
}

impl Default for Stubs {
    /// Stubs of unknown places, which preserve every float register.
    fn default() -> Self {
        Self {
            floats: usize::MAX,
            enter: 0,
            trap: 0,
            trap_kind: [0; _],
            guard: 0,
            poll: 0,
            host: 0,
            soft: 0,
            deopt: 0,
            lazy: 0,
            whole: 0,
            op: 0,
            cached_op: 0,
            closure: 0,
            end: 0,
        }
    }
}

/// Where emission happens and what it may assume.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The offset in the code window of the buffer's first byte.
    pub offset: usize,
    /// What the CPU can do.
    pub features: Features,
    /// The stubs in the same window.
    pub stubs: Stubs,
    /// The function that is compiled.
    pub func: u16,
    /// The number of blocks of inline caches in the functions before it.
    pub first_cache: u32,
    /// Whether conditional branches to labels that are not bound yet must reach as far as unconditional ones. Without it
    /// the shortest form is used, and [`EmitError::BranchRange`] says if that did not do.
    pub far_branches: bool,
    /// Whether machine code can be left for the interpreter at polls, and be entered at loop heads.
    pub switching: bool,
    /// The word of an op at which machine code is always left, so that the interpreter runs it.
    pub leave_at: Option<u16>,
    /// Whether straight runs are charged to [`crate::runtime::context::Context::fuel`].
    pub fuel: bool,
    /// Whether the heads of loops poll: [`crate::jit::Options::polls`].
    pub polls: bool,
}

impl Place {
    /// For function `func`, `offset` bytes behind the start of the window that the stubs are in, with no inline cache before
    /// it.
    pub const fn new(offset: usize, features: Features, stubs: Stubs, func: u16) -> Self {
        Self {
            offset,
            features,
            stubs,
            func,
            first_cache: 0,
            far_branches: false,
            switching: false,
            leave_at: None,
            fuel: false,
            polls: true,
        }
    }
}

/// The rare half of a verb.
#[derive(Clone, Copy, Debug)]
pub struct Cold {
    /// Where it starts.
    pub label: Label,
    /// Where the hot code goes on; an offset in the buffer.
    pub back: usize,
    /// What it does.
    pub kind: ColdKind,
}

/// What a rare half does.
#[derive(Clone, Copy, Debug)]
pub enum ColdKind {
    /// Ends the run.
    Trap {
        /// The trap.
        trap: Trap,
        /// Where.
        site: Site,
    },
    /// Polls, and goes back.
    Guard {
        /// Where.
        site: Site,
        /// Whether this is the head of a loop, not the entry.
        head: bool,
    },
    /// Polls if someone asked for it, at the head of a loop, and goes to where its limit is set ([`Flow::paced_branch`]).
    Pace {
        /// Where.
        site: Site,
    },
    /// Looks closely whether a frame fits on the VM stack; if so, back, else traps `stack_overflow`.
    Stack {
        /// The byte offset of its end.
        end: u32,
        /// Where.
        site: Site,
    },
    /// Gives back what [`Flow::charge`] has taken in vain, and traps `out_of_fuel`.
    Unpaid {
        /// The units taken.
        units: u32,
        /// Where.
        site: Site,
    },
    /// The ends of the range of [`Floats::float_to_int`], and NaN, where its instruction does not give them; then back.
    Saturate {
        /// The destination.
        d: Int,
        /// The float that does not fit.
        x: Float,
    },
    /// A signed division whose divisor is -1, which a machine may refuse; then back.
    DivideByMinusOne {
        /// The destination.
        d: Int,
        /// The dividend.
        x: Int,
        /// Whether the remainder is wanted.
        remainder: bool,
    },
    /// The whole op, by its service; then back.
    Op(Slow),
    /// The entries of an inline cache behind the first; then back to where the hot code reads the one that was found. Else
    /// the whole op, by its service, and back.
    Cache {
        /// Where branches of the hot code to the service go.
        service: Label,
        /// Where the hot code reads the entry; an offset in the buffer.
        found: u32,
        /// The cache.
        cache: CacheSite,
        /// The op.
        slow: Slow,
    },
    /// [`FloatOp::Min`] and [`FloatOp::Max`] of equal operands or of NaN, where instructions decide these otherwise; then
    /// back.
    FloatMinMax {
        /// Which.
        max: bool,
        /// Where the result goes if the operands are where they were found; else all three are scratch.
        d: Option<FloatReg>,
        /// The operands.
        x: Float,
        /// The second.
        y: Float,
    },
    /// Fills the inline cache of a call of a closure, by its stub, and goes back.
    Callee {
        /// The distance to the callee's frame.
        frame: u32,
        /// The cache.
        cache: CacheSite,
        /// Where.
        site: Site,
    },
}

/// The registers that a function must preserve for its caller, because it pins something to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved {
    /// A bit for each integer register, by machine number.
    pub ints: u32,
    /// A bit for each float register, by machine number.
    pub floats: u32,
}

/// Functions start at multiples of this many bytes.
pub const FUNCTION_ALIGN: usize = 16;

/// Rare halves that a macro assembler keeps before it writes them out.
pub const COLD_CAPACITY: usize = 48;

/// Plain operations one behind the other, those whose operands are in machine registers or in the first slots of the frame:
/// what most operations are, and quicker than each by [`Masm::plain`].
///
/// The operands are bytecode registers whose numbers are below 256.
pub trait Run {
    /// [`Masm::Recipe`]
    type Recipe;

    /// [`Masm::pos`]
    fn pos(&self) -> usize;

    /// Writes a plain operation, with the same bytes as [`Masm::plain`], and gives the length, by which [`Run::advance`]
    /// appends it; `None` if [`Masm::plain`] must make it. The displacement of a branch holds `link` until
    /// [`Masm::resolve`].
    fn put(&mut self, recipe: Self::Recipe, word: u64, link: u32) -> Option<usize>;

    /// Whether the operation branches.
    fn branches(recipe: Self::Recipe) -> bool;

    /// Appends what was written.
    fn advance(&mut self, len: usize);
}

/// For macro assemblers that make no operation by table.
#[derive(Debug)]
pub struct NoRun;

impl Run for NoRun {
    type Recipe = ();

    fn pos(&self) -> usize {
        0
    }

    fn put(&mut self, (): (), _: u64, _: u32) -> Option<usize> {
        None
    }

    fn branches((): ()) -> bool {
        false
    }

    fn advance(&mut self, _: usize) {}
}

/// A macro assembler for one ISA, over one buffer: the verbs of all families.
///
/// Verbs read all their sources before they write their destination, so a destination may be one of the sources. What a
/// verb cannot do (a buffer that is full, a branch that does not reach) shows in [`Masm::check`].
pub trait Masm<'m>: Ints + Floats + Flow + Calls + Objects + Sized {
    /// What [`Masm::plain`] has to know of an operation, worked out at build time.
    type Recipe: Copy + fmt::Debug + 'static;

    /// What emits runs of plain operations.
    type Run<'r>: Run<Recipe = Self::Recipe>
    where
        Self: 'r;

    /// The registers that integers are pinned to, the cheapest first.
    const INT_POOL: &'static [PoolReg];
    /// The registers that floats are pinned to, the cheapest first.
    const FLOAT_POOL: &'static [PoolReg];
    /// Whether the pool of integers is large enough for two registers an array ([`Object::View`]).
    const VIEWS: bool;
    /// Whether loops that count poll once in many rounds ([`Flow::set_limit`]).
    const PACES: bool;
    /// Where the stub `lazy` starts: known before the stubs are there, because entries lead to it from the first.
    const LAZY: usize;

    /// A macro assembler that appends to `buf`.
    fn new(buf: Buf<'m>, place: Place) -> Self;

    /// Emits the shared stubs, which preserve as many floats as [`Place::stubs`] says, and states their places. The buffer
    /// must start at the window's start.
    fn stubs(&mut self) -> Stubs;

    /// Makes a place ready for [`Masm::plain`].
    fn prepare(place: Any) -> Prepared;

    /// Bytes of the frame that plain operations by table reach in a shorter form through a second base, which a scratch
    /// register holds between them: half of them before it. 0 if there is no such register or no such form.
    const NEAR: u32;

    /// The second base is at that offset in the frame from here on, until something else than [`Masm::plain`] is emitted.
    fn near(&mut self, offset: u32);

    /// As [`Masm::prepare`], for the slot at that distance from the second base, from half of [`Masm::NEAR`] before it to
    /// less than that behind it.
    fn prepare_near(distance: i32) -> Prepared;

    /// Emits a plain operation, with the same bytes as its verb, of places that were made ready by [`Masm::prepare`];
    /// `false`, with nothing emitted, if the verb must do it.
    ///
    /// The displacement of a branch is left open: it holds what [`Masm::set_link`] said, until [`Masm::resolve`].
    fn plain(&mut self, recipe: Self::Recipe, op: PlainOp<'_>) -> bool;

    /// A run of plain operations from here on, of which the macro assembler knows once it is dropped.
    fn run(&mut self) -> Self::Run<'_>;

    /// [`Masm::run`] finds the bytecode register of that number in this machine register. All others are in the frame.
    fn pin(&mut self, number: u8, place: Any);

    /// What the next branches that [`Masm::plain`] emits leave in their displacements.
    fn set_link(&mut self, link: u32);

    /// Gives the branch that [`Masm::plain`] emitted, and whose code ends at `end`, its target; what it held before.
    fn resolve(&mut self, end: usize, target: usize) -> u32;

    /// Whether all went well so far: asked once a template.
    fn check(&self) -> Result<(), EmitError>;

    /// The offset in the buffer at which the next instruction goes.
    fn pos(&self) -> usize;

    /// An offset, and by how many bytes what was emitted or was to come from there on has moved, if that was done since this
    /// was asked last: instructions are done by one, or one is put before others.
    fn moved(&mut self) -> Option<(usize, i32)>;

    /// Writes out the rare halves. Nothing may fall into the place where this is called.
    fn flush_cold(&mut self);

    /// Writes out the rare halves behind a jump around them, if the list may overflow in the next template.
    fn relieve_cold(&mut self);

    /// Pads with instructions that fault to the alignment that the next function wants, and says how many bytes were
    /// emitted before, if all went well. It is the last verb.
    fn finish(&mut self) -> Result<usize, EmitError>;
}

/// Verbs on integers and cells.
pub trait Ints {
    /// Moves an integer or a cell.
    fn mov(&mut self, d: Int, s: Src);
    /// An integer operation.
    fn int(&mut self, op: IntOp, d: Int, x: Int, y: Src);
    /// A division; a zero divisor traps `division_by_zero` at `site`.
    fn divide(&mut self, op: DivOp, d: Int, x: Int, y: Src, site: Site);
    /// An integer operation on one source.
    fn int_unary(&mut self, op: IntUnary, d: Int, x: Int);
    /// 1 if the comparison holds, else 0.
    fn compare(&mut self, cond: Cond, d: Int, x: Int, y: Src);
    /// `x` if `cond` is not 0, else `y`.
    fn select(&mut self, d: Int, cond: Int, x: Int, y: Int);
}

/// Verbs on floats.
pub trait Floats {
    /// Moves a float.
    fn float_mov(&mut self, d: Float, s: Float);
    /// Makes a float from its bits.
    fn float_const(&mut self, d: Float, bits: u64);
    /// A float operation.
    fn float(&mut self, op: FloatOp, d: Float, x: Float, y: Float);
    /// A float operation on one source.
    fn float_unary(&mut self, op: FloatUnary, d: Float, x: Float);
    /// `x * y + z`, rounded once.
    fn fma(&mut self, d: Float, x: Float, y: Float, z: Float);
    /// 1 if the comparison holds, else 0.
    fn float_compare(&mut self, cond: FloatCond, d: Int, x: Float, y: Float);
    /// `x` if `cond` is not 0, else `y`.
    fn float_select(&mut self, d: Float, cond: Int, x: Float, y: Float);
    /// An integer as a float, rounded to nearest.
    fn int_to_float(&mut self, d: Float, x: Int);
    /// A float truncated to an integer; saturates, and NaN gives 0.
    fn float_to_int(&mut self, d: Int, x: Float);
    /// The bits of a float, with NaN made canonical.
    fn float_bits(&mut self, d: Int, x: Float);
    /// A float of these bits.
    fn float_from_bits(&mut self, d: Float, x: Int);
}

/// Rounds of a loop that counts between two polls, a power of two. With steps of 2^53 and more there may be twice as many.
pub const ROUNDS: u16 = 1024;

/// How a loop counts: each round ends with the step, and it goes on while the index is below the bound, or above it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What is counted in.
    pub index: IntReg,
    /// What it is compared with: a pinned register or a literal. Nobody writes it in the loop.
    pub bound: Src,
    /// How it is counted.
    pub step: PaceStep,
}

/// What is added to an index in each round.
#[derive(Clone, Copy, Debug)]
pub enum PaceStep {
    /// 1; the loop goes on below the bound.
    Up,
    /// -1; the loop goes on above the bound.
    Down,
    /// Whatever is in this register, which nobody writes in the loop. It goes on below the bound.
    By(IntReg),
}

/// Verbs of control flow inside a function.
pub trait Flow {
    /// Binds a label here.
    fn bind(&mut self, label: &mut Label);
    /// A loop head: polls.
    fn loop_head(&mut self, site: Site);
    /// Behind the head of a loop that counts: sets the limit that [`Flow::paced_branch`] compares the index with. It is the
    /// bound, or [`ROUNDS`] steps away if the bound is further; also such that, wherever in the range of 64 bits that is and
    /// whatever the step, the loop never goes on without a poll for more than 2 * [`ROUNDS`] rounds.
    fn set_limit(&mut self, limit: IntReg, pace: &Pace);
    /// The branch back of such a loop: to `body`, behind [`Flow::set_limit`], while the index has not come to the limit; then,
    /// if it has not come to the bound, polls as at the loop's head, `site`, and goes to `head`, which is where the limit is
    /// set. Both are offsets in the buffer.
    fn paced_branch(&mut self, limit: IntReg, pace: &Pace, body: usize, head: usize, site: Site);
    /// Goes to a label.
    fn jump(&mut self, label: &mut Label);
    /// Goes to a label if the comparison holds.
    fn branch(&mut self, cond: Cond, x: Int, y: Src, label: &mut Label);
    /// Goes to a label if the comparison holds.
    fn float_branch(&mut self, cond: FloatCond, x: Float, y: Float, label: &mut Label);
    /// Starts a dispatch over `count` targets, which as many calls of [`Flow::switch_case`] must follow: goes to
    /// `default` if `x` is not below `count` as an unsigned number, else to the case of that number.
    fn switch(&mut self, x: Int, count: u32, default: &mut Label);
    /// The next case of a dispatch.
    fn switch_case(&mut self, label: &mut Label);
    /// Ends the run with a trap.
    fn trap(&mut self, trap: Trap, site: Site);
    /// Takes `units` of fuel, at most 65,536, from [`crate::runtime::context::Context::fuel`]; if less is left, takes
    /// nothing and traps `out_of_fuel` at `site`.
    fn charge(&mut self, units: u32, site: Site);
    /// Gives back `units` of fuel that [`Flow::charge`] has taken.
    fn refund(&mut self, units: u32);
}

/// Verbs of functions, calls, the frame and the memory behind the context.
pub trait Calls {
    /// Starts a function: marks its entry, polls and checks the native stack unless it is a leaf, and saves the registers
    /// of `saved` that the convention makes the callee's to save.
    fn prologue(&mut self, leaf: bool, site: Site, saved: &Saved);
    /// The same with a return before anything is saved.
    fn prologue_or_return(&mut self, leaf: bool, site: Site, saved: &Saved, early: &EarlyReturn);
    /// Restores what [`Calls::prologue`] saved and returns; the result is where [`Calls::result`] put it.
    fn epilogue(&mut self, saved: &Saved);
    /// Puts a value where the convention wants a function's result. What follows is [`Calls::epilogue`]: the registers of the
    /// pools may have lost what the function pinned to them.
    fn result(&mut self, value: Any);
    /// Goes on in the interpreter at the op at `site`, or behind it: by way of [`Calls::leaving`].
    fn deopt(&mut self, site: Site, behind: bool);
    /// Here the function is left for the interpreter. The registers that hold the site and what is wanted must stay as they
    /// are while those that are pinned are stored; then comes [`Calls::left`].
    fn leaving(&mut self);
    /// Lets the interpreter go on, and returns its result as this function's. With `loops` the interpreter may find machine
    /// code the better way again: then this function goes on at [`Calls::entering`].
    fn left(&mut self, loops: bool, saved: &Saved);
    /// Starts the entry into a running loop from outside, whose offset it gives: saves what [`Calls::prologue`] saves. What
    /// follows loads the registers that are pinned; then comes [`Calls::entered`].
    fn entering(&mut self, saved: &Saved) -> usize;
    /// Goes to the head of the loop, whose address is the second word of [`crate::runtime::context::Context::operands`].
    fn entered(&mut self);
    /// Writes a word that is no code.
    fn data(&mut self, word: u64);

    /// Traps `stack_overflow` at `site` unless a frame that ends `end` bytes from the start of this one fits on the VM
    /// stack.
    fn check_stack(&mut self, end: u32, site: Site);
    /// Writes a value of 8 bytes at a byte offset from the start of this frame, also beyond its end.
    fn store(&mut self, offset: u32, value: Any);
    /// Writes the same 64 bits to `count` slots from a byte offset on.
    fn fill(&mut self, offset: u32, count: u32, bits: u64);
    /// Exchanges the 8 bytes at two byte offsets from the start of this frame.
    fn exchange(&mut self, x: u32, y: u32);
    /// Loads 8 bytes from a byte offset from the start of this frame into a place.
    fn load(&mut self, value: Any, offset: u32);
    /// Calls a function whose frame is laid out `frame` bytes from the start of this one, but for its header.
    fn call(&mut self, callee: Callee, frame: u32, site: Site);
    /// Takes the result of the call before it.
    fn take_result(&mut self, d: Any);
    /// Leaves this function for another that reuses its frame; restores what [`Calls::prologue`] saved.
    fn tail(&mut self, callee: Callee, saved: &Saved);
    /// Calls import `index` with its frame `frame` bytes from the start of this one.
    fn host(&mut self, index: u32, frame: u32, site: Site);

    /// Loads word `index` behind the address in a context word.
    fn load_word(&mut self, d: Any, base: ContextWord, index: u32);
    /// Stores word `index` behind the address in a context word; a float's NaN is made canonical.
    fn store_word(&mut self, base: ContextWord, index: u32, s: Any);
    /// Loads word `start + x` behind the address in a context word; traps `out_of_bounds` at `site` unless `x` is below
    /// `len` as an unsigned number.
    fn load_element(&mut self, d: Int, base: ContextWord, start: u32, len: u32, x: Int, site: Site);
}
