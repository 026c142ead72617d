//! A second kernel, outside this repository, that depends on the packages alone.

use crate::boot::{End, tail};
use crate::guests::Folder;
use crate::machine::Isa;
use crate::{image, test};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const NAME: &str = "foreign";

/// The packages that it depends on.
const PACKAGES: [&str; 2] = ["opstamp", "opstamp-platform"];

/// What it says: what its guest told it, and the trap of a second call.
const SAID: &str = "2\n6\n24\n120\ntrap: division_by_zero in function 1 at op 0\n";

/// Makes the packages as a registry would get them, copies the kernel and them to a folder of their own, builds it and boots
/// it.
pub fn run(isa: Isa) -> Result<String, String> {
    let folder = Folder::new("opstamp-foreign")?;
    let repository = image::repository();
    let kernel = folder.file("kernel");
    copy(&repository.join("qemu/foreign"), &kernel)?;
    // The versions that this repository has chosen.
    let lock = kernel.join("Cargo.lock");
    fs::copy(repository.join("Cargo.lock"), &lock).map_err(|error| format!("{}: {error}", lock.display()))?;

    let made = folder.file("made");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut package = Command::new(cargo);
    package.current_dir(&repository).args(["package", "--quiet", "--no-verify", "--allow-dirty", "--target-dir"]);
    package.arg(&made);
    for name in PACKAGES {
        package.args(["--package", name]);
    }
    image::run(&mut package)?;
    for name in PACKAGES {
        let place = kernel.join("packages").join(name);
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let archive = made.join("package").join(format!("{name}-{}.crate", env!("CARGO_PKG_VERSION")));
        let mut tar = Command::new("tar");
        image::run(tar.arg("--extract").arg("--file").arg(archive).arg("--strip-components=1").current_dir(&place))?;
    }

    image::run(image::cargo(isa, &kernel, &made)?.arg("--release"))?;
    let linked = made.join(isa.target()).join("release").join("foreign");
    let kernel = image::bootable(isa, &linked)?;
    let limit = Duration::from_secs(60);
    let (end, output) = test::console(isa, &kernel, 1, OsStr::new(""), None, false, limit)?;
    if matches!(end, End::Status(0)) && output == SAID.as_bytes() {
        Ok("its guest ran".to_owned())
    } else {
        Err(format!("it ended by {end:?}; the last lines of its console:\n{}", tail(&output)))
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error| format!("{} cannot be copied to {}: {error}", from.display(), to.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(|error| format!("{}: {error}", from.display()))?;
        }
    }
    Ok(())
}
