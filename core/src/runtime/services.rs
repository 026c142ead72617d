//! The functions of the host side that stubs of the machine code call.

use super::cell::Cell;
use super::context::{Context, Entry, POLL, Services, Soft};
use super::control::{self, PollAction};
use super::frame;
use super::heap::{Kind, closure};
use super::host;
use super::instance::{Instance, native_stack_pointer};
use super::roots::{Activation, Left, Stopped};
use super::trap::{Site, Trap, TrapKind};
use crate::interp::{Exits, Start};
use crate::vm3::op::Op;
use core::sync::atomic::Ordering;

/// The one table of services: they find everything else through the context.
pub(super) const SERVICES: Services = Services { host_call, guard, soft, op, deopt, lazy };

macro_rules! service {
    ($(#[$doc:meta])* fn $name:ident($context:ident, $frame:ident, $site:ident, $operand:ident) $body:block) => {
        $(#[$doc])*
        #[cfg(target_arch = "x86_64")]
        unsafe extern "sysv64" fn $name($context: *mut Context, $frame: *mut u64, $site: u32, $operand: u64) -> u64 $body
        $(#[$doc])*
        #[cfg(not(target_arch = "x86_64"))]
        unsafe extern "C" fn $name($context: *mut Context, $frame: *mut u64, $site: u32, $operand: u64) -> u64 $body
    };
}

service! {
    /// [`Services::host_call`].
    fn host_call(context, frame, site, operand) {
        // SAFETY: only stubs call services, with the running instance's context and the frame that the template laid out.
        unsafe { host::invoke(context, operand as u32, frame, Site(site)) }
    }
}

service! {
    /// [`Services::guard`].
    fn guard(context, frame, site, operand) {
        // SAFETY: the stub passes the running instance's context, which nothing else writes but the atomics; the frame's
        // header is the first word of a frame on the VM stack.
        unsafe {
            if operand < (*context).native_limit {
                let caller = caller_frame(context, frame);
                Context::set_trap(context, Trap::new(TrapKind::StackOverflow), Site(*frame as u32), caller);
                return TRAPPED;
            }
            poll(Stopped { context, frame, site: Site(site) })
        }
    }
}

/// The status of a service that has found nothing wrong.
pub(crate) const GO_ON: u64 = 0;
/// The status of a service that leaves a trap in the context.
pub(crate) const TRAPPED: u64 = 1;
/// Of a poll: the guest asks to leave machine code. Of the interpreter: machine code goes on at the address in the first word
/// of [`Context::operands`].
pub(crate) const SWITCH: u64 = 2;
/// What a function that is left for the interpreter wants: to go on behind the op at the site.
pub(crate) const LEAVE_BEHIND: u64 = 0;

/// Takes the requests that were made of a stopped guest: [`GO_ON`], [`SWITCH`] if the guest is to leave machine code, or
/// [`TRAPPED`] with the trap in the context.
///
/// # Safety
///
/// As for [`control::ask`], and only this thread writes what is not atomic in the context.
pub(crate) unsafe fn poll(stopped: Stopped) -> u64 {
    let Stopped { context, frame, site } = stopped;
    // SAFETY: by the contract. The reference is shared, as are those of whoever makes requests, and ends before anything
    // else is written.
    let requests = unsafe {
        let context = &*context;
        if context.poll.guard.load(Ordering::Relaxed) != POLL {
            return GO_ON;
        }
        context.take_poll()
    };
    let wants = |request| requests & request != 0;
    if wants(control::ACKNOWLEDGE) {
        // SAFETY: by the contract; the engine outlives its instances.
        unsafe { (*((*context).instance as *const Instance<'_>)).engine().acknowledge(stopped) };
    }
    // SAFETY: by the contract.
    let asked = wants(control::ASK).then(|| unsafe { control::ask(context, frame, site) });
    if wants(control::INTERRUPT) || asked == Some(PollAction::Abandon) {
        // SAFETY: by the contract.
        unsafe { Context::set_trap(context, Trap::new(TrapKind::Interrupted), site, frame) };
        return TRAPPED;
    }
    if wants(control::LEAVE) { SWITCH } else { GO_ON }
}

/// [`poll`] behind an op that is not at a place where machine code can be left: that request stays.
///
/// # Safety
///
/// As for [`poll`].
#[inline(always)]
pub(crate) unsafe fn poll_behind(stopped: Stopped) -> u64 {
    let Stopped { context, .. } = stopped;
    // SAFETY: by the contract. The references are shared.
    unsafe {
        if (*context).poll.guard.load(Ordering::Relaxed) != POLL {
            return GO_ON;
        }
        let status = poll(stopped);
        if status != SWITCH {
            return status;
        }
        control::Interrupter::new(&(*context).poll).leave();
        GO_ON
    }
}

/// The frame of the function that called that of the frame at `frame`, in the function of the site in its header;
/// itself if the host called it.
///
/// # Safety
///
/// `context` is that of the running instance, `frame` a frame of its innermost entry with its header in place.
unsafe fn caller_frame(context: *const Context, frame: *const u64) -> *const u64 {
    // SAFETY: by the contract; the header of a frame that is not the entry's first holds the site of the call in its
    // caller, whose frame ends where this one starts.
    unsafe {
        let entry = &*((*context).activation as *const Activation);
        if frame == entry.base.cast_const() {
            return frame;
        }
        let caller = Site(frame.read() as u32).func();
        frame.byte_sub((*((*context).entries as *const Entry).add(usize::from(caller))).frame_bytes as usize)
    }
}

service! {
    /// [`Services::soft`].
    fn soft(context, _frame, _site, operand) {
        // SAFETY: the stub passes the running instance's context.
        let [x, y, z, _] = unsafe { (*context).operands };
        let float = f64::from_bits;
        let result = match operand {
            op if op == Soft::Popcnt as u64 => u64::from(x.count_ones()),
            op if op == Soft::Floor as u64 => libm::floor(float(x)).to_bits(),
            op if op == Soft::Ceil as u64 => libm::ceil(float(x)).to_bits(),
            op if op == Soft::Trunc as u64 => libm::trunc(float(x)).to_bits(),
            op if op == Soft::Nearest as u64 => libm::rint(float(x)).to_bits(),
            _ => libm::fma(float(x), float(y), float(z)).to_bits(),
        };
        // SAFETY: as above.
        unsafe { (*context).operands = [result, y, z, 0] };
        0
    }
}

service! {
    /// [`Services::op`].
    fn op(context, frame, site, operand) {
        // SAFETY: the stub passes the running instance's context and frame; the template stored the registers that the op
        // reads in the frame, and an operand if the op has a cache.
        unsafe {
            if crate::HEAP
                && let Some(cache) = (operand as u32).checked_sub(1)
            {
                super::cache::miss(context, frame, Site(site), cache);
            }
            crate::interp::heap::run(context, frame, Site(site))
        }
    }
}

service! {
    /// [`Services::deopt`].
    fn deopt(context, frame, site, operand) {
        let site = Site(site);
        let behind = usize::from(operand == LEAVE_BEHIND);
        // SAFETY: the function stored all registers in the frame, so the interpreter finds the state that it would have
        // itself; the module is verified, and a `deopt` is never the last op of a function.
        unsafe {
            let engine = (*((*context).instance as *const Instance<'_>)).engine();
            engine.tell(|| engine.deoptimized(site));
            let start = Start::At(usize::from(site.word()) + behind);
            (*context).switches.left += u64::from(operand != LEAVE_BEHIND);
            let left = Left { outer: (*context).left as *const Left, func: site.func() };
            (*context).left = (&raw const left) as u64;
            let status = crate::interp::run(context, frame, site.func(), start, Exits::Loops);
            (*context).left = left.outer as u64;
            (*context).float_result = (*context).result;
            status
        }
    }
}

service! {
    /// [`Services::lazy`].
    fn lazy(context, frame, site, operand) {
        // SAFETY: machine code has laid out the frame of a function that has none, with its header and its arguments; the
        // context is the running instance's, and its engine outlives it.
        unsafe {
            let engine = (*((*context).instance as *const Instance<'_>)).engine();
            let callee = match operand {
                0 => callee_of(context, frame, Site(site)),
                _ => {
                    engine.tell(|| engine.deoptimized(Site(site)));
                    Site(site).func()
                }
            };
            if native_stack_pointer() <= (*context).native_limit {
                let at = if operand == 0 { caller_frame(context, frame) } else { frame };
                Context::set_trap(context, Trap::new(TrapKind::StackOverflow), Site(site), at);
                return TRAPPED;
            }
            if operand == 0
                && let Some(code) = engine.warm(callee, Stopped { context, frame, site: Site(site) })
            {
                (*context).operands[0] = code;
                return SWITCH;
            }
            (*context).switches.left += u64::from(operand != 0);
            let status = crate::interp::run(context, frame, callee, Start::Entry, Exits::All);
            (*context).float_result = (*context).result;
            status
        }
    }
}

/// The function that machine code has called with this frame, whose header names the site of the call.
///
/// # Safety
///
/// As for [`Services::lazy`].
unsafe fn callee_of(context: *const Context, frame: *const u64, site: Site) -> u16 {
    // SAFETY: by the contract; the frame's header is its first word. The site is that of a call in the frame below, whose
    // words and slots are in place.
    unsafe {
        if let Some(callee) = frame::tail_callee(frame.read()) {
            return callee;
        }
        let caller = &*((*context).entries as *const Entry).add(usize::from(site.func()));
        let words = core::slice::from_raw_parts(caller.words as *const u64, caller.word_count as usize);
        let words = words.get(usize::from(site.word())..).unwrap_or(&[]);
        let field = |index| crate::vm3::op::field(words, index).unwrap_or(0);
        let closure = match Op::of_verified(words.first().map_or(0, |&word| word as u8)) {
            Op::Call => return field(0),
            Op::CallI64 | Op::CallF64 | Op::CallCell => return field(1),
            Op::FnCall => field(0),
            _ => field(1),
        };
        if !crate::HEAP {
            return 0;
        }
        let caller_frame = frame.byte_sub(caller.frame_bytes as usize);
        let cell = Cell::from_slot(caller_frame.add(1 + usize::from(closure)).read());
        let heap = (*((*context).instance as *const Instance<'_>)).heap();
        heap.payload(cell, Kind::Fn).and_then(<[u64]>::first).map_or(0, |&head| closure::parts(head).0)
    }
}
