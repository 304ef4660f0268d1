//! What name servers know and say by the addresses and NATs of the nodes. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::lab::plan::NodePlan;
use crate::lab::plan::dns::servers::{Derived, DnsPlan, EVERYWHERE};
use crate::lab::plan::hosts_file::texts;
use crate::lab::plan::nat::exposure::Exposures;
use crate::lab::plan::nat::view::View;
use crate::lab::plan::routes::fib::Fib;
use crate::lab::topology::NodeKind;

impl DnsPlan {
    /// Computes what follows from the nodes.
    pub(crate) fn derive(&mut self, view: &View<'_>, exposures: &Exposures, fibs: &[Fib]) {
        if self.servers.is_empty() {
            return;
        }
        let (viewers, of) = view.viewers();
        let all = 0..view.nodes.len();
        let seen = |viewer| {
            let nodes = all.clone();
            nodes.map(|node| view.destinations(viewer, node, exposures)).collect::<Vec<_>>()
        };
        let groups: Vec<Vec<Vec<IpAddr>>> = viewers.iter().map(seen).collect();
        let names = view.nodes.iter().map(|node| node.name.to_ascii_lowercase()).collect();
        let places = self.servers.iter().map(|server| server.node);
        let askers = places.map(|node| node.map(|node| askers(view, node)).unwrap_or_default());
        let askers = askers.collect();
        let mut derived = Derived { groups, of, names, askers, ..Derived::default() };
        let resolvers = all.map(|node| self.resolvers(&derived, (view.nodes, fibs), node));
        derived.resolvers = resolvers.collect();
        let both = view.nodes.iter().zip(&derived.resolvers);
        let hosts = both.map(|(node, used)| {
            (!used.is_empty()).then(|| texts::own(&node.name, &node.addresses))
        });
        derived.hosts = hosts.collect();
        self.derived = derived;
    }

    /// Returns the addresses of the servers that a node uses.
    fn resolvers(
        &self,
        derived: &Derived,
        (nodes, fibs): (&[NodePlan], &[Fib]),
        node: usize,
    ) -> Vec<IpAddr> {
        // The caller's own files are not those of the lab.
        if [NodeKind::Switch, NodeKind::Local].contains(&nodes[node].kind) {
            return Vec::new();
        }
        let has_ipv4 = nodes[node].addresses.iter().any(IpAddr::is_ipv4);
        let address = |at: &usize| match self.servers[*at].node {
            None if self.on(node) == Some(*at) => Some(IpAddr::V4(EVERYWHERE)),
            // The node has a server of its own, which it asks instead.
            None => derived.addresses(node, node).first().copied(),
            Some(server) => {
                let all = derived.addresses(node, server).iter().copied();
                // IPv4 comes first.
                let mut all = all.filter(|one| has_ipv4 || one.is_ipv6());
                let first = all.clone().next();
                all.find(|one| fibs[node].look_up(*one).is_some()).or(first)
            }
        };
        self.used[node].iter().filter_map(address).collect()
    }
}

/// Returns the nodes by the addresses from which their packets come to a server. Behind a NAT that
/// is the router, unless an address is translated to one node only.
fn askers(view: &View<'_>, server: usize) -> BTreeMap<IpAddr, usize> {
    let viewer = view.viewer(server);
    let mut found = BTreeMap::new();
    for (node, of_plan) in view.nodes.iter().enumerate() {
        let is_extra = |address: &IpAddr| of_plan.nats.iter().any(|nat| nat.is_extra(*address));
        for address in view.direct(&viewer, node).into_iter().filter(|one| !is_extra(one)) {
            found.entry(address).or_insert(node);
        }
    }
    for node in 0..view.nodes.len() {
        for address in view.sources(&viewer, node) {
            found.entry(address).or_insert(node);
        }
    }
    // The server itself, whatever address it asks by.
    for address in &view.nodes[server].addresses {
        found.insert(*address, server);
    }
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)] {
        found.insert(address, server);
    }
    found
}
