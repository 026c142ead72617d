//! A second base for frames of many slots.
//!
//! On x86-64 a place of the frame takes three bytes less in an instruction if it is within 128 bytes of the base. Code
//! that goes through thousands of slots is as slow as its bytes come from the second level of the cache, so in functions
//! with at least [`MANY`] slots a scratch register holds the address of a part of the frame where the next ops have most of
//! their places. It moves along with them.
//!
//! The base is there only between ops that the backend makes by table ([`Masm::plain`](crate::masm::Masm::plain)), which
//! do not touch the register. Control gets there from the op before and from nowhere else: an op that a branch names, a loop
//! head and an op that has a template of its own find no second base, and know the places by the frame's own.

use super::Backend;
use super::emit::Compiler;
use super::shape::SHAPES;
use super::templates::Lane;
use crate::masm::{Any, Int};
use crate::runtime::frame::slot_offset;
use core::ops::Range;

/// The slots from which on a function's frame has a second base: the frame is larger than a page then.
const MANY: u32 = 512;
/// Words that are looked at to find a base.
const AHEAD: usize = 32;
/// Words after which there is another look at the earliest, if emission gets there in one run.
const PAUSE: usize = 16;
/// The uses of places that make up for the instruction that sets a base: it is 7 bytes long.
const WORTH: u32 = 4;

/// The second base of the function that is compiled.
pub(super) struct Near {
    /// The slots that are reached by it; none if there is no second base.
    slots: Range<u16>,
    /// Whether the function may have one.
    pub(super) is_wanted: bool,
    /// The first word at which a plain op is not simply made by table: a base is looked for, or the function is left.
    pub(super) stop: usize,
}

impl Near {
    /// `leave_at` is the word at which the function is left, or greater than any.
    pub(super) fn new(reach: u16, slot_count: u32, has_records: bool, leave_at: usize) -> Self {
        // Finding records anew behind a plain op takes scratch registers.
        let is_wanted = reach != 0 && slot_count >= MANY && !has_records;
        Self { slots: 0..0, is_wanted, stop: if is_wanted { 0 } else { leave_at } }
    }
}

/// Slots that a base reaches.
#[derive(Clone, Copy)]
struct Candidate {
    start: i32,
    len: u32,
    /// How often they are used.
    uses: u32,
    /// The first word that uses others; greater than any if none does.
    until: usize,
}

const NONE: Candidate = Candidate { start: 0, len: 0, uses: 0, until: usize::MAX };

impl Candidate {
    /// Counts the use of a slot; whether it is one of these.
    #[inline(always)]
    fn count(&mut self, slot: i32, word: usize) -> bool {
        let reached = (slot.wrapping_sub(self.start) as u32) < self.len;
        self.uses += u32::from(reached);
        self.until = self.until.min(if reached { usize::MAX } else { word });
        reached
    }
}

impl<'m, M: Backend<'m>> Compiler<'_, '_, M> {
    /// Slots that are reached through one base, half of them before it.
    pub(super) const REACH: u16 = (M::NEAR / 8) as u16;

    /// At or behind the word to stop at, before a plain op: looks for a base, if that is why to stop. Whether the op can be
    /// made by table.
    #[inline(never)]
    pub(super) fn at_stop(&mut self, word: usize, leave_at: usize) -> bool {
        if word == leave_at {
            return false;
        }
        let look = if self.near.is_wanted { self.find_near(word) } else { usize::MAX };
        self.near.stop = if word < leave_at { look.min(leave_at) } else { look };
        true
    }

    /// Looks whether a base should be set before the plain op at a word, and says when to look again.
    fn find_near(&mut self, word: usize) -> usize {
        // The slots that the base reaches now; from the first other one on, those that another base could reach that is
        // mostly behind it, and one that is around it: their uses, and the first word that uses yet others.
        let mut now = Candidate { start: i32::from(self.near.slots.start), len: self.near.slots.len() as u32, ..NONE };
        let (mut behind, mut around) = (NONE, NONE);
        let words = word..self.code.len().min(word.saturating_add(AHEAD));
        let code = self.code.get(words.clone()).unwrap_or(&[]);
        let ops = self.plan.ops.get(words).unwrap_or(&[]);
        // The slots that a base is worth it for.
        let count = self.func.slot_count.saturating_sub(Self::REACH.into()) as u16;
        let mut end = word + 1;
        for (at, (&bits, &op)) in (word..).zip(code.iter().zip(ops)) {
            if M::LANES[usize::from(bits as u8)].0 == Lane::Template || at != word && op != 0 {
                break;
            }
            end = at + 1;
            let fields = bits | !SHAPES.get(bits as u8).registers;
            let [a, b, c] = [16, 32, 48].map(|from| (fields >> from) as u16);
            // An instruction has one place in memory, even if it reads and writes it.
            for (slot, again) in [(a, false), (b, b == a), (c, c == a || c == b)] {
                if again || slot.wrapping_sub(Self::REACH) >= count || self.plan.place(slot).is_pinned() {
                    continue;
                }
                let slot = i32::from(slot);
                let reached = now.count(slot, at);
                if behind.len == 0 {
                    if reached {
                        continue;
                    }
                    if at != word {
                        return at;
                    }
                    let len = u32::from(Self::REACH);
                    behind = Candidate { start: slot - i32::from(Self::REACH / 8), len, ..NONE };
                    around = Candidate { start: slot - i32::from(Self::REACH / 2), len, ..NONE };
                }
                behind.count(slot, at);
                around.count(slot, at);
            }
        }
        let best = if behind.uses >= around.uses { behind } else { around };
        if best.len == 0 {
            return end;
        }
        let until = if best.uses < now.uses + WORTH {
            0
        } else {
            self.set_near(best.start as u16);
            best.until.min(end)
        };
        until.max(word + PAUSE)
    }

    /// Sets the base so that it reaches the slots from that one on.
    fn set_near(&mut self, start: u16) {
        self.leave_near();
        let base = slot_offset(start) + M::NEAR / 2;
        self.masm.near(base);
        self.near.slots = start..start.saturating_add(Self::REACH);
        let first = -(M::NEAR as i32 / 2);
        for (distance, place) in (first..).step_by(8).zip(self.plan.in_frame(self.near.slots.clone())) {
            if let Some(place) = place {
                *place = M::prepare_near(distance);
            }
        }
    }

    /// Control may come here from elsewhere, or the register changes: there is no second base.
    #[inline(always)]
    pub(super) fn leave_near(&mut self) {
        if Self::REACH != 0 && !self.near.slots.is_empty() {
            self.drop_near();
        }
    }

    #[inline(never)]
    fn drop_near(&mut self) {
        let slots = core::mem::take(&mut self.near.slots);
        for (slot, place) in slots.clone().zip(self.plan.in_frame(slots)) {
            if let Some(place) = place {
                *place = M::prepare(Any::Int(Int::Slot(slot_offset(slot))));
            }
        }
        // What follows may be worth a base of its own.
        self.near.stop = 0;
    }
}
