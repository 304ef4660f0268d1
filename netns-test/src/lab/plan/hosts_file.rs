//! Contents of `/etc/hosts`: every node of the lab by its name. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeId;

/// Lines that all nodes have.
const HEAD: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

impl Plan {
    /// Returns the contents of `/etc/hosts` on a node: `localhost`, and all nodes with their
    /// addresses.
    ///
    /// A node without an address gets a line `127.0.1.1` with its own name, as on Debian, so that
    /// it can resolve its hostname.
    #[must_use]
    pub fn hosts_file(&self, node: NodeId) -> Cow<'_, str> {
        match self.position(node).map(|position| &self.nodes[position]) {
            Some(node) if node.addresses.is_empty() => {
                Cow::Owned(format!("{}127.0.1.1\t{}\n", self.hosts_file, node.name))
            }
            _ => Cow::Borrowed(&self.hosts_file),
        }
    }

    /// Returns the contents of `/etc/hosts` on a node, by its position.
    pub(crate) fn hosts_text_of(&self, _node: usize) -> &str {
        &self.hosts_file
    }

    /// Returns the contents of `/etc/hosts` on all nodes that have addresses.
    pub(crate) fn hosts_text(&self) -> &str {
        &self.hosts_file
    }
}

/// Returns the lines for `localhost` and one line for each address of each node.
///
/// The address with the best reachability comes first, since some programs try only the first one.
pub(crate) fn text(nodes: &[NodePlan]) -> String {
    let mut text = HEAD.to_owned();
    for node in nodes {
        for address in &node.addresses {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{address}\t{}", node.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::lab::topology::names::hostname;

    #[test]
    fn names_on_other_lines_of_the_hosts_file_are_refused() {
        let own = super::text(&[]);
        let own = own.lines().flat_map(|line| line.split_whitespace().skip(1));
        let more = [
            "ip6-allnodes",
            "ip6-allrouters",
            "ip6-localnet",
            "ip6-mcastprefix",
            "ipv6-localhost",
            "broadcasthost",
            "localhost.localdomain",
            "my.localhost.localdomain",
            "localhost6.localdomain6",
            "IP6-Localhost",
            "BroadcastHost",
        ];
        for name in own.chain(more) {
            let why = hostname(name).unwrap_or_else(|| panic!("{name} is taken"));
            assert!(why.contains("give another"), "{name}: {why}");
        }
        for name in ["ip6", "ip6-host", "localhost1", "localdomain", "local", "allnodes"] {
            assert_eq!(hostname(name), None, "{name}");
        }
    }
}
