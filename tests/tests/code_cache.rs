//! Engines whose machine code is evicted: programs whose code is many times what the cache holds, guests on several
//! threads, and guests that stand still or never do. Expected values come from the same functions in Rust.

mod common;

use common::{alarmed, with_stack};
use opstamp::asm::EmitError;
use opstamp::code::{Marks, Seat};
use opstamp::jit::{CompileError, Options};
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{
    CallError, CodeCache, CodeMemory, CodeStats, Engine, EngineError, HostCall, HostFn, Instance, InstanceMemory,
    Interrupter, Module, Trap, TrapKind, TypeId, Value,
};
use opstamp_platform::{HostCode, Scheme};
use opstamp_tests::driver::need;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

/// Functions of each kind in the module of [`source`].
const COUNT: i64 = 400;

/// `leaf{k}` has a loop, `pair{k}` calls two leaves, `host{k}` a host function that calls a leaf, `down{k}` itself,
/// `last{k}` a leaf by a tail call.
fn source() -> String {
    let mut text = String::from(
        "import back(i64, i64) -> i64\nimport sleep()\n\
         func forever(x: i64)\nlocal y: i64\nagain:\ncall y, leaf1(x)\njump again\nend\n\
         func asleep(x: i64) -> i64\ncall x, leaf2(x)\nhost sleep()\ni64.add x, x, 1\nret x\nend\n",
    );
    for k in 0..COUNT {
        let (next, other) = ((k + 7) % COUNT, (k * 31 + 1) % COUNT);
        write!(
            text,
            "func leaf{k}(x: i64) -> i64\nlocal i: i64\nagain:\ni64.mul x, x, {}\ni64.add x, x, i\ni64.xor x, x, {k}\n\
             i64.add i, i, 1\nbr.i64.lt i, 5, again\nret x\nend\n\
             func pair{k}(x: i64) -> i64\nlocal y: i64\ni64.xor y, x, {k}\ncall x, leaf{k}(x)\ncall y, leaf{next}(y)\n\
             i64.add x, x, y\nret x\nend\n\
             func host{k}(x: i64) -> i64\nlocal n: i64\ni64.const n, {other}\nhost x, back(n, x)\ni64.add x, x, {k}\n\
             ret x\nend\n\
             func down{k}(x: i64, n: i64) -> i64\nlocal y: i64\nbr.i64.le n, 0, done\ncall y, pair{k}(x)\n\
             i64.sub n, n, 1\ncall y, down{next}(y, n)\ni64.add x, x, y\ndone:\nret x\nend\n\
             func last{k}(x: i64) -> i64\ni64.add x, x, {k}\ntail leaf{other}(x)\nend\n",
            2 * k + 3
        )
        .expect("writes");
    }
    text
}

fn leaf(k: i64, mut x: i64) -> i64 {
    for i in 0..5 {
        x = x.wrapping_mul(2 * k + 3).wrapping_add(i) ^ k;
    }
    x
}

fn pair(k: i64, x: i64) -> i64 {
    leaf(k, x).wrapping_add(leaf((k + 7) % COUNT, x ^ k))
}

/// What `back(n, x)` gives: `leaf{n}` of x, less 1.
fn host(k: i64, x: i64) -> i64 {
    leaf((k * 31 + 1) % COUNT, x).wrapping_sub(1).wrapping_add(k)
}

fn down(k: i64, x: i64, n: i64) -> i64 {
    if n <= 0 { x } else { x.wrapping_add(down((k + 7) % COUNT, pair(k, x), n - 1)) }
}

fn last(k: i64, x: i64) -> i64 {
    leaf((k * 31 + 1) % COUNT, x.wrapping_add(k))
}

/// A pseudorandom sequence: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016.
struct Rng(u64);

impl Rng {
    fn next(&mut self, below: i64) -> i64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as i64 % below
    }
}

fn back(call: &mut HostCall<'_>) -> Result<(), Trap> {
    let (n, x) = (call.i64(0), call.i64(1));
    let value = call.call(&format!("leaf{n}"), &[x.into()]).map_err(CallError::as_trap)?;
    call.set_result(value.and_then(Value::i64).unwrap_or(0).wrapping_sub(1));
    Ok(())
}

/// What a cache is made of.
#[derive(Clone, Copy)]
struct Size {
    /// Of code and map together.
    limit: usize,
    seats: usize,
    threshold: u32,
    scheme: Scheme,
}

impl Default for Size {
    fn default() -> Self {
        Self { limit: usize::MAX, seats: 1, threshold: 0, scheme: Scheme::Auto }
    }
}

/// Whether code memory of this host can be written while others execute it. Where it cannot, as in an emulated process
/// that goes on with stale code, nothing is evicted, and there is nothing to test.
fn evicts() -> bool {
    let evicts = HostCode::new(4096).expect("code memory").concurrent_write();
    assert!(evicts || cfg!(not(target_arch = "x86_64")) || cfg!(target_os = "macos"), "this host has two mappings");
    if !evicts {
        println!("code memory flips its permissions here: eviction is not tested");
    }
    evicts
}

/// Runs `work` with an engine of such a cache, on a thread that has the native stack that guests want.
fn with_engine(source: &str, size: Size, work: impl FnOnce(&Engine<'_>) + Send) {
    try_engine(source, size, work).unwrap_or_else(|error| panic!("{error}"));
}

/// The same, if the engine can be made.
fn try_engine(source: &str, size: Size, work: impl FnOnce(&Engine<'_>) + Send) -> Result<(), EngineError> {
    alarmed(|_| {
        with_stack(|| {
            let sizes = text::sizes(source);
            let (mut words, mut scratch) = (vec![0; sizes.out_words], vec![0; sizes.scratch_words.max(1 << 16)]);
            let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
            let module = Module::verify(&words[..used], &mut scratch).unwrap_or_else(|error| panic!("{error}"));
            let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
            let mut code = HostCode::new_with(need::CODE, size.scheme).expect("code memory");
            let mut map = vec![0; CodeCache::map_words(code.size())];
            let mut seats: Vec<_> = (0..size.seats).map(|_| Seat::new()).collect();
            let mut marks: Vec<_> = (0..CodeCache::mark_words(&module)).map(|_| Marks::new(0)).collect();
            let cache =
                CodeCache { code: &mut code, map: &mut map, limit: size.limit, seats: &mut seats, marks: &mut marks };
            let options =
                Options { features: opstamp_platform::features(), threshold: size.threshold, ..Options::default() };
            let engine = Engine::cached(module, &mut functions, cache, &mut scratch, &options)?;
            work(&engine);
            Ok(())
        })
    })
}

/// Runs `work` with an instance that calls `sleep` for the host function of that name.
fn with_instance(
    engine: &Engine<'_>,
    sleep: &dyn Fn(&mut HostCall<'_>) -> Result<(), Trap>,
    work: impl FnOnce(&mut Instance<'_>),
) {
    let imports = [
        HostFn { name: "back", params: &[TypeId::I64, TypeId::I64], result: TypeId::I64, run: &back },
        HostFn { name: "sleep", params: &[], result: TypeId::NONE, run: sleep },
    ];
    let (mut stack, mut state) = (vec![0; need::STACK], vec![0; Instance::state_words(engine.module())]);
    let memory = InstanceMemory {
        heap: &mut [],
        seed: 0,
        stack: &mut stack,
        state: &mut state,
        native_stack: need::NATIVE_STACK,
    };
    work(&mut Instance::new(engine, memory, &imports).unwrap_or_else(|error| panic!("{error}")));
}

fn no_sleep(_: &mut HostCall<'_>) -> Result<(), Trap> {
    Ok(())
}

/// Calls a function drawn at random, and compares.
fn one_call(instance: &mut Instance<'_>, rng: &mut Rng) {
    let (k, x, n) = (rng.next(COUNT), rng.next(1 << 30), rng.next(6));
    let (name, args, wanted): (_, &[Value], _) = match rng.next(5) {
        0 => ("leaf", &[x.into()], leaf(k, x)),
        1 => ("pair", &[x.into()], pair(k, x)),
        2 => ("host", &[x.into()], host(k, x)),
        3 => ("last", &[x.into()], last(k, x)),
        _ => ("down", &[x.into(), n.into()], down(k, x, n)),
    };
    let found = instance.call(&format!("{name}{k}"), args);
    assert_eq!(found, Ok(Some(Value::I64(wanted))), "{name}{k}({x}, {n})");
}

fn stats(engine: &Engine<'_>) -> CodeStats {
    loop {
        if let Some(stats) = engine.code_stats() {
            return stats;
        }
    }
}

/// Bytes of machine code of all functions, by an engine with room for all.
fn whole(source: &str) -> u64 {
    let mut emitted = 0;
    with_engine(source, Size::default(), |engine| {
        for func in 0..engine.functions().len() {
            assert!(engine.compile(func as u16), "{func}");
        }
        let stats = stats(engine);
        assert_eq!((stats.freed, stats.postponed, stats.refused), (0, 0, None));
        emitted = stats.emitted;
    });
    emitted
}

#[test]
fn code_of_twenty_times_the_cache() {
    if !evicts() {
        return;
    }
    let source = source();
    let whole = whole(&source);
    for threshold in [0, 1, 4] {
        // The stubs take about 1 KiB of it, and none smaller than 2 KiB can be made.
        let limit = 3072 + whole as usize / 20;
        with_engine(&source, Size { limit, threshold, ..Size::default() }, |engine| {
            with_instance(engine, &no_sleep, |instance| {
                let mut rng = Rng(1 + u64::from(threshold));
                for _ in 0..60_000 {
                    one_call(instance, &mut rng);
                    let stats = stats(engine);
                    assert!(stats.limit == limit && stats.used + stats.map <= limit, "{stats:?}");
                }
                let stats = stats(engine);
                println!("threshold {threshold}: {stats:?}, all functions {whole} bytes");
                assert!(stats.freed > 500 && stats.emitted > whole / 2, "{stats:?}");
                assert_eq!(stats.refused, None);
            });
        });
    }
}

/// What is called again and again stays, although as much as many caches is compiled beside it.
#[test]
fn what_is_warm_stays() {
    if !evicts() {
        return;
    }
    let source = source();
    with_engine(&source, Size { limit: 16 << 10, ..Size::default() }, |engine| {
        with_instance(engine, &no_sleep, |instance| {
            let func = engine.module().func_index("pair3").expect("is there");
            for k in 10..COUNT {
                for x in 0..3 {
                    assert_eq!(instance.call("pair3", &[x.into()]), Ok(Some(Value::I64(pair(3, x)))));
                }
                let other = engine.module().func_index(&format!("leaf{k}")).expect("is there");
                engine.compile(other);
            }
            let stats = stats(engine);
            assert!(stats.freed > 100 && stats.relinked > 0, "{stats:?}");
            // Compiled once each at most, beside `pair3` and its two leaves.
            assert!(stats.compiled <= COUNT as u64 - 10 + 3 + 2, "{stats:?}");
            assert!(engine.compile(func));
        });
    });
}

/// A cache that can be made is of use, however small, and one that has no room for the stubs is refused.
#[test]
fn the_smallest_cache() {
    if !evicts() {
        return;
    }
    let source = source();
    let (mut refused, mut smallest) = (0, None);
    for limit in (0..4096).step_by(64) {
        let made = try_engine(&source, Size { limit, ..Size::default() }, |engine| {
            assert_eq!(stats(engine).used, 0, "nothing has been compiled");
            with_instance(engine, &no_sleep, |instance| {
                let mut rng = Rng(9);
                (0..2000).for_each(|_| one_call(instance, &mut rng));
            });
            let stats = stats(engine);
            assert!(stats.used + stats.map <= limit && stats.compiled > 0, "{stats:?}");
        });
        match made {
            Ok(()) => smallest = smallest.or(Some(limit)),
            Err(EngineError::Compile(CompileError::Emit {
                func: None,
                error: EmitError::Full { needed, capacity },
            })) => {
                assert!(needed > capacity && capacity <= limit, "{needed} bytes of {capacity}, with {limit}");
                assert_eq!(smallest, None, "{limit} bytes are too few");
                refused += 1;
            }
            Err(error) => panic!("{limit} bytes: {error}"),
        }
    }
    assert!(refused > 0 && smallest.is_some());
}

#[test]
fn guests_without_a_seat_are_interpreted() {
    // Where nothing is evicted, guests need no seats.
    if !evicts() {
        return;
    }
    let source = source();
    with_engine(&source, Size { seats: 0, ..Size::default() }, |engine| {
        with_instance(engine, &no_sleep, |instance| {
            let mut rng = Rng(5);
            (0..2000).for_each(|_| one_call(instance, &mut rng));
        });
        assert_eq!(stats(engine).compiled, 0);
    });
}

/// Where pages are writable or executable, nothing is written twice: what does not fit is interpreted.
#[test]
#[cfg_attr(target_os = "macos", ignore = "there is another way to write there")]
fn pages_that_flip_are_not_used_again() {
    let source = source();
    with_engine(&source, Size { scheme: Scheme::Flip, limit: 1 << 20, ..Size::default() }, |engine| {
        with_instance(engine, &no_sleep, |instance| {
            let mut rng = Rng(6);
            (0..4000).for_each(|_| one_call(instance, &mut rng));
        });
        let stats = stats(engine);
        assert!(stats.compiled > 100 && stats.unlinked == 0 && stats.map == 0, "{stats:?}");
        assert!(!engine.evict(2));
    });
}

/// Threads call the same functions in a cache that holds few of them, while others compile and evict.
#[test]
fn threads_share_a_small_cache() {
    if !evicts() {
        return;
    }
    const THREADS: u64 = 4;
    let calls = if cfg!(target_arch = "x86_64") { 400_000 } else { 20_000 };
    let source = source();
    with_engine(
        &source,
        Size { limit: 24 << 10, seats: THREADS as usize - 1, threshold: 1, ..Size::default() },
        |engine| {
            let (done, evicted) = (AtomicU64::new(0), AtomicU64::new(0));
            std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let done = &done;
                    let builder = std::thread::Builder::new().stack_size(16 * need::NATIVE_STACK);
                    let run = move || {
                        // Counted even if an assertion fails: else the evictor below would go on for ever.
                        let _counted = Counted(done);
                        with_instance(engine, &no_sleep, |instance| {
                            let mut rng = Rng(77 + thread);
                            (0..calls).for_each(|_| one_call(instance, &mut rng));
                        });
                    };
                    builder.spawn_scoped(scope, run).expect("a thread");
                }
                let mut rng = Rng(3);
                while done.load(Ordering::Relaxed) < THREADS {
                    for _ in 0..100 {
                        let func = rng.next(engine.functions().len() as i64) as u16;
                        evicted.fetch_add(u64::from(engine.evict(func)), Ordering::Relaxed);
                    }
                    engine.compile(rng.next(engine.functions().len() as i64) as u16);
                    std::thread::yield_now();
                }
            });
            let stats = stats(engine);
            println!("{} calls on {THREADS} threads, {evicted:?} evicted by the host: {stats:?}", THREADS * calls);
            assert!(stats.freed > 1000 && evicted.into_inner() > 100, "{stats:?}");
        },
    );
}

struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A guest that never leaves a loop, and one that stays in a host function, do not stop the others from using the bytes of
/// what they do not run.
#[test]
fn guests_that_never_come_out() {
    if !evicts() {
        return;
    }
    let source = source();
    with_engine(&source, Size { limit: 16 << 10, seats: 3, ..Size::default() }, |engine| {
        let (wake, sleeping, handle) = (AtomicBool::new(false), AtomicBool::new(false), AtomicPtr::default());
        std::thread::scope(|scope| {
            let thread = || std::thread::Builder::new().stack_size(16 * need::NATIVE_STACK);
            let forever = thread().spawn_scoped(scope, || {
                with_instance(engine, &no_sleep, |instance| {
                    handle.store(instance.interrupter().into_raw(), Ordering::Release);
                    let func = engine.module().func_index("forever").expect("is there");
                    let found = instance.call("forever", &[1.into()]);
                    let Err(CallError::Trap(report)) = found else { panic!("{found:?}") };
                    assert_eq!(report.trap, Trap::new(TrapKind::Interrupted));
                    let leaf = engine.module().func_index("leaf1").expect("is there");
                    assert!(report.func == func || report.func == leaf, "{report:?}");
                });
            });
            let asleep = thread().spawn_scoped(scope, || {
                let sleep = |_: &mut HostCall<'_>| {
                    sleeping.store(true, Ordering::Release);
                    while !wake.load(Ordering::Acquire) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                };
                with_instance(engine, &sleep, |instance| {
                    assert_eq!(instance.call("asleep", &[5.into()]), Ok(Some(Value::I64(leaf(2, 5) + 1))));
                });
            });
            let (forever, asleep) = (forever.expect("a thread"), asleep.expect("a thread"));
            while !sleeping.load(Ordering::Acquire) || handle.load(Ordering::Acquire).is_null() {
                std::thread::yield_now();
            }
            let before = stats(engine).freed;
            with_instance(engine, &no_sleep, |instance| {
                let mut rng = Rng(11);
                for _ in 0..60_000 {
                    one_call(instance, &mut rng);
                }
            });
            let after = stats(engine);
            assert!(after.freed > before + 500, "{after:?}");
            // What they run is still there: the one returns to it, the other goes on until it is stopped.
            wake.store(true, Ordering::Release);
            asleep.join().expect("no failure");
            // SAFETY: the instance's memory lives until its thread has been joined.
            unsafe { Interrupter::from_raw(handle.load(Ordering::Acquire)) }.interrupt();
            forever.join().expect("no failure");
        });
    });
}
