//! Whether a seccomp filter stands between this process and the kernel: calls that have no
//! effect, whose answer is known if it comes from the kernel (seccomp(2)).

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
    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnshareNothing => "unshare(0)",
            Self::CloneUser => "clone(CLONE_NEWUSER | CLONE_FS)",
        }
    }

    /// What it says if that is not the kernel's own answer: `EPERM`, `killed by SIGSYS`.
    ///
    /// Made in a child, which a filter may kill.
    pub(crate) fn filtered(self) -> Option<String> {
        let status = process::in_child(|| self.make()).ok()?;
        match status {
            Status::Exited(code) if code == self.without_filter() => None,
            Status::Exited(code) => Some(format!("{:?}", Errno::from_raw(code))),
            Status::Signaled(signal) => Some(format!("killed by {}", signals::name(signal))),
        }
    }

    /// The kernel's own answer.
    fn without_filter(self) -> i32 {
        match self {
            Self::UnshareNothing => 0,
            Self::CloneUser => libc::EINVAL,
        }
    }

    /// The error's number, or 0.
    fn make(self) -> i32 {
        match self {
            Self::UnshareNothing => {
                // SAFETY: without flags nothing changes.
                let result = unsafe { libc::unshare(0) };
                if result < 0 { Errno::last_raw() } else { 0 }
            }
            // An invalid combination of flags, with which nothing is made.
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
