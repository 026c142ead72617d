//! What macOS says about this process. Built by the tests, never run: no machine of ours runs it.

use super::Region;
use mach2::kern_return::KERN_SUCCESS;
use mach2::traps::mach_task_self;
use mach2::vm::mach_vm_region;
use mach2::vm_prot::{VM_PROT_EXECUTE, VM_PROT_READ, VM_PROT_WRITE};
use mach2::vm_region::{VM_REGION_BASIC_INFO_64, vm_region_basic_info_64};

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = libc::EINVAL;

/// Walks the address space with mach_vm_region.
pub fn regions() -> Vec<Region> {
    let mut regions = Vec::new();
    let mut address = 0;
    loop {
        let (mut size, mut name) = (0, 0);
        let mut info = vm_region_basic_info_64::default();
        let mut words = vm_region_basic_info_64::count();
        // SAFETY: the pointers are to live variables, and the record has as many words.
        let status = unsafe {
            let record = (&raw mut info).cast();
            mach_vm_region(
                mach_task_self(),
                &mut address,
                &mut size,
                VM_REGION_BASIC_INFO_64,
                record,
                &mut words,
                &mut name,
            )
        };
        if status != KERN_SUCCESS {
            return regions;
        }
        let has = |bit| info.protection & bit != 0;
        // Memory of MAP_JIT on arm64 is both by its mapping, and one or the other by thread.
        let by_thread = super::BY_THREAD && has(VM_PROT_WRITE) && has(VM_PROT_EXECUTE);
        let permissions = [
            if has(VM_PROT_READ) { 'r' } else { '-' },
            if has(VM_PROT_WRITE) && !by_thread { 'w' } else { '-' },
            if has(VM_PROT_EXECUTE) { 'x' } else { '-' },
        ];
        let (start, len) = (address as usize, size as usize);
        regions.push(Region { addresses: start..start + len, permissions: permissions.iter().collect() });
        address += size;
    }
}

/// The number of open descriptors.
pub fn handles() -> usize {
    std::fs::read_dir("/dev/fd").unwrap().count()
}

/// Runs `body`. Other threads change little of what the system says of this process.
pub fn alone(body: impl FnOnce()) {
    body();
}

/// Whether the system itself serves this process.
pub fn on_real_system() -> bool {
    true
}
