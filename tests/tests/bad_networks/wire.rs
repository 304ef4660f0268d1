//! What another reader sees: frames by a raw socket (packet(7)), parsed by `etherparse`, and the
//! kernel's counters.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use netns_test::{Lab, NodeId};

use crate::net::PATIENCE;

/// Length of the Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// A raw socket of a node, which gets the frames of all its interfaces.
pub(crate) struct Wire(OwnedFd);

/// A frame, and when the kernel of the node sent or received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: Duration,
}

impl Wire {
    pub(crate) fn open(lab: &Lab, node: NodeId) -> Self {
        let protocol = i32::from((libc::ETH_P_ALL as u16).to_be());
        let open = || {
            // SAFETY: takes numbers.
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) }
        };
        let socket = lab[node].run(open);
        assert!(socket >= 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the socket is new, and has no other owner.
        let wire = Self(unsafe { OwnedFd::from_raw_fd(socket) });
        let limit = libc::timeval { tv_sec: PATIENCE.as_secs() as _, tv_usec: 0 };
        // SAFETY: reads one `timeval`.
        let set = unsafe {
            let length = size_of_val(&limit) as u32;
            let limit = (&raw const limit).cast();
            libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, limit, length)
        };
        assert_eq!(set, 0);
        // The first call turns the timestamps on.
        wire.stamp();
        wire
    }

    /// Returns the frames up to one that makes the condition true, which gets all so far.
    pub(crate) fn until(&self, is_complete: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        while !is_complete(&frames) {
            let mut bytes = vec![0; 1 << 16];
            // SAFETY: writes at most the buffer's length to it.
            let length =
                unsafe { libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), 1 << 16, 0) };
            let error = std::io::Error::last_os_error();
            let length = usize::try_from(length).unwrap_or_else(|_| panic!("{error}: {frames:?}"));
            bytes.truncate(length);
            frames.push(Frame { bytes, at: self.stamp() });
        }
        frames
    }

    /// Returns when the kernel saw the frame that was read last.
    fn stamp(&self) -> Duration {
        const SIOCGSTAMPNS: libc::c_ulong = 0x8907;
        let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one `timespec`. There is none before the first frame.
        unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCGSTAMPNS as _, &raw mut at) };
        Duration::new(at.tv_sec as u64, at.tv_nsec as u32)
    }
}

impl Frame {
    /// Returns the packet, if it is whole.
    pub(crate) fn packet(&self) -> Option<SlicedPacket<'_>> {
        SlicedPacket::from_ethernet(&self.bytes).ok()
    }

    /// Returns the destination port and the payload of a datagram.
    pub(crate) fn udp(&self) -> Option<(u16, &[u8])> {
        match self.packet()?.transport? {
            TransportSlice::Udp(udp) => Some((udp.destination_port(), udp.payload())),
            _ => None,
        }
    }

    pub(crate) fn tcp(&self) -> Option<Segment> {
        let TransportSlice::Tcp(tcp) = self.packet()?.transport? else { return None };
        Some(Segment {
            destination: tcp.destination_port(),
            sequence: tcp.sequence_number(),
            acknowledged: tcp.acknowledgment_number(),
            is_reset: tcp.rst(),
            payload: tcp.payload().to_vec(),
        })
    }

    pub(crate) fn icmp(&self) -> Option<Icmp> {
        let (kind, code, rest, quote) = match self.packet()?.transport? {
            TransportSlice::Icmpv4(icmp) => {
                (icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8(), icmp.payload())
            }
            TransportSlice::Icmpv6(icmp) => {
                (icmp.type_u8(), icmp.code_u8(), icmp.bytes5to8(), icmp.payload())
            }
            _ => return None,
        };
        Some(Icmp { kind, code, number: u32::from_be_bytes(rest), quote: quote.to_vec() })
    }

    /// Returns whether the checksums of all headers are right.
    pub(crate) fn is_sound(&self) -> bool {
        let packet = self.packet().unwrap();
        match (packet.net.unwrap(), packet.transport.unwrap()) {
            (NetSlice::Ipv4(ip), transport) => {
                let header = ip.header().to_header();
                let ends = (header.source, header.destination);
                let is_right = match transport {
                    TransportSlice::Udp(udp) => {
                        let own = udp.to_header();
                        own.calc_checksum_ipv4_raw(ends.0, ends.1, udp.payload())
                            == Ok(udp.checksum())
                    }
                    TransportSlice::Tcp(tcp) => {
                        tcp.calc_checksum_ipv4(ends.0, ends.1) == Ok(tcp.checksum())
                    }
                    TransportSlice::Icmpv4(icmp) => {
                        icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum()
                    }
                    TransportSlice::Icmpv6(_) => false,
                };
                is_right && header.calc_header_checksum() == header.header_checksum
            }
            (NetSlice::Ipv6(ip), transport) => {
                let ends = (ip.header().source(), ip.header().destination());
                match transport {
                    TransportSlice::Udp(udp) => {
                        let own = udp.to_header();
                        own.calc_checksum_ipv6_raw(ends.0, ends.1, udp.payload())
                            == Ok(udp.checksum())
                    }
                    TransportSlice::Tcp(tcp) => {
                        tcp.calc_checksum_ipv6(ends.0, ends.1) == Ok(tcp.checksum())
                    }
                    TransportSlice::Icmpv6(icmp) => icmp.is_checksum_valid(ends.0, ends.1),
                    TransportSlice::Icmpv4(_) => false,
                }
            }
            (NetSlice::Arp(_), _) => true,
        }
    }

    /// Returns the source address of an IP packet, as text.
    pub(crate) fn source(&self) -> String {
        match self.packet().unwrap().net.unwrap() {
            NetSlice::Ipv4(ip) => ip.header().source_addr().to_string(),
            NetSlice::Ipv6(ip) => ip.header().source_addr().to_string(),
            NetSlice::Arp(_) => String::new(),
        }
    }
}

/// A TCP segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) destination: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) is_reset: bool,
    pub(crate) payload: Vec<u8>,
}

/// An ICMP or ICMPv6 message.
#[derive(Debug)]
pub(crate) struct Icmp {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// Bytes 5 to 8.
    pub(crate) number: u32,
    pub(crate) quote: Vec<u8>,
}

/// Counters of a node by `/proc/net/snmp`, `snmp6` and `netstat`, as `Udp.InErrors`, and
/// `Udp6InErrors` for IPv6.
pub(crate) struct Counters(BTreeMap<String, i64>);

impl Counters {
    pub(crate) fn of(lab: &Lab, node: NodeId) -> Self {
        let read = |name| {
            lab[node].run(|| fs::read_to_string(format!("/proc/thread-self/net/{name}"))).unwrap()
        };
        let mut all = BTreeMap::new();
        for text in [read("snmp"), read("netstat")] {
            let lines: Vec<&str> = text.lines().collect();
            for two in lines.chunks(2) {
                let [(group, names), (_, values)] =
                    [two[0], two[1]].map(|line| line.split_once(':').unwrap());
                for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                    all.insert(format!("{group}.{name}"), value.parse().unwrap());
                }
            }
        }
        for line in read("snmp6").lines() {
            let (name, value) = line.split_once(char::is_whitespace).unwrap();
            all.insert(name.to_owned(), value.trim().parse().unwrap());
        }
        Self(all)
    }

    /// Returns by how much a counter has grown.
    pub(crate) fn growth(&self, earlier: &Self, name: &str) -> i64 {
        let of = |all: &Self| *all.0.get(name).unwrap_or_else(|| panic!("no counter {name}"));
        of(self) - of(earlier)
    }
}

/// Returns `TCP_INFO` (tcp(7)).
pub(crate) fn tcp_info(connection: &TcpStream) -> libc::tcp_info {
    // SAFETY: numbers, of which zeros are a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: writes at most `length` bytes to the value.
    let got = unsafe {
        let to = (&raw mut info).cast();
        let level = libc::IPPROTO_TCP;
        libc::getsockopt(connection.as_raw_fd(), level, libc::TCP_INFO, to, &raw mut length)
    };
    assert_eq!(got, 0);
    info
}
