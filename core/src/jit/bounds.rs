//! Which indices are known to be in bounds: an access to an array says so for the accesses behind it, up to the next label,
//! for as long as nobody writes either register and no length may change.

/// Pairs that are remembered: a few more than loops have arrays.
const PAIRS: usize = 8;

/// An array's cell slot and an index's slot.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Pair {
    array: u16,
    index: u16,
}

/// The pairs; an old one makes room for a new one.
pub struct InBounds {
    pairs: heapless::Vec<Pair, PAIRS>,
    /// Up to this word there may be targets of branches that no label names: what an access before it says is not known
    /// behind it.
    until: usize,
}

impl InBounds {
    pub const fn new() -> Self {
        Self { pairs: heapless::Vec::new(), until: 0 }
    }

    /// Nothing is known any more.
    #[inline]
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Whether the index is below the array's length, and the array is not null.
    pub fn has(&self, array: u16, index: u16) -> bool {
        self.pairs.contains(&Pair { array, index })
    }

    /// There is a branch to this word.
    #[inline]
    pub fn branch(&mut self, target: usize) {
        self.until = self.until.max(target);
    }

    /// It is, behind the op that is emitted, which is that at `word`.
    pub fn add(&mut self, array: u16, index: u16, word: usize) {
        if word < self.until {
            return;
        }
        if self.pairs.is_full() {
            self.pairs.remove(0);
        }
        // There is room now.
        let _ = self.pairs.push(Pair { array, index });
    }

    /// An op has written a slot.
    #[inline]
    pub fn forget(&mut self, slot: u16) {
        if !self.pairs.is_empty() {
            self.pairs.retain(|pair| pair.array != slot && pair.index != slot);
        }
    }
}
