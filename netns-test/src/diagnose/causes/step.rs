//! The steps that can be refused. Pure.

use crate::sys::process::Namespace;

/// The step that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Creating namespaces, with the one that is refused.
    Clone(Option<Namespace>),
    /// The same, by a process that may have several threads: the limit of these is reached.
    Namespaces(Option<Namespace>),
    /// Writing id maps.
    Maps {
        /// Whether the caller's id is 0, and it may map no other.
        of_root: bool,
    },
    /// Cutting the mounts off from the host's.
    Mounts,
    /// Making a socket, binding or connecting it.
    Sockets,
    /// Bringing `lo` up.
    Loopback,
    /// Reading the process's own files in `/proc`.
    Proc,
    /// Opening `/dev/null`.
    Null,
    /// Forking the server: the process has this many threads.
    Threads,
    /// A call that needs only processes, descriptors and memory, and may fail because of its
    /// object.
    Resources,
    /// A call that needs only these, and that the kernel itself never refuses.
    Call,
}

impl Step {
    /// Returns whether its causes are found by trying calls in a child, which a process with
    /// several threads must not make.
    pub(crate) fn needs_a_child(self) -> bool {
        !matches!(self, Self::Call | Self::Resources | Self::Null | Self::Namespaces(_))
    }
}
