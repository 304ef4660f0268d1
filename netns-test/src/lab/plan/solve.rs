//! Computation of the plan: the steps in their order, and the plans of nodes and links. Pure.

use crate::lab::plan::addresses;
use crate::lab::plan::addresses::order;
use crate::lab::plan::checks;
#[cfg(feature = "dns")]
use crate::lab::plan::dns;
use crate::lab::plan::errors::{TopologyError, TopologyErrors};
use crate::lab::plan::hosts_file;
use crate::lab::plan::hosts_file::texts::HostsFiles;
use crate::lab::plan::impairment::check;
use crate::lab::plan::interfaces;
use crate::lab::plan::interfaces::Draft;
use crate::lab::plan::nat::borders;
use crate::lab::plan::nat::exposure::Exposures;
use crate::lab::plan::nat::realms::Realms;
use crate::lab::plan::nat::view::View;
use crate::lab::plan::nat::{declared, set};
use crate::lab::plan::owners::Owners;
use crate::lab::plan::routes::black_holes;
use crate::lab::plan::routes::fib::Fib;
use crate::lab::plan::routes::shortest_paths;
use crate::lab::plan::routes::static_routes;
use crate::lab::plan::segments;
use crate::lab::plan::vxlan;
use crate::lab::plan::{InterfaceKind, InterfaceRef, LinkPlan, NodePlan, Plan, SegmentPlan};
use crate::lab::topology::model::{Link, Node};
use crate::lab::topology::{NodeKind, Topology};

/// Sysctls of a router.
const FORWARDING: [(&str, &str); 2] =
    [("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];

/// Sysctls that disable reverse-path filtering. A new network namespace can inherit the machine's
/// setting, and a filter drops packets that arrive on another interface than the answer uses.
const NO_RP_FILTER: [(&str, &str); 2] =
    [("net.ipv4.conf.all.rp_filter", "0"), ("net.ipv4.conf.default.rp_filter", "0")];

impl Topology {
    /// Checks the topology, and computes all addresses, routes and names that it does not declare.
    ///
    /// Subnets come from the [`pools`](Self::pools): the first declared segment gets `10.0.0.0/24`
    /// and `fd6e:6574:6e73::/64`, the next one `10.0.1.0/24` and `fd6e:6574:6e73:1::/64`. A segment
    /// of more than 254 interfaces gets a larger IPv4 subnet from the upper end of the pool. The
    /// interfaces of a segment get the addresses from 1 on.
    ///
    /// Everything follows the order of declaration, so it is equal in every run. Appending nodes
    /// and links changes nothing that was there before, with two exceptions: they join segments
    /// that were separate, or they declare a subnet or address that the plan had assigned. The
    /// segment or interface that had it then gets another one.
    ///
    /// # Errors
    ///
    /// All errors of the topology at once; see [`TopologyError`].
    #[track_caller]
    pub fn plan(&self) -> Result<Plan, TopologyErrors> {
        let mut errors = Vec::new();
        checks::ids(self, &mut errors);
        checks::names(self, &mut errors);
        let mut drafts = interfaces::all(self, &mut errors);
        interfaces::macs(self, &mut drafts, &mut errors);
        let (mut segments, of_links) = segments::find(self, &mut drafts, &mut errors);
        let nats = declared::find(self, &drafts, &mut errors);
        addresses::assign(self, (&mut drafts, &nats), (&mut segments, &of_links), &mut errors);
        segments::mtus(self, &mut drafts, (&mut segments, &of_links), &mut errors);
        let links = links(self, &drafts, (&segments, &of_links), &mut errors);
        let mut nodes: Vec<NodePlan> =
            self.nodes.iter().zip(drafts).map(|(node, drafts)| planned(node, drafts)).collect();
        set::nats(self, &nats, (&mut nodes, &segments), &mut errors);
        order::order(&mut nodes, &segments);
        static_routes::routes(self, &mut nodes, &segments, &mut errors);
        shortest_paths::compute(&mut nodes, &segments);
        black_holes::set(self, (&mut nodes, &segments), &mut errors);
        set::firewalls(self, (&mut nodes, &segments), &mut errors);
        let (ids, realms) = (self.ids.clone(), [0, 1].map(|_| Realms::one(segments.len())));
        let (owners, fibs, exposures) = (Owners::default(), Vec::new(), Exposures::default());
        let hosts = HostsFiles::default();
        let mut plan = Plan {
            ids,
            #[cfg(feature = "dns")]
            dns: dns::check::servers(self, &nodes, &mut errors),
            nodes,
            links,
            segments,
            owners,
            fibs,
            hosts,
            realms,
            exposures,
        };
        plan.derive();
        vxlan::connect(self, &mut plan, &mut errors);
        if errors.is_empty() { Ok(plan) } else { Err(TopologyErrors::new(errors)) }
    }
}

impl Plan {
    /// Computes what follows from the nodes: interfaces by address, forwarding tables, realms,
    /// names.
    pub(crate) fn derive(&mut self) {
        let Self {
            ids: _,
            nodes,
            links: _,
            segments,
            owners,
            fibs,
            hosts,
            realms,
            exposures,
            #[cfg(feature = "dns")]
            dns,
        } = self;
        *owners = owned(nodes);
        *fibs = nodes.iter().map(fib).collect();
        *realms = [true, false].map(|is_ipv4| borders::realms(nodes, segments, is_ipv4));
        let view = View { nodes, realms };
        *exposures = view.exposures();
        *hosts = hosts_file::all(&view, exposures);
        #[cfg(feature = "dns")]
        dns.derive(&view, exposures, fibs);
    }
}

/// Finds the owners of all addresses.
fn owned(nodes: &[NodePlan]) -> Owners {
    let mut owners = Owners::default();
    for (node, of_plan) in nodes.iter().enumerate() {
        for (interface, one) in of_plan.interfaces.iter().enumerate() {
            let place = InterfaceRef { node, interface };
            one.addresses.iter().for_each(|address| owners.add(address.address(), place));
        }
    }
    owners
}

/// Returns the plans of the links. Links with an unknown end are left out; they are errors.
fn links(
    topology: &Topology,
    drafts: &[Vec<Draft<'_>>],
    (segments, of_links): (&[SegmentPlan], &[Option<usize>]),
    errors: &mut Vec<TopologyError>,
) -> Vec<LinkPlan> {
    let mut ends: Vec<Vec<InterfaceRef>> = vec![Vec::new(); topology.links.len()];
    for (node, drafts) in drafts.iter().enumerate() {
        for (interface, draft) in drafts.iter().enumerate() {
            if let InterfaceKind::Veth { link, .. } = draft.plan.kind {
                let place = InterfaceRef { node, interface };
                // The loop is in the order of nodes, which can be the reverse of the link's ends.
                let at = if draft.declared.1 == 0 { 0 } else { ends[link].len() };
                ends[link].insert(at, place);
            }
        }
    }
    let mut planned = |(index, link): (usize, &Link)| match ends[index][..] {
        [a, b] => {
            let segment = of_links[index]?;
            let impairments = check::link(topology, index, segments[segment].mtu, errors);
            let offloads = !link.impairments.has_no_offloads;
            let (name, ends) = (link.name.clone(), [a, b]);
            let is_captured = link.impairments.is_captured;
            Some(LinkPlan { name, ends, segment, impairments, is_captured, offloads })
        }
        _ => None,
    };
    topology.links.iter().enumerate().filter_map(&mut planned).collect()
}

fn planned(node: &Node, drafts: Vec<Draft<'_>>) -> NodePlan {
    let forwarding = FORWARDING.iter().filter(|_| node.kind == NodeKind::Router);
    let own = forwarding.chain(NO_RP_FILTER.iter().filter(|_| node.has_addresses()));
    let own = own.map(|&(name, value)| (name.to_owned(), value.to_owned()));
    NodePlan {
        name: node.name.clone(),
        kind: node.kind,
        hostname: (node.kind != NodeKind::Local).then(|| node.name.clone()),
        interfaces: drafts.into_iter().map(|draft| draft.plan).collect(),
        routes: Vec::new(),
        black_holes: Vec::new(),
        sysctls: own.chain(node.sysctls.iter().cloned()).collect(),
        hosts_entries: node.hosts_entries.clone(),
        private_dirs: node.private_dirs.clone(),
        addresses: Vec::new(),
        nats: Vec::new(),
        firewall: None,
    }
}

/// Returns the forwarding table of a node: the subnets of its interfaces, then its routes and
/// black holes.
pub(crate) fn fib(node: &NodePlan) -> Fib {
    let interfaces = node.interfaces.iter().enumerate();
    let connected = interfaces.flat_map(|(index, interface)| {
        interface.addresses.iter().map(move |address| (address.subnet(), index, None))
    });
    let routes = node.routes.iter().filter_map(|route| {
        let dev = node.interfaces.iter().position(|interface| interface.name == route.dev)?;
        Some((route.destination, dev, route.via))
    });
    Fib::new(connected.chain(routes), &node.black_holes)
}
