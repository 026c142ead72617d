//! The functions of the host side that stubs of the machine code call.

use super::context::{Context, POLL, Services, Soft};
use super::host;
use super::trap::{Site, Trap, TrapKind};
use core::sync::atomic::Ordering;

/// The one table of services: they find everything else through the context.
pub(super) const SERVICES: Services = Services { host_call, guard, soft, op, deopt };

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
                Context::set_trap(context, Trap::new(TrapKind::StackOverflow), Site(*frame as u32));
                return 1;
            }
            poll(context, Site(site))
        }
    }
}

/// Takes the requests that were made of the instance: 0 to go on, 1 with the trap in the context.
///
/// # Safety
///
/// `context` is live, and only this thread writes what is not atomic in it.
pub(crate) unsafe fn poll(context: *mut Context, site: Site) -> u64 {
    // SAFETY: by the contract. The reference is shared, as are those of whoever asks for polls, and ends before the trap
    // is written.
    let requests = unsafe {
        let context = &*context;
        if context.guard.load(Ordering::Relaxed) != POLL {
            return 0;
        }
        context.take_poll()
    };
    if requests & super::context::REQUEST_INTERRUPT != 0 {
        // SAFETY: by the contract.
        unsafe { Context::set_trap(context, Trap::new(TrapKind::Interrupted), site) };
        return 1;
    }
    0
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
            if let Some(cache) = (operand as u32).checked_sub(1) {
                super::cache::miss(context, frame, Site(site), cache);
            }
            crate::interp::heap::run(context, frame, Site(site))
        }
    }
}

service! {
    /// [`Services::deopt`].
    fn deopt(context, frame, site, _operand) {
        let site = Site(site);
        // SAFETY: the template stored all registers in the frame, so the interpreter finds the state that it would have
        // itself; the module is verified, and a `deopt` is never the last op of a function.
        unsafe {
            let status = crate::interp::run(context, frame, site.func(), usize::from(site.word()) + 1);
            (*context).float_result = (*context).result;
            status
        }
    }
}
