//! Random statements on the heap: an op of the table, and often, before it, what makes it likely that it does not trap.

use crate::generate::{Context, STRINGS};
use crate::program::{Arg, CELL_TYPES, Ins, NAMES, SHAPES, Stmt, Ty, pures};
use opstamp::TrapKind;
use opstamp::vm3::op::{Access, Bank, CellClass, Flags, OPS, Op, OpInfo, Operand};

/// The rows of the heap ops that are no closures'.
fn rows() -> &'static [&'static OpInfo] {
    static ROWS: std::sync::OnceLock<Vec<&'static OpInfo>> = std::sync::OnceLock::new();
    ROWS.get_or_init(|| {
        let closures = |op: Op| matches!(op, Op::FnNew | Op::FnCall | Op::FnCallI64 | Op::FnCallF64 | Op::FnCallCell);
        OPS.iter().filter(|row| row.flags.has(Flags::HEAP) && !closures(row.op)).collect()
    })
}

/// The one type of registers of a class.
fn class_type(class: CellClass) -> Ty {
    match class {
        CellClass::Str => Ty::Str,
        CellClass::ArrI64 => Ty::ArrI64,
        CellClass::ArrF64 => Ty::ArrF64,
        CellClass::ArrU8 => Ty::ArrU8,
        CellClass::List => Ty::List,
        CellClass::IMap => Ty::IMap,
        CellClass::Map => Ty::Map,
        CellClass::Any | CellClass::AsDeclared | CellClass::Obj => Ty::Any,
    }
}

fn pure(mnemonic: &str, literal: Option<Operand>) -> usize {
    pures().iter().position(|pure| pure.mnemonic == mnemonic && pure.literal == literal).expect("an op")
}

impl Context<'_> {
    fn often(&mut self) -> bool {
        self.rng.u8(0..7) > 0
    }

    /// Fills most registers of cells with objects.
    pub fn objects(&mut self, block: &mut Vec<Stmt>) {
        for ty in CELL_TYPES.into_iter().chain((0..self.closures.len()).map(Ty::Fn)) {
            for dest in self.written(ty) {
                if self.rng.u8(0..20) > 0 {
                    self.object(ty, dest, block);
                }
            }
        }
    }

    /// Gives a register an object.
    fn object(&mut self, ty: Ty, dest: u16, block: &mut Vec<Stmt>) -> Option<()> {
        let length = if matches!(ty, Ty::IMap | Ty::Map) { 0 } else { self.rng.i16(4..9) };
        let op = match ty {
            Ty::I64 | Ty::F64 | Ty::Any => return None,
            Ty::Str => {
                let value = STRINGS[self.rng.usize(0..STRINGS.len())];
                block.push(Stmt::Do(Ins::CellConst { dest, value }));
                return Some(());
            }
            Ty::ArrI64 => Op::ArrI64NewLenK,
            Ty::ArrF64 => Op::ArrF64NewLenK,
            Ty::ArrU8 => Op::ArrU8NewLenK,
            Ty::List => Op::ListNewLenK,
            Ty::IMap => Op::IMapNewK,
            Ty::Map => Op::MapNewK,
            Ty::Obj(_) => {
                block.push(Stmt::Do(Ins::Heap { op: Op::ObjNew, args: vec![Arg::Reg(dest)] }));
                return Some(());
            }
            Ty::Fn(ty) => return self.fn_new(ty, dest, block),
        };
        block.push(Stmt::Do(Ins::Heap { op, args: vec![Arg::Reg(dest), Arg::Literal(length)] }));
        Some(())
    }

    fn fn_new(&mut self, ty: usize, dest: u16, block: &mut Vec<Stmt>) -> Option<()> {
        let closure = &self.closures[ty];
        // Functions behind this one, so that most programs end.
        let fitting: Vec<usize> = (self.index + 1..self.heads.len())
            .filter(|&func| {
                let head = &self.heads[func];
                head.result == closure.result && head.slots[..head.params].ends_with(&closure.params)
            })
            .collect();
        let func = *fitting.get(self.rng.usize(0..fitting.len().max(1)))?;
        let head = &self.heads[func];
        let bound = &head.slots[..head.params - closure.params.len()];
        let first = if bound.is_empty() { None } else { Some(self.bound(block)) };
        let args = self.args(first, bound)?;
        block.push(Stmt::Do(Ins::FnNew { dest, func, args }));
        Some(())
    }

    fn fn_call(&mut self, block: &mut Vec<Stmt>) -> Option<()> {
        if self.closures.is_empty() {
            return None;
        }
        let ty = self.rng.usize(0..self.closures.len());
        let closure = self.read(Ty::Fn(ty))?;
        let signature = &self.closures[ty];
        let first = if signature.params.first() == Some(&Ty::I64) { Some(self.bound(block)) } else { None };
        let args = self.args(first, &signature.params)?;
        let dest = self.result(signature.result)?;
        block.push(Stmt::Do(Ins::FnCall { dest, closure, args }));
        Some(())
    }

    /// Adds a statement on the heap, or nothing if the function lacks a register for it.
    pub fn heap_statement(&mut self, block: &mut Vec<Stmt>) {
        let _ = match self.rng.u8(0..20) {
            0 => self.fn_call(block),
            1 if !self.closures.is_empty() => {
                let ty = self.rng.usize(0..self.closures.len());
                self.write(Ty::Fn(ty)).and_then(|dest| self.fn_new(ty, dest, block))
            }
            _ => self.heap_op(block),
        };
    }

    /// `op d, s` with a literal.
    fn with_literal(&mut self, mnemonic: &str, dest: u16, source: u16, literal: i64, block: &mut Vec<Stmt>) {
        let index = pure(mnemonic, Some(Operand::Imm16));
        block.push(Stmt::Do(Ins::Pure { index, dest, sources: [source, 0, 0], literal: literal as u64 }));
    }

    /// A register with a small number that is not negative.
    fn small(&mut self, mask: i64, block: &mut Vec<Stmt>) -> Option<u16> {
        let source = self.read(Ty::I64)?;
        if !self.often() {
            return Some(source);
        }
        let dest = self.write(Ty::I64)?;
        self.with_literal("i64.and", dest, source, mask, block);
        Some(dest)
    }

    /// A register of type any with a cell of that type.
    fn boxed(&mut self, ty: Ty, block: &mut Vec<Stmt>) -> Option<u16> {
        let dest = self.write(Ty::Any)?;
        block.push(Stmt::Do(match ty {
            // Ints that do not fit in a cell, more often than registers have them.
            Ty::I64 if self.rng.u8(0..3) == 0 => Ins::CellConst { dest, value: self.rng.usize(9..11) },
            Ty::I64 => Ins::Heap { op: Op::BoxI64, args: vec![Arg::Reg(dest), Arg::Reg(self.read(ty)?)] },
            Ty::F64 => Ins::Heap { op: Op::BoxF64, args: vec![Arg::Reg(dest), Arg::Reg(self.read(ty)?)] },
            Ty::Any => Ins::CellConst { dest, value: self.constant() },
            _ => Ins::CellMov { dest, source: self.read(ty)? },
        }));
        Some(dest)
    }

    /// A number or a string as a cell.
    fn operand(&mut self, block: &mut Vec<Stmt>) -> Option<u16> {
        match self.rng.u8(0..8) {
            0 => self.read(Ty::Any),
            1..4 => self.boxed(Ty::I64, block),
            4 | 5 => self.boxed(Ty::F64, block),
            6 => self.boxed(Ty::Str, block),
            _ => self.boxed(Ty::Any, block),
        }
    }

    /// Two cells for a dynamic op: often of one kind, and not seldom the same.
    fn operands(&mut self, block: &mut Vec<Stmt>) -> Option<[u16; 2]> {
        let ty = [Ty::I64, Ty::F64, Ty::Str][self.rng.usize(0..3)];
        match self.rng.u8(0..4) {
            0 | 1 => Some([self.boxed(ty, block)?, self.boxed(ty, block)?]),
            2 => Some([self.operand(block)?, self.operand(block)?]),
            _ => Some([self.read(Ty::Any)?, self.read(Ty::Any)?]),
        }
    }

    fn heap_op(&mut self, block: &mut Vec<Stmt>) -> Option<()> {
        let mut row = rows()[self.rng.usize(0..rows().len())];
        if let Some((ty, _)) = self.focus
            && self.rng.u8(0..4) > 0
        {
            let reads = |row: &&&OpInfo| {
                row.operands.iter().any(|operand| match *operand {
                    Operand::Reg(Access::Read, Bank::Cell, CellClass::Obj) => matches!(ty, Ty::Obj(_)),
                    Operand::Reg(Access::Read, Bank::Cell, class) => class_type(class) == ty,
                    _ => false,
                })
            };
            let focused: Vec<_> = rows().iter().filter(reads).collect();
            row = focused[self.rng.usize(0..focused.len())];
        }
        let spoilt = self.rng.u8(0..32) == 0;
        self.op_of(row, spoilt, block)
    }

    /// Adds a choice, by the bound of recursion, among ops that are made to trap.
    pub fn finale(&mut self, block: &mut Vec<Stmt>) {
        let arms: Vec<_> = (0..4)
            .map(|_| {
                let mut arm = vec![];
                let _ = self.trapping(&mut arm);
                arm
            })
            .collect();
        block.push(Stmt::Switch { source: 0, targets: vec![0, 1, 2, 3, 0, 1, 2], default: 3, arms });
    }

    fn trapping(&mut self, block: &mut Vec<Stmt>) -> Option<()> {
        let trapping = |row: &&&OpInfo| row.traps().iter().any(|&trap| trap != TrapKind::OutOfMemory);
        let rows: Vec<_> = rows().iter().filter(trapping).collect();
        let row = rows[self.rng.usize(0..rows.len())];
        self.op_of(row, true, block)
    }

    /// Adds allocations of a kind that is rare otherwise, some times over, so that one of them may be what fails.
    pub fn burst(&mut self, block: &mut Vec<Stmt>) -> Option<()> {
        let kind = self.rng.usize(0..9);
        for _ in 0..6 {
            let (any, other) = (self.write(Ty::Any)?, self.write(Ty::Any)?);
            let constant = |dest: u16, value: usize| Stmt::Do(Ins::CellConst { dest, value });
            let number = |dest: u16, value: i64| {
                let wanted = if i32::try_from(value).is_ok() { Operand::Imm32 } else { Operand::PoolI64 };
                let index = pure("i64.const", Some(wanted));
                Stmt::Do(Ins::Pure { index, dest, sources: [0; 3], literal: value as u64 })
            };
            let heap = |op: Op, args: &[u16]| {
                Stmt::Do(Ins::Heap { op, args: args.iter().map(|&slot| Arg::Reg(slot)).collect() })
            };
            // Two ints, by their constants, whose result is no int of 48 bits.
            let dynamic = [
                (Op::DynAdd, 9, 9),
                (Op::DynSub, 9, 10),
                (Op::DynMul, 9, 13),
                (Op::DynDiv, 10, 13),
                (Op::DynRem, 9, 10),
            ];
            if let Some(&(op, x, y)) = dynamic.get(kind) {
                let (first, second) = if x == y { (any, any) } else { (any, other) };
                block.extend([constant(first, x), constant(second, y)]);
                let dest = if self.rng.bool() { other } else { self.write(Ty::Any)? };
                block.push(heap(op, &[dest, first, second]));
                continue;
            }
            match kind {
                5 => block.extend([constant(any, 10), heap(Op::DynNeg, &[other, any])]),
                6 => {
                    let (object, value) = (self.write(Ty::Obj(0))?, self.write(Ty::I64)?);
                    let set = vec![Arg::Reg(object), Arg::Field(0, "i"), Arg::Reg(value)];
                    block.extend([heap(Op::ObjNew, &[object]), number(value, i64::MIN)]);
                    block.push(Stmt::Do(Ins::Heap { op: Op::ObjSetI64, args: set }));
                    block.push(Stmt::Do(Ins::CellMov { dest: any, source: object }));
                    let get = vec![Arg::Reg(other), Arg::Reg(any), Arg::Name("i")];
                    block.push(Stmt::Do(Ins::Heap { op: Op::PropGet, args: get }));
                }
                7 => {
                    let (text, part) = (self.write(Ty::Str)?, self.write(Ty::Str)?);
                    let (from, to) = (self.write(Ty::I64)?, self.write(Ty::I64)?);
                    block.extend([constant(text, 12), number(from, 1), number(to, 9)]);
                    block.push(heap(Op::StrSlice, &[part, text, from, to]));
                }
                _ => {
                    // Full, and not the last object, so that it cannot grow where it lies.
                    let (array, value) = (self.write(Ty::ArrU8)?, self.read(Ty::I64)?);
                    let new = vec![Arg::Reg(array), Arg::Literal(32)];
                    block.push(Stmt::Do(Ins::Heap { op: Op::ArrU8NewLenK, args: new }));
                    let list = self.write(Ty::List)?;
                    block.push(Stmt::Do(Ins::Heap { op: Op::ListNewK, args: vec![Arg::Reg(list), Arg::Literal(0)] }));
                    block.push(heap(Op::ArrU8Push, &[array, value]));
                }
            }
        }
        Some(())
    }

    fn op_of(&mut self, row: &OpInfo, spoilt: bool, block: &mut Vec<Stmt>) -> Option<()> {
        let mut args = Vec::new();
        let shape = match self.focus {
            Some((Ty::Obj(shape), _)) => shape,
            _ => self.rng.usize(0..SHAPES.len()),
        };
        // The field of `obj.get` and `obj.set`.
        let mut field = None;
        if let Some(bank) = row.operands.iter().find_map(|operand| match operand {
            Operand::Field(bank) => Some(*bank),
            _ => None,
        }) {
            let fields: Vec<usize> =
                (0..SHAPES[shape].1.len()).filter(|&at| SHAPES[shape].1[at].1.bank() == bank).collect();
            field = Some(fields[self.rng.usize(0..fields.len())]);
        }
        let name = NAMES[self.rng.usize(0..NAMES.len())];
        let mut dynamic = None;
        for (at, operand) in row.operands.iter().enumerate() {
            args.push(match *operand {
                Operand::Reg(Access::ReadWrite, ..) => {
                    let cursor = self.write(Ty::I64)?;
                    if self.rng.u8(0..3) > 0 {
                        let index = pure("i64.const", Some(Operand::Imm32));
                        let literal = self.rng.u64(0..2);
                        block.push(Stmt::Do(Ins::Pure { index, dest: cursor, sources: [0; 3], literal }));
                    }
                    Arg::Reg(cursor)
                }
                Operand::Reg(Access::Write, Bank::I64, _) => Arg::Reg(self.write(Ty::I64)?),
                Operand::Reg(Access::Write, Bank::F64, _) => Arg::Reg(self.write(Ty::F64)?),
                Operand::Reg(Access::Write, Bank::Cell, class) => {
                    Arg::Reg(self.cell_written(row, class, shape, field)?)
                }
                Operand::Reg(Access::Read, Bank::I64, _) => Arg::Reg(self.int_read(row, at, block)?),
                Operand::Reg(Access::Read, Bank::F64, _) => Arg::Reg(self.read(Ty::F64)?),
                Operand::Reg(Access::Read, Bank::Cell, CellClass::Obj) => Arg::Reg(self.read(Ty::Obj(shape))?),
                Operand::Reg(Access::Read, Bank::Cell, CellClass::AsDeclared) => {
                    Arg::Reg(self.read(field.map_or(Ty::Any, |field| SHAPES[shape].1[field].1))?)
                }
                Operand::Reg(Access::Read, Bank::Cell, CellClass::Any) => Arg::Reg(match row.op {
                    Op::PropGet | Op::PropSet if args.len() == usize::from(row.op == Op::PropGet) => {
                        if shape == 0 && self.rng.bool() {
                            let (object, source) = (self.read(Ty::Obj(0))?, self.read(Ty::I64)?);
                            let set = vec![Arg::Reg(object), Arg::Field(0, "i"), Arg::Reg(source)];
                            let dest = self.write(Ty::Any)?;
                            block.push(Stmt::Do(Ins::Heap { op: Op::ObjSetI64, args: set }));
                            block.push(Stmt::Do(Ins::CellMov { dest, source: object }));
                            dest
                        } else if self.often() {
                            self.boxed(Ty::Obj(shape), block)?
                        } else {
                            self.read(Ty::Any)?
                        }
                    }
                    Op::PropSet => {
                        let ty = SHAPES[shape].1.iter().find(|field| field.0 == name).map_or(Ty::Any, |field| field.1);
                        if self.often() { self.boxed(ty, block)? } else { self.read(Ty::Any)? }
                    }
                    Op::MapGet | Op::MapHas | Op::MapDel | Op::MapSet
                        if at == if row.op == Op::MapSet { 1 } else { 2 } =>
                    {
                        match self.rng.u8(0..8) {
                            0 => self.read(Ty::Any)?,
                            1 | 2 => self.boxed(Ty::I64, block)?,
                            3 => self.boxed(Ty::Str, block)?,
                            _ => {
                                let dest = self.write(Ty::Any)?;
                                let value = [0, 2, 9, 11, 12, 13][self.rng.usize(0..6)];
                                block.push(Stmt::Do(Ins::CellConst { dest, value }));
                                dest
                            }
                        }
                    }
                    Op::UnboxI64 if self.often() => self.boxed(Ty::I64, block)?,
                    Op::UnboxF64 if self.often() => self.boxed(Ty::F64, block)?,
                    Op::UnboxBool if self.often() => {
                        let dest = self.write(Ty::Any)?;
                        block.push(Stmt::Do(Ins::CellConst { dest, value: self.rng.usize(0..2) }));
                        dest
                    }
                    Op::CellCast if self.often() => match args[0] {
                        Arg::Reg(dest) => self.boxed(self.heads[self.index].slots[usize::from(dest)], block)?,
                        _ => self.read(Ty::Any)?,
                    },
                    Op::DynNeg if self.often() => {
                        let ty = if self.rng.bool() { Ty::I64 } else { Ty::F64 };
                        self.boxed(ty, block)?
                    }
                    _ if row.mnemonic.starts_with("dyn.") => match dynamic.take() {
                        Some(second) => second,
                        None => {
                            let [first, second] = self.operands(block)?;
                            dynamic = Some(second);
                            let divides = matches!(row.op, Op::DynDiv | Op::DynRem);
                            if divides
                                && first != second
                                && self.rng.u8(0..8) == 0
                                && self.written(Ty::Any).contains(&second)
                            {
                                block.push(Stmt::Do(Ins::CellConst { dest: second, value: 2 }));
                            }
                            first
                        }
                    },
                    _ => self.read(Ty::Any)?,
                }),
                Operand::Reg(Access::Read, Bank::Cell, CellClass::Str) => Arg::Reg(self.string(row, block)?),
                Operand::Reg(Access::Read, Bank::Cell, class) => {
                    let object = self.read(class_type(class))?;
                    if row.mnemonic.ends_with(".pop") && self.often() {
                        self.pushed(row.op, object, block)?;
                    }
                    Arg::Reg(object)
                }
                Operand::Imm16 => Arg::Literal(match self.rng.u8(0..12) {
                    0 => -1,
                    1 => self.rng.i16(..).min(3000),
                    _ => self.rng.i16(0..12),
                }),
                Operand::Field(_) => field.map(|field| Arg::Field(field, SHAPES[shape].1[field].0))?,
                Operand::Name => Arg::Name(name),
                other => unreachable!("{other:?} is of no heap op here"),
            });
        }
        if spoilt {
            self.spoil(row, &args, block);
        }
        block.push(Stmt::Do(Ins::Heap { op: row.op, args }));
        Some(())
    }

    /// Makes an op trap that would hardly do so by chance.
    fn spoil(&mut self, row: &OpInfo, args: &[Arg], block: &mut Vec<Stmt>) {
        let kinds: Vec<TrapKind> = row.traps().iter().copied().filter(|&trap| trap != TrapKind::OutOfMemory).collect();
        let Some(&kind) = kinds.get(self.rng.usize(0..kinds.len().max(1))) else { return };
        let register = |at: usize| match args.get(at) {
            Some(Arg::Reg(slot)) => Some(*slot),
            _ => None,
        };
        let written = |context: &Self, slot: u16| {
            let ty = context.heads[context.index].slots[usize::from(slot)];
            context.written(ty).contains(&slot).then_some(ty)
        };
        if kind == TrapKind::OutOfBounds {
            let number = args.iter().enumerate().rev().find_map(|(at, _)| {
                let slot = register(at)?;
                let read = matches!(row.operands[at], Operand::Reg(Access::Read, Bank::I64, _));
                (read && written(self, slot) == Some(Ty::I64)).then_some(slot)
            });
            if let Some(dest) = number {
                let index = pure("i64.const", Some(Operand::Imm32));
                let literal = self.rng.i64(-3..0) as u64;
                block.push(Stmt::Do(Ins::Pure { index, dest, sources: [0; 3], literal }));
                return;
            }
            let empty = match row.op {
                Op::ArrI64Pop => Some(Op::ArrI64NewK),
                Op::ArrF64Pop => Some(Op::ArrF64NewK),
                Op::ArrU8Pop => Some(Op::ArrU8NewK),
                Op::ListPop => Some(Op::ListNewK),
                _ => None,
            };
            if let (Some(op), Some(array)) = (empty, register(1))
                && written(self, array).is_some()
            {
                block.push(Stmt::Do(Ins::Heap { op, args: vec![Arg::Reg(array), Arg::Literal(3)] }));
                return;
            }
        }
        if matches!(kind, TrapKind::TypeMismatch | TrapKind::DivisionByZero) {
            // The last cell that is read: of no kind that the op takes, or a zero.
            let cell = args.iter().enumerate().rev().find_map(|(at, _)| {
                let read = matches!(row.operands[at], Operand::Reg(Access::Read, Bank::Cell, _));
                let slot = register(at).filter(|_| read)?;
                written(self, slot).map(|ty| (slot, ty))
            });
            let made = match (cell, kind) {
                (Some((dest, Ty::Any)), TrapKind::DivisionByZero) => Some(Ins::CellConst { dest, value: 2 }),
                (Some((dest, Ty::Any)), _) if row.op == Op::UnboxF64 => Some(Ins::CellConst { dest, value: 2 }),
                (Some((dest, Ty::Any)), _) => Some(Ins::CellConst { dest, value: 4 }),
                (Some((dest, Ty::Str)), _) => Some(Ins::CellConst { dest, value: 7 }),
                _ => None,
            };
            block.extend(made.map(Stmt::Do));
            return;
        }
        if kind == TrapKind::NullReference {
            // Most ops name the object first of the cells that they read.
            let object = args.iter().enumerate().find_map(|(at, _)| {
                let read = matches!(row.operands[at], Operand::Reg(Access::Read, Bank::Cell, _));
                register(at).filter(|slot| read && written(self, *slot).is_some())
            });
            block.extend(object.map(|dest| Stmt::Do(Ins::CellNull { dest })));
        }
    }

    /// The register for a result that is a cell.
    fn cell_written(&mut self, row: &OpInfo, class: CellClass, shape: usize, field: Option<usize>) -> Option<u16> {
        let ty = match (row.op, class) {
            (Op::ObjNew, _) => Ty::Obj(shape),
            (Op::ObjGetCell, _) => SHAPES[shape].1[field?].1,
            (Op::CellCast, _) => self.cell_type(),
            (_, class) => class_type(class),
        };
        if row.op != Op::ObjNew && self.rng.u8(0..6) == 0 { self.write(Ty::Any) } else { self.write(ty) }
    }

    /// The register of a number that an op reads.
    fn int_read(&mut self, row: &OpInfo, at: usize, block: &mut Vec<Stmt>) -> Option<u16> {
        let name = row.mnemonic.rsplit('.').next().unwrap_or("");
        match name {
            "new_len" => self.small(15, block),
            "get" | "set" | "has" | "del" if row.mnemonic.starts_with("imap") => self.small(7, block),
            "get" | "byte" => self.small(3, block),
            "set" if at == 1 => self.small(3, block),
            "slice" if at == 2 => self.small(1, block),
            "slice" => {
                let end = self.small(7, block)?;
                if self.rng.bool() && self.written(Ty::I64).contains(&end) {
                    self.with_literal("i64.or", end, end, 6, block);
                }
                Some(end)
            }
            _ => self.read(Ty::I64),
        }
    }

    /// The register of a string that an op reads.
    fn string(&mut self, row: &OpInfo, block: &mut Vec<Stmt>) -> Option<u16> {
        let made = match row.op {
            Op::StrToI64 => Some((Op::StrFromI64, Ty::I64)),
            Op::StrToF64 if self.rng.bool() => Some((Op::StrFromI64, Ty::I64)),
            Op::StrToF64 => Some((Op::StrFromF64, Ty::F64)),
            _ => None,
        };
        let text = match made {
            Some((op, ty)) if self.often() => {
                let (dest, source) = (self.write(Ty::Str)?, self.read(ty)?);
                block.push(Stmt::Do(Ins::Heap { op, args: vec![Arg::Reg(dest), Arg::Reg(source)] }));
                dest
            }
            // Strings double in loops; most of the time they start anew. Slices need long ones.
            _ if (self.loops() > 0 || row.op == Op::StrSlice) && self.rng.u8(0..3) > 0 => {
                let dest = self.write(Ty::Str)?;
                self.object(Ty::Str, dest, block)?;
                dest
            }
            _ => self.read(Ty::Str)?,
        };
        Some(text)
    }

    /// Pushes an element to an array.
    fn pushed(&mut self, pop: Op, array: u16, block: &mut Vec<Stmt>) -> Option<()> {
        let (op, ty) = match pop {
            Op::ArrI64Pop => (Op::ArrI64Push, Ty::I64),
            Op::ArrF64Pop => (Op::ArrF64Push, Ty::F64),
            Op::ArrU8Pop => (Op::ArrU8Push, Ty::I64),
            _ => (Op::ListPush, Ty::Any),
        };
        let source = self.read(ty)?;
        block.push(Stmt::Do(Ins::Heap { op, args: vec![Arg::Reg(array), Arg::Reg(source)] }));
        Some(())
    }
}
