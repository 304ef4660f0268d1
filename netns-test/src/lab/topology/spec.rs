//! The two builders: what may be said of a link and of a node. They store what they are given and
//! judge nothing; `Topology::plan` does.

use crate::lab::topology::input::{AddrArg, Interface, IntoAddrs, MacArg, SubnetArg, Via};
use crate::lab::topology::{
    Extra, ExtraKind, GivenRoute, Link, LinkId, MacvlanMode, Node, NodeId, Topology,
};

/// Sets more of a link; [`Topology::link`] returns it. What is not set is worked out.
#[derive(Debug)]
pub struct LinkSpec<'a> {
    topology: &'a mut Topology,
    index: usize,
}

/// Sets more of a node; [`Topology::node`] returns it.
#[derive(Debug)]
pub struct NodeSpec<'a> {
    topology: &'a mut Topology,
    /// None for the id of another topology, which is noted already.
    index: Option<usize>,
}

#[expect(clippy::must_use_candidate, reason = "what is set is set; the result is for more of it")]
impl<'a> LinkSpec<'a> {
    pub(crate) fn new(topology: &'a mut Topology, index: usize) -> Self {
        Self { topology, index }
    }

    /// The link's id, to find it in the lab.
    #[must_use]
    pub fn id(self) -> LinkId {
        self.topology.link_id(self.index)
    }

    /// The name of the link, for messages and drawings. No two links have the same.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.link().name = Some(name.into());
        self
    }

    /// The MTU of both ends in bytes: 1280 to 65535, from 68 where the segment has no IPv6.
    /// 1500 if not set; links of one segment share what one of them sets.
    pub fn mtu(mut self, bytes: u32) -> Self {
        self.link().mtu = Some(bytes);
        self
    }

    /// The names of the interfaces at the two ends, of at most 15 bytes, in place of `eth0`,
    /// `eth1`, …
    pub fn interfaces(mut self, a: impl Into<String>, b: impl Into<String>) -> Self {
        let names = [a.into(), b.into()];
        for (end, name) in self.link().ends.iter_mut().zip(names) {
            end.interface = Some(name);
        }
        self
    }

    /// Addresses of the two ends; the first of each family is the primary one. `()` stands for
    /// none. An end without an address of a family gets one from the segment's subnet.
    ///
    /// ```
    /// # use netns_test::Topology;
    /// # let mut net = Topology::new();
    /// # let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(a, b).addrs(["192.0.2.1/24", "2001:db8::1/64"], "192.0.2.2/24");
    /// # assert_eq!(net.plan()?.addresses_of(b)[1].to_string(), "2001:db8::2");
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn addrs(mut self, a: impl IntoAddrs, b: impl IntoAddrs) -> Self {
        let given = [a.into_addrs(), b.into_addrs()];
        for (end, given) in self.link().ends.iter_mut().zip(given) {
            end.given.extend(given);
        }
        self
    }

    /// The subnet of the link's segment, in place of one from the pool; once for each family.
    pub fn subnet(mut self, subnet: impl Into<SubnetArg>) -> Self {
        self.link().subnets.push(subnet.into());
        self
    }

    /// The Ethernet addresses of the two ends.
    pub fn macs(mut self, a: impl Into<MacArg>, b: impl Into<MacArg>) -> Self {
        let macs = [a.into(), b.into()];
        for (end, mac) in self.link().ends.iter_mut().zip(macs) {
            end.mac = Some(mac);
        }
        self
    }

    /// The segment gets no subnet of IPv6.
    pub fn ipv4_only(mut self) -> Self {
        self.link().only[0] = true;
        self
    }

    /// The segment gets no subnet of IPv4.
    pub fn ipv6_only(mut self) -> Self {
        self.link().only[1] = true;
        self
    }

    fn link(&mut self) -> &mut Link {
        &mut self.topology.links[self.index]
    }
}

#[expect(clippy::must_use_candidate, reason = "what is set is set; the result is for more of it")]
impl<'a> NodeSpec<'a> {
    pub(crate) fn new(topology: &'a mut Topology, index: Option<usize>) -> Self {
        Self { topology, index }
    }

    /// Another name for the node.
    pub fn name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.set(|node| node.name = name)
    }

    /// The default route by hand: to an address on a subnet of the node, or to a node on one of
    /// its segments, for the families in which it has an address there.
    ///
    /// A host then has no worked-out routes of that family but to what is on its own segments.
    pub fn default_route(self, via: impl Into<Via>) -> Self {
        let via = via.into();
        self.set(|node| node.routes.push(GivenRoute { destination: None, via }))
    }

    /// A route by hand. It takes the place of all worked-out routes to what lies in `destination`. By a
    /// link it is to what is on that itself, as multicast (`224.0.0.0/4`) of a host without a default
    /// route.
    pub fn route(self, destination: impl Into<SubnetArg>, via: impl Into<Via>) -> Self {
        let (destination, via) = (Some(destination.into()), via.into());
        self.set(|node| node.routes.push(GivenRoute { destination, via }))
    }

    /// A sysctl below `net.`, as `sysctl(8)` names it: `net.ipv4.tcp_syn_retries`. Set after those
    /// that the plan sets itself.
    #[expect(clippy::needless_pass_by_value, reason = "callers write numbers and texts")]
    pub fn sysctl(self, name: impl Into<String>, value: impl ToString) -> Self {
        let sysctl = (name.into(), value.to_string());
        self.set(|node| node.sysctls.push(sysctl))
    }

    /// One more address for an interface, named by its link or by its name, `lo` among them.
    ///
    /// It may lie in another subnet than the interface's first one.
    pub fn addr(self, on: impl Into<Interface>, address: impl Into<AddrArg>) -> Self {
        let address = (on.into(), address.into());
        self.set(|node| node.addresses.push(address))
    }

    /// An interface that leads nowhere, with addresses that others may reach. With `()` it gets a
    /// subnet from the pools.
    pub fn dummy(self, name: impl Into<String>, addrs: impl IntoAddrs) -> Self {
        let kind = ExtraKind::Dummy { name: name.into() };
        self.extra(kind, addrs)
    }

    /// A VLAN (802.1Q) on the node's end of a link; `vid` is 1 to 4094. The nodes on one segment
    /// that have the same VLAN make a segment of their own, with subnets of its own.
    pub fn vlan(self, link: LinkId, vid: u16, addrs: impl IntoAddrs) -> Self {
        let link = self.topology.link_index(link);
        self.extra(ExtraKind::Vlan { link, vid }, addrs)
    }

    /// One more interface on the segment of a link, with its own Ethernet address, through the
    /// node's end of the link.
    pub fn macvlan(
        self,
        link: LinkId,
        name: impl Into<String>,
        mode: MacvlanMode,
        addrs: impl IntoAddrs,
    ) -> Self {
        let link = self.topology.link_index(link);
        self.extra(ExtraKind::Macvlan { link, name: name.into(), mode }, addrs)
    }

    /// A VXLAN tunnel with the identifier `vni` (24 bits) to peers, over UDP port 4789. All nodes
    /// with the same identifier name each other, and make one segment.
    pub fn vxlan(
        self,
        vni: u32,
        peers: impl IntoIterator<Item = NodeId>,
        addrs: impl IntoAddrs,
    ) -> Self {
        let peers = peers.into_iter().map(|peer| self.topology.node_index(peer)).collect();
        self.extra(ExtraKind::Vxlan { vni, peers }, addrs)
    }

    /// A switch speaks the spanning tree protocol, so that a loop of switches with it is no
    /// mistake. The kernel takes its time (twice the bridge's forward delay) before it forwards.
    pub fn stp(self) -> Self {
        self.set(|node| node.stp = true)
    }

    fn extra(self, kind: ExtraKind, addrs: impl IntoAddrs) -> Self {
        let given = addrs.into_addrs();
        let declared = self.topology.declare();
        self.set(|node| node.extras.push(Extra { declared, kind, given }))
    }

    fn set(self, change: impl FnOnce(&mut Node)) -> Self {
        if let Some(index) = self.index {
            change(&mut self.topology.nodes[index]);
        }
        self
    }
}
