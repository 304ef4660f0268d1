//! A lab as it was built: names and addresses, by which the state of its networks is read. Pure.

use std::net::IpAddr;

use crate::evidence::code::facts;

facts! {
    /// A lab.
    struct LabFacts {
        /// Number of the lab in its process, from 1.
        number: u32,
        nodes: Vec<LabNode>,
        links: Vec<LabLink>,
    }
}

facts! {
    /// A node of a lab.
    struct LabNode {
        name: String,
        /// `host`, `router`, `switch`, `local`.
        kind: String,
        interfaces: Vec<LabInterface>,
    }
}

facts! {
    /// An interface of a node.
    struct LabInterface {
        name: String,
        /// Position of its link in [`LabFacts::links`]; none for a bridge or the like.
        link: Option<u32>,
        addresses: Vec<IpAddr>,
        mac: String,
    }
}

facts! {
    /// A link.
    struct LabLink {
        /// Name, as errors have it: `lan`, or `client-server`.
        name: String,
        /// Positions of its nodes in [`LabFacts::nodes`], and names of the interfaces there.
        ends: Vec<LabEnd>,
        /// Impairments of the direction from the first end, and of the other one, as they are from
        /// now on: `delay 20ms, loss 1%`. There are none for a direct veth pair.
        impairments: Vec<String>,
    }
}

facts! {
    /// An end of a link.
    struct LabEnd {
        node: u32,
        interface: String,
    }
}

facts! {
    /// The impairments of a link that were changed.
    struct LinkImpairments {
        /// Number of the lab.
        lab: u32,
        /// Position of the link in [`LabFacts::links`].
        link: u32,
        impairments: Vec<String>,
    }
}

impl LinkImpairments {
    /// Puts them in the place of those of the link.
    pub(crate) fn apply(self, labs: &mut [LabFacts]) {
        let mut own = labs.iter_mut().filter(|lab| lab.number == self.lab);
        let link = own.next().and_then(|lab| lab.links.get_mut(self.link as usize));
        link.into_iter().for_each(|link| link.impairments.clone_from(&self.impairments));
    }
}

impl LabFacts {
    /// Returns the node that has an address.
    pub(crate) fn owner_of(&self, address: IpAddr) -> Option<&LabNode> {
        let has = |node: &&LabNode| {
            node.interfaces.iter().any(|interface| interface.addresses.contains(&address))
        };
        self.nodes.iter().find(has)
    }

    /// Returns the node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<&LabNode> {
        self.nodes.iter().find(|node| node.name == name)
    }
}
