//! What the command writes.

use crate::Failure;
use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write, stderr, stdout};

/// Writes to standard output at once.
pub fn to_stdout(bytes: &[u8]) -> Result<(), Failure> {
    write(bytes).map_err(refused)
}

/// Writes to standard error. Where that fails there is nowhere to say so.
pub fn to_stderr(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn refused(error: io::Error) -> Failure {
    Failure::Error(format!("cannot write to standard output: {error}"))
}

/// What guests print, in order and gathered: written when much has come together, at each line if somebody watches, and
/// when [`Output::flush`] says so.
pub struct Output {
    pending: RefCell<Vec<u8>>,
    /// Whether standard output is a terminal, once asked.
    watched: Cell<Option<bool>>,
    /// Whether everything is dropped.
    silent: bool,
    /// The first error, behind which nothing more is written.
    failed: RefCell<Option<io::Error>>,
}

/// The number of pending bytes that are written without waiting for more.
const MUCH: usize = 32 * 1024;

impl Output {
    /// To standard output.
    pub fn new() -> Self {
        Self { pending: RefCell::default(), watched: Cell::new(None), silent: false, failed: RefCell::default() }
    }

    /// To nowhere.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::new() }
    }

    /// Adds a line. Gives whether all that had to be written by now was written; [`Output::flush`] says why not.
    pub fn line(&self, bytes: &[u8]) -> bool {
        if self.silent {
            return true;
        }
        let mut pending = self.pending.borrow_mut();
        pending.extend_from_slice(bytes);
        pending.push(b'\n');
        let watched = self.watched.get().unwrap_or_else(|| stdout().is_terminal());
        self.watched.set(Some(watched));
        if watched || pending.len() >= MUCH {
            self.write(&mut pending);
        }
        self.failed.borrow().is_none()
    }

    /// Writes what is pending. The error may be of an earlier line.
    pub fn flush(&self) -> Result<(), Failure> {
        self.write(&mut self.pending.borrow_mut());
        self.failed.take().map_or(Ok(()), |error| Err(refused(error)))
    }

    fn write(&self, pending: &mut Vec<u8>) {
        let mut failed = self.failed.borrow_mut();
        if failed.is_none() && !pending.is_empty() {
            *failed = write(pending).err();
        }
        pending.clear();
    }
}
