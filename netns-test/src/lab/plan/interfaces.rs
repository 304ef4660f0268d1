//! Interfaces of every node: their names, kinds, lower interfaces and Ethernet addresses. Pure.

use std::collections::{HashMap, HashSet};

use crate::addr::mac::Mac;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::{InterfaceKind, InterfacePlan, InterfaceRef};
use crate::lab::topology::input::{AddrArg, MacArg};
use crate::lab::topology::model::{AddressOn, ExtraInterface, ExtraKind, Node};
use crate::lab::topology::{NodeKind, Topology, names};

/// Name of a switch's bridge.
pub(crate) const BRIDGE: &str = "br0";

/// UDP port of VXLAN (RFC 7348).
const VXLAN_PORT: u16 = 4789;

/// Interface under construction: `segment` and `mtu` of its plan are 0 until later steps set them.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) plan: InterfacePlan,
    pub(crate) root: Root,
    /// Position in the order of declaration, and the end of the link (0 or 1).
    pub(crate) declared: (usize, usize),
    /// Static addresses as declared.
    pub(crate) addresses: Vec<&'a AddrArg>,
    /// Static Ethernet address as declared.
    pub(crate) mac: Option<&'a MacArg>,
}

/// Part of the topology that decides the segment of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    Link(usize),
    Vlan(usize, u16),
    Vxlan(u32),
    Stub,
}

/// Returns the interfaces of all nodes.
pub(crate) fn all<'a>(
    topology: &'a Topology,
    errors: &mut Vec<TopologyError>,
) -> Vec<Vec<Draft<'a>>> {
    let ends = ends(topology);
    let place = |link: usize, end: usize| {
        let node = topology.links[link].ends[end].node.unwrap_or(0);
        let at = ends[node].binary_search(&(link, end)).unwrap_or(0);
        InterfaceRef { node, interface: at + usize::from(!topology.nodes[node].has_addresses()) }
    };
    let of_node = |(index, node): (usize, &'a Node)| {
        let mut builder =
            Builder { topology, node, found: Vec::new(), taken: HashSet::new(), errors };
        builder.reserve(&ends[index]);
        if node.kind == NodeKind::Switch {
            builder.bridge(ends[index].first().map(|&(link, _)| link));
        }
        for (order, &(link, end)) in ends[index].iter().enumerate() {
            builder.end(order, link, end, place(link, 1 - end));
        }
        for extra in &node.extras {
            builder.extra(extra);
        }
        builder.more_addresses();
        builder.found
    };
    topology.nodes.iter().enumerate().map(of_node).collect()
}

/// Sets the Ethernet address of every interface: the static one, or a locally administered one.
pub(crate) fn macs(
    topology: &Topology,
    drafts: &mut [Vec<Draft<'_>>],
    errors: &mut Vec<TopologyError>,
) {
    let mut owners: HashMap<Mac, String> = HashMap::new();
    for (node, drafts) in topology.nodes.iter().zip(drafts.iter_mut()) {
        for draft in drafts {
            let Some(given) = draft.mac else { continue };
            let place = format!("`{}` of `{}`", draft.plan.name, node.name);
            match &given.0 {
                Ok(mac) => {
                    draft.plan.mac = Some(*mac);
                    if let Some(other) = owners.insert(*mac, place.clone()) {
                        let (mac, places) = (mac.to_string(), [other, place]);
                        errors.push(TopologyError::DuplicateMac { mac, places });
                    }
                }
                Err(error) => {
                    errors.push(TopologyError::Unreadable { place, why: error.to_string() });
                }
            }
        }
    }
    for (index, drafts) in drafts.iter_mut().enumerate() {
        let (mut ends, mut extras) = (0, 0xffff);
        for draft in drafts.iter_mut().filter(|draft| has_mac(&draft.plan.kind)) {
            // Ends of links and other interfaces have separate counters, so that one more link
            // changes no other Ethernet address.
            let number = match draft.plan.kind {
                InterfaceKind::Veth { .. } => {
                    ends += 1;
                    ends - 1
                }
                _ => {
                    extras -= 1;
                    extras + 1
                }
            };
            let free = |attempt| {
                Some(Mac::assigned(index, number, attempt)).filter(|mac| !owners.contains_key(mac))
            };
            draft.plan.mac = draft.plan.mac.or_else(|| (0..16).find_map(free));
        }
    }
}

fn has_mac(kind: &InterfaceKind) -> bool {
    !matches!(kind, InterfaceKind::Loopback | InterfaceKind::Vlan { .. })
}

/// Returns the ends of links at each node, as (link, end).
fn ends(topology: &Topology) -> Vec<Vec<(usize, usize)>> {
    let mut ends = vec![Vec::new(); topology.nodes.len()];
    for (link, nodes) in
        topology.links.iter().enumerate().filter_map(|(at, link)| Some((at, link.nodes()?)))
    {
        for (end, node) in nodes.into_iter().enumerate() {
            ends[node].push((link, end));
        }
    }
    ends
}

struct Builder<'a, 'b> {
    topology: &'a Topology,
    node: &'a Node,
    found: Vec<Draft<'a>>,
    taken: HashSet<String>,
    errors: &'b mut Vec<TopologyError>,
}

impl<'a> Builder<'a, '_> {
    /// Reserves the declared names, so that no computed name is equal to one.
    fn reserve(&mut self, ends: &[(usize, usize)]) {
        if self.node.kind == NodeKind::Switch {
            self.taken.insert(BRIDGE.to_owned());
        }
        for &(link, end) in ends {
            if let Some(name) = &self.topology.links[link].ends[end].interface {
                self.reserve_name(name);
            }
        }
        for extra in &self.node.extras {
            if let ExtraKind::Dummy { name } | ExtraKind::Macvlan { name, .. } = &extra.kind {
                self.reserve_name(name);
            }
        }
    }

    fn reserve_name(&mut self, name: &str) {
        let (node, name) = (self.node.name.clone(), name.to_owned());
        if let Some(why) = names::interface(&name) {
            self.errors.push(TopologyError::BadInterfaceName { node, name, why });
        } else if !self.taken.insert(name.clone()) {
            self.errors.push(TopologyError::DuplicateInterface { node, name });
        }
    }

    fn bridge(&mut self, first: Option<usize>) {
        let kind = InterfaceKind::Bridge { stp: self.node.stp };
        let root = first.map_or(Root::Stub, Root::Link);
        self.add(BRIDGE.to_owned(), kind, root, (0, 0), Vec::new());
    }

    fn end(&mut self, order: usize, link: usize, end: usize, peer: InterfaceRef) {
        let declared = &self.topology.links[link];
        let spec = &declared.ends[end];
        let is_port = self.node.kind == NodeKind::Switch;
        if is_port && !spec.addresses.is_empty() {
            self.on_switch("addresses");
        }
        let peer_name = &self.topology.nodes[peer.node].name;
        let name = match &spec.interface {
            Some(name) => name.clone(),
            None if is_port
                && names::interface(peer_name).is_none()
                && !self.taken.contains(peer_name) =>
            {
                peer_name.clone()
            }
            None => self.free(if is_port { "port" } else { "eth" }, order),
        };
        let kind = InterfaceKind::Veth { link, peer, bridge: is_port.then(|| BRIDGE.to_owned()) };
        let addresses = if is_port { Vec::new() } else { spec.addresses.iter().collect() };
        self.add(name, kind, Root::Link(link), (declared.declared, end), addresses);
        if let Some(draft) = self.found.last_mut() {
            draft.mac = spec.mac.as_ref();
        }
    }

    fn extra(&mut self, extra: &'a ExtraInterface) {
        let (mut root, node) = (Root::Stub, self.node.name.clone());
        let (what, name, kind) = match &extra.kind {
            ExtraKind::Dummy { name } => {
                ("dummy interface", name.clone(), Some(InterfaceKind::Dummy))
            }
            ExtraKind::Vlan { link, vid } => {
                if !(1..=4094).contains(vid) {
                    self.errors.push(TopologyError::VlanId { node, vid: *vid });
                }
                let lower = self.lower(*link, "VLAN");
                root = link.map_or(root, |link| Root::Vlan(link, *vid));
                let name =
                    lower.as_ref().map_or(String::new(), |lower| self.vlan_name(lower, *vid));
                ("VLAN", name, lower.map(|lower| InterfaceKind::Vlan { lower, vid: *vid }))
            }
            ExtraKind::Macvlan { link, name, mode } => {
                root = link.map_or(root, Root::Link);
                let lower = self.lower(*link, "macvlan");
                let kind = lower.map(|lower| InterfaceKind::Macvlan { lower, mode: *mode });
                ("macvlan interface", name.clone(), kind)
            }
            ExtraKind::Vxlan { vni, .. } => {
                if *vni >= 1 << 24 {
                    self.errors.push(TopologyError::Vni { node, vni: *vni });
                }
                root = Root::Vxlan(*vni);
                let name = format!("vxlan{vni}");
                self.reserve_computed(&name);
                // A later step sets the ends of the tunnel, which depend on addresses.
                let (local, remotes) = ([0; 4].into(), Vec::new());
                (
                    "VXLAN",
                    name,
                    Some(InterfaceKind::Vxlan { vni: *vni, local, remotes, port: VXLAN_PORT }),
                )
            }
        };
        if self.node.kind == NodeKind::Switch {
            self.on_switch(what);
        } else if let Some(kind) = kind {
            self.add(name, kind, root, (extra.declared, 0), extra.addresses.iter().collect());
        }
    }

    /// Returns the name of the node's end of `link`, which becomes a lower interface.
    fn lower(&mut self, link: Option<usize>, what: &str) -> Option<String> {
        let node = self.node.name.clone();
        let Some(link) = link else {
            let place = format!("{what} interface of `{node}`");
            self.errors.push(TopologyError::UnknownLink { place });
            return None;
        };
        let name = self.end_of(link).map(|at| self.found[at].plan.name.clone());
        if name.is_none() {
            let interface = format!("end of {}", self.topology.link_label(link));
            self.errors.push(TopologyError::NoSuchInterface { node, interface });
        }
        name
    }

    fn end_of(&self, link: usize) -> Option<usize> {
        self.found.iter().position(|draft| draft.plan.kind.is_end_of(link))
    }

    fn vlan_name(&mut self, lower: &str, vid: u16) -> String {
        let full = format!("{lower}.{vid}");
        let name = if names::interface(&full).is_none() { full } else { format!("vlan{vid}") };
        self.reserve_computed(&name);
        name
    }

    fn reserve_computed(&mut self, name: &str) {
        if !self.taken.insert(name.to_owned()) {
            let (node, name) = (self.node.name.clone(), name.to_owned());
            self.errors.push(TopologyError::DuplicateInterface { node, name });
        }
    }

    /// Returns the first free name with a number from `order` on.
    fn free(&self, stem: &str, order: usize) -> String {
        let mut names = (order..).map(|number| format!("{stem}{number}"));
        names.find(|name| !self.taken.contains(name)).unwrap_or_default()
    }

    fn more_addresses(&mut self) {
        for (on, address) in &self.node.addresses {
            if self.node.kind == NodeKind::Switch {
                self.on_switch("addresses");
                continue;
            }
            let node = self.node.name.clone();
            let (at, interface) = match on {
                AddressOn::Link(Some(link)) => {
                    (self.end_of(*link), format!("end of {}", self.topology.link_label(*link)))
                }
                AddressOn::Link(None) => {
                    let place = format!("`addr` of `{node}`");
                    self.errors.push(TopologyError::UnknownLink { place });
                    continue;
                }
                AddressOn::Name(name) => {
                    let found = self.found.iter().position(|draft| draft.plan.name == *name);
                    (
                        found.or_else(|| (name == "lo").then(|| self.loopback())),
                        format!("interface `{name}`"),
                    )
                }
            };
            match at {
                Some(at) => self.found[at].addresses.push(address),
                None => self.errors.push(TopologyError::NoSuchInterface { node, interface }),
            }
        }
    }

    fn loopback(&mut self) -> usize {
        // `lo` takes no subnet from the pools, so its position in the order does not matter.
        let last = (usize::MAX, 0);
        self.add("lo".to_owned(), InterfaceKind::Loopback, Root::Stub, last, Vec::new());
        self.found.len() - 1
    }

    fn add(
        &mut self,
        name: String,
        kind: InterfaceKind,
        root: Root,
        declared: (usize, usize),
        addresses: Vec<&'a AddrArg>,
    ) {
        self.taken.insert(name.clone());
        let plan =
            InterfacePlan { name, kind, mac: None, mtu: 0, addresses: Vec::new(), segment: 0 };
        self.found.push(Draft { plan, root, declared, addresses, mac: None });
    }

    fn on_switch(&mut self, what: &str) {
        let (switch, what) = (self.node.name.clone(), what.to_owned());
        self.errors.push(TopologyError::OnSwitch { switch, what });
    }
}
