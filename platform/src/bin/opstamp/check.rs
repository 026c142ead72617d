//! `opstamp check`

use crate::input::Source;
use crate::{Command, Failure, output};
use lexopt::Parser;
use opstamp::vm3::container::{Container, Section, Sig, op_index};
use opstamp::vm3::text::write_type;
use opstamp::vm3::types::TypeId;
use opstamp::{Instance, Module, jit};
use std::fmt::{self, Write};

pub const COMMAND: Command = Command {
    name: "check",
    synopsis: "FILE",
    summary: "Verify a module and print what it holds.",
    details: "\
FILE is vm3 text or a container. Prints its shapes, tables, globals, imports and functions, and the memory that they
take. Frames are bytes of VM stack.

Options:
  -h, --help    print this",
    run,
};

fn run(command: &Command, args: Parser) -> Result<(), Failure> {
    let source = Source::read(&command.only_path(args)?)?;
    let words = source.container(&mut |_| ())?;
    let module = source.verify(&words)?;
    let mut text = String::new();
    describe(&module, &mut text).map_err(|error| source.wrong(error))?;
    output::to_stdout(format!("{}: verified\n{text}", source.name()).as_bytes())
}

fn describe(module: &Module<'_>, out: &mut String) -> fmt::Result {
    let container = module.container();
    let name = |index| container.text(index).unwrap_or("?");
    writeln!(out, "container: {} bytes", container.words().len() * 8)?;
    writeln!(out, "state of an instance: {} bytes", Instance::state_words(module) * 8)?;
    writeln!(out, "scratch to compile: {} bytes", jit::scratch_words(module) * 8)?;
    for shape in (0..container.count(Section::Shapes)).filter_map(|index| container.shape(index)) {
        write!(out, "shape {} {{", name(shape.name))?;
        for number in 0..shape.count {
            let Some(field) = container.field(shape.fields + number) else { continue };
            write!(out, "{} {}: ", if number == 0 { "" } else { "," }, name(field.name))?;
            write_type(container, field.ty, out)?;
        }
        out.write_str(" }\n")?;
    }
    for table in (0..container.count(Section::Tables)).filter_map(|index| container.table(index)) {
        writeln!(out, "table {}: {} elements", name(table.name), table.len)?;
    }
    for global in (0..container.count(Section::Globals)).filter_map(|index| container.global(index)) {
        write!(out, "global {}: ", name(global.name))?;
        write_type(container, global.ty, out)?;
        out.write_char('\n')?;
    }
    for (import, sig) in (0..container.count(Section::Imports)).filter_map(|index| module.import(index)) {
        write!(out, "import {import}")?;
        signature(container, &sig, out)?;
        out.write_char('\n')?;
    }
    for index in 0..module.func_count() {
        let Some(func) = container.func(index) else { continue };
        let Some(sig) = module.func_sig(index) else { continue };
        write!(out, "func {}", name(func.name))?;
        signature(container, &sig, out)?;
        let code = container.code(&func).unwrap_or(&[]);
        let ops = op_index(code, code.len());
        let frame = opstamp::runtime::frame::frame_bytes(func.slot_count);
        writeln!(out, ": {ops} ops in {} words, {} registers, frame of {frame} bytes", code.len(), func.slot_count)?;
    }
    Ok(())
}

fn signature(container: &Container<'_>, sig: &Sig, out: &mut String) -> fmt::Result {
    out.write_char('(')?;
    for number in 0..sig.count {
        if number != 0 {
            out.write_str(", ")?;
        }
        write_type(container, container.param(sig, number).unwrap_or(TypeId::NONE), out)?;
    }
    out.write_char(')')?;
    if sig.result != TypeId::NONE {
        out.write_str(" -> ")?;
        write_type(container, sig.result, out)?;
    }
    Ok(())
}
