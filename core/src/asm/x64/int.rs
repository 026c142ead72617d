//! Integer instructions.

use super::word::{Op, REX_W, Word, rex_for_byte};
use super::{Alu, Asm, Bits, Cc, Gpr, Mem, Shift, Size, Unary};

/// REX.W for 64-bit operands.
#[cfg_attr(not(small), inline(always))]
const fn w(size: Size) -> u8 {
    (size as u8) << 3
}

/// `imm` as one byte that the processor extends to it, if there is one.
#[cfg_attr(not(small), inline(always))]
const fn imm8(imm: i32) -> Option<Word> {
    if imm == imm as i8 as i32 { Some(Word::byte(imm as u8)) } else { None }
}

impl Bits {
    #[cfg_attr(not(small), inline(always))]
    const fn op(self) -> Op {
        let op = Op::two(self.last_opcode_byte());
        match self {
            Self::Bsf | Self::Bsr => op,
            Self::Tzcnt | Self::Lzcnt | Self::Popcnt => op.prefix(0xf3),
        }
    }
}

impl Asm<'_> {
    /// `d = d op s`; `Cmp` only sets the flags.
    #[inline]
    pub fn alu_rr(&mut self, op: Alu, size: Size, d: Gpr, s: Gpr) {
        self.reg_reg(Op::one((op as u8) << 3 | 1), w(size), s.index(), d.index(), Word::EMPTY);
    }

    /// `d = d op [mem]`.
    #[inline]
    pub fn alu_rm(&mut self, op: Alu, size: Size, d: Gpr, mem: Mem) {
        self.reg_mem(Op::one((op as u8) << 3 | 3), w(size), d.index(), mem, Word::EMPTY);
    }

    /// `[mem] = [mem] op s`.
    #[inline]
    pub fn alu_mr(&mut self, op: Alu, size: Size, mem: Mem, s: Gpr) {
        self.reg_mem(Op::one((op as u8) << 3 | 1), w(size), s.index(), mem, Word::EMPTY);
    }

    /// `d = d op imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn alu_ri(&mut self, op: Alu, size: Size, d: Gpr, imm: i32) {
        if let Some(imm) = imm8(imm) {
            self.reg_reg(Op::one(0x83), w(size), op as u8, d.index(), imm);
        } else if d == Gpr::Rax {
            self.plain(Op::one((op as u8) << 3 | 5), w(size), Word::imm32(imm));
        } else {
            self.reg_reg(Op::one(0x81), w(size), op as u8, d.index(), Word::imm32(imm));
        }
    }

    /// `[mem] = [mem] op imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn alu_mi(&mut self, op: Alu, size: Size, mem: Mem, imm: i32) {
        if let Some(imm) = imm8(imm) {
            self.reg_mem(Op::one(0x83), w(size), op as u8, mem, imm);
        } else {
            self.reg_mem(Op::one(0x81), w(size), op as u8, mem, Word::imm32(imm));
        }
    }

    /// `d = s`.
    #[inline]
    pub fn mov_rr(&mut self, size: Size, d: Gpr, s: Gpr) {
        self.reg_reg(Op::one(0x89), w(size), s.index(), d.index(), Word::EMPTY);
    }

    /// `d = [mem]`.
    #[inline]
    pub fn mov_rm(&mut self, size: Size, d: Gpr, mem: Mem) {
        self.reg_mem(Op::one(0x8b), w(size), d.index(), mem, Word::EMPTY);
    }

    /// `[mem] = s`.
    #[inline]
    pub fn mov_mr(&mut self, size: Size, mem: Mem, s: Gpr) {
        self.reg_mem(Op::one(0x89), w(size), s.index(), mem, Word::EMPTY);
    }

    /// `[mem] = imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn mov_mi(&mut self, size: Size, mem: Mem, imm: i32) {
        self.reg_mem(Op::one(0xc7), w(size), 0, mem, Word::imm32(imm));
    }

    /// `d = imm`, all 64 bits, in the shortest form: 5 or 6 bytes if the upper half is 0, 7 if bits 31 to 63 are equal,
    /// else 10. Leaves the flags alone.
    #[inline]
    pub fn mov_ri(&mut self, d: Gpr, imm: u64) {
        if imm == u64::from(imm as u32) {
            self.plus_reg(0xb8, 0, d.index(), Word::imm32(imm as i32));
        } else if imm as i64 == i64::from(imm as i32) {
            self.reg_reg(Op::one(0xc7), REX_W, 0, d.index(), Word::imm32(imm as i32));
        } else {
            self.plus_reg(0xb8, REX_W, d.index(), Word::EMPTY);
            self.buf.put(imm, 8);
        }
    }

    /// `d = ` the low byte of `s`, zero-extended to 64 bits.
    #[inline]
    pub fn movzx8_rr(&mut self, d: Gpr, s: Gpr) {
        self.reg_reg(Op::two(0xb6), rex_for_byte(s.index()), d.index(), s.index(), Word::EMPTY);
    }

    /// `d = ` the byte at `mem`, zero-extended to 64 bits.
    #[inline]
    pub fn movzx8_rm(&mut self, d: Gpr, mem: Mem) {
        self.reg_mem(Op::two(0xb6), 0, d.index(), mem, Word::EMPTY);
    }

    /// `d = ` the 2 bytes at `mem`, zero-extended to 64 bits.
    #[inline]
    pub fn movzx16_rm(&mut self, d: Gpr, mem: Mem) {
        self.reg_mem(Op::two(0xb7), 0, d.index(), mem, Word::EMPTY);
    }

    /// `d = ` the low 4 bytes of `s`, sign-extended to 64 bits (`movsxd`).
    #[inline]
    pub fn movsx32_rr(&mut self, d: Gpr, s: Gpr) {
        self.reg_reg(Op::one(0x63), REX_W, d.index(), s.index(), Word::EMPTY);
    }

    /// `d = ` the 4 bytes at `mem`, sign-extended to 64 bits (`movsxd`).
    #[inline]
    pub fn movsx32_rm(&mut self, d: Gpr, mem: Mem) {
        self.reg_mem(Op::one(0x63), REX_W, d.index(), mem, Word::EMPTY);
    }

    /// The byte at `mem = ` the low byte of `s`.
    #[inline]
    pub fn mov_mr8(&mut self, mem: Mem, s: Gpr) {
        self.reg_mem(Op::one(0x88), rex_for_byte(s.index()), s.index(), mem, Word::EMPTY);
    }

    /// The 2 bytes at `mem = ` the low 2 bytes of `s`.
    #[inline]
    pub fn mov_mr16(&mut self, mem: Mem, s: Gpr) {
        self.reg_mem(Op::one(0x89).prefix(0x66), 0, s.index(), mem, Word::EMPTY);
    }

    /// `d = ` the address that `mem` names, cut to `size`.
    #[inline]
    pub fn lea(&mut self, size: Size, d: Gpr, mem: Mem) {
        self.reg_mem(Op::one(0x8d), w(size), d.index(), mem, Word::EMPTY);
    }

    /// `d = d * s`.
    #[inline]
    pub fn imul_rr(&mut self, size: Size, d: Gpr, s: Gpr) {
        self.reg_reg(Op::two(0xaf), w(size), d.index(), s.index(), Word::EMPTY);
    }

    /// `d = d * [mem]`.
    #[inline]
    pub fn imul_rm(&mut self, size: Size, d: Gpr, mem: Mem) {
        self.reg_mem(Op::two(0xaf), w(size), d.index(), mem, Word::EMPTY);
    }

    /// `d = s * imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn imul_rri(&mut self, size: Size, d: Gpr, s: Gpr, imm: i32) {
        if let Some(imm) = imm8(imm) {
            self.reg_reg(Op::one(0x6b), w(size), d.index(), s.index(), imm);
        } else {
            self.reg_reg(Op::one(0x69), w(size), d.index(), s.index(), Word::imm32(imm));
        }
    }

    /// `d = [mem] * imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn imul_rmi(&mut self, size: Size, d: Gpr, mem: Mem, imm: i32) {
        if let Some(imm) = imm8(imm) {
            self.reg_mem(Op::one(0x6b), w(size), d.index(), mem, imm);
        } else {
            self.reg_mem(Op::one(0x69), w(size), d.index(), mem, Word::imm32(imm));
        }
    }

    /// `r = op r`, or rdx:rax by `r` for the multiplications and divisions.
    #[inline]
    pub fn unary_r(&mut self, op: Unary, size: Size, r: Gpr) {
        self.reg_reg(Op::one(0xf7), w(size), op as u8, r.index(), Word::EMPTY);
    }

    /// As [`Asm::unary_r`], with the operand in memory.
    #[inline]
    pub fn unary_m(&mut self, op: Unary, size: Size, mem: Mem) {
        self.reg_mem(Op::one(0xf7), w(size), op as u8, mem, Word::EMPTY);
    }

    /// rdx:rax = rax, sign-extended.
    #[inline]
    pub fn cqo(&mut self) {
        self.plain(Op::one(0x99), REX_W, Word::EMPTY);
    }

    /// edx:eax = eax, sign-extended.
    #[inline]
    pub fn cdq(&mut self) {
        self.plain(Op::one(0x99), 0, Word::EMPTY);
    }

    /// `r = r op count`; the processor uses `count` modulo 32 or 64.
    #[inline]
    pub fn shift_ri(&mut self, op: Shift, size: Size, r: Gpr, count: u8) {
        if count == 1 {
            self.reg_reg(Op::one(0xd1), w(size), op as u8, r.index(), Word::EMPTY);
        } else {
            self.reg_reg(Op::one(0xc1), w(size), op as u8, r.index(), Word::byte(count));
        }
    }

    /// `r = r op cl`.
    #[inline]
    pub fn shift_rcl(&mut self, op: Shift, size: Size, r: Gpr) {
        self.reg_reg(Op::one(0xd3), w(size), op as u8, r.index(), Word::EMPTY);
    }

    /// `[mem] = [mem] op count`.
    #[inline]
    pub fn shift_mi(&mut self, op: Shift, size: Size, mem: Mem, count: u8) {
        if count == 1 {
            self.reg_mem(Op::one(0xd1), w(size), op as u8, mem, Word::EMPTY);
        } else {
            self.reg_mem(Op::one(0xc1), w(size), op as u8, mem, Word::byte(count));
        }
    }

    /// `[mem] = [mem] op cl`.
    #[inline]
    pub fn shift_mcl(&mut self, op: Shift, size: Size, mem: Mem) {
        self.reg_mem(Op::one(0xd3), w(size), op as u8, mem, Word::EMPTY);
    }

    /// Flags of `a & b`.
    #[inline]
    pub fn test_rr(&mut self, size: Size, a: Gpr, b: Gpr) {
        self.reg_reg(Op::one(0x85), w(size), b.index(), a.index(), Word::EMPTY);
    }

    /// Flags of `r & imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn test_ri(&mut self, size: Size, r: Gpr, imm: i32) {
        if r == Gpr::Rax {
            self.plain(Op::one(0xa9), w(size), Word::imm32(imm));
        } else {
            self.reg_reg(Op::one(0xf7), w(size), 0, r.index(), Word::imm32(imm));
        }
    }

    /// Flags of `[mem] & imm`, the immediate sign-extended to the operand size.
    #[inline]
    pub fn test_mi(&mut self, size: Size, mem: Mem, imm: i32) {
        self.reg_mem(Op::one(0xf7), w(size), 0, mem, Word::imm32(imm));
    }

    /// The low byte of `r = ` 1 if `cc` holds, else 0; the other bytes stay.
    #[inline]
    pub fn setcc(&mut self, cc: Cc, r: Gpr) {
        self.reg_reg(Op::two(0x90 | cc as u8), rex_for_byte(r.index()), 0, r.index(), Word::EMPTY);
    }

    /// `d = s` if `cc` holds. With [`Size::B4`] the upper half of `d` is cleared either way.
    #[inline]
    pub fn cmov_rr(&mut self, cc: Cc, size: Size, d: Gpr, s: Gpr) {
        self.reg_reg(Op::two(0x40 | cc as u8), w(size), d.index(), s.index(), Word::EMPTY);
    }

    /// `d = [mem]` if `cc` holds; the memory is read either way.
    #[inline]
    pub fn cmov_rm(&mut self, cc: Cc, size: Size, d: Gpr, mem: Mem) {
        self.reg_mem(Op::two(0x40 | cc as u8), w(size), d.index(), mem, Word::EMPTY);
    }

    /// `d = op s`. Before `Popcnt`, `Lzcnt` and `Tzcnt` some processors wait for the old `d`: the caller's concern.
    #[inline]
    pub fn bits_rr(&mut self, op: Bits, size: Size, d: Gpr, s: Gpr) {
        self.reg_reg(op.op(), w(size), d.index(), s.index(), Word::EMPTY);
    }

    /// `d = op [mem]`.
    #[inline]
    pub fn bits_rm(&mut self, op: Bits, size: Size, d: Gpr, mem: Mem) {
        self.reg_mem(op.op(), w(size), d.index(), mem, Word::EMPTY);
    }

    /// Swaps `d` and `s`. With [`Size::B4`] both upper halves are cleared.
    #[inline]
    pub fn xchg_rr(&mut self, size: Size, d: Gpr, s: Gpr) {
        if d != s && (d == Gpr::Rax || s == Gpr::Rax) {
            self.plus_reg(0x90, w(size), d.index() | s.index(), Word::EMPTY);
        } else if d == s && d == Gpr::Rax && size == Size::B8 {
            // 90 alone is nop at every operand size (SDM vol. 2, XCHG), so eax with itself takes the long form.
            self.plus_reg(0x90, 0, 0, Word::EMPTY);
        } else {
            self.reg_reg(Op::one(0x87), w(size), d.index(), s.index(), Word::EMPTY);
        }
    }

    /// Pushes 8 bytes.
    #[inline]
    pub fn push_r(&mut self, r: Gpr) {
        self.plus_reg(0x50, 0, r.index(), Word::EMPTY);
    }

    /// Pops 8 bytes.
    #[inline]
    pub fn pop_r(&mut self, r: Gpr) {
        self.plus_reg(0x58, 0, r.index(), Word::EMPTY);
    }

    /// Pushes the 8 bytes at `mem`. An address with rsp is that of before the push.
    #[inline]
    pub fn push_m(&mut self, mem: Mem) {
        self.reg_mem(Op::one(0xff), 0, 6, mem, Word::EMPTY);
    }

    /// Pops 8 bytes to `mem`. An address with rsp is that of after the pop (SDM vol. 2, POP).
    #[inline]
    pub fn pop_m(&mut self, mem: Mem) {
        self.reg_mem(Op::one(0x8f), 0, 0, mem, Word::EMPTY);
    }
}
