//! What Windows says about this process.

use super::Region;
use windows_sys::Win32::Foundation::ERROR_INVALID_PARAMETER;
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_FREE, MEMORY_BASIC_INFORMATION, PAGE_EXECUTE, PAGE_EXECUTE_READ, PAGE_EXECUTE_READWRITE,
    PAGE_EXECUTE_WRITECOPY, PAGE_GUARD, PAGE_NOACCESS, PAGE_READONLY, PAGE_READWRITE, PAGE_WRITECOPY, VirtualQuery,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = ERROR_INVALID_PARAMETER as i32;

/// Walks the address space with VirtualQuery.
pub fn regions() -> Vec<Region> {
    let mut regions = Vec::new();
    let mut address = 0_usize;
    loop {
        let mut info = MEMORY_BASIC_INFORMATION::default();
        // SAFETY: the pointer is to a live record of the size that is passed.
        let bytes = unsafe { VirtualQuery(address as *const _, &mut info, size_of_val(&info)) };
        let start = info.BaseAddress as usize;
        let Some(end) = start.checked_add(info.RegionSize).filter(|&end| bytes != 0 && end > address) else {
            return regions;
        };
        address = end;
        if info.State == MEM_FREE {
            continue;
        }
        // The high bits are modifiers: guard pages, caching, call targets.
        let permissions = match info.Protect & 0xFF {
            _ if info.State != MEM_COMMIT || info.Protect & PAGE_GUARD != 0 => "---",
            PAGE_NOACCESS => "---",
            PAGE_READONLY => "r--",
            PAGE_READWRITE | PAGE_WRITECOPY => "rw-",
            PAGE_EXECUTE => "--x",
            PAGE_EXECUTE_READ => "r-x",
            PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY => "rwx",
            other => panic!("unknown protection {other:#x} at {start:#x}"),
        };
        regions.push(Region { addresses: start..end, permissions: permissions.to_owned() });
    }
}

/// The number of open handles.
pub fn handles() -> usize {
    let mut count = 0;
    // SAFETY: the handle is the constant one of this process; the pointer is to a live variable.
    assert!(unsafe { GetProcessHandleCount(GetCurrentProcess(), &mut count) } != 0);
    count as usize
}

/// Runs `body`. There is no fork here; other threads change little of what the system says of this process.
pub fn alone(body: impl FnOnce()) {
    body();
}

/// Whether the system itself serves this process; under wine it does as far as the tests ask.
pub fn on_real_system() -> bool {
    true
}
