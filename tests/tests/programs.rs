//! The expectations of `tests/programs` through every engine of this host.

mod common;

use common::{EngineUnderTest, Room, engines, with_stack};
use opstamp::vm3::text::{self, Literal, Outcome, With, expectations};
use opstamp::{CallError, Cell, HostFn, Instance, InstanceMemory, Module, Trap, TypeId, Value};
use opstamp_tests::driver::same;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::Path;

/// A literal as a value where that type is declared.
fn value(literal: Literal<'_>, ty: TypeId) -> Value {
    match (literal, ty) {
        (Literal::Int(value), TypeId::I64) => Value::I64(value),
        (Literal::Int(value), TypeId::F64) => Value::F64(value as f64),
        (Literal::Float(value), TypeId::F64) => Value::F64(value),
        (Literal::Int(value), _) => Value::Cell(Cell::int(value).expect("48 bits")),
        (Literal::Float(value), _) => Value::Cell(Cell::float(value)),
        (Literal::Bool(value), _) => Value::Cell(Cell::bool(value)),
        (Literal::Null, _) => Value::Cell(Cell::NULL),
        (Literal::Str(text), _) => Value::Cell(Cell::str(&text.bytes().collect::<Vec<_>>()).expect("a short string")),
    }
}

/// Runs one expectation: what is wrong, or `None`, and what was printed.
fn run(
    source: &str,
    expectation: &text::Expectation<'_>,
    engine: &EngineUnderTest,
    room: &mut Room,
) -> Result<(Option<String>, Vec<u8>), String> {
    let With { stack, heap, fuel } = expectation.with;
    if fuel.is_some() {
        return Err("the engine counts no fuel".into());
    }
    let native_stack = room.parts().0.native_stack.max(2 * stack as usize);
    let mut stack = vec![0; stack as usize / 8];
    let mut heap = vec![0; heap as usize / 8];
    let (memory, code) = room.parts();
    let used = text::assemble(source, memory.words, memory.scratch, &mut |_| {}).map_err(|error| error.to_string())?;
    let module = Module::verify(&memory.words[..used], memory.scratch).map_err(|error| error.to_string())?;
    let engine = engine.make(module, memory.functions, code, memory.scratch);
    let engine = engine.map_err(|error| error.to_string())?;
    let printed = RefCell::new(Vec::new());
    let print = |text: &[u8]| {
        printed.borrow_mut().extend_from_slice(text);
        printed.borrow_mut().push(b'\n');
    };
    let print_i64 = |call: &mut opstamp::HostCall<'_>| -> Result<(), Trap> {
        print(call.i64(0).to_string().as_bytes());
        Ok(())
    };
    let print_f64 = |call: &mut opstamp::HostCall<'_>| -> Result<(), Trap> {
        let value = call.f64(0);
        let mut text = String::new();
        let _ = if value.is_nan() { write!(text, "nan") } else { write!(text, "{value:?}") };
        print(text.as_bytes());
        Ok(())
    };
    let print_str = |call: &mut opstamp::HostCall<'_>| -> Result<(), Trap> {
        if let Some(opstamp::runtime::cell::Content::Str(bytes, len)) = call.cell(0).content() {
            print(&bytes[..len]);
        }
        Ok(())
    };
    let imports = [
        HostFn { name: "print", params: &[TypeId::I64], result: TypeId::NONE, run: &print_i64 },
        HostFn { name: "print_f64", params: &[TypeId::F64], result: TypeId::NONE, run: &print_f64 },
        HostFn { name: "print_str", params: &[TypeId::STR], result: TypeId::NONE, run: &print_str },
    ];
    let memory = InstanceMemory { heap: &mut heap, seed: 1, stack: &mut stack, state: memory.state, native_stack };
    let mut instance = Instance::new(&engine, memory, &imports).map_err(|error| error.to_string())?;
    let container = *module.container();
    let func = module.func_index(expectation.call.func).ok_or("no such function")?;
    let sig = container.func(func.into()).and_then(|func| container.sig(func.sig)).ok_or("no signature")?;
    let types = (0..sig.count).filter_map(|param| container.param(&sig, param));
    let args: Vec<_> = expectation.call.args.clone().zip(types).map(|(literal, ty)| value(literal, ty)).collect();
    let found = instance.call_index(func, &args);
    let right = match (&expectation.outcome, &found) {
        (Outcome::Ends, Ok(_)) => true,
        (Outcome::Value(literal), Ok(Some(found))) => same(value(*literal, sig.result), *found),
        (Outcome::Trap(trap), Err(CallError::Trap(report))) => {
            report.trap == Trap { kind: trap.kind, payload: trap.payload }
                && module.func_index(trap.func) == Some(report.func)
                && trap.op == report.op
        }
        _ => false,
    };
    let wrong = (!right).then(|| format!("found {found:?}"));
    Ok((wrong, printed.into_inner()))
}

#[test]
fn every_expectation_holds_on_every_engine() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let mut files: Vec<_> = std::fs::read_dir(&directory)
        .expect("the programs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "vm3"))
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} programs in {}", files.len(), directory.display());
    let failures: Vec<String> = with_stack(|| {
        let mut failures = Vec::new();
        for engine in engines() {
            let mut passed = 0;
            for path in &files {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let source = std::fs::read_to_string(path).expect("a program");
                let mut room = Room::for_source(&source);
                let mut count = 0;
                for expectation in expectations(&source) {
                    let expectation = expectation.unwrap_or_else(|error| panic!("{name}:{error}"));
                    count += 1;
                    let place = format!("{}: {name}:{}", engine.name, expectation.line);
                    match run(&source, &expectation, &engine, &mut room) {
                        Err(error) => failures.push(format!("{place}: {error}")),
                        Ok((Some(wrong), _)) => failures.push(format!("{place}: {wrong}")),
                        Ok((None, printed)) => {
                            passed += 1;
                            let wanted = path.with_extension("stdout");
                            if expectation.call.func == "main" && wanted.exists() {
                                let wanted = std::fs::read(&wanted).expect("the expected output");
                                if wanted != printed {
                                    failures.push(format!("{place}: printed {:?}", String::from_utf8_lossy(&printed)));
                                }
                            }
                        }
                    }
                }
                assert!(count > 0, "{name} has no expectation");
            }
            println!("programs: {passed} expectations of {} programs hold on {}", files.len(), engine.name);
        }
        failures
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
