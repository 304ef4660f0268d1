//! Brings `lo` up, and finds interfaces, with an ioctl each (netdevice(7)): no netlink, no runtime.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;

/// A socket of the calling thread's network namespace, to speak to its interfaces.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: makes a descriptor.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    Ok(super::fds::adopt(fd))
}

/// Sets `IFF_UP` on `lo` of the namespace that `socket` belongs to; it has no other flag that can be
/// set.
///
/// The kernel then adds 127.0.0.1 and `::1` by itself.
pub(crate) fn loopback_up(socket: &OwnedFd) -> io::Result<()> {
    let flags = (libc::IFF_UP | libc::IFF_LOOPBACK) as libc::c_short;
    let union = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    let mut request = libc::ifreq { ifr_name: name_of("lo"), ifr_ifru: union };
    let number = libc::SIOCSIFFLAGS as libc::Ioctl;
    // SAFETY: the request reads one `ifreq`, which the pointer points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) };
    Errno::result(result)?;
    Ok(())
}

/// Finds the index of an interface of the namespace that `socket` belongs to.
pub(crate) fn index_of(socket: &OwnedFd, name: &str) -> io::Result<u32> {
    let union = libc::__c_anonymous_ifr_ifru { ifru_ifindex: 0 };
    let mut request = libc::ifreq { ifr_name: name_of(name), ifr_ifru: union };
    let number = libc::SIOCGIFINDEX as libc::Ioctl;
    // SAFETY: the request reads and writes one `ifreq`, which the pointer points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) };
    Errno::result(result)?;
    // SAFETY: the kernel has written this member of the union.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    u32::try_from(index).map_err(io::Error::other)
}

/// A name, ended by a zero; what is too long is cut.
fn name_of(name: &str) -> [libc::c_char; libc::IFNAMSIZ] {
    let mut bytes = [0; libc::IFNAMSIZ];
    let places = bytes.iter_mut().take(libc::IFNAMSIZ - 1);
    places.zip(name.bytes()).for_each(|(place, byte)| *place = byte as libc::c_char);
    bytes
}
