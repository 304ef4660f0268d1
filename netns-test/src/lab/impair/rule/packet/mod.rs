//! The matcher of packets that a user writes. Pure.

mod condition;
mod display;
pub(crate) mod flags;
mod matching;
mod mistakes;
mod selectors;
pub(crate) mod view;

use std::net::IpAddr;

use crate::lab::impair::rule::packet::condition::Condition;
use crate::lab::impair::rule::packet::flags::TcpFlags;

/// Description of packets on a link, for exact faults. Each method adds a condition, and a packet
/// matches if it meets all of them.
///
/// A packet is matched as it would be on the wire: a segmentation offload counts as its segments.
/// IPv4 and IPv6 are both matched unless a method says otherwise. Headers are looked for behind up
/// to two VLAN tags and behind IPv6 extension headers, but not within tunnels. Of the fragments of
/// a packet only the first has ports and flags.
///
/// ```
/// use netns_test::lab::Packet;
///
/// let answers = Packet::tcp().syn_ack().source_port(80);
/// assert_eq!(answers.to_string(), "TCP, SYN|ACK set, source port 80");
///
/// let queries = Packet::udp().destination_port(53).payload_contains(b"\x07example\x03com");
/// let large = Packet::any().ipv6().longer_than(1280);
/// let strange = Packet::tcp().when(|packet| packet.payload().first() == Some(&0xff));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Packet {
    protocol: Selected,
    /// True for IPv4, false for IPv6.
    is_v4: Option<bool>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    port: Option<u16>,
    sources: Option<Vec<IpAddr>>,
    destinations: Option<Vec<IpAddr>>,
    flags: TcpFlags,
    clear_flags: TcpFlags,
    icmp_type: Option<u8>,
    longer_than: Option<usize>,
    has_payload: Option<bool>,
    contained: Vec<Vec<u8>>,
    is_fragment: bool,
    conditions: Vec<Condition>,
}

/// Protocol by which packets are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Selected {
    #[default]
    Any,
    Tcp,
    Udp,
    Icmp,
    Arp,
    Neighbour,
}
