//! Contents of `/etc/hosts`: every node of the lab by its name, as a node sees it. Pure.

pub(crate) mod texts;

use std::borrow::Cow;

use crate::lab::plan::hosts_file::texts::{HostsFiles, Name};
use crate::lab::plan::nat::exposure::Exposures;
use crate::lab::plan::nat::view::{View, Viewer};
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeId;

impl Plan {
    /// Returns the contents of `/etc/hosts` on a node: `localhost`, and the nodes with the
    /// addresses at which the node reaches them. Names of nodes behind a NAT have the external
    /// address of a port that is forwarded to them, if there is one.
    ///
    /// A node that uses a name server of the lab has the lines of `localhost` and its own only.
    ///
    /// A node without an address gets a line `127.0.1.1` with its own name, as on Debian, so that
    /// it can resolve its hostname.
    #[must_use]
    pub fn hosts_file(&self, node: NodeId) -> Cow<'_, str> {
        let position = self.position(node);
        #[cfg(feature = "dns")]
        if let Some(text) = position.and_then(|position| self.dns.derived.hosts_of(position)) {
            return Cow::Borrowed(text);
        }
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
        #[cfg(feature = "dns")]
        if let Some(text) = self.dns.derived.hosts_of(node) {
            return text;
        }
        self.hosts.at(node)
    }
}

/// Writes the names as each node sees them.
pub(crate) fn all(view: &View<'_>, exposures: &Exposures) -> HostsFiles {
    if view.realms.iter().all(|realms| realms.count() == 1) {
        return HostsFiles::same(&view.nodes.iter().map(name).collect::<Vec<_>>());
    }
    let (viewers, of) = view.viewers();
    let seen = |viewer: &Viewer| -> Vec<Name<'_>> {
        let all = view.nodes.iter().enumerate();
        let named = all.map(|(node, of_plan)| {
            let seen = view.destinations(viewer, node, exposures);
            (of_plan.name.as_str(), Cow::Owned(seen))
        });
        named.collect()
    };
    HostsFiles::new(&viewers.iter().map(seen).collect::<Vec<_>>(), of)
}

fn name(node: &NodePlan) -> Name<'_> {
    (node.name.as_str(), Cow::Borrowed(node.addresses.as_slice()))
}
