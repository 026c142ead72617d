//! The map of a code window: which of its bytes are in use, and by which function.
//!
//! It lies in words that the host lends, and counts in granules of [`GRANULE`] bytes: a bit that says whether a granule is
//! in use, a bit for the first of each block, a bit for blocks that have been evicted and are not free yet, and the number
//! of the function of each block at its first granule.

use bitvec::prelude::{BitSlice, Lsb0};
use core::ops::Range;

/// Bytes of a granule: the alignment of functions is a divisor, and a line of the caches of common CPUs.
pub const GRANULE: usize = 64;

type Bits = BitSlice<u64, Lsb0>;

/// The words that the map of a window of that many bytes takes.
pub const fn words(window: usize) -> usize {
    let granules = window / GRANULE;
    3 * granules.div_ceil(64) + granules.div_ceil(4)
}

/// The map, in words that hold it between uses.
pub struct Map<'m> {
    used: &'m mut Bits,
    first: &'m mut Bits,
    evicted: &'m mut Bits,
    /// Four functions a word.
    owners: &'m mut [u64],
}

impl<'m> Map<'m> {
    /// The map that the words hold, of as many granules; at first they are all 0. `None` if they are too few.
    pub fn over(words: &'m mut [u64], granules: usize) -> Option<Self> {
        let bits = granules.div_ceil(64);
        let (used, rest) = words.split_at_mut_checked(bits)?;
        let (first, rest) = rest.split_at_mut_checked(bits)?;
        let (evicted, owners) = rest.split_at_mut_checked(bits)?;
        let owners = owners.get_mut(..granules.div_ceil(4))?;
        let bits = |words: &'m mut [u64]| Bits::try_from_slice_mut(words).ok()?.get_mut(..granules);
        Some(Self { used: bits(used)?, first: bits(first)?, evicted: bits(evicted)?, owners })
    }

    /// The number of granules.
    pub fn granules(&self) -> usize {
        self.used.len()
    }

    /// The number of granules that are in use.
    pub fn used(&self) -> usize {
        self.used.count_ones()
    }

    /// Takes granules for good, for what is no block of a function.
    pub fn reserve(&mut self, range: Range<usize>) {
        if let Some(used) = self.used.get_mut(range) {
            used.fill(true);
        }
    }

    /// The first run of at least `wanted` free granules at or behind `from`, or before it if there is none; all of the run
    /// up to `most`.
    pub fn hole(&self, from: usize, wanted: usize, most: usize) -> Option<Range<usize>> {
        let from = from.min(self.granules());
        self.hole_in(from..self.granules(), wanted, most).or_else(|| self.hole_in(0..self.granules(), wanted, most))
    }

    fn hole_in(&self, range: Range<usize>, wanted: usize, most: usize) -> Option<Range<usize>> {
        let mut at = range.start;
        while let Some(rest) = self.used.get(at..range.end).filter(|rest| !rest.is_empty()) {
            let start = at.saturating_add(rest.first_zero()?);
            let free = self.used.get(start..range.end)?.leading_zeros();
            if free >= wanted.max(1) {
                return Some(start..start.saturating_add(free.min(most)));
            }
            at = start.saturating_add(free);
        }
        None
    }

    /// Makes a block of free granules, a function's.
    pub fn take(&mut self, range: Range<usize>, func: u16) {
        if let Some(word) = self.owners.get_mut(range.start / 4) {
            let shift = range.start % 4 * 16;
            *word = *word & !(0xFFFF << shift) | u64::from(func) << shift;
        }
        if let (Some(used), Some(mut first)) = (self.used.get_mut(range.clone()), self.first.get_mut(range.start)) {
            used.fill(true);
            *first = true;
        }
    }

    /// The first block that starts at or behind a granule: where it lies, and whose it is.
    pub fn block(&self, from: usize) -> Option<(Range<usize>, u16)> {
        let start = from.checked_add(self.first.get(from..)?.first_one()?)?;
        let behind = start.checked_add(1)?;
        // It ends before the next block, the next free granule or the end.
        let next = self.first.get(behind..)?.first_one().unwrap_or(self.granules() - behind);
        let rest = self.used.get(behind..behind.checked_add(next)?)?.first_zero().unwrap_or(next);
        let owner = (*self.owners.get(start / 4)? >> (start % 4 * 16)) as u16;
        Some((start..behind.saturating_add(rest), owner))
    }

    /// Frees a block.
    pub fn free(&mut self, range: Range<usize>) {
        self.set_evicted(range.start, false);
        if let Some(mut first) = self.first.get_mut(range.start) {
            *first = false;
        }
        if let Some(used) = self.used.get_mut(range) {
            used.fill(false);
        }
    }

    /// Whether the block that starts at a granule is evicted.
    pub fn is_evicted(&self, start: usize) -> bool {
        self.evicted.get(start).is_some_and(|bit| *bit)
    }

    /// Says whether the block that starts at a granule is evicted.
    pub fn set_evicted(&mut self, start: usize, evicted: bool) {
        if let Some(mut bit) = self.evicted.get_mut(start) {
            *bit = evicted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_window() {
        // 1 MiB has 16384 granules: three bits each are 768 words, a number of 16 bits each 4096.
        assert_eq!(words(1 << 20), 768 + 4096);
        assert_eq!(words(0), 0);
    }

    #[test]
    fn blocks_lie_where_they_were_put() {
        let mut lent = [0; 3 * 2 + 25];
        let mut map = Map::over(&mut lent, 100).unwrap();
        assert_eq!((map.granules(), map.used(), map.block(0)), (100, 0, None));
        map.reserve(0..10);
        assert_eq!(map.hole(0, 1, 1000), Some(10..100));
        assert_eq!(map.hole(0, 90, 90), Some(10..100));
        assert_eq!(map.hole(0, 91, 91), None);
        map.take(10..13, 7);
        map.take(13..14, 65535);
        map.take(20..70, 8);
        assert_eq!((map.used(), map.hole(0, 6, 6), map.hole(0, 7, 7)), (64, Some(14..20), Some(70..77)));
        assert_eq!(map.hole(71, 6, 6), Some(71..77));
        assert_eq!(map.hole(99, 6, 6), Some(14..20));
        assert_eq!(map.block(0), Some((10..13, 7)));
        assert_eq!(map.block(11), Some((13..14, 65535)));
        assert_eq!(map.block(14), Some((20..70, 8)));
        assert_eq!(map.block(21), None);
        map.set_evicted(13, true);
        assert!(map.is_evicted(13) && !map.is_evicted(10));
        map.free(13..14);
        assert!(!map.is_evicted(13));
        assert_eq!((map.block(11), map.hole(0, 7, 100)), (Some((20..70, 8)), Some(13..20)));
        map.take(70..100, 9);
        assert_eq!(map.block(21), Some((70..100, 9)));
    }

    #[test]
    fn places_outside_are_no_blocks() {
        let mut lent = [0; 4];
        assert!(Map::over(&mut lent, 5).is_none());
        let mut map = Map::over(&mut lent, 4).unwrap();
        map.take(2..9, 1);
        map.reserve(3..5);
        map.free(7..8);
        assert_eq!((map.used(), map.block(9), map.hole(9, 1, 1), map.is_evicted(9)), (0, None, Some(0..1), false));
        assert!(Map::over(&mut [], 0).is_some_and(|map| map.hole(0, 0, 0).is_none() && map.block(0).is_none()));
    }
}
