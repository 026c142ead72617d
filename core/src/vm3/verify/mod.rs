//! The verifier: the only way to a [`Module`].
//!
//! One pass over the records, then one over the op words, driven by the op table: the registers of a function have one
//! type each, so there is no dataflow. Everything is visited a bounded number of times, so the time is linear in the size
//! of the container whatever it holds:
//! - Records own disjoint ranges (see [`super::container`]), so the ranges together are no longer than the container.
//! - What an op is checked against (a callee's parameters, a switch's targets) has a field each in the op's own words.
//!   Only `fn.new` compares a closure type's parameters, which are at most [`Composite::PARAMS`].
//! - A branch target is an op exactly if the word there is no `args` word, because the pass leaves no `args` word without
//!   an op: no set of op starts is needed.
//! - Strings are put in a tree of bounded depth, and names are bits of a set.

mod code;
mod error;
mod message;
mod names;
mod records;

use super::container::{Container, ContainerError, Section, Sig, words_of};
use super::types::{Composite, TypeId};
pub use error::{Expected, Fault, OpReason, RecordReason, Spot, Thing, VerifyError};

/// What the verifier lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Whether ops and constants that need a heap are accepted, as they are by default. A host that lends its guests none
    /// refuses them here, rather than by a trap when they are run. Without the crate's feature `heap` none is accepted.
    pub heap: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { heap: true }
    }
}

/// A verified container: what every engine takes.
///
/// Everything that the verifier proved holds for as long as the words are borrowed, so engines rely on it for memory
/// safety. `vm3.md`, "Verification", is the list.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    container: Container<'a>,
}

/// A function of a module.
#[derive(Clone, Copy, Debug)]
pub struct FuncView<'a> {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: &'a str,
    /// Its signature.
    pub sig: Sig,
    /// The types of its slots: the parameters, then the locals, all i64, then all f64, then all cells.
    pub slots: &'a [TypeId],
    /// Its words.
    pub code: &'a [u64],
}

impl FuncView<'_> {
    /// The number of parameters: they are its first slots.
    #[inline]
    pub fn param_count(&self) -> usize {
        self.sig.count.into()
    }

    /// The type of a slot.
    #[inline]
    pub fn slot(&self, slot: u16) -> Option<TypeId> {
        self.slots.get(usize::from(slot)).copied()
    }
}

impl<'a> Module<'a> {
    /// The number of words of scratch memory that verifying this container takes: two for each string, or one for eight
    /// composite types if that is more. Reads the header only.
    pub fn scratch_words(words: &[u64]) -> Result<usize, ContainerError> {
        Ok(scratch_words(&Container::read(words)?))
    }

    /// Verifies a container. `scratch` is at least [`Module::scratch_words`] long, may hold anything, and holds nothing of
    /// use afterwards. Takes time linear in the length of the container.
    pub fn verify(words: &'a [u64], scratch: &mut [u64]) -> Result<Self, VerifyError<'a>> {
        Self::verify_with(words, scratch, VerifyOptions::default())
    }

    /// [`Module::verify`] for a container in bytes, which must start at a multiple of 8.
    pub fn verify_bytes(bytes: &'a [u8], scratch: &mut [u64]) -> Result<Self, VerifyError<'a>> {
        let words = words_of(bytes).map_err(|error| VerifyError::new(&[], Fault::Container(error)))?;
        Self::verify(words, scratch)
    }

    /// [`Module::verify`] with options.
    pub fn verify_with(words: &'a [u64], scratch: &mut [u64], options: VerifyOptions) -> Result<Self, VerifyError<'a>> {
        let options = VerifyOptions { heap: options.heap && crate::HEAP };
        let mut check = || {
            let container = Container::read(words).map_err(Fault::Container)?;
            let needed = scratch_words(&container);
            let given = scratch.len();
            let scratch = scratch.get_mut(..needed).ok_or(Fault::Scratch { needed, given })?;
            records::check(&container, scratch, options)?;
            code::check(&container, options)?;
            Ok(Self { container })
        };
        check().map_err(|fault| VerifyError::new(words, fault))
    }

    /// The container, whose records are now known to be sound.
    #[inline(always)]
    pub fn container(&self) -> &Container<'a> {
        &self.container
    }

    /// The number of functions.
    #[inline]
    pub fn func_count(&self) -> u32 {
        self.container.count(Section::Funcs)
    }

    /// A function.
    #[inline]
    pub fn func(&self, index: u32) -> Option<FuncView<'a>> {
        let func = self.container.func(index)?;
        Some(FuncView {
            index,
            name: self.container.text(func.name)?,
            sig: self.container.sig(func.sig)?,
            slots: self.container.slots(&func)?,
            code: self.container.code(&func)?,
        })
    }

    /// The index of the function with that name. Linear in the number of functions.
    pub fn func_index(&self, name: &str) -> Option<u16> {
        u16::try_from(self.func_by_name(name)?.index).ok()
    }

    /// The function of that name. Linear in the number of functions.
    pub fn func_by_name(&self, name: &str) -> Option<FuncView<'a>> {
        let named = |&index: &u32| {
            let func = self.container.func(index);
            func.and_then(|func| self.container.bytes(func.name)) == Some(name.as_bytes())
        };
        (0..self.func_count()).find(named).and_then(|index| self.func(index))
    }

    /// A function's signature.
    #[inline]
    pub fn func_sig(&self, index: u32) -> Option<Sig> {
        self.container.sig(self.container.func(index)?.sig)
    }

    /// An imported function's name and signature.
    #[inline]
    pub fn import(&self, index: u32) -> Option<(&'a str, Sig)> {
        let import = self.container.import(index)?;
        Some((self.container.text(import.name)?, self.container.sig(import.sig)?))
    }

    /// The types of a signature's parameters.
    #[inline]
    pub fn params(&self, sig: &Sig) -> Option<&'a [TypeId]> {
        self.container.params(sig)
    }
}

fn scratch_words(container: &Container<'_>) -> usize {
    let count = |section| container.count(section) as usize;
    let strings = count(Section::Strings);
    let tree = strings.saturating_mul(names::TREE_WORDS);
    tree.max(names::names_words(strings)).max(records::depth_words(count(Section::Types)))
}
