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

use super::{Heap, Kind, OutOfMemory, Roots};
use crate::runtime::cell::Cell;

/// Why a map refused a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapError {
    /// A float or an object is no key.
    KeyType,
    /// There is no room for another entry.
    OutOfMemory,
}

impl Heap {
    /// A map without entries.
    pub fn map_new(&mut self, kind: Kind, _hint: i64, roots: &mut dyn Roots) -> Result<Cell, OutOfMemory> {
        self.allocate(kind, 0, 4, roots)
    }
    /// The value of a key.
    pub fn imap_get(&self, _map: Cell, _key: i64) -> Option<i64> {
        None
    }
    /// Sets the value of a key.
    pub fn imap_set(&mut self, _map: Cell, _key: i64, _value: i64, _roots: &mut dyn Roots) -> Result<(), OutOfMemory> {
        Ok(())
    }
    /// Deletes a key; whether it was there.
    pub fn imap_del(&mut self, _map: Cell, _key: i64) -> bool {
        false
    }
    /// The value of a key.
    pub fn map_get(&self, _map: Cell, _key: Cell) -> Result<Option<Cell>, MapError> {
        Ok(None)
    }
    /// Sets the value of a key.
    pub fn map_set(&mut self, _map: Cell, _key: Cell, _value: Cell, _roots: &mut dyn Roots) -> Result<(), MapError> {
        Ok(())
    }
    /// Deletes a key; whether it was there.
    pub fn map_del(&mut self, _map: Cell, _key: Cell) -> Result<bool, MapError> {
        Ok(false)
    }
    /// The key and value of the next entry, and the cursor behind it.
    pub fn map_next(&self, _map: Cell, _kind: Kind, _cursor: i64) -> Option<(u64, u64, i64)> {
        None
    }
}
