//! The verifier: the only way to a [`Module`].

use super::container::Container;

/// A verified container: what every engine takes.
///
/// Everything that the verifier proved holds for as long as the words are borrowed, so engines rely on it for memory
/// safety.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    container: Container<'a>,
}

impl<'a> Module<'a> {
    /// The container, whose records are now known to be sound.
    #[inline(always)]
    pub fn container(&self) -> &Container<'a> {
        &self.container
    }

    /// The index of the function with that name. Linear in the number of functions.
    pub fn func_index(&self, name: &str) -> Option<u16> {
        let count = self.container.count(super::container::Section::Funcs);
        let named = |index: &u32| self.container.func(*index).and_then(|f| self.container.text(f.name)) == Some(name);
        (0..count).find(named).and_then(|index| u16::try_from(index).ok())
    }
}
