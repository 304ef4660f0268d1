//! What the kernel says of the interfaces and the routes of a namespace.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use rtnetlink::packet_route::link::Stats64;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Netlink;
use crate::error::Failure;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Vec<u8>>,
    /// `veth`, `bridge`; none for `lo`, and for what hardware there is.
    pub(crate) kind: Option<String>,
    /// The index of the bridge that it is a port of.
    pub(crate) bridge: Option<u32>,
    pub(crate) counters: Option<Stats64>,
    /// Whether others ask there for addresses (ARP, NDP).
    pub(crate) is_asked: bool,
    /// Whether it was brought up.
    pub(crate) is_up: bool,
    /// Whether it has a carrier: the other end of a cable is up, too (`IFF_LOWER_UP`).
    pub(crate) has_carrier: bool,
    /// The index of the interface below it (VLAN, macvlan); of a cable, that of its other end.
    pub(crate) lower: Option<u32>,
    /// Whether it can carry packets (`IF_OPER_UP`, RFC 2863), or does not say, as `lo`.
    pub(crate) is_running: bool,
    /// Whether it says so: a cable does, once the kernel has taken it into use.
    pub(crate) says_running: bool,
}

/// A route, of whatever table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: (IpAddr, u8),
    pub(crate) via: Option<IpAddr>,
    /// The interface; none for one that leads nowhere, or several ways.
    pub(crate) index: Option<u32>,
    pub(crate) table: u32,
    /// Whether packets go there, and not that they are dropped.
    pub(crate) is_usable: bool,
    /// `unicast`, `blackhole` (ip-route(8)).
    pub(crate) kind: String,
}

impl Netlink {
    /// All interfaces, in the order of their indexes.
    pub(crate) fn interfaces(&self) -> Result<Vec<Interface>, Failure> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.list("interfaces", request)?;
        let mut found: Vec<Interface> = answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(message) => Some(interface(message)),
                _ => None,
            })
            .collect();
        found.sort_by_key(|interface| interface.index);
        Ok(found)
    }

    /// All routes, of IPv4 first.
    pub(crate) fn routes(&self) -> Result<Vec<Route>, Failure> {
        Ok(self.route_messages()?.into_iter().map(route).collect())
    }

    /// The same, as the kernel tells them.
    pub(super) fn route_messages(&self) -> Result<Vec<RouteMessage>, Failure> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let answers = self.list("routes", RouteNetlinkMessage::GetRoute(message))?;
            found.extend(answers.into_iter().filter_map(|answer| match answer {
                // A kernel without IPv6 tells of all that it has instead.
                RouteNetlinkMessage::NewRoute(message) => {
                    (message.header.address_family == family).then_some(message)
                }
                _ => None,
            }));
        }
        Ok(found)
    }
}

impl Route {
    /// `RT_TABLE_LOCAL`: the node's own addresses.
    pub(crate) fn is_local(&self) -> bool {
        self.table == 255
    }

    /// `10.0.0.0/24 via 10.1.0.1 dev eth0`, as `ip route` prints it.
    pub(crate) fn shown(&self, name: impl Fn(u32) -> String) -> String {
        let (network, prefix) = self.destination;
        let mut text = match self.kind.as_str() {
            "unicast" => String::new(),
            other => format!("{other} "),
        };
        text += &format!("{network}/{prefix}");
        if let Some(via) = self.via {
            text += &format!(" via {via}");
        }
        if let Some(index) = self.index {
            text += &format!(" dev {}", name(index));
        }
        if !self.is_usable && self.kind == "unicast" {
            text += " linkdown";
        }
        text
    }
}

/// `eth0: up, running, mtu 1500`
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.is_up, self.is_running) {
            (true, true) => "up",
            (true, false) => "up, but carries nothing",
            (false, _) => "down",
        };
        write!(f, "{}: {state}, mtu {}", self.name, self.mtu)
    }
}

pub(super) fn route(message: RouteMessage) -> Route {
    let header = message.header;
    let nowhere = match header.address_family {
        AddressFamily::Inet => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let mut found = Route {
        destination: (nowhere, header.destination_prefix_length),
        via: None,
        index: None,
        table: header.table.into(),
        is_usable: header.kind == RouteType::Unicast,
        kind: format!("{:?}", header.kind).to_lowercase(),
    };
    let dead = RouteFlags::Dead | RouteFlags::Linkdown;
    let mut is_dead = header.flags.intersects(dead);
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                found.destination.0 = address(&to).unwrap_or(nowhere);
            }
            RouteAttribute::Gateway(via) => found.via = address(&via),
            RouteAttribute::Oif(index) => found.index = Some(index),
            RouteAttribute::Table(table) => found.table = table,
            RouteAttribute::MultiPath(hops) => {
                let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
                is_dead = hops.iter().all(|hop| hop.flags.intersects(dead));
            }
            _ => {}
        }
    }
    found.is_usable &= !is_dead;
    found
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn interface(message: LinkMessage) -> Interface {
    let mut found = Interface {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        mac: None,
        kind: None,
        bridge: None,
        counters: None,
        is_asked: !message.header.flags.intersects(LinkFlags::Loopback | LinkFlags::Noarp),
        is_up: message.header.flags.contains(LinkFlags::Up),
        has_carrier: message.header.flags.contains(LinkFlags::LowerUp),
        lower: None,
        is_running: false,
        says_running: false,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name = name,
            LinkAttribute::Mtu(mtu) => found.mtu = mtu,
            LinkAttribute::Address(mac) => found.mac = Some(mac),
            LinkAttribute::Controller(bridge) => found.bridge = Some(bridge),
            LinkAttribute::Link(lower) => found.lower = Some(lower),
            LinkAttribute::Stats64(counters) => found.counters = Some(counters),
            LinkAttribute::LinkInfo(all) => {
                found.kind = all.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::OperState(state) => {
                found.says_running = state == State::Up;
                found.is_running = found.says_running || state == State::Unknown;
            }
            _ => {}
        }
    }
    found
}
