//! The seam at which the crate's own tests make system calls fail, one at a time.
//!
//! Every wrapper of a system call asks [`check`] before it makes the call. Outside this crate's unit tests that is
//! nothing at all, and nothing of it is in the library.

/// Says whether this system call is to fail, and with which error number, instead of being made.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn check(_call: &'static str) -> Result<(), i32> {
    Ok(())
}

/// Says that something is done that is no system call, for tests of the order.
#[cfg(all(not(test), target_os = "linux"))]
#[inline(always)]
pub(crate) fn note(_what: &'static str) {}

#[cfg(test)]
pub(crate) use armed::check;
#[cfg(all(test, target_os = "linux"))]
pub(crate) use armed::note;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod armed {
    use std::cell::RefCell;

    /// The call that is to fail.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Fault {
        pub call: &'static str,
        /// Which call of this name in the run, counted from 0.
        pub nth: usize,
        pub error: i32,
        /// Whether those after it fail too.
        pub lasting: bool,
    }

    #[derive(Default)]
    struct Plan {
        on: bool,
        fault: Option<Fault>,
        made: Vec<&'static str>,
        notes: Vec<usize>,
    }

    thread_local! {
        static PLAN: RefCell<Plan> = RefCell::default();
    }

    pub fn check(call: &'static str) -> Result<(), i32> {
        PLAN.with_borrow_mut(|plan| {
            if !plan.on {
                return Ok(());
            }
            let before = plan.made.iter().filter(|&&made| made == call).count();
            plan.made.push(call);
            match plan.fault {
                Some(fault) if fault.call == call && (fault.nth == before || fault.lasting && fault.nth < before) => {
                    Err(fault.error)
                }
                _ => Ok(()),
            }
        })
    }

    #[cfg(target_os = "linux")]
    pub fn note(what: &'static str) {
        PLAN.with_borrow_mut(|plan| {
            if plan.on {
                plan.notes.push(plan.made.len());
                plan.made.push(what);
            }
        });
    }

    /// What this thread did in a run.
    pub struct Trace {
        /// The calls and notes in their order.
        pub steps: Vec<&'static str>,
        /// Which of them are notes.
        notes: Vec<usize>,
    }

    impl Trace {
        /// For each call the fault that makes it fail.
        pub fn faults(&self, error: i32) -> Vec<Fault> {
            let nth = |at: usize| self.steps[..at].iter().filter(|&&step| step == self.steps[at]).count();
            let calls = (0..self.steps.len()).filter(|at| !self.notes.contains(at));
            calls.map(|at| Fault { call: self.steps[at], nth: nth(at), error, lasting: false }).collect()
        }
    }

    /// Runs `body` with a fault or none.
    pub fn run<T>(fault: Option<Fault>, body: impl FnOnce() -> T) -> (T, Trace) {
        PLAN.set(Plan { on: true, fault, ..Plan::default() });
        let result = body();
        let Plan { made, notes, .. } = PLAN.take();
        (result, Trace { steps: made, notes })
    }
}
