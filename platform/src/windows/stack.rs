//! The native stack of the calling thread.

use core::mem::MaybeUninit;
use windows_sys::Win32::System::Threading::{GetCurrentThreadStackLimits, SetThreadStackGuarantee};

/// Bytes at the low end that cannot be used: the last page is never committed, and the guard page or pages above it
/// raise the overflow exception when they are touched.
const GUARD: usize = 16 * 1024;

/// The bytes of native stack that remain for the calling thread, below its current frame; `None` if this does not run
/// on the thread's own stack. What the thread keeps for the handler of an overflow (`SetThreadStackGuarantee`) is left
/// out.
pub fn native_stack() -> Option<usize> {
    let here = MaybeUninit::<u8>::uninit();
    let here = here.as_ptr() as usize;
    let (mut low, mut high) = (0, 0);
    // SAFETY: the pointers are to live variables.
    unsafe { GetCurrentThreadStackLimits(&mut low, &mut high) };
    let mut guarantee = 0;
    // SAFETY: the pointer is to a live variable. Asking for 0 bytes changes nothing and gives the present size.
    unsafe { SetThreadStackGuarantee(&mut guarantee) };
    let low = low.checked_add(GUARD)?.checked_add(usize::try_from(guarantee).ok()?)?;
    if here < high { here.checked_sub(low) } else { None }
}
