//! The comparison of a packet with a matcher. Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::{CWR, ETHERTYPE_ARP, FIN, Frame, PSH, Transport};
use crate::lab::impair::rule::packet::flags::TcpFlags;
use crate::lab::impair::rule::packet::view::PacketView;
use crate::lab::impair::rule::packet::{Packet, Selected};

/// Flags that a segment of a super-frame may lack while the super-frame has them.
const DIVIDED: TcpFlags = TcpFlags::from_bits(FIN | PSH | CWR);

impl Packet {
    /// Returns whether a packet that the frame stands for may match, by its headers alone.
    pub(crate) fn may_match(&self, frame: &Frame<'_>) -> bool {
        let packet = PacketView::new(frame);
        self.selects(&packet) && self.has_flags(&packet, DIVIDED)
    }

    /// Returns whether a packet matches. The message of a condition's panic is an error.
    pub(crate) fn matches(&self, packet: &PacketView<'_>) -> Result<bool, String> {
        let is_match = self.selects(packet)
            && self.has_flags(packet, TcpFlags::default())
            && self.has_content(packet);
        if is_match {
            for condition in &self.conditions {
                if !condition.check(packet)? {
                    return Ok(false);
                }
            }
        }
        Ok(is_match)
    }

    /// Returns the number of groups of conditions that a packet does not meet, for a list of the
    /// packets that match nearly. Conditions that are code are not run.
    pub(crate) fn misses(&self, packet: &PacketView<'_>) -> usize {
        let meets = [
            self.has_protocol(packet),
            self.is_v4.is_none_or(|is_v4| family(packet) == Some(is_v4)),
            is_among(self.sources.as_deref(), packet.source()),
            is_among(self.destinations.as_deref(), packet.destination()),
            self.has_ports(packet),
            self.has_flags(packet, TcpFlags::default()),
            self.has_content(packet),
        ];
        meets.into_iter().filter(|meets| !meets).count()
    }

    /// Compares protocol, addresses and ports, which all segments of a super-frame share.
    fn selects(&self, packet: &PacketView<'_>) -> bool {
        self.has_protocol(packet)
            && self.is_v4.is_none_or(|is_v4| family(packet) == Some(is_v4))
            && is_among(self.sources.as_deref(), packet.source())
            && is_among(self.destinations.as_deref(), packet.destination())
            && self.has_ports(packet)
            && (!self.is_fragment || packet.is_fragment())
            && self.icmp_type.is_none_or(|kind| packet.icmp().is_some_and(|icmp| icmp.0 == kind))
    }

    fn has_protocol(&self, packet: &PacketView<'_>) -> bool {
        let frame = packet.frame();
        let is_neighbour = frame.neighbour.is_some();
        match self.protocol {
            Selected::Any => true,
            Selected::Tcp => matches!(frame.transport, Transport::Tcp(_)),
            Selected::Udp => matches!(frame.transport, Transport::Udp { .. }),
            Selected::Icmp => matches!(frame.transport, Transport::Icmp { .. }) && !is_neighbour,
            Selected::Arp => frame.ethertype == ETHERTYPE_ARP,
            Selected::Neighbour => is_neighbour || frame.ethertype == ETHERTYPE_ARP,
        }
    }

    fn has_ports(&self, packet: &PacketView<'_>) -> bool {
        let is_one = |port: Option<u16>, which: fn([u16; 2], u16) -> bool| {
            port.is_none_or(|port| packet.ports().is_some_and(|ports| which(ports, port)))
        };
        is_one(self.port, |ports, port| ports.contains(&port))
            && is_one(self.source_port, |ports, port| ports[0] == port)
            && is_one(self.destination_port, |ports, port| ports[1] == port)
    }

    /// Compares TCP flags. Set flags of `divided` may be missing in a segment of the frame.
    fn has_flags(&self, packet: &PacketView<'_>, divided: TcpFlags) -> bool {
        if self.flags.is_empty() && self.clear_flags.is_empty() {
            return true;
        }
        let never = self.clear_flags.bits() & !divided.bits();
        packet.tcp_flags().is_some_and(|flags| {
            flags.contains(self.flags) && !flags.intersects(TcpFlags::from_bits(never))
        })
    }

    fn has_content(&self, packet: &PacketView<'_>) -> bool {
        let payload = packet.payload();
        self.longer_than.is_none_or(|bytes| packet.length() > bytes)
            && self.has_payload.is_none_or(|has_payload| has_payload != payload.is_empty())
            && self.contained.iter().all(|part| contains(payload, part))
    }
}

/// True for IPv4, false for IPv6.
fn family(packet: &PacketView<'_>) -> Option<bool> {
    packet.frame().ip.map(|ip| ip.source.is_ipv4())
}

fn is_among(addresses: Option<&[IpAddr]>, address: Option<IpAddr>) -> bool {
    addresses.is_none_or(|all| address.is_some_and(|address| all.contains(&address)))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}
