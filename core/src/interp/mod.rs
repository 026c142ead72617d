//! The reference interpreter: what every engine must agree with.

use crate::runtime::context::Context;

/// Runs function `func` from word `word` on, in the frame at `frame`, until that frame returns: 0 with the result in
/// [`Context::result`], or 1 with the trap in the context.
///
/// # Safety
///
/// `context` belongs to an instance of a verified module that is being entered. `frame` is a whole frame of `func` on its
/// VM stack with its header and arguments in place; with `word` 0 the locals are set up here, else they are in place too.
pub(crate) unsafe fn run(context: *mut Context, frame: *mut u64, func: u16, word: usize) -> u64 {
    let _ = (context, frame, func, word);
    1
}
