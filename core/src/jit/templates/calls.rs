//! Templates of calls.

use super::super::Backend;
use super::super::emit::{Compiler, OpAt};
use super::super::plan::field_of;
use crate::masm::{Any, Callee};
use crate::runtime::context::Entry;
use crate::runtime::frame::{frame_bytes, host_frame_bytes, slot_offset};
use crate::vm3::container::Sig;
use core::mem::{offset_of, size_of};

impl<'m, M: Backend<'m>> Compiler<'_, '_, M> {
    /// The signature of a function and the bytes of its frame.
    fn callee(&self, func: u16) -> Option<(Sig, u32)> {
        let record = self.container.func(func.into())?;
        Some((self.container.sig(record.sig)?, frame_bytes(record.slot_count)))
    }

    fn callee_place(&self, func: u16) -> Callee {
        if func == self.index {
            return Callee::Own;
        }
        let at = u32::from(func) * size_of::<Entry>() as u32 + offset_of!(Entry, code) as u32;
        Callee::Entry { at, func }
    }

    /// Lays out the arguments that start at field `first` in a frame that starts `frame` bytes from this one's start.
    fn arguments(&mut self, frame: u32, count: u16, first: usize, at: OpAt<'_>) {
        for index in 0..count {
            let argument = field_of(at.words(), first + usize::from(index));
            self.masm.store(frame + slot_offset(index), self.plan.place(argument).any());
        }
    }

    /// `call`: straight into the callee's frame.
    pub(super) fn call(&mut self, d: Option<Any>, func: u16, first: usize, at: OpAt<'_>) {
        let Some((sig, bytes)) = self.callee(func) else { return };
        let (frame, site) = (self.frame(), self.site(at.word));
        self.masm.check_stack(frame + bytes, site);
        self.arguments(frame, sig.count, first, at);
        let callee = self.callee_place(func);
        self.masm.call(callee, frame, site);
        if let Some(d) = d {
            self.masm.take_result(d);
        }
    }

    /// `host`: the arguments are laid out like a callee's, and the result comes back in the first slot.
    pub(super) fn host(&mut self, d: Option<Any>, import: u16, first: usize, at: OpAt<'_>) {
        let Some(sig) = self.container.import(import.into()).and_then(|import| self.container.sig(import.sig)) else {
            return;
        };
        let (frame, site) = (self.frame(), self.site(at.word));
        self.masm.check_stack(frame + host_frame_bytes(sig.count), site);
        self.arguments(frame, sig.count, first, at);
        self.masm.host(import.into(), frame, site);
        if let Some(d) = d {
            self.masm.load(d, frame + slot_offset(0));
        }
    }

    /// `tail`: the arguments move to the parameters of the frame that is reused, all at once.
    pub(super) fn tail(&mut self, at: OpAt<'_>) {
        let Some((sig, bytes)) = self.callee(at.a) else { return };
        let frame = self.frame();
        if bytes > frame {
            self.masm.check_stack(bytes, self.site(at.word));
        }
        self.parallel_move(sig.count, at);
        let callee = self.callee_place(at.a);
        let saved = self.plan.saved;
        self.masm.tail(callee, &saved);
    }

    /// Moves argument i, in field 1 + i, to slot i for all i below `count`, as if at once.
    ///
    /// A move is made once no other move has still to read the slot that it writes; what is left then are cycles, which
    /// are turned by exchanges. Pinned sources are read from machine registers, which no move writes. Linear in `count`:
    /// the plan's scratch word of a slot counts its readers, with [`DONE`] once the slot has its value.
    fn parallel_move(&mut self, count: u16, at: OpAt<'_>) {
        let source = |index: u16| field_of(at.words(), 1 + usize::from(index));
        for index in 0..count {
            let slot = source(index);
            let stays = slot == index && !self.plan.place(slot).is_pinned();
            if let Some(word) = self.plan.scratch(index) {
                *word = if stays { DONE } else { 0 };
            }
        }
        for index in 0..count {
            if let Some(word) = self.frame_source(source(index), index, count) {
                *word += 1;
            }
        }
        for first in 0..count {
            let mut index = first;
            while self.plan.scratch(index).is_none_or(|word| *word == 0) {
                self.masm.store(slot_offset(index), self.plan.place(source(index)).any());
                if let Some(word) = self.plan.scratch(index) {
                    *word = DONE;
                }
                let Some(word) = self.frame_source(source(index), index, count) else { break };
                *word = word.wrapping_sub(1);
                index = source(index);
            }
        }
        for first in 0..count {
            let mut index = first;
            while self.plan.scratch(index).is_some_and(|word| *word & DONE == 0) {
                let next = source(index);
                if let Some(word) = self.plan.scratch(index) {
                    *word |= DONE;
                }
                if next == first {
                    break;
                }
                self.masm.exchange(slot_offset(index), slot_offset(next));
                index = next;
            }
        }
    }

    /// The scratch word of the slot that a move reads, if another move writes that slot.
    fn frame_source(&mut self, slot: u16, index: u16, count: u16) -> Option<&mut u32> {
        if slot == index || slot >= count || self.plan.place(slot).is_pinned() { None } else { self.plan.scratch(slot) }
    }
}

/// A slot of a parallel move that has its value.
const DONE: u32 = 1 << 31;
