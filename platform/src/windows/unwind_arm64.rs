//! What Windows' unwinder is told about machine code on arm64: the records, and their table.
//!
//! What this is for, and what not, is as on x86-64: an exception in a host function, or in what it calls, is dispatched
//! through the frames of machine code to the handlers above the entry. An instance whose run was unwound in that way
//! must be dropped. A Rust panic ends the process where it would leave the engine's service.
//!
//! The records are an assembler's for the same frame; no machine of ours has run them.

pub use super::records_arm64::RECORD;
use super::records_arm64::{CHUNK, record};
use super::sys;
use opstamp::code::{CodeError, CodeRange};
use windows_sys::Win32::System::Diagnostics::Debug::{
    IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY, IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY_0,
};

/// The records, which lie at the start of a mapping that has a window of `size` bytes in it: that of a whole chunk, and
/// that of the last one.
pub fn records(size: usize) -> [u8; 2 * RECORD] {
    let last = (size - 1) % CHUNK + 1;
    let mut records = [0; 2 * RECORD];
    for (place, len) in records.chunks_exact_mut(RECORD).zip([CHUNK, last]) {
        place.copy_from_slice(&record(len));
    }
    records
}

/// A registered table, taken back when dropped.
pub struct FunctionTable(Box<[IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY]>);

impl FunctionTable {
    /// Registers the records, which lie at `base`, for a window of `size` bytes that starts `lead` bytes behind them.
    ///
    /// # Safety
    ///
    /// They do, and stay there until this is dropped.
    pub unsafe fn new(base: usize, lead: usize, size: usize, _stubs: CodeRange) -> Result<Self, CodeError> {
        let entry = |start: usize| {
            let record = if start + CHUNK < size { 0 } else { RECORD };
            IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY {
                // A window is far smaller than 4 GiB.
                BeginAddress: (lead + start) as u32,
                Anonymous: IMAGE_ARM64_RUNTIME_FUNCTION_ENTRY_0 { UnwindData: record as u32 },
            }
        };
        let table: Box<[_]> = (0..size).step_by(CHUNK).map(entry).collect();
        // SAFETY: the table stays where it is until it has been taken back, and so do the records, as the caller
        // vouches.
        match unsafe { sys::add_function_table(&table, base) } {
            Ok(()) => Ok(Self(table)),
            Err(code) => Err(CodeError::System { action: "register the unwind table of a code window", code }),
        }
    }
}

impl core::fmt::Debug for FunctionTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("FunctionTable").field(&self.0.as_ptr()).finish()
    }
}

impl Drop for FunctionTable {
    fn drop(&mut self) {
        // SAFETY: it was registered, and is taken back once, so the call cannot fail.
        let _ = unsafe { sys::delete_function_table(self.0.as_ptr()) };
    }
}
