//! What only Linux has: forked children, refused system calls, and pages that are not there until they are touched.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod system;

use opstamp::code::{CodeError, CodeMemory};
use opstamp_platform::{HostCode, MAX_WINDOW, Scheme};
use std::fs;
use std::time::{Duration, Instant};
use system::{End, LEN, MIB, function, in_child, on_real_system, put, range, returns, schemes, turn};

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

#[test]
fn two_mappings_publish_without_a_system_call() {
    let _turn = turn();
    let rewrites = |scheme| {
        in_child(move || {
            let Ok(mut code) = HostCode::new_with(MIB, scheme) else { return 2 };
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
