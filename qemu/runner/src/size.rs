//! `cargo qemu size`

use crate::boot::End;
use crate::guests::{Folder, assembled};
use crate::machine::Isa;
use crate::{Failure, image, test};
use object::{Object, ObjectSegment, SegmentFlags, elf};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs};

pub const NAME: &str = "size";

/// An engine with some of the crate's features.
struct Form {
    /// The features, as cargo takes them.
    features: &'static str,
    meaning: &'static str,
    /// What it may add in code and constants to an image made for size, in bytes.
    most: u64,
}

/// What an engine for numbers may add.
const NUMERIC: u64 = 128 << 10;

/// What it may add with the stencils, which make emission faster on x86-64.
const STENCILS: u64 = 176 << 10;

/// What all of it may add.
const WHOLE: u64 = 232 << 10;

const FORMS: [Form; 3] = [
    Form { features: "heap,stencils", meaning: "with all features", most: WHOLE },
    Form { features: "stencils", meaning: "without `heap`", most: STENCILS },
    Form { features: "", meaning: "without `heap` and `stencils`", most: NUMERIC },
];

/// The profile of an image that is made for size.
const SMALL: &str = "small";

/// Bytes of an image.
#[derive(Clone, Copy)]
struct Sizes {
    text: u64,
    constants: u64,
    data: u64,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, constants, data } = self;
        write!(
            f,
            "{text} bytes of code and {constants} of constants, together {}, and {data} of data",
            text + constants
        )
    }
}

fn sizes(path: &Path) -> Result<Sizes, String> {
    let read = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = object::File::parse(&*read).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut sizes = Sizes { text: 0, constants: 0, data: 0 };
    for segment in file.segments() {
        // What the linker's script permits on a segment, not what its sections ask for.
        let SegmentFlags::Elf { p_flags } = segment.flags() else { continue };
        match (p_flags & elf::PF_X != 0, p_flags & elf::PF_W != 0) {
            (true, _) => sizes.text += segment.size(),
            (_, true) => sizes.data += segment.size(),
            _ => sizes.constants += segment.size(),
        }
    }
    if sizes.text == 0 || sizes.constants == 0 {
        return Err(format!("{}: has no code or no constants", path.display()));
    }
    Ok(sizes)
}

/// A module whose first function gives 3.5, by float ops, a call and a loop.
const GUEST: &str = "\
func main() -> f64
  local n: i64, x: f64
  i64.const n, 6
again:
  call x, half(x, n)
  i64.sub n, n, 1
  br.i64.gt n, 0, again
  ret x
end
func half(x: f64, n: i64) -> f64
  local y: f64, h: f64
  f64.const h, 0.5
  i64.to_f64 y, n
  f64.mul y, y, h
  f64.sub x, y, x
  f64.add x, x, h
  f64.add x, x, h
  ret x
end
";

/// `main` of [`GUEST`].
fn wanted() -> f64 {
    (1..=6).rev().fold(0.0, |x, n| f64::from(n) * 0.5 - x + 1.0)
}

/// What an engine adds to an image of a profile, after a check that the image that has it runs a guest.
fn added(isa: Isa, form: &Form, profile: &str) -> Result<Sizes, String> {
    let without = sizes(&image::linked(isa, "size-without", profile, form.features)?)?;
    let linked = image::linked(isa, "size-with", profile, form.features)?;
    let with = sizes(&linked)?;
    let folder = Folder::new("opstamp-qemu-size")?;
    let container = folder.file("guest.vm3c");
    let bytes: Vec<u8> = assembled(GUEST)?.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&container, bytes).map_err(|error| format!("{}: {error}", container.display()))?;
    let kernel = image::bootable(isa, &linked)?;
    let limit = Duration::from_secs(60);
    let (end, output) = test::console(isa, &kernel, 1, OsStr::new(""), Some(&container), false, limit)?;
    let result = wanted().to_bits();
    let said = String::from_utf8_lossy(&output).trim_end().lines().next_back().unwrap_or_default().to_owned();
    if !matches!(end, End::Status(0)) || said != format!("{result:#x} {result:#x}") {
        return Err(format!(
            "the image with the engine ended by {end:?} and said `{said}`, expected {result:#x} twice"
        ));
    }
    Ok(Sizes {
        text: with.text - without.text,
        constants: with.constants - without.constants,
        data: with.data.saturating_sub(without.data),
    })
}

/// What an engine adds to an image made for size, which is an error if it is too much.
fn within(isa: Isa, form: &Form) -> Result<Sizes, String> {
    let added = added(isa, form, SMALL)?;
    let most = form.most;
    if added.text + added.constants < most {
        Ok(added)
    } else {
        Err(format!("{}: {added}; expected less than {most} of code and constants", form.meaning))
    }
}

/// Measures what the engine in each form adds to an image made for size, and compares it with the most that it may be.
pub fn measure(isa: Isa) -> Result<String, String> {
    let figures = FORMS.iter().map(|form| {
        let added = within(isa, form)?;
        Ok(format!("{} {}", form.meaning, added.text + added.constants))
    });
    Ok(format!("bytes of code and constants {}", figures.collect::<Result<Vec<_>, String>>()?.join(", ")))
}

pub fn run(isas: &[Isa]) -> Result<(), Failure> {
    println!("What verifier, interpreter and compiler with their error messages add to a kernel's image:");
    let mut wrong = Vec::new();
    for &isa in isas {
        for form in &FORMS {
            match within(isa, form) {
                Ok(added) => println!("{}, made for size, {}: {added}", isa.name(), form.meaning),
                Err(error) => wrong.push(format!("{}, made for size, {error}", isa.name())),
            }
        }
        for form in &FORMS {
            println!("{}, made for speed, {}: {}", isa.name(), form.meaning, added(isa, form, "release")?);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure { text: wrong.join("\n"), code: 1 }) }
}
