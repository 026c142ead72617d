//! Events: what an engine and its instances tell a host that listens, for logs, profiles and tests.

use super::heap::HeapStats;
use crate::code::CodeRange;

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A function has machine code now.
    Compiled {
        /// The function, by its index in the module.
        func: u16,
        /// Where its machine code is in the code window: what a host gives a profiler.
        code: CodeRange,
        /// The number of its ops.
        ops: u32,
    },
    /// A function's machine code has been given up, to make room. It is interpreted, and compiled again when it is
    /// warm.
    Evicted {
        /// The function, by its index in the module.
        func: u16,
    },
    /// Machine code was left for the interpreter: by a `deopt`, or because that was asked for.
    Deoptimized {
        /// The function, by its index in the module.
        func: u16,
        /// The `deopt`, or the op before which the function was left.
        op: u32,
    },
    /// An instance has collected its heap.
    Collected {
        /// What that heap has done so far.
        stats: HeapStats,
    },
}

/// A host's listener: it is called where the event happens, in the thread that runs the guest and on its native stack,
/// so perhaps from several threads at once. It may not touch the instance. A panic that leaves it aborts the program,
/// as that of a host function does.
pub type Listener<'e> = dyn Fn(Event) + Sync + 'e;

/// Tells a listener of an event. A panic cannot leave a function of this kind: it aborts the program.
pub(crate) extern "C" fn tell(listener: &&Listener<'_>, event: &Event) {
    listener(*event);
}
