//! `opstamp test`

use crate::input::{Source, no_function};
use crate::output::Output;
use crate::run::milliseconds;
use crate::session::{self, Kind, Sizes};
use crate::{Command, Failure, output};
use lexopt::{Arg, Parser};
use opstamp::vm3::container::op_index;
use opstamp::vm3::op::Bank;
use opstamp::vm3::text::{Expectation, FloatText, Literal, Outcome, StrText, expectations};
use opstamp::{CallError, CellKind, Engine, Instance, Module, Objects, TrapKind, TypeId, Value};
use opstamp_platform::value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const COMMAND: Command = Command {
    name: "test",
    synopsis: "FILE|DIR... [--timeout MS]",
    summary: "Run the `;!` expectations of vm3 files through every engine.",
    details: "\
FILE is vm3 text. A directory stands for the files in it, at any depth, whose names end in .vm3. Each expectation runs
on a fresh instance, by the interpreter and as machine code. Each mismatch is told with its file and line, then how many
passed and failed. A file that does not assemble, and an expectation that no call could meet, count as one failure each.
What the guests print is dropped.

Options:
  --timeout MS    interrupt a call after so many milliseconds, as a failure; without it 60000
  -h, --help      print this

The exit code is 0 if all expectations were met, 1 if anything failed, and 2 for bad usage, for a file that cannot be
read, and if there is no expectation at all.",
    run,
};

/// The longest that a call may take, if nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

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
    let (mut files, mut timeout) = (Vec::new(), TIMEOUT);
    while let Some(arg) = args.next().map_err(|error| command.usage(error))? {
        match arg {
            Arg::Value(path) => collect(Path::new(&path), &mut files)?,
            Arg::Long("timeout") => timeout = milliseconds(command, &mut args, "--timeout")?,
            other => return Err(command.other(other)),
        }
    }
    if files.is_empty() {
        return Err(command.usage("no vm3 file to test"));
    }
    let mut tally = Tally::default();
    for file in &files {
        test_file(command, file.as_os_str(), timeout, &mut tally)?;
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
fn test_file(command: &Command, path: &OsStr, timeout: Duration, tally: &mut Tally) -> Result<(), Failure> {
    let source = Source::read(path)?;
    let mut tested = || {
        let text = source.only_text(command)?;
        let words = source.container(&mut |_| ())?;
        let module = source.verify(&words)?;
        let expected: Result<Vec<_>, _> = expectations(text).collect();
        let expected = expected.map_err(|error| Failure::Error(format!("{}:{error}", source.name())))?;
        let mut sound = Vec::new();
        for expectation in &expected {
            match check(&module, expectation) {
                Ok(func) => sound.push((func, expectation)),
                Err(Mistake { column, what }) => {
                    tally.fail(format_args!("{}:{}:{column}: {what}", source.name(), expectation.line))?;
                }
            }
        }
        let fuel = expected.iter().any(|expectation| expectation.with.fuel.is_some());
        for kind in Kind::ALL {
            let all = |engine: &Engine<'_>| {
                sound.iter().try_for_each(|(func, expectation)| match mismatch(engine, *func, expectation, timeout) {
                    None => {
                        tally.passed += 1;
                        Ok(())
                    }
                    Some(what) => {
                        let (file, line, call) = (source.name(), expectation.line, expectation.call.func);
                        tally.fail(format_args!("{file}:{line}: [{}] {call}: {what}", kind.name()))
                    }
                })
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

/// Why no call could meet an expectation, and where that stands in its line.
struct Mistake {
    column: u32,
    what: String,
}

/// The function that an expectation calls, if there is one that could meet it.
fn check(module: &Module<'_>, expectation: &Expectation<'_>) -> Result<u16, Mistake> {
    let Expectation { call, outcome, outcome_column, .. } = expectation;
    let name = call.func;
    let mistake = |column, what| Err(Mistake { column, what });
    let sig = module.func_index(name).and_then(|func| Some((func, module.func_sig(func.into())?)));
    let Some((func, sig)) = sig else { return mistake(call.column, no_function(module, name)) };
    let types = module.params(&sig).unwrap_or(&[]);
    if types.len() != call.args.len() {
        let plural = if types.len() == 1 { "" } else { "s" };
        let (takes, given) = (types.len(), call.args.len());
        return mistake(call.column, format!("`{name}` takes {takes} argument{plural}, {given} given"));
    }
    let mut args = call.args.clone();
    for (number, &ty) in (1..).zip(types) {
        let column = args.column();
        let Some(literal) = args.next() else { break };
        if !fits(literal, ty) {
            let (literal, wanted) = (literal_text(literal), value::wanted(ty));
            return mistake(column, format!("argument {number} of `{name}` is {literal}, expected {wanted}"));
        }
    }
    let ty = sig.result;
    match outcome {
        Outcome::Ends => {}
        Outcome::Value(_) | Outcome::Kind(_) if ty == TypeId::NONE => {
            let alone = if types.is_empty() { "" } else { "..." };
            let what = format!("`{name}` has no result, expected the call alone: write `;! {name}({alone})`");
            return mistake(*outcome_column, what);
        }
        Outcome::Value(literal) if fits(*literal, ty) => {}
        Outcome::Kind(_) if ty.bank() == Bank::Cell && ty != TypeId::STR => {}
        Outcome::Value(_) | Outcome::Kind(_) => {
            let wanted = match outcome {
                Outcome::Value(literal) => literal_text(*literal),
                Outcome::Kind(kind) => format!("<{kind}>"),
                Outcome::Ends | Outcome::Trap(_) => String::new(),
            };
            let result = session::type_text(module.container(), ty);
            let or_kind = if ty.bank() == Bank::Cell && ty != TypeId::STR { ", or a kind as `<list>`" } else { "" };
            let expected = value::wanted(ty);
            let what = format!("`{name}` gives {result}, which {wanted} cannot be, expected {expected}{or_kind}");
            return mistake(*outcome_column, what);
        }
        Outcome::Trap(trap) => {
            let Some(func) = module.func_index(trap.func) else {
                return mistake(*outcome_column, no_function(module, trap.func));
            };
            let code = module.container().func(func.into()).and_then(|func| module.container().code(&func));
            let ops = code.map_or(0, |code| op_index(code, code.len()));
            if trap.op >= ops {
                let (name, plural) = (trap.func, if ops == 1 { "" } else { "s" });
                let what = format!("`{name}` has {ops} op{plural}, so that none is op {}", trap.op);
                return mistake(*outcome_column, what);
            }
        }
    }
    Ok(func)
}

/// Runs an expectation of a function that could meet it: what is wrong, if anything is.
fn mismatch(engine: &Engine<'_>, func: u16, expectation: &Expectation<'_>, timeout: Duration) -> Option<String> {
    let module = engine.module();
    let types = module.func_sig(func.into()).and_then(|sig| module.params(&sig)).unwrap_or(&[]);
    let bytes = |size| usize::try_from(size).unwrap_or(usize::MAX);
    let sizes = Sizes { stack: bytes(expectation.with.stack), heap: bytes(expectation.with.heap) };
    let call = |instance: &mut Instance<'_>| -> Result<Option<String>, Failure> {
        let literals: Vec<_> = expectation.call.args.clone().collect();
        let args = session::values(instance, types.len(), |objects, index| {
            let (Some(&literal), Some(&ty)) = (literals.get(index), types.get(index)) else { return Ok(Value::I64(0)) };
            let number = index + 1;
            let value = objects.literal(literal, ty).map_err(|error| format!("argument {number}: {error}"))?;
            value.ok_or_else(|| format!("argument {number} does not fit its type, expected {}", value::wanted(ty)))
        })?;
        instance.set_fuel(expectation.with.fuel).map_err(Failure::error)?;
        let (outcome, over) = session::within(instance, Some(timeout), |instance| instance.call_index(func, &args))?;
        let timeout = over.then_some(timeout);
        Ok(judge(module, &instance.objects(), &expectation.outcome, outcome, timeout))
    };
    match session::with_instance(engine, sizes, &Output::silent(), call) {
        Ok(Ok(wrong)) => wrong,
        Ok(Err(Failure::Error(what) | Failure::Trap(what))) | Err(what) => Some(what),
        Ok(Err(Failure::Mismatch)) => None,
    }
}

/// Compares the outcome of a call with what was expected. `timeout` is the time after which the call was interrupted, if
/// it was.
fn judge(
    module: &Module<'_>,
    objects: &Objects<'_>,
    expected: &Outcome<'_>,
    outcome: Result<Option<Value>, CallError>,
    timeout: Option<Duration>,
) -> Option<String> {
    let (wanted, met) = match expected {
        Outcome::Ends => ("an end without a trap".to_owned(), outcome.is_ok()),
        Outcome::Value(literal) => {
            let met = matches!(outcome, Ok(Some(given)) if objects.is_literal(given, *literal));
            (literal_text(*literal), met)
        }
        Outcome::Kind(kind) => {
            let kind = format!("<{kind}>");
            let given = |given| string(objects, given).is_none() && session::printed(objects, given) == kind.as_bytes();
            let met = matches!(outcome, Ok(Some(value)) if given(value));
            (kind, met)
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
    if let (Some(timeout), Err(CallError::Trap(report))) = (timeout, outcome)
        && report.trap.kind == TrapKind::Interrupted
    {
        let (time, func, op) = (timeout.as_millis(), session::function_name(module, report.func), report.op);
        return Some(format!(
            "did not end within {time} ms and was interrupted in {func} at op {op}, expected {wanted}; --timeout sets \
             the time"
        ));
    }
    if met {
        return None;
    }
    let given = match outcome {
        Ok(Some(value)) => match string(objects, value) {
            Some(bytes) => StrText(&bytes).to_string(),
            None => String::from_utf8_lossy(&session::printed(objects, value)).into_owned(),
        },
        Ok(None) => "no result".to_owned(),
        Err(error) => match session::failed_call(module, error) {
            Failure::Trap(what) => format!("trap: {what}"),
            Failure::Error(what) => what,
            Failure::Mismatch => return None,
        },
    };
    Some(format!("gave {given}, expected {wanted}"))
}

/// The bytes of a value that is a string.
fn string(objects: &Objects<'_>, value: Value) -> Option<Vec<u8>> {
    let cell = value.cell().filter(|&cell| objects.kind(cell) == Ok(CellKind::Str))?;
    objects.str(&cell).ok().map(<[u8]>::to_vec)
}

/// Whether a literal can be a value of this type at all.
fn fits(literal: Literal<'_>, ty: TypeId) -> bool {
    match literal {
        Literal::Int(_) => matches!(ty, TypeId::I64 | TypeId::F64 | TypeId::ANY),
        Literal::Float(_) => matches!(ty, TypeId::F64 | TypeId::ANY),
        Literal::Bool(_) => ty == TypeId::ANY,
        Literal::Str(_) => matches!(ty, TypeId::STR | TypeId::ANY),
        Literal::Null => ty.bank() == Bank::Cell,
    }
}

/// A literal as the text form writes its value.
fn literal_text(literal: Literal<'_>) -> String {
    match literal {
        Literal::Int(value) => value.to_string(),
        Literal::Float(value) => FloatText(value).to_string(),
        Literal::Bool(value) => value.to_string(),
        Literal::Null => "null".to_owned(),
        Literal::Str(text) => StrText(&text.bytes().collect::<Vec<u8>>()).to_string(),
    }
}
