//! `opstamp run`

use crate::input::Source;
use crate::output::Output;
use crate::session::{self, Kind, Sizes};
use crate::{Command, Failure};
use lexopt::{Arg, Parser};
use opstamp::jit::CompileError;
use opstamp::vm3::text::parse_literal;
use opstamp::{CodeError, Engine, EngineError, Instance, TypeId, Value};
use opstamp_platform::value;
use std::ffi::{OsStr, OsString};

pub const COMMAND: Command = Command {
    name: "run",
    synopsis: "FILE [--func NAME] [--engine jit|interp] [--fuel N] [ARG]...",
    summary: "Run a function of a module and print its result.",
    details: "\
FILE is vm3 text or a container. The function is `main` unless --func names another. Each ARG is a literal of
vm3 (12, -3, 0x1f, 1.5, inf, true, null, and for `any` also \"text\" in quotes); an argument of type `str` is its
bytes as they are. Behind `--` every word is an ARG, also one that looks like an option.

The module may import print(i64), print_f64(f64) and print_str(str), which write a line each.

Options:
  --func NAME            the function to run
  --engine jit|interp    run machine code, or interpret; without it, machine code where the host allows it
  --fuel N               run at most N ops, then trap `out_of_fuel`; without it, as many as it takes
  -h, --help             print this

A trap is told on standard error, as `trap: out_of_bounds in f at op 3`, and the exit code is 1.",
    run,
};

/// What vm3.md gives expectations.
const SIZES: Sizes = Sizes { stack: 1 << 20, heap: 64 << 20 };

struct Request {
    file: OsString,
    func: String,
    engine: Option<Kind>,
    fuel: Option<u64>,
    words: Vec<OsString>,
}

fn parse(command: &Command, mut args: Parser) -> Result<Request, Failure> {
    let (mut file, mut func, mut engine, mut fuel, mut words) = (None, None, None, None, Vec::new());
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
            Arg::Long("fuel") => {
                let units = text(command, &mut args, "--fuel")?;
                let wrong =
                    || command.usage(format_args!("the fuel is `{units}`, expected a number from 0 to {}", u64::MAX));
                fuel = Some(units.parse().map_err(|_| wrong())?);
            }
            other => return Err(command.other(other)),
        }
    }
    let file = file.ok_or_else(|| command.usage("missing argument FILE"))?;
    Ok(Request { file, func: func.unwrap_or_else(|| "main".to_owned()), engine, fuel, words })
}

fn text(command: &Command, args: &mut Parser, option: &str) -> Result<String, Failure> {
    let value = args.value().map_err(|error| command.usage(error))?;
    value.into_string().map_err(|_| command.usage(format_args!("the value of {option} is not UTF-8")))
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
    let call = |engine: &Engine<'_>| call(&source, engine, func, &request, types);
    let kind = request.engine.unwrap_or(Kind::Jit);
    let fuel = request.fuel.is_some();
    match session::with_engine(module, kind, fuel, call) {
        // Without a wish, a host that gives no executable memory interprets.
        Err(EngineError::Compile(CompileError::Code(CodeError::Unsupported | CodeError::System { .. })))
            if request.engine.is_none() =>
        {
            session::with_engine(module, Kind::Interp, fuel, call)
        }
        done => done,
    }
    .map_err(|error| source.wrong(error))?
}

fn call(source: &Source, engine: &Engine<'_>, func: u16, request: &Request, types: &[TypeId]) -> Result<(), Failure> {
    let output = Output::new();
    let run = |instance: &mut Instance<'_>| -> Result<Option<Vec<u8>>, Failure> {
        let values = session::values(instance, types.len(), |objects, index| {
            let (Some(word), Some(&ty)) = (request.words.get(index), types.get(index)) else {
                return Ok(Value::I64(0));
            };
            value::from_word(objects, word.as_encoded_bytes(), ty)
                .map_err(|what| Failure::Error(format!("argument {}: {what}", index + 1)))
        })?;
        instance.set_fuel(request.fuel).map_err(Failure::error)?;
        let result = instance.call_index(func, &values);
        let result = result.map_err(|error| session::failed_call(engine.module(), error))?;
        Ok(result.map(|value| session::printed(&instance.objects(), value)))
    };
    let outcome = session::with_instance(engine, SIZES, &output, run);
    // What was printed before a trap comes before it.
    let flushed = output.flush();
    let result = outcome.map_err(|error| source.wrong(error))?;
    flushed?;
    // The result is the last thing that is written.
    if let Some(text) = result? {
        let _ = output.line(&text);
    }
    output.flush()
}
