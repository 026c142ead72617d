//! Plain operations on x86-64, made by table.
//!
//! The verbs choose the instructions of an operation by conditions on its operands, and what comes next in a program is
//! hard to predict: most of their time goes into mispredicted branches. Here the conditions are computed as numbers, which
//! pick rows of instructions that are all put together in the same way. The rows are worked out at build time (`forms.rs`)
//! from the conditions that the verbs test, and the bytes are the same.
//!
//! Most operations have their operands in registers; those are made quicker still, as single words (`words.rs`). What no row
//! is made for, because it is rare or long, the verbs do.

mod forms;
pub(super) mod words;

use super::convention::CONTEXT;
use super::{X64, field, gpr, slot, xmm};
use crate::asm::Room;
use crate::asm::x64::stencil::{Operand, Operands, Stencil};
use crate::asm::x64::{Gpr, Mem};
use crate::masm::{Any, Features, Float, Int, PlainOp, Prepared};
use core::hint::select_unpredictable;
use forms::KINDS;

pub use forms::recipe;

/// The operands of a row, by their number in its list: destination and sources; the sum of both sources as an address;
/// scratch registers 0 and 1, of either file; the globals' address and constants, in the context; what a branch leaves in
/// its displacement; nothing.
const D: u8 = 0;
const X: u8 = 1;
const Y: u8 = 2;
const SUM: u8 = 3;
const A: u8 = 4;
const C: u8 = 5;
const GLOBALS: u8 = 6;
const SIGN: u8 = 7;
const MAGNITUDE: u8 = 8;
const NAN: u8 = 9;
const LINK: u8 = 10;
const NONE: u8 = 11;
/// How many numbers there are.
const OPERANDS: usize = NONE as usize + 1;

/// What the lane knows of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Recipe(
    /// In one word: the [`forms::Kind`]; from bit 8 on those [`feature_bits`] without which the verb does it; from bit 16
    /// on the variant of the stencils that have one; from bit 24 on, whether it branches.
    u32,
);

impl Recipe {
    const fn new(kind: u8, needs: u8, variant: u8, branches: bool) -> Self {
        Self(u32::from_le_bytes([kind, needs, variant, branches as u8]))
    }

    #[inline(always)]
    const fn kind(self) -> u8 {
        self.0 as u8
    }

    /// Whether it needs a feature that is among the missing ones, given as [`Lane::missing`].
    #[inline(always)]
    const fn lacks(self, missing: u32) -> bool {
        self.0 & missing != 0
    }

    #[inline(always)]
    const fn variant(self) -> u8 {
        (self.0 >> 16) as u8
    }

    #[inline(always)]
    const fn branches(self) -> bool {
        self.0 >> 24 != 0
    }
}

const POPCNT: u8 = 1 << 0;
const LZCNT: u8 = 1 << 1;
const BMI1: u8 = 1 << 2;
const BMI2: u8 = 1 << 3;
const AVX: u8 = 1 << 4;

const fn feature_bits(features: Features) -> u8 {
    let bit = [
        features.popcnt as u8 * POPCNT,
        features.lzcnt as u8 * LZCNT,
        features.bmi1 as u8 * BMI1,
        features.bmi2 as u8 * BMI2,
        features.avx as u8 * AVX,
    ];
    bit[0] | bit[1] | bit[2] | bit[3] | bit[4]
}

/// Instructions of a row; a longer form goes on in another row.
const STEPS: usize = 2;

/// Where a form goes on, and what it asks of its operands.
#[derive(Clone, Copy)]
struct Row {
    /// The row to go on with, or [`VERB`].
    next: u8,
    /// [`NEEDS_SIB`], [`NO_BASE`] or [`ANY`]: if this is so of the first source the verb does it.
    unless: u8,
}

/// As many as there are.
const ROWS: usize = 236;
/// The row of what the verb does.
const VERB: u8 = 0;

/// How a kind of operation takes its operands and its literal.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Format {
    /// The row for each combination of the conditions: from bit 0 on whether the destination, the first and the second
    /// source are registers, and whether the destination is the first, and the second source. Of an operation on a literal
    /// the second source stands for it: whether it is small, and whether it is 0.
    rows: [u8; 32],
    /// The bits of the literal that count, and what it is then multiplied by.
    mask: u64,
    factor: i8,
    /// A literal is small if it is below `limit` after `bias` was added.
    bias: u8,
    /// How far the fields are moved up: 16 for an operation without a destination.
    fields: u8,
    /// How far the literal is then moved down.
    right: u8,
    /// All ones if the conditions on the second source are those on the literal, else 0.
    literal: u32,
    limit: u32,
    /// For multiplication: a literal that needs no multiplication counts as 0.
    multiply: bool,
}

/// All of it.
struct Table {
    formats: [Format; KINDS],
    rows: [Row; ROWS],
    /// The instructions of the rows; the first is always [simple](Stencil::is_simple).
    steps: [[Stencil; STEPS]; ROWS],
}

impl Table {
    /// Emits the instructions of a row, and says which one is next.
    #[inline(always)]
    fn put(&self, row: u8, operands: &Operands, op: Values, room: &mut Room, at: &mut usize) -> u8 {
        let row = usize::from(row);
        let (Some([first, second]), Some(row)) = (self.steps.get(row), self.rows.get(row)) else { return VERB };
        *at = first.put::<false>(operands, 0, op.literal, room, *at);
        *at = second.put::<true>(operands, op.variant, op.literal, room, *at);
        row.next
    }
}

/// What stencils are filled with besides operands.
#[derive(Clone, Copy)]
struct Values {
    variant: u8,
    literal: u64,
}

static TABLE: Table = forms::table();

/// What the lane keeps of a macro assembler's state.
pub(super) struct Lane {
    /// The [`feature_bits`] that the processor lacks, where a [`Recipe`] has them.
    missing: u32,
    operands: Operands,
    places: words::Places,
}

/// Where the context holds the operands that lie there, with their numbers.
const IN_CONTEXT: [(u8, Mem); 4] = [
    (GLOBALS, Mem::base(CONTEXT, field::GLOBALS as i32)),
    (SIGN, Mem::base(CONTEXT, field::SIGN as i32)),
    (MAGNITUDE, Mem::base(CONTEXT, field::MAGNITUDE as i32)),
    (NAN, Mem::base(CONTEXT, field::NAN as i32)),
];

impl Lane {
    pub(super) fn new(features: Features) -> Self {
        let mut operands = Operands::default();
        operands.set(A, Operand::gpr(Gpr::Rax));
        operands.set(C, Operand::gpr(Gpr::Rcx));
        for (number, at) in IN_CONTEXT {
            operands.set(number, Operand::mem(at));
        }
        operands.set(LINK, Operand::bytes4(0));
        Self { missing: u32::from(!feature_bits(features)) << 8, operands, places: words::Places::new() }
    }
}

/// Of any place's third word.
const ANY: u64 = 1 << 5;
/// Of a place's third word: as a base the register needs a SIB byte, or a displacement.
const NEEDS_SIB: u64 = 1 << 6;
const NO_BASE: u64 = 1 << 7;

/// A place as an operand: its two words, then those of a sum. In the lowest byte of these are the conditions that there are
/// on it as the first and as the second source, as they count in [`Format::rows`].
#[cfg_attr(not(small), inline(always))]
pub(super) fn prepare(place: Any) -> Prepared {
    let operand = match place {
        Any::Int(Int::Reg(reg)) => Operand::gpr(gpr(reg.0)),
        Any::Float(Float::Reg(reg)) => Operand::xmm(xmm(reg.0)),
        Any::Int(Int::Slot(at)) | Any::Float(Float::Slot(at)) => Operand::mem(slot(at)),
    };
    let [rm, reg] = operand.words();
    if !operand.is_register() {
        return in_memory(operand);
    }
    let as_base = if operand.needs_sib() { NEEDS_SIB } else { 0 } | if operand.is_no_base() { NO_BASE } else { 0 };
    Prepared([rm, reg, operand.sum_word() | 1 << 1 | ANY | as_base, operand.index_word() | 1 << 2])
}

/// A place in memory as an operand.
pub(super) fn prepare_at(mem: Mem) -> Prepared {
    in_memory(Operand::mem(mem))
}

const fn in_memory(operand: Operand) -> Prepared {
    let [rm, reg] = operand.words();
    Prepared([rm, reg, ANY, 0])
}

impl X64<'_> {
    /// Emits a plain operation; `false`, with nothing emitted, if the verb must do it.
    #[inline(always)]
    pub(super) fn by_table(&mut self, recipe: Recipe, op: PlainOp<'_>) -> bool {
        if !cfg!(feature = "stencils") || recipe.lacks(self.lane.missing) {
            return false;
        }
        let Some(format) = TABLE.formats.get(usize::from(recipe.kind())) else { return false };
        let Some(last) = op.places.len().checked_sub(1) else { return false };
        let fields = op.word << (format.fields & 63);
        let number = |at: u32| usize::from((fields >> at) as u16);
        let (d, x, y) = (number(16), number(32), number(48));
        // Fields that are no places may hold anything.
        let place = |number: usize| op.places.get(number.min(last)).map_or([0, 0, ANY, 0], |Prepared(words)| *words);
        let (at_d, at_x, at_y) = (place(d), place(x), place(y));
        let operand = |[rm, reg, ..]: [u64; 4]| Operand::from_words([rm, reg]);
        let operands = &mut self.lane.operands;
        operands.set(D, operand(at_d));
        operands.set(X, operand(at_x));
        operands.set(Y, operand(at_y));
        operands.set_sum(SUM, at_x[2] | at_y[3]);

        let literal =
            ((fields as i64 >> (format.right & 63)) as u64 & format.mask).wrapping_mul(i64::from(format.factor) as u64);
        let small = literal.wrapping_add(u64::from(format.bias)) < u64::from(format.limit);
        let mut zero = select_unpredictable(literal == 0, 1, 0);
        if format.multiply {
            zero = is_simple_factor(literal);
        }
        let of_literal = u32::from(small) << 2 | zero << 4;
        let of_y = at_y[3] as u32 | u32::from(d == y) << 4;
        let of_places = u32::from(operand(at_d).is_register()) | at_x[2] as u32 | u32::from(d == x) << 3;
        let case = of_places | of_literal & format.literal | of_y & !format.literal;
        let first = format.rows[case as usize & 31];
        if TABLE.rows.get(usize::from(first)).is_none_or(|row| u32::from(row.unless) & at_x[2] as u32 != 0) {
            return false;
        }
        let Some(room) = self.asm.buf.room() else { return false };
        let values = Values { variant: recipe.variant(), literal };
        let mut at = 0;
        let mut next = TABLE.put(first, &self.lane.operands, values, room, &mut at);
        while next != VERB {
            next = TABLE.put(next, &self.lane.operands, values, room, &mut at);
        }
        self.asm.buf.advance(at);
        true
    }

    /// The lane for operations on registers.
    #[inline(always)]
    pub(super) fn words(&mut self) -> words::Words<'_> {
        words::Words { tail: self.asm.buf.tail(), places: &self.lane.places, missing: self.lane.missing }
    }

    /// The lane for operations on registers finds that bytecode register in a machine register.
    pub(super) fn pin_word(&mut self, number: u8, place: Any) {
        self.lane.places.pin(number, place);
    }

    /// What the next branch of the lane leaves in its displacement.
    #[inline(always)]
    pub(super) fn link(&mut self, link: u32) {
        self.lane.operands.set(LINK, Operand::bytes4(link));
    }
}

/// 1 if the verb multiplies by it without a multiplication, else 0. Apart because few operations ask.
#[cold]
#[inline(never)]
const fn is_simple_factor(literal: u64) -> u32 {
    (matches!(literal, 3 | 5 | 9) || literal & literal.wrapping_sub(1) == 0) as u32
}
