//! Planned addresses of a node, for the tests that connect to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lab::run::node::Node;
use crate::lab::topology::LinkId;

/// Planned addresses. They stay the same when addresses change:
/// [`Lab::snapshot`](crate::Lab::snapshot) has the current ones.
impl Node {
    /// Returns the node's first IPv4 address in the plan.
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> std::io::Result<()> {
    /// let stream = std::net::TcpStream::connect((lab[server].ipv4(), 80))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If the node has no IPv4 address.
    #[must_use]
    #[track_caller]
    pub fn ipv4(&self) -> Ipv4Addr {
        let found = self.planned().iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        match found {
            Some(address) => address,
            None => panic!("node {}: it has no IPv4 address", self.name()),
        }
    }

    /// Returns the node's first IPv6 address in the plan, which is not link-local.
    ///
    /// # Panics
    ///
    /// If the node has no IPv6 address.
    #[must_use]
    #[track_caller]
    pub fn ipv6(&self) -> Ipv6Addr {
        let found = self.planned().iter().find_map(|address| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        });
        match found {
            Some(address) => address,
            None => panic!("node {}: it has no IPv6 address", self.name()),
        }
    }

    /// Returns the node's first planned address on a link: of IPv4, or else of IPv6. A router has
    /// another one on each link.
    ///
    /// # Panics
    ///
    /// If the link does not end at the node, or the node has no address there.
    #[must_use]
    #[track_caller]
    pub fn address_on(&self, link: LinkId) -> IpAddr {
        match self.planned_on(link) {
            Some(address) => address,
            None => panic!("node {}: it has no address on this link", self.name()),
        }
    }

    fn planned_on(&self, link: LinkId) -> Option<IpAddr> {
        let plan = &self.fabric().plan;
        let ends = plan.links()[plan.link_position(link)?].ends;
        let own = ends.into_iter().find(|end| end.node == self.position())?;
        let addresses = &plan.interface(own).addresses;
        let first = addresses.iter().find(|one| one.address().is_ipv4());
        first.or(addresses.first()).map(|one| one.address())
    }

    fn planned(&self) -> &[IpAddr] {
        &self.fabric().plan.nodes()[self.position()].addresses
    }
}
