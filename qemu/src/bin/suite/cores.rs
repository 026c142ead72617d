use crate::checks::Tally;
use opstamp_qemu::memory::Region;
pub fn run(_region: &mut Region, _tally: &mut Tally, _cores: usize) {}
