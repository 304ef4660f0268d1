//! What the kernel says of the addresses and the neighbours of a namespace, and how to put routes back.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{Netlink, Request};
use crate::error::Failure;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    /// The index of the interface.
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl Netlink {
    /// All addresses, IPv4 before IPv6, in the kernel's order.
    pub(crate) fn addresses(&self) -> Result<Vec<Address>, Failure> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.list("addresses", request)?;
        let found = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => address(&message),
            _ => None,
        });
        Ok(found.collect())
    }

    /// Requests that add again what goes through an interface, without what the kernel adds itself.
    pub(crate) fn routes_through(
        &self,
        index: u32,
        is_ipv4: bool,
    ) -> Result<Vec<Request>, Failure> {
        let family = if is_ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let answers = self.list("routes", RouteNetlinkMessage::GetRoute(message))?;
        let is_own = |route: &RouteMessage| {
            route.header.address_family == family
                && route.header.table != RT_TABLE_LOCAL
                && !matches!(route.header.protocol, RouteProtocol::Kernel | RouteProtocol::Ra)
                && route.attributes.contains(&RouteAttribute::Oif(index))
        };
        let again = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(mut route) if is_own(&route) => {
                // What is told of a route, and is no part of it.
                route.header.flags = RouteFlags::empty();
                route.attributes.retain(|one| !matches!(one, RouteAttribute::CacheInfo(_)));
                let message = RouteNetlinkMessage::NewRoute(route);
                Some(Request::new("add", "a route again", message, NLM_F_CREATE | NLM_F_REPLACE))
            }
            _ => None,
        });
        Ok(again.collect())
    }
}

/// Whom an interface speaks to (ip-neighbour(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// The index of the interface.
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
    pub(crate) mac: Option<Vec<u8>>,
    /// `REACHABLE`, `STALE`.
    pub(crate) state: String,
}

impl Netlink {
    /// All neighbours of IPv4 and IPv6, but for groups and the node itself, who are asked for nothing.
    pub(crate) fn neighbours(&self) -> Result<Vec<Neighbour>, Failure> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answers = self.list("neighbours", request)?;
        let found = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => neighbour(&message),
            _ => None,
        });
        Ok(found.collect())
    }
}

fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
    let header = &message.header;
    if header.state == NeighbourState::Noarp {
        return None;
    }
    let all = &message.attributes;
    let address = all.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    })?;
    let mac = all.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => Some(mac.clone()),
        _ => None,
    });
    let state = format!("{:?}", header.state).to_uppercase();
    Some(Neighbour { index: header.ifindex, address, mac, state })
}

/// linux/rtnetlink.h
const RT_TABLE_LOCAL: u8 = 255;

fn address(message: &AddressMessage) -> Option<Address> {
    let all = &message.attributes;
    // Where the other end of a line has an address, `Address` is that.
    let local = all.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = all.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    let (index, prefix) = (message.header.index, message.header.prefix_len);
    local.or(any).map(|address| Address { index, address, prefix })
}
