//! What the verifier proves about strings: that no two are equal, which of them are names, and that a name is declared
//! once.

use super::error::RecordReason;
use crate::vm3::container::{Container, Section};

/// The words that vm3 reserves.
pub(super) const RESERVED: [&str; 7] = ["end", "local", "inf", "nan", "true", "false", "null"];

/// Whether the bytes are `[A-Za-z_.$][A-Za-z0-9_.$]*`, reserved or not.
pub(super) fn is_identifier(bytes: &[u8]) -> bool {
    let starts = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'$');
    bytes.first().is_some_and(starts) && bytes.iter().all(|byte| starts(byte) || byte.is_ascii_digit())
}

/// Set in a reference to an inner node of the tree; without it a reference is a string.
const NODE: u32 = 1 << 31;

/// The bit of a string at a place of the tree: bits 4 and up of a place count bytes; its low bits are 0 for "the string
/// has this byte" and 1 to 8 for the byte's bits, the highest first. Behind the end all bits are 0.
fn bit(bytes: &[u8], place: u64) -> bool {
    let byte = usize::try_from(place >> 4).ok().and_then(|index| bytes.get(index));
    byte.is_some_and(|&byte| place & 15 == 0 || (byte >> (8 - (place & 15))) & 1 != 0)
}

/// The first place at which two strings differ, if they do.
fn difference(x: &[u8], y: &[u8]) -> Option<u64> {
    match x.iter().zip(y).enumerate().find(|(_, (x, y))| x != y) {
        Some((index, (x, y))) => Some((index as u64) << 4 | u64::from((x ^ y).leading_zeros() + 1)),
        None if x.len() != y.len() => Some((x.len().min(y.len()) as u64) << 4),
        None => None,
    }
}

/// Words of scratch that [`check_unequal`] needs for each string.
pub(super) const TREE_WORDS: usize = 2;

/// Checks that no two strings are equal; gives the first that equals an earlier one.
///
/// The strings go into a crit-bit tree (Bernstein's variant of PATRICIA, Morrison, JACM 15(4), 1968): an inner node
/// names the first place where the strings on its two sides differ. Node `i` is made when string `i` goes in, and the
/// string stays below it, so any node knows a string below it without a walk. Places grow along a path and the walk
/// stops where they pass the end of the string, so a string of n bytes takes at most 9 (n + 1) steps, whatever the other
/// strings are: the whole is linear in the bytes, with no hash that an attacker could make collide.
pub(super) fn check_unequal(container: &Container<'_>, scratch: &mut [u64]) -> Result<(), u32> {
    let (nodes, _) = scratch.as_chunks_mut::<TREE_WORDS>();
    let node = |nodes: &[[u64; TREE_WORDS]], reference: u32| -> Option<[u64; TREE_WORDS]> {
        if reference & NODE == 0 { None } else { nodes.get((reference & !NODE) as usize).copied() }
    };
    let side = |kids: u64, right: bool| if right { (kids >> 32) as u32 } else { kids as u32 };
    let mut root = 0;
    for index in 1..container.count(Section::Strings) {
        let bytes = container.bytes(index).ok_or(index)?;
        let end = (bytes.len() as u64) << 4;
        let mut at = root;
        while let Some([place, kids]) = node(nodes, at)
            && place <= end
        {
            at = side(kids, bit(bytes, place));
        }
        let other = container.bytes(at & !NODE).ok_or(index)?;
        let place = difference(bytes, other).ok_or(index)?;
        let mut above = None;
        at = root;
        while let Some([other, kids]) = node(nodes, at)
            && other < place
        {
            let right = bit(bytes, other);
            above = Some((at & !NODE, right));
            at = side(kids, right);
        }
        let join = |left: u32, right: u32| u64::from(left) | u64::from(right) << 32;
        let kids = if bit(bytes, place) { join(at, index) } else { join(index, at) };
        *nodes.get_mut(index as usize).ok_or(index)? = [place, kids];
        match above {
            None => root = index | NODE,
            Some((parent, right)) => {
                let [_, kids] = nodes.get_mut(parent as usize).ok_or(index)?;
                let other = side(*kids, !right);
                *kids = if right { join(other, index | NODE) } else { join(index | NODE, other) };
            }
        }
    }
    Ok(())
}

/// Which strings are names, and which are taken in the namespace at hand: two bit sets over the strings. A string is
/// looked at once, however many records refer to it.
pub(super) struct Names<'s> {
    valid: &'s mut [u64],
    taken: &'s mut [u64],
    count: u32,
}

/// Words of scratch that [`Names`] needs for that many strings.
pub(super) fn names_words(strings: usize) -> usize {
    strings.div_ceil(64) * 2
}

fn locate(index: u32) -> (usize, u64) {
    (index as usize / 64, 1 << (index % 64))
}

impl<'s> Names<'s> {
    /// Looks at every string. `scratch` has at least [`names_words`] words.
    pub(super) fn new(container: &Container<'_>, scratch: &'s mut [u64]) -> Self {
        let count = container.count(Section::Strings);
        let half = (count as usize).div_ceil(64);
        let (valid, rest) = scratch.split_at_mut(half.min(scratch.len()));
        let (taken, _) = rest.split_at_mut(half.min(rest.len()));
        valid.fill(0);
        taken.fill(0);
        for index in 0..count {
            let bytes = container.bytes(index).unwrap_or(&[]);
            let (word, bit) = locate(index);
            if is_identifier(bytes)
                && !RESERVED.iter().any(|word| word.as_bytes() == bytes)
                && let Some(word) = valid.get_mut(word)
            {
                *word |= bit;
            }
        }
        Self { valid, taken, count }
    }

    /// Starts an empty namespace.
    pub(super) fn clear(&mut self) {
        self.taken.fill(0);
    }

    /// Takes a name in the namespace.
    pub(super) fn take(&mut self, name: u32) -> Result<(), RecordReason> {
        if name >= self.count {
            return Err(RecordReason::Index { section: Section::Strings, index: name, count: self.count });
        }
        let (word, bit) = locate(name);
        if self.valid.get(word).is_none_or(|word| word & bit == 0) {
            return Err(RecordReason::Name { name });
        }
        match self.taken.get_mut(word) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                Ok(())
            }
            _ => Err(RecordReason::Duplicate { name }),
        }
    }

    /// Makes a name free again.
    pub(super) fn free(&mut self, name: u32) {
        let (word, bit) = locate(name);
        if let Some(word) = self.taken.get_mut(word) {
            *word &= !bit;
        }
    }
}
