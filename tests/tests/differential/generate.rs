//! Random programs that verify and end.

use crate::program::{BACK, CELLS, Func, GLOBALS, H_BACK, IMPORTS, Ins, Program, Stmt, cell, import, pures};
use fastrand::Rng;
use opstamp::Cell;
use opstamp::vm3::op::{Bank, Operand};
use opstamp_tests::values::{FLOATS, INTS, LITERALS};

/// Loops nested in each other, at most; each has a counter of its own.
const NEST: usize = 3;
/// Registers of a bank in a wide function: more than any machine has.
const WIDE: usize = 40;
/// Registers of a bank that a wide function uses in a loop of their own at its start, so that the others weigh less.
const WARM: usize = 30;
/// Words of stack unless the program is to overflow it.
pub const STACK_WORDS: usize = 4096;

/// A random integer: an edge, a small one, or any.
fn int(rng: &mut Rng) -> i64 {
    match rng.u8(0..4) {
        0 | 1 => INTS[rng.usize(0..INTS.len())],
        2 => rng.i64(-20..20),
        _ => rng.i64(..),
    }
}

fn float(rng: &mut Rng) -> f64 {
    match rng.u8(0..4) {
        0 | 1 => FLOATS[rng.usize(0..FLOATS.len())],
        2 => rng.i64(-2000..2000) as f64 / 8.0,
        _ => f64::from_bits(rng.u64(..)),
    }
}

fn bits(rng: &mut Rng, bank: Bank) -> u64 {
    match bank {
        Bank::I64 => int(rng) as u64,
        Bank::F64 => opstamp_tests::oracle::canonical(float(rng).to_bits()),
        Bank::Cell if rng.bool() => Cell::NULL.bits(),
        Bank::Cell => cell(rng.usize(0..CELLS.len())).bits(),
    }
}

/// A function that is being generated. Slot 0 is the parameter `n`, which bounds recursion; the locals begin with `NEST`
/// loop counters and a register for the next `n`. Only these are not written at random.
struct Context<'g> {
    rng: &'g mut Rng,
    heads: &'g [Func],
    tables: usize,
    index: usize,
    has_back: bool,
    /// The registers of each bank that may be read, the most liked first.
    reads: [Vec<u16>; 3],
    /// Those that may be written.
    writes: [Vec<u16>; 3],
    counters: u16,
    budget: i32,
    loops: usize,
    may_recurse: bool,
    /// The last registers of each bank, so many, are used often outside loops and weigh little.
    cold: usize,
}

fn place(bank: Bank) -> usize {
    bank as usize
}

impl Context<'_> {
    fn pick(&mut self, registers: fn(&Self) -> &[Vec<u16>; 3], bank: Bank) -> Option<u16> {
        let count = registers(self)[place(bank)].len();
        if count == 0 {
            return None;
        }
        let often = if self.loops > 0 { 6 } else { 3 };
        let cold = if self.loops > 0 { 7 } else { 9 };
        let at = match self.rng.u8(0..10) {
            part if part < often => self.rng.usize(0..count.min(4)),
            part if part < cold && bank != Bank::Cell && self.cold > 0 && self.cold < count => {
                self.rng.usize(count - self.cold..count)
            }
            _ => self.rng.usize(0..count),
        };
        Some(registers(self)[place(bank)][at])
    }

    fn read(&mut self, bank: Bank) -> Option<u16> {
        self.pick(|context| &context.reads, bank)
    }

    fn write(&mut self, bank: Bank) -> Option<u16> {
        self.pick(|context| &context.writes, bank)
    }

    fn block(&mut self, statements: usize, depth: usize) -> Vec<Stmt> {
        let mut block = Vec::new();
        for _ in 0..statements {
            if self.budget <= 0 {
                break;
            }
            self.budget -= 1;
            self.statement(depth, &mut block);
        }
        block
    }

    fn inner(&mut self, depth: usize) -> Vec<Stmt> {
        let statements = self.rng.usize(0..5);
        self.block(statements, depth + 1)
    }

    /// Adds a statement, or nothing if the function lacks a register that it needs.
    fn statement(&mut self, depth: usize, block: &mut Vec<Stmt>) {
        let made = match self.rng.u8(0..100) {
            0..52 => self.pure().map(Stmt::Do),
            52..60 if depth < 4 => self.conditional(depth),
            60..66 if depth < 4 && self.loops < NEST => self.counted(depth),
            66..69 if depth < 4 => self.switch(depth),
            69..75 => self.call(block),
            75..81 => self.host(block),
            81..84 => self.table(block),
            84..89 => self.global(),
            89..93 => self.cell(),
            93..95 => Some(Stmt::Do(Ins::Deopt)),
            95..96 => Some(Stmt::Do(Ins::Nop)),
            96..99 if depth > 0 => self.ending(block),
            _ => self.recursion(block),
        };
        block.extend(made);
    }

    fn literal(&mut self, operand: Option<Operand>) -> u64 {
        match operand {
            None => 0,
            Some(Operand::Imm16) => {
                let any = self.rng.i16(..);
                i64::from(if self.rng.bool() { any } else { LITERALS[self.rng.usize(0..LITERALS.len())] }) as u64
            }
            Some(Operand::Imm32) => loop {
                let value = int(self.rng);
                if i32::try_from(value).is_ok() {
                    return value as u64;
                }
            },
            Some(Operand::PoolI64) => loop {
                let value = int(self.rng);
                if i32::try_from(value).is_err() {
                    return value as u64;
                }
            },
            Some(_) => opstamp_tests::oracle::canonical(float(self.rng).to_bits()),
        }
    }

    fn sources(&mut self, banks: &[Option<Bank>; 3]) -> Option<[u16; 3]> {
        let mut sources = [0; 3];
        for (source, bank) in sources.iter_mut().zip(banks) {
            if let Some(bank) = bank {
                *source = self.read(*bank)?;
            }
        }
        Some(sources)
    }

    fn pure(&mut self) -> Option<Ins> {
        loop {
            let index = self.rng.usize(0..pures().len());
            let pure = &pures()[index];
            let Some(bank) = pure.dest else { continue };
            let divides = pure.mnemonic.ends_with("div") || pure.mnemonic.ends_with("rem");
            let by_zero = pure.literal.is_some() && divides && self.rng.u8(0..12) == 0;
            let literal = if by_zero { 0 } else { self.literal(pure.literal) };
            let sources = self.sources(&pure.sources)?;
            return Some(Ins::Pure { index, dest: self.write(bank)?, sources, literal });
        }
    }

    fn branch(&mut self) -> Option<Ins> {
        if self.rng.u8(0..10) == 0 {
            return Some(Ins::BrNull { nonnull: self.rng.bool(), source: self.read(Bank::Cell)?, target: 0 });
        }
        loop {
            let index = self.rng.usize(0..pures().len());
            let pure = &pures()[index];
            if pure.dest.is_some() {
                continue;
            }
            let literal = self.literal(pure.literal);
            return Some(Ins::Branch { index, sources: self.sources(&pure.sources)?, literal, target: 0 });
        }
    }

    fn conditional(&mut self, depth: usize) -> Option<Stmt> {
        let branch = self.branch()?;
        Some(Stmt::If { branch, then: self.inner(depth), otherwise: self.inner(depth) })
    }

    fn counted(&mut self, depth: usize) -> Option<Stmt> {
        let counter = self.counters + self.loops as u16;
        let trips = self.rng.i16(1..8);
        let up = self.rng.bool();
        self.loops += 1;
        let statements = self.rng.usize(1..8);
        let body = self.block(statements, depth + 1);
        self.loops -= 1;
        Some(Stmt::Loop { counter, trips, up, body })
    }

    fn switch(&mut self, depth: usize) -> Option<Stmt> {
        let source = self.read(Bank::I64)?;
        let arms: Vec<_> = (0..self.rng.usize(1..4)).map(|_| self.inner(depth)).collect();
        let targets = (0..self.rng.usize(0..7)).map(|_| self.rng.usize(0..arms.len())).collect();
        Some(Stmt::Switch { source, targets, default: self.rng.usize(0..arms.len()), arms })
    }

    /// Arguments for these banks; the first, if it is given, is the bound of recursion.
    fn args(&mut self, first: Option<u16>, banks: &[Bank]) -> Option<Vec<u16>> {
        let mut args: Vec<u16> = first.into_iter().collect();
        for bank in &banks[args.len()..] {
            args.push(self.read(*bank)?);
        }
        Some(args)
    }

    /// The register for the next bound, set to a small constant.
    fn bound(&mut self, block: &mut Vec<Stmt>) -> u16 {
        let dest = self.counters + NEST as u16;
        let index = pures().iter().position(|pure| pure.literal == Some(Operand::Imm32)).expect("i64.const");
        let literal = self.rng.u64(0..4);
        block.push(Stmt::Do(Ins::Pure { index, dest, sources: [0; 3], literal }));
        dest
    }

    fn result(&mut self, result: Option<Bank>) -> Option<Option<u16>> {
        match result {
            Some(bank) if self.rng.u8(0..6) > 0 => Some(Some(self.write(bank)?)),
            _ => Some(None),
        }
    }

    fn call(&mut self, block: &mut Vec<Stmt>) -> Option<Stmt> {
        if self.index + 1 >= self.heads.len() {
            return None;
        }
        let func = self.rng.usize(self.index + 1..self.heads.len());
        let head = &self.heads[func];
        let bound = self.bound(block);
        let args = self.args(Some(bound), &head.slots[..head.params])?;
        Some(Stmt::Do(Ins::Call { dest: self.result(head.result)?, func, args }))
    }

    fn host(&mut self, block: &mut Vec<Stmt>) -> Option<Stmt> {
        let import_index = self.rng.usize(0..IMPORTS.len());
        if import_index == H_BACK && (!self.has_back || self.heads[self.index].name == BACK) {
            return None;
        }
        let (params, result) = import(import_index);
        let mut args = self.args(None, &params)?;
        if IMPORTS[import_index].starts_with("h_trap") && self.rng.u8(0..8) > 0 {
            args[0] = self.zero(block)?;
        }
        if import_index == H_BACK {
            args[0] = self.bound(block);
        }
        Some(Stmt::Do(Ins::Host { dest: self.result(result)?, import: import_index, args }))
    }

    /// A register that has been set to 0, by one of several ops.
    fn zero(&mut self, block: &mut Vec<Stmt>) -> Option<u16> {
        let dest = self.write(Bank::I64)?;
        let and = |pure: &opstamp_tests::Pure| pure.mnemonic == "i64.and" && pure.literal.is_some();
        let index = pures().iter().position(and).expect("i64.and");
        block.push(Stmt::Do(Ins::Pure { index, dest, sources: [dest, 0, 0], literal: 0 }));
        Some(dest)
    }

    fn table(&mut self, block: &mut Vec<Stmt>) -> Option<Stmt> {
        let table = self.rng.usize(0..self.tables);
        let mut source = self.read(Bank::I64)?;
        if self.rng.u8(0..6) > 0 {
            let and = |pure: &opstamp_tests::Pure| pure.mnemonic == "i64.and" && pure.literal.is_some();
            let index = pures().iter().position(and).expect("i64.and");
            let dest = self.write(Bank::I64)?;
            block.push(Stmt::Do(Ins::Pure { index, dest, sources: [source, 0, 0], literal: 3 }));
            source = dest;
        }
        Some(Stmt::Do(Ins::Table { dest: self.write(Bank::I64)?, table, source }))
    }

    fn global(&mut self) -> Option<Stmt> {
        let global = self.rng.usize(0..GLOBALS.len());
        let bank = GLOBALS[global];
        Some(Stmt::Do(if self.rng.bool() {
            Ins::GlobalGet { dest: self.write(bank)?, global }
        } else {
            Ins::GlobalSet { global, source: self.read(bank)? }
        }))
    }

    fn cell(&mut self) -> Option<Stmt> {
        let dest = self.write(Bank::Cell)?;
        Some(Stmt::Do(match self.rng.u8(0..3) {
            0 => Ins::CellMov { dest, source: self.read(Bank::Cell)? },
            1 => Ins::CellNull { dest },
            _ => Ins::CellConst { dest, value: self.rng.usize(0..CELLS.len()) },
        }))
    }

    /// An op behind which control does not go on.
    fn ending(&mut self, block: &mut Vec<Stmt>) -> Option<Stmt> {
        let result = self.heads[self.index].result;
        let tails: Vec<usize> =
            (self.index + 1..self.heads.len()).filter(|&func| self.heads[func].result == result).collect();
        Some(Stmt::Do(match self.rng.u8(0..8) {
            0 => Ins::Unreachable,
            1 => Ins::User { number: self.rng.u16(..) },
            2..7 if !tails.is_empty() => {
                let func = tails[self.rng.usize(0..tails.len())];
                let head = &self.heads[func];
                let bound = self.bound(block);
                Ins::Tail { func, args: self.args(Some(bound), &head.slots[..head.params])? }
            }
            _ => Ins::Ret {
                source: match result {
                    None => None,
                    Some(bank) => Some(self.read(bank)?),
                },
            },
        }))
    }

    /// A call of the function itself, or a tail call, with n smaller by one unless it is 0.
    fn recursion(&mut self, _block: &mut Vec<Stmt>) -> Option<Stmt> {
        if self.loops > 0 || !self.may_recurse {
            return None;
        }
        self.may_recurse = false;
        let find = |mnemonic: &str| {
            pures().iter().position(|pure| pure.mnemonic == mnemonic && pure.literal.is_some()).expect("an op")
        };
        let branch = Ins::Branch { index: find("br.i64.le"), sources: [0; 3], literal: 0, target: 0 };
        let head = &self.heads[self.index];
        let next = self.counters + NEST as u16;
        let less = Ins::Pure { index: find("i64.sub"), dest: next, sources: [0; 3], literal: 1 };
        let args = self.args(Some(next), &head.slots[..head.params])?;
        let again = if self.rng.bool() {
            Ins::Tail { func: self.index, args }
        } else {
            Ins::Call { dest: self.result(head.result)?, func: self.index, args }
        };
        Some(Stmt::If { branch, then: vec![], otherwise: vec![Stmt::Do(less), Stmt::Do(again)] })
    }
}

/// A function without a body.
fn head(rng: &mut Rng, index: usize, back: bool) -> Func {
    let banks = [Bank::I64, Bank::F64, Bank::Cell];
    let mut slots = vec![Bank::I64];
    if back {
        slots.push(Bank::F64);
    } else {
        let most = if rng.u8(0..8) == 0 { 12 } else { 5 };
        (0..rng.usize(0..most)).for_each(|_| slots.push(banks[rng.usize(0..3)]));
    }
    let params = slots.len();
    let sizes = match rng.u8(0..4) {
        0 => [WIDE, WIDE, 4],
        1 => [rng.usize(1..WIDE), rng.usize(1..WIDE), 2],
        _ => [rng.usize(1..6), rng.usize(1..6), rng.usize(0..3)],
    };
    slots.extend(std::iter::repeat_n(Bank::I64, NEST + 1 + sizes[0]));
    slots.extend(std::iter::repeat_n(Bank::F64, sizes[1]));
    slots.extend(std::iter::repeat_n(Bank::Cell, sizes[2]));
    let result = match rng.u8(0..8) {
        _ if back => Some(Bank::I64),
        0 => None,
        1..4 => Some(Bank::F64),
        4 if slots.contains(&Bank::Cell) => Some(Bank::Cell),
        _ => Some(Bank::I64),
    };
    let name = if back { BACK.into() } else { format!("f{index}") };
    Func { name, slots, params, result, body: vec![] }
}

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let rng = &mut Rng::with_seed(seed);
    let count = rng.usize(1..5);
    let has_back = rng.u8(0..3) == 0;
    let mut heads: Vec<Func> = (0..count).map(|index| head(rng, index, false)).collect();
    if has_back {
        heads.push(head(rng, count, true));
    }
    let tables: Vec<Vec<i64>> = (0..rng.usize(1..4)).map(|_| vec![0; rng.usize(0..9)]).collect();
    let tables = tables.into_iter().map(|table| table.into_iter().map(|_| int(rng)).collect()).collect::<Vec<_>>();
    let mut funcs = heads.clone();
    for (index, func) in funcs.iter_mut().enumerate() {
        func.body = body(rng, &heads, index, tables.len(), has_back);
    }
    let globals = GLOBALS.iter().map(|&bank| bits(rng, bank)).collect();
    let params = &heads[0].slots[..heads[0].params];
    let calls = (0..3)
        .map(|_| {
            let rest = params[1..].iter().map(|&bank| bits(rng, bank)).collect::<Vec<_>>();
            std::iter::once(rng.u64(0..7)).chain(rest).collect()
        })
        .collect();
    Program { funcs, tables, globals, stack_words: STACK_WORDS, calls }
}

fn body(rng: &mut Rng, heads: &[Func], index: usize, tables: usize, has_back: bool) -> Vec<Stmt> {
    let func = &heads[index];
    let counters = func.params..func.params + NEST + 1;
    let of = |bank: Bank, fixed: bool| {
        (0..func.slots.len())
            .filter(|slot| func.slots[*slot] == bank && (fixed || (*slot != 0 && !counters.contains(slot))))
            .map(|slot| slot as u16)
            .collect::<Vec<_>>()
    };
    let banks = [Bank::I64, Bank::F64, Bank::Cell];
    let mut reads = banks.map(|bank| of(bank, true));
    let mut writes = banks.map(|bank| of(bank, false));
    for (reads, writes) in reads.iter_mut().zip(&mut writes) {
        rng.shuffle(writes);
        // The registers that are liked when written are liked when read, so that values meet.
        reads.sort_by_key(|slot| writes.iter().position(|write| write == slot).unwrap_or(2));
    }
    let mut start = Vec::new();
    for (bank, writes) in banks.into_iter().zip(&writes) {
        for &dest in writes.iter().filter(|slot| usize::from(**slot) >= func.params) {
            if rng.u8(0..4) == 0 {
                continue;
            }
            let value = bits(rng, bank);
            start.push(Stmt::Do(match bank {
                Bank::Cell => Ins::CellConst { dest, value: rng.usize(0..CELLS.len()) },
                _ => {
                    let small = i32::try_from(value as i64).is_ok();
                    let wanted = match bank {
                        Bank::F64 => Operand::PoolF64,
                        _ if small => Operand::Imm32,
                        _ => Operand::PoolI64,
                    };
                    let index = pures().iter().position(|pure| pure.literal == Some(wanted)).expect("a constant");
                    Ins::Pure { index, dest, sources: [0; 3], literal: value }
                }
            }));
        }
    }
    let warmed = WIDE - WARM;
    let cold = if writes[..2].iter().all(|writes| writes.len() >= WIDE) && rng.bool() { warmed } else { 0 };
    if cold > 0 {
        start.push(warm_up(func, &writes[..2]));
    }
    let budget = if rng.u8(0..4) == 0 { 60 } else { 25 };
    let mut context = Context {
        rng,
        heads,
        tables,
        index,
        has_back,
        reads,
        writes,
        counters: func.params as u16,
        budget,
        loops: 0,
        may_recurse: true,
        cold,
    };
    let statements = context.rng.usize(3..20);
    start.extend(context.block(statements, 0));
    start
}

/// Nested loops that run once and move all but the last `WIDE - WARM` of these registers to themselves.
fn warm_up(func: &Func, writes: &[Vec<u16>]) -> Stmt {
    let mut moves = Vec::new();
    for (writes, mnemonic) in writes.iter().zip(["i64.mov", "f64.mov"]) {
        let index = pures().iter().position(|pure| pure.mnemonic == mnemonic).expect("a move");
        for &dest in &writes[..writes.len() - (WIDE - WARM)] {
            moves.push(Stmt::Do(Ins::Pure { index, dest, sources: [dest, 0, 0], literal: 0 }));
        }
    }
    let counter = func.params as u16;
    let inner = Stmt::Loop { counter: counter + 1, trips: 1, up: false, body: moves };
    Stmt::Loop { counter, trips: 1, up: false, body: vec![inner] }
}
