//! Control of a guest from outside of it: what other threads, other cores and interrupt handlers ask for, and how it is
//! answered.
//!
//! Machine code and the interpreter look at one word, the guard, at function entries and loop heads, at those of short
//! loops that count not in every round (`jit::pace`). Who wants
//! something of the guest first adds its request to a second word and then raises the guard; the guest's next look
//! finds it raised, and the poll lowers it before it takes the requests. So a request is taken by that poll or by the
//! next and never lost; at worst a poll finds none. One that is made while no guest runs is taken by the first poll of
//! the next call.

use super::context::{Context, POLL};
use super::instance::Instance;
use super::trap::Site;
use super::walk::Walk;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// A request: end the call with the trap `interrupted`.
pub(crate) const INTERRUPT: u64 = 1;
/// A request: leave machine code for the interpreter.
pub(crate) const LEAVE: u64 = 2;
/// A request: let the host's handler decide.
pub(crate) const ASK: u64 = 4;
/// A request of the engine itself: acknowledge that machine code has been evicted ([`crate::code::reclaim`]).
pub(crate) const ACKNOWLEDGE: u64 = 8;

/// The part of a context that others than the running thread write.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct PollWords {
    /// The lowest native stack address that guest code may use, or [`POLL`]: one word serves the stack check at
    /// function entry and the poll at entries and loop heads, because a poll is a stack limit that every stack pointer
    /// is below.
    pub guard: AtomicU64,
    /// What is asked for; the poll takes and clears it.
    requests: AtomicU64,
}

impl PollWords {
    pub const fn new() -> Self {
        Self { guard: AtomicU64::new(0), requests: AtomicU64::new(0) }
    }

    /// Sets the guard for a call from the host, with `limit` as the end of the native stack.
    pub fn begin(&self, limit: u64) {
        self.guard.store(limit, Ordering::SeqCst);
        if self.requests.load(Ordering::SeqCst) != 0 {
            self.guard.store(POLL, Ordering::SeqCst);
        }
    }

    /// Lowers the guard to `limit` and takes the requests made so far.
    pub fn take(&self, limit: u64) -> u64 {
        self.guard.store(limit, Ordering::SeqCst);
        self.requests.swap(0, Ordering::SeqCst)
    }

    /// Makes requests.
    pub fn request(&self, requests: u64) {
        self.requests.fetch_or(requests, Ordering::SeqCst);
        self.guard.store(POLL, Ordering::SeqCst);
    }
}

/// A handle by which a guest is interrupted: from any thread or core, from interrupt and signal handlers, and from the
/// guest's own host functions ([`Instance::interrupter`]). No method waits, allocates or takes a lock.
///
/// It refers to two words of the memory that the host lends to the instance, not to the instance, which may be moved
/// and dropped meanwhile. It can be kept for as long as that memory is lent; of an instance that is gone, it does
/// nothing.
///
/// The guest looks at every function entry, at every round of a loop and behind every op that may take long because of the
/// objects it works on, in the interpreter and in machine code, so it answers within a loop's body or a call. Machine code
/// does not look at the entry of functions of at most 64 words that call none, and on arm64 in loops of at most 64 words
/// that count, call none and do nothing that may take long, it looks once in at most 2,048 rounds. A host function is
/// not interrupted; the guest answers when it is back. A
/// request that is made while no guest runs is answered at the start of the next call. It is answered once: requests of
/// one kind count as one until they are.
///
/// As long as there is a handle, the compiler lets nobody give the memory another use:
///
/// ```compile_fail,E0506
/// # use opstamp::{Engine, Instance, InstanceMemory};
/// # fn f<'e>(engine: &'e Engine<'e>, stack: &'e mut [u64], mut state: [u64; 100]) {
/// let memory = InstanceMemory { stack, state: &mut state, heap: &mut [], seed: 0, native_stack: 1 << 20 };
/// let instance = Instance::new(engine, memory, &[]).unwrap();
/// let handle = instance.interrupter();
/// drop(instance);
/// state[0] = 1;
/// handle.interrupt();
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Interrupter<'e> {
    words: &'e PollWords,
}

impl<'e> Interrupter<'e> {
    pub(crate) const fn new(words: &'e PollWords) -> Self {
        Self { words }
    }

    /// Ends the call from the host that is running, or the next, with the trap `interrupted`. With calls inside it,
    /// this is the innermost one; a host function decides what becomes of the others.
    pub fn interrupt(self) {
        self.words.request(INTERRUPT);
    }

    /// Lets the host's handler decide, which runs on the guest's stack ([`Instance::set_poll_handler`]). Without a
    /// handler it is [`Interrupter::interrupt`].
    pub fn poll(self) {
        self.words.request(ASK);
    }

    /// Makes machine code hand the running function to the interpreter, at the head of a loop, which goes on where it
    /// was. It is no order to stay there: what is warm enough is entered again. Only machine code of an engine that
    /// compiles while guests run can be left ([`super::engine::Engine::tiered`]); to all else this is a poll that does
    /// nothing.
    pub fn leave(self) {
        self.words.request(LEAVE);
    }

    /// The handle as an address, for a static word that an interrupt handler reads.
    pub const fn into_raw(self) -> *mut () {
        core::ptr::from_ref(self.words).cast_mut().cast()
    }

    /// The handle that [`Interrupter::into_raw`] made an address of.
    ///
    /// # Safety
    ///
    /// `address` comes from `into_raw`, and the state memory of that handle's instance stays lent to it for 'e.
    pub const unsafe fn from_raw(address: *mut ()) -> Self {
        // SAFETY: by the contract, the words are there for 'e, and nobody accesses them but by atomic operations.
        Self { words: unsafe { &*address.cast::<PollWords>() } }
    }
}

impl fmt::Debug for Interrupter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupter")
    }
}

/// What a poll handler decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PollAction {
    /// The guest goes on as if nothing had been.
    Continue,
    /// The call ends with the trap `interrupted`, at the op before which the guest was stopped.
    Abandon,
}

/// A host's poll handler: what it is told of the guest, and what it decides.
///
/// It runs on the native stack of the guest, of which [`super::context::NATIVE_RESERVE`] bytes are free, and in its
/// thread, between two ops. A panic that leaves it aborts the program, as that of a host function does.
pub type PollHandler<'e> = dyn Fn(&mut PollCall<'_>) -> PollAction + 'e;

/// A guest that was stopped by [`Interrupter::poll`].
///
/// Its values are out of reach: machine code has some of them in registers, and at a function's entry the locals are
/// not set up yet.
pub struct PollCall<'c> {
    instance: *const Instance<'c>,
    frame: *const u64,
    site: Site,
}

impl PollCall<'_> {
    /// The frames of the guest, the innermost first, which is stopped before the op that its frame names.
    pub fn walk(&self) -> Walk<'_> {
        // SAFETY: only `ask` makes a `PollCall`, of the running instance with its innermost frame; the guest does not
        // go on before the handler has returned, which the result cannot outlive.
        unsafe { Walk::running(self.instance, self.frame, self.site) }
    }
}

/// Asks the host's handler about the guest, which is stopped at `site` in the frame at `frame`.
///
/// # Safety
///
/// `context` is that of a running instance, to which there is no exclusive reference; `frame` is its innermost frame
/// with its header in place, of the function of `site`.
pub(crate) unsafe fn ask(context: *const Context, frame: *const u64, site: Site) -> PollAction {
    // SAFETY: by the contract.
    let (instance, handler) = unsafe {
        let instance = (*context).instance as *const Instance<'_>;
        (instance, (*instance).poll_handler())
    };
    let Some(handler) = handler else { return PollAction::Abandon };
    decide(&handler, &mut PollCall { instance, frame, site })
}

/// Calls the handler. A panic cannot leave a function of this kind: it aborts the program.
extern "C" fn decide(handler: &&PollHandler<'_>, call: &mut PollCall<'_>) -> PollAction {
    handler(call)
}
