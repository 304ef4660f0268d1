//! Neighbours (ip-neighbour(8)): the list, FDB entries of VXLANs, and failed ones. After a failed
//! resolution the kernel drops packets for a second or more, even if the neighbour could answer by
//! then.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::Failure;
use crate::netlink::{Netlink, Request};

impl Netlink {
    /// Resets failed resolutions on the interfaces that `meant` selects.
    ///
    /// An INCOMPLETE entry is resolved again at once. To delete it would drop the packets that wait
    /// for it, such as a SYN. A FAILED entry is deleted.
    pub(crate) fn forget_failures(&self, meant: impl Fn(u32) -> bool) -> Result<(), Failure> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answers = self.list("neighbours", request)?;
        let unanswered = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => unanswered(&message),
            _ => None,
        });
        let requests: Vec<Request> =
            unanswered.filter(|one| meant(one.index)).flat_map(Unanswered::forget).collect();
        // The neighbour may have answered meanwhile, or the interface may be gone.
        let refused = requests.chunks(2).map(|both| self.ask_all(both));
        refused.for_each(drop);
        Ok(())
    }
}

impl Netlink {
    /// Deletes the neighbours on the interface with this index, except permanent ones. They may
    /// have been learnt in another network.
    pub(crate) fn forget_neighbours(&self, index: u32) -> Result<(), Failure> {
        let all = self.neighbours()?.into_iter();
        for one in all.filter(|one| one.index == index && one.state != "PERMANENT") {
            let known = Unanswered { index, address: one.address, is_asked: false };
            let delete = RouteNetlinkMessage::DelNeighbour(known.message(NeighbourFlags::empty()));
            let object = format!("the neighbour {}", one.address);
            // It may be gone already.
            drop(self.ask_all(&[Request::new("remove", object, delete, 0)]));
        }
        Ok(())
    }
}

/// A neighbour in state INCOMPLETE or FAILED.
struct Unanswered {
    index: u32,
    address: IpAddr,
    is_asked: bool,
}

impl Unanswered {
    /// Resets the entry to NONE, which keeps its packets and stops its timer; then resolves it, or
    /// deletes it.
    fn forget(self) -> [Request; 2] {
        let object = || format!("the neighbour {}", self.address);
        let reset = RouteNetlinkMessage::NewNeighbour(self.message(NeighbourFlags::empty()));
        let last = if self.is_asked {
            let ask = RouteNetlinkMessage::NewNeighbour(self.message(NeighbourFlags::Use));
            Request::new("ask for", object(), ask, NLM_F_REPLACE)
        } else {
            let delete = RouteNetlinkMessage::DelNeighbour(self.message(NeighbourFlags::empty()));
            Request::new("remove", object(), delete, 0)
        };
        [Request::new("reset", object(), reset, NLM_F_REPLACE), last]
    }

    fn message(&self, flags: NeighbourFlags) -> NeighbourMessage {
        let mut message = entry(self.index, self.address);
        message.header.state = NeighbourState::None;
        message.header.flags = flags;
        message
    }
}

fn unanswered(message: &NeighbourMessage) -> Option<Unanswered> {
    let is_asked = match message.header.state {
        NeighbourState::Incomplete => true,
        NeighbourState::Failed => false,
        _ => return None,
    };
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((*address).into())
        }
        _ => None,
    })?;
    Some(Unanswered { index: message.header.ifindex, address, is_asked })
}

/// An entry of the neighbour table (ip-neighbour(8)).
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
    /// Lists all neighbours of IPv4 and IPv6, except those in state NOARP: groups and the node
    /// itself.
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

/// Adds a neighbour entry that the kernel neither asks for nor expires, or changes one to that.
pub(crate) fn set_permanent(
    object: String,
    (index, address): (u32, IpAddr),
    mac: [u8; 6],
) -> Request {
    let mut message = entry(index, address);
    message.header.state = NeighbourState::Permanent;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
    let message = RouteNetlinkMessage::NewNeighbour(message);
    Request::new("add", object, message, NLM_F_CREATE | NLM_F_REPLACE)
}

/// Removes a neighbour entry.
pub(crate) fn remove(object: String, index: u32, address: IpAddr) -> Request {
    let message = RouteNetlinkMessage::DelNeighbour(entry(index, address));
    Request::new("remove", object, message, 0)
}

fn entry(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family =
        if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = index;
    message.attributes = vec![NeighbourAttribute::Destination(address.into())];
    message
}

/// Adds an FDB entry that floods broadcast, unknown unicast and multicast frames to `remote`, too,
/// over the VXLAN with this index.
pub(crate) fn add_flood(object: String, index: u32, remote: IpAddr) -> Request {
    let message = RouteNetlinkMessage::NewNeighbour(flood_message(index, remote));
    Request::new("add", object, message, NLM_F_CREATE | NLM_F_APPEND)
}

/// Removes that FDB entry.
pub(crate) fn remove_flood(object: String, index: u32, remote: IpAddr) -> Request {
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
