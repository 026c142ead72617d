//! Code memory: what it runs, what it refuses, and what the system says about it.
//!
//! The tests look at the whole process (its maps, its descriptors), so they take turns.
#![cfg(all(
    any(target_os = "linux", target_os = "macos", windows),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod system;

use opstamp::code::{CodeError, CodeMemory, CodeRange};
use opstamp_platform::{HostCode, MAX_WINDOW, Scheme, native_stack};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use system::{
    ALIGN, BY_THREAD, FILLER, INVALID, LEN, MIB, executable_bytes, function, handles, mapped_bytes, on_real_system,
    permissions, put, range, regions, returns, schemes, turn, write,
};

#[test]
fn runs_and_runs_what_replaced_it() {
    let _turn = turn();
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        assert_eq!(code.scheme(), scheme);
        assert_eq!(code.concurrent_write(), scheme == Scheme::TwoMappings);
        assert_eq!(code.size(), MIB);
        assert!(code.page().is_power_of_two() && code.base().is_multiple_of(code.page()));
        // The first byte, the last, across a page, and across the units that are made ready together.
        let across = 4 - 1 / ALIGN;
        let places = [0, 16, code.page() - across, 16 * 1024 - across, MIB - LEN];
        for (value, place) in (1..).zip(places) {
            put(&mut code, place, value);
        }
        for (value, place) in (1..).zip(places) {
            assert_eq!(function(&code, place)(), value, "{scheme:?} at {place}");
        }
        for value in 0..1000 {
            let place = places[value as usize % places.len()];
            put(&mut code, place, value);
            assert_eq!(function(&code, place)(), value, "{scheme:?} at {place}");
        }
        code.sync_cores().unwrap();
    }
}

#[test]
fn open_shows_what_was_written_and_filler_elsewhere() {
    let _turn = turn();
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        let size = 3 * code.page();
        put(&mut code, 100, 7);
        let bytes = code.open(range(0, size)).unwrap();
        assert_eq!(bytes.len(), size);
        assert_eq!(bytes[100..100 + LEN], returns(7));
        let around = bytes[..100].iter().chain(&bytes[100 + LEN..]);
        assert!(around.copied().all(|byte| byte == FILLER), "{scheme:?}");
        code.publish(range(0, size)).unwrap();
        // SAFETY: these bytes of the window have been published, so they are mapped and readable.
        let executed = unsafe { std::slice::from_raw_parts((code.base() + 100) as *const u8, LEN + 1) };
        assert_eq!(executed[..LEN], returns(7));
        assert_eq!(executed[LEN], FILLER);
    }
}

#[test]
fn never_writable_and_executable() {
    let _turn = turn();
    if BY_THREAD {
        return;
    }
    let before = executable_bytes();
    for scheme in schemes() {
        let mut code = HostCode::new_with(64 * MIB, scheme).unwrap();
        let page = code.page();
        let here = code.base();
        assert_eq!(executable_bytes(), before, "{scheme:?}: nothing can be executed before it was opened");
        assert!(permissions(here).unwrap().starts_with("---"));
        let open = |code: &mut HostCode| code.open(range(0, LEN)).unwrap().as_ptr() as usize;
        let lent = open(&mut code);
        assert!(permissions(lent).unwrap().starts_with("rw-"));
        let executes = permissions(here).unwrap();
        assert!(executes.starts_with(if scheme == Scheme::Flip { "rw-" } else { "r-x" }), "{scheme:?}: {executes}");
        write(&mut code, 0, &returns(1));
        regions();
        code.publish(range(0, LEN)).unwrap();
        assert!(permissions(here).unwrap().starts_with("r-x"));
        assert_eq!(function(&code, 0)(), 1);
        regions();
        open(&mut code);
        regions();
        put(&mut code, 0, 2);
        assert_eq!(function(&code, 0)(), 2);
        assert!(permissions(here).unwrap().starts_with("r-x"));
        // Other pages stayed as they were.
        assert!(permissions(here + 32 * MIB).unwrap().starts_with("---"));
        // The page beside each end of the window is a guard, on the writable side too.
        for guard in [here - page, here + 64 * MIB, lent - page, lent + 64 * MIB] {
            assert!(permissions(guard).unwrap().starts_with("---"), "{scheme:?}: guard at {guard:#x}");
        }
        assert_eq!(lent == here, scheme == Scheme::Flip);
    }
}

#[test]
fn drop_unmaps_everything_and_no_handle_stays() {
    let _turn = turn();
    if BY_THREAD {
        return;
    }
    let count = handles();
    let executable = executable_bytes();
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        assert_eq!(handles(), count, "{scheme:?}: the memory's own handle is closed once it is mapped");
        let place = 5 * code.page();
        put(&mut code, place, 3);
        assert!(executable_bytes() > executable);
        drop(code);
        assert_eq!(executable_bytes(), executable, "{scheme:?}");
    }
    // Were windows left behind, these would be 200 for each scheme. The harness's threads reserve memory too, but less;
    // on Linux a test of a process with one thread is exact.
    let before = mapped_bytes();
    for scheme in schemes() {
        for _ in 0..200 {
            let mut code = HostCode::new_with(MAX_WINDOW, scheme).unwrap();
            put(&mut code, MAX_WINDOW - LEN, 1);
        }
    }
    assert!(mapped_bytes() < before + 16 * MAX_WINDOW);
    assert_eq!(handles(), count);
}

#[test]
fn the_window_grows_by_need_to_its_bound() {
    let _turn = turn();
    if BY_THREAD {
        return;
    }
    const UNIT: usize = 16 * 1024;
    for scheme in schemes() {
        let before = executable_bytes();
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        let (page, base) = (code.page(), code.base());
        for end in (1000..MIB).step_by(50_000).chain([MIB]) {
            code.open(range(0, end)).unwrap();
            code.publish(range(0, end)).unwrap();
            let grown = executable_bytes() - before;
            assert!((end..end + UNIT).contains(&grown), "{scheme:?}: {grown:#x} bytes for {end:#x}");
        }
        assert_eq!(executable_bytes() - before, MIB, "{scheme:?}");
        // Not even the pages beside it, and no range that reaches there.
        assert!(code.open(range(MIB, 1)).is_err() && code.open(range(MIB - 1, 2)).is_err());
        for guard in [base - page, base + MIB] {
            assert!(permissions(guard).unwrap().starts_with("---"), "{scheme:?}");
        }
    }
}

#[test]
fn released_pages_fault_and_can_be_used_again() {
    let _turn = turn();
    if BY_THREAD {
        return;
    }
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        let (page, base) = (code.page(), code.base());
        let write_base = code.open(range(0, 1)).unwrap().as_ptr() as usize;
        for at in 0..40 {
            put(&mut code, at * page, at as u32);
        }
        let executable = executable_bytes();
        // Whole pages inside go: 10 to 19. Those that reach beyond the range, 9 and 20, stay.
        code.release(CodeRange { start: 9 * page + 1, end: 20 * page + 1 }).unwrap();
        assert_eq!(executable_bytes(), executable - 10 * page, "{scheme:?}");
        for at in 0..40 {
            if (10..20).contains(&at) {
                for mapping in [base, write_base] {
                    assert!(permissions(mapping + at * page).unwrap().starts_with("---"), "{scheme:?}: page {at}");
                }
            } else {
                assert_eq!(function(&code, at * page)(), at as u32, "{scheme:?}");
            }
        }
        // Publishing does not bring them back.
        code.publish(range(0, MIB)).unwrap();
        assert!(permissions(base + 10 * page).unwrap().starts_with("---"));
        // Again, and what was never opened: nothing to be done.
        code.release(CodeRange { start: 10 * page, end: 20 * page }).unwrap();
        code.release(CodeRange { start: MIB / 2, end: MIB }).unwrap();
        // Opened again they hold filler, and nothing of what they held.
        let bytes = code.open(CodeRange { start: 10 * page, end: 20 * page }).unwrap();
        assert!(bytes.iter().all(|&byte| byte == FILLER), "{scheme:?}");
        bytes[..LEN].copy_from_slice(&returns(77));
        code.publish(CodeRange { start: 10 * page, end: 20 * page }).unwrap();
        assert_eq!(function(&code, 10 * page)(), 77);
        assert_eq!(executable_bytes(), executable);
        // All of it, what is open too.
        code.open(range(0, 1)).unwrap();
        code.release(range(0, MIB)).unwrap();
        assert_eq!(executable_bytes(), executable - 40 * page, "{scheme:?}");
        put(&mut code, 0, 5);
        assert_eq!(function(&code, 0)(), 5);
        for (start, end) in [(0, MIB + 1), (2, 1), (usize::MAX, usize::MAX)] {
            let range = CodeRange { start, end };
            assert_eq!(code.release(range), Err(CodeError::Range { range, size: MIB }));
        }
        for nothing in [range(0, 0), range(MIB, 0), range(0, page - 1), range(1, page)] {
            code.release(nothing).unwrap();
        }
        assert_eq!(function(&code, 0)(), 5);
    }
}

/// How a process of its own ends that executes bytes in a window: of a page that was opened, published and then
/// released or not, beside the function there.
fn executes(scheme: Scheme, released: bool) -> std::process::ExitStatus {
    let name = format!("{scheme:?} {released}");
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "executes_unused_bytes", "--ignored"];
    std::process::Command::new(program).args(arguments).env("OPSTAMP_TEST_EXECUTES", name).output().unwrap().status
}

#[test]
#[ignore = "ends the process; run by the test below"]
fn executes_unused_bytes() {
    let name = std::env::var("OPSTAMP_TEST_EXECUTES").unwrap();
    let scheme = if name.starts_with("Flip") { Scheme::Flip } else { Scheme::TwoMappings };
    let mut code = HostCode::new_with(MIB, scheme).unwrap();
    put(&mut code, 0, 5);
    assert_eq!(function(&code, 0)(), 5);
    if name.ends_with("true") {
        code.release(range(0, code.page())).unwrap();
        function(&code, 0)();
    } else {
        function(&code, 64)();
    }
}

#[test]
fn executing_unused_bytes_ends_the_process() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for scheme in schemes() {
        for released in [false, true] {
            let status = executes(scheme, released);
            // A page without access; else `int3` or `udf`.
            #[cfg(target_os = "linux")]
            {
                use std::os::unix::process::ExitStatusExt;
                let trap = if cfg!(target_arch = "x86_64") { libc::SIGTRAP } else { libc::SIGILL };
                let signal = if released { libc::SIGSEGV } else { trap };
                assert_eq!(status.signal(), Some(signal), "{scheme:?}, released: {released}, {status}");
            }
            #[cfg(windows)]
            {
                use windows_sys::Win32::Foundation::{STATUS_ACCESS_VIOLATION, STATUS_BREAKPOINT};
                let exception = if released { STATUS_ACCESS_VIOLATION } else { STATUS_BREAKPOINT };
                assert_eq!(status.code(), Some(exception), "{scheme:?}, released: {released}, {status}");
            }
            #[cfg(target_os = "macos")]
            assert_eq!(status.code(), None, "{scheme:?}, released: {released}: a signal ends it");
        }
    }
}

#[test]
fn bad_ranges_are_refused() {
    let _turn = turn();
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        let bad = [
            (0, MIB + 1),
            (MIB, MIB + 1),
            (MIB + 1, MIB + 1),
            (2, 1),
            (MIB, 0),
            (usize::MAX, 0),
            (0, usize::MAX),
            (usize::MAX, usize::MAX),
            (usize::MAX - 4095, usize::MAX),
        ];
        for (start, end) in bad {
            let range = CodeRange { start, end };
            let refused = CodeError::Range { range, size: MIB };
            assert_eq!(code.open(range).unwrap_err(), refused);
            assert_eq!(code.publish(range).unwrap_err(), refused);
        }
        for place in [0, 1, MIB] {
            assert!(code.open(range(place, 0)).unwrap().is_empty());
            code.publish(range(place, 0)).unwrap();
        }
        assert_eq!(code.open(range(0, MIB)).unwrap().len(), MIB);
        code.publish(range(0, MIB)).unwrap();
    }
}

#[test]
fn publishing_what_was_never_opened_changes_nothing() {
    let _turn = turn();
    if BY_THREAD {
        return;
    }
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
        put(&mut code, 0, 4);
        code.publish(range(0, MIB)).unwrap();
        code.publish(range(MIB / 2, 100)).unwrap();
        assert!(permissions(code.base() + MIB / 2).unwrap().starts_with("---"), "{scheme:?}");
        assert_eq!(function(&code, 0)(), 4);
    }
}

#[test]
fn absurd_sizes_are_refused() {
    let _turn = turn();
    for scheme in [schemes(), vec![Scheme::Auto]].concat() {
        for size in [0, MAX_WINDOW + 1, 1 << 40, isize::MAX as usize, usize::MAX] {
            let error = HostCode::new_with(size, scheme).unwrap_err();
            assert!(matches!(error, CodeError::System { code: INVALID, .. }), "{size:#x}: {error}");
        }
        let mut least = HostCode::new_with(1, scheme).unwrap();
        assert_eq!(least.size(), least.page());
        put(&mut least, 0, 9);
        assert_eq!(function(&least, 0)(), 9);
        assert_eq!(HostCode::new_with(MAX_WINDOW, scheme).unwrap().size(), MAX_WINDOW);
    }
}

#[test]
fn other_threads_execute_while_code_is_written() {
    let _turn = turn();
    if !schemes().contains(&Scheme::TwoMappings) {
        return;
    }
    let mut code = HostCode::new_with(MIB, Scheme::TwoMappings).unwrap();
    put(&mut code, 0, 11);
    let stays = function(&code, 0);
    let (stop, calls) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(stays(), 11);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut round = 0;
        while calls.load(Ordering::Relaxed) < 10_000 || round < 2000 {
            // Beside it on its page, and on pages that are used for the first time meanwhile.
            let place = if round % 2 == 0 { 64 } else { 64 + round / 2 * 512 % (MIB - 128) };
            put(&mut code, place, round as u32);
            assert_eq!(function(&code, place)(), round as u32);
            if round % 100 == 0 {
                code.sync_cores().unwrap();
            }
            round += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// `native_stack` below `blocks` frames of at least 64 KiB each.
#[inline(never)]
fn native_stack_below(blocks: usize) -> usize {
    let block = std::hint::black_box([0_u8; 64 * 1024]);
    let found = if blocks == 0 { native_stack().unwrap() } else { native_stack_below(blocks - 1) };
    found + usize::from(std::hint::black_box(&block)[0])
}

#[test]
fn native_stack_is_what_the_thread_was_given() {
    let on_stack =
        |size: usize, ask: fn() -> usize| thread::Builder::new().stack_size(size).spawn(ask).unwrap().join().unwrap();
    // Windows gives no thread less than its program's default, 2 MiB at most.
    let least = if cfg!(windows) { 2 * MIB } else { 256 * 1024 };
    for size in [least, 3 * MIB, 16 * MIB] {
        let found = on_stack(size, || native_stack().unwrap());
        assert!(found <= size && found + 64 * 1024 > size, "{found} of {size}");
    }
    let used = on_stack(16 * MIB, || native_stack().unwrap() - native_stack_below(10));
    assert!((11 * 64 * 1024..2 * MIB).contains(&used), "{used}");
}
