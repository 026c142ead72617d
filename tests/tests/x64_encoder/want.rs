//! What an instruction is meant to be, in the manual's terms, and its two judges: the text for an assembler and the
//! comparison with a disassembler. Nothing here knows how the encoder works.

use std::fmt;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};
use opstamp::asm::x64::{Gpr, Xmm};

/// The general-purpose registers by number, with their names at 8, 4, 2 and 1 bytes.
pub const GPRS: [(Gpr, [&str; 4]); 16] = [
    (Gpr::Rax, ["rax", "eax", "ax", "al"]),
    (Gpr::Rcx, ["rcx", "ecx", "cx", "cl"]),
    (Gpr::Rdx, ["rdx", "edx", "dx", "dl"]),
    (Gpr::Rbx, ["rbx", "ebx", "bx", "bl"]),
    (Gpr::Rsp, ["rsp", "esp", "sp", "spl"]),
    (Gpr::Rbp, ["rbp", "ebp", "bp", "bpl"]),
    (Gpr::Rsi, ["rsi", "esi", "si", "sil"]),
    (Gpr::Rdi, ["rdi", "edi", "di", "dil"]),
    (Gpr::R8, ["r8", "r8d", "r8w", "r8b"]),
    (Gpr::R9, ["r9", "r9d", "r9w", "r9b"]),
    (Gpr::R10, ["r10", "r10d", "r10w", "r10b"]),
    (Gpr::R11, ["r11", "r11d", "r11w", "r11b"]),
    (Gpr::R12, ["r12", "r12d", "r12w", "r12b"]),
    (Gpr::R13, ["r13", "r13d", "r13w", "r13b"]),
    (Gpr::R14, ["r14", "r14d", "r14w", "r14b"]),
    (Gpr::R15, ["r15", "r15d", "r15w", "r15b"]),
];

/// The vector registers by number.
pub const XMMS: [(Xmm, &str); 16] = [
    (Xmm::Xmm0, "xmm0"),
    (Xmm::Xmm1, "xmm1"),
    (Xmm::Xmm2, "xmm2"),
    (Xmm::Xmm3, "xmm3"),
    (Xmm::Xmm4, "xmm4"),
    (Xmm::Xmm5, "xmm5"),
    (Xmm::Xmm6, "xmm6"),
    (Xmm::Xmm7, "xmm7"),
    (Xmm::Xmm8, "xmm8"),
    (Xmm::Xmm9, "xmm9"),
    (Xmm::Xmm10, "xmm10"),
    (Xmm::Xmm11, "xmm11"),
    (Xmm::Xmm12, "xmm12"),
    (Xmm::Xmm13, "xmm13"),
    (Xmm::Xmm14, "xmm14"),
    (Xmm::Xmm15, "xmm15"),
];

/// An address by register numbers: base, index with its factor, displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub base: usize,
    pub index: Option<(usize, u32)>,
    pub disp: i32,
}

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A general-purpose register by number and width in bytes.
    Reg(usize, usize),
    /// A vector register by number.
    Vec(usize),
    /// An immediate and the bits of it that count.
    Imm(i64, u32),
    /// Memory and how many bytes are accessed; 0 for an address alone.
    Mem(Address, usize),
}

impl Arg {
    fn register(self) -> Option<&'static str> {
        match self {
            Self::Reg(number, bytes) => {
                let width = [8, 4, 2, 1].iter().position(|&b| b == bytes).expect("a width of the table");
                Some(GPRS[number].1[width])
            }
            Self::Vec(number) => Some(XMMS[number].1),
            _ => None,
        }
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Reg(..) | Self::Vec(_) => f.write_str(self.register().expect("a register")),
            Self::Imm(value, _) => write!(f, "{value}"),
            Self::Mem(Address { base, index, disp }, bytes) => {
                f.write_str(match bytes {
                    0 => "",
                    1 => "byte ptr ",
                    2 => "word ptr ",
                    4 => "dword ptr ",
                    8 => "qword ptr ",
                    _ => "xmmword ptr ",
                })?;
                write!(f, "[{}", GPRS[base].1[0])?;
                if let Some((index, factor)) = index {
                    write!(f, "+{factor}*{}", GPRS[index].1[0])?;
                }
                write!(f, "{disp:+}]")
            }
        }
    }
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    pub mnemonic: String,
    pub args: Vec<Arg>,
}

/// An instruction by mnemonic and operands, destination first.
pub fn want<const N: usize>(mnemonic: impl Into<String>, args: [Arg; N]) -> Want {
    Want { mnemonic: mnemonic.into(), args: args.to_vec() }
}

/// Instructions whose last two operands may change places.
const COMMUTATIVE: [&str; 7] = ["xchg", "test", "vaddsd", "vmulsd", "vandpd", "vorpd", "vxorpd"];

impl Want {
    /// Whether `bytes`, an assembler's, are this instruction with its two sources swapped. Assemblers may do so, some to
    /// save a byte of VEX prefix.
    pub fn is_swapped(&self, bytes: &[u8]) -> bool {
        let mut swapped = self.clone();
        if let [.., x, y] = swapped.args.as_mut_slice() {
            std::mem::swap(x, y);
        }
        COMMUTATIVE.contains(&self.mnemonic.as_str()) && decodes_to(bytes, &swapped).is_ok()
    }
}

/// Intel syntax as `llvm-mc -x86-asm-syntax=intel` reads it.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mnemonic)?;
        for (i, arg) in self.args.iter().enumerate() {
            write!(f, "{} {arg}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The disassembler's name of a register, as the tables above spell it.
fn name(register: Register) -> String {
    let name = format!("{register:?}").to_lowercase();
    match name.strip_suffix('l') {
        Some(stem) if stem.starts_with('r') => format!("{stem}b"),
        _ => name,
    }
}

fn same_arg(i: &Instruction, op: u32, arg: Arg) -> bool {
    match (i.op_kind(op), arg) {
        (OpKind::Register, Arg::Reg(..) | Arg::Vec(_)) => Some(name(i.op_register(op)).as_str()) == arg.register(),
        (OpKind::Memory, Arg::Mem(address, bytes)) => {
            let index = match i.memory_index() {
                Register::None => None,
                index => Some((name(index), i.memory_index_scale())),
            };
            name(i.memory_base()) == GPRS[address.base].1[0]
                && index == address.index.map(|(n, factor)| (GPRS[n].1[0].to_string(), factor))
                && i.memory_displacement64() == i64::from(address.disp) as u64
                && i.memory_size().size() == bytes
                && i.segment_prefix() == Register::None
        }
        (
            OpKind::Immediate8
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64,
            Arg::Imm(value, bits),
        ) => (i.immediate(op) ^ value as u64) << (64 - bits) == 0,
        _ => false,
    }
}

/// The one instruction that `bytes` are.
pub fn decode(bytes: &[u8]) -> Result<Instruction, String> {
    let instruction = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return Err("the disassembler knows no such instruction".into());
    }
    if instruction.len() != bytes.len() {
        return Err(format!("the first instruction ends after {} bytes", instruction.len()));
    }
    Ok(instruction)
}

/// Whether the disassembler reads `bytes` as exactly `want`.
pub fn decodes_to(bytes: &[u8], want: &Want) -> Result<(), String> {
    let i = decode(bytes)?;
    let mnemonic = match i.code() {
        Code::Mov_r64_imm64 => "movabs".into(),
        _ => format!("{:?}", i.mnemonic()).to_lowercase(),
    };
    // xchg rax, rax and nop are one instruction (SDM vol. 2, XCHG).
    if i.code() == Code::Nopd && *want == self::want("xchg", [Arg::Reg(0, 8), Arg::Reg(0, 8)]) {
        return Ok(());
    }
    let in_order = |args: &[Arg]| args.iter().zip(0..).all(|(&arg, op)| same_arg(&i, op, arg));
    let mut swapped = want.args.clone();
    if mnemonic == "xchg" {
        swapped.reverse();
    }
    if mnemonic == want.mnemonic
        && i.op_count() as usize == want.args.len()
        && (in_order(&want.args) || in_order(&swapped))
    {
        Ok(())
    } else {
        Err(format!("the disassembler reads {mnemonic} with {:?}", i.op_kinds().collect::<Vec<_>>()))
    }
}
