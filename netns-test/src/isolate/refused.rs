//! Refusal of a step that a sandbox needs.

use crate::error::Failure;

/// Refused step without which there is no sandbox.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) part: Part,
    pub(crate) failure: Failure,
}

/// Part of a sandbox that cannot be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Maps {
        /// Whether the only mapped id is that of root.
        of_root: bool,
    },
    Mounts,
    Sockets,
    Loopback,
}
