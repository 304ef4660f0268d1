//! Brings `lo` up, with the one ioctl that takes (netdevice(7)): no netlink, no runtime.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};

/// A socket of the calling thread's network namespace, to speak to its interfaces.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    Ok(nix::sys::socket::socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// Sets `IFF_UP` on `lo` of the namespace that `socket` belongs to, unless it is up.
///
/// The kernel then adds 127.0.0.1 and `::1` by itself.
pub(crate) fn loopback_up(socket: &OwnedFd) -> io::Result<()> {
    let mut request = loopback();
    interface_request(socket, libc::SIOCGIFFLAGS as _, &mut request)?;
    // SAFETY: after SIOCGIFFLAGS the union holds the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = flags | libc::IFF_UP as libc::c_short;
    if flags != up {
        request.ifr_ifru.ifru_flags = up;
        interface_request(socket, libc::SIOCSIFFLAGS as _, &mut request)?;
    }
    Ok(())
}

fn loopback() -> libc::ifreq {
    let mut name = [0; libc::IFNAMSIZ];
    name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 } }
}

fn interface_request(
    socket: &OwnedFd,
    request: libc::Ioctl,
    argument: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: both requests read and write one `ifreq`, which the reference points to.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut *argument) };
    Errno::result(result)?;
    Ok(())
}
