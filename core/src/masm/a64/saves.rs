//! Pairs of registers on the native stack, which stays a multiple of 16.

use super::A64;
use crate::asm::EmitError;
use crate::asm::a64::{self, D, Mem, Offset7, Offset9, PairMem, X, XSp};

/// Two registers side by side, or one.
#[derive(Clone, Copy)]
enum Pair {
    Ints(X, X),
    Int(X),
    Floats(D, D),
    Float(D),
}

/// The most registers that one save holds: all of both pools and the return address.
const CAPACITY: usize = 64;

/// Registers that are saved together, in the order in which they lie from the stack pointer up.
pub(super) struct Saves {
    /// The pairs, each with its offset from the stack pointer.
    pairs: heapless::Vec<(Pair, u32), CAPACITY>,
    /// Bytes in use, a multiple of 8.
    used: u32,
}

impl Saves {
    /// These registers, with `room` bytes (a multiple of 8) above them.
    pub(super) fn new(ints: impl IntoIterator<Item = X>, floats: impl IntoIterator<Item = D>, room: u32) -> Self {
        let mut saves = Self { pairs: heapless::Vec::new(), used: 0 };
        let mut ints = ints.into_iter();
        while let Some(first) = ints.next() {
            match ints.next() {
                Some(second) => saves.add(Pair::Ints(first, second), 16),
                None => saves.add(Pair::Int(first), 8),
            }
        }
        let mut floats = floats.into_iter();
        while let Some(first) = floats.next() {
            match floats.next() {
                Some(second) => saves.add(Pair::Floats(first, second), 16),
                None => saves.add(Pair::Float(first), 8),
            }
        }
        saves.used += room;
        saves
    }

    fn add(&mut self, pair: Pair, bytes: u32) {
        // There are at most as many pairs as registers.
        let _ = self.pairs.push((pair, self.used));
        self.used += bytes;
    }

    /// Bytes that the stack pointer moves by.
    pub(super) fn size(&self) -> u32 {
        self.used.next_multiple_of(16)
    }
}

/// Where a pair is, and whether the stack pointer moves with the access.
#[derive(Clone, Copy)]
enum Move {
    Stay(u32),
    Push(u32),
    Pop(u32),
}

impl Move {
    fn one(self) -> Option<Mem<3>> {
        match self {
            Self::Stay(at) => Mem::at(XSp::Sp, at.into()),
            Self::Push(by) => Offset9::new(-i64::from(by)).map(|by| Mem::pre(XSp::Sp, by)),
            Self::Pop(by) => Offset9::new(by.into()).map(|by| Mem::post(XSp::Sp, by)),
        }
    }

    fn pair(self) -> Option<PairMem<3>> {
        match self {
            Self::Stay(at) => Offset7::new(at.into()).map(|at| PairMem::offset(XSp::Sp, at)),
            Self::Push(by) => Offset7::new(-i64::from(by)).map(|by| PairMem::pre(XSp::Sp, by)),
            Self::Pop(by) => Offset7::new(by.into()).map(|by| PairMem::post(XSp::Sp, by)),
        }
    }
}

impl A64<'_> {
    /// Moves the stack pointer down and stores the registers.
    pub(super) fn save(&mut self, saves: &Saves) {
        for (index, &(pair, at)) in saves.pairs.iter().enumerate() {
            let place = if index == 0 { Move::Push(saves.size()) } else { Move::Stay(at) };
            let buf = &mut self.buf;
            let done = match pair {
                Pair::Ints(x, y) => place.pair().map(|mem| a64::stp_x(buf, x, y, mem)),
                Pair::Floats(x, y) => place.pair().map(|mem| a64::stp_d(buf, x, y, mem)),
                Pair::Int(x) => place.one().map(|mem| a64::str_x(buf, x, mem)),
                Pair::Float(x) => place.one().map(|mem| a64::str_d(buf, x, mem)),
            };
            self.must(done);
        }
    }

    /// Loads the registers and moves the stack pointer back up. Leaves x0 to x2, d0 and the flags alone.
    pub(super) fn restore(&mut self, saves: &Saves) {
        for (index, &(pair, at)) in saves.pairs.iter().enumerate().rev() {
            let place = if index == 0 { Move::Pop(saves.size()) } else { Move::Stay(at) };
            let buf = &mut self.buf;
            let done = match pair {
                Pair::Ints(x, y) => place.pair().map(|mem| a64::ldp_x(buf, x, y, mem)),
                Pair::Floats(x, y) => place.pair().map(|mem| a64::ldp_d(buf, x, y, mem)),
                Pair::Int(x) => place.one().map(|mem| a64::ldr_x(buf, x, mem)),
                Pair::Float(x) => place.one().map(|mem| a64::ldr_d(buf, x, mem)),
            };
            self.must(done);
        }
    }

    /// An operand that has no encoding ends the emission.
    fn must(&mut self, done: Option<()>) {
        if done.is_none() {
            let at = self.buf.pos();
            self.buf.fail(EmitError::Operand { at });
        }
    }
}
