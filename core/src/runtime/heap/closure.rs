//! Closures: a function with its first arguments bound.
//!
//! Word 0 of a payload holds the function's index in bits 0 to 15 and the number of bound arguments in bits 16 to 31; the
//! arguments follow, a word each.

use super::collect::is_cell;
use crate::vm3::container::Container;

/// The word of the first bound argument.
pub(crate) const BOUND: u32 = 1;

/// The first word of the payload of a closure.
pub(crate) const fn head(func: u16, bound: u16) -> u64 {
    func as u64 | (bound as u64) << 16
}

/// The function of a closure, and its number of bound arguments.
pub(crate) const fn parts(head: u64) -> (u16, u16) {
    (head as u16, (head >> 16) as u16)
}

/// The word of bound argument `index` in a payload whose first word is `head`, if it is a cell.
pub(super) fn bound_cell(container: &Container<'_>, head: u64, index: u32) -> Option<u32> {
    let sig = container.func(parts(head).0.into()).and_then(|func| container.sig(func.sig))?;
    let ty = container.param(&sig, u16::try_from(index).ok()?)?;
    is_cell(ty).then_some(BOUND + index)
}
