//! The scan before emission: where loops are, how much each register is used, and which registers are pinned.
//!
//! Two passes over the words, both linear:
//! 1. **Loops.** A branch back from op `s` to op `t` makes `t` a loop head; the loop is `t..=s` for the last such `s`.
//!    Overlapping loops form a hull: control that is at one of its ops may get to any other of them, and from an op
//!    behind it to none.
//! 2. **Uses.** Each use of a register counts 8 to the power of its loop depth. A register is *crossing* if its value may
//!    have to survive a call that comes back: if it is used in a hull that holds such a call, or on both sides of one.
//!    That is all it takes, because outside hulls control only moves forward. A local needs its initial zero unless its
//!    first use in the order of the words is a write that every other use must have passed: no branch from before the
//!    write leads behind it and up to the use, nor into what is behind it of the use's hull.
//!
//! Then the most used registers are pinned for the whole function: crossing ones to machine registers that callees keep,
//! the others to any, those that cost nothing first. One that is used too little for what saving and loading it would
//! cost stays in the frame.
//!
//! Cells are always in the frame. For a cell register whose object ops work on, the address of the object's record is
//! pinned beside it ([`crate::masm::Object::Record`]): a use saves finding the record, a write of the register finds it.
//! Where the backend has the registers, an array's payload and length are pinned instead ([`crate::masm::Object::View`]) if
//! it is used more often than they must be found anew.

use super::pace::{self, PACED, Paced, Step};
use super::shape::{Fields, Kind, NO_FIELD, SHAPES, Shape, mark};
use crate::masm::{Any, Float, FloatReg, Int, IntReg, Object, PoolReg, Prepared, Saved};
use crate::runtime::frame::slot_offset;
use crate::runtime::fuel;
use crate::vm3::container::{Container, Func, Sig};
use crate::vm3::op::{Bank, Flags, Op, field};
use crate::vm3::types::{Composite, TypeId};
use core::hint::select_unpredictable;
use core::ops::Range;

/// Words of scratch for each op word: the label in the low half; the loop's last op, plus 1, in the high half, with
/// [`RUN`] if fuel is counted, and [`TARGET`].
const WORDS_PER_OP: usize = 1;
const SLOT_PLAN_WORDS: usize = 2;
const PREPARED_WORDS: usize = 4;
/// Words of the longest function whose entry does not poll: with 65,536 calls of it behind one another, a guest is stopped
/// within some milliseconds.
const LEAF_WORDS: usize = 64;
/// [`SlotPlan`]s more than slots: one for each of the three fields of a word, for fields that are no registers.
const SPARE: usize = 3;
/// [`SlotPlan`]s of a function in which a byte of each field says which one it is.
const NARROW: usize = 256;
/// In the low half of an op's word, during the scan: it has to be looked at by itself. Below, the loops that end at it are
/// counted.
const LOOK: u64 = 1 << 31;

/// Greatest loop depth that counts. With at most three registers in each 16 bits of operands, a function has fewer than
/// 2^18 uses, so no sum of weights reaches 2^32.
const MAX_DEPTH: u32 = 4;
/// What finding an object's record costs, in uses of a register.
const FINDING: u32 = 3;
/// The same of its payload and length.
const VIEWING: u32 = 5;
/// Weight of each loop depth over the one around it, as a shift.
const DEPTH_SHIFT: u32 = 3;

/// What the scan knows of one slot.
#[derive(Clone, Copy)]
#[repr(C)]
struct SlotPlan {
    /// The sum of its uses' weights.
    weight: u32,
    /// The number of calls before the first use; [`IN_HULL`] if that is in a hull that holds a call. After the scan, the
    /// machine register of its record's address, [`PINNED`] with it, or those of its payload's address and, from bit
    /// [`LEN_SHIFT`] on, its length, [`PINNED`] and [`VIEW`] with them; or 0.
    first: u32,
    /// The number of calls before the last use; [`LAST_IN_HULL`] if that is in such a hull. It is crossing if the two are
    /// not equal. After the scan, its [`Place`].
    last: u32,
    /// A use at or behind this word, or in a hull that reaches there, needs the initial zero. 0 before the first
    /// use; [`NEEDS_ZERO`] once one does; [`NO_LIMIT`] for parameters.
    limit: u32,
}

/// The number of them that a function of so many slots needs, spare ones included: they are the last. Spare ones lie at the
/// end of what a byte can number if the slots leave room for them there.
fn slot_plans(slots: usize) -> usize {
    slots.saturating_add(SPARE).max(NARROW)
}

/// Words of scratch that the plan of a function takes.
pub fn scratch_words(func: &Func) -> usize {
    let (words, slots) = (func.code_len as usize, func.slot_count as usize);
    let slot_words =
        slot_plans(slots).saturating_mul(SLOT_PLAN_WORDS).saturating_add(slots.saturating_mul(PREPARED_WORDS));
    words.saturating_mul(WORDS_PER_OP).saturating_add(slot_words)
}

impl SlotPlan {
    /// A use.
    #[cfg_attr(not(small), inline(always))]
    fn touch(&mut self, write: bool, uses: &Uses, pending: &Pending, here: u32) {
        if uses.frontier >= self.limit {
            self.settle(write, uses.first, pending, here);
        }
        self.last = uses.last;
        self.weight = self.weight.wrapping_add(uses.weight);
    }

    /// The first use, or one at or behind the limit.
    #[cold]
    fn settle(&mut self, write: bool, first: u32, pending: &Pending, here: u32) {
        if self.limit == 0 {
            self.first = first;
            self.limit = if write { pending.next(here) } else { NEEDS_ZERO };
        } else {
            // Behind a target of a branch from before the first write, or where a loop may come back from there.
            self.limit = NEEDS_ZERO;
        }
    }
}

/// In the high half of an op's word: a straight run starts at it ([`crate::runtime::fuel`]).
pub const RUN: u32 = 1 << 31;

/// In the high half of an op's word, during emission: a branch behind which its label was not kept names it.
pub const TARGET: u32 = 1 << 30;

/// No word is at or behind this limit.
const NO_LIMIT: u32 = u32::MAX;
/// The limit of a slot that needs its initial zero.
const NEEDS_ZERO: u32 = u32::MAX - 1;
/// No number of calls, and not the other one.
const IN_HULL: u32 = u32::MAX;
/// No number of calls, and not the other one.
const LAST_IN_HULL: u32 = u32::MAX - 1;
/// In a [`Place`]: the machine register's number.
const NUMBER: u32 = 0xFF;
/// In a [`Place`]: the slot is pinned.
const PINNED: u32 = 1 << 31;
/// In a [`Place`]: it is pinned to a float register.
const FLOAT: u32 = 1 << 30;
/// Of a cell: a payload and a length are pinned.
const VIEW: u32 = 1 << 29;
const LEN_SHIFT: u32 = 8;

/// Where a slot's value is, in one word: [`PINNED`], [`FLOAT`] for a float register, and the machine register's number;
/// or the byte offset in the frame.
#[derive(Clone, Copy)]
pub struct Place(u32);

impl Place {
    /// The place of an i64 or cell register.
    #[inline(always)]
    pub fn int(self) -> Int {
        if self.is_pinned() { Int::Reg(IntReg(self.0 & NUMBER)) } else { Int::Slot(self.0) }
    }

    /// The place of an f64 register.
    #[inline(always)]
    pub fn float(self) -> Float {
        if self.is_pinned() { Float::Reg(FloatReg(self.0 & NUMBER)) } else { Float::Slot(self.0) }
    }

    /// The place of a register of any bank, for moves that do not look at the value: one in the frame passes for an
    /// integer.
    #[inline(always)]
    pub fn any(self) -> Any {
        if self.0 & FLOAT != 0 { Any::Float(self.float()) } else { Any::Int(self.int()) }
    }

    /// Whether the value is in a machine register.
    #[inline(always)]
    pub fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }
}

/// What was found out about a function, over scratch memory that outlives it.
pub struct Plan<'s> {
    /// One word an op word.
    pub ops: &'s mut [u64],
    /// Those of the slots; during the scan, of [`slot_plans`].
    slots: &'s mut [SlotPlan],
    /// Where the slots' values are, for the backend.
    pub places: &'s mut [Prepared],
    /// Whether the function is short and calls nothing but services, whose stubs keep every register of the pools. Its entry
    /// does not poll, because it is over soon. It checks no native stack: what it saves and the stubs push lies in the
    /// reserve below what its caller checked ([`crate::runtime::context::NATIVE_RESERVE`]), as with the poll of a loop.
    pub leaf: bool,
    /// Whether there are calls.
    calls: bool,
    /// Branches back to a loop head, those of a `switch` one by one.
    pub back_branches: usize,
    /// Machine registers to save for the caller.
    pub saved: Saved,
    /// The slots that are pinned.
    pub pinned: heapless::Vec<u16, { 2 * POOL }>,
    /// The cell slots whose records, or payloads and lengths, are pinned.
    pub records: heapless::Vec<u16, POOL>,
    /// Whether there are payloads and lengths among these.
    pub views: bool,
    /// Loops that poll once in many rounds; none, unless there is a register for their limits.
    pub paced: heapless::Vec<Paced, PACED>,
    /// Such a register.
    pub limit: Option<IntReg>,
}

/// What may be pinned to what.
pub struct Pinning<'p> {
    /// The pools of integers and of floats.
    pub pools: (Pool<'p>, Pool<'p>),
    /// [`crate::masm::Masm::VIEWS`]
    pub views: bool,
    /// [`crate::masm::Masm::PACES`], if the function polls.
    pub paces: bool,
    /// The most registers of each of the two.
    pub max_pinned: (usize, usize),
}

/// Registers to pin to.
#[derive(Clone, Copy)]
pub struct Pool<'p> {
    regs: &'p [PoolReg],
    /// A bit for each of these that callees keep.
    callee_saved: u32,
}

impl<'p> Pool<'p> {
    /// The first [`POOL`] of these registers.
    pub const fn new(regs: &'p [PoolReg]) -> Self {
        let regs = match regs.split_at_checked(POOL) {
            Some((first, _)) => first,
            None => regs,
        };
        let (mut callee_saved, mut index) = (0, 0);
        while index < regs.len() {
            callee_saved |= (regs[index].callee_saved as u32) << index;
            index += 1;
        }
        Self { regs, callee_saved }
    }
}

/// Targets of forward branches that a scan has not reached yet. Plain loops over few words: how many are pending is
/// different at every label, so branches on it would often be mispredicted.
pub(super) struct Pending {
    /// Targets, [`NO_LIMIT`] in free places.
    targets: [u32; PENDING],
    /// The least of them.
    least: u32,
    /// The greatest target that found no room; below it nothing is known.
    unknown_until: u32,
}

/// Targets that are remembered.
const PENDING: usize = 8;

impl Pending {
    pub(super) const fn new() -> Self {
        Self { targets: [NO_LIMIT; PENDING], least: NO_LIMIT, unknown_until: 0 }
    }

    pub(super) fn add(&mut self, target: u32) {
        self.least = self.least.min(target);
        let (mut free, mut known) = (0_u32, false);
        for (place, &other) in self.targets.iter().enumerate() {
            free |= u32::from(other == NO_LIMIT) << place;
            known |= other == target;
        }
        if known {
            return;
        }
        match self.targets.get_mut(free.trailing_zeros() as usize) {
            Some(place) => *place = target,
            None => self.unknown_until = self.unknown_until.max(target),
        }
    }

    /// The scan is at `word`.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn reach(&mut self, word: u32) {
        if word >= self.least {
            self.least = NO_LIMIT;
            for target in &mut self.targets {
                *target = if *target <= word { NO_LIMIT } else { *target };
                self.least = self.least.min(*target);
            }
        }
    }

    /// The first target behind `word`, or the next word if that is not known.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn next(&self, word: u32) -> u32 {
        if self.unknown_until > word { word + 1 } else { self.least }
    }
}

/// Everything that is the same for all uses of a straight run of ops.
#[derive(Clone, Copy)]
struct Uses {
    weight: u32,
    /// What the first use of a slot here records, and what every use does: the number of calls so far, or that this is a
    /// hull that holds a call.
    first: u32,
    last: u32,
    /// The furthest word that control may have come from: this one, or the last op of the hull that it is in, also by
    /// loops whose heads are still to come.
    frontier: u32,
}

/// [`slot_plans`], by what a word has in its first three fields.
trait Slots {
    /// That of a field.
    fn slot(&mut self, fields: Fields, field: usize) -> Option<&mut SlotPlan>;
}

impl Slots for [SlotPlan; NARROW] {
    #[cfg_attr(not(small), inline(always))]
    fn slot(&mut self, fields: Fields, field: usize) -> Option<&mut SlotPlan> {
        Some(&mut self[usize::from(fields.number(field) as u8)])
    }
}

impl Slots for [SlotPlan] {
    #[cfg_attr(not(small), inline(always))]
    fn slot(&mut self, fields: Fields, field: usize) -> Option<&mut SlotPlan> {
        let (number, spare) = (usize::from(fields.number(field)), self.len().saturating_sub(SPARE));
        // Which fields are registers is different from op to op, so a branch on it would often be mispredicted.
        self.get_mut(select_unpredictable(fields.is_register(field), number, spare + field))
    }
}

impl Uses {
    /// Those of ops from word `from` on, up to the first that has to be looked at by itself; gives its word.
    #[cfg_attr(not(small), inline(always))]
    fn straight<S: Slots + ?Sized>(
        &self,
        slots: &mut S,
        code: &[u64],
        ops: &[u64],
        from: usize,
        pending: &Pending,
    ) -> usize {
        let mut at = from;
        for (&word, &op) in code.iter().zip(ops) {
            if op != 0 {
                break;
            }
            let shape = shape(word);
            let fields = shape.fields(word);
            self.touch(slots, (fields, 1), false, pending, at as u32);
            self.touch(slots, (fields, 2), false, pending, at as u32);
            self.touch(slots, (fields, 0), shape.is_written_first(), pending, at as u32);
            at += 1;
        }
        at
    }

    /// [`Uses::straight`] where a byte does not say which slot it is: apart, so that more is in registers where it does.
    #[inline(never)]
    fn straight_of_many(
        &self,
        slots: &mut [SlotPlan],
        code: &[u64],
        ops: &[u64],
        from: usize,
        pending: &Pending,
    ) -> usize {
        self.straight(slots, code, ops, from, pending)
    }

    /// That of a register in a field of an op's word, which is written or not.
    #[cfg_attr(not(small), inline(always))]
    fn touch<S: Slots + ?Sized>(
        &self,
        slots: &mut S,
        (fields, field): (Fields, usize),
        write: bool,
        pending: &Pending,
        here: u32,
    ) {
        if let Some(slot) = slots.slot(fields, field) {
            slot.touch(write, self, pending, here);
        }
    }
}

impl<'s> Plan<'s> {
    /// Scans a verified function. `scratch` holds at least [`scratch_words`] words; `None` if it does not. The places are
    /// to be made ready yet, by [`Plan::prepare`].
    pub fn new(
        container: &Container<'_>,
        func: &Func,
        code: &[u64],
        scratch: &'s mut [u64],
        pins: &Pinning<'_>,
    ) -> Option<Self> {
        let &Pinning { pools, views, paces, max_pinned } = pins;
        let (ops, rest) = scratch.split_at_mut_checked(code.len().checked_mul(WORDS_PER_OP)?)?;
        let slot_count = usize::try_from(func.slot_count).ok()?;
        let (slot_words, rest) = rest.split_at_mut_checked(slot_plans(slot_count).checked_mul(SLOT_PLAN_WORDS)?)?;
        let prepared_words = rest.get_mut(..slot_count.checked_mul(PREPARED_WORDS)?)?;
        // SAFETY: `SlotPlan` is four u32, for which every bit pattern is valid, so words may be seen as such.
        let (_, slots, _) = unsafe { slot_words.align_to_mut::<SlotPlan>() };
        // SAFETY: `Prepared` is four words, for which every bit pattern is valid.
        let (_, places, _) = unsafe { prepared_words.align_to_mut::<Prepared>() };
        slots.get_mut(..slot_count)?.fill(SlotPlan { weight: 0, first: 0, last: 0, limit: 0 });
        let sig = container.sig(func.sig)?;
        let (pinned, records) = (heapless::Vec::new(), heapless::Vec::new());
        let mut plan = Self {
            ops,
            slots,
            places,
            leaf: true,
            calls: false,
            back_branches: 0,
            saved: Saved::default(),
            pinned,
            records,
            views: false,
            paced: heapless::Vec::new(),
            limit: None,
        };
        let types = container.slots(func).unwrap_or(&[]);
        plan.find_loops(code);
        let unsettled = plan.count_uses(container, code, &sig, types);
        plan.slots = core::mem::take(&mut plan.slots).get_mut(..slot_count)?;
        if paces && plan.back_branches != 0 {
            plan.paced = pace::find(code, plan.ops);
        }
        plan.pin(types, &sig, pools, if views { unsettled } else { u32::MAX }, max_pinned);
        Some(plan)
    }

    /// Makes the places ready for a backend, by [`crate::masm::Masm::prepare`].
    #[cfg_attr(not(small), inline(always))]
    pub fn prepare(&mut self, prepare: impl Fn(Any) -> Prepared) {
        for (slot, place) in self.slots.iter().zip(self.places.iter_mut()) {
            *place = prepare(Place(slot.last).any());
        }
    }

    /// Pass 1. Sets every op's word.
    fn find_loops(&mut self, code: &[u64]) {
        let (mut marks, mut back_branches, mut from) = (0, 0, 0);
        loop {
            // To the next branch.
            let rest = code.get(from..).unwrap_or(&[]);
            let mut at = from;
            for (&word, op) in rest.iter().zip(self.ops.get_mut(from..).unwrap_or_default()) {
                let mark = mark(word as u8);
                marks |= mark;
                *op = u64::from(mark & mark::LOOK) * LOOK;
                if mark & mark::BRANCHES != 0 {
                    break;
                }
                at += 1;
            }
            let Some(&word) = code.get(at) else { break };
            for_targets(shape(word), code.get(at..).unwrap_or(&[]), |target| {
                if target <= at
                    && let Some(op) = self.ops.get_mut(target)
                {
                    *op = (at as u64 + 1) << 32 | u64::from(*op as u32);
                    back_branches += 1;
                }
            });
            from = at + 1;
        }
        self.calls = marks & mark::CALLS != 0;
        self.leaf = !self.calls && code.len() <= LEAF_WORDS;
        self.back_branches = back_branches;
    }

    /// One past the last op of the hull that starts at a loop head, and whether the hull holds a call that comes back.
    fn hull(&self, code: &[u64], start: usize) -> (usize, bool) {
        let (mut end, mut calls, mut at) = (self.loop_end(start), false, start);
        while at < end {
            end = end.max(self.loop_end(at));
            calls |= self.calls && code.get(at).is_some_and(|&word| comes_back(shape(word)));
            at += 1;
        }
        (end, calls)
    }

    /// Pass 2. Gives the weight of the ops behind which payloads and lengths must be found anew.
    fn count_uses(&mut self, container: &Container<'_>, code: &[u64], sig: &Sig, types: &[TypeId]) -> u32 {
        let mut unsettled = 0_u32;
        let spare = self.slots.len().saturating_sub(SPARE);
        let (slots, spares) = self.slots.split_at_mut(spare);
        for slot in slots.iter_mut().take(sig.count.into()).chain(spares) {
            slot.limit = NO_LIMIT;
        }
        let mut pending = Pending::new();
        let mut uses = Uses { weight: 1, first: 0, last: 0, frontier: 0 };
        // `hull_end` is one past the last op of the hull that this op is in, 0 outside; at word `event` something changes.
        let (mut calls, mut depth, mut hull_end, mut event) = (0_u32, 0_u32, 0_u32, NO_LIMIT);
        let mut next = 0;
        loop {
            let at = self.straight(code, next, event, &uses, &pending);
            let Some(&word) = code.get(at) else { break };
            next = at + 1;
            // Functions have at most 65,536 words.
            let here = at as u32;
            if here >= event {
                pending.reach(here);
                if here >= hull_end {
                    hull_end = 0;
                    (uses.first, uses.last) = (calls, calls);
                }
                event = pending.next(here).min(if hull_end == 0 { NO_LIMIT } else { hull_end });
            }
            let last = self.loop_end(at);
            if last != 0 {
                if hull_end == 0 {
                    let (end, holds_calls) = self.hull(code, at);
                    hull_end = end as u32;
                    event = event.min(hull_end);
                    if holds_calls {
                        (uses.first, uses.last) = (IN_HULL, LAST_IN_HULL);
                    }
                }
                depth += 1;
                uses.weight = weight(depth);
                // The loops that end at an op are counted in its low half.
                if let Some(op) = self.ops.get_mut(last - 1) {
                    *op += 1;
                }
            }
            let ended = self.ops.get_mut(at).map_or(0, |op| {
                let ended = *op as u32 & !LOOK as u32;
                *op &= !u64::from(u32::MAX);
                ended
            });
            uses.frontier = here.max(hull_end.saturating_sub(1));
            let shape = shape(word);
            let fields = shape.fields(word);
            uses.touch(&mut *self.slots, (fields, 1), false, &pending, here);
            uses.touch(&mut *self.slots, (fields, 2), false, &pending, here);
            if shape.kind == Kind::Other {
                if shape.unsettles {
                    unsettled = unsettled.saturating_add(uses.weight);
                }
                let words = code.get(at..).unwrap_or(&[]);
                self.touch_further(shape.reads & !7, words, false, &uses, &pending, here);
                if shape.objects != 0 {
                    let uses = Uses { weight: uses.weight * FINDING, ..uses };
                    self.touch_further(shape.objects, words, false, &uses, &pending, here);
                }
                if shape.args != NO_FIELD {
                    for index in 0..argument_count(container, words, shape, types) {
                        let slot = usize::from(field_of(words, usize::from(shape.args) + usize::from(index)));
                        if types.get(slot).is_some_and(|&ty| ty.bank() != Bank::Cell) {
                            self.touch(slot, false, &uses, &pending, here);
                        }
                    }
                    if comes_back(shape) {
                        calls += 1;
                        if uses.first != IN_HULL {
                            (uses.first, uses.last) = (calls, calls);
                        }
                    }
                }
                self.touch_further(shape.writes & !1, words, true, &uses, &pending, here);
                if shape.cells != 0 {
                    let uses = Uses { weight: (uses.weight * FINDING).wrapping_neg(), ..uses };
                    self.touch_further(shape.cells, words, true, &uses, &pending, here);
                }
            }
            uses.touch(&mut *self.slots, (fields, 0), shape.is_written_first(), &pending, here);
            if shape.kind == Kind::Branch {
                for_targets(shape, code.get(at..).unwrap_or(&[]), |target| {
                    if target > at {
                        pending.add(target as u32);
                    }
                });
                event = event.min(pending.next(here));
                depth = depth.saturating_sub(ended);
                uses.weight = weight(depth);
            }
        }
        unsettled
    }

    /// The uses of ops from a word on, up to the first that has to be looked at by itself or word `event`; gives that. All
    /// are of the same weight, and no limit that a slot may have, and no end of a hull, is at one of these words.
    #[cfg_attr(not(small), inline(always))]
    fn straight(&mut self, code: &[u64], from: usize, event: u32, uses: &Uses, pending: &Pending) -> usize {
        let end = (event as usize).min(code.len());
        let (code, ops) = (code.get(from..end).unwrap_or(&[]), self.ops.get(from..end).unwrap_or(&[]));
        if let Ok(slots) = <&mut [SlotPlan; NARROW]>::try_from(&mut *self.slots)
            && !cfg!(small)
        {
            return uses.straight(slots, code, ops, from, pending);
        }
        uses.straight_of_many(self.slots, code, ops, from, pending)
    }

    /// The uses of the registers in the fields that `mask` names.
    fn touch_further(&mut self, mask: u8, words: &[u64], write: bool, uses: &Uses, pending: &Pending, here: u32) {
        let mut rest = mask;
        while rest != 0 {
            let slot = field_of(words, rest.trailing_zeros() as usize).into();
            self.touch(slot, write, uses, pending, here);
            rest &= rest - 1;
        }
    }

    /// A use of a slot.
    #[cfg_attr(not(small), inline(always))]
    fn touch(&mut self, slot: usize, write: bool, uses: &Uses, pending: &Pending, here: u32) {
        if let Some(plan) = self.slots.get_mut(slot) {
            plan.touch(write, uses, pending, here);
        }
    }

    fn pin(
        &mut self,
        types: &[TypeId],
        sig: &Sig,
        pools: (Pool<'_>, Pool<'_>),
        unsettled: u32,
        max_pinned: (usize, usize),
    ) {
        let refinding = unsettled.saturating_mul(VIEWING);
        let mut ints = Candidates::new(&pools.0);
        let mut floats = Candidates::new(&pools.1);
        for (slot, (plan, ty)) in (0_u16..=u16::MAX).zip(self.slots.iter_mut().zip(types)) {
            let SlotPlan { weight, first, last, limit } = *plan;
            (plan.first, plan.last) = (0, slot_offset(slot));
            if weight == 0 {
                continue;
            }
            // An initial zero is written before anything else, so it must survive the calls before the first use.
            let crosses = first != last || (limit == NEEDS_ZERO && first != 0);
            match *ty {
                TypeId::I64 => ints.offer(crosses, Candidate { slot, weight, pins: Pins::Value }),
                TypeId::F64 => floats.offer(crosses, Candidate { slot, weight, pins: Pins::Value }),
                // The weight is less than nothing if it is written more often than used.
                ty if crate::HEAP && weight as i32 > 0 && is_array(ty) && weight / FINDING > refinding => {
                    // It is found anew behind calls.
                    let weight = weight.saturating_add(weight / FINDING - refinding);
                    ints.offer(false, Candidate { slot, weight, pins: Pins::View });
                }
                _ if crate::HEAP && weight as i32 > 0 => {
                    ints.offer(crosses, Candidate { slot, weight, pins: Pins::Record });
                }
                _ => {}
            }
        }
        let left;
        (self.saved.ints, left) = self.assign(&ints, pools.0, PINNED, sig, max_pinned.0);
        (self.saved.floats, _) = self.assign(&floats, pools.1, PINNED | FLOAT, sig, max_pinned.1);
        if !self.paced.is_empty() {
            self.keep_paced(left);
        }
    }

    /// Keeps those loops whose registers are pinned, if a register is left for their limits.
    #[cold]
    #[inline(never)]
    fn keep_paced(&mut self, left: Option<PoolReg>) {
        let mut paced = core::mem::take(&mut self.paced);
        paced.retain(|paced| {
            let by = if let Step::By(slot) = paced.step { Some(slot) } else { None };
            let slots = [Some(paced.index), paced.bound, by];
            left.is_some() && slots.into_iter().flatten().all(|slot| self.place(slot).is_pinned())
        });
        self.paced = paced;
        let Some(limit) = left.filter(|_| !self.paced.is_empty()) else { return };
        self.limit = Some(IntReg(limit.number));
        if limit.callee_saved {
            self.saved.ints |= 1 << limit.number;
        }
    }

    /// Hands out a pool's registers, the heaviest candidates first: of those that callees keep and of the others never any
    /// but the first `max_pinned` of the pool, on which the stubs rely. Gives the mask of registers to save, and a register
    /// that is left.
    fn assign(
        &mut self,
        candidates: &Candidates,
        pool: Pool<'_>,
        mark: u32,
        sig: &Sig,
        max_pinned: usize,
    ) -> (u32, Option<PoolReg>) {
        // A bit for each register.
        let mut free = u32::MAX.checked_shr(u32::BITS - pool.regs.len() as u32).unwrap_or(0);
        let first = |free: u32| pool.regs.get(free.trailing_zeros() as usize).copied();
        let mut saved = 0;
        let (mut crossing, mut others) =
            (candidates.crossing.list.iter().peekable(), candidates.others.list.iter().peekable());
        let mut left = max_pinned;
        while left != 0 {
            let from_crossing = match (crossing.peek(), others.peek()) {
                (Some(a), Some(b)) => a.weight >= b.weight,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some(candidate) = (if from_crossing { crossing.next() } else { others.next() }) else { break };
            // The first register that will do; for crossing ones only those that callees keep will.
            let fit = if from_crossing { free & pool.callee_saved } else { free };
            let Some(reg) = first(fit) else { continue };
            if self.pinned.is_full() {
                break;
            }
            // What pinning costs by itself: a load of a parameter; a save and a restore.
            let (enters, regs) = match candidate.pins {
                Pins::Value => (1, 1),
                Pins::Record => (FINDING, 1),
                Pins::View => (VIEWING, 2),
            };
            if regs > left.min(free.count_ones() as usize) {
                continue;
            }
            let cost = 1 + enters * u32::from(candidate.slot < sig.count) + if reg.callee_saved { 3 } else { 0 };
            if candidate.weight <= cost {
                continue;
            }
            left -= regs;
            free &= !(fit & fit.wrapping_neg());
            if reg.callee_saved {
                saved |= 1 << reg.number;
            }
            let mut record = mark | reg.number;
            if candidate.pins == Pins::View {
                // There is a second one, as seen above.
                let Some(len) = first(free) else { continue };
                free &= free.wrapping_sub(1);
                if len.callee_saved {
                    saved |= 1 << len.number;
                }
                record |= VIEW | len.number << LEN_SHIFT;
                self.views = true;
            }
            if let Some(plan) = self.slots.get_mut(usize::from(candidate.slot)) {
                if candidate.pins != Pins::Value {
                    plan.first = record;
                    // There are at most as many as registers of the pool.
                    let _ = self.records.push(candidate.slot);
                    continue;
                }
                plan.last = mark | reg.number;
                // There is room, as seen above.
                let _ = self.pinned.push(candidate.slot);
            }
        }
        // Those that need no saving come first.
        (saved, first(free).filter(|_| left != 0))
    }

    /// Marks the ops at which straight runs start.
    pub fn mark_runs(&mut self, code: &[u64]) {
        fuel::each_run(code, |word| {
            if let Some(op) = self.ops.get_mut(word) {
                *op |= u64::from(RUN) << 32;
            }
        });
    }

    /// The fuel of the run that starts at `word`, once runs are marked.
    pub fn run(&self, code: &[u64], word: usize) -> u32 {
        fuel::run(code, word, |at| self.ops.get(at).is_some_and(|op| op >> 63 != 0))
    }

    /// One past the last op of the loop whose head is this word; 0 if it is none.
    #[inline(always)]
    pub fn loop_end(&self, word: usize) -> usize {
        self.ops.get(word).map_or(0, |op| (op >> 32) as usize)
    }

    /// Where a slot's value is; for a number that is no slot of the function, somewhere.
    #[inline(always)]
    pub fn place(&self, slot: u16) -> Place {
        // Fields that are no registers may hold anything, so a branch on it would often be mispredicted.
        let slot = select_unpredictable(usize::from(slot) < self.slots.len(), slot.into(), 0);
        self.slots.get(slot).map_or(Place(0), |plan| Place(plan.last))
    }

    /// What the backend has prepared for each of these slots of the function, if the value is in the frame.
    #[inline(always)]
    pub fn in_frame(&mut self, slots: Range<u16>) -> impl Iterator<Item = Option<&mut Prepared>> {
        let end = usize::from(slots.end).min(self.slots.len());
        let slots = usize::from(slots.start)..end;
        let places = self.places.get_mut(slots.clone()).unwrap_or_default();
        let plans = self.slots.get(slots).unwrap_or_default();
        places.iter_mut().zip(plans).map(|(place, plan)| (!Place(plan.last).is_pinned()).then_some(place))
    }

    /// The machine registers by which the object in a cell slot is found, if any hold what it takes.
    #[inline(always)]
    pub fn record(&self, slot: u16) -> Option<Object> {
        let place = Place(self.slots.get(usize::from(slot))?.first);
        if !place.is_pinned() {
            return None;
        }
        let reg = IntReg(place.0 & NUMBER);
        if place.0 & VIEW == 0 {
            return Some(Object::Record(reg));
        }
        Some(Object::View { payload: reg, len: IntReg(place.0 >> LEN_SHIFT & NUMBER) })
    }

    /// A word of scratch for each slot, which the plan itself no longer needs.
    pub fn scratch(&mut self, slot: u16) -> Option<&mut u32> {
        self.slots.get_mut(usize::from(slot)).map(|plan| &mut plan.weight)
    }

    /// Whether an i64 or f64 local must be set to zero at entry.
    pub fn needs_zero(&self, slot: u16) -> bool {
        self.slots.get(usize::from(slot)).is_some_and(|plan| plan.limit == NEEDS_ZERO)
    }
}

/// At least the size of every pool.
const POOL: usize = 32;

#[derive(Clone, Copy)]
struct Candidate {
    slot: u16,
    weight: u32,
    pins: Pins,
}

/// What would be pinned.
#[derive(Clone, Copy, PartialEq)]
enum Pins {
    Value,
    /// The address of a record.
    Record,
    /// A payload's address and a length.
    View,
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
    fn new(pool: &Pool<'_>) -> Self {
        let heaviest = |limit: usize| Heaviest { list: heapless::Vec::new(), limit };
        let callee_saved = pool.callee_saved.count_ones() as usize;
        Self { crossing: heaviest(callee_saved), others: heaviest(pool.regs.len()) }
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

/// Whether cells of that type are arrays, lists among them.
pub fn is_array(ty: TypeId) -> bool {
    [TypeId::ARR_I64, TypeId::ARR_F64, TypeId::ARR_U8, TypeId::LIST].contains(&ty)
}

/// Whether the op is a call that control comes back from: all but `tail`.
#[inline(always)]
fn comes_back(shape: &Shape) -> bool {
    shape.flags.has(Flags::CALLS) && !shape.flags.has(Flags::ENDS)
}

/// The shape of the op of a word.
#[inline(always)]
pub(super) fn shape(word: u64) -> &'static Shape {
    SHAPES.get(word as u8)
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
fn argument_count(container: &Container<'_>, words: &[u64], shape: &Shape, types: &[TypeId]) -> u16 {
    let callee = u32::from(field_of(words, usize::from(shape.args).saturating_sub(1)));
    let sig = match Op::from_code(words.first().map_or(0, |&word| word as u8)) {
        Some(Op::Host | Op::HostI64 | Op::HostF64 | Op::HostCell) => container.import(callee).map(|i| i.sig),
        Some(Op::FnNew) => return bound_count(container, words, types),
        Some(Op::FnCall | Op::FnCallI64 | Op::FnCallF64 | Op::FnCallCell) => closure_sig(container, types, callee),
        _ => container.func(callee).map(|f| f.sig),
    };
    sig.and_then(|sig| container.sig(sig)).map_or(0, |sig| sig.count)
}

/// The number of arguments that the `fn.new` at the start of `words` binds: those of the function that are not left in the
/// signature of the closure.
pub fn bound_count(container: &Container<'_>, words: &[u64], types: &[TypeId]) -> u16 {
    let count = |sig| container.sig(sig).map(|sig| sig.count);
    let left = closure_sig(container, types, field_of(words, 0).into()).and_then(count);
    let whole = container.func(field_of(words, 1).into()).and_then(|func| count(func.sig));
    whole.zip(left).map_or(0, |(whole, left)| whole.saturating_sub(left))
}

/// The signature of the closure in a slot, by the slot's type.
pub fn closure_sig(container: &Container<'_>, types: &[TypeId], slot: u32) -> Option<u32> {
    match container.composite(*types.get(slot as usize)?)? {
        Composite::Fn(sig) => Some(sig),
        Composite::Obj(_) => None,
    }
}

/// Calls `visit` with each word that the op at the start of `words` may branch to.
pub(super) fn for_targets(shape: &Shape, words: &[u64], mut visit: impl FnMut(usize)) {
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
