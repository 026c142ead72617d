//! The system calls of this folder; it makes no others. Each gives the system's error number where it fails.

use crate::fault;
use core::ffi::c_void;
use core::ptr;
use std::io;
use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Diagnostics::Debug;
use windows_sys::Win32::System::Memory::{self, MEMORY_MAPPED_VIEW_ADDRESS, PAGE_NOACCESS, PAGE_PROTECTION_FLAGS};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};
use windows_sys::Win32::System::Threading::{self, GetCurrentProcess};

/// The error number of the call that has just failed.
fn number() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Of a call that gives 0 where it fails.
fn nonzero(result: i32) -> Result<(), i32> {
    if result == 0 { Err(number()) } else { Ok(()) }
}

/// Creates a section of `len` bytes without a file; its handle is the caller's.
pub fn create_section(protection: PAGE_PROTECTION_FLAGS, len: u32) -> Result<HANDLE, i32> {
    fault::check("CreateFileMappingW")?;
    // SAFETY: no pointer is passed.
    let section =
        unsafe { Memory::CreateFileMappingW(INVALID_HANDLE_VALUE, ptr::null(), protection, 0, len, ptr::null()) };
    if section.is_null() { Err(number()) } else { Ok(section) }
}

/// Closes a handle.
///
/// # Safety
///
/// It is open and the caller's own.
pub unsafe fn close(handle: HANDLE) -> Result<(), i32> {
    fault::check("CloseHandle")?;
    // SAFETY: as the caller vouches.
    nonzero(unsafe { windows_sys::Win32::Foundation::CloseHandle(handle) })
}

/// Maps a view of a whole section.
///
/// # Safety
///
/// The handle is that of a section.
pub unsafe fn map_view(section: HANDLE, access: u32) -> Result<usize, i32> {
    fault::check("MapViewOfFile")?;
    // SAFETY: a new view at an address that the system chooses touches no memory that exists.
    let view = unsafe { Memory::MapViewOfFile(section, access, 0, 0, 0) };
    if view.Value.is_null() { Err(number()) } else { Ok(view.Value as usize) }
}

/// Unmaps a view.
///
/// # Safety
///
/// It is the caller's, and nobody uses it.
pub unsafe fn unmap_view(address: usize) -> Result<(), i32> {
    fault::check("UnmapViewOfFile")?;
    // SAFETY: as the caller vouches.
    nonzero(unsafe { Memory::UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: address as *mut c_void }) })
}

fn alloc(address: usize, len: usize, how: u32, protection: PAGE_PROTECTION_FLAGS) -> Result<usize, i32> {
    // SAFETY: the callers vouch for the pages, or let the system choose the address.
    let start = unsafe { Memory::VirtualAlloc(address as *const c_void, len, how, protection) };
    if start.is_null() { Err(number()) } else { Ok(start as usize) }
}

/// Reserves addresses.
pub fn reserve(len: usize) -> Result<usize, i32> {
    fault::check("VirtualAlloc, MEM_RESERVE")?;
    alloc(0, len, Memory::MEM_RESERVE, PAGE_NOACCESS)
}

/// Gives reserved pages memory and a permission.
///
/// # Safety
///
/// They are the caller's, and no reference to them is live.
pub unsafe fn commit(address: usize, len: usize, protection: PAGE_PROTECTION_FLAGS) -> Result<(), i32> {
    fault::check("VirtualAlloc, MEM_COMMIT")?;
    alloc(address, len, Memory::MEM_COMMIT, protection).map(drop)
}

/// Says that what committed pages hold is of no more use. The permission that goes with this call is ignored.
///
/// # Safety
///
/// As [`commit`].
pub unsafe fn reset(address: usize, len: usize) -> Result<(), i32> {
    fault::check("VirtualAlloc, MEM_RESET")?;
    alloc(address, len, Memory::MEM_RESET, PAGE_NOACCESS).map(drop)
}

/// Takes the memory of private pages back.
///
/// # Safety
///
/// As [`commit`].
pub unsafe fn decommit(address: usize, len: usize) -> Result<(), i32> {
    fault::check("VirtualFree, MEM_DECOMMIT")?;
    // SAFETY: as the caller vouches.
    nonzero(unsafe { Memory::VirtualFree(address as *mut c_void, len, Memory::MEM_DECOMMIT) })
}

/// Releases all that one call reserved.
///
/// # Safety
///
/// It is the caller's, and nobody uses it.
pub unsafe fn release(address: usize) -> Result<(), i32> {
    fault::check("VirtualFree, MEM_RELEASE")?;
    // SAFETY: as the caller vouches.
    nonzero(unsafe { Memory::VirtualFree(address as *mut c_void, 0, Memory::MEM_RELEASE) })
}

/// Sets the permission of committed pages.
///
/// # Safety
///
/// As [`commit`].
pub unsafe fn protect(address: usize, len: usize, protection: PAGE_PROTECTION_FLAGS) -> Result<(), i32> {
    fault::check("VirtualProtect")?;
    let mut old = 0;
    // SAFETY: the caller vouches for the pages; the pointer is to a live variable.
    nonzero(unsafe { Memory::VirtualProtect(address as *const c_void, len, protection, &mut old) })
}

/// Makes written bytes of this process visible to instruction fetch.
///
/// # Safety
///
/// They are committed and readable.
pub unsafe fn flush_instruction_cache(address: usize, len: usize) -> Result<(), i32> {
    fault::check("FlushInstructionCache")?;
    // SAFETY: as the caller vouches; the handle is the constant one of this process.
    nonzero(unsafe { Debug::FlushInstructionCache(GetCurrentProcess(), address as *const c_void, len) })
}

/// Interrupts every processor that runs a thread of this process.
pub fn flush_process_write_buffers() {
    // SAFETY: it has no preconditions, and cannot fail.
    unsafe { Threading::FlushProcessWriteBuffers() };
}

#[cfg(target_arch = "aarch64")]
use Debug::IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY as FunctionEntry;
#[cfg(target_arch = "x86_64")]
use Debug::IMAGE_RUNTIME_FUNCTION_ENTRY as FunctionEntry;

/// Registers a function table. It gives no error number.
///
/// # Safety
///
/// The table, and the records that it names by offsets from `base`, stay where they are until it is taken back.
pub unsafe fn add_function_table(table: &[FunctionEntry], base: usize) -> Result<(), i32> {
    fault::check("RtlAddFunctionTable")?;
    let count = u32::try_from(table.len()).map_err(|_| 0)?;
    // SAFETY: as the caller vouches.
    if unsafe { Debug::RtlAddFunctionTable(table.as_ptr(), count, base as _) } { Ok(()) } else { Err(0) }
}

/// Takes a function table back.
///
/// # Safety
///
/// It was registered at this address.
pub unsafe fn delete_function_table(table: *const FunctionEntry) -> Result<(), i32> {
    fault::check("RtlDeleteFunctionTable")?;
    // SAFETY: as the caller vouches.
    if unsafe { Debug::RtlDeleteFunctionTable(table) } { Ok(()) } else { Err(0) }
}

/// The size of a page in bytes.
pub fn page_size() -> usize {
    let mut info = SYSTEM_INFO::default();
    // SAFETY: the pointer is to a live variable.
    unsafe { GetSystemInfo(&mut info) };
    usize::try_from(info.dwPageSize).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}
