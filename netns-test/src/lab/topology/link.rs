//! Builder of a link. It stores what the caller passes; `Topology::plan` checks it. Pure.

use crate::lab::topology::id::LinkId;
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
}

#[expect(clippy::must_use_candidate, reason = "each call changes the link; chaining is optional")]
impl<'a> LinkSpec<'a> {
    pub(crate) fn new(link: &'a mut Link, id: LinkId) -> Self {
        Self { link, id }
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
}
