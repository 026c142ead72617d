//! CPU features of x86-64, by CPUID (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E).

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use opstamp::masm::Features;

/// The features of this CPU that the system has enabled too: AVX registers need the system to save them (SDM vol. 1,
/// 14.3).
pub fn features() -> Features {
    let bit = |word: u32, bit: u32| word >> bit & 1 != 0;
    let basic = __cpuid(1).ecx;
    let extended = if __cpuid(0).eax >= 7 { __cpuid_count(7, 0).ebx } else { 0 };
    let amd = if __cpuid(0x8000_0000).eax >= 0x8000_0001 { __cpuid(0x8000_0001).ecx } else { 0 };
    let vectors_saved = bit(basic, 27) && {
        // SAFETY: CPUID's OSXSAVE bit, just checked, says that XGETBV may be executed.
        unsafe { xcr0() & 0b110 == 0b110 }
    };
    let avx = vectors_saved && bit(basic, 28);
    Features {
        popcnt: bit(basic, 23),
        lzcnt: bit(amd, 5),
        bmi1: bit(extended, 3),
        bmi2: bit(extended, 8),
        sse41: bit(basic, 19),
        avx,
        fma: avx && bit(basic, 12),
    }
}

/// XCR0: which register states the system saves.
///
/// # Safety
///
/// The CPU has OSXSAVE set.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: by the contract.
    unsafe { _xgetbv(0) }
}
