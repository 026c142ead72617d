//! Traps: how a guest's run ends early.

use core::fmt;

/// The traps of vm3, without their payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are vm3's own")]
pub enum TrapKind {
    Unreachable = 1,
    User,
    DivisionByZero,
    OutOfBounds,
    NullReference,
    TypeMismatch,
    StackOverflow,
    OutOfMemory,
    Interrupted,
    OutOfFuel,
    Host,
}

impl TrapKind {
    /// All kinds with their names in the text form, in the order of their numbers.
    pub const ALL: [(TrapKind, &'static str); 11] = [
        (Self::Unreachable, "unreachable"),
        (Self::User, "user"),
        (Self::DivisionByZero, "division_by_zero"),
        (Self::OutOfBounds, "out_of_bounds"),
        (Self::NullReference, "null_reference"),
        (Self::TypeMismatch, "type_mismatch"),
        (Self::StackOverflow, "stack_overflow"),
        (Self::OutOfMemory, "out_of_memory"),
        (Self::Interrupted, "interrupted"),
        (Self::OutOfFuel, "out_of_fuel"),
        (Self::Host, "host"),
    ];

    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<TrapKind> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Whether the trap carries a number: `user(N)` and `host(N)`.
    pub fn has_payload(self) -> bool {
        matches!(self, Self::User | Self::Host)
    }
}

/// A trap: its kind, and for `user(N)` and `host(N)` the number, else 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trap {
    /// What happened.
    pub kind: TrapKind,
    /// The number of `user(N)` and `host(N)`; 0 for all others.
    pub payload: u32,
}

impl Trap {
    /// A trap without a number.
    pub const fn new(kind: TrapKind) -> Self {
        Self { kind, payload: 0 }
    }

    /// `user(N)`.
    pub const fn user(number: u16) -> Self {
        Self { kind: TrapKind::User, payload: number as u32 }
    }

    /// `host(N)`.
    pub const fn host(number: u32) -> Self {
        Self { kind: TrapKind::Host, payload: number }
    }

    /// The trap as machine code and the context hold it: the kind in the low half, the number in the high half.
    pub const fn encode(self) -> u64 {
        self.kind as u64 | (self.payload as u64) << 32
    }

    /// The trap that [`Trap::encode`] gave; `None` for any other number.
    pub fn decode(bits: u64) -> Option<Self> {
        let (kind, _) = TrapKind::ALL.into_iter().find(|(kind, _)| *kind as u64 == bits & 0xFFFF_FFFF)?;
        Some(Self { kind, payload: (bits >> 32) as u32 })
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind.name();
        if self.kind.has_payload() { write!(f, "{name}({})", self.payload) } else { f.write_str(name) }
    }
}

/// A place in a guest's code: a function and a word in it, as frames and machine code hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site(pub u32);

impl Site {
    /// Word `word` of function `func`.
    #[cfg_attr(not(small), inline(always))]
    pub const fn new(func: u16, word: u16) -> Self {
        Self((func as u32) << 16 | word as u32)
    }

    /// The function.
    #[cfg_attr(not(small), inline(always))]
    pub const fn func(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The word in the function; at most 65,535.
    #[cfg_attr(not(small), inline(always))]
    pub const fn word(self) -> u16 {
        self.0 as u16
    }
}
