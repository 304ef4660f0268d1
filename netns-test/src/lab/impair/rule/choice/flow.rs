//! Identity of a flow: one way of a connection. Pure.

use std::net::IpAddr;

use crate::lab::impair::frame::Transport;
use crate::lab::impair::rule::packet::view::PacketView;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    /// Source and destination; `None` for frames that are no IP packets.
    ends: Option<[IpAddr; 2]>,
    /// Protocol number, or the EtherType.
    protocol: u16,
    /// Ports, or the identifier of an echo.
    ports: [u16; 2],
}

impl Flow {
    pub(super) fn of(packet: &PacketView<'_>) -> Self {
        let frame = packet.frame();
        let echo = match frame.transport {
            Transport::Icmp { echo, .. } => echo,
            _ => None,
        };
        Self {
            ends: frame.ip.map(|ip| [ip.source, ip.destination]),
            protocol: packet.protocol().map_or(frame.ethertype, u16::from),
            ports: packet.ports().unwrap_or([echo.unwrap_or(0), 0]),
        }
    }
}
