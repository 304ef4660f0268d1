//! The steps that can be refused. Pure.

use crate::sys::process::Namespace;

/// Which step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Making namespaces, and which one of them is refused.
    Clone(Option<Namespace>),
    /// Mapping ids; for a caller whose id is 0 and that may map no other, or for any other.
    Maps {
        /// Whether it is that caller.
        of_root: bool,
    },
    /// Cutting the mounts off from the host's.
    Mounts,
    /// Making a socket, binding or connecting it.
    Sockets,
    /// Bringing `lo` up.
    Loopback,
    /// Reading about itself in `/proc`.
    Proc,
    /// Opening `/dev/null`.
    Null,
    /// Forking the server: the process has this many threads.
    Threads,
    /// What needs processes, descriptors and memory only, and may be refused for its object.
    Resources,
    /// A call that needs these only, and that the kernel itself refuses to nobody.
    Call,
}
