//! The requests that add and remove rules: those with which a node drops packets by their source.

use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::netlink::Request;

/// Returns the request to drop all packets from `source` silently, or with `on` false, to allow
/// them again.
pub(crate) fn block(object: String, source: IpAddr, on: bool) -> Request {
    let mut message = rule(source, BLOCKED);
    message.header.src_len = if source.is_ipv4() { 32 } else { 128 };
    message.header.action = RuleAction::Blackhole;
    message.attributes.push(RuleAttribute::Source(source));
    if on {
        let message = RouteNetlinkMessage::NewRule(message);
        return Request::new("block", object, message, NLM_F_CREATE | NLM_F_EXCL);
    }
    Request::new("let in", object, RouteNetlinkMessage::DelRule(message), 0)
}

/// Moves the rule for the table `local` behind those of [`block`], or back to the kernel's priority
/// 0.
pub(crate) fn make_room_for_blocks(object: &str, of_family: IpAddr, room: bool) -> [Request; 2] {
    let local = |priority| {
        let mut message = rule(of_family, priority);
        message.header.action = RuleAction::ToTable;
        message.header.table = LOCAL_TABLE;
        message
    };
    let (new, old) = if room { (BLOCKED + 1, FIRST_RULE) } else { (FIRST_RULE, BLOCKED + 1) };
    // The new rule is added first, so that there is always one.
    let add = RouteNetlinkMessage::NewRule(local(new));
    let remove = RouteNetlinkMessage::DelRule(local(old));
    [
        Request::new("add a rule to", object, add, NLM_F_CREATE | NLM_F_EXCL),
        Request::new("remove a rule of", object, remove, 0),
    ]
}

/// The priority of the kernel's rule for packets for the node itself.
const FIRST_RULE: u32 = 0;

/// The priority of the rules that block.
const BLOCKED: u32 = 1;

/// `RT_TABLE_LOCAL`.
const LOCAL_TABLE: u8 = 255;

fn rule(of_family: IpAddr, priority: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family =
        if of_family.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes.push(RuleAttribute::Priority(priority));
    message
}
