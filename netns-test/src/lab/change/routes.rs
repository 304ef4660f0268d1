//! Changes of the routes of a running node.

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::addr::link_local::is_link_local;
use crate::error::{Error, Result, located};
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::own_network::rank;
use crate::lab::fabric::state::Fabric;
use crate::lab::run::node::Node;
use crate::lab::topology::input::{Gateway, SubnetArg, Via};
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink;
use crate::netlink::addr::Address;
use crate::netlink::kept::Kept;
use crate::netlink::route::{MAIN, Rank};

/// Advice where the gateway is the node itself.
const NOT_ITSELF: &str =
    "pass the address of a neighbour, or a link for a destination on that link";

impl Node {
    /// Adds a route to a subnet. It replaces a route to the same subnet; in the caller's own
    /// network it takes precedence over the [machine's route](crate::lab::Topology::local). The
    /// default route is the one to `0.0.0.0/0` or `::/0`.
    ///
    /// `via` is a gateway: an address on a subnet of this node, or another node that has one. It
    /// can also be a link of this node, for destinations on the link itself. A node without a
    /// default route needs this to send multicast (`224.0.0.0/4`).
    ///
    /// # Errors
    ///
    /// A text that is not a subnet or address; a gateway node without an address on a subnet of
    /// this node; this node, or one of its addresses, as the gateway; a link that does not end
    /// here, or whose own subnet is the destination; ENETUNREACH or EHOSTUNREACH for a gateway that
    /// cannot be reached; a node that is powered off.
    #[track_caller]
    pub fn add_route(&self, destination: impl Into<SubnetArg>, via: impl Into<Via>) -> Result<()> {
        located(self.try_add_route(destination, via))
    }

    fn try_add_route(&self, destination: impl Into<SubnetArg>, via: impl Into<Via>) -> Result<()> {
        let (to, here) = (self.subnet("add", destination.into())?, self.here()?);
        log::note(|| Event::of(EventKind::Route, self.name(), format!("{to} added")));
        let (via, index, way) = self.way(&here, to, via.into().0)?;
        let _turn = here.change();
        let fabric = self.fabric();
        let object = format!("route to {to} {way} of {}", self.name());
        let Some(rank) = self.rank(fabric, &here, to, (via, index))? else {
            return Ok(());
        };
        let is_own = |kept: &Kept| kept.destination() == Some(to);
        self.journaled(fabric, &here, is_own, || {
            let request = netlink::route::add(object, to, (via, index), rank);
            Ok(here.netlink.ask_all(&[request])?)
        })
    }

    /// Removes the route to exactly this destination, also one that the lab has not added. Of
    /// several such routes the kernel removes the first one. In the caller's own network that is
    /// the lab's, then the machine's.
    ///
    /// # Errors
    ///
    /// A text that is not a subnet; ESRCH if there is no such route; a node that is powered off. In
    /// the caller's own network, a route from a router advertisement, as the lab could not restore
    /// it.
    #[track_caller]
    pub fn remove_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        located(self.try_remove_route(destination))
    }

    fn try_remove_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        let (to, here) = (self.subnet("remove", destination.into())?, self.here()?);
        log::note(|| Event::of(EventKind::Route, self.name(), format!("{to} removed")));
        let object = format!("route to {to} of {}", self.name());
        let _turn = here.change();
        let fabric = self.fabric();
        let is_it = |route: &Kept| is_to(route, to) && !route.has_tos();
        let first = here.netlink.kept_routes()?.into_iter().find(is_it);
        self.check_removal("remove", first.as_slice())?;
        self.journaled(
            fabric,
            &here,
            |_| false,
            || Ok(here.netlink.ask_all(&[netlink::route::remove(object, to)])?),
        )
    }

    /// Returns the rank of a new route among the others to its destination; none if the machine
    /// already has it.
    fn rank(
        &self,
        fabric: &Fabric,
        here: &Namespaces,
        destination: Subnet,
        (via, index): (Option<IpAddr>, Option<u32>),
    ) -> Result<Option<Rank>> {
        if self.kind() != NodeKind::Local {
            return Ok(Some(Rank::Instead));
        }
        let there = here.netlink.kept_routes()?;
        let links = fabric.links.lock();
        let at = fabric.plan.nodes().iter().position(|node| node.name == self.name());
        let is_moved = |index: u32| {
            links.iter().flatten().any(|end| Some(end.node) == at && end.index == index)
        };
        let is_own = |kept: &Kept| {
            let indexes = kept.indexes();
            let of_plan =
                at.is_some_and(|at| fabric.indexes.are_of_lab(&fabric.plan, at, &indexes));
            let is_moved = !indexes.is_empty() && indexes.into_iter().all(is_moved);
            of_plan || is_moved || fabric.journal.is_own(kept)
        };
        let rank = rank::rank(&there, destination, is_own)
            .map_err(|why| self.invalid("add", &format!("the route to {destination}"), &why))?;
        let is_it = |kept: &&Kept| {
            let route = kept.as_route();
            let ways = route.map(|route| route.hops).unwrap_or_default();
            let [way] = ways.as_slice() else { return false };
            way.via == via && index.is_none_or(|index| way.index == Some(index))
        };
        let first = there.iter().find(|route| is_to(route, destination) && !route.has_tos());
        let is_there = rank != Rank::Instead && first.filter(is_it).is_some();
        Ok((!is_there).then_some(rank))
    }

    fn subnet(&self, step: &str, given: SubnetArg) -> Result<Subnet> {
        given.0.map_err(|error| self.invalid(step, "a route", &error).into())
    }

    /// Returns the gateway of a route or the index of its interface, and the words of ip-route(8)
    /// for it.
    fn way(
        &self,
        here: &Namespaces,
        to: Subnet,
        via: Gateway,
    ) -> Result<(Option<IpAddr>, Option<u32>, String)> {
        let own = here.netlink.addresses()?;
        let address = match via {
            Gateway::Link(link) => {
                let interface = self.find(here, &link.into())?;
                let on_it: Vec<_> =
                    own.into_iter().filter(|one| one.index == interface.index).collect();
                self.check_link(&subnets(&on_it), to)?;
                return Ok((None, Some(interface.index), format!("dev {}", interface.name)));
            }
            Gateway::Text(text) => {
                return Err(self.no_way(to, &format!("`{text}`: no IPv4 or IPv6 address")));
            }
            Gateway::Address(address) if address.is_ipv4() != to.is_ipv4() => {
                return Err(
                    self.no_way(to, &format!("the gateway {address} is of the other family"))
                );
            }
            Gateway::Address(address) if own.iter().any(|one| one.cidr.address() == address) => {
                let why = format!("{address} is the node's own address; {NOT_ITSELF}");
                return Err(self.no_way(to, &why));
            }
            Gateway::Address(address) => address,
            Gateway::Node(node) => self.neighbour(&subnets(&own), to, node)?,
        };
        Ok((Some(address), None, format!("via {address}")))
    }

    /// Checks a route to destinations on a link: the node needs an address there to send from, and
    /// the link's own subnet has a route already.
    fn check_link(&self, own: &[Cidr], to: Subnet) -> Result<()> {
        if own.iter().any(|one| one.subnet() == to) {
            Err(self.no_way(to, &"it is the link's own subnet, to which there is a route"))
        } else if own.iter().all(|one| one.address().is_ipv4() != to.is_ipv4()) {
            Err(self.no_way(to, &"the node has no address of its family on the link"))
        } else {
            Ok(())
        }
    }

    /// Returns an address of the node `node` on a subnet of this one.
    fn neighbour(&self, own: &[Cidr], to: Subnet, node: NodeId) -> Result<IpAddr> {
        let fabric = self.fabric();
        let Some(at) = fabric.plan.position(node) else {
            return Err(self.no_way(to, &"the gateway is a node of another topology"));
        };
        let other = &fabric.nodes[at];
        if other.name() == self.name() {
            return Err(self.no_way(to, &format!("the gateway is the node itself; {NOT_ITSELF}")));
        }
        let is_near = |address: &IpAddr| {
            address.is_ipv4() == to.is_ipv4()
                && !address.is_loopback()
                && own.iter().any(|one| one.is_near(*address))
        };
        let theirs = other.here()?.netlink.addresses()?;
        let found = theirs.into_iter().map(|one| one.cidr.address()).find(is_near);
        found.ok_or_else(|| {
            let why = format!("{} has no address on a subnet of the node", other.name());
            self.no_way(to, &why)
        })
    }

    fn no_way(&self, to: Subnet, why: &impl ToString) -> Error {
        self.invalid("add", &format!("the route to {to}"), why).into()
    }
}

/// Returns the addresses with their subnets, except link-local ones, whose subnet is the same on
/// all links.
fn subnets(own: &[Address]) -> Vec<Cidr> {
    let own = own.iter().filter(|one| !is_link_local(one.cidr.address()));
    own.map(|one| one.cidr).collect()
}

/// Returns whether this is a route to that destination in the main table.
fn is_to(kept: &Kept, destination: Subnet) -> bool {
    kept.as_route().is_some_and(|route| (route.table, route.destination) == (MAIN, destination))
}
