//! Each system call of a code window's life fails in turn: every failure is an error value, nothing leaks, nothing
//! stays writable, and what failed works at the next try.

use super::armed::{Fault, run};
use crate::system::{
    ALIGN, LEN, MIB, Region, alone, function, handles, mapped_bytes, on_real_system, permissions, put, range, regions,
    returns, schemes, turn,
};
use crate::{HostCode, Scheme};
use opstamp::code::{CodeError, CodeMemory, CodeRange, Patch, PatchError, patch};
use opstamp::runtime::context::Entry;
use opstamp::vm3::text;
use opstamp::{Engine, Instance, InstanceMemory, Module, Value, jit};
use std::ops::Range;

/// An error number that no system gives here by itself, and that means nothing to the library.
const ERROR: i32 = 1234;

/// Calls whose failure nobody can be told of: they release what is given up, when a value is dropped.
const SILENT: [&str; 6] =
    ["munmap", "close", "UnmapViewOfFile", "VirtualFree, MEM_RELEASE", "CloseHandle", "RtlDeleteFunctionTable"];

/// A window's size. What the system says of the process changes by less than this for other reasons.
const SIZE: usize = 32 * MIB;

/// What must be as before when a window is gone.
#[derive(Debug, PartialEq)]
struct Snapshot {
    handles: usize,
    /// Mappings that are neither inaccessible nor private and writable: with those the allocator does as it likes.
    regions: Vec<(Range<usize>, String)>,
    mapped: usize,
}

fn snapshot() -> Snapshot {
    let kept = |region: Region| (region.addresses, region.permissions);
    let steady = |region: &Region| !["rw-p", "---p", "rw-", "---"].contains(&region.permissions.as_str());
    let regions = regions().into_iter().filter(steady).map(kept).collect();
    // Where the process is not alone, other threads map and unmap a little.
    let mapped =
        if cfg!(target_os = "linux") && on_real_system() { mapped_bytes() } else { mapped_bytes() / (SIZE / 2) };
    Snapshot { handles: handles(), regions, mapped }
}

/// What went wrong in a window's life.
#[derive(Default)]
struct Met {
    errors: Vec<CodeError>,
    /// The call that closes pages may fail for good, and then there is nothing to be done about what is writable.
    lasting: bool,
}

/// Tries until it works, and checks after each failure that nothing of the window can be written where it can be
/// executed.
fn persist<T>(
    code: &mut HostCode,
    met: &mut Met,
    mut step: impl FnMut(&mut HostCode) -> Result<T, CodeError>,
) -> Result<T, CodeError> {
    for _ in 0..2 {
        match step(code) {
            Ok(done) => return Ok(done),
            Err(error) => {
                met.errors.push(error);
                if met.lasting {
                    continue;
                }
                let (start, end) = (code.base(), code.base() + code.size());
                for Region { addresses, permissions } in regions() {
                    let inside = addresses.start < end && start < addresses.end;
                    assert!(!(inside && permissions.contains('w')), "behind {error}: {addresses:x?} {permissions}");
                }
            }
        }
    }
    step(code)
}

/// Writes functions to places in pages of a range, as one opening.
fn write(code: &mut HostCode, pages: CodeRange, value: u32) -> Result<(), CodeError> {
    let page = code.page();
    let bytes = code.open(pages)?;
    for at in (0..pages.len()).step_by(page) {
        bytes[at..at + LEN].copy_from_slice(&returns(value + (at / page) as u32));
    }
    code.publish(pages)
}

/// A window's life; gives the errors that it met.
fn life(scheme: Scheme, lasting: bool) -> Result<Vec<CodeError>, CodeError> {
    let mut met = Met { lasting, ..Met::default() };
    let mut code = match HostCode::new_with(SIZE, scheme) {
        Ok(code) => code,
        Err(error) => {
            met.errors.push(error);
            HostCode::new_with(SIZE, scheme)?
        }
    };
    let page = code.page();
    let pages = |from: usize, to: usize| CodeRange { start: from * page, end: to * page };
    let expect = |code: &HostCode, at: usize, value: u32| assert_eq!(function(code, at * page)(), value);
    // In units of their own, so that the opening of all of them finds some that are ready and some that are not.
    for at in [0, 8, 16] {
        persist(&mut code, &mut met, |code| write(code, pages(at, at + 1), 100))?;
        expect(&code, at, 100);
    }
    persist(&mut code, &mut met, |code| code.describe(CodeRange { start: 0, end: 64 }))?;
    persist(&mut code, &mut met, |code| write(code, pages(0, 20), 200))?;
    for at in 0..20 {
        expect(&code, at, 200 + at as u32);
    }
    let at = 3 * page + 64;
    for value in [1, 2] {
        let patched = persist(&mut code, &mut met, |code| {
            patch(code, at, Patch::Data(value)).map_err(|error| match error {
                PatchError::Memory(error) => error,
                other => panic!("{other}"),
            })
        })?;
        assert!(matches!(patched, Patch::Data(_)));
        // SAFETY: the word has been published, so it is mapped and readable, and it is aligned.
        assert_eq!(unsafe { ((code.base() + at) as *const u64).read_volatile() }, value);
        expect(&code, 3, 203);
    }
    // Beside other pages of the same unit, to the middle of a page.
    persist(&mut code, &mut met, |code| code.release(CodeRange { start: page, end: 18 * page + 100 }))?;
    for at in 1..18 {
        assert!(permissions(code.base() + at * page).unwrap().starts_with("---"), "page {at} was released");
    }
    for at in [0, 18, 19] {
        expect(&code, at, 200 + at as u32);
    }
    persist(&mut code, &mut met, |code| write(code, pages(1, 5), 300))?;
    for at in 1..5 {
        expect(&code, at, 299 + at as u32);
    }
    // Two openings with a page between that stays closed, published at once.
    persist(&mut code, &mut met, |code| {
        for at in [1, 3] {
            let written = code.open(pages(at, at + 1)).map(|bytes| bytes[..LEN].copy_from_slice(&returns(400)));
            if let Err(error) = written {
                // What an earlier opening lent is the caller's to publish.
                return code.publish(pages(1, at)).and(Err(error));
            }
        }
        code.publish(pages(1, 4))
    })?;
    for (at, value) in [(1, 400), (2, 301), (3, 400)] {
        expect(&code, at, value);
    }
    persist(&mut code, &mut met, |code| code.sync_cores())?;
    Ok(met.errors)
}

#[test]
fn every_call_may_fail_once() {
    let _turn = turn();
    for scheme in schemes() {
        alone(|| {
            // What happens only once in a process is done before.
            life(scheme, false).unwrap();
            let (unhurt, trace) = run(None, || life(scheme, false));
            assert_eq!(unhurt, Ok(vec![]), "{scheme:?}");
            let before = snapshot();
            let faults = trace.faults(ERROR);
            assert!(faults.len() > 20, "{:?}", trace.steps);
            for fault in faults {
                let what = format!("{scheme:?}: {fault:?}");
                let (errors, after) = run(Some(fault), || life(scheme, false));
                let count = after.steps.iter().filter(|&&step| step == fault.call).count();
                assert!(count > fault.nth, "{what}: it was made");
                let codes: Vec<i32> = errors.expect(&what).into_iter().map(code_of).collect();
                assert_eq!(codes, if SILENT.contains(&fault.call) { vec![] } else { vec![ERROR] }, "{what}");
                // Where releasing fails on Windows, what was to be released stays; elsewhere there is another way.
                if !(cfg!(windows) && SILENT.contains(&fault.call)) {
                    assert_eq!(snapshot(), before, "{what}");
                }
            }
        });
    }
}

fn code_of(error: CodeError) -> i32 {
    let CodeError::System { code, .. } = error else { panic!("{error}") };
    code
}

#[test]
fn calls_that_fail_from_some_time_on_leak_nothing() {
    let _turn = turn();
    for scheme in schemes() {
        alone(|| {
            life(scheme, false).unwrap();
            let (_, trace) = run(None, || life(scheme, false));
            let before = snapshot();
            for fault in trace.faults(ERROR).into_iter().filter(|fault| !SILENT.contains(&fault.call)) {
                let fault = Fault { lasting: true, ..fault };
                let (result, _) = run(Some(fault), || life(scheme, true));
                assert_eq!(result.map_err(code_of), Err(ERROR), "{scheme:?}: {fault:?}");
                assert_eq!(snapshot(), before, "{scheme:?}: {fault:?}");
            }
        });
    }
}

#[test]
fn what_refuses_two_mappings_leaves_one() {
    let _turn = turn();
    if !schemes().contains(&Scheme::TwoMappings) {
        return;
    }
    alone(|| {
        let make = || HostCode::new_with(SIZE, Scheme::Auto);
        let (code, trace) = run(None, make);
        assert_eq!(code.unwrap().scheme(), Scheme::TwoMappings);
        let before = snapshot();
        for fault in trace.faults(ERROR).into_iter().filter(|fault| !SILENT.contains(&fault.call)) {
            let (code, _) = run(Some(fault), make);
            let mut code = code.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert_eq!(code.scheme(), Scheme::Flip, "{fault:?}");
            put(&mut code, 0, 77);
            assert_eq!(function(&code, 0)(), 77);
            drop(code);
            assert_eq!(snapshot(), before, "{fault:?}");
        }
    });
}

/// The calls, and where the instruction cache is cleaned, of opening, publishing and releasing one function.
#[test]
fn the_order_of_calls_is_the_scheme_s() {
    let _turn = turn();
    for scheme in schemes() {
        let mut code = HostCode::new_with(SIZE, scheme).unwrap();
        let page = code.page();
        let place = range(16 * ALIGN, LEN);
        let steps = |code: &mut HostCode, step: &dyn Fn(&mut HostCode)| run(None, || step(code)).1.steps;
        let open = |code: &mut HostCode| code.open(place).unwrap().copy_from_slice(&returns(5));
        let publish = |code: &mut HostCode| code.publish(place).unwrap();
        let release = |code: &mut HostCode| code.release(CodeRange { start: 0, end: 4 * page }).unwrap();
        let two = scheme == Scheme::TwoMappings;
        #[cfg(target_os = "linux")]
        let (fresh, closes, again, given): (&[_], &[_], &[_], &[_]) = if two {
            (&["mprotect", "madvise", "mprotect"], &["clean"], &[], &["mprotect", "madvise", "mprotect"])
        } else {
            (&["mprotect", "madvise"], &["mprotect", "clean"], &["mprotect"], &["mprotect", "mprotect", "madvise"])
        };
        #[cfg(windows)]
        let (fresh, closes, again, given): (&[_], &[_], &[_], &[_]) = if two {
            let commit = "VirtualAlloc, MEM_COMMIT";
            let given = &["VirtualProtect", "VirtualAlloc, MEM_RESET", "VirtualProtect"];
            (&[commit, commit], &["FlushInstructionCache"], &[], given)
        } else {
            let given = &["VirtualProtect", "VirtualFree, MEM_DECOMMIT"];
            let closes = &["VirtualProtect", "FlushInstructionCache"];
            (&["VirtualAlloc, MEM_COMMIT"], closes, &["VirtualProtect"], given)
        };
        for _ in 0..2 {
            assert_eq!(steps(&mut code, &open), fresh, "{scheme:?}: a page's first opening");
            assert_eq!(steps(&mut code, &publish), closes, "{scheme:?}");
            assert_eq!(steps(&mut code, &open), again, "{scheme:?}: another opening");
            assert_eq!(steps(&mut code, &publish), closes, "{scheme:?}");
            assert_eq!(function(&code, 16 * ALIGN)(), 5);
            assert_eq!(steps(&mut code, &release), given, "{scheme:?}");
            assert_eq!(steps(&mut code, &release), [""; 0], "{scheme:?}: nothing is left to give back");
        }
    }
}

const SOURCE: &str = "
func inner(n: i64) -> i64
  i64.mul  n, n, 3
  ret      n
end
func outer(n: i64) -> i64
  call     n, inner(n)
  i64.add  n, n, 2
  ret      n
end
";

/// Makes an engine and runs a function.
fn engine(scheme: Scheme) -> Result<i64, String> {
    let (mut words, mut scratch) = (vec![0; 4096], vec![0; 64 * 1024]);
    let len = text::assemble(SOURCE, &mut words, &mut scratch, &mut |_| {}).unwrap();
    let module = Module::verify(&words[..len], &mut scratch).unwrap();
    let mut functions: Vec<Entry> = (0..Engine::functions_needed(&module)).map(|_| Entry::default()).collect();
    let mut code = HostCode::new_with(SIZE, scheme).map_err(|error| error.to_string())?;
    let window = code.base()..code.base() + code.size();
    let mut scratch = vec![0; jit::scratch_words(&module)];
    let made = Engine::machine_code(module, &mut functions, &mut code, &mut scratch, &jit::Options::default());
    for Region { addresses, permissions } in regions() {
        let inside = addresses.start < window.end && window.start < addresses.end;
        assert!(!(inside && permissions.contains('w')), "{addresses:x?} {permissions}");
    }
    let engine = made.map_err(|error| error.to_string())?;
    let (mut stack, mut state) = (vec![0; 4096], vec![0; Instance::state_words(engine.module())]);
    let native_stack = 512 * 1024;
    let memory = InstanceMemory { heap: &mut [], seed: 0, stack: &mut stack, state: &mut state, native_stack };
    let mut instance = Instance::new(&engine, memory, &[]).unwrap();
    let Ok(Some(Value::I64(result))) = instance.call("outer", &[Value::I64(5)]) else { panic!("an i64") };
    Ok(result)
}

#[test]
fn every_call_may_fail_below_an_engine() {
    let _turn = turn();
    for scheme in schemes() {
        alone(|| {
            assert_eq!(engine(scheme), Ok(17));
            let (_, trace) = run(None, || engine(scheme));
            let before = snapshot();
            for fault in trace.faults(ERROR) {
                let result = run(Some(fault), || engine(scheme)).0;
                if SILENT.contains(&fault.call) {
                    assert_eq!(result, Ok(17), "{fault:?}");
                    continue;
                }
                let error = result.expect_err("it failed");
                assert!(error.contains(&format!("system error {ERROR}")), "{fault:?}: {error}");
                assert_eq!(snapshot(), before, "{scheme:?}: {fault:?}");
            }
        });
    }
}

/// Where the system does not say how much stack there is, nothing is counted on.
#[test]
#[cfg(target_os = "linux")]
fn an_unknown_native_stack_is_none() {
    let (stack, trace) = run(None, crate::native_stack);
    assert!(stack.is_some_and(|bytes| bytes > 64 * 1024));
    assert_eq!(trace.steps, ["pthread_getattr_np"], "tests run on threads of their own");
    let fault = Fault { call: "pthread_getattr_np", nth: 0, error: ERROR, lasting: false };
    assert_eq!(run(Some(fault), crate::native_stack).0, None);
}

/// The first synchronization registers the process, which may fail too.
#[test]
#[cfg(target_os = "linux")]
fn a_refused_registration_is_an_error() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for (nth, calls) in [(0, 1), (1, 2), (2, 3)] {
        alone(|| {
            let mut code = HostCode::new(SIZE).unwrap();
            for value in [1, 2] {
                if cfg!(target_arch = "x86_64") {
                    // Nothing was ever executed yet that has changed.
                    let (result, trace) = run(None, || code.sync_cores());
                    assert_eq!((result, trace.steps), (Ok(()), vec![]));
                }
                write(&mut code, CodeRange { start: 0, end: LEN }, value).unwrap();
            }
            let fault = Fault { call: "membarrier", nth, error: ERROR, lasting: false };
            let (result, trace) = run(Some(fault), || code.sync_cores());
            assert_eq!(result.map_err(code_of), Err(ERROR), "{fault:?}");
            assert_eq!(trace.steps, vec!["membarrier"; calls]);
            code.sync_cores().unwrap();
        });
    }
}
