//! The handle on a network namespace.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::{Error, Result};
use crate::netns::id::NetNsId;
use crate::netns::unshare;
use crate::sys::errno;
use crate::sys::net::ifreq;
use crate::sys::ns::nsfs;

/// A network namespace that stays for as long as the handle does.
///
/// A handle is a file descriptor (close-on-exec) on a namespace of `/proc`'s file system
/// (`network_namespaces(7)`). It is always open: where there may be none, as after Go's
/// `netns.None()`, use `Option<NetNs>`. Dropping it closes it; the kernel takes a namespace down
/// when no process, socket, mount or handle holds it any more.
///
/// No function moves the calling thread but [`enter`](Self::enter),
/// [`enter_from`](Self::enter_from), [`run`](Self::run) (these come back) and
/// [`set_current_thread`](Self::set_current_thread).
///
/// Joining or making a namespace takes `CAP_SYS_ADMIN`, which root has, and so does every
/// [`netns_test`](crate::netns_test) body over the namespaces it makes.
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
    /// A new network namespace, in which there is nothing but `lo`, down.
    ///
    /// It is made by a thread that ends at once: the calling thread stays where it is, also when
    /// a step fails. See [`loopback_up`](Self::loopback_up).
    ///
    /// # Errors
    ///
    /// EPERM without `CAP_SYS_ADMIN`, ENOSPC at the limit `user.max_net_namespaces`, EAGAIN or
    /// EMFILE at the limits of the process.
    pub fn new() -> Result<Self> {
        unshare::in_new_namespace(Self::current)
    }

    /// Sets `lo` up, which gives it 127.0.0.1 and `::1`.
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
        let cookie = self.run(|| nsfs::cookie(ifreq::socket()?.as_fd()))?;
        cookie.map_err(|error| {
            Error::from(errno::failure("getsockopt SO_NETNS_COOKIE", self.to_string(), &error))
        })
    }

    /// A second handle on the same namespace.
    ///
    /// # Errors
    ///
    /// EMFILE where the table of descriptors is full.
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

/// Whether both are the same namespace, by device and inode. These may be given to another
/// namespace once one is gone, but not while there is a handle on it.
impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for NetNs {}

/// As `lsns` and `readlink /proc/self/ns/net` write it: `net:[4026531840]`.
impl std::fmt::Display for NetNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.fmt(f)
    }
}
