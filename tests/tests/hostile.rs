//! Damaged containers and sources, and too little memory of every kind: always a clear error or a defined result, never a
//! panic, and what the verifier still accepts runs the same on every engine.
//!
//! `OPSTAMP_SEED` is the seed of the damage, `OPSTAMP_HOSTILE` the number of damaged containers.

mod common;

use common::{EngineUnderTest, Room, engines, from_environment, with_stack};
use fastrand::Rng;
use opstamp::runtime::context::Entry;
use opstamp::vm3::container::{HEADER_WORDS, words_of};
use opstamp::vm3::op::Bank;
use opstamp::vm3::text;
use opstamp::{
    CallError, Cell, CodeError, CodeMemory, CodeRange, Engine, EngineError, Instance, InstanceMemory, InstantiateError,
    Interrupter, Module, Trap, TrapKind, TypeId, Value,
};
use opstamp_platform::HostCode;
use opstamp_tests::driver::{CacheRoom, GARBAGE, need};
use opstamp_tests::{SOURCE_BYTES, heap_suite, host, suite};
use std::fmt::Display;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

/// Damaged containers, unless the environment says otherwise.
const TRIALS: u64 = 40_000;

fn assemble(source: &str) -> Vec<u64> {
    let sizes = text::sizes(source);
    let mut words = vec![0; sizes.out_words];
    let mut scratch = vec![0; sizes.scratch_words];
    let used = text::assemble(source, &mut words, &mut scratch, &mut |_| {}).expect("assembles");
    words.truncate(used);
    words
}

/// The suite's modules that are small enough to be damaged everywhere, without those made of many functions of one kind.
fn sources() -> Vec<String> {
    let mut buffer = vec![0; SOURCE_BYTES];
    let mut sources = Vec::new();
    suite(&mut buffer, &mut |group| {
        if group.text.len() < 6000 && sources.len() < 400 {
            sources.push(group.text.to_owned());
        }
    });
    assert!(sources.len() > 100);
    sources
}

/// Those about the heap.
fn heap_sources() -> Vec<String> {
    let mut buffer = vec![0; SOURCE_BYTES];
    let mut sources = Vec::new();
    heap_suite(&mut buffer, &mut |group| sources.push(group.text.to_owned()));
    assert!(sources.len() > 10);
    sources
}

/// Asks the guest that is running to stop when it has run for a while.
struct Watchdog {
    running: Mutex<Option<AtomicPtr<()>>>,
    calls: AtomicU64,
    done: AtomicBool,
}

impl Watchdog {
    fn watch(&self) {
        let mut last = 0;
        while !self.done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
            let calls = self.calls.load(Ordering::Relaxed);
            if calls == last
                && let Some(handle) = &*self.running.lock().expect("the lock")
            {
                // SAFETY: the state stays lent to its instance while the handle's address stands behind the lock.
                unsafe { Interrupter::from_raw(handle.load(Ordering::Relaxed)) }.interrupt();
            }
            last = calls;
        }
    }

    fn call(&self, instance: &mut Instance<'_>, func: u16, args: &[Value]) -> Result<Option<Value>, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        *self.running.lock().expect("the lock") = Some(AtomicPtr::new(instance.interrupter().into_raw()));
        let found = instance.call_index(func, args);
        *self.running.lock().expect("the lock") = None;
        found
    }
}

/// What each function of a module did, and what the globals were after it, as bits.
type Trace = Vec<(Result<Option<u64>, CallError>, Vec<u64>)>;

/// Runs every function once, with small values.
fn trace(module: Module<'_>, engine: &EngineUnderTest, room: &mut Room, dog: &Watchdog) -> Result<Trace, String> {
    let (memory, code) = room.parts();
    let functions = memory.functions;
    let mut cache = CacheRoom::new();
    let engine = engine.make(module, functions, code, &mut cache, memory.scratch);
    let engine = engine.map_err(|error| error.to_string())?;
    let imports = host::imports();
    memory.stack.fill(GARBAGE);
    let memory = InstanceMemory {
        heap: memory.heap,
        seed: 0,
        stack: memory.stack,
        state: memory.state,
        native_stack: memory.native_stack,
    };
    let mut instance = Instance::new(&engine, memory, &imports).map_err(|error| error.to_string())?;
    let container = *module.container();
    let mut trace = Vec::new();
    for func in 0..Engine::functions_needed(&module).min(8) as u16 {
        let sig = container.func(func.into()).and_then(|func| container.sig(func.sig)).expect("verified");
        let args: Vec<_> = (0..sig.count)
            .map(|param| match container.param(&sig, param).map(TypeId::bank) {
                Some(Bank::I64) => Value::I64(i64::from(param) + 2),
                Some(Bank::F64) => Value::F64(f64::from(param) + 0.5),
                _ => Value::Cell(Cell::NULL),
            })
            .collect();
        instance.reset().expect("no global needs a heap");
        let outcome = dog.call(&mut instance, func, &args);
        let globals = (0..).map_while(|index| instance.global(index)).map(Value::bits).collect();
        trace.push((outcome.map(|value| value.map(Value::bits)), globals));
    }
    Ok(trace)
}

fn interrupted(outcome: &Result<Option<u64>, CallError>) -> bool {
    matches!(outcome, Err(CallError::Trap(report)) if report.trap.kind == TrapKind::Interrupted)
}

/// The same without the index and the generation of each handle: behind a function that was stopped somewhere, which ones
/// are free depends on how far it had come.
fn without_indices((outcome, globals): &(Result<Option<u64>, CallError>, Vec<u64>)) -> Trace {
    let cut = |bits: u64| if bits >> 48 == 0xFFFF { bits >> 44 << 44 } else { bits };
    let globals = globals.iter().copied().map(cut).collect();
    vec![(outcome.map(|value| value.map(cut)), globals)]
}

/// Reads, verifies and, if that succeeds, runs a container on all engines: whether it was accepted.
fn survive(words: &[u64], engines: &[EngineUnderTest], room: &mut Room, dog: &Watchdog) -> bool {
    let needed = Module::scratch_words(words).unwrap_or(0);
    if needed > need::SCRATCH {
        return false;
    }
    let mut scratch = vec![u64::MAX; needed];
    let module = match Module::verify(words, &mut scratch) {
        Ok(module) => module,
        Err(error) => {
            assert!(error.to_string().len() > 10, "{error:?}");
            return false;
        }
    };
    let mut first: Option<Result<Trace, String>> = None;
    for engine in engines {
        let found = trace(module, engine, room, dog);
        let Some(first) = &first else {
            first = Some(found);
            continue;
        };
        match (first, &found) {
            (Ok(first), Ok(found)) => {
                let mut stopped = false;
                for (first, found) in first.iter().zip(found) {
                    if interrupted(&first.0) || interrupted(&found.0) {
                        stopped = true;
                    } else if stopped {
                        let [first, found] = [first, found].map(without_indices);
                        assert_eq!(first, found, "{} differs from the interpreter: {words:#x?}", engine.name);
                    } else {
                        assert_eq!(first, found, "{} differs from the interpreter: {words:#x?}", engine.name);
                    }
                }
            }
            (first, found) => assert_eq!(first, found, "{}", engine.name),
        }
    }
    true
}

fn damage(words: &mut [u64], rng: &mut Rng) {
    let len = words.len();
    for _ in 0..rng.usize(1..4) {
        // The header is small and everything depends on it; the code lies at the end.
        let at = match rng.u8(0..8) {
            0 => rng.usize(0..HEADER_WORDS),
            1..5 => rng.usize(len / 2..len),
            _ => rng.usize(HEADER_WORDS..len),
        };
        let shift = 16 * rng.u32(0..4);
        let other = words[rng.usize(0..len)];
        let word = &mut words[at];
        match rng.u8(0..6) {
            0 | 1 => *word ^= 1 << rng.u32(0..64),
            2 => *word = (*word & !(0xFFFF << shift)) | u64::from(rng.u16(0..64)) << shift,
            3 => *word = (*word & !0xFF) | u64::from(rng.u8(..)),
            4 => {
                let edges = [0, 0xFFFF, 0x7FFF, 0x8000, 0xFFFF_FFFF, u64::MAX, 1 << 32, u64::from(rng.u32(..))];
                *word = edges[rng.usize(0..edges.len())];
            }
            _ => *word = other,
        }
    }
}

#[test]
fn damaged_containers_are_refused_or_run_alike() {
    let trials = from_environment("OPSTAMP_HOSTILE", TRIALS);
    let seed = from_environment("OPSTAMP_SEED", 1);
    println!("hostile: seed {seed}");
    let dog = Watchdog { running: Mutex::new(None), calls: AtomicU64::new(0), done: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        scope.spawn(|| dog.watch());
        let work = || {
            let engines = engines();
            let mut room = Room::new();
            let containers: Vec<_> = sources().iter().map(|source| assemble(source)).collect();
            let on_heap: Vec<_> = heap_sources().iter().map(|source| assemble(source)).collect();
            let rng = &mut Rng::with_seed(seed);
            let mut accepted = [0u64; 2];
            for container in containers.iter().chain(&on_heap) {
                assert!(survive(container, &engines, &mut room, &dog), "an undamaged container is refused");
            }
            for _ in 0..trials {
                let heap = rng.u8(0..4) == 0;
                let containers = if heap { &on_heap } else { &containers };
                let mut words = containers[rng.usize(0..containers.len())].clone();
                damage(&mut words, rng);
                accepted[usize::from(heap)] += u64::from(survive(&words, &engines, &mut room, &dog));
            }
            let [plain, heap] = accepted;
            println!(
                "hostile: {trials} damaged containers, {plain} without and {heap} with heap ops accepted and run alike on {}",
                engines.len()
            );
            assert!(plain > trials / 100 && heap > trials / 400 && plain + heap < trials, "the damage is of no use");
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| with_stack(work)));
        dog.done.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn every_truncation_is_refused() {
    let mut scratch = vec![0; need::SCRATCH];
    for source in sources().iter().step_by(7) {
        let words = assemble(source);
        for len in 0..words.len() {
            let error = Module::verify(&words[..len], &mut scratch).expect_err("a truncated container is accepted");
            assert!(!error.to_string().is_empty());
            // The same with a header that states the shorter length.
            let mut shorter = words[..len].to_vec();
            if let Some(length) = shorter.get_mut(1) {
                *length = len as u64;
            }
            Module::verify(&shorter, &mut scratch).expect_err("a truncated container is accepted");
        }
        let longer: Vec<u64> = words.iter().copied().chain([0]).collect();
        Module::verify(&longer, &mut scratch).expect_err("a container with a word behind it is accepted");
    }
    let words = assemble("func f()\n  ret\nend\n");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut aligned = vec![0u64; words.len() + 1];
    // SAFETY: any bytes make words, and the length is that of the words.
    let place = unsafe { std::slice::from_raw_parts_mut(aligned.as_mut_ptr().cast::<u8>(), 8 * words.len() + 8) };
    for shift in 0..8 {
        place[shift..shift + bytes.len()].copy_from_slice(&bytes);
        for len in 0..=bytes.len() {
            let found = words_of(&place[shift..shift + len]);
            let right = shift == 0 && len % 8 == 0 && len / 8 >= HEADER_WORDS;
            assert!(found.is_ok() == right || (len == 0), "shift {shift}, {len} bytes: {found:?}");
        }
    }
}

#[test]
fn damaged_sources_assemble_or_are_refused() {
    let rng = &mut Rng::with_seed(from_environment("OPSTAMP_SEED", 1));
    let mut words = vec![0; need::WORDS];
    let mut scratch = vec![0; need::SCRATCH];
    let mut verified = vec![0; need::SCRATCH];
    let (mut refused, mut accepted) = (0, 0);
    let sources = sources();
    let odd =
        ["\"", "[", "]", "(", ")", ",", ":", "\n", ";", "-", "0x", "99999999999999999999", "end", "é", "\0", "func"];
    for _ in 0..20_000 {
        let mut bytes = sources[rng.usize(0..sources.len())].as_bytes().to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            match rng.u8(0..10) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = rng.u8(..),
                2 => drop(bytes.splice(at..at, odd[rng.usize(0..odd.len())].bytes())),
                3 => drop(bytes.drain(at..(at + 9).min(bytes.len()))),
                4 => bytes.swap(at, 0),
                5 | 6 => {
                    if let Some(digit) = bytes[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                        *digit = rng.u8(b'0'..=b'9');
                    }
                }
                _ => {
                    // Another line in the place of one.
                    let mut lines: Vec<_> = bytes.split(|&byte| byte == b'\n').collect();
                    let (from, to) = (rng.usize(0..lines.len()), rng.usize(0..lines.len()));
                    lines[to] = lines[from];
                    bytes = lines.join(&b'\n');
                }
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        let source = String::from_utf8_lossy(&bytes);
        match text::assemble(&source, &mut words, &mut scratch, &mut |_| {}) {
            Ok(used) => {
                accepted += 1;
                let _ = Module::verify(&words[..used], &mut verified);
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().len() > 10, "{error:?}");
            }
        }
    }
    println!("hostile: {refused} damaged sources refused, {accepted} accepted");
    assert!(refused > 1000 && accepted > 100);
}

/// A code window that ends early, or that refuses after some requests.
struct Limited<'c> {
    code: &'c mut HostCode,
    size: usize,
    requests: u32,
}

impl Limited<'_> {
    fn request(&mut self, range: CodeRange) -> Result<(), CodeError> {
        if range.start > range.end || range.end > self.size {
            return Err(CodeError::Range { range, size: self.size });
        }
        let refusal = CodeError::System { action: "go on", code: 12 };
        self.requests = self.requests.checked_sub(1).ok_or(refusal)?;
        Ok(())
    }
}

// SAFETY: all promises are the inner window's, of which this is the front.
unsafe impl CodeMemory for Limited<'_> {
    fn base(&self) -> usize {
        self.code.base()
    }
    fn size(&self) -> usize {
        self.size
    }
    fn page(&self) -> usize {
        self.code.page()
    }
    fn concurrent_write(&self) -> bool {
        self.code.concurrent_write()
    }
    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        self.request(range)?;
        self.code.open(range)
    }
    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.request(range)?;
        self.code.publish(range)
    }
    fn sync_cores(&self) -> Result<(), CodeError> {
        if self.requests == 0 { Err(CodeError::Unsupported) } else { self.code.sync_cores() }
    }
}

/// A module that needs every kind of memory: `sum(10)` is 55 + 31 * 10 + 5 + 7.
const MODULE: &str = "
import h_mix(i64, i64) -> i64
table t = [3, 5, 7]
global g: i64 = 5
global s: any = \"short\"
func sum(n: i64) -> i64
  local d: i64, e: i64, i: i64, x: f64, c: any
  br.i64.le n, 0, done
  i64.sub d, n, 1
  call d, sum(d)
  i64.add d, d, n
  global.get c, s
  br.i64.ne n, 10, done
  host e, h_mix(n, d)
  i64.add d, e, 0
  global.get e, g
  i64.add d, d, e
  i64.const i, 2
  table.get e, t, i
  i64.add d, d, e
done:
  ret d
end
func leaf(x: f64, c: str) -> f64
  f64.add x, x, x
  ret x
end
";
const RESULT: i64 = 55 + 31 * 10 + 5 + 7;

fn says(error: &dyn Display) {
    assert!(error.to_string().len() > 20, "{error}");
}

#[test]
fn too_little_memory_for_assembler_and_verifier() {
    let sizes = text::sizes(MODULE);
    let words = assemble(MODULE);
    let mut out = vec![0; sizes.out_words];
    let mut scratch = vec![0; sizes.scratch_words];
    for given in 0..sizes.scratch_words {
        let error = text::assemble(MODULE, &mut out, &mut scratch[..given], &mut |_| {}).expect_err("too little");
        says(&error);
    }
    for given in 0..words.len() {
        let error = text::assemble(MODULE, &mut out[..given], &mut scratch, &mut |_| {}).expect_err("too little");
        says(&error);
    }
    let used = text::assemble(MODULE, &mut out[..words.len()], &mut scratch, &mut |_| {}).expect("just enough");
    assert_eq!(&out[..used], &words);
    let needed = Module::scratch_words(&words).expect("a container");
    assert!(needed > 0);
    for given in 0..needed {
        says(&Module::verify(&words, &mut vec![0; given]).expect_err("too little"));
    }
    Module::verify(&words, &mut vec![0; needed]).expect("just enough");
}

/// The verified module of words.
fn verified(words: &[u64]) -> Module<'_> {
    Module::verify(words, &mut vec![0; need::SCRATCH]).expect("verifies")
}

fn new_engine<'e>(
    module: Module<'e>,
    engine: &'e EngineUnderTest,
    functions: &'e mut [Entry],
    code: &'e mut dyn CodeMemory,
    scratch: &'e mut [u64],
) -> Result<Engine<'e>, EngineError> {
    engine.make(module, functions, code, Box::leak(Box::default()), scratch)
}

/// What the sweep of one kind of memory saw.
#[derive(Default)]
struct Sweep {
    refused: u32,
    worked: u32,
}

impl Sweep {
    fn both(&self) {
        assert!(self.refused > 0 && self.worked > 0, "{} refused, {} worked", self.refused, self.worked);
    }
}

#[test]
fn too_little_memory_for_engines() {
    with_stack(|| {
        let words = assemble(MODULE);
        for engine in engines() {
            let mut code = HostCode::new(need::CODE).expect("code memory");
            let mut room = Room::new();
            let needed = Engine::functions_needed(&verified(&words));
            for given in 0..=needed + 1 {
                let mut functions: Vec<_> = (0..given).map(|_| Entry::default()).collect();
                let memory = room.memory();
                let made = new_engine(verified(&words), &engine, &mut functions, &mut code, memory.scratch);
                match made {
                    Ok(_) => assert!(given >= needed),
                    Err(error) => {
                        assert_eq!(error, EngineError::Functions { needed, given });
                        says(&error);
                    }
                }
            }
            if engine.options.is_none() {
                continue;
            }
            let needed = opstamp::jit::scratch_words(&verified(&words));
            let mut scratch_sweep = Sweep::default();
            for given in 0..=needed {
                let memory = room.memory();
                let made =
                    new_engine(verified(&words), &engine, memory.functions, &mut code, &mut memory.scratch[..given]);
                match made {
                    Ok(engine) => {
                        scratch_sweep.worked += 1;
                        assert_eq!(result(&engine), Ok(Some(Value::I64(RESULT))));
                    }
                    Err(error) => {
                        scratch_sweep.refused += 1;
                        assert!(given < needed, "{error}");
                        says(&error);
                    }
                }
            }
            scratch_sweep.both();
            let (mut size_sweep, mut request_sweep) = (Sweep::default(), Sweep::default());
            for size in (0..12_000).step_by(13) {
                let limited = Limited { code: &mut code, size, requests: u32::MAX };
                limited_code(&words, &engine, limited, &mut room, &mut size_sweep);
            }
            size_sweep.both();
            for requests in 0..12 {
                let limited = Limited { code: &mut code, size: need::CODE, requests };
                limited_code(&words, &engine, limited, &mut room, &mut request_sweep);
            }
            if engine.tiered {
                // It asks for nothing before a function is warm, and interprets what it cannot compile.
                assert_eq!(request_sweep.refused, 0, "{}", engine.name);
            } else {
                request_sweep.both();
            }
        }
    });
}

fn limited_code(words: &[u64], engine: &EngineUnderTest, mut code: Limited<'_>, room: &mut Room, sweep: &mut Sweep) {
    let memory = room.memory();
    match new_engine(verified(words), engine, memory.functions, &mut code, memory.scratch) {
        Ok(engine) => {
            sweep.worked += 1;
            assert_eq!(result(&engine), Ok(Some(Value::I64(RESULT))));
        }
        Err(error) => {
            sweep.refused += 1;
            says(&error);
        }
    }
}

/// What `sum(10)` gives in a fresh instance with much memory.
fn result(engine: &Engine<'_>) -> Result<Option<Value>, CallError> {
    let imports = host::imports();
    let (mut stack, mut state) = (vec![0; 4096], vec![0; Instance::state_words(engine.module())]);
    let memory = InstanceMemory {
        heap: &mut [],
        seed: 0,
        stack: &mut stack,
        state: &mut state,
        native_stack: need::NATIVE_STACK,
    };
    let mut instance = Instance::new(engine, memory, &imports).expect("an instance");
    instance.call("sum", &[Value::I64(10)])
}

#[test]
fn too_little_memory_for_instances() {
    with_stack(|| {
        let words = assemble(MODULE);
        for engine in engines() {
            let mut code = HostCode::new(need::CODE).expect("code memory");
            let mut room = Room::new();
            let memory = room.memory();
            let module = verified(&words);
            let engine = new_engine(module, &engine, memory.functions, &mut code, memory.scratch).expect("an engine");
            let imports = host::imports();
            let needed = Instance::state_words(&module);
            // Two globals, an import and a constant, beside what every instance has.
            assert_eq!(needed, 4 + Instance::state_words(&verified(&assemble("func f()\nret\nend"))));
            for given in 0..=needed + 1 {
                let mut state = vec![0; given];
                let memory =
                    InstanceMemory { heap: &mut [], seed: 0, stack: &mut [], state: &mut state, native_stack: 0 };
                match Instance::new(&engine, memory, &imports) {
                    Ok(_) => assert!(given >= needed),
                    Err(error) => {
                        assert_eq!(error, InstantiateError::State { needed, given });
                        says(&error);
                    }
                }
            }
            for (imports, mismatch) in [(vec![], false), (vec![wrong_signature()], true)] {
                let mut state = vec![0; needed];
                let memory =
                    InstanceMemory { heap: &mut [], seed: 0, stack: &mut [], state: &mut state, native_stack: 0 };
                let error = Instance::new(&engine, memory, &imports).err().expect("no import");
                assert_eq!(error, InstantiateError::Import { name: "h_mix", mismatch });
                says(&error);
            }
            let (mut stack_sweep, mut native_sweep) = (Sweep::default(), Sweep::default());
            let (mut stack, mut state) = (vec![0; 200], vec![0; needed]);
            for given in 0..stack.len() {
                let memory = InstanceMemory {
                    heap: &mut [],
                    seed: 0,
                    stack: &mut stack[..given],
                    state: &mut state,
                    native_stack: need::NATIVE_STACK,
                };
                let mut instance = Instance::new(&engine, memory, &imports).expect("an instance");
                // Eleven frames of a header and six slots; the host frame fits behind the outermost.
                overflow_or_result(&mut instance, given < 11 * 7, &mut stack_sweep);
            }
            stack_sweep.both();
            for given in (0..need::NATIVE_STACK).step_by(997) {
                let memory = InstanceMemory {
                    heap: &mut [],
                    seed: 0,
                    stack: &mut stack,
                    state: &mut state,
                    native_stack: given,
                };
                let mut instance = Instance::new(&engine, memory, &imports).expect("an instance");
                let few = given < opstamp::runtime::context::NATIVE_RESERVE;
                let found = instance.call("sum", &[Value::I64(10)]);
                assert!(!few || found.is_err(), "{given} bytes of native stack: {found:?}");
                count(&found, &mut native_sweep);
            }
            native_sweep.both();
        }
    });
}

fn wrong_signature() -> opstamp::HostFn<'static> {
    opstamp::HostFn { name: "h_mix", params: &[TypeId::I64], result: TypeId::I64, run: &|_| Ok(()) }
}

fn overflow_or_result(instance: &mut Instance<'_>, overflows: bool, sweep: &mut Sweep) {
    let found = instance.call("sum", &[Value::I64(10)]);
    assert_eq!(overflows, found.is_err(), "{found:?}");
    count(&found, sweep);
}

/// Counts a call that overflowed or gave the right result.
fn count(found: &Result<Option<Value>, CallError>, sweep: &mut Sweep) {
    match found {
        Ok(value) => {
            assert_eq!(*value, Some(Value::I64(RESULT)));
            sweep.worked += 1;
        }
        Err(CallError::Trap(report)) => {
            assert_eq!(report.trap, Trap::new(TrapKind::StackOverflow));
            assert_eq!(report.func, 0);
            assert!(matches!(report.op, 0 | 2 | 6), "{report:?}");
            sweep.refused += 1;
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn wrong_calls_are_refused() {
    with_stack(|| {
        let words = assemble(MODULE);
        for engine in engines() {
            let mut room = Room::new();
            let (memory, code) = room.parts();
            let module = verified(&words);
            let engine = new_engine(module, &engine, memory.functions, code, memory.scratch).expect("an engine");
            let imports = host::imports();
            let memory = InstanceMemory {
                heap: &mut [],
                seed: 0,
                stack: memory.stack,
                state: memory.state,
                native_stack: need::NATIVE_STACK,
            };
            let mut instance = Instance::new(&engine, memory, &imports).expect("an instance");
            let one = Value::I64(1);
            let float = Value::F64(1.5);
            let refused = |found: Result<Option<Value>, CallError>, wanted: CallError| {
                assert_eq!(found, Err(wanted));
                says(&wanted);
            };
            refused(instance.call("none", &[]), CallError::NoFunction);
            refused(instance.call("", &[]), CallError::NoFunction);
            for func in [2, 3, 0x7FFF, 0xFFFF] {
                refused(instance.call_index(func, &[one]), CallError::NoFunction);
            }
            refused(instance.call("sum", &[]), CallError::ArgCount { expected: 1, given: 0 });
            refused(instance.call("sum", &[one, one]), CallError::ArgCount { expected: 1, given: 2 });
            let many = vec![one; 70_000];
            refused(instance.call("sum", &many), CallError::ArgCount { expected: 1, given: 70_000 });
            refused(instance.call("sum", &[float]), CallError::ArgType { index: 0, expected: TypeId::I64 });
            let null = Value::Cell(Cell::NULL);
            refused(instance.call("sum", &[null]), CallError::ArgType { index: 0, expected: TypeId::I64 });
            let misfit = CallError::ArgType { index: 1, expected: TypeId::STR };
            for bad in [Cell::TRUE, Cell::float(1.0), Cell::int(4).expect("small")] {
                refused(instance.call("leaf", &[float, bad.into()]), misfit);
            }
            refused(instance.call("leaf", &[float, one]), misfit);
            assert_eq!(instance.call("leaf", &[float, null]), Ok(Some(Value::F64(3.0))));
            assert_eq!(instance.call("sum", &[Value::I64(10)]), Ok(Some(Value::I64(RESULT))));
            assert_eq!(instance.global(2), None);
            assert_eq!(instance.global(u32::MAX), None);
        }
    });
}
