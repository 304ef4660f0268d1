//! Packet sockets (packet(7)) that receive the frames of all interfaces of a network namespace
//! through rings in shared memory, and send frames with the offloads of their senders.

mod ring;
pub(crate) mod rings;
pub(crate) mod send;

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::panic::resume_unwind;
use std::thread;

use nix::errno::Errno;

use crate::sys::fds::adopt;
use crate::sys::net::packet::ring::Ring;
use crate::sys::net::packet::rings::{Length, MOST_SHORT, Rings};

/// Packet sockets of all interfaces: one receives short frames, the other one long ones.
#[derive(Debug)]
pub(crate) struct PacketSockets {
    short: PacketSocket,
    long: PacketSocket,
}

#[derive(Debug)]
struct PacketSocket(OwnedFd);

/// Options and constants of `linux/if_packet.h`.
const PACKET_RX_RING: libc::c_int = 5;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_VERSION: libc::c_int = 10;
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TPACKET_V2: libc::c_int = 1;

impl PacketSockets {
    /// Opens sockets in the network namespace of the calling thread, with at least this number of
    /// slots in each ring, within the limits of a ring. They receive the frames of all interfaces
    /// from now on, also of those that are made later. The kernel waits about 13 ms for all
    /// processors when it makes the rings, and 20 ms when the last descriptor of one is closed.
    pub(crate) fn open(slots: usize) -> io::Result<(Self, Rings)> {
        let [short, long] = [PacketSocket::open(Length::Short)?, PacketSocket::open(Length::Long)?];
        // Both wait at the same time.
        let [of_short, of_long] = thread::scope(|scope| {
            let of_short = scope.spawn(|| short.receive(Length::Short, slots));
            let of_long = long.receive(Length::Long, slots);
            [of_short.join().unwrap_or_else(|panic| resume_unwind(panic)), of_long]
        });
        Ok((Self { short, long }, Rings::new([of_short?, of_long?])))
    }

    /// Returns the number of frames that the kernel has dropped since the last call, as a ring was
    /// full.
    pub(crate) fn take_drops(&self) -> io::Result<u64> {
        Ok(self.short.take_drops()? + self.long.take_drops()?)
    }

    /// Returns the error of a socket that has failed.
    pub(crate) fn take_error(&self) -> io::Result<()> {
        self.short.take_error()?;
        self.long.take_error()
    }

    /// Returns the descriptors, which are readable if a frame has arrived.
    pub(crate) fn descriptors(&self) -> [&OwnedFd; 2] {
        [&self.short.0, &self.long.0]
    }
}

impl PacketSocket {
    /// Opens a socket that receives nothing yet.
    fn open(length: Length) -> io::Result<Self> {
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
        socket.take_only(length)?;
        Ok(socket)
    }

    /// Makes the ring, and receives frames of all interfaces from now on.
    fn receive(&self, length: Length, slots: usize) -> io::Result<Ring> {
        let size = length.size(slots);
        self.set(libc::SOL_PACKET, PACKET_RX_RING, &size.request())?;
        let ring = Ring::map(self.0.as_fd(), size)?;
        self.bind()?;
        Ok(ring)
    }

    /// Attaches a filter (socket(7)) that passes frames of this length, without the tag of a VLAN
    /// that the kernel has taken out.
    fn take_only(&self, length: Length) -> io::Result<()> {
        let step = |code: u32, k: usize, jt, jf| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k: k as u32,
        };
        let [is_short, is_long] = match length {
            Length::Short => [usize::MAX, 0],
            Length::Long => [0, usize::MAX],
        };
        let mut steps = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, MOST_SHORT, 1, 0),
            step(libc::BPF_RET | libc::BPF_K, is_short, 0, 0),
            step(libc::BPF_RET | libc::BPF_K, is_long, 0, 0),
        ];
        let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
        // The kernel copies the steps, which live through the call.
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }

    fn take_drops(&self) -> io::Result<u64> {
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

    fn take_error(&self) -> io::Result<()> {
        match nix::sys::socket::getsockopt(&self.0, nix::sys::socket::sockopt::SocketError)? {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
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
