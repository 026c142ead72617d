//! Types of registers, parameters, results, globals and fields.

use super::op::Bank;

/// A type, as the container writes it: one 16-bit number. The first ten are fixed; the numbers from
/// [`TypeId::FIRST_COMPOSITE`] on are entries of the container's type section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct TypeId(pub u16);

impl TypeId {
    /// `i64`
    pub const I64: Self = Self(0);
    /// `f64`
    pub const F64: Self = Self(1);
    /// `any`: every cell.
    pub const ANY: Self = Self(2);
    /// `str`
    pub const STR: Self = Self(3);
    /// `arr.i64`
    pub const ARR_I64: Self = Self(4);
    /// `arr.f64`
    pub const ARR_F64: Self = Self(5);
    /// `arr.u8`
    pub const ARR_U8: Self = Self(6);
    /// `list`
    pub const LIST: Self = Self(7);
    /// `imap`
    pub const IMAP: Self = Self(8);
    /// `map`
    pub const MAP: Self = Self(9);
    /// The first entry of the type section: `obj NAME` or `fn(...)`.
    pub const FIRST_COMPOSITE: Self = Self(16);
    /// In a signature: no result.
    pub const NONE: Self = Self(0xFFFF);

    /// The names of the types that are not composite, in the order of their numbers.
    pub const SIMPLE: [&'static str; 10] =
        ["i64", "f64", "any", "str", "arr.i64", "arr.f64", "arr.u8", "list", "imap", "map"];

    /// The name, if the type is not composite.
    pub fn simple_name(self) -> Option<&'static str> {
        Self::SIMPLE.get(usize::from(self.0)).copied()
    }

    /// The entry of the type section that describes it, if it is composite.
    pub fn composite(self) -> Option<usize> {
        if self == Self::NONE { None } else { self.0.checked_sub(Self::FIRST_COMPOSITE.0).map(usize::from) }
    }

    /// The bank of registers of this type.
    #[inline]
    pub fn bank(self) -> Bank {
        match self {
            Self::I64 => Bank::I64,
            Self::F64 => Bank::F64,
            _ => Bank::Cell,
        }
    }

    /// Whether a value of this type may be stored where `target` is declared: the same type, or any cell into `any`.
    #[inline]
    pub fn fits(self, target: TypeId) -> bool {
        self == target || (target == Self::ANY && self.bank() == Bank::Cell)
    }
}

/// What an entry of the type section describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Composite {
    /// `obj`: an index of the shape section.
    Obj(u32),
    /// `fn`: an index of the signature section. The signature has at most [`Composite::PARAMS`] parameters and names only
    /// composite types that come before this one in the type section, so types do not refer to themselves (but through
    /// the fields of shapes), and they nest at most [`Composite::DEPTH`] deep.
    Fn(u32),
}

impl Composite {
    /// The greatest number of parameters of a closure type, so that two of them are compared in bounded time.
    pub const PARAMS: u16 = 255;
    /// How deep closure types nest: `fn(i64)` has depth 1, `fn(fn(i64))` depth 2. Objects do not count.
    pub const DEPTH: u8 = 16;
}
