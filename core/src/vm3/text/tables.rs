//! Tables in the caller's scratch memory: lists, packed lists and a hash index.

/// The scratch memory is used up.
pub(super) struct Full;

/// Cuts pieces off the scratch memory.
pub(super) struct Scratch<'s>(pub &'s mut [u64]);

impl<'s> Scratch<'s> {
    fn take(&mut self, words: usize) -> Result<&'s mut [u64], Full> {
        let (taken, rest) = core::mem::take(&mut self.0).split_at_mut_checked(words).ok_or(Full)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn list(&mut self, words: usize) -> Result<List<'s>, Full> {
        Ok(List { words: self.take(words)?, len: 0 })
    }

    pub fn bytes(&mut self, count: usize) -> Result<Packed<'s, 8>, Full> {
        Ok(Packed { words: self.take(packed_words::<8>(count))?, len: 0 })
    }

    pub fn halfwords(&mut self, count: usize) -> Result<Packed<'s, 16>, Full> {
        Ok(Packed { words: self.take(packed_words::<16>(count))?, len: 0 })
    }

    /// An index for at most `entries` entries.
    pub fn index(&mut self, entries: usize) -> Result<Index<'s>, Full> {
        let slots = self.take(index_words(entries))?;
        slots.fill(0);
        Ok(Index { slots })
    }
}

/// The words that a packed list of records of `BITS` bits takes.
pub(super) const fn packed_words<const BITS: usize>(count: usize) -> usize {
    count.div_ceil(64 / BITS)
}

/// The words of an [`Index`]: it is at most half full, so probing is short and always ends.
pub(super) const fn index_words(entries: usize) -> usize {
    (2 * entries + 2).next_power_of_two()
}

/// A list of words of a fixed capacity.
pub(super) struct List<'s> {
    words: &'s mut [u64],
    len: usize,
}

impl List<'_> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends, and gives the word's place.
    pub fn push(&mut self, word: u64) -> Result<usize, Full> {
        let place = self.len;
        *self.words.get_mut(place).ok_or(Full)? = word;
        self.len += 1;
        Ok(place)
    }

    pub fn extend<const N: usize>(&mut self, words: [u64; N]) -> Result<usize, Full> {
        let place = self.len;
        for word in words {
            self.push(word)?;
        }
        Ok(place)
    }

    pub fn get(&self, place: usize) -> Option<u64> {
        self.as_slice().get(place).copied()
    }

    pub fn get_mut(&mut self, place: usize) -> Option<&mut u64> {
        self.words.get_mut(..self.len)?.get_mut(place)
    }

    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub fn as_slice(&self) -> &[u64] {
        self.words.get(..self.len).unwrap_or(&[])
    }
}

/// A list of records of `BITS` bits, packed into words, lowest first.
pub(super) struct Packed<'s, const BITS: usize> {
    words: &'s mut [u64],
    len: usize,
}

impl<const BITS: usize> Packed<'_, BITS> {
    const PER_WORD: usize = 64 / BITS;

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, value: u16) -> Result<usize, Full> {
        let place = self.len;
        let word = self.words.get_mut(place / Self::PER_WORD).ok_or(Full)?;
        let shift = BITS * (place % Self::PER_WORD);
        let before = if shift == 0 { 0 } else { *word };
        *word = before | u64::from(value) << shift;
        self.len += 1;
        Ok(place)
    }

    pub fn get(&self, place: usize) -> Option<u16> {
        if place >= self.len {
            return None;
        }
        let word = self.words.get(place / Self::PER_WORD)?;
        Some((word >> (BITS * (place % Self::PER_WORD)) & ((1 << BITS) - 1)) as u16)
    }

    pub fn as_words(&self) -> &[u64] {
        self.words.get(..packed_words::<BITS>(self.len)).unwrap_or(&[])
    }
}

/// A hash index of records that are kept elsewhere: open addressing, linear probing. A slot holds 32 bits of the hash
/// and the record's number plus one; 0 is empty.
pub(super) struct Index<'s> {
    slots: &'s mut [u64],
}

/// Where a record that was not found belongs.
pub(super) struct Vacant {
    slot: usize,
    tag: u64,
}

impl Index<'_> {
    /// The record with this hash for which `same` holds.
    pub fn find(&self, hash: u64, mut same: impl FnMut(usize) -> bool) -> Result<usize, Vacant> {
        let mask = self.slots.len().wrapping_sub(1);
        let tag = hash & 0xFFFF_FFFF_0000_0000;
        let mut slot = hash as usize & mask;
        for _ in 0..self.slots.len() {
            let held = self.slots.get(slot).copied().unwrap_or(0);
            if held == 0 {
                break;
            }
            let record = (held as u32).wrapping_sub(1) as usize;
            if held & 0xFFFF_FFFF_0000_0000 == tag && same(record) {
                return Ok(record);
            }
            slot = (slot + 1) & mask;
        }
        Err(Vacant { slot, tag })
    }

    pub fn insert(&mut self, vacant: Vacant, record: usize) -> Result<(), Full> {
        let number = u32::try_from(record).ok().and_then(|number| number.checked_add(1)).ok_or(Full)?;
        let slot = self.slots.get_mut(vacant.slot).filter(|slot| **slot == 0).ok_or(Full)?;
        *slot = vacant.tag | u64::from(number);
        Ok(())
    }
}

/// FNV-1a over 64 bits (Fowler, Noll, Vo), with a last mixing step because the index uses both ends of the hash.
#[derive(Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    pub const fn new(space: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325).number(space)
    }

    pub const fn number(self, value: u64) -> Self {
        Self((self.0 ^ value).wrapping_mul(Self::PRIME)).byte((value >> 40) as u8)
    }

    pub const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(Self::PRIME))
    }

    pub fn bytes(self, bytes: impl Iterator<Item = u8>) -> Self {
        bytes.fold(self, Self::byte)
    }

    pub const fn finish(self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    }
}
