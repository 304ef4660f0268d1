//! The text of `/etc/hosts`: every node of the lab by its name.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::lab::plan::NodePlan;

/// What every node has in common.
const HEAD: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// The lines for `localhost`, and for each node one line for each address, the best reachable
/// first: a program that tries one only tries that.
pub(crate) fn text(nodes: &[NodePlan]) -> String {
    let mut text = HEAD.to_owned();
    for node in nodes {
        for address in &node.addresses {
            // A string takes everything.
            let _ = writeln!(text, "{address}\t{}", node.name);
        }
    }
    text
}

/// The text for one node: a node without an address knows itself nevertheless, as in Debian.
pub(crate) fn on<'a>(text: &'a str, node: &NodePlan) -> Cow<'a, str> {
    if node.addresses.is_empty() {
        Cow::Owned(format!("{text}127.0.1.1\t{}\n", node.name))
    } else {
        Cow::Borrowed(text)
    }
}
