//! Routes of a running host.

use std::net::IpAddr;

use crate::addr::cidr::{Cidr, Subnet};
use crate::addr::link_local::is_link_local;
use crate::error::{Error, Result, located};
use crate::lab::fabric::node::Here;
use crate::lab::fabric::own_network::rank;
use crate::lab::fabric::state::Fabric;
use crate::lab::run::node::Node;
use crate::lab::topology::input::{Gateway, SubnetArg, Via};
use crate::lab::topology::{NodeId, NodeKind};
use crate::netlink;
use crate::netlink::addr::Address;
use crate::netlink::kept::Kept;
use crate::netlink::route::{MAIN, Rank};

const NOT_ITSELF: &str = "give that of a neighbour, or a link for what is on that";

impl Node {
    /// Adds a route, in the place of the one to the same destination if there is one (in the caller's own
    /// network, [before](crate::lab::Topology::local) the machine's): by a gateway that is
    /// an address on a subnet of the host, or a node that has one; or by a link of the host, to what is on
    /// that itself, as multicast (`224.0.0.0/4`) of a host without a default route. The default route is
    /// the one to `0.0.0.0/0` or `::/0`.
    ///
    /// # Errors
    ///
    /// A text that is no subnet or no address; a node that has no address on a subnet of the host; the host
    /// itself, or an address of its own; a link that does not end at it, or is on that subnet already;
    /// ENETUNREACH or EHOSTUNREACH for a gateway that cannot be reached.
    #[track_caller]
    pub fn add_route(&self, destination: impl Into<SubnetArg>, via: impl Into<Via>) -> Result<()> {
        located(self.try_add_route(destination, via))
    }

    fn try_add_route(&self, destination: impl Into<SubnetArg>, via: impl Into<Via>) -> Result<()> {
        let (to, here) = (self.subnet("add", destination.into())?, self.here()?);
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

    /// Takes the route to exactly this destination away, whoever has made it. Of several the kernel
    /// takes the first: in the caller's own network the lab's, and then the machine's.
    ///
    /// # Errors
    ///
    /// A text that is no subnet; ESRCH where there is no such route. In the caller's own network, one that
    /// the kernel has made from a router's advertisement: the lab could not give it back.
    #[track_caller]
    pub fn remove_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        located(self.try_remove_route(destination))
    }

    fn try_remove_route(&self, destination: impl Into<SubnetArg>) -> Result<()> {
        let (to, here) = (self.subnet("remove", destination.into())?, self.here()?);
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

    /// The place of a new route; none where it is there already, as the machine's.
    fn rank(
        &self,
        fabric: &Fabric,
        here: &Here,
        destination: Subnet,
        (via, index): (Option<IpAddr>, Option<u32>),
    ) -> Result<Option<Rank>> {
        if self.kind() != NodeKind::Local {
            return Ok(Some(Rank::Instead));
        }
        let there = here.netlink.kept_routes()?;
        let cables = fabric.cables.lock();
        let at = fabric.plan.nodes().iter().position(|node| node.name == self.name());
        let is_moved = |index: u32| {
            cables.iter().flatten().any(|end| Some(end.node) == at && end.index == index)
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

    /// The gateway of a route, or the index of its interface; and the same as ip-route(8) has it.
    fn way(
        &self,
        here: &Here,
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
                let why = format!("{address} is the host's own address; {NOT_ITSELF}");
                return Err(self.no_way(to, &why));
            }
            Gateway::Address(address) => address,
            Gateway::Node(node) => self.neighbour(&subnets(&own), to, node)?,
        };
        Ok((Some(address), None, format!("via {address}")))
    }

    /// What is on a link can be sent to from an address there, and what is on its own subnet is already.
    fn check_link(&self, own: &[Cidr], to: Subnet) -> Result<()> {
        if own.iter().any(|one| one.subnet() == to) {
            Err(self.no_way(to, &"it is the link's own subnet, to which there is a route"))
        } else if own.iter().all(|one| one.address().is_ipv4() != to.is_ipv4()) {
            Err(self.no_way(to, &"the host has no address of its family on the link"))
        } else {
            Ok(())
        }
    }

    /// An address of the node on a subnet of the host.
    fn neighbour(&self, own: &[Cidr], to: Subnet, node: NodeId) -> Result<IpAddr> {
        let fabric = self.fabric();
        let Some(at) = fabric.plan.position(node) else {
            return Err(self.no_way(to, &"the gateway is a node of another topology"));
        };
        let other = &fabric.hosts[at];
        if other.name() == self.name() {
            return Err(self.no_way(to, &format!("the gateway is the host itself; {NOT_ITSELF}")));
        }
        let is_near = |address: &IpAddr| {
            address.is_ipv4() == to.is_ipv4()
                && !address.is_loopback()
                && own.iter().any(|one| one.is_near(*address))
        };
        let theirs = other.here()?.netlink.addresses()?;
        let found = theirs.into_iter().map(|one| one.cidr.address()).find(is_near);
        found.ok_or_else(|| {
            let why = format!("{} has no address on a subnet of the host", other.name());
            self.no_way(to, &why)
        })
    }

    fn no_way(&self, to: Subnet, why: &impl ToString) -> Error {
        self.invalid("add", &format!("the route to {to}"), why).into()
    }
}

/// With their subnets, but for the link-local ones, which are alike on all links.
fn subnets(own: &[Address]) -> Vec<Cidr> {
    let own = own.iter().filter(|one| !is_link_local(one.cidr.address()));
    own.map(|one| one.cidr).collect()
}

/// Whether it is a route to that destination which `ip route` shows.
fn is_to(kept: &Kept, destination: Subnet) -> bool {
    kept.as_route().is_some_and(|route| (route.table, route.destination) == (MAIN, destination))
}
