//! What the kernel is to be told: the result of planning, as plain data.

pub(crate) mod addresses;
pub(crate) mod diff;
pub(crate) mod draw;
pub(crate) mod errors;
pub(crate) mod hosts_file;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod ifindex;
pub(crate) mod interfaces;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod labels;
pub(crate) mod routes;
pub(crate) mod segments;
pub(crate) mod solve;
pub(crate) mod vxlan;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};

use crate::addr::mac::Mac;
use crate::lab::plan::routes::walk::Table;
use crate::lab::topology::{LinkId, MacvlanMode, NodeId, NodeKind, Origin, Topology};

/// A checked topology with everything worked out; [`Topology::plan`] makes it.
///
/// Nodes and links stand in the order of declaration; numbers in the parts are places in
/// [`nodes`](Self::nodes), [`links`](Self::links) and [`segments`](Self::segments).
///
/// Its `Display` is the drawing for people: each segment with the interfaces on it, then routes.
#[derive(Clone, PartialEq)]
pub struct Plan {
    pub(crate) origin: Origin,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) links: Vec<LinkPlan>,
    pub(crate) segments: Vec<SegmentPlan>,
    /// Every address of the lab with the interface that has it.
    pub(crate) owners: HashMap<IpAddr, InterfaceRef>,
    /// By node: its routes and own subnets, to look addresses up.
    pub(crate) tables: Vec<Table>,
    pub(crate) hosts_file: String,
}

/// One node of a plan.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodePlan {
    /// The node's name in the lab.
    pub name: String,
    /// What the node is.
    pub kind: NodeKind,
    /// The hostname to set; none for the caller's own namespace, which keeps its own.
    pub hostname: Option<String>,
    /// The interfaces, each after those it stands on. The bridge of a switch is the first.
    pub interfaces: Vec<InterfacePlan>,
    /// The routes besides those that the kernel makes for the addresses.
    pub routes: Vec<RoutePlan>,
    /// Sysctls with their values, to be written in this order before there are interfaces; those
    /// that name an interface, after.
    pub sysctls: Vec<(String, String)>,
    /// All addresses; the first one of each family is reachable from everywhere, if any is. IPv4
    /// comes first.
    pub addresses: Vec<IpAddr>,
}

/// One interface of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InterfacePlan {
    /// Its name: at most 15 bytes.
    pub name: String,
    /// What it is, and what it stands on.
    pub kind: InterfaceKind,
    /// Its Ethernet address; none for a VLAN, which has that of its lower interface, and `lo`.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its addresses; the first one of each family is the primary one.
    pub addresses: Vec<Cidr>,
    /// The segment it is on.
    pub segment: usize,
}

/// What an interface is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InterfaceKind {
    /// `lo`, which is there already.
    Loopback,
    /// The end of a link.
    Veth {
        /// The link.
        link: usize,
        /// The other end.
        peer: InterfaceRef,
        /// The bridge that it is a port of, on a switch.
        bridge: Option<String>,
    },
    /// The bridge of a switch.
    Bridge {
        /// Whether it speaks the spanning tree protocol.
        stp: bool,
    },
    /// An interface that leads nowhere.
    Dummy,
    /// A VLAN (802.1Q).
    Vlan {
        /// The interface below.
        lower: String,
        /// The identifier, 1 to 4094.
        vid: u16,
    },
    /// A second interface on a segment.
    Macvlan {
        /// The interface below.
        lower: String,
        /// How it reaches its siblings.
        mode: MacvlanMode,
    },
    /// A tunnel over UDP.
    Vxlan {
        /// The identifier, 24 bits.
        vni: u32,
        /// The node's own end of the tunnel.
        local: IpAddr,
        /// The other ends.
        remotes: Vec<IpAddr>,
        /// The UDP port, at both ends.
        port: u16,
    },
}

/// An interface of a node, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct InterfaceRef {
    /// The place of the node in [`Plan::nodes`].
    pub node: usize,
    /// The place of the interface in [`NodePlan::interfaces`].
    pub interface: usize,
}

/// A route of a node.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RoutePlan {
    /// Where it leads; a prefix length of 0 makes it the default route.
    pub destination: Subnet,
    /// The gateway; none if the destination is on the segment of the interface.
    pub via: Option<IpAddr>,
    /// The name of the interface.
    pub dev: String,
    /// Whether the topology has it, and it was not worked out.
    pub is_static: bool,
}

/// A link: a veth pair.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkPlan {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The interfaces at the two ends.
    pub ends: [InterfaceRef; 2],
    /// The segment it is part of.
    pub segment: usize,
}

/// What hears a broadcast: links that switches join, the nodes of one VLAN, one VXLAN, or an
/// interface alone.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SegmentPlan {
    /// What it is.
    pub kind: SegmentKind,
    /// Its subnets; the first one of each family is the one that members have addresses in.
    pub subnets: Vec<Subnet>,
    /// The MTU in bytes.
    pub mtu: u32,
    /// The interfaces with addresses, in the order of declaration.
    pub members: Vec<InterfaceRef>,
    /// The switches, as places in [`Plan::nodes`].
    pub switches: Vec<usize>,
}

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentKind {
    /// Links that switches join, or one link.
    Links {
        /// The first of them.
        first: usize,
    },
    /// A VLAN on the segment of a link.
    Vlan {
        /// The first link of that segment.
        first: usize,
        /// The identifier.
        vid: u16,
    },
    /// Tunnels with one identifier.
    Vxlan {
        /// The identifier.
        vni: u32,
    },
    /// A dummy interface, `lo`, or the bridge of a switch without links.
    Stub {
        /// The interface.
        place: InterfaceRef,
    },
}

impl Plan {
    /// The nodes in the order of declaration.
    #[must_use]
    pub fn nodes(&self) -> &[NodePlan] {
        &self.nodes
    }

    /// The links in the order of declaration.
    #[must_use]
    pub fn links(&self) -> &[LinkPlan] {
        &self.links
    }

    /// The segments in the order of declaration of their first parts.
    #[must_use]
    pub fn segments(&self) -> &[SegmentPlan] {
        &self.segments
    }

    /// The place of a node in [`nodes`](Self::nodes); none for the id of another topology.
    #[must_use]
    pub fn position(&self, node: NodeId) -> Option<usize> {
        self.origin.index(node, self.nodes.len())
    }

    /// The place of a link in [`links`](Self::links); none for the id of another topology.
    #[must_use]
    pub fn link_position(&self, link: LinkId) -> Option<usize> {
        self.origin.link_index(link, self.links.len())
    }

    /// The id of the node at a place in [`nodes`](Self::nodes).
    ///
    /// # Panics
    ///
    /// There is no such place.
    #[must_use]
    pub fn id(&self, position: usize) -> NodeId {
        assert!(position < self.nodes.len(), "there is no node {position}");
        self.origin.id(position)
    }

    /// The node's first address: of IPv4, or else of IPv6. Its name stands for all of them, and
    /// `getaddrinfo(3)` gives those of IPv6 first.
    #[must_use]
    pub fn address_of(&self, node: NodeId) -> Option<IpAddr> {
        self.addresses_of(node).first().copied()
    }

    /// All addresses of the node, IPv4 before IPv6, the best reachable first of each.
    #[must_use]
    pub fn addresses_of(&self, node: NodeId) -> &[IpAddr] {
        self.position(node).map_or(&[], |position| &self.nodes[position].addresses)
    }

    /// The text of `/etc/hosts` on a node: `localhost`, and all nodes with their addresses.
    #[must_use]
    pub fn hosts_file(&self, node: NodeId) -> Cow<'_, str> {
        match self.position(node).map(|position| &self.nodes[position]) {
            Some(node) => hosts_file::on(&self.hosts_file, node),
            None => Cow::Borrowed(&self.hosts_file),
        }
    }

    /// The text of `/etc/hosts` that all nodes with addresses have.
    pub(crate) fn hosts_text(&self) -> &str {
        &self.hosts_file
    }

    pub(crate) fn interface(&self, place: InterfaceRef) -> &InterfacePlan {
        &self.nodes[place.node].interfaces[place.interface]
    }
}

/// The parts, without what follows from them.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin: _, nodes, links, segments, owners: _, tables: _, hosts_file: _ } = self;
        let mut text = f.debug_struct("Plan");
        text.field("nodes", nodes).field("links", links).field("segments", segments).finish()
    }
}

impl SegmentPlan {
    /// Whether frames on it travel as packets of other segments.
    pub(crate) fn is_overlay(&self) -> bool {
        matches!(self.kind, SegmentKind::Vxlan { .. })
    }

    /// The segment as messages name it.
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
