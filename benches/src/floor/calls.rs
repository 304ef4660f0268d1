//! Bare system calls that the floors share. Only their results are checked.

use std::ffi::{CStr, c_void};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// Path of the network namespace of the thread that opens it.
const OWN: &CStr = c"/proc/thread-self/ns/net";

/// Moves this process into a new user and network namespace, in which it is root. The process must
/// have one thread.
pub(crate) fn own_namespaces() -> io::Result<()> {
    let ids = own_ids();
    // SAFETY: touches no memory.
    let result = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    check(result)?;
    set_maps(&ids.map(|id| format!("0 {id} 1")))
}

/// Returns the uid and the gid of this process.
pub(crate) fn own_ids() -> [u32; 2] {
    // SAFETY: always succeeds and touches no memory.
    let uid = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let gid = unsafe { libc::getegid() };
    [uid, gid]
}

/// Writes the id maps of the user namespace of this process, which has none yet.
pub(crate) fn set_maps([uid, gid]: &[String; 2]) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", uid)?;
    fs::write("/proc/self/gid_map", gid)
}

/// Forks by clone(2) with these flags, and returns 0 in the child. The process must have one
/// thread.
pub(crate) fn clone(flags: libc::c_int) -> io::Result<libc::pid_t> {
    let (flags, none) = (libc::c_long::from(flags), libc::c_long::from(0));
    #[cfg(target_arch = "s390x")]
    let (first, second) = (none, flags);
    #[cfg(not(target_arch = "s390x"))]
    let (first, second) = (flags, none);
    // SAFETY: without a new stack this is fork(2), and the process has one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, first, second, none, none, none) };
    check_call(child)
}

/// Returns the result of a raw system call, or its error.
pub(crate) fn check_call(result: libc::c_long) -> io::Result<libc::c_int> {
    check(i32::try_from(result).map_err(io::Error::other)?)
}

/// Opens the network namespace of the calling thread.
pub(crate) fn open_own() -> io::Result<OwnedFd> {
    open(OWN)
}

pub(crate) fn open(path: &CStr) -> io::Result<OwnedFd> {
    open_with(path, libc::O_RDONLY)
}

pub(crate) fn open_with(path: &CStr, flags: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a C string that lives through the call.
    let fd = check(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Moves the calling thread into the namespace.
pub(crate) fn enter(namespace: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes two numbers.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Moves the calling thread into the namespace, and back into its own.
pub(crate) fn there_and_back(there: &OwnedFd) -> io::Result<()> {
    let here = open_own()?;
    enter(there)?;
    enter(&here)
}

/// Makes a network namespace in a temporary thread.
pub(crate) fn new_in_a_thread() -> io::Result<OwnedFd> {
    let mut thread: libc::pthread_t = 0;
    // SAFETY: the number is writable, null means default attributes, and the function ignores its
    // argument.
    let error = unsafe {
        libc::pthread_create(&raw mut thread, std::ptr::null(), make, std::ptr::null_mut())
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut result = std::ptr::null_mut();
    // SAFETY: the thread was started above and is joined only here; the result is writable.
    unsafe { libc::pthread_join(thread, &raw mut result) };
    let fd = RawFd::try_from(result as isize).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the thread that opened the descriptor has ended.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs on the temporary thread, and returns the descriptor or a negative errno.
extern "C" fn make(_: *mut c_void) -> *mut c_void {
    // SAFETY: touches no memory.
    let mut result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    if result == 0 {
        // SAFETY: a C string that lives through the call.
        result = unsafe { libc::open(OWN.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    }
    if result == -1 {
        result = -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
    }
    result as isize as *mut c_void
}

pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
