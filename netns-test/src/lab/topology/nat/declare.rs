//! Declarations of NATs, port forwards and firewalls in a topology. Pure.

use crate::lab::topology::Topology;
use crate::lab::topology::id::{LinkId, NodeId};
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::declared::{DeclaredFirewall, DeclaredForward, DeclaredNat};
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::Transport;

impl Topology {
    /// Puts a NAT on a router: `outside` is its link to the outside. A second call for the same
    /// link replaces the first one.
    ///
    /// # Examples
    ///
    /// Two homes with the same subnet:
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::Nat;
    ///
    /// let mut net = Topology::new();
    /// let (isp, server) = (net.router("isp"), net.host("server"));
    /// net.link(isp, server);
    /// for name in ["ann", "bob"] {
    ///     let (home, client) = (net.router(format!("home-{name}")), net.host(name));
    ///     let wan = net.link(isp, home).id();
    ///     net.link(home, client).subnet("192.168.1.0/24");
    ///     net.nat(home, wan, Nat::home());
    /// }
    /// let plan = net.plan()?;
    /// let ann = plan.id(3);
    /// assert!(plan.can_reach(ann, server).ipv4 && !plan.can_reach(server, ann).ipv4);
    /// assert_eq!(
    ///     plan.path(ann, server).to_string(),
    ///     "ann (eth0) -> home-ann (eth0, source translated to 10.0.1.2) -> isp (eth0) -> server",
    /// );
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn nat(&mut self, router: NodeId, outside: LinkId, mut nat: Nat) {
        nat.resolve(&self.ids);
        let (router, link) = (self.ids.node(router), self.ids.link(outside));
        self.nats.retain(|one| one.link.is_none() || (one.router, one.link) != (router, link));
        self.nats.push(DeclaredNat { router, link, nat });
    }

    /// Forwards a port of a NAT: what comes to `external_port` from the link `outside` goes to
    /// `port` of the inside node `to`. Outside, the name of that node resolves to the external
    /// address, and on the inside to its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::{Nat, Transport};
    ///
    /// let mut net = Topology::new();
    /// let (nas, home, peer) = (net.host("nas"), net.router("home"), net.host("peer"));
    /// net.link(nas, home);
    /// let wan = net.link(home, peer).subnet("203.0.113.0/24").id();
    /// net.nat(home, wan, Nat::home());
    /// net.forward_port(home, wan, Transport::Tcp, 8443, nas, 443);
    /// let plan = net.plan()?;
    /// assert!(plan.can_reach(peer, nas).ipv4);
    /// assert!(plan.hosts_file(peer).contains("203.0.113.1\tnas\n"));
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::{Firewall, Traffic};
    ///
    /// let mut net = Topology::new();
    /// let (office, gateway, web) = (net.host("office"), net.router("gateway"), net.host("web"));
    /// net.link(office, gateway);
    /// let wan = net.link(gateway, web).id();
    /// net.firewall(gateway, Firewall::corporate().outside(wan));
    /// net.firewall(web, Firewall::new().allow_in(Traffic::tcp(443)).deny_in());
    /// let plan = net.plan()?;
    /// assert!(plan.can_reach(office, web).both());
    /// assert_eq!(
    ///     plan.path(web, office).to_string(),
    ///     "web (eth0) -> gateway: dropped by the firewall of gateway",
    /// );
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn firewall(&mut self, node: NodeId, mut firewall: Firewall) {
        firewall.resolve(&self.ids);
        let node = self.ids.node(node);
        self.firewalls.retain(|one| one.node.is_none() || one.node != node);
        self.firewalls.push(DeclaredFirewall { node, firewall });
    }
}
