//! Brings `lo` up, with the one ioctl that takes (netdevice(7)): no netlink, no runtime. And tries it
//! out, one call after the other, so that the one that is refused is known.

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
    ask(socket, libc::SIOCSIFFLAGS as libc::Ioctl, flags)
}

/// Reads the flags of `lo`, which takes no rights.
pub(crate) fn loopback_flags(socket: &OwnedFd) -> io::Result<()> {
    ask(socket, libc::SIOCGIFFLAGS as libc::Ioctl, 0)
}

fn ask(socket: &OwnedFd, number: libc::Ioctl, flags: libc::c_short) -> io::Result<()> {
    let mut name = [0; libc::IFNAMSIZ];
    name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    let union = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    let mut request = libc::ifreq { ifr_name: name, ifr_ifru: union };
    // SAFETY: the request reads or writes one `ifreq`, which the pointer points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) };
    Errno::result(result)?;
    Ok(())
}

/// Listens on a port of 127.0.0.1 for a moment; the step that failed, and why.
pub(crate) fn listen() -> Result<(), (&'static str, io::Error)> {
    let at = |step| move |errno: Errno| (step, io::Error::from(errno));
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: makes a descriptor.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_INET, kind, 0) });
    let socket = super::fds::adopt(fd.map_err(at("make a TCP socket for"))?);
    // SAFETY: zero bytes are a valid `sockaddr_in`.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the kernel reads an address of this length.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(bound).map_err(at("bind a TCP socket to"))?;
    // SAFETY: takes numbers.
    let listens = unsafe { libc::listen(socket.as_raw_fd(), 1) };
    Errno::result(listens).map_err(at("listen on a TCP socket of"))?;
    Ok(())
}
