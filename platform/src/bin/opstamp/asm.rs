//! `opstamp asm`

use crate::input::Source;
use crate::{Command, Failure};
use lexopt::{Arg, Parser};
use std::fs;

pub const COMMAND: Command = Command {
    name: "asm",
    synopsis: "IN -o OUT",
    summary: "Assemble vm3 text into a container.",
    details: "\
IN is vm3 text. The container is verified before it is written.

Options:
  -o, --output OUT    where the container goes
  -h, --help          print this",
    run,
};

fn run(command: &Command, mut args: Parser) -> Result<(), Failure> {
    let (mut input, mut output) = (None, None);
    while let Some(arg) = args.next().map_err(|error| command.usage(error))? {
        match arg {
            Arg::Short('o') | Arg::Long("output") => {
                output = Some(args.value().map_err(|error| command.usage(error))?);
            }
            Arg::Value(value) if input.is_none() => input = Some(value),
            other => return Err(command.other(other)),
        }
    }
    let input = input.ok_or_else(|| command.usage("missing argument IN"))?;
    let output = output.ok_or_else(|| command.usage("missing option -o OUT"))?;
    let source = Source::read(&input)?;
    source.only_text(command)?;
    let words = source.container(&mut |_| ())?;
    source.verify(&words)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&output, bytes)
        .map_err(|error| Failure::Error(format!("{}: cannot be written: {error}", output.display())))
}
