//! The kinds of links: one catalogue, for what a lab creates and for what the doctor tries.

use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rtnetlink::packet_route::link::{
    BridgeStpState, InfoData, InfoVeth, IpVlanMode, LinkAttribute, LinkMessage,
};
use rtnetlink::{
    LinkBridge, LinkDummy, LinkIfb, LinkIpVlan, LinkMacVlan, LinkMessageBuilder, LinkVeth,
    LinkVlan, LinkVrf, LinkVxlan, LinkWireguard,
};

pub(crate) use rtnetlink::packet_route::link::MacVlanMode;

/// An interface to be created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    /// The index; 0 lets the kernel choose it.
    pub(crate) index: u32,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: Option<u32>,
}

/// The kind of a link (ip-link(8)). A link on top of another one refers to it by its index, as
/// `lower`.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "doctor"), expect(dead_code, reason = "the doctor tries more kinds"))]
pub(crate) enum Kind<'a> {
    /// One end of a veth pair. The other end, `peer`, is created in the network namespace `there`,
    /// or in the same one.
    Veth { peer: New<'a>, there: Option<BorrowedFd<'a>> },
    /// A bridge, which floods multicast frames.
    Bridge { stp: bool },
    /// An interface that drops what is sent.
    Dummy,
    /// An interface that incoming packets of another one are redirected to, for its qdisc.
    Ifb,
    /// An encrypted tunnel.
    Wireguard,
    /// The frames on `lower` that have the 802.1Q tag `vid`.
    Vlan { lower: u32, vid: u16 },
    /// A tunnel of Ethernet frames in UDP, with the destination port `port`.
    Vxlan { vni: u32, local: Option<IpAddr>, remote: Option<IpAddr>, port: u16 },
    /// Another MAC address on `lower`.
    Macvlan { lower: u32, mode: MacVlanMode },
    /// Another IP address on `lower`, with its MAC address.
    Ipvlan { lower: u32 },
    /// A routing table for the links that are its ports.
    Vrf { table: u32 },
}

#[cfg(feature = "doctor")]
impl<'a> New<'a> {
    /// Returns an interface for which the kernel chooses everything but the name.
    pub(crate) const fn named(name: &'a str) -> Self {
        Self { name, index: 0, mac: None, mtu: None }
    }
}

impl New<'_> {
    fn attributes(self) -> Vec<LinkAttribute> {
        let mut attributes = vec![LinkAttribute::IfName(self.name.to_owned())];
        attributes.extend(self.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        attributes.extend(self.mtu.map(LinkAttribute::Mtu));
        attributes
    }
}

impl Kind<'_> {
    /// Returns the kernel's name for the kind.
    #[cfg(feature = "doctor")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Veth { .. } => "veth",
            Kind::Bridge { .. } => "bridge",
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

    /// Builds the message that creates `own` as a link of this kind; it is down.
    pub(crate) fn message(self, own: New<'_>) -> LinkMessage {
        let mut message = self.bare_message(own.name);
        message.header.index = own.index;
        message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::IfName(_)));
        message.attributes.extend(own.attributes());
        message
    }

    fn bare_message(self, name: &str) -> LinkMessage {
        match self {
            Kind::Veth { peer, there } => {
                let mut far = LinkMessage::default();
                far.header.index = peer.index;
                far.attributes = peer.attributes();
                far.attributes.extend(there.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd())));
                LinkMessageBuilder::<LinkVeth>::new(name, peer.name)
                    .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
                    .build()
            }
            // Nothing in a lab sends IGMP or MLD queries, so snooping would drop multicast frames.
            Kind::Bridge { stp } => LinkBridge::new(name)
                .stp_state(if stp { BridgeStpState::KernelStp } else { BridgeStpState::Disabled })
                .mcast_snooping(false)
                .build(),
            Kind::Dummy => LinkDummy::new(name).build(),
            Kind::Ifb => LinkIfb::new(name).build(),
            Kind::Wireguard => LinkWireguard::new(name).build(),
            Kind::Vlan { lower, vid } => LinkVlan::new(name, lower, vid).build(),
            Kind::Vxlan { vni, local, remote, port } => {
                let builder = LinkVxlan::new(name, vni).port(port);
                let builder = match local {
                    Some(IpAddr::V4(local)) => builder.local(local),
                    Some(IpAddr::V6(local)) => builder.local6(local),
                    None => builder,
                };
                match remote {
                    Some(IpAddr::V4(remote)) => builder.remote(remote),
                    Some(IpAddr::V6(remote)) => builder.remote6(remote),
                    None => builder,
                }
                .build()
            }
            Kind::Macvlan { lower, mode } => LinkMacVlan::new(name, lower, mode).build(),
            Kind::Ipvlan { lower } => LinkIpVlan::new(name, lower, IpVlanMode::L2).build(),
            Kind::Vrf { table } => LinkVrf::new(name, table).build(),
        }
    }
}
