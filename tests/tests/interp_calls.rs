//! The interpreter's calls, control flow, globals, tables, host calls and polls, and where their traps strike.

mod support;

use opstamp::vm3::container::CellConst;
use opstamp::vm3::op::Op;
use opstamp::{CallError, Cell, HostCall, HostFn, Interrupter, Trap, TrapKind, TrapReport, TypeId, Value};
use std::cell::Cell as StdCell;
use support::{Builder, Code, code, int, interpret, trap};

const I: TypeId = TypeId::I64;
const F: TypeId = TypeId::F64;
const ANY: TypeId = TypeId::ANY;
const STR: TypeId = TypeId::STR;
const NONE: TypeId = TypeId::NONE;

/// `deep(n)` is n, by n calls in each other: the call is op 2.
fn deep(module: &mut Builder) {
    let body = code(&[
        (Op::BrI64LtK, &[0, 1, 5]),
        (Op::I64SubK, &[1, 0, 1]),
        (Op::CallI64, &[1, 0, 1]),
        (Op::I64AddK, &[1, 1, 1]),
        (Op::RetI64, &[1]),
        (Op::RetI64, &[0]),
    ]);
    module.func("deep", &[I], I, &[I], body);
}

#[test]
fn recursion_to_the_last_word_of_the_stack() {
    let mut module = Builder::default();
    deep(&mut module);
    let words = module.finish();
    // A frame has a header word and two slots: `deep(n)` needs 3 (n + 1) words.
    for (stack, most) in [(3, 0), (4, 0), (5, 0), (6, 1), (3000, 999), (3001, 999), (3002, 999), (3_000_000, 999_999)] {
        interpret(&words, stack, &[], |instance| {
            assert_eq!(instance.call("deep", &[most.into()]), int(most));
            assert_eq!(instance.call("deep", &[(most + 1).into()]), trap(TrapKind::StackOverflow, 0, 2));
            assert_eq!(instance.call("deep", &[most.into()]), int(most));
        });
    }
    for stack in 0..3 {
        interpret(&words, stack, &[], |instance| {
            assert_eq!(instance.call("deep", &[0.into()]), trap(TrapKind::StackOverflow, 0, 0));
        });
    }
}

#[test]
fn every_bank_crosses_a_call() {
    let mut module = Builder::default();
    let text = module.string(b"abc");
    let text = module.cell(CellConst::Str(text)) as u16;
    // Slots: x i64, y f64, z any, i64, f64, any.
    let all = [I, F, ANY, I, F, ANY];
    let integer = module.func("integer", &all[..3], I, &all[3..], code(&[(Op::RetI64, &[0])]));
    let float = module.func("float", &all[..3], F, &all[3..], code(&[(Op::RetF64, &[1])]));
    let cell = module.func("cell", &all[..3], ANY, &all[3..], code(&[(Op::RetCell, &[2])]));
    // The locals of a fresh frame, where other frames have been.
    let zeros = code(&[(Op::F64Bits, &[0, 4]), (Op::I64Or, &[0, 0, 3]), (Op::RetI64, &[0])]);
    let zeros = module.func("zeros", &all[..3], I, &all[3..], zeros);
    let null = module.func("fresh_null", &all[..3], ANY, &all[3..], code(&[(Op::RetCell, &[5])]));
    let dirt = code(&[
        (Op::I64Const, &[3, 0xFFFF, 0xFFFF]),
        (Op::F64FromBits, &[4, 3]),
        (Op::CellMov, &[5, 2]),
        (Op::Ret, &[]),
    ]);
    let dirt = module.func("dirt", &all[..3], NONE, &all[3..], dirt);
    let call = |op, ret, d: u16, callee| {
        code(&[
            (Op::I64Const, &[0, 77, 0]),
            (Op::I64ToF64, &[1, 0]),
            (Op::CellConst, &[2, text, 0]),
            (Op::Call, &[dirt, 0, 1, 2]),
            (Op::Call, &[callee, 0, 1, 2]),
            (op, &[d, callee, 0, 1, 2]),
            (ret, &[d]),
        ])
    };
    module.func("call_integer", &[], I, &[I, F, ANY], call(Op::CallI64, Op::RetI64, 0, integer));
    module.func("call_float", &[], F, &[I, F, ANY], call(Op::CallF64, Op::RetF64, 1, float));
    module.func("call_cell", &[], ANY, &[I, F, ANY], call(Op::CallCell, Op::RetCell, 2, cell));
    module.func("call_zeros", &[], I, &[I, F, ANY], call(Op::CallI64, Op::RetI64, 0, zeros));
    module.func("call_null", &[], ANY, &[I, F, ANY], call(Op::CallCell, Op::RetCell, 2, null));
    interpret(&module.finish(), 64, &[], |instance| {
        let cell = |cell| Ok(Some(Value::Cell(cell)));
        assert_eq!(instance.call("call_integer", &[]), int(77));
        assert_eq!(instance.call("call_float", &[]), Ok(Some(Value::F64(77.0))));
        assert_eq!(instance.call("call_cell", &[]), cell(Cell::str(b"abc").unwrap()));
        assert_eq!(instance.call("call_zeros", &[]), int(0));
        assert_eq!(instance.call("call_null", &[]), cell(Cell::NULL));
        assert_eq!(instance.call("zeros", &[1.into(), 2.0.into(), Cell::TRUE.into()]), int(0));
        assert_eq!(instance.call("fresh_null", &[1.into(), 2.0.into(), Cell::TRUE.into()]), cell(Cell::NULL));
        assert_eq!(instance.call("dirt", &[1.into(), 2.0.into(), Cell::TRUE.into()]), Ok(None));
    });
}

/// A call with so many arguments that they fill several words: each must reach its parameter.
#[test]
fn wide_calls() {
    for count in 0..20u16 {
        let mut module = Builder::default();
        let params = vec![I; count.into()];
        // sum of (index + 1) * 3^index arguments, as a polynomial in 31.
        let mut body = Code::default();
        for index in 0..count {
            body.op(Op::I64MulK, &[count, count, 31]);
            body.op(Op::I64Add, &[count, count, index]);
        }
        body.op(Op::RetI64, &[count]);
        let callee = module.func("callee", &params, I, &[I], body);
        let mut body = Code::default();
        for index in 0..count {
            body.op(Op::I64Const, &[index, 100 + index, 0]);
        }
        let args: Vec<u16> = (0..count).rev().collect();
        body.op(Op::CallI64, &[&[count, callee], &args[..]].concat());
        body.op(Op::I64AddK, &[count, count, 1]);
        body.op(Op::RetI64, &[count]);
        module.func("caller", &[], I, &vec![I; usize::from(count) + 1], body);
        let expected =
            (0..i64::from(count)).rev().fold(0, |sum: i64, index| sum.wrapping_mul(31).wrapping_add(100 + index));
        interpret(&module.finish(), 100, &[], |instance| {
            assert_eq!(instance.call("caller", &[]), int(expected + 1), "{count} arguments");
        });
    }
}

/// `f` with parameters of values 1000 + i tail-calls `g` with the parameters that `sources` names, and `g` stores what it
/// gets in globals. The stack has no word to spare.
fn tail_move(sources: &[u16], extra: u16) {
    let count = u16::try_from(sources.len()).unwrap();
    let mut module = Builder::default();
    let mut body = Code::default();
    for index in 0..count {
        module.global(&format!("g{index}"), I, None);
        body.op(Op::GlobalSetI64, &[index, index]);
    }
    // A local behind the parameters must be zero.
    body.op(Op::RetI64, &[count + extra]);
    let locals = vec![I; usize::from(extra) + 1];
    let g = module.func("g", &vec![I; count.into()], I, &locals, body);
    let mut body = Code::default();
    body.op(Op::Tail, &[&[g], sources].concat());
    module.func("f", &vec![I; count.into()], I, &[], body);
    let words = module.finish();
    let args: Vec<Value> = (0..i64::from(count)).map(|index| Value::I64(1000 + index)).collect();
    let needed = usize::from(count) + usize::from(extra) + 2;
    interpret(&words, needed, &[], |instance| {
        assert_eq!(instance.call("f", &args), int(0));
        for (index, &source) in (0..).zip(sources) {
            assert_eq!(instance.global(index), Some(Value::I64(1000 + i64::from(source))), "argument {index}");
        }
    });
    interpret(&words, needed - 1, &[], |instance| {
        assert_eq!(instance.call("f", &args), trap(TrapKind::StackOverflow, 1, 0));
        assert!((0..count.into()).all(|index| instance.global(index) == Some(Value::I64(0))));
    });
}

#[test]
fn tail_moves_its_arguments_at_once() {
    let mut state = 12345u64;
    let mut random = |below: u16| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % u64::from(below)) as u16
    };
    for count in [1, 2, 3, 5, 15, 16, 17, 18, 40, 300] {
        tail_move(&(0..count).collect::<Vec<_>>(), 0);
        tail_move(&(0..count).rev().collect::<Vec<_>>(), 1);
        tail_move(&(0..count).map(|i| (i + 1) % count).collect::<Vec<_>>(), 0);
        tail_move(&(0..count).map(|i| (i + count - 1) % count).collect::<Vec<_>>(), 5);
        tail_move(&(0..count).map(|i| i.saturating_sub(1) / 2).collect::<Vec<_>>(), 0);
        tail_move(&(0..count).map(|i| count - 1 - (count - 1 - i).saturating_sub(1) / 2).collect::<Vec<_>>(), 0);
        tail_move(&(0..count).map(|i| (i | 1).min(count - 1)).collect::<Vec<_>>(), 3);
        tail_move(&vec![count / 2; count.into()], 0);
        for _ in 0..10 {
            tail_move(&(0..count).map(|_| random(count)).collect::<Vec<_>>(), random(4));
        }
        for _ in 0..10 {
            let mut permutation: Vec<u16> = (0..count).collect();
            for index in 1..count {
                permutation.swap(index.into(), random(index + 1).into());
            }
            tail_move(&permutation, 0);
        }
    }
}

/// The longest lists that fit in a function, in shapes that take a move in place the most passes.
#[test]
fn tail_with_sixty_thousand_arguments() {
    let count = 60_000;
    tail_move(&(0..count).map(|i| (i + 1) % count).collect::<Vec<_>>(), 0);
    tail_move(&(0..count).map(|i| count - 1 - (count - 1 - i).saturating_sub(1) / 2).collect::<Vec<_>>(), 0);
}

#[test]
fn tail_calls_between_frames_of_different_size() {
    let mut module = Builder::default();
    // even(n, s): n == 0 → s, else odd(n - 1, s + 1); odd has more slots, of all banks, and turns the order round.
    let even = code(&[
        (Op::BrI64EqK, &[0, 0, 4]),
        (Op::I64SubK, &[0, 0, 1]),
        (Op::I64AddK, &[1, 1, 1]),
        (Op::Tail, &[1, 1, 0]),
        (Op::RetI64, &[1]),
    ]);
    module.func("even", &[I, I], I, &[], even);
    let odd = code(&[
        (Op::F64Bits, &[3, 4]),
        (Op::BrI64NeK, &[3, 0, 7]),
        (Op::BrNonnull, &[5, 7]),
        (Op::BrI64EqK, &[1, 0, 8]),
        (Op::I64SubK, &[2, 1, 1]),
        (Op::I64AddK, &[0, 0, 1]),
        (Op::Tail, &[0, 2, 0]),
        (Op::TrapUnreachable, &[]),
        (Op::I64Neg, &[0, 0]),
        (Op::RetI64, &[0]),
    ]);
    module.func("odd", &[I, I], I, &[I, I, F, ANY], odd);
    // The caller's frame and result survive.
    let caller =
        code(&[(Op::I64Const, &[1, 5, 0]), (Op::CallI64, &[2, 0, 0, 3]), (Op::I64Add, &[1, 1, 2]), (Op::RetI64, &[1])]);
    module.func("caller", &[I], I, &[I, I, I], caller);
    // 5 words for the caller and 7 for the larger of the two.
    interpret(&module.finish(), 12, &[], |instance| {
        assert_eq!(instance.call("even", &[1_000_000.into(), 0.into()]), int(1_000_000));
        assert_eq!(instance.call("even", &[999_999.into(), 0.into()]), int(-999_999));
        assert_eq!(instance.call("caller", &[1001.into()]), int(5 - 1001));
        assert_eq!(instance.call("caller", &[1000.into()]), int(1005));
    });
}

#[test]
fn switch_takes_the_default_outside() {
    for count in 0..9u16 {
        let mut module = Builder::default();
        let mut body = Code::default();
        let targets: Vec<u16> = vec![0; count.into()];
        let switch = body.op(Op::Switch, &[&[0, count, 0], &targets[..]].concat());
        for case in 0..=count {
            let target = body.here();
            body.patch(switch, if case == count { 2 } else { 3 + usize::from(case) }, target);
            body.op(Op::I64Const, &[0, 500 + case, 0]);
            body.op(Op::RetI64, &[0]);
        }
        module.func("f", &[I], I, &[], body);
        interpret(&module.finish(), 8, &[], |instance| {
            for x in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, -8, 65536, 65537, 1 << 32, i64::MAX, i64::MIN] {
                let count = i64::from(count);
                let expected = 500 + if (0..count).contains(&x) { x } else { count };
                assert_eq!(instance.call("f", &[x.into()]), int(expected), "{x} of {count}");
            }
        });
    }
}

#[test]
fn tables_and_globals() {
    let mut module = Builder::default();
    let first = module.table("first", &[31, -28, i64::MIN]);
    let empty = module.table("empty", &[]);
    let last = module.table("last", &[7]);
    for (name, table) in [("first", first), ("empty", empty), ("last", last)] {
        module.func(name, &[I], I, &[I], code(&[(Op::TableGet, &[1, table, 0]), (Op::RetI64, &[1])]));
    }
    let init = module.constant(41);
    let hits = module.global("hits", I, Some(init));
    let plain = module.global("plain", I, None);
    let ratio = module.global("ratio", F, None);
    let thing = module.global("thing", ANY, None);
    let int_forms = |op: Op, fields: &[u16]| code(&[(op, fields), (Op::GlobalGetI64, &[0, plain]), (Op::RetI64, &[0])]);
    module.func("hits", &[], I, &[I], code(&[(Op::GlobalGetI64, &[0, hits]), (Op::RetI64, &[0])]));
    module.func("set_plain", &[I], I, &[], int_forms(Op::GlobalSetI64, &[plain, 0]));
    let set_ratio = code(&[
        (Op::F64FromBits, &[1, 0]),
        (Op::GlobalSetF64, &[ratio, 1]),
        (Op::GlobalGetF64, &[1, ratio]),
        (Op::RetF64, &[1]),
    ]);
    module.func("set_ratio", &[I], F, &[F], set_ratio);
    let set_thing = code(&[
        (Op::GlobalSetCell, &[thing, 0]),
        (Op::CellNull, &[0]),
        (Op::GlobalGetCell, &[0, thing]),
        (Op::RetCell, &[0]),
    ]);
    module.func("set_thing", &[ANY], ANY, &[], set_thing);
    interpret(&module.finish(), 8, &[], |instance| {
        for (index, element) in [(0, 31), (1, -28), (2, i64::MIN)] {
            assert_eq!(instance.call("first", &[index.into()]), int(element));
        }
        assert_eq!(instance.call("last", &[0.into()]), int(7));
        for index in [3, 4, -1, i64::MAX, i64::MIN, 1 << 61] {
            assert_eq!(instance.call("first", &[index.into()]), trap(TrapKind::OutOfBounds, 0, 0));
        }
        assert_eq!(instance.call("empty", &[0.into()]), trap(TrapKind::OutOfBounds, 1, 0));
        assert_eq!(instance.call("last", &[1.into()]), trap(TrapKind::OutOfBounds, 2, 0));
        assert_eq!(instance.call("hits", &[]), int(41));
        assert_eq!(instance.call("set_plain", &[(-9).into()]), int(-9));
        assert_eq!(instance.global(plain.into()), Some(Value::I64(-9)));
        assert_eq!(instance.call("set_ratio", &[(1.5f64.to_bits() as i64).into()]), Ok(Some(Value::F64(1.5))));
        assert_eq!(instance.global(ratio.into()), Some(Value::F64(1.5)));
        assert!(instance.call("set_ratio", &[(-1).into()]).is_ok());
        assert_eq!(instance.global(ratio.into()).map(Value::bits), Some(0x7FF8_0000_0000_0000));
        let cell = Value::Cell(Cell::int(-5).unwrap());
        assert_eq!(instance.call("set_thing", &[cell]), Ok(Some(cell)));
        assert_eq!(instance.global(thing.into()), Some(cell));
        assert_eq!(instance.global(hits.into()), Some(Value::I64(41)));
    });
}

#[test]
fn cells() {
    let mut module = Builder::default();
    let text = module.string(b"seven");
    let bits = [module.constant(-123_456i64 as u64), module.constant((-0.25f64).to_bits())];
    let literals = [
        (CellConst::Bool(true), Cell::TRUE),
        (CellConst::Bool(false), Cell::FALSE),
        (CellConst::Int(bits[0]), Cell::int(-123_456).unwrap()),
        (CellConst::Float(bits[1]), Cell::float(-0.25)),
        (CellConst::Str(text), Cell::str(b"seven").unwrap()),
    ];
    for (index, (constant, _)) in literals.into_iter().enumerate() {
        let at = module.cell(constant);
        let body = code(&[(Op::CellConst, &[0, at as u16, 0]), (Op::RetCell, &[0])]);
        module.func(&format!("literal{index}"), &[], ANY, &[ANY], body);
    }
    module.func("narrow", &[], STR, &[STR], code(&[(Op::CellConst, &[0, 4, 0]), (Op::RetCell, &[0])]));
    let null = |op| code(&[(op, &[0, 3]), (Op::I64Const, &[1, 2, 0]), (Op::RetI64, &[1]), (Op::RetI64, &[1])]);
    module.func("is_null", &[ANY], I, &[I], null(Op::BrNull));
    module.func("is_nonnull", &[ANY], I, &[I], null(Op::BrNonnull));
    interpret(&module.finish(), 8, &[], |instance| {
        for (index, (_, cell)) in literals.into_iter().enumerate() {
            assert_eq!(instance.call(&format!("literal{index}"), &[]), Ok(Some(Value::Cell(cell))));
            assert_eq!(instance.call("is_null", &[cell.into()]), int(2));
            assert_eq!(instance.call("is_nonnull", &[cell.into()]), int(0));
        }
        assert_eq!(instance.call("narrow", &[]), Ok(Some(Value::Cell(Cell::str(b"seven").unwrap()))));
        assert_eq!(instance.call("is_null", &[Cell::NULL.into()]), int(0));
        assert_eq!(instance.call("is_nonnull", &[Cell::NULL.into()]), int(2));
    });
}

#[test]
fn traps_name_their_place() {
    let mut module = Builder::default();
    // Ops of two words count once.
    let body = code(&[
        (Op::I64Select, &[0, 0, 0, 0]),
        (Op::I64Select, &[0, 0, 0, 0]),
        (Op::Deopt, &[]),
        (Op::TrapUser, &[65535]),
    ]);
    let user = module.func("user", &[I], I, &[], body);
    module.func("unreachable", &[], NONE, &[], code(&[(Op::Nop, &[]), (Op::TrapUnreachable, &[])]));
    let outer = code(&[(Op::Nop, &[]), (Op::CallI64, &[0, user, 0]), (Op::RetI64, &[0])]);
    module.func("outer", &[I], I, &[], outer);
    module.func("divide", &[I], I, &[], code(&[(Op::Deopt, &[]), (Op::I64DivK, &[0, 0, 0]), (Op::RetI64, &[0])]));
    interpret(&module.finish(), 64, &[], |instance| {
        let report = |op| Err(CallError::Trap(TrapReport { trap: Trap::user(65535), func: 0, op }));
        assert_eq!(instance.call("user", &[1.into()]), report(3));
        assert_eq!(instance.call("outer", &[1.into()]), report(3));
        assert_eq!(instance.call("unreachable", &[]), trap(TrapKind::Unreachable, 1, 1));
        assert_eq!(instance.call("divide", &[1.into()]), trap(TrapKind::DivisionByZero, 3, 1));
    });
}

#[test]
fn host_calls_and_the_way_back_in() {
    let seen = StdCell::new((0, 0.0, Cell::NULL));
    let mix = |call: &mut HostCall<'_>| {
        assert_eq!(call.arg_count(), 4);
        seen.set((call.i64(0), call.f64(1), call.cell(2)));
        call.set_result(call.i64(0) * 10 + call.i64(3));
        Ok(())
    };
    let half = |call: &mut HostCall<'_>| {
        call.set_result(call.f64(0) / 2.0);
        Ok(())
    };
    let truth = |call: &mut HostCall<'_>| {
        call.set_result(Cell::TRUE);
        Ok(())
    };
    let depth = StdCell::new(0);
    // Calls the guest's `down` again, which calls this: each turn takes a frame of `down` and one of this function.
    let again = |call: &mut HostCall<'_>| {
        depth.set(depth.get() + 1);
        let n = call.i64(0);
        let back = call.call("down", &[n.into()]).map_err(CallError::as_trap)?;
        call.set_result(back.and_then(Value::i64).unwrap_or(-1) + 1);
        Ok(())
    };
    let fails = |_: &mut HostCall<'_>| Err(Trap::host(99));
    let imports = [
        HostFn { name: "mix", params: &[I, F, ANY, I], result: I, run: &mix },
        HostFn { name: "half", params: &[F], result: F, run: &half },
        HostFn { name: "truth", params: &[], result: ANY, run: &truth },
        HostFn { name: "again", params: &[I], result: I, run: &again },
        HostFn { name: "fails", params: &[], result: NONE, run: &fails },
    ];
    let mut module = Builder::default();
    let mix = module.import("mix", &[I, F, ANY, I], I);
    let half = module.import("half", &[F], F);
    let truth = module.import("truth", &[], ANY);
    let again = module.import("again", &[I], I);
    let fails = module.import("fails", &[], NONE);
    let body = code(&[
        (Op::Host, &[mix, 0, 1, 2, 0]),
        (Op::HostI64, &[0, mix, 0, 1, 2, 0]),
        (Op::HostF64, &[1, half, 1]),
        (Op::F64ToI64, &[3, 1]),
        (Op::HostCell, &[2, truth]),
        (Op::BrNull, &[2, 10]),
        (Op::I64Add, &[0, 0, 3]),
        (Op::RetI64, &[0]),
        (Op::TrapUnreachable, &[]),
    ]);
    assert_eq!(body.here(), 11);
    module.func("all", &[I, F, ANY], I, &[I], body);
    let down = code(&[
        (Op::BrI64EqK, &[0, 0, 4]),
        (Op::I64SubK, &[1, 0, 1]),
        (Op::HostI64, &[1, again, 1]),
        (Op::RetI64, &[1]),
        (Op::RetI64, &[0]),
    ]);
    let down = module.func("down", &[I], I, &[I], down);
    let fail = code(&[(Op::Nop, &[]), (Op::Host, &[fails]), (Op::Ret, &[])]);
    let fail = module.func("fail", &[], NONE, &[], fail);
    let words = module.finish();
    interpret(&words, 100, &imports, |instance| {
        let args = [7.into(), 9.0.into(), Cell::FALSE.into()];
        assert_eq!(instance.call("all", &args), int(77 + 4));
        assert_eq!(seen.get(), (7, 9.0, Cell::FALSE));
        // `down` takes 3 words, the host's frame 2: 100 words hold 20 turns, and the last `down` calls no host.
        depth.set(0);
        assert_eq!(instance.call("down", &[19.into()]), int(19));
        assert_eq!(depth.get(), 19);
        let expected = trap(TrapKind::StackOverflow, down, 2);
        assert_eq!(instance.call("down", &[20.into()]), expected);
        assert_eq!(instance.call("down", &[19.into()]), int(19));
        let report = TrapReport { trap: Trap::host(99), func: fail, op: 1 };
        assert_eq!(instance.call("fail", &[]), Err(CallError::Trap(report)));
    });
    // `fail` takes 1 word and a host frame without arguments 2.
    interpret(&words, 2, &imports, |instance| {
        assert_eq!(instance.call("fail", &[]), trap(TrapKind::StackOverflow, fail, 1));
    });
}

#[test]
fn polls_stop_loops_and_calls() {
    let handle: StdCell<*mut ()> = StdCell::new(std::ptr::null_mut());
    let countdown = StdCell::new(0);
    let stop = |_: &mut HostCall<'_>| {
        countdown.set(countdown.get() - 1);
        if countdown.get() == 0 {
            // SAFETY: the address is that of the running instance's handle.
            unsafe { Interrupter::from_raw(handle.get()) }.interrupt();
        }
        Ok(())
    };
    let imports = [HostFn { name: "stop", params: &[], result: NONE, run: &stop }];
    let mut module = Builder::default();
    let stop = module.import("stop", &[], NONE);
    let ticks = module.global("ticks", I, None);
    let tick: [(Op, &[u16]); 3] =
        [(Op::GlobalGetI64, &[0, ticks]), (Op::I64AddK, &[0, 0, 1]), (Op::GlobalSetI64, &[ticks, 0])];
    // A loop whose head is op 1; the backward branch is a jump, a conditional branch, or a switch.
    let around = |ends: &[(Op, &[u16])]| {
        let [one, two, three] = tick;
        code(&[&[(Op::Nop, &[][..]), (Op::Host, &[stop]), one, two, three], ends, &[(Op::Ret, &[][..])]].concat())
    };
    let jump = module.func("jump", &[], NONE, &[I], around(&[(Op::Jump, &[1])]));
    let br = module.func("br", &[], NONE, &[I], around(&[(Op::BrI64NeK, &[0, 0, 1])]));
    let switch = module.func("switch", &[], NONE, &[I], around(&[(Op::Switch, &[0, 0, 1])]));
    // A loop of one op that branches to itself, after the request.
    let own = code(&[(Op::Host, &[stop]), (Op::Jump, &[1])]);
    let own = module.func("own", &[], NONE, &[], own);
    // A loop by tail calls, and a recursion: stopped at the entry, op 0.
    let tail = module.func("tail", &[], NONE, &[], code(&[(Op::Host, &[stop]), (Op::Tail, &[4])]));
    let recursion =
        module.func("recursion", &[], NONE, &[], code(&[(Op::Host, &[stop]), (Op::Call, &[5]), (Op::Ret, &[])]));
    // Straight code ends although a poll is asked for, and the next call meets it at its entry.
    let straight = module.func("straight", &[], NONE, &[], code(&[(Op::Host, &[stop]), (Op::Ret, &[])]));
    interpret(&module.finish(), 1000, &imports, |instance| {
        handle.set(instance.interrupter().into_raw());
        for (func, op) in [(jump, 1), (br, 1), (switch, 1), (own, 1), (tail, 0), (recursion, 0)] {
            for turns in [1, 2, 10] {
                countdown.set(if func == own { 1 } else { turns });
                assert_eq!(instance.call_index(func, &[]), trap(TrapKind::Interrupted, func, op));
                assert_eq!(countdown.get(), 0);
            }
        }
        // Three loops of 1, 2 and 10 turns.
        assert_eq!(instance.global(ticks.into()), Some(Value::I64(39)));
        countdown.set(1);
        assert_eq!(instance.call_index(straight, &[]), Ok(None));
        assert_eq!(instance.call_index(straight, &[]), trap(TrapKind::Interrupted, straight, 0));
        assert_eq!(instance.call_index(straight, &[]), Ok(None));
    });
}
