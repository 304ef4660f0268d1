//! Error numbers of the kernel, and their names. Numbers differ between architectures (MIPS,
//! SPARC), so every room takes them from here.

use std::io;

use nix::errno::Errno;

use crate::error::{Diagnosis, Failure};

pub(crate) const EPERM: i32 = libc::EPERM;
pub(crate) const ENOENT: i32 = libc::ENOENT;
pub(crate) const ESRCH: i32 = libc::ESRCH;
#[cfg(feature = "lab")]
pub(crate) const ENETDOWN: i32 = libc::ENETDOWN;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const ENXIO: i32 = libc::ENXIO;
pub(crate) const EAGAIN: i32 = libc::EAGAIN;
pub(crate) const ENOMEM: i32 = libc::ENOMEM;
pub(crate) const EACCES: i32 = libc::EACCES;
#[cfg(any(feature = "lab", all(test, feature = "doctor")))]
pub(crate) const EEXIST: i32 = libc::EEXIST;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const ENODEV: i32 = libc::ENODEV;
pub(crate) const EINVAL: i32 = libc::EINVAL;
#[cfg(test)]
pub(crate) const EMFILE: i32 = libc::EMFILE;
pub(crate) const EMSGSIZE: i32 = libc::EMSGSIZE;
#[cfg(test)]
pub(crate) const EISDIR: i32 = libc::EISDIR;
pub(crate) const EROFS: i32 = libc::EROFS;
pub(crate) const ENOSPC: i32 = libc::ENOSPC;
pub(crate) const ENOSYS: i32 = libc::ENOSYS;
pub(crate) const EUSERS: i32 = libc::EUSERS;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const EPROTONOSUPPORT: i32 = libc::EPROTONOSUPPORT;
pub(crate) const EOPNOTSUPP: i32 = libc::EOPNOTSUPP;
#[cfg(any(feature = "lab", feature = "doctor"))]
pub(crate) const EAFNOSUPPORT: i32 = libc::EAFNOSUPPORT;
#[cfg(feature = "dns")]
pub(crate) const EADDRINUSE: i32 = libc::EADDRINUSE;
#[cfg(feature = "lab")]
pub(crate) const EADDRNOTAVAIL: i32 = libc::EADDRNOTAVAIL;

/// Describes an error: `EPERM (Operation not permitted)`, or its own text.
pub(crate) fn describe(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), describe_raw)
}

/// Describes an error number.
pub(crate) fn describe_raw(code: i32) -> String {
    match Errno::from_raw(code) {
        Errno::UnknownErrno => format!("error {code}"),
        errno => format!("{errno:?} ({})", errno.desc()),
    }
}

/// Returns the failure of `step` on `object`, with the kernel's reason. If that is a full table of
/// descriptors, the cause needs no other facts, and is added.
pub(crate) fn failure(step: &str, object: impl Into<String>, error: &io::Error) -> Failure {
    let errno = error.raw_os_error();
    let table = errno.and_then(full_table);
    // These calls take no descriptor: the file could not be opened for them.
    let step = if table.is_some() && matches!(step, "read" | "write") { "open" } else { step };
    let diagnosis = table.map(Box::new);
    Failure { errno, diagnosis, ..Failure::new(step, object, describe(error)) }
}

/// Explains a full table of descriptors, of the process or of the machine.
fn full_table(code: i32) -> Option<Diagnosis> {
    let few = "run fewer tests at once (--test-threads)";
    match code {
        libc::EMFILE => {
            let limit = crate::sys::process::limits::open_files().to_string();
            let cause = Diagnosis::new("process-limit", "too many open files in one process");
            let cause = cause.shown_by("Max open files in /proc/self/limits", limit);
            Some(cause.for_good(format!("raise `ulimit -n`, or {few}")))
        }
        libc::ENFILE => {
            let cause = Diagnosis::new("process-limit", "too many open files on the machine");
            Some(cause.for_good(format!("raise fs.file-max, or {few}")))
        }
        _ => None,
    }
}

/// A failed call, before it is known whether it is reported.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) step: &'static str,
    pub(crate) object: &'static str,
    pub(crate) error: io::Error,
}

/// Adds step and object to an error.
pub(crate) fn at(step: &'static str, object: &'static str) -> impl Fn(io::Error) -> Refusal {
    move |error| Refusal { step, object, error }
}

impl std::borrow::Borrow<io::Error> for Refusal {
    fn borrow(&self) -> &io::Error {
        &self.error
    }
}

/// Returns the error of a process whose table of descriptors is full.
pub(crate) fn too_many_files() -> io::Error {
    Errno::EMFILE.into()
}

/// Returns the error of a process that may not start another thread.
#[cfg(feature = "tokio")]
pub(crate) fn too_many_threads() -> io::Error {
    Errno::EAGAIN.into()
}

/// Returns whether the process's own table of descriptors is full, so that waiting does not help.
#[cfg(feature = "tokio")]
pub(crate) fn is_full_table(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMFILE)
}

/// Returns whether waiting may help: tests that end free resources, and the kernel destroys unused
/// namespaces asynchronously.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(may_come_free)
}

/// As [`is_shortage`], for an error number.
pub(crate) fn may_come_free(code: i32) -> bool {
    is_shortage_of_namespaces(code) || is_shortage_code(code)
}

/// Returns whether an error number means a shortage of anything but namespaces.
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

/// Returns whether a limit on namespaces is reached, permanently or until some are destroyed.
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
