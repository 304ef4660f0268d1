//! The setting of a sandbox, as a test declares it. Tests with equal settings can use the same warm
//! sandbox.

/// The user, ids and network of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) user: User,
    pub(crate) ids: Ids,
    pub(crate) network: Network,
}

/// The user of a test's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The caller: the body has exactly the caller's rights over files.
    Caller,
    /// uid and gid 0, with all capabilities over the new namespaces.
    Root,
    /// The user with this uid, without capabilities over files, owners and ids.
    Id(u32),
    /// The user with this name in `/etc/passwd`, as [`Id`](Self::Id).
    Named(&'static str),
}

/// The ids of a body's user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The caller's ids.
    Own,
    /// The caller's subordinate ids, too (subuid(5)), unless the caller may map every id itself.
    Subordinate,
}

/// The network of a body at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Only `lo`.
    Loopback,
    /// `lo`, and `eth0` with a neighbour on the same subnet.
    Lan,
}

impl Setting {
    /// The setting of a test without options.
    pub(crate) const CALLER: Self =
        Self { user: User::Caller, ids: Ids::Own, network: Network::Loopback };
}
