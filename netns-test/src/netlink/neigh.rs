//! Neighbours that have been asked for in vain: the kernel goes on to refuse packets to them for a second
//! or more after they could answer.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::error::Failure;
use crate::netlink::{Netlink, Request};

impl Netlink {
    /// Forgets, on the interfaces that are `meant`, that neighbours have not answered.
    ///
    /// One that is still asked for (INCOMPLETE) is asked for anew, at once. To delete that entry would
    /// refuse the packets that wait for the answer, such as those of a connection that is being made. One
    /// that has been given up (FAILED) goes.
    pub(crate) fn forget_failures(&self, meant: impl Fn(u32) -> bool) -> Result<(), Failure> {
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answers = self.list("neighbours", request)?;
        let unanswered = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => unanswered(&message),
            _ => None,
        });
        let requests: Vec<Request> =
            unanswered.filter(|one| meant(one.index)).flat_map(Unanswered::forget).collect();
        // An answer may have come meanwhile, or the interface be gone.
        let refused = requests.chunks(2).map(|both| self.ask_all(both));
        refused.for_each(drop);
        Ok(())
    }
}

/// A neighbour that has not answered.
struct Unanswered {
    index: u32,
    address: IpAddr,
    is_asked: bool,
}

impl Unanswered {
    /// Takes the entry back to where nothing has been asked, with its packets and without a timer; then asks,
    /// or deletes it.
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
        let mut message = NeighbourMessage::default();
        message.header.family =
            if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.ifindex = self.index;
        message.header.state = NeighbourState::None;
        message.header.flags = flags;
        message.attributes = vec![NeighbourAttribute::Destination(self.address.into())];
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

/// Has frames for everybody go to `remote`, too, over the VXLAN with this index.
pub(crate) fn add_flood(object: String, index: u32, remote: IpAddr) -> Request {
    let message = RouteNetlinkMessage::NewNeighbour(flood_message(index, remote));
    Request::new("add", object, message, NLM_F_CREATE | NLM_F_APPEND)
}

/// Has them go there no more.
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
