//! Order of a node's addresses: the one that most nodes can reach comes first. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::lab::plan::nat::realms::Border;
use crate::lab::plan::union_find::UnionFind;
use crate::lab::plan::{InterfacePlan, NodePlan, SegmentKind, SegmentPlan};
use crate::lab::topology::NodeKind;

/// Sets the addresses of every node, IPv4 before IPv6.
pub(crate) fn order(nodes: &mut [NodePlan], segments: &[SegmentPlan]) {
    for is_ipv4 in [true, false] {
        let regions = Regions::new(nodes, segments, is_ipv4);
        let ordered: Vec<Vec<IpAddr>> =
            (0..nodes.len()).map(|node| regions.addresses(node)).collect();
        for (node, ordered) in nodes.iter_mut().zip(ordered) {
            node.addresses.extend(ordered);
        }
    }
}

/// Regions: groups of segments that routers join without translation.
struct Regions<'a> {
    nodes: &'a [NodePlan],
    segments: &'a [SegmentPlan],
    is_ipv4: bool,
    /// Region of each segment.
    of: Vec<usize>,
    /// Number of nodes that reach each region.
    sizes: Vec<usize>,
}

impl<'a> Regions<'a> {
    fn new(nodes: &'a [NodePlan], segments: &'a [SegmentPlan], is_ipv4: bool) -> Self {
        let mut joined = UnionFind::new(segments.len());
        let mut regions =
            Self { nodes, segments, is_ipv4, of: Vec::new(), sizes: vec![0; segments.len()] };
        for (index, _) in nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Router)
        {
            let own = regions.transit(index).filter(|(_, border)| *border == Border::Open);
            let own: Vec<usize> = own.map(|(segment, _)| segment).collect();
            for pair in own.windows(2) {
                joined.union(pair[0], pair[1]);
            }
        }
        regions.of = joined.into_roots();
        for node in 0..nodes.len() {
            for region in regions.regions_of(node) {
                regions.sizes[region] += 1;
            }
        }
        regions.add_insides();
        regions
    }

    /// Adds the nodes of each region to those of the regions outside of it.
    fn add_insides(&mut self) {
        let mut outwards: HashMap<usize, Vec<usize>> = HashMap::new();
        let with_nats = self.nodes.iter().enumerate().filter(|(_, node)| !node.nats.is_empty());
        for (node, _) in with_nats {
            let (inside, outside): (Vec<_>, Vec<_>) =
                self.transit(node).partition(|(_, border)| *border == Border::Open);
            let Some((inside, _)) = inside.first() else { continue };
            let translated = outside.iter().filter(|(_, border)| *border == Border::Translated);
            let regions = translated.map(|(segment, _)| self.of[*segment]);
            outwards.entry(self.of[*inside]).or_default().extend(regions);
        }
        let own = self.sizes.clone();
        for &inside in outwards.keys() {
            let mut reached = vec![inside];
            let mut at = 0;
            while at < reached.len() {
                for next in outwards.get(&reached[at]).into_iter().flatten() {
                    if !reached.contains(next) {
                        reached.push(*next);
                        self.sizes[*next] += own[inside];
                    }
                }
                at += 1;
            }
        }
    }

    /// Returns the segments over which other nodes reach a node, and their borders.
    fn transit(&self, node: usize) -> impl Iterator<Item = (usize, Border)> + use<'a> {
        let (segments, is_ipv4, node) = (self.segments, self.is_ipv4, &self.nodes[node]);
        let has_address = node.interfaces.iter().filter(move |interface| {
            interface.addresses.iter().any(|one| one.address().is_ipv4() == is_ipv4)
        });
        let is_way = move |interface: &&InterfacePlan| match segments[interface.segment].kind {
            SegmentKind::Vxlan { .. } => false,
            SegmentKind::Stub { .. } => node.kind == NodeKind::Router,
            _ => true,
        };
        has_address.filter(is_way).map(move |one| (one.segment, node.border(&one.name, is_ipv4)))
    }

    /// Returns the regions that a node is part of.
    fn regions_of(&self, node: usize) -> Vec<usize> {
        let mut regions: Vec<usize> =
            self.transit(node).map(|(segment, _)| self.of[segment]).collect();
        regions.sort_unstable();
        regions.dedup();
        regions
    }

    fn addresses(&self, node: usize) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for interface in &self.nodes[node].interfaces {
            let addresses = interface.addresses.iter().map(|one| one.address());
            let wanted = addresses.filter(|address| address.is_ipv4() == self.is_ipv4);
            found.extend(wanted.map(|address| (interface.segment, address)));
        }
        if found.len() > 1 {
            found.sort_by_cached_key(|&(segment, _)| {
                (self.segments[segment].is_overlay(), Reverse(self.reach(node, segment)))
            });
        }
        found.into_iter().map(|(_, address)| address).collect()
    }

    /// Estimates the number of nodes that can reach the node's address on the segment.
    fn reach(&self, node: usize, segment: usize) -> usize {
        match self.segments[segment].kind {
            // The address of a single interface is reached over all other segments of its node.
            SegmentKind::Stub { .. } => {
                self.regions_of(node).iter().map(|&region| self.sizes[region]).sum()
            }
            SegmentKind::Vxlan { .. } => self.segments[segment].members.len(),
            _ => self.sizes[self.of[segment]],
        }
    }
}
