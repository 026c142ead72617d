//! Maps.
//!
//! Word 0 of a payload holds, in its low half, the number of entries that were ever placed since the entries were last
//! packed, deleted ones included. Entries start at word [`ENTRIES`], [`ENTRY`] words each: key, value, sequence number.
//! A deleted entry's key and value are no handles.

/// The word of the first entry.
pub(super) const ENTRIES: u32 = 4;
/// Words of an entry.
pub(super) const ENTRY: u32 = 3;

/// The places of the keys and values in a payload whose first word is `head`.
pub(super) fn entry_cells(head: u64) -> impl Iterator<Item = u32> {
    (0..head as u32).flat_map(|entry| {
        let place = ENTRIES.saturating_add(entry.saturating_mul(ENTRY));
        [place, place.saturating_add(1)]
    })
}
