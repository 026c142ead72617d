//! `opstamp code`

mod instructions;
mod lines;

use crate::input::Source;
use crate::session::function_name;
use crate::{Command, Failure, output};
use instructions::Printer;
use lexopt::{Arg, Parser};
use lines::Lines;
use opstamp::Module;
use opstamp::asm::EmitError;
use opstamp::jit::{self, CompileError, Listing, Options};
use opstamp::masm::{FUNCTION_ALIGN, Features, Isa, Place};
use opstamp::vm3::op::Op;
use opstamp::vm3::text::write_op;
use opstamp_platform::features;
use std::fmt::{self, Write};

pub const COMMAND: Command = Command {
    name: "code",
    synopsis: "FILE [--func NAME] [--isa x86-64|arm64]",
    summary: "Print each op with the machine code made of it, for either ISA on any host.",
    details: "\
FILE is vm3 text or a container. Below each op stand the instructions of its template: their offset in the function,
their bytes (on arm64 the 32-bit word) and their text, in the notation of NASM or of Arm's manual. Numbers with 0x, the
offsets and the bytes are hexadecimal. A branch shows the offset of its target in the function, or the stub that it
goes to. The rare halves of the templates stand behind the last op. A table of sizes in bytes ends the listing.

Options:
  --func NAME    print this function alone
  --isa ISA      x86-64 or arm64; without it, that of this CPU. The code for this CPU's ISA is what this CPU would run;
                 for the other it uses every feature that the compiler knows
  -h, --help     print this",
    run,
};

/// The most bytes of machine code that a function may have here: as many as the code window.
const MOST: usize = 128 << 20;

fn run(command: &Command, mut args: Parser) -> Result<(), Failure> {
    let (mut file, mut name) = (None, None);
    let mut isa = Isa::HOST.unwrap_or(Isa::X86_64);
    while let Some(arg) = args.next().map_err(|error| command.usage(error))? {
        match arg {
            Arg::Value(value) if file.is_none() => file = Some(value),
            Arg::Long("func") => {
                let value = args.value().map_err(|error| command.usage(error))?;
                let wrong = |_| command.usage("the value of --func is not UTF-8");
                name = Some(value.into_string().map_err(wrong)?);
            }
            Arg::Long("isa") => {
                let value = args.value().map_err(|error| command.usage(error))?;
                let known = Isa::ALL.into_iter().find(|&isa| *isa_name(isa) == *value);
                isa = known.ok_or_else(|| {
                    let names = Isa::ALL.map(isa_name).join(" or ");
                    command.usage(format_args!("unknown ISA `{}`, expected {names}", value.display()))
                })?;
            }
            other => return Err(command.other(other)),
        }
    }
    let source = Source::read(&file.ok_or_else(|| command.usage("missing argument FILE"))?)?;
    let mut sites = Vec::new();
    let words = source.container(&mut |site| sites.push(site))?;
    let module = source.verify(&words)?;
    let lines = if source.is_container() { None } else { Some(Lines::new(source.text()?, &sites)) };
    let whole = name.is_none();
    let funcs = match name {
        Some(name) => {
            let func = source.function(&module, &name)?;
            func..=func
        }
        None => match module.func_count().checked_sub(1).map(u16::try_from) {
            Some(Ok(last)) => 0..=last,
            _ => return Ok(()),
        },
    };
    let features = if Isa::HOST == Some(isa) { features() } else { Features::ALL };
    let max_pinned = Options::default().max_pinned;
    let floats = jit::most_floats(&module);
    let stubs = with_room(|memory| jit::stubs(isa, memory, features, floats));
    let (stubs, _) = stubs.map_err(|error| source.wrong(error))?;
    let offset = stubs.end.next_multiple_of(FUNCTION_ALIGN);
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let mut sizes = Vec::new();
    for func in funcs {
        let place = Place::new(offset, features, stubs, func);
        let mut function = |memory: &mut [u8]| {
            // The listing borrows the scratch, so the memory is sized by a first run.
            jit::function(isa, &module, func, memory, place, &mut scratch, max_pinned).map(drop)
        };
        let (_, mut memory) = with_room(&mut function).map_err(|error| source.wrong(error))?;
        let listing = jit::function(isa, &module, func, &mut memory, place, &mut scratch, max_pinned)
            .map_err(|error| source.wrong(error))?;
        let mut text = String::new();
        let printer = Printer::new(isa, &memory, place);
        let size = print(&module, func, lines.as_ref(), printer, &listing, &mut text);
        sizes.push(size.map_err(|error| source.wrong(error))?);
        output::to_stdout(text.as_bytes())?;
    }
    let mut text = String::new();
    print_sizes(isa, &sizes, whole.then_some(stubs.end), &mut text).map_err(|error| source.wrong(error))?;
    output::to_stdout(text.as_bytes())
}

/// An ISA's name on the command line.
const fn isa_name(isa: Isa) -> &'static str {
    match isa {
        Isa::X86_64 => "x86-64",
        Isa::Arm64 => "arm64",
    }
}

/// Runs `emit` in memory, and in more as long as it says that the memory is full.
fn with_room<T>(mut emit: impl FnMut(&mut [u8]) -> Result<T, CompileError>) -> Result<(T, Vec<u8>), CompileError> {
    let mut memory = vec![0; 64 << 10];
    loop {
        match emit(&mut memory) {
            Err(CompileError::Emit { error: EmitError::Full { .. }, .. }) if memory.len() < MOST => {
                memory = vec![0; memory.len() * 4];
            }
            done => return done.map(|value| (value, memory)),
        }
    }
}

/// What a function takes, in bytes.
#[derive(Default)]
struct Size<'m> {
    name: &'m str,
    ops: usize,
    prologue: usize,
    templates: usize,
    rare_halves: usize,
}

impl Size<'_> {
    fn bytes(&self) -> usize {
        self.prologue + self.templates + self.rare_halves
    }
}

fn print<'m>(
    module: &Module<'m>,
    func: u16,
    lines: Option<&Lines<'_>>,
    mut printer: Printer<'_>,
    listing: &Listing<'_>,
    out: &mut String,
) -> Result<Size<'m>, fmt::Error> {
    let code = module.func(func.into()).map_or(&[][..], |func| func.code);
    let words = code.iter().enumerate().filter(|(_, word)| **word as u8 != Op::Args as u8).map(|(word, _)| word);
    let starts: Vec<_> = words.filter_map(|word| Some((word, listing.op(word)?))).collect();
    let size = Size {
        name: function_name(module, func),
        ops: starts.len(),
        prologue: listing.body(),
        templates: listing.cold() - listing.body(),
        rare_halves: listing.len() - listing.cold(),
    };
    writeln!(out, "{}: {} ops, {} bytes", size.name, size.ops, size.bytes())?;
    if size.prologue > 0 {
        out.write_str("      prologue\n")?;
    }
    printer.until(listing.body(), out)?;
    for (index, &(word, _)) in starts.iter().enumerate() {
        match lines.and_then(|lines| lines.op(func, word)) {
            Some((labels, op)) => {
                for label in labels {
                    writeln!(out, "      {label}")?;
                }
                write!(out, "{index:4}  {op}")?;
            }
            None => {
                write!(out, "{index:4}  ")?;
                write_op(module.container(), func.into(), word as u32, out)?;
            }
        }
        out.write_char('\n')?;
        printer.until(starts.get(index + 1).map_or(listing.cold(), |&(_, next)| next), out)?;
    }
    if size.rare_halves > 0 {
        out.write_str("      rare halves\n")?;
    }
    printer.until(listing.len(), out)?;
    out.write_char('\n')?;
    Ok(size)
}

/// Prints the sizes of the functions that were printed; with those of the stubs, also of all together.
fn print_sizes(isa: Isa, sizes: &[Size<'_>], stubs: Option<usize>, out: &mut String) -> fmt::Result {
    let (isa, total) = (isa_name(isa), "total");
    let width = sizes.iter().map(|size| size.name.len()).chain([isa.len(), total.len()]).max().unwrap_or(0);
    writeln!(
        out,
        "{isa:<width$}  {:>8}  {:>8}  {:>8}  {:>9}  {:>11}  {:>8}",
        "ops", "bytes", "prologue", "templates", "rare halves", "bytes/op"
    )?;
    let line = |size: &Size<'_>, bytes: usize, out: &mut String| {
        let each = if size.ops == 0 { 0.0 } else { bytes as f64 / size.ops as f64 };
        let Size { name, ops, prologue, templates, rare_halves } = size;
        writeln!(
            out,
            "{name:<width$}  {ops:>8}  {bytes:>8}  {prologue:>8}  {templates:>9}  {rare_halves:>11}  {each:>8.1}"
        )
    };
    for size in sizes {
        line(size, size.bytes(), out)?;
    }
    let Some(stubs) = stubs else { return Ok(()) };
    let sum = |part: fn(&Size<'_>) -> usize| sizes.iter().map(part).sum();
    let all = Size {
        name: total,
        ops: sum(|size| size.ops),
        prologue: sum(|size| size.prologue),
        templates: sum(|size| size.templates),
        rare_halves: sum(|size| size.rare_halves),
    };
    writeln!(out, "{:<width$}  {:>8}  {stubs:>8}", "stubs", "")?;
    line(&all, all.bytes() + stubs, out)
}
