//! The handle on a network namespace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Error, Result};
use crate::netns::id::NetNsId;
use crate::netns::unshare;
use crate::sys::errno;
use crate::sys::net::ifreq;
use crate::sys::ns::nsfs;

/// A network namespace, kept alive by the handle.
///
/// A handle is an open file descriptor (close-on-exec) on the namespace (`network_namespaces(7)`).
/// Dropping it closes the descriptor. The kernel destroys a namespace when no process, socket,
/// mount or handle refers to it. For an optional namespace, as with Go's `netns.None()`, use
/// `Option<NetNs>`.
///
/// Only [`enter`](Self::enter), [`enter_from`](Self::enter_from) and [`run`](Self::run), which
/// restore its namespace afterwards, and [`set_current_thread`](Self::set_current_thread) move the
/// calling thread.
///
/// To join or create a namespace takes `CAP_SYS_ADMIN`. Root has it, and so has every
/// [`netns_test`](crate::netns_test) body, over the namespaces that it creates.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use netns_test::NetNs;
///
/// let own = NetNs::current()?;
/// assert_eq!(own, NetNs::from_pid(std::process::id())?);
/// println!("{own} is {:?}", own.id());
/// # }
/// # Ok::<(), netns_test::Error>(())
/// ```
#[derive(Debug)]
pub struct NetNs {
    pub(crate) fd: OwnedFd,
    pub(crate) id: NetNsId,
}

impl NetNs {
    /// Creates a network namespace, which has only `lo`, down (see
    /// [`loopback_up`](Self::loopback_up)).
    ///
    /// A short-lived thread creates it. The calling thread is never moved, even if a step fails.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN`; ENOSPC at the limit `user.max_net_namespaces`; EAGAIN or
    /// EMFILE at the process's limits on threads and descriptors.
    pub fn new() -> Result<Self> {
        unshare::in_new_namespace(Self::current)
    }

    /// Sets `lo` up. The kernel then adds 127.0.0.1 and `::1` to it.
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_NET_ADMIN` over the namespace, and those of [`run`](Self::run).
    pub fn loopback_up(&self) -> Result<()> {
        self.run(|| {
            let socket = ifreq::socket();
            socket.and_then(|socket| ifreq::loopback_up(&socket))
        })?
        .map_err(|error| Error::from(errno::failure("bring up", format!("lo in {self}"), &error)))
    }

    /// Returns device and inode.
    #[must_use]
    pub fn id(&self) -> NetNsId {
        self.id
    }

    /// Returns the namespace's cookie, a number that is unique until the next boot
    /// (`SO_NETNS_COOKIE`, socket(7)).
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT before Linux 5.14, and those of [`run`](Self::run), because it is read from a
    /// socket in the namespace.
    pub fn cookie(&self) -> Result<u64> {
        let cookie = self.run(|| nsfs::cookie(ifreq::socket()?.as_fd()))?;
        cookie.map_err(|error| {
            Error::from(errno::failure("getsockopt SO_NETNS_COOKIE", self.to_string(), &error))
        })
    }

    /// Duplicates the handle.
    ///
    /// # Errors
    ///
    /// EMFILE if the table of descriptors is full.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = self.fd.try_clone();
        let fd = fd.map_err(|error| errno::failure("duplicate", self.to_string(), &error))?;
        Ok(Self { fd, id: self.id })
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<NetNs> for OwnedFd {
    fn from(namespace: NetNs) -> Self {
        namespace.fd
    }
}

/// Two handles are equal if they refer to the same namespace, by device and inode. The kernel does
/// not reuse these while a handle exists.
impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for NetNs {}

/// Writes `net:[4026531840]`, as `lsns` and `readlink /proc/self/ns/net` do.
impl std::fmt::Display for NetNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}
