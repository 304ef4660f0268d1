//! The requests that create, change and delete links. An interface is referred to by the index that
//! it was created with, so that no request waits for the answer to another one.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};

use crate::netlink::Request;
use crate::netlink::link::kind::{Kind, New};

/// Creates a link. It is up, unless it is the end of a veth pair: those are set up when both nodes
/// are.
pub(crate) fn create(object: String, own: New<'_>, kind: Kind<'_>) -> Request {
    let mut message = kind.message(own);
    if !matches!(kind, Kind::Veth { .. }) {
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
    }
    let message = RouteNetlinkMessage::NewLink(message);
    Request::new("create", object, message, NLM_F_CREATE | NLM_F_EXCL)
}

/// Sets an interface up or down, after making it a port of `bridge`.
pub(crate) fn set_up(object: String, index: u32, up: bool, bridge: Option<u32>) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    message.attributes.extend(bridge.map(LinkAttribute::Controller));
    Request::new("set up", object, RouteNetlinkMessage::SetLink(message), 0)
}

/// Keeps the kernel from giving an interface a link-local address when it comes up.
pub(crate) fn without_link_local(object: String, index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![mode]));
    Request::new("configure", object, RouteNetlinkMessage::SetLink(message), 0)
}

/// Moves an interface to another namespace, under a name that is free there. It keeps its index,
/// unless that is taken there. It is set down, and loses its addresses, its routes, and the links
/// on top of it.
pub(crate) fn move_to(object: String, index: u32, there: BorrowedFd<'_>, name: &str) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes =
        vec![LinkAttribute::NetNsFd(there.as_raw_fd()), LinkAttribute::IfName(name.to_owned())];
    Request::new("move", object, RouteNetlinkMessage::SetLink(message), 0)
}

/// Deletes a link, with the other end of a veth pair.
pub(crate) fn delete(object: String, index: u32) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    Request::new("delete", object, RouteNetlinkMessage::DelLink(message), 0)
}
