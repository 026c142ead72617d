//! What Windows' unwinder is told about machine code on x86-64.
//!
//! The convention ([`opstamp::masm::x64::convention`], "Unwinding") lets an unwinder go from any frame of machine code
//! straight to the caller of the entry stub. Two records of unwind codes ("x64 exception handling", struct
//! `UNWIND_INFO`, in the documentation of Visual C++) say so, one for the shared stubs and one for the guest functions.
//! Neither has a prologue: each describes every address of its range in the same way.
//!
//! Both load the stack pointer from a word of memory, by undoing a "push" of it: "the operation info is the number of
//! the register", and undoing loads that register and then adds 8 to the stack pointer.
//!
//! What this makes work, and what not:
//! - An exception in a host function, or in what it calls, is dispatched through the frames of machine code to the
//!   handlers above the entry; a handler there may unwind to its own frame. Guest frames are not listed one by one, the
//!   walk passes over them.
//! - An instance whose run was unwound in that way must be dropped: its context still names the entry that is gone.
//! - A Rust panic in a host function does not get that far. It ends the process where it would leave the engine's
//!   service, with the message of a "panic in a function that cannot unwind", because services are not `-unwind`
//!   functions.
//! - A debugger or profiler which stops a thread in a guest function walks on at the caller of the entry. Only in the
//!   few instructions of a stub before and behind its call to Rust, where the register holds a guest's value, the walk
//!   fails.
//! - An exception inside a guest function (which verified code does not raise; a breakpoint's goes to the debugger
//!   first) is dispatched to vectored handlers and then ends the process, unless the context lies on the thread's own
//!   stack: the dispatcher demands that of what it takes for the frame.

use super::sys;
use core::mem::offset_of;
use opstamp::asm::x64::Gpr;
use opstamp::code::{CodeError, CodeRange};
use opstamp::masm::x64::convention::{CONTEXT, HOST_SAVED, SERVICE_FRAME};
use opstamp::runtime::context::Context;
use windows_sys::Win32::System::Diagnostics::Debug::{IMAGE_RUNTIME_FUNCTION_ENTRY, IMAGE_RUNTIME_FUNCTION_ENTRY_0};

/// Unwind operations, by the numbers of the documentation.
const UWOP_PUSH_NONVOL: u8 = 0;
const UWOP_ALLOC_SMALL: u8 = 2;
const UWOP_SET_FPREG: u8 = 3;

/// The bytes of one record: the header, and an even number of codes.
const RECORD: usize = 4 + 2 * 12;

/// The records, which lie at the start of a mapping that has the window in it.
const RECORDS: [u8; 2 * RECORD] = {
    let mut records = [0; 2 * RECORD];
    let stub = record(SERVICE_FRAME, 0);
    let guest = record(CONTEXT, offset_of!(Context, entry_sp));
    let mut at = 0;
    while at < RECORD {
        records[at] = stub[at];
        records[RECORD + at] = guest[at];
        at += 1;
    }
    records
};

/// The record for code in which the entry's stack pointer lies `offset` bytes above the address in `register`.
const fn record(register: Gpr, offset: usize) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let mut count = 0;
    // Codes stand in the order in which they are undone; each is the place in the prologue, 0, and an operation.
    macro_rules! undo {
        ($operation:expr, $info:expr) => {
            record[4 + 2 * count + 1] = $operation | ($info) << 4;
            count += 1;
        };
    }
    undo!(UWOP_SET_FPREG, 0);
    if offset != 0 {
        undo!(UWOP_ALLOC_SMALL, small(offset));
    }
    undo!(UWOP_PUSH_NONVOL, Gpr::Rsp.index());
    // The 8 that undoing the push adds is the saved `entry_sp`; the MXCSR follows, then the registers.
    undo!(UWOP_ALLOC_SMALL, small(8));
    let mut rest = HOST_SAVED.len();
    while rest > 0 {
        rest -= 1;
        undo!(UWOP_PUSH_NONVOL, HOST_SAVED[rest].index());
    }
    // Version 1, no flags, no prologue.
    record[0] = 1;
    record[2] = count as u8;
    record[3] = register.index();
    record
}

/// The operation info of an allocation of `bytes`: 8 to 128, a multiple of 8.
const fn small(bytes: usize) -> u8 {
    assert!(bytes >= 8 && bytes <= 128 && bytes.is_multiple_of(8));
    (bytes / 8 - 1) as u8
}

/// The same bytes whatever the size of the window.
pub fn records(_size: usize) -> [u8; 2 * RECORD] {
    RECORDS
}

/// A registered table, taken back when dropped.
pub struct FunctionTable(Box<[IMAGE_RUNTIME_FUNCTION_ENTRY; 2]>);

impl FunctionTable {
    /// Registers the records, which lie at `base`, for a window of `size` bytes that starts `lead` bytes behind them.
    ///
    /// # Safety
    ///
    /// They do, and stay there until this is dropped.
    pub unsafe fn new(base: usize, lead: usize, size: usize, stubs: CodeRange) -> Result<Self, CodeError> {
        let place = |offset: usize| u32::try_from(offset).map_err(|_| CodeError::Range { range: stubs, size });
        let entry = |start, end, record| {
            let data = IMAGE_RUNTIME_FUNCTION_ENTRY_0 { UnwindData: record };
            Ok(IMAGE_RUNTIME_FUNCTION_ENTRY {
                BeginAddress: place(lead + start)?,
                EndAddress: place(lead + end)?,
                Anonymous: data,
            })
        };
        let table = Box::new([entry(stubs.start, stubs.end, 0)?, entry(stubs.end, size, RECORD as u32)?]);
        // An empty range is not an entry.
        let count = if stubs.end < size { 2 } else { 1 };
        let known = table.get(..count).unwrap_or(table.as_slice());
        // SAFETY: the table stays where it is until it has been taken back, and so do the records, as the caller
        // vouches.
        match unsafe { sys::add_function_table(known, base) } {
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
