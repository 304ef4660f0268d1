//! The requests that a lab is built with. Interfaces are known by the index that they were made
//! with, so that no request waits for the answer to another one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use rtnetlink::packet_route::link::{
    BridgeStpState, InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkDummy, LinkMacVlan, LinkMessageBuilder, LinkVeth,
    LinkVlan, LinkVxlan, RouteMessageBuilder,
};

pub(crate) use rtnetlink::packet_route::link::MacVlanMode;

use crate::netlink::Request;

/// `lo`, in every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// An interface that is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    pub(crate) index: u32,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: u32,
}

/// What one is, besides the end of a cable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Made {
    Bridge { stp: bool },
    Dummy,
    Vlan { lower: u32, vid: u16 },
    Macvlan { lower: u32, mode: MacVlanMode },
    Vxlan { vni: u32, local: IpAddr, remote: Option<IpAddr>, port: u16 },
}

/// A cable from `near`, in the namespace that is asked, to `far` in another one.
pub(crate) fn veth(object: String, near: New<'_>, far: New<'_>, there: BorrowedFd<'_>) -> Request {
    let mut peer = LinkMessage::default();
    peer.header.index = far.index;
    peer.attributes = attributes(far);
    peer.attributes.push(LinkAttribute::NetNsFd(there.as_raw_fd()));
    let builder = LinkMessageBuilder::<LinkVeth>::new(near.name, far.name)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
    let mut message = builder.build();
    message.header.index = near.index;
    message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::IfName(_)));
    message.attributes.extend(attributes(near));
    new(object, message)
}

/// Another interface, up.
pub(crate) fn interface(object: String, own: New<'_>, made: Made) -> Request {
    let name = own.name;
    let mut message = match made {
        // Frames go everywhere they might be wanted: nobody asks for groups in a lab.
        Made::Bridge { stp } => LinkBridge::new(name)
            .stp_state(if stp { BridgeStpState::KernelStp } else { BridgeStpState::Disabled })
            .mcast_snooping(false)
            .build(),
        Made::Dummy => LinkDummy::new(name).build(),
        Made::Vlan { lower, vid } => LinkVlan::new(name, lower, vid).build(),
        Made::Macvlan { lower, mode } => LinkMacVlan::new(name, lower, mode).build(),
        Made::Vxlan { vni, local, remote, port } => {
            let builder = LinkVxlan::new(name, vni).port(port);
            let builder = match local {
                IpAddr::V4(local) => builder.local(local),
                IpAddr::V6(local) => builder.local6(local),
            };
            match remote {
                Some(IpAddr::V4(remote)) => builder.remote(remote),
                Some(IpAddr::V6(remote)) => builder.remote6(remote),
                None => builder,
            }
            .build()
        }
    };
    message.header.index = own.index;
    message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::IfName(_)));
    message.attributes.extend(attributes(own));
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    new(object, message)
}

/// Brings an interface up, or takes it down; first makes it a port of `bridge`.
pub(crate) fn set_up(object: String, index: u32, up: bool, bridge: Option<u32>) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    message.attributes.extend(bridge.map(LinkAttribute::Controller));
    Request::new("set up", object, RouteNetlinkMessage::SetLink(message), 0)
}

/// Takes an interface down and to another namespace, under a name that is free there. Its index there
/// is the same, unless somebody has that. It loses its addresses, its routes, and what stands on it.
pub(crate) fn move_to(object: String, index: u32, there: BorrowedFd<'_>, name: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes =
        vec![LinkAttribute::NetNsFd(there.as_raw_fd()), LinkAttribute::IfName(name.to_owned())];
    Request::new("move", object, RouteNetlinkMessage::SetLink(message), 0)
}

/// Deletes an interface, with the other end if it is a cable.
pub(crate) fn no_interface(object: String, index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    Request::new("delete", object, RouteNetlinkMessage::DelLink(message), 0)
}

/// Gives an interface an address, which can be used at once: there is nobody in a lab who could
/// have it, too.
pub(crate) fn address(object: String, index: u32, address: IpAddr, prefix: u8) -> Request {
    let message = address_message(index, address, prefix);
    let message = RouteNetlinkMessage::NewAddress(message);
    Request::new("add", object, message, NLM_F_CREATE | NLM_F_EXCL)
}

/// Takes an address away.
pub(crate) fn no_address(object: String, index: u32, address: IpAddr, prefix: u8) -> Request {
    let message = address_message(index, address, prefix);
    Request::new("remove", object, RouteNetlinkMessage::DelAddress(message), 0)
}

/// The place of a new route among those to the same destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// In the place of one with the same metric, if there is one.
    Instead,
    /// Before all others, which stay. In IPv6 the metric decides.
    Before { metric: Option<u32> },
}

/// Adds a route.
pub(crate) fn route(
    object: String,
    destination: (IpAddr, u8),
    (via, index): (Option<IpAddr>, Option<u32>),
    rank: Rank,
) -> Request {
    let mut message = route_message(destination, via, index);
    let flags = match rank {
        Rank::Instead => NLM_F_CREATE | NLM_F_REPLACE,
        Rank::Before { metric: None } => NLM_F_CREATE,
        Rank::Before { metric: Some(metric) } => {
            message.attributes.push(RouteAttribute::Priority(metric));
            NLM_F_CREATE | NLM_F_REPLACE
        }
    };
    Request::new("add", object, RouteNetlinkMessage::NewRoute(message), flags)
}

/// Takes the route to a destination away, wherever it leads, whoever has made it.
pub(crate) fn no_route(object: String, (network, prefix): (IpAddr, u8)) -> Request {
    let mut message = route_message((network, prefix), None, None);
    message.header.scope = RouteScope::NoWhere;
    message.header.protocol = RouteProtocol::Unspec;
    message.header.kind = RouteType::Unspec;
    Request::new("remove", object, RouteNetlinkMessage::DelRoute(message), 0)
}

/// Has frames for everybody go to `remote`, too, over the VXLAN with this index.
pub(crate) fn flood(object: String, index: u32, remote: IpAddr) -> Request {
    let message = RouteNetlinkMessage::NewNeighbour(flood_message(index, remote));
    Request::new("add", object, message, NLM_F_CREATE | NLM_F_APPEND)
}

/// Has them go there no more.
pub(crate) fn no_flood(object: String, index: u32, remote: IpAddr) -> Request {
    let message = RouteNetlinkMessage::DelNeighbour(flood_message(index, remote));
    Request::new("remove", object, message, 0)
}

fn flood_message(index: u32, remote: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.header.flags = NeighbourFlags::Own;
    message.attributes = vec![
        NeighbourAttribute::LinkLayerAddress(vec![0; 6]),
        NeighbourAttribute::Destination(remote.into()),
    ];
    message
}

/// Drops what comes from `source`, and says nothing to anybody; or no longer.
pub(crate) fn block(object: String, source: IpAddr, on: bool) -> Request {
    let mut message = rule(source, BLOCKED);
    message.header.src_len = if source.is_ipv4() { 32 } else { 128 };
    message.header.action = RuleAction::Blackhole;
    message.attributes.push(RuleAttribute::Source(source));
    if on {
        let message = RouteNetlinkMessage::NewRule(message);
        return Request::new("block", object, message, NLM_F_CREATE | NLM_F_EXCL);
    }
    Request::new("let in", object, RouteNetlinkMessage::DelRule(message), 0)
}

/// Moves the rule that every packet for the node itself matches behind those of [`block`], or back to
/// where the kernel has it.
pub(crate) fn make_room_for_blocks(object: &str, of_family: IpAddr, room: bool) -> [Request; 2] {
    let local = |priority| {
        let mut message = rule(of_family, priority);
        message.header.action = RuleAction::ToTable;
        message.header.table = LOCAL_TABLE;
        message
    };
    let (new, old) = if room { (BLOCKED + 1, FIRST_RULE) } else { (FIRST_RULE, BLOCKED + 1) };
    // First the new one: there is always one.
    let add = RouteNetlinkMessage::NewRule(local(new));
    let remove = RouteNetlinkMessage::DelRule(local(old));
    [
        Request::new("add a rule to", object, add, NLM_F_CREATE | NLM_F_EXCL),
        Request::new("remove a rule of", object, remove, 0),
    ]
}

/// The priority of the kernel's rule for packets for the node itself.
const FIRST_RULE: u32 = 0;

/// The priority of the rules that block.
const BLOCKED: u32 = 1;

/// `RT_TABLE_LOCAL`.
const LOCAL_TABLE: u8 = 255;

fn rule(of_family: IpAddr, priority: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family =
        if of_family.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes.push(RuleAttribute::Priority(priority));
    message
}

fn new(object: String, message: LinkMessage) -> Request {
    Request::new("create", object, RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn attributes(own: New<'_>) -> Vec<LinkAttribute> {
    let mut attributes = vec![LinkAttribute::IfName(own.name.to_owned())];
    attributes.extend(own.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    attributes.push(LinkAttribute::Mtu(own.mtu));
    attributes
}

fn address_message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = match address {
        IpAddr::V4(address) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, prefix).build()
        }
        IpAddr::V6(address) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(address, prefix).build()
        }
    };
    if address.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

fn route_message(
    (network, prefix): (IpAddr, u8),
    via: Option<IpAddr>,
    index: Option<u32>,
) -> RouteMessage {
    match network {
        IpAddr::V4(network) => {
            let mut builder =
                RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(network, prefix);
            if let Some(index) = index {
                builder = builder.output_interface(index);
            }
            match via {
                Some(IpAddr::V4(via)) => builder.gateway(via).build(),
                Some(IpAddr::V6(via)) => builder.via(via).build(),
                None => builder.scope(RouteScope::Link).build(),
            }
        }
        IpAddr::V6(network) => {
            let mut builder =
                RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(network, prefix);
            if let Some(index) = index {
                builder = builder.output_interface(index);
            }
            match via {
                Some(IpAddr::V6(via)) => builder.gateway(via).build(),
                _ => builder.build(),
            }
        }
    }
}
