//! Segments (broadcast domains) and their MTUs. Pure.
//!
//! Links that switches join form one segment, and so do the interfaces of one VLAN on it, and the
//! tunnels with one VXLAN identifier.

use std::collections::HashMap;

use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::interfaces::{Draft, Root};
use crate::lab::plan::union_find::UnionFind;
use crate::lab::plan::{InterfaceKind, InterfaceRef, SegmentKind, SegmentPlan};
use crate::lab::topology::Topology;

/// Default MTU of Ethernet interfaces in bytes.
pub(crate) const DEFAULT_MTU: u32 = 1500;

/// Highest MTU that the kernel accepts for a veth interface, in bytes.
const LARGEST_MTU: u32 = 65535;

/// Returns the segments in the order of declaration, and the segment of each link whose ends are
/// both known. Sets the segment of every interface.
pub(crate) fn find(
    topology: &Topology,
    drafts: &mut [Vec<Draft<'_>>],
    errors: &mut Vec<TopologyError>,
) -> (Vec<SegmentPlan>, Vec<Option<usize>>) {
    let joined = join(topology, errors);
    let mut order: Vec<((usize, usize), InterfaceRef)> = Vec::new();
    for (node, drafts) in drafts.iter().enumerate() {
        for (interface, draft) in drafts.iter().enumerate() {
            order.push((draft.declared, InterfaceRef { node, interface }));
        }
    }
    order.sort_by_key(|&(declared, _)| declared);
    let mut segments = Vec::new();
    let mut known = HashMap::new();
    let mut of_links = vec![None; topology.links.len()];
    for (_, place) in order {
        let draft = &mut drafts[place.node][place.interface];
        if matches!(draft.plan.kind, InterfaceKind::Bridge { .. }) {
            continue;
        }
        let root = joined.root(draft.root);
        let new = |segments: &mut Vec<SegmentPlan>| {
            segments.push(empty(kind(root, place)));
            segments.len() - 1
        };
        let at = match root {
            Root::Stub => new(&mut segments),
            root => *known.entry(root).or_insert_with(|| new(&mut segments)),
        };
        draft.plan.segment = at;
        if let InterfaceKind::Veth { link, .. } = draft.plan.kind {
            of_links[link] = Some(at);
        }
        if topology.nodes[place.node].has_addresses() {
            segments[at].members.push(place);
        }
    }
    for (node, drafts) in drafts.iter_mut().enumerate() {
        if topology.nodes[node].has_addresses() {
            continue;
        }
        let segment = match drafts.get(1) {
            Some(port) => port.plan.segment,
            None => {
                let place = InterfaceRef { node, interface: 0 };
                segments.push(empty(SegmentKind::Stub { place }));
                segments.len() - 1
            }
        };
        drafts[0].plan.segment = segment;
        segments[segment].switches.push(node);
    }
    (segments, of_links)
}

/// Sets the MTU of every segment and interface. Those of VXLAN are set later, since they depend on
/// routes.
pub(crate) fn mtus(
    topology: &Topology,
    drafts: &mut [Vec<Draft<'_>>],
    (segments, of_links): (&mut [SegmentPlan], &[Option<usize>]),
    errors: &mut Vec<TopologyError>,
) {
    let mut set_by: Vec<Option<(usize, u32)>> = vec![None; segments.len()];
    for (index, link) in topology.links.iter().enumerate() {
        let Some(mtu) = link.mtu else { continue };
        let segment = of_links[index];
        check(topology.link_label(index), mtu, segment.map(|at| &segments[at]), errors);
        let Some(segment) = segment else { continue };
        match set_by[segment] {
            Some((first, other)) if other != mtu => {
                let links = [first, index].map(|link| topology.link_label(link));
                errors.push(TopologyError::MtusDiffer { links, mtus: [other, mtu] });
            }
            Some(_) => {}
            None => set_by[segment] = Some((index, mtu)),
        }
    }
    let mut by_link = HashMap::new();
    for (at, segment) in segments.iter_mut().enumerate() {
        segment.mtu = set_by[at].map_or(DEFAULT_MTU, |(_, mtu)| mtu);
        if let SegmentKind::Links { first } = segment.kind {
            by_link.insert(first, segment.mtu);
        }
    }
    for segment in segments.iter_mut() {
        if let SegmentKind::Vlan { first, .. } = segment.kind {
            segment.mtu = by_link.get(&first).copied().unwrap_or(DEFAULT_MTU);
        }
    }
    for draft in drafts.iter_mut().flatten() {
        draft.plan.mtu =
            segments.get(draft.plan.segment).map_or(DEFAULT_MTU, |segment| segment.mtu);
    }
}

fn check(place: String, mtu: u32, segment: Option<&SegmentPlan>, errors: &mut Vec<TopologyError>) {
    let has_ipv6 = segment.is_some_and(|at| at.subnets.iter().any(|subnet| !subnet.is_ipv4()));
    let (least, why) = if has_ipv6 && (68..1280).contains(&mtu) {
        (1280, "IPv6 needs that much; raise it, or make the link `ipv4_only`")
    } else {
        (68, "the kernel accepts no other; set one in this range")
    };
    if !(least..=LARGEST_MTU).contains(&mtu) {
        errors.push(TopologyError::MtuOutOfRange { place, mtu, least, why });
    }
}

/// Root of each link: the first of the links that switches join with it.
struct LinkRoots(Vec<usize>);

impl LinkRoots {
    fn root(&self, root: Root) -> Root {
        match root {
            Root::Link(link) => Root::Link(self.0[link]),
            Root::Vlan(link, vid) => Root::Vlan(self.0[link], vid),
            other => other,
        }
    }
}

/// Joins links by switches, and reports loops of switches without STP.
fn join(topology: &Topology, errors: &mut Vec<TopologyError>) -> LinkRoots {
    let mut links = UnionFind::new(topology.links.len());
    let mut first: Vec<Option<usize>> = vec![None; topology.nodes.len()];
    // Switches that flood to each other. A switch with STP cuts every loop that it is part of.
    let mut flooding = UnionFind::new(topology.nodes.len());
    for (index, link) in topology.links.iter().enumerate() {
        let Some(nodes) = link.nodes() else { continue };
        let is_switch = nodes.map(|node| !topology.nodes[node].has_addresses());
        for node in [0, 1].into_iter().filter(|&end| is_switch[end]).map(|end| nodes[end]) {
            let other = *first[node].get_or_insert(index);
            links.union(other, index);
        }
        let floods = |node: usize| !topology.nodes[node].stp;
        if is_switch == [true; 2]
            && nodes.into_iter().all(floods)
            && !flooding.union(nodes[0], nodes[1])
        {
            errors.push(TopologyError::SwitchLoop { link: topology.link_label(index) });
        }
    }
    LinkRoots(links.into_roots())
}

fn kind(root: Root, place: InterfaceRef) -> SegmentKind {
    match root {
        Root::Link(first) => SegmentKind::Links { first },
        Root::Vlan(first, vid) => SegmentKind::Vlan { first, vid },
        Root::Vxlan(vni) => SegmentKind::Vxlan { vni },
        Root::Stub => SegmentKind::Stub { place },
    }
}

fn empty(kind: SegmentKind) -> SegmentPlan {
    SegmentPlan { kind, subnets: Vec::new(), mtu: 0, members: Vec::new(), switches: Vec::new() }
}
