//! A link that the doctor adds and deletes again.

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

use crate::error::Failure;
use crate::netlink::Netlink;
use crate::netlink::link::kind::{Kind, New};

/// A link. It exists until it is deleted, or its namespace ends.
#[derive(Debug)]
pub(crate) struct Link {
    name: String,
    index: u32,
}

impl Link {
    /// Adds a link. It is down.
    pub(crate) fn add(netlink: &Netlink, name: &str, kind: Kind<'_>) -> Result<Self, Failure> {
        let object = format!("link {name} ({})", kind.name());
        let request = RouteNetlinkMessage::NewLink(kind.message(New::named(name)));
        netlink.ask("add", &object, request, NLM_F_CREATE | NLM_F_EXCL)?;
        match Self::find(netlink, name) {
            Ok(link) => Ok(link),
            Err(failure) => {
                // Without its index the link cannot be deleted later. The first failure is the
                // informative one.
                delete(netlink, named(name), name).ok();
                Err(failure)
            }
        }
    }

    /// Finds the link of this name.
    pub(crate) fn find(netlink: &Netlink, name: &str) -> Result<Self, Failure> {
        let (step, object) = ("find", format!("link {name}"));
        let request = RouteNetlinkMessage::GetLink(named(name));
        let answers = netlink.ask(step, &object, request, 0)?;
        let index = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link.header.index),
            _ => None,
        });
        match index {
            Some(index) => Ok(Self { name: name.to_owned(), index }),
            None => Err(Failure::new(step, object, "the kernel's answer does not describe it")),
        }
    }

    /// Deletes the link, with the links on top of it, and the other end of a veth pair.
    pub(crate) fn delete(self, netlink: &Netlink) -> Result<(), Failure> {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        delete(netlink, message, &self.name)
    }

    /// Returns its index.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Returns a message about the link of this name.
fn named(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message
}

fn delete(netlink: &Netlink, message: LinkMessage, name: &str) -> Result<(), Failure> {
    let object = format!("link {name}");
    netlink.ask("delete", &object, RouteNetlinkMessage::DelLink(message), 0)?;
    Ok(())
}
