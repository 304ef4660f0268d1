//! Rules of a firewall.

pub(in crate::lab::nat) mod judge;

use std::net::IpAddr;

use crate::lab::plan::nat::{FirewallPlan, FirewallRulePlan};
use crate::lab::topology::nat::model::{FirewallAction, FirewallDirection};
use crate::netlink::nft::expression::Header;
use crate::netlink::nft::rule::{ESTABLISHED, INVALID, RELATED};
use crate::netlink::nft::{Batch, Element, Hook, Kind, Rule, Set};
use crate::netlink::nft_drops;
use crate::netlink::nft_drops::Noted;

/// Numbers of protocols.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Types of ICMP and ICMPv6 errors: unreachable, too big, time exceeded, parameter problem.
const ERRORS: [(u8, u8, &[u8]); 2] = [(4, ICMP, &[3, 11, 12]), (6, ICMPV6, &[1, 2, 3, 4])];
/// Types of ICMPv6 that neighbours use: discovery, and membership of groups.
const NEIGHBOURS: [u8; 8] = [130, 131, 132, 133, 134, 135, 136, 143];

/// Mark of flows that a rule rejects: the answer to a packet is of the packet's flow.
pub(super) const REJECTED: u32 = 0x4000_0000;
/// Set of the protocols with ports: TCP, UDP.
const WITH_PORTS: &str = "firewall-with-ports";

const INWARD: &str = "firewall-in";
const OUTWARD: &str = "firewall-out";

/// A firewall with the name of its node.
struct Wall<'a> {
    node: &'a str,
    plan: &'a FirewallPlan,
}

/// Returns the text of a rule of a node's firewall.
pub(super) fn text_of(node: &str, rule: &str) -> String {
    format!("firewall of {node}: {rule}")
}

/// Base chain, with what its packets have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Forward,
    Input,
    Output,
}

/// Adds the rules. Packets that `leased` matches come in, whatever the rules say about them.
pub(super) fn add(batch: &mut Batch, node: &str, plan: &FirewallPlan, leased: &[Rule]) {
    let wall = Wall { node, plan };
    wall.add_sets(batch);
    for (chain, direction) in [(OUTWARD, FirewallDirection::Out), (INWARD, FirewallDirection::In)] {
        batch.chain(chain);
        wall.add_rules(batch, chain, direction);
    }
    let is_host = plan.outside.is_empty();
    if !is_host {
        wall.add_start(batch, Place::Forward);
        leased.iter().for_each(|rule| batch.rule(Place::Forward.chain(), rule));
        for outside in &plan.outside {
            let inside = |rule: Rule, to_it: bool| {
                plan.outside.iter().fold(rule, |rule, other| match to_it {
                    true => rule.not_to(other),
                    false => rule.not_from(other),
                })
            };
            let out = inside(wall.rule("out").to(outside), false);
            batch.rule(Place::Forward.chain(), &out.jump(OUTWARD));
            let to_inside = inside(wall.rule("in").from(outside), true);
            batch.rule(Place::Forward.chain(), &to_inside.jump(INWARD));
        }
    }
    wall.add_start(batch, Place::Input);
    if is_host {
        batch.rule(Place::Input.chain(), &wall.rule("in").not_from("lo").jump(INWARD));
    }
    for outside in &plan.outside {
        batch.rule(Place::Input.chain(), &wall.rule("in").from(outside).jump(INWARD));
    }
    if is_host || plan.drops_icmp_errors {
        wall.add_start(batch, Place::Output);
    }
    if is_host {
        batch.rule(Place::Output.chain(), &wall.rule("out").not_to("lo").jump(OUTWARD));
    }
}

impl Place {
    fn chain(self) -> &'static str {
        match self {
            Self::Forward => "firewall-forward",
            Self::Input => "firewall-input",
            Self::Output => "firewall-output",
        }
    }

    fn hook(self) -> Hook {
        match self {
            Self::Forward => Hook::Forward,
            Self::Input => Hook::Input,
            Self::Output => Hook::Output,
        }
    }
}

impl Wall<'_> {
    fn rule(&self, text: &str) -> Rule {
        Rule::new(text_of(self.node, text))
    }

    /// Adds a base chain, and what holds for all packets.
    fn add_start(&self, batch: &mut Batch, place: Place) {
        let chain = place.chain();
        batch.base_chain(chain, "filter", place.hook(), 0);
        let errors = |text: &str, (version, protocol, types): (u8, u8, &[u8])| -> Vec<Rule> {
            let rule = self.rule(text).family(version).protocol(protocol);
            let of_type = |one: &u8| rule.clone().bytes(Header::Transport, 0, &[*one]);
            types.iter().map(of_type).collect()
        };
        for one in ERRORS {
            if self.plan.drops_icmp_errors {
                for rule in errors("drop icmp errors", one) {
                    batch.rule(chain, &rule.counted().drop());
                }
            } else if place != Place::Forward {
                // Those about the router's own flows are of no flow if it has a NAT.
                for rule in errors("allow icmp errors", one) {
                    batch.rule(chain, &rule.accept());
                }
            }
        }
        if place == Place::Output && !self.plan.outside.is_empty() {
            return;
        }
        let rule = self.rule("allow what belongs to a flow").state(ESTABLISHED | RELATED);
        batch.rule(chain, &rule.accept());
        let rule = self.rule("allow neighbours").family(6).protocol(ICMPV6);
        let rule = rule.bytes_in(Header::Transport, 0, 1, "neighbours");
        batch.rule(chain, &rule.accept());
    }

    fn add_sets(&self, batch: &mut Batch) {
        let set_of = |batch: &mut Batch, set: Set, elements: &[Element]| {
            batch.set(&set);
            batch.elements(&set.name, elements);
        };
        let types: Vec<_> = NEIGHBOURS.iter().map(|one| Element::key(&[&[*one]])).collect();
        set_of(batch, Set::of("neighbours", &[Kind::Protocol]), &types);
        let protocols = [TCP, UDP].map(|one| Element::key(&[&[one]]));
        set_of(batch, Set::of(WITH_PORTS, &[Kind::Protocol]), &protocols);
        for (index, rule) in self.plan.rules.iter().enumerate() {
            if !rule.ports.is_empty() {
                let set = Set::of(ports(index), &[Kind::Port]).ranges();
                set_of(batch, set, &Element::ranges_of_ports(&rule.ports));
            }
            for (side, all) in [("from", &rule.from), ("to", &rule.to)] {
                for version in [4, 6] {
                    let elements = addresses_of(all, version);
                    if !elements.is_empty() {
                        let kind = if version == 4 { Kind::Ipv4 } else { Kind::Ipv6 };
                        set_of(batch, Set::of(name(index, side, version), &[kind]), &elements);
                    }
                }
            }
        }
    }

    /// Adds the rules of a direction, and its default.
    fn add_rules(&self, batch: &mut Batch, chain: &str, direction: FirewallDirection) {
        let (number, word) = match direction {
            FirewallDirection::Out => (0, "out"),
            FirewallDirection::In => (1, "in"),
        };
        // Else a rule would decide about each segment of it alone.
        let rule = self.rule(&format!("drop {word} tcp of no connection")).protocol(TCP);
        batch.rule(chain, &rule.state(INVALID).counted().drop());
        for (index, rule) in self.plan.rules.iter().enumerate() {
            if rule.direction != direction {
                continue;
            }
            for start in self.variants(index, rule) {
                end(batch, chain, &start.numbered(index as u32), rule.action);
            }
        }
        let action = self.plan.defaults[number];
        let verb = match action {
            FirewallAction::Allow => return,
            FirewallAction::Drop => "drop",
            FirewallAction::Reject => "reject",
        };
        end(batch, chain, &self.rule(&format!("{verb} {word} all else")), action);
    }

    /// Returns the conditions of a rule: one rule, or one for each family.
    fn variants(&self, index: usize, rule: &FirewallRulePlan) -> Vec<Rule> {
        let start = self.rule(&rule.text);
        let has_family =
            rule.protocol == Some(ICMP) || !rule.from.is_empty() || !rule.to.is_empty();
        if !has_family {
            return vec![with_ports(start, index, rule)];
        }
        [4, 6].into_iter().filter_map(|version| of_family(&start, index, rule, version)).collect()
    }
}

/// Restricts a rule to a family; returns none if it cannot match there.
fn of_family(start: &Rule, index: usize, rule: &FirewallRulePlan, version: u8) -> Option<Rule> {
    let mut one = start.clone().family(version);
    let (offsets, length) = if version == 4 { ([12, 16], 4) } else { ([8, 24], 16) };
    for ((side, all), offset) in [("from", &rule.from), ("to", &rule.to)].into_iter().zip(offsets) {
        if all.is_empty() {
            continue;
        }
        if addresses_of(all, version).is_empty() {
            return None;
        }
        one = one.bytes_in(Header::Network, offset, length, &name(index, side, version));
    }
    if rule.protocol == Some(ICMP) {
        /// Types of echo requests.
        const ECHO: [(u8, u8); 2] = [(ICMP, 8), (ICMPV6, 128)];
        let (protocol, kind) = ECHO[usize::from(version == 6)];
        return Some(one.protocol(protocol).bytes(Header::Transport, 0, &[kind]));
    }
    Some(with_ports(one, index, rule))
}

/// Restricts a rule to its protocol and ports.
fn with_ports(one: Rule, index: usize, rule: &FirewallRulePlan) -> Rule {
    let one = match rule.protocol {
        Some(protocol) => one.protocol(protocol),
        None if rule.ports.is_empty() => return one,
        None => one.protocol_in(WITH_PORTS),
    };
    if rule.ports.is_empty() {
        return one;
    }
    one.bytes_in(Header::Transport, 2, 2, &ports(index))
}

/// Adds a rule with its action.
fn end(batch: &mut Batch, chain: &str, start: &Rule, action: FirewallAction) {
    match action {
        FirewallAction::Allow => batch.rule(chain, &start.clone().counted().accept()),
        FirewallAction::Drop => {
            add_notes(batch, chain, start);
            batch.rule(chain, &start.clone().counted().drop());
        }
        FirewallAction::Reject => {
            add_notes(batch, chain, start);
            let tcp = start.clone().protocol(TCP).counted();
            batch.rule(chain, &tcp.set_mark(REJECTED).reject(true));
            batch.rule(chain, &start.clone().counted().reject(false));
        }
    }
}

/// Adds rules that note the packets that the next rule drops or rejects.
fn add_notes(batch: &mut Batch, chain: &str, start: &Rule) {
    for version in [4, 6] {
        let rule = start.clone().protocol_in(WITH_PORTS).family(version);
        batch.rule(chain, &nft_drops::note(rule, version, Noted::Packet));
    }
}

fn ports(index: usize) -> String {
    format!("firewall-{index}-ports")
}

fn name(index: usize, side: &str, version: u8) -> String {
    format!("firewall-{index}-{side}-{version}")
}

fn addresses_of(all: &[IpAddr], version: u8) -> Vec<Element> {
    let element = |address: &IpAddr| match address {
        IpAddr::V4(one) if version == 4 => Some(Element::key(&[&one.octets()])),
        IpAddr::V6(one) if version == 6 => Some(Element::key(&[&one.octets()])),
        _ => None,
    };
    all.iter().filter_map(element).collect()
}
