//! Checks of what a node has of its own: lines of `/etc/hosts`, and directories. Pure.

use std::path::{Component, Path};

use crate::lab::plan::errors::TopologyError;
use crate::lab::topology::NodeKind;
use crate::lab::topology::model::Node;

/// Directories of the kernel, and of what the lab itself mounts there.
const RESERVED: [&str; 4] = ["/proc", "/sys", "/dev", "/etc"];

/// Returns the mistakes of a node.
pub(crate) fn of_node(node: &Node) -> Vec<TopologyError> {
    let entries = node.hosts_entries.iter().filter(|(_, name)| !is_name(name));
    let entries = entries.map(|(_, name)| {
        let why = "a name has 1 to 253 bytes without blanks and `#`; give another";
        TopologyError::BadHostsEntry { node: node.name.clone(), name: name.clone(), why }
    });
    let directories = node.private_dirs.iter().enumerate().filter_map(|(at, path)| {
        let why = refused(node, path, &node.private_dirs[..at])?;
        let path = path.display().to_string();
        Some(TopologyError::BadPrivateDir { node: node.name.clone(), path, why })
    });
    entries.chain(directories).collect()
}

fn is_name(name: &str) -> bool {
    let is_plain = |one: char| !one.is_whitespace() && !one.is_control() && one != '#';
    !name.is_empty() && name.len() <= 253 && name.chars().all(is_plain)
}

fn refused(node: &Node, path: &Path, others: &[impl AsRef<Path>]) -> Option<&'static str> {
    let mut parts = path.components();
    let is_plain = parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)));
    let is_above = |other: &Path| other.starts_with(path) || path.starts_with(other);
    let is_reserved =
        |other: &&str| path.starts_with(other) && (*other != "/etc" || path == Path::new("/etc"));
    if node.kind == NodeKind::Local {
        Some("the caller's own node has the directories of the caller; mount it in the test")
    } else if !is_plain || path.as_os_str().as_encoded_bytes().contains(&0) {
        Some("it is not an absolute path without `..`; give one")
    } else if path == Path::new("/") || RESERVED.iter().any(is_reserved) {
        Some("a node needs what is in this directory; give one below it, or another")
    } else if others.iter().any(|other| is_above(other.as_ref())) {
        Some("it is inside another private directory, or around it; give one of the two")
    } else {
        None
    }
}
