//! What a run of the differential test has executed.

use crate::evaluate::Outcome;
use crate::program::{Ins, Lowered, Program, Ty};
use opstamp::TrapKind;
use opstamp::vm3::op::{Access, Bank, CellClass, OPS, Op, Operand};
use std::collections::BTreeMap;

/// Times that everything must have been executed or observed.
const ENOUGH: u64 = 100;
/// Ranks below this are hot: a register among so many of its bank has a machine register on every ISA.
const HOT: usize = 4;
/// Ranks from this on are cold: fewer registers of a bank have machine registers on every ISA.
const COLD: usize = 28;

/// What is counted, each by the evaluator when it executes an op:
/// - each op of the table;
/// - each i64 and f64 register operand of it, by its place in the row, as hot and as cold. Registers of a bank are ranked in
///   each function by their uses, each use weighing 8 to the power of its loop depth; hot are the first [`HOT`], cold those
///   behind the first [`COLD`];
/// - each operand that is an object of one type, the same way: cells are ranked among the i64 registers, with which they
///   compete when where their objects are is kept in a machine register;
/// - each literal operand, with the op;
/// - each trap that the op's row lists, when a call ends with it at that op; and `out_of_fuel`, at whatever op.
#[derive(Default)]
pub struct Coverage {
    counts: BTreeMap<(u8, What), u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Executed,
    Hot(usize),
    Cold(usize),
    Trapped(u8),
}

/// The rank of each slot by weight: of i64 and f64 registers in their bank, of cells among cells and i64 registers.
fn ranks(slots: &[Ty], lowered: &Lowered) -> Vec<usize> {
    let mut weights = vec![0u64; slots.len()];
    for (ins, &depth) in lowered.code.iter().zip(&lowered.depths) {
        for (_, slot) in ins.registers() {
            weights[usize::from(slot)] += 1 << (3 * depth);
        }
    }
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|&slot| std::cmp::Reverse(weights[slot]));
    let mut ranks = vec![0; slots.len()];
    let (mut ints, mut floats, mut cells) = (0, 0, 0);
    for slot in order {
        ranks[slot] = match slots[slot].bank() {
            Bank::I64 => ints,
            Bank::F64 => floats,
            Bank::Cell => ints + cells,
        };
        match slots[slot].bank() {
            Bank::I64 => ints += 1,
            Bank::F64 => floats += 1,
            Bank::Cell => cells += 1,
        }
    }
    ranks
}

impl Coverage {
    /// Counts what the evaluator executed of a program.
    pub fn executed(&mut self, program: &Program, lowered: &[Lowered], counts: &[Vec<u32>]) {
        for ((func, lowered), counts) in program.funcs.iter().zip(lowered).zip(counts) {
            let ranks = ranks(&func.slots, lowered);
            for (ins, &count) in lowered.code.iter().zip(counts).filter(|(_, count)| **count > 0) {
                let code = ins.op(func) as u8;
                self.add(code, What::Executed, count);
                for (operand, slot) in ins.registers() {
                    match ranks[usize::from(slot)] {
                        ..HOT => self.add(code, What::Hot(operand), count),
                        COLD.. => self.add(code, What::Cold(operand), count),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Counts how a call ended.
    pub fn ended(&mut self, program: &Program, lowered: &[Lowered], outcome: &Outcome) {
        if let Outcome::Traps(trap, func, op) = outcome {
            let ins: &Ins = &lowered[*func].code[*op];
            self.add(ins.op(&program.funcs[*func]) as u8, What::Trapped(trap.kind as u8), 1);
        }
    }

    fn add(&mut self, code: u8, what: What, count: u32) {
        *self.counts.entry((code, what)).or_default() += u64::from(count);
    }

    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    fn wanted() -> impl Iterator<Item = (Op, What)> {
        OPS.iter().flat_map(|row| {
            let operands = row.operands.iter().enumerate().flat_map(|(at, operand)| match operand {
                Operand::Reg(Access::Read, Bank::Cell, CellClass::Any | CellClass::AsDeclared | CellClass::Str)
                | Operand::Reg(Access::Write, Bank::Cell, _) => vec![],
                Operand::Reg(..) | Operand::Args => vec![What::Hot(at), What::Cold(at)],
                _ => vec![],
            });
            let traps = row.traps().iter().map(|&trap: &TrapKind| What::Trapped(trap as u8));
            let all = std::iter::once(What::Executed).chain(operands).chain(traps);
            all.map(|what| (row.op, what)).collect::<Vec<_>>()
        })
    }

    /// What was seen less often than [`ENOUGH`], in words.
    pub fn missing(&self) -> Vec<String> {
        let count = |op: Op, what| self.counts.get(&(op as u8, what)).copied().unwrap_or(0);
        let fuel = What::Trapped(TrapKind::OutOfFuel as u8);
        let out_of_fuel: u64 = OPS.iter().map(|row| count(row.op, fuel)).sum();
        let fuel = (out_of_fuel < ENOUGH).then(|| format!("out_of_fuel: {out_of_fuel} times"));
        Self::wanted()
            .filter(|&(op, what)| count(op, what) < ENOUGH)
            .map(|(op, what)| format!("{op:?} {what:?}: {} times", count(op, what)))
            .chain(fuel)
            .collect()
    }

    /// The number of things counted, the least count of them, and the ops executed.
    pub fn summary(&self) -> (usize, u64, u64) {
        let counts = Self::wanted().map(|(op, what)| self.counts.get(&(op as u8, what)).copied().unwrap_or(0));
        let (mut things, mut least) = (0, u64::MAX);
        counts.for_each(|count| {
            things += 1;
            least = least.min(count);
        });
        let executed =
            self.counts.iter().filter(|((_, what), _)| *what == What::Executed).map(|(_, count)| count).sum();
        (things, least, executed)
    }
}
