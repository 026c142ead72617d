//! What the text form needs to know of the op table's rows, derived from the rows.

use super::error::Wants;
use super::tables::{Full, Hash, Index, List, Scratch, index_words};
use crate::vm3::op::{Bank, OPS, OpInfo, Operand};
use core::fmt;

/// An operand as the text writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    /// An operand of the row.
    Operand(Operand),
    /// The default of a `switch`, behind its targets.
    Default,
}

/// The form of an operand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A name.
    Name,
    /// A number, `inf`, `-inf` or `nan`.
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// A string.
    Str,
    /// A name with a list of names in parentheses.
    Call,
    /// A list of names in brackets.
    Targets,
    /// A number in parentheses, right behind the op's name.
    Paren,
}

const fn bank_number(bank: Bank) -> u32 {
    match bank {
        Bank::I64 => 0,
        Bank::F64 => 1,
        Bank::Cell => 2,
    }
}

impl Part {
    /// Whether an operand of that form can be this one.
    pub fn takes(self, form: Form) -> bool {
        let Part::Operand(operand) = self else { return form == Form::Name };
        match operand {
            Operand::Reg(..) | Operand::Label | Operand::Table | Operand::Global(_) | Operand::Field(_) => {
                form == Form::Name
            }
            Operand::Imm16 | Operand::Imm32 | Operand::PoolI64 | Operand::PoolF64 => form == Form::Number,
            Operand::CellConst => matches!(form, Form::Number | Form::Word | Form::Str),
            Operand::U16 => form == Form::Paren,
            Operand::Func | Operand::Import | Operand::Closure => form == Form::Call,
            Operand::Name => form == Form::Str,
            Operand::Targets => form == Form::Targets,
            Operand::Args => false,
        }
    }

    /// Its bit in [`Wants`].
    pub fn wants(self) -> u32 {
        let number = match self {
            Part::Default => 8,
            Part::Operand(operand) => match operand {
                Operand::Reg(_, bank, _) => bank_number(bank),
                Operand::Imm16 => 3,
                Operand::Imm32 | Operand::PoolI64 => 4,
                Operand::PoolF64 => 5,
                Operand::CellConst => 6,
                Operand::U16 => 7,
                Operand::Label => 8,
                Operand::Func => 9,
                Operand::Import => 10,
                Operand::Closure => 11,
                Operand::Args => return 0,
                Operand::Table => 12,
                Operand::Global(_) => 13,
                Operand::Field(_) => 14,
                Operand::Name => 15,
                Operand::Targets => 16,
            },
        };
        1 << number
    }

    /// As [`Part::wants`], where the form is right and the bank is not.
    pub fn wants_bank(self) -> u32 {
        match self {
            Part::Operand(Operand::Global(bank)) => 1 << (Wants::GLOBAL_I64 + bank_number(bank)),
            Part::Operand(Operand::Field(bank)) => 1 << (Wants::FIELD_I64 + bank_number(bank)),
            _ => self.wants(),
        }
    }

    /// What stands for it when an op's forms are listed.
    fn sample(self) -> &'static str {
        let Part::Operand(operand) = self else { return "LABEL" };
        match operand {
            Operand::Reg(_, Bank::I64, _) => "i64",
            Operand::Reg(_, Bank::F64, _) => "f64",
            Operand::Reg(_, Bank::Cell, _) => "cell",
            Operand::Imm16 | Operand::Imm32 | Operand::PoolI64 => "INT",
            Operand::PoolF64 => "FLOAT",
            Operand::CellConst => "LITERAL",
            Operand::U16 => "(N)",
            Operand::Label => "LABEL",
            Operand::Func => "function(...)",
            Operand::Import => "import(...)",
            Operand::Closure => "closure(...)",
            Operand::Args => "",
            Operand::Table => "table",
            Operand::Global(_) => "global",
            Operand::Field(_) => "FIELD",
            Operand::Name => "\"FIELD\"",
            Operand::Targets => "[LABEL, ...]",
        }
    }
}

/// The operands of a row as the text writes them, in order.
pub(super) fn parts(row: &OpInfo) -> impl Iterator<Item = Part> + '_ {
    row.operands.iter().flat_map(|&operand| {
        let default = (operand == Operand::Targets).then_some(Part::Default);
        let own = (operand != Operand::Args).then_some(Part::Operand(operand));
        own.into_iter().chain(default)
    })
}

fn samples(row: &OpInfo) -> impl Iterator<Item = &'static str> + '_ {
    parts(row).map(Part::sample)
}

/// Writes the distinct forms of an op, for messages.
pub(super) fn write_forms(mnemonic: &str, f: &mut dyn fmt::Write) -> fmt::Result {
    let rows = || OPS.iter().filter(|row| row.mnemonic == mnemonic);
    for (place, row) in rows().enumerate() {
        if rows().take(place).any(|earlier| samples(earlier).eq(samples(row))) {
            continue;
        }
        write!(f, "{}`{mnemonic}", if place == 0 { "" } else { " or " })?;
        for (number, (part, sample)) in parts(row).zip(samples(row)).enumerate() {
            let before = match (number, part) {
                (_, Part::Operand(Operand::U16)) => "",
                (0, _) => " ",
                _ => ", ",
            };
            write!(f, "{before}{sample}")?;
        }
        f.write_str("`")?;
    }
    Ok(())
}

/// Finds rows by mnemonic in constant time.
pub(super) struct Mnemonics<'s> {
    first: Index<'s>,
    /// For each row the number of the next row with its mnemonic, plus one.
    next: List<'s>,
}

impl<'s> Mnemonics<'s> {
    pub const WORDS: usize = index_words(256) + 256;

    pub fn new(scratch: &mut Scratch<'s>) -> Result<Self, Full> {
        let mut first = scratch.index(256)?;
        let mut next = scratch.list(256)?;
        for _ in OPS {
            next.push(0)?;
        }
        for (number, row) in OPS.iter().enumerate() {
            let hash = hash(row.mnemonic, None);
            match first.find(hash, |other| OPS.get(other).is_some_and(|other| other.mnemonic == row.mnemonic)) {
                Err(vacant) => first.insert(vacant, number)?,
                Ok(head) => {
                    let mut last = head;
                    while let Some(following) = next.get(last).and_then(|n| n.checked_sub(1)) {
                        last = following as usize;
                    }
                    if let Some(link) = next.get_mut(last) {
                        *link = number as u64 + 1;
                    }
                }
            }
        }
        Ok(Self { first, next })
    }

    /// The first row with that mnemonic; `second` is its second word, if it has two.
    pub fn find(&self, name: &str, second: Option<&str>) -> Option<usize> {
        self.first
            .find(hash(name, second), |number| {
                OPS.get(number).is_some_and(|row| match (second, row.mnemonic.split_once(' ')) {
                    (None, None) => row.mnemonic == name,
                    (Some(second), Some(words)) => words == (name, second),
                    _ => false,
                })
            })
            .ok()
    }

    /// The rows from `first` on that share its mnemonic.
    pub fn chain(&self, first: usize) -> impl Iterator<Item = &'static OpInfo> + '_ {
        core::iter::successors(Some(first), |&row| self.next.get(row)?.checked_sub(1).map(|next| next as usize))
            .filter_map(|row| OPS.get(row))
    }
}

fn hash(name: &str, second: Option<&str>) -> u64 {
    let hash = Hash::new(0).bytes(name.bytes());
    match second {
        Some(second) => hash.byte(b' ').bytes(second.bytes()).finish(),
        None => hash.finish(),
    }
}

/// The mnemonic that is most like a name, if one is near enough to be meant.
pub(super) fn closest(name: &str) -> Option<&'static str> {
    let family = OPS
        .iter()
        .map(|row| row.mnemonic)
        .find(|mnemonic| mnemonic.strip_suffix(name).is_some_and(|prefix| prefix.ends_with('.')) && !name.is_empty());
    let near = OPS
        .iter()
        .filter_map(|row| Some((distance(name.as_bytes(), row.mnemonic.as_bytes())?, row.mnemonic)))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, mnemonic)| distance <= 1 + mnemonic.len() / 5);
    match (near, family) {
        (Some((_, mnemonic)), None) => Some(mnemonic),
        (_, family) => family,
    }
}

/// The candidate that is most like a name that is none of them, if one is near enough to be meant: if fewer than a third
/// of the characters have to change.
pub fn closest_name<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    candidates
        .filter_map(|candidate| Some((distance(name.as_bytes(), candidate.as_bytes())?, candidate)))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, candidate)| distance * 3 <= name.len().max(candidate.len()))
        .map(|(_, candidate)| candidate)
}

/// The distance of two short texts, in letters that are put in, left out, changed, or exchanged with their neighbours
/// (Damerau, CACM 7(3), 1964, each letter edited once); `None` if one is longer than any mnemonic could be meant by.
fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    const LONGEST: usize = 32;
    if a.len() > LONGEST || b.len() > LONGEST {
        return None;
    }
    let mut last: [usize; LONGEST + 1] = core::array::from_fn(|column| column);
    let mut older = last;
    for (y, left) in a.iter().enumerate() {
        let mut row = [y + 1; LONGEST + 1];
        for (x, right) in b.iter().enumerate() {
            let changed = last.get(x)? + usize::from(left != right);
            let mut least = changed.min(last.get(x + 1)? + 1).min(row.get(x)? + 1);
            if let (Some(above), Some(before)) = (y.checked_sub(1), x.checked_sub(1))
                && a.get(above) == Some(right)
                && b.get(before) == Some(left)
            {
                least = least.min(older.get(before)? + 1);
            }
            *row.get_mut(x + 1)? = least;
        }
        (older, last) = (last, row);
    }
    last.get(b.len()).copied()
}

/// Whether a name is the first of the two words of a mnemonic.
pub(super) fn has_second(name: &str) -> bool {
    OPS.iter().any(|row| row.mnemonic.split_once(' ').is_some_and(|(first, _)| first == name))
}

/// The mnemonic of two words whose first is `name` and whose second is most like `second`.
pub(super) fn closest_second(name: &str, second: &str) -> Option<&'static str> {
    OPS.iter()
        .filter_map(|row| {
            let (_, own) = row.mnemonic.split_once(' ').filter(|&(first, _)| first == name)?;
            Some((distance(second.as_bytes(), own.as_bytes()).unwrap_or(usize::MAX), row.mnemonic))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, mnemonic)| mnemonic)
}
