//! Routes of a running host.

use std::net::IpAddr;

use crate::error::Result;
use crate::lab::change::is_link_local;
use crate::lab::cidr::{Cidr, Subnet};
use crate::lab::given::{Gateway, GivenSubnet, Via};
use crate::lab::host::{Here, Host};
use crate::netlink::requests;
use crate::netlink::tables::Again;

const NOT_ITSELF: &str = "give that of a neighbour, or a link for what is on that";

impl Host {
    /// Adds a route, in the place of the one to the same destination if there is one: by a gateway that is
    /// an address on a subnet of the host, or a node that has one; or by a link of the host, to what is on
    /// that itself, as multicast (`224.0.0.0/4`) of a host without a default route. The default route is
    /// the one to `0.0.0.0/0` or `::/0`.
    ///
    /// # Errors
    ///
    /// A text that is no subnet or no address; a node that has no address on a subnet of the host; the host
    /// itself, or an address of its own; a link that does not end at it;
    /// ENETUNREACH or EHOSTUNREACH for a gateway that cannot be reached.
    pub fn add_route(
        &self,
        destination: impl Into<GivenSubnet>,
        via: impl Into<Via>,
    ) -> Result<()> {
        let (to, here) = (self.subnet("add", destination.into())?, self.here()?);
        let (via, index, way) = match via.into().0 {
            Gateway::Link(link) => {
                let interface = self.find(&here, &link.into())?;
                self.check_link(&here, to, interface.index)?;
                (None, Some(interface.index), format!("dev {}", interface.name))
            }
            via => {
                let via = self.gateway(&here, to, &via)?;
                (Some(via), None, format!("via {via}"))
            }
        };
        let _turn = here.change();
        let fabric = self.lab()?;
        let object = format!("route to {to} {way} of {}", self.name());
        let destination = (to.network(), to.prefix());
        let before = routes_to(&here, destination)?;
        here.netlink.ask_all(&[requests::route(object, destination, via, index)])?;
        let after = routes_to(&here, destination)?;
        self.note(&fabric, before.iter().rev().map(Again::add_if_none));
        let new = after.iter().filter(|route| !before.contains(route));
        self.note(&fabric, new.map(Again::remove));
        Ok(())
    }

    /// Takes the route to exactly this destination away, whoever has made it. Of several the kernel
    /// takes the first.
    ///
    /// # Errors
    ///
    /// A text that is no subnet; ESRCH where there is no such route.
    pub fn remove_route(&self, destination: impl Into<GivenSubnet>) -> Result<()> {
        let (to, here) = (self.subnet("remove", destination.into())?, self.here()?);
        let object = format!("route to {to} of {}", self.name());
        let destination = (to.network(), to.prefix());
        let _turn = here.change();
        let (fabric, before) = (self.lab()?, routes_to(&here, destination)?);
        here.netlink.ask_all(&[requests::no_route(object, destination)])?;
        self.note(&fabric, before.iter().rev().map(Again::add_if_none));
        Ok(())
    }

    fn subnet(&self, step: &str, given: GivenSubnet) -> Result<Subnet> {
        given.0.map_err(|error| self.mistake(step, "a route", &error).into())
    }

    /// What is on a link can be sent to from an address there, and what is on its own subnet is already.
    fn check_link(&self, here: &Here, to: Subnet, index: u32) -> Result<()> {
        let own = here.netlink.addresses()?;
        let own = own.iter().filter(|one| one.index == index && !is_link_local(one.address));
        let own: Vec<Cidr> =
            own.filter_map(|one| Cidr::new(one.address, one.prefix).ok()).collect();
        let why = if own.iter().any(|one| one.subnet() == to) {
            "it is the link's own subnet, to which there is a route"
        } else if own.iter().all(|one| one.address().is_ipv4() != to.is_ipv4()) {
            "the host has no address of its family on the link"
        } else {
            return Ok(());
        };
        Err(self.mistake("add", &format!("the route to {to}"), &why).into())
    }

    fn gateway(&self, here: &Here, to: Subnet, via: &Gateway) -> Result<IpAddr> {
        let failed = |why: String| {
            let what = format!("the route to {to}");
            self.mistake("add", &what, &why).into()
        };
        let own = here.netlink.addresses()?;
        let node = match via {
            Gateway::Address(address) if address.is_ipv4() != to.is_ipv4() => {
                return Err(failed(format!("the gateway {address} is of the other family")));
            }
            Gateway::Address(address) if own.iter().any(|one| one.address == *address) => {
                return Err(failed(format!("{address} is the host's own address; {NOT_ITSELF}")));
            }
            Gateway::Address(address) => return Ok(*address),
            Gateway::Link(_) => return Err(failed("a link is no gateway".to_owned())),
            Gateway::Text(text) => {
                return Err(failed(format!("`{text}`: no IPv4 or IPv6 address")));
            }
            Gateway::Node(node) => *node,
        };
        let fabric = self.lab()?;
        let Some(at) = fabric.plan.position(node) else {
            return Err(failed("the gateway is a node of another topology".to_owned()));
        };
        let other = &fabric.hosts[at];
        if other.name() == self.name() {
            return Err(failed(format!("the gateway is the host itself; {NOT_ITSELF}")));
        }
        // Link-local subnets are alike on all links.
        let own = own.iter().filter(|one| !is_link_local(one.address));
        let own: Vec<Cidr> =
            own.filter_map(|one| Cidr::new(one.address, one.prefix).ok()).collect();
        let is_near = |address: &IpAddr| {
            address.is_ipv4() == to.is_ipv4()
                && !address.is_loopback()
                && own.iter().any(|one| one.is_near(*address))
        };
        let theirs = other.here()?.netlink.addresses()?;
        let found = theirs.into_iter().map(|one| one.address).find(is_near);
        found.ok_or_else(|| {
            failed(format!("{} has no address on a subnet of the host", other.name()))
        })
    }
}

fn routes_to(here: &Here, destination: (IpAddr, u8)) -> Result<Vec<Again>> {
    let mut all = here.netlink.added_routes()?;
    all.retain(|route| route.destination == destination);
    Ok(all)
}
