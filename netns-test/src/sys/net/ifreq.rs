//! Brings `lo` up and finds interfaces by ioctls (netdevice(7)), which need neither netlink nor a
//! runtime. Also tries to listen on 127.0.0.1, one call at a time, so that an error names the
//! refused call.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;

/// Creates a socket in the calling thread's network namespace, for the ioctls on its interfaces.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: makes a descriptor.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    Ok(crate::sys::fds::adopt(fd))
}

/// Sets `IFF_UP` on `lo` in the namespace of `socket`. No other flag of `lo` can be set.
///
/// The kernel then adds 127.0.0.1 and `::1` by itself.
pub(crate) fn loopback_up(socket: &OwnedFd) -> io::Result<()> {
    let flags = (libc::IFF_UP | libc::IFF_LOOPBACK) as libc::c_short;
    ask(socket, libc::SIOCSIFFLAGS as libc::Ioctl, flags)
}

/// Reads the flags of `lo`, for which no capability is needed.
pub(crate) fn loopback_flags(socket: &OwnedFd) -> io::Result<()> {
    ask(socket, libc::SIOCGIFFLAGS as libc::Ioctl, 0)
}

fn ask(socket: &OwnedFd, number: libc::Ioctl, flags: libc::c_short) -> io::Result<()> {
    let union = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    let mut request = libc::ifreq { ifr_name: name_of("lo"), ifr_ifru: union };
    // SAFETY: the request reads or writes one `ifreq`, which the pointer points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), number, &raw mut request) };
    Errno::result(result)?;
    Ok(())
}

/// Returns the index of an interface in the namespace of `socket`.
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

/// Returns a name with a NUL at its end. A name that is too long is truncated.
pub(super) fn name_of(name: &str) -> [libc::c_char; libc::IFNAMSIZ] {
    let mut bytes = [0; libc::IFNAMSIZ];
    let places = bytes.iter_mut().take(libc::IFNAMSIZ - 1);
    places.zip(name.bytes()).for_each(|(place, byte)| *place = byte as libc::c_char);
    bytes
}

/// Listens on a port of 127.0.0.1 for a moment. The error has the step that failed.
pub(crate) fn listen() -> Result<(), (&'static str, io::Error)> {
    let at = |step| move |errno: Errno| (step, io::Error::from(errno));
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: makes a descriptor.
    let fd = Errno::result(unsafe { libc::socket(libc::AF_INET, kind, 0) });
    let socket = crate::sys::fds::adopt(fd.map_err(at("make a TCP socket for"))?);
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
