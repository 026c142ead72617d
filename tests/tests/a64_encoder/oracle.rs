//! `llvm-mc` as the independent assembler.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The assembler's name on PATH. `None` if there is none.
fn assembler() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let versions = (14..=21).rev().map(|version| format!("llvm-mc-{version}"));
            std::iter::once("llvm-mc".to_owned()).chain(versions).find(|name| {
                let run = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
                run.is_ok_and(|status| status.success())
            })
        })
        .as_deref()
}

/// Instructions and what the encoder made of them, to be assembled together.
pub struct Batch {
    lines: Vec<String>,
    words: Vec<u32>,
}

impl Batch {
    pub fn new() -> Self {
        Self { lines: Vec::new(), words: Vec::new() }
    }

    /// `text` must assemble to `word`.
    pub fn expect(&mut self, text: String, word: u32) {
        self.lines.push(text);
        self.words.push(word);
    }

    /// Assembles everything and compares.
    pub fn check(self) {
        assert!(!self.lines.is_empty(), "nothing to compare");
        let Some(program) = assembler() else {
            assert!(std::env::var_os("CI").is_none(), "llvm-mc is not on PATH: install the Debian package llvm");
            let line =
                "SKIPPED: the arm64 encoder was compared with nothing: llvm-mc is not on PATH (Debian package llvm)";
            let _ = writeln!(std::io::stderr(), "\n{line}");
            return;
        };
        let assembled = assemble(program, &self.lines);
        assert_eq!(
            assembled.len(),
            self.lines.len(),
            "{program} gave another number of instructions than it was asked for"
        );
        let wrong: Vec<String> = (self.lines.iter().zip(&self.words).zip(&assembled))
            .filter(|((_, word), expected)| word != expected)
            .map(|((line, word), expected)| format!("{line}: encoded {word:08x}, {program} says {expected:08x}"))
            .collect();
        let shown = wrong.iter().take(30).map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(wrong.is_empty(), "{} of {} differ:\n{shown}", wrong.len(), self.lines.len());
    }
}

/// The word of each line, in order.
fn assemble(program: &str, lines: &[String]) -> Vec<u32> {
    let mut child = Command::new(program)
        .args(["-triple=aarch64", "-mattr=+v8.5a", "-show-encoding"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("llvm-mc was found before");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let source = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(source.as_bytes()));
    let output = child.wait_with_output().expect("llvm-mc runs to its end");
    writer.join().expect("the writer does not panic").expect("llvm-mc reads all its input");
    let errors: String =
        String::from_utf8_lossy(&output.stderr).lines().take(30).map(|line| format!("{line}\n")).collect();
    assert!(output.status.success() && errors.is_empty(), "{program} rejected what the encoder accepts:\n{errors}");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(encoding).collect()
}

/// The word in a line such as `add x0, x1, x2 // encoding: [0x20,0x00,0x02,0x8b]`.
fn encoding(line: &str) -> Option<u32> {
    let bytes = line.split_once("// encoding: [")?.1.trim_end().strip_suffix(']')?;
    let mut word = [0; 4];
    let mut parts = bytes.split(',');
    for byte in &mut word {
        let part = parts.next().expect("four bytes").trim_start_matches("0x");
        *byte = u8::from_str_radix(part, 16).unwrap_or_else(|_| panic!("a byte is not final: {line}"));
    }
    assert_eq!(parts.next(), None, "more than four bytes: {line}");
    Some(u32::from_le_bytes(word))
}
