//! Names for the kernel's error numbers: people search for `EPERM`, not for 1.

use std::io;

use nix::errno::Errno;

use crate::error::Failure;

pub(crate) const EPERM: i32 = libc::EPERM;
pub(crate) const ENOENT: i32 = libc::ENOENT;
pub(crate) const ESRCH: i32 = libc::ESRCH;
#[cfg(feature = "doctor")]
pub(crate) const ENXIO: i32 = libc::ENXIO;
pub(crate) const EAGAIN: i32 = libc::EAGAIN;
pub(crate) const ENOMEM: i32 = libc::ENOMEM;
pub(crate) const EACCES: i32 = libc::EACCES;
#[cfg(any(feature = "lab", all(test, feature = "doctor")))]
pub(crate) const EEXIST: i32 = libc::EEXIST;
#[cfg(feature = "doctor")]
pub(crate) const ENODEV: i32 = libc::ENODEV;
pub(crate) const EINVAL: i32 = libc::EINVAL;
pub(crate) const ENFILE: i32 = libc::ENFILE;
pub(crate) const EMFILE: i32 = libc::EMFILE;
pub(crate) const ENOSPC: i32 = libc::ENOSPC;
pub(crate) const ENOSYS: i32 = libc::ENOSYS;
pub(crate) const EUSERS: i32 = libc::EUSERS;
#[cfg(feature = "doctor")]
pub(crate) const EPROTONOSUPPORT: i32 = libc::EPROTONOSUPPORT;
pub(crate) const EOPNOTSUPP: i32 = libc::EOPNOTSUPP;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const EAFNOSUPPORT: i32 = libc::EAFNOSUPPORT;
#[cfg(feature = "lab")]
pub(crate) const EADDRNOTAVAIL: i32 = libc::EADDRNOTAVAIL;

/// `EPERM (Operation not permitted)`; other errors by their own text.
pub(crate) fn describe(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), describe_raw)
}

/// The same for a bare number.
pub(crate) fn describe_raw(code: i32) -> String {
    match Errno::from_raw(code) {
        Errno::UnknownErrno => format!("error {code}"),
        errno => format!("{errno:?} ({})", errno.desc()),
    }
}

/// The failure of `step` on `object` for the reason that the kernel gave.
pub(crate) fn failure(step: &str, object: impl Into<String>, error: &io::Error) -> Failure {
    let errno = error.raw_os_error();
    Failure { errno, ..Failure::new(step, object, describe(error)) }
}

/// A call that failed, before it is known whether that is told.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) step: &'static str,
    pub(crate) object: &'static str,
    pub(crate) error: io::Error,
}

/// Notes which call an error is of, and on what.
pub(crate) fn at(step: &'static str, object: &'static str) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal { step, object, error }
}

impl std::borrow::Borrow<io::Error> for Refusal {
    fn borrow(&self) -> &io::Error {
        &self.error
    }
}

/// The error of a process whose table of descriptors is full.
pub(crate) fn too_many_files() -> io::Error {
    Errno::EMFILE.into()
}

/// The error of a process that may not start one more thread.
#[cfg(feature = "tokio")]
pub(crate) fn too_many_threads() -> io::Error {
    Errno::EAGAIN.into()
}

/// Whether the process's own table of descriptors is full, which only the process can change.
#[cfg(feature = "tokio")]
pub(crate) fn is_full_table(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMFILE)
}

/// Whether waiting may help: what is short now can be freed by tests that end and by
/// the kernel, which takes dead namespaces down after the fact.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(may_come_free)
}

/// The same for an error's number.
pub(crate) fn may_come_free(code: i32) -> bool {
    is_shortage_of_namespaces(code) || is_shortage_code(code)
}

/// The same for an error's number, where namespaces are not what is short.
pub(crate) fn is_shortage_code(code: i32) -> bool {
    matches!(
        Errno::from_raw(code),
        Errno::EAGAIN
            | Errno::ENOMEM
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOBUFS
            | Errno::ETOOMANYREFS
    )
}

/// Whether a limit on namespaces is reached: for good, or until some are taken down.
pub(crate) fn is_shortage_of_namespaces(code: i32) -> bool {
    matches!(Errno::from_raw(code), Errno::ENOSPC | Errno::EUSERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_numbers_are_described() {
        assert_eq!(describe_raw(libc::EPERM), "EPERM (Operation not permitted)");
        assert_eq!(describe_raw(99_999), "error 99999");
    }

    #[test]
    fn refusals_are_no_shortage() {
        assert!(is_shortage(&io::Error::from_raw_os_error(libc::ENOSPC)));
        assert!(!is_shortage(&io::Error::from_raw_os_error(libc::EPERM)));
        assert!(!is_shortage(&io::Error::other("text")));
    }
}
