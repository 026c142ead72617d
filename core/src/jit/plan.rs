//! The scan before emission: where loops are, how much each register is used, and which registers are pinned.
//!
//! Three passes over the words, all linear:
//! 1. **Loops.** A branch back from op `s` to op `t` makes `t` a loop head; the loop is `t..=s` for the last such `s`.
//!    Overlapping loops form a hull.
//! 2. **Calls in hulls**, only in functions that have both.
//! 3. **Uses.** Each use of a register counts 8 to the power of its loop depth. A register is *crossing* if its value may
//!    have to survive a call: if it is used in a hull that holds a call, or on both sides of a call. That is all it takes,
//!    because outside hulls control only moves forward. A local needs its initial zero unless its first use in the order of
//!    the words is a write that every other use must have passed.
//!
//! Then the most used registers are pinned for the whole function: crossing ones to machine registers that callees keep,
//! the others to any, those that cost nothing first. One that is used too little for what saving and loading it would
//! cost stays in the frame.

use super::shape::{NO_FIELD, SHAPES, Shape};
use crate::masm::{Float, FloatReg, Int, IntReg, PoolReg, Saved};
use crate::runtime::frame::slot_offset;
use crate::vm3::container::{Container, Func, Sig};
use crate::vm3::op::{Flags, Op, field};
use crate::vm3::types::TypeId;

/// Words of scratch for each op word: the label in the low half; the loop's last op, plus 1, in the high half.
pub const WORDS_PER_OP: usize = 1;
/// Words of scratch for each slot, [`SlotPlan`].
pub const WORDS_PER_SLOT: usize = 2;

/// Greatest loop depth that counts. With at most three registers in each 16 bits of operands, a function has fewer than
/// 2^18 uses, so no sum of weights reaches 2^32.
const MAX_DEPTH: u32 = 4;
/// Weight of each loop depth over the one around it, as a shift.
const DEPTH_SHIFT: u32 = 3;

/// The plan of one slot, packed in two words so that it costs 16 bytes.
///
/// Word 0: the weight in the low half, the number of calls before the first use in the high half. Word 1: flags in the
/// low half; in the high half the limit: a use at or behind that word needs the slot's initial zero. 0 before the first
/// use, [`NO_LIMIT`] for parameters and once that is settled.
struct SlotPlan;

/// No word lies behind this limit.
const NO_LIMIT: u64 = u32::MAX as u64;

impl SlotPlan {
    const SEEN: u64 = 1;
    const CROSSES: u64 = 1 << 1;
    const NEEDS_ZERO: u64 = 1 << 2;
    const PINNED: u64 = 1 << 3;
    /// The machine register's number starts at this bit.
    const REG: u32 = 8;
    const FLAGS: u64 = u32::MAX as u64;
}

/// What was found out about a function, over scratch memory that outlives it.
pub struct Plan<'s> {
    /// One word an op word.
    pub ops: &'s mut [u64],
    /// [`SlotPlan`]
    slots: &'s mut [[u64; WORDS_PER_SLOT]],
    /// Whether the function calls nothing.
    pub leaf: bool,
    /// Machine registers to save for the caller.
    pub saved: Saved,
}

/// The smallest targets of forward branches that the scan has not reached yet.
struct Pending {
    nearest: heapless::Vec<u32, 8>,
    /// The least of `nearest`, or [`NO_LIMIT`].
    least: u32,
    /// The greatest target that found no room; below it nothing is known.
    unknown_until: u32,
}

impl Pending {
    const fn new() -> Self {
        Self { nearest: heapless::Vec::new(), least: NO_LIMIT as u32, unknown_until: 0 }
    }

    fn add(&mut self, target: u32) {
        if self.nearest.contains(&target) {
            return;
        }
        if self.nearest.push(target).is_err() {
            self.unknown_until = self.unknown_until.max(target);
        } else {
            self.least = self.least.min(target);
        }
    }

    /// The scan is at `word`.
    #[inline(always)]
    fn reach(&mut self, word: u32) {
        if word >= self.least {
            self.nearest.retain(|&target| target > word);
            self.least = self.nearest.iter().copied().min().unwrap_or(NO_LIMIT as u32);
        }
    }

    /// The first target behind `word`, or the next word if that is not known.
    #[inline(always)]
    fn next(&self, word: u32) -> u32 {
        if self.unknown_until > word { word + 1 } else { self.least }
    }
}

/// Everything the third pass carries along.
struct Uses {
    weight: u32,
    /// Calls so far.
    calls: u32,
    /// The same, or in a hull that holds a call a number that no count of calls reaches.
    calls_key: u32,
    /// The furthest word that control may have come from: this one, or the last op of any loop so far.
    frontier: u32,
    next_target: u32,
}

impl<'s> Plan<'s> {
    /// Scans a verified function. `scratch` holds at least [`WORDS_PER_OP`] words an op word and [`WORDS_PER_SLOT`] a
    /// slot; `None` if it does not.
    pub fn new(
        container: &Container<'_>,
        func: &Func,
        code: &[u64],
        scratch: &'s mut [u64],
        pools: (&[PoolReg], &[PoolReg]),
        max_pinned: usize,
    ) -> Option<Self> {
        let (ops, rest) = scratch.split_at_mut_checked(code.len().checked_mul(WORDS_PER_OP)?)?;
        let slot_words = usize::try_from(func.slot_count).ok()?.checked_mul(WORDS_PER_SLOT)?;
        let (slots, _) = rest.get_mut(..slot_words)?.as_chunks_mut::<WORDS_PER_SLOT>();
        ops.fill(0);
        slots.fill([0; WORDS_PER_SLOT]);
        let sig = container.sig(func.sig)?;
        let mut plan = Self { ops, slots, leaf: true, saved: Saved::default() };
        let has_loops = plan.find_loops(code);
        if has_loops && !plan.leaf {
            plan.find_calls_in_hulls(code);
        }
        plan.count_uses(container, code, &sig);
        plan.pin(container, func, &sig, pools, max_pinned);
        Some(plan)
    }

    /// Pass 1. Says whether there are loops.
    fn find_loops(&mut self, code: &[u64]) -> bool {
        let mut found = false;
        for (at, &word) in code.iter().enumerate() {
            let shape = shape(word);
            if shape.flags.has(Flags::CALLS) {
                self.leaf = false;
            }
            if shape.label == NO_FIELD && shape.targets == NO_FIELD {
                continue;
            }
            for_targets(shape, code.get(at..).unwrap_or(&[]), |target| {
                if target <= at
                    && let Some(op) = self.ops.get_mut(target)
                {
                    *op = (at as u64 + 1) << 32;
                    found = true;
                }
            });
        }
        found
    }

    /// Pass 2: marks the first op of each hull that holds a call.
    fn find_calls_in_hulls(&mut self, code: &[u64]) {
        let (mut start, mut end, mut calls) = (0, 0, false);
        for (at, &word) in code.iter().enumerate() {
            let last = self.loop_end(at);
            if at >= end {
                if last == 0 {
                    continue;
                }
                (start, end, calls) = (at, last, false);
            }
            end = end.max(last);
            calls |= shape(word).flags.has(Flags::CALLS);
            if at + 1 >= end
                && calls
                && let Some(op) = self.ops.get_mut(start)
            {
                *op |= 1;
            }
        }
    }

    /// Pass 3.
    fn count_uses(&mut self, container: &Container<'_>, code: &[u64], sig: &Sig) {
        for [_, state] in self.slots.iter_mut().take(sig.count.into()) {
            *state = SlotPlan::SEEN | NO_LIMIT << 32;
        }
        let mut pending = Pending::new();
        let mut uses = Uses { weight: 1, calls: 0, calls_key: 0, frontier: 0, next_target: 0 };
        let (mut depth, mut hull_end, mut reach) = (0_u32, usize::MAX, 0);
        for (at, &word) in code.iter().enumerate() {
            if word as u8 == Op::Args as u8 {
                continue;
            }
            // Functions have at most 65,536 words.
            let here = at as u32;
            pending.reach(here);
            if at >= hull_end {
                hull_end = usize::MAX;
                uses.calls_key = uses.calls;
            }
            let marks = self.ops.get(at).copied().unwrap_or(0);
            if marks >> 32 != 0 {
                let last = (marks >> 32) as usize;
                if hull_end == usize::MAX {
                    hull_end = last;
                    if marks & 1 != 0 {
                        uses.calls_key = u32::MAX;
                    }
                }
                hull_end = hull_end.max(last);
                reach = reach.max(last as u32);
                depth += 1;
                uses.weight = weight(depth);
                // The loops that end at an op are counted in its low half, above the mark of the hull.
                if let Some(op) = self.ops.get_mut(last - 1) {
                    *op += 2;
                }
            }
            uses.frontier = here.max(reach);
            uses.next_target = pending.next(here);
            let shape = shape(word);
            let words = code.get(at..).unwrap_or(&[]);
            self.touch_fields::<false>(shape.reads, word, words, &uses);
            if shape.args != NO_FIELD {
                for index in 0..argument_count(container, words, shape) {
                    let slot = field_of(words, usize::from(shape.args) + usize::from(index));
                    self.touch::<false>(slot, &uses);
                }
            }
            if shape.flags.has(Flags::CALLS) {
                uses.calls += 1;
                if uses.calls_key != u32::MAX {
                    uses.calls_key = uses.calls;
                }
            }
            self.touch_fields::<true>(shape.writes, word, words, &uses);
            if shape.flags.has(Flags::BRANCHES) {
                for_targets(shape, words, |target| {
                    if target > at {
                        pending.add(target as u32);
                    }
                });
            }
            if let Some(op) = self.ops.get_mut(at)
                && *op as u32 != 0
            {
                let ended = (*op as u32) >> 1;
                *op &= !u64::from(u32::MAX);
                depth = depth.saturating_sub(ended);
                uses.weight = weight(depth);
            }
        }
    }

    /// The uses of the registers in the fields that `mask` names.
    #[inline(always)]
    fn touch_fields<const WRITE: bool>(&mut self, mask: u8, word: u64, words: &[u64], uses: &Uses) {
        if mask & 1 != 0 {
            self.touch::<WRITE>((word >> 16) as u16, uses);
        }
        if mask & 2 != 0 {
            self.touch::<WRITE>((word >> 32) as u16, uses);
        }
        if mask & 4 != 0 {
            self.touch::<WRITE>((word >> 48) as u16, uses);
        }
        let mut rest = mask & !7;
        while rest != 0 {
            self.touch::<WRITE>(field_of(words, rest.trailing_zeros() as usize), uses);
            rest &= rest - 1;
        }
    }

    /// One use of a slot.
    #[inline(always)]
    fn touch<const WRITE: bool>(&mut self, slot: u16, uses: &Uses) {
        let Some([count, state]) = self.slots.get_mut(usize::from(slot)) else { return };
        if u64::from(uses.frontier) >= *state >> 32 {
            if *state & SlotPlan::SEEN == 0 {
                *count = u64::from(uses.calls) << 32;
                *state = SlotPlan::SEEN | u64::from(uses.next_target) << 32;
                if !WRITE {
                    *state = SlotPlan::SEEN | SlotPlan::NEEDS_ZERO | NO_LIMIT << 32;
                }
            } else {
                // Behind a target of a branch from before the first write, or where a loop may come back from there.
                *state = *state & SlotPlan::FLAGS | SlotPlan::NEEDS_ZERO | NO_LIMIT << 32;
            }
        }
        let crosses = (*count >> 32) as u32 != uses.calls_key;
        *state |= u64::from(crosses) * SlotPlan::CROSSES;
        *count += u64::from(uses.weight);
    }

    fn pin(
        &mut self,
        container: &Container<'_>,
        func: &Func,
        sig: &Sig,
        pools: (&[PoolReg], &[PoolReg]),
        max_pinned: usize,
    ) {
        let mut ints = Candidates::new(pools.0);
        let mut floats = Candidates::new(pools.1);
        let types = container.slots(func).unwrap_or(&[]);
        for (slot, ([count, state], ty)) in (0_u16..=u16::MAX).zip(self.slots.iter_mut().zip(types)) {
            let weight = *count as u32;
            if weight == 0 {
                continue;
            }
            // An initial zero is written before anything else, so it must survive the calls before the first use.
            if *state & SlotPlan::NEEDS_ZERO != 0 && *count >> 32 != 0 {
                *state |= SlotPlan::CROSSES;
            }
            let crosses = *state & SlotPlan::CROSSES != 0;
            match *ty {
                TypeId::I64 => ints.offer(crosses, Candidate { slot, weight }),
                TypeId::F64 => floats.offer(crosses, Candidate { slot, weight }),
                _ => {}
            }
        }
        self.saved.ints = self.assign(&ints, pools.0, sig, max_pinned);
        self.saved.floats = self.assign(&floats, pools.1, sig, max_pinned);
    }

    /// Hands out a pool's registers, the heaviest candidates first. Gives the mask of registers to save.
    fn assign(&mut self, candidates: &Candidates, pool: &[PoolReg], sig: &Sig, max_pinned: usize) -> u32 {
        let mut free: heapless::Vec<PoolReg, POOL> = pool.iter().take(POOL).copied().collect();
        let mut saved = 0;
        let (mut crossing, mut others) =
            (candidates.crossing.list.iter().peekable(), candidates.others.list.iter().peekable());
        for _ in 0..max_pinned {
            let from_crossing = match (crossing.peek(), others.peek()) {
                (Some(a), Some(b)) => a.weight >= b.weight,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some(candidate) = (if from_crossing { crossing.next() } else { others.next() }) else { break };
            // The first register that will do; for crossing ones only those that callees keep will.
            let Some(index) = free.iter().position(|reg| !from_crossing || reg.callee_saved) else { continue };
            let Some(reg) = free.get(index).copied() else { continue };
            // What pinning costs by itself: a load of a parameter; a save and a restore.
            let cost = 1 + u32::from(candidate.slot < sig.count) + if reg.callee_saved { 3 } else { 0 };
            if candidate.weight <= cost {
                continue;
            }
            free.remove(index);
            if reg.callee_saved {
                saved |= 1 << reg.number;
            }
            if let Some([_, state]) = self.slots.get_mut(usize::from(candidate.slot)) {
                *state |= SlotPlan::PINNED | u64::from(reg.number) << SlotPlan::REG;
            }
        }
        saved
    }

    /// One past the last op of the loop whose head is this word; 0 if it is none.
    #[inline(always)]
    pub fn loop_end(&self, word: usize) -> usize {
        self.ops.get(word).map_or(0, |op| (op >> 32) as usize)
    }

    #[inline(always)]
    fn state(&self, slot: u16) -> u64 {
        self.slots.get(usize::from(slot)).map_or(0, |[_, state]| *state)
    }

    /// Where an i64 or cell register is.
    #[inline(always)]
    pub fn int(&self, slot: u16) -> Int {
        let state = self.state(slot);
        if state & SlotPlan::PINNED != 0 {
            Int::Reg(IntReg((state >> SlotPlan::REG) as u8))
        } else {
            Int::Slot(slot_offset(slot))
        }
    }

    /// Where an f64 register is.
    #[inline(always)]
    pub fn float(&self, slot: u16) -> Float {
        let state = self.state(slot);
        if state & SlotPlan::PINNED != 0 {
            Float::Reg(FloatReg((state >> SlotPlan::REG) as u8))
        } else {
            Float::Slot(slot_offset(slot))
        }
    }

    /// Whether the slot is pinned to a machine register.
    pub fn is_pinned(&self, slot: u16) -> bool {
        self.state(slot) & SlotPlan::PINNED != 0
    }

    /// A word of scratch for each slot, which the plan itself no longer needs.
    pub fn scratch(&mut self, slot: u16) -> Option<&mut u64> {
        self.slots.get_mut(usize::from(slot)).map(|[count, _]| count)
    }

    /// Whether an i64 or f64 local must be set to zero at entry.
    pub fn needs_zero(&self, slot: u16) -> bool {
        self.state(slot) & SlotPlan::NEEDS_ZERO != 0
    }
}

/// At least the size of every pool.
const POOL: usize = 32;

#[derive(Clone, Copy)]
struct Candidate {
    slot: u16,
    weight: u32,
}

/// The heaviest registers of a bank, heaviest first, no more than a pool could take.
struct Candidates {
    crossing: Heaviest,
    others: Heaviest,
}

struct Heaviest {
    list: heapless::Vec<Candidate, POOL>,
    limit: usize,
}

impl Candidates {
    fn new(pool: &[PoolReg]) -> Self {
        let callee_saved = pool.iter().filter(|reg| reg.callee_saved).count();
        let heaviest = |limit: usize| Heaviest { list: heapless::Vec::new(), limit: limit.min(POOL) };
        Self { crossing: heaviest(callee_saved), others: heaviest(pool.len()) }
    }

    fn offer(&mut self, crosses: bool, candidate: Candidate) {
        let Heaviest { list, limit } = if crosses { &mut self.crossing } else { &mut self.others };
        if list.len() >= *limit {
            if list.last().is_none_or(|last| last.weight >= candidate.weight) {
                return;
            }
            list.pop();
        }
        let place = list.iter().position(|other| other.weight < candidate.weight).unwrap_or(list.len());
        // There is room, and the place is at most the length.
        let _ = list.insert(place, candidate);
    }
}

/// The shape of the op of a word.
#[inline(always)]
fn shape(word: u64) -> &'static Shape {
    &SHAPES[usize::from(word as u8)]
}

#[inline(always)]
fn weight(depth: u32) -> u32 {
    1 << (DEPTH_SHIFT * depth.min(MAX_DEPTH))
}

/// A field of an op that is known to have it.
#[inline(always)]
pub fn field_of(words: &[u64], index: usize) -> u16 {
    field(words, index).unwrap_or(0)
}

/// The number of arguments of the call at the start of `words`, by its callee's signature.
fn argument_count(container: &Container<'_>, words: &[u64], shape: &Shape) -> u16 {
    let callee = u32::from(field_of(words, usize::from(shape.args).saturating_sub(1)));
    let sig = match Op::from_code(words.first().map_or(0, |&word| word as u8)) {
        Some(Op::Host | Op::HostI64 | Op::HostF64 | Op::HostCell) => container.import(callee).map(|i| i.sig),
        _ => container.func(callee).map(|f| f.sig),
    };
    sig.and_then(|sig| container.sig(sig)).map_or(0, |sig| sig.count)
}

/// Calls `visit` with each word that the op at the start of `words` may branch to.
fn for_targets(shape: &Shape, words: &[u64], mut visit: impl FnMut(usize)) {
    if shape.label != NO_FIELD {
        visit(field_of(words, shape.label.into()).into());
    }
    if shape.targets != NO_FIELD {
        let first = usize::from(shape.targets);
        let count = usize::from(field_of(words, first));
        for index in 0..=count {
            visit(field_of(words, first + 1 + index).into());
        }
    }
}
