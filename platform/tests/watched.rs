//! Nothing is ever writable and executable: the process's own map is read at every request of emission and patching,
//! while guest code runs, and all the time by another thread.
#![cfg(all(
    any(target_os = "linux", target_os = "macos", windows),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod system;

use opstamp::code::{CodeError, CodeMemory, CodeRange, Patch, patch};
use opstamp::jit::{self, Options};
use opstamp::masm::{FUNCTION_ALIGN, Isa, Place};
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{Engine, HostCall, HostFn, Instance, InstanceMemory, Module, TypeId, Value};
use opstamp_platform::{HostCode, Scheme, features};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use system::{BY_THREAD, FILLER, MIB, executable_bytes, permissions, regions, returns, schemes, turn, write};

/// Runs `body` while another thread reads the map, at least 20 times.
fn watched(body: impl FnOnce()) {
    let (stop, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    let round = || {
        // This checks every mapping.
        regions();
        rounds.fetch_add(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) || rounds.load(Ordering::Relaxed) < 20 {
                round();
            }
        });
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        stop.store(true, Ordering::Relaxed);
        watcher.join().expect("never writable and executable");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Code memory that looks at the map around every request.
struct Watched<'c> {
    code: &'c mut HostCode,
    requests: Cell<u32>,
}

impl Watched<'_> {
    fn look(&self) {
        regions();
        self.requests.set(self.requests.get() + 1);
    }
}

// SAFETY: all promises are the inner window's, of which this is the front.
unsafe impl CodeMemory for Watched<'_> {
    fn base(&self) -> usize {
        self.code.base()
    }

    fn size(&self) -> usize {
        self.code.size()
    }

    fn page(&self) -> usize {
        self.code.page()
    }

    fn concurrent_write(&self) -> bool {
        self.code.concurrent_write()
    }

    fn open(&mut self, range: CodeRange) -> Result<&mut [u8], CodeError> {
        self.look();
        self.code.open(range)?;
        self.look();
        self.code.open(range)
    }

    fn publish(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.look();
        self.code.publish(range)?;
        self.look();
        let first = permissions(self.base() + range.start).unwrap();
        assert!(range.is_empty() || first.starts_with("r-x"), "{range:?} is {first}");
        Ok(())
    }

    fn sync_cores(&self) -> Result<(), CodeError> {
        self.look();
        self.code.sync_cores()
    }

    fn describe(&mut self, stubs: CodeRange) -> Result<(), CodeError> {
        self.code.describe(stubs)?;
        self.look();
        Ok(())
    }

    fn release(&mut self, range: CodeRange) -> Result<(), CodeError> {
        self.code.release(range)?;
        self.look();
        Ok(())
    }
}

const SOURCE: &str = "
import look(i64)
func inner(n: i64) -> i64
  host     look(n)
  i64.add  n, n, 1
  ret      n
end
func outer(n: i64) -> i64
  local s: i64
again:
  call     s, inner(s)
  br.i64.lt s, n, again
  ret      s
end
";

#[test]
fn emission_and_execution() {
    let _turn = turn();
    let (mut words, mut scratch) = (vec![0; 4096], vec![0; 64 * 1024]);
    let len = text::assemble(SOURCE, &mut words, &mut scratch, &mut |_| {}).unwrap();
    let module = Module::verify(&words[..len], &mut scratch).unwrap();
    for scheme in schemes() {
        watched(|| {
            let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
            let mut code = HostCode::new_with(MIB, scheme).unwrap();
            let base = code.base();
            let mut code = Watched { code: &mut code, requests: Cell::new(0) };
            let mut scratch = vec![0; jit::scratch_words(&module)];
            let options = Options { features: features(), ..Options::default() };
            let engine =
                Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options).expect("compiles");
            let looks = Cell::new(0);
            let look = |_: &mut HostCall<'_>| {
                // Guest code is on the stack, in pages that can be executed.
                assert!(permissions(base).unwrap().starts_with("r-x"));
                looks.set(looks.get() + 1);
                Ok(())
            };
            let imports = [HostFn { name: "look", params: &[TypeId::I64], result: TypeId::NONE, run: &look }];
            let (mut stack, mut state) = (vec![0; 4096], vec![0; Instance::state_words(engine.module())]);
            let native_stack = 512 * 1024;
            let memory = InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack };
            let mut instance = Instance::new(&engine, memory, &imports).unwrap();
            assert_eq!(instance.call("outer", &[Value::I64(10)]), Ok(Some(Value::I64(10))));
            assert_eq!(looks.get(), 10, "{scheme:?}");
        });
    }
}

/// Two functions, and a site before them that leads to one or the other.
const FIRST: usize = 128;
const SECOND: usize = 192;

/// `jmp [rip + 58]`: FF /4 with ModRM 25 (Intel SDM vol. 2, JMP), 6 bytes, through the word at offset 64.
#[cfg(target_arch = "x86_64")]
const SITE: [u8; 6] = [0xFF, 0x25, 58, 0, 0, 0];
/// `b #128`: to the first function (Arm ARM DDI 0487, C6.2, B: the offset in words).
#[cfg(target_arch = "aarch64")]
const SITE: [u8; 4] = 0x1400_0020_u32.to_le_bytes();

/// The patch that leads the site to the function at `target`, and where it is.
fn leads_to(base: usize, target: usize) -> (usize, Patch) {
    if cfg!(target_arch = "x86_64") {
        (64, Patch::Data((base + target) as u64))
    } else {
        (0, Patch::Instruction(0x1400_0000 | (target / 4) as u32))
    }
}

#[test]
fn patching() {
    let _turn = turn();
    for scheme in schemes() {
        watched(|| {
            let mut code = HostCode::new_with(MIB, scheme).unwrap();
            let base = code.base();
            write(&mut code, 0, &SITE);
            write(&mut code, 64, &(base + FIRST).to_le_bytes()[..8]);
            write(&mut code, FIRST, &returns(1));
            write(&mut code, SECOND, &returns(2));
            code.publish(CodeRange { start: 0, end: 256 }).unwrap();
            code.sync_cores().unwrap();
            // SAFETY: at the start of the window a function of this type has been published.
            let site = unsafe { std::mem::transmute::<usize, extern "C" fn() -> u32>(base) };
            assert_eq!(site(), 1);
            let (stop, calls) = (AtomicBool::new(false), AtomicU32::new(0));
            let mut code = Watched { code: &mut code, requests: Cell::new(0) };
            let concurrent = scheme == Scheme::TwoMappings;
            thread::scope(|scope| {
                // Another core executes the site while it changes, where the scheme allows that.
                scope.spawn(|| {
                    while concurrent && !stop.load(Ordering::Relaxed) {
                        assert!([1, 2].contains(&site()));
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let mut round = 0;
                while round < 100 || concurrent && calls.load(Ordering::Relaxed) < 1000 {
                    let (result, target, before) = if round % 2 == 0 { (2, SECOND, FIRST) } else { (1, FIRST, SECOND) };
                    let (offset, new) = leads_to(base, target);
                    assert_eq!(patch(&mut code, offset, new), Ok(leads_to(base, before).1), "{scheme:?}");
                    assert_eq!(site(), result, "{scheme:?}, round {round}");
                    round += 1;
                }
                stop.store(true, Ordering::Relaxed);
            });
            assert!(code.requests.get() >= 500, "open, publish and synchronize, looked at from both sides");
        });
    }
}

/// Behind the last function there is nothing that could be executed without a fault: not the rest of the room that was
/// opened for it, and no other page.
#[test]
fn only_filler_lies_behind_the_code() {
    let _turn = turn();
    let (mut words, mut scratch) = (vec![0; 4096], vec![0; 64 * 1024]);
    let len = text::assemble(SOURCE, &mut words, &mut scratch, &mut |_| {}).unwrap();
    let module = Module::verify(&words[..len], &mut scratch).unwrap();
    let options = Options { features: features(), ..Options::default() };
    // The same code, made in plain memory to learn where it ends.
    let isa = Isa::HOST.unwrap();
    let mut plain = vec![0; MIB];
    let stubs = jit::stubs(isa, &mut plain, options.features, jit::most_floats(&module)).unwrap();
    let mut end = stubs.end.next_multiple_of(FUNCTION_ALIGN);
    for func in 0..module.func_count() as u16 {
        let place = Place::new(end, options.features, stubs, func);
        let memory = &mut plain[end..];
        end += jit::function(isa, &module, func, memory, place, &mut scratch, options.max_pinned).unwrap().end();
    }
    for scheme in schemes() {
        let before = executable_bytes();
        let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        let base = code.base();
        Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &options).expect("compiles");
        let executable = executable_bytes() - before;
        if BY_THREAD {
            continue;
        }
        assert!(end < executable, "{end} of {executable} bytes");
        // SAFETY: what can be executed is mapped and readable, and starts with the window.
        let bytes = unsafe { std::slice::from_raw_parts(base as *const u8, executable) };
        assert_eq!(bytes[..end], plain[..end], "the code is the same");
        assert!(bytes[end..].iter().all(|&byte| byte == FILLER), "{scheme:?}: {end:#x} of {executable:#x}");
    }
}
