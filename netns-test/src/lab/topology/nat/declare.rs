//! Declarations of NATs, port forwards and firewalls in a topology. Pure.

use crate::lab::topology::Topology;
use crate::lab::topology::id::{LinkId, NodeId};
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::{DeclaredFirewall, DeclaredForward, DeclaredNat, Transport};

impl Topology {
    /// Puts a NAT on a router: `outside` is its link to the outside. A second call for the same
    /// link replaces the first one.
    pub fn nat(&mut self, router: NodeId, outside: LinkId, mut nat: Nat) {
        nat.resolve(&self.ids);
        let (router, link) = (self.ids.node(router), self.ids.link(outside));
        self.nats.retain(|one| one.link.is_none() || (one.router, one.link) != (router, link));
        self.nats.push(DeclaredNat { router, link, nat });
    }

    /// Forwards a port of a NAT: what comes to `external_port` from the link `outside` goes to
    /// `port` of the inside node `to`.
    pub fn forward_port(
        &mut self,
        router: NodeId,
        outside: LinkId,
        protocol: Transport,
        external_port: u16,
        to: NodeId,
        port: u16,
    ) {
        let (router, link) = (self.ids.node(router), self.ids.link(outside));
        let to = self.ids.node(to);
        let forward = DeclaredForward { router, link, protocol, external_port, to, to_port: port };
        self.forwards.push(forward);
    }

    /// Puts a firewall on a router or a host. A second call for the same node replaces the first
    /// one.
    pub fn firewall(&mut self, node: NodeId, mut firewall: Firewall) {
        firewall.resolve(&self.ids);
        let node = self.ids.node(node);
        self.firewalls.retain(|one| one.node.is_none() || one.node != node);
        self.firewalls.push(DeclaredFirewall { node, firewall });
    }
}
