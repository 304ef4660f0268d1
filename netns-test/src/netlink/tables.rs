//! What the kernel says of the addresses and the neighbours of a namespace.

use std::net::IpAddr;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use crate::error::Failure;
use crate::netlink::Netlink;

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
