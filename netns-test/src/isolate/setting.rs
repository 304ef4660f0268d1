//! What a sandbox is made by, as its test says: two tests of one setting can have the same one.

use crate::isolate::identity::{Ids, User};

/// What a sandbox is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) user: User,
    pub(crate) ids: Ids,
    pub(crate) network: Network,
}

/// The network that a body begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `lo` alone.
    Loopback,
    /// `lo`, and `eth0` with a neighbour.
    Lan,
}

impl Setting {
    /// That of a test that says nothing.
    pub(crate) const CALLER: Self =
        Self { user: User::Caller, ids: Ids::Own, network: Network::Loopback };
}
