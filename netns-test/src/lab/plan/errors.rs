//! What can be wrong with a topology, in words that name the objects and say what to do.

use std::fmt;
use std::net::IpAddr;
use std::panic::Location;

use crate::addr::cidr::{Cidr, Subnet, family};
use crate::error::{Error, Failure};

/// All mistakes of a topology, in the order of declaration as far as they have one.
#[derive(Clone)]
pub struct TopologyErrors {
    all: Vec<TopologyError>,
    /// The call that has found them. It makes no difference between two of these.
    at: &'static Location<'static>,
}

/// One mistake. Places are told as messages name them: ``link `wan` (home to server)``.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the objects that the message names")]
pub enum TopologyError {
    /// The id of a node of another topology.
    UnknownNode { place: String },
    /// The id of a link of another topology.
    UnknownLink { place: String },
    /// Both ends of a link are one node.
    SelfLink { link: String },
    /// A name that a node or a link cannot have.
    BadName { what: &'static str, name: String, why: &'static str },
    /// Two nodes or two links have the same name, whatever the case of its letters.
    DuplicateName { what: &'static str, name: String },
    /// A name that an interface cannot have.
    BadInterfaceName { node: String, name: String, why: &'static str },
    /// Two interfaces of a node have the same name.
    DuplicateInterface { node: String, name: String },
    /// No interface of that name, or the link does not end at the node.
    NoSuchInterface { node: String, interface: String },
    /// More than one `local()`.
    TwoLocals { names: [String; 2] },
    /// A text that is no address or subnet.
    Unreadable { place: String, why: String },
    /// Two subnets have addresses in common.
    OverlappingSubnets { subnets: [Subnet; 2], places: [String; 2] },
    /// A segment was given two subnets of one family.
    TwoSubnets { segment: String, subnets: [Subnet; 2] },
    /// A segment was told to have each of two families only.
    NoFamily { segment: String },
    /// An address or subnet of a family that its segment shall not have.
    FamilyOff { place: String, given: String },
    /// Two interfaces have the same address.
    DuplicateAddress { address: IpAddr, places: [String; 2] },
    /// The primary address of an interface is not in the segment's subnet.
    OutsideSubnet { address: Cidr, place: String, subnet: Subnet },
    /// An address in the segment's subnet with another prefix length.
    PrefixDiffers { address: Cidr, place: String, subnet: Subnet },
    /// An address that no interface can have, or that stands for the whole subnet.
    ReservedAddress { address: Cidr, place: String, why: &'static str },
    /// A subnet, or a pool of subnets, with addresses that no interface can have.
    ReservedSubnet { subnet: Subnet, range: Subnet, place: String, why: &'static str },
    /// An MTU that the kernel, or a family on the segment, does not take.
    MtuOutOfRange { place: String, mtu: u32, least: u32, why: &'static str },
    /// Two links of one segment have different MTUs.
    MtusDiffer { links: [String; 2], mtus: [u32; 2] },
    /// A gateway that the node cannot send to directly.
    UnreachableGateway { node: String, destination: String, via: String, why: &'static str },
    /// Two routes by hand to one destination.
    DuplicateRoute { node: String, destination: String },
    /// A VLAN identifier that is not in 1 to 4094.
    VlanId { node: String, vid: u16 },
    /// A VXLAN identifier of more than 24 bits.
    Vni { node: String, vni: u32 },
    /// A peer of a VXLAN that does not name the node in return, or has no address.
    VxlanPeer { node: String, peer: String, vni: u32, why: &'static str },
    /// No more subnets.
    PoolExhausted { pool: Subnet, segment: String },
    /// No more addresses in a segment's subnet.
    SubnetFull { subnet: Subnet, segment: String, members: usize },
    /// Switches in a loop, none of which speaks STP.
    SwitchLoop { link: String },
    /// Something that a switch does not have.
    OnSwitch { switch: String, what: String },
    /// STP on a node that is no switch.
    StpWithoutSwitch { node: String },
    /// A sysctl that is not to be written.
    BadSysctl { node: String, name: String, why: &'static str },
    /// Two interfaces have the same Ethernet address.
    DuplicateMac { mac: String, places: [String; 2] },
}

impl TopologyErrors {
    #[track_caller]
    pub(crate) fn new(all: Vec<TopologyError>) -> Self {
        debug_assert!(!all.is_empty());
        Self { all, at: Location::caller() }
    }

    /// The mistakes; at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[TopologyError] {
        &self.all
    }
}

impl fmt::Display for TopologyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.all.len();
        write!(f, "{count} mistake{} in the topology", if count == 1 { "" } else { "s" })?;
        self.all.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// The same text as `Display`, since that is what a test runner prints of an `Err`, and the call in the
/// caller's source that has found them.
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
    fn from(mistakes: TopologyErrors) -> Self {
        let count = mistakes.all.len();
        let reason = format!("{count} mistake{}", if count == 1 { "" } else { "s" });
        let failure = Failure::new("plan", "topology", reason);
        let failure = mistakes
            .all
            .iter()
            .fold(failure, |failure, mistake| failure.advise(mistake.to_string()));
        Self::from(failure).at(mistakes.at)
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.of_names().or_else(|| self.of_addresses()).or_else(|| self.of_links());
        debug_assert!(text.is_some(), "a mistake has a text");
        f.write_str(&text.unwrap_or_default())
    }
}

impl TopologyError {
    fn of_names(&self) -> Option<String> {
        let text = match self {
            Self::UnknownNode { place } => {
                format!("{place}: a node of another topology; use the ids that this one gave")
            }
            Self::UnknownLink { place } => {
                format!("{place}: a link of another topology; use the ids that this one gave")
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

    fn of_addresses(&self) -> Option<String> {
        let text = match self {
            Self::OverlappingSubnets { subnets: [a, b], places: [at, other] } => {
                format!("{a} ({at}) and {b} ({other}) overlap; give one another subnet")
            }
            Self::TwoSubnets { segment, subnets: [a, b] } => {
                let name = family(a.network());
                format!(
                    "{segment}: two {name} subnets, {a} and {b}; a segment has one: remove the other"
                )
            }
            Self::NoFamily { segment } => {
                format!("{segment}: ipv4_only and ipv6_only on one segment; remove one")
            }
            Self::FamilyOff { place, given } => {
                format!(
                    "{place}: {given} is of the family that the segment shall not have; remove it, or `ipv4_only` or `ipv6_only`"
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
                    "{place}: {address} is in the segment's subnet {subnet} with another prefix length; write /{prefix}"
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
                    "{segment}: no subnet is left in the pool {pool}; give a larger one with `pools`, or a subnet by hand"
                )
            }
            Self::SubnetFull { subnet, segment, members } => {
                format!(
                    "{segment}: no address is left in {subnet} for {members} interfaces; give a larger subnet"
                )
            }
            _ => return None,
        };
        Some(text)
    }

    fn of_links(&self) -> Option<String> {
        let text = match self {
            Self::MtuOutOfRange { place, mtu, least, why } => {
                format!("{place}: an MTU of {mtu} is not in {least} to 65535: {why}")
            }
            Self::MtusDiffer { links: [a, b], mtus: [x, y] } => {
                format!(
                    "{a} has an MTU of {x}, {b} one of {y}: they are one segment; give both the same, or put a router between"
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
                    "`{node}`: VXLAN {vni}: an identifier has 24 bits, at most 16777215; give another"
                )
            }
            Self::VxlanPeer { node, peer, vni, why } => {
                format!("`{node}`: VXLAN {vni}: peer `{peer}` {why}")
            }
            Self::SwitchLoop { link } => {
                format!(
                    "{link} closes a loop of switches, in which frames would go round for ever; remove it, or have one of the switches speak `stp`"
                )
            }
            Self::OnSwitch { switch, what } => {
                format!("`{switch}` is a switch, which has no {what}; put it on a host or a router")
            }
            Self::StpWithoutSwitch { node } => {
                format!("`{node}`: `stp` is for switches; remove it")
            }
            Self::BadSysctl { node, name, why } => format!("`{node}`: sysctl `{name}`: {why}"),
            Self::DuplicateMac { mac, places: [a, b] } => {
                format!("{mac} is the Ethernet address of {a} and of {b}; change one")
            }
            _ => return None,
        };
        Some(text)
    }
}
