//! The plan: everything that a lab configures in the kernel, as plain data. Pure.

pub(crate) mod addresses;
pub(crate) mod checks;
pub(crate) mod diff;
#[cfg(feature = "dns")]
pub(crate) mod dns;
pub(crate) mod draw;
pub(crate) mod errors;
pub(crate) mod hosts_file;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod ifindex;
pub(crate) mod impairment;
pub(crate) mod interfaces;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod labels;
pub(crate) mod nat;
pub(crate) mod owners;
pub(crate) mod routes;
pub(crate) mod segments;
pub(crate) mod solve;
pub(crate) mod union_find;
pub(crate) mod vxlan;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::addr::cidr::{Cidr, Subnet};

use crate::addr::mac::Mac;
#[cfg(feature = "dns")]
use crate::lab::plan::dns::servers::DnsPlan;
use crate::lab::plan::hosts_file::texts::HostsFiles;
use crate::lab::plan::impairment::ImpairmentPlan;
use crate::lab::plan::nat::exposure::Exposures;
use crate::lab::plan::nat::realms::Realms;
use crate::lab::plan::nat::{FirewallPlan, NatPlan};
pub use crate::lab::plan::owners::InterfaceRef;
use crate::lab::plan::owners::Owners;
use crate::lab::plan::routes::fib::Fib;
use crate::lab::topology::id::Ids;
use crate::lab::topology::model::link_label;
use crate::lab::topology::{LinkId, MacvlanMode, NodeId, NodeKind, Topology};

/// A checked topology with all addresses, routes and names; [`Topology::plan`] computes it.
///
/// Nodes and links are in the order of declaration. Numbers in the parts of a plan are indexes
/// into [`nodes`](Self::nodes), [`links`](Self::links) and [`segments`](Self::segments).
///
/// `Display` lists each segment with its interfaces, then impairments of links, then the routes.
#[derive(Clone, PartialEq)]
pub struct Plan {
    pub(crate) ids: Ids,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) links: Vec<LinkPlan>,
    pub(crate) segments: Vec<SegmentPlan>,
    /// Interfaces by address.
    pub(crate) owners: Owners,
    /// Forwarding table of each node.
    pub(crate) fibs: Vec<Fib>,
    /// Contents of `/etc/hosts` on nodes with addresses.
    pub(crate) hosts: HostsFiles,
    /// Realms of IPv4 and IPv6.
    pub(crate) realms: [Realms; 2],
    /// Forwarded ports and 1:1 addresses of NATs.
    pub(crate) exposures: Exposures,
    /// Name servers.
    #[cfg(feature = "dns")]
    pub(crate) dns: DnsPlan,
}

/// One node of a plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodePlan {
    /// Name of the node in the lab.
    pub name: String,
    /// Kind of the node.
    pub kind: NodeKind,
    /// Hostname to set; `None` for the caller's own namespace, which keeps its hostname.
    pub hostname: Option<String>,
    /// Interfaces; an interface follows its lower interface. The bridge of a switch is the first.
    pub interfaces: Vec<InterfacePlan>,
    /// Routes, except those that the kernel adds for the addresses of interfaces.
    pub routes: Vec<RoutePlan>,
    /// Destinations whose packets a router discards without an ICMP error.
    pub black_holes: Vec<Subnet>,
    /// Sysctls and values in the order of writing. Those that name an interface are written after
    /// the interfaces exist, all others before.
    pub sysctls: Vec<(String, String)>,
    /// Lines of `/etc/hosts` besides those of nodes.
    pub hosts_entries: Vec<(IpAddr, String)>,
    /// Directories of its own.
    pub private_dirs: Vec<PathBuf>,
    /// All addresses, IPv4 before IPv6. The first one of each family is the one that most nodes
    /// can reach.
    pub addresses: Vec<IpAddr>,
    /// NATs of a router, each on an outside interface of its own.
    pub nats: Vec<NatPlan>,
    /// Firewall.
    pub firewall: Option<FirewallPlan>,
}

/// One interface of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InterfacePlan {
    /// Name, at most 15 bytes.
    pub name: String,
    /// Kind, with the properties of that kind.
    pub kind: InterfaceKind,
    /// Ethernet address; `None` for `lo`, and for a VLAN, which uses that of its lower interface.
    pub mac: Option<Mac>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Addresses; the first one of each family is the primary one.
    pub addresses: Vec<Cidr>,
    /// Index of the segment in [`Plan::segments`].
    pub segment: usize,
}

/// Kind of an interface.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InterfaceKind {
    /// `lo`, which every network namespace has.
    Loopback,
    /// The end of a link.
    Veth {
        /// Index of the link in [`Plan::links`].
        link: usize,
        /// Interface at the other end.
        peer: InterfaceRef,
        /// Bridge that the interface is a port of; `None` except on a switch.
        bridge: Option<String>,
    },
    /// The bridge of a switch.
    Bridge {
        /// True if the bridge uses the spanning tree protocol (802.1D).
        stp: bool,
    },
    /// A dummy interface: it has addresses, and no frames leave it.
    Dummy,
    /// A VLAN interface (802.1Q).
    Vlan {
        /// Name of the lower interface.
        lower: String,
        /// VLAN identifier, 1 to 4094.
        vid: u16,
    },
    /// A macvlan interface: one more interface on the segment of its lower interface.
    Macvlan {
        /// Name of the lower interface.
        lower: String,
        /// Mode of the exchange with other macvlan interfaces on the lower interface.
        mode: MacvlanMode,
    },
    /// A VXLAN tunnel over UDP (RFC 7348).
    Vxlan {
        /// VXLAN network identifier, 24 bits.
        vni: u32,
        /// Address of the node's own end of the tunnel.
        local: IpAddr,
        /// Addresses of the other ends.
        remotes: Vec<IpAddr>,
        /// UDP port of all ends.
        port: u16,
    },
}

/// A route of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RoutePlan {
    /// Destination; a prefix length of 0 makes it the default route.
    pub destination: Subnet,
    /// Gateway; `None` if the destination is on the segment of the interface.
    pub via: Option<IpAddr>,
    /// Name of the outgoing interface.
    pub dev: String,
    /// True for a static route, which the topology declares; false for a computed one.
    pub is_static: bool,
}

/// A link: a veth pair.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkPlan {
    /// Name, if the topology declares one.
    pub name: Option<String>,
    /// Interfaces at the two ends.
    pub ends: [InterfaceRef; 2],
    /// Index of the segment in [`Plan::segments`].
    pub segment: usize,
    /// Impairments of the direction from the first end, and of that from the second one; `None` for
    /// a direct veth pair, which cannot be impaired.
    pub impairments: Option<[ImpairmentPlan; 2]>,
    /// True if the frames at both ends are recorded.
    pub is_captured: bool,
    /// False if the ends have no offloads.
    pub offloads: bool,
}

/// A segment, which is one broadcast domain: links that switches join, one VLAN, one VXLAN, or a
/// single interface.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SegmentPlan {
    /// Kind of the segment.
    pub kind: SegmentKind,
    /// Subnets, IPv4 before IPv6. Interfaces without a static address have one in the first
    /// subnet of each family.
    pub subnets: Vec<Subnet>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Interfaces with addresses, in the order of declaration.
    pub members: Vec<InterfaceRef>,
    /// Switches, as indexes into [`Plan::nodes`].
    pub switches: Vec<usize>,
}

/// Kind of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentKind {
    /// Links that switches join, or one link.
    Links {
        /// Index of the first link in [`Plan::links`].
        first: usize,
    },
    /// A VLAN on the segment of a link.
    Vlan {
        /// Index of the first link of that segment.
        first: usize,
        /// VLAN identifier, 1 to 4094.
        vid: u16,
    },
    /// VXLAN tunnels with one identifier.
    Vxlan {
        /// VXLAN network identifier, 24 bits.
        vni: u32,
    },
    /// A single interface: a dummy interface, `lo`, or the bridge of a switch without links.
    Stub {
        /// Reference to the interface.
        place: InterfaceRef,
    },
}

impl Plan {
    /// Returns the nodes in the order of declaration.
    #[must_use]
    pub fn nodes(&self) -> &[NodePlan] {
        &self.nodes
    }

    /// Returns the links in the order of declaration.
    #[must_use]
    pub fn links(&self) -> &[LinkPlan] {
        &self.links
    }

    /// Returns the segments in the order in which their first interfaces were declared.
    #[must_use]
    pub fn segments(&self) -> &[SegmentPlan] {
        &self.segments
    }

    /// Returns the index of a node in [`nodes`](Self::nodes), or `None` for the id of another
    /// topology.
    #[must_use]
    pub fn position(&self, node: NodeId) -> Option<usize> {
        self.ids.node(node)
    }

    /// Returns the index of a link in [`links`](Self::links), or `None` for the id of another
    /// topology.
    #[must_use]
    pub fn link_position(&self, link: LinkId) -> Option<usize> {
        self.ids.link(link)
    }

    /// Returns the id of the node at an index of [`nodes`](Self::nodes).
    ///
    /// # Panics
    ///
    /// Panics if `position` is not below the number of nodes.
    #[must_use]
    pub fn id(&self, position: usize) -> NodeId {
        assert!(position < self.nodes.len(), "there is no node {position}");
        self.ids.node_id(position)
    }

    /// Returns the first IPv4 address of the node, or the first IPv6 address if it has no other;
    /// `None` for a switch, for a node without interfaces, and for the id of another topology.
    ///
    /// The node's name resolves to all of its addresses, and `getaddrinfo(3)` returns those of
    /// IPv6 first.
    #[must_use]
    pub fn address_of(&self, node: NodeId) -> Option<IpAddr> {
        self.addresses_of(node).first().copied()
    }

    /// Returns all addresses of the node, IPv4 before IPv6. The first one of each family is the
    /// one that most nodes can reach.
    #[must_use]
    pub fn addresses_of(&self, node: NodeId) -> &[IpAddr] {
        self.position(node).map_or(&[], |position| &self.nodes[position].addresses)
    }

    /// Returns the name of a link in messages.
    pub(crate) fn link_label(&self, link: usize) -> String {
        let link = &self.links[link];
        let ends = link.ends.map(|end| self.nodes[end.node].name.as_str());
        link_label(link.name.as_deref(), ends)
    }

    /// Returns the name of a link alone: `wan`, or without a name `home to server`.
    pub(crate) fn link_name(&self, link: usize) -> String {
        let link = &self.links[link];
        let [a, b] = link.ends.map(|end| self.nodes[end.node].name.as_str());
        link.name.clone().unwrap_or_else(|| format!("{a} to {b}"))
    }

    pub(crate) fn interface(&self, place: InterfaceRef) -> &InterfacePlan {
        &self.nodes[place.node].interfaces[place.interface]
    }
}

/// Writes the nodes, links and segments; all other fields follow from them.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, links, segments, .. } = self;
        let mut text = f.debug_struct("Plan");
        text.field("nodes", nodes).field("links", links).field("segments", segments).finish()
    }
}

impl InterfaceKind {
    /// Returns whether the interface is an end of the link.
    pub(crate) fn is_end_of(&self, link: usize) -> bool {
        matches!(self, Self::Veth { link: own, .. } if *own == link)
    }
}

impl SegmentPlan {
    /// Returns whether the segment is a tunnel: its frames are packets on other segments.
    pub(crate) fn is_overlay(&self) -> bool {
        matches!(self.kind, SegmentKind::Vxlan { .. })
    }

    /// Returns the name of a segment in messages.
    pub(crate) fn label(kind: SegmentKind, topology: &Topology) -> String {
        match kind {
            SegmentKind::Links { first } => topology.link_label(first),
            SegmentKind::Vlan { first, vid } => {
                format!("VLAN {vid} on {}", topology.link_label(first))
            }
            SegmentKind::Vxlan { vni } => format!("VXLAN {vni}"),
            SegmentKind::Stub { place } => {
                format!("an interface of `{}`", topology.nodes[place.node].name)
            }
        }
    }
}
