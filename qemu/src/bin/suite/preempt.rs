//! Guests that loop forever, stopped by the timer, and what a timer interrupt must not change.

use crate::checks::Tally;
use crate::engines::{Guest, NATIVE_STACK};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use opstamp::runtime::context::CONTEXT_WORDS;
use opstamp::{CallError, Instance, InstanceMemory, Interrupter, Trap, TrapKind, Value};
use opstamp_qemu::arch::{Arch, Machine};
use opstamp_qemu::memory::Region;
use opstamp_qemu::println;

const GUESTS: &str = "
func loop_only()
again:
  jump again
end
func loop_counting() -> i64
  local n: i64
again:
  i64.add n, n, 1
  br.i64.ne n, 0, again
  ret n
end
func calls_forever(n: i64) -> i64
again:
  call n, step(n)
  jump again
end
func step(n: i64) -> i64
  i64.add n, n, 1
  ret n
end
func floats(rounds: i64, seed: f64) -> f64
  local a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, up: f64, down: f64, half: f64
  f64.const up, 1.0000001
  f64.const down, 0.9999999
  f64.const half, 0.5
  f64.add a, seed, up
  f64.add b, seed, a
  f64.add c, seed, b
  f64.add d, seed, c
  f64.add e, seed, d
  f64.add f, seed, e
again:
  f64.mul a, a, up
  f64.add b, b, a
  f64.sub c, c, b
  f64.mul d, d, down
  f64.add e, e, d
  f64.add f, f, half
  i64.sub rounds, rounds, 1
  br.i64.gt rounds, 0, again
  f64.add a, a, b
  f64.add c, c, d
  f64.add e, e, f
  f64.add a, a, c
  f64.sub a, a, e
  ret a
end
";

/// Ticks a second.
const HZ: u32 = 100;
/// The tick at which a guest is stopped.
const STOP_AT: u64 = 5;
/// The most ticks that may go by until it has stopped: its loops take microseconds, but an emulator may deliver ticks that
/// it owes in a row.
const GRACE: u64 = 5;

static TICKS: AtomicU64 = AtomicU64::new(0);
/// The handle of the running guest, as an address.
static TARGET: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// What the kernel does at each tick: at the fifth, it interrupts the running guest.
fn tick() {
    trash_vectors();
    let ticks = TICKS.fetch_add(1, Ordering::SeqCst) + 1;
    let target = TARGET.load(Ordering::SeqCst);
    if ticks == STOP_AT && !target.is_null() {
        // SAFETY: the state memory is lent to the instance for longer than its guest runs, and `stopped` takes the
        // address back before that ends.
        unsafe { Interrupter::from_raw(target) }.interrupt();
    }
}

/// Overwrites the vector registers, as a kernel may that uses them in its handlers.
#[cfg(target_arch = "x86_64")]
fn trash_vectors() {
    // SAFETY: Rust uses no vector register on this target, and whoever was interrupted gets back what was saved.
    unsafe {
        core::arch::asm!(
            "pcmpeqb xmm0, xmm0",
            "pcmpeqb xmm1, xmm1",
            "pcmpeqb xmm2, xmm2",
            "pcmpeqb xmm3, xmm3",
            "pcmpeqb xmm4, xmm4",
            "pcmpeqb xmm5, xmm5",
            "pcmpeqb xmm6, xmm6",
            "pcmpeqb xmm7, xmm7",
            "pcmpeqb xmm8, xmm8",
            "pcmpeqb xmm9, xmm9",
            "pcmpeqb xmm10, xmm10",
            "pcmpeqb xmm11, xmm11",
            "pcmpeqb xmm12, xmm12",
            "pcmpeqb xmm13, xmm13",
            "pcmpeqb xmm14, xmm14",
            "pcmpeqb xmm15, xmm15",
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// Overwrites the vector registers, as a kernel may that uses them in its handlers.
#[cfg(target_arch = "aarch64")]
pub fn trash_vectors() {
    macro_rules! trash {
        ($($register:tt)*) => {
            // SAFETY: Rust is told of all registers; whoever was interrupted gets back what was saved.
            unsafe {
                core::arch::asm!(
                    $(concat!("movi ", $register, ".16b, #255"),)*
                    $(out($register) _,)*
                    options(nomem, nostack, preserves_flags)
                );
            }
        };
    }
    trash!("v0" "v1" "v2" "v3" "v4" "v5" "v6" "v7" "v8" "v9" "v10" "v11" "v12" "v13" "v14" "v15"
        "v16" "v17" "v18" "v19" "v20" "v21" "v22" "v23" "v24" "v25" "v26" "v27" "v28" "v29" "v30" "v31");
}

/// Runs the tests.
pub fn run(region: &mut Region, tally: &mut Tally) {
    let guests = [Guest::interpreted(region, GUESTS), Guest::new(region, GUESTS)];
    let (stack, state) = (region.values((64 << 10) / 8), region.values(CONTEXT_WORDS));
    for guest in &guests {
        let memory = InstanceMemory {
            heap: &mut [],
            seed: 0,
            stack: &mut *stack,
            state: &mut *state,
            native_stack: NATIVE_STACK,
        };
        let mut instance = Instance::new(guest.engine, memory, &[]).expect("an instance without imports");
        for (func, args) in [("loop_only", &[][..]), ("loop_counting", &[]), ("calls_forever", &[Value::I64(1)])] {
            let (found, ticks) = stopped(&mut instance, func, args);
            let trap = Trap::new(TrapKind::Interrupted);
            let stopped = matches!(found, Err(CallError::Trap(report)) if report.trap == trap);
            println!("preempt: {func} by {}: {found:?} after {ticks} ticks", guest.name);
            let right = stopped && (STOP_AT..STOP_AT + GRACE).contains(&ticks);
            tally.expect("preempt", format_args!("{func} by {} stops: {found:?}, {ticks} ticks", guest.name), right);
        }
        // The kernel goes on, and so does this guest, and another.
        let next = instance.call("step", &[Value::I64(41)]);
        tally.expect("preempt", format_args!("{}: another call: {next:?}", guest.name), next == Ok(Some(42.into())));
    }
    survives(tally, &guests, stack, state);
    #[cfg(target_arch = "aarch64")]
    crate::registers::run(tally);
}

/// Runs a guest that does not end, with the timer on: what came of it, and the number of ticks until then.
fn stopped(instance: &mut Instance<'_>, func: &str, args: &[Value]) -> (Result<Option<Value>, CallError>, u64) {
    TICKS.store(0, Ordering::SeqCst);
    TARGET.store(instance.interrupter().into_raw(), Ordering::SeqCst);
    Machine::start_ticks(HZ, tick);
    let found = instance.call(func, args);
    let ticks = TICKS.load(Ordering::SeqCst);
    Machine::stop_ticks();
    TARGET.store(core::ptr::null_mut(), Ordering::SeqCst);
    (found, ticks)
}

/// A guest whose floats are in vector registers computes the same with ticks, whose handler overwrites those, as without.
fn survives(tally: &mut Tally, guests: &[Guest], stack: &mut [u64], state: &mut [u64]) {
    let Some(guest) = guests.last() else { return };
    let memory = InstanceMemory { heap: &mut [], seed: 0, stack, state, native_stack: NATIVE_STACK };
    let mut instance = Instance::new(guest.engine, memory, &[]).expect("an instance without imports");
    let mut rounds = 100_000;
    // Long enough for some ticks on any machine.
    for _ in 0..8 {
        let args = [Value::I64(rounds), Value::F64(0.25)];
        let wanted = instance.call("floats", &args);
        TICKS.store(0, Ordering::SeqCst);
        Machine::start_ticks(1000, tick);
        let found = instance.call("floats", &args);
        Machine::stop_ticks();
        let ticks = TICKS.load(Ordering::SeqCst);
        let same = found == wanted && matches!(found, Ok(Some(Value::F64(value))) if value.is_finite());
        if ticks >= 20 || !same {
            let what = format_args!("{rounds} rounds of floats with {ticks} ticks: {found:?}, without: {wanted:?}");
            println!("preempt: {what}");
            tally.expect("preempt", what, same);
            return;
        }
        rounds *= 4;
    }
    tally.fail("preempt", "the timer does not tick");
}
