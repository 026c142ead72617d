//! The expectations of `tests/programs`, through the interpreter.

mod support;

use opstamp::vm3::text::{Expectation, FloatText, Literal, Outcome, expectations};
use opstamp::{CallError, Cell, HostCall, HostFn, Instance, Trap, TrapReport, TypeId, Value};
use std::cell::RefCell;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use support::{assemble, interpret};

fn cell(literal: Literal<'_>) -> Cell {
    match literal {
        Literal::Int(value) => Cell::int(value).unwrap(),
        Literal::Float(value) => Cell::float(value),
        Literal::Bool(value) => Cell::bool(value),
        Literal::Null => Cell::NULL,
        Literal::Str(text) => Cell::str(&text.bytes().collect::<Vec<_>>()).unwrap(),
    }
}

/// A literal where a value of type `ty` stands.
fn value(literal: Literal<'_>, ty: TypeId) -> Value {
    match (literal, ty) {
        (Literal::Int(value), TypeId::I64) => value.into(),
        (Literal::Int(value), TypeId::F64) => (value as f64).into(),
        (Literal::Float(value), TypeId::F64) => value.into(),
        (_, TypeId::I64 | TypeId::F64) => panic!("{literal:?} is no number"),
        _ => cell(literal).into(),
    }
}

fn check(instance: &mut Instance<'_>, expectation: &Expectation<'_>) -> Result<(), String> {
    let module = *instance.engine().module();
    let func = module.func_by_name(expectation.call.func).ok_or("no such function")?;
    let params = &func.slots[..func.param_count()];
    let args: Vec<Value> = expectation.call.args.clone().zip(params).map(|(literal, &ty)| value(literal, ty)).collect();
    let found = instance.call(func.name, &args);
    let right = match expectation.outcome {
        Outcome::Ends => found.is_ok(),
        Outcome::Value(literal) => {
            let bits = |value: Value| value.bits();
            found.as_ref().is_ok_and(|found| found.map(bits) == Some(bits(value(literal, func.sig.result))))
        }
        Outcome::Kind(_) => false,
        Outcome::Trap(trap) => {
            let func = module.func_index(trap.func).ok_or("no such function")?;
            let trap_found = Trap { kind: trap.kind, payload: trap.payload };
            found == Err(CallError::Trap(TrapReport { trap: trap_found, func, op: trap.op }))
        }
    };
    if right { Ok(()) } else { Err(format!("found {found:?}")) }
}

#[test]
fn programs_do_what_they_expect() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let mut checked = 0;
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "vm3") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let words = assemble(&source);
        for expectation in expectations(&source) {
            let expectation = expectation.unwrap();
            assert_eq!(expectation.with.fuel, None, "fuel is not counted yet");
            let printed = RefCell::new(String::new());
            let print = |call: &mut HostCall<'_>| {
                writeln!(printed.borrow_mut(), "{}", call.i64(0)).unwrap();
                Ok(())
            };
            let print_f64 = |call: &mut HostCall<'_>| {
                writeln!(printed.borrow_mut(), "{}", FloatText(call.f64(0))).unwrap();
                Ok(())
            };
            let print_str = |call: &mut HostCall<'_>| {
                let bits = call.cell(0).bits();
                let bytes = &bits.to_le_bytes()[..(bits >> 40 & 15) as usize];
                writeln!(printed.borrow_mut(), "{}", String::from_utf8_lossy(bytes)).unwrap();
                Ok(())
            };
            let imports = [
                HostFn { name: "print", params: &[TypeId::I64], result: TypeId::NONE, run: &print },
                HostFn { name: "print_f64", params: &[TypeId::F64], result: TypeId::NONE, run: &print_f64 },
                HostFn { name: "print_str", params: &[TypeId::STR], result: TypeId::NONE, run: &print_str },
            ];
            let stack = usize::try_from(expectation.with.stack / 8).unwrap();
            let result = interpret(&words, stack, &imports, |instance| check(instance, &expectation));
            if let Err(problem) = result {
                panic!("{}:{}: {problem}, expected {:?}", path.display(), expectation.line, expectation.outcome);
            }
            let expected = path.with_extension("stdout");
            if expectation.call.func == "main" && expected.exists() {
                assert_eq!(*printed.borrow(), fs::read_to_string(expected).unwrap(), "{}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 700, "only {checked} expectations found");
}
