//! The identity of a network namespace.

use std::fmt;

/// The device and inode of a namespace in the kernel's nsfs; `ls -Li /proc/self/ns/net` shows the
/// inode.
///
/// The kernel may reuse them after the namespace is destroyed.
/// [`NetNs::cookie`](crate::NetNs::cookie) is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetNsId {
    /// The device number, the same for all namespaces of a machine.
    pub device: u64,
    /// The inode number, the one that `lsns` shows.
    pub inode: u64,
}

/// `net:[4026531840]`, the target of the link `/proc/self/ns/net`.
impl fmt::Display for NetNsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}
