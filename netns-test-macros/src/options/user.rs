//! The value of the option `user`.

/// The user that the body sees itself as.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum User {
    Caller,
    Root,
    /// A uid other than 0.
    Id(u32),
    /// A name in `/etc/passwd`.
    Named(String),
}
