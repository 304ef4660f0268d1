//! Changes of the declarations of NATs and firewalls, for those that are set while a lab runs.
//! Pure.

use crate::lab::topology::Topology;
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::declared::{DeclaredFirewall, DeclaredForward, DeclaredNat};
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::Transport;
use crate::lab::topology::nat::port_mapping::PortMapping;

/// Firewalls, forwards and NATs by node and link, as indexes.
impl Topology {
    /// Returns the outside links of the NATs of a router.
    pub(crate) fn outside_links(&self, router: usize) -> Vec<usize> {
        let own = self.nats.iter().filter(|one| one.router == Some(router));
        own.filter_map(|one| one.link).collect()
    }

    /// Puts a NAT on a router, in place of the one that it has on the link.
    pub(crate) fn set_nat(&mut self, router: usize, link: usize, nat: &Nat) {
        let (router, link) = (self.ids.node_id(router), self.ids.link_id(link));
        self.nat(router, link, nat.clone());
    }

    /// Replaces the port mapping of the NAT that a router has on a link.
    pub(crate) fn set_port_mapping(
        &mut self,
        (router, link): (usize, usize),
        protocols: &PortMapping,
    ) {
        let place = (Some(router), Some(link));
        let mut all = self.nats.iter_mut();
        if let Some(one) = all.find(|one| (one.router, one.link) == place) {
            one.nat.port_mapping = Some(protocols.clone());
        }
    }

    /// Removes the NAT that a router has on a link, with its forwards.
    pub(crate) fn remove_nat(&mut self, router: usize, link: usize) {
        let place = (Some(router), Some(link));
        self.nats.retain(|one| (one.router, one.link) != place);
        self.forwards.retain(|one| (one.router, one.link) != place);
    }

    /// Removes a forward. Returns whether there was one.
    pub(crate) fn remove_forward(
        &mut self,
        (router, link): (usize, usize),
        protocol: Transport,
        external_port: u16,
    ) -> bool {
        let key = (Some(router), Some(link), protocol, external_port);
        let before = self.forwards.len();
        self.forwards.retain(|one| key_of(one) != key);
        self.forwards.len() != before
    }

    /// Puts a firewall on a node, in place of the one that it has, or removes that.
    pub(crate) fn set_firewall(&mut self, node: usize, firewall: Option<&Firewall>) {
        match firewall {
            Some(firewall) => self.firewall(self.ids.node_id(node), firewall.clone()),
            None => self.firewalls.retain(|one| one.node != Some(node)),
        }
    }

    /// Takes over the NATs and firewalls of `live`, which was declared as `before`: those whose
    /// declaration is the same in `self`, which extends `before`.
    pub(crate) fn take_over(&mut self, before: &Self, live: &Self) {
        let place_of = |one: &DeclaredNat| (one.router, one.link);
        self.nats = taken_over([&before.nats, &live.nats, &self.nats], place_of);
        self.forwards = taken_over([&before.forwards, &live.forwards, &self.forwards], key_of);
        let node_of = |one: &DeclaredFirewall| one.node;
        self.firewalls = taken_over([&before.firewalls, &live.firewalls, &self.firewalls], node_of);
    }
}

type ForwardKey = (Option<usize>, Option<usize>, Transport, u16);

fn key_of(one: &DeclaredForward) -> ForwardKey {
    (one.router, one.link, one.protocol, one.external_port)
}

/// Returns the declarations of `new` that differ from those `before`, and those of `live` for all
/// other keys.
fn taken_over<T: Clone + PartialEq, K: PartialEq>(
    [before, live, new]: [&[T]; 3],
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let of = |all: &[T], one: &T| -> Vec<T> {
        all.iter().filter(|other| key(other) == key(one)).cloned().collect()
    };
    let is_declared_anew = |one: &&T| of(before, one) != of(new, one);
    let kept = live.iter().filter(|one| !is_declared_anew(one));
    kept.chain(new.iter().filter(is_declared_anew)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_stays_until_it_is_declared_anew() {
        let first = |one: &(u8, char)| one.0;
        let before = [(1, 'a'), (2, 'a'), (3, 'a'), (4, 'a')];
        // 1 and 2 were set anew, 3 was removed, 5 was added.
        let live = [(1, 'b'), (2, 'b'), (4, 'a'), (5, 'b')];
        // 2 and 6 are declared anew.
        let new = [(1, 'a'), (2, 'c'), (3, 'a'), (4, 'a'), (6, 'c')];
        let all = taken_over([&before, &live, &new], first);
        assert_eq!(all, [(1, 'b'), (4, 'a'), (5, 'b'), (2, 'c'), (6, 'c')]);
        let same = taken_over([&before, &live, &before], first);
        assert_eq!(same, live);
    }
}
