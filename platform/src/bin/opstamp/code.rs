//! `opstamp code`

use crate::input::Source;
use crate::session::function_name;
use crate::{Command, Failure, output};
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter, OpKind, SymbolResolver, SymbolResult};
use lexopt::{Arg, Parser};
use opstamp::Module;
use opstamp::asm::EmitError;
use opstamp::jit::{self, CompileError, Listing, Options};
use opstamp::masm::{FUNCTION_ALIGN, Isa, Place, Stubs};
use opstamp::vm3::op::{Op, TrapKind};
use opstamp::vm3::text::write_op;
use opstamp_platform::features;
use std::fmt::{self, Write};

pub const COMMAND: Command = Command {
    name: "code",
    synopsis: "FILE [--func NAME]",
    summary: "Print the x86-64 machine code of each op.",
    details: "\
FILE is vm3 text or a container. Each op is followed by the instructions of its template, with their offsets in the
function; the rare halves stand behind the last op. The code is what this CPU would run.

Options:
  --func NAME    print this function alone
  -h, --help     print this",
    run,
};

/// The most bytes of machine code that a function may have here: as many as the code window.
const MOST: usize = 128 << 20;

fn run(command: &Command, mut args: Parser) -> Result<(), Failure> {
    let (mut file, mut name) = (None, None);
    while let Some(arg) = args.next().map_err(|error| command.usage(error))? {
        match arg {
            Arg::Value(value) if file.is_none() => file = Some(value),
            Arg::Long("func") => {
                let value = args.value().map_err(|error| command.usage(error))?;
                let wrong = |_| command.usage("the value of --func is not UTF-8");
                name = Some(value.into_string().map_err(wrong)?);
            }
            other => return Err(command.other(other)),
        }
    }
    let source = Source::read(&file.ok_or_else(|| command.usage("missing argument FILE"))?)?;
    let words = source.container(&mut |_| ())?;
    let module = source.verify(&words)?;
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
    let options = Options { features: features(), ..Options::default() };
    let (stubs, _) =
        with_room(|memory| jit::stubs(Isa::X86_64, memory, options.features)).map_err(|e| source.wrong(e))?;
    let mut scratch = vec![0; jit::scratch_words(&module)];
    for func in funcs {
        let place = Place::new(stubs.end.next_multiple_of(FUNCTION_ALIGN), options.features, stubs, func);
        let mut text = String::new();
        // The listing borrows the scratch, so the memory is sized by a first run.
        let (_, mut memory) = with_room(|memory| {
            jit::function(Isa::X86_64, &module, func, memory, place, &mut scratch, options.max_pinned).map(drop)
        })
        .map_err(|error| source.wrong(error))?;
        let listing = jit::function(Isa::X86_64, &module, func, &mut memory, place, &mut scratch, options.max_pinned)
            .map_err(|error| source.wrong(error))?;
        print(&module, func, &memory, place, &listing, &mut text).map_err(|error| source.wrong(error))?;
        output::to_stdout(text.as_bytes())?;
    }
    Ok(())
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

fn print(
    module: &Module<'_>,
    func: u16,
    memory: &[u8],
    place: Place,
    listing: &Listing<'_>,
    out: &mut String,
) -> fmt::Result {
    let code = module.func(func.into()).map_or(&[][..], |func| func.code);
    let ops = code.iter().enumerate().filter(|(_, word)| **word as u8 != Op::Args as u8).map(|(word, _)| word);
    let mut printer = Printer::new(memory, place);
    writeln!(out, "{}: {} bytes", function_name(module, func), listing.len())?;
    printer.until(listing.body(), out)?;
    let starts: Vec<_> = ops.filter_map(|word| Some((word, listing.op(word)?))).collect();
    for (index, &(word, _)) in starts.iter().enumerate() {
        write!(out, "{index:4}  ")?;
        write_op(module.container(), func.into(), word as u32, out)?;
        out.write_char('\n')?;
        printer.until(starts.get(index + 1).map_or(listing.cold(), |&(_, next)| next), out)?;
    }
    if listing.cold() < listing.len() {
        out.write_str("      rare halves\n")?;
    }
    printer.until(listing.len(), out)?;
    out.write_char('\n')
}

/// Prints instructions in order.
struct Printer<'m> {
    decoder: Decoder<'m>,
    formatter: NasmFormatter,
    /// The offset of the function in the code window.
    base: u64,
}

impl<'m> Printer<'m> {
    fn new(memory: &'m [u8], place: Place) -> Self {
        let base = place.offset as u64;
        let names = Names { base, stubs: stub_names(place.stubs) };
        let formatter = NasmFormatter::with_options(Some(Box::new(names)), None);
        Self { decoder: Decoder::with_ip(64, memory, base, DecoderOptions::NONE), formatter, base }
    }

    /// Prints up to an offset in the function.
    fn until(&mut self, end: usize, out: &mut String) -> fmt::Result {
        let end = self.base + end as u64;
        let mut instruction = Instruction::default();
        while self.decoder.ip() < end && self.decoder.can_decode() {
            self.decoder.decode_out(&mut instruction);
            write!(out, "        {:5x}  ", instruction.ip() - self.base)?;
            self.formatter.format(&instruction, out);
            out.write_char('\n')?;
        }
        Ok(())
    }
}

/// The names of branch targets: stubs by their names, places in the function by their offsets in it.
struct Names {
    base: u64,
    stubs: Vec<(u64, String)>,
}

fn stub_names(stubs: Stubs) -> Vec<(u64, String)> {
    let named = [
        ("trap", stubs.trap),
        ("guard", stubs.guard),
        ("host", stubs.host),
        ("soft", stubs.soft),
        ("deopt", stubs.deopt),
    ];
    let traps = TrapKind::ALL
        .into_iter()
        .filter_map(|(kind, name)| Some((*stubs.trap_kind.get(kind as usize)? as u64, format!("stub.trap.{name}"))));
    let all = named.into_iter().map(|(name, offset)| (offset as u64, format!("stub.{name}")));
    traps.chain(all).filter(|&(offset, _)| offset != 0).collect()
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _operand: u32,
        _instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        if instruction.op0_kind() != OpKind::NearBranch64 {
            return None;
        }
        if let Some((_, name)) = self.stubs.iter().find(|(offset, _)| *offset == address) {
            return Some(SymbolResult::with_str(address, name));
        }
        let inside = address.checked_sub(self.base)?;
        Some(SymbolResult::with_string(address, format!("{inside:x}h")))
    }
}
