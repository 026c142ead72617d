//! Compiling functions one by one, while guests run, and the code cache that they lie in.
//!
//! **The stubs** that all machine code shares are emitted with the first function. Until then nothing is written to code
//! memory, and what never gets warm costs no more than in the interpreter. The places of two stubs are known before:
//! - entries lead to `lazy` from the first. Only machine code follows an entry without looking whether it leads there, and
//!   there is none yet;
//! - `enter` is called only with the address of machine code.
//!
//! They are published as functions are, by the thread that holds the engine's lock and before the entry of the first function
//! is stored with release order: whoever reads that address with acquire order, in the interpreter or at a call from the host,
//! runs bytes that had been published and made known to all cores before. Machine code that a thread comes to by way of other
//! machine code was published later than that. Where writing means that permissions change, no thread is in guest code when
//! they are written, for the same reason, and functions go to other pages.
//!
//! **The cache** never takes more than the host lent, its map included. When it is full, functions are evicted in two
//! steps. First a quarter of the window, in the order of addresses from where the last quarter ended, is *unlinked*: the
//! entries lead back to the stub that stands in for functions without machine code. What is called again is linked again
//! at once, by the machine code that is still there: so what is warm stays, and no call has to be counted. When room is
//! needed next, the rest is freed, but for what has a frame on some guest's stack ([`crate::code::reclaim`] says how that
//! is known), which is linked again too. To have a quarter on probation in time, the first step is done as soon as less
//! than an eighth of the window is free. This is the second-chance (clock) policy by quarters: Corbató, "A Paging
//! Experiment with the Multics System", 1968.
//!
//! **Thrashing**, when what is freed is wanted back soon, is bounded in two ways. The heat that a function needs before it is
//! compiled doubles each time it has been freed: of the time that it has run in the interpreter, only a share that halves
//! each time goes into compiling it. And of the requests for functions that have been freed before, so many find no room as
//! it takes for what is in the cache to be of use: twice as many after each time that something had to be evicted for one of
//! them, half as many after each time that it was for a function that had never been freed. So where the program goes round
//! in more code than there is room for, a part of it stays; and when the program turns to something new, that comes in.

use super::{
    CompileError, Options, STUB_ROOM, first_stubs, function, function_room, most_floats, scratch_words, stubs,
    with_room,
};
use crate::asm::EmitError;
use crate::code::map::{self, GRANULE, Map};
use crate::code::{CodeMemory, CodeRange, MAX_WINDOW};
use crate::masm::{FUNCTION_ALIGN, Isa, Place, Stubs};
use crate::runtime::context::Entry;
use crate::vm3::Module;
use core::ops::Range;
use core::sync::atomic::Ordering;

/// What an engine has made of its code memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeStats {
    /// The most bytes that it takes: code and map.
    pub limit: usize,
    /// The bytes of the map of the window; 0 if nothing is evicted.
    pub map: usize,
    /// The bytes of the window that are in use now: stubs, and functions in whole granules.
    pub used: usize,
    /// Functions compiled, each time counted.
    pub compiled: u64,
    /// Bytes of machine code emitted for them.
    pub emitted: u64,
    /// Functions unlinked, each time counted.
    pub unlinked: u64,
    /// Of these, linked again because they were called or ran.
    pub relinked: u64,
    /// Of these, freed.
    pub freed: u64,
    /// Functions that were to be compiled when there was no room at once.
    pub postponed: u64,
    /// Why the last function that is never compiled is not.
    pub refused: Option<CompileError>,
}

/// How often the heat that a function needs is doubled, at most.
const MOST_DOUBLINGS: u32 = 16;

/// The guests that run what is to be evicted.
pub(crate) trait Guests {
    /// Begins a round: what has been unlinked may be freed when it is finished.
    fn begin(&mut self);
    /// Whether the round is finished.
    fn finished(&mut self) -> bool;
    /// Whether a function has had a frame on a guest's stack in the round that is finished.
    fn runs(&self, func: u16) -> bool;
    /// A function's machine code has been freed.
    fn freed(&self, func: u16);
}

/// Why a function has not been compiled.
pub(crate) enum Refusal {
    /// It never can be.
    Never(CompileError),
    /// There is no room now.
    Later,
}

impl From<CompileError> for Refusal {
    fn from(error: CompileError) -> Self {
        Self::Never(error)
    }
}

/// Where functions are put.
pub(crate) enum Window<'w> {
    /// Behind one another, never twice in the same place.
    Once,
    /// Wherever there is room, by a map in these words; the window and they have together at most so many bytes.
    Cache(&'w mut [u64], usize),
}

enum Space {
    /// The offset of the next function.
    Next(usize),
    Cache(Cache),
}

struct Cache {
    words: *mut [u64],
    granules: usize,
    /// Where the next quarter begins.
    hand: usize,
    /// Behind it, nothing has been written.
    fresh: usize,
    /// Whether a round is on.
    round: bool,
    /// So many requests for what has been freed before find no room after one of them has had something evicted.
    patience: u32,
    /// How many still do.
    waiting: u32,
}

/// The bounds of `Cache::patience`.
const PATIENCE: [u32; 2] = [16, 8192];

/// Compiles functions one by one into code memory that it keeps for more. What runs is never written.
///
/// It names no lifetime, because an engine that names one behind a lock could not be lent for less than its own life.
pub(crate) struct Incremental {
    code: *mut dyn CodeMemory,
    scratch: *mut [u64],
    options: Options,
    /// `None` before they have been published.
    stubs: Option<Stubs>,
    space: Space,
    stats: CodeStats,
}

// SAFETY: what the pointers lead to is exclusively borrowed by it (`Incremental::new`), code memory may be used by any thread,
// and words too.
unsafe impl Send for Incremental {}

impl Incremental {
    /// Writes nothing yet.
    ///
    /// # Safety
    ///
    /// Nobody else uses `code`, `scratch` or the words of `window` while the result is used, and it is used no longer than
    /// they are borrowed.
    pub unsafe fn new(
        module: &Module<'_>,
        code: &mut (dyn CodeMemory + '_),
        scratch: &mut [u64],
        window: Window<'_>,
        options: &Options,
    ) -> Result<Self, CompileError> {
        Isa::HOST.ok_or(CompileError::Host)?;
        let (needed, given) = (scratch_words(module), scratch.len());
        if given < needed {
            return Err(CompileError::Scratch { needed, given });
        }
        let size = code.size().min(MAX_WINDOW);
        if size < STUB_ROOM {
            let error = EmitError::Full { needed: STUB_ROOM, capacity: size };
            return Err(CompileError::Emit { func: None, error });
        }
        let mut stats = CodeStats { limit: size, ..CodeStats::default() };
        let space = match window {
            // Where writing means that permissions change, nothing that is published is written again.
            Window::Cache(words, limit) if code.concurrent_write() => {
                let (cache, map) = Cache::new(words, size, limit)?;
                stats = CodeStats { limit, map, ..stats };
                Space::Cache(cache)
            }
            Window::Cache(..) | Window::Once => Space::Next(0),
        };
        // SAFETY: only the lifetime that the object's type names is changed, which the caller vouches for.
        let code = unsafe { core::mem::transmute::<*mut (dyn CodeMemory + '_), *mut (dyn CodeMemory + 'static)>(code) };
        Ok(Self { code, scratch, options: *options, stubs: None, space, stats })
    }

    /// The stubs, which are emitted and published when they are asked for first.
    fn stubs(&mut self, module: &Module<'_>) -> Result<Stubs, CompileError> {
        if let Some(stubs) = self.stubs {
            return Ok(stubs);
        }
        let isa = Isa::HOST.ok_or(CompileError::Host)?;
        let (features, floats) = (self.options.features, most_floats(module));
        // SAFETY: it is lent for longer than this is used, to nobody else.
        let code = unsafe { &mut *self.code };
        let mut opened = 0;
        let stubs = with_room(code, &mut opened, 0, STUB_ROOM, |memory| stubs(isa, memory, features, floats));
        let published = code.publish(CodeRange { start: 0, end: opened });
        let stubs = stubs?;
        published?;
        code.sync_cores()?;
        code.describe(CodeRange { start: 0, end: stubs.end })?;
        match &mut self.space {
            Space::Next(next) => *next = aligned(code, stubs.end),
            Space::Cache(cache) => cache.reserve(stubs.end),
        }
        self.stubs = Some(stubs);
        Ok(stubs)
    }

    /// What has been done so far.
    pub fn stats(&self) -> CodeStats {
        let used = match &self.space {
            Space::Next(next) => *next,
            // SAFETY: the words are lent for longer than this is used, to nobody else.
            Space::Cache(cache) => unsafe { cache.map() }.map_or(0, |map| map.used() * GRANULE),
        };
        CodeStats { used, ..self.stats }
    }

    /// Gives a function machine code and points its entry at it; gives its address. On failure the entry stays as it is.
    pub fn function(
        &mut self,
        module: &Module<'_>,
        index: u16,
        entries: &[Entry],
        guests: &mut dyn Guests,
    ) -> Result<u64, Refusal> {
        let outcome = self.function_once(module, index, entries, guests);
        if let Err(Refusal::Never(error)) = outcome {
            self.stats.refused = Some(error);
        }
        outcome
    }

    fn function_once(
        &mut self,
        module: &Module<'_>,
        index: u16,
        entries: &[Entry],
        guests: &mut dyn Guests,
    ) -> Result<u64, Refusal> {
        let entry = entries.get(usize::from(index)).ok_or(CompileError::NoFunction { func: index })?;
        if entry.len.load(Ordering::Relaxed) != 0 {
            return Ok(self.relink(entry));
        }
        let stubs = self.stubs(module)?;
        let room = function_room(entry.word_count, entry.frame_bytes / 8);
        match self.space {
            Space::Next(offset) => {
                let mut opened = offset;
                // SAFETY: it is lent for longer than this is used, to nobody else.
                let code = unsafe { &mut *self.code };
                let emitted = with_room(code, &mut opened, offset, room, |memory| {
                    // SAFETY: as above.
                    unsafe { self.emit(module, index, entry, offset, memory, stubs) }
                });
                let published = code.publish(CodeRange { start: offset, end: opened.max(offset) });
                let emitted = emitted?;
                published.map_err(CompileError::Code)?;
                code.sync_cores().map_err(CompileError::Code)?;
                self.space = Space::Next(aligned(code, offset.saturating_add(emitted.end)));
                Ok(self.link(entry, offset, emitted))
            }
            Space::Cache(_) => self.cached(module, index, entries, guests, stubs),
        }
    }

    /// The same in a cache.
    fn cached(
        &mut self,
        module: &Module<'_>,
        index: u16,
        entries: &[Entry],
        guests: &mut dyn Guests,
        stubs: Stubs,
    ) -> Result<u64, Refusal> {
        let entry = entries.get(usize::from(index)).ok_or(CompileError::NoFunction { func: index })?;
        let again = entry.evictions.load(Ordering::Relaxed) != 0;
        // What most functions need; others tell when it does not do.
        let Space::Cache(cache) = &self.space else { return Err(Refusal::Later) };
        let capacity = cache.granules.saturating_sub(stubs.end.div_ceil(GRANULE));
        let mut wanted = (64 + 16 * entry.word_count as usize).div_ceil(GRANULE).min(capacity);
        loop {
            let hole = self.room(wanted, again, entries, guests)?;
            let bytes = CodeRange { start: hole.start * GRANULE, end: hole.end * GRANULE };
            // SAFETY: it is lent for longer than this is used, to nobody else.
            let code = unsafe { &mut *self.code };
            let memory = code.open(bytes).map_err(CompileError::Code)?;
            // SAFETY: as above.
            let emitted = unsafe { self.emit(module, index, entry, bytes.start, memory, stubs) };
            let published = code.publish(bytes);
            let emitted = match emitted {
                Err(CompileError::Emit { error: EmitError::Full { .. }, .. }) if hole.len() < capacity => {
                    wanted = hole.len().saturating_mul(2).min(capacity);
                    continue;
                }
                emitted => emitted?,
            };
            published.map_err(CompileError::Code)?;
            let Space::Cache(cache) = &mut self.space else { return Err(Refusal::Later) };
            let block = hole.start..hole.start.saturating_add(emitted.end.div_ceil(GRANULE));
            let reused = block.start < cache.fresh;
            cache.fresh = cache.fresh.max(hole.end);
            // Bytes that have never been executed need nothing more on x86-64: SDM vol. 3, 9.1.3 is about code that has.
            if reused || !cfg!(target_arch = "x86_64") {
                code.sync_cores().map_err(CompileError::Code)?;
            }
            // SAFETY: as above.
            if let Some(mut map) = unsafe { cache.map() } {
                map.take(block, index);
            }
            let address = self.link(entry, bytes.start, emitted);
            if !again {
                self.make_ready(entries, guests);
            }
            return Ok(address);
        }
    }

    /// Compiles a function into opened memory at an offset of the window.
    ///
    /// # Safety
    ///
    /// Nobody uses the scratch memory.
    unsafe fn emit(
        &self,
        module: &Module<'_>,
        index: u16,
        entry: &Entry,
        offset: usize,
        memory: &mut [u8],
        stubs: Stubs,
    ) -> Result<Emitted, CompileError> {
        let isa = Isa::HOST.ok_or(CompileError::Host)?;
        let options = &self.options;
        let leave_at = options.leave_at.filter(|site| site.func() == index).map(|site| site.word());
        let first_cache = entry.first_cache;
        let place = Place {
            first_cache,
            switching: true,
            leave_at,
            fuel: options.fuel,
            polls: options.polls,
            ..Place::new(offset, options.features, stubs, index)
        };
        // SAFETY: by the contract; it is lent for longer than this is used.
        let scratch = unsafe { &mut *self.scratch };
        let listing = function(isa, module, index, memory, place, scratch, options.max_pinned)?;
        Ok(Emitted { len: listing.len(), end: listing.end(), loops: listing.loops() })
    }

    /// Points an entry at new code.
    fn link(&mut self, entry: &Entry, offset: usize, emitted: Emitted) -> u64 {
        self.stats.compiled = self.stats.compiled.wrapping_add(1);
        self.stats.emitted = self.stats.emitted.wrapping_add(emitted.len as u64);
        entry.start.store(offset as u32, Ordering::Relaxed);
        entry.len.store(emitted.len as u32, Ordering::Relaxed);
        let loops = emitted.loops.map_or(0, |table| offset.saturating_add(table) as u32);
        entry.loops.store(loops, Ordering::Relaxed);
        let address = self.address(offset);
        entry.code.store(address, Ordering::Release);
        address
    }

    /// Points an entry that was unlinked back at its code.
    fn relink(&mut self, entry: &Entry) -> u64 {
        let offset = entry.start.load(Ordering::Relaxed) as usize;
        if let Space::Cache(cache) = &mut self.space
            // SAFETY: the words are lent for longer than this is used, to nobody else.
            && let Some(mut map) = unsafe { cache.map() }
        {
            map.set_evicted(offset / GRANULE, false);
        }
        self.stats.relinked = self.stats.relinked.wrapping_add(1);
        let address = self.address(offset);
        entry.code.store(address, Ordering::Release);
        address
    }

    /// Where the entries of functions lead that have no machine code: the address of the stub `lazy`, of which no machine code
    /// knows before it is there. Where nothing can be compiled it leads nowhere.
    pub fn lazy(&self) -> u64 {
        self.address(Isa::HOST.map_or(0, |isa| first_stubs(isa).1))
    }

    /// The address of the stub `enter`, which may be called once a function has machine code.
    pub fn enter(&self) -> u64 {
        self.address(Isa::HOST.map_or(0, |isa| first_stubs(isa).0))
    }

    fn address(&self, offset: usize) -> u64 {
        // SAFETY: it is lent for longer than this is used.
        unsafe { &*self.code }.base().saturating_add(offset) as u64
    }

    /// A hole of that many granules, no more than the cache has, or up to four times as many, for which functions are evicted if need be; `again` if it is
    /// for one that has been freed before.
    fn room(
        &mut self,
        wanted: usize,
        again: bool,
        entries: &[Entry],
        guests: &mut dyn Guests,
    ) -> Result<Range<usize>, Refusal> {
        let mut passed = 0_usize;
        loop {
            let Space::Cache(cache) = &mut self.space else { return Err(Refusal::Later) };
            // SAFETY: the words are lent for longer than this is used, to nobody else.
            let Some(map) = (unsafe { cache.map() }) else { return Err(Refusal::Later) };
            if let Some(hole) = map.hole(0, wanted, wanted.saturating_mul(4)) {
                return Ok(hole);
            }
            if cache.round {
                if !guests.finished() {
                    self.stats.postponed = self.stats.postponed.wrapping_add(1);
                    return Err(Refusal::Later);
                }
                self.sweep(entries, guests);
                continue;
            }
            if passed > cache.granules.saturating_mul(2) || passed == 0 && !cache.may_evict(again) {
                self.stats.postponed = self.stats.postponed.wrapping_add(1);
                return Err(Refusal::Later);
            }
            let least = wanted.max(cache.granules / 4);
            passed = passed.saturating_add(self.unlink(least, entries));
            self.begin(guests);
        }
    }

    /// Puts a quarter on probation if there is little room left.
    fn make_ready(&mut self, entries: &[Entry], guests: &mut dyn Guests) {
        let Space::Cache(cache) = &mut self.space else { return };
        // SAFETY: the words are lent for longer than this is used, to nobody else.
        let Some(used) = (unsafe { cache.map() }).map(|map| map.used()) else { return };
        if !cache.round && cache.granules.saturating_sub(used) < cache.granules / 8 {
            let quarter = cache.granules / 4;
            self.unlink(quarter, entries);
            self.begin(guests);
        }
    }

    fn begin(&mut self, guests: &mut dyn Guests) {
        if let Space::Cache(cache) = &mut self.space {
            cache.round = true;
            guests.begin();
        }
    }

    /// Unlinks a function, so that it can be freed. Whether it had machine code.
    pub fn evict(&mut self, index: u16, entries: &[Entry], guests: &mut dyn Guests) -> bool {
        let lazy = self.lazy();
        let (Some(entry), Space::Cache(cache)) = (entries.get(usize::from(index)), &mut self.space) else {
            return false;
        };
        let code = entry.code.load(Ordering::Relaxed);
        // SAFETY: the words are lent for longer than this is used, to nobody else.
        let Some(mut map) = (unsafe { cache.map() }).filter(|_| code != lazy) else { return false };
        unlink(entry, lazy);
        map.set_evicted(entry.start.load(Ordering::Relaxed) as usize / GRANULE, true);
        self.stats.unlinked = self.stats.unlinked.wrapping_add(1);
        self.begin(guests);
        true
    }

    /// Unlinks what lies in the next granules, at least so many; gives how many it has passed.
    fn unlink(&mut self, least: usize, entries: &[Entry]) -> usize {
        let lazy = self.lazy();
        let Space::Cache(cache) = &mut self.space else { return 0 };
        let (granules, mut hand) = (cache.granules, cache.hand);
        // SAFETY: the words are lent for longer than this is used, to nobody else.
        let Some(mut map) = (unsafe { cache.map() }) else { return 0 };
        let mut passed = 0_usize;
        while passed < least.max(1) {
            let Some((block, func)) = map.block(hand) else {
                passed = passed.saturating_add(granules.saturating_sub(hand)).saturating_add(1);
                hand = 0;
                // All of them at most.
                if passed > granules {
                    break;
                }
                continue;
            };
            passed = passed.saturating_add(block.end.saturating_sub(hand));
            hand = block.end;
            if let Some(entry) = entries.get(usize::from(func)).filter(|_| !map.is_evicted(block.start)) {
                unlink(entry, lazy);
                map.set_evicted(block.start, true);
                self.stats.unlinked = self.stats.unlinked.wrapping_add(1);
            }
        }
        cache.hand = hand;
        passed
    }

    /// Fills free granules with instructions that trap. If the memory refuses, what was there stays, to which nothing leads.
    fn fill(&mut self, block: Range<usize>) {
        // `INT3` (SDM vol. 2, INT n), and `UDF #0` (Arm ARM, C6.2).
        let filler = if cfg!(target_arch = "x86_64") { 0xCC } else { 0 };
        let bytes = CodeRange { start: block.start * GRANULE, end: block.end * GRANULE };
        // SAFETY: it is lent for longer than this is used, to nobody else.
        let code = unsafe { &mut *self.code };
        if let Ok(memory) = code.open(bytes) {
            memory.fill(filler);
            let _ = code.publish(bytes);
        }
    }

    /// Ends a finished round: frees what was unlinked, but links again what guests run.
    fn sweep(&mut self, entries: &[Entry], guests: &dyn Guests) {
        let mut from = 0;
        loop {
            let Space::Cache(cache) = &mut self.space else { return };
            cache.round = false;
            // SAFETY: the words are lent for longer than this is used, to nobody else.
            let Some(mut map) = (unsafe { cache.map() }) else { return };
            let Some((block, func)) = map.block(from) else { return };
            from = block.end;
            let Some(entry) = entries.get(usize::from(func)).filter(|_| map.is_evicted(block.start)) else { continue };
            if guests.runs(func) {
                self.relink(entry);
                continue;
            }
            map.free(block.clone());
            self.fill(block);
            entry.len.store(0, Ordering::Relaxed);
            entry.evictions.fetch_add(1, Ordering::Relaxed);
            cool(entry, self.options.threshold);
            self.stats.freed = self.stats.freed.wrapping_add(1);
            guests.freed(func);
        }
    }
}

/// Makes a function as cold as it is to be until it is compiled, at first or again.
pub(crate) fn cool(entry: &Entry, threshold: u32) {
    let cold = match entry.evictions.load(Ordering::Relaxed) {
        0 => threshold,
        times => threshold.max(1).saturating_mul(1 << times.min(MOST_DOUBLINGS)),
    };
    entry.cold.store(cold, Ordering::Relaxed);
}

/// Points an entry back at the stub. The next call asks for its code at once.
fn unlink(entry: &Entry, lazy: u64) {
    entry.cold.store(0, Ordering::Relaxed);
    entry.code.store(lazy, Ordering::Release);
}

/// Where a function's parts lie, in bytes from its start.
struct Emitted {
    len: usize,
    end: usize,
    loops: Option<usize>,
}

impl Cache {
    /// A cache in a window and words of together at most `limit` bytes, and the size of its map in bytes.
    fn new(words: &mut [u64], window: usize, limit: usize) -> Result<(Self, usize), CompileError> {
        // The most granules of which the window, the map and the limit have enough.
        let (mut granules, mut step) = (0_usize, (MAX_WINDOW / GRANULE).next_power_of_two());
        while step > 0 {
            let bytes = granules.saturating_add(step).saturating_mul(GRANULE);
            let map = map::words(bytes);
            if bytes <= window && map <= words.len() && bytes.saturating_add(map * 8) <= limit {
                granules = granules.saturating_add(step);
            }
            step /= 2;
        }
        let map = map::words(granules.saturating_mul(GRANULE));
        let words = words.get_mut(..map).unwrap_or_default();
        words.fill(0);
        let capacity = granules.saturating_mul(GRANULE);
        if Map::over(words, granules).is_none() || capacity < STUB_ROOM + GRANULE {
            let error = EmitError::Full { needed: STUB_ROOM + GRANULE, capacity };
            return Err(CompileError::Emit { func: None, error });
        }
        Ok((Self { words, granules, hand: 0, fresh: 0, round: false, patience: 0, waiting: 0 }, map * 8))
    }

    /// Leaves the first `stubs` bytes, where nothing is yet, to the stubs.
    fn reserve(&mut self, stubs: usize) {
        let first = stubs.div_ceil(GRANULE);
        // SAFETY: the words are lent for longer than this is used, to nobody else.
        if let Some(mut map) = unsafe { self.map() } {
            map.reserve(0..first);
        }
        (self.hand, self.fresh) = (first, first);
    }

    /// Whether something may be evicted now, for a function that has been freed before or another.
    fn may_evict(&mut self, again: bool) -> bool {
        if !again {
            self.patience /= 2;
        } else if let Some(left) = self.waiting.checked_sub(1) {
            self.waiting = left;
            return false;
        } else {
            let [least, most] = PATIENCE;
            self.patience = self.patience.saturating_mul(2).clamp(least, most);
            self.waiting = self.patience;
        }
        true
    }

    /// # Safety
    ///
    /// The words that it was made with are still lent to it, and no other map of them is in use.
    unsafe fn map<'m>(&self) -> Option<Map<'m>> {
        // SAFETY: by the contract.
        Map::over(unsafe { &mut *self.words }, self.granules)
    }
}

/// Where a function may start at or behind an offset: where writing means that permissions change, on a page that holds no
/// other.
fn aligned(code: &dyn CodeMemory, offset: usize) -> usize {
    let align = if code.concurrent_write() { FUNCTION_ALIGN } else { code.page() };
    offset.checked_next_multiple_of(align).unwrap_or(usize::MAX)
}
