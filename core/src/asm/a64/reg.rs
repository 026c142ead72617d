//! Registers, operand sizes and conditions.

/// Declares a register file of 32 entries whose discriminants are the architecture's numbers.
macro_rules! registers {
    ($(#[$meta:meta])* $name:ident: $($reg:ident)*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are the architecture's own")]
        pub enum $name { $($reg),* }

        impl $name {
            /// Every register of this type, by number.
            pub const ALL: [Self; 32] = [$(Self::$reg),*];

            /// The register with this number. `None` above 31.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number)).copied()
            }

            /// Its number in an instruction, 0 to 31.
            #[cfg_attr(not(small), inline(always))]
            pub const fn number(self) -> u32 {
                self as u32
            }
        }
    };
}

registers! {
    /// A general-purpose register where number 31 is the zero register: it reads as 0 and writes to it are dropped.
    X: X0 X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 X11 X12 X13 X14 X15 X16 X17 X18 X19 X20 X21 X22 X23 X24 X25 X26 X27 X28 X29
       X30 Zr
}

registers! {
    /// A general-purpose register where number 31 is the stack pointer.
    ///
    /// Which of the two readings an instruction gives number 31 is part of its signature, so the stack pointer and the
    /// zero register cannot be mistaken for one another.
    XSp: X0 X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 X11 X12 X13 X14 X15 X16 X17 X18 X19 X20 X21 X22 X23 X24 X25 X26 X27 X28 X29
         X30 Sp
}

registers! {
    /// A SIMD and floating-point register. Each instruction says whether it uses the lowest 64 bits or all 128.
    D: D0 D1 D2 D3 D4 D5 D6 D7 D8 D9 D10 D11 D12 D13 D14 D15 D16 D17 D18 D19 D20 D21 D22 D23 D24 D25 D26 D27 D28 D29
       D30 D31
}

impl XSp {
    /// The same register where an instruction reads number 31 as the stack pointer. `None` for [`X::Zr`].
    #[cfg_attr(not(small), inline(always))]
    pub const fn new(x: X) -> Option<Self> {
        match x {
            X::Zr => None,
            _ => Some(Self::ALL[x as usize]),
        }
    }
}

impl X {
    /// The same register where an instruction reads number 31 as the zero register. `None` for [`XSp::Sp`].
    #[cfg_attr(not(small), inline(always))]
    pub const fn new(x: XSp) -> Option<Self> {
        match x {
            XSp::Sp => None,
            _ => Some(Self::ALL[x as usize]),
        }
    }
}

/// How many bits of the general-purpose registers an instruction works on. A 32-bit result clears the upper 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Size {
    /// 32 bits.
    W,
    /// 64 bits.
    X,
}

impl Size {
    /// Width in bits.
    pub const fn bits(self) -> u32 {
        32 << self as u32
    }

    /// The `sf` bit, which is bit 31 wherever it exists.
    #[cfg_attr(not(small), inline(always))]
    pub(super) const fn sf(self) -> u32 {
        (self as u32) << 31
    }
}

/// A condition on the flags (C1.2.4). `AL` and `NV` are absent: both mean "always", so negating them would not negate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cond {
    /// Equal; after `fcmp`, equal and ordered.
    Eq,
    /// Not equal; after `fcmp`, not equal or unordered.
    Ne,
    /// Carry set: unsigned `>=`; after `fcmp`, `>=` or unordered.
    Hs,
    /// Carry clear: unsigned `<`; after `fcmp`, `<`.
    Lo,
    /// Negative; after `fcmp`, `<`.
    Mi,
    /// Positive or zero; after `fcmp`, `>=` or unordered.
    Pl,
    /// Overflow; after `fcmp`, unordered.
    Vs,
    /// No overflow; after `fcmp`, ordered.
    Vc,
    /// Unsigned `>`; after `fcmp`, `>` or unordered.
    Hi,
    /// Unsigned `<=`; after `fcmp`, `<=`.
    Ls,
    /// Signed `>=`; after `fcmp`, `>=`.
    Ge,
    /// Signed `<`; after `fcmp`, `<` or unordered.
    Lt,
    /// Signed `>`; after `fcmp`, `>`.
    Gt,
    /// Signed `<=`; after `fcmp`, `<=` or unordered.
    Le,
}

impl Cond {
    /// Every condition, by number.
    pub const ALL: [Self; 14] = [
        Self::Eq,
        Self::Ne,
        Self::Hs,
        Self::Lo,
        Self::Mi,
        Self::Pl,
        Self::Vs,
        Self::Vc,
        Self::Hi,
        Self::Ls,
        Self::Ge,
        Self::Lt,
        Self::Gt,
        Self::Le,
    ];

    /// The condition that holds exactly when this one does not, unordered operands included.
    #[must_use]
    pub const fn negate(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Hs => Self::Lo,
            Self::Lo => Self::Hs,
            Self::Mi => Self::Pl,
            Self::Pl => Self::Mi,
            Self::Vs => Self::Vc,
            Self::Vc => Self::Vs,
            Self::Hi => Self::Ls,
            Self::Ls => Self::Hi,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Gt => Self::Le,
            Self::Le => Self::Gt,
        }
    }

    /// Its number in an instruction, 0 to 13.
    #[cfg_attr(not(small), inline(always))]
    pub const fn number(self) -> u32 {
        self as u32
    }
}
