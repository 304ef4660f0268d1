//! Contents of `/etc/hosts`: every node of the lab by its name, as a node sees it. Pure.

pub(crate) mod entries;
pub(crate) mod texts;

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::lab::plan::hosts_file::texts::{HostsFiles, Name};
use crate::lab::plan::nat::exposure::Exposures;
use crate::lab::plan::nat::view::{View, Viewer};
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeId;

/// Content of `/etc/resolv.conf` on nodes without a name server. The C library asks 127.0.0.1
/// then, where a program of the node may listen.
pub(crate) const NO_SERVER: &str = "# This network has no name server.\n";

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
        let of_stranger = || Cow::Borrowed(self.hosts.at(usize::MAX));
        self.position(node).map_or_else(of_stranger, |at| self.hosts_text_of(at))
    }

    /// Returns the same for the node at an index.
    pub(crate) fn hosts_text_of(&self, node: usize) -> Cow<'_, str> {
        let mut text = self.names_of(node);
        for (address, name) in &self.nodes[node].hosts_entries {
            // Writing to a string cannot fail.
            let _ = writeln!(text.to_mut(), "{address}\t{name}");
        }
        text
    }

    /// Returns the lines of `localhost` and of nodes.
    fn names_of(&self, node: usize) -> Cow<'_, str> {
        #[cfg(feature = "dns")]
        if let Some(text) = self.dns.derived.hosts_of(node) {
            return Cow::Borrowed(text);
        }
        let (text, node) = (self.hosts.at(node), &self.nodes[node]);
        match node.addresses.is_empty() {
            true => Cow::Owned(format!("{text}127.0.1.1\t{}\n", node.name)),
            false => Cow::Borrowed(text),
        }
    }

    /// Returns the contents of `/etc/resolv.conf` on the node at an index.
    #[cfg(feature = "dns")]
    pub(crate) fn resolver_text_of(&self, node: usize) -> Cow<'static, str> {
        Cow::Owned(self.resolver_of(node))
    }

    #[cfg(not(feature = "dns"))]
    #[expect(clippy::unused_self, reason = "with name servers it is used")]
    pub(crate) fn resolver_text_of(&self, _: usize) -> Cow<'static, str> {
        Cow::Borrowed(NO_SERVER)
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
