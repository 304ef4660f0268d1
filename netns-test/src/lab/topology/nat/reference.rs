//! References to nodes and links in values that do not know their topology. Pure.

use crate::lab::topology::id::{Ids, LinkId, NodeId};

/// Reference to a node or a link: an id as the caller wrote it, and an index as the topology stores
/// it, so that equal declarations are equal in all topologies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference<I> {
    Id(I),
    /// `None` for the id of another topology.
    Index(Option<usize>),
}

impl Reference<NodeId> {
    /// Returns the index of the node, or `None` for the id of another topology.
    pub(crate) fn node(self, ids: &Ids) -> Option<usize> {
        match self {
            Self::Id(id) => ids.node(id),
            Self::Index(index) => index,
        }
    }

    pub(crate) fn resolve(&mut self, ids: &Ids) {
        *self = Self::Index(self.node(ids));
    }
}

impl Reference<LinkId> {
    /// Returns the index of the link, or `None` for the id of another topology.
    pub(crate) fn link(self, ids: &Ids) -> Option<usize> {
        match self {
            Self::Id(id) => ids.link(id),
            Self::Index(index) => index,
        }
    }

    pub(crate) fn resolve(&mut self, ids: &Ids) {
        *self = Self::Index(self.link(ids));
    }
}
