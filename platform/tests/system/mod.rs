//! What the tests of code memory share: small functions of machine code, and what the system says about this process.
#![allow(dead_code, reason = "each test uses its part")]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

use opstamp::code::{CodeError, CodeMemory, CodeRange};
use opstamp_platform::{HostCode, Scheme};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(target_os = "linux")]
use linux as host;
#[cfg(target_os = "macos")]
use macos as host;
#[cfg(windows)]
use windows as host;

#[allow(unused_imports, reason = "each test uses its part")]
pub use host::{INVALID, alone, handles, on_real_system};
#[cfg(target_os = "linux")]
#[allow(unused_imports, reason = "each test uses its part")]
pub use linux::{End, in_child};

pub const MIB: usize = 1 << 20;

/// Whether a thread, and not a page, may write or execute code memory.
pub const BY_THREAD: bool = cfg!(all(target_os = "macos", target_arch = "aarch64"));

/// The schemes to test: both, but on macOS, which has one, and where the machine does not see code that is changed
/// through another mapping. Real ones do; some emulators of arm64 do not, and there the window must refuse it with just
/// this error.
pub fn schemes() -> Vec<Scheme> {
    match HostCode::new_with(1, Scheme::TwoMappings) {
        Err(CodeError::Unsupported) if cfg!(target_os = "macos") => vec![Scheme::Flip],
        Err(CodeError::System { action, code: 0 })
            if cfg!(target_arch = "aarch64") && action.contains("change of code") =>
        {
            println!("skipped: two mappings, on a machine that cannot {action}");
            vec![Scheme::Flip]
        }
        two => vec![two.expect("two mappings").scheme(), Scheme::Flip],
    }
}

pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of [`returns`].
#[cfg(target_arch = "x86_64")]
pub const LEN: usize = 6;
/// What fills a page that is opened for the first time: `int3`.
#[cfg(target_arch = "x86_64")]
pub const FILLER: u8 = 0xCC;

/// `mov eax, value; ret`: B8 id, C3 (Intel SDM vol. 2, MOV and RET).
#[cfg(target_arch = "x86_64")]
pub fn returns(value: u32) -> [u8; LEN] {
    let [a, b, c, d] = value.to_le_bytes();
    [0xB8, a, b, c, d, 0xC3]
}

/// Bytes of [`returns`].
#[cfg(target_arch = "aarch64")]
pub const LEN: usize = 12;
/// What fills a page that is opened for the first time: `udf #0`.
#[cfg(target_arch = "aarch64")]
pub const FILLER: u8 = 0;

/// `movz w0, #low; movk w0, #high, lsl #16; ret` (Arm ARM DDI 0487, C6.2).
#[cfg(target_arch = "aarch64")]
pub fn returns(value: u32) -> [u8; LEN] {
    let words = [0x5280_0000 | (value & 0xFFFF) << 5, 0x72A0_0000 | (value >> 16) << 5, 0xD65F_03C0_u32];
    let mut bytes = [0; LEN];
    for (place, word) in bytes.chunks_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Where a function may start: instructions of arm64 are aligned.
pub const ALIGN: usize = if cfg!(target_arch = "x86_64") { 1 } else { 4 };

pub fn range(start: usize, len: usize) -> CodeRange {
    CodeRange { start, end: start + len }
}

pub fn write(code: &mut HostCode, start: usize, bytes: &[u8]) {
    code.open(range(start, bytes.len())).unwrap().copy_from_slice(bytes);
}

pub fn put(code: &mut HostCode, start: usize, value: u32) {
    write(code, start, &returns(value));
    code.publish(range(start, LEN)).unwrap();
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
