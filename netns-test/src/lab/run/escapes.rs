//! Sends of nodes for which they had no route, at the end of a lab.

use std::fs;
use std::sync::Arc;

use crate::env;
use crate::env::Escape;
use crate::evidence::escapes;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::on_thread;
use crate::lab::run::node::Node;
use crate::lab::topology::NodeKind;

/// Returns a sentence for each node that has sent something without a route, if that fails the
/// test. The caller's own network is not the lab's: its sends are counted at the end of the test.
pub(crate) fn failures(nodes: &[(&Node, Arc<Namespaces>)]) -> Vec<String> {
    if env::escape() != Escape::Fail {
        return Vec::new();
    }
    let own = nodes.iter().filter(|(node, _)| node.kind() != NodeKind::Local);
    let sentence = |(node, here): &(&Node, Arc<Namespaces>)| {
        let counted = on_thread::in_place(&here.place, node.name(), count);
        let count = counted.ok()?.saturating_sub(node.live().unroutable());
        let sends = escapes::sentence(count);
        (count > 0).then(|| format!("node {}: {sends} (NETNS_TEST_ESCAPE=fail)", node.name()))
    };
    own.filter_map(sentence).collect()
}

/// Returns a sentence for each name that a node has asked for and that no zone of the lab has, if
/// that fails the test.
#[cfg(feature = "dns")]
pub(crate) fn names(asked: &[(String, String)]) -> Vec<String> {
    if env::escape() != Escape::Fail {
        return Vec::new();
    }
    let sentence = |(node, name): &(String, String)| {
        format!("node {node}: it asked for {name}, which no zone has (NETNS_TEST_ESCAPE=fail)")
    };
    asked.iter().map(sentence).collect()
}

/// Counts in the network of the calling thread.
fn count() -> u64 {
    let text = |name| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
    let text = |name| text(name).unwrap_or_default();
    escapes::count(&text("snmp"), &text("snmp6"))
}
