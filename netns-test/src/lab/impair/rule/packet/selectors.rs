//! The methods by which a matcher is built. Pure.

use std::net::IpAddr;

use crate::lab::impair::rule::packet::condition::Condition;
use crate::lab::impair::rule::packet::flags::TcpFlags;
use crate::lab::impair::rule::packet::view::PacketView;
use crate::lab::impair::rule::packet::{Packet, Selected};

/// Protocols.
impl Packet {
    /// Matches all frames, also those that are no IP packets, as ARP.
    pub fn any() -> Self {
        Self::default()
    }

    /// Matches TCP segments (RFC 9293).
    pub fn tcp() -> Self {
        Self { protocol: Selected::Tcp, ..Self::default() }
    }

    /// Matches UDP datagrams (RFC 768).
    pub fn udp() -> Self {
        Self { protocol: Selected::Udp, ..Self::default() }
    }

    /// Matches ICMP (RFC 792) and ICMPv6 (RFC 4443), but not neighbour discovery, without which
    /// IPv6 does not work: [`neighbour`](Self::neighbour) matches that.
    pub fn icmp() -> Self {
        Self { protocol: Selected::Icmp, ..Self::default() }
    }

    /// Matches ARP (RFC 826).
    pub fn arp() -> Self {
        Self { protocol: Selected::Arp, ..Self::default() }
    }

    /// Matches neighbour resolution: ARP, and the messages of neighbour discovery (RFC 4861),
    /// ICMPv6 types 133 to 137.
    pub fn neighbour() -> Self {
        Self { protocol: Selected::Neighbour, ..Self::default() }
    }

    /// Restricts to IPv4 packets.
    pub fn ipv4(self) -> Self {
        Self { is_v4: Some(true), ..self }
    }

    /// Restricts to IPv6 packets.
    pub fn ipv6(self) -> Self {
        Self { is_v4: Some(false), ..self }
    }

    /// Restricts to fragments of IP packets: the first, the last and those between.
    pub fn fragments(self) -> Self {
        Self { is_fragment: true, ..self }
    }

    /// Restricts to ICMP or ICMPv6 messages of this type: 8 is an echo request of ICMP, 128 of
    /// ICMPv6.
    pub fn icmp_type(self, number: u8) -> Self {
        Self { icmp_type: Some(number), ..self }
    }
}

/// Addresses and ports.
impl Packet {
    /// Restricts to packets from this source address; of ARP messages, the sender's.
    pub fn from(self, address: impl Into<IpAddr>) -> Self {
        self.from_any([address])
    }

    /// Restricts to packets to this destination address; of ARP messages, the target's.
    pub fn to(self, address: impl Into<IpAddr>) -> Self {
        self.to_any([address])
    }

    /// Restricts to packets from one of these source addresses, as those of a node.
    pub fn from_any(self, addresses: impl IntoIterator<Item = impl Into<IpAddr>>) -> Self {
        Self { sources: Some(addresses.into_iter().map(Into::into).collect()), ..self }
    }

    /// Restricts to packets to one of these destination addresses, as those of a node.
    pub fn to_any(self, addresses: impl IntoIterator<Item = impl Into<IpAddr>>) -> Self {
        Self { destinations: Some(addresses.into_iter().map(Into::into).collect()), ..self }
    }

    /// Restricts to TCP and UDP with this source or destination port: both ways of a connection.
    pub fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// Restricts to TCP and UDP with this source port.
    pub fn source_port(self, port: u16) -> Self {
        Self { source_port: Some(port), ..self }
    }

    /// Restricts to TCP and UDP with this destination port.
    pub fn destination_port(self, port: u16) -> Self {
        Self { destination_port: Some(port), ..self }
    }
}

/// TCP flags.
impl Packet {
    /// Restricts to TCP segments in which all these flags are set. Others may be set, too.
    pub fn flags(self, flags: TcpFlags) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// Restricts to TCP segments in which none of these flags is set.
    pub fn without_flags(self, flags: TcpFlags) -> Self {
        Self { clear_flags: self.clear_flags | flags, ..self }
    }

    /// Restricts to the first segment of a connection: SYN, without ACK.
    pub fn syn(self) -> Self {
        self.flags(TcpFlags::SYN).without_flags(TcpFlags::ACK)
    }

    /// Restricts to the answer to a SYN: SYN and ACK.
    pub fn syn_ack(self) -> Self {
        self.flags(TcpFlags::SYN | TcpFlags::ACK)
    }

    /// Restricts to segments with FIN.
    pub fn fin(self) -> Self {
        self.flags(TcpFlags::FIN)
    }

    /// Restricts to segments with RST.
    pub fn rst(self) -> Self {
        self.flags(TcpFlags::RST)
    }

    /// Restricts to pure acknowledgments: ACK without SYN, FIN and RST, and no data.
    pub fn pure_ack(self) -> Self {
        let control = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
        Self { has_payload: Some(false), ..self.flags(TcpFlags::ACK).without_flags(control) }
    }
}

/// Size and content.
impl Packet {
    /// Restricts to packets of more than `bytes` bytes, counted as the MTU counts: the Ethernet
    /// header and VLAN tags are left out. `Packet::any().longer_than(1400)` is all that an MTU of
    /// 1400 would not let pass.
    pub fn longer_than(self, bytes: usize) -> Self {
        let least = self.longer_than.map_or(bytes, |other| other.max(bytes));
        Self { longer_than: Some(least), ..self }
    }

    /// Restricts to packets with at least one byte of payload.
    pub fn data(self) -> Self {
        Self { has_payload: Some(true), ..self }
    }

    /// Restricts to packets whose payload contains these bytes. Bytes of a stream that are divided
    /// between two segments are not found.
    pub fn payload_contains(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.contained.push(bytes.as_ref().to_vec());
        self
    }

    /// Restricts to packets for which `condition` returns true. It is called for the packets that
    /// meet all other conditions, one at a time, and may keep state.
    ///
    /// It runs on the thread that passes the packets of all links of the lab on, so it must not
    /// wait. A panic in it makes the test fail; the rule then matches no further packet.
    pub fn when(mut self, condition: impl FnMut(&PacketView<'_>) -> bool + Send + 'static) -> Self {
        self.conditions.push(Condition::new(condition));
        self
    }
}
