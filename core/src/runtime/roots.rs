//! Where a guest's cells are outside its heap: its globals, its constants and the frames of all its calls.

use super::cache;
use super::cell::Cell;
use super::context::Context;
use super::engine::Engine;
use super::events::Event;
use super::heap::{HeapStats, Roots, is_cell};
use super::instance::Instance;
use super::trap::Site;
use super::walk::{self, FrameAt};
use crate::vm3::container::{Container, Section};
use crate::vm3::types::TypeId;
use core::ptr;

/// One entry from the host into a guest: a run of frames that follow one another on the VM stack. It lies on the native
/// stack of the entry, and [`Context::activation`] leads to the innermost one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Activation {
    /// The entry around it, or null.
    pub outer: *const Activation,
    /// The first frame.
    pub base: *mut u64,
    /// While a host function runs: the frame that called it; else null.
    pub top: *mut u64,
    /// While a host function runs: the call's site.
    pub site: Site,
    /// While a host function runs: the result that it has set so far, if that is a cell; else null.
    pub result: Cell,
}

impl Activation {
    /// An entry whose first frame is at `base`.
    pub const fn new(outer: *const Activation, base: *mut u64) -> Self {
        Self { outer, base, top: ptr::null_mut(), site: Site(0), result: Cell::NULL }
    }
}

/// The roots of an instance, with the guest stopped at an op.
pub(crate) struct GuestRoots<'e> {
    container: Container<'e>,
    engine: &'e Engine<'e>,
    /// The words of the state: globals, imports, constants.
    state: *const u64,
    /// Those of the inline caches.
    caches: *mut [u64],
    activation: *const Activation,
    /// The innermost frame of the innermost activation; null if no guest runs.
    frame: *const u64,
    site: Site,
}

impl<'e> GuestRoots<'e> {
    /// The roots of an instance, whose innermost frame is at `frame` and stopped at `site`. With a null `frame` the
    /// innermost activation has called a host function, or there is none.
    ///
    /// # Safety
    ///
    /// The instance is live, and as long as the result is used, so is what it refers to; the cells of all frames hold valid
    /// cells.
    pub unsafe fn new(instance: *const Instance<'e>, frame: *const u64, site: Site) -> Self {
        // SAFETY: by the contract; the engine outlives its instances.
        let (engine, state, caches, activation) =
            unsafe { ((*instance).engine(), (*instance).state(), (*instance).caches(), (*instance).activation()) };
        let container = *engine.module().container();
        Self { container, engine, state, caches, activation, frame, site }
    }

    /// The types of a function's slots.
    fn slots(&self, func: u16) -> &'e [TypeId] {
        let container = self.container;
        container.func(func.into()).and_then(|func| container.slots(&func)).unwrap_or(&[])
    }

    /// Visits the cells of the state: globals by their types, and all constants, of which those not made yet are no
    /// handles.
    fn state_cells(&self, visit: &mut dyn FnMut(Cell)) {
        let (globals, imports, constants) = (
            self.container.count(Section::Globals),
            self.container.count(Section::Imports),
            self.container.count(Section::CellConsts),
        );
        // SAFETY: the state has a word for each of the three.
        let word = |index: u32| Cell::from_slot(unsafe { self.state.add(index as usize).read() });
        for index in 0..globals {
            if self.container.global(index).is_some_and(|global| is_cell(global.ty)) {
                visit(word(index));
            }
        }
        let first = globals.saturating_add(imports);
        for index in 0..constants {
            visit(word(first.saturating_add(index)));
        }
    }

    /// Visits the cells of all frames.
    fn frames(&self, visit: &mut dyn FnMut(Cell)) {
        // SAFETY: by the contract of `new`.
        let frames = unsafe { walk::running(self.engine.functions(), self.frame, self.site, self.activation) };
        for FrameAt { frame, site, .. } in frames {
            for (index, &ty) in self.slots(site.func()).iter().enumerate() {
                if is_cell(ty) {
                    // SAFETY: a frame of the function has a slot for each of its types, behind its header.
                    visit(Cell::from_slot(unsafe { frame.add(1 + index).read() }));
                }
            }
        }
    }
}

impl Roots for GuestRoots<'_> {
    fn each(&mut self, visit: &mut dyn FnMut(Cell)) {
        self.state_cells(visit);
        self.frames(visit);
        let mut activation = self.activation;
        // SAFETY: activations are live while their entries run, and the innermost one leads to all.
        while let Some(current) = unsafe { activation.as_ref() } {
            visit(current.result);
            activation = current.outer;
        }
    }

    fn container(&self) -> Container<'_> {
        self.container
    }

    fn moved(&mut self) {
        // SAFETY: the state has the words, and only this thread uses them, which is here and not at a call of a closure.
        cache::forget(unsafe { &mut *self.caches });
    }

    fn collected(&self, stats: HeapStats) {
        self.engine.tell(|| Event::Collected { stats });
    }
}

/// Machine code of a function that has been left for the interpreter, and waits for it to run the function to the end: a
/// `tail` may lead the interpreter to another function meanwhile. It lies on the native stack, and [`Context::left`] leads to
/// the innermost one.
#[derive(Debug)]
pub(crate) struct Left {
    /// The one around it, or null.
    pub outer: *const Left,
    /// The function.
    pub func: u16,
}

/// Where a guest is stopped.
#[derive(Clone, Copy)]
pub(crate) struct Stopped {
    /// The instance's context.
    pub context: *mut Context,
    /// The innermost frame of the innermost activation; null while that has called a host function, and before the first.
    pub frame: *const u64,
    /// The op.
    pub site: Site,
}

impl Stopped {
    /// Visits every function that has a frame on the guest's stack, or machine code that waits. One may be visited more than
    /// once.
    ///
    /// # Safety
    ///
    /// The context is live, of an instance that is entered and whose frames do not change meanwhile. Its thread may run a
    /// host function, to which the instance is lent: only what host functions do not write is read here, and no reference
    /// is made.
    pub unsafe fn functions(&self, visit: &mut dyn FnMut(u16)) {
        // SAFETY: by the contract; the engine outlives the instance, and activations are live while their entries run.
        unsafe {
            let engine = Instance::engine_of((*self.context).instance as *const Instance<'_>);
            let activation = (*self.context).activation as *const Activation;
            for frame in walk::running(engine.functions(), self.frame, self.site, activation) {
                visit(frame.site.func());
            }
            let mut left = (*self.context).left as *const Left;
            while !left.is_null() {
                visit((*left).func);
                left = (*left).outer;
            }
        }
    }
}
