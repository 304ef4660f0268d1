//! Builder of a link. It stores what the caller passes; `Topology::plan` checks it. Pure.

use crate::lab::topology::id::{Ids, LinkId, NodeId};
use crate::lab::topology::impairment::Impairment;
use crate::lab::topology::input::{IntoAddrs, MacArg, SubnetArg};
use crate::lab::topology::model::Link;

/// Sets optional properties of a link; returned by [`Topology::link`](super::Topology::link).
///
/// Planning chooses all properties that are not set. Values that cannot be used, such as a text
/// that is not an address, are reported by [`Topology::plan`](super::Topology::plan).
#[derive(Debug)]
pub struct LinkSpec<'a> {
    link: &'a mut Link,
    id: LinkId,
    ids: &'a Ids,
}

#[expect(clippy::must_use_candidate, reason = "each call changes the link; chaining is optional")]
impl<'a> LinkSpec<'a> {
    pub(crate) fn new(link: &'a mut Link, id: LinkId, ids: &'a Ids) -> Self {
        Self { link, id, ids }
    }

    /// Returns the link's id, which finds the link in the plan and in the running lab.
    #[must_use]
    pub fn id(self) -> LinkId {
        self.id
    }

    /// Sets the link's name, which messages and drawings use. Names of links are unique; the case
    /// of ASCII letters does not distinguish them.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.link.name = Some(name.into());
        self
    }

    /// Sets the MTU of both ends in bytes: 1280 to 65535, or 68 to 65535 on a segment without
    /// IPv6. The default is 1500.
    ///
    /// Links that switches join form one segment and share one MTU: setting it on one of these
    /// links is enough, and two different values are an error.
    pub fn mtu(self, bytes: u32) -> Self {
        self.link.mtu = Some(bytes);
        self
    }

    /// Sets the names of the interfaces at the two ends, at most 15 bytes each. The default is
    /// `eth0`, `eth1`, … in the order of declaration, and on a switch the name of the other node.
    pub fn interfaces(self, a: impl Into<String>, b: impl Into<String>) -> Self {
        let names = [a.into(), b.into()];
        for (end, name) in self.link.ends.iter_mut().zip(names) {
            end.interface = Some(name);
        }
        self
    }

    /// Adds addresses to the two ends; `()` adds none. The first address of each family is the
    /// primary one.
    ///
    /// An end without an address of a family gets one from the segment's subnet.
    ///
    /// ```
    /// # use netns_test::Topology;
    /// # let mut net = Topology::new();
    /// # let (a, b) = (net.host("a"), net.host("b"));
    /// net.link(a, b).addrs(["192.0.2.1/24", "2001:db8::1/64"], "192.0.2.2/24");
    /// # assert_eq!(net.plan()?.addresses_of(b)[1].to_string(), "2001:db8::2");
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn addrs(self, a: impl IntoAddrs, b: impl IntoAddrs) -> Self {
        let addresses = [a.into_addrs(), b.into_addrs()];
        for (end, addresses) in self.link.ends.iter_mut().zip(addresses) {
            end.addresses.extend(addresses);
        }
        self
    }

    /// Sets the subnet of the link's segment, in place of one from the pools. Call it once for
    /// each family.
    pub fn subnet(self, subnet: impl Into<SubnetArg>) -> Self {
        self.link.subnets.push(subnet.into());
        self
    }

    /// Sets the Ethernet addresses of the two ends, in place of locally administered ones.
    pub fn macs(self, a: impl Into<MacArg>, b: impl Into<MacArg>) -> Self {
        let macs = [a.into(), b.into()];
        for (end, mac) in self.link.ends.iter_mut().zip(macs) {
            end.mac = Some(mac);
        }
        self
    }

    /// Leaves the link's segment without an IPv6 subnet.
    pub fn ipv4_only(self) -> Self {
        self.link.only[0] = true;
        self
    }

    /// Leaves the link's segment without an IPv4 subnet.
    pub fn ipv6_only(self) -> Self {
        self.link.only[1] = true;
        self
    }

    /// Sets the impairments of both directions. Without a call the link is a direct veth pair.
    ///
    /// Of an [`Impairment`] whose directions differ the first one is that from the link's first
    /// node to its second: `net.link(home, provider).impair(Impairment::dsl())`.
    pub fn impair(self, impairment: Impairment) -> Self {
        self.link.impairments.from = impairment.into_both().map(Some);
        self
    }

    /// Sets the impairments of the direction from `node`, which is at one end. The other direction
    /// is left as it is, unless [`Impairment::back`] has set it apart.
    pub fn impair_from(self, node: NodeId, impairment: Impairment) -> Self {
        let node = self.ids.node(node);
        let end = self.link.ends.iter().position(|end| node.is_some() && end.node == node);
        let Some(end) = end else {
            self.link.impairments.strays.push(node);
            return self;
        };
        for (from, way) in self.link.impairments.from.iter_mut().zip(impairment.into_one(end)) {
            *from = way.or(from.take());
        }
        self
    }

    /// Lets the lab's [`Link`](crate::lab::Link) set impairments while the link is in use, although
    /// it declares none. Such a link costs more than a direct veth pair.
    pub fn impairable(self) -> Self {
        self.link.impairments.is_impairable = true;
        self
    }

    /// Records the frames at both ends of the link, for [`Link::save_pcap`] and the other ways to
    /// look at them: of those that the node at an end has sent, and of those that were delivered to
    /// it, the first 256 ones, up to 128 KiB, and the last 512 KiB. From 7 such links on they share
    /// 16 MiB.
    ///
    /// The link can be [impaired](Self::impairable), too: the thread that passes the frames of such
    /// links on records them. No other program or socket takes part. A link that is not captured
    /// is not recorded.
    ///
    /// [`Link::save_pcap`]: crate::lab::Link::save_pcap
    pub fn capture(self) -> Self {
        self.link.impairments.is_captured = true;
        self
    }

    /// Sets whether the ends have offloads. The default is true, as on every veth pair: a reader of
    /// raw packets sees TCP packets of up to 64 KiB, whose checksums are not computed. With false
    /// it sees them as on a wire, and TCP is several times slower.
    pub fn offloads(self, are_on: bool) -> Self {
        self.link.impairments.has_no_offloads = !are_on;
        self
    }
}
