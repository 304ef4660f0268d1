//! Checks of the declarations that need no plan: ids, names, sysctls, kinds of nodes. Pure.

use std::collections::HashSet;

use crate::addr::sysctl::Sysctl;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::hosts_file::entries as files;
use crate::lab::topology::{NodeKind, Topology, names};

/// Reports ids of other topologies and links from a node to itself.
pub(crate) fn ids(topology: &Topology, errors: &mut Vec<TopologyError>) {
    for _ in 0..topology.unknown_nodes {
        errors.push(TopologyError::UnknownNode { place: "node()".to_owned() });
    }
    for _ in 0..topology.unknown_links {
        errors.push(TopologyError::UnknownLink { place: "impair()".to_owned() });
    }
    for (index, link) in topology.links.iter().enumerate() {
        let [a, b] = [0, 1].map(|end| link.ends[end].node);
        if a.is_none() || b.is_none() {
            errors.push(TopologyError::UnknownNode { place: topology.link_label(index) });
        } else if a == b {
            errors.push(TopologyError::SelfLink { link: topology.link_label(index) });
        }
    }
}

/// Reports names of nodes, links and sysctls that are invalid or not unique, `stp` on a node that
/// is not a switch, and a second `local()`.
pub(crate) fn names(topology: &Topology, errors: &mut Vec<TopologyError>) {
    let mut seen = HashSet::new();
    let mut duplicate = |what, name: &str| {
        let is_duplicate = !name.is_empty() && !seen.insert((what, name.to_ascii_lowercase()));
        is_duplicate.then(|| TopologyError::DuplicateName { what, name: name.to_owned() })
    };
    let bad = |what, name: &str, why| TopologyError::BadName { what, name: name.to_owned(), why };
    for node in &topology.nodes {
        errors.extend(names::hostname(&node.name).map(|why| bad("node", &node.name, why)));
        errors.extend(duplicate("node", &node.name));
        for (name, _) in &node.sysctls {
            let (node, name) = (node.name.clone(), name.clone());
            let why = Sysctl::checked(&name).err();
            errors.extend(why.map(|why| TopologyError::BadSysctl { node, name, why }));
        }
        errors.extend(files::of_node(node));
        if node.stp && node.kind != NodeKind::Switch {
            errors.push(TopologyError::StpWithoutSwitch { node: node.name.clone() });
        }
    }
    for name in topology.links.iter().filter_map(|link| link.name.as_ref()) {
        errors.extend(names::link(name).map(|why| bad("link", name, why)));
        errors.extend(duplicate("link", name));
    }
    let locals: Vec<_> =
        topology.nodes.iter().filter(|node| node.kind == NodeKind::Local).collect();
    for other in locals.iter().skip(1) {
        let names = [locals[0].name.clone(), other.name.clone()];
        errors.push(TopologyError::TwoLocals { names });
    }
}
