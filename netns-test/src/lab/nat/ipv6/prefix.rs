//! Translation of IPv6 prefixes (RFC 6296), without state.
//!
//! The kernel has no expression that adds, so that the translated words are in maps: one element a
//! subnet, or an address where the word that keeps the checksum is below the subnet's bits. The
//! rules write addresses into packets before and after connections are looked up, so that these,
//! and firewalls, see inside addresses. No checksum changes, that of ICMPv6 errors included, which
//! contain a header of the inside.

use std::net::IpAddr;

use crate::addr::cidr::Subnet;
use crate::lab::nat::sets::OneNat;
use crate::lab::topology::nat::model::Ipv6Nat;
use crate::netlink::nft::expression::{Compare, Header, Register};
use crate::netlink::nft::rule::Found;
use crate::netlink::nft::{Batch, Element, Hook, Kind, Rule, Set};

/// Before conntrack (-200), after the joining of fragments (-400).
const RAW: i32 = -300;
/// After the translation of sources (100).
const LAST: i32 = 300;

const ICMPV6: u8 = 58;
/// Highest type of an ICMPv6 error.
const LAST_ERROR: u8 = 127;

/// Offsets of source and destination in an IPv6 header, and that of the header in an ICMPv6 error.
const SOURCE: u32 = 8;
const DESTINATION: u32 = 24;
const QUOTED: u32 = 8;

/// Registers of an address and of its translation.
const KEY: Register = 0;
const DATA: Register = 4;

pub(crate) fn add(batch: &mut Batch, nats: &[OneNat<'_>]) {
    let own = || nats.iter().filter(|nat| !nat.nat.prefixes.is_empty());
    if own().next().is_none() {
        return;
    }
    own().for_each(|nat| add_maps(batch, nat));
    batch.base_chain("prefix-in", "filter", Hook::Prerouting, RAW);
    own().for_each(|nat| add_inward(batch, nat));
    batch.base_chain("prefix-out", "filter", Hook::Postrouting, LAST);
    own().for_each(|nat| add_outward(batch, nat));
}

fn add_maps(batch: &mut Batch, nat: &OneNat<'_>) {
    let kinds: &[Kind] = match length(nat) {
        8 => &[Kind::Integer, Kind::Integer],
        _ => &[Kind::Ipv6],
    };
    let element = |from: &Subnet, to: &Subnet| {
        let [from, to] = [from, to].map(|one| octets(*one)[..length(nat) as usize].to_vec());
        Element::key(&[&from]).to(&[&to])
    };
    let pairs = &nat.nat.prefixes;
    let inward: Vec<Element> = pairs.iter().map(|(inside, out)| element(out, inside)).collect();
    let outward: Vec<Element> = pairs.iter().map(|(inside, out)| element(inside, out)).collect();
    for (name, elements) in [(to_inside(nat), inward), (to_outside(nat), outward)] {
        batch.set(&Set::of(&*name, kinds).to(kinds));
        batch.elements(&name, &elements);
    }
}

fn add_inward(batch: &mut Batch, nat: &OneNat<'_>) {
    let (chain, network) = ("prefix-in", Header::Network);
    let start = |text: &str| nat.rule(text).family(6).from(&nat.nat.outside);
    let error = error(start("the source in an error"));
    batch.rule(chain, &translate(nat, error, Header::Transport, QUOTED + SOURCE, true));
    let rule = translate(nat, start("to the inside"), network, DESTINATION, true);
    batch.rule(chain, &rule.accept());
    let rule = find(nat, start("drop in: to an inside address"), network, DESTINATION, false);
    batch.rule(chain, &rule.counted().drop());
    if let Ipv6Nat::Prefix { outside, .. } = nat.nat.ipv6 {
        let rule = start("drop in: to no inside address");
        let rule = rule.prefix(network, DESTINATION, &octets(outside), outside.prefix());
        batch.rule(chain, &rule.counted().drop());
    }
}

fn add_outward(batch: &mut Batch, nat: &OneNat<'_>) {
    let (chain, outside) = ("prefix-out", nat.nat.outside.as_str());
    let start = |text: &str| nat.rule(text).family(6).to(outside);
    let error = error(start("the destination in an error"));
    batch.rule(chain, &translate(nat, error, Header::Transport, QUOTED + DESTINATION, false));
    let forwarded = |text: &str| start(text).forwarded().not_from(outside);
    let rule = forwarded("to the outside");
    let rule = translate(nat, rule, Header::Network, SOURCE, false);
    batch.rule(chain, &rule.accept());
    let rule = forwarded("drop out: ipv6 without an external address");
    batch.rule(chain, &rule.counted().drop());
}

fn error(rule: Rule) -> Rule {
    let rule = rule.protocol(ICMPV6).payload(Header::Transport, 0, 1, KEY);
    rule.test(KEY, Compare::AtMost, &[LAST_ERROR])
}

/// Ends a rule with the translation of an address.
fn translate(nat: &OneNat<'_>, rule: Rule, header: Header, offset: u32, is_inward: bool) -> Rule {
    let rule = find(nat, rule, header, offset, is_inward);
    rule.write(header, offset, length(nat), DATA)
}

/// Restricts a rule to packets with an address that is translated.
fn find(nat: &OneNat<'_>, rule: Rule, header: Header, offset: u32, is_inward: bool) -> Rule {
    let map = if is_inward { to_inside(nat) } else { to_outside(nat) };
    let rule = rule.payload(header, offset, length(nat), KEY);
    rule.find(Found { set: &map, key: KEY, data: DATA })
}

fn to_inside(nat: &OneNat<'_>) -> String {
    format!("prefix-in-{}", nat.index)
}

fn to_outside(nat: &OneNat<'_>) -> String {
    format!("prefix-out-{}", nat.index)
}

/// Returns how many bytes of an address are translated: the subnet's, or all.
fn length(nat: &OneNat<'_>) -> u32 {
    nat.nat.prefixes.first().map_or(16, |(inside, _)| u32::from(inside.prefix() / 8))
}

fn octets(subnet: Subnet) -> [u8; 16] {
    match subnet.network() {
        IpAddr::V6(network) => network.octets(),
        IpAddr::V4(network) => network.to_ipv6_mapped().octets(),
    }
}
