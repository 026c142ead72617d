//! What PVH tells at the entry: `hvm_start_info` of Xen's public/arch-x86/hvm/start_info.h.

use core::ffi::CStr;
use core::ops::Range;

const MAGIC: u32 = 0x336e_c578;
/// The type of usable memory in the map, as in the BIOS call E820.
const USABLE: u32 = 1;

#[repr(C)]
pub struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    map: u64,
    map_count: u32,
    reserved: u32,
}

#[repr(C)]
struct Module {
    start: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[repr(C)]
struct MapEntry {
    start: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

impl StartInfo {
    /// The start information at an address that the loader gave.
    ///
    /// # Safety
    ///
    /// The loader speaks PVH, and what it left in memory is still there, at its own addresses, for as long as this is
    /// borrowed.
    pub unsafe fn at<'i>(address: u32) -> &'i Self {
        // SAFETY: by the contract.
        let info = unsafe { &*(address as usize as *const Self) };
        assert!(info.magic == MAGIC, "the start information at {address:#x} has magic {:#x}", info.magic);
        assert!(info.version >= 1, "the start information is of version 0, which has no memory map");
        info
    }

    /// The usable memory.
    pub fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        // SAFETY: the loader vouches for the map.
        let map = unsafe { core::slice::from_raw_parts(self.map as *const MapEntry, self.map_count as usize) };
        let usable = map.iter().filter(|entry| entry.kind == USABLE);
        usable.map(|entry| entry.start as usize..(entry.start + entry.size) as usize)
    }

    /// Where the first module, the initrd, lies; empty if there is none.
    pub fn module(&self) -> Range<usize> {
        if self.module_count == 0 {
            return 0..0;
        }
        // SAFETY: the loader vouches for its list of at least one module.
        let module = unsafe { &*(self.modules as *const Module) };
        module.start as usize..(module.start + module.size) as usize
    }

    /// The command line.
    pub fn command_line(&self) -> &[u8] {
        if self.command_line == 0 {
            return &[];
        }
        // SAFETY: the loader vouches for a string that ends with a zero.
        unsafe { CStr::from_ptr(self.command_line as *const _) }.to_bytes()
    }
}
