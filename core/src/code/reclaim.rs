//! When the bytes of evicted machine code may be written again: the protocol between who evicts and who runs.
//!
//! A guest runs in a [`Seat`] for as long as a call from the host lasts. Who evicts holds the compiler's lock, so there
//! is one at a time. It
//! 1. points the entries of what it evicts back at a stub, so that nobody comes to it any more;
//! 2. begins a round: clears the marks, adds 1 to the epoch, and visits every seat. A guest in machine code or in the
//!    interpreter is asked to poll. For one that waits for a host function, the evictor itself does what the guest would;
//! 3. finds the round finished when every taken seat has acknowledged the epoch. What no mark names has no return
//!    address in it and is in nobody's hands: its bytes may be written again, and made known by
//!    [`super::CodeMemory::sync_cores`] before the first entry leads to them.
//!
//! A guest acknowledges at a poll: it marks every function that has a frame on its stack, the running one included, then
//! stores the epoch in its seat. At that place it holds no address of machine code but the return addresses that belong to
//! these frames.
//!
//! The hard cases:
//! - *A guest that never leaves machine code* polls at the head of each loop, and acknowledges there. What it runs is
//!   marked and stays.
//! - *A guest between loading an entry and the callee's first instruction* does not acknowledge in between: there is no
//!   poll. It acknowledges in the callee, or behind it, with the callee's frame on its stack or left for good; and not
//!   having acknowledged, it keeps everything that was evicted in this round alive.
//! - *A guest that takes a seat while a round is on*: either the evictor's visit sees the seat taken, or the guest, which
//!   loads entries only behind a fence, sees the entries as they are after step 1. Both sides store first and load then,
//!   with a sequentially consistent fence in between (the store-buffering pattern; C++ 2011, 29.3). It has no frame, so it
//!   acknowledges at once.
//! - *A guest in a long host function* takes no part: its frames stand still while the seat says so, and it cannot go on
//!   while the evictor holds the seat.
//!
//! Waiting: a guest waits for its own seat only while the evictor reads its frames. An evictor waits for nobody: a round
//! that is not finished is looked at again when room is needed next.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// Nobody has the seat.
const FREE: u32 = 0;
/// A guest runs in it.
const GUEST: u32 = 1;
/// The guest in it waits for a host function.
const HOST: u32 = 2;
/// Set beside one of these while someone reads or changes what belongs to the seat.
const BUSY: u32 = 4;

/// A place for one guest that is being run. An engine whose code can be evicted runs so many guests in machine code at once
/// as it has seats; what calls find all taken is interpreted.
///
/// The host lends them to the engine, and cannot look into them.
#[derive(Debug)]
pub struct Seat {
    state: AtomicU32,
    /// The epoch that was acknowledged last.
    acknowledged: AtomicU64,
    /// What the guest is known by; valid while the seat is taken.
    guest: AtomicUsize,
}

impl Seat {
    /// A free seat.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(FREE), acknowledged: AtomicU64::new(0), guest: AtomicUsize::new(0) }
    }

    /// A free seat.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { state: AtomicU32::new(FREE), acknowledged: AtomicU64::new(0), guest: AtomicUsize::new(0) }
    }

    /// Goes from one state to another, as soon as nobody reads what belongs to the seat.
    fn change(&self, from: u32, to: u32) {
        while let Err(found) = self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed) {
            if found & !BUSY != from {
                return;
            }
            relax();
        }
    }

    /// The guest calls a host function: until it comes back, its frames stand still.
    pub fn enter_host(&self) {
        self.change(GUEST, HOST);
    }

    /// The host function has returned, or calls the guest.
    pub fn leave_host(&self) {
        self.change(HOST, GUEST);
    }

    /// Gives the seat back.
    pub fn leave(&self) {
        let from = self.state.load(Ordering::Relaxed) & !BUSY;
        self.change(from, FREE);
    }
}

impl Default for Seat {
    fn default() -> Self {
        Self::new()
    }
}

fn relax() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    core::hint::spin_loop();
}

/// What the evictor does at a taken seat.
pub trait Visitor {
    /// The guest runs: ask it to acknowledge soon.
    fn ask(&mut self, guest: usize);
    /// The guest waits for a host function: tell `mark` every function that has a frame on its stack.
    fn walk(&mut self, guest: usize, mark: &mut dyn FnMut(u16));
}

/// A bit for each of 64 functions: whether it has a frame on a guest's stack.
pub type Marks = AtomicU64;

/// The rounds of one engine: its seats, a mark for each function, and the epoch.
#[derive(Debug)]
pub struct Rounds<'e> {
    seats: &'e [Seat],
    marks: &'e [Marks],
    epoch: AtomicU64,
}

impl<'e> Rounds<'e> {
    /// `marks` has a bit for every function. Nobody else may use either: what one engine writes would pass for an
    /// acknowledgement to another. So they are borrowed exclusively, and what an earlier engine wrote is forgotten.
    pub fn new(seats: &'e mut [Seat], marks: &'e mut [Marks]) -> Self {
        seats.fill_with(Seat::new);
        marks.fill_with(|| Marks::new(0));
        Self { seats, marks, epoch: AtomicU64::new(1) }
    }

    /// A free seat for a guest that has no frame yet. `None` if all are taken.
    pub fn take(&self, guest: usize) -> Option<&'e Seat> {
        let seat = self.seats.iter().find(|seat| {
            // A look first, which does not take the cache line from its owner.
            seat.state.load(Ordering::Relaxed) == FREE
                && seat.state.compare_exchange(FREE, FREE | BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })?;
        seat.guest.store(guest, Ordering::Relaxed);
        seat.state.swap(GUEST, Ordering::AcqRel);
        // Between this store and all loads of entries.
        fence(Ordering::SeqCst);
        seat.acknowledged.store(self.epoch.load(Ordering::Acquire), Ordering::Release);
        Some(seat)
    }

    /// Acknowledges the epoch for the guest in `seat`, which runs in this thread and has told `walk`'s argument every
    /// function with a frame on its stack when that returns.
    pub fn acknowledge(&self, seat: &Seat, walk: impl FnOnce(&mut dyn FnMut(u16))) {
        let epoch = self.epoch.load(Ordering::Acquire);
        walk(&mut |func| self.mark(func));
        // Releases the marks, and all that this thread did in code that it has left.
        seat.acknowledged.store(epoch, Ordering::Release);
        // The entries are loaded anew behind this.
        fence(Ordering::SeqCst);
    }

    fn mark(&self, func: u16) {
        if let Some(word) = self.marks.get(usize::from(func / 64)) {
            word.fetch_or(1 << (func % 64), Ordering::Relaxed);
        }
    }

    /// Whether someone has marked a function in the round that is finished.
    pub fn is_marked(&self, func: u16) -> bool {
        self.marks.get(usize::from(func / 64)).is_some_and(|word| word.load(Ordering::Relaxed) >> (func % 64) & 1 != 0)
    }

    /// Begins a round for what has been evicted before. Only who holds the compiler's lock does.
    pub fn begin(&self, visitor: &mut dyn Visitor) {
        for word in self.marks {
            word.store(0, Ordering::Relaxed);
        }
        let epoch = self.epoch.load(Ordering::Relaxed).wrapping_add(1);
        self.epoch.store(epoch, Ordering::Release);
        // Between the stores to entries and the epoch, and the visits.
        fence(Ordering::SeqCst);
        self.finished(visitor);
    }

    /// Whether every guest has acknowledged the round that was begun last. Those that have not are asked once more. Only who
    /// holds the compiler's lock asks.
    pub fn finished(&self, visitor: &mut dyn Visitor) -> bool {
        let epoch = self.epoch.load(Ordering::Relaxed);
        // Each is visited, whatever the others say.
        self.seats.iter().filter(|seat| !self.visit(seat, epoch, visitor)).count() == 0
    }

    fn visit(&self, seat: &Seat, epoch: u64, visitor: &mut dyn Visitor) -> bool {
        // A free seat is let be, so that nobody finds it taken: who takes it from now on loads the entries behind a fence
        // that comes behind that of `begin`.
        let state = seat.state.load(Ordering::Acquire);
        if state == FREE {
            return true;
        }
        let visited = seat.state.compare_exchange(state, state | BUSY, Ordering::AcqRel, Ordering::Relaxed);
        if state & BUSY != 0 || visited.is_err() {
            // A guest is taking it, and may have loaded the epoch before this round; or it is coming or going.
            return false;
        }
        let guest = seat.guest.load(Ordering::Relaxed);
        let acknowledged = seat.acknowledged.load(Ordering::Acquire) == epoch;
        if state == HOST && !acknowledged {
            visitor.walk(guest, &mut |func| self.mark(func));
            seat.acknowledged.store(epoch, Ordering::Relaxed);
        } else if state == GUEST && !acknowledged {
            visitor.ask(guest);
        }
        seat.state.fetch_and(!BUSY, Ordering::Release);
        acknowledged || state == HOST
    }
}

#[cfg(all(test, loom))]
mod model {
    //! Every interleaving, and every order of memory accesses that the memory model allows, of guests and an evictor. The
    //! block of machine code is a cell: who executes it reads it, who frees it writes it, and the checker reports both at
    //! once.

    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use std::boxed::Box;
    use std::vec::Vec;

    /// Function 0 has the block, and an entry that leads to it.
    struct World {
        entry: AtomicU32,
        block: UnsafeCell<u32>,
        asked: AtomicU32,
        freed: AtomicU32,
        rounds: Rounds<'static>,
    }

    // SAFETY: what the model shares is what it checks.
    unsafe impl Sync for World {}
    // SAFETY: as above.
    unsafe impl Send for World {}

    const LINKED: u32 = 1;
    const LAZY: u32 = 0;

    impl World {
        fn new(seats: usize) -> Arc<Self> {
            let seats: Vec<_> = (0..seats).map(|_| Seat::new()).collect();
            let rounds = Rounds::new(Box::leak(seats.into_boxed_slice()), Box::leak(Box::new([AtomicU64::new(0)])));
            let (asked, freed) = (AtomicU32::new(0), AtomicU32::new(0));
            Arc::new(Self { entry: AtomicU32::new(LINKED), block: UnsafeCell::new(1), asked, freed, rounds })
        }

        /// Takes a seat; the evictor may be looking at it.
        fn sit(&self) -> Option<&'static Seat> {
            self.rounds.take(1).or_else(|| {
                loom::thread::yield_now();
                self.rounds.take(1)
            })
        }

        /// Executes an instruction of the block.
        fn execute(&self) {
            self.block.with(|block| {
                // SAFETY: the checker says if someone writes it meanwhile.
                assert_eq!(unsafe { block.read() }, 1, "the block has been freed");
            });
        }

        /// A poll, in function 0 or outside it.
        fn poll(&self, seat: &Seat, inside: bool) {
            if self.asked.swap(0, Ordering::AcqRel) != 0 {
                self.rounds.acknowledge(seat, |mark| {
                    if inside {
                        mark(0);
                    }
                });
            }
        }

        /// A call through the entry, with a poll in the callee if `polls`.
        fn call(&self, seat: &Seat, polls: bool) {
            if self.entry.load(Ordering::Acquire) == LINKED {
                self.execute();
                if polls {
                    self.poll(seat, true);
                    self.execute();
                }
            }
        }

        /// Evicts function 0, and frees it if that may be done now.
        fn evict(&self, looks: u32) {
            let mut visitor = Asks { asked: &self.asked, walked: &[] };
            self.evict_by(&mut visitor, looks);
        }

        fn evict_by(&self, visitor: &mut dyn Visitor, looks: u32) {
            self.entry.store(LAZY, Ordering::Release);
            self.rounds.begin(visitor);
            for _ in 0..looks {
                if self.rounds.finished(visitor) {
                    if !self.rounds.is_marked(0) {
                        // SAFETY: the checker says if someone reads it meanwhile.
                        self.block.with_mut(|block| unsafe { block.write(2) });
                        self.freed.store(1, Ordering::Relaxed);
                    }
                    return;
                }
                loom::thread::yield_now();
            }
        }
    }

    struct Asks<'a> {
        asked: &'a AtomicU32,
        walked: &'a [u16],
    }

    impl Visitor for Asks<'_> {
        fn ask(&mut self, _guest: usize) {
            self.asked.store(1, Ordering::Release);
        }
        fn walk(&mut self, _guest: usize, mark: &mut dyn FnMut(u16)) {
            self.walked.iter().for_each(|&func| mark(func));
        }
    }

    /// All interleavings with at most two preemptions, which is known to find almost all there is to find (Musuvathi and
    /// Qadeer, "Iterative Context Bounding", 2007) and ends in seconds.
    fn model(world: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(world);
    }

    /// Whether a block was freed in some interleaving: else the model has not shown anything.
    fn check(world: impl Fn() -> bool + Sync + Send + 'static) {
        let freed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = freed.clone();
        model(move || {
            if world() {
                seen.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        assert!(freed.load(std::sync::atomic::Ordering::Relaxed), "no interleaving frees the block");
    }

    #[test]
    fn a_guest_that_calls_and_polls_in_the_callee() {
        check(|| {
            let world = World::new(1);
            let guest = world.clone();
            let thread = loom::thread::spawn(move || {
                let Some(seat) = guest.sit() else { return };
                guest.call(seat, true);
                guest.poll(seat, false);
                guest.call(seat, false);
                seat.leave();
            });
            world.evict(2);
            thread.join().unwrap();
            world.freed.load(Ordering::Relaxed) != 0
        });
    }

    #[test]
    fn a_guest_that_takes_its_seat_meanwhile() {
        check(|| {
            let world = World::new(1);
            let guest = world.clone();
            let thread = loom::thread::spawn(move || {
                for _ in 0..2 {
                    // The evictor may be looking at it.
                    if let Some(seat) = guest.rounds.take(1) {
                        guest.call(seat, false);
                        seat.leave();
                    }
                }
            });
            world.evict(2);
            thread.join().unwrap();
            world.freed.load(Ordering::Relaxed) != 0
        });
    }

    #[test]
    fn a_guest_in_a_host_function_called_from_the_block() {
        model(|| {
            let world = World::new(1);
            let guest = world.clone();
            let thread = loom::thread::spawn(move || {
                let Some(seat) = guest.sit() else { return };
                if guest.entry.load(Ordering::Acquire) == LINKED {
                    guest.execute();
                    seat.enter_host();
                    seat.leave_host();
                    guest.execute();
                }
                guest.poll(seat, false);
                seat.leave();
            });
            world.evict_by(&mut Asks { asked: &world.asked, walked: &[0] }, 2);
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_guest_in_a_host_function_called_from_elsewhere() {
        check(|| {
            let world = World::new(1);
            let guest = world.clone();
            let thread = loom::thread::spawn(move || {
                let Some(seat) = guest.sit() else { return };
                guest.call(seat, false);
                seat.enter_host();
                seat.leave_host();
                guest.call(seat, false);
                seat.leave();
            });
            world.evict(2);
            thread.join().unwrap();
            world.freed.load(Ordering::Relaxed) != 0
        });
    }

    #[test]
    fn a_poll_that_was_asked_for_in_an_earlier_round() {
        check(|| {
            let world = World::new(1);
            let guest = world.clone();
            let thread = loom::thread::spawn(move || {
                let Some(seat) = guest.sit() else { return };
                guest.poll(seat, false);
                guest.call(seat, true);
                seat.leave();
            });
            // A round for something else, which nobody waits for.
            let mut visitor = Asks { asked: &world.asked, walked: &[] };
            world.rounds.begin(&mut visitor);
            world.evict(1);
            thread.join().unwrap();
            world.freed.load(Ordering::Relaxed) != 0
        });
    }

    #[test]
    #[should_panic(expected = "Causality violation")]
    fn the_checker_sees_who_does_not_wait() {
        loom::model(|| {
            let world = World::new(1);
            let guest = world.clone();
            let thread = loom::thread::spawn(move || {
                let Some(seat) = guest.sit() else { return };
                guest.call(seat, false);
                seat.leave();
            });
            world.entry.store(LAZY, Ordering::Release);
            // SAFETY: it is not, which the checker has to find.
            world.block.with_mut(|block| unsafe { block.write(2) });
            thread.join().unwrap();
        });
    }
}
