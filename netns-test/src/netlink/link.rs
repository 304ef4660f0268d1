//! Links: the interfaces of a network namespace.

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{IpVlanMode, LinkAttribute, LinkMessage, MacVlanMode};
use rtnetlink::{
    LinkBridge, LinkDummy, LinkIfb, LinkIpVlan, LinkMacVlan, LinkVeth, LinkVlan, LinkVrf,
    LinkVxlan, LinkWireguard,
};

use crate::error::Failure;
use crate::netlink::Netlink;

/// What to add. Links that stand on another one name it by its index.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// One end of a cable; the other end is the link `peer`.
    Veth { peer: &'a str },
    /// A switch.
    Bridge,
    /// An interface that drops what is sent.
    Dummy,
    /// An interface to which another one's incoming packets can be led, to be queued there.
    Ifb,
    /// An encrypted tunnel.
    Wireguard,
    /// The packets of `base` that bear the 802.1Q tag `id`.
    Vlan { base: u32, id: u16 },
    /// A tunnel of Ethernet frames in UDP.
    Vxlan { id: u32, port: u16 },
    /// A MAC address of its own on `base`.
    Macvlan { base: u32 },
    /// An IP address of its own on `base`.
    Ipvlan { base: u32 },
    /// A routing table for the links that it is given.
    Vrf { table: u32 },
}

impl Kind<'_> {
    /// The kernel's name for it.
    fn name(self) -> &'static str {
        match self {
            Kind::Veth { .. } => "veth",
            Kind::Bridge => "bridge",
            Kind::Dummy => "dummy",
            Kind::Ifb => "ifb",
            Kind::Wireguard => "wireguard",
            Kind::Vlan { .. } => "vlan",
            Kind::Vxlan { .. } => "vxlan",
            Kind::Macvlan { .. } => "macvlan",
            Kind::Ipvlan { .. } => "ipvlan",
            Kind::Vrf { .. } => "vrf",
        }
    }

    fn message(self, name: &str) -> LinkMessage {
        match self {
            Kind::Veth { peer } => LinkVeth::new(name, peer).build(),
            Kind::Bridge => LinkBridge::new(name).build(),
            Kind::Dummy => LinkDummy::new(name).build(),
            Kind::Ifb => LinkIfb::new(name).build(),
            Kind::Wireguard => LinkWireguard::new(name).build(),
            Kind::Vlan { base, id } => LinkVlan::new(name, base, id).build(),
            Kind::Vxlan { id, port } => LinkVxlan::new(name, id).port(port).build(),
            Kind::Macvlan { base } => LinkMacVlan::new(name, base, MacVlanMode::Bridge).build(),
            Kind::Ipvlan { base } => LinkIpVlan::new(name, base, IpVlanMode::L2).build(),
            Kind::Vrf { table } => LinkVrf::new(name, table).build(),
        }
    }
}

/// A link that is there until it is deleted, or its namespace ends.
#[derive(Debug)]
pub(crate) struct Link {
    name: String,
    index: u32,
}

impl Link {
    /// Adds a link. It is down.
    pub(crate) fn add(netlink: &Netlink, name: &str, kind: Kind<'_>) -> Result<Self, Failure> {
        let object = format!("link {name} ({})", kind.name());
        let request = RouteNetlinkMessage::NewLink(kind.message(name));
        netlink.ask("add", &object, request, NLM_F_CREATE | NLM_F_EXCL)?;
        match Self::find(netlink, name) {
            Ok(link) => Ok(link),
            Err(failure) => {
                // Nobody would know that it is there. The first failure tells more than another.
                delete(netlink, named(name), name).ok();
                Err(failure)
            }
        }
    }

    /// The link that has this name.
    pub(crate) fn find(netlink: &Netlink, name: &str) -> Result<Self, Failure> {
        let (step, object) = ("find", format!("link {name}"));
        let request = RouteNetlinkMessage::GetLink(named(name));
        let answers = netlink.ask(step, &object, request, 0)?;
        let index = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link.header.index),
            _ => None,
        });
        match index {
            Some(index) => Ok(Self { name: name.to_owned(), index }),
            None => Err(Failure::new(step, object, "the kernel's answer does not describe it")),
        }
    }

    /// Deletes the link, and with it what stands on it, and the other end of a cable.
    pub(crate) fn delete(self, netlink: &Netlink) -> Result<(), Failure> {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        delete(netlink, message, &self.name)
    }

    /// What the kernel counts it as.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// A message about the link of this name.
fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn delete(netlink: &Netlink, message: LinkMessage, name: &str) -> Result<(), Failure> {
    let object = format!("link {name}");
    netlink.ask("delete", &object, RouteNetlinkMessage::DelLink(message), 0)?;
    Ok(())
}
