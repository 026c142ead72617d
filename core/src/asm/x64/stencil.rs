//! Instructions with their operands left open, and operands made ready for them: putting the two together takes no branch.
//!
//! The encoders beside this file choose by conditions: is there a REX, does the displacement fit into a byte, is the
//! operand a register. Where the operands are data that follow no pattern a processor mispredicts about every second of
//! these choices, which takes longer than all the rest. Here a [`Stencil`] holds what an instruction is and an [`Operand`]
//! what a register or a place in memory becomes in any instruction; both are words whose parts are shifted together, and
//! only lengths depend on them. Which form an instruction takes (by the size of a literal, say) is the caller's choice.

use super::word::REX;
use super::{Alu, Cc, Gpr, Mem, Shift, SseLogic, Unary, Xmm};
use crate::asm::{ROOM, Room};

/// A register or a place in memory.
///
/// Any pair of words is an operand as far as memory safety goes; what it stands for is only defined if it was made here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Operand {
    /// For the rm field: from bit 16 on ModRM (with the reg field 0), SIB and displacement, 5 bytes; from bit 56 REX.B and
    /// REX.X; bit 59: it is a register; bit 60: as a base it needs a SIB byte; from bit 61 on its length in bytes.
    rm: u64,
    /// For the reg field: the same bits of ModRM and, in bit 58, REX.R. Of memory: of register 0.
    reg: u64,
}

/// Where [`Operand`]'s words hold ModRM, what goes into REX, two flags, and the length.
const MODRM_AT: u32 = 16;
const REX_AT: u32 = 56;
const REGISTER_AT: u32 = 59;
const SIB_AT: u32 = 60;
const LEN_AT: u32 = 61;

impl Operand {
    /// No bytes.
    pub const NONE: Self = Self { rm: 0, reg: 0 };

    const fn register(number: u8) -> Self {
        let (low, high) = ((number & 7) as u64, (number >> 3 & 1) as u64);
        // rsp and r12 are bases only with a SIB byte (SDM vol. 2, table 2-2).
        let flags = 1 << REGISTER_AT | ((low == 4) as u64) << SIB_AT;
        let rm = (0xc0 | low) << MODRM_AT | high << REX_AT | flags | 1 << LEN_AT;
        Self { rm, reg: low << (MODRM_AT + 3) | high << (REX_AT + 2) }
    }

    /// A general register.
    pub const fn gpr(r: Gpr) -> Self {
        Self::register(r.index())
    }

    /// A vector register.
    pub const fn xmm(r: Xmm) -> Self {
        Self::register(r.index())
    }

    /// A place in memory, of at most 5 bytes in an instruction: without a SIB byte, or without a long displacement. As the
    /// register of an instruction it stands for rax, or xmm0.
    pub const fn mem(mem: Mem) -> Self {
        debug_assert!(mem.len <= 5);
        Self { rm: mem.bits << MODRM_AT | (mem.rex as u64) << REX_AT | (mem.len as u64) << LEN_AT, reg: 0 }
    }

    /// Four bytes in place of ModRM and what follows it.
    #[inline(always)]
    pub const fn bytes4(bytes: u32) -> Self {
        Self { rm: (bytes as u64) << MODRM_AT | 4 << LEN_AT, reg: 0 }
    }

    /// The first word of the memory at the sum of this register, which may not be rbp or r13, and an index, but for the
    /// index ([`Operand::index_word`]); bits 0 to 7 are not part of it.
    pub const fn sum_word(self) -> u64 {
        let sib = self.rm >> MODRM_AT & 7;
        (0x04 | sib << 8) << MODRM_AT | (self.rm & 1 << REX_AT) | 2 << LEN_AT
    }

    /// The part of [`Operand::sum_word`] that is the index, which may not be rsp.
    pub const fn index_word(self) -> u64 {
        (self.reg >> MODRM_AT & 0x38) << (MODRM_AT + 8) | (self.reg & 4 << REX_AT) >> 1
    }

    /// Of a register: whether it is rbp or r13, which cannot be a base without a displacement.
    #[inline(always)]
    pub const fn is_no_base(self) -> bool {
        self.rm >> MODRM_AT & 7 == 5
    }

    /// Of a register: whether it is rsp or r12, which as a base need a SIB byte.
    #[inline(always)]
    pub const fn needs_sib(self) -> bool {
        self.rm >> SIB_AT & 1 != 0
    }

    /// Of a register: the three lower bits of its number.
    pub const fn low_bits(self) -> u32 {
        (self.rm >> MODRM_AT) as u32 & 7
    }

    /// Of a register: whether its number is above 7.
    pub const fn has_high_bit(self) -> bool {
        self.rm >> REX_AT & 1 != 0
    }

    /// Whether it is a register.
    #[inline(always)]
    pub const fn is_register(self) -> bool {
        self.rm >> REGISTER_AT & 1 != 0
    }

    /// Its two words, to be kept elsewhere.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        [self.rm, self.reg]
    }

    /// The operand of these [`Operand::words`].
    #[inline(always)]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self { rm: words[0], reg: words[1] }
    }
}

/// The displacement behind a base.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Disp {
    /// None; the base may not be rbp or r13.
    None,
    /// The stencil's literal, sign-extended from 8 bits.
    Byte,
    /// The stencil's literal of 32 bits.
    Word,
}

/// The operands that stencils can name, by a number below 128.
pub struct Operands([u64; 256]);

impl Default for Operands {
    fn default() -> Self {
        Self::NONE
    }
}

impl Operands {
    /// Without bytes, all of them.
    pub const NONE: Self = Self([0; 256]);

    /// Sets the operand of a number.
    #[inline(always)]
    pub const fn set(&mut self, number: u8, operand: Operand) {
        let at = (number & 127) as usize * 2;
        self.0[at] = operand.rm;
        self.0[at + 1] = operand.reg;
    }

    /// Sets the memory of a number, by its [`Operand::sum_word`].
    #[inline(always)]
    pub const fn set_sum(&mut self, number: u8, word: u64) {
        self.0[(number & 127) as usize * 2] = word;
    }
}

/// An instruction whose operands are named by their numbers.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Stencil {
    /// The opcode from the lowest byte on, and behind it what changes bits of ModRM.
    code: u32,
    /// The mandatory prefix, if any, and 40 behind it, or in its place; of a VEX instruction, W and pp, and the map.
    head: u16,
    /// REX, or 0 if it is only there for the bits of the operands; 0 of a VEX instruction.
    rex: u8,
    /// The length of the mandatory prefix in bits, 0 or 8; of a VEX instruction [`VEX`].
    prefix_bits: u8,
    /// The same in bytes, without the exception.
    prefix_len: u8,
    /// The length of the opcode in bytes.
    code_len: u8,
    /// How far an operand's ModRM is moved down to be behind the opcode.
    down: u8,
    /// Where the variant is changed into, in bits from the start of the opcode.
    vary: u8,
    /// Where in [`Operands`] the operands of ModRM's reg and rm, and of VEX.vvvv are.
    reg: u8,
    rm: u8,
    second: u8,
    /// The bytes of the literal behind all.
    imm: u8,
}

/// In place of a prefix's length.
const VEX: u8 = 0x80;
/// Behind every instruction: the variant changes nothing, or nothing but pp.
const NOWHERE: u8 = 56;
const PP: u8 = 57;

impl Stencil {
    /// No instruction, for an operand that is [`Operand::NONE`].
    pub const fn none(none: u8) -> Self {
        Self::new(0, 0).on(none, none)
    }

    const fn new(code: u32, len: u8) -> Self {
        Self {
            code,
            head: REX as u16,
            rex: 0,
            prefix_bits: 0,
            prefix_len: 0,
            code_len: len,
            down: MODRM_AT as u8 - len * 8,
            vary: NOWHERE,
            reg: 0,
            rm: 0,
            second: 0,
            imm: 0,
        }
    }

    /// Whether it has no variants and no VEX prefix.
    pub const fn is_simple(&self) -> bool {
        self.vary == NOWHERE && self.prefix_bits != VEX
    }

    /// Whether they are equal, for tables made at build time.
    pub const fn same(&self, other: &Self) -> bool {
        self.code == other.code
            && self.reg == other.reg
            && self.rm == other.rm
            && self.second == other.second
            && self.head == other.head
            && self.rex == other.rex
            && self.prefix_bits == other.prefix_bits
            && self.prefix_len == other.prefix_len
            && self.code_len == other.code_len
            && self.down == other.down
            && self.vary == other.vary
            && self.imm == other.imm
    }

    const fn one(code: u8) -> Self {
        Self::new(code as u32, 1)
    }

    const fn two(code: u8) -> Self {
        Self::new(0x0f | (code as u32) << 8, 2)
    }

    const fn prefix(self, prefix: u8) -> Self {
        Self { head: prefix as u16 | (REX as u16) << 8, prefix_bits: 8, prefix_len: 1, ..self }
    }

    /// REX with these bits, or 40 alone.
    const fn rex(self, bits: u8) -> Self {
        Self { rex: REX | bits, ..self }
    }

    /// 64-bit operands.
    const fn wide(self) -> Self {
        self.rex(8)
    }

    /// A `/digit` in place of a register.
    const fn digit(self, digit: u8) -> Self {
        self.flip(digit << 3)
    }

    /// Changes bits of ModRM.
    const fn flip(self, bits: u8) -> Self {
        Self { code: self.code ^ (bits as u32) << (self.code_len * 8), ..self }
    }

    const fn imm(self, bytes: u8) -> Self {
        Self { imm: bytes, ..self }
    }

    const fn imm_of(self, byte: bool) -> Self {
        self.imm(if byte { 1 } else { 4 })
    }

    const fn vex(map: u8, pp: u8, w: u8, code: u8) -> Self {
        Self { head: (w << 7 | pp) as u16 | (map as u16) << 8, prefix_bits: VEX, ..Self::one(code) }
    }

    /// With these operands in reg and rm.
    pub const fn on(self, reg: u8, rm: u8) -> Self {
        Self { reg: reg * 2 + 1, rm: rm * 2, ..self }
    }

    /// With this one in VEX.vvvv.
    pub const fn second(self, second: u8) -> Self {
        Self { second: second * 2 + 1, ..self }
    }

    /// The variant changes bits of the last byte of the opcode.
    pub const fn vary_code(self) -> Self {
        Self { vary: self.code_len * 8 - 8, ..self }
    }

    /// The variant changes bits of ModRM.
    pub const fn vary_modrm(self) -> Self {
        Self { vary: self.code_len * 8, ..self }
    }

    /// The variant changes pp.
    pub const fn vary_pp(self) -> Self {
        Self { vary: PP, ..self }
    }

    /// The register in rm is a base, which may not need a SIB byte; where there is a displacement, it is the literal.
    pub const fn at_base(self, disp: Disp) -> Self {
        match disp {
            Disp::None => self.flip(0xc0),
            Disp::Byte => self.flip(0x80).imm(1),
            Disp::Word => self.flip(0x40).imm(4),
        }
    }

    /// reg = reg op rm; `Cmp` only sets the flags.
    pub const fn alu_rm(op: Alu) -> Self {
        Self::one((op as u8) << 3 | 3).wide()
    }

    /// rm = rm op reg.
    pub const fn alu_mr(op: Alu) -> Self {
        Self::one((op as u8) << 3 | 1).wide()
    }

    /// rm = rm op literal.
    pub const fn alu_mi(op: Alu, byte: bool) -> Self {
        Self::one(0x81 | (byte as u8) << 1).wide().digit(op as u8).imm_of(byte)
    }

    /// The low halves: reg = reg ^ reg, for reg and rm the same register.
    pub const fn clear() -> Self {
        Self::one((Alu::Xor as u8) << 3 | 1)
    }

    /// reg = rm.
    pub const fn mov_rm() -> Self {
        Self::one(0x8b).wide()
    }

    /// rm = reg.
    pub const fn mov_mr() -> Self {
        Self::one(0x89).wide()
    }

    /// The low half of rm = the low half of reg; of a register, the upper half is cleared.
    pub const fn mov_mr32() -> Self {
        Self::one(0x89)
    }

    /// rm = literal of 32 bits, sign-extended.
    pub const fn mov_mi() -> Self {
        Self::one(0xc7).wide().imm(4)
    }

    /// The register rm = literal of 32 bits, zero-extended.
    pub const fn mov_ri() -> Self {
        // The register stands in the low bits of the opcode, as it does in a ModRM that becomes it.
        Self::new(0, 0).flip(0xc0 ^ 0xb8).imm(4)
    }

    /// reg = the address rm.
    pub const fn lea() -> Self {
        Self::one(0x8d).wide()
    }

    /// reg = reg * rm.
    pub const fn imul_rm() -> Self {
        Self::two(0xaf).wide()
    }

    /// reg = rm * literal.
    pub const fn imul_rmi(byte: bool) -> Self {
        Self::one(0x69 | (byte as u8) << 1).wide().imm_of(byte)
    }

    /// rm = op rm.
    pub const fn unary(op: Unary) -> Self {
        Self::one(0xf7).wide().digit(op as u8)
    }

    /// rm = op rm, for the [`Unary`] whose digit the variant is.
    pub const fn unary_varied() -> Self {
        Self::one(0xf7).wide().vary_modrm()
    }

    /// rm = rm op literal of 8 bits, for the [`Shift`] whose digit the variant is; by 1, without the literal.
    pub const fn shift_i(by_one: bool) -> Self {
        if by_one { Self::one(0xd1).wide().vary_modrm() } else { Self::one(0xc1).wide().vary_modrm().imm(1) }
    }

    /// rm = rm op cl, for the [`Shift`] whose digit the variant is.
    pub const fn shift_cl() -> Self {
        Self::one(0xd3).wide().vary_modrm()
    }

    /// reg = rm op second, for `Shl`; the others by a variant of pp, [`Stencil::shiftx_variant`].
    pub const fn shiftx() -> Self {
        Self::vex(2, 1, 1, 0xf7).vary_pp()
    }

    /// The variant of [`Stencil::shiftx`] that does `op`, which is no rotate.
    pub const fn shiftx_variant(op: Shift) -> u8 {
        match op {
            Shift::Shr => 1 ^ 3,
            Shift::Sar => 1 ^ 2,
            _ => 0,
        }
    }

    /// Flags of reg & rm.
    pub const fn test() -> Self {
        Self::one(0x85).wide()
    }

    /// The low byte of the register rm = 1 if the condition that is the variant holds, else 0. `rex` says that the register
    /// is none of the first four: the next four need a REX here (SDM vol. 2, table 3-1), and the others have one.
    pub const fn setcc(rex: bool) -> Self {
        let code = Self::two(0x90).vary_code();
        if rex { code.rex(0) } else { code }
    }

    /// reg = rm if the condition holds.
    pub const fn cmov(cc: Cc) -> Self {
        Self::two(0x40 | cc as u8).wide()
    }

    /// reg = rm if the condition that is the variant holds.
    pub const fn cmov_varied() -> Self {
        Self::two(0x40).wide().vary_code()
    }

    /// reg = the low byte of rm, one of the first four registers, zero-extended.
    pub const fn movzx8() -> Self {
        Self::two(0xb6)
    }

    /// A jump if the condition that is the variant holds, with 4 bytes for rm that become the displacement.
    pub const fn jcc() -> Self {
        Self::two(0x80).vary_code()
    }

    /// reg = the bit count or scan of rm that is the variant, by [`Bits::last_opcode_byte`](super::Bits).
    pub const fn count() -> Self {
        Self::two(0).prefix(0xf3).wide().vary_code()
    }

    /// reg = the 8 bytes at rm.
    pub const fn movsd_rm() -> Self {
        Self::scalar(0x10)
    }

    /// The 8 bytes at rm = reg.
    pub const fn movsd_mr() -> Self {
        Self::scalar(0x11)
    }

    /// reg = rm, both registers.
    pub const fn movaps() -> Self {
        Self::two(0x28)
    }

    const fn scalar(code: u8) -> Self {
        Self::two(code).prefix(0xf2)
    }

    const fn packed(code: u8) -> Self {
        Self::two(code).prefix(0x66)
    }

    /// reg = reg op rm, for the [`Sse`](super::Sse) that is the variant.
    pub const fn sse() -> Self {
        Self::scalar(0).vary_code()
    }

    /// reg = second op rm, for the [`Sse`](super::Sse) that is the variant.
    pub const fn avx() -> Self {
        Self::vex(1, 3, 0, 0).vary_code()
    }

    /// reg = reg op rm on all 128 bits.
    pub const fn logic(op: SseLogic) -> Self {
        Self::packed(op as u8)
    }

    /// reg = second op rm on all 128 bits.
    pub const fn avx_logic(op: SseLogic) -> Self {
        Self::vex(1, 1, 0, op as u8)
    }

    /// Compares reg with rm.
    pub const fn ucomisd() -> Self {
        Self::packed(0x2e)
    }

    /// reg = the integer rm.
    pub const fn cvtsi2sd() -> Self {
        Self::scalar(0x2a).wide()
    }

    /// The vector register reg = the general register rm.
    pub const fn movq_xr() -> Self {
        Self::packed(0x6e).wide()
    }

    /// The general register rm = the vector register reg.
    pub const fn movq_rx() -> Self {
        Self::packed(0x7e).wide()
    }
}

/// An instruction with its operands, but for the literal behind it.
struct Encoded {
    /// The prefixes, and their length in bytes.
    head: u64,
    head_len: usize,
    /// What is behind them, and its length in bytes.
    code: u64,
    code_len: usize,
}

impl Stencil {
    /// Writes the instruction to `at` in `room`, and says where the next one goes: at most 16 bytes further. `ANY` may be
    /// false if the stencil [is simple](Stencil::is_simple).
    #[inline(always)]
    pub fn put<const ANY: bool>(
        &self,
        operands: &Operands,
        variant: u8,
        literal: u64,
        room: &mut Room,
        at: usize,
    ) -> usize {
        let Encoded { head, head_len, code, code_len } = self.encode::<ANY>(&operands.0, variant);
        room.put(at, head);
        let at = at + head_len;
        room.put(at, code);
        let at = at + code_len;
        room.put(at, literal);
        at + usize::from(self.imm)
    }

    /// The instruction as [`Stencil::put`] writes it, for tables made at build time: its bytes, the first one lowest, and how
    /// many they are. `operands` are the [words](Operand::words) of as many operands as are named.
    pub const fn bytes(&self, operands: &[u64], variant: u8, literal: u64) -> (u128, usize) {
        let Encoded { head, head_len, code, code_len } = self.encode::<true>(operands, variant);
        let (bytes, len) = (lowest(head, head_len), head_len);
        let (bytes, len) = (bytes | lowest(code, code_len) << (len * 8), len + code_len);
        let imm = self.imm as usize;
        (bytes | lowest(literal, imm) << (len * 8), len + imm)
    }

    #[inline(always)]
    const fn encode<const ANY: bool>(&self, operands: &[u64], variant: u8) -> Encoded {
        let parts = operands[self.reg as usize] | operands[self.rm as usize];
        let bits = (parts >> REX_AT) as u32 & 7;
        let (head, head_len) = if ANY && self.prefix_bits == VEX {
            self.vex_head(variant, bits, operands[self.second as usize])
        } else {
            let rex = bits | self.rex as u32;
            // 1 unless REX is 0: it is below 80.
            let has_rex = (rex + 0x7f) >> 7;
            (self.head as u32 | rex << (self.prefix_bits & 31), (has_rex + self.prefix_len as u32) as usize)
        };
        let mut code = self.code as u64 ^ parts >> (self.down & 63);
        if ANY {
            code ^= (variant as u64) << (self.vary & 63);
        }
        Encoded { head: head as u64, head_len, code, code_len: self.code_len as usize + (parts >> LEN_AT) as usize }
    }

    /// The VEX prefix and its length: of two bytes where they can say everything, else of three (SDM vol. 2, 2.3.5).
    #[inline(always)]
    const fn vex_head(&self, variant: u8, bits: u32, second: u64) -> (u32, usize) {
        // R, X, B and vvvv are stored inverted.
        let inverted = bits ^ 7;
        let number = (second >> (MODRM_AT + 3)) as u32 & 7 | ((second >> (REX_AT + 2)) as u32) << 3;
        let [low, map] = self.head.to_le_bytes();
        let (low, map) = (low as u32, map as u32);
        let pp = if self.vary == PP { variant as u32 } else { 0 };
        let low = (low ^ pp) | (number ^ 15) << 3;
        if map == 1 && bits & 3 == 0 && low & 0x80 == 0 {
            (0xc5 | (low | (inverted & 4) << 5) << 8, 2)
        } else {
            (0xc4 | (map | inverted << 5) << 8 | low << 16, 3)
        }
    }
}

/// The `len` lowest bytes, of at most 8.
const fn lowest(bytes: u64, len: usize) -> u128 {
    bytes as u128 & ((1 << (len * 8)) - 1)
}

/// Where [`Stencil::put`] may start if all of the instruction is to be written.
pub const LAST_START: usize = ROOM - 8 - 16;
