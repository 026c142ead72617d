//! Plain operations made as one or two words each.
//!
//! With operands in registers, or in the first slots of the frame, most forms of the lane are at most 8 bytes long, and
//! nearly all can be cut in two parts that are, most of them between instructions. How long each one is does not depend on
//! the operands: these change only register numbers, displacements of one byte and the literal. So a part is one word
//! ([`Template`]), to which each of these is added where it belongs: multiplied by a number that has a one at each of its
//! places. The template is picked by the conditions of the lane, as one number.
//!
//! The templates are worked out at build time from the forms themselves, by making each form for numbers that differ: there
//! is no second list of instructions. What is longer, or depends on an operand in another way, is left to the lane.

use super::forms::{ALL, Case, Form, KINDS, Kind, build, format};
use super::{A, C, D, IN_CONTEXT, NEEDS_SIB, NO_BASE, OPERANDS, Recipe, SUM, X, Y, is_simple_factor};
use crate::asm::Tail;
use crate::asm::x64::stencil::Operand;
use crate::asm::x64::{Gpr, Mem};
use crate::masm::x64::convention::FRAME;
use crate::masm::x64::{gpr, xmm};
use crate::masm::{Any, Float, Int, Run};
use crate::runtime::frame::slot_offset;

/// Where the value of a bytecode register is, as a template takes it: from bit 0 on the three lower bits of the machine
/// register's number, or the number of the slot; then, three bits for each so that those of the three operands lie beside
/// one another once they are added up, shifted by 0, 1 and 2: the upper bit of the number; that it is in the frame; that its
/// displacement is a long one; that the number is that of rbp or r13; that it is that of rsp or r12.
type Place = u32;
const LOW: Place = 15;
const HIGH: Place = 1 << 16;
const IN_FRAME: Place = 1 << 19;
const FAR: Place = 1 << 22;
const IS_NO_BASE: Place = 1 << 25;
const IS_SIB_BASE: Place = 1 << 28;

/// How a kind of operation takes its operands.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Format {
    /// The special literals: 0; of a multiplication all that might need none. Bit 63 is for all that are not below it.
    special: u64,
    /// The bits of the literal that count, sign-extended, and what it is then multiplied by.
    mask: i32,
    factor: i8,
    /// A literal is small if it is below `limit` after `bias` was added.
    bias: u8,
    /// How far the op is moved up, and then down, to leave the literal.
    up: u8,
    down: u8,
    limit: u32,
    /// The template for each combination of the conditions: from bit 0 on whether each field is in the frame; whether the
    /// first and the second field, the first and the third field are equal; whether the literal is small, and whether it is
    /// special.
    templates: [u8; 128],
}

/// Some instructions of a form, or a half of them: what is added up to give their bytes, the first one lowest.
#[derive(Clone, Copy)]
#[repr(align(128))]
struct Template {
    /// The bytes, for each combination of the upper bits of the numbers in the three fields, with the lower bits 0.
    bytes: [u64; 8],
    /// What one more in the lower bits of each number adds, and one more in those bits of the literal that are in the
    /// instructions.
    low: [u64; 3],
    literal: u64,
    literal_bits: u64,
    /// What bit 0 of the variant changes.
    variant: u64,
    /// Bits in the sum of the places with any of which the lane does it.
    unless: u32,
    /// Bits with any of which the next template does it: some instructions are a byte longer if they name a register whose
    /// number has the upper bit.
    longer: u32,
    /// The template of the instructions that follow, or [`NONE`].
    more: u8,
    /// The length in bytes.
    len: u8,
}

/// As many as there are; a byte numbers them.
const TEMPLATES: usize = 256;

const _: () = assert!(TEMPLATES <= 256);
/// The template of what the lane does.
const NONE: u8 = 0;

const NOTHING: Template = Template {
    bytes: [0; 8],
    low: [0; 3],
    literal: 0,
    literal_bits: 0,
    variant: 0,
    unless: 0,
    longer: 0,
    more: NONE,
    len: 0,
};

struct Table {
    formats: [Format; KINDS],
    templates: [Template; TEMPLATES],
}

#[allow(long_running_const_eval, reason = "it takes a few seconds")]
static TABLE: Table = table();

/// Bytes of the conditional jump behind a template.
const JUMP_LEN: usize = 6;

/// The operands of the lane that are the same for all operations, by their numbers.
const FIXED: [[u64; 2]; OPERANDS] = {
    let mut all = [[0; 2]; OPERANDS];
    all[A as usize] = Operand::gpr(Gpr::Rax).words();
    all[C as usize] = Operand::gpr(Gpr::Rcx).words();
    let mut index = 0;
    while index < IN_CONTEXT.len() {
        let (number, at) = IN_CONTEXT[index];
        all[number as usize] = Operand::mem(at).words();
        index += 1;
    }
    all
};

/// Some of the instructions of a form.
#[derive(Clone, Copy)]
struct Part<'f> {
    form: &'f Form,
    start: usize,
    end: usize,
    word: Word,
}

/// What of a part's bytes is meant.
#[derive(Clone, Copy)]
enum Word {
    /// All, at most 8.
    Only,
    /// The first 8 of at most 16.
    First,
    /// Those behind them.
    Second,
}

impl Word {
    /// Its length, of so many bytes.
    const fn len(self, all: usize) -> u8 {
        match self {
            Self::Only => all as u8,
            Self::First => 8,
            Self::Second => all.saturating_sub(8) as u8,
        }
    }
}

/// The fields of an operation.
#[derive(Clone, Copy)]
struct Fields {
    /// The numbers of registers, or of slots.
    numbers: [u8; 3],
    /// Which ones are slots, by their bits.
    frames: u8,
    branches: bool,
}

impl Fields {
    const fn operand(&self, field: usize) -> Operand {
        let number = self.numbers[field];
        if self.frames >> field & 1 != 0 {
            Operand::mem(Mem::base(FRAME, slot_offset(number as u16) as i32))
        } else {
            Operand::gpr(Gpr::from_low_bits(number))
        }
    }

    /// With another number in a field.
    const fn with(mut self, field: usize, number: u8) -> Self {
        self.numbers[field] = number;
        self
    }

    /// A part with these operands, and the length of all of its instructions; `None` if they are too long.
    const fn bytes(&self, part: &Part<'_>, variant: u8, literal: u64) -> Option<(u64, usize)> {
        let first = self.operand(0);
        let [d, x, y] =
            if self.branches { [first, first, self.operand(1)] } else { [first, self.operand(1), self.operand(2)] };
        let mut operands = FIXED;
        operands[D as usize] = d.words();
        operands[X as usize] = x.words();
        operands[Y as usize] = y.words();
        operands[SUM as usize] = [x.sum_word() | y.index_word(), 0];
        let (shift, most) = match part.word {
            Word::Only => (0, 8),
            Word::First => (0, 16),
            Word::Second => (64, 16),
        };
        let (mut all, mut len, mut step) = (0, 0, part.start);
        while step < part.end {
            let (bytes, more) = part.form.steps[step].bytes(operands.as_flattened(), variant, literal);
            if len + more > most {
                return None;
            }
            all |= bytes << ((len * 8) & 127);
            len += more;
            step += 1;
        }
        Some(((all >> shift) as u64, len))
    }
}

/// What a part becomes, if at least one of the numbers in the fields that `longer` has bits for has the upper bit; or if it
/// is empty, none that makes the part longer. Says in which fields that would.
const fn template(part: &Part<'_>, frames: u8, branches: bool, longer: u8) -> Option<(Template, u8)> {
    let mut base = Fields { numbers: [0; 3], frames, branches };
    let mut field = 0;
    while field < 3 {
        base.numbers[field] = (longer >> field & 1) << 3;
        field += 1;
    }
    let Some((start, len)) = base.bytes(part, 0, 0) else { return None };
    if !matches!(part.word, Word::Only) && len <= 8 {
        return None;
    }
    // It stands for any of these numbers with the upper bit.
    let mut some = 1;
    while some < 8 {
        if some & !longer == 0 {
            let numbers = [(some & 1) << 3, (some >> 1 & 1) << 3, (some >> 2) << 3];
            match (Fields { numbers, ..base }).bytes(part, 0, 0) {
                Some((_, with_some)) if with_some == len => {}
                _ => return None,
            }
        }
        some += 1;
    }
    let mut template = Template { len: part.word.len(len), ..NOTHING };
    let (mut found, mut high) = (0, [0; 3]);
    field = 0;
    while field < 3 {
        let number = base.numbers[field];
        if frames >> field & 1 == 0 {
            let Some((flipped, with_flipped)) = base.with(field, number ^ 8).bytes(part, 0, 0) else { return None };
            if longer == 0 && with_flipped != len {
                found |= 1 << field;
            } else if with_flipped == len {
                high[field] = if number == 0 { flipped.wrapping_sub(start) } else { start.wrapping_sub(flipped) };
            }
        }
        let Some((next, _)) = base.with(field, number + 1).bytes(part, 0, 0) else { return None };
        template.low[field] = next.wrapping_sub(start);
        if template.low[field] != 0 {
            template.unless |= FAR << field;
        }
        field += 1;
    }
    // What the upper bits add is independent of one another.
    let mut bits = 0;
    while bits < 8 {
        let mut sum = start;
        field = 0;
        while field < 3 {
            let (has, had): (u64, u64) = (bits >> field & 1, (longer >> field & 1) as u64);
            sum = sum.wrapping_add(high[field].wrapping_mul(has.wrapping_sub(had)));
            field += 1;
        }
        template.bytes[bits as usize] = sum;
        bits += 1;
    }
    template.longer = HIGH * found as u32;
    if part.form.unless & NO_BASE as u8 != 0 {
        template.unless |= IS_NO_BASE << X_FIELD;
    }
    if part.form.unless & NEEDS_SIB as u8 != 0 {
        template.unless |= IS_SIB_BASE << X_FIELD;
    }
    let Some((literal, _)) = base.bytes(part, 0, 1) else { return None };
    template.literal = literal.wrapping_sub(start);
    let Some((all, _)) = base.bytes(part, 0, u64::MAX) else { return None };
    if let Some(bits) = all.wrapping_sub(start).checked_div(template.literal) {
        template.literal_bits = bits;
    }
    let Some((variant, _)) = base.bytes(part, 1, 0) else { return None };
    template.variant = variant ^ start;
    Some((template, found))
}

/// The template of a part and, if its `longer` is not 0, the one for longer instructions behind it; `None` if one is too
/// long.
const fn templates(part: &Part<'_>, frames: u8, branches: bool) -> Option<[Template; 2]> {
    let Some((short, longer)) = template(part, frames, branches, 0) else { return None };
    if longer == 0 {
        return Some([short, NOTHING]);
    }
    let Some((long, _)) = template(part, frames, branches, longer) else { return None };
    Some([short, long])
}

/// The first slot too has a displacement.
const _: () = assert!(slot_offset(0) != 0);

/// The field of the first source, in the operations whose forms have conditions on it: no branch has one.
const X_FIELD: u32 = 1;

const fn same(a: &Template, b: &Template) -> bool {
    let mut bits = 0;
    while bits < 8 {
        if a.bytes[bits] != b.bytes[bits] {
            return false;
        }
        bits += 1;
    }
    a.low[0] == b.low[0]
        && a.low[1] == b.low[1]
        && a.low[2] == b.low[2]
        && a.literal == b.literal
        && a.literal_bits == b.literal_bits
        && a.variant == b.variant
        && a.unless == b.unless
        && a.longer == b.longer
        && a.more == b.more
        && a.len == b.len
}

const fn branches(kind: Kind) -> bool {
    matches!(kind, Kind::Branch | Kind::BranchK | Kind::FloatBranch | Kind::FloatBranchSwapped)
}

/// How a kind takes its operands, without the templates.
const fn fields(kind: Kind) -> Format {
    let super::Format { mask, factor, bias, fields, right, limit, multiply, .. } = format(kind);
    let mut special = 1;
    let mut literal = 0;
    while multiply && literal < 64 {
        special |= ((literal == 63 || is_simple_factor(literal) != 0) as u64) << literal;
        literal += 1;
    }
    assert!(mask as i32 as u64 == mask);
    Format { special, mask: mask as i32, factor, bias, up: fields, down: right, limit, templates: [NONE; 128] }
}

/// The templates under construction; number 0 is [`NONE`].
struct Builder {
    templates: [Template; TEMPLATES],
    used: usize,
}

impl Builder {
    /// The number of a form's first template, or [`NONE`] if it is longer than two words. The branch is left out.
    const fn form(&mut self, form: &Form, frames: u8, branches: bool, has_literal: bool) -> u8 {
        let end = form.len - branches as usize;
        let whole = Part { form, start: 0, end, word: Word::Only };
        if let Some(only) = templates(&whole, frames, branches) {
            return self.add(only, NONE);
        }
        let mut middle = end;
        // With more operands in the frame there are many long forms, which are rare.
        while middle > 1 && frames.count_ones() < 2 {
            middle -= 1;
            let (first, second) = (Part { end: middle, ..whole }, Part { start: middle, ..whole });
            if let number @ 1.. = self.two(&first, &second, frames, branches) {
                return number;
            }
        }
        if frames != 0 || has_literal {
            return NONE;
        }
        // Cut inside of an instruction, which a literal may not be.
        let (first, second) = (Part { word: Word::First, ..whole }, Part { word: Word::Second, ..whole });
        self.two(&first, &second, frames, branches)
    }

    /// The number of the first one's template, or [`NONE`] if one of them is too long.
    const fn two(&mut self, first: &Part<'_>, second: &Part<'_>, frames: u8, branches: bool) -> u8 {
        if let Some(second) = templates(second, frames, branches)
            && let Some(first) = templates(first, frames, branches)
        {
            let more = self.add(second, NONE);
            self.add(first, more)
        } else {
            NONE
        }
    }

    /// The number of the first of [`templates`], which are added if they are new, with what they go on with.
    const fn add(&mut self, [short, long]: [Template; 2], more: u8) -> u8 {
        let (short, long) = (Template { more, ..short }, Template { more, ..long });
        let mut number = 1;
        while number < self.used {
            if same(&self.templates[number], &short) && (short.longer == 0 || same(&self.templates[number + 1], &long))
            {
                return number as u8;
            }
            number += 1;
        }
        self.templates[number] = short;
        self.used += 1;
        if short.longer != 0 {
            self.templates[number + 1] = long;
            self.used += 1;
        }
        number as u8
    }
}

const fn table() -> Table {
    let mut formats = [fields(Kind::Verb); KINDS];
    let mut builder = Builder { templates: [NOTHING; TEMPLATES], used: 1 };
    builder.templates[NONE as usize].unless = u32::MAX;
    let mut index = 0;
    while index < KINDS {
        let kind = ALL[index];
        let lane = format(kind);
        formats[index] = fields(kind);
        let mut conditions = 0;
        while conditions < 128 {
            // What is no condition on this kind's operands changes nothing.
            let ignored = match (branches(kind), lane.literal != 0) {
                (true, true) => 4 | 2 | 8 | 16,
                (true, false) => 4 | 8 | 16 | 32 | 64,
                (false, true) => 4 | 16,
                (false, false) => 32 | 64,
            };
            if conditions & ignored != 0 {
                formats[index].templates[conditions] = formats[index].templates[conditions & !ignored];
                conditions += 1;
                continue;
            }
            let frames = conditions as u8 & 7;
            let [pinned_d, pinned_x, pinned_y] = [frames & 1 == 0, frames & 2 == 0, frames & 4 == 0];
            let (dx, dy) = (conditions & 8 != 0, conditions & 16 != 0);
            let (small, zero) = (conditions & 32 != 0, conditions & 64 != 0);
            let mut case = Case { d: pinned_d, x: pinned_x, y: pinned_y, dx, dy };
            if branches(kind) {
                case = Case { d: true, x: pinned_d, y: pinned_x, dx: false, dy: false };
            }
            if lane.literal != 0 {
                case = Case { y: small, dy: zero, ..case };
            }
            // A byte numbers the templates, and these are rare.
            let is_left = matches!(kind, Kind::FloatNeg | Kind::FloatAbs) && frames & 3 != 0;
            if let Some(form) = build(kind, case)
                && !is_left
            {
                formats[index].templates[conditions] = builder.form(&form, frames, branches(kind), lane.literal != 0);
            }
            conditions += 1;
        }
        index += 1;
    }
    assert!(builder.used == TEMPLATES, "the table is to be as long as it is full");
    Table { formats, templates: builder.templates }
}

/// The bytecode registers whose places are kept: as many as a byte numbers.
const NUMBERS: usize = if cfg!(feature = "stencils") { 256 } else { 0 };

/// Where the values of the function's first bytecode registers are.
pub(in crate::masm::x64) struct Places([Place; NUMBERS]);

impl Places {
    /// All are in the frame.
    #[cfg_attr(not(small), inline(always))]
    pub fn new() -> Self {
        if cfg!(small) { Self::in_frame() } else { const { Self::in_frame() } }
    }

    const fn in_frame() -> Self {
        let mut places = [IN_FRAME; NUMBERS];
        let mut slot = 0;
        while slot < NUMBERS as u32 {
            let near = slot <= LOW && slot_offset(slot as u16) <= i8::MAX as u32;
            places[slot as usize] = slot | IN_FRAME | if near { 0 } else { FAR };
            slot += 1;
        }
        Self(places)
    }

    /// The bytecode register of that number is in a machine register.
    pub fn pin(&mut self, number: u8, place: Any) {
        let operand = match place {
            Any::Int(Int::Reg(reg)) => Operand::gpr(gpr(reg.0)),
            Any::Float(Float::Reg(reg)) => Operand::xmm(xmm(reg.0)),
            Any::Int(Int::Slot(_)) | Any::Float(Float::Slot(_)) => return,
        };
        let low = operand.low_bits();
        let high = if operand.has_high_bit() { HIGH } else { 0 };
        let no_base = if operand.is_no_base() { IS_NO_BASE } else { 0 };
        let sib_base = if operand.needs_sib() { IS_SIB_BASE } else { 0 };
        if let Some(place) = self.0.get_mut(usize::from(number)) {
            *place = low | high | no_base | sib_base;
        }
    }
}

/// The lane for operations on registers.
pub struct Words<'r> {
    pub(super) tail: Tail<'r>,
    pub(super) places: &'r Places,
    pub(super) missing: u32,
}

/// What templates are filled with.
struct Operands {
    places: [Place; 3],
    /// Of the places, as [`Place`] says.
    sum: Place,
    literal: u64,
    variant: u8,
}

impl Operands {
    /// The template of a number, or the one for longer instructions behind it.
    #[inline(always)]
    fn template(&self, number: u8) -> Option<&'static Template> {
        let number = usize::from(number);
        let longer = TABLE.templates.get(number)?.longer;
        TABLE.templates.get(number + usize::from(self.sum & longer != 0))
    }

    #[inline(always)]
    fn bytes(&self, template: &Template) -> u64 {
        let low = |field: usize| u64::from(self.places[field] & LOW).wrapping_mul(template.low[field]);
        let bytes = template.bytes[(self.sum / HIGH) as usize & 7];
        let bytes = bytes.wrapping_add(low(0)).wrapping_add(low(1)).wrapping_add(low(2));
        let bytes = bytes.wrapping_add((self.literal & template.literal_bits).wrapping_mul(template.literal));
        bytes ^ u64::from(self.variant).wrapping_mul(template.variant)
    }
}

impl Run for Words<'_> {
    type Recipe = Recipe;

    #[inline(always)]
    fn pos(&self) -> usize {
        self.tail.pos()
    }

    #[inline(always)]
    fn put(&mut self, recipe: Recipe, word: u64, link: u32) -> Option<usize> {
        // Asked early, because the answer is often mispredicted.
        if recipe.kind() == Kind::Verb as u8 || recipe.lacks(self.missing) {
            return None;
        }
        let format = TABLE.formats.get(usize::from(recipe.kind()))?;
        let [_, _, first, _, second, _, third, _] = word.to_le_bytes();
        let place = |number: u8| self.places.0.get(usize::from(number)).copied();
        let places = [place(first)?, place(second)?, place(third)?];
        let [first, second, third] = places;
        let sum = first + 2 * second + 4 * third;
        let literal = ((word << (format.up & 63)) as i64 >> (format.down & 63)) & i64::from(format.mask);
        let literal = literal.wrapping_mul(i64::from(format.factor)) as u64;
        let small = literal.wrapping_add(u64::from(format.bias)) < u64::from(format.limit);
        let conditions = ((sum / IN_FRAME) & 7) as usize
            + 8 * usize::from(first == second)
            + 16 * usize::from(first == third)
            + 32 * usize::from(small)
            + 64 * (format.special >> literal.min(63) & 1) as usize;
        let operands = Operands { places, sum, literal, variant: recipe.variant() };
        let template = operands.template(format.templates[conditions & 127])?;
        if sum & template.unless != 0 {
            return None;
        }
        let room = self.tail.room()?;
        room.put(0, operands.bytes(template));
        let mut len = usize::from(template.len);
        if template.more != NONE {
            let more = operands.template(template.more)?;
            if sum & more.unless != 0 {
                return None;
            }
            room.put(len, operands.bytes(more));
            len += usize::from(more.len);
        }
        if !recipe.branches() {
            return Some(len);
        }
        room.put(len, 0x800f | u64::from(recipe.variant()) << 8 | u64::from(link) << 16);
        Some(len + JUMP_LEN)
    }

    #[inline(always)]
    fn branches(recipe: Recipe) -> bool {
        recipe.branches()
    }

    #[inline(always)]
    fn advance(&mut self, len: usize) {
        self.tail.advance(len);
    }
}
