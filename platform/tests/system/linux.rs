//! What Linux says about this process.

use super::Region;
use std::fs;

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = libc::EINVAL;

/// Reads /proc/self/maps.
pub fn regions() -> Vec<Region> {
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let read = |line: &str| {
        let mut fields = line.split(' ');
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        let permissions = fields.next().unwrap().to_owned();
        let [start, end] = [start, end].map(|digits| usize::from_str_radix(digits, 16).unwrap());
        Region { addresses: start..end, permissions }
    };
    text.lines().map(read).collect()
}

/// The number of open descriptors.
pub fn handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
