//! The requests that add and remove addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};

use crate::addr::cidr::Cidr;
use crate::netlink::Request;

/// Adds an address to an interface. It is usable at once, without DAD: a lab has no duplicates.
pub(crate) fn add(object: String, index: u32, cidr: Cidr) -> Request {
    let message = address_message(index, cidr);
    let message = RouteNetlinkMessage::NewAddress(message);
    Request::new("add", object, message, NLM_F_CREATE | NLM_F_EXCL)
}

/// Removes an address.
pub(crate) fn remove(object: String, index: u32, cidr: Cidr) -> Request {
    let message = address_message(index, cidr);
    Request::new("remove", object, RouteNetlinkMessage::DelAddress(message), 0)
}

fn address_message(index: u32, cidr: Cidr) -> AddressMessage {
    let (address, prefix) = (cidr.address(), cidr.prefix());
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
