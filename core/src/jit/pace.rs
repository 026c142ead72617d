//! Loops that poll once in many rounds: strip mining (Wolfe, More Iteration Space Tiling, Supercomputing '89), as HotSpot
//! does it for its safepoints (JEP draft 8186027).
//!
//! A loop that ends with `br.i64.lt index, bound, head`, and whose index goes up by a fixed step in every round, compares the
//! index with a limit instead: the bound, or less if that is many rounds away. Only where the limit is reached it looks at
//! the bound, polls, and sets another limit. So it is stopped after [`crate::masm::ROUNDS`] rounds of a few ops or twice that,
//! and none of these ops takes long.
//!
//! This holds if nobody comes to one of its ops but through its head, which sets the limit, and if nobody comes to its
//! end without having passed the step.

use super::plan::{for_targets, shape};
use super::shape::Kind;
use crate::vm3::op::{Flags, Op, field};

/// Such loops in a function, at most: a loop around them that does nothing else is stopped soon too.
pub const PACED: usize = 8;
/// Words of the longest such loop.
const MOST_WORDS: usize = 64;

/// How the index of a loop goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// By 1, and the loop goes on below the bound.
    Up,
    /// By -1, and the loop goes on above the bound.
    Down,
    /// By this register, and the loop goes on below the bound.
    By(u16),
}

/// Such a loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paced {
    /// Its first word.
    pub head: u16,
    /// The word of the branch back.
    pub back: u16,
    /// The register that is counted in.
    pub index: u16,
    /// The register that it is compared with; `None` if that is a literal.
    pub bound: Option<u16>,
    /// How it is counted.
    pub step: Step,
    /// Whether it lies in another loop, whose head polls: then its own need not, but for the branch back.
    pub nested: bool,
}

/// The loops of a function that may be such; `ops` has, in the high half of each word, one past the last op of the loop
/// whose head is that word, or 0.
#[inline(never)]
pub fn find(code: &[u64], ops: &[u64]) -> heapless::Vec<Paced, PACED> {
    let mut all = heapless::Vec::new();
    // The greatest end of a loop.
    let mut around = 0;
    for (word, &op) in ops.iter().enumerate() {
        let end = (op >> 32) as usize;
        if end != 0 {
            if let Some(paced) = Paced::find(code, ops, word, end, around > end)
                && all.push(paced).is_err()
            {
                break;
            }
            around = around.max(end);
        }
    }
    without_entries(code, &mut all);
    all
}

/// Takes out the loops into which there is a branch from before their heads.
fn without_entries(code: &[u64], all: &mut heapless::Vec<Paced, PACED>) {
    let (Some(&Paced { head: first, .. }), Some(&Paced { head: last, back, .. })) = (all.first(), all.last()) else {
        return;
    };
    for (at, &bits) in code.iter().take(last.into()).enumerate() {
        let shape = shape(bits);
        // Most branches go elsewhere, which is seen without a look at what is no branch.
        let target = (bits >> ((16 + 16 * (shape.label & 3)) & 63)) as u16;
        let elsewhere = (shape.label <= 2) & (target.wrapping_sub(first) > back.wrapping_sub(first));
        if (shape.kind == Kind::Branch) & !elsewhere {
            for_targets(shape, code.get(at..).unwrap_or(&[]), |target| {
                all.retain(|&Paced { head, back, .. }| {
                    !(at < head.into() && target > head.into() && target <= back.into())
                });
            });
        }
    }
}

impl Paced {
    /// The loop from word `head` to that at `end`, exclusive, if it is one, but for branches from before it. `ops` tells heads
    /// of loops.
    fn find(code: &[u64], ops: &[u64], head: usize, end: usize, nested: bool) -> Option<Self> {
        let back = end.checked_sub(1).filter(|&back| back.checked_sub(head).is_some_and(|words| words < MOST_WORDS))?;
        // No op but the first is the head of a loop: a branch from behind may go there. Loops of which this holds have no word
        // in common, so what is looked at from here on is looked at once.
        if ops.get(head + 1..=back)?.iter().any(|op| op >> 32 != 0) {
            return None;
        }
        let bits = *code.get(back)?;
        let (index, other, target) = ((bits >> 16) as u16, (bits >> 32) as u16, (bits >> 48) as usize);
        if target != head {
            return None;
        }
        let (bound, down) = match Op::from_code(bits as u8)? {
            Op::BrI64Lt => (Some(other), false),
            Op::BrI64LtK => (None, false),
            Op::BrI64Gt => (Some(other), true),
            Op::BrI64GtK => (None, true),
            _ => return None,
        };
        // The only write of the index.
        let writes = |word: usize, slot: u16| {
            let words = code.get(word..).unwrap_or(&[]);
            let mut fields = words.first().map_or(0, |&bits| shape(bits).writes);
            let mut found = false;
            while fields != 0 {
                found |= field(words, fields.trailing_zeros() as usize) == Some(slot);
                fields &= fields - 1;
            }
            found
        };
        let at = (head..back).find(|&word| writes(word, index))?;
        let step = step(*code.get(at)?, index).filter(|&step| down == (step == Step::Down))?;
        let fixed = |slot: u16| slot != index && !(head..back).any(|word| writes(word, slot));
        let by = if let Step::By(slot) = step { Some(slot) } else { None };
        if (at + 1..back).any(|word| writes(word, index)) || !bound.into_iter().chain(by).all(fixed) {
            return None;
        }
        for word in head..back {
            let shape = shape(*code.get(word)?);
            if shape.flags.has(Flags::CALLS) || shape.unsettles {
                return None;
            }
            if shape.kind == Kind::Branch {
                let mut stays = true;
                // Forward, out of the loop or to what comes before the step.
                for_targets(shape, code.get(word..)?, |target| {
                    stays &= target > word && (target <= at || target > back)
                });
                if !stays {
                    return None;
                }
            }
        }
        let [head, back] = [head, back].map(|word| word as u16);
        Some(Self { head, back, index, bound, step, nested })
    }
}

/// How an op counts.
fn step(bits: u64, index: u16) -> Option<Step> {
    let (a, b, c) = ((bits >> 16) as u16, (bits >> 32) as u16, (bits >> 48) as u16);
    let op = Op::from_code(bits as u8)?;
    match (op, c as i16) {
        (Op::I64AddK, 1) | (Op::I64SubK, -1) if b == index => Some(Step::Up),
        (Op::I64AddK, -1) | (Op::I64SubK, 1) if b == index => Some(Step::Down),
        (Op::I64Add, _) if a == index && b == index => Some(Step::By(c)),
        (Op::I64Add, _) if a == index && c == index => Some(Step::By(b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
