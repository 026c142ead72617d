//! The shared suite of opstamp: cases that every engine must pass, hosted and on bare metal.
//!
//! Everything here is `no_std` and allocates nothing. [`suite`] makes one module text after another in a buffer of the
//! caller and hands each out as a [`Group`] with its [`Case`]s; [`driver`] runs a group through one engine in memory that
//! the caller lends. The expected values come from [`oracle`], which is written from vm3.md and knows no engine.
#![no_std]

mod calls;
mod control;
mod data;
pub mod digest;
pub mod driver;
pub mod dynamic;
mod func;
mod heap;
pub mod host;
pub mod oracle;
pub mod programs;
mod pure;
pub mod values;

use opstamp::vm3::op::{OPS, Op};
use opstamp::{Trap, Value};

pub use func::Text;
pub use pure::Pure;

/// Bytes of source buffer that [`suite`] needs.
pub const SOURCE_BYTES: usize = 192 * 1024;

/// What a call must do.
#[derive(Clone, Copy, Debug)]
pub enum Expect<'a> {
    /// Return this; `None` for a function without a result.
    Returns(Option<Value>),
    /// Trap.
    Traps {
        /// The trap.
        trap: Trap,
        /// The function in which it happens.
        func: &'a str,
        /// The op in that function.
        op: u32,
    },
}

/// One call and what must come of it. It starts with all globals at their initial values.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The op that the case is about; the module contains it.
    pub op: Op,
    /// The function to call.
    pub func: &'a str,
    /// The arguments.
    pub args: &'a [Value],
    /// What the call must do.
    pub expect: Expect<'a>,
    /// The first globals of the module after the call.
    pub globals: &'a [Value],
}

/// Who takes cases.
pub type Visit<'v> = dyn FnMut(&Case<'_>) + 'v;

/// A module and the cases that run in it.
pub struct Group<'a> {
    /// What it is about.
    pub name: &'a str,
    /// The module, in vm3's text form.
    pub text: &'a str,
    /// The words of VM stack that the cases rely on; `None` if any large stack will do.
    pub stack_words: Option<usize>,
    cases: &'a dyn Fn(&mut Visit<'_>),
}

impl Group<'_> {
    /// Hands out the group's cases.
    pub fn cases(&self, visit: &mut Visit<'_>) {
        (self.cases)(visit);
    }
}

/// Hands out all groups, each made in `source`, which has at least [`SOURCE_BYTES`].
///
/// # Panics
///
/// When `source` is too small.
pub fn suite(source: &mut [u8], visit: &mut dyn FnMut(&Group<'_>)) {
    let mut maker = Maker { source, visit };
    pure::groups(&mut maker);
    control::groups(&mut maker);
    calls::groups(&mut maker);
    host::groups(&mut maker);
    data::groups(&mut maker);
    heap::groups(&mut maker);
}

/// Hands out the groups of [`suite`] that are about the heap, but for those that vary registers.
///
/// # Panics
///
/// When `source` is too small.
pub fn heap_suite(source: &mut [u8], visit: &mut dyn FnMut(&Group<'_>)) {
    heap::groups(&mut Maker { source, visit });
}

/// Which ops have had cases.
#[derive(Clone, Debug)]
pub struct Coverage([u32; 256]);

impl Coverage {
    /// None yet.
    pub const fn new() -> Self {
        Self([0; 256])
    }

    /// Counts a case.
    pub fn count(&mut self, op: Op) {
        self.0[op as usize] += 1;
    }

    /// The number of cases about an op.
    pub fn of(&self, op: Op) -> u32 {
        self.0[op as usize]
    }

    /// The rows of the op table that had no case.
    pub fn missing(&self) -> impl Iterator<Item = Op> + '_ {
        OPS.iter().filter(|row| self.of(row.op) == 0).map(|row| row.op)
    }
}

impl Default for Coverage {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes groups in the caller's buffer.
struct Maker<'m> {
    source: &'m mut [u8],
    visit: &'m mut dyn FnMut(&Group<'_>),
}

impl Maker<'_> {
    /// A group whose text `write` writes; what it returns is known to `cases`.
    fn group<T>(
        &mut self,
        name: &str,
        stack_words: Option<usize>,
        write: impl FnOnce(&mut Text<'_>) -> T,
        cases: impl Fn(&T, &mut Visit<'_>),
    ) {
        let mut text = Text::new(self.source);
        let made = write(&mut text);
        let text = text.as_str();
        (self.visit)(&Group { name, text, stack_words, cases: &|visit| cases(&made, visit) });
    }

    /// A group whose text is a template and whose cases are its expectations: see [`heap::expected`].
    fn expected(&mut self, name: &str, template: &str, replaced: &[(char, &str)]) {
        let mut text = Text::new(self.source);
        heap::expected::fill(&mut text, template, replaced);
        let text = text.as_str();
        let cases = &|visit: &mut Visit<'_>| heap::expected::cases(text, visit);
        (self.visit)(&Group { name, text, stack_words: None, cases });
    }

    /// A group whose text is a literal.
    fn fixed(&mut self, name: &str, text: &str, cases: impl Fn(&mut Visit<'_>)) {
        (self.visit)(&Group { name, text, stack_words: None, cases: &|visit| cases(visit) });
    }
}

/// A case that returns a value.
fn returns(visit: &mut Visit<'_>, op: Op, func: &str, args: &[Value], result: impl Into<Value>) {
    visit(&Case { op, func, args, expect: Expect::Returns(Some(result.into())), globals: &[] });
}

/// A case that traps.
fn traps(visit: &mut Visit<'_>, op: Op, call: (&str, &[Value]), trap: Trap, place: (&str, u32)) {
    let expect = Expect::Traps { trap, func: place.0, op: place.1 };
    visit(&Case { op, func: call.0, args: call.1, expect, globals: &[] });
}
