//! Ways through NATs that do not begin inside. Pure.

use std::net::Ipv4Addr;

/// A way through a NAT that does not begin inside: a forwarded port, or a 1:1 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    pub(crate) router: usize,
    /// Position of the outside interface.
    pub(crate) outside: usize,
    pub(crate) inside: Ipv4Addr,
    pub(crate) external: Ipv4Addr,
}

/// Exposures of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exposures {
    /// Exposures of each node; nodes after the last one have none.
    by_node: Vec<Vec<Exposure>>,
}

impl Exposures {
    /// Adds an exposure of a node, unless it has it.
    pub(crate) fn add(&mut self, node: usize, exposure: Exposure) {
        if self.by_node.len() <= node {
            self.by_node.resize_with(node + 1, Vec::new);
        }
        if !self.by_node[node].contains(&exposure) {
            self.by_node[node].push(exposure);
        }
    }

    /// Returns the exposures of a node.
    pub(crate) fn of(&self, node: usize) -> &[Exposure] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }
}
