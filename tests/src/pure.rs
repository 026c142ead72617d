//! Cases for every op that computes a value from registers and a literal, and for every conditional branch: all derived
//! from the op table and the oracle.

use crate::func::{Body, LEAF, Name, Text};
use crate::oracle::{Eval, canonical, oracle};
use crate::values::{FLOATS, FLOATS_FEW, FLOATS_LEAST, INTS, INTS_FEW, INTS_LEAST, LITERALS, LITERALS_FEW};
use crate::{Case, Expect, Maker, Visit};
use opstamp::vm3::op::{Access, Bank, Flags, OPS, Op, Operand};
use opstamp::{Trap, Value};

/// Functions in a module.
const CHUNK: usize = 32;
/// Register operands of an op, at most: a destination and three sources.
const REGS: usize = 4;

/// An op that the oracle can compute, by its operands.
#[derive(Clone, Copy)]
pub struct Pure {
    /// The op.
    pub op: Op,
    /// Its mnemonic.
    pub mnemonic: &'static str,
    /// Its meaning.
    pub eval: Eval,
    /// The bank of the destination; `None` for a branch.
    pub dest: Option<Bank>,
    /// The banks of the source registers.
    pub sources: [Option<Bank>; 3],
    /// The literal operand.
    pub literal: Option<Operand>,
    /// For an op with operands that are no numbers: how it is written.
    pub around: Option<Around>,
}

/// How an op is written that also has operands which are no numbers.
#[derive(Clone, Copy)]
pub struct Around {
    /// Declarations of the registers for them.
    pub locals: &'static str,
    /// Ops before it, a line each.
    pub before: &'static str,
    /// The op, with `$0`, `$1`, ... for the operands that are numbers, the destination first.
    pub line: &'static str,
    /// Ops behind it, a line each: if the op has no destination that is a number, they write the i64 `d`.
    pub after: &'static str,
}

impl Pure {
    /// All such ops of the table.
    pub fn all() -> impl Iterator<Item = Pure> {
        OPS.iter().filter(|row| row.flags == Flags::NONE || row.flags == Flags::BRANCHES).filter_map(|row| {
            let mut pure = Pure {
                op: row.op,
                mnemonic: row.mnemonic,
                eval: oracle(row.mnemonic)?,
                dest: None,
                sources: [None; 3],
                literal: None,
                around: None,
            };
            let mut count = 0;
            for operand in row.operands {
                match *operand {
                    Operand::Reg(_, Bank::Cell, _) => return None,
                    Operand::Reg(Access::Write, bank, _) => pure.dest = Some(bank),
                    Operand::Reg(_, bank, _) => {
                        *pure.sources.get_mut(count)? = Some(bank);
                        count += 1;
                    }
                    Operand::Imm16 | Operand::Imm32 | Operand::PoolI64 | Operand::PoolF64 => {
                        pure.literal = Some(*operand);
                    }
                    Operand::Label => {}
                    _ => return None,
                }
            }
            Some(pure)
        })
    }

    /// Whether it is a branch.
    fn branches(&self) -> bool {
        self.dest.is_none() && self.around.is_none()
    }

    /// The number of source registers.
    pub fn source_count(&self) -> usize {
        self.sources.iter().flatten().count()
    }

    /// The banks of the register operands, destination first.
    fn operands(&self) -> impl Iterator<Item = Bank> + '_ {
        self.dest.into_iter().chain(self.sources.iter().flatten().copied())
    }

    fn literals(&self, few: bool) -> impl Iterator<Item = u64> {
        let short = if few { LITERALS_FEW } else { LITERALS };
        let (literal, count) = match self.literal {
            None => (None, 1),
            Some(Operand::Imm16) => (self.literal, short.len()),
            Some(Operand::PoolF64) => (self.literal, FLOATS.len()),
            Some(_) => (self.literal, INTS.len()),
        };
        (0..count).filter_map(move |index| match literal {
            None => Some(0),
            Some(Operand::Imm16) => Some(i64::from(short[index]) as u64),
            Some(Operand::PoolF64) => Some(FLOATS[index].to_bits()),
            Some(kind) => {
                let fits = i32::try_from(INTS[index]).is_ok();
                (fits == (kind == Operand::Imm32)).then_some(INTS[index] as u64)
            }
        })
    }
}

/// How much of the values a variant is tried on.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    All,
    Few,
}

/// One way to write the op into a function.
#[derive(Clone, Copy)]
struct Variant {
    /// For each register operand, destination first, the register it names: equal numbers are the same register.
    names: [u8; REGS],
    /// The bits of the literal.
    literal: u64,
    extent: Extent,
    /// `None`: the sources are parameters and nothing else is in the function.
    heat: Option<Heat>,
    /// A branch goes backward.
    backward: bool,
}

/// Which registers are worth a machine register.
#[derive(Clone, Copy)]
struct Heat {
    /// The registers, by number, that are used in the inner loop.
    hot: u8,
    /// The sources are copied to locals first, and are compared with the parameters afterwards.
    locals: bool,
    /// The function calls another.
    call: bool,
}

/// The numberings of `banks` by restricted growth: every way in which operands of one bank can be the same register.
fn numberings(banks: &[Bank], visit: &mut dyn FnMut([u8; REGS], usize)) {
    fn extend(banks: &[Bank], names: &mut [u8; REGS], at: usize, used: u8, visit: &mut dyn FnMut([u8; REGS], usize)) {
        if at == banks.len() {
            return visit(*names, used.into());
        }
        for name in 0..=used {
            let fits = (0..at).all(|other| names[other] != name || banks[other] == banks[at]);
            if fits {
                names[at] = name;
                extend(banks, names, at + 1, used.max(name + 1), visit);
            }
        }
    }
    extend(banks, &mut [0; REGS], 0, 0, visit);
}

fn variants(pure: &Pure, visit: &mut dyn FnMut(&Variant)) {
    let mut banks = [Bank::I64; REGS];
    let mut count = 0;
    for bank in pure.operands() {
        banks[count] = bank;
        count += 1;
    }
    let branch = pure.branches();
    numberings(&banks[..count], &mut |names, used| {
        let distinct = used == count;
        let extent = if distinct { Extent::All } else { Extent::Few };
        for literal in pure.literals(false) {
            visit(&Variant { names, literal, extent, heat: None, backward: false });
            if branch {
                visit(&Variant { names, literal, extent: Extent::Few, heat: None, backward: true });
            }
        }
        for literal in pure.literals(true) {
            for hot in 0..1u8 << used {
                let edge = hot == 0 || hot + 1 == 1 << used;
                let extent = if distinct && edge && pure.literal.is_none() { Extent::All } else { Extent::Few };
                let heat = Some(Heat { hot, locals: true, call: false });
                visit(&Variant { names, literal, extent, heat, backward: branch && hot % 2 == 1 });
                if distinct && edge {
                    for (locals, call) in [(false, false), (true, true), (false, true)] {
                        let heat = Some(Heat { hot, locals, call });
                        visit(&Variant { names, literal, extent: Extent::Few, heat, backward: false });
                    }
                }
            }
        }
    });
}

impl Variant {
    /// The registers that sources name, each once, in order, with their banks.
    fn read<'a>(&'a self, pure: &'a Pure) -> impl Iterator<Item = (u8, Bank)> + 'a {
        let first = usize::from(pure.dest.is_some());
        let sources = move |at: usize| (self.names[first + at], pure.sources[at].unwrap_or(Bank::I64));
        (0..pure.source_count()).filter(move |&at| (0..at).all(|old| sources(old).0 != sources(at).0)).map(sources)
    }

    /// Writes the function and gives the index of the op.
    fn write(&self, pure: &Pure, text: &mut Text<'_>, index: usize) -> u32 {
        let bank_name = |bank| if bank == Bank::I64 { "i64" } else { "f64" };
        let prefix = if self.heat.is_some_and(|heat| heat.locals) { "p" } else { "r" };
        text.put(format_args!("func v{index}("));
        for (at, (name, bank)) in self.read(pure).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            text.put(format_args!("{comma}{prefix}{name}: {}", bank_name(bank)));
        }
        text.put(format_args!(") -> {}\n", bank_name(pure.dest.unwrap_or(Bank::I64))));
        let mut body = Body::rest(text);
        let dest = pure.dest.map(|bank| (self.names[0], bank));
        if prefix == "p" {
            for (name, bank) in self.read(pure) {
                body.line(format_args!("  local r{name}: {}", bank_name(bank)));
            }
        }
        match dest {
            Some((name, bank)) if self.read(pure).all(|(read, _)| read != name) => {
                body.line(format_args!("  local r{name}: {}", bank_name(bank)));
            }
            None => body.line(format_args!("  local d: i64")),
            _ => {}
        }
        let both = [Bank::I64, Bank::F64];
        let banks = if pure.operands().any(|bank| bank == Bank::F64) || dest.is_some_and(|d| d.1 == Bank::F64) {
            &both[..]
        } else {
            &both[..1]
        };
        if let Some(around) = &pure.around {
            body.line(format_args!("  local {}", around.locals));
        }
        if let Some(heat) = self.heat {
            body.pressure_locals(banks);
            if heat.locals {
                body.line(format_args!("  local c1: i64, c2: i64"));
                for (name, bank) in self.read(pure) {
                    body.op(format_args!("{}.mov r{name}, p{name}", bank_name(bank)));
                }
            }
            let names = ["r0", "r1", "r2", "r3"];
            let mut hot = [("", Bank::I64); REGS];
            let mut count = 0;
            for (name, bank) in dest.into_iter().chain(self.read(pure)) {
                let known = hot[..count].iter().any(|known| known.0 == names[usize::from(name)]);
                if heat.hot >> name & 1 == 1 && !known {
                    hot[count] = (names[usize::from(name)], bank);
                    count += 1;
                }
            }
            body.pressure(banks, &hot[..count], heat.call);
        }
        if self.backward {
            body.op(format_args!("jump go"));
            body.line(format_args!("yes:"));
            body.op(format_args!("i64.const d, 1"));
            body.op(format_args!("jump done"));
            body.line(format_args!("go:"));
        }
        let place = match &pure.around {
            None => self.write_op(pure, &mut body),
            Some(around) => self.write_around(around, &mut body),
        };
        if pure.branches() {
            body.op(format_args!("i64.const d, 0"));
            if !self.backward {
                body.op(format_args!("jump done"));
                body.line(format_args!("yes:"));
                body.op(format_args!("i64.const d, 1"));
            }
            body.line(format_args!("done:"));
        }
        if let Some(heat) = self.heat {
            body.check(banks);
            if heat.locals {
                for (name, bank) in self.read(pure).filter(|read| dest.is_none_or(|dest| dest.0 != read.0)) {
                    if bank == Bank::I64 {
                        body.op(format_args!("br.i64.ne r{name}, p{name}, bad"));
                    } else {
                        body.op(format_args!("f64.bits c1, r{name}"));
                        body.op(format_args!("f64.bits c2, p{name}"));
                        body.op(format_args!("br.i64.ne c1, c2, bad"));
                    }
                }
            }
        }
        match dest {
            Some((name, _)) => body.op(format_args!("ret r{name}")),
            None => body.op(format_args!("ret d")),
        };
        if self.heat.is_some() {
            body.bad();
        }
        body.end();
        place
    }

    fn write_op(&self, pure: &Pure, body: &mut Body<'_, '_>) -> u32 {
        let mut line = [0; 96];
        let mut line = Text::new(&mut line);
        line.put(format_args!("{}", pure.mnemonic));
        let mut separator = " ";
        for (at, _) in pure.operands().enumerate() {
            line.put(format_args!("{separator}r{}", self.names[at]));
            separator = ", ";
        }
        match pure.literal {
            None => {}
            Some(Operand::PoolF64) => match f64::from_bits(self.literal) {
                value if value.is_nan() => line.put(format_args!("{separator}nan")),
                value => line.put(format_args!("{separator}{value:?}")),
            },
            Some(_) => line.put(format_args!("{separator}{}", self.literal as i64)),
        }
        if pure.dest.is_none() {
            line.put(format_args!(", yes"));
        }
        body.op(format_args!("{}", line.as_str()))
    }

    fn write_around(&self, around: &Around, body: &mut Body<'_, '_>) -> u32 {
        around.before.lines().for_each(|line| {
            body.op(format_args!("{line}"));
        });
        let mut line = [0; 96];
        let mut line = Text::new(&mut line);
        let mut pieces = around.line.split('$');
        line.put(format_args!("{}", pieces.next().unwrap_or("")));
        for piece in pieces {
            let (operand, rest) = piece.split_at(1);
            let operand: usize = operand.parse().unwrap_or(0);
            line.put(format_args!("r{}{rest}", self.names[operand]));
        }
        let place = body.op(format_args!("{}", line.as_str()));
        around.after.lines().for_each(|line| {
            body.op(format_args!("{line}"));
        });
        place
    }

    fn cases(&self, pure: &Pure, index: usize, place: u32, visit: &mut Visit<'_>) {
        let name = Name::new(format_args!("v{index}"));
        let mut read = [(0, Bank::I64); 3];
        let mut count = 0;
        for pair in self.read(pure) {
            read[count] = pair;
            count += 1;
        }
        let read = &read[..count];
        let (ints, floats) = match (self.extent, count) {
            (Extent::All, 0..=2) => (INTS, FLOATS),
            (Extent::All, _) | (Extent::Few, 0..=2) => (INTS_FEW, FLOATS_FEW),
            (Extent::Few, _) => (INTS_LEAST, FLOATS_LEAST),
        };
        let size = |at: usize| match read.get(at) {
            None => 1,
            Some((_, Bank::I64)) => ints.len(),
            Some(_) => floats.len(),
        };
        for all in 0..size(0) * size(1) * size(2) {
            let picks = [all % size(0), all / size(0) % size(1), all / size(0) / size(1)];
            let mut args = [Value::I64(0); 3];
            let mut bits = [0; REGS];
            for (at, &(_, bank)) in read.iter().enumerate() {
                args[at] = if bank == Bank::I64 { ints[picks[at]].into() } else { floats[picks[at]].into() };
            }
            let first = usize::from(pure.dest.is_some());
            let sources = pure.source_count();
            for (at, bits) in bits.iter_mut().enumerate().take(sources) {
                let which = read.iter().position(|pair| pair.0 == self.names[first + at]).unwrap_or(0);
                *bits = args[which].bits();
            }
            bits[sources] = self.literal;
            let expect = match (pure.eval)(&bits) {
                Ok(value) if pure.dest == Some(Bank::F64) => {
                    Expect::Returns(Some(Value::F64(f64::from_bits(canonical(value)))))
                }
                Ok(value) => Expect::Returns(Some(Value::I64(value as i64))),
                Err(kind) => Expect::Traps { trap: Trap::new(kind), func: name.as_str(), op: place },
            };
            visit(&Case { op: pure.op, func: name.as_str(), args: &args[..count], expect, globals: &[] });
        }
    }
}

pub(crate) fn groups(maker: &mut Maker<'_>) {
    for pure in Pure::all().chain(crate::heap::registers::ops()) {
        let mut total = 0;
        variants(&pure, &mut |_| total += 1);
        for start in (0..total).step_by(CHUNK) {
            let chunk = |visit: &mut dyn FnMut(usize, &Variant)| {
                let mut index = 0;
                variants(&pure, &mut |variant| {
                    if index >= start && index < start + CHUNK {
                        visit(index - start, variant);
                    }
                    index += 1;
                });
            };
            let name = Name::new(format_args!("{:?} {}", pure.op, start / CHUNK));
            maker.group(
                name.as_str(),
                None,
                |text| {
                    let mut places = [0; CHUNK];
                    text.put(format_args!("{LEAF}"));
                    if pure.around.is_some() {
                        text.put(format_args!("{}{}", crate::heap::registers::MODULE, crate::digest::GUEST));
                    }
                    chunk(&mut |index, variant| places[index] = variant.write(&pure, text, index));
                    places
                },
                |places, visit| chunk(&mut |index, variant| variant.cases(&pure, index, places[index], visit)),
            );
        }
    }
}
