//! How an instruction is put together.

use super::{Asm, Mem};

/// Up to 8 bytes, the first one lowest; the bytes from `len` on are 0.
#[derive(Clone, Copy)]
pub(super) struct Word {
    bits: u64,
    len: usize,
}

impl Word {
    pub(super) const EMPTY: Self = Self { bits: 0, len: 0 };

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn byte(byte: u8) -> Self {
        Self { bits: byte as u64, len: 1 }
    }

    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn imm32(imm: i32) -> Self {
        Self { bits: imm as u32 as u64, len: 4 }
    }

    /// `next` after `self`. There must be at most 7 bytes in `self` and 8 together.
    #[cfg_attr(not(small), inline(always))]
    const fn then(self, next: Self) -> Self {
        Self { bits: self.bits | next.bits << (self.len * 8), len: self.len + next.len }
    }
}

/// An opcode: a mandatory prefix or none, then one to three bytes. REX goes between the two (SDM vol. 2, 2.2.1).
#[derive(Clone, Copy)]
pub(super) struct Op {
    prefix: Word,
    code: Word,
}

impl Op {
    /// A one-byte opcode.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn one(code: u8) -> Self {
        Self { prefix: Word::EMPTY, code: Word::byte(code) }
    }

    /// `0F` and a byte.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn two(code: u8) -> Self {
        Self { prefix: Word::EMPTY, code: Word { bits: 0x0f | (code as u64) << 8, len: 2 } }
    }

    /// `0F 3A` and a byte.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn three_3a(code: u8) -> Self {
        Self { prefix: Word::EMPTY, code: Word { bits: 0x3a0f | (code as u64) << 16, len: 3 } }
    }

    /// With the prefix 66, F2 or F3.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn prefix(self, prefix: u8) -> Self {
        Self { prefix: Word::byte(prefix), ..self }
    }

    /// Prefix, REX if a bit of `rex` (WRXB) is set, opcode: at most 5 bytes.
    #[cfg_attr(not(small), inline(always))]
    const fn with_rex(self, rex: u8) -> Word {
        let present = (rex != 0) as usize;
        let rex = Word { bits: ((REX | rex) as u64) * present as u64, len: present };
        self.prefix.then(rex.then(self.code))
    }
}

/// The fixed bits of REX. In a `rex` argument it stands for a REX byte that must be there though no other bit needs it.
pub(super) const REX: u8 = 0x40;
/// REX.W: 64-bit operands.
pub(super) const REX_W: u8 = 8;

/// [`REX`] if byte register number `reg` would mean ah, ch, dh or bh without one (SDM vol. 2, table 3-1), else 0.
/// Registers from 8 on have a REX anyway.
#[cfg_attr(not(small), inline(always))]
pub(super) const fn rex_for_byte(reg: u8) -> u8 {
    if reg >= 4 { REX } else { 0 }
}

/// The opcode maps that a VEX prefix can name.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Map {
    M0f = 1,
    M0f38 = 2,
    M0f3a = 3,
}

/// The mandatory prefix as a VEX prefix holds it.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Pp {
    P66 = 1,
    Pf3 = 2,
    Pf2 = 3,
}

/// A VEX opcode of vector length 0.
#[derive(Clone, Copy)]
pub(super) struct Vex {
    pub(super) map: Map,
    pub(super) pp: Pp,
    pub(super) w: u8,
    pub(super) code: u8,
}

impl Vex {
    /// VEX prefix and opcode; `rex` holds X and B, `reg` and `second` (VEX.vvvv) are register numbers. The two-byte prefix
    /// where it can say everything, else the three-byte one (SDM vol. 2, 2.3.5 and figure 2-9).
    #[cfg_attr(not(small), inline(always))]
    const fn head(self, reg: u8, second: u8, rex: u8) -> Word {
        // R, X, B and vvvv are stored inverted.
        let r = (!reg as u64 >> 3 & 1) << 7;
        let low = (!second as u64 & 15) << 3 | self.pp as u64;
        let code = self.code as u64;
        if matches!(self.map, Map::M0f) && self.w == 0 && rex == 0 {
            Word { bits: 0xc5 | (r | low) << 8 | code << 16, len: 3 }
        } else {
            let xb = (!rex as u64 & 3) << 5;
            let w = (self.w as u64) << 7;
            Word { bits: 0xc4 | (r | xb | self.map as u64) << 8 | (w | low) << 16 | code << 24, len: 4 }
        }
    }
}

/// ModRM with two registers.
#[cfg_attr(not(small), inline(always))]
const fn modrm(reg: u8, rm: u8) -> Word {
    Word::byte(0xc0 | (reg & 7) << 3 | rm & 7)
}

/// ModRM, SIB and displacement of `mem` with the reg field filled in.
#[cfg_attr(not(small), inline(always))]
const fn modrm_mem(reg: u8, mem: Mem) -> Word {
    Word { bits: mem.bits | ((reg & 7) << 3) as u64, len: mem.len as usize }
}

impl Asm<'_> {
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn put(&mut self, word: Word) {
        self.buf.put(word.bits, word.len);
    }

    /// `head` (at most 5 bytes), the memory operand (at most 6) and the immediate (at most 4; then `head` has at most 2, or
    /// the immediate is one byte). One store if all fit into 8 bytes, else two.
    #[cfg_attr(not(small), inline(always))]
    fn put_mem(&mut self, head: Word, mem: Word, imm: Word) {
        if head.len + mem.len + imm.len <= 8 {
            self.put(head.then(mem.then(imm)));
        } else if imm.len <= 1 {
            self.put(head);
            self.put(mem.then(imm));
        } else {
            self.put(head.then(mem));
            self.put(imm);
        }
    }

    /// An instruction without ModRM. `rex` is WRXB, or [`REX`] to have one anyway, here and below.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn plain(&mut self, op: Op, rex: u8, imm: Word) {
        self.put(op.with_rex(rex).then(imm));
    }

    /// An instruction that names its register in the low bits of its one opcode byte.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn plus_reg(&mut self, code: u8, rex: u8, reg: u8, imm: Word) {
        self.plain(Op::one(code | reg & 7), rex | reg >> 3, imm);
    }

    /// An instruction with ModRM on two registers; `reg` may be the `/digit`.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn reg_reg(&mut self, op: Op, rex: u8, reg: u8, rm: u8, imm: Word) {
        let rex = rex | (reg >> 3) << 2 | rm >> 3;
        self.put(op.with_rex(rex).then(modrm(reg, rm).then(imm)));
    }

    /// An instruction with ModRM on a register (or `/digit`) and memory.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn reg_mem(&mut self, op: Op, rex: u8, reg: u8, mem: Mem, imm: Word) {
        let rex = rex | (reg >> 3) << 2 | mem.rex;
        self.put_mem(op.with_rex(rex), modrm_mem(reg, mem), imm);
    }

    /// A VEX instruction on three registers.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn vex_reg(&mut self, op: Vex, reg: u8, second: u8, rm: u8, imm: Word) {
        self.put(op.head(reg, second, rm >> 3).then(modrm(reg, rm).then(imm)));
    }

    /// A VEX instruction on two registers and memory.
    #[cfg_attr(not(small), inline(always))]
    pub(super) fn vex_mem(&mut self, op: Vex, reg: u8, second: u8, mem: Mem, imm: Word) {
        self.put_mem(op.head(reg, second, mem.rex), modrm_mem(reg, mem), imm);
    }
}
