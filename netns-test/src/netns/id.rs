//! What a network namespace is known by.

use std::fmt;

use crate::error::{Error, Result};
use crate::netns::NetNs;
use crate::sys::errno;
use crate::sys::net::ifreq;
use crate::sys::ns::nsfs;

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

impl NetNs {
    /// Device and inode.
    #[must_use]
    pub fn id(&self) -> NetNsId {
        self.id
    }

    /// A number that the kernel gives to this namespace and to no other until the machine starts
    /// again (`SO_NETNS_COOKIE`, socket(7)).
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT before Linux 5.14, and those of [`run`](Self::run): a socket in the namespace
    /// is asked.
    pub fn cookie(&self) -> Result<u64> {
        let cookie = self.run(|| {
            use std::os::fd::AsFd as _;
            nsfs::cookie(ifreq::socket()?.as_fd())
        })?;
        cookie.map_err(|error| {
            Error::from(errno::failure("getsockopt SO_NETNS_COOKIE", self.to_string(), &error))
        })
    }
}
