//! `cargo qemu run`

use crate::boot::{Boot, End, tail};
use crate::machine::Isa;
use crate::{Failure, image, line};
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Duration;

pub struct Request {
    pub isa: Isa,
    pub file: OsString,
    pub func: Option<OsString>,
    pub engine: Option<OsString>,
    pub args: Vec<OsString>,
    pub limit: Duration,
}

/// Prints the lines of a console but for the last, which may be the kernel's own message.
#[derive(Default)]
pub struct Lines {
    all: Vec<u8>,
    printed: usize,
}

impl Lines {
    fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.all.extend_from_slice(bytes);
        self.print_until(self.last())
    }

    /// Where the last line starts.
    fn last(&self) -> usize {
        let whole = self.all.strip_suffix(b"\n").unwrap_or(&self.all);
        whole.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
    }

    fn print_until(&mut self, end: usize) -> std::io::Result<()> {
        let bytes = self.all.get(self.printed..end).unwrap_or(&[]);
        if bytes.is_empty() {
            return Ok(());
        }
        self.printed = end;
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }
}

/// Runs a guest. What it prints goes to standard output, its result last.
pub fn run(request: &Request) -> Result<(), Failure> {
    let path = Path::new(&request.file);
    let size = path.metadata().map_err(|error| format!("{}: cannot be read: {error}", path.display()))?.len();
    if size == 0 {
        // QEMU takes an empty file for none at all, and says so on its own.
        return Err(format!("{}: the file is empty, expected vm3 text or a container", path.display()).into());
    }
    let mut words: Vec<OsString> = vec!["--name".into(), request.file.clone()];
    for (option, value) in [("--func", &request.func), ("--engine", &request.engine)] {
        if let Some(value) = value {
            words.extend([option.into(), value.clone()]);
        }
    }
    words.push("--".into());
    words.extend(request.args.iter().cloned());
    let line = line::quote(&words)?;
    let kernel = image::build(request.isa, "unikernel")?;
    let (isa, limit) = (request.isa, request.limit);
    let boot = Boot { isa, kernel: &kernel, cores: 1, line: &line, initrd: Some(path), options: &[], limit };
    let mut lines = Lines::default();
    let mut refused = None;
    let end = boot.run(&mut |bytes| {
        if let Err(error) = lines.add(bytes) {
            refused.get_or_insert(error);
        }
    })?;
    if let Some(error) = refused {
        return Err(format!("cannot write to standard output: {error}").into());
    }
    let last = || String::from_utf8_lossy(lines.all.get(lines.last()..).unwrap_or(&[])).trim_end().to_owned();
    match end {
        End::Status(0) => lines
            .print_until(lines.all.len())
            .map_err(|error| format!("cannot write to standard output: {error}").into()),
        End::Status(1) => Err(Failure { text: last(), code: 1 }),
        End::Status(2) => Err(Failure { text: last(), code: 2 }),
        End::Status(status) => Err(Failure {
            text: format!("{}\nerror: the kernel failed with status {status}", tail(&lines.all)),
            code: 3,
        }),
        End::Qemu(status) => Err(Failure {
            text: format!("{}\nerror: the machine ended by itself: QEMU's {status}", tail(&lines.all)),
            code: 3,
        }),
        End::Hang(limit) => Err(Failure {
            text: format!(
                "{}\nerror: no end within {limit:?}; the last lines of the console are above",
                tail(&lines.all)
            ),
            code: 3,
        }),
    }
}
