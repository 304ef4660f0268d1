//! The order of a node's addresses: the one that most nodes have a way to comes first.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::lab::plan::union_find::UnionFind;
use crate::lab::plan::{NodePlan, SegmentKind, SegmentPlan};
use crate::lab::topology::NodeKind;

/// Fills in the addresses of every node.
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

/// Segments that routers join.
struct Regions<'a> {
    nodes: &'a [NodePlan],
    segments: &'a [SegmentPlan],
    is_ipv4: bool,
    /// The region of each segment.
    of: Vec<usize>,
    /// How many nodes each region has.
    sizes: Vec<usize>,
}

impl<'a> Regions<'a> {
    fn new(nodes: &'a [NodePlan], segments: &'a [SegmentPlan], is_ipv4: bool) -> Self {
        let mut joined = UnionFind::new(segments.len());
        let mut regions =
            Self { nodes, segments, is_ipv4, of: Vec::new(), sizes: vec![0; segments.len()] };
        for (index, _) in nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Router)
        {
            let own = regions.ways(index);
            for pair in own.windows(2) {
                joined.union(pair[0], pair[1]);
            }
        }
        regions.of = joined.into_roots();
        for node in 0..nodes.len() {
            for region in regions.around(node) {
                regions.sizes[region] += 1;
            }
        }
        regions
    }

    /// The segments by which others come to a node.
    fn ways(&self, node: usize) -> Vec<usize> {
        let interfaces = self.nodes[node].interfaces.iter();
        let has_address = interfaces.filter(|interface| {
            interface.addresses.iter().any(|one| one.address().is_ipv4() == self.is_ipv4)
        });
        let segments = has_address.map(|interface| interface.segment);
        let is_way = |segment: &usize| match self.segments[*segment].kind {
            SegmentKind::Vxlan { .. } => false,
            SegmentKind::Stub { .. } => self.nodes[node].kind == NodeKind::Router,
            _ => true,
        };
        segments.filter(is_way).collect()
    }

    fn around(&self, node: usize) -> Vec<usize> {
        let mut regions: Vec<usize> =
            self.ways(node).into_iter().map(|segment| self.of[segment]).collect();
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
                (self.segments[segment].is_overlay(), Reverse(self.visitors(node, segment)))
            });
        }
        found.into_iter().map(|(_, address)| address).collect()
    }

    /// About how many nodes have a way to the node's address on the segment.
    fn visitors(&self, node: usize, segment: usize) -> usize {
        match self.segments[segment].kind {
            // A host's own segment is reached by all its others.
            SegmentKind::Stub { .. } => {
                self.around(node).iter().map(|&region| self.sizes[region]).sum()
            }
            SegmentKind::Vxlan { .. } => self.segments[segment].members.len(),
            _ => self.sizes[self.of[segment]],
        }
    }
}
