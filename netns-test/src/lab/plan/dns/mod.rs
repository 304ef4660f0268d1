//! Name servers of a plan: what they know, who asks them, and how nodes find them. Pure.

pub(crate) mod check;
pub(crate) mod derived;
pub(crate) mod record;
pub(crate) mod servers;

use std::fmt::Write as _;

use crate::lab::plan::Plan;
use crate::lab::plan::hosts_file::NO_SERVER;
use crate::lab::topology::NodeId;

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
}
