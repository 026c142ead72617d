//! The ops that work on the heap.

use crate::runtime::context::Context;
use crate::runtime::trap::{Site, Trap, TrapKind};

/// Runs the heap op at `site` in the frame at `frame`: 0, or 1 with the trap in the context.
///
/// # Safety
///
/// `context` belongs to the running instance of a verified module, `frame` is the innermost frame of its VM stack, in
/// place, and `site` is such an op of that frame's function.
pub(crate) unsafe fn run(context: *mut Context, frame: *mut u64, site: Site) -> u64 {
    let _ = frame;
    // SAFETY: by the contract.
    unsafe { Context::set_trap(context, Trap::new(TrapKind::Unreachable), site) };
    1
}
