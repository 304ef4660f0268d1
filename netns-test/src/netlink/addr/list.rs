//! The addresses of a namespace.

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};

use crate::addr::cidr::Cidr;
use crate::error::Failure;
use crate::netlink::Netlink;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    /// The index of the interface.
    pub(crate) index: u32,
    pub(crate) cidr: Cidr,
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
    Some(Address { index, cidr: Cidr::new(local.or(any)?, prefix).ok()? })
}
