//! Names of flows: what they are hashed by, and what is shown of them. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::lab::impair::frame::{Frame, Transport};
use crate::lab::impair::hash::{FlowKey, LinkKey};
use crate::lab::impair::stats::FlowName;

/// First port that the kernel may choose by itself (`ip_local_port_range`, ip(7)).
const FIRST_CHOSEN: u16 = 32_768;

/// Service of fragments; it is no port and no type of ICMP.
const FRAGMENTS: u32 = 65_536;

/// Ends and kind of a packet. They are the same for all packets that a connection sends in one
/// direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// Number of the IP protocol; EtherType of a frame that is no IP packet.
    pub(crate) protocol: u32,
    /// Service of packets without ports.
    pub(crate) service: u32,
}

/// Identity of a flow in one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowId {
    pub(crate) ends: Ends,
    /// Service, which is the port of one end if there are ports.
    pub(crate) service: u32,
    pub(crate) role: u32,
    pub(crate) ordinal: u64,
}

impl Ends {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        let none = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let ends = |ends: [(IpAddr, u16); 2], protocol, service| {
            let [source, destination] = ends.map(SocketAddr::from);
            Self { source, destination, protocol, service }
        };
        let (ip, neighbour) = (frame.ip.as_ref(), frame.neighbour);
        let protocol = ip.map_or(u32::from(frame.ethertype), |ip| u32::from(ip.protocol));
        if let Some(neighbour) = neighbour {
            let service = u32::from(neighbour.kind) << 8;
            return ends([(none, 0), (neighbour.target, 0)], protocol, service);
        }
        let Some(ip) = ip else { return ends([(none, 0), (none, 0)], protocol, 0) };
        let (ports, service) = match frame.transport {
            _ if ip.fragment.is_some() => ([0, 0], FRAGMENTS),
            Transport::Tcp(tcp) => ([tcp.source, tcp.destination], 0),
            Transport::Udp { source, destination } => ([source, destination], 0),
            Transport::Icmp { kind, code, .. } => ([0, 0], u32::from(kind) << 8 | u32::from(code)),
            Transport::Other => ([0, 0], 0),
        };
        ends([(ip.source, ports[0]), (ip.destination, ports[1])], protocol, service)
    }

    /// Returns whether the ends have ports, of which one is that of the service.
    pub(crate) fn have_ports(&self) -> bool {
        self.source.port() != 0 || self.destination.port() != 0
    }
}

impl FlowId {
    /// Returns the key of draws for this flow.
    pub(crate) fn key(&self, link: LinkKey) -> FlowKey {
        let Self { ends: Ends { source, destination, protocol, .. }, service, role, ordinal } =
            *self;
        let words = [protocol.into(), service.into(), role.into(), ordinal];
        link.flow([source.ip(), destination.ip()], words)
    }

    /// Returns the name of this flow, which is the same in each run.
    pub(crate) fn name(&self) -> FlowName {
        let Ends { source, destination, protocol, .. } = self.ends;
        let end = |end: SocketAddr| SocketAddr::new(end.ip(), stable_port(end.port()));
        // The numbers of IP protocols are below 256, EtherTypes are above 1535.
        let protocol = u8::try_from(protocol).ok();
        let ends = protocol.map(|_| [end(source), end(destination)]);
        FlowName { protocol, ends, ordinal: self.ordinal }
    }
}

/// Returns a port, or 0 for one that may be another in the next run.
pub(super) fn stable_port(port: u16) -> u16 {
    if port < FIRST_CHOSEN { port } else { 0 }
}
