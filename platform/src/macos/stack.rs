//! The native stack of the calling thread.

use core::mem::MaybeUninit;

/// The bytes of native stack that remain for the calling thread, below its current frame; `None` if this does not run on
/// the thread's own stack. The guard page lies below what the system counts (pthread_get_stacksize_np(3)).
pub fn native_stack() -> Option<usize> {
    let here = MaybeUninit::<u8>::uninit();
    let here = here.as_ptr() as usize;
    // SAFETY: pthread_self gives this thread, which lives.
    let (high, size) = unsafe {
        let thread = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(thread) as usize, libc::pthread_get_stacksize_np(thread))
    };
    let low = high.checked_sub(size)?;
    if here < high { here.checked_sub(low) } else { None }
}
