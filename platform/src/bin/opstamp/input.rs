//! Files that hold a module: as text, or as a container.

use crate::session::function_name;
use crate::{Command, Failure};
use opstamp::Module;
use opstamp::vm3::container::{ContainerError, MAGIC};
use opstamp::vm3::text;
use opstamp::vm3::text::OpSite;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// A file's name and bytes.
pub struct Source {
    name: String,
    bytes: Vec<u8>,
}

impl Source {
    /// Reads a file.
    pub fn read(path: &OsStr) -> Result<Self, Failure> {
        if path.is_empty() {
            return Err(Failure::error("the name of FILE is empty, expected the path of a file"));
        }
        let name = path.display().to_string();
        match fs::read(Path::new(path)) {
            Ok(bytes) => Ok(Self { name, bytes }),
            Err(error) => Err(Failure::Error(format!("{name}: cannot be read: {error}"))),
        }
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a container, told by its first bytes.
    pub fn is_container(&self) -> bool {
        self.bytes.starts_with(&MAGIC.to_le_bytes())
    }

    /// The file as text, for a subcommand that takes nothing else.
    pub fn only_text(&self, command: &Command) -> Result<&str, Failure> {
        if self.is_container() {
            let name = command.name;
            return Err(self.wrong(format_args!(
                "this is a container, and `opstamp {name}` takes vm3 text, which `opstamp dis` makes of it"
            )));
        }
        self.text()
    }

    /// The file as text.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            let line = 1 + self.bytes.iter().take(at).filter(|&&byte| byte == b'\n').count();
            self.wrong(format_args!(
                "neither a vm3 container nor text: line {line} is not UTF-8 (byte {at} of the file)"
            ))
        })
    }

    /// The container that the file is or that its text stands for. `on_op` gets the place and line of each op of a text.
    pub fn container(&self, on_op: &mut dyn FnMut(OpSite)) -> Result<Vec<u64>, Failure> {
        if self.is_container() {
            let (words, rest) = self.bytes.as_chunks();
            if !rest.is_empty() {
                let error = ContainerError::Size { bytes: self.bytes.len() };
                return Err(self.wrong(error));
            }
            return Ok(words.iter().map(|&word| u64::from_le_bytes(word)).collect());
        }
        let text = self.text()?;
        let sizes = text::sizes(text);
        let mut words = vec![0; sizes.out_words];
        let mut scratch = vec![0; sizes.scratch_words];
        let assembled = text::assemble(text, &mut words, &mut scratch, on_op);
        let count = assembled.map_err(|error| Failure::Error(format!("{}:{error}", self.name)))?;
        words.truncate(count);
        Ok(words)
    }

    /// Verifies the container that [`Source::container`] gave.
    pub fn verify<'w>(&self, words: &'w [u64]) -> Result<Module<'w>, Failure> {
        let scratch = Module::scratch_words(words).map_err(|error| self.wrong(error))?;
        Module::verify(words, &mut vec![0; scratch]).map_err(|error| self.wrong(error))
    }

    /// The function of that name.
    pub fn function(&self, module: &Module<'_>, name: &str) -> Result<u16, Failure> {
        module.func_index(name).ok_or_else(|| self.wrong(no_function(module, name)))
    }

    /// An error in this file.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Failure {
        Failure::Error(format!("{}: {what}", self.name))
    }
}

/// That a module has no function of that name: the words name the one that may be meant, and some that there are.
pub fn no_function(module: &Module<'_>, name: &str) -> String {
    const SHOWN: usize = 8;
    let all = || (0..=u16::MAX).zip(0..module.func_count()).map(|(func, _)| function_name(module, func));
    let mut names: Vec<_> = all().take(SHOWN).collect();
    if all().nth(SHOWN).is_some() {
        names.push("...");
    }
    match (names.is_empty(), text::closest_name(name, all())) {
        (true, _) => format!("there is no function `{name}`, the module has no functions"),
        (_, None) => format!("there is no function `{name}`, the module has: {}", names.join(", ")),
        (_, Some(closest)) => {
            let names = names.join(", ");
            format!("there is no function `{name}`, the closest name is `{closest}`; the module has: {names}")
        }
    }
}
