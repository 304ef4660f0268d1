//! Handle of an interface of a node, for changes of its addresses.

use std::fmt;

use crate::error::{Result, located};
use crate::lab::run::node::Node;
use crate::lab::topology::input::{AddrArg, InterfaceArg};

/// Interface of a node, by its name or by the link that ends there
/// (`lab[node].interface("eth0")`).
///
/// The interface is looked up at each call, so the handle stays valid when a link moves or a node
/// is powered off and on. The methods change neither the [plan](crate::Lab::plan) nor
/// `/etc/hosts`. In the caller's own network the end of the lab undoes their changes.
///
/// ```no_run
/// # fn main() -> netns_test::Result<()> {
/// use netns_test::Topology;
///
/// let mut net = Topology::new();
/// let (client, server) = (net.host("client"), net.host("server"));
/// let cable = net.link(client, server).id();
/// let lab = net.build()?;
/// lab[client].interface("eth0").add_addr("192.0.2.1/24")?;
/// lab[server].interface(cable).add_addr("192.0.2.2/24")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "only the methods of this handle change anything"]
pub struct NodeInterface<'lab> {
    node: &'lab Node,
    which: InterfaceArg,
}

impl Node {
    /// Returns the handle of an interface: see [`NodeInterface`]. Its methods fail if there is no
    /// such interface.
    pub fn interface(&self, which: impl Into<InterfaceArg>) -> NodeInterface<'_> {
        NodeInterface { node: self, which: which.into() }
    }
}

impl NodeInterface<'_> {
    /// Adds an address with its prefix length: `10.9.0.1/24`. When this returns, DAD is over and
    /// the address is usable. If another node had the address before, neighbours keep their entries
    /// for that node for a while (arp(7)).
    ///
    /// # Errors
    ///
    /// A text that is not an address with a prefix length; no such interface; EEXIST for an address
    /// that the interface has; a node that is powered off.
    #[track_caller]
    pub fn add_addr(&self, address: impl Into<AddrArg>) -> Result<()> {
        located(self.node.add_address(&self.which, address.into()))
    }

    /// Removes an address and the routes that need it. The prefix length must be that of the
    /// address, as for `ip address del`. Secondary IPv4 addresses of the same subnet stay.
    ///
    /// # Errors
    ///
    /// A text that is not an address with a prefix length; no such interface; EADDRNOTAVAIL for an
    /// address that the interface does not have; a node that is powered off. In the caller's own
    /// network, an address that the lab could not restore with all that depends on it: one that the
    /// kernel has made (SLAAC, a temporary one), or one with the flag `mngtmpaddr`.
    #[track_caller]
    pub fn remove_addr(&self, address: impl Into<AddrArg>) -> Result<()> {
        located(self.node.remove_address(&self.which, address.into()))
    }

    /// Replaces all addresses of the same family by this one, except the link-local one. Removes
    /// routes through the interface whose gateways are not reachable from the new address, default
    /// routes included, for IPv4 and IPv6.
    ///
    /// # Errors
    ///
    /// As [`remove_addr`](Self::remove_addr), but the interface may have the address already. After
    /// an error the addresses are as before.
    #[track_caller]
    pub fn set_addr(&self, address: impl Into<AddrArg>) -> Result<()> {
        located(self.node.set_address(&self.which, address.into()))
    }
}

/// `NodeInterface(Name("eth0") of server)`
impl fmt::Debug for NodeInterface<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeInterface({:?} of {})", self.which.0, self.node.name())
    }
}
