//! Probes for a seccomp filter: calls without an effect, whose result is known without a filter
//! (seccomp(2)).

use nix::errno::Errno;

use crate::sys::process;
use crate::sys::process::Status;
use crate::sys::process::signals;

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// unshare(2) without a flag, which does nothing: a filter that refuses it looks at the
    /// call and not at its arguments.
    UnshareNothing,
    /// clone(2) with `CLONE_NEWUSER` and `CLONE_FS`, which the kernel finds invalid before it
    /// looks at anything else.
    CloneUser,
}

impl Call {
    /// Returns its usual notation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnshareNothing => "unshare(0)",
            Self::CloneUser => "clone(CLONE_NEWUSER | CLONE_FS)",
        }
    }

    /// Returns the result if it is not the kernel's own: `EPERM`, `killed by SIGSYS`.
    ///
    /// The call is made in a child, because a filter may kill it.
    pub(crate) fn filtered(self) -> Option<String> {
        let status = process::in_child(|| self.make()).ok()?;
        match status {
            Status::Exited(code) if code == self.without_filter() => None,
            Status::Exited(code) => Some(format!("{:?}", Errno::from_raw(code))),
            Status::Signaled(signal) => Some(format!("killed by {}", signals::name(signal))),
        }
    }

    /// Returns the kernel's own result.
    fn without_filter(self) -> i32 {
        match self {
            Self::UnshareNothing => 0,
            Self::CloneUser => libc::EINVAL,
        }
    }

    /// Makes the call, and returns the error number, or 0.
    fn make(self) -> i32 {
        match self {
            Self::UnshareNothing => {
                // SAFETY: without flags nothing changes.
                let result = unsafe { libc::unshare(0) };
                if result < 0 { Errno::last_raw() } else { 0 }
            }
            // This combination of flags is invalid, so no process is created.
            Self::CloneUser => match process::clone(libc::CLONE_NEWUSER | libc::CLONE_FS) {
                Ok(_) => 0,
                Err(error) => error.raw_os_error().unwrap_or(0),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_itself_answers_without_a_filter() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        if status.lines().any(|line| line == "Seccomp:\t0") {
            for call in [Call::UnshareNothing, Call::CloneUser] {
                assert_eq!(call.filtered(), None, "{}", call.name());
            }
        }
    }
}
