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

/// The places of the bound cells in a payload whose first word is `head`.
pub(super) fn bound_cells<'c>(container: &'c Container<'_>, head: u64) -> impl Iterator<Item = u32> + 'c {
    let (func, bound) = parts(head);
    let sig = container.func(func.into()).and_then(|func| container.sig(func.sig));
    (0..bound).filter_map(move |index| {
        let ty = container.param(sig.as_ref()?, index)?;
        is_cell(ty).then(|| BOUND + u32::from(index))
    })
}
