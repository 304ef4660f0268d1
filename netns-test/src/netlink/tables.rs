//! What the kernel says of the addresses and the neighbours of a namespace, and how to put routes back.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol};

use super::{Netlink, Request, state};
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

    /// All routes of both families that somebody has added, and not the kernel itself: as requests that
    /// add them again. First those that lead to no gateway: the others may need them.
    pub(crate) fn added_routes(&self) -> Result<Vec<Again>, Failure> {
        let all = self.route_messages()?.into_iter();
        let mut found: Vec<Again> = all.filter(is_added).map(again).collect();
        found.sort_by_key(|route| route.has_gateway);
        Ok(found)
    }
}

/// A route that can be added again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Again {
    pub(crate) destination: (IpAddr, u8),
    /// The interface; none for one that leads nowhere, or several ways.
    pub(crate) index: Option<u32>,
    has_gateway: bool,
    message: RouteMessage,
}

impl Again {
    /// Adds it, or takes the place of the one to the same destination.
    pub(crate) fn add(&self) -> Request {
        let message = RouteNetlinkMessage::NewRoute(self.message.clone());
        Request::new("add", "a route again", message, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Adds it where there is none to the same destination.
    pub(crate) fn add_if_none(&self) -> Request {
        let message = RouteNetlinkMessage::NewRoute(self.message.clone());
        Request::new("add", "a route again", message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes this very one away.
    pub(crate) fn remove(&self) -> Request {
        let message = RouteNetlinkMessage::DelRoute(self.message.clone());
        Request::new("remove", "a route", message, 0)
    }
}

/// A kernel without IPv6 tells of all that it has instead.
fn is_added(route: &RouteMessage) -> bool {
    route.header.table != RT_TABLE_LOCAL
        && !matches!(route.header.protocol, RouteProtocol::Kernel | RouteProtocol::Ra)
}

fn again(mut message: RouteMessage) -> Again {
    // What is told of a route, and is no part of it.
    message.header.flags = RouteFlags::empty();
    message.attributes.retain(|one| !matches!(one, RouteAttribute::CacheInfo(_)));
    let is_gateway =
        |one: &RouteAttribute| matches!(one, RouteAttribute::Gateway(_) | RouteAttribute::Via(_));
    let told = state::route(message.clone());
    Again {
        destination: told.destination,
        index: told.index,
        has_gateway: message.attributes.iter().any(is_gateway),
        message,
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
