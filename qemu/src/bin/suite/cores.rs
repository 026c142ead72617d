//! One engine's machine code on several cores at once.

use crate::checks::Tally;
use crate::engines::{self, Guest};
use core::sync::atomic::{AtomicI64, AtomicPtr, AtomicUsize, Ordering};
use opstamp::runtime::context::CONTEXT_WORDS;
use opstamp::{Engine, HostFn, Instance, InstanceMemory, Trap, TypeId, Value};
use opstamp_qemu::arch::{Arch, MAX_CORES, Machine, OTHER_STACK};
use opstamp_qemu::memory::Region;
use opstamp_qemu::println;

const GUEST: &str = "
import meet()
func work(core: i64, rounds: i64) -> i64
  local n: i64, s: i64, m: i64
  i64.const m, 6364136223846793005
  host meet()
again:
  i64.mul s, s, m
  i64.add s, s, core
  i64.xor s, s, n
  i64.add n, n, 1
  br.i64.lt n, rounds, again
  host meet()
  ret s
end
";

/// `work`, in Rust.
fn work(core: i64, rounds: i64) -> i64 {
    (0..rounds).fold(0i64, |s, n| s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(core) ^ n)
}

/// Rounds of a guest's loop.
const ROUNDS: i64 = 300_000;
/// Modules that are compiled one after another to the same addresses, each run by all cores.
const MODULES: usize = 50;
/// Words of VM stack of each core.
const STACK_WORDS: usize = 256;
/// Bytes of native stack of each core that the kernel keeps for its own functions.
const OWN_FRAMES: usize = 64 << 10;

/// How many cores have come to a meeting so far, and how many there are.
static MET: AtomicUsize = AtomicUsize::new(0);
static CORES: AtomicUsize = AtomicUsize::new(0);

/// The engine that all run now, and the number of runs that were started.
static ENGINE: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static RUN: AtomicUsize = AtomicUsize::new(0);
/// Runs that are over, counted by all other cores together.
static DONE: AtomicUsize = AtomicUsize::new(0);
static RESULTS: [AtomicI64; MAX_CORES] = [const { AtomicI64::new(0) }; MAX_CORES];

/// Waits until every core has called this as often as this one: so all guests are inside their calls at the same time.
fn meet() {
    let cores = CORES.load(Ordering::SeqCst);
    let mine = MET.fetch_add(1, Ordering::SeqCst);
    let all = (mine / cores + 1) * cores;
    while MET.load(Ordering::SeqCst) < all {
        core::hint::spin_loop();
    }
}

/// Calls `func` in an instance of its own.
fn call(engine: &Engine<'_>, func: &str, args: &[Value], native_stack: usize) -> i64 {
    let mut stack = [0; STACK_WORDS];
    let mut state = [0; CONTEXT_WORDS + 1];
    let meet = |_: &mut opstamp::HostCall<'_>| -> Result<(), Trap> {
        meet();
        Ok(())
    };
    let imports = [HostFn { name: "meet", params: &[], result: TypeId::NONE, run: &meet }];
    let memory = InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack };
    let mut instance = Instance::new(engine, memory, &imports).expect("an instance");
    match instance.call(func, args) {
        Ok(Some(Value::I64(value))) => value,
        other => panic!("the guest on core {} gave {other:?}", Machine::core()),
    }
}

/// Cores may share an engine.
const _: fn() = || {
    fn shared<T: Sync>() {}
    shared::<Engine<'_>>();
};

/// What one core does for each run.
fn one_run(core: usize, native_stack: usize) {
    // SAFETY: the first core stored a reference to an engine, which lives until all cores are done with this run.
    let engine = unsafe { &*ENGINE.load(Ordering::SeqCst).cast::<Engine<'_>>() };
    let args = [Value::I64(core as i64), Value::I64(ROUNDS)];
    let result = if engine.module().func_index("work").is_some() {
        call(engine, "work", &args, native_stack)
    } else {
        call(engine, "f", &[], native_stack)
    };
    RESULTS[core].store(result, Ordering::SeqCst);
}

/// What the other cores do: each run that the first core starts.
fn other(core: usize) {
    for run in 1.. {
        while RUN.load(Ordering::SeqCst) < run {
            core::hint::spin_loop();
        }
        if ENGINE.load(Ordering::SeqCst).is_null() {
            return;
        }
        one_run(core, OTHER_STACK - OWN_FRAMES);
        DONE.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs an engine on all cores.
fn run_on_all(engine: &Engine<'_>, others: usize) {
    ENGINE.store(core::ptr::from_ref(engine).cast_mut().cast(), Ordering::SeqCst);
    let done = DONE.load(Ordering::SeqCst) + others;
    RUN.fetch_add(1, Ordering::SeqCst);
    one_run(0, engines::NATIVE_STACK);
    while DONE.load(Ordering::SeqCst) < done {
        core::hint::spin_loop();
    }
}

/// Runs the tests on `wanted` cores.
pub fn run(region: &mut Region, tally: &mut Tally, wanted: usize) {
    if wanted < 2 {
        return tally.skip("cores", "the machine has one core");
    }
    let guest = Guest::new(region, GUEST);
    let mut room = engines::Room::new(region, 4096, 4096, engines::SUITE);
    let others = Machine::start_cores(other);
    let cores = others + 1;
    CORES.store(cores, Ordering::SeqCst);
    println!("cores: {cores} run");
    tally.expect("cores", format_args!("{cores} of {wanted} cores run"), cores == wanted);

    run_on_all(guest.engine, others);
    for (core, result) in RESULTS.iter().enumerate().take(cores) {
        let (found, wanted) = (result.load(Ordering::SeqCst), work(core as i64, ROUNDS));
        let what = format_args!("core {core} computes {found}, expected {wanted}");
        // What a core computes depends on its number.
        let another = wanted != work(core as i64 + 1, ROUNDS);
        tally.expect("cores", what, found == wanted && another);
    }

    // One module after another at the same addresses: each core runs what was published last.
    let mut wrong = 0;
    for number in 0..MODULES {
        let (memory, code) = room.parts();
        let text = engines::constant(number);
        let module = engines::load(text.as_str(), memory.words, memory.scratch);
        let options = engines::machine_code();
        let engine = Engine::machine_code(module, memory.functions, code, memory.scratch, &options).expect("compiles");
        run_on_all(&engine, others);
        wrong += RESULTS.iter().take(cores).filter(|result| result.load(Ordering::SeqCst) != number as i64).count();
    }
    let what = format_args!("{MODULES} modules at the same addresses on {cores} cores, {wrong} wrong results");
    println!("cores: {what}");
    tally.expect("cores", what, wrong == 0);
    ENGINE.store(core::ptr::null_mut(), Ordering::SeqCst);
    RUN.fetch_add(1, Ordering::SeqCst);
}
