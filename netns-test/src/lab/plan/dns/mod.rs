//! Name servers of a plan: what they know, who asks them, and how nodes find them. Pure.

pub(crate) mod check;
pub(crate) mod derived;
pub(crate) mod record;

use std::fmt::Write as _;

use crate::lab::plan::Plan;
use crate::lab::plan::dns::derived::Derived;
use crate::lab::plan::dns::record::{FaultPlan, RecordPlan};
use crate::lab::topology::NodeId;

/// Content of `/etc/resolv.conf` on nodes without a name server. The C library asks 127.0.0.1
/// then, where a program of the node may listen.
pub(crate) const NO_SERVER: &str = "# This network has no name server.\n";

/// All name servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DnsPlan {
    pub(crate) servers: Vec<ServerPlan>,
    /// Servers that each node asks, as positions, in its order.
    pub(crate) used: Vec<Vec<usize>>,
    /// What follows from the nodes.
    pub(crate) derived: Derived,
}

/// A name server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerPlan {
    /// Node that it is on; none for all that have no server of their own.
    pub(crate) node: Option<usize>,
    /// Name of the server for records NS and SOA.
    pub(crate) host: String,
    pub(crate) zones: Vec<String>,
    pub(crate) records: Vec<RecordPlan>,
    pub(crate) faults: Vec<FaultPlan>,
    pub(crate) search: Vec<String>,
    pub(crate) is_authoritative: bool,
    /// Seconds.
    pub(crate) negative_ttl: u32,
}

impl DnsPlan {
    /// Returns the server that is everywhere, if there is one.
    pub(crate) fn everywhere(&self) -> Option<usize> {
        self.servers.iter().position(|server| server.node.is_none())
    }

    /// Returns the server of a node, which listens in its network.
    pub(crate) fn on(&self, node: usize) -> Option<usize> {
        let own = self.servers.iter().position(|server| server.node == Some(node));
        own.or_else(|| self.everywhere())
    }
}

impl Plan {
    /// Returns the contents of `/etc/resolv.conf` on a node: the name servers that it uses, by the
    /// addresses at which it reaches them, and the domains in which it seeks names.
    #[must_use]
    pub fn resolv_conf(&self, node: NodeId) -> String {
        self.position(node).map_or_else(|| NO_SERVER.to_owned(), |at| self.resolver_of(at))
    }

    /// Returns the same for the node at an index.
    pub(crate) fn resolver_of(&self, node: usize) -> String {
        let mut text = String::new();
        for address in self.dns.derived.servers_of(node) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "nameserver {address}");
        }
        if text.is_empty() {
            return NO_SERVER.to_owned();
        }
        let servers = self.dns.used[node].iter().map(|at| &self.dns.servers[*at]);
        let search: Vec<&str> =
            servers.flat_map(|server| &server.search).map(String::as_str).collect();
        if !search.is_empty() {
            let _ = writeln!(text, "search {}", search.join(" "));
        } else if self.nodes[node].name.contains('.') {
            // The C library would seek names in the domain of the hostname.
            text.push_str("search .\n");
        }
        text
    }

    /// Returns whether a node has its names from a server, and not from `/etc/hosts`.
    pub(crate) fn asks_for_names(&self, node: usize) -> bool {
        !self.dns.derived.servers_of(node).is_empty()
    }
}
