//! From declared firewalls to addresses and numbers: mistakes with advice. Pure.

use std::net::IpAddr;

use crate::lab::plan::NodePlan;
use crate::lab::plan::errors::TopologyError;
use crate::lab::plan::nat::exposure::Exposures;
use crate::lab::plan::nat::view::View;
use crate::lab::plan::nat::{FirewallPlan, FirewallRulePlan};
use crate::lab::topology::id::{Ids, NodeId};
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::{FirewallRule, Traffic, TrafficProtocol};
use crate::lab::topology::nat::reference::Reference;
use crate::lab::topology::nat::text;
use crate::lab::topology::{NodeKind, Topology};

/// Numbers of IP protocols; ICMP stands for ICMPv6, too.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Returns the declared firewalls with the indexes of their nodes. Reports mistakes.
pub(crate) fn all(
    topology: &Topology,
    site: &Site<'_>,
    errors: &mut Vec<TopologyError>,
) -> Vec<(usize, FirewallPlan)> {
    let mut found = Vec::new();
    for declared in &topology.firewalls {
        let Some(node) = declared.node else {
            errors.push(TopologyError::UnknownNode { place: "firewall()".to_owned() });
            continue;
        };
        let name = &topology.nodes[node].name;
        if topology.nodes[node].kind == NodeKind::Switch {
            let (switch, what) = (name.clone(), "firewall".to_owned());
            errors.push(TopologyError::OnSwitch { switch, what });
            continue;
        }
        let error =
            |why| TopologyError::BadFirewall { place: format!("firewall of `{name}`"), why };
        match site.planned(node, &declared.firewall) {
            Ok(plan) => found.push((node, plan)),
            Err(mistakes) => errors.extend(mistakes.into_iter().map(error)),
        }
    }
    found
}

/// Nodes that firewalls name, and how they see each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) ids: &'a Ids,
    pub(crate) view: View<'a>,
    pub(crate) exposures: &'a Exposures,
}

impl Site<'_> {
    /// Returns the plan of a firewall on a node that is no switch.
    ///
    /// # Errors
    ///
    /// All mistakes, each as a reason with advice.
    pub(crate) fn planned(
        &self,
        node: usize,
        firewall: &Firewall,
    ) -> Result<FirewallPlan, Vec<String>> {
        let Firewall { rules, defaults, outside: _, drops_icmp_errors } = firewall;
        let mut mistakes = Vec::new();
        let outside = self.outside(node, firewall, &mut mistakes);
        let rules = rules.iter().map(|rule| self.rule(node, rule, &mut mistakes));
        let rules = rules.collect();
        let (defaults, drops_icmp_errors) = (*defaults, *drops_icmp_errors);
        match mistakes.is_empty() {
            true => Ok(FirewallPlan { outside, rules, defaults, drops_icmp_errors }),
            false => Err(mistakes),
        }
    }

    /// Returns the names of the outside interfaces: the declared ones, or those of the NATs.
    fn outside(&self, node: usize, firewall: &Firewall, mistakes: &mut Vec<String>) -> Vec<String> {
        let of_plan: &NodePlan = &self.view.nodes[node];
        let mut names = Vec::new();
        if of_plan.kind != NodeKind::Router {
            if !firewall.outside.is_empty() {
                mistakes.push(
                    "all interfaces of a host are outside; remove `outside`, or put the firewall \
                     on a router"
                        .to_owned(),
                );
            }
            return names;
        }
        for link in &firewall.outside {
            let Some(link) = link.link(self.ids) else {
                mistakes.push(
                    "`outside` names a link of another topology; use the ids that this one \
                     returned"
                        .to_owned(),
                );
                continue;
            };
            let end = of_plan.interfaces.iter().find(|one| one.kind.is_end_of(link));
            match end {
                Some(end) if names.contains(&end.name) => {}
                Some(end) => names.push(end.name.clone()),
                None => mistakes.push(
                    "`outside` names a link that does not end at the router; name one that does"
                        .to_owned(),
                ),
            }
        }
        if firewall.outside.is_empty() {
            names.extend(of_plan.nats.iter().map(|nat| nat.outside.clone()));
            if names.is_empty() {
                mistakes.push(
                    "the router has no NAT, so that its outside is not known; name the links \
                     there with `outside`"
                        .to_owned(),
                );
            }
        }
        names
    }

    fn rule(
        &self,
        node: usize,
        rule: &FirewallRule,
        mistakes: &mut Vec<String>,
    ) -> FirewallRulePlan {
        let FirewallRule { direction, traffic, action } = rule;
        let Traffic { protocol, ports, from, to } = traffic;
        let name = |reference: Reference<NodeId>| match reference.node(self.ids) {
            Some(node) => self.view.nodes[node].name.clone(),
            None => "an unknown node".to_owned(),
        };
        let text = text::rule(rule, name);
        let mut found = Vec::new();
        let has_ports = matches!(protocol, TrafficProtocol::Tcp | TrafficProtocol::Udp);
        if !ports.is_empty() && !has_ports {
            found.push("only TCP and UDP have ports; use `Traffic::tcp` or `udp`".to_owned());
        }
        for range in ports.iter().filter(|range| range.is_empty() || *range.start() == 0) {
            let (first, last) = (range.start(), range.end());
            found.push(format!("ports {first} to {last}: give a range from 1 on, lowest first"));
        }
        let nodes = [from, to].map(|all| all.iter().filter_map(|one| one.node(self.ids)).collect());
        let from = self.addresses(node, (from, true), &mut found);
        let to = self.addresses(node, (to, false), &mut found);
        let has_common = from.iter().any(|one| to.iter().any(|to| to.is_ipv4() == one.is_ipv4()));
        if !from.is_empty() && !to.is_empty() && !has_common {
            found.push(
                "its nodes have addresses of different families, so that no packet matches; name \
                 others"
                    .to_owned(),
            );
        }
        mistakes.extend(found.into_iter().map(|why| format!("rule `{text}`: {why}")));
        let protocol = match protocol {
            TrafficProtocol::Any => None,
            TrafficProtocol::Tcp => Some(TCP),
            TrafficProtocol::Udp => Some(UDP),
            TrafficProtocol::Ping => Some(ICMP),
        };
        let (direction, action, ports) = (*direction, *action, ports.clone());
        FirewallRulePlan { direction, protocol, ports, from, to, nodes, action, text }
    }

    /// Returns the addresses that packets from or to the nodes have at the firewall.
    fn addresses(
        &self,
        at: usize,
        (nodes, are_sources): (&[Reference<NodeId>], bool),
        mistakes: &mut Vec<String>,
    ) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        for reference in nodes {
            let Some(node) = reference.node(self.ids) else {
                mistakes.push(
                    "it names a node of another topology; use the ids that this one returned"
                        .to_owned(),
                );
                continue;
            };
            let new = seen(self.view, self.exposures, (at, node, are_sources));
            if new.is_empty() {
                let [name, at] = [node, at].map(|node| &self.view.nodes[node].name);
                let why = match self.view.nodes[node].addresses.is_empty() {
                    true => format!("`{name}` has no address; name another node"),
                    false => {
                        format!("no address of `{name}` is known at `{at}`; name another node")
                    }
                };
                mistakes.push(why);
            }
            found.extend(new);
        }
        found
    }
}

/// Makes the firewall of a node know the addresses that the nodes of its rules have now. A rule for
/// nodes without any stays as it was.
pub(crate) fn follow(
    plan: &mut FirewallPlan,
    at: usize,
    (view, exposures): (View<'_>, &Exposures),
) {
    for rule in &mut plan.rules {
        let [sources, destinations] = &rule.nodes;
        for (addresses, nodes, are_sources) in
            [(&mut rule.from, sources, true), (&mut rule.to, destinations, false)]
        {
            let new = nodes.iter().flat_map(|node| seen(view, exposures, (at, *node, are_sources)));
            let new: Vec<IpAddr> = new.collect();
            if !new.is_empty() {
                *addresses = new;
            }
        }
    }
}

/// Returns the addresses that packets from or to a node have at another one.
fn seen(
    view: View<'_>,
    exposures: &Exposures,
    (at, node, are_sources): (usize, usize, bool),
) -> Vec<IpAddr> {
    let viewer = view.viewer(at);
    match are_sources {
        true => view.sources(&viewer, node),
        false => view.destinations(&viewer, node, exposures),
    }
}
