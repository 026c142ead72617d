//! The scan before emission: where loops are, how much each register is used, and which registers are pinned.
//!
//! Two passes over the words, both linear:
//! 1. **Loops.** A branch back from op `s` to op `t` makes `t` a loop head; the loop is `t..=s` for the last such `s`.
//!    Overlapping loops form a hull: control that is at one of its ops may get to any other of them, and from an op
//!    behind it to none.
//! 2. **Uses.** Each use of a register counts 8 to the power of its loop depth. A register is *crossing* if its value may
//!    have to survive a call: if it is used in a hull that holds a call, or on both sides of a call. That is all it takes,
//!    because outside hulls control only moves forward. A local needs its initial zero unless its first use in the order of
//!    the words is a write that every other use must have passed: no branch from before the write leads behind it and up
//!    to the use, nor into what is behind it of the use's hull.
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

/// Greatest loop depth that counts.
const MAX_DEPTH: u32 = 7;
/// Weight of each loop depth over the one around it, as a shift.
const DEPTH_SHIFT: u32 = 3;

/// The plan of one slot, packed in two words so that it costs 16 bytes.
///
/// Word 0: the weight in the low half, the number of calls before the first use in the high half. Word 1: flags in the
/// low half, in the high half the word before which all uses must lie if the initial zero is to be left out.
struct SlotPlan;

impl SlotPlan {
    const SEEN: u64 = 1;
    const CROSSES: u64 = 1 << 1;
    const NEEDS_ZERO: u64 = 1 << 2;
    const PINNED: u64 = 1 << 3;
    /// The machine register's number starts at this bit.
    const REG: u32 = 8;
}

/// What was found out about a function, over scratch memory that outlives it.
pub struct Plan<'s> {
    /// One word an op word.
    pub ops: &'s mut [u64],
    /// Two words a slot.
    slots: &'s mut [u64],
    /// The slots that are pinned to machine registers.
    pub pinned: heapless::Vec<u16, { 2 * POOL }>,
    /// Whether the function calls nothing.
    pub leaf: bool,
    /// Machine registers to save for the caller.
    pub saved: Saved,
}

/// The smallest targets of forward branches that the scan has not reached yet.
struct Pending {
    nearest: heapless::Vec<usize, 8>,
    /// The greatest target that found no room; below it nothing is known.
    unknown_until: usize,
}

impl Pending {
    fn add(&mut self, target: usize) {
        if self.nearest.contains(&target) {
            return;
        }
        if self.nearest.push(target).is_err() {
            self.unknown_until = self.unknown_until.max(target);
        }
    }

    fn reach(&mut self, word: usize) {
        if self.nearest.contains(&word) {
            self.nearest.retain(|&target| target > word);
        }
    }

    /// The first target behind `word`, or a word that is not behind it.
    fn next(&self, word: usize) -> usize {
        if self.unknown_until > word {
            return word.saturating_add(1);
        }
        self.nearest.iter().copied().min().unwrap_or(usize::MAX)
    }
}

/// Everything the third pass carries along.
struct Uses {
    word: usize,
    weight: u32,
    calls: u32,
    hull_calls: bool,
    /// One past the last op of the latest hull. Control may get here from any op of the hull that holds the word, also by
    /// loops whose heads are still to come.
    hull_end: usize,
    next_target: usize,
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
        let slots = rest.get_mut(..slot_words)?;
        ops.fill(0);
        slots.fill(0);
        let sig = container.sig(func.sig)?;
        let mut plan = Self { ops, slots, pinned: heapless::Vec::new(), leaf: true, saved: Saved::default() };
        plan.find_loops(code);
        plan.count_uses(container, code, &sig);
        plan.pin(container, func, &sig, pools, max_pinned);
        Some(plan)
    }

    /// Pass 1.
    fn find_loops(&mut self, code: &[u64]) {
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
                }
            });
        }
    }

    /// One past the last op of the hull that starts at a loop head, and whether the hull holds a call.
    fn hull(&self, code: &[u64], start: usize) -> (usize, bool) {
        let (mut end, mut calls, mut at) = (self.loop_end(start), false, start);
        while at < end {
            end = end.max(self.loop_end(at));
            calls |= !self.leaf && code.get(at).is_some_and(|&word| shape(word).flags.has(Flags::CALLS));
            at += 1;
        }
        (end, calls)
    }

    /// Pass 2.
    fn count_uses(&mut self, container: &Container<'_>, code: &[u64], sig: &Sig) {
        for param in 0..usize::from(sig.count) {
            if let Some(flags) = self.slots.get_mut(param * WORDS_PER_SLOT + 1) {
                *flags = SlotPlan::SEEN;
            }
        }
        let mut pending = Pending { nearest: heapless::Vec::new(), unknown_until: 0 };
        let mut uses = Uses { word: 0, weight: 1, calls: 0, hull_calls: false, hull_end: 0, next_target: usize::MAX };
        let mut depth = 0_u32;
        for (at, &word) in code.iter().enumerate() {
            if word as u8 == Op::Args as u8 {
                continue;
            }
            pending.reach(at);
            let last = self.loop_end(at);
            if at >= uses.hull_end {
                uses.hull_calls = false;
            }
            if last != 0 {
                if at >= uses.hull_end {
                    (uses.hull_end, uses.hull_calls) = self.hull(code, at);
                }
                depth += 1;
                uses.weight = weight(depth);
                // The loops that end at an op are counted in its low half.
                if let Some(op) = self.ops.get_mut(last - 1) {
                    *op += 1;
                }
            }
            uses.word = at;
            uses.next_target = pending.next(at);
            let shape = shape(word);
            let words = code.get(at..).unwrap_or(&[]);
            let mut fields = shape.reads;
            while fields != 0 {
                let index = fields.trailing_zeros() as usize;
                fields &= fields - 1;
                self.touch(field_of(words, index), &uses, false);
            }
            if shape.args != NO_FIELD {
                for index in 0..argument_count(container, words, shape) {
                    let slot = field_of(words, usize::from(shape.args) + usize::from(index));
                    self.touch(slot, &uses, false);
                }
            }
            if shape.flags.has(Flags::CALLS) {
                uses.calls += 1;
            }
            let mut fields = shape.writes;
            while fields != 0 {
                let index = fields.trailing_zeros() as usize;
                fields &= fields - 1;
                self.touch(field_of(words, index), &uses, true);
            }
            if shape.flags.has(Flags::BRANCHES) {
                for_targets(shape, words, |target| {
                    if target > at {
                        pending.add(target);
                    }
                });
            }
            if let Some(op) = self.ops.get_mut(at) {
                let ended = *op as u32;
                *op &= 0xFFFF_FFFF_0000_0000;
                if ended != 0 {
                    depth = depth.saturating_sub(ended);
                    uses.weight = weight(depth);
                }
            }
        }
    }

    /// One use of a slot.
    #[inline(always)]
    fn touch(&mut self, slot: u16, uses: &Uses, write: bool) {
        let start = usize::from(slot) * WORDS_PER_SLOT;
        let Some([count, state]) = self.slots.get_mut(start..).and_then(|words| words.first_chunk_mut::<2>()) else {
            return;
        };
        if *state & SlotPlan::SEEN == 0 {
            *state |= SlotPlan::SEEN;
            *count = u64::from(uses.calls) << 32;
            if write {
                *state |= (uses.next_target.min(u32::MAX as usize) as u64) << 32;
            } else {
                *state |= SlotPlan::NEEDS_ZERO;
            }
        } else {
            // Behind a target of a branch from before the first write, or where loops may come back from there.
            let limit = (*state >> 32) as usize;
            if limit != 0 && (uses.word >= limit || uses.hull_end > limit) {
                *state |= SlotPlan::NEEDS_ZERO;
            }
        }
        if uses.hull_calls || (*count >> 32) as u32 != uses.calls {
            *state |= SlotPlan::CROSSES;
        }
        let total = (*count as u32).saturating_add(uses.weight);
        *count = *count & 0xFFFF_FFFF_0000_0000 | u64::from(total);
    }

    fn pin(
        &mut self,
        container: &Container<'_>,
        func: &Func,
        sig: &Sig,
        pools: (&[PoolReg], &[PoolReg]),
        max_pinned: usize,
    ) {
        let mut ints = Candidates::default();
        let mut floats = Candidates::default();
        for (slot, words) in (0_u16..=u16::MAX).zip(self.slots.chunks_exact_mut(WORDS_PER_SLOT)) {
            let Some([count, state]) = words.first_chunk_mut::<2>() else { continue };
            let weight = *count as u32;
            if weight == 0 {
                continue;
            }
            // An initial zero is written before anything else, so it must survive the calls before the first use.
            if *state & SlotPlan::NEEDS_ZERO != 0 && *count >> 32 != 0 {
                *state |= SlotPlan::CROSSES;
            }
            let crosses = *state & SlotPlan::CROSSES != 0;
            match container.slot(func, slot) {
                Some(TypeId::I64) => ints.offer(crosses, Candidate { slot, weight }),
                Some(TypeId::F64) => floats.offer(crosses, Candidate { slot, weight }),
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
        let (mut crossing, mut others) = (candidates.crossing.iter().peekable(), candidates.others.iter().peekable());
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
            if self.pinned.is_full() {
                break;
            }
            // What pinning costs by itself: a load of a parameter; a save and a restore.
            let cost = 1 + u32::from(candidate.slot < sig.count) + if reg.callee_saved { 3 } else { 0 };
            if candidate.weight <= cost {
                continue;
            }
            free.remove(index);
            if reg.callee_saved {
                saved |= 1 << reg.number;
            }
            if let Some(state) = self.slots.get_mut(usize::from(candidate.slot) * WORDS_PER_SLOT + 1) {
                *state |= SlotPlan::PINNED | u64::from(reg.number) << SlotPlan::REG;
                // There is room, as seen above.
                let _ = self.pinned.push(candidate.slot);
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
        self.slots.get(usize::from(slot) * WORDS_PER_SLOT + 1).copied().unwrap_or(0)
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
        self.slots.get_mut(usize::from(slot) * WORDS_PER_SLOT)
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
#[derive(Default)]
struct Candidates {
    crossing: heapless::Vec<Candidate, POOL>,
    others: heapless::Vec<Candidate, POOL>,
}

impl Candidates {
    fn offer(&mut self, crosses: bool, candidate: Candidate) {
        let list = if crosses { &mut self.crossing } else { &mut self.others };
        let place = list.iter().position(|other| other.weight < candidate.weight).unwrap_or(list.len());
        if list.is_full() {
            if place >= list.len() {
                return;
            }
            list.pop();
        }
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

#[cfg(test)]
mod tests;
