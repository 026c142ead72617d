//! SipHash: a keyed hash for short inputs whose collisions cannot be chosen without the key.
//!
//! J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012). Maps use SipHash-1-3: one round a word and
//! three at the end, as the hash maps of Rust, Python and Ruby do.

/// A key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key(pub u64, pub u64);

impl Key {
    /// The key that a host's seed gives: the seed, and behind it the next number of SplitMix64 (G. Steele, D. Lea,
    /// C. Flood, "Fast splittable pseudorandom number generators", 2014).
    pub const fn from_seed(seed: u64) -> Self {
        let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self(seed, z ^ z >> 31)
    }

    /// The hash of the eight bytes of a word, little-endian.
    #[cfg_attr(not(small), inline(always))]
    pub fn word(self, word: u64) -> u64 {
        let mut state = State::<1, 3>::new(self);
        state.absorb(word);
        state.finish(8 << 56)
    }

    /// The hash of some bytes.
    pub fn bytes(self, bytes: &[u8]) -> u64 {
        hash::<1, 3>(self, bytes)
    }
}

/// SipHash-C-D of some bytes.
pub(super) fn hash<const C: usize, const D: usize>(key: Key, bytes: &[u8]) -> u64 {
    let mut state = State::<C, D>::new(key);
    let (words, rest) = bytes.as_chunks::<8>();
    for &word in words {
        state.absorb(u64::from_le_bytes(word));
    }
    let mut last = [0; 8];
    for (place, &byte) in last.iter_mut().zip(rest) {
        *place = byte;
    }
    // The last byte is the length's lowest.
    state.finish(u64::from_le_bytes(last) | (bytes.len() as u64) << 56)
}

struct State<const C: usize, const D: usize>([u64; 4]);

impl<const C: usize, const D: usize> State<C, D> {
    #[cfg_attr(not(small), inline(always))]
    const fn new(Key(k0, k1): Key) -> Self {
        Self([
            k0 ^ 0x736F_6D65_7073_6575,
            k1 ^ 0x646F_7261_6E64_6F6D,
            k0 ^ 0x6C79_6765_6E65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    #[cfg_attr(not(small), inline(always))]
    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }

    #[cfg_attr(not(small), inline(always))]
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        (0..C).for_each(|_| self.round());
        self.0[0] ^= word;
    }

    #[cfg_attr(not(small), inline(always))]
    fn finish(mut self, last: u64) -> u64 {
        self.absorb(last);
        self.0[2] ^= 0xFF;
        (0..D).for_each(|_| self.round());
        let [v0, v1, v2, v3] = self.0;
        v0 ^ v1 ^ v2 ^ v3
    }
}
