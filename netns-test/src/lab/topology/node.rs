//! Builder of a node. It stores what the caller passes; `Topology::plan` checks it. Pure.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::lab::topology::id::{Ids, LinkId, NodeId};
use crate::lab::topology::input::{AddrArg, InterfaceArg, IntoAddrs, SubnetArg, Via};
use crate::lab::topology::model::{
    AddressOn, ExtraInterface, ExtraKind, MacvlanMode, Node, RouteVia, StaticRoute,
};

/// Sets optional properties of a node: routes, sysctls, more interfaces and addresses; returned by
/// [`Topology::node`](super::Topology::node).
///
/// Values that cannot be used, such as a text that is not an address, are reported by
/// [`Topology::plan`](super::Topology::plan).
#[derive(Debug)]
pub struct NodeSpec<'a> {
    /// The node; `None` for the id of another topology, which the topology has counted.
    node: Option<&'a mut Node>,
    ids: &'a Ids,
    /// The topology's counter of declared links and extra interfaces.
    declared: &'a mut usize,
}

#[expect(clippy::must_use_candidate, reason = "each call changes the node; chaining is optional")]
impl<'a> NodeSpec<'a> {
    pub(crate) fn new(node: Option<&'a mut Node>, ids: &'a Ids, declared: &'a mut usize) -> Self {
        Self { node, ids, declared }
    }

    /// Renames the node.
    pub fn name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.set(|node| node.name = name)
    }

    /// Adds a static default route. The next hop is an address on a subnet of this node, or another
    /// node on one of its segments. Another node is the next hop of IPv4, IPv6 or both, according
    /// to the addresses that it has there.
    ///
    /// It replaces the computed default route. On a host it also replaces all computed routes of
    /// that family through a gateway.
    pub fn default_route(self, via: impl Into<Via>) -> Self {
        let via = RouteVia::resolve(via.into().0, self.ids);
        self.set(|node| node.routes.push(StaticRoute { destination: None, via }))
    }

    /// Adds a static route. It replaces all computed routes to subnets inside `destination`.
    ///
    /// The next hop is an address, another node, or one of this node's links. A link means that the
    /// destination is on the link itself. A host without a default route needs this to send
    /// multicast (`224.0.0.0/4`).
    pub fn route(self, destination: impl Into<SubnetArg>, via: impl Into<Via>) -> Self {
        let destination = Some(destination.into());
        let via = RouteVia::resolve(via.into().0, self.ids);
        self.set(|node| node.routes.push(StaticRoute { destination, via }))
    }

    /// Sets a sysctl below `net.`, named as in `sysctl(8)`: `net.ipv4.tcp_syn_retries`. It is
    /// written after the sysctls that the plan sets itself.
    #[expect(clippy::needless_pass_by_value, reason = "callers write numbers and texts")]
    pub fn sysctl(self, name: impl Into<String>, value: impl ToString) -> Self {
        let sysctl = (name.into(), value.to_string());
        self.set(|node| node.sysctls.push(sysctl))
    }

    /// Adds a line to `/etc/hosts` of this node. Other nodes do not have it.
    ///
    /// The lines of nodes stay. A name that has several lines has all their addresses.
    ///
    /// ```
    /// use netns_test::Topology;
    ///
    /// let mut net = Topology::new();
    /// let (client, server) = (net.host("client"), net.host("server"));
    /// net.link(client, server);
    /// net.node(client).hosts_entry([192, 0, 2, 1], "www.example.com");
    /// let plan = net.plan()?;
    /// assert!(plan.hosts_file(client).ends_with("192.0.2.1\twww.example.com\n"));
    /// assert!(!plan.hosts_file(server).contains("example"));
    /// # Ok::<(), netns_test::Error>(())
    /// ```
    pub fn hosts_entry(self, address: impl Into<IpAddr>, name: impl Into<String>) -> Self {
        let entry = (address.into(), name.into());
        self.set(|node| node.hosts_entries.push(entry))
    }

    /// Adds a directory that the node has for itself, empty at first: `/tmp`, `/run`, or the
    /// directory of a daemon such as `/var/lib/app`. Other nodes and the test do not see what is in
    /// it, so that two daemons with one path of a socket do not collide.
    ///
    /// It is a tmpfs with the mode and the owner of the directory of the machine, which must exist:
    /// otherwise [`build`](super::Topology::build) returns an error. Its files are kept while the
    /// node is off, except below `/run`, which a machine empties when it starts. A program
    /// whose working directory is below that of the machine needs another one. The caller's own
    /// node cannot have one, nor can a node that exists already get one by `extend`.
    pub fn private_dir(self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        self.set(|node| node.private_dirs.push(path))
    }

    /// Adds an address to an interface, which a link or the interface's name selects; `lo` is
    /// possible. The address may be outside of the segment's subnet.
    pub fn addr(self, on: impl Into<InterfaceArg>, address: impl Into<AddrArg>) -> Self {
        let address = (AddressOn::resolve(on.into().0, self.ids), address.into());
        self.set(|node| node.addresses.push(address))
    }

    /// Adds a dummy interface: no frames leave it, but other nodes can reach its addresses. With
    /// `()` it gets a subnet from the pools.
    pub fn dummy(self, name: impl Into<String>, addrs: impl IntoAddrs) -> Self {
        let kind = ExtraKind::Dummy { name: name.into() };
        self.extra(kind, addrs)
    }

    /// Adds a VLAN interface (802.1Q) on the node's end of a link; `vid` is 1 to 4094.
    ///
    /// On one segment, the VLAN interfaces with the same `vid` form another segment, with its own
    /// subnets.
    pub fn vlan(self, link: LinkId, vid: u16, addrs: impl IntoAddrs) -> Self {
        let link = self.ids.link(link);
        self.extra(ExtraKind::Vlan { link, vid }, addrs)
    }

    /// Adds a macvlan interface on the node's end of a link: one more interface on the link's
    /// segment, with its own Ethernet address.
    pub fn macvlan(
        self,
        link: LinkId,
        name: impl Into<String>,
        mode: MacvlanMode,
        addrs: impl IntoAddrs,
    ) -> Self {
        let link = self.ids.link(link);
        self.extra(ExtraKind::Macvlan { link, name: name.into(), mode }, addrs)
    }

    /// Adds the node's end of a VXLAN tunnel (RFC 7348, UDP port 4789) to `peers`; `vni` has 24
    /// bits.
    ///
    /// Nodes with the same `vni` form one segment, and each of them has to name all others.
    pub fn vxlan(
        self,
        vni: u32,
        peers: impl IntoIterator<Item = NodeId>,
        addrs: impl IntoAddrs,
    ) -> Self {
        let peers = peers.into_iter().map(|peer| self.ids.node(peer)).collect();
        self.extra(ExtraKind::Vxlan { vni, peers }, addrs)
    }

    /// Enables the spanning tree protocol (802.1D) on a switch. A loop of switches is an error
    /// unless one of them has it.
    ///
    /// Ports start forwarding frames only after twice the bridge's forward delay.
    pub fn stp(self) -> Self {
        self.set(|node| node.stp = true)
    }

    fn extra(self, kind: ExtraKind, addrs: impl IntoAddrs) -> Self {
        let addresses = addrs.into_addrs();
        let declared = *self.declared;
        *self.declared += 1;
        self.set(|node| node.extras.push(ExtraInterface { declared, kind, addresses }))
    }

    fn set(mut self, change: impl FnOnce(&mut Node)) -> Self {
        if let Some(node) = &mut self.node {
            change(node);
        }
        self
    }
}
