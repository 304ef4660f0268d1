//! A lab as it was built: names and addresses, by which the state of its networks is read. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::evidence::code::{facts, words};
use crate::evidence::facts::network::Protocol;

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
        nats: Vec<LabNat>,
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
        /// Realms of its segment, in IPv4 and in IPv6: the parts of the lab that have one address
        /// space. NATs are the borders between them.
        realm: u32,
        realm_of_ipv6: u32,
    }
}

facts! {
    /// A NAT of a router.
    struct LabNat {
        /// Name of the outside interface.
        outside: String,
        /// Source addresses of packets to the outside, by family the usual one first.
        external: Vec<IpAddr>,
        /// External addresses of one node each, with its address inside.
        one_to_one: Vec<LabPair>,
        forwards: Vec<LabForward>,
        /// Whether the external port of a flow depends on its destination.
        is_symmetric: bool,
        /// Whether inside nodes reach each other by external endpoints.
        is_hairpinning: bool,
        ipv6: LabIpv6,
        /// Translated prefixes of IPv6 (RFC 6296): those of subnets, or of single addresses.
        prefixes: Vec<LabPrefix>,
    }
}

facts! {
    /// A subnet inside, and the one that the outside has for it.
    struct LabPrefix {
        inside: IpAddr,
        external: IpAddr,
        /// Bits of both that are translated.
        length: u8,
    }
}

facts! {
    /// An external address with the address inside that has it for itself.
    struct LabPair {
        external: IpAddr,
        inside: IpAddr,
    }
}

facts! {
    /// A forwarded port.
    struct LabForward {
        protocol: Protocol,
        port: u16,
        to: SocketAddr,
    }
}

words! {
    /// Treatment of IPv6 by a NAT.
    enum LabIpv6 {
        Routed = "routed",
        Masquerade = "masquerade",
        Blocked = "blocked",
        Prefix = "prefix",
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
