//! Translation of the first packet of each flow; the kernel does the same with all others.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use crate::lab::nat::sets::{MAPPED, OneNat, WITH_PORTS};
use crate::lab::topology::nat::model::{Ipv6Nat, Mapping};
use crate::netlink::nft::expression::{Compare, Flow, Header, Meta, Register};
use crate::netlink::nft::rule::{DESTINATION_NAT, Found, Local};
use crate::netlink::nft::{Batch, Hook, Rule};

/// `NF_IP_PRI_NAT_DST`, `NF_IP_PRI_NAT_SRC`
const DESTINATION: i32 = -100;
const SOURCE: i32 = 100;

/// Registers of an external endpoint: address, protocol, port.
const ADDRESS: Register = 12;
const PROTOCOL: Register = 13;
const PORT: Register = 14;

/// Random ports that are tried, as numbers of jumps and of rules: in a range of many ports, in one
/// of others, and in one of few, of which all are tried after that.
const MANY: (u32, &[usize]) = (4096, &[8, 8, 16]);
const OTHER: &[usize] = &[8, 16];
const FEW: (u32, &[usize]) = (64, &[32]);

/// Origin of a source's external address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum External {
    /// Interface that the packet goes out by.
    Interface,
    /// Address that the packet was sent to, in a hairpin.
    Hairpin,
    /// Mapping that the source has already, or the planned address of the interface: in a hairpin
    /// to a 1:1 address, which is not the source's.
    Plan,
    /// Pool.
    Pool,
}

pub(super) fn add(batch: &mut Batch, nats: &[OneNat<'_>]) {
    batch.base_chain("translate-in", "nat", Hook::Prerouting, DESTINATION);
    nats.iter().for_each(|nat| add_inward(batch, nat));
    batch.base_chain("translate-out", "nat", Hook::Postrouting, SOURCE);
    nats.iter().for_each(|nat| add_outward(batch, nat));
}

/// External endpoint to inside endpoint.
fn add_inward(batch: &mut Batch, nat: &OneNat<'_>) {
    let (names, chain) = (&nat.names, "translate-in");
    let from_outside = |text: &str| nat.rule(text).family(4).from(&nat.nat.outside);
    let from_inside = |text: &str| {
        let rule = nat.outsides.iter().fold(nat.rule(text), |rule, name| rule.not_from(name));
        let rule = rule.family(4);
        nat.mark().map_or(rule.clone(), |mark| rule.set_mark(mark))
    };
    let mut starts: Vec<(Rule, bool)> = vec![(from_outside("to the inside"), false)];
    if nat.nat.hairpinning {
        starts.push((from_inside("back to the inside"), true));
    }
    for (start, is_hairpin) in starts {
        if nat.has_one_to_one() {
            let rule = start.clone().payload(Header::Network, 16, 4, 0);
            let rule = rule.find(Found { set: &names.inside_of, key: 0, data: 1 });
            batch.rule(chain, &rule.destination(1, None));
        }
        let start = start.protocol_in(WITH_PORTS);
        for forwards in nat.forwards() {
            let rule = to_external(nat, start.clone(), is_hairpin).meta(Meta::Protocol, 0);
            let rule = rule.payload(Header::Transport, 2, 2, 1);
            let rule = rule.find(Found { set: forwards.inward, key: 0, data: 2 });
            batch.rule(chain, &rule.destination(2, Some(3)));
        }
        // An address that the interface has lost is another one's.
        let rule = start.local(Local::Destination);
        let rule = rule.payload(Header::Network, 16, 4, 0).meta(Meta::Protocol, 1);
        let rule = rule.payload(Header::Transport, 2, 2, 2);
        let rule = rule.find(Found { set: &names.inward, key: 0, data: 4 });
        batch.rule(chain, &rule.destination(4, Some(5)));
    }
}

/// Restricts a rule to packets to an external address of the NAT.
fn to_external(nat: &OneNat<'_>, rule: Rule, is_hairpin: bool) -> Rule {
    if nat.has_pool() {
        return rule.bytes_in(Header::Network, 16, 4, &nat.names.pool);
    }
    if is_hairpin {
        // Not to the address that the router has on the inside.
        return rule.local(Local::Destination).not_local(Local::DestinationOfIn);
    }
    rule.local(Local::DestinationOfIn)
}

/// Inside endpoint to external endpoint.
fn add_outward(batch: &mut Batch, nat: &OneNat<'_>) {
    let outside = nat.nat.outside.as_str();
    // The kernel would take another source port where the inside endpoint has a flow with the same
    // remote endpoint by another mapping.
    let inward = nat.rule("keep the source").family(4).from(outside).not_to(outside);
    let inward = inward.protocol_in(WITH_PORTS).status(DESTINATION_NAT);
    let inward = inward.flow(Flow::SourceIpv4, Some(0), 0).flow(Flow::SourcePort, Some(0), 1);
    batch.rule("translate-out", &inward.source(0, Some(1)));
    let external = if nat.has_pool() { External::Pool } else { External::Interface };
    let map = format!("map-{}", nat.index);
    add_mapping(batch, nat, &map, external);
    let out = nat.rule("to the outside").forwarded().not_from(outside).to(outside);
    batch.rule("translate-out", &out.clone().family(4).jump(&map));
    if nat.nat.hairpinning {
        let back = if nat.has_pool() { map } else { format!("hairpin-{}", nat.index) };
        if !nat.has_pool() {
            add_mapping(batch, nat, &back, External::Hairpin);
        }
        let rule = nat.inside(nat.rule("back to the inside").family(4).forwarded());
        let rule = rule.status(DESTINATION_NAT);
        let rule = nat.mark().map_or(rule.clone(), |mark| rule.mark(mark));
        if nat.has_one_to_one() && !nat.has_pool() {
            let own = format!("hairpin-1:1-{}", nat.index);
            add_mapping(batch, nat, &own, External::Plan);
            let rule = rule.clone().flow(Flow::DestinationIpv4, Some(0), 0);
            let rule = rule.find(Found { set: &nat.names.inside_of, key: 0, data: 1 });
            batch.rule("translate-out", &rule.jump(&own));
        }
        batch.rule("translate-out", &rule.jump(&back));
    }
    if nat.nat.ipv6 == Ipv6Nat::Masquerade {
        let rule = out.family(6);
        let keeps = nat.nat.port_preservation;
        let rule = if keeps { rule.masquerade(None) } else { rule.masquerade_random() };
        batch.rule("translate-out", &rule);
    }
}

/// Adds a chain that translates a packet's source to its external endpoint.
fn add_mapping(batch: &mut Batch, nat: &OneNat<'_>, chain: &str, external: External) {
    let names = &nat.names;
    batch.chain(chain);
    if nat.has_one_to_one() {
        let rule = nat.rule("1:1").payload(Header::Network, 12, 4, 0);
        let rule = rule.find(Found { set: &names.external_of, key: 0, data: 1 });
        batch.rule(chain, &rule.source(1, None));
    }
    let other = nat.rule("a protocol without ports").protocol_not_in(MAPPED);
    batch.rule(chain, &plain(nat, other, external));
    for forwards in nat.forwards() {
        let rule = inner(nat.rule("the port that is forwarded"));
        let rule = rule.find(Found { set: forwards.outward, key: 0, data: 5 });
        batch.rule(chain, &to_endpoint(nat, rule, external, (5, 6)));
    }
    let rule = key(nat, inner(nat.rule("the mapping")));
    let rule = rule.find(Found { set: &names.outward, key: 0, data: 5 });
    let rule = match external {
        External::Plan => rule.source(5, Some(6)),
        _ => to_endpoint(nat, rule, external, (5, 6)),
    };
    batch.rule(chain, &rule);
    // Without an address the rules above are for packets of what has a mapping.
    if external == External::Plan && nat.address.is_none() {
        batch.rule(chain, &nat.rule("drop: no external address").counted().drop());
        return;
    }
    let none_free = || nat.rule("drop out: no free external port").counted().drop();
    if nat.nat.blocks.is_empty() {
        add_choices(batch, nat, chain, external, &nat.nat.ports);
    }
    for (number, (host, ports)) in nat.nat.blocks.iter().enumerate() {
        let own = format!("{chain}-block-{number}");
        batch.chain(&own);
        add_choices(batch, nat, &own, external, ports);
        batch.rule(&own, &none_free());
        let rule = nat.rule("the block of the host");
        batch.rule(chain, &rule.bytes(Header::Network, 12, &host.octets()).jump(&own));
    }
    // Hosts that have come later share the rest.
    if let Some((_, last)) = nat.nat.blocks.last() {
        let rest = last.end().saturating_add(1)..=*nat.nat.ports.end();
        if last.end() < rest.end() {
            add_choices(batch, nat, chain, external, &rest);
        }
    }
    batch.rule(chain, &none_free());
}

/// Adds the rules that choose a free external endpoint.
fn add_choices(
    batch: &mut Batch,
    nat: &OneNat<'_>,
    chain: &str,
    external: External,
    ports: &RangeInclusive<u16>,
) {
    let tries = format!("{chain}-tries");
    if external != External::Pool {
        let start = |text: &str| nat.rule(text).constant(&Ipv4Addr::UNSPECIFIED.octets(), ADDRESS);
        return add_tries(batch, nat, (chain, &tries), external, ports, &start);
    }
    let names = &nat.names;
    if nat.is_paired() {
        let start = |text: &str| {
            let rule = nat.rule(text).payload(Header::Network, 12, 4, 0);
            rule.find(Found { set: &names.paired, key: 0, data: ADDRESS })
        };
        let of_host = format!("{tries}-paired");
        add_tries(batch, nat, (chain, &of_host), external, ports, &start);
        let rule = start("drop out: no free port of the host's external address");
        batch.rule(chain, &rule.counted().drop());
    }
    let count = nat.nat.pool.len() as u32;
    let start = |text: &str| {
        let rule = nat.rule(text).next_number(count, ADDRESS);
        rule.find(Found { set: &names.pool_by_index, key: ADDRESS, data: ADDRESS })
    };
    add_tries(batch, nat, (chain, &tries), external, ports, &start);
}

/// Adds the rules that choose a free port of the address in a register: the inside port, then
/// random ones, in chains of a name, then all if these are few.
fn add_tries(
    batch: &mut Batch,
    nat: &OneNat<'_>,
    (chain, name): (&str, &str),
    external: External,
    ports: &RangeInclusive<u16>,
    start: &dyn Fn(&str) -> Rule,
) {
    let (first, last) = (*ports.start(), *ports.end());
    let count = u32::from(last.saturating_sub(first)) + 1;
    let end = |rule: Rule| {
        let rule = rule.meta(Meta::Protocol, PROTOCOL).not_in_set(&nat.names.ports, ADDRESS);
        let forwards = nat.forwards();
        let rule = forwards.iter().fold(rule, |rule, one| rule.not_in_set(one.reserved, PROTOCOL));
        to_endpoint(nat, rule, external, (ADDRESS, PORT))
    };
    if nat.nat.port_preservation {
        let rule = start("keep the port").flow(Flow::SourcePort, Some(0), PORT);
        let rule = rule.test(PORT, Compare::AtLeast, &first.to_be_bytes());
        batch.rule(chain, &end(rule.test(PORT, Compare::AtMost, &last.to_be_bytes())));
    }
    let tries = match count {
        count if count >= MANY.0 => MANY.1,
        count if count <= FEW.0 => FEW.1,
        _ => OTHER,
    };
    let random = end(start("a random port").random_port(first, count, PORT));
    add_repeated(batch, (chain, name), &random, tries);
    if count <= FEW.0 {
        for port in first..=last {
            batch.rule(chain, &end(start("a free port").constant(&port.to_be_bytes(), PORT)));
        }
    }
}

/// Adds a rule that jumps to chains with this name, which repeat a rule, as often as the product of
/// the numbers.
fn add_repeated(batch: &mut Batch, (chain, name): (&str, &str), rule: &Rule, numbers: &[usize]) {
    let mut rule = rule.clone();
    for (level, number) in numbers.iter().rev().enumerate() {
        let own = format!("{name}-{level}");
        batch.chain(&own);
        (0..*number).for_each(|_| batch.rule(&own, &rule));
        rule = Rule::new("nat: more random ports").jump(&own);
    }
    batch.rule(chain, &rule);
}

/// Ends a rule with the translation to an external endpoint in registers.
fn to_endpoint(
    nat: &OneNat<'_>,
    rule: Rule,
    external: External,
    (address, port): (Register, Register),
) -> Rule {
    match external {
        External::Interface => rule.masquerade(Some(port)),
        External::Hairpin => {
            let rule = rule.flow(Flow::DestinationIpv4, Some(0), address);
            rule.source(address, Some(port))
        }
        External::Plan => {
            let own = nat.address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
            rule.constant(&own, address).source(address, Some(port))
        }
        External::Pool => rule.source(address, Some(port)),
    }
}

/// Ends a rule with the translation of the address only.
fn plain(nat: &OneNat<'_>, rule: Rule, external: External) -> Rule {
    match (external, nat.nat.pool.first()) {
        (External::Pool, Some(first)) => {
            rule.constant(&first.octets(), ADDRESS).source(ADDRESS, None)
        }
        (External::Plan, _) => {
            let own = nat.address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
            rule.constant(&own, ADDRESS).source(ADDRESS, None)
        }
        (External::Hairpin, _) => {
            rule.flow(Flow::DestinationIpv4, Some(0), ADDRESS).source(ADDRESS, None)
        }
        _ => rule.masquerade(None),
    }
}

/// Loads address, protocol and port of the source.
fn inner(rule: Rule) -> Rule {
    let rule = rule.flow(Flow::SourceIpv4, Some(0), 0).meta(Meta::Protocol, 1);
    rule.flow(Flow::SourcePort, Some(0), 2)
}

/// Loads what the mapping depends on besides the source.
fn key(nat: &OneNat<'_>, rule: Rule) -> Rule {
    if nat.nat.mapping == Mapping::EndpointIndependent {
        return rule;
    }
    let rule = rule.flow(Flow::DestinationIpv4, Some(0), 3);
    if nat.nat.mapping == Mapping::AddressDependent {
        return rule;
    }
    rule.flow(Flow::DestinationPort, Some(0), 4)
}
