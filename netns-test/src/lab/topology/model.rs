//! Declared nodes and links as the topology stores them. Pure.
//!
//! References are indexes into the topology's lists, and `None` for the id of another topology;
//! planning reports those. Texts that cannot be parsed are stored as their errors.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::lab::topology::id::Ids;
use crate::lab::topology::impairment::model::LinkImpairments;
use crate::lab::topology::input::{AddrArg, Gateway, InterfaceSelector, MacArg, SubnetArg};

/// Kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeKind {
    /// Node with addresses that does not forward packets.
    Host,
    /// The caller's own network namespace, as a host.
    Local,
    /// Node with addresses that forwards IPv4 and IPv6 packets.
    Router,
    /// A bridge: joins its links into one broadcast domain and has no addresses.
    Switch,
}

impl NodeKind {
    /// Returns the name of the kind in texts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Local => "local",
            Self::Router => "router",
            Self::Switch => "switch",
        }
    }
}

/// Mode of a macvlan interface: how it exchanges frames with other macvlan interfaces on the same
/// lower interface (`ip-link(8)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacvlanMode {
    /// No exchange: these interfaces do not reach each other.
    Private,
    /// Exchange through the attached switch, which must send frames back on the port on which they
    /// arrived.
    Vepa,
    /// Direct exchange.
    Bridge,
    /// The only macvlan interface: it takes over the lower interface and its Ethernet address.
    Passthru,
}

/// A declared node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) stp: bool,
    pub(crate) routes: Vec<StaticRoute>,
    pub(crate) sysctls: Vec<(String, String)>,
    pub(crate) extras: Vec<ExtraInterface>,
    pub(crate) addresses: Vec<(AddressOn, AddrArg)>,
    /// Lines of `/etc/hosts` besides those of nodes.
    pub(crate) hosts_entries: Vec<(IpAddr, String)>,
    pub(crate) private_dirs: Vec<PathBuf>,
}

/// A route that the caller has declared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StaticRoute {
    /// Destination subnet; `None` for the default routes of all families that `via` supports.
    pub(crate) destination: Option<SubnetArg>,
    pub(crate) via: RouteVia,
}

/// Next hop of a static route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RouteVia {
    Address(IpAddr),
    Node(Option<usize>),
    Link(Option<usize>),
    /// A text that is not an address.
    Text(String),
}

/// Interface that gets one more address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AddressOn {
    Link(Option<usize>),
    Name(String),
}

/// An interface that is not the end of a link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExtraInterface {
    /// Position in the order of declaration of links and extra interfaces.
    pub(crate) declared: usize,
    pub(crate) kind: ExtraKind,
    pub(crate) addresses: Vec<AddrArg>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExtraKind {
    Dummy { name: String },
    Vlan { link: Option<usize>, vid: u16 },
    Macvlan { link: Option<usize>, name: String, mode: MacvlanMode },
    Vxlan { vni: u32, peers: Vec<Option<usize>> },
}

/// A declared link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    /// Position in the order of declaration of links and extra interfaces.
    pub(crate) declared: usize,
    pub(crate) name: Option<String>,
    pub(crate) ends: [LinkEnd; 2],
    pub(crate) mtu: Option<u32>,
    pub(crate) subnets: Vec<SubnetArg>,
    /// Restrictions of the segment: IPv4 only, IPv6 only.
    pub(crate) only: [bool; 2],
    pub(crate) impairments: LinkImpairments,
}

/// A declared end of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LinkEnd {
    pub(crate) node: Option<usize>,
    pub(crate) interface: Option<String>,
    pub(crate) addresses: Vec<AddrArg>,
    pub(crate) mac: Option<MacArg>,
}

impl Node {
    pub(crate) fn new(name: String, kind: NodeKind) -> Self {
        Self {
            name,
            kind,
            stp: false,
            routes: Vec::new(),
            sysctls: Vec::new(),
            extras: Vec::new(),
            addresses: Vec::new(),
            hosts_entries: Vec::new(),
            private_dirs: Vec::new(),
        }
    }

    /// Returns whether interfaces of the node have addresses; ports of a switch do not.
    pub(crate) fn has_addresses(&self) -> bool {
        self.kind != NodeKind::Switch
    }
}

impl Link {
    /// Returns the nodes at the ends, or `None` if one is unknown or both are the same node.
    pub(crate) fn nodes(&self) -> Option<[usize; 2]> {
        match [self.ends[0].node, self.ends[1].node] {
            [Some(a), Some(b)] if a != b => Some([a, b]),
            _ => None,
        }
    }
}

impl RouteVia {
    pub(crate) fn resolve(gateway: Gateway, ids: &Ids) -> Self {
        match gateway {
            Gateway::Address(address) => Self::Address(address),
            Gateway::Node(id) => Self::Node(ids.node(id)),
            Gateway::Link(id) => Self::Link(ids.link(id)),
            Gateway::Text(text) => Self::Text(text),
        }
    }
}

impl AddressOn {
    pub(crate) fn resolve(selector: InterfaceSelector, ids: &Ids) -> Self {
        match selector {
            InterfaceSelector::Link(id) => Self::Link(ids.link(id)),
            InterfaceSelector::Name(name) => Self::Name(name),
        }
    }
}

/// Returns the name of a link in messages: ``link `wan` (home to server)``, or without a name
/// `link home to server`.
pub(crate) fn link_label(name: Option<&str>, [a, b]: [&str; 2]) -> String {
    match name {
        Some(name) => format!("link `{name}` ({a} to {b})"),
        None => format!("link {a} to {b}"),
    }
}
