//! What Linux says about this process.

use super::Region;
use std::fs;

/// The error number of an argument that makes no sense.
pub const INVALID: i32 = libc::EINVAL;

/// Reads /proc/self/maps.
pub fn regions() -> Vec<Region> {
    let text = fs::read_to_string("/proc/self/maps").unwrap();
    let read = |line: &str| {
        let mut fields = line.split(' ');
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        let permissions = fields.next().unwrap().to_owned();
        let [start, end] = [start, end].map(|digits| usize::from_str_radix(digits, 16).unwrap());
        Region { addresses: start..end, permissions }
    };
    text.lines().map(read).collect()
}

/// The number of open descriptors.
pub fn handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Whether the system itself serves this process. An emulator of one process does not filter system calls, answers some
/// in its own way (MADV_DONTFORK), and its own memory counts as the process's.
pub fn on_real_system() -> bool {
    // SAFETY: this prctl reads no memory.
    let real = unsafe { libc::prctl(libc::PR_GET_SECCOMP) } == 0;
    if !real {
        println!("left out: what the system itself must answer, in an emulated process");
    }
    real
}

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
}

/// Runs `body` in a forked child, whose exit status is its result. It must neither panic nor rely on other threads.
pub fn in_child(body: impl FnOnce() -> i32) -> End {
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

/// Runs `body` as the only thread of a process of its own, so that nothing else changes what the system says of it.
/// Panics if it does. In an emulated process it runs `body` here: a fork of one that has threads may not come to an
/// end.
pub fn alone(body: impl FnOnce()) {
    if !on_real_system() {
        return body();
    }
    let end = in_child(|| {
        let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) else { return 0 };
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "in a child process".to_owned());
        // SAFETY: the pointer is to that many bytes.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
        1
    });
    assert_eq!(end, End::Exit(0), "the child's message stands above");
}
