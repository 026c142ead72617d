//! Guests from outside: what `cargo qemu run` does with modules and arguments, good and bad.

use crate::image::repository;
use crate::machine::Isa;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs};

pub const NAME: &str = "guests";

/// A module whose functions show their arguments.
const ECHO: &str = "\
import print_str(str)
func text(s: str, t: str) -> i64
  local r: i64
  host print_str(s)
  host print_str(t)
  i64.const r, 1
  ret r
end
func float(x: f64) -> f64
  ret x
end
func divide(x: i64, y: i64) -> i64
  i64.div x, x, y
  ret x
end
func deep(n: i64) -> i64
  i64.add n, n, 1
  call n, deep(n)
  ret n
end
func nothing()
  ret
end
func forever()
again:
  jump again
end
";

/// A run: the arguments, and the exit code, standard output and standard error that must come of it. An error that does not
/// end its line is a part of what must be said.
struct Run<'r> {
    args: &'r [&'r str],
    code: i32,
    out: &'r str,
    error: &'r str,
}

/// Runs all of them; how many there were.
pub fn run(isa: Isa) -> Result<String, String> {
    let folder = Folder::new("opstamp-qemu-guests")?;
    let (echo, bad, container, cut) =
        (folder.file("a \"b\" c.vm3"), folder.file("bad.vm3"), folder.file("echo.vm3c"), folder.file("cut.vm3c"));
    let long = folder.file("long.vm3");
    let write =
        |path: &PathBuf, bytes: &[u8]| fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()));
    write(&echo, ECHO.as_bytes())?;
    write(&bad, b"func main() -> i64\n  i64.frobnicate\nend\n")?;
    // Longer than the pages that memory is mapped in.
    write(
        &long,
        format!("{}func main() -> i64\n  local r: i64\n  i64.const r, 7\n  ret r\nend\n", ";\n".repeat(2 << 20))
            .as_bytes(),
    )?;
    let words = assembled(ECHO)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write(&container, &bytes)?;
    write(&cut, &bytes[..bytes.len() - 8])?;
    let text = |path: &PathBuf| path.display().to_string();
    let (echo, bad, container, cut) = (text(&echo), text(&bad), text(&container), text(&cut));
    let long = text(&long);
    let programs = repository().join("tests/programs");
    let mandelbrot = text(&programs.join("mandelbrot.vm3"));
    let print_host = text(&programs.join("print_host.vm3"));
    let printed = fs::read_to_string(programs.join("print_host.stdout")).map_err(|error| error.to_string())?;

    let bad_error = format!("error: {bad}:2:3: ");
    let cut_error = format!("error: {cut}: ");
    let none_error = format!("error: {echo}: there is no function `none`");
    let all_printed = format!("{printed}27\n");
    let runs = [
        Run { args: &[&mandelbrot], code: 0, out: "3672260\n", error: "" },
        Run { args: &["--engine", "interp", &mandelbrot], code: 0, out: "3672260\n", error: "" },
        Run { args: &[&print_host], code: 0, out: &all_printed, error: "" },
        Run { args: &["--func", "text", &echo, "a b", "\"\\ü"], code: 0, out: "a b\n\"\\ü\n1\n", error: "" },
        Run { args: &["--func", "text", &echo, "--", "-x", ""], code: 0, out: "-x\n\n1\n", error: "" },
        Run { args: &["--func", "float", &container, "-0.1"], code: 0, out: "-0.1\n", error: "" },
        Run { args: &["--func", "nothing", &container], code: 0, out: "", error: "" },
        Run { args: &[&long], code: 0, out: "7\n", error: "" },
        Run { args: &["--func", "divide", &echo, "-85", "2"], code: 0, out: "-42\n", error: "" },
        Run {
            args: &["--func", "divide", &echo, "1", "0"],
            code: 1,
            out: "",
            error: "trap: division_by_zero in divide at op 0\n",
        },
        Run {
            args: &["--func", "deep", &echo, "1"],
            code: 1,
            out: "",
            error: "trap: stack_overflow in deep at op 1\n",
        },
        Run {
            args: &["--func", "divide", &echo, "1"],
            code: 2,
            out: "",
            error: "error: divide takes 2 arguments, 1 given\n",
        },
        Run { args: &["--func", "divide", &echo, "1", "x"], code: 2, out: "", error: "error: argument 2: " },
        Run { args: &["--func", "none", &echo], code: 2, out: "", error: &none_error },
        Run { args: &[&bad], code: 2, out: "", error: &bad_error },
        Run { args: &[&cut], code: 2, out: "", error: &cut_error },
        Run { args: &["--limit", "2", "--func", "forever", &echo], code: 3, out: "", error: "error: no end within 2s" },
    ];
    let program = env::current_exe().map_err(|error| error.to_string())?;
    for run in &runs {
        let output = Command::new(&program).args(["run", "--isa", isa.name()]).args(run.args).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let same_error = if run.error.ends_with('\n') { error == run.error } else { error.contains(run.error) };
        if output.status.code() != Some(run.code) || out != run.out || !same_error {
            let (args, code) = (run.args, output.status);
            return Err(format!(
                "{args:?}: {code}, output {out:?}, error {error:?}; expected code {}, output {:?}, error {:?}",
                run.code, run.out, run.error
            ));
        }
    }
    Ok(format!("{} runs", runs.len()))
}

/// A text as a container.
pub fn assembled(source: &str) -> Result<Vec<u64>, String> {
    let sizes = opstamp::vm3::text::sizes(source);
    let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words]);
    let count = opstamp::vm3::text::assemble(source, &mut words, &mut scratch, &mut |_| {});
    words.truncate(count.map_err(|error| error.to_string())?);
    Ok(words)
}

/// A folder that is removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, of that name, this process's number, and one that no other of this process has.
    pub fn new(name: &str) -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    /// The path of something in it.
    pub fn file(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.0.join(name.as_ref())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
