//! The native stack of the calling thread.

use super::sys;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;

/// The most that is counted on below the main thread's stack end. The kernel keeps at least 128 MiB between it and the
/// mappings whose place the kernel chooses (`MIN_GAP` in its `mmap_base`), whatever the limit says.
const MAIN_STACK_MOST: usize = 128 << 20;

/// Bytes that the kernel keeps between a growing stack and the mapping below it (`stack_guard_gap`, 256 pages of 4 KiB
/// by default), and refuses to grow into.
const GUARD_GAP: usize = 1 << 20;

/// The bytes of native stack that remain for the calling thread, below its current frame; `None` if the system does not
/// say, or if this does not run on the thread's own stack.
///
/// The main thread's stack is mapped as it grows, up to the limit RLIMIT_STACK below its fixed end: what remains is
/// counted to that limit as it stands now, and not to what is mapped so far.
pub fn native_stack() -> Option<usize> {
    let here = MaybeUninit::<u8>::uninit();
    let here = here.as_ptr() as usize;
    let (low, high) = if sys::is_main_thread() { main_stack()? } else { thread_stack()? };
    if here < high { here.checked_sub(low) } else { None }
}

/// The lowest usable address and the end of the main thread's stack. `pthread_getattr_np` would read them from
/// /proc/self/maps, which costs more than a short run of the guest.
fn main_stack() -> Option<(usize, usize)> {
    let limit = sys::stack_limit().ok()?;
    // SAFETY: getauxval has no preconditions.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    if name.is_null() {
        return None;
    }
    // SAFETY: the kernel puts the program's name there, with a zero behind it, for the process's lifetime.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul().as_ptr_range();
    // The name is the last thing on the stack but for one null pointer, so the end is the end of that page.
    let end = (name.end as usize).next_multiple_of(4096);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(MAIN_STACK_MOST - GUARD_GAP);
    Some((end.checked_sub(limit)?, end))
}

/// The lowest usable address and the end of another thread's stack.
fn thread_stack() -> Option<(usize, usize)> {
    let (start, size, guard) = sys::thread_stack().ok()?;
    // glibc before 2.27 counts the guard as part of the stack; leaving its size out is safe with all.
    Some((start.checked_add(guard)?, start.checked_add(size)?))
}
