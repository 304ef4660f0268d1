//! Ids of nodes and links. An id carries the topology that issued it, so that the id of another
//! topology is an error instead of the wrong node.

use std::sync::atomic::{AtomicU32, Ordering};

/// Id of a node, valid in the topology that issued it and in the clones of that topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    origin: u32,
    index: u32,
}

/// Id of a link, valid in the topology that issued it and in the clones of that topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    origin: u32,
    index: u32,
}

/// Number of the topology that issued an id. All origins compare as equal, so that topologies and
/// plans compare by their content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin(u32);

impl Origin {
    /// Returns an origin that no other topology of the process has.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns whether both are the origin of one topology and its clones.
    pub(crate) fn is_of(self, other: Self) -> bool {
        self.0 == other.0
    }

    pub(crate) fn node_id(self, index: usize) -> NodeId {
        NodeId { origin: self.0, index: index as u32 }
    }

    pub(crate) fn link_id(self, index: usize) -> LinkId {
        LinkId { origin: self.0, index: index as u32 }
    }

    /// Returns the index of the node among `count` nodes, or `None` for an id of another origin.
    pub(crate) fn node_index(self, id: NodeId, count: usize) -> Option<usize> {
        let index = id.index as usize;
        (id.origin == self.0 && index < count).then_some(index)
    }

    /// Returns the index of the link among `count` links, or `None` for an id of another origin.
    pub(crate) fn link_index(self, id: LinkId, count: usize) -> Option<usize> {
        let index = id.index as usize;
        (id.origin == self.0 && index < count).then_some(index)
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Ids that a topology has issued so far. A builder resolves ids with it while it borrows the node
/// that it changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) origin: Origin,
    /// Number of nodes.
    pub(crate) nodes: usize,
    /// Number of links.
    pub(crate) links: usize,
}

impl Scope {
    pub(crate) fn node(self, id: NodeId) -> Option<usize> {
        self.origin.node_index(id, self.nodes)
    }

    pub(crate) fn link(self, id: LinkId) -> Option<usize> {
        self.origin.link_index(id, self.links)
    }
}
