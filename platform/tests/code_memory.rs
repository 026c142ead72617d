//! Linux code memory: what it runs, what it refuses, and what the system says about it.
//!
//! The tests look at the whole process (its maps, its descriptors), so they take turns.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use opstamp::code::{CodeError, CodeMemory, CodeRange};
use opstamp_platform::linux::{LinuxCode, Scheme};
use opstamp_platform::{MAX_WINDOW, native_stack};
use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The schemes to test: both, but where the machine does not see code that is changed through another mapping. Real ones
/// do; some emulators of arm64 do not, and there the window must refuse it with just this error.
fn schemes() -> Vec<Scheme> {
    match LinuxCode::new_with(1, Scheme::TwoMappings) {
        Err(CodeError::System { action, code: 0 })
            if cfg!(target_arch = "aarch64") && action.contains("change of code") =>
        {
            println!("skipped: two mappings, on a machine that cannot {action}");
            vec![Scheme::Flip]
        }
        two => vec![two.expect("two mappings").scheme(), Scheme::Flip],
    }
}

/// Whether the system itself serves this process. An emulator of one process does not filter system calls, answers some
/// in its own way (MADV_DONTFORK), and its own memory counts as the process's.
fn on_real_system() -> bool {
    // SAFETY: this prctl reads no memory.
    let real = unsafe { libc::prctl(libc::PR_GET_SECCOMP) } == 0;
    if !real {
        println!("skipped: what the system itself must answer, in an emulated process");
    }
    real
}

const MIB: usize = 1 << 20;

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of [`returns`].
#[cfg(target_arch = "x86_64")]
const LEN: usize = 6;
/// What fills a page that is opened for the first time: `int3`.
#[cfg(target_arch = "x86_64")]
const FILLER: u8 = 0xCC;

/// `mov eax, value; ret`: B8 id, C3 (Intel SDM vol. 2, MOV and RET).
#[cfg(target_arch = "x86_64")]
fn returns(value: u32) -> [u8; LEN] {
    let [a, b, c, d] = value.to_le_bytes();
    [0xB8, a, b, c, d, 0xC3]
}

/// Bytes of [`returns`].
#[cfg(target_arch = "aarch64")]
const LEN: usize = 12;
/// What fills a page that is opened for the first time: `udf #0`.
#[cfg(target_arch = "aarch64")]
const FILLER: u8 = 0;

/// `movz w0, #low; movk w0, #high, lsl #16; ret` (Arm ARM DDI 0487, C6.2).
#[cfg(target_arch = "aarch64")]
fn returns(value: u32) -> [u8; LEN] {
    let words = [0x5280_0000 | (value & 0xFFFF) << 5, 0x72A0_0000 | (value >> 16) << 5, 0xD65F_03C0_u32];
    let mut bytes = [0; LEN];
    for (place, word) in bytes.chunks_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Where a function may start: instructions of arm64 are aligned.
const ALIGN: usize = if cfg!(target_arch = "x86_64") { 1 } else { 4 };

fn range(start: usize, len: usize) -> CodeRange {
    CodeRange { start, end: start + len }
}

fn write(code: &mut LinuxCode, start: usize, bytes: &[u8]) {
    code.open(range(start, bytes.len())).unwrap().copy_from_slice(bytes);
}

fn put(code: &mut LinuxCode, start: usize, value: u32) {
    write(code, start, &returns(value));
    code.publish(range(start, LEN)).unwrap();
}

fn function(code: &LinuxCode, start: usize) -> extern "C" fn() -> u32 {
    // SAFETY: the tests put functions of this type there before they call them.
    unsafe { std::mem::transmute::<usize, extern "C" fn() -> u32>(code.base() + start) }
}

/// A line of /proc/self/maps.
struct Map {
    addresses: Range<usize>,
    permissions: String,
}

/// Reads /proc/self/maps and checks that nothing in it is both writable and executable.
fn maps() -> Vec<Map> {
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let read = |line: &str| {
        let mut fields = line.split(' ');
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        let permissions = fields.next().unwrap().to_owned();
        assert!(!permissions.contains('w') || !permissions.contains('x'), "writable and executable: {line}");
        let [start, end] = [start, end].map(|digits| usize::from_str_radix(digits, 16).unwrap());
        Map { addresses: start..end, permissions }
    };
    text.lines().map(read).collect()
}

/// The permissions at an address, `None` where nothing is mapped.
fn permissions(address: usize) -> Option<String> {
    maps().into_iter().find(|map| map.addresses.contains(&address)).map(|map| map.permissions)
}

/// The bytes of mappings that can be executed.
fn executable_bytes() -> usize {
    maps().iter().filter(|map| map.permissions.contains('x')).map(|map| map.addresses.len()).sum()
}

/// A field of /proc/self/status that counts KiB.
fn status_kib(field: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Exit(i32),
    Signal(i32),
}

/// Runs `body` in a forked child, whose exit status is its result. It must neither panic nor rely on other threads.
fn in_child(body: impl FnOnce() -> i32) -> End {
    // SAFETY: the child only runs `body` and exits; glibc keeps its allocator usable in it.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        let status = body();
        // SAFETY: this exits the child's only thread. The raw call is one that the strict seccomp mode allows.
        unsafe { libc::syscall(libc::SYS_exit, status) };
    }
    let mut status = 0;
    // SAFETY: the pointer is to a live int.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    if libc::WIFEXITED(status) { End::Exit(libc::WEXITSTATUS(status)) } else { End::Signal(libc::WTERMSIG(status)) }
}

#[test]
fn runs_and_runs_what_replaced_it() {
    let _turn = turn();
    for scheme in schemes() {
        let mut code = LinuxCode::new_with(MIB, scheme).unwrap();
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
        let mut code = LinuxCode::new_with(MIB, scheme).unwrap();
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
    let before = executable_bytes();
    for scheme in schemes() {
        let mut code = LinuxCode::new_with(64 * MIB, scheme).unwrap();
        let page = code.page();
        let here = code.base();
        assert_eq!(executable_bytes(), before, "{scheme:?}: nothing can be executed before it was opened");
        assert!(permissions(here).unwrap().starts_with("---"));
        let open = |code: &mut LinuxCode| code.open(range(0, LEN)).unwrap().as_ptr() as usize;
        let lent = open(&mut code);
        assert!(permissions(lent).unwrap().starts_with("rw-"));
        let executes = permissions(here).unwrap();
        assert!(executes.starts_with(if scheme == Scheme::Flip { "rw-" } else { "r-x" }), "{scheme:?}: {executes}");
        write(&mut code, 0, &returns(1));
        maps();
        code.publish(range(0, LEN)).unwrap();
        assert!(permissions(here).unwrap().starts_with("r-x"));
        assert_eq!(function(&code, 0)(), 1);
        maps();
        open(&mut code);
        maps();
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
fn drop_unmaps_everything_and_no_descriptor_stays() {
    let _turn = turn();
    let count = descriptors();
    for scheme in schemes() {
        let mut code = LinuxCode::new_with(MIB, scheme).unwrap();
        assert_eq!(descriptors(), count, "{scheme:?}: the file is closed once it is mapped");
        let place = 5 * code.page();
        put(&mut code, place, 3);
        let inside = code.base();
        let written = code.open(range(0, 1)).unwrap().as_ptr() as usize;
        assert!(permissions(inside).is_some() && permissions(written).is_some());
        drop(code);
        assert!(permissions(inside).is_none() && permissions(written).is_none(), "{scheme:?}");
    }
    // One window left behind would show: it is far larger than the bound.
    let before = status_kib("VmSize:");
    for scheme in schemes() {
        for _ in 0..200 {
            let mut code = LinuxCode::new_with(MAX_WINDOW, scheme).unwrap();
            put(&mut code, MAX_WINDOW - LEN, 1);
        }
    }
    assert!(!on_real_system() || status_kib("VmSize:") < before + 4096);
    assert_eq!(descriptors(), count);
}

#[test]
fn bad_ranges_are_refused() {
    let _turn = turn();
    for scheme in schemes() {
        let mut code = LinuxCode::new_with(MIB, scheme).unwrap();
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
    for scheme in schemes() {
        let mut code = LinuxCode::new_with(MIB, scheme).unwrap();
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
            let error = LinuxCode::new_with(size, scheme).unwrap_err();
            assert!(matches!(error, CodeError::System { code: libc::EINVAL, .. }), "{size:#x}: {error}");
        }
        let mut least = LinuxCode::new_with(1, scheme).unwrap();
        assert_eq!(least.size(), least.page());
        put(&mut least, 0, 9);
        assert_eq!(function(&least, 0)(), 9);
        assert_eq!(LinuxCode::new_with(MAX_WINDOW, scheme).unwrap().size(), MAX_WINDOW);
    }
}

#[test]
fn a_big_window_costs_addresses_alone() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for scheme in schemes() {
        let resident = status_kib("VmRSS:");
        let timed = || {
            let start = Instant::now();
            let code = LinuxCode::new_with(64 * MIB, scheme).unwrap();
            (start.elapsed(), code)
        };
        let least = (0..20).map(|_| timed().0).min().unwrap();
        let code = timed().1;
        let grown = status_kib("VmRSS:").saturating_sub(resident);
        drop(code);
        println!("{scheme:?}: {least:?}, {grown} KiB resident");
        // Touching 64 MiB takes many milliseconds; the bound leaves room for a busy machine.
        assert!(least < Duration::from_millis(1), "{scheme:?}: {least:?}");
        assert!(grown < 1024, "{scheme:?}: {grown} KiB");
    }
}

/// Ends the process at any system call but read, write, exit and sigreturn.
fn forbid_system_calls() {
    // SAFETY: this prctl reads no memory.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
}

#[test]
fn two_mappings_publish_without_a_system_call() {
    let _turn = turn();
    let rewrites = |scheme| {
        in_child(move || {
            let Ok(mut code) = LinuxCode::new_with(MIB, scheme) else { return 2 };
            let first = range(0, LEN);
            let Ok(()) = code.open(first).map(|bytes| bytes.copy_from_slice(&returns(1))) else { return 3 };
            forbid_system_calls();
            if code.publish(first).is_err() || function(&code, 0)() != 1 {
                return 4;
            }
            // Once a page is in use, opening it again needs none either.
            let Ok(()) = code.open(first).map(|bytes| bytes.copy_from_slice(&returns(2))) else { return 5 };
            if code.publish(first).is_err() || function(&code, 0)() != 2 {
                return 6;
            }
            std::mem::forget(code);
            0
        })
    };
    if !on_real_system() {
        return;
    }
    if schemes().contains(&Scheme::TwoMappings) {
        assert_eq!(rewrites(Scheme::TwoMappings), End::Exit(0));
    }
    assert_eq!(rewrites(Scheme::Flip), End::Signal(libc::SIGKILL), "flipping cannot do without");
}

#[test]
fn a_forked_child_does_not_have_it() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for scheme in schemes() {
        let mut code = LinuxCode::new_with(MIB, scheme).unwrap();
        put(&mut code, 0, 5);
        let run = function(&code, 0);
        let status = in_child(|| {
            // SAFETY: the child is to die of this signal, whatever the test harness does about it.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            run() as i32
        });
        assert_eq!(status, End::Signal(libc::SIGSEGV), "{scheme:?}");
        // A child may drop the value, which must not unmap what the child has put at those addresses.
        let start = code.base();
        let child_copy = &mut Some(code);
        let status = in_child(|| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            // SAFETY: nothing is replaced.
            let page = unsafe { libc::mmap(start as *mut _, 4096, libc::PROT_READ, flags, -1, 0) };
            if page as usize != start {
                return 1;
            }
            drop(child_copy.take());
            // SAFETY: the page is mapped and readable.
            i32::from(unsafe { page.cast::<u8>().read_volatile() })
        });
        assert_eq!(status, End::Exit(0), "{scheme:?}");
        assert_eq!(run(), 5, "the parent keeps it");
    }
}

/// Makes one system call fail with EPERM in this process from now on.
fn refuse(call: libc::c_long) -> bool {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        op(LOAD_NUMBER, 0, 0, 0),
        op(JUMP_IF_EQUAL, 0, 1, call as u32),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program is live during the call, and its length is that of the filter.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    }
}

#[test]
fn falls_back_where_two_mappings_are_refused() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    let flips = || {
        let forced = LinuxCode::new_with(MIB, Scheme::TwoMappings);
        if !matches!(forced, Err(CodeError::System { .. })) {
            return 2;
        }
        let Ok(mut code) = LinuxCode::new_with(MIB, Scheme::Auto) else { return 3 };
        let first = range(0, LEN);
        let Ok(()) = code.open(first).map(|bytes| bytes.copy_from_slice(&returns(1))) else { return 4 };
        if code.scheme() != Scheme::Flip || code.publish(first).is_err() {
            return 5;
        }
        function(&code, 0)() as i32 - 1
    };
    assert_eq!(in_child(|| if refuse(libc::SYS_memfd_create) { flips() } else { 9 }), End::Exit(0));
    assert_eq!(in_child(|| if refuse(libc::SYS_ftruncate) { flips() } else { 9 }), End::Exit(0));
    // A limit on file sizes would otherwise end the process with SIGXFSZ.
    let limited = in_child(|| {
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        // SAFETY: the pointer is to a live rlimit.
        if unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) } == 0 { flips() } else { 9 }
    });
    assert_eq!(limited, End::Exit(0));
    // Where nothing works, everything that had been mapped on the way is released.
    let nothing = in_child(|| {
        if !refuse(libc::SYS_madvise) {
            return 9;
        }
        let before = status_kib("VmSize:");
        for _ in 0..100 {
            if LinuxCode::new_with(MAX_WINDOW, Scheme::Auto).is_ok() {
                return 1;
            }
        }
        i32::from(status_kib("VmSize:") > before + 4096)
    });
    assert_eq!(nothing, End::Exit(0));
}

#[test]
fn other_threads_execute_while_code_is_written() {
    let _turn = turn();
    if !schemes().contains(&Scheme::TwoMappings) {
        return;
    }
    let mut code = LinuxCode::new_with(MIB, Scheme::TwoMappings).unwrap();
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
    for size in [256 * 1024, MIB, 16 * MIB] {
        let found = on_stack(size, || native_stack().unwrap());
        assert!(found <= size && found + 64 * 1024 > size, "{found} of {size}");
    }
    let used = on_stack(16 * MIB, || native_stack().unwrap() - native_stack_below(10));
    assert!((11 * 64 * 1024..2 * MIB).contains(&used), "{used}");
}
