//! Builder of a firewall. It stores what the caller passes; `Topology::plan` checks it. Pure.

use crate::lab::topology::id::{Ids, LinkId};
use crate::lab::topology::nat::model::{FirewallAction, FirewallDirection, FirewallRule, Traffic};
use crate::lab::topology::nat::reference::Reference;

/// Firewall of a node: a value, which [`Topology::firewall`](super::super::Topology::firewall) puts
/// on a router or a host.
///
/// It is stateful: a rule decides about the first packet of a connection or flow, and all later
/// ones in both directions have the same fate. The first rule that matches decides; without one,
/// the default of the direction does. ICMP errors that belong to a flow and neighbour discovery
/// pass.
///
/// On a router the outside is the outside of its NAT, unless [`outside`](Self::outside) names
/// links. A router decides about what it forwards, and about what comes to itself from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Firewall {
    pub(crate) rules: Vec<FirewallRule>,
    /// Defaults of the directions out and in.
    pub(crate) defaults: [FirewallAction; 2],
    /// Links that are outside.
    pub(crate) outside: Vec<Reference<LinkId>>,
    pub(crate) drops_icmp_errors: bool,
}

impl Firewall {
    /// Creates a firewall that lets everything pass.
    #[must_use]
    pub fn new() -> Self {
        let defaults = [FirewallAction::Allow; 2];
        Self { rules: Vec::new(), defaults, outside: Vec::new(), drops_icmp_errors: false }
    }

    /// Adds a rule.
    #[must_use]
    pub fn rule(
        mut self,
        direction: FirewallDirection,
        traffic: Traffic,
        action: FirewallAction,
    ) -> Self {
        self.rules.push(FirewallRule { direction, traffic, action });
        self
    }

    /// Adds a rule that lets traffic out.
    #[must_use]
    pub fn allow_out(self, traffic: Traffic) -> Self {
        self.rule(FirewallDirection::Out, traffic, FirewallAction::Allow)
    }

    /// Adds a rule that lets traffic in.
    #[must_use]
    pub fn allow_in(self, traffic: Traffic) -> Self {
        self.rule(FirewallDirection::In, traffic, FirewallAction::Allow)
    }

    /// Sets the fate of what no rule lets out.
    #[must_use]
    pub fn default_out(mut self, action: FirewallAction) -> Self {
        self.defaults[0] = action;
        self
    }

    /// Sets the fate of what no rule lets in.
    #[must_use]
    pub fn default_in(mut self, action: FirewallAction) -> Self {
        self.defaults[1] = action;
        self
    }

    /// Drops what no rule lets out.
    #[must_use]
    pub fn deny_out(self) -> Self {
        self.default_out(FirewallAction::Drop)
    }

    /// Drops what no rule lets in.
    #[must_use]
    pub fn deny_in(self) -> Self {
        self.default_in(FirewallAction::Drop)
    }

    /// Makes a link of the router an outside link; more calls add links.
    #[must_use]
    pub fn outside(mut self, link: LinkId) -> Self {
        self.outside.push(Reference::Id(link));
        self
    }

    /// Drops ICMP errors, too: "fragmentation needed" and "packet too big" among them, which makes
    /// a black hole of each link with a smaller MTU (RFC 2923).
    #[must_use]
    pub fn drop_icmp_errors(mut self) -> Self {
        self.drops_icmp_errors = true;
        self
    }

    /// Replaces ids by indexes.
    pub(crate) fn resolve(&mut self, ids: &Ids) {
        self.outside.iter_mut().for_each(|link| link.resolve(ids));
        for Traffic { from, to, .. } in self.rules.iter_mut().map(|rule| &mut rule.traffic) {
            from.iter_mut().chain(to).for_each(|node| node.resolve(ids));
        }
    }
}

impl Default for Firewall {
    fn default() -> Self {
        Self::new()
    }
}
