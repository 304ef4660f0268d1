//! The floor of a test: six namespaces in one step, id maps, private mounts, a new `/proc` and
//! `/sys`, `lo`, an init and a body; the body's end, a report, and the end of init. It uses as few
//! system calls as possible, in a process with one thread.
//!
//! The library additionally has: a `/run` of its own, sysctls for IPv6 and ping, a session,
//! capabilities, pipes for output, the runner's environment, limits and directory, the thread of
//! the test, a sealed record, and a search for processes left behind.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use crate::floor::calls::{check, clone, own_ids, set_maps};

/// The namespaces of a test.
pub(crate) const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC;

/// Report of a body that has succeeded.
pub(crate) const PASSED: u8 = 1;

/// Runs `count` empty tests, one after the other, and returns their total time. The process must
/// have one thread.
pub(crate) fn tests(count: u32) -> io::Result<Duration> {
    let maps = own_maps();
    let start = Instant::now();
    for _ in 0..count {
        test(&maps)?;
    }
    Ok(start.elapsed())
}

fn test(maps: &[String; 2]) -> io::Result<()> {
    let [ours, theirs] = pipe()?;
    let init = clone(NAMESPACES | libc::SIGCHLD)?;
    if init == 0 {
        let report = init_of(maps).map_or(0, |()| PASSED);
        let passed = write(&theirs, report).is_ok();
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!passed)) }
    }
    drop(theirs);
    let report = read(&ours)?;
    if wait(init)? != 0 || report != PASSED {
        return Err(io::Error::other("the bare calls of a test were refused"));
    }
    Ok(())
}

/// Runs init, up to its report.
fn init_of(maps: &[String; 2]) -> io::Result<()> {
    set_maps(maps)?;
    mount_all()?;
    loopback_up()?;
    let [body_ours, body_theirs] = pipe()?;
    // SAFETY: the process has one thread.
    let body = check(unsafe { libc::fork() })?;
    if body == 0 {
        let is_reported = write(&body_theirs, PASSED).is_ok();
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!is_reported)) }
    }
    drop(body_theirs);
    if wait(body)? != 0 || read(&body_ours)? != PASSED {
        return Err(io::Error::other("the body failed"));
    }
    Ok(())
}

/// Returns id maps with the caller's ids only.
pub(crate) fn own_maps() -> [String; 2] {
    own_ids().map(|id| format!("{id} {id} 1"))
}

/// Makes mounts private, and mounts `/proc` and `/sys` of the new namespaces.
pub(crate) fn mount_all() -> io::Result<()> {
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(c"proc", c"/proc", flags)?;
    mount(c"sysfs", c"/sys", flags)
}

pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: makes a descriptor.
    let socket =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: zeros are a request without a name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let up = i16::try_from(libc::IFF_UP).expect("it is a bit of 16");
    request.ifr_ifru.ifru_flags = up;
    // SAFETY: the request lives through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
        .map(drop)
}

pub(crate) fn mount(kind: &CStr, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let (source, target) = (kind.as_ptr(), target.as_ptr());
    // SAFETY: C strings that live through the call, and no data.
    check(unsafe { libc::mount(source, target, source, flags, std::ptr::null()) }).map(drop)
}

pub(crate) fn pipe() -> io::Result<[OwnedFd; 2]> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the descriptors are new and have no other owner.
    Ok(ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }))
}

pub(crate) fn write(end: &OwnedFd, byte: u8) -> io::Result<()> {
    // SAFETY: one byte is read from where one is.
    let written = unsafe { libc::write(end.as_raw_fd(), (&raw const byte).cast(), 1) };
    if written == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn read(end: &OwnedFd) -> io::Result<u8> {
    let mut byte = 0_u8;
    // SAFETY: one byte is written to where one is.
    match unsafe { libc::read(end.as_raw_fd(), (&raw mut byte).cast(), 1) } {
        1 => Ok(byte),
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for the end of a child, and returns its status as in wait(2).
pub(crate) fn wait(child: libc::pid_t) -> io::Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: the status is writable.
    check(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    Ok(status)
}
