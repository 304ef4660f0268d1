//! Errors of a topology. Each names its objects and says what to do. Pure.

use std::fmt;
use std::net::IpAddr;
use std::panic::Location;

use crate::addr::cidr::{Cidr, Subnet, family};
use crate::error::{Error, Failure};

/// All errors of a topology, found by one call of [`Topology::plan`](crate::lab::Topology::plan).
///
/// Errors are grouped by step (ids and names, interfaces, addresses, MTUs, routes, tunnels), and
/// follow the order of declaration within a step. Comparison (`==`) ignores the location of the
/// call that found them.
#[derive(Clone)]
pub struct TopologyErrors {
    all: Vec<TopologyError>,
    /// Call of the user that has found them.
    at: &'static Location<'static>,
}

/// An error of a topology. `Display` names the objects and ends with advice.
///
/// Fields `place`, `places`, `segment` and `link` are descriptions as in messages:
/// ``link `wan` (home to server)``. Fields `node`, `peer` and `switch` are names of nodes, and
/// `why` is the reason with advice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the documentation of the type explains the fields")]
pub enum TopologyError {
    /// Id of a node of another topology.
    UnknownNode { place: String },
    /// Id of a link of another topology.
    UnknownLink { place: String },
    /// Link from a node to itself.
    SelfLink { link: String },
    /// Invalid name of a node or a link.
    BadName { what: &'static str, name: String, why: &'static str },
    /// Same name of two nodes or two links, ignoring the case of ASCII letters.
    DuplicateName { what: &'static str, name: String },
    /// Invalid name of an interface.
    BadInterfaceName { node: String, name: String, why: &'static str },
    /// Same name of two interfaces of a node.
    DuplicateInterface { node: String, name: String },
    /// Interface that the node does not have: a name, or a link that does not end at the node.
    NoSuchInterface { node: String, interface: String },
    /// Second `local()` node.
    TwoLocals { names: [String; 2] },
    /// Text or pair that is not an address, subnet or Ethernet address.
    Unreadable { place: String, why: String },
    /// Subnets that have addresses in common.
    OverlappingSubnets { subnets: [Subnet; 2], places: [String; 2] },
    /// Second subnet of one family on a segment.
    TwoSubnets { segment: String, subnets: [Subnet; 2] },
    /// Segment restricted to IPv4 only and to IPv6 only.
    NoFamily { segment: String },
    /// Address or subnet of a family that is disabled on its segment.
    FamilyOff { place: String, given: String },
    /// Same address of two interfaces.
    DuplicateAddress { address: IpAddr, places: [String; 2] },
    /// Primary address of an interface outside of the segment's subnet.
    OutsideSubnet { address: Cidr, place: String, subnet: Subnet },
    /// Address in the segment's subnet with another prefix length.
    PrefixDiffers { address: Cidr, place: String, subnet: Subnet },
    /// Address that no interface can have, such as a network, broadcast or multicast address.
    ReservedAddress { address: Cidr, place: String, why: &'static str },
    /// Subnet or pool that overlaps a reserved range.
    ReservedSubnet { subnet: Subnet, range: Subnet, place: String, why: &'static str },
    /// MTU that the kernel, or a family on the segment, does not accept; `least` is the lowest
    /// accepted value in bytes.
    MtuOutOfRange { place: String, mtu: u32, least: u32, why: &'static str },
    /// Different MTUs of two links of one segment.
    MtusDiffer { links: [String; 2], mtus: [u32; 2] },
    /// Gateway to which the node cannot send directly.
    UnreachableGateway { node: String, destination: String, via: String, why: &'static str },
    /// Second static route to one destination.
    DuplicateRoute { node: String, destination: String },
    /// Black hole in a topology without a router.
    NoRouter { destination: Subnet },
    /// VLAN identifier outside of 1 to 4094.
    VlanId { node: String, vid: u16 },
    /// VXLAN identifier of more than 24 bits.
    Vni { node: String, vni: u32 },
    /// VXLAN peer that does not name the node in return, or that cannot be reached.
    VxlanPeer { node: String, peer: String, vni: u32, why: &'static str },
    /// Pool without a free subnet for a segment.
    PoolExhausted { pool: Subnet, segment: String },
    /// Subnet with too few addresses for the interfaces on its segment.
    SubnetFull { subnet: Subnet, segment: String, members: usize },
    /// Loop of switches without STP.
    SwitchLoop { link: String },
    /// Property that a switch cannot have.
    OnSwitch { switch: String, what: String },
    /// STP on a node that is not a switch.
    StpWithoutSwitch { node: String },
    /// Sysctl that a node cannot set.
    BadSysctl { node: String, name: String, why: &'static str },
    /// Invalid name of a line of `/etc/hosts`.
    BadHostsEntry { node: String, name: String, why: &'static str },
    /// Directory that a node cannot have for itself.
    BadPrivateDir { node: String, path: String, why: &'static str },
    /// Impairment that a link cannot have; `why` is the reason with advice.
    BadImpairment { place: String, why: String },
    /// NAT or forwarded port that a router cannot have; `why` is the reason with advice.
    BadNat { place: String, why: String },
    /// Firewall that a node cannot have; `why` is the reason with advice.
    BadFirewall { place: String, why: String },
    /// Name server that a node cannot have; `why` is the reason with advice.
    BadDns { place: String, why: String },
    /// Same Ethernet address of two interfaces.
    DuplicateMac { mac: String, places: [String; 2] },
}

impl TopologyErrors {
    #[track_caller]
    pub(crate) fn new(all: Vec<TopologyError>) -> Self {
        debug_assert!(!all.is_empty());
        Self { all, at: Location::caller() }
    }

    /// Returns the errors; there is at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[TopologyError] {
        &self.all
    }
}

impl fmt::Display for TopologyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.all.len();
        write!(f, "{count} error{} in the topology", if count == 1 { "" } else { "s" })?;
        self.all.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

/// Writes the text of `Display` and the location of the call that found the errors, since a test
/// runner prints an `Err` with `Debug`.
impl fmt::Debug for TopologyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}\n  at {}", self.at)
    }
}

impl PartialEq for TopologyErrors {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for TopologyErrors {}

impl std::error::Error for TopologyErrors {}

impl std::error::Error for TopologyError {}

impl From<TopologyErrors> for Error {
    fn from(errors: TopologyErrors) -> Self {
        let count = errors.all.len();
        let reason = format!("{count} error{}", if count == 1 { "" } else { "s" });
        let failure = Failure::new("plan", "topology", reason);
        let failure =
            errors.all.iter().fold(failure, |failure, error| failure.advise(error.to_string()));
        Self::from(failure).at(errors.at)
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self
            .text_of_names()
            .or_else(|| self.text_of_addresses())
            .or_else(|| self.text_of_links());
        debug_assert!(text.is_some(), "an error has a text");
        f.write_str(&text.unwrap_or_default())
    }
}

impl TopologyError {
    fn text_of_names(&self) -> Option<String> {
        let text = match self {
            Self::UnknownNode { place } => {
                format!("{place}: a node of another topology; use the ids that this one returned")
            }
            Self::UnknownLink { place } => {
                format!("{place}: a link of another topology; use the ids that this one returned")
            }
            Self::SelfLink { link } => {
                format!("{link}: both ends are one node; link two nodes, or use `dummy`")
            }
            Self::BadName { what, name, why } => format!("the name `{name}` of a {what}: {why}"),
            Self::DuplicateName { what, name } => {
                format!("two {what}s have the name `{name}`; rename one")
            }
            Self::BadInterfaceName { node, name, why } => {
                format!("interface `{name}` of `{node}`: {why}")
            }
            Self::DuplicateInterface { node, name } => {
                format!("`{node}` has two interfaces with the name `{name}`; rename one")
            }
            Self::NoSuchInterface { node, interface } => {
                format!("`{node}` has no {interface}; name one that it has")
            }
            Self::TwoLocals { names: [a, b] } => {
                format!("`{a}` and `{b}` are both local(): there is one such namespace; remove one")
            }
            Self::Unreadable { place, why } => format!("{place}: {why}"),
            _ => return None,
        };
        Some(text)
    }

    fn text_of_addresses(&self) -> Option<String> {
        let text = match self {
            Self::OverlappingSubnets { subnets: [a, b], places: [at, other] } => {
                format!("{a} ({at}) and {b} ({other}) overlap; give one another subnet")
            }
            Self::TwoSubnets { segment, subnets: [a, b] } => {
                let name = family(a.network());
                format!(
                    "{segment}: two {name} subnets, {a} and {b}; a segment has one: remove the \
                     other"
                )
            }
            Self::NoFamily { segment } => {
                format!("{segment}: ipv4_only and ipv6_only on one segment; remove one")
            }
            Self::FamilyOff { place, given } => {
                format!(
                    "{place}: {given} is of a family that is disabled on the segment; remove it, \
                     or `ipv4_only` or `ipv6_only`"
                )
            }
            Self::DuplicateAddress { address, places: [a, b] } => {
                format!("{address} is the address of {a} and of {b}; change one")
            }
            Self::OutsideSubnet { address, place, subnet } => {
                format!(
                    "{place}: {address} is not in the segment's subnet {subnet}; give one that is"
                )
            }
            Self::PrefixDiffers { address, place, subnet } => {
                let prefix = subnet.prefix();
                format!(
                    "{place}: {address} is in the segment's subnet {subnet} with another prefix \
                     length; write /{prefix}"
                )
            }
            Self::ReservedAddress { address, place, why } => {
                format!("{place}: {address} is {why}; give the address of one interface")
            }
            Self::ReservedSubnet { subnet, range, place, why } => {
                format!("{place}: {subnet} holds {range}, {why}; give another subnet")
            }
            Self::PoolExhausted { pool, segment } => {
                format!(
                    "{segment}: no subnet is left in the pool {pool}; set a larger one with \
                     `pools`, or the subnet of the segment"
                )
            }
            Self::SubnetFull { subnet, segment, members } => {
                format!(
                    "{segment}: no address is left in {subnet} for {members} interfaces; give a \
                     larger subnet"
                )
            }
            _ => return None,
        };
        Some(text)
    }

    fn text_of_links(&self) -> Option<String> {
        let text = match self {
            Self::MtuOutOfRange { place, mtu, least, why } => {
                format!("{place}: an MTU of {mtu} is not in {least} to 65535: {why}")
            }
            Self::MtusDiffer { links: [a, b], mtus: [x, y] } => {
                format!(
                    "{a} has an MTU of {x}, {b} one of {y}: they are one segment; give both the \
                     same, or put a router between"
                )
            }
            Self::UnreachableGateway { node, destination, via, why } => {
                format!("`{node}`: route to {destination} via {via}: {why}")
            }
            Self::DuplicateRoute { node, destination } => {
                format!("`{node}` has two routes to {destination}; remove one")
            }
            Self::VlanId { node, vid } => {
                format!("`{node}`: VLAN {vid}: an identifier is 1 to 4094; give another")
            }
            Self::Vni { node, vni } => {
                format!(
                    "`{node}`: VXLAN {vni}: an identifier has 24 bits, at most 16777215; give \
                     another"
                )
            }
            Self::VxlanPeer { node, peer, vni, why } => {
                format!("`{node}`: VXLAN {vni}: peer `{peer}` {why}")
            }
            Self::SwitchLoop { link } => {
                format!(
                    "{link} closes a loop of switches, in which frames would circulate \
                     endlessly; remove it, or set `stp` on one of the switches"
                )
            }
            Self::OnSwitch { switch, what } => {
                format!("`{switch}` is a switch, which has no {what}; put it on a host or a router")
            }
            Self::StpWithoutSwitch { node } => {
                format!("`{node}`: `stp` is for switches; remove it")
            }
            Self::BadImpairment { place, why }
            | Self::BadNat { place, why }
            | Self::BadFirewall { place, why }
            | Self::BadDns { place, why } => format!("{place}: {why}"),
            Self::DuplicateMac { mac, places: [a, b] } => {
                format!("{mac} is the Ethernet address of {a} and of {b}; change one")
            }
            _ => return self.text_of_nodes(),
        };
        Some(text)
    }

    fn text_of_nodes(&self) -> Option<String> {
        let text = match self {
            Self::NoRouter { destination } => format!(
                "black_hole(): only routers discard packets to {destination}, and there is none; \
                 add a router between the hosts"
            ),
            Self::BadSysctl { node, name, why } => format!("`{node}`: sysctl `{name}`: {why}"),
            Self::BadHostsEntry { node, name, why } => {
                format!("`{node}`: hosts entry `{name}`: {why}")
            }
            Self::BadPrivateDir { node, path, why } => {
                format!("`{node}`: private directory `{path}`: {why}")
            }
            _ => return None,
        };
        Some(text)
    }
}
