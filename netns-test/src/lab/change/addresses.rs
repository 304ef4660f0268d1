//! Addresses of a running host.

use crate::error::{Result, located};
use crate::lab::build::ready::{self, Awaited};
use crate::lab::change::is_link_local;
use crate::lab::cidr::Cidr;
use crate::lab::given::{GivenAddr, Interface};
use crate::lab::host::{Here, Host};
use crate::lab::running::Fabric;
use crate::netlink::state::Interface as Found;
use crate::netlink::tables::Again;
use crate::netlink::{Request, requests};

/// Changes of addresses and routes. `/etc/hosts` keeps what the plan says; the plan does, too.
///
/// An interface is given by its name, or by the link that ends there. In the caller's own network they are
/// taken back when the lab ends.
impl Host {
    /// Gives an interface one more address, with the length of its prefix: `10.9.0.1/24`. It can be used
    /// at once, but neighbours that have known it as another host's keep that for a while (`arp(7)`).
    ///
    /// # Errors
    ///
    /// A text that is no address with a prefix, an interface that is not there, EEXIST for an address
    /// that it has.
    #[track_caller]
    pub fn add_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        located(self.try_add_addr(interface, address))
    }

    fn try_add_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let address = self.read("add", address.into())?;
        self.changing(&interface.into(), Some(address), |fabric, here, interface| {
            here.netlink.ask_all(&[self.adding(interface, address)])?;
            self.note(fabric, [self.removing(interface, address)]);
            self.settle(here, interface)
        })
    }

    /// Takes an address away from an interface, with the routes that need it. Without a prefix that is
    /// the address's own it is refused, as `ip address del` does.
    ///
    /// Where it is IPv4 and the first of its subnet, the others of that subnet stay.
    ///
    /// # Errors
    ///
    /// As [`add_addr`](Self::add_addr); EADDRNOTAVAIL for an address that the interface does not have.
    #[track_caller]
    pub fn remove_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        located(self.try_remove_addr(interface, address))
    }

    fn try_remove_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let address = self.read("remove", address.into())?;
        self.changing(&interface.into(), None, |_, here, interface| {
            self.change(here, interface, address, &[address], None)
        })
    }

    /// Puts an address in the place of all those that the interface has of its family, but for the
    /// link-local one. Routes through the interface stay if their gateways can be reached with it, and go
    /// otherwise, in IPv4 and IPv6 alike: also the default route.
    ///
    /// # Errors
    ///
    /// As [`add_addr`](Self::add_addr), but that the interface may have the address. All is as it was then.
    #[track_caller]
    pub fn set_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        located(self.try_set_addr(interface, address))
    }

    fn try_set_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let address = self.read("set", address.into())?;
        self.changing(&interface.into(), Some(address), |_, here, interface| {
            let old = of_family(here, interface, address.address().is_ipv4())?;
            let is_old = |one: &&Cidr| !is_link_local(one.address());
            let old: Vec<Cidr> = old.iter().filter(is_old).copied().collect();
            if old == [address] {
                return Ok(());
            }
            self.change(here, interface, address, &old, Some(address))
        })
    }

    /// Changes addresses of an interface while nobody else changes those of the host, and partitions hold.
    fn changing(
        &self,
        interface: &Interface,
        new: Option<Cidr>,
        work: impl FnOnce(&Fabric, &Here, &Found) -> Result<()>,
    ) -> Result<()> {
        let (here, fabric) = (self.here()?, self.lab()?);
        let changed = self.find(&here, interface).and_then(|found| {
            let turn = here.change();
            self.expecting(&fabric, new, || work(&fabric, &here, &found))?;
            drop(turn);
            // Others may have asked for a new address before it was there.
            new.map_or(Ok(()), |_| fabric.forget_failures(&fabric.cables.lock()))
        });
        changed.map_err(|error| match self.is_still(&here) {
            true => error,
            false => error.by_power_cut(format!("{} was powered off meanwhile", self.name())),
        })
    }

    /// Takes `old` addresses away and adds a `new` one. With the last address of IPv4 the kernel drops all
    /// routes through the interface, and with the first one of a subnet the others: they are put back. What
    /// is refused leaves all as it was.
    fn change(
        &self,
        here: &Here,
        interface: &Found,
        like: Cidr,
        old: &[Cidr],
        new: Option<Cidr>,
    ) -> Result<()> {
        let (fabric, netlink, is_ipv4) = (self.lab()?, &here.netlink, like.address().is_ipv4());
        let is_meant = |route: &Again| {
            route.index == Some(interface.index) && route.destination.0.is_ipv4() == is_ipv4
        };
        let routes: Vec<Again> = netlink.added_routes()?.into_iter().filter(is_meant).collect();
        let before = of_family(here, interface, is_ipv4)?;
        if let Some(new) = new {
            self.try_out(here, interface, (&before, new))?;
        }
        // The first address of a subnet last: the kernel takes the others away with it.
        let removing = old.iter().rev().map(|one| self.removing(interface, *one));
        let adding = new.into_iter().map(|one| self.adding(interface, one));
        let changed = netlink.ask_all(&removing.chain(adding).collect::<Vec<_>>());
        let wanted: Vec<Cidr> = match changed {
            Ok(()) => before.iter().filter(|one| !old.contains(one)).copied().chain(new).collect(),
            Err(_) => before,
        };
        let there = of_family(here, interface, is_ipv4)?;
        // Link-local ones go with a link that is taken down meanwhile, and come with it.
        let is_lost = |one: &&Cidr| !there.contains(one) && !is_link_local(one.address());
        let lost = wanted.iter().filter(is_lost);
        let lost: Vec<_> = lost.map(|one| self.adding(interface, *one)).collect();
        let put_back = netlink.ask_all(&lost);
        // One whose gateway cannot be reached any more is lost. Of IPv6 the kernel keeps it.
        for route in &routes {
            if netlink.ask_all(&[route.add()]).is_err() {
                drop(netlink.ask_all(&[route.remove()]));
            }
        }
        if changed.is_ok() {
            self.note(&fabric, routes.iter().rev().map(Again::add_if_none));
            self.note(&fabric, old.iter().rev().map(|one| self.adding(interface, *one)));
            self.note(&fabric, new.into_iter().map(|one| self.removing(interface, one)));
        }
        let settled = self.settle(here, interface);
        changed.and(put_back)?;
        settled
    }

    /// Whether the kernel takes a new address, before any other goes.
    fn try_out(
        &self,
        here: &Here,
        interface: &Found,
        (before, new): (&[Cidr], Cidr),
    ) -> Result<()> {
        if before.iter().all(|one| one.address() != new.address()) {
            here.netlink.ask_all(&[self.adding(interface, new)])?;
            here.netlink.ask_all(&[self.removing(interface, new)])?;
        }
        Ok(())
    }

    /// Has partitions hold while addresses change.
    fn expecting(
        &self,
        fabric: &Fabric,
        new: Option<Cidr>,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let at = fabric.plan.nodes().iter().position(|node| node.name == self.name());
        let new: Vec<_> = at.zip(new).map(|(at, new)| (at, new.address())).into_iter().collect();
        let done = fabric.partitions.expect(fabric, &new, None).and_then(|()| work());
        let held = fabric.partitions.arrived(fabric, &new);
        done.and(held)
    }

    fn read(&self, step: &str, given: GivenAddr) -> Result<Cidr> {
        given.0.map_err(|error| self.mistake(step, "an address", &error).into())
    }

    fn adding(&self, interface: &Found, address: Cidr) -> Request {
        let object = self.label(interface, address);
        requests::address(object, interface.index, address.address(), address.prefix())
    }

    fn removing(&self, interface: &Found, address: Cidr) -> Request {
        let object = self.label(interface, address);
        requests::no_address(object, interface.index, address.address(), address.prefix())
    }

    fn label(&self, interface: &Found, address: Cidr) -> String {
        format!("{address} on {} of {}", interface.name, self.name())
    }

    /// Waits until the addresses of the interface can be used. One that carries nothing hears nothing, and
    /// nobody asks whether it has them.
    fn settle(&self, here: &Here, interface: &Found) -> Result<()> {
        let label = format!("{} of {}", interface.name, self.name());
        let awaited = Awaited { index: interface.index, label, may_be_down: true };
        ready::wait_on(here, &[awaited])
    }
}

/// The addresses of an interface of one family.
fn of_family(here: &Here, interface: &Found, is_ipv4: bool) -> Result<Vec<Cidr>> {
    let all = here.netlink.addresses()?.into_iter();
    let own = all.filter(|one| one.index == interface.index && one.address.is_ipv4() == is_ipv4);
    Ok(own.filter_map(|one| Cidr::new(one.address, one.prefix).ok()).collect())
}
