//! Choosing operands: one of them forced, the others at random.

use std::io::Write;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this run, from `OPSTAMP_SEED` or the clock. Printed once, past the capture of test output.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let seed = match std::env::var("OPSTAMP_SEED") {
            Ok(text) => text.parse().expect("OPSTAMP_SEED is a decimal number below 2^64"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64),
        };
        let _ = writeln!(std::io::stderr(), "OPSTAMP_SEED={seed}");
        seed
    })
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }
}

/// One draw of an instruction's operands.
pub struct Draw<'r> {
    rng: &'r mut Rng,
    /// The operand that is forced, in order of drawing, and its choice.
    forced: Option<(usize, usize)>,
    choices: Vec<usize>,
}

impl<'r> Draw<'r> {
    pub fn new(rng: &'r mut Rng, forced: Option<(usize, usize)>) -> Self {
        Self { rng, forced, choices: Vec::new() }
    }

    /// How many choices each operand had, in order of drawing.
    pub fn choices(&self) -> Vec<usize> {
        self.choices.clone()
    }

    fn forced(&mut self, count: usize) -> Option<usize> {
        self.choices.push(count);
        self.forced.filter(|&(operand, _)| operand == self.choices.len() - 1).map(|(_, choice)| choice)
    }

    /// One of `all`, every one of which a sweep visits.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let choice = self.forced(all.len());
        all[choice.unwrap_or_else(|| self.rng.below(all.len()))]
    }

    /// A multiple of `step` from `low` to `high`: a sweep visits the ends, their neighbours, those of zero, and every
    /// power of two with its negative.
    pub fn number(&mut self, low: i64, high: i64, step: i64) -> i64 {
        let mut edges = vec![low, low + step, high - step, high, 0, step, -step, 2 * step, -2 * step];
        edges.extend((0..40).flat_map(|bit| [step << bit, -(step << bit), (step << bit) - step]));
        edges.retain(|&edge| low <= edge && edge <= high);
        edges.sort_unstable();
        edges.dedup();
        match self.forced(edges.len()) {
            Some(choice) => edges[choice],
            None if self.rng.below(4) == 0 => edges[self.rng.below(edges.len())],
            None => self.rng.within(low / step, high / step) * step,
        }
    }
}
