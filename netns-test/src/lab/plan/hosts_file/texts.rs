//! Texts of `/etc/hosts`. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

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
    /// Writes one text for all nodes.
    pub(crate) fn same(names: &[Name<'_>]) -> Self {
        Self { texts: vec![text(names)], of: Vec::new() }
    }

    /// Writes the texts of all groups; `of` is the group of each node.
    pub(crate) fn new(groups: &[Vec<Name<'_>>], of: Vec<usize>) -> Self {
        Self { texts: groups.iter().map(|names| text(names)).collect(), of }
    }

    /// Returns the text of a node.
    pub(crate) fn at(&self, node: usize) -> &str {
        let text = self.texts.get(self.of.get(node).copied().unwrap_or(0));
        text.map_or("", String::as_str)
    }
}

/// Name of a node and its addresses.
pub(crate) type Name<'a> = (&'a str, Cow<'a, [IpAddr]>);

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

/// Returns the text of a node that has all other names from a name server.
#[cfg(feature = "dns")]
pub(crate) fn own(name: &str, addresses: &[IpAddr]) -> String {
    match addresses.is_empty() {
        true => text(&[]) + &format!("127.0.1.1\t{name}\n"),
        false => text(&[(name, Cow::Borrowed(addresses))]),
    }
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
