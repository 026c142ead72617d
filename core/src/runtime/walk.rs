//! Walks over the frames of a guest: the collector's, and the stack traces that a host asks for.
//!
//! Frames say nothing of whether machine code or the interpreter runs them. The header of each, which its caller writes
//! before the call, is the site of that call in the frame below ([`super::frame`]); the entries from the host, which
//! lie on the native stack, lead from the first frame of one to the frame that called the host function it was made
//! from.

use super::context::Entry;
use super::instance::Instance;
use super::roots::Activation;
use super::trap::Site;
use crate::vm3::container::{Container, op_index};
use core::fmt;
use core::ptr;

/// A frame that a walk has come to.
pub(crate) struct FrameAt {
    /// Its address.
    pub frame: *const u64,
    /// The op at which it is stopped, in the function that it is a frame of.
    pub site: Site,
    /// Whether the host entered it.
    pub is_entry: bool,
}

/// The frames from one on outward.
pub(crate) struct Frames<'e> {
    functions: &'e [Entry],
    /// The next frame; null if the next one is that of the host function around this entry.
    frame: *const u64,
    site: Site,
    /// The first frame of the entry.
    base: *const u64,
    /// The entry around it.
    outer: *const Activation,
}

impl<'e> Frames<'e> {
    /// From the frame at `frame`, stopped at `site`, through the frames down to `base` and those of the entries from
    /// `outer` on. With a null `frame` there are the latter only.
    ///
    /// # Safety
    ///
    /// As long as the result is used: `functions` are those of the frames' module, the frames down to `base` lie behind
    /// one another, each but that at `base` with the site of its call in its header; the same is true of the frames of
    /// all entries, which have called host functions and live. If `frame` is `base` it is not read.
    pub unsafe fn new(
        functions: &'e [Entry],
        frame: *const u64,
        site: Site,
        base: *const u64,
        outer: *const Activation,
    ) -> Self {
        Self { functions, frame, site, base, outer }
    }
}

impl Iterator for Frames<'_> {
    type Item = FrameAt;

    fn next(&mut self) -> Option<FrameAt> {
        while self.frame.is_null() {
            let entry = self.outer;
            if entry.is_null() {
                return None;
            }
            // SAFETY: by the contract of `new`, it is one that lives. No reference to it is made: the host function that its
            // guest waits for may write its result meanwhile.
            unsafe {
                (self.frame, self.site) = ((*entry).top, (*entry).site);
                (self.base, self.outer) = ((*entry).base, (*entry).outer);
            }
        }
        let found = FrameAt { frame: self.frame, site: self.site, is_entry: self.frame == self.base };
        if found.is_entry {
            self.frame = ptr::null();
            return Some(found);
        }
        // SAFETY: by the contract of `new`, this is a frame with a header.
        self.site = Site(unsafe { self.frame.read() } as u32);
        // The caller's frame ends where this one starts.
        let caller = self.functions.get(usize::from(self.site.func()));
        self.frame = caller.map_or(ptr::null(), |caller| self.frame.wrapping_byte_sub(caller.frame_bytes as usize));
        Some(found)
    }
}

/// The guest's frames, the innermost first: a stack trace. It goes through the frames of functions in machine code and
/// in the interpreter alike, and on through the host functions that called back into the guest. A function that was
/// left by `tail` has none.
pub struct Walk<'a> {
    container: Container<'a>,
    frames: Frames<'a>,
}

impl<'a> Walk<'a> {
    /// The frames of a running guest, whose innermost is at `frame`, stopped at `site`. With a null `frame` the guest
    /// has called a host function.
    ///
    /// # Safety
    ///
    /// As for [`super::roots::GuestRoots::new`], but that the frames' cells are not looked at.
    pub(crate) unsafe fn running(instance: *const Instance<'a>, frame: *const u64, site: Site) -> Self {
        // SAFETY: by the contract; the engine outlives its instances.
        unsafe {
            let (engine, activation) = ((*instance).engine(), (*instance).activation());
            let container = *engine.module().container();
            Self { container, frames: running(engine.functions(), frame, site, activation) }
        }
    }

    /// The frames from `frame`, stopped at `site`, down to `base`, then those of a running guest. With a null `frame`
    /// none.
    ///
    /// # Safety
    ///
    /// As for [`Frames::new`].
    pub(crate) unsafe fn trapped(instance: &'a Instance<'_>, frame: *const u64, site: Site, base: *const u64) -> Self {
        let engine = instance.engine();
        let outer = if frame.is_null() { ptr::null() } else { instance.activation() };
        // SAFETY: by the contract.
        let frames = unsafe { Frames::new(engine.functions(), frame, site, base, outer) };
        Self { container: *engine.module().container(), frames }
    }
}

/// The frames of a running guest.
///
/// # Safety
///
/// As for [`Frames::new`]; `activation` is the innermost entry or null, and `frame` its innermost frame, or null if it
/// has called a host function.
pub(crate) unsafe fn running(
    functions: &[Entry],
    frame: *const u64,
    site: Site,
    activation: *const Activation,
) -> Frames<'_> {
    // SAFETY: by the contract, and so are those of `new`.
    unsafe {
        match activation.as_ref() {
            Some(entry) if !frame.is_null() => Frames::new(functions, frame, site, entry.base, entry.outer),
            _ => Frames::new(functions, ptr::null(), site, ptr::null(), activation),
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = GuestFrame<'a>;

    fn next(&mut self) -> Option<GuestFrame<'a>> {
        let FrameAt { site, is_entry, .. } = self.frames.next()?;
        Some(GuestFrame { container: self.container, site, is_entry })
    }
}

/// A frame of a stack trace.
#[derive(Clone, Copy)]
pub struct GuestFrame<'a> {
    container: Container<'a>,
    site: Site,
    is_entry: bool,
}

impl<'a> GuestFrame<'a> {
    /// The function, by its index in the module.
    pub const fn func(&self) -> u16 {
        self.site.func()
    }

    /// The function's name.
    pub fn name(&self) -> &'a str {
        self.container.func(self.func().into()).and_then(|func| self.container.text(func.name)).unwrap_or("?")
    }

    /// The op, counted as [`super::instance::TrapReport::op`]: that which trapped or is to be run next in the innermost
    /// frame, the call that is running in the others. Takes time linear in the length of the function.
    pub fn op(&self) -> u32 {
        let code = self.container.func(self.func().into()).and_then(|func| self.container.code(&func));
        op_index(code.unwrap_or(&[]), self.site.word().into())
    }

    /// Whether the host called the function: the next frame, if there is one, is that of a guest function which has
    /// called a host function.
    pub const fn is_entry(&self) -> bool {
        self.is_entry
    }
}

impl fmt::Display for GuestFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at op {}", self.name(), self.op())
    }
}
