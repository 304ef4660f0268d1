//! A step that a sandbox needs and the kernel has refused.

use crate::error::Failure;

/// A step without which there is no sandbox.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) part: Part,
    pub(crate) failure: Failure,
}

/// Which of the parts that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Maps {
        /// Whether the one id that is mapped is root's.
        of_root: bool,
    },
    Mounts,
    Sockets,
    Loopback,
}
