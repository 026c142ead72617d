//! Running an image under QEMU.

use crate::machine::Isa;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// A machine to be run.
pub struct Boot<'b> {
    pub isa: Isa,
    pub kernel: &'b Path,
    pub cores: u32,
    /// The kernel's command line.
    pub line: &'b OsStr,
    pub initrd: Option<&'b Path>,
    /// Options of QEMU's that change the usual machine.
    pub options: &'b [&'b str],
    /// How long it may run.
    pub limit: Duration,
}

/// How a machine ended.
#[derive(Debug)]
pub enum End {
    /// The kernel ended it with this status.
    Status(u8),
    /// QEMU ended by itself, or the machine was reset.
    Qemu(ExitStatus),
    /// It ran for longer than it may.
    Hang(Duration),
}

/// Lines of console that are shown of a machine that did not end by itself.
const SHOWN: usize = 20;

/// The last lines of a console's output.
pub fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or(&[]).join("\n")
}

/// Ends QEMU when it is dropped, if it still runs.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Boot<'_> {
    /// Runs it. Hands out what the console says as it comes.
    pub fn run(&self, console: &mut dyn FnMut(&[u8])) -> Result<End, String> {
        let (emulator, package) = self.isa.emulator();
        let mut command = self.isa.command(self.kernel, self.cores);
        command.args(self.options).arg("-append").arg(self.line);
        if let Some(initrd) = self.initrd {
            command.arg("-initrd").arg(initrd);
        }
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = spawned.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                format!(
                    "{emulator} is missing. Install it with: sudo apt-get install -y --no-install-recommends {package}"
                )
            }
            _ => format!("{emulator} cannot be run: {error}"),
        })?;
        let mut running = Running(child);
        let mut output = running.0.stdout.take().ok_or("QEMU has no output")?;
        let (sender, receiver) = mpsc::channel();
        // Ends when QEMU does, which closes the pipe.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let end = Instant::now() + self.limit;
        loop {
            match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => console(&bytes),
                Err(RecvTimeoutError::Timeout) => return Ok(End::Hang(self.limit)),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = running.0.wait().map_err(|error| format!("{emulator}: {error}"))?;
        Ok(status.code().and_then(|code| self.isa.status(code)).map_or(End::Qemu(status), End::Status))
    }
}
