//! Neighbours that have been asked for in vain: the kernel goes on to refuse packets to them for a second
//! or more after they could answer.

use std::net::IpAddr;

use rtnetlink::packet_core::NLM_F_REPLACE;
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
