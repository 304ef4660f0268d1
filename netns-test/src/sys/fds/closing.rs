//! Closes all descriptors but a few, at once or at exec.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;

/// Closes every descriptor above 2 that is not in `keep`.
///
/// For freshly forked processes of the harness: values that own one of the closed
/// descriptors are never dropped there, since those processes end by `_exit` or `exit`.
pub(crate) fn close_all_except(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|&fd| u32::try_from(fd).ok()).collect();
    keep.push(2);
    keep.sort_unstable();
    for pair in keep.windows(2) {
        if pair[0] + 1 < pair[1] {
            close_range(pair[0] + 1, pair[1] - 1)?;
        }
    }
    close_range(keep[keep.len() - 1] + 1, u32::MAX)
}

/// Closes every descriptor but those of `own` that are not negative, the standard streams too.
/// Allocates nothing; for processes whose values that own one are never dropped.
pub(crate) fn close_all_but(mut own: [RawFd; 4]) {
    own.sort_unstable();
    let mut next = 0;
    for fd in own.into_iter().filter_map(|fd| u32::try_from(fd).ok()) {
        if fd > next {
            close_numbers(next, fd - 1);
        }
        next = next.max(fd + 1);
    }
    close_numbers(next, u32::MAX);
}

fn close_numbers(first: u32, last: u32) {
    // SAFETY: closes numbers only; by the contract of `close_all_but` no value that owns one is
    // used later.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return;
    }
    // Linux before 5.9, or a seccomp filter that does not know the call.
    let most = crate::sys::process::limits::open_files().min(1 << 20);
    for number in first..=last.min(most) {
        // SAFETY: as above.
        unsafe { libc::close(number as RawFd) };
    }
}

/// Sets close-on-exec on every descriptor above 2, except `kept`. Allocates nothing.
///
/// They are not closed at once, because the standard library reports a failure of exec by one of
/// them.
pub(crate) fn close_at_exec_all_but(kept: &[OwnedFd]) {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: sets flags of numbers only.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if result != 0 {
        // Linux before 5.11, or a seccomp filter that does not know the call.
        let most = crate::sys::process::limits::open_files().min(1 << 20);
        for number in 3..=most {
            set_close_at_exec(number as RawFd, libc::FD_CLOEXEC);
        }
    }
    for fd in kept {
        set_close_at_exec(fd.as_raw_fd(), 0);
    }
}

fn set_close_at_exec(number: RawFd, flag: libc::c_int) {
    // SAFETY: sets a flag of a number only; for one that is not open it fails with EBADF.
    unsafe { libc::fcntl(number, libc::F_SETFD, flag) };
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: closes numbers only; by the contract of `close_all_except` no value that owns one is
    // used later.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    match Errno::result(result) {
        Ok(_) => Ok(()),
        // Linux before 5.9, or a seccomp filter that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES) => close_listed(first, last),
        Err(errno) => Err(errno.into()),
    }
}

fn close_listed(first: u32, last: u32) -> io::Result<()> {
    let mut open: Vec<u32> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    for number in open.into_iter().filter(|number| (first..=last).contains(number)) {
        let Ok(raw) = RawFd::try_from(number) else { continue };
        // SAFETY: closes a number only; that of the finished listing is closed already (EBADF).
        unsafe { libc::close(raw) };
    }
    Ok(())
}
