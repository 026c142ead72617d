//! CPU features of x86-64, by CPUID (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E).

use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use core::sync::atomic::{AtomicU64, Ordering};
use opstamp::masm::Features;

/// CPUID's leaf 7, EBX in the low half and EDX in the high half; 0 where there is no such leaf. It is asked for once:
/// hypervisors intercept CPUID, which then takes microseconds, a good part of a short program's life.
pub(crate) fn leaf_7() -> u64 {
    const UNKNOWN: u64 = u64::MAX;
    static LEAF: AtomicU64 = AtomicU64::new(UNKNOWN);
    let known = LEAF.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known;
    }
    let mut leaf = 0;
    if __cpuid(0).eax >= 7 {
        let words = __cpuid_count(7, 0);
        leaf = u64::from(words.edx) << 32 | u64::from(words.ebx);
    }
    LEAF.store(leaf, Ordering::Relaxed);
    leaf
}

/// The features of this CPU that the system has enabled too: AVX registers need the system to save them (SDM vol. 1,
/// 14.3).
pub fn features() -> Features {
    let bit = |word: u32, bit: u32| word >> bit & 1 != 0;
    let basic = __cpuid(1).ecx;
    let extended = leaf_7() as u32;
    // Every CPU with a 64-bit mode has this leaf, which says so.
    let amd = __cpuid(0x8000_0001).ecx;
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
