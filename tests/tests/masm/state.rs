//! The floating-point control state: guest code runs with its own, and the host finds its own again.

use crate::bench::{Bench, Family, SITE};
use crate::services::{ANSWER, take_noted};
use opstamp::masm::{Any, Calls, Float, FloatOp, Floats, Saved};
use opstamp::runtime::frame::slot_offset;

/// Rounding towards zero, with subnormal numbers flushed (SDM vol. 1, 10.2.3; Arm ARM DDI 0487, FPCR).
#[cfg(target_arch = "x86_64")]
const ODD: u64 = 0x1F80 | 3 << 13 | 1 << 15 | 1 << 6;
#[cfg(target_arch = "aarch64")]
const ODD: u64 = 3 << 22 | 1 << 24 | 1 << 25;

#[cfg(target_arch = "x86_64")]
fn exchange(state: u64) -> u64 {
    let (new, mut old) = (state as u32, 0_u32);
    // SAFETY: only the control bits of MXCSR change, and no Rust code computes floats until they are put back.
    unsafe { std::arch::asm!("stmxcsr [{}]", "ldmxcsr [{}]", in(reg) &raw mut old, in(reg) &raw const new) };
    old.into()
}

#[cfg(target_arch = "aarch64")]
fn exchange(state: u64) -> u64 {
    let old: u64;
    // SAFETY: only FPCR changes, and no Rust code computes floats until it is put back.
    unsafe { std::arch::asm!("mrs {}, fpcr", "msr fpcr, {}", out(reg) old, in(reg) state) };
    old
}

pub fn check<F: Family>(bench: &mut Bench) {
    bench.clear();
    let [x, y, z] = [0, 1, 2].map(|slot| Float::Slot(slot_offset(slot)));
    let code = |bench: &mut Bench, traps: bool| {
        bench.emit::<F>(&mut |masm| {
            masm.prologue(false, SITE, &Saved::default());
            masm.float(FloatOp::Div, z, x, y);
            if traps {
                masm.host(0, slot_offset(100), SITE);
            }
            masm.result(Any::Float(z));
            masm.epilogue(&Saved::default());
        })
    };
    let codes = [code(bench, false), code(bench, true)];
    bench.publish();
    // 2/3 rounds up, and half of the least normal number is subnormal.
    for (dividend, divisor) in [(2.0, 3.0), (-2.0, 3.0), (f64::MIN_POSITIVE, 2.0), (5e-324, 1.0)] {
        let want = f64::to_bits(dividend / divisor);
        for (code, status) in codes.into_iter().zip([0, 1]) {
            bench.set_slot(0, f64::to_bits(dividend));
            bench.set_slot(1, f64::to_bits(divisor));
            ANSWER.set(Some(Box::new(|_, _| 1)));
            let old = exchange(ODD);
            let found = bench.run(code);
            let kept = exchange(old);
            ANSWER.set(None);
            take_noted();
            // The lowest six bits of MXCSR are flags.
            assert_eq!((found, kept & !0x3F), (status, ODD & !0x3F));
            assert_eq!(bench.slot(2), want, "{dividend:?} / {divisor:?}");
            if status == 0 {
                assert_eq!(bench.context.float_result, want);
            }
        }
    }
}
