//! A second kernel, outside this repository, that depends on the packages alone.

use crate::machine::Isa;

pub const NAME: &str = "foreign";

pub fn run(_isa: Isa) -> Result<String, String> {
    Err("not yet".into())
}
