//! Operands: registers, memory, conditions and the selectors of instruction families.
//!
//! A selector's discriminant is the number that the opcode tables give it, so no encoder looks anything up.

/// Declares a register file of 16; a variant's position is its number in the encoding.
macro_rules! registers {
    ($(#[$doc:meta])* $name:ident: $($reg:ident)*) => {
        $(#[$doc])*
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($reg),* }

        impl $name {
            /// All 16, in the order of their numbers.
            pub const ALL: [Self; 16] = [$(Self::$reg),*];

            /// The register with number `index`; `None` from 16 on.
            #[inline]
            pub const fn from_index(index: u8) -> Option<Self> {
                $(if index == Self::$reg as u8 {
                    return Some(Self::$reg);
                })*
                None
            }

            /// The register whose number the low four bits of `bits` are.
            #[cfg_attr(not(small), inline(always))]
            pub const fn from_low_bits(bits: u8) -> Self {
                Self::ALL[(bits & 15) as usize]
            }

            /// Its number in the encoding, 0 to 15. Bit 3 goes to a REX or VEX bit, the rest to ModRM, SIB or the opcode.
            #[cfg_attr(not(small), inline(always))]
            pub const fn index(self) -> u8 {
                self as u8
            }
        }
    };
}

registers! {
    /// A general-purpose register. The instruction says how many of its bits it uses ([`Size`]).
    Gpr: Rax Rcx Rdx Rbx Rsp Rbp Rsi Rdi R8 R9 R10 R11 R12 R13 R14 R15
}

registers! {
    /// A 128-bit vector register; scalar instructions use its low 64 bits.
    Xmm: Xmm0 Xmm1 Xmm2 Xmm3 Xmm4 Xmm5 Xmm6 Xmm7 Xmm8 Xmm9 Xmm10 Xmm11 Xmm12 Xmm13 Xmm14 Xmm15
}

/// What an index register is multiplied by; the discriminant is the SIB field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scale {
    /// 1.
    X1 = 0,
    /// 2.
    X2 = 1,
    /// 4.
    X4 = 2,
    /// 8.
    X8 = 3,
}

/// A memory operand: `base + disp` or `base + index * scale + disp`, all 64-bit.
///
/// It is kept as the bytes it becomes, ModRM (with the reg field 0), SIB and displacement in the shortest form: no
/// displacement for 0 unless the base is rbp or r13 (which have no such form), 8 bits where they suffice, else 32
/// (SDM vol. 2, tables 2-2 and 2-3, and 2.2.1.2 for r12 and r13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mem {
    /// ModRM with the reg field 0, then SIB and displacement if there are any; the bytes above are 0.
    pub(super) bits: u64,
    /// Length of `bits` in bytes, 1 to 6.
    pub(super) len: u8,
    /// REX.X (bit 1) and REX.B (bit 0).
    pub(super) rex: u8,
}

/// The rm field that says that a SIB byte follows, and the SIB index field that says that there is no index.
const SIB: u8 = 0b100;
/// The low bits of rbp and r13: with mod 00 they mean "no base", so these two always have a displacement.
const NO_BASE: u8 = 0b101;

impl Mem {
    /// The memory at `base + disp`.
    #[inline]
    pub const fn base(base: Gpr, disp: i32) -> Self {
        let low = base.index() & 7;
        let rex = base.index() >> 3;
        if low == SIB {
            Self::compose(SIB as u64 | (SIB as u64) << 11 | (SIB as u64) << 8, 2, low, disp, rex)
        } else {
            Self::compose(low as u64, 1, low, disp, rex)
        }
    }

    /// The memory at `base + index * scale + disp`. `None` if `index` is rsp, which has no encoding there.
    #[inline]
    pub const fn indexed(base: Gpr, index: Gpr, scale: Scale, disp: i32) -> Option<Self> {
        if matches!(index, Gpr::Rsp) {
            return None;
        }
        let low = base.index() & 7;
        let sib = (scale as u8) << 6 | (index.index() & 7) << 3 | low;
        let rex = (index.index() >> 3) << 1 | base.index() >> 3;
        Some(Self::compose(SIB as u64 | (sib as u64) << 8, 2, low, disp, rex))
    }

    /// Adds the mod field and the displacement to the `len` bytes of ModRM and SIB in `bits`.
    #[cfg_attr(not(small), inline(always))]
    const fn compose(bits: u64, len: u8, low: u8, disp: i32, rex: u8) -> Self {
        let (mode, disp, disp_len) = if disp == 0 && low != NO_BASE {
            (0b00, 0, 0)
        } else if disp == disp as i8 as i32 {
            (0b01, disp as u8 as u64, 1)
        } else {
            (0b10, disp as u32 as u64, 4)
        };
        Self { bits: bits | mode << 6 | disp << (len as u32 * 8), len: len + disp_len, rex }
    }
}

/// Operand size of an integer instruction. 32-bit instructions clear bits 32 to 63 of the register they write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// 4 bytes.
    B4 = 0,
    /// 8 bytes.
    B8 = 1,
}

/// Arithmetic and logic with the same eight encodings; the discriminant is the opcode's bits 3 to 5 and the `/digit` of
/// the immediate group (SDM vol. 2, table A-6, group 1).
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotates; the discriminant is the `/digit` (SDM vol. 2, table A-6, group 2).
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shift {
    Rol = 0,
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// One-operand arithmetic; the discriminant is the `/digit` (SDM vol. 2, table A-6, group 3). `Mul`, `Imul`, `Div` and
/// `Idiv` work on rdx:rax.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Unary {
    Not = 2,
    Neg = 3,
    Mul = 4,
    Imul = 5,
    Div = 6,
    Idiv = 7,
}

/// Bit counts and scans. `Lzcnt`, `Tzcnt` and `Popcnt` need the CPU feature of that name (tzcnt: BMI1): without it a
/// processor executes the first two as `Bsr` and `Bsf`.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    Bsf,
    Bsr,
    Lzcnt,
    Tzcnt,
    Popcnt,
}

impl Bits {
    /// The last byte of its opcode.
    #[cfg_attr(not(small), inline(always))]
    pub const fn last_opcode_byte(self) -> u8 {
        match self {
            Self::Bsf | Self::Tzcnt => 0xbc,
            Self::Bsr | Self::Lzcnt => 0xbd,
            Self::Popcnt => 0xb8,
        }
    }
}

/// A condition on the flags; the discriminant is the `tttn` field (SDM vol. 2, B.1.4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cc {
    /// Overflow.
    O = 0,
    /// No overflow.
    No = 1,
    /// Below, unsigned (carry).
    B = 2,
    /// Above or equal, unsigned (no carry).
    Ae = 3,
    /// Equal (zero).
    E = 4,
    /// Not equal (not zero).
    Ne = 5,
    /// Below or equal, unsigned.
    Be = 6,
    /// Above, unsigned.
    A = 7,
    /// Sign.
    S = 8,
    /// No sign.
    Ns = 9,
    /// Parity even; after `ucomisd`, unordered.
    P = 10,
    /// Parity odd; after `ucomisd`, ordered.
    Np = 11,
    /// Less, signed.
    L = 12,
    /// Greater or equal, signed.
    Ge = 13,
    /// Less or equal, signed.
    Le = 14,
    /// Greater, signed.
    G = 15,
}

impl Cc {
    /// The condition that holds exactly where this one does not.
    #[inline]
    pub const fn negate(self) -> Self {
        match self {
            Self::O => Self::No,
            Self::No => Self::O,
            Self::B => Self::Ae,
            Self::Ae => Self::B,
            Self::E => Self::Ne,
            Self::Ne => Self::E,
            Self::Be => Self::A,
            Self::A => Self::Be,
            Self::S => Self::Ns,
            Self::Ns => Self::S,
            Self::P => Self::Np,
            Self::Np => Self::P,
            Self::L => Self::Ge,
            Self::Ge => Self::L,
            Self::Le => Self::G,
            Self::G => Self::Le,
        }
    }
}

/// Scalar double arithmetic; the discriminant is the opcode after `F2 0F`.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sse {
    Sqrt = 0x51,
    Add = 0x58,
    Mul = 0x59,
    Sub = 0x5c,
    Min = 0x5d,
    Div = 0x5e,
    Max = 0x5f,
}

/// What [`Asm::cmpsd_rr`](super::Asm::cmpsd_rr) looks for; the discriminant is the immediate (SDM vol. 2, CMPSD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Predicate {
    /// An operand is NaN.
    Unordered = 3,
    /// None is.
    Ordered = 7,
}

/// Logic on all 128 bits of a vector register; the discriminant is the opcode after `66 0F`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SseLogic {
    /// `d & s` (andpd).
    And = 0x54,
    /// `!d & s` (andnpd).
    Andn = 0x55,
    /// `d | s` (orpd).
    Or = 0x56,
    /// `d ^ s` (xorpd).
    Xor = 0x57,
}

/// How [`Asm::roundsd_rr`](super::Asm::roundsd_rr) rounds; the discriminant is the immediate's bits 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Round {
    /// To the nearest integer, ties to even.
    Nearest = 0,
    /// Toward minus infinity.
    Floor = 1,
    /// Toward plus infinity.
    Ceil = 2,
    /// Toward zero.
    Trunc = 3,
}

/// Which operands of a fused multiply-add are multiplied; the discriminant is the opcode. The result goes to operand 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fma {
    /// `1 * 3 + 2`.
    F132 = 0x99,
    /// `2 * 1 + 3`.
    F213 = 0xa9,
    /// `2 * 3 + 1`.
    F231 = 0xb9,
}
