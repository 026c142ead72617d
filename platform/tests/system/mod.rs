//! What the tests of code memory share: small functions of machine code, and what the system says about this process.
#![allow(dead_code, reason = "each test uses its part")]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

use opstamp::code::{CodeMemory, CodeRange};
use opstamp_platform::{HostCode, Scheme};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(target_os = "linux")]
use linux as host;
#[cfg(windows)]
use windows as host;

#[allow(unused_imports, reason = "each test uses its part")]
pub use host::{INVALID, handles};

pub const SCHEMES: [Scheme; 2] = [Scheme::TwoMappings, Scheme::Flip];
pub const MIB: usize = 1 << 20;

pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `mov eax, value; ret`: B8 id, C3 (Intel SDM vol. 2, MOV and RET).
pub fn returns(value: u32) -> [u8; 6] {
    let [a, b, c, d] = value.to_le_bytes();
    [0xB8, a, b, c, d, 0xC3]
}

pub fn range(start: usize, len: usize) -> CodeRange {
    CodeRange { start, end: start + len }
}

pub fn write(code: &mut HostCode, start: usize, bytes: &[u8]) {
    code.open(range(start, bytes.len())).unwrap().copy_from_slice(bytes);
}

pub fn put(code: &mut HostCode, start: usize, value: u32) {
    write(code, start, &returns(value));
    code.publish(range(start, 6)).unwrap();
}

pub fn function(code: &HostCode, start: usize) -> extern "C" fn() -> u32 {
    // SAFETY: the tests put functions of this type there before they call them.
    unsafe { std::mem::transmute::<usize, extern "C" fn() -> u32>(code.base() + start) }
}

/// Consecutive addresses with one permission.
pub struct Region {
    pub addresses: Range<usize>,
    /// As in /proc/self/maps: `r`, `w` and `x`, or `-` for what is not allowed.
    pub permissions: String,
}

/// All that is mapped or reserved, having checked that nothing in it is both writable and executable.
pub fn regions() -> Vec<Region> {
    let regions = host::regions();
    for Region { addresses, permissions } in &regions {
        let both = permissions.contains('w') && permissions.contains('x');
        assert!(!both, "writable and executable: {addresses:x?} {permissions}");
    }
    regions
}

/// The permissions at an address, `None` where nothing is mapped.
pub fn permissions(address: usize) -> Option<String> {
    regions().into_iter().find(|region| region.addresses.contains(&address)).map(|region| region.permissions)
}

/// The bytes of mappings that can be executed.
pub fn executable_bytes() -> usize {
    regions().iter().filter(|region| region.permissions.contains('x')).map(|region| region.addresses.len()).sum()
}

/// The bytes of addresses that are mapped or reserved.
pub fn mapped_bytes() -> usize {
    regions().iter().map(|region| region.addresses.len()).sum()
}
