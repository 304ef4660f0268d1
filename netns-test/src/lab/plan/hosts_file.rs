//! Contents of `/etc/hosts`: every node of the lab by its name, as a node sees it. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::lab::plan::Plan;
use crate::lab::plan::nat::view::{Exposure, View, Viewer};
use crate::lab::topology::NodeId;

/// Lines that all nodes have.
const HEAD: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Contents of `/etc/hosts` of all nodes with addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HostsFiles {
    /// Text of each group of nodes that see the same names; the first one is that of nodes outside
    /// of all NATs.
    texts: Vec<String>,
    /// Text of each node; empty if there is only one.
    of: Vec<usize>,
}

impl HostsFiles {
    /// Writes the names as each node sees them.
    pub(crate) fn new(view: &View<'_>, exposures: &[Exposure]) -> Self {
        let names: Vec<Name<'_>> = view
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), Cow::Borrowed(node.addresses.as_slice())))
            .collect();
        if view.realms.iter().all(|realms| realms.count() == 1) && exposures.is_empty() {
            return Self { texts: vec![text(&names)], of: Vec::new() };
        }
        let outermost = Viewer::outermost();
        let mut viewers = vec![outermost];
        let mut of = Vec::new();
        for node in 0..view.nodes.len() {
            let viewer = view.viewer(node);
            let known = viewers.iter().position(|other| *other == viewer);
            of.push(known.unwrap_or(viewers.len()));
            viewers.extend(known.is_none().then_some(viewer));
        }
        let seen = |viewer: &Viewer| {
            let all = view.nodes.iter().enumerate();
            let named = all.map(|(node, of_plan)| {
                let seen = view.destinations(viewer, node, exposures);
                (of_plan.name.as_str(), Cow::Owned(seen))
            });
            text(&named.collect::<Vec<_>>())
        };
        Self { texts: viewers.iter().map(seen).collect(), of }
    }

    fn at(&self, node: usize) -> &str {
        let text = self.texts.get(self.of.get(node).copied().unwrap_or(0));
        text.map_or("", String::as_str)
    }
}

impl Plan {
    /// Returns the contents of `/etc/hosts` on a node: `localhost`, and the nodes with the
    /// addresses at which the node reaches them. Names of nodes behind a NAT have the external
    /// address of a port that is forwarded to them, if there is one.
    ///
    /// A node without an address gets a line `127.0.1.1` with its own name, as on Debian, so that
    /// it can resolve its hostname.
    #[must_use]
    pub fn hosts_file(&self, node: NodeId) -> Cow<'_, str> {
        let position = self.position(node);
        match position.map(|position| (position, &self.nodes[position])) {
            Some((position, node)) if node.addresses.is_empty() => {
                let text = self.hosts.at(position);
                Cow::Owned(format!("{text}127.0.1.1\t{}\n", node.name))
            }
            _ => Cow::Borrowed(self.hosts.at(position.unwrap_or(usize::MAX))),
        }
    }

    /// Returns the contents of `/etc/hosts` on the node at an index, if it has addresses.
    pub(crate) fn hosts_text_of(&self, node: usize) -> &str {
        self.hosts.at(node)
    }
}

/// Name of a node and its addresses.
type Name<'a> = (&'a str, Cow<'a, [IpAddr]>);

/// Returns the lines for `localhost` and one line for each address of each node.
///
/// The address with the best reachability comes first, since some programs try only the first one.
fn text(names: &[Name<'_>]) -> String {
    let mut text = HEAD.to_owned();
    for (name, addresses) in names {
        for address in addresses.iter() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{address}\t{name}");
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
