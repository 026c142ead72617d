//! `opstamp run`

use crate::input::Source;
use crate::output::{Output, to_stderr};
use crate::report::{self, Counters};
use crate::session::{self, Kind, Plan, Sizes};
use crate::{Command, Failure};
use lexopt::{Arg, Parser};
use opstamp::code::MAX_WINDOW;
use opstamp::jit::CompileError;
use opstamp::vm3::text::parse_literal;
use opstamp::{CodeError, Engine, EngineError, Instance, Module, TypeId, Value};
use opstamp_platform::value;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

pub const COMMAND: Command = Command {
    name: "run",
    synopsis: "FILE [--func NAME] [--engine jit|interp] [OPTION]... [ARG]...",
    summary: "Run a function of a module and print its result.",
    details: "\
FILE is vm3 text or a container. The function is `main` unless --func names another. Each ARG is a literal of
vm3 (12, -3, 0x1f, 1.5, inf, true, null, and for `any` also \"text\" in quotes); an argument of type `str` is its
bytes as they are, so that it cannot be null: the word null is a string of four bytes. Behind `--` every word is an ARG,
also one that looks like an option.

The module may import print(i64), print_f64(f64) and print_str(str), which write a line each.

Options, of which the last counts if one is repeated:
  --func NAME            the function to run
  --engine jit|interp    run machine code, or interpret; without it, machine code where the host allows it
  --threshold N          interpret, and compile a function when its calls and the turns of its loops are N; without it,
                         all functions are compiled before the first call
  --code-limit BYTES     the most memory for machine code, at most 128M; functions are evicted when it is full, the
                         coldest first. Without --threshold, functions are compiled at their first call then
  --heap BYTES           the size of the heap; without it 64M
  --stack BYTES          the size of the VM stack; without it 1M
  --fuel N               run at most N ops, then trap `out_of_fuel`; without it, as many as it takes
  --timeout MS           interrupt the function after so many milliseconds, which is a trap: `interrupted`
  --stats                when all is over, print on standard error what the engine and the heap have done
  -h, --help             print this

BYTES may end in K, M or G, for 1024, 1024 K and 1024 M.

A trap is told on standard error, as `trap: out_of_bounds in f at op 3`, with a line for each function that was running:
`called from g at op 7`. The exit code is 1. A host function traps with numbers of its own: host(N). Those above trap
host(0) if standard output refuses what they print, which is then told as an error with exit code 2.",
    run,
};

/// What vm3.md gives expectations.
const SIZES: Sizes = Sizes { stack: 1 << 20, heap: 64 << 20 };

struct Request {
    file: OsString,
    func: String,
    engine: Option<Kind>,
    threshold: Option<u32>,
    code_limit: Option<usize>,
    sizes: Sizes,
    fuel: Option<u64>,
    timeout: Option<Duration>,
    stats: bool,
    words: Vec<OsString>,
}

fn parse(command: &Command, mut args: Parser) -> Result<Request, Failure> {
    let (mut file, mut func, mut engine, mut fuel, mut words) = (None, None, None, None, Vec::new());
    let (mut threshold, mut code_limit, mut sizes, mut timeout, mut stats) = (None, None, SIZES, None, false);
    loop {
        // A number is an argument of the guest, not an option, also if it starts with `-`.
        let number = args.try_raw_args().and_then(|mut raw| raw.next_if(is_number));
        let arg = match number {
            Some(number) => Arg::Value(number),
            None => match args.next().map_err(|error| command.usage(error))? {
                Some(arg) => arg,
                None => break,
            },
        };
        match arg {
            Arg::Value(value) if file.is_none() => file = Some(value),
            Arg::Value(value) => words.push(value),
            Arg::Long("func") => func = Some(text(command, &mut args, "--func")?),
            Arg::Long("engine") => {
                let name = text(command, &mut args, "--engine")?;
                let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                let wrong = || command.usage(format_args!("unknown engine `{name}`, expected jit or interp"));
                engine = Some(kind.ok_or_else(wrong)?);
            }
            Arg::Long("threshold") => threshold = Some(whole(command, &mut args, "--threshold", 0..=u32::MAX)?),
            Arg::Long("code-limit") => code_limit = Some(bytes(command, &mut args, "--code-limit", 1..=MAX_WINDOW)?),
            Arg::Long("heap") => sizes.heap = bytes(command, &mut args, "--heap", 0..=usize::MAX)?,
            Arg::Long("stack") => sizes.stack = bytes(command, &mut args, "--stack", 0..=usize::MAX)?,
            Arg::Long("timeout") => timeout = Some(milliseconds(command, &mut args, "--timeout")?),
            Arg::Long("stats") => stats = true,
            Arg::Long("fuel") => fuel = Some(whole(command, &mut args, "--fuel", 0..=u64::MAX)?),
            other => return Err(command.other(other)),
        }
    }
    let machine_code = [("--threshold", threshold.is_some()), ("--code-limit", code_limit.is_some())];
    if let (Some(Kind::Interp), Some((option, _))) = (engine, machine_code.iter().find(|(_, given)| *given)) {
        return Err(command.usage(format_args!("{option} is about machine code, and --engine interp makes none")));
    }
    let file = file.ok_or_else(|| command.usage("missing argument FILE"))?;
    let func = func.unwrap_or_else(|| "main".to_owned());
    Ok(Request { file, func, engine, threshold, code_limit, sizes, fuel, timeout, stats, words })
}

fn text(command: &Command, args: &mut Parser, option: &str) -> Result<String, Failure> {
    let value = args.value().map_err(|error| command.usage(error))?;
    value.into_string().map_err(|_| command.usage(format_args!("the value of {option} is not UTF-8")))
}

/// The value of an option that is a number in this range.
fn whole<N: FromStr + PartialOrd + Display>(
    command: &Command,
    args: &mut Parser,
    option: &str,
    range: RangeInclusive<N>,
) -> Result<N, Failure> {
    let value = text(command, args, option)?;
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = range.into_inner();
        command.usage(format_args!("the value of {option} is `{value}`, expected a number from {least} to {most}"))
    })
}

/// The value of an option that is a time.
pub fn milliseconds(command: &Command, args: &mut Parser, option: &str) -> Result<Duration, Failure> {
    whole(command, args, option, 1..=u32::MAX).map(|time| Duration::from_millis(time.into()))
}

/// The value of an option that is a size in this range.
fn bytes(command: &Command, args: &mut Parser, option: &str, range: RangeInclusive<usize>) -> Result<usize, Failure> {
    let value = text(command, args, option)?;
    let shift = [('K', 10), ('M', 20), ('G', 30)].into_iter().find(|&(unit, _)| value.ends_with(unit));
    let digits = value.strip_suffix(['K', 'M', 'G']).unwrap_or(&value);
    let size = digits.parse().ok().and_then(|size: usize| size.checked_mul(1 << shift.map_or(0, |(_, shift)| shift)));
    size.filter(|size| range.contains(size)).ok_or_else(|| {
        let (least, most) = range.into_inner();
        command.usage(format_args!(
            "the value of {option} is `{value}`, expected a number of bytes from {least} to {most}, \
             which may end in K, M or G"
        ))
    })
}

fn is_number(word: &OsStr) -> bool {
    word.to_str().is_some_and(|word| word.starts_with('-') && parse_literal(word).is_ok())
}

fn run(command: &Command, args: Parser) -> Result<(), Failure> {
    let request = parse(command, args)?;
    let source = Source::read(&request.file)?;
    let words = source.container(&mut |_| ())?;
    let module = source.verify(&words)?;
    let func = source.function(&module, &request.func)?;
    let types = module.func_sig(func.into()).and_then(|sig| module.params(&sig)).unwrap_or(&[]);
    if types.len() != request.words.len() {
        let (name, takes, given) = (&request.func, types.len(), request.words.len());
        let plural = if takes == 1 { "" } else { "s" };
        return Err(Failure::Error(format!("{name} takes {takes} argument{plural}, {given} given")));
    }
    let counters = Counters::default();
    let count = |event| counters.count(event);
    let call = |engine: &Engine<'_>| call(&source, engine, func, &request, types, &counters);
    let kind = request.engine.unwrap_or(Kind::Jit);
    let plan = Plan {
        // A full code memory leaves functions to the interpreter, which only an engine does that compiles in between.
        threshold: request.threshold.or(request.code_limit.map(|_| 0)),
        limit: request.code_limit,
        listener: if request.stats { Some(&count) } else { None },
        fuel: request.fuel.is_some(),
        kind,
    };
    match session::with_planned(module, plan, call) {
        // Without a wish, a host that gives no executable memory interprets.
        Err(EngineError::Compile(CompileError::Code(CodeError::Unsupported | CodeError::System { .. })))
            if request.engine.is_none() =>
        {
            session::with_planned(module, Plan { kind: Kind::Interp, ..plan }, call)
        }
        Err(EngineError::Compile(CompileError::Emit { func: None, .. })) if request.code_limit.is_some() => {
            let limit = request.code_limit.unwrap_or(0);
            let least = least_limit(module, plan, limit);
            return Err(
                command.usage(format_args!("the value of --code-limit is {limit}, expected at least {least} bytes"))
            );
        }
        done => done,
    }
    .map_err(|error| source.wrong(error))?
}

/// The smallest limit with which there is an engine by the plan, above one that is too small.
fn least_limit(module: Module<'_>, plan: Plan<'_>, limit: usize) -> usize {
    let (mut below, mut least) = (limit, MAX_WINDOW);
    while least - below > 1 {
        let middle = below.midpoint(least);
        match session::with_planned(module, Plan { limit: Some(middle), ..plan }, |_| ()) {
            Ok(()) => least = middle,
            Err(_) => below = middle,
        }
    }
    least
}

fn call(
    source: &Source,
    engine: &Engine<'_>,
    func: u16,
    request: &Request,
    types: &[TypeId],
    counters: &Counters,
) -> Result<(), Failure> {
    let output = Output::new();
    let run = |instance: &mut Instance<'_>| -> (Result<Option<Vec<u8>>, Failure>, String) {
        let result = in_instance(instance, func, request, types);
        let stats = if request.stats { report::statistics(engine, counters, instance) } else { String::new() };
        (result, stats)
    };
    let outcome = session::with_instance(engine, request.sizes, &output, run);
    // What was printed before a trap comes before it.
    let flushed = output.flush();
    let (result, stats) = outcome.map_err(|error| source.wrong(error))?;
    flushed?;
    match result {
        // The result is the last thing that is written.
        Ok(text) => {
            if let Some(text) = text {
                let _ = output.line(&text);
            }
            output.flush()?;
            to_stderr(&stats);
            Ok(())
        }
        Err(Failure::Trap(what)) if request.stats => Err(Failure::Trap(format!("{what}\n{}", stats.trim_end()))),
        Err(failure) => Err(failure),
    }
}

/// Calls the function: what its result prints as.
fn in_instance(
    instance: &mut Instance<'_>,
    func: u16,
    request: &Request,
    types: &[TypeId],
) -> Result<Option<Vec<u8>>, Failure> {
    let values = session::values(instance, types.len(), |objects, index| {
        let (Some(word), Some(&ty)) = (request.words.get(index), types.get(index)) else {
            return Ok(Value::I64(0));
        };
        value::from_word(objects, word.as_encoded_bytes(), ty)
            .map_err(|what| Failure::Error(format!("argument {}: {what}", index + 1)))
    })?;
    instance.set_fuel(request.fuel).map_err(Failure::error)?;
    let (outcome, _) = session::within(instance, request.timeout, |instance| instance.call_index(func, &values))?;
    match outcome {
        Ok(result) => Ok(result.map(|value| session::printed(&instance.objects(), value))),
        Err(error) => Err(match session::failed_call(instance.engine().module(), error) {
            Failure::Trap(what) => Failure::Trap(what + &report::callers(instance.trap_trace())),
            other => other,
        }),
    }
}
