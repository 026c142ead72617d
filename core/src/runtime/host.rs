//! Host functions: what a guest calls by `host`.

use super::cell::Cell;
use super::context::{Context, Entry};
use super::frame;
use super::instance::{CallError, Instance};
use super::objects::Objects;
use super::roots::Activation;
use super::trap::{Site, Trap, TrapKind};
use super::value::Value;
use super::walk::Walk;
use crate::code::Seat;
use crate::vm3::types::TypeId;
use core::fmt;

/// A function that the host supplies to guests.
///
/// `run` may trap, and may call back into the guest. It traps by returning a [`Trap`]: [`Trap::host`] with a number, which
/// is the host's to choose and to give a meaning (`host(N)` in messages and expectations; the engine itself traps `host(0)`
/// only for what [`CallError::as_trap`] makes of a refused call), or what a call back into the guest gave. It is called by shared reference, because a guest
/// that it calls may call it again.
///
/// A panic that leaves `run` aborts the program, whichever engine runs the guest: it cannot unwind through machine
/// code, and what a program does must not hang on which functions have some. Who expects panics catches them inside
/// `run` (`std::panic::catch_unwind`), keeps the payload, gives a trap, and resumes the panic when the call has
/// returned.
#[derive(Clone, Copy)]
pub struct HostFn<'h> {
    /// The name that modules import.
    pub name: &'h str,
    /// The types of its parameters; none composite.
    pub params: &'h [TypeId],
    /// The type of its result, or [`TypeId::NONE`].
    pub result: TypeId,
    /// What it does.
    pub run: &'h (dyn Fn(&mut HostCall<'_>) -> Result<(), Trap> + 'h),
}

impl fmt::Debug for HostFn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostFn").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A guest's call of a host function: its arguments, its result, and the way back into the guest.
pub struct HostCall<'c> {
    instance: *mut Instance<'c>,
    params: &'c [TypeId],
    result_type: TypeId,
    slots: &'c [u64],
    result: u64,
    frame_end: u64,
    /// The entry in which the guest called.
    activation: *mut Activation,
    failed: Option<Trap>,
}

impl HostCall<'_> {
    /// The number of arguments.
    pub fn arg_count(&self) -> usize {
        self.params.len()
    }

    /// Argument `index`. `None` beyond the last.
    pub fn arg(&self, index: usize) -> Option<Value> {
        let ty = *self.params.get(index)?;
        Some(Value::from_slot(ty.bank(), *self.slots.get(index)?))
    }

    /// Argument `index` as an integer; 0 if there is no such argument or it is of another type.
    pub fn i64(&self, index: usize) -> i64 {
        self.arg(index).and_then(Value::i64).unwrap_or(0)
    }

    /// Argument `index` as a float; 0.0 if there is no such argument or it is of another type.
    pub fn f64(&self, index: usize) -> f64 {
        self.arg(index).and_then(Value::f64).unwrap_or(0.0)
    }

    /// Argument `index` as a cell; null if there is no such argument or it is of another type.
    pub fn cell(&self, index: usize) -> Cell {
        self.arg(index).and_then(Value::cell).unwrap_or(Cell::NULL)
    }

    /// Sets the result, which is kept alive from then on. Without this the result is zero or null. A value that does not
    /// fit the declared result, or is the handle of an object that is gone, is refused and the call traps
    /// `type_mismatch`.
    pub fn set_result(&mut self, value: impl Into<Value>) {
        let value = value.into();
        // SAFETY: as for `call`.
        if unsafe { &*self.instance }.accepts(self.result_type, value) {
            self.result = value.bits();
            // SAFETY: the entry is live as long as what it has called runs, and the collector reads it only through a pointer.
            unsafe { (*self.activation).result = value.cell().unwrap_or(Cell::NULL) };
        } else {
            self.failed = Some(Trap::new(TrapKind::TypeMismatch));
        }
    }

    /// The guest's heap. The arguments are kept alive for as long as the host function runs, as is a result that was set.
    pub fn objects(&mut self) -> Objects<'_> {
        // SAFETY: as for `call`.
        Objects::of(unsafe { &mut *self.instance })
    }

    /// The frames of the guest, the innermost first, whose op is the call of this host function.
    pub fn walk(&self) -> Walk<'_> {
        // SAFETY: the instance is running and live, nothing refers to it exclusively while `self` is borrowed, and with
        // the innermost entry in a host function its frames are in place until that returns.
        unsafe { Walk::running(self.instance, core::ptr::null(), Site(0)) }
    }

    /// Where the last call by [`HostCall::call`] trapped, as [`Instance::trap_trace`] tells it, and then the frames of
    /// [`HostCall::walk`]. Nothing if it did not.
    pub fn trap_trace(&self) -> Walk<'_> {
        // SAFETY: as for `call`.
        unsafe { &*self.instance }.trap_trace()
    }

    /// Calls a function of the guest by its name. A trap of that call is the caller's to handle; to pass it on, return
    /// [`CallError::as_trap`]. A host function that moved to another native stack has to be back on the one that it was
    /// called on: the limit of the outermost entry holds for this one too.
    pub fn call(&mut self, func: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
        // SAFETY: `invoke` got the instance from the run that is calling this host function; that run touches the
        // instance only through raw pointers and not until this host function has returned, and `self` is borrowed
        // exclusively, so this is the only live reference.
        let instance = unsafe { &mut *self.instance };
        let index = instance.engine().module().func_index(func).ok_or(CallError::NoFunction)?;
        instance.enter(index, args, self.frame_end)
    }
}

/// Runs import `index` for the guest: 0, or 1 with the trap in the context.
///
/// # Safety
///
/// `context` belongs to an instance that is running, which nothing else refers to until this returns. `frame` is the start
/// of a host frame on that instance's VM stack, with the import's arguments in its slots.
pub(crate) unsafe fn invoke(context: *mut Context, index: u32, frame_start: *mut u64, site: Site) -> u64 {
    // SAFETY: by the contract, the context is live and its `instance` is the running instance.
    let instance = unsafe { (*context).instance } as *mut Instance<'_>;
    // SAFETY: the host was called by an op in the frame of the site's function, which ends where the host's starts.
    let caller = unsafe {
        let entry = &*((*context).entries as *const Entry).add(usize::from(site.func()));
        frame_start.byte_sub(entry.frame_bytes as usize)
    };
    // SAFETY: as above; the reference ends before the host function runs.
    let found = unsafe { (*instance).import(index) };
    let Some(import) = found else {
        // SAFETY: the context is live.
        unsafe { Context::set_trap(context, Trap::new(TrapKind::Unreachable), site, caller) };
        return 1;
    };
    // SAFETY: the context is live, and so is the innermost entry, whose innermost frame is the caller's.
    let activation = unsafe {
        // Frames of a call that trapped before may have been written over.
        (*context).trap_frame = 0;
        let activation = (*context).activation as *mut Activation;
        (*activation).top = caller;
        (*activation).site = site;
        (*activation).result = Cell::NULL;
        activation
    };
    let count = import.params.len();
    // SAFETY: the host frame has a header word and then a slot for each argument, at least one, inside the VM stack.
    let slots = unsafe { core::slice::from_raw_parts(frame_start.add(1), count) };
    let empty = if import.result == TypeId::NONE || import.result.bank() != crate::vm3::op::Bank::Cell {
        0
    } else {
        Cell::NULL.bits()
    };
    let mut call = HostCall {
        instance,
        params: import.params,
        result_type: import.result,
        slots,
        result: empty,
        frame_end: frame_start as u64 + u64::from(frame::host_frame_bytes(count as u16)),
        activation,
        failed: None,
    };
    // SAFETY: the context is live, and a seat that it leads to is the engine's, which outlives the instance.
    let seat = unsafe { ((*context).seat as *const Seat).as_ref() };
    if let Some(seat) = seat {
        seat.enter_host();
    }
    let mut outcome = Ok(());
    run(&import, &mut call, &mut outcome);
    if let Some(seat) = seat {
        seat.leave_host();
    }
    let (result, failed) = (call.result, call.failed);
    // SAFETY: the entry is live.
    unsafe { (*activation).result = Cell::NULL };
    match outcome.err().or(failed) {
        None => {
            // SAFETY: a host frame has at least one slot.
            unsafe { frame_start.add(1).write(result) };
            0
        }
        Some(trap) => {
            // SAFETY: the context is live.
            unsafe { Context::set_trap(context, trap, site, caller) };
            1
        }
    }
}

/// Calls the host's function. A panic cannot leave a function of this kind: it aborts the program.
extern "C" fn run(import: &HostFn<'_>, call: &mut HostCall<'_>, outcome: &mut Result<(), Trap>) {
    *outcome = (import.run)(call);
}
