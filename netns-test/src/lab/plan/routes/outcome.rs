//! What happens to a packet at the nodes on its path. Pure.

use std::net::IpAddr;

/// Translation of a packet by a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Translation {
    /// The packet goes out, with this source address.
    Source(IpAddr),
    /// The packet comes in, and goes to this destination address.
    Destination(IpAddr),
}

/// Outcome of the path of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathOutcome {
    /// The packet reaches a node that has the destination address.
    Arrived,
    /// The last node has no route to the destination.
    NoRoute,
    /// The last node discards packets to the destination without an ICMP error
    /// ([`Topology::black_hole`](crate::Topology::black_hole)).
    BlackHole,
    /// The last node is a host, which does not forward packets.
    NotForwarded,
    /// No node on the segment has this address, which is the next hop.
    NoNeighbour(IpAddr),
    /// The routes form a loop.
    Loop,
    /// The destination node has no address, or one of the nodes is of another topology.
    NoAddress,
    /// The last node is a NAT without a mapping for the packet.
    NoMapping,
    /// The firewall of the last node drops or rejects the packet, whatever its protocol.
    Filtered,
    /// The last node is a NAT that forwards no IPv6.
    Ipv6Blocked,
}
