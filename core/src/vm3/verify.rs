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
}
