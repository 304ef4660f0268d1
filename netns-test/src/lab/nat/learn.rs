//! Mappings are learned from packets after their translation, and refreshed by each one.
//!
//! That is done behind the translation, where the external port is known, and in a chain that sees
//! all packets, not only the first one of a flow.

use std::time::Duration;

use crate::lab::nat::sets::{ICMP, MAPPED, OneNat, TCP, UDP, WITH_PORTS};
use crate::lab::nat::zones::OWN;
use crate::lab::topology::nat::model::Mapping;
use crate::netlink::nft::expression::{Compare, Flow, Header, Meta, Register};
use crate::netlink::nft::rule::{DESTINATION_NAT, ESTABLISHED, Found, NEW, SOURCE_NAT};
use crate::netlink::nft::{Batch, Hook, Rule};

/// After the translation (100).
const PRIORITY: i32 = 110;

/// Registers: inside endpoint with protocol, remote endpoint, external endpoint as data.
const INNER: Register = 0;
const REMOTE: Register = 3;
const EXTERNAL: Register = 5;
/// External endpoint with protocol as a key, inside endpoint as its data, and the key again without
/// the address if that is the interface's.
const KEY: Register = 7;
const DATA: Register = 10;
const PORTS: Register = 12;

pub(super) fn add(batch: &mut Batch, nats: &[OneNat<'_>]) {
    batch.base_chain("learn", "filter", Hook::Postrouting, PRIORITY);
    for nat in nats {
        let [outward, inward] =
            [0, 1].map(|side| format!("learn-{}-{}", ["out", "in"][side], nat.index));
        add_chain(batch, nat, &outward, 0);
        add_chain(batch, nat, &inward, 1);
        add_jumps(batch, nat, &outward, &inward);
        add_own(batch, nat);
    }
}

/// Adds the rules that lead packets to the chains for flows that an inside host (0) or an outside
/// host (1) has started.
fn add_jumps(batch: &mut Batch, nat: &OneNat<'_>, outward: &str, inward: &str) {
    let outside = nat.nat.outside.as_str();
    let mut jump = |rule: Rule, is_outward: bool| {
        let (protocols, chain) = if is_outward { (MAPPED, outward) } else { (WITH_PORTS, inward) };
        batch.rule("learn", &rule.protocol_in(protocols).jump(chain));
    };
    let rule = nat.rule("learn from packets to the outside").family(4).forwarded();
    let rule = rule.not_from(outside).to(outside);
    jump(rule.clone().direction(0), true);
    jump(rule.direction(1).status(DESTINATION_NAT), false);
    if nat.nat.inbound_refresh {
        let rule = nat.rule("refresh by packets from the outside").family(4);
        let rule = rule.from(outside).not_to(outside);
        jump(rule.clone().direction(1), true);
        jump(rule.direction(0).status(DESTINATION_NAT), false);
    }
    if nat.nat.hairpinning {
        let rule = nat.inside(nat.rule("learn from hairpins").family(4).forwarded());
        let rule = rule.status(SOURCE_NAT | DESTINATION_NAT);
        let rule = nat.mark().map_or(rule.clone(), |mark| rule.mark(mark));
        jump(rule.clone(), true);
        jump(rule, false);
    }
}

/// Keeps ports that the router itself uses from mappings.
fn add_own(batch: &mut Batch, nat: &OneNat<'_>) {
    let rule = nat.rule("the router's own ports").family(4).to(&nat.nat.outside);
    let rule = rule.zone(OWN).protocol_in(WITH_PORTS);
    let rule = if nat.has_pool() {
        rule.payload(Header::Network, 12, 4, PORTS)
    } else {
        rule.constant(&[0; 4], PORTS)
    };
    let rule = rule.meta(Meta::Protocol, PORTS + 1).payload(Header::Transport, 0, 2, PORTS + 2);
    let timeout = seconds(nat.nat.timeouts.udp);
    batch.rule("learn", &rule.update(&nat.names.ports, PORTS, None, timeout));
}

/// Adds a chain that learns the mapping of a flow, whose inside endpoint is the source of the first
/// packets (`side` 0), or of the answers (1).
fn add_chain(batch: &mut Batch, nat: &OneNat<'_>, chain: &str, side: u8) {
    batch.chain(chain);
    if nat.has_one_to_one() {
        let rule = nat.rule("1:1 has no mappings").flow(Flow::SourceIpv4, Some(side), 0);
        let rule = rule.find(Found { set: &nat.names.external_of, key: 0, data: 1 });
        batch.rule(chain, &rule.back());
    }
    if nat.nat.port_mapping.is_some() {
        // Its port is free when the lease ends.
        let rule = nat.rule("a leased port is no mapping");
        let rule = rule.flow(Flow::SourceIpv4, Some(side), INNER).meta(Meta::Protocol, INNER + 1);
        let rule = rule.flow(Flow::SourcePort, Some(side), INNER + 2);
        let found = Found { set: &nat.names.leases_back, key: INNER, data: EXTERNAL };
        batch.rule(chain, &rule.find(found).back());
    }
    let times = nat.nat.timeouts;
    let mut add = |rule: Rule, time: (u8, u32)| {
        learn(nat, &rule, time, side).iter().for_each(|rule| batch.rule(chain, rule));
    };
    add(nat.rule("udp"), (UDP, times.udp));
    // The kernel has started the flow's own time-out anew already, by its state.
    let (short, long) = (
        times.tcp_transitory.min(times.tcp_established),
        times.tcp_transitory.max(times.tcp_established),
    );
    let limit = short.saturating_mul(1000);
    for (how, time) in [(Compare::Above, long), (Compare::AtMost, short)] {
        let tcp = nat.rule("tcp").expires_in(how, limit);
        add(tcp, (TCP, time));
    }
    if side == 0 {
        // Not an error, which is related to a flow of any protocol.
        add(nat.rule("icmp").state(NEW | ESTABLISHED), (ICMP, times.icmp));
    }
}

/// Ends a rule for a protocol with the update of all sets.
fn learn(nat: &OneNat<'_>, start: &Rule, (protocol, time): (u8, u32), side: u8) -> Vec<Rule> {
    let (names, here, there) = (&nat.names, Some(side), Some(1 - side));
    let rule = start.clone().protocol(protocol);
    let is_icmp = protocol == ICMP;
    let external_port = if is_icmp { Flow::SourcePort } else { Flow::DestinationPort };
    let endpoint = |rule: Rule, address: Register, port: Register| {
        rule.flow(Flow::DestinationIpv4, there, address).flow(external_port, there, port)
    };
    let mut rule = rule
        .flow(Flow::SourceIpv4, here, INNER)
        .meta(Meta::Protocol, INNER + 1)
        .flow(Flow::SourcePort, here, INNER + 2)
        .flow(Flow::DestinationIpv4, here, REMOTE);
    if nat.nat.mapping == Mapping::AddressAndPortDependent {
        rule = rule.flow(Flow::DestinationPort, here, REMOTE + 1);
    }
    rule = endpoint(rule, EXTERNAL, EXTERNAL + 1);
    rule = endpoint(rule, KEY, KEY + 2).meta(Meta::Protocol, KEY + 1);
    rule = rule.flow(Flow::SourceIpv4, here, DATA).flow(Flow::SourcePort, here, DATA + 1);
    rule = endpoint(rule, PORTS, PORTS + 2).meta(Meta::Protocol, PORTS + 1);
    if !nat.has_pool() {
        rule = rule.constant(&[0; 4], PORTS);
    }
    let timeout = seconds(time);
    let mut rules = Vec::new();
    if side == 1 && nat.nat.mapping != Mapping::EndpointIndependent {
        // A packet from outside keeps the mapping to its source, if there is one. It makes none,
        // which could be another one than that of a flow from inside that the kernel knows.
        let known = rule.clone().find(Found { set: &names.outward, key: INNER, data: EXTERNAL });
        rules.push(known.update(&names.outward, INNER, Some(EXTERNAL), timeout));
    } else {
        rule = rule.update(&names.outward, INNER, Some(EXTERNAL), timeout);
    }
    rule = rule.update(&names.inward, KEY, Some(DATA), timeout).update(
        &names.ports,
        PORTS,
        None,
        timeout,
    );
    if nat.has_peers() && !is_icmp {
        rule = rule.update(&names.peers, INNER, None, timeout);
    }
    if nat.is_paired() {
        let times = nat.nat.timeouts;
        let most = [times.udp, times.tcp_established, times.tcp_transitory, times.icmp];
        let most = most.into_iter().max().unwrap_or(time);
        rule = rule.update(&names.paired, INNER, Some(EXTERNAL), seconds(most));
    }
    rules.push(rule);
    rules
}

fn seconds(time: u32) -> Duration {
    Duration::from_secs(u64::from(time))
}
