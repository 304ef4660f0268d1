//! Ids of nodes and links. An id of a declaration that a topology does not have is an error instead
//! of the wrong node.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

/// Id of a node, valid in the topology that issued it, and in clones that have the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// Number that no other node of the process has.
    number: u32,
    index: u32,
}

/// Id of a link, valid in the topology that issued it, and in clones that have the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// Number that no other link of the process has.
    number: u32,
    index: u32,
}

/// Writes the position in the topology, from 0.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.index)
    }
}

/// Writes the position in the topology, from 0.
impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.index)
    }
}

/// Ids that a topology has issued. All compare as equal, so that topologies and plans compare by
/// their content.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    /// Number of the topology, which its clones share.
    origin: u32,
    /// Number of each node.
    nodes: Vec<u32>,
    /// Number of each link.
    links: Vec<u32>,
}

impl Ids {
    /// Returns the ids of a new topology.
    pub(crate) fn new() -> Self {
        Self { origin: unique(), nodes: Vec::new(), links: Vec::new() }
    }

    /// Issues the id of the next node.
    pub(crate) fn add_node(&mut self) -> NodeId {
        self.nodes.push(unique());
        self.node_id(self.nodes.len() - 1)
    }

    /// Issues the id of the next link.
    pub(crate) fn add_link(&mut self) -> LinkId {
        let number = unique();
        self.links.push(number);
        LinkId { number, index: (self.links.len() - 1) as u32 }
    }

    /// Returns the id of the node at `index`.
    pub(crate) fn node_id(&self, index: usize) -> NodeId {
        NodeId { number: self.nodes[index], index: index as u32 }
    }

    /// Returns the id of the link at `index`.
    #[cfg(all(target_os = "linux", not(miri)))]
    pub(crate) fn link_id(&self, index: usize) -> LinkId {
        LinkId { number: self.links[index], index: index as u32 }
    }

    /// Returns the index of a node, or `None` for the id of another topology.
    pub(crate) fn node(&self, id: NodeId) -> Option<usize> {
        let index = id.index as usize;
        (self.nodes.get(index) == Some(&id.number)).then_some(index)
    }

    /// Returns the index of a link, or `None` for the id of another topology.
    pub(crate) fn link(&self, id: LinkId) -> Option<usize> {
        let index = id.index as usize;
        (self.links.get(index) == Some(&id.number)).then_some(index)
    }

    /// Returns whether both are of one topology or its clones.
    pub(crate) fn have_origin_of(&self, other: &Self) -> bool {
        self.origin == other.origin
    }

    /// Returns whether `other` has all of these nodes and links.
    pub(crate) fn are_in(&self, other: &Self) -> bool {
        other.nodes.starts_with(&self.nodes) && other.links.starts_with(&self.links)
    }
}

impl PartialEq for Ids {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Returns a number that no other call returns.
fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
