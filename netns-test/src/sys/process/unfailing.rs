//! Calls that never fail according to their manual pages. A seccomp filter can still refuse them,
//! and C libraries do not check for that.

use std::io;

/// Sets the file mode creation mask.
pub(crate) fn set_umask(mask: u32) -> io::Result<()> {
    // SAFETY: takes a number.
    let before = unsafe { libc::umask(mask as libc::mode_t) };
    no_error(libc::c_long::from(before as libc::c_int))
}

/// Tries the calls for ids of processes and users, which never fail without a filter. Returns the
/// first one that is refused, with the error.
pub(crate) fn refused_identity() -> Result<(), (&'static str, io::Error)> {
    let calls = [
        ("getpid", libc::SYS_getpid),
        ("getppid", libc::SYS_getppid),
        ("geteuid", libc::SYS_geteuid),
        ("getegid", libc::SYS_getegid),
    ];
    for (name, call) in calls {
        // SAFETY: these calls have no arguments and touch no memory.
        let result = unsafe { libc::syscall(call) };
        if result == -1 {
            return Err((name, io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// Returns the error in the raw result of a call. C libraries return it unchanged, since the call
/// has no errors by its manual page.
fn no_error(result: libc::c_long) -> io::Result<()> {
    match result {
        -4095..0 => Err(io::Error::from_raw_os_error(-result as i32)),
        _ => Ok(()),
    }
}

/// Returns the processor time of all reaped children in seconds, rounded.
pub(crate) fn time_of_children() -> u64 {
    // SAFETY: zero bytes are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage` to the live variable.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    (micros(usage.ru_utime) + micros(usage.ru_stime) + 500_000) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_of_the_kernel_are_errors() {
        assert!(no_error(0o022).is_ok());
        assert_eq!(no_error(-13).unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert!(refused_identity().is_ok());
    }
}
