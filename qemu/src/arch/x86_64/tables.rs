//! The kernel's page tables: all memory at its own address, and windows of machine code at addresses of their own.

use super::{interrupts, stacks};
use core::ops::Range;
use opstamp::CodeError;
use opstamp_platform::bare::{PageTables, x86_64 as isa};
use spin::Mutex;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageSize, PageTable, PageTableFlags as Flags, PhysFrame, Size2MiB,
    Size4KiB, Translate,
};
use x86_64::{PhysAddr, VirtAddr};

unsafe extern "C" {
    static image_start: u8;
    static text_end: u8;
    static rodata_end: u8;
    static image_end: u8;
}

fn address(symbol: *const u8) -> usize {
    symbol as usize
}

/// Where the image lies: code, constants, data.
pub fn image() -> Range<usize> {
    address(&raw const image_start)..address(&raw const image_end)
}

/// Frames for tables.
const FRAMES: usize = 192;

#[repr(C, align(4096))]
struct Frames([PageTable; FRAMES]);

/// The tables: how many frames are used beyond the first, which is the root, and the frames.
struct Tables {
    used: usize,
    frames: Frames,
}

static TABLES: Mutex<Tables> = Mutex::new(Tables { used: 0, frames: Frames([const { PageTable::new() }; FRAMES]) });

/// Hands out frames that hold empty tables. Does not borrow the frames, most of which are in use as tables.
struct Pool<'p> {
    used: &'p mut usize,
    first: u64,
}

// SAFETY: each frame is handed out once, and `TABLES` keeps them for nothing else.
unsafe impl FrameAllocator<Size4KiB> for Pool<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let index = *self.used + 1;
        *self.used = (index < FRAMES).then_some(index)?;
        PhysFrame::from_start_address(PhysAddr::new(self.first + index as u64 * Size4KiB::SIZE)).ok()
    }
}

impl Tables {
    fn root(&self) -> u64 {
        (&raw const self.frames) as u64
    }

    fn parts(&mut self) -> (OffsetPageTable<'_>, Pool<'_>) {
        let first = self.root();
        let Tables { used, frames } = self;
        // SAFETY: all frames are mapped at their own addresses, and the tables are reached through this borrow alone.
        (unsafe { OffsetPageTable::new(&mut frames.0[0], VirtAddr::zero()) }, Pool { used, first })
    }

    /// Maps memory at its own address, if `huge` in pages of 2 MiB where they fit. Pages that are mapped already stay as they
    /// are.
    fn identity(&mut self, range: Range<usize>, flags: Flags, huge: bool) {
        let (mut mapper, mut pool) = self.parts();
        let (mut at, end) = (range.start as u64, range.end as u64);
        while at < end {
            let whole = huge && at.is_multiple_of(Size2MiB::SIZE) && end - at >= Size2MiB::SIZE;
            if whole {
                let frame = PhysFrame::<Size2MiB>::containing_address(PhysAddr::new(at));
                // SAFETY: memory of the machine at its own address; these tables are not in use yet.
                match unsafe { mapper.identity_map(frame, flags, &mut pool) } {
                    Ok(_) => {
                        at += Size2MiB::SIZE;
                        continue;
                    }
                    // Parts of it are mapped already.
                    Err(MapToError::PageAlreadyMapped(_) | MapToError::ParentEntryHugePage) => {}
                    Err(error) => panic!("memory at {at:#x} cannot be mapped: {error:?}"),
                }
            }
            let frame = PhysFrame::<Size4KiB>::containing_address(PhysAddr::new(at));
            // SAFETY: as above.
            match unsafe { mapper.identity_map(frame, flags, &mut pool) } {
                Ok(_) | Err(MapToError::PageAlreadyMapped(_) | MapToError::ParentEntryHugePage) => at += Size4KiB::SIZE,
                Err(error) => panic!("memory at {at:#x} cannot be mapped: {error:?}"),
            }
        }
    }
}

/// Whole pages that lie inside a range of memory.
fn inward(range: Range<usize>) -> Range<usize> {
    let start = range.start.next_multiple_of(4096);
    start..(range.end & !4095).max(start)
}

/// The device registers that the kernel uses: the local APIC.
pub const APIC: usize = 0xFEE0_0000;

/// Builds the tables and switches to them. `memory` is the machine's usable memory; `module` is made readable also if it
/// lies outside.
///
/// # Safety
///
/// Memory is mapped at its own addresses, and nobody holds references to page 0, to guards of stacks or to anything outside
/// `memory`, `module` and the image.
pub unsafe fn install(memory: impl Iterator<Item = Range<usize>>, module: Range<usize>) {
    const READ: Flags = Flags::PRESENT.union(Flags::NO_EXECUTE);
    const WRITE: Flags = READ.union(Flags::WRITABLE);
    let mut tables = TABLES.lock();
    let image = image();
    let (text, constants) = (address(&raw const text_end), address(&raw const rodata_end));
    tables.identity(image.start..text, Flags::PRESENT, false);
    tables.identity(text..constants, READ, false);
    // In small pages, because guards are taken out.
    tables.identity(constants..image.end, WRITE, false);
    for memory in memory {
        let memory = inward(memory);
        // Page 0 stays unmapped; the image is mapped already.
        tables.identity(memory.start.max(4096)..memory.end, WRITE, true);
    }
    tables.identity(module.start & !4095..module.end.next_multiple_of(4096), READ, true);
    tables.identity(APIC..APIC + 4096, WRITE | Flags::NO_CACHE | Flags::WRITE_THROUGH, false);
    let (mut mapper, _) = tables.parts();
    for guard in stacks::guards().chain(interrupts::EXCEPTIONS.guards()) {
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(guard as u64));
        let (_, flush) = mapper.unmap(page).expect("the image's data is mapped in small pages");
        flush.ignore();
    }
    let frame = PhysFrame::containing_address(PhysAddr::new(tables.root()));
    // SAFETY: the new tables map the image, this stack and all that is in use where they were mapped before.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// The address of the root table.
pub fn root() -> u32 {
    TABLES.lock().root() as u32
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

fn page(address: usize) -> Page<Size4KiB> {
    Page::containing_address(VirtAddr::new_truncate(address as u64))
}

// SAFETY: pages are mapped present and neither writable nor NX, to the frame that the tables themselves say is behind
// `write`; the TLB is told of what was unmapped.
unsafe impl PageTables for CodeTables {
    const PAGE: usize = 4096;

    fn show(&mut self, execute: usize, write: usize) -> Result<(), CodeError> {
        const ACTION: &str = "map a page of code";
        let mut tables = TABLES.lock();
        let (mut mapper, mut pool) = tables.parts();
        let error = CodeError::System { action: ACTION, code: 0 };
        let frame = mapper.translate_addr(VirtAddr::new(write as u64)).ok_or(error)?;
        let frame = PhysFrame::containing_address(frame);
        let parents = Flags::PRESENT | Flags::WRITABLE;
        // SAFETY: nothing is mapped there yet, and whoever calls owns the frame and the address.
        let mapped =
            unsafe { mapper.map_to_with_table_flags(page(execute), frame, Flags::PRESENT, parents, &mut pool) };
        mapped.map_err(|_| error)?.ignore();
        isa::mapped(execute);
        Ok(())
    }

    fn hide(&mut self, execute: usize) {
        let mut tables = TABLES.lock();
        if let Ok((_, flush)) = tables.parts().0.unmap(page(execute)) {
            flush.ignore();
        }
        // SAFETY: the kernel runs in ring 0.
        unsafe { isa::unmapped(execute) };
    }
}

/// Whether something is mapped at an address.
pub fn is_mapped(address: usize) -> bool {
    let Some(mut tables) = TABLES.try_lock() else { return false };
    let (mapper, _) = tables.parts();
    mapper.translate_addr(VirtAddr::new_truncate(address as u64)).is_some()
}

/// The first page that may be both written and executed, found by a walk of the tables as the CPU does it: of each flag,
/// what all levels permit.
pub fn writable_and_executable() -> Option<usize> {
    fn walk(table: &PageTable, level: u32, base: u64, above: (bool, bool)) -> Option<usize> {
        for (entry, index) in table.iter().zip(0u64..) {
            let flags = entry.flags();
            if !flags.contains(Flags::PRESENT) {
                continue;
            }
            let write = above.0 && flags.contains(Flags::WRITABLE);
            let execute = above.1 && !flags.contains(Flags::NO_EXECUTE);
            let at = base | index << (12 + 9 * (level - 1));
            if level == 1 || flags.contains(Flags::HUGE_PAGE) {
                if write && execute {
                    return Some(at as usize);
                }
                continue;
            }
            // SAFETY: tables lie at their own addresses, and the lock is held.
            let next = unsafe { &*(entry.addr().as_u64() as *const PageTable) };
            if let Some(found) = walk(next, level - 1, at, (write, execute)) {
                return Some(found);
            }
        }
        None
    }
    let tables = TABLES.lock();
    walk(&tables.frames.0[0], 4, 0, (true, true))
}
