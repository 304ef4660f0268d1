//! The first packet of a flow and the answer to it, through NATs and firewalls. Pure.
//!
//! Each node handles the packet as its kernel does: destinations are translated before the routing
//! decision, sources after it, and firewalls see the inside addresses.

use std::net::IpAddr;

use crate::lab::plan::nat::exposure::Exposure;
use crate::lab::plan::nat::realms::Border;
use crate::lab::plan::nat::{FirewallPlan, FirewallRulePlan, NatPlan};
use crate::lab::plan::routes::outcome::{PathOutcome, Translation};
use crate::lab::plan::{NodePlan, Plan};
use crate::lab::topology::NodeKind;
use crate::lab::topology::nat::model::{FirewallAction, FirewallDirection};

/// Source and destination of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

impl Packet {
    fn answer(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }
}

/// A hop of a packet: node, outgoing interface, and a translation there.
pub(crate) type Step = (usize, Option<usize>, Option<Translation>);

/// A flow of packets of some protocol.
#[derive(Debug)]
pub(crate) struct Flow<'a> {
    plan: &'a Plan,
    /// Exposures that the packet is meant for, from the outermost one on.
    way: &'a [Exposure],
    /// Node that the packet is meant for; without one, it arrives wherever its destination is.
    target: Option<usize>,
    /// Translations by nodes: the packet before and after.
    translations: Vec<(usize, [Packet; 2])>,
    /// Nodes that the first packet has passed.
    passed: Vec<usize>,
    /// Protocols that no firewall has dropped.
    protocols: Protocols,
}

/// Set of protocols: TCP, UDP, echo requests, all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Protocols([bool; 4]);

/// Action of a node on a packet.
enum Handled {
    Ends(PathOutcome),
    Leaves { interface: usize, next: IpAddr, translation: Option<Translation> },
}

impl<'a> Flow<'a> {
    pub(crate) fn new(plan: &'a Plan, way: &'a [Exposure], target: Option<usize>) -> Self {
        let (translations, passed) = (Vec::new(), Vec::new());
        Self { plan, way, target, translations, passed, protocols: Protocols([true; 4]) }
    }

    /// Follows the first packet, and calls `visit` at each node. Returns the packet as it arrives.
    pub(crate) fn first(
        &mut self,
        from: usize,
        packet: Packet,
        mut visit: impl FnMut(Step),
    ) -> (PathOutcome, Packet) {
        let (mut at, mut packet, mut arrival) = (from, packet, None);
        for _ in 0..=self.plan.nodes.len() {
            let before = packet;
            let destination = self.to_inside(at, arrival, &mut packet);
            let handled = self.handle(at, arrival, &mut packet, before);
            self.passed.push(at);
            let (interface, next) = match handled {
                Handled::Ends(end) => {
                    visit((at, None, destination));
                    return (end, packet);
                }
                Handled::Leaves { interface, next, translation } => {
                    visit((at, Some(interface), translation.or(destination)));
                    (interface, next)
                }
            };
            let segment = self.plan.nodes[at].interfaces[interface].segment;
            match self.plan.owner_on(segment, next) {
                Some(owner) => (at, arrival) = (owner.node, Some(owner.interface)),
                None => return (PathOutcome::NoNeighbour(next), packet),
            }
        }
        (PathOutcome::Loop, packet)
    }

    /// Returns whether the answer of `from` to a packet that has arrived there comes back to `to`
    /// as an answer to what it has sent.
    pub(crate) fn is_answered(
        &self,
        (from, arrived): (usize, Packet),
        to: (usize, Packet),
    ) -> bool {
        let (mut at, mut packet) = (from, arrived.answer());
        let mut answered = Flow::new(self.plan, &[], None);
        let mut arrival = None;
        for _ in 0..=self.plan.nodes.len() {
            let known = self.translations.iter().rev().filter(|(node, _)| *node == at);
            for (_, [before, after]) in known {
                if packet == after.answer() {
                    packet = before.answer();
                }
            }
            if self.plan.owners.on(at, packet.destination).is_some() {
                return at == to.0 && packet == to.1.answer();
            }
            // A node that has seen the first packet knows the flow.
            let is_known = self.passed.contains(&at);
            let before = packet;
            let found = if is_known {
                self.plan.fibs[at].look_up(packet.destination)
            } else {
                match answered.handle(at, arrival, &mut packet, before) {
                    Handled::Leaves { interface, next, .. } => Some((interface, next)),
                    Handled::Ends(_) => None,
                }
            };
            let Some((interface, next)) = found else { return false };
            let segment = self.plan.nodes[at].interfaces[interface].segment;
            match self.plan.owner_on(segment, next) {
                Some(owner) => (at, arrival) = (owner.node, Some(owner.interface)),
                None => return false,
            }
        }
        false
    }

    /// Translates the destination if a NAT of the node has a mapping for it.
    fn to_inside(
        &self,
        at: usize,
        arrival: Option<usize>,
        packet: &mut Packet,
    ) -> Option<Translation> {
        let node = &self.plan.nodes[at];
        let arrival = &node.interfaces[arrival?].name;
        let IpAddr::V4(external) = packet.destination else {
            let nat = node.nats.iter().find(|nat| nat.outside == *arrival)?;
            packet.destination = nat.to_internal(packet.destination)?;
            return Some(Translation::Destination(packet.destination));
        };
        for nat in &node.nats {
            if nat.outside != *arrival && !nat.hairpinning {
                continue;
            }
            let is_way = |one: &&Exposure| {
                let outside = &node.interfaces[one.outside].name;
                one.router == at && one.external == external && *outside == nat.outside
            };
            let of_way = self.way.iter().find(is_way).map(|one| one.inside);
            let mut pairs = nat.one_to_one.iter();
            let fixed = pairs.find(|(address, _)| *address == external).map(|(_, inside)| *inside);
            if let Some(inside) = fixed.or(of_way) {
                packet.destination = IpAddr::V4(inside);
                return Some(Translation::Destination(packet.destination));
            }
        }
        None
    }

    /// Decides about a packet whose destination has been translated; `before` is the packet as it
    /// has come.
    fn handle(
        &mut self,
        at: usize,
        arrival: Option<usize>,
        packet: &mut Packet,
        before: Packet,
    ) -> Handled {
        let node = &self.plan.nodes[at];
        let (is_mapped, name) = (*packet != before, arrival.map(|at| &node.interfaces[at].name));
        if self.plan.owners.on(at, packet.destination).is_some() {
            return Handled::Ends(self.arrive(at, name, *packet));
        }
        if arrival.is_some() && node.kind != NodeKind::Router {
            return Handled::Ends(PathOutcome::NotForwarded);
        }
        let Some((interface, next)) = self.plan.fibs[at].look_up(packet.destination) else {
            return Handled::Ends(node.without_route(packet.destination));
        };
        let out = &node.interfaces[interface].name;
        if let (Some(name), true) = (name, name != Some(out)) {
            let is_ipv4 = packet.destination.is_ipv4();
            let borders = [name, out].map(|one| node.border(one, is_ipv4));
            if borders.contains(&Border::Closed) {
                return Handled::Ends(PathOutcome::Ipv6Blocked);
            }
            if borders[0] == Border::Translated && borders[1] == Border::Open && !is_mapped {
                return Handled::Ends(PathOutcome::NoMapping);
            }
        }
        if !self.passes(node, name, Some(out), *packet) {
            return Handled::Ends(PathOutcome::Filtered);
        }
        let is_from = |one: &&NatPlan| one.outside == *out && one.has_prefixes();
        let nat = node.nats.iter().find(is_from).filter(|_| name.is_some() && name != Some(out));
        if nat.is_some_and(|nat| nat.is_untranslatable(packet.source)) {
            return Handled::Ends(PathOutcome::NoMapping);
        }
        let translation = self.to_outside(node, (name, out), (packet, next));
        if *packet != before {
            self.translations.push((at, [before, *packet]));
        }
        Handled::Leaves { interface, next, translation }
    }

    /// Decides about a packet to an address of the node itself.
    fn arrive(&mut self, at: usize, arrival: Option<&String>, packet: Packet) -> PathOutcome {
        let node = &self.plan.nodes[at];
        if self.target.is_some_and(|target| target != at) && !node.nats.is_empty() {
            PathOutcome::NoMapping
        } else if arrival.is_some() && !self.passes(node, arrival, None, packet) {
            PathOutcome::Filtered
        } else {
            PathOutcome::Arrived
        }
    }

    /// Translates the source of a packet that leaves a NAT to the outside.
    fn to_outside(
        &self,
        node: &NodePlan,
        (arrival, out): (Option<&String>, &String),
        (packet, next): (&mut Packet, IpAddr),
    ) -> Option<Translation> {
        let nat = node.nats.iter().find(|nat| nat.outside == *out)?;
        let is_ipv4 = packet.source.is_ipv4();
        if arrival? == out || Border::of(nat.ipv6, is_ipv4) != Border::Translated {
            return None;
        }
        if !is_ipv4 && nat.has_prefixes() {
            packet.source = nat.to_external(packet.source)?;
            return Some(Translation::Source(packet.source));
        }
        let outside = node.interfaces.iter().find(|one| one.name == *out)?;
        let fixed = nat.one_to_one.iter().find(|(_, inside)| IpAddr::V4(*inside) == packet.source);
        let near = outside.addresses.iter().find(|one| one.is_near(next));
        let own = || outside.addresses.iter().find(|one| one.address().is_ipv4() == is_ipv4);
        packet.source = match (fixed, nat.pool.first()) {
            (Some((external, _)), _) => IpAddr::V4(*external),
            (None, Some(external)) if is_ipv4 => IpAddr::V4(*external),
            _ => near.or_else(own)?.address(),
        };
        Some(Translation::Source(packet.source))
    }

    /// Returns whether the firewall of a node lets some protocol pass. `out` is `None` for a packet
    /// to the node itself, `arrival` for one from it.
    fn passes(
        &mut self,
        node: &NodePlan,
        arrival: Option<&String>,
        out: Option<&String>,
        packet: Packet,
    ) -> bool {
        let Some(firewall) = &node.firewall else { return true };
        let is_outside = |name: &String| firewall.outside.contains(name);
        let direction = match (node.kind, arrival, out) {
            (NodeKind::Router, Some(from), Some(to)) => match (is_outside(from), is_outside(to)) {
                (true, false) => FirewallDirection::In,
                (false, true) => FirewallDirection::Out,
                _ => return true,
            },
            (NodeKind::Router, Some(from), None) if is_outside(from) => FirewallDirection::In,
            (NodeKind::Router, ..) | (_, None, None) => return true,
            (_, Some(_), _) => FirewallDirection::In,
            (_, None, Some(_)) => FirewallDirection::Out,
        };
        self.protocols.keep_allowed(firewall, direction, packet);
        self.protocols.0.contains(&true)
    }
}

impl Protocols {
    /// Keeps the protocols of which the firewall lets some packets pass.
    fn keep_allowed(
        &mut self,
        firewall: &FirewallPlan,
        direction: FirewallDirection,
        packet: Packet,
    ) {
        let default = firewall.defaults[usize::from(direction == FirewallDirection::In)];
        let is_for_it = |rule: &&FirewallRulePlan| {
            let has = |all: &[IpAddr], one| all.is_empty() || all.contains(&one);
            rule.direction == direction
                && has(&rule.from, packet.source)
                && has(&rule.to, packet.destination)
        };
        for (kind, is_kept) in self.0.iter_mut().enumerate() {
            let number = [Some(6), Some(17), Some(1), None][kind];
            let rules = firewall.rules.iter().filter(is_for_it);
            let mut of_kind =
                rules.filter(|rule| rule.protocol.is_none() || rule.protocol == number);
            // A rule for some ports decides only if it lets them pass.
            let deciding =
                of_kind.find(|rule| rule.action == FirewallAction::Allow || rule.ports.is_empty());
            let action = deciding.map_or(default, |rule| rule.action);
            *is_kept &= action == FirewallAction::Allow;
        }
    }
}
