//! Random programs that verify and end.

use crate::program::{
    BACK, CELL_TYPES, CELLS, Func, GLOBALS, H_BACK, IMPORTS, Init, Ins, PLAIN_CELLS, PLAIN_GLOBALS, Program, Signature,
    Stmt, Ty, import, pures,
};
use fastrand::Rng;
use opstamp::Cell;
use opstamp::vm3::op::{Bank, Operand};
use opstamp_tests::values::{FLOATS, INTS, LITERALS};
use std::collections::BTreeMap;

/// Loops nested in each other, at most; each has a counter of its own.
const NEST: usize = 3;
/// Registers of a bank in a wide function: more than any machine has.
const WIDE: usize = 40;
/// Registers of a bank that a wide function uses in a loop of their own at its start, so that the others weigh less.
const WARM: usize = 30;
/// Of a hundred statements of a program with a heap, so many work on it.
const HEAP_SHARE: u8 = 60;
/// Words of stack unless the program is to overflow it.
pub const STACK_WORDS: usize = 4096;

/// The type of numbers of a bank.
fn of_bank(bank: Bank) -> Ty {
    match bank {
        Bank::I64 => Ty::I64,
        Bank::F64 => Ty::F64,
        Bank::Cell => Ty::Any,
    }
}

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

/// The bits of an argument that the host gives: no object.
fn bits(rng: &mut Rng, ty: Ty) -> u64 {
    let text = |text: &[u8]| Cell::str(text).expect("short").bits();
    match ty {
        Ty::I64 => int(rng) as u64,
        Ty::F64 => opstamp_tests::oracle::canonical(float(rng).to_bits()),
        Ty::Any => match rng.u8(0..10) {
            0 => Cell::TRUE.bits(),
            1 => Cell::int(rng.i64(-9..9)).expect("small").bits(),
            2 => Cell::float(float(rng)).bits(),
            3 => text(b"ab"),
            4 => text(b""),
            _ => Cell::NULL.bits(),
        },
        Ty::Str if rng.bool() => text(b"12345"),
        _ => Cell::NULL.bits(),
    }
}

/// The initial value of a global.
fn initial(rng: &mut Rng, ty: Ty, heap: bool) -> Init {
    let constants = if heap { CELLS.len() } else { PLAIN_CELLS };
    match ty {
        Ty::I64 | Ty::F64 => Init::Bits(bits(rng, ty)),
        Ty::Any if rng.bool() => Init::Constant(rng.usize(0..constants)),
        Ty::Str if rng.bool() => Init::Constant(STRINGS[rng.usize(0..STRINGS.len())]),
        _ => Init::Bits(Cell::NULL.bits()),
    }
}

/// The types that a loop may work on.
const OBJECTS: [Ty; 8] = [Ty::ArrI64, Ty::ArrF64, Ty::ArrU8, Ty::List, Ty::IMap, Ty::Map, Ty::Obj(0), Ty::Obj(1)];

/// The constants that are strings.
pub const STRINGS: [usize; 7] = [6, 7, 8, 11, 12, 14, 15];

/// A function that is being generated. Slot 0 is the parameter `n`, which bounds recursion; the locals begin with `NEST`
/// loop counters and a register for the next `n`. Only these are not written at random.
pub struct Context<'g> {
    pub rng: &'g mut Rng,
    pub heads: &'g [Func],
    pub heap: bool,
    pub closures: &'g [Signature],
    tables: usize,
    pub index: usize,
    has_back: bool,
    /// The registers of each type that may be read, the most liked first.
    reads: BTreeMap<Ty, Vec<u16>>,
    /// Those that may be written.
    writes: BTreeMap<Ty, Vec<u16>>,
    counters: u16,
    budget: i32,
    loops: usize,
    may_recurse: bool,
    /// The object that the loop at hand works on, with its type.
    pub focus: Option<(Ty, u16)>,
    /// The last registers of each bank, so many, are used often outside loops and weigh little.
    cold: usize,
}

impl Context<'_> {
    fn pick(&mut self, registers: fn(&Self) -> &BTreeMap<Ty, Vec<u16>>, ty: Ty) -> Option<u16> {
        let count = registers(self).get(&ty).map_or(0, Vec::len);
        if count == 0 {
            return None;
        }
        let often = if self.loops > 0 { 6 } else { 3 };
        let cold = if self.loops > 0 { 7 } else { 9 };
        let number = matches!(ty, Ty::I64 | Ty::F64);
        let at = match self.rng.u8(0..10) {
            part if part < often => self.rng.usize(0..count.min(4)),
            part if part < cold && number && self.cold > 0 && self.cold < count => {
                self.rng.usize(count - self.cold..count)
            }
            _ => self.rng.usize(0..count),
        };
        Some(registers(self)[&ty][at])
    }

    /// A register to read from where a value of that type fits.
    pub fn read(&mut self, ty: Ty) -> Option<u16> {
        if let Some((focused, register)) = self.focus
            && focused == ty
        {
            return Some(register);
        }
        if ty == Ty::Any && self.heap && self.rng.u8(0..3) == 0 {
            let other = CELL_TYPES[self.rng.usize(0..CELL_TYPES.len())];
            if let Some(register) = self.pick(|context| &context.reads, other) {
                return Some(register);
            }
        }
        self.pick(|context| &context.reads, ty)
    }

    /// The registers of a type that may be written.
    pub fn written(&self, ty: Ty) -> Vec<u16> {
        self.writes.get(&ty).cloned().unwrap_or_default()
    }

    /// Loops around this place.
    pub fn loops(&self) -> usize {
        self.loops
    }

    pub fn write(&mut self, ty: Ty) -> Option<u16> {
        self.pick(|context| &context.writes, ty)
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
        if self.heap && self.rng.u8(0..100) < HEAP_SHARE {
            self.heap_statement(block);
            return;
        }
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
                *source = self.read(of_bank(*bank))?;
            }
        }
        Some(sources)
    }

    fn pure(&mut self) -> Option<Ins> {
        loop {
            let index = self.rng.usize(0..pures().len());
            let pure = &pures()[index];
            let Some(bank) = pure.dest.map(of_bank) else { continue };
            let divides = pure.mnemonic.ends_with("div") || pure.mnemonic.ends_with("rem");
            let by_zero = pure.literal.is_some() && divides && self.rng.u8(0..12) == 0;
            let literal = if by_zero { 0 } else { self.literal(pure.literal) };
            let sources = self.sources(&pure.sources)?;
            return Some(Ins::Pure { index, dest: self.write(bank)?, sources, literal });
        }
    }

    fn branch(&mut self) -> Option<Ins> {
        if self.rng.u8(0..10) == 0 {
            return Some(Ins::BrNull { nonnull: self.rng.bool(), source: self.any_cell()?, target: 0 });
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
        let outer = self.focus;
        if self.heap && self.rng.u8(0..3) > 0 {
            let ty = OBJECTS[self.rng.usize(0..OBJECTS.len())];
            self.focus = self.read(ty).map(|register| (ty, register));
        }
        let statements = self.rng.usize(1..8);
        let body = self.block(statements, depth + 1);
        self.focus = outer;
        self.loops -= 1;
        Some(Stmt::Loop { counter, trips, up, body })
    }

    fn switch(&mut self, depth: usize) -> Option<Stmt> {
        let source = self.read(Ty::I64)?;
        let arms: Vec<_> = (0..self.rng.usize(1..4)).map(|_| self.inner(depth)).collect();
        let targets = (0..self.rng.usize(0..7)).map(|_| self.rng.usize(0..arms.len())).collect();
        Some(Stmt::Switch { source, targets, default: self.rng.usize(0..arms.len()), arms })
    }

    /// Arguments for these banks; the first, if it is given, is the bound of recursion.
    pub fn args(&mut self, first: Option<u16>, types: &[Ty]) -> Option<Vec<u16>> {
        let mut args: Vec<u16> = first.into_iter().collect();
        for ty in &types[args.len()..] {
            args.push(self.read(*ty)?);
        }
        Some(args)
    }

    /// The register for the next bound, set to a small constant.
    pub fn bound(&mut self, block: &mut Vec<Stmt>) -> u16 {
        let dest = self.counters + NEST as u16;
        let index = pures().iter().position(|pure| pure.literal == Some(Operand::Imm32)).expect("i64.const");
        let literal = self.rng.u64(0..4);
        block.push(Stmt::Do(Ins::Pure { index, dest, sources: [0; 3], literal }));
        dest
    }

    pub fn result(&mut self, result: Option<Ty>) -> Option<Option<u16>> {
        match result {
            Some(ty) if self.rng.u8(0..6) > 0 => Some(Some(self.write(ty)?)),
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
        let dest = self.write(Ty::I64)?;
        let and = |pure: &opstamp_tests::Pure| pure.mnemonic == "i64.and" && pure.literal.is_some();
        let index = pures().iter().position(and).expect("i64.and");
        block.push(Stmt::Do(Ins::Pure { index, dest, sources: [dest, 0, 0], literal: 0 }));
        Some(dest)
    }

    fn table(&mut self, block: &mut Vec<Stmt>) -> Option<Stmt> {
        let table = self.rng.usize(0..self.tables);
        let mut source = self.read(Ty::I64)?;
        if self.rng.u8(0..6) > 0 {
            let and = |pure: &opstamp_tests::Pure| pure.mnemonic == "i64.and" && pure.literal.is_some();
            let index = pures().iter().position(and).expect("i64.and");
            let dest = self.write(Ty::I64)?;
            block.push(Stmt::Do(Ins::Pure { index, dest, sources: [source, 0, 0], literal: 3 }));
            source = dest;
        }
        Some(Stmt::Do(Ins::Table { dest: self.write(Ty::I64)?, table, source }))
    }

    fn global(&mut self) -> Option<Stmt> {
        let global = self.rng.usize(0..if self.heap { GLOBALS.len() } else { PLAIN_GLOBALS });
        let ty = GLOBALS[global];
        Some(Stmt::Do(if self.rng.bool() {
            Ins::GlobalGet { dest: self.write(ty)?, global }
        } else {
            Ins::GlobalSet { global, source: self.read(ty)? }
        }))
    }

    fn cell(&mut self) -> Option<Stmt> {
        let ty = self.cell_type();
        let dest = self.write(ty)?;
        Some(Stmt::Do(match self.rng.u8(0..8) {
            0..4 => Ins::CellMov { dest, source: self.read(ty)? },
            4 => Ins::CellNull { dest },
            _ => Ins::CellConst { dest: self.write(Ty::Any)?, value: self.constant() },
        }))
    }

    /// A type of cells.
    pub fn cell_type(&mut self) -> Ty {
        if !self.heap {
            return Ty::Any;
        }
        let at = self.rng.usize(0..CELL_TYPES.len() + self.closures.len());
        CELL_TYPES.get(at).copied().unwrap_or(Ty::Fn(at.saturating_sub(CELL_TYPES.len())))
    }

    fn any_cell(&mut self) -> Option<u16> {
        let ty = self.cell_type();
        self.read(ty)
    }

    /// A constant for a cell of any type.
    pub fn constant(&mut self) -> usize {
        self.rng.usize(0..if self.heap { CELLS.len() } else { PLAIN_CELLS })
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
                    Some(ty) => Some(self.read(ty)?),
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
fn head(rng: &mut Rng, index: usize, back: bool, heap: bool) -> Func {
    let types: Vec<Ty> =
        if heap { [Ty::I64, Ty::F64].into_iter().chain(CELL_TYPES).collect() } else { vec![Ty::I64, Ty::F64, Ty::Any] };
    let mut slots = vec![Ty::I64];
    if back {
        slots.push(Ty::F64);
    } else {
        let most = if rng.u8(0..8) == 0 { 12 } else { 5 };
        (0..rng.usize(0..most)).for_each(|_| slots.push(types[rng.usize(0..types.len())]));
    }
    let params = slots.len();
    let sizes = match rng.u8(0..4) {
        0 => [WIDE, WIDE, 4],
        1 => [rng.usize(1..WIDE), rng.usize(1..WIDE), 2],
        _ => [rng.usize(1..6), rng.usize(1..6), rng.usize(0..3)],
    };
    slots.extend(std::iter::repeat_n(Ty::I64, NEST + 1 + sizes[0]));
    slots.extend(std::iter::repeat_n(Ty::F64, sizes[1]));
    slots.extend(std::iter::repeat_n(Ty::Any, sizes[2]));
    if heap {
        for ty in CELL_TYPES {
            slots.extend(std::iter::repeat_n(ty, rng.usize(1..3)));
        }
    }
    let result = match rng.u8(0..8) {
        _ if back => Some(Ty::I64),
        0 => None,
        1..4 => Some(Ty::F64),
        4 | 5 if heap => Some(CELL_TYPES[rng.usize(0..CELL_TYPES.len())]),
        4 if slots.contains(&Ty::Any) => Some(Ty::Any),
        _ => Some(Ty::I64),
    };
    let name = if back { BACK.into() } else { format!("f{index}") };
    Func { name, slots, params, result, body: vec![] }
}

/// Types of closures that the functions allow: the rest of a signature behind some of its parameters.
fn closures(rng: &mut Rng, heads: &[Func]) -> Vec<Signature> {
    let mut closures = Vec::new();
    for head in &heads[1..] {
        let bound = rng.usize(0..=head.params);
        let closure = Signature { params: head.slots[bound..head.params].to_vec(), result: head.result };
        if !closures.contains(&closure) {
            closures.push(closure);
        }
    }
    closures
}

/// The program of a seed.
pub fn program(seed: u64) -> Program {
    let rng = &mut Rng::with_seed(seed);
    let heap = rng.u8(0..9) < 4;
    let count = if heap { rng.usize(2..6) } else { rng.usize(1..5) };
    let has_back = rng.u8(0..3) == 0;
    let mut heads: Vec<Func> = (0..count).map(|index| head(rng, index, false, heap)).collect();
    if has_back {
        heads.push(head(rng, count, true, heap));
    }
    let closures = if heap { closures(rng, &heads) } else { vec![] };
    for head in &mut heads {
        head.slots.extend((0..closures.len()).map(Ty::Fn));
    }
    let tables: Vec<Vec<i64>> = (0..rng.usize(1..4)).map(|_| vec![0; rng.usize(0..9)]).collect();
    let tables = tables.into_iter().map(|table| table.into_iter().map(|_| int(rng)).collect()).collect::<Vec<_>>();
    let mut funcs = heads.clone();
    for (index, func) in funcs.iter_mut().enumerate() {
        func.body = body(rng, &heads, index, tables.len(), has_back, heap, &closures);
    }
    let globals = &GLOBALS[..if heap { GLOBALS.len() } else { PLAIN_GLOBALS }];
    let globals = globals.iter().map(|&ty| initial(rng, ty, heap)).collect();
    let params = &heads[0].slots[..heads[0].params];
    let calls = (0..if heap { 8 } else { 3 })
        .map(|_| {
            let rest = params[1..].iter().map(|&ty| bits(rng, ty)).collect::<Vec<_>>();
            std::iter::once(rng.u64(0..7)).chain(rest).collect()
        })
        .collect();
    Program { funcs, tables, heap, closures, globals, stack_words: STACK_WORDS, fuel: None, calls }
}

fn body(
    rng: &mut Rng,
    heads: &[Func],
    index: usize,
    tables: usize,
    has_back: bool,
    heap: bool,
    closures: &[Signature],
) -> Vec<Stmt> {
    let func = &heads[index];
    let counters = func.params..func.params + NEST + 1;
    let of = |ty: Ty, fixed: bool| {
        (0..func.slots.len())
            .filter(|slot| func.slots[*slot] == ty && (fixed || (*slot != 0 && !counters.contains(slot))))
            .map(|slot| slot as u16)
            .collect::<Vec<_>>()
    };
    let types: std::collections::BTreeSet<Ty> = func.slots.iter().copied().collect();
    let mut reads: BTreeMap<Ty, Vec<u16>> = types.iter().map(|&ty| (ty, of(ty, true))).collect();
    let mut writes: BTreeMap<Ty, Vec<u16>> = types.iter().map(|&ty| (ty, of(ty, false))).collect();
    for (ty, writes) in &mut writes {
        rng.shuffle(writes);
        // The registers that are liked when written are liked when read, so that values meet.
        let like = |slot: &u16| writes.iter().position(|write| write == slot).unwrap_or(2);
        reads.get_mut(ty).expect("the same types").sort_by_key(like);
    }
    let mut start = Vec::new();
    for (&ty, writes) in writes.iter().filter(|(ty, _)| matches!(ty, Ty::I64 | Ty::F64 | Ty::Any)) {
        for &dest in writes.iter().filter(|slot| usize::from(**slot) >= func.params) {
            if rng.u8(0..4) == 0 {
                continue;
            }
            let constants = if heap { CELLS.len() } else { PLAIN_CELLS };
            let value = bits(rng, ty);
            start.push(Stmt::Do(match ty {
                Ty::Any => Ins::CellConst { dest, value: rng.usize(0..constants) },
                _ => {
                    let small = i32::try_from(value as i64).is_ok();
                    let wanted = match ty {
                        Ty::F64 => Operand::PoolF64,
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
    let numbers = [Ty::I64, Ty::F64].map(|ty| writes[&ty].clone());
    let cold = if numbers.iter().all(|writes| writes.len() >= WIDE) && (heap || rng.u8(0..4) > 0) { warmed } else { 0 };
    if cold > 0 {
        start.push(warm_up(func, &numbers));
    }
    let budget = if rng.u8(0..4) == 0 { 60 } else { 25 };
    let budget = if heap { 2 * budget } else { budget };
    let mut context = Context {
        rng,
        heads,
        heap,
        closures,
        tables,
        index,
        has_back,
        reads,
        writes,
        counters: func.params as u16,
        budget,
        loops: 0,
        may_recurse: true,
        focus: None,
        cold,
    };
    if heap {
        context.objects(&mut start);
        if context.rng.u8(0..4) == 0 {
            context.finale(&mut start);
        }
    }
    let statements = context.rng.usize(3..if heap { 40 } else { 20 });
    start.extend(context.block(statements, 0));
    if heap && context.rng.bool() {
        context.burst(&mut start);
    }
    if heap && context.rng.u8(0..4) > 0 {
        context.finale(&mut start);
    }
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
