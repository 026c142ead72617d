//! Runs the `;!` expectations of a program through an engine in memory that the host lends.

use crate::driver::{Memory, Runner, same};
use core::cell::Cell as Shared;
use core::fmt::{self, Write};
use opstamp::runtime::cell::{Content, SHORT_STR};
use opstamp::vm3::text::{self, Expectation, Literal, Outcome, expectations};
use opstamp::{CallError, Cell, Engine, HostCall, HostFn, Instance, InstanceMemory, Module, Trap, TypeId, Value};

/// A program and what it has to print.
#[derive(Clone, Copy, Debug)]
pub struct Program<'p> {
    /// Its text.
    pub source: &'p str,
    /// What `main` prints, by the host functions `print`, `print_f64` and `print_str`, which print a line each; `None` if
    /// that is not checked.
    pub printed: Option<&'p [u8]>,
}

/// Why a program's expectation does not hold, or could not be tried.
pub enum Wrong<'w> {
    /// The program did not come to run: the stage, and the error's own words.
    Load(&'static str, &'w dyn fmt::Display),
    /// The expectation asks for something that this run does not have, in words.
    Lacks(&'static str),
    /// The call did something else.
    Found(Result<Option<Value>, CallError>),
    /// `main` printed something else.
    Printed,
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(stage, error) => write!(f, "could not {stage}: {error}"),
            Self::Lacks(what) => write!(f, "{what}"),
            Self::Found(found) => write!(f, "found {found:?}"),
            Self::Printed => write!(f, "it printed something else than it should"),
        }
    }
}

/// The most arguments of an expectation.
const ARGS: usize = 64;

/// A literal as a value where that type is declared; `None` if it does not fit.
pub fn value(literal: Literal<'_>, ty: TypeId) -> Option<Value> {
    Some(match (literal, ty) {
        (Literal::Int(value), TypeId::I64) => Value::I64(value),
        (Literal::Int(value), TypeId::F64) => Value::F64(value as f64),
        (Literal::Float(value), TypeId::F64) => Value::F64(value),
        (Literal::Int(value), _) => Value::Cell(Cell::int(value)?),
        (Literal::Float(value), _) => Value::Cell(Cell::float(value)),
        (Literal::Bool(value), _) => Value::Cell(Cell::bool(value)),
        (Literal::Null, _) => Value::Cell(Cell::NULL),
        (Literal::Str(text), _) => {
            let mut bytes = [0; SHORT_STR];
            let mut len = 0;
            for byte in text.bytes() {
                *bytes.get_mut(len)? = byte;
                len += 1;
            }
            Value::Cell(Cell::str(bytes.get(..len)?)?)
        }
    })
}

/// What a program prints, compared with what it should, as it comes.
struct Printed<'p> {
    wanted: Option<&'p [u8]>,
    at: Shared<usize>,
    wrong: Shared<bool>,
}

impl Printed<'_> {
    fn line(&self, bytes: &[u8]) {
        self.bytes(bytes);
        self.bytes(b"\n");
    }

    fn bytes(&self, bytes: &[u8]) {
        let Some(wanted) = self.wanted else { return };
        let end = self.at.get() + bytes.len();
        if wanted.get(self.at.get()..end) != Some(bytes) {
            self.wrong.set(true);
        }
        self.at.set(end);
    }
}

/// A number's text.
#[derive(Default)]
struct Number {
    bytes: [u8; 32],
    len: usize,
}

impl Write for Number {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Runs each expectation of a program on a fresh instance and tells `report` of it: its line and the function it calls, and
/// what is wrong, if anything is. What cannot be loaded is told as one thing wrong in line 0.
///
/// The expectations' own stack sizes are taken from `memory.stack`, and twice as many bytes of native stack, with
/// `memory.native_stack` as the least, must be free.
pub fn run(
    program: &Program<'_>,
    memory: &mut Memory<'_>,
    runner: Runner<'_>,
    report: &mut dyn FnMut(u32, &str, Option<Wrong<'_>>),
) {
    macro_rules! load {
        ($stage:literal, $result:expr) => {
            match $result {
                Ok(value) => value,
                Err(error) => return report(0, "", Some(Wrong::Load($stage, &error))),
            }
        };
    }
    let used = load!("assemble", text::assemble(program.source, memory.words, memory.scratch, &mut |_| {}));
    let module = load!("verify", Module::verify(&memory.words[..used], memory.scratch));
    let functions = &mut *memory.functions;
    let engine = match runner {
        Runner::Interpreter => Engine::interpreter(module, functions),
        Runner::MachineCode(code, options) => Engine::machine_code(module, functions, code, memory.scratch, options),
    };
    let engine = load!("make an engine", engine);
    for expectation in expectations(program.source) {
        let expectation = load!("read an expectation", expectation);
        let main = expectation.call.func == "main";
        let printed =
            Printed { wanted: program.printed.filter(|_| main), at: Shared::new(0), wrong: Shared::new(false) };
        let wrong = check(&engine, &expectation, &printed, memory.stack, memory.state, memory.native_stack);
        report(expectation.line, expectation.call.func, wrong.err());
    }
}

fn check(
    engine: &Engine<'_>,
    expectation: &Expectation<'_>,
    printed: &Printed<'_>,
    stack: &mut [u64],
    state: &mut [u64],
    native_stack: usize,
) -> Result<(), Wrong<'static>> {
    if expectation.with.fuel.is_some() {
        return Err(Wrong::Lacks("the engine counts no fuel"));
    }
    let bytes = usize::try_from(expectation.with.stack).unwrap_or(usize::MAX);
    let stack =
        stack.get_mut(..bytes / 8).ok_or(Wrong::Lacks("there is less memory for the stack than it asks for"))?;
    let number = |arguments: fmt::Arguments<'_>| -> Result<(), Trap> {
        let mut number = Number::default();
        number.write_fmt(arguments).map_err(|_| Trap::host(0))?;
        printed.line(number.bytes.get(..number.len).unwrap_or(&[]));
        Ok(())
    };
    let print = |call: &mut HostCall<'_>| number(format_args!("{}", call.i64(0)));
    let print_f64 = |call: &mut HostCall<'_>| {
        let value = call.f64(0);
        if value.is_nan() { number(format_args!("nan")) } else { number(format_args!("{value:?}")) }
    };
    let print_str = |call: &mut HostCall<'_>| {
        if let Some(Content::Str(bytes, len)) = call.cell(0).content() {
            printed.line(bytes.get(..len).unwrap_or(&[]));
        }
        Ok(())
    };
    let imports = [
        HostFn { name: "print", params: &[TypeId::I64], result: TypeId::NONE, run: &print },
        HostFn { name: "print_f64", params: &[TypeId::F64], result: TypeId::NONE, run: &print_f64 },
        HostFn { name: "print_str", params: &[TypeId::STR], result: TypeId::NONE, run: &print_str },
    ];
    let native_stack = native_stack.max(stack.len().saturating_mul(16));
    let memory = InstanceMemory { stack, state, native_stack };
    let lacks = |_| Wrong::Lacks("no instance can be made: an import, or state memory, is missing");
    let mut instance = Instance::new(engine, memory, &imports).map_err(lacks)?;
    let module = *engine.module();
    let func = module.func_index(expectation.call.func).ok_or(Wrong::Lacks("there is no such function"))?;
    let sig = module.func_sig(func.into()).ok_or(Wrong::Lacks("it has no signature"))?;
    let types = module.params(&sig).unwrap_or(&[]);
    let mut args = [Value::I64(0); ARGS];
    let mut count = 0;
    for (literal, &ty) in expectation.call.args.clone().zip(types) {
        *args.get_mut(count).ok_or(Wrong::Lacks("it has too many arguments"))? =
            value(literal, ty).ok_or(Wrong::Lacks("an argument does not fit"))?;
        count += 1;
    }
    let found = instance.call_index(func, args.get(..count).unwrap_or(&[]));
    let right = match (&expectation.outcome, &found) {
        (Outcome::Ends, Ok(_)) => true,
        (Outcome::Value(literal), Ok(Some(found))) => {
            value(*literal, sig.result).is_some_and(|wanted| same(wanted, *found))
        }
        (Outcome::Trap(trap), Err(CallError::Trap(report))) => {
            report.trap == Trap { kind: trap.kind, payload: trap.payload }
                && module.func_index(trap.func) == Some(report.func)
                && trap.op == report.op
        }
        _ => false,
    };
    if !right {
        return Err(Wrong::Found(found));
    }
    let missing = printed.wanted.is_some_and(|wanted| wanted.len() != printed.at.get());
    if missing || printed.wrong.get() { Err(Wrong::Printed) } else { Ok(()) }
}
