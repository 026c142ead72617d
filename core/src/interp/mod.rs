//! The reference interpreter: what every engine must agree with.
//!
//! One loop reads a word, and one jump through a table leads to the op. What the loop needs at every op is in locals: the
//! word at `pc`, the frame, the first word of the function. Guest calls use the VM stack only, never the native stack.

mod call;
mod float;
pub(crate) mod heap;

use crate::runtime::cell::Cell;
use crate::runtime::context::{Context, Entry, POLL};
use crate::runtime::engine::Engine;
use crate::runtime::frame;
use crate::runtime::fuel;
use crate::runtime::heap::{Kind, closure};
use crate::runtime::host;
use crate::runtime::instance::{Instance, literal, native_stack_pointer};
use crate::runtime::roots::Stopped;
use crate::runtime::services::{self, GO_ON, SWITCH, TRAPPED};
use crate::runtime::trap::{Site, Trap, TrapKind};
use crate::runtime::value::canonical;
use crate::vm3::Module;
use crate::vm3::op::Op;
use crate::vm3::types::TypeId;
use call::{Fields, copy_args, init_locals, move_args, slot};
use core::sync::atomic::Ordering;

/// An op's word where it lies. Its parts are read one by one: a load each costs less than shifts and masks.
#[derive(Clone, Copy)]
struct Word(*const u64);

impl Word {
    /// The word at `pc`.
    ///
    /// # Safety
    ///
    /// `pc` is at an op of a verified function, which outlives the result.
    #[inline(always)]
    const unsafe fn new(pc: *const u64) -> Self {
        Self(pc)
    }

    /// The op.
    #[inline(always)]
    const fn op(self) -> Op {
        // SAFETY: the word is an op's by the contract of `new`, and its low byte is the first, little-endian as all
        // engines are; the verifier accepts only words whose low byte is the number of an op.
        unsafe { self.0.cast::<Op>().read() }
    }

    /// Unit `index`, below 4, of 16 bits.
    #[inline(always)]
    const fn unit(self, index: usize) -> u16 {
        // SAFETY: a word has four units of 16 bits: the code and flags, then the three fields, little-endian as all
        // engines are.
        unsafe { self.0.cast::<u16>().add(index).read() }
    }

    /// Field `a`.
    #[inline(always)]
    const fn a(self) -> u16 {
        self.unit(1)
    }

    /// Field `b`.
    #[inline(always)]
    const fn b(self) -> u16 {
        self.unit(2)
    }

    /// Field `c`.
    #[inline(always)]
    const fn c(self) -> u16 {
        self.unit(3)
    }

    /// The literal in field `b`, sign-extended.
    #[inline(always)]
    const fn literal_b(self) -> i64 {
        self.b() as i16 as i64
    }

    /// The literal in field `c`, sign-extended.
    #[inline(always)]
    const fn literal_c(self) -> i64 {
        self.c() as i16 as i64
    }

    /// The 32 bits in fields `b` and `c`.
    #[inline(always)]
    const fn wide(self) -> u32 {
        // SAFETY: the upper half of the word, which is aligned to 4 bytes.
        unsafe { self.0.cast::<u32>().add(1).read() }
    }
}

/// Records a trap at a site, in the frame of its function, and gives the status that [`run`] ends with.
///
/// # Safety
///
/// `context` is live.
#[cold]
#[inline(never)]
unsafe fn trap(context: *mut Context, trap: Trap, site: Site, frame: *const u64) -> u64 {
    // SAFETY: by the contract; no reference to the context is alive while the guest runs.
    unsafe { Context::set_trap(context, trap, site, frame) };
    TRAPPED
}

/// The same, and gives back what has been paid for ops that are not run, if fuel is counted.
///
/// # Safety
///
/// As for [`give_back`].
#[cold]
#[inline(never)]
unsafe fn trap_paid(context: *mut Context, kind: Trap, site: Site, frame: *const u64, counts_fuel: bool) -> u64 {
    // SAFETY: by the contract.
    unsafe {
        if counts_fuel {
            give_back(context, site);
        }
        trap(context, kind, site, frame)
    }
}

/// Polls at a site in the frame at `frame`: 0 to go on, 1 with the trap in the context.
///
/// # Safety
///
/// As for [`services::poll`].
#[cold]
#[inline(never)]
unsafe fn poll(context: *mut Context, frame: *const u64, site: Site) -> u64 {
    // SAFETY: by the contract.
    unsafe { services::poll(Stopped { context, frame, site }) }
}

/// Calls the import that the `host` op at `op` names: 0 to go on, 1 with the trap in the context.
///
/// # Safety
///
/// `op` is at `site` in a verified function whose frame is `frame`, and `next` is that frame's end; the context belongs to
/// the running instance of `module`.
#[inline(never)]
unsafe fn host_call(
    context: *mut Context,
    module: &Module<'_>,
    op: *const u64,
    frame: *mut u64,
    next: *mut u64,
    site: Site,
) -> u64 {
    // SAFETY: `op` is an op of a verified function, so its fields, its import and the slots of its arguments exist. The
    // host's frame is inside the VM stack once its end has been compared.
    unsafe {
        let word = Word::new(op);
        let has_result = word.op() != Op::Host;
        let mut fields = Fields::new(op, usize::from(has_result));
        let index = u32::from(fields.next());
        let container = module.container();
        let sig = container.import(index).and_then(|import| container.sig(import.sig)).unwrap_unchecked();
        if next as u64 + u64::from(frame::host_frame_bytes(sig.count)) > (*context).stack_end {
            return trap(context, Trap::new(TrapKind::StackOverflow), site, frame);
        }
        next.write(site.0.into());
        for index in 0..usize::from(sig.count) {
            next.add(1 + index).write(slot(frame, fields.next()).read());
        }
        let status = host::invoke(context, index, next, site);
        if status == 0 && has_result {
            slot(frame, word.a()).write(slot(next, 0).read());
        }
        status
    }
}

/// Enters machine code at `address` in a frame whose function it is: 0, or 1 with the trap in the context. `site` is the op
/// that asks for it, in the frame at `caller`.
///
/// # Safety
///
/// The context belongs to the running instance of the engine, and the frame is laid out as the code at the address expects.
#[inline(never)]
unsafe fn enter(
    context: *mut Context,
    engine: &Engine<'_>,
    frame: *mut u64,
    address: u64,
    site: Site,
    caller: *const u64,
) -> u64 {
    // SAFETY: by the contract.
    unsafe {
        let Some(machine) = engine.machine().filter(|_| native_stack_pointer() > (*context).native_limit) else {
            return trap(context, Trap::new(TrapKind::StackOverflow), site, caller);
        };
        (machine.enter)(context, frame, address)
    }
}

/// The result that machine code of the function with this entry has left.
///
/// # Safety
///
/// The context is live.
unsafe fn result_of(context: *const Context, entry: &Entry) -> u64 {
    // SAFETY: by the contract.
    unsafe { if entry.result == u32::from(TypeId::F64.0) { (*context).float_result } else { (*context).result } }
}

/// Where the interpreter is.
struct At {
    frame: *mut u64,
    func: u16,
    code: *const u64,
    pc: *const u64,
}

/// How machine code may take over a frame at the head of a loop.
enum Way {
    /// By a call, which gives the frame's result.
    Call,
    /// By the interpreter's end, if it may end here.
    Switch(bool),
}

/// What comes at the head of a loop.
enum Loop {
    /// The interpreter goes on.
    Interpret,
    /// It ends with this status.
    End(u64),
    /// Machine code has finished the frame: the interpreter goes on in its caller, behind the call.
    Returned(At),
}

/// Lets machine code go on at the head of a loop of a function that has some.
///
/// # Safety
///
/// The context belongs to the running instance of the engine, whose innermost frame is at `frame`, stopped at `head`. It is
/// not the frame that the interpreter was started with if the way is a call.
#[cold]
#[inline(never)]
unsafe fn loop_head(context: *mut Context, engine: &Engine<'_>, frame: *mut u64, way: Way, head: Site) -> Loop {
    let (func, word) = (head.func(), head.word());
    if cfg!(small) && engine.warm(func, Stopped { context, frame, site: head }).is_none() {
        return Loop::Interpret;
    }
    let Some(operands) = engine.loop_entry(func, word) else { return Loop::Interpret };
    if matches!(way, Way::Switch(false)) {
        return Loop::Interpret;
    }
    // SAFETY: the context is live.
    unsafe {
        (*context).operands = [operands[0], operands[1], 0, 0];
        (*context).switches.entered += 1;
    }
    if matches!(way, Way::Switch(true)) {
        return Loop::End(SWITCH);
    }
    // SAFETY: the frame is one of the function whose loop is entered, stopped at its head. Its header holds the site of the
    // call that made it, in the function whose frame ends where this one starts.
    unsafe {
        if enter(context, engine, frame, operands[0], head, frame) == TRAPPED {
            return Loop::End(TRAPPED);
        }
        let entries = (*context).entries as *const Entry;
        let value = result_of(context, &*entries.add(usize::from(func)));
        let site = Site(frame.read() as u32);
        let caller = &*entries.add(usize::from(site.func()));
        let frame = frame.byte_sub(caller.frame_bytes as usize);
        let code = caller.words as *const u64;
        let call = code.add(usize::from(site.word()));
        let pc = take_result(call, frame, value);
        Loop::Returned(At { frame, func: site.func(), code, pc })
    }
}

/// Gives the call at `pc` its result, and the place of the op behind it.
///
/// # Safety
///
/// `pc` is at a call of the verified function whose frame is at `frame`.
#[inline(always)]
unsafe fn take_result(pc: *const u64, frame: *mut u64, value: u64) -> *const u64 {
    // SAFETY: a call that has a destination names it first.
    unsafe {
        let call = Word::new(pc);
        if !matches!(call.op(), Op::Call | Op::FnCall) {
            slot(frame, call.a()).write(value);
        }
        behind(pc)
    }
}

/// The place of the op behind the one at `pc` and its `args` words.
///
/// # Safety
///
/// `pc` is at an op of a verified function which is followed by another.
#[inline(always)]
unsafe fn behind(mut pc: *const u64) -> *const u64 {
    // SAFETY: by the contract.
    unsafe {
        loop {
            pc = pc.add(1);
            if Word::new(pc).op() != Op::Args {
                break pc;
            }
        }
    }
}

/// The bits of cell constant `index`, if it needs no heap.
#[inline(never)]
fn cell_constant(module: &Module<'_>, index: u32) -> Option<u64> {
    literal(module.container(), module.container().cell_const(index)?).map(Cell::bits)
}

/// Where the interpreter starts.
#[derive(Clone, Copy)]
pub(crate) enum Start<'w> {
    /// Before the first op: the locals are set up here.
    Entry,
    /// At this word: the locals are in place.
    At(usize),
    /// At a copy of the op at this word, its first `args` word if it has any, and a `ret` behind: the op runs alone. It goes
    /// on to the next, and has been paid for.
    Alone(&'w [u64; 3], usize),
}

/// How the interpreter may hand the frame that it was started with to machine code. Frames above that one it always runs by
/// calling machine code, which takes native stack for each; this one would take some for every change otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exits {
    /// At the heads of loops, as long as it runs the function that it was started with: machine code of that function waits.
    Loops,
    /// There, and by a `tail`: nothing waits but the caller of the frame's function.
    All,
}

/// The words of a function.
///
/// # Safety
///
/// The context belongs to the running instance of a module that has this function.
unsafe fn words_of<'e>(context: *const Context, func: u16) -> &'e [u64] {
    // SAFETY: by the contract; the words are the module's, which the engine borrows.
    unsafe {
        let entry = &*((*context).entries as *const Entry).add(usize::from(func));
        core::slice::from_raw_parts(entry.words as *const u64, entry.word_count as usize)
    }
}

/// Pays for the ops from `site` on, up to and with the first that branches, calls or ends. Where the fuel does not suffice,
/// runs those that it suffices for and gives 1 with the trap in the context, else 0.
///
/// # Safety
///
/// As for [`run`], with `frame` stopped at the op at `site`.
#[cold]
#[inline(never)]
unsafe fn pay(context: *mut Context, frame: *mut u64, site: Site) -> u64 {
    // SAFETY: by the contract.
    unsafe {
        let words = words_of(context, site.func());
        let mut at = usize::from(site.word());
        if let Some(left) = (*context).fuel.checked_sub(fuel::stretch(words, at)) {
            (*context).fuel = left;
            return GO_ON;
        }
        let (stop, units) = fuel::shortfall(words, at, (*context).fuel);
        (*context).fuel = (*context).fuel.wrapping_sub(units.into());
        while at < stop {
            let word = |at: usize| words.get(at).copied().unwrap_or(0);
            let next = at + 1 + words.iter().skip(at + 1).take_while(|&&word| word as u8 == Op::Args as u8).count();
            let ret = Op::Ret as u64;
            let op = [word(at), if next > at + 1 { word(at + 1) } else { ret }, ret];
            if run(context, frame, site.func(), Start::Alone(&op, at), Exits::Loops) == TRAPPED {
                (*context).fuel = (*context).fuel.wrapping_add(fuel::unused(words, at, Some(stop)).into());
                return TRAPPED;
            }
            at = next;
        }
        trap(context, Trap::new(TrapKind::OutOfFuel), Site::new(site.func(), at as u16), frame)
    }
}

/// Gives back what has been paid for ops that the trap at `site` keeps from being run.
///
/// # Safety
///
/// As for [`pay`].
#[cold]
#[inline(never)]
unsafe fn give_back(context: *mut Context, site: Site) {
    // SAFETY: by the contract.
    unsafe {
        let units = fuel::unused(words_of(context, site.func()), site.word().into(), None);
        (*context).fuel = (*context).fuel.wrapping_add(units.into());
    }
}

/// Runs function `func` in the frame at `frame`, until that frame returns: status 0 with the result in [`Context::result`], 1
/// with the trap in the context, or 2 if machine code goes on in that frame. Then the first of [`Context::operands`] is the
/// address of the code; and for a loop the second is the address of its head.
///
/// # Safety
///
/// `context` belongs to an instance of a verified module that is being entered. `frame` is a whole frame of `func` on its
/// VM stack with its header and arguments in place; the locals are in place too unless it starts at the entry.
#[allow(unused_unsafe, reason = "macros with a block of their own are used inside other blocks")]
pub(crate) unsafe fn run(context: *mut Context, frame: *mut u64, func: u16, start: Start<'_>, exits: Exits) -> u64 {
    // SAFETY: the engine outlives the instance, and the reference is to the engine, not to the instance.
    let engine: &Engine<'_> = unsafe { (*((*context).instance as *const Instance<'_>)).engine() };
    // SAFETY: the context is live.
    let (module, tiered) = (engine.module(), engine.is_tiered() && unsafe { engine.is_seated(context) });
    // SAFETY: the context is live.
    let entries = unsafe { (*context).entries } as *const Entry;
    // SAFETY: `entries` has an entry for every function of the module, and `func` is one.
    let entry = unsafe { &*entries.add(usize::from(func)) };
    let (base, base_func) = (frame, func);
    let mut frame = frame;
    let mut func = func;
    let mut code = entry.words as *const u64;
    let mut pc = match start {
        Start::Entry => code,
        Start::At(word) => code.wrapping_add(word),
        Start::Alone(op, word) => {
            code = op.as_ptr().wrapping_sub(word);
            op.as_ptr()
        }
    };
    // Who has an op run alone has paid for it.
    let counts_fuel = engine.counts_fuel() && !matches!(start, Start::Alone(..));

    macro_rules! site {
        ($word:expr) => {{
            // By addresses, because an op that runs alone lies elsewhere. A function has at most 65,536 words.
            Site::new(func, ($word.addr().wrapping_sub(code.addr()) / size_of::<u64>()) as u16)
        }};
    }
    macro_rules! give_back {
        () => {
            if counts_fuel {
                // SAFETY: the context is live, and `pc` is at an op of the running function.
                unsafe { give_back(context, site!(pc)) };
            }
        };
    }
    macro_rules! trap {
        ($trap:expr) => {
            // SAFETY: the context is live, and `pc` is at an op of the running function.
            return unsafe { trap_paid(context, $trap, site!(pc), frame, counts_fuel) }
        };
    }
    // What is left to do before the next op, where size counts: to pay, and to look who goes on at the head of a loop.
    let (mut pays, mut heads) = (false, false);
    // Pays for what starts at `pc`.
    macro_rules! pay_now {
        () => {
            // SAFETY: the context is live, and the innermost frame is one of the running function, stopped at `pc`.
            if counts_fuel && unsafe { pay(context, frame, site!(pc)) } == TRAPPED {
                return TRAPPED;
            }
        };
    }
    // The same, at the end of an op.
    macro_rules! pay {
        () => {
            if cfg!(small) {
                pays = true;
            } else {
                pay_now!();
            }
        };
    }
    // Goes on at `pc`, where the guest can be stopped.
    macro_rules! poll {
        () => {
            // SAFETY: the context is the running instance's, to which there is no reference; the frame is the innermost
            // one.
            unsafe {
                if (*context).poll.guard.load(Ordering::Relaxed) == POLL && poll(context, frame, site!(pc)) == TRAPPED {
                    return TRAPPED;
                }
            }
        };
    }
    macro_rules! get {
        ($slot:expr) => {
            // SAFETY: a register operand of a verified op is a slot of the function's frame.
            unsafe { slot(frame, $slot).read() }
        };
    }
    macro_rules! set {
        ($slot:expr, $value:expr) => {{
            let value: u64 = $value;
            // SAFETY: a register operand of a verified op is a slot of the function's frame.
            unsafe { slot(frame, $slot).write(value) }
        }};
    }
    macro_rules! float {
        ($slot:expr) => {
            f64::from_bits(get!($slot))
        };
    }
    // Goes on `n` words further. The empty assembly differs from op to op, so that the compiler cannot merge the ends of
    // ops and make them jump to one another.
    macro_rules! advance {
        ($n:literal) => {
            // SAFETY: an op that is not the last of its function is followed by another; the verifier saw that none that
            // goes on is the last. The assembly is a comment.
            unsafe {
                pc = pc.add($n);
                #[cfg(not(miri))]
                core::arch::asm!(concat!("/* ", line!(), " */"), options(nomem, nostack, preserves_flags));
            }
        };
    }
    // Goes on behind the `args` words of the op at `pc`.
    macro_rules! skip {
        () => {
            // SAFETY: as for `advance`.
            pc = unsafe { behind(pc) }
        };
    }
    // Gives the call at `pc` its result, and goes on behind it.
    macro_rules! take_result {
        ($value:expr) => {{
            let value: u64 = $value;
            // SAFETY: there is a call at `pc`.
            pc = unsafe { take_result(pc, frame, value) };
            pay!();
        }};
    }
    // Leaves the frame with these bits as the result.
    macro_rules! ret {
        ($value:expr) => {{
            let value: u64 = $value;
            if frame == base {
                // SAFETY: the context is live.
                unsafe { (*context).result = value };
                return 0;
            }
            // SAFETY: the header of a frame that is not the base holds the site of the call that made it, in the
            // function whose frame ends where this one starts; the call is an op with words behind it.
            unsafe {
                let site = Site(frame.read() as u32);
                func = site.func();
                let caller = &*entries.add(usize::from(func));
                frame = frame.byte_sub(caller.frame_bytes as usize);
                code = caller.words as *const u64;
                pc = code.add(usize::from(site.word()));
                take_result!(value);
            }
        }};
    }
    // Goes on at the head of a loop, where the guest can be stopped and machine code may take over.
    macro_rules! loop_head {
        () => {
            poll!();
            if tiered {
                let stopped = Stopped { context, frame, site: site!(pc) };
                if cfg!(small) || engine.warm(func, stopped).is_some() {
                    let switches = frame == base && (exits == Exits::All || func == base_func);
                    let way = if frame != base { Way::Call } else { Way::Switch(switches) };
                    // SAFETY: the frame is one of the running function, stopped at the head of a loop.
                    match unsafe { loop_head(context, engine, frame, way, stopped.site) } {
                        Loop::Interpret => {}
                        Loop::End(status) => return status,
                        Loop::Returned(at) => (frame, func, code, pc) = (at.frame, at.func, at.code, at.pc),
                    }
                }
            }
        };
    }
    macro_rules! jump {
        ($target:expr) => {{
            // SAFETY: a branch target is a word of the function.
            let target = unsafe { code.add(usize::from($target)) };
            let backward = target <= pc;
            pc = target;
            if cfg!(small) {
                heads = backward;
            } else if backward {
                loop_head!();
            }
            pay!();
        }};
    }
    macro_rules! branch {
        ($taken:expr, $target:expr) => {
            if $taken {
                jump!($target);
            } else {
                advance!(1);
                pay!();
            }
        };
    }

    if matches!(start, Start::Entry) {
        // SAFETY: the frame is one of `func`, by the contract.
        unsafe { init_locals(entry, frame) };
        poll!();
    }
    pay_now!();
    loop {
        if cfg!(small) && pays {
            if heads {
                loop_head!();
            }
            pay_now!();
            (pays, heads) = (false, false);
        }
        // SAFETY: `pc` is at an op of the function.
        let word = unsafe { Word::new(pc) };
        // `d, x, y` and `d, x, literal` on integers.
        macro_rules! int {
            (|$x:ident, $y:ident| $result:expr) => {{
                let ($x, $y) = (get!(word.b()) as i64, get!(word.c()) as i64);
                set!(word.a(), ($result) as u64);
                advance!(1);
            }};
        }
        macro_rules! int_k {
            (|$x:ident, $y:ident| $result:expr) => {{
                let ($x, $y) = (get!(word.b()) as i64, word.literal_c());
                set!(word.a(), ($result) as u64);
                advance!(1);
            }};
        }
        macro_rules! div {
            ($y:expr, |$x:ident, $z:ident| $result:expr) => {{
                let ($x, $z) = (get!(word.b()) as i64, $y);
                if $z == 0 {
                    trap!(Trap::new(TrapKind::DivisionByZero));
                }
                set!(word.a(), ($result) as u64);
                advance!(1);
            }};
        }
        macro_rules! int1 {
            (|$x:ident| $result:expr) => {{
                let $x = get!(word.b()) as i64;
                set!(word.a(), ($result) as u64);
                advance!(1);
            }};
        }
        macro_rules! float2 {
            (|$x:ident, $y:ident| $result:expr) => {{
                let ($x, $y) = (float!(word.b()), float!(word.c()));
                let result: f64 = $result;
                set!(word.a(), result.to_bits());
                advance!(1);
            }};
        }
        macro_rules! float1 {
            (|$x:ident| $result:expr) => {{
                let $x = float!(word.b());
                let result: f64 = $result;
                set!(word.a(), result.to_bits());
                advance!(1);
            }};
        }
        macro_rules! float_compare {
            (|$x:ident, $y:ident| $result:expr) => {{
                let ($x, $y) = (float!(word.b()), float!(word.c()));
                set!(word.a(), ($result) as u64);
                advance!(1);
            }};
        }
        macro_rules! branch_int {
            (|$x:ident, $y:ident| $taken:expr) => {{
                let ($x, $y) = (get!(word.a()) as i64, get!(word.b()) as i64);
                branch!($taken, word.c());
            }};
        }
        macro_rules! branch_int_k {
            (|$x:ident, $y:ident| $taken:expr) => {{
                let ($x, $y) = (get!(word.a()) as i64, word.literal_b());
                branch!($taken, word.c());
            }};
        }
        macro_rules! branch_float {
            (|$x:ident, $y:ident| $taken:expr) => {{
                let ($x, $y) = (float!(word.a()), float!(word.b()));
                branch!($taken, word.c());
            }};
        }
        // Enters `callee`; the first arguments are in these fields, the others in `args` words.
        macro_rules! call {
            ($callee:expr, [$($field:ident),*]) => {{
                let site = site!(pc);
                let callee = $callee;
                // SAFETY: the call names a function of the module. Its frame starts where this one ends and is inside the
                // VM stack once its end has been compared; the op has a field for each parameter.
                unsafe {
                    let entry = &*entries.add(usize::from(callee));
                    let end = frame.byte_add((*entries.add(usize::from(func))).frame_bytes as usize);
                    let next_end = end.wrapping_byte_add(entry.frame_bytes as usize);
                    if next_end as u64 > (*context).stack_end {
                        trap!(Trap::new(TrapKind::StackOverflow));
                    }
                    end.write(site.0.into());
                    let slots = end.add(1);
                    let mut index = 0;
                    let count = entry.params as usize;
                    $(if index < count {
                        slots.add(index).write(get!(word.$field()));
                        index += 1;
                    })*
                    if index < count {
                        copy_args(pc.add(1), frame, slots.add(index), slots.add(count));
                    }
                    if tiered && let Some(address) = engine.warm(callee, Stopped { context, frame, site }) {
                        if enter(context, engine, end, address, site, frame) == TRAPPED {
                            return TRAPPED;
                        }
                        take_result!(result_of(context, entry));
                    } else {
                        init_locals(entry, end);
                        frame = end;
                        func = callee;
                        code = entry.words as *const u64;
                        pc = code;
                        poll!();
                        pay!();
                    }
                }
            }};
        }
        // Runs an op that works on the heap.
        macro_rules! heap_op {
            () => {{
                let site = site!(pc);
                // SAFETY: the context, the frame and the op are the running ones.
                if unsafe { heap::run(context, frame, site) } != 0 {
                    give_back!();
                    return 1;
                }
                skip!();
            }};
        }
        // Enters the function of the closure in a slot; its arguments start at field `first`.
        macro_rules! fn_call {
            ($closure:expr, $first:expr) => {{
                let site = site!(pc);
                // SAFETY: the closure is a live one or null, and no guest function can have been bound that the module does
                // not have. The callee's frame starts where this one ends and is inside the VM stack once its end has been
                // compared; the closure and the op together have as many arguments as it has parameters.
                unsafe {
                    if !crate::HEAP {
                        trap!(Trap::new(TrapKind::Unreachable));
                    }
                    let heap = (*((*context).instance as *const Instance<'_>)).heap();
                    let payload = heap.payload(Cell::from_slot(get!($closure)), Kind::Fn);
                    let Some((&head, places)) = payload.and_then(<[u64]>::split_first) else {
                        trap!(Trap::new(TrapKind::NullReference));
                    };
                    let (callee, bound) = closure::parts(head);
                    let entry = &*entries.add(usize::from(callee));
                    let end = frame.byte_add((*entries.add(usize::from(func))).frame_bytes as usize);
                    let next_end = end.wrapping_byte_add(entry.frame_bytes as usize);
                    if next_end as u64 > (*context).stack_end {
                        trap!(Trap::new(TrapKind::StackOverflow));
                    }
                    end.write(site.0.into());
                    let slots = end.add(1);
                    for (index, &place) in places.iter().enumerate().take(bound.into()) {
                        slots.add(index).write(place);
                    }
                    let mut fields = Fields::new(pc, $first);
                    for index in usize::from(bound)..entry.params as usize {
                        slots.add(index).write(get!(fields.next()));
                    }
                    if tiered && let Some(address) = engine.warm(callee, Stopped { context, frame, site }) {
                        if enter(context, engine, end, address, site, frame) == TRAPPED {
                            return TRAPPED;
                        }
                        take_result!(result_of(context, entry));
                    } else {
                        init_locals(entry, end);
                        frame = end;
                        func = callee;
                        code = entry.words as *const u64;
                        pc = code;
                        poll!();
                        pay!();
                    }
                }
            }};
        }
        macro_rules! global {
            ($index:expr) => {
                // SAFETY: the context's globals are as many as the module's, and `index` is one of them.
                unsafe { ((*context).globals as *mut u64).add(usize::from($index)) }
            };
        }
        macro_rules! constant {
            () => {
                // SAFETY: the verifier saw that the pool has this constant.
                unsafe { module.container().constant(word.wide()).unwrap_unchecked() }
            };
        }

        match word.op() {
            Op::Nop | Op::Deopt => advance!(1),
            Op::I64Mov | Op::F64Mov | Op::CellMov => {
                set!(word.a(), get!(word.b()));
                advance!(1);
            }
            Op::I64Const => {
                set!(word.a(), i64::from(word.wide() as i32) as u64);
                advance!(1);
            }
            Op::I64ConstPool | Op::F64Const => {
                set!(word.a(), constant!());
                advance!(1);
            }
            Op::CellNull => {
                set!(word.a(), Cell::NULL.bits());
                advance!(1);
            }
            Op::CellConst => {
                if let Some(cell) = cell_constant(module, word.wide()) {
                    set!(word.a(), cell);
                    advance!(1);
                } else {
                    heap_op!();
                }
            }

            Op::I64Add => int!(|x, y| x.wrapping_add(y)),
            Op::I64Sub => int!(|x, y| x.wrapping_sub(y)),
            Op::I64Mul => int!(|x, y| x.wrapping_mul(y)),
            Op::I64Div => div!(get!(word.c()) as i64, |x, y| x.wrapping_div(y)),
            Op::I64Rem => div!(get!(word.c()) as i64, |x, y| x.wrapping_rem(y)),
            Op::I64Udiv => div!(get!(word.c()) as i64, |x, y| x as u64 / y as u64),
            Op::I64Urem => div!(get!(word.c()) as i64, |x, y| x as u64 % y as u64),
            Op::I64And => int!(|x, y| x & y),
            Op::I64Or => int!(|x, y| x | y),
            Op::I64Xor => int!(|x, y| x ^ y),
            Op::I64Shl => int!(|x, y| x.wrapping_shl(y as u32)),
            Op::I64Shr => int!(|x, y| x.wrapping_shr(y as u32)),
            Op::I64Ushr => int!(|x, y| (x as u64).wrapping_shr(y as u32)),
            Op::I64Rotl => int!(|x, y| x.rotate_left(y as u32 & 63)),
            Op::I64Min => int!(|x, y| x.min(y)),
            Op::I64Max => int!(|x, y| x.max(y)),

            Op::I64AddK => int_k!(|x, y| x.wrapping_add(y)),
            Op::I64SubK => int_k!(|x, y| x.wrapping_sub(y)),
            Op::I64MulK => int_k!(|x, y| x.wrapping_mul(y)),
            Op::I64DivK => div!(word.literal_c(), |x, y| x.wrapping_div(y)),
            Op::I64RemK => div!(word.literal_c(), |x, y| x.wrapping_rem(y)),
            Op::I64UdivK => div!(word.literal_c(), |x, y| x as u64 / y as u64),
            Op::I64UremK => div!(word.literal_c(), |x, y| x as u64 % y as u64),
            Op::I64AndK => int_k!(|x, y| x & y),
            Op::I64OrK => int_k!(|x, y| x | y),
            Op::I64XorK => int_k!(|x, y| x ^ y),
            Op::I64ShlK => int_k!(|x, y| x.wrapping_shl(y as u32)),
            Op::I64ShrK => int_k!(|x, y| x.wrapping_shr(y as u32)),
            Op::I64UshrK => int_k!(|x, y| (x as u64).wrapping_shr(y as u32)),
            Op::I64RotlK => int_k!(|x, y| x.rotate_left(y as u32 & 63)),

            Op::I64Neg => int1!(|x| x.wrapping_neg()),
            Op::I64Not => int1!(|x| !x),
            Op::I64Clz => int1!(|x| x.leading_zeros()),
            Op::I64Ctz => int1!(|x| x.trailing_zeros()),
            Op::I64Popcnt => int1!(|x| x.count_ones()),

            Op::I64Eq => int!(|x, y| x == y),
            Op::I64Ne => int!(|x, y| x != y),
            Op::I64Lt => int!(|x, y| x < y),
            Op::I64Le => int!(|x, y| x <= y),
            Op::I64Gt => int!(|x, y| x > y),
            Op::I64Ge => int!(|x, y| x >= y),
            Op::I64Ult => int!(|x, y| (x as u64) < y as u64),
            Op::I64Ule => int!(|x, y| x as u64 <= y as u64),
            Op::I64Ugt => int!(|x, y| x as u64 > y as u64),
            Op::I64Uge => int!(|x, y| x as u64 >= y as u64),
            Op::I64EqK => int_k!(|x, y| x == y),
            Op::I64NeK => int_k!(|x, y| x != y),
            Op::I64LtK => int_k!(|x, y| x < y),
            Op::I64LeK => int_k!(|x, y| x <= y),
            Op::I64GtK => int_k!(|x, y| x > y),
            Op::I64GeK => int_k!(|x, y| x >= y),
            Op::I64UltK => int_k!(|x, y| (x as u64) < y as u64),
            Op::I64UleK => int_k!(|x, y| x as u64 <= y as u64),
            Op::I64UgtK => int_k!(|x, y| x as u64 > y as u64),
            Op::I64UgeK => int_k!(|x, y| x as u64 >= y as u64),
            Op::I64Select | Op::F64Select => {
                // SAFETY: the fourth operand lies in the word behind.
                let other = unsafe { Word::new(pc.add(1)) }.a();
                let chosen = if get!(word.b()) != 0 { word.c() } else { other };
                set!(word.a(), get!(chosen));
                advance!(2);
            }

            Op::F64Add => float2!(|x, y| x + y),
            Op::F64Sub => float2!(|x, y| x - y),
            Op::F64Mul => float2!(|x, y| x * y),
            Op::F64Div => float2!(|x, y| x / y),
            Op::F64Min => float2!(|x, y| float::min(x, y)),
            Op::F64Max => float2!(|x, y| float::max(x, y)),
            Op::F64Copysign => float2!(|x, y| float::copysign(x, y)),
            Op::F64Neg => float1!(|x| float::neg(x)),
            Op::F64Abs => float1!(|x| float::abs(x)),
            Op::F64Sqrt => float1!(|x| float::sqrt(x)),
            Op::F64Floor => float1!(|x| float::floor(x)),
            Op::F64Ceil => float1!(|x| float::ceil(x)),
            Op::F64Trunc => float1!(|x| float::trunc(x)),
            Op::F64Nearest => float1!(|x| float::nearest(x)),
            Op::F64Fma => {
                // SAFETY: the fourth operand lies in the word behind.
                let z = unsafe { Word::new(pc.add(1)) }.a();
                set!(word.a(), float::fma(float!(word.b()), float!(word.c()), float!(z)).to_bits());
                advance!(2);
            }
            Op::F64Eq => float_compare!(|x, y| x == y),
            Op::F64Ne => float_compare!(|x, y| x != y),
            Op::F64Lt => float_compare!(|x, y| x < y),
            Op::F64Le => float_compare!(|x, y| x <= y),
            Op::F64Gt => float_compare!(|x, y| x > y),
            Op::F64Ge => float_compare!(|x, y| x >= y),

            Op::I64ToF64 => {
                set!(word.a(), (get!(word.b()) as i64 as f64).to_bits());
                advance!(1);
            }
            Op::F64ToI64 => {
                set!(word.a(), float!(word.b()) as i64 as u64);
                advance!(1);
            }
            Op::F64Bits => {
                set!(word.a(), canonical(float!(word.b())));
                advance!(1);
            }
            Op::F64FromBits => {
                set!(word.a(), get!(word.b()));
                advance!(1);
            }

            Op::Jump => jump!(word.a()),
            Op::BrI64Eq => branch_int!(|x, y| x == y),
            Op::BrI64Ne => branch_int!(|x, y| x != y),
            Op::BrI64Lt => branch_int!(|x, y| x < y),
            Op::BrI64Le => branch_int!(|x, y| x <= y),
            Op::BrI64Gt => branch_int!(|x, y| x > y),
            Op::BrI64Ge => branch_int!(|x, y| x >= y),
            Op::BrI64Ult => branch_int!(|x, y| (x as u64) < y as u64),
            Op::BrI64Ule => branch_int!(|x, y| x as u64 <= y as u64),
            Op::BrI64Ugt => branch_int!(|x, y| x as u64 > y as u64),
            Op::BrI64Uge => branch_int!(|x, y| x as u64 >= y as u64),
            Op::BrI64EqK => branch_int_k!(|x, y| x == y),
            Op::BrI64NeK => branch_int_k!(|x, y| x != y),
            Op::BrI64LtK => branch_int_k!(|x, y| x < y),
            Op::BrI64LeK => branch_int_k!(|x, y| x <= y),
            Op::BrI64GtK => branch_int_k!(|x, y| x > y),
            Op::BrI64GeK => branch_int_k!(|x, y| x >= y),
            Op::BrI64UltK => branch_int_k!(|x, y| (x as u64) < y as u64),
            Op::BrI64UleK => branch_int_k!(|x, y| x as u64 <= y as u64),
            Op::BrI64UgtK => branch_int_k!(|x, y| x as u64 > y as u64),
            Op::BrI64UgeK => branch_int_k!(|x, y| x as u64 >= y as u64),
            Op::BrF64Eq => branch_float!(|x, y| x == y),
            Op::BrF64Ne => branch_float!(|x, y| x != y),
            Op::BrF64Lt => branch_float!(|x, y| x < y),
            Op::BrF64Le => branch_float!(|x, y| x <= y),
            Op::BrF64Gt => branch_float!(|x, y| x > y),
            Op::BrF64Ge => branch_float!(|x, y| x >= y),
            Op::BrNull => branch!(get!(word.a()) == Cell::NULL.bits(), word.b()),
            Op::BrNonnull => branch!(get!(word.a()) != Cell::NULL.bits(), word.b()),
            Op::Switch => {
                let index = get!(word.a());
                let target = if index < word.b().into() {
                    let index = index as usize;
                    // SAFETY: the targets follow in `args` words, three a word, as many as `b` says.
                    unsafe { (pc.add(1 + index / 3).read() >> (16 + 16 * (index % 3))) as u16 }
                } else {
                    word.c()
                };
                jump!(target);
            }
            Op::Ret => ret!(0),
            Op::RetI64 | Op::RetF64 | Op::RetCell => ret!(get!(word.a())),
            Op::TrapUnreachable => trap!(Trap::new(TrapKind::Unreachable)),
            Op::TrapUser => trap!(Trap::user(word.a())),

            Op::Call => call!(word.a(), [b, c]),
            Op::CallI64 | Op::CallF64 | Op::CallCell => call!(word.b(), [c]),
            Op::Tail => {
                // SAFETY: as for a call, but in this frame, which may grow; its header stays.
                unsafe {
                    let entry = &*entries.add(usize::from(word.a()));
                    let new_end = frame.wrapping_byte_add(entry.frame_bytes as usize);
                    if new_end as u64 > (*context).stack_end {
                        trap!(Trap::new(TrapKind::StackOverflow));
                    }
                    match entry.params {
                        0 => {}
                        1 => set!(0, get!(word.b())),
                        2 => {
                            let (first, second) = (get!(word.b()), get!(word.c()));
                            set!(0, first);
                            set!(1, second);
                        }
                        count => move_args(Fields::new(pc, 1), count, frame),
                    }
                    let callee = word.a();
                    if tiered && let Some(address) = engine.warm(callee, Stopped { context, frame, site: site!(pc) }) {
                        if frame != base {
                            if enter(context, engine, frame, address, site!(pc), frame) == TRAPPED {
                                return TRAPPED;
                            }
                            ret!(result_of(context, entry));
                            continue;
                        }
                        if exits == Exits::All {
                            (*context).operands = [address, 0, 0, 0];
                            return SWITCH;
                        }
                    }
                    init_locals(entry, frame);
                    func = callee;
                    code = entry.words as *const u64;
                    pc = code;
                }
                poll!();
                pay!();
            }
            Op::Host | Op::HostI64 | Op::HostF64 | Op::HostCell => {
                let site = site!(pc);
                // SAFETY: `pc` is at a `host` op of the function, whose frame ends at `end`; the op is followed by another.
                unsafe {
                    let end = frame.byte_add((*entries.add(usize::from(func))).frame_bytes as usize);
                    if host_call(context, module, pc, frame, end, site) != 0 {
                        return 1;
                    }
                    skip!();
                    pay!();
                }
            }

            Op::TableGet => {
                let index = usize::try_from(get!(word.c())).unwrap_or(usize::MAX);
                let container = module.container();
                let table = container.table(word.b().into()).and_then(|table| container.table_data(&table));
                // SAFETY: the verifier saw the table, and that its range is inside the table data.
                let elements = unsafe { table.unwrap_unchecked() };
                let Some(&element) = elements.get(index) else {
                    trap!(Trap::new(TrapKind::OutOfBounds));
                };
                set!(word.a(), element);
                advance!(1);
            }
            Op::GlobalGetI64 | Op::GlobalGetF64 | Op::GlobalGetCell => {
                // SAFETY: a live word of the instance's globals.
                set!(word.a(), unsafe { global!(word.b()).read() });
                advance!(1);
            }
            Op::GlobalSetI64 | Op::GlobalSetCell => {
                // SAFETY: a live word of the instance's globals.
                unsafe { global!(word.a()).write(get!(word.b())) };
                advance!(1);
            }
            Op::GlobalSetF64 => {
                // SAFETY: a live word of the instance's globals.
                unsafe { global!(word.a()).write(canonical(float!(word.b()))) };
                advance!(1);
            }

            Op::FnCall => fn_call!(word.a(), 1),
            Op::FnCallI64 | Op::FnCallF64 | Op::FnCallCell => fn_call!(word.b(), 2),

            // No `args` word is reached as an op; every other op that is not above works on the heap.
            _ => heap_op!(),
        }
    }
}
