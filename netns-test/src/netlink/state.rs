//! What the kernel says of the interfaces of a namespace.

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, State};

use super::Netlink;
use crate::error::Failure;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Vec<u8>>,
    /// Whether it was brought up.
    pub(crate) is_up: bool,
    /// Whether it can carry packets (`IF_OPER_UP`, RFC 2863), or does not say, as `lo`.
    pub(crate) is_running: bool,
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
}

fn interface(message: LinkMessage) -> Interface {
    let mut found = Interface {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        mac: None,
        is_up: message.header.flags.contains(LinkFlags::Up),
        is_running: false,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name = name,
            LinkAttribute::Mtu(mtu) => found.mtu = mtu,
            LinkAttribute::Address(mac) => found.mac = Some(mac),
            LinkAttribute::OperState(state) => {
                found.is_running = matches!(state, State::Up | State::Unknown);
            }
            _ => {}
        }
    }
    found
}
