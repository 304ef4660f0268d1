//! NATs and firewalls of a node, checked and as addresses and numbers. Pure.

pub(crate) mod borders;
pub(crate) mod declared;
pub(crate) mod exposure;
pub(crate) mod firewall;
pub(crate) mod inside;
pub(crate) mod ipv6;
pub(crate) mod numbers;
pub(crate) mod port_mapping;
pub(crate) mod realms;
pub(crate) mod set;
pub(crate) mod text;
pub(crate) mod view;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use crate::addr::cidr::Subnet;
use crate::lab::plan::nat::port_mapping::PortMappingPlan;
use crate::lab::topology::nat::model::{
    Filtering, FirewallAction, FirewallDirection, Ipv6Nat, Mapping, Transport,
};

/// A NAT between one interface of a router, its outside, and all others.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NatPlan {
    /// Name of the outside interface.
    pub outside: String,
    /// Dependence of external endpoints on the destination.
    pub mapping: Mapping,
    /// Outside endpoints whose packets a mapping lets in.
    pub filtering: Filtering,
    /// True if an external port equals the inside port while that is free.
    pub port_preservation: bool,
    /// True if inside hosts reach each other by external endpoints.
    pub hairpinning: bool,
    /// True if packets from outside keep a mapping.
    pub inbound_refresh: bool,
    /// External addresses; empty for the addresses of the outside interface.
    pub pool: Vec<Ipv4Addr>,
    /// True if all mappings of an inside host have the same external address.
    pub is_paired: bool,
    /// External ports.
    pub ports: RangeInclusive<u16>,
    /// External ports of each inside host, by its address; empty if all hosts share all ports.
    pub blocks: Vec<(Ipv4Addr, RangeInclusive<u16>)>,
    /// Time-outs of mappings.
    pub timeouts: NatTimeouts,
    /// External addresses with the inside address that has each for itself.
    pub one_to_one: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Nodes of the inside addresses of `one_to_one`.
    pub(crate) one_to_one_nodes: Vec<usize>,
    /// Forwarded ports.
    pub forwards: Vec<PortForwardPlan>,
    /// Treatment of IPv6.
    pub ipv6: Ipv6Nat,
    /// Translated prefixes: subnets or addresses of the inside, each with its external one.
    pub prefixes: Vec<(Subnet, Subnet)>,
    /// Protocols by which inside hosts lease ports.
    pub port_mapping: Option<PortMappingPlan>,
}

/// Time-outs of the mappings of a NAT in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatTimeouts {
    /// UDP.
    pub udp: u32,
    /// Open TCP connections.
    pub tcp_established: u32,
    /// TCP connections that are being opened or closed.
    pub tcp_transitory: u32,
    /// ICMP queries.
    pub icmp: u32,
}

/// A forwarded port of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortForwardPlan {
    /// Protocol.
    pub protocol: Transport,
    /// Port outside.
    pub external_port: u16,
    /// Inside address.
    pub to: Ipv4Addr,
    /// Node that has it.
    pub(crate) node: usize,
    /// Port at the inside address.
    pub port: u16,
}

/// Firewall of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FirewallPlan {
    /// Names of the outside interfaces; empty on a host, whose interfaces are all outside.
    pub outside: Vec<String>,
    /// Rules; the first one that matches decides.
    pub rules: Vec<FirewallRulePlan>,
    /// Fate of what no rule matches, out and in.
    pub defaults: [FirewallAction; 2],
    /// True if ICMP errors are dropped.
    pub drops_icmp_errors: bool,
}

/// A rule of a firewall.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FirewallRulePlan {
    /// Direction of the first packet.
    pub direction: FirewallDirection,
    /// IP protocol: 6 (TCP), 17 (UDP), 1 (echo requests of ICMP and ICMPv6); `None` for all.
    pub protocol: Option<u8>,
    /// Destination ports; empty for all.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Source addresses; empty for all.
    pub from: Vec<IpAddr>,
    /// Destination addresses; empty for all.
    pub to: Vec<IpAddr>,
    /// Nodes that `from` and `to` stand for.
    pub(crate) nodes: [Vec<usize>; 2],
    /// Fate of the packet.
    pub action: FirewallAction,
    /// Text of the rule: `allow out tcp 80, 443`.
    pub text: String,
}
