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

/// The pairs; the oldest make room for new ones.
pub struct InBounds {
    pairs: [Option<Pair>; PAIRS],
    next: usize,
}

impl InBounds {
    pub const fn new() -> Self {
        Self { pairs: [None; PAIRS], next: 0 }
    }

    /// Nothing is known any more.
    pub fn clear(&mut self) {
        self.pairs = [None; PAIRS];
    }

    /// Whether the index is below the array's length, and the array is not null.
    pub fn has(&self, array: u16, index: u16) -> bool {
        self.pairs.contains(&Some(Pair { array, index }))
    }

    /// It is, behind the op that is emitted.
    pub fn add(&mut self, array: u16, index: u16) {
        if let Some(place) = self.pairs.get_mut(self.next % PAIRS) {
            *place = Some(Pair { array, index });
        }
        self.next = (self.next + 1) % PAIRS;
    }

    /// An op has written a slot.
    pub fn forget(&mut self, slot: u16) {
        for pair in &mut self.pairs {
            *pair = pair.filter(|pair| pair.array != slot && pair.index != slot);
        }
    }
}
