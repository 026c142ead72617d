//! The context: what machine code sees of an instance, through one register.
//!
//! Machine code holds no addresses of its own: all that it needs from outside lies here, so it can be shared by instances
//! and moved between hosts. It knows the fields by their offsets, which [`core::mem::offset_of`] gives.

use super::cell;
use super::control::PollWords;
use super::trap::{Site, Trap};
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes of native stack below the guard address that stay free for the deepest stub and the Rust function that it calls:
/// collection, growth and number text use no recursion, so the bound is theirs plus a host's interrupt frames.
pub const NATIVE_RESERVE: usize = 64 * 1024;

/// The value of the guard that asks for a poll. Its lowest bit, which no limit of the native stack has, is enough to tell
/// it from these.
pub const POLL: u64 = u64::MAX;

/// The part of an instance that machine code reads and writes. Fields that it uses often come first, where offsets are
/// short.
#[derive(Debug)]
#[repr(C)]
pub struct Context {
    /// What others write: the guard, which is the first word of all, and the requests.
    pub(crate) poll: PollWords,
    /// One past the last byte of the VM stack.
    pub stack_end: u64,
    /// The address of the engine's function table, an array of [`Entry`].
    pub entries: u64,
    /// The address of the globals, 8 bytes each.
    pub globals: u64,
    /// The address of the elements of the module's tables, 8 bytes each.
    pub tables: u64,
    /// The address of the heap's record 0; record i lies 16 i bytes below it.
    pub records: u64,
    /// The native stack pointer behind the innermost entry from the host, or 0 outside any.
    pub entry_sp: u64,
    /// The address of the functions of the host side that stubs call, [`Services`].
    pub services: u64,
    /// The bit of a float's sign: a constant, like the next two. x86-64 reads 16 bytes where this one and the next one are.
    pub(crate) sign: u64,
    /// All bits of a float but its sign.
    pub(crate) magnitude: u64,
    /// The bits of the canonical NaN.
    pub(crate) nan: u64,
    /// The bits of the result of the last finished call from the host, if it is an integer or a cell.
    pub result: u64,
    /// The bits of that result if it is a float.
    pub float_result: u64,
    /// Operands and result of a service; no f64 crosses to Rust in a register, because bare x86-64 Rust has no vector
    /// registers.
    pub operands: [u64; 4],
    /// The fuel that is left, if the engine counts it: only the thread that runs the guest writes it.
    pub fuel: u64,
    /// The bits of the last trap ([`super::trap::Trap::encode`]).
    pub trap: u64,
    /// Where it happened.
    pub trap_site: u64,
    /// The address of the frame of that site's function; 0 if there was no trap, or its frames may have been written
    /// over.
    pub trap_frame: u64,
    /// The value of the guard when no poll is asked for: an even number.
    pub native_limit: u64,
    /// The address of the innermost entry from the host, a `roots::Activation`; 0 outside any.
    pub(crate) activation: u64,
    /// The address of the instance that this context belongs to, set at each entry.
    pub instance: u64,
    /// The address of the seat that the guest has taken, a [`crate::code::Seat`]; 0 if it has none.
    pub(crate) seat: u64,
    /// The address of the innermost frame of machine code that waits for the interpreter to run its function to the end, a
    /// `roots::Left`; 0 if there is none.
    pub(crate) left: u64,
    /// How often machine code was left for the interpreter before an op, and entered at the head of a loop.
    pub(crate) switches: Switches,
}

/// How often running activations changed between machine code and the interpreter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Times that machine code was left for the interpreter because of a request ([`crate::Interrupter::leave`]) or of
    /// [`crate::jit::Options::leave_at`]. The op `deopt` does not count.
    pub left: u64,
    /// Times that the interpreter handed a running loop to machine code.
    pub entered: u64,
}

/// The words of a context: it lies at the start of an instance's state, in front of the globals.
pub const CONTEXT_WORDS: usize = size_of::<Context>() / 8;

const _: () = assert!(size_of::<Context>().is_multiple_of(8) && align_of::<Context>() == align_of::<u64>());

/// A function's place in the engine's function table: what every call needs to know of its callee.
///
/// The host lends entries and cannot look into them: machine code jumps to what they hold.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Entry {
    /// The address of its machine code; calls in machine code go through this word.
    pub(crate) code: AtomicU64,
    /// The offset of its machine code in the code window, in bytes.
    pub(crate) start: AtomicU32,
    /// The size of its machine code in bytes; 0 while there is none.
    pub(crate) len: AtomicU32,
    /// The offset in the code window of the table of its loops, in bytes; 0 if there is none. Written before `code`.
    pub(crate) loops: AtomicU32,
    /// How often it still has to be called, or its loops to go round, in the interpreter before it is compiled.
    pub(crate) cold: AtomicU32,
    /// The address of its first op word.
    pub(crate) words: u64,
    /// The number of its op words.
    pub(crate) word_count: u32,
    /// The bytes of its frame.
    pub(crate) frame_bytes: u32,
    /// The number of its parameters.
    pub(crate) params: u32,
    /// The number of locals that start as zero: i64 and f64. They follow the parameters.
    pub(crate) zeros: u32,
    /// The number of locals that start as null: the cells. They come last.
    pub(crate) nulls: u32,
    /// The number of blocks of inline caches in the functions before it.
    pub(crate) first_cache: u32,
    /// The type of its result, a [`crate::vm3::types::TypeId`].
    pub(crate) result: u32,
    /// How often its machine code has been freed.
    pub(crate) evictions: AtomicU32,
}

/// Machine code finds an entry by a shift, and the code's address through the entry's.
const _: () = assert!(size_of::<Entry>().is_power_of_two() && core::mem::offset_of!(Entry, code) == 0);

impl Entry {
    /// The entry of no function.
    pub const fn new() -> Self {
        Self {
            code: AtomicU64::new(0),
            start: AtomicU32::new(0),
            len: AtomicU32::new(0),
            loops: AtomicU32::new(0),
            cold: AtomicU32::new(0),
            words: 0,
            word_count: 0,
            frame_bytes: 0,
            params: 0,
            zeros: 0,
            nulls: 0,
            first_cache: 0,
            result: 0,
            evictions: AtomicU32::new(0),
        }
    }
}

/// The functions of the host side that stubs call, by the platform's C convention (System V on x86-64, AAPCS64 on arm64).
/// Each returns 0 to go on; any other value unwinds to the entry from the host with the trap in the context.
#[repr(C)]
pub struct Services {
    /// Calls import `index`; its frame is at `frame`, the call at `site`.
    pub host_call: ServiceFn,
    /// The guard was hit at `site`, with the frame at `frame` and the native stack pointer in `operand`: a poll, or the
    /// end of the native stack. At the head of a loop, which the stack pointer may have come to behind the end because of
    /// what the function saved, `operand` is the greatest number there is.
    pub guard: ServiceFn,
    /// A float or bit operation that the CPU lacks: `operand` is a [`Soft`] number, the operands and the result are in
    /// [`Context::operands`].
    pub soft: ServiceFn,
    /// Runs the op at `site`, whose registers are in the frame, as the interpreter does. What it needs beyond the frame is
    /// the heap. `operand` is the number of the op's inline cache plus 1 if the object there was not found in it, else 0.
    pub op: ServiceFn,
    /// Machine code is left at the `deopt` at `site`, with all registers stored in the frame: the interpreter goes on
    /// behind it until the frame returns, with the result in [`Context::result`]. If `operand` is not 0, `site` is the head
    /// of a loop, and the interpreter goes on there. Status 2 says that machine code goes on, at the head of a loop of the
    /// same function, whose address is the second of [`Context::operands`].
    pub deopt: ServiceFn,
    /// A function without machine code has been called with the frame at `frame`, by the call at `site`: it is interpreted,
    /// with the result in [`Context::result`]. Status 2 says that machine code goes on in that frame, at the address that is
    /// the first of [`Context::operands`], the second being the head of a loop if it is one that is entered. If `operand` is not 0, the function is that of `site`, and has been left before its
    /// first op.
    pub lazy: ServiceFn,
}

/// `(context, frame, site, operand)`.
#[cfg(target_arch = "x86_64")]
pub type ServiceFn = unsafe extern "sysv64" fn(*mut Context, *mut u64, u32, u64) -> u64;
/// `(context, frame, site, operand)`.
#[cfg(not(target_arch = "x86_64"))]
pub type ServiceFn = unsafe extern "C" fn(*mut Context, *mut u64, u32, u64) -> u64;

/// The entry stub: `(context, frame, code)`; 0, or 1 with the trap in the context.
#[cfg(target_arch = "x86_64")]
pub type EnterFn = unsafe extern "sysv64" fn(*mut Context, *mut u64, u64) -> u64;
/// The entry stub: `(context, frame, code)`; 0, or 1 with the trap in the context.
#[cfg(not(target_arch = "x86_64"))]
pub type EnterFn = unsafe extern "C" fn(*mut Context, *mut u64, u64) -> u64;

/// Operations that a service computes where the CPU cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
#[allow(missing_docs, reason = "the names of the vm3 ops")]
pub enum Soft {
    Popcnt,
    Floor,
    Ceil,
    Trunc,
    Nearest,
    Fma,
}

impl Context {
    /// A context that refers to nothing.
    pub const fn new() -> Self {
        Self {
            poll: PollWords::new(),
            stack_end: 0,
            entries: 0,
            globals: 0,
            tables: 0,
            records: 0,
            entry_sp: 0,
            services: 0,
            sign: 1 << 63,
            magnitude: !(1 << 63),
            nan: cell::NAN,
            result: 0,
            float_result: 0,
            operands: [0; 4],
            fuel: 0,
            trap: 0,
            trap_site: 0,
            trap_frame: 0,
            native_limit: 0,
            activation: 0,
            instance: 0,
            seat: 0,
            left: 0,
            switches: Switches { left: 0, entered: 0 },
        }
    }

    /// Lowers the guard and takes the requests made so far.
    pub fn take_poll(&self) -> u64 {
        self.poll.take(self.native_limit)
    }

    /// Records a trap at a site, in the frame of the site's function.
    ///
    /// # Safety
    ///
    /// `context` is live, and only this thread writes what is not atomic in it.
    pub(crate) unsafe fn set_trap(context: *mut Self, trap: Trap, site: Site, frame: *const u64) {
        // SAFETY: by the contract. Through the pointer, because others hold references to the poll words.
        unsafe {
            (*context).trap = trap.encode();
            (*context).trap_site = site.0.into();
            (*context).trap_frame = frame as u64;
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}
