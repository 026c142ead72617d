//! The kernel's page tables: three levels, for the upper half of 39-bit addresses ([`super::layout`]).

use super::boot::{IDENTITY, ROOT, Table};
use super::descriptor::{self, Kind, Meaning};
use super::layout::{BASE, PAGE};
use crate::arch::stacks;
use core::ops::Range;
use opstamp::CodeError;
use opstamp_platform::bare::{PageTables, aarch64 as isa};
use spin::{Mutex, Once};

/// Tables beside those that the entry filled.
const POOL_TABLES: usize = 128;

#[unsafe(link_section = ".tables")]
static POOL: [Table; POOL_TABLES] = [const { Table::new() }; POOL_TABLES];

/// Who changes tables. The number is that of the tables of [`POOL`] in use.
static USED: Mutex<usize> = Mutex::new(0);

/// The physical address of the image, which lies at [`BASE`].
static IMAGE: Once<usize> = Once::new();

unsafe extern "C" {
    static image_end: u8;
}

/// Why nothing was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// All tables are in use.
    Tables,
    /// Something is mapped there.
    Occupied,
}

/// The physical address of something in the image.
pub fn physical(address: usize) -> usize {
    address - BASE + IMAGE.get().copied().unwrap_or(0)
}

/// The memory that the image takes: physical addresses.
pub fn image() -> Range<usize> {
    physical(BASE)..physical((&raw const image_end) as usize)
}

/// A place in a table.
#[derive(Clone, Copy)]
struct Slot(*mut u64);

impl Slot {
    /// The place for an address in a table of a level, 1 to 3.
    fn of(table: &Table, address: usize, level: u32) -> Self {
        // Nine bits of the address for each level, above the 12 of a page.
        let index = address >> (12 + 9 * (3 - level)) & 511;
        Self(table.0.get().cast::<u64>().wrapping_add(index))
    }

    fn read(self) -> u64 {
        // SAFETY: in a table of this image, by `of`; the MMU reads it too, so the access is volatile.
        unsafe { self.0.read_volatile() }
    }

    /// The caller holds the lock.
    fn write(self, descriptor: u64) {
        // SAFETY: as for `read`; the lock keeps other writers away.
        unsafe { self.0.write_volatile(descriptor) };
    }
}

/// The table at a physical address that a descriptor of this kernel's names: all lie in the image.
fn table_at(physical: u64) -> &'static Table {
    let address = physical as usize - IMAGE.get().copied().unwrap_or(0) + BASE;
    // SAFETY: the entry and `descend` put addresses of static tables into descriptors, and nothing else.
    unsafe { &*(address as *const Table) }
}

/// The place for an address in the table of a level, with the tables above it made where they are missing.
fn descend(used: &mut usize, address: usize, level: u32) -> Result<Slot, MapError> {
    let mut table = &ROOT;
    for above in 1..level {
        let slot = Slot::of(table, address, above);
        table = match descriptor::meaning(slot.read(), above) {
            Meaning::Table(next) => table_at(next),
            Meaning::Memory { .. } => return Err(MapError::Occupied),
            Meaning::Invalid => {
                // It maps nothing since the entry cleared it: tables are not given back.
                let next = POOL.get(*used).ok_or(MapError::Tables)?;
                *used += 1;
                slot.write(descriptor::table(physical(next.0.get() as usize) as u64));
                next
            }
        };
    }
    Ok(Slot::of(table, address, level))
}

/// The bytes that a descriptor of a level maps.
const fn span(level: u32) -> usize {
    PAGE << (9 * (3 - level))
}

/// Maps memory at a physical address, by blocks where they fit. All three numbers are multiples of the page's size.
fn map(used: &mut usize, address: usize, physical: usize, len: usize, kind: Kind) -> Result<(), MapError> {
    let mut done = 0;
    while done < len {
        let (from, to) = (address + done, physical + done);
        let fits = |level: &u32| (from | to).is_multiple_of(span(*level)) && len - done >= span(*level);
        let level = [1, 2].into_iter().find(fits).unwrap_or(3);
        let slot = descend(used, from, level)?;
        if slot.read() != 0 {
            return Err(MapError::Occupied);
        }
        slot.write(descriptor::memory(to as u64, kind, level == 3));
        done += span(level);
    }
    isa::mapped(address);
    Ok(())
}

/// The physical address of what is mapped at an address.
fn translate(address: usize) -> Option<usize> {
    let mut table = &ROOT;
    for level in 1..=3 {
        match descriptor::meaning(Slot::of(table, address, level).read(), level) {
            Meaning::Table(next) => table = table_at(next),
            Meaning::Memory { address: memory, .. } => return Some(memory as usize + address % span(level)),
            Meaning::Invalid => return None,
        }
    }
    None
}

/// Unmaps a page.
fn unmap(used: &mut usize, address: usize) {
    if let Ok(slot) = descend(used, address, 3) {
        slot.write(0);
        // SAFETY: this is EL1.
        unsafe { isa::unmapped(address) };
    }
}

/// Learns where the image lies and takes the guards of the stacks out of the tables that the entry filled.
pub fn init(image: usize) {
    IMAGE.call_once(|| image);
    let mut used = USED.lock();
    for guard in stacks::guards() {
        unmap(&mut used, guard);
    }
}

/// A region of virtual addresses that are handed out from its start on.
#[derive(Debug)]
pub struct Region {
    next: usize,
}

impl Region {
    /// The region that starts at an address.
    pub const fn new(start: usize) -> Self {
        Self { next: start }
    }

    /// Maps the pages around a range of physical addresses, and gives the virtual address of its first byte. Keeps the
    /// offset from a multiple of 2 MiB, or of 1 GiB for what is that large, so that blocks fit. Leaves a page free
    /// behind it.
    pub fn map(&mut self, physical: Range<usize>, kind: Kind) -> Result<usize, MapError> {
        let start = physical.start & !(PAGE - 1);
        let len = physical.end.next_multiple_of(PAGE) - start;
        let block = if len >= span(1) { span(1) } else { span(2) };
        let address = self.next.next_multiple_of(block) + start % block;
        map(&mut USED.lock(), address, start, len, kind)?;
        self.next = address + len + PAGE;
        Ok(address + physical.start % PAGE)
    }
}

/// A way to map code windows.
#[derive(Debug)]
pub struct CodeTables(());

impl CodeTables {
    /// The kernel's tables. Only [`super::Machine`] makes one.
    pub(super) const fn new() -> Self {
        Self(())
    }
}

// SAFETY: pages are mapped read-only and executable to the frame that the tables themselves say is behind `write`, and
// `mapped` and `unmapped` do the maintenance for all cores.
unsafe impl PageTables for CodeTables {
    const PAGE: usize = PAGE;

    fn show(&mut self, execute: usize, write: usize) -> Result<(), CodeError> {
        const NO_FRAME: CodeError = CodeError::System { action: "find the frame of a page of code", code: 0 };
        let mut used = USED.lock();
        let frame = translate(write).ok_or(NO_FRAME)?;
        map(&mut used, execute, frame, PAGE, Kind::Code).map_err(|error| {
            let action = match error {
                MapError::Tables => "map a page of code: all page tables are in use",
                MapError::Occupied => "map a page of code: something is mapped there",
            };
            CodeError::System { action, code: 0 }
        })
    }

    fn hide(&mut self, execute: usize) {
        unmap(&mut USED.lock(), execute);
    }
}

/// The first page that the tables of either half let both write and execute, found by a walk over all descriptors.
/// SCTLR_EL1.WXN would not let it be executed; the tables do not rely on that.
pub fn writable_and_executable() -> Option<usize> {
    fn walk(table: &Table, level: u32, base: usize) -> Option<usize> {
        (0..512).find_map(|index| {
            let address = base + index * span(level);
            match descriptor::meaning(Slot::of(table, address, level).read(), level) {
                Meaning::Table(next) => walk(table_at(next), level + 1, address),
                Meaning::Memory { writable: true, executable: true, .. } => Some(address),
                _ => None,
            }
        })
    }
    let _lock = USED.lock();
    walk(&ROOT, 1, BASE).or_else(|| walk(&IDENTITY, 1, 0))
}
