//! What a sandbox is made by, as its test says: two tests of one setting can have the same one.

/// What a sandbox is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) user: User,
    pub(crate) ids: Ids,
    pub(crate) network: Network,
}

/// Who the body of a test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The caller: what it could do to files the body can, no more and no less.
    Caller,
    /// uid and gid 0, with all capabilities over the new namespaces.
    Root,
    /// The user with this uid, without capabilities over files, owners and ids.
    Id(u32),
    /// The user with this name in `/etc/passwd`, as [`Id`](Self::Id).
    Named(&'static str),
}

/// Which ids there are for a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// Those of the caller.
    Own,
    /// The caller's subordinate ones, too (subuid(5)), unless it may map every id by itself.
    Subordinate,
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
