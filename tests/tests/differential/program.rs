//! Programs: statements as the generator makes them, the ops they are lowered to, and their text.

use opstamp::TypeId;
use opstamp::vm3::op::{Bank, Op, Operand};
use opstamp_tests::{Pure, digest, host};
use std::fmt::Write;

/// The type of a register, a global or a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ty {
    I64,
    F64,
    Any,
    Str,
    ArrI64,
    ArrF64,
    ArrU8,
    List,
    IMap,
    Map,
    /// An object, by its place in [`SHAPES`].
    Obj(usize),
    /// A closure, by its place in [`Program::closures`].
    Fn(usize),
}

impl Ty {
    pub fn bank(self) -> Bank {
        match self {
            Self::I64 => Bank::I64,
            Self::F64 => Bank::F64,
            _ => Bank::Cell,
        }
    }
}

/// The types of cells that are no closures.
pub const CELL_TYPES: [Ty; 10] =
    [Ty::Any, Ty::Str, Ty::ArrI64, Ty::ArrF64, Ty::ArrU8, Ty::List, Ty::IMap, Ty::Map, Ty::Obj(0), Ty::Obj(1)];

/// The shapes of programs with a heap, with their fields. They share the fields that a digest reads, in other places and of
/// other types.
pub const SHAPES: [(&str, &[(&str, Ty)]); 2] = [
    (
        "P",
        &[
            ("i", Ty::I64),
            ("f", Ty::F64),
            ("a", Ty::Any),
            ("s", Ty::Str),
            ("l", Ty::List),
            ("o", Ty::Obj(0)),
            ("x", Ty::I64),
        ],
    ),
    (
        "Q",
        &[
            ("a", Ty::Any),
            ("x", Ty::F64),
            ("i", Ty::F64),
            ("o", Ty::Obj(0)),
            ("f", Ty::Any),
            ("m", Ty::Map),
            ("k", Ty::I64),
        ],
    ),
];

/// The names that `prop.get` and `prop.set` ask for; the last is no field.
pub const NAMES: [&str; 8] = ["i", "f", "a", "x", "s", "o", "l", "z"];

/// A signature of closures.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    pub params: Vec<Ty>,
    pub result: Option<Ty>,
}

/// Globals that every program has.
pub const PLAIN_GLOBALS: usize = 7;

/// Globals; those behind the first [`PLAIN_GLOBALS`] are of programs with a heap.
pub const GLOBALS: [Ty; 13] = [
    Ty::I64,
    Ty::I64,
    Ty::I64,
    Ty::F64,
    Ty::F64,
    Ty::Any,
    Ty::Any,
    Ty::Str,
    Ty::ArrI64,
    Ty::List,
    Ty::Map,
    Ty::IMap,
    Ty::Obj(0),
];

/// The host functions that programs import.
pub const IMPORTS: [&str; 11] = [
    "h_none",
    "h_mix",
    "h_scale",
    "h_same",
    "h_many",
    "h_silent",
    "h_trap",
    "h_trap_none",
    "h_trap_f64",
    "h_trap_any",
    "h_back",
];
/// The place of `h_back` in [`IMPORTS`]; it calls the function [`BACK`].
pub const H_BACK: usize = 10;
/// The function that `h_back` calls, if there is one.
pub const BACK: &str = "back";

/// Cell constants, as they are written. Those behind the first [`PLAIN_CELLS`] need a heap.
pub const CELLS: [&str; 16] = [
    "true",
    "false",
    "0",
    "-140737488355328",
    "1.5",
    "nan",
    "\"\"",
    "\"abcde\"",
    "\"\\0\"",
    "140737488355328",
    "-9223372036854775808",
    "\"abcdef\"",
    "\"a longer constant of many words\"",
    "7",
    "\"12\"",
    "\"-1234567\"",
];
/// Constants that lie in their cells.
pub const PLAIN_CELLS: usize = 9;

/// The value of a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'static [u8]),
}

/// The values of [`CELLS`].
pub fn constant(index: usize) -> Constant {
    use Constant::{Bool, Float, Int, Str};
    [
        Bool(true),
        Bool(false),
        Int(0),
        Int(-(1 << 47)),
        Float(1.5),
        Float(f64::NAN),
        Str(b""),
        Str(b"abcde"),
        Str(b"\0"),
        Int(1 << 47),
        Int(i64::MIN),
        Str(b"abcdef"),
        Str(b"a longer constant of many words"),
        Int(7),
        Str(b"12"),
        Str(b"-1234567"),
    ][index]
}

/// The initial value of a global.
#[derive(Clone, Copy, Debug)]
pub enum Init {
    /// Of a number, or null.
    Bits(u64),
    /// A constant of [`CELLS`].
    Constant(usize),
}

/// The parameter types and the result of a host function, as its [`opstamp::HostFn`] states them.
pub fn import(index: usize) -> (Vec<Ty>, Option<Ty>) {
    let imports = host::imports();
    let found = imports.iter().find(|known| known.name == IMPORTS[index]).expect("a host function of the suite");
    let ty = |ty: &TypeId| match ty.bank() {
        Bank::I64 => Ty::I64,
        Bank::F64 => Ty::F64,
        Bank::Cell => Ty::Any,
    };
    (found.params.iter().map(ty).collect(), (found.result != TypeId::NONE).then(|| ty(&found.result)))
}

/// An operand of a heap op.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    Reg(u16),
    Literal(i16),
    /// The place of a field in its shape, and its name.
    Field(usize, &'static str),
    /// The name of a property.
    Name(&'static str),
}

/// An op. Registers are slots, targets and positions are op indices.
#[derive(Clone, Debug)]
pub enum Ins {
    Pure {
        index: usize,
        dest: u16,
        sources: [u16; 3],
        literal: u64,
    },
    Branch {
        index: usize,
        sources: [u16; 3],
        literal: u64,
        target: usize,
    },
    BrNull {
        nonnull: bool,
        source: u16,
        target: usize,
    },
    Jump {
        target: usize,
    },
    Switch {
        source: u16,
        targets: Vec<usize>,
        default: usize,
    },
    Nop,
    Deopt,
    CellMov {
        dest: u16,
        source: u16,
    },
    CellNull {
        dest: u16,
    },
    CellConst {
        dest: u16,
        value: usize,
    },
    Table {
        dest: u16,
        table: usize,
        source: u16,
    },
    GlobalGet {
        dest: u16,
        global: usize,
    },
    GlobalSet {
        global: usize,
        source: u16,
    },
    Call {
        dest: Option<u16>,
        func: usize,
        args: Vec<u16>,
    },
    Tail {
        func: usize,
        args: Vec<u16>,
    },
    Host {
        dest: Option<u16>,
        import: usize,
        args: Vec<u16>,
    },
    /// An op on the heap, with its operands in the order of its row.
    Heap {
        op: Op,
        args: Vec<Arg>,
    },
    FnNew {
        dest: u16,
        func: usize,
        args: Vec<u16>,
    },
    FnCall {
        dest: Option<u16>,
        closure: u16,
        args: Vec<u16>,
    },
    Ret {
        source: Option<u16>,
    },
    Unreachable,
    User {
        number: u16,
    },
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    Do(Ins),
    /// The counter runs from `trips` down to 0, or up from 0 with the test at the head.
    Loop {
        counter: u16,
        trips: i16,
        up: bool,
        body: Vec<Stmt>,
    },
    /// The branch, whose target is filled in, goes to `then`.
    If {
        branch: Ins,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    /// `targets` are places in `arms`, as is `default`.
    Switch {
        source: u16,
        targets: Vec<usize>,
        default: usize,
        arms: Vec<Vec<Stmt>>,
    },
}

#[derive(Clone, Debug)]
pub struct Func {
    pub name: String,
    /// The types of all slots: the parameters, then the locals by bank.
    pub slots: Vec<Ty>,
    pub params: usize,
    pub result: Option<Ty>,
    pub body: Vec<Stmt>,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub funcs: Vec<Func>,
    pub tables: Vec<Vec<i64>>,
    /// Whether it works on the heap. It has a digest then.
    pub heap: bool,
    /// The types of its closures.
    pub closures: Vec<Signature>,
    /// The initial values of the first globals of [`GLOBALS`], which it has.
    pub globals: Vec<Init>,
    pub stack_words: usize,
    /// The fuel of each call, if fuel is counted.
    pub fuel: Option<u64>,
    /// Arguments of the calls of the first function, as bits.
    pub calls: Vec<Vec<u64>>,
}

/// A function's ops with their loop depths.
pub struct Lowered {
    pub code: Vec<Ins>,
    pub depths: Vec<u32>,
}

impl Func {
    /// The function's ops. Every function ends with a `ret`.
    pub fn lower(&self) -> Lowered {
        let mut lowered = Lowered { code: Vec::new(), depths: Vec::new() };
        lowered.block(&self.body, 0);
        let of_type = |ty| self.slots.iter().position(|&slot| slot == ty).map(|slot| slot as u16);
        lowered.push(Ins::Ret { source: self.result.and_then(of_type) }, 0);
        lowered
    }
}

impl Lowered {
    fn push(&mut self, ins: Ins, depth: u32) -> usize {
        self.code.push(ins);
        self.depths.push(depth);
        self.code.len() - 1
    }

    fn block(&mut self, block: &[Stmt], depth: u32) {
        for stmt in block {
            match stmt {
                Stmt::Do(ins) => {
                    self.push(ins.clone(), depth);
                }
                Stmt::Loop { counter, trips, up, body } => self.lower_loop(*counter, *trips, *up, body, depth),
                Stmt::If { branch, then, otherwise } => {
                    let at = self.push(branch.clone(), depth);
                    self.block(otherwise, depth);
                    let jump = self.push(Ins::Jump { target: 0 }, depth);
                    self.aim(at, self.code.len());
                    self.block(then, depth);
                    self.aim(jump, self.code.len());
                }
                Stmt::Switch { source, targets, default, arms } => {
                    let at = self.push(Ins::Nop, depth);
                    let mut starts = Vec::new();
                    let mut jumps = Vec::new();
                    for arm in arms {
                        starts.push(self.code.len());
                        self.block(arm, depth);
                        jumps.push(self.push(Ins::Jump { target: 0 }, depth));
                    }
                    jumps.into_iter().for_each(|jump| self.aim(jump, self.code.len()));
                    let targets = targets.iter().map(|&arm| starts[arm]).collect();
                    self.code[at] = Ins::Switch { source: *source, targets, default: starts[*default] };
                }
            }
        }
    }

    fn lower_loop(&mut self, counter: u16, trips: i16, up: bool, body: &[Stmt], depth: u32) {
        let constant = |mnemonic: &str, literal: Operand| {
            pures().iter().position(|pure| pure.mnemonic == mnemonic && pure.literal == Some(literal)).expect("an op")
        };
        let literal = |value: i64| value as u64;
        let set = |value: i64| Ins::Pure {
            index: constant("i64.const", Operand::Imm32),
            dest: counter,
            sources: [0; 3],
            literal: literal(value),
        };
        let step = |mnemonic: &str| Ins::Pure {
            index: constant(mnemonic, Operand::Imm16),
            dest: counter,
            sources: [counter, 0, 0],
            literal: 1,
        };
        let branch = |mnemonic: &str, value: i64, target: usize| Ins::Branch {
            index: constant(mnemonic, Operand::Imm16),
            sources: [counter, 0, 0],
            literal: literal(value),
            target,
        };
        if up {
            self.push(set(0), depth);
            let head = self.push(branch("br.i64.ge", trips.into(), 0), depth + 1);
            self.block(body, depth + 1);
            self.push(step("i64.add"), depth + 1);
            self.push(Ins::Jump { target: head }, depth + 1);
            self.aim(head, self.code.len());
        } else {
            self.push(set(trips.into()), depth);
            let head = self.code.len();
            self.block(body, depth + 1);
            self.push(step("i64.sub"), depth + 1);
            self.push(branch("br.i64.gt", 0, head), depth + 1);
        }
    }

    fn aim(&mut self, at: usize, place: usize) {
        match &mut self.code[at] {
            Ins::Branch { target, .. } | Ins::BrNull { target, .. } | Ins::Jump { target } => *target = place,
            other => unreachable!("{other:?} has no target"),
        }
    }
}

/// The computing ops and branches of the op table.
pub fn pures() -> &'static [Pure] {
    static PURES: std::sync::OnceLock<Vec<Pure>> = std::sync::OnceLock::new();
    PURES.get_or_init(|| Pure::all().collect())
}

fn by_bank(bank: Option<Bank>, ops: [Op; 4]) -> Op {
    match bank {
        None => ops[0],
        Some(Bank::I64) => ops[1],
        Some(Bank::F64) => ops[2],
        Some(Bank::Cell) => ops[3],
    }
}

impl Ins {
    /// The row that the assembler must choose for it, in `func`.
    pub fn op(&self, func: &Func) -> Op {
        let bank = |dest: &Option<u16>| dest.map(|slot| func.slots[usize::from(slot)].bank());
        match self {
            Self::Pure { index, .. } | Self::Branch { index, .. } => pures()[*index].op,
            Self::BrNull { nonnull: false, .. } => Op::BrNull,
            Self::BrNull { nonnull: true, .. } => Op::BrNonnull,
            Self::Jump { .. } => Op::Jump,
            Self::Switch { .. } => Op::Switch,
            Self::Nop => Op::Nop,
            Self::Deopt => Op::Deopt,
            Self::CellMov { .. } => Op::CellMov,
            Self::CellNull { .. } => Op::CellNull,
            Self::CellConst { .. } => Op::CellConst,
            Self::Table { .. } => Op::TableGet,
            Self::GlobalGet { global, .. } => {
                by_bank(Some(GLOBALS[*global].bank()), [Op::Nop, Op::GlobalGetI64, Op::GlobalGetF64, Op::GlobalGetCell])
            }
            Self::GlobalSet { global, .. } => {
                by_bank(Some(GLOBALS[*global].bank()), [Op::Nop, Op::GlobalSetI64, Op::GlobalSetF64, Op::GlobalSetCell])
            }
            Self::Call { dest, .. } => by_bank(bank(dest), [Op::Call, Op::CallI64, Op::CallF64, Op::CallCell]),
            Self::Tail { .. } => Op::Tail,
            Self::Host { dest, .. } => by_bank(bank(dest), [Op::Host, Op::HostI64, Op::HostF64, Op::HostCell]),
            Self::Ret { source } => by_bank(bank(source), [Op::Ret, Op::RetI64, Op::RetF64, Op::RetCell]),
            Self::Heap { op, .. } => *op,
            Self::FnNew { .. } => Op::FnNew,
            Self::FnCall { dest, .. } => {
                by_bank(bank(dest), [Op::FnCall, Op::FnCallI64, Op::FnCallF64, Op::FnCallCell])
            }
            Self::Unreachable => Op::TrapUnreachable,
            Self::User { .. } => Op::TrapUser,
        }
    }

    /// The registers that it names, with the place of the operand in its row.
    pub fn registers(&self) -> Vec<(usize, u16)> {
        match self {
            Self::Pure { index, dest, sources, .. } => {
                let count = pures()[*index].source_count();
                std::iter::once((0, *dest)).chain((1..).zip(sources.iter().copied().take(count))).collect()
            }
            Self::Branch { index, sources, .. } => {
                (0..).zip(sources.iter().copied().take(pures()[*index].source_count())).collect()
            }
            Self::BrNull { source, .. } | Self::Switch { source, .. } => vec![(0, *source)],
            Self::Jump { .. } | Self::Nop | Self::Deopt | Self::Unreachable | Self::User { .. } => vec![],
            Self::CellMov { dest, source } => vec![(0, *dest), (1, *source)],
            Self::CellNull { dest } | Self::CellConst { dest, .. } | Self::GlobalGet { dest, .. } => vec![(0, *dest)],
            Self::Table { dest, source, .. } => vec![(0, *dest), (2, *source)],
            Self::GlobalSet { source, .. } => vec![(1, *source)],
            Self::Call { dest, args, .. } | Self::Host { dest, args, .. } => {
                let args_place = if dest.is_some() { 2 } else { 1 };
                dest.iter().map(|&dest| (0, dest)).chain(args.iter().map(|&arg| (args_place, arg))).collect()
            }
            Self::Tail { args, .. } => args.iter().map(|&arg| (1, arg)).collect(),
            Self::Heap { args, .. } => {
                let register = |(place, arg): (usize, &Arg)| match arg {
                    Arg::Reg(slot) => Some((place, *slot)),
                    _ => None,
                };
                args.iter().enumerate().filter_map(register).collect()
            }
            Self::FnNew { dest, args, .. } => {
                std::iter::once((0, *dest)).chain(args.iter().map(|&arg| (2, arg))).collect()
            }
            Self::FnCall { dest, closure, args } => {
                let first = usize::from(dest.is_some());
                let fixed = dest.iter().map(|&dest| (0, dest)).chain([(first, *closure)]);
                fixed.chain(args.iter().map(|&arg| (first + 1, arg))).collect()
            }
            Self::Ret { source } => source.iter().map(|&source| (0, source)).collect(),
        }
    }

    fn targets(&self) -> Vec<usize> {
        match self {
            Self::Branch { target, .. } | Self::BrNull { target, .. } | Self::Jump { target } => vec![*target],
            Self::Switch { targets, default, .. } => targets.iter().copied().chain([*default]).collect(),
            _ => vec![],
        }
    }
}

fn type_name(ty: Ty, closures: &[Signature]) -> String {
    match ty {
        Ty::I64 => "i64".into(),
        Ty::F64 => "f64".into(),
        Ty::Any => "any".into(),
        Ty::Str => "str".into(),
        Ty::ArrI64 => "arr.i64".into(),
        Ty::ArrF64 => "arr.f64".into(),
        Ty::ArrU8 => "arr.u8".into(),
        Ty::List => "list".into(),
        Ty::IMap => "imap".into(),
        Ty::Map => "map".into(),
        Ty::Obj(shape) => format!("obj {}", SHAPES[shape].0),
        Ty::Fn(index) => {
            let Signature { params, result } = &closures[index];
            let params: Vec<_> = params.iter().map(|&ty| type_name(ty, closures)).collect();
            format!("fn({}){}", params.join(", "), result_name(*result, closures))
        }
    }
}

fn result_name(result: Option<Ty>, closures: &[Signature]) -> String {
    result.map_or(String::new(), |ty| format!(" -> {}", type_name(ty, closures)))
}

fn float(bits: u64) -> String {
    let value = f64::from_bits(bits);
    if value.is_nan() { "nan".into() } else { format!("{value:?}") }
}

fn list(registers: &[u16]) -> String {
    registers.iter().map(|slot| format!("r{slot}")).collect::<Vec<_>>().join(", ")
}

impl Program {
    /// The program in vm3's text form.
    pub fn text(&self, lowered: &[Lowered]) -> String {
        let mut text = String::new();
        if self.heap {
            for (name, fields) in SHAPES {
                let fields: Vec<_> =
                    fields.iter().map(|(name, ty)| format!("{name}: {}", type_name(*ty, &self.closures))).collect();
                let _ = writeln!(text, "shape {name} {{ {} }}", fields.join(", "));
            }
        }
        for (index, (&ty, init)) in GLOBALS.iter().zip(&self.globals).enumerate() {
            let initial = match (init, ty) {
                (Init::Constant(constant), _) => CELLS[*constant].into(),
                (Init::Bits(bits), Ty::I64) => (*bits as i64).to_string(),
                (Init::Bits(bits), Ty::F64) => float(*bits),
                _ => String::new(),
            };
            let equals = if initial.is_empty() { "" } else { " = " };
            let _ = writeln!(text, "global g{index}: {}{equals}{initial}", type_name(ty, &self.closures));
        }
        for (index, table) in self.tables.iter().enumerate() {
            let _ = writeln!(text, "table t{index} = {table:?}");
        }
        for (index, name) in IMPORTS.iter().enumerate() {
            let (params, result) = import(index);
            let params: Vec<_> = params.into_iter().map(|ty| type_name(ty, &self.closures)).collect();
            let result = result_name(result, &self.closures);
            let _ = writeln!(text, "import {name}({}){result}", params.join(", "));
        }
        for (func, lowered) in self.funcs.iter().zip(lowered) {
            self.write_func(&mut text, func, lowered);
        }
        if self.heap {
            text.push_str(digest::GUEST);
        }
        text
    }

    fn write_func(&self, text: &mut String, func: &Func, lowered: &Lowered) {
        let typed = |slots: std::ops::Range<usize>| {
            let named = slots.map(|slot| format!("r{slot}: {}", type_name(func.slots[slot], &self.closures)));
            named.collect::<Vec<_>>().join(", ")
        };
        let result = result_name(func.result, &self.closures);
        let _ = writeln!(text, "func {}({}){result}", func.name, typed(0..func.params));
        if func.params < func.slots.len() {
            let _ = writeln!(text, "  local {}", typed(func.params..func.slots.len()));
        }
        let targets: std::collections::BTreeSet<usize> = lowered.code.iter().flat_map(Ins::targets).collect();
        for (place, ins) in lowered.code.iter().enumerate() {
            if targets.contains(&place) {
                let _ = writeln!(text, "L{place}:");
            }
            let _ = write!(text, "  ");
            self.write_ins(text, ins);
            text.push('\n');
        }
        text.push_str("end\n");
    }

    fn write_ins(&self, text: &mut String, ins: &Ins) {
        let to = |dest: &Option<u16>| dest.map_or(String::new(), |dest| format!("r{dest}, "));
        let _ = match ins {
            Ins::Pure { index, dest, sources, literal } => {
                let pure = &pures()[*index];
                write_pure(text, pure, std::iter::once(dest).chain(&sources[..pure.source_count()]), *literal)
            }
            Ins::Branch { index, sources, literal, target } => {
                let pure = &pures()[*index];
                let _ = write_pure(text, pure, &sources[..pure.source_count()], *literal);
                write!(text, ", L{target}")
            }
            Ins::BrNull { nonnull, source, target } => {
                write!(text, "br.{} r{source}, L{target}", if *nonnull { "nonnull" } else { "null" })
            }
            Ins::Jump { target } => write!(text, "jump L{target}"),
            Ins::Switch { source, targets, default } => {
                let targets: Vec<_> = targets.iter().map(|target| format!("L{target}")).collect();
                write!(text, "switch r{source}, [{}], L{default}", targets.join(", "))
            }
            Ins::Nop => write!(text, "nop"),
            Ins::Deopt => write!(text, "deopt"),
            Ins::CellMov { dest, source } => write!(text, "cell.mov r{dest}, r{source}"),
            Ins::CellNull { dest } => write!(text, "cell.null r{dest}"),
            Ins::CellConst { dest, value } => write!(text, "cell.const r{dest}, {}", CELLS[*value]),
            Ins::Table { dest, table, source } => write!(text, "table.get r{dest}, t{table}, r{source}"),
            Ins::GlobalGet { dest, global } => write!(text, "global.get r{dest}, g{global}"),
            Ins::GlobalSet { global, source } => write!(text, "global.set g{global}, r{source}"),
            Ins::Call { dest, func, args } => {
                write!(text, "call {}{}({})", to(dest), self.funcs[*func].name, list(args))
            }
            Ins::Tail { func, args } => write!(text, "tail {}({})", self.funcs[*func].name, list(args)),
            Ins::Host { dest, import, args } => write!(text, "host {}{}({})", to(dest), IMPORTS[*import], list(args)),
            Ins::Heap { op, args } => {
                let operands: Vec<_> = args
                    .iter()
                    .map(|arg| match arg {
                        Arg::Reg(slot) => format!("r{slot}"),
                        Arg::Literal(value) => value.to_string(),
                        Arg::Field(_, name) => (*name).into(),
                        Arg::Name(name) => format!("{name:?}"),
                    })
                    .collect();
                write!(text, "{} {}", op.info().expect("a row").mnemonic, operands.join(", "))
            }
            Ins::FnNew { dest, func, args } => {
                write!(text, "fn.new r{dest}, {}({})", self.funcs[*func].name, list(args))
            }
            Ins::FnCall { dest, closure, args } => write!(text, "fn.call {}r{closure}({})", to(dest), list(args)),
            Ins::Ret { source: None } => write!(text, "ret"),
            Ins::Ret { source: Some(source) } => write!(text, "ret r{source}"),
            Ins::Unreachable => write!(text, "trap unreachable"),
            Ins::User { number } => write!(text, "trap user({number})"),
        };
    }
}

fn write_pure<'r>(
    text: &mut String,
    pure: &Pure,
    registers: impl IntoIterator<Item = &'r u16>,
    literal: u64,
) -> std::fmt::Result {
    let mut operands: Vec<_> = registers.into_iter().map(|slot| format!("r{slot}")).collect();
    match pure.literal {
        None => {}
        Some(Operand::PoolF64) => operands.push(float(literal)),
        Some(_) => operands.push((literal as i64).to_string()),
    }
    write!(text, "{} {}", pure.mnemonic, operands.join(", "))
}
