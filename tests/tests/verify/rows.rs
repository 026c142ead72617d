//! Every row of the op table, in a use that is right, and in every use next to it that is wrong.

use crate::build::{HEAP, NO_HEAP, Parts, at, op, verify, world};
use opstamp::vm3::op::{Access, Bank, CellClass, Flags, OPS, Op, OpInfo, Operand, word};
use opstamp::vm3::types::TypeId;
use opstamp::vm3::verify::{Fault, OpReason};

/// What may stand in one field of an op, and what may not.
struct Place {
    right: u16,
    wrong: Vec<u16>,
    also: Vec<u16>,
}

/// The number of words before the op under test.
const BEFORE: u16 = 1;

/// A function of `world` by its result: those that take an i64 begin at index 1, in the order none, i64, f64, list.
fn by_result(row: &OpInfo) -> u16 {
    match row.operands.first() {
        Some(Operand::Reg(Access::Write, Bank::I64, _)) => 1,
        Some(Operand::Reg(Access::Write, Bank::F64, _)) => 2,
        Some(Operand::Reg(Access::Write, Bank::Cell, _)) => 3,
        _ => 0,
    }
}

fn slots(right: impl Fn(TypeId) -> bool) -> Vec<u16> {
    (0..).zip(at::SLOTS).filter(|&(_, ty)| right(ty)).map(|(slot, _)| slot).collect()
}

/// The registers of `main` that `vm3.md` allows in a cell register operand, the preferred one first.
fn cells(row: &OpInfo, access: Access, class: CellClass) -> Vec<u16> {
    let any = TypeId::ANY;
    let exact = |ty: TypeId| {
        if access == Access::Write { slots(|t| t == any || t == ty) } else { slots(|t| t == ty) }
    };
    let list =
        |written: bool| if written { slots(|t| t == any || t == TypeId::LIST) } else { slots(|t| t == TypeId::LIST) };
    let cell = || slots(|t| t != TypeId::I64 && t != TypeId::F64);
    let mut right = match class {
        CellClass::Str => exact(TypeId::STR),
        CellClass::ArrI64 => exact(TypeId::ARR_I64),
        CellClass::ArrF64 => exact(TypeId::ARR_F64),
        CellClass::ArrU8 => exact(TypeId::ARR_U8),
        CellClass::List => exact(TypeId::LIST),
        CellClass::IMap => exact(TypeId::IMAP),
        CellClass::Map => exact(TypeId::MAP),
        CellClass::Obj => slots(|t| t == at::OBJ_P),
        CellClass::Any if access == Access::Write => slots(|t| t == any),
        CellClass::Any => cell(),
        CellClass::AsDeclared => match row.op {
            Op::CellNull | Op::BrNull | Op::BrNonnull | Op::CellCast => cell(),
            Op::CellConst => slots(|t| t == any),
            Op::ObjNew => slots(|t| t == at::OBJ_P),
            Op::FnNew => slots(|t| t == at::FN_I64),
            Op::CellMov | Op::CallCell | Op::HostCell | Op::FnCallCell | Op::GlobalGetCell | Op::ObjGetCell => {
                list(access == Access::Write)
            }
            Op::RetCell | Op::GlobalSetCell | Op::ObjSetCell => list(false),
            other => panic!("{other:?} is new here: say which registers it takes"),
        },
    };
    if let Some(preferred) = right.iter().position(|&slot| at::SLOTS[slot as usize] == TypeId::LIST) {
        right.swap(0, preferred);
    }
    right
}

fn registers(right: Vec<u16>) -> Place {
    let end = at::SLOTS.len() as u16;
    let wrong = (0..end).filter(|slot| !right.contains(slot)).chain([end, 0x7FFF, 0xFFFF]).collect();
    Place { right: right[0], wrong, also: right }
}

fn bank(bank: Bank) -> Vec<u16> {
    let ty = if bank == Bank::I64 { TypeId::I64 } else { TypeId::F64 };
    // Not slot 0 first: as a field that is not used it would pass.
    slots(|t| t == ty).into_iter().rev().collect()
}

fn any() -> Place {
    Place { right: 0x8001, wrong: vec![], also: vec![0, 1, 0xFFFF] }
}

/// A place where `right` and `also` may stand, and nothing else below 64 nor the greatest values.
fn indices(right: u16, also: &[u16]) -> Place {
    let wrong = (0..64).chain([0x7FFF, 0x8000, 0xFFFF]).filter(|v| *v != right && !also.contains(v)).collect();
    Place { right, wrong, also: also.to_vec() }
}

/// The fields of a right use of a row in `main` of `world`. A function has these words: one before the op, the op, then
/// three, of which the second is an `args` word.
fn places(row: &OpInfo) -> Vec<Place> {
    let mut places = Vec::new();
    let result = by_result(row);
    for operand in row.operands {
        match *operand {
            Operand::Reg(access, Bank::Cell, class) => places.push(registers(cells(row, access, class))),
            Operand::Reg(_, b, _) => places.push(registers(bank(b))),
            Operand::Imm16 | Operand::U16 => places.push(any()),
            Operand::Imm32 => places.extend([any(), any()]),
            Operand::PoolI64 | Operand::PoolF64 => places.extend([indices(2, &[0, 1]), indices(0, &[])]),
            // Of the cell constants the first three and the fifth are `any`, which fits the register `any` as the rest
            // does.
            Operand::CellConst => places.extend([indices(0, &[1, 2, 3, 4, 5]), indices(0, &[])]),
            Operand::Label => places.push(Place { right: 0, wrong: vec![], also: vec![] }),
            Operand::Func if row.op == Op::FnNew => places.push(indices(5, &[])),
            // Without a destination any result will do, but `tail` and the destination ask for their own.
            Operand::Func if matches!(row.op, Op::Call) => places.push(indices(1, &[2, 3, 4])),
            Operand::Func => places.push(indices(result + 1, &[])),
            Operand::Import if row.op == Op::Host => places.push(indices(0, &[1, 2, 3])),
            Operand::Import => places.push(indices(result, &[])),
            Operand::Closure if row.op == Op::FnCall => places.push(registers(vec![14, 15, 16, 17])),
            Operand::Closure => places.push(registers(vec![14 + result])),
            Operand::Args if row.op == Op::FnNew => places.push(registers(bank(Bank::F64))),
            Operand::Args => places.push(registers(bank(Bank::I64))),
            Operand::Table => places.push(indices(0, &[])),
            Operand::Global(Bank::I64) => places.push(indices(0, &[])),
            Operand::Global(Bank::F64) => places.push(indices(1, &[])),
            // A list may be stored in `any` as well, but not the other way round.
            Operand::Global(Bank::Cell) if row.op == Op::GlobalSetCell => places.push(indices(2, &[3])),
            Operand::Global(Bank::Cell) => places.push(indices(2, &[])),
            Operand::Field(Bank::I64) => places.push(indices(0, &[])),
            Operand::Field(Bank::F64) => places.push(indices(1, &[])),
            Operand::Field(Bank::Cell) => places.push(indices(2, &[])),
            Operand::Name => places.push(indices(3, &(0..world().strings.len() as u16).collect::<Vec<_>>())),
            Operand::Targets => {
                places.push(Place { right: 3, wrong: vec![], also: vec![] });
                places.extend([(); 4].map(|()| Place { right: 0, wrong: vec![], also: vec![] }));
            }
        }
    }
    // Branch targets depend on the length of the op: the words of ops are right, its own and the later `args` word and
    // what is behind the end are wrong.
    let own = places.len().div_ceil(3).max(1) as u16;
    let last = BEFORE + own + 2;
    let targets = |place: &mut Place| {
        place.also = vec![0, BEFORE, BEFORE + own, last];
        place.wrong = (BEFORE + 1..BEFORE + own).chain([BEFORE + own + 1, last + 1, 0x7FFF, 0xFFFF]).collect();
    };
    if row.operands.last() == Some(&Operand::Label) {
        places.last_mut().map(targets).unwrap();
    }
    if row.op == Op::Switch {
        places[2..].iter_mut().for_each(targets);
        // Another count does not agree with the number of words.
        places[1].wrong = vec![5, 6, 0xFFFF];
    }
    places
}

/// `main` with these words as op 1, and the signature that the row's op asks for.
fn module(row: &OpInfo, words: &[u64]) -> Parts {
    let mut parts = world();
    let main = &mut parts.funcs[at::MAIN];
    main.sig = match row.op {
        Op::RetI64 => at::SIG_I64,
        Op::RetF64 => at::SIG_F64,
        Op::RetCell => at::SIG_LIST,
        _ => at::SIG,
    };
    main.code = vec![word(Op::Nop, 0, 0, 0)];
    main.code.extend(words);
    main.code.extend(op(Op::F64Fma, &[2, 2, 3, 3]));
    main.code.push(word(Op::TrapUnreachable, 0, 0, 0));
    parts
}

fn right_fields(row: &OpInfo) -> Vec<u16> {
    places(row).iter().map(|place| place.right).collect()
}

#[track_caller]
fn accepted(row: &OpInfo, words: &[u64]) {
    let container = module(row, words).words();
    if let Err(error) = verify(&container, HEAP) {
        panic!("{:?} as {words:x?}: {error}", row.op);
    }
}

/// Checks that the module is refused for op 1, and gives the reason.
#[track_caller]
fn refused(row: &OpInfo, words: &[u64]) -> OpReason {
    let container = module(row, words).words();
    match verify(&container, HEAP).map(|_| ()).map_err(|error| error.fault()) {
        Err(Fault::Op { func: 0, op: 1, reason, .. }) => reason,
        other => panic!("{:?} as {words:x?}: {other:?}", row.op),
    }
}

#[test]
fn every_row_is_accepted_with_every_right_operand() {
    for row in OPS {
        let fields = right_fields(row);
        accepted(row, &op(row.op, &fields));
        for (index, place) in places(row).iter().enumerate() {
            for &value in &place.also {
                let mut fields = fields.clone();
                fields[index] = value;
                accepted(row, &op(row.op, &fields));
            }
        }
    }
}

#[test]
fn every_wrong_operand_is_refused_at_its_op() {
    let mut count = 0;
    for row in OPS {
        let fields = right_fields(row);
        for (index, place) in places(row).iter().enumerate() {
            for &value in &place.wrong {
                let mut fields = fields.clone();
                fields[index] = value;
                refused(row, &op(row.op, &fields));
                count += 1;
            }
        }
    }
    assert!(count > OPS.len() * 10, "{count} cases are too few for the generator to be right");
}

#[test]
fn flags_and_unused_fields_are_zero() {
    for row in OPS {
        let fields = right_fields(row);
        let words = op(row.op, &fields);
        for index in 0..words.len() {
            for bit in 8..16 {
                let mut words = words.clone();
                words[index] |= 1 << bit;
                assert_eq!(refused(row, &words), OpReason::Flags { flags: 1 << (bit - 8) });
            }
        }
        for index in fields.len()..words.len() * 3 {
            for value in [1, 0x8000] {
                let mut words = words.clone();
                words[index / 3] |= u64::from(value) << (16 + 16 * (index % 3));
                assert_eq!(refused(row, &words), OpReason::Unused { value });
            }
        }
    }
}

#[test]
fn args_words_are_as_many_as_the_operands_need() {
    let mut longer = 0;
    for row in OPS {
        let words = op(row.op, &right_fields(row));
        let mut more = words.clone();
        more.push(word(Op::Args, 0, 0, 0));
        assert_eq!(refused(row, &more), OpReason::Extra, "{:?}", row.op);
        if words.len() > 1 {
            longer += 1;
            let reason = refused(row, &words[..words.len() - 1]);
            assert!(matches!(reason, OpReason::Missing { .. }), "{:?}: {reason:?}", row.op);
        }
    }
    assert!(longer >= 7, "only {longer} rows have args words");
}

#[test]
fn codes_without_a_row_are_unknown() {
    let known: Vec<u8> = OPS.iter().map(|row| row.op as u8).collect();
    for code in (0..=255u8).filter(|&code| code != Op::Args as u8 && !known.contains(&code)) {
        assert_eq!(refused(&OPS[0], &[u64::from(code)]), OpReason::Unknown);
    }
}

#[test]
fn a_function_ends_with_an_op_that_never_goes_on() {
    for row in OPS {
        let mut parts = module(row, &op(row.op, &right_fields(row)));
        let main = &mut parts.funcs[at::MAIN];
        main.code.truncate(main.code.len() - 3);
        if row.operands.iter().any(|operand| matches!(operand, Operand::Label | Operand::Targets)) {
            assert!(main.code.len() > 1);
        }
        let container = parts.words();
        let verified = verify(&container, HEAP).map(|_| ()).map_err(|error| error.fault());
        if row.flags.has(Flags::ENDS) {
            assert_eq!(verified, Ok(()), "{:?}", row.op);
        } else {
            let code = row.op as u8;
            assert_eq!(verified, Err(Fault::Op { func: 0, op: 1, code, reason: OpReason::RunsOff }));
        }
    }
}

#[test]
fn ops_that_need_a_heap_are_refused_by_name() {
    for row in OPS {
        let container = module(row, &op(row.op, &right_fields(row))).words();
        let message = verify(&container, NO_HEAP).map(|_| ()).map_err(|error| error.to_string());
        if row.flags.has(Flags::HEAP) {
            let mnemonic = row.mnemonic;
            let expected = format!("in main at op 1 ({mnemonic}): it needs a heap, which this host does not lend");
            assert_eq!(message, Err(expected));
        } else {
            // The globals of `world` are short; its long constants are not used by these ops.
            assert_eq!(message, Ok(()), "{:?}", row.op);
        }
    }
}
