//! Which indices are known to be in bounds: an access to an array says so for the accesses behind it, up to the next label,
//! for as long as nobody writes either register and no length may change.
//!
//! Branches forward that the backend makes by table name no label, so their targets are kept here. An access in front of
//! such a branch still holds at its target, and one between the two does not: each goes up to the first of the targets that
//! were known when it was met.

use super::plan::Pending;

/// Pairs that are remembered: a few more than loops have arrays.
const PAIRS: usize = 8;

/// An array's cell slot and an index's slot.
#[derive(Clone, Copy)]
struct Pair {
    array: u16,
    index: u16,
    /// From this word on it is not known.
    until: u32,
}

/// The pairs; an old one makes room for a new one.
pub struct InBounds {
    pairs: heapless::Vec<Pair, PAIRS>,
    /// Targets of branches that no label names.
    pending: Pending,
}

impl InBounds {
    pub const fn new() -> Self {
        Self { pairs: heapless::Vec::new(), pending: Pending::new() }
    }

    /// Nothing is known any more.
    #[inline]
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Whether at `word` the index is below the array's length, and the array is not null.
    pub fn has(&self, array: u16, index: u16, word: usize) -> bool {
        self.pairs.iter().any(|pair| pair.array == array && pair.index == index && word < pair.until as usize)
    }

    /// There is a branch to this word, which is behind it, and no label says so.
    #[inline(never)]
    pub fn branch(&mut self, target: usize) {
        self.pending.add(target as u32);
    }

    /// It is, behind the op that is emitted, which is that at `word`.
    pub fn add(&mut self, array: u16, index: u16, word: usize) {
        let word = word as u32;
        self.pending.reach(word);
        let until = self.pending.next(word);
        self.pairs.retain(|pair| word < pair.until);
        if self.pairs.is_full() {
            self.pairs.remove(0);
        }
        // There is room now.
        let _ = self.pairs.push(Pair { array, index, until });
    }

    /// An op has written a slot.
    #[inline]
    pub fn forget(&mut self, slot: u16) {
        if !self.pairs.is_empty() {
            self.pairs.retain(|pair| pair.array != slot && pair.index != slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::InBounds;

    #[test]
    fn an_access_holds_up_to_the_next_target() {
        let mut bounds = InBounds::new();
        bounds.branch(30);
        bounds.add(1, 2, 3);
        bounds.branch(10);
        bounds.add(1, 4, 6);
        assert!(bounds.has(1, 2, 9) && bounds.has(1, 4, 9));
        // The branch to 10 came behind the first access.
        assert!(bounds.has(1, 2, 10) && !bounds.has(1, 4, 10) && !bounds.has(2, 1, 10));
        bounds.add(1, 4, 11);
        assert!(bounds.has(1, 4, 12) && bounds.has(1, 4, 29) && !bounds.has(1, 4, 30) && !bounds.has(1, 2, 30));
    }

    #[test]
    fn writes_and_labels_end_it() {
        let mut bounds = InBounds::new();
        bounds.add(1, 2, 3);
        bounds.add(1, 4, 4);
        bounds.add(5, 4, 5);
        bounds.forget(2);
        assert!(!bounds.has(1, 2, 6) && bounds.has(1, 4, 6));
        bounds.forget(1);
        assert!(!bounds.has(1, 4, 6) && bounds.has(5, 4, 6));
        bounds.clear();
        assert!(!bounds.has(5, 4, 6));
    }

    #[test]
    fn what_is_beyond_memory_is_not_known() {
        let mut bounds = InBounds::new();
        // More targets than are remembered, the nearest last.
        (0..20).for_each(|at| bounds.branch(100 - at));
        bounds.add(1, 2, 3);
        assert!(!bounds.has(1, 2, 81));
        (0..=99).for_each(|at| assert!(at < 4 || !bounds.has(1, 2, at)));
        bounds.add(1, 2, 100);
        assert!(bounds.has(1, 2, 101));
        (0..20).for_each(|index| bounds.add(1, 10 + index, 102));
        assert!(!bounds.has(1, 2, 103) && bounds.has(1, 29, 103));
    }
}
