//! Packet sockets (packet(7)) that receive the frames of all interfaces of a network namespace
//! through a ring in shared memory, and send frames with the offloads of their senders.

pub(crate) mod ring;
pub(crate) mod send;

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::sys::fds::adopt;
use crate::sys::net::packet::ring::Ring;

/// A packet socket of all interfaces.
#[derive(Debug)]
pub(crate) struct PacketSocket(OwnedFd);

/// Options and constants of `linux/if_packet.h`.
const PACKET_RX_RING: libc::c_int = 5;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VERSION: libc::c_int = 10;
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TPACKET_V2: libc::c_int = 1;

impl PacketSocket {
    /// Opens a socket in the network namespace of the calling thread, with a ring of this number of
    /// slots, rounded to whole blocks within the limits of a ring. It receives the frames of all
    /// interfaces from now on, also of those that are made later. The kernel waits about 13 ms for
    /// all processors when it makes the ring, and 20 ms when the last descriptor is closed.
    pub(crate) fn open(slots: usize) -> io::Result<(Self, Ring)> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: makes a descriptor. Protocol 0 receives nothing until `bind`.
        let fd = Errno::result(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        let socket = Self(adopt(fd));
        socket.set(libc::SOL_PACKET, PACKET_VERSION, &TPACKET_V2)?;
        socket.set(libc::SOL_PACKET, PACKET_VNET_HDR, &1)?;
        // Linux before 4.20 does not know it. The ring marks such frames, too.
        let _ = socket.set(libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1);
        // The kernel grants what `net.core.wmem_max` allows.
        socket.set(libc::SOL_SOCKET, libc::SO_SNDBUF, &(16 << 20))?;
        let blocks = Ring::blocks_for(slots);
        socket.set(libc::SOL_PACKET, PACKET_RX_RING, &Ring::request(blocks))?;
        let ring = Ring::map(socket.as_fd(), blocks)?;
        socket.bind()?;
        Ok((socket, ring))
    }

    /// Returns the number of frames that the kernel has dropped since the last call, as the ring
    /// was full.
    pub(crate) fn take_drops(&self) -> io::Result<u64> {
        let mut counts = [0_u32; 2];
        let mut length = size_of_val(&counts) as libc::socklen_t;
        // SAFETY: the kernel writes one `tpacket_stats`, two numbers, of the length that is given.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                PACKET_STATISTICS,
                counts.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        Errno::result(result)?;
        Ok(counts[1].into())
    }

    /// Returns the error of the socket, if it has failed.
    pub(crate) fn take_error(&self) -> io::Result<()> {
        match nix::sys::socket::getsockopt(&self.0, nix::sys::socket::sockopt::SocketError)? {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// Receives from all interfaces. After the ring was made, since the kernel would wait for all
    /// processors to take a bound socket out of use.
    fn bind(&self) -> io::Result<()> {
        let address = address(0, (libc::ETH_P_ALL as u16).to_be());
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: the kernel reads an address of this length.
        let bound = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) };
        Errno::result(bound)?;
        Ok(())
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as libc::socklen_t;
        let value: *const T = value;
        // SAFETY: the kernel reads a value of this length.
        let result =
            unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, value.cast(), length) };
        Errno::result(result)?;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns the address of an interface; index 0 is all of them. The protocol is in network order.
fn address(interface: libc::c_int, protocol: u16) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::sa_family_t,
        sll_protocol: protocol,
        sll_ifindex: interface,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    }
}
