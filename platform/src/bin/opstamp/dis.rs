//! `opstamp dis`

use crate::input::Source;
use crate::{Command, Failure, output};
use lexopt::Parser;
use opstamp::vm3::container::Container;
use opstamp::vm3::text::{DISASSEMBLE_SCRATCH, disassemble};

pub const COMMAND: Command = Command {
    name: "dis",
    synopsis: "FILE",
    summary: "Print a module as vm3 text.",
    details: "\
FILE is a container or vm3 text. It is not verified; what a container names and does not hold is printed as `?`.
Registers and labels have no names in a container: they are called by bank and slot, and by op.

Options:
  -h, --help    print this",
    run,
};

fn run(command: &Command, args: Parser) -> Result<(), Failure> {
    let source = Source::read(&command.only_path(args)?)?;
    let words = source.container(&mut |_| ())?;
    let container = Container::read(&words).map_err(|error| source.wrong(error))?;
    let mut text = String::new();
    disassemble(&container, &mut text, &mut vec![0; DISASSEMBLE_SCRATCH]).map_err(|error| source.wrong(error))?;
    output::to_stdout(text.as_bytes())
}
