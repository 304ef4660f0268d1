//! Brings `lo` up, with the one ioctl that takes (netdevice(7)): no netlink, no runtime.

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
    let mut name = [0; libc::IFNAMSIZ];
    name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    let flags = (libc::IFF_UP | libc::IFF_LOOPBACK) as libc::c_short;
    let union = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    let mut request = libc::ifreq { ifr_name: name, ifr_ifru: union };
    let number = libc::SIOCSIFFLAGS as libc::Ioctl;
    // SAFETY: the request reads one `ifreq`, which the pointer points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) };
    Errno::result(result)?;
    Ok(())
}
