//! The description of a network: a value that knows nothing of the kernel.

pub(crate) mod input;
pub(crate) mod names;
pub(crate) mod pools;
pub(crate) mod spec;

use std::sync::atomic::{AtomicU32, Ordering};

use crate::lab::topology::input::{AddrArg, Gateway, Interface, MacArg, SubnetArg, Via, Which};

use crate::lab::topology::spec::{LinkSpec, NodeSpec};

/// Hosts, routers, switches and the links between them: a value, with no I/O and no privilege.
///
/// What is not given (addresses, routes, names of interfaces) is worked out by
/// [`plan`](Self::plan), which also checks all of it.
///
/// Its `Display` lists the nodes and links as declared; that of the plan has the addresses.
/// Two topologies that were declared alike are equal, whichever ids their nodes and links have.
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
#[derive(Clone, Debug)]
pub struct Topology {
    pub(crate) origin: Origin,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    /// How often an id of another topology was handed to `node`.
    pub(crate) strangers: usize,
    pub(crate) pools: [SubnetArg; 2],
    /// How many links and other interfaces were declared.
    declared: usize,
}

/// A node of one topology and of its clones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    origin: u32,
    index: u32,
}

/// A link of one topology and of its clones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    origin: u32,
    index: u32,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// Has addresses and does not forward.
    Host,
    /// The namespace of the caller, as a host.
    Local,
    /// Forwards IPv4 and IPv6.
    Router,
    /// A bridge: joins its links to one segment, has no addresses.
    Switch,
}

/// How a macvlan interface and its siblings on the same lower interface reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// Through the switch outside, which must send frames back.
    Vepa,
    /// Directly.
    Bridge,
    /// There is only one; it takes the lower interface over.
    Passthru,
}

/// Which topology an id is of. Equal to every other, so that plans compare by content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(u32);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) stp: bool,
    pub(crate) routes: Vec<GivenRoute>,
    pub(crate) sysctls: Vec<(String, String)>,
    pub(crate) extras: Vec<Extra>,
    pub(crate) addresses: Vec<(Interface, AddrArg)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GivenRoute {
    /// None for the default route, of the families that `via` has.
    pub(crate) destination: Option<SubnetArg>,
    pub(crate) via: Via,
}

/// An interface that is not the end of a link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Extra {
    pub(crate) declared: usize,
    pub(crate) kind: ExtraKind,
    pub(crate) given: Vec<AddrArg>,
}

/// The nodes and links in it are none where they are of another topology.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExtraKind {
    Dummy { name: String },
    Vlan { link: Option<usize>, vid: u16 },
    Macvlan { link: Option<usize>, name: String, mode: MacvlanMode },
    Vxlan { vni: u32, peers: Vec<Option<usize>> },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) declared: usize,
    pub(crate) name: Option<String>,
    pub(crate) ends: [End; 2],
    pub(crate) mtu: Option<u32>,
    pub(crate) subnets: Vec<SubnetArg>,
    /// Which family alone its segment has, if somebody said so.
    pub(crate) only: [bool; 2],
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct End {
    /// None if it is of another topology.
    pub(crate) node: Option<usize>,
    pub(crate) interface: Option<String>,
    pub(crate) given: Vec<AddrArg>,
    pub(crate) mac: Option<MacArg>,
}

impl Topology {
    /// A network without nodes.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            origin: Origin(NEXT.fetch_add(1, Ordering::Relaxed)),
            nodes: Vec::new(),
            links: Vec::new(),
            strangers: 0,
            pools: pools::DEFAULTS.map(SubnetArg::from),
            declared: 0,
        }
    }

    /// Adds a host. The name is its hostname, by which all others know it.
    pub fn host(&mut self, name: impl Into<String>) -> NodeId {
        self.add(name.into(), NodeKind::Host)
    }

    /// Adds a router: it forwards IPv4 and IPv6, and has a route to every subnet that there is a
    /// way to.
    pub fn router(&mut self, name: impl Into<String>) -> NodeId {
        self.add(name.into(), NodeKind::Router)
    }

    /// Adds a switch: a bridge, which makes one segment of its links.
    pub fn switch(&mut self, name: impl Into<String>) -> NodeId {
        self.add(name.into(), NodeKind::Switch)
    }

    /// Makes the caller's own namespace a host of the network, with the name `local`;
    /// [`NodeSpec::name`] gives it another. There is one at most.
    ///
    /// Its network is the machine's where the program runs there, and the lab leaves that as it was. Routes of
    /// the lab come before those to the same destination that are there, which stay: in IPv4 as the first
    /// of them, in IPv6 with a lower metric. They are used again when the lab has ended, also where its
    /// process was killed, and while a link of the lab that its own route leads through is down. What
    /// [`remove_route`](super::Host::remove_route), [`remove_addr`](super::Host::remove_addr),
    /// [`set_addr`](super::Host::set_addr) and [`sysctl`](super::Host::sysctl) take from it comes back when
    /// the lab is dropped, byte for byte; that fails with a panic if it is not so. What only the kernel
    /// can make (from router advertisements) they refuse to take.
    pub fn local(&mut self) -> NodeId {
        self.add("local".to_owned(), NodeKind::Local)
    }

    /// Adds a link between two nodes: a veth pair. Two nodes may have several.
    ///
    /// What it returns sets more of the link, and need not be used.
    pub fn link(&mut self, a: NodeId, b: NodeId) -> LinkSpec<'_> {
        let end = |node| End { node: self.node_index(node), ..End::default() };
        let ends = [end(a), end(b)];
        let declared = self.declare();
        let (name, mtu, subnets) = (None, None, Vec::new());
        self.links.push(Link { declared, name, ends, mtu, subnets, only: [false; 2] });
        let index = self.links.len() - 1;
        LinkSpec::new(self, index)
    }

    /// Sets more of a node: routes, sysctls, interfaces that are not the end of a link.
    pub fn node(&mut self, node: NodeId) -> NodeSpec<'_> {
        let index = self.node_index(node);
        self.strangers += usize::from(index.is_none());
        NodeSpec::new(self, index)
    }

    /// Sets where the subnets come from that are not given by hand: one pool of IPv4, in place
    /// of `10.0.0.0/8`, and one of IPv6, in place of `fd6e:6574:6e73::/48`. A segment takes a /24 and
    /// a /64 of them.
    pub fn pools(&mut self, ipv4: impl Into<SubnetArg>, ipv6: impl Into<SubnetArg>) {
        self.pools = [ipv4.into(), ipv6.into()];
    }

    pub(crate) fn node_index(&self, id: NodeId) -> Option<usize> {
        self.origin.index(id, self.nodes.len())
    }

    pub(crate) fn link_index(&self, id: LinkId) -> Option<usize> {
        self.origin.link_index(id, self.links.len())
    }

    pub(crate) fn link_id(&self, index: usize) -> LinkId {
        LinkId { origin: self.origin.0, index: index as u32 }
    }

    /// The next place in the order of declaration.
    pub(crate) fn declare(&mut self) -> usize {
        self.declared += 1;
        self.declared - 1
    }

    /// The link as messages name it.
    pub(crate) fn link_label(&self, index: usize) -> String {
        let link = &self.links[index];
        let [a, b] = [0, 1].map(|end| match link.ends[end].node {
            Some(node) => self.nodes[node].name.as_str(),
            None => "an unknown node",
        });
        match &link.name {
            Some(name) => format!("link `{name}` ({a} to {b})"),
            None => format!("link {a} to {b}"),
        }
    }

    /// The nodes, with ids that two topologies which were declared alike have in common.
    fn plain_nodes(&self) -> impl Iterator<Item = Node> {
        self.nodes.iter().cloned().map(|mut node| {
            let own = |origin: &mut u32| {
                if *origin == self.origin.0 {
                    *origin = Origin::PLAIN;
                }
            };
            for route in &mut node.routes {
                match &mut route.via.0 {
                    Gateway::Node(id) => own(&mut id.origin),
                    Gateway::Link(id) => own(&mut id.origin),
                    Gateway::Address(_) | Gateway::Text(_) => {}
                }
            }
            for (interface, _) in &mut node.addresses {
                match &mut interface.0 {
                    Which::Link(id) => own(&mut id.origin),
                    Which::Name(_) => {}
                }
            }
            node
        })
    }

    fn add(&mut self, name: String, kind: NodeKind) -> NodeId {
        self.nodes.push(Node {
            name,
            kind,
            stp: false,
            routes: Vec::new(),
            sysctls: Vec::new(),
            extras: Vec::new(),
            addresses: Vec::new(),
        });
        self.origin.id(self.nodes.len() - 1)
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self::new()
    }
}

impl Origin {
    /// That of no topology.
    const PLAIN: u32 = u32::MAX;

    pub(crate) fn id(self, index: usize) -> NodeId {
        NodeId { origin: self.0, index: index as u32 }
    }

    /// The place of the node among `count`, if it is of this topology.
    pub(crate) fn index(self, id: NodeId, count: usize) -> Option<usize> {
        let index = id.index as usize;
        (id.origin == self.0 && index < count).then_some(index)
    }

    /// The place of the link among `count`, if it is of this topology.
    pub(crate) fn link_index(self, id: LinkId, count: usize) -> Option<usize> {
        let index = id.index as usize;
        (id.origin == self.0 && index < count).then_some(index)
    }
}

impl PartialEq for Topology {
    fn eq(&self, other: &Self) -> bool {
        // A new field is a part of it.
        let Self { origin: _, nodes: _, links, strangers, pools, declared } = self;
        (links, strangers, pools, declared)
            == (&other.links, &other.strangers, &other.pools, &other.declared)
            && self.nodes.len() == other.nodes.len()
            && self.plain_nodes().eq(other.plain_nodes())
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Node {
    /// Whether it has addresses of its own.
    pub(crate) fn has_addresses(&self) -> bool {
        self.kind != NodeKind::Switch
    }
}

impl Link {
    /// The nodes at its ends, if both are of the topology and are not the same.
    pub(crate) fn nodes(&self) -> Option<[usize; 2]> {
        match [self.ends[0].node, self.ends[1].node] {
            [Some(a), Some(b)] if a != b => Some([a, b]),
            _ => None,
        }
    }
}
