//! What a network namespace is known by.

use std::fmt;

/// A namespace's place in the kernel's file system of namespaces: device and inode, as
/// `ls -Li /proc/self/ns/net` shows the inode.
///
/// Both name one namespace only as long as something holds it; [`NetNs::cookie`] is never
/// given twice.
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
