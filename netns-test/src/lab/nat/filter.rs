//! Which packets from outside a NAT lets in, and what never leaves it.

use crate::lab::nat::firewall::REJECTED;
use crate::lab::nat::sets::{ICMP, MAPPED, OneNat, TCP, WITH_PORTS};
use crate::lab::topology::nat::model::{Filtering, Ipv6Nat};
use crate::netlink::nft::expression::{Flow, Header, Meta};
use crate::netlink::nft::rule::{DESTINATION_NAT, Found, INVALID, Local, NEW};
use crate::netlink::nft::{Batch, Hook, Rule};
use crate::netlink::nft_drops;
use crate::netlink::nft_drops::Noted;

/// Before firewalls (0).
const PRIORITY: i32 = -10;

pub(super) fn add(batch: &mut Batch, nats: &[OneNat<'_>]) {
    batch.base_chain("nat-forward", "filter", Hook::Forward, PRIORITY);
    batch.base_chain("nat-output", "filter", Hook::Output, PRIORITY);
    let answer = Rule::new("nat: the answer of a firewall").mark(REJECTED);
    batch.rule("nat-output", &answer.accept());
    for nat in nats {
        add_ipv6(batch, nat);
        add_ipv4(batch, nat);
        add_silence(batch, nat);
    }
}

/// Returns the rule by which a firewall lets packets to leased ports in (RFC 6887, section 1).
pub(super) fn leased(nat: &OneNat<'_>) -> Option<Rule> {
    nat.nat.port_mapping.as_ref()?;
    let rule = nat.rule("allow in: a leased port").family(4).from(&nat.nat.outside).state(NEW);
    let rule = rule.meta(Meta::Protocol, 0).flow(Flow::DestinationPort, Some(0), 1);
    Some(rule.find(Found { set: &nat.names.leases, key: 0, data: 2 }).accept())
}

fn add_ipv4(batch: &mut Batch, nat: &OneNat<'_>) {
    let (outside, names, chain) = (nat.nat.outside.as_str(), &nat.names, "nat-forward");
    // What is no packet of a flow would leave with its inside address.
    let rule = nat.rule("drop out: of no flow").family(4).to(outside).state(INVALID);
    batch.rule(chain, &rule.counted().drop());
    let start = |text: &str| nat.rule(text).family(4).from(outside);
    let new = |text: &str| start(text).state(NEW);
    let rule = new("drop in: to an inside address").status_without(DESTINATION_NAT);
    add_drop(batch, chain, &rule, Noted::Packet);
    let rule = start("drop in: of no flow").state(INVALID);
    batch.rule(chain, &rule.counted().drop());
    if nat.has_one_to_one() {
        let rule = new("allow in: 1:1").flow(Flow::DestinationIpv4, Some(0), 0);
        let rule = rule.find(Found { set: &names.inside_of, key: 0, data: 1 });
        batch.rule(chain, &rule.accept());
    }
    for forwards in nat.forwards() {
        let rule = new("allow in: a forwarded port").meta(Meta::Protocol, 0);
        let rule = rule.flow(Flow::DestinationPort, Some(0), 1);
        let rule = rule.find(Found { set: forwards.inward, key: 0, data: 2 });
        batch.rule(chain, &rule.accept());
    }
    match nat.nat.filtering {
        Filtering::EndpointIndependent => return,
        Filtering::AddressDependent => {
            let rule = new("allow in: from an address that was sent to")
                .payload(Header::Network, 16, 4, 0)
                .meta(Meta::Protocol, 1)
                .payload(Header::Transport, 2, 2, 2)
                .payload(Header::Network, 12, 4, 3);
            batch.rule(chain, &rule.in_set(&names.peers, 0).accept());
        }
        Filtering::AddressAndPortDependent => {}
    }
    let text = match nat.nat.filtering {
        Filtering::AddressDependent => "drop in: from an address that was not sent to",
        _ => "drop in: from an endpoint that was not sent to",
    };
    add_drop(batch, chain, &new(text), Noted::Packet);
}

fn add_ipv6(batch: &mut Batch, nat: &OneNat<'_>) {
    let (outside, chain) = (nat.nat.outside.as_str(), "nat-forward");
    match nat.nat.ipv6 {
        // Translated prefixes have their own chains.
        Ipv6Nat::Routed | Ipv6Nat::Prefix { .. } => {}
        Ipv6Nat::Masquerade => {
            let rule = nat.rule("drop in: ipv6 without a flow").family(6).from(outside);
            batch.rule(chain, &rule.state(NEW | INVALID).counted().drop());
            let rule = nat.rule("drop out: ipv6 of no flow").family(6).to(outside);
            batch.rule(chain, &rule.state(INVALID).counted().drop());
        }
        Ipv6Nat::Blocked => {
            let rule = nat.rule("drop in: ipv6").family(6).from(outside);
            batch.rule(chain, &rule.counted().drop());
            let rule = nat.rule("drop out: ipv6").family(6).to(outside);
            batch.rule(chain, &rule.counted().drop());
        }
    }
}

/// Packets to an external port without a mapping, on which the router itself does not listen, are
/// not answered (RFC 5382, REQ-4): an answer would end the attempt of a peer, whose packet has come
/// before that of the inside host. Those of a firewall's rule are: its flows are marked.
fn add_silence(batch: &mut Batch, nat: &OneNat<'_>) {
    let out = |rule: Rule| rule.to(&nat.nat.outside);
    let back = |rule: Rule| rule.not_local(Local::SourceOfOut);
    let mut places: Vec<&dyn Fn(Rule) -> Rule> = vec![&out];
    if nat.nat.hairpinning {
        places.push(&back);
    }
    for place in places {
        let start = || place(nat.rule("drop in: no mapping").family(4));
        // RST and ACK with sequence number 0 is the answer to a SYN.
        let reset = start().protocol(TCP).bytes(Header::Transport, 13, &[0x14]);
        let reset = reset.bytes(Header::Transport, 4, &[0; 4]);
        add_drop(batch, "nat-output", &reset, Noted::Question);
        let unreachable = start().protocol(ICMP).bytes(Header::Transport, 0, &[3, 3]);
        add_drop(batch, "nat-output", &unreachable, Noted::Quoted);
    }
}

/// Adds a rule that drops packets of IPv4, and one before it that notes them.
fn add_drop(batch: &mut Batch, chain: &str, start: &Rule, what: Noted) {
    let protocols =
        start.clone().protocol_in(if what == Noted::Quoted { MAPPED } else { WITH_PORTS });
    batch.rule(chain, &nft_drops::note(protocols, 4, what));
    batch.rule(chain, &start.clone().counted().drop());
}
