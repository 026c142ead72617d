//! The system calls of this folder; it makes no others. Each gives the system's error number where it fails.

use crate::fault;
use core::ffi::{CStr, c_int, c_uint, c_void};
use core::mem::MaybeUninit;
use std::io;

/// The error number of the call that has just failed.
fn number() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn zero(result: c_int) -> Result<(), c_int> {
    if result == 0 { Ok(()) } else { Err(number()) }
}

/// Maps memory; `file` is a descriptor, or -1 with MAP_ANONYMOUS.
///
/// # Safety
///
/// With MAP_FIXED, whatever is mapped in the range is the caller's to replace.
pub unsafe fn mmap(address: usize, len: usize, access: c_int, flags: c_int, file: c_int) -> Result<usize, c_int> {
    fault::check("mmap")?;
    // SAFETY: as the caller vouches; without MAP_FIXED a new mapping touches no memory that exists.
    let mapped = unsafe { libc::mmap(address as *mut c_void, len, access, flags, file, 0) };
    if mapped == libc::MAP_FAILED { Err(number()) } else { Ok(mapped as usize) }
}

/// Unmaps whole pages.
///
/// # Safety
///
/// They are the caller's, and nobody uses them.
pub unsafe fn munmap(address: usize, len: usize) -> Result<(), c_int> {
    fault::check("munmap")?;
    // SAFETY: as the caller vouches.
    zero(unsafe { libc::munmap(address as *mut c_void, len) })
}

/// Sets the permissions of whole pages.
///
/// # Safety
///
/// They are the caller's, and no reference is live that needs another permission.
pub unsafe fn mprotect(address: usize, len: usize, access: c_int) -> Result<(), c_int> {
    fault::check("mprotect")?;
    // SAFETY: as the caller vouches.
    zero(unsafe { libc::mprotect(address as *mut c_void, len, access) })
}

/// Advises about whole pages.
///
/// # Safety
///
/// They are the caller's, and no reference is live into those that the advice takes the contents of.
pub unsafe fn madvise(address: usize, len: usize, advice: c_int) -> Result<(), c_int> {
    fault::check("madvise")?;
    // SAFETY: as the caller vouches.
    zero(unsafe { libc::madvise(address as *mut c_void, len, advice) })
}

/// Creates a memory file; its descriptor is the caller's.
pub fn memfd_create(name: &CStr, flags: c_uint) -> Result<c_int, c_int> {
    fault::check("memfd_create")?;
    // SAFETY: the name ends in zero.
    let file = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if file < 0 { Err(number()) } else { Ok(file) }
}

/// Sets the size of a file.
pub fn ftruncate(file: c_int, len: usize) -> Result<(), c_int> {
    fault::check("ftruncate")?;
    let len = libc::off_t::try_from(len).map_err(|_| libc::EFBIG)?;
    // SAFETY: it takes no pointer.
    zero(unsafe { libc::ftruncate(file, len) })
}

/// Seals a memory file.
pub fn add_seals(file: c_int, seals: c_int) -> Result<(), c_int> {
    fault::check("fcntl")?;
    // SAFETY: this command takes no pointer.
    zero(unsafe { libc::fcntl(file, libc::F_ADD_SEALS, seals) })
}

/// Closes a descriptor, which it does even if it fails (close(2), "Dealing with error returns from close()").
pub fn close(file: c_int) -> Result<(), c_int> {
    // SAFETY: it takes no pointer.
    let closed = zero(unsafe { libc::close(file) });
    fault::check("close")?;
    closed
}

/// The limit of the sizes of files, as it stands now.
pub fn file_size_limit() -> Result<libc::rlim_t, c_int> {
    // SAFETY: the pointer is to a live rlimit.
    limit(|limit| unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, limit) })
}

/// The limit of the main thread's stack, as it stands now.
pub fn stack_limit() -> Result<libc::rlim_t, c_int> {
    // SAFETY: the pointer is to a live rlimit.
    limit(|limit| unsafe { libc::getrlimit(libc::RLIMIT_STACK, limit) })
}

fn limit(read: impl Fn(&mut libc::rlimit) -> c_int) -> Result<libc::rlim_t, c_int> {
    fault::check("getrlimit")?;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    zero(read(&mut limit))?;
    Ok(limit.rlim_cur)
}

/// `membarrier` with this command.
pub fn membarrier(command: c_int) -> Result<(), c_int> {
    fault::check("membarrier")?;
    // SAFETY: it takes a command, flags and a CPU number, and touches no memory.
    if unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } == 0 { Ok(()) } else { Err(number()) }
}

/// The lowest address, the size and the size of the guard of the calling thread's stack, of a thread that is not the
/// main one.
pub fn thread_stack() -> Result<(usize, usize, usize), c_int> {
    fault::check("pthread_getattr_np")?;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: it initializes the attributes unless it fails.
    let error = unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
    if error != 0 {
        return Err(error);
    }
    // SAFETY: it has not failed.
    let mut attributes = unsafe { attributes.assume_init() };
    let (mut start, mut size, mut guard): (*mut c_void, usize, usize) = (core::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes are initialized, the other pointers are to live variables, and the attributes are not used
    // after their end.
    let error = unsafe {
        let error = libc::pthread_attr_getstack(&attributes, &mut start, &mut size)
            | libc::pthread_attr_getguardsize(&attributes, &mut guard);
        libc::pthread_attr_destroy(&mut attributes);
        error
    };
    if error == 0 { Ok((start as usize, size, guard)) } else { Err(error) }
}

/// This process.
pub fn getpid() -> libc::pid_t {
    // SAFETY: it has no preconditions, and cannot fail.
    unsafe { libc::getpid() }
}

/// Whether the calling thread is the process's first.
pub fn is_main_thread() -> bool {
    // SAFETY: it has no preconditions, and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) == libc::c_long::from(getpid()) }
}

/// The size of a page in bytes.
pub fn page_size() -> usize {
    // SAFETY: sysconf has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}
