//! Machine code as lines of text, for every ISA: offset, bytes, instruction.

use farm64::format::{FmtFormatter, Formatter as _};
use farm64::{DecoderOptions as ArmOptions, Operand};
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter, OpKind, SymbolResolver, SymbolResult};
use opstamp::masm::{Isa, Place, Stubs};
use opstamp::vm3::op::TrapKind;
use std::fmt::{self, Write};

/// What stands in place of an instruction that the disassembler does not know.
const UNKNOWN: &str = "(bad)";

/// Prints the instructions of one function, in order.
pub struct Printer<'m> {
    /// The function's bytes.
    code: &'m [u8],
    /// The offset in the function of the next instruction.
    at: usize,
    names: Names,
    backend: Backend,
}

enum Backend {
    X64(Box<NasmFormatter>),
    A64(FmtFormatter),
}

impl<'m> Printer<'m> {
    /// For the function whose code is at the start of `code`.
    pub fn new(isa: Isa, code: &'m [u8], place: Place) -> Self {
        let names = Names { base: place.offset as u64, stubs: stub_names(place.stubs) };
        let backend = match isa {
            Isa::X86_64 => Backend::X64(Box::new(nasm(names.clone()))),
            Isa::Arm64 => Backend::A64(FmtFormatter::new()),
        };
        Self { code, at: 0, names, backend }
    }

    /// Prints up to an offset in the function.
    pub fn until(&mut self, end: usize, out: &mut String) -> fmt::Result {
        while let Some(rest) = self.code.get(self.at..end).filter(|rest| !rest.is_empty()) {
            let ip = self.names.base + self.at as u64;
            let mut text = String::new();
            let (len, digits) = match &mut self.backend {
                Backend::X64(formatter) => {
                    let instruction = Decoder::with_ip(64, rest, ip, DecoderOptions::NONE).decode();
                    formatter.format(&instruction, &mut text);
                    // Most instructions have no more than 10 bytes.
                    (instruction.len(), 20)
                }
                Backend::A64(formatter) => {
                    arm64(rest, ip, formatter, &self.names, &mut text)?;
                    (4, 8)
                }
            };
            let bytes = rest.get(..len).unwrap_or(rest);
            let hex = match (&self.backend, bytes.try_into()) {
                (Backend::A64(_), Ok(word)) => format!("{:08x}", u32::from_le_bytes(word)),
                _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            writeln!(out, "      {:6x}  {hex:<digits$}  {text}", self.at)?;
            self.at += bytes.len();
        }
        Ok(())
    }
}

/// x86-64 in the notation of NASM, with numbers as on arm64.
fn nasm(names: Names) -> NasmFormatter {
    let mut formatter = NasmFormatter::with_options(Some(Box::new(names)), None);
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_add_leading_zero_to_hex_numbers(false);
    options.set_space_after_operand_separator(true);
    options.set_show_branch_size(false);
    options.set_signed_immediate_operands(true);
    options.set_first_operand_char_index(8);
    formatter
}

/// The instruction at the start of `code` in the notation of Arm's manual.
fn arm64(code: &[u8], ip: u64, formatter: &FmtFormatter, names: &Names, out: &mut String) -> fmt::Result {
    let instruction = farm64::Decoder::new(code, ip, ArmOptions::default()).decode();
    if instruction.is_invalid() {
        return out.write_str(UNKNOWN);
    }
    // The place that an instruction names is its last operand, which the formatter prints as an offset in the code window.
    let last = instruction.op_count().saturating_sub(1);
    let Operand::Label(address) = instruction.op(last) else {
        formatter.format(&instruction, out);
        return Ok(());
    };
    let mut text = String::new();
    formatter.format(&instruction, &mut text);
    let mut target = String::new();
    formatter.format_operand(&instruction, last, &mut target);
    out.write_str(text.strip_suffix(&target).unwrap_or(&text))?;
    out.write_str(&names.of(address))
}

/// The names of places in code: stubs by their names, places in the function by their offsets in it.
#[derive(Clone)]
struct Names {
    /// The offset of the function in the code window.
    base: u64,
    stubs: Vec<(u64, String)>,
}

impl Names {
    /// The name of an offset in the code window.
    fn of(&self, address: u64) -> String {
        if let Some((_, name)) = self.stubs.iter().find(|(offset, _)| *offset == address) {
            return name.clone();
        }
        match address.checked_sub(self.base) {
            Some(inside) => format!("{inside:#x}"),
            None => format!("-{:#x}", self.base - address),
        }
    }
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
        let place = instruction.op0_kind() == OpKind::NearBranch64 || instruction.is_ip_rel_memory_operand();
        place.then(|| SymbolResult::with_string(address, self.of(address)))
    }
}
