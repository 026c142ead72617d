//! What the code windows of the systems have in common.
#![cfg_attr(
    target_os = "macos",
    allow(dead_code, reason = "one mapping needs no units, and by thread no sets of them")
)]

use std::ops::Range;

/// How written code becomes executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// [`Scheme::TwoMappings`], or [`Scheme::Flip`] where the system refuses that.
    Auto,
    /// One mapping to write through and one to execute, of the same memory. Other threads may execute while code is
    /// written.
    TwoMappings,
    /// One mapping, each page of which is either writable or executable. A page that is open cannot be executed, and
    /// publishing one range takes back every other that is lent on the same pages.
    Flip,
}

/// With two mappings, the bytes that are made ready together at their first open: enough that a module of ordinary size
/// needs a few system calls, little enough that a small one fills a few pages.
pub(crate) const UNIT: usize = 16 * 1024;

/// A set of units.
#[derive(Debug)]
pub(crate) struct UnitSet {
    words: Vec<u64>,
}

impl UnitSet {
    /// An empty set for units below `count`.
    pub(crate) fn new(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(64)] }
    }

    fn contains(&self, unit: usize) -> bool {
        self.words.get(unit / 64).is_some_and(|word| word >> (unit % 64) & 1 != 0)
    }

    /// The first run of consecutive units in `units` that all are in the set, or all are not.
    pub(crate) fn run(&self, units: &Range<usize>, present: bool) -> Option<Range<usize>> {
        let start = units.clone().find(|&unit| self.contains(unit) == present)?;
        let end = (start..units.end).find(|&unit| self.contains(unit) != present).unwrap_or(units.end);
        Some(start..end)
    }

    pub(crate) fn set(&mut self, units: Range<usize>, present: bool) {
        for unit in units {
            if let Some(word) = self.words.get_mut(unit / 64) {
                let bit = 1 << (unit % 64);
                *word = if present { *word | bit } else { *word & !bit };
            }
        }
    }
}
