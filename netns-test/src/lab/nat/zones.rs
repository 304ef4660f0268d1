//! Flows of the router itself are in a zone of the connection table of their own.
//!
//! A packet that comes to an external port before there is a mapping is for the router itself. Its
//! flow would take the port from a mapping that is made later (a hole punch), which would then get
//! another one. In another zone it does not.

use crate::lab::nat::sets::{OneNat, WITH_PORTS};
use crate::netlink::nft::expression::{Header, Meta};
use crate::netlink::nft::rule::{Found, Local};
use crate::netlink::nft::{Batch, Hook, Rule};

/// Zone of the router's own flows.
pub(super) const OWN: u16 = 1;

/// Before conntrack (-200), after the joining of fragments (-400).
const RAW: i32 = -300;

pub(super) fn add(batch: &mut Batch, nats: &[OneNat<'_>]) {
    batch.base_chain("zone-in", "filter", Hook::Prerouting, RAW);
    for nat in nats {
        add_of(batch, nat);
    }
    let own = Rule::new("nat: the router's own flows").family(4).protocol_in(WITH_PORTS);
    batch.rule("zone-in", &own.clone().local(Local::Destination).set_zone(OWN));
    batch.base_chain("zone-out", "filter", Hook::Output, RAW);
    batch.rule("zone-out", &own.set_zone(OWN));
}

/// Packets that are translated stay in the zone of all others.
fn add_of(batch: &mut Batch, nat: &OneNat<'_>) {
    let names = &nat.names;
    let text = "packets that are translated";
    let rule = nat.rule(text).family(4).protocol_in(WITH_PORTS);
    let known = rule
        .payload(Header::Network, 16, 4, 0)
        .meta(Meta::Protocol, 1)
        .payload(Header::Transport, 2, 2, 2)
        .find(Found { set: &names.inward, key: 0, data: 4 });
    batch.rule("zone-in", &known.accept());
    for forwards in nat.forwards() {
        let rule = nat.rule(text).family(4).protocol_in(WITH_PORTS).meta(Meta::Protocol, 0);
        let rule = rule.payload(Header::Transport, 2, 2, 1);
        let rule = rule.find(Found { set: forwards.inward, key: 0, data: 2 });
        batch.rule("zone-in", &rule.accept());
    }
    if nat.has_one_to_one() {
        let rule = nat.rule(text).family(4).payload(Header::Network, 16, 4, 0);
        let rule = rule.find(Found { set: &names.inside_of, key: 0, data: 1 });
        batch.rule("zone-in", &rule.accept());
    }
}
