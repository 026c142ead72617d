//! `opstamp test`

use crate::input::Source;
use crate::output::Output;
use crate::session::{self, Kind, Sizes};
use crate::{Command, Failure, output};
use lexopt::{Arg, Parser};
use opstamp::vm3::op::Bank;
use opstamp::vm3::text::{Expectation, FloatText, Literal, Outcome, expectations};
use opstamp::{CallError, Engine, Instance, Module, Objects, TypeId, Value};
use opstamp_platform::value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

pub const COMMAND: Command = Command {
    name: "test",
    synopsis: "FILE|DIR...",
    summary: "Run the `;!` expectations of vm3 files through every engine.",
    details: "\
A directory stands for the files in it, at any depth, whose names end in .vm3. Each expectation runs on a fresh
instance, by the interpreter and as machine code. Each mismatch is told with its file and line, then how many passed and
failed; the exit code is 1 if any failed. What the guests print is dropped.

Options:
  -h, --help    print this",
    run,
};

/// What has come of the expectations so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    /// Tells of a mismatch.
    fn fail(&mut self, what: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        self.failed += 1;
        output::to_stdout(format!("{what}\n").as_bytes())
    }
}

fn run(command: &Command, mut args: Parser) -> Result<(), Failure> {
    let mut files = Vec::new();
    while let Some(arg) = args.next().map_err(|error| command.usage(error))? {
        match arg {
            Arg::Value(path) => collect(Path::new(&path), &mut files)?,
            other => return Err(command.other(other)),
        }
    }
    if files.is_empty() {
        return Err(command.usage("no vm3 file to test"));
    }
    let mut tally = Tally::default();
    for file in &files {
        test_file(file.as_os_str(), &mut tally)?;
    }
    output::to_stdout(format!("{} passed, {} failed\n", tally.passed, tally.failed).as_bytes())?;
    match tally {
        Tally { passed: 0, failed: 0 } => Err(Failure::error("there is no expectation in these files")),
        Tally { failed: 0, .. } => Ok(()),
        _ => Err(Failure::Mismatch),
    }
}

/// Adds a file, or the vm3 files of a directory by their names' order.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let failed = |error| Failure::Error(format!("{}: cannot be read: {error}", path.display()));
    let entries = fs::read_dir(path).map_err(failed)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.sort();
    for path in paths {
        // A directory that is a symbolic link could lead back here.
        if path.is_dir() && !path.is_symlink() {
            collect(&path, files)?;
        } else if path.extension() == Some(OsStr::new("vm3")) {
            files.push(path);
        }
    }
    Ok(())
}

/// Tests a file. Bad input counts as one failure, so that the other files are tested too.
fn test_file(path: &OsStr, tally: &mut Tally) -> Result<(), Failure> {
    let source = Source::read(path)?;
    let mut tested = || {
        let text = source.text()?;
        let words = source.container(&mut |_| ())?;
        let module = source.verify(&words)?;
        let expected: Result<Vec<_>, _> = expectations(text).collect();
        let expected = expected.map_err(|error| Failure::Error(format!("{}:{error}", source.name())))?;
        let fuel = expected.iter().any(|expectation| expectation.with.fuel.is_some());
        for kind in Kind::ALL {
            let all = |engine: &Engine<'_>| {
                expected.iter().try_for_each(|expectation| test_one(&source, engine, kind, expectation, tally))
            };
            match session::with_engine(module, kind, fuel, all) {
                Ok(result) => result?,
                Err(error) => return Err(source.wrong(format_args!("[{}] {error}", kind.name()))),
            }
        }
        Ok(())
    };
    match tested() {
        Err(Failure::Error(what)) => tally.fail(format_args!("{what}")),
        other => other,
    }
}

fn test_one(
    source: &Source,
    engine: &Engine<'_>,
    kind: Kind,
    expectation: &Expectation<'_>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    match mismatch(engine, expectation) {
        None => {
            tally.passed += 1;
            Ok(())
        }
        Some(what) => {
            let (file, line, call) = (source.name(), expectation.line, expectation.call.func);
            tally.fail(format_args!("{file}:{line}: [{}] {call}: {what}", kind.name()))
        }
    }
}

/// Runs an expectation: what is wrong, if anything is.
fn mismatch(engine: &Engine<'_>, expectation: &Expectation<'_>) -> Option<String> {
    let module = engine.module();
    let name = expectation.call.func;
    let Some(func) = module.func_index(name) else { return Some("there is no such function".to_owned()) };
    let sig = module.func_sig(func.into())?;
    let types = module.params(&sig).unwrap_or(&[]);
    if expectation.call.args.len() != types.len() {
        return Some(format!("it takes {} arguments, {} given", types.len(), expectation.call.args.len()));
    }
    let bytes = |size| usize::try_from(size).unwrap_or(usize::MAX);
    let sizes = Sizes { stack: bytes(expectation.with.stack), heap: bytes(expectation.with.heap) };
    let call = |instance: &mut Instance<'_>| -> Result<Option<String>, String> {
        let literals: Vec<_> = expectation.call.args.clone().collect();
        let args = session::values(instance, types.len(), |objects, index| {
            let (Some(&literal), Some(&ty)) = (literals.get(index), types.get(index)) else { return Ok(Value::I64(0)) };
            let value = objects.literal(literal, ty).map_err(|error| format!("an argument: {error}"))?;
            value.ok_or_else(|| format!("an argument does not fit its type, expected {}", value::wanted(ty)))
        })?;
        instance.set_fuel(expectation.with.fuel).map_err(|error| error.to_string())?;
        let outcome = instance.call_index(func, &args);
        Ok(judge(module, &instance.objects(), sig.result, &expectation.outcome, outcome))
    };
    match session::with_instance(engine, sizes, &Output::silent(), call) {
        Ok(Ok(wrong)) => wrong,
        Ok(Err(what)) | Err(what) => Some(what),
    }
}

/// Compares the outcome of a call with what was expected.
fn judge(
    module: &Module<'_>,
    objects: &Objects<'_>,
    ty: TypeId,
    expected: &Outcome<'_>,
    outcome: Result<Option<Value>, CallError>,
) -> Option<String> {
    let (wanted, met) = match expected {
        Outcome::Ends => ("an end without a trap".to_owned(), outcome.is_ok()),
        Outcome::Value(literal) => {
            if !fits(*literal, ty) {
                return Some(format!("the expected result does not fit its type, expected {}", value::wanted(ty)));
            }
            let met = matches!(outcome, Ok(Some(given)) if objects.is_literal(given, *literal));
            (literal_text(*literal), met)
        }
        Outcome::Kind(kind) => {
            let met = matches!(outcome, Ok(Some(given)) if session::printed(objects, given) == format!("<{kind}>").into_bytes());
            (format!("<{kind}>"), met)
        }
        Outcome::Trap(trap) => {
            let met = matches!(outcome, Err(CallError::Trap(report))
                if report.trap.kind == trap.kind
                    && report.trap.payload == trap.payload
                    && session::function_name(module, report.func) == trap.func
                    && report.op == trap.op);
            let kind = opstamp::Trap { kind: trap.kind, payload: trap.payload };
            (format!("trap: {kind} in {} at op {}", trap.func, trap.op), met)
        }
    };
    if met {
        return None;
    }
    let given = match outcome {
        Ok(Some(value)) => String::from_utf8_lossy(&session::printed(objects, value)).into_owned(),
        Ok(None) => "no result".to_owned(),
        Err(error) => match session::failed_call(module, error) {
            Failure::Trap(what) => format!("trap: {what}"),
            Failure::Error(what) => what,
            Failure::Mismatch => return None,
        },
    };
    Some(format!("gave {given}, expected {wanted}"))
}

/// Whether a literal can be a result of this type at all.
fn fits(literal: Literal<'_>, ty: TypeId) -> bool {
    match literal {
        Literal::Int(_) => matches!(ty, TypeId::I64 | TypeId::F64 | TypeId::ANY),
        Literal::Float(_) => matches!(ty, TypeId::F64 | TypeId::ANY),
        Literal::Bool(_) => ty == TypeId::ANY,
        Literal::Str(_) => matches!(ty, TypeId::STR | TypeId::ANY),
        Literal::Null => ty.bank() == Bank::Cell,
    }
}

/// What a value prints as that is what the literal says.
fn literal_text(literal: Literal<'_>) -> String {
    match literal {
        Literal::Int(value) => value.to_string(),
        Literal::Float(value) => FloatText(value).to_string(),
        Literal::Bool(value) => value.to_string(),
        Literal::Null => "null".to_owned(),
        Literal::Str(text) => String::from_utf8_lossy(&text.bytes().collect::<Vec<u8>>()).into_owned(),
    }
}
