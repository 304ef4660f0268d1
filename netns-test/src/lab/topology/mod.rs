//! Description of a network: a value without I/O. [`Topology`] collects declarations; nothing is
//! checked before `Topology::plan`.

#[cfg(feature = "dns")]
pub(crate) mod dns;
pub(crate) mod id;
pub(crate) mod impairment;
pub(crate) mod input;
pub(crate) mod link;
pub(crate) mod model;
pub(crate) mod names;
pub(crate) mod nat;
pub(crate) mod node;
pub(crate) mod quantity;
pub(crate) mod regions;
pub(crate) mod schedule;
pub(crate) mod step;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[cfg(feature = "dns")]
pub use crate::lab::topology::dns::DnsSpec;
#[cfg(feature = "dns")]
pub use crate::lab::topology::dns::fault::DnsFault;
#[cfg(feature = "dns")]
pub use crate::lab::topology::dns::record::{DnsClient, Record, RecordType};
pub use crate::lab::topology::id::{LinkId, NodeId};
pub use crate::lab::topology::impairment::Impairment;
pub use crate::lab::topology::link::LinkSpec;
pub use crate::lab::topology::model::{MacvlanMode, NodeKind};
pub use crate::lab::topology::nat::Nat;
pub use crate::lab::topology::nat::firewall::Firewall;
pub use crate::lab::topology::nat::model::{
    Filtering, FirewallAction, FirewallDirection, Ipv6Nat, Mapping, Traffic, Transport,
};
pub use crate::lab::topology::nat::port_mapping::{
    PortMapping, PortMappingFault, PortMappingProtocol,
};
pub use crate::lab::topology::node::NodeSpec;
pub use crate::lab::topology::regions::{RegionRouters, Regions};
pub use crate::lab::topology::schedule::Schedule;
pub use crate::lab::topology::step::{Cut, Step};

use crate::addr::cidr::Subnet;
#[cfg(feature = "dns")]
use crate::lab::topology::dns::declared::DeclaredDns;
use crate::lab::topology::id::Ids;
use crate::lab::topology::impairment::model::LinkImpairments;
use crate::lab::topology::input::SubnetArg;
use crate::lab::topology::model::{Link, LinkEnd, Node};
use crate::lab::topology::nat::declared::{DeclaredFirewall, DeclaredForward, DeclaredNat};

/// Default pools of subnets: `10.0.0.0/8` and `fd6e:6574:6e73::/48`.
///
/// The IPv6 pool is a prefix of RFC 4193 whose global identifier is the letters `netns`. The RFC
/// asks for a random identifier; a constant one keeps addresses equal from run to run, and a lab
/// has no route to another site that could have the same prefix.
const DEFAULT_POOLS: [Subnet; 2] = [
    Subnet::constant(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    Subnet::constant(IpAddr::V6(Ipv6Addr::new(0xfd6e, 0x6574, 0x6e73, 0, 0, 0, 0, 0)), 48),
];

/// Hosts, routers, switches and the links between them: a value, which needs no privilege and does
/// no I/O.
///
/// [`plan`](Self::plan) checks the declarations and computes everything that they leave open:
/// addresses, routes, names of interfaces.
///
/// `Display` lists the nodes and links as declared; the `Display` of the plan adds the addresses.
/// Two topologies with the same declarations in the same order are equal, although their ids
/// differ.
///
/// ```
/// use netns_test::Topology;
///
/// let mut net = Topology::new();
/// let client = net.host("client");
/// let server = net.host("server");
/// let home = net.router("home");
/// net.link(client, home);
/// net.link(home, server).mtu(1400).name("wan");
///
/// let plan = net.plan()?;
/// assert!(plan.can_reach(client, server).both());
/// assert_eq!(plan.address_of(server).unwrap().to_string(), "10.0.1.2");
/// # Ok::<(), netns_test::lab::TopologyErrors>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    pub(crate) ids: Ids,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    /// Number of calls of `node` with the id of another topology.
    pub(crate) unknown_nodes: usize,
    /// Number of calls of `impair` and `impair_from` with the id of another topology.
    pub(crate) unknown_links: usize,
    /// True if impairments can be set on all links while they are in use.
    pub(crate) is_impairable: bool,
    /// Pools of subnets: IPv4, IPv6.
    pub(crate) pools: [SubnetArg; 2],
    /// Number of declared links and extra interfaces.
    pub(crate) declared: usize,
    pub(crate) nats: Vec<DeclaredNat>,
    pub(crate) forwards: Vec<DeclaredForward>,
    pub(crate) firewalls: Vec<DeclaredFirewall>,
    /// Destinations whose packets the routers discard.
    pub(crate) black_holes: Vec<SubnetArg>,
    #[cfg(feature = "dns")]
    pub(crate) dns: Vec<DeclaredDns>,
}

impl Topology {
    /// Creates a topology without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ids: Ids::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            unknown_nodes: 0,
            unknown_links: 0,
            is_impairable: false,
            pools: DEFAULT_POOLS.map(SubnetArg::from),
            declared: 0,
            nats: Vec::new(),
            forwards: Vec::new(),
            firewalls: Vec::new(),
            black_holes: Vec::new(),
            #[cfg(feature = "dns")]
            dns: Vec::new(),
        }
    }

    /// Adds a host. `name` becomes its hostname, and all other nodes resolve it by `/etc/hosts`.
    ///
    /// Names of nodes are unique host names of RFC 1123, at most 64 bytes; [`plan`](Self::plan)
    /// reports others.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// net.link(client, server);
    /// let plan = net.plan()?;
    /// assert_eq!(plan.address_of(client).unwrap().to_string(), "10.0.0.1");
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn host(&mut self, name: impl Into<String>) -> NodeId {
        self.add(name.into(), NodeKind::Host)
    }

    /// Adds a router. It forwards IPv4 and IPv6 packets, and has routes to all subnets that it can
    /// reach.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// let router = net.router("router");
    /// net.link(client, router);
    /// net.link(router, server);
    /// assert!(net.plan()?.can_reach(client, server).both());
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn router(&mut self, name: impl Into<String>) -> NodeId {
        self.add(name.into(), NodeKind::Router)
    }

    /// Adds a switch: a bridge that joins its links into one segment.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let switch = net.switch("switch");
    /// for name in ["a", "b", "c"] {
    ///     let host = net.host(name);
    ///     net.link(host, switch);
    /// }
    /// assert_eq!(net.plan()?.segments().len(), 1);
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn switch(&mut self, name: impl Into<String>) -> NodeId {
        self.add(name.into(), NodeKind::Switch)
    }

    /// Adds the caller's own network namespace as a host with the name `local`;
    /// [`NodeSpec::name`] renames it. A topology has at most one.
    ///
    /// In a program outside of a test this is the machine's own network. It has the lab's
    /// interfaces and routes until the lab is dropped or its process ends:
    ///
    /// - Existing routes stay. A route of the lab precedes existing routes to the same
    ///   destination: in IPv4 as the first of them, in IPv6 by a lower metric. The existing routes
    ///   apply again after the lab, and while the link of the lab's route is down.
    /// - [`remove_route`], [`remove_addr`], [`set_addr`] and [`sysctl`] can change existing state.
    ///   Dropping the lab restores it byte for byte, and panics if it cannot. If the process is
    ///   killed, these changes remain. The methods refuse to remove state that only the kernel can
    ///   create, such as routes from router advertisements.
    ///
    /// [`remove_route`]: super::Node::remove_route
    /// [`remove_addr`]: super::NodeInterface::remove_addr
    /// [`set_addr`]: super::NodeInterface::set_addr
    /// [`sysctl`]: super::Node::sysctl
    pub fn local(&mut self) -> NodeId {
        self.add("local".to_owned(), NodeKind::Local)
    }

    /// Adds a link between two nodes: a veth pair. Two nodes can have several links.
    ///
    /// The returned [`LinkSpec`] sets optional properties and can be ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// net.link(client, server).mtu(1400).name("wan").addrs("192.0.2.1/24", "192.0.2.2/24");
    /// assert_eq!(net.plan()?.address_of(server).unwrap().to_string(), "192.0.2.2");
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn link(&mut self, a: NodeId, b: NodeId) -> LinkSpec<'_> {
        let ends = [a, b].map(|id| LinkEnd { node: self.ids.node(id), ..LinkEnd::default() });
        let (name, mtu, subnets, declared) = (None, None, Vec::new(), self.declared);
        self.declared += 1;
        let index = self.links.len();
        let (only, impairments) = ([false; 2], LinkImpairments::default());
        self.links.push(Link { declared, name, ends, mtu, subnets, only, impairments });
        let id = self.ids.add_link();
        LinkSpec::new(&mut self.links[index], id, &self.ids)
    }

    /// Sets the impairments of both directions of a link that was declared before, as
    /// [`LinkSpec::impair`] does. [`Lab::extend`](super::Lab::extend) applies a change.
    pub fn impair(&mut self, link: LinkId, impairment: Impairment) {
        if let Some(link) = self.declared_link(link) {
            link.impair(impairment);
        }
    }

    /// Sets the impairments of the direction from a node on a link that was declared before, as
    /// [`LinkSpec::impair_from`] does. [`Lab::extend`](super::Lab::extend) applies a change.
    pub fn impair_from(&mut self, link: LinkId, node: NodeId, impairment: Impairment) {
        if let Some(link) = self.declared_link(link) {
            link.impair_from(node, impairment);
        }
    }

    /// Makes all links [impairable](LinkSpec::impairable), those that follow too.
    pub fn impairable_links(&mut self) {
        self.is_impairable = true;
    }

    /// Returns a builder for optional properties of a node: routes, sysctls, and interfaces besides
    /// the ends of links.
    pub fn node(&mut self, node: NodeId) -> NodeSpec<'_> {
        let index = self.ids.node(node);
        self.unknown_nodes += usize::from(index.is_none());
        let node = index.map(|index| &mut self.nodes[index]);
        NodeSpec::new(node, &self.ids, &mut self.declared)
    }

    /// Sets the pools from which subnets are taken. The defaults are `10.0.0.0/8` and
    /// `fd6e:6574:6e73::/48`.
    ///
    /// Each segment without an explicit subnet gets a /24 and a /64. A segment with more than 254
    /// interfaces gets a larger IPv4 subnet.
    pub fn pools(&mut self, ipv4: impl Into<SubnetArg>, ipv6: impl Into<SubnetArg>) {
        self.pools = [ipv4.into(), ipv6.into()];
    }

    /// Declares a destination to which packets vanish: every router discards packets to it, and
    /// sends no ICMP error. So a connection attempt gets no answer, and ends by its own timeout:
    /// tests of connect timeouts and of Happy Eyeballs (RFC 8305) need such an address.
    ///
    /// `destination` is one address (`"192.0.2.1/32"`, `"2001:db8::1/128"`) or a subnet. It must
    /// not overlap a subnet of the lab. A router with a static [route](NodeSpec::route) to exactly
    /// this destination uses that. The topology needs a router: a host without one has no route,
    /// so its attempts fail at once. So do those of programs on a router, with EINVAL: the kernel
    /// returns this error to the sender on the node itself (ip-route(8), type `blackhole`).
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::PathOutcome;
    ///
    /// let mut net = Topology::new();
    /// let (client, router) = (net.host("client"), net.router("router"));
    /// net.link(client, router);
    /// net.black_hole("192.0.2.1/32");
    /// let path = net.plan()?.path_to(client, "192.0.2.1".parse().unwrap());
    /// assert_eq!(path.end, PathOutcome::BlackHole);
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn black_hole(&mut self, destination: impl Into<SubnetArg>) {
        self.black_holes.push(destination.into());
    }

    /// Returns the name of a link in messages.
    pub(crate) fn link_label(&self, index: usize) -> String {
        let link = &self.links[index];
        let ends = [0, 1].map(|end| match link.ends[end].node {
            Some(node) => self.nodes[node].name.as_str(),
            None => "an unknown node",
        });
        model::link_label(link.name.as_deref(), ends)
    }

    /// Returns the name of a link alone: `wan`, or without a name `home to server`.
    pub(crate) fn link_name(&self, index: usize) -> String {
        let link = &self.links[index];
        let name = |end: usize| link.ends[end].node.map_or("?", |node| &self.nodes[node].name);
        link.name.clone().unwrap_or_else(|| format!("{} to {}", name(0), name(1)))
    }

    /// Returns the builder of a link that was declared before. An id of another topology is
    /// counted.
    fn declared_link(&mut self, id: LinkId) -> Option<LinkSpec<'_>> {
        let index = self.ids.link(id);
        self.unknown_links += usize::from(index.is_none());
        Some(LinkSpec::new(&mut self.links[index?], id, &self.ids))
    }

    fn add(&mut self, name: String, kind: NodeKind) -> NodeId {
        self.nodes.push(Node::new(name, kind));
        self.ids.add_node()
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self::new()
    }
}
