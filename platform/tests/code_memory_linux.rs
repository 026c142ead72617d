//! What only Linux has: forked children, refused system calls, and pages that are not there until they are touched, or
//! again when they are given back.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod system;

use opstamp::code::{CodeError, CodeMemory};
use opstamp_platform::{HostCode, MAX_WINDOW, Scheme};
use std::fs;
use std::time::{Duration, Instant};
use system::{End, LEN, MIB, alone, function, in_child, on_real_system, put, range, returns, schemes, turn};

/// A field of /proc/self/status that counts KiB.
fn status_kib(field: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
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
            let code = HostCode::new_with(64 * MIB, scheme).unwrap();
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

/// A function of 4 KiB that returns a value, and does nothing else before.
fn long(value: u32) -> Vec<u8> {
    // `nop`: 90 (Intel SDM vol. 2), D503201F (Arm ARM, C6.2).
    let nop: &[u8] = if cfg!(target_arch = "x86_64") { &[0x90] } else { &[0x1F, 0x20, 0x03, 0xD5] };
    let mut bytes = nop.repeat((4096 - LEN) / nop.len());
    bytes.extend(returns(value));
    bytes.resize(4096, 0);
    bytes
}

#[test]
fn two_mappings_publish_without_a_system_call() {
    let _turn = turn();
    let rewrites = |scheme| {
        // 4 KiB on two pages.
        let place = range(2048, 4096);
        let (first, second) = (long(1), long(2));
        in_child(move || {
            let Ok(mut code) = HostCode::new_with(MIB, scheme) else { return 2 };
            let Ok(()) = code.open(place).map(|bytes| bytes.copy_from_slice(&first)) else { return 3 };
            forbid_system_calls();
            if code.publish(place).is_err() || function(&code, 2048)() != 1 {
                return 4;
            }
            // Once a page is in use, opening it again needs none either.
            let Ok(()) = code.open(place).map(|bytes| bytes.copy_from_slice(&second)) else { return 5 };
            if code.publish(place).is_err() || function(&code, 2048)() != 2 {
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

/// The KiB that a window's memory file has, by the system's own links to mapped files; `None` where this process may
/// not follow them.
fn file_kib(address: usize) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let region = system::regions().into_iter().find(|region| region.addresses.contains(&address))?;
    let link = format!("/proc/self/map_files/{:x}-{:x}", region.addresses.start, region.addresses.end);
    // st_blocks counts 512 bytes (stat(2)).
    fs::metadata(link).ok().map(|file| file.blocks() / 2)
}

#[test]
fn released_memory_returns_to_the_system() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for scheme in schemes() {
        alone(|| {
            const KIB: usize = 32 << 10;
            // Memory of a shared file, or private memory.
            let field = if scheme == Scheme::TwoMappings { "RssShmem:" } else { "RssAnon:" };
            let mut code = HostCode::new_with(64 * MIB, scheme).unwrap();
            let before = status_kib(field);
            code.open(range(0, 32 * MIB)).unwrap().fill(1);
            code.publish(range(0, 32 * MIB)).unwrap();
            let full = status_kib(field);
            assert!(full >= before + KIB, "{scheme:?}: {before} KiB, then {full} KiB");
            code.release(range(0, 16 * MIB)).unwrap();
            let half = status_kib(field);
            assert!(half <= full - KIB / 2 + 64, "{scheme:?}: {full} KiB, then {half} KiB");
            let file = file_kib(code.base());
            if scheme == Scheme::TwoMappings
                && let Some(file) = file
            {
                assert_eq!(file, KIB as u64 / 2, "what stays in the file");
            }
            code.release(range(0, 64 * MIB)).unwrap();
            let none = status_kib(field);
            assert!(none <= before + 64, "{scheme:?}: {before} KiB, then {none} KiB");
            // Twice the window's size passes through it, and it never holds more than its size.
            for round in 0..4 {
                code.open(range(0, 32 * MIB)).unwrap().fill(round);
                code.publish(range(0, 32 * MIB)).unwrap();
                code.release(range(0, 32 * MIB)).unwrap();
            }
            assert!(status_kib(field) <= before + 64, "{scheme:?}");
            println!("{scheme:?}: {before}, {full}, {half}, {none} KiB; {file:?} KiB in the file");
        });
    }
}

#[test]
fn dropped_windows_leave_no_address_mapped() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for scheme in schemes() {
        alone(|| {
            let mut code = HostCode::new_with(MIB, scheme).unwrap();
            let page = code.page();
            let writes = code.open(range(0, MIB)).unwrap().as_ptr() as usize;
            code.publish(range(0, MIB)).unwrap();
            code.release(range(0, MIB / 2)).unwrap();
            let executes = code.base();
            drop(code);
            for region in system::regions() {
                for start in [writes, executes] {
                    let window = start - page..start + MIB + page;
                    let apart = region.addresses.end <= window.start || window.end <= region.addresses.start;
                    assert!(apart, "{scheme:?}: {:x?} {} is in {window:x?}", region.addresses, region.permissions);
                }
            }
            let before = status_kib("VmSize:");
            for _ in 0..200 {
                let mut code = HostCode::new_with(MAX_WINDOW, scheme).unwrap();
                put(&mut code, MAX_WINDOW - LEN, 1);
            }
            // A single page of each would be 800 KiB.
            let after = status_kib("VmSize:");
            assert!(after < before + 400, "{scheme:?}: {before} KiB, then {after} KiB");
        });
    }
}

#[test]
fn a_forked_child_does_not_have_it() {
    let _turn = turn();
    if !on_real_system() {
        return;
    }
    for scheme in schemes() {
        let mut code = HostCode::new_with(MIB, scheme).unwrap();
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
        let forced = HostCode::new_with(MIB, Scheme::TwoMappings);
        if !matches!(forced, Err(CodeError::System { .. })) {
            return 2;
        }
        let Ok(mut code) = HostCode::new_with(MIB, Scheme::Auto) else { return 3 };
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
            if HostCode::new_with(MAX_WINDOW, Scheme::Auto).is_ok() {
                return 1;
            }
        }
        i32::from(status_kib("VmSize:") > before + 4096)
    });
    assert_eq!(nothing, End::Exit(0));
}
