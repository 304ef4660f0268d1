//! From a topology to a plan: the steps in their order, and what the plan says of nodes and links.

use crate::lab::plan::addresses;
use crate::lab::plan::addresses::order;
use crate::lab::plan::checks;
use crate::lab::plan::errors::TopologyErrors;
use crate::lab::plan::hosts_file;
use crate::lab::plan::interfaces;
use crate::lab::plan::interfaces::Draft;
use crate::lab::plan::routes::fib::Fib;
use crate::lab::plan::routes::shortest_paths;
use crate::lab::plan::routes::static_routes;
use crate::lab::plan::segments;
use crate::lab::plan::vxlan;
use crate::lab::plan::{InterfaceKind, InterfaceRef, LinkPlan, NodePlan, Plan};
use crate::lab::topology::model::{Link, Node};
use crate::lab::topology::{NodeKind, Topology};

/// What a router needs to forward.
const FORWARDING: [(&str, &str); 2] =
    [("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];

/// What the kernel would take over from the machine, and would drop packets that came by another
/// way than the answer goes.
const NO_FILTER: [(&str, &str); 2] =
    [("net.ipv4.conf.all.rp_filter", "0"), ("net.ipv4.conf.default.rp_filter", "0")];

impl Topology {
    /// Works everything out that was not given, and checks all of it.
    ///
    /// Subnets come from the pools (see [`pools`](Self::pools)): the first segment declared gets
    /// `10.0.0.0/24` and `fd6e:6574:6e73::/64`, the next `10.0.1.0/24` and `fd6e:6574:6e73:1::/64`; a
    /// segment of more than 254 interfaces gets a larger one from the upper end. In a segment the
    /// interfaces get the addresses from 1 on. All of it follows the order of declaration: it is
    /// the same in every run, and nothing that is there changes when nodes and links are appended,
    /// as long as these join no segments that were apart, and bring no subnet or address by hand that
    /// was handed out before: who had that gets another one.
    ///
    /// # Errors
    ///
    /// All mistakes in the topology.
    #[track_caller]
    pub fn plan(&self) -> Result<Plan, TopologyErrors> {
        let mut mistakes = Vec::new();
        checks::ids(self, &mut mistakes);
        checks::names(self, &mut mistakes);
        let mut drafts = interfaces::all(self, &mut mistakes);
        interfaces::macs(self, &mut drafts, &mut mistakes);
        let (mut segments, of_links) = segments::find(self, &mut drafts, &mut mistakes);
        let owners =
            addresses::assign(self, &mut drafts, (&mut segments, &of_links), &mut mistakes);
        segments::mtus(self, &mut drafts, (&mut segments, &of_links), &mut mistakes);
        let links = links(self, &drafts, &of_links);
        let mut nodes: Vec<NodePlan> =
            self.nodes.iter().zip(drafts).map(|(node, drafts)| planned(node, drafts)).collect();
        order::order(&mut nodes, &segments);
        static_routes::routes(self, &mut nodes, &segments, &mut mistakes);
        shortest_paths::work_out(&mut nodes, &segments);
        let hosts_file = hosts_file::text(&nodes);
        let fibs = nodes.iter().map(fib).collect();
        let origin = self.origin;
        let mut plan = Plan { origin, nodes, links, segments, owners, fibs, hosts_file };
        vxlan::connect(self, &mut plan, &mut mistakes);
        if mistakes.is_empty() { Ok(plan) } else { Err(TopologyErrors::new(mistakes)) }
    }
}

/// The links with both ends known; that is all, if there is no mistake.
fn links(
    topology: &Topology,
    drafts: &[Vec<Draft<'_>>],
    of_links: &[Option<usize>],
) -> Vec<LinkPlan> {
    let mut ends: Vec<Vec<InterfaceRef>> = vec![Vec::new(); topology.links.len()];
    for (node, drafts) in drafts.iter().enumerate() {
        for (interface, draft) in drafts.iter().enumerate() {
            if let InterfaceKind::Veth { link, .. } = draft.plan.kind {
                let place = InterfaceRef { node, interface };
                // Nodes come in their order; the ends of a link need not.
                let at = if draft.declared.1 == 0 { 0 } else { ends[link].len() };
                ends[link].insert(at, place);
            }
        }
    }
    let planned = |(index, link): (usize, &Link)| match ends[index][..] {
        [a, b] => {
            Some(LinkPlan { name: link.name.clone(), ends: [a, b], segment: of_links[index]? })
        }
        _ => None,
    };
    topology.links.iter().enumerate().filter_map(planned).collect()
}

fn planned(node: &Node, drafts: Vec<Draft<'_>>) -> NodePlan {
    let forwarding = FORWARDING.iter().filter(|_| node.kind == NodeKind::Router);
    let own = forwarding.chain(NO_FILTER.iter().filter(|_| node.has_addresses()));
    let own = own.map(|&(name, value)| (name.to_owned(), value.to_owned()));
    NodePlan {
        name: node.name.clone(),
        kind: node.kind,
        hostname: (node.kind != NodeKind::Local).then(|| node.name.clone()),
        interfaces: drafts.into_iter().map(|draft| draft.plan).collect(),
        routes: Vec::new(),
        sysctls: own.chain(node.sysctls.iter().cloned()).collect(),
        addresses: Vec::new(),
    }
}

/// Returns the forwarding table of a node: the subnets of its interfaces, then its routes.
fn fib(node: &NodePlan) -> Fib {
    let interfaces = node.interfaces.iter().enumerate();
    let connected = interfaces.flat_map(|(index, interface)| {
        interface.addresses.iter().map(move |address| (address.subnet(), index, None))
    });
    let routes = node.routes.iter().filter_map(|route| {
        let dev = node.interfaces.iter().position(|interface| interface.name == route.dev)?;
        Some((route.destination, dev, route.via))
    });
    Fib::new(connected.chain(routes))
}
