//! Addresses of a running host.

use crate::error::Result;
use crate::lab::build::ready::{self, Awaited};
use crate::lab::change::is_link_local;
use crate::lab::cidr::Cidr;
use crate::lab::given::{GivenAddr, Interface};
use crate::lab::host::{Here, Host};
use crate::lab::running::Fabric;
use crate::netlink::belongings::Belongings;
use crate::netlink::kept::{Class, Kept};
use crate::netlink::state::Interface as Found;
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
    pub fn add_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let (address, here) = (self.read("add", address.into())?, self.here()?);
        let _turn = here.change();
        let (fabric, interface) = (self.lab()?, self.find(&here, &interface.into())?);
        self.expecting(&fabric, Some(address), || {
            self.noting(&fabric, &here, is_own(interface.index, address), || {
                Ok(here.netlink.ask_all(&[self.adding(&interface, address)])?)
            })?;
            self.settle(&here, &interface)
        })
    }

    /// Takes an address away from an interface, with the routes that need it. Without a prefix that is
    /// the address's own it is refused, as `ip address del` does.
    ///
    /// Where it is IPv4 and the first of its subnet, the others of that subnet stay.
    ///
    /// # Errors
    ///
    /// As [`add_addr`](Self::add_addr); EADDRNOTAVAIL for an address that the interface does not have. In
    /// the caller's own network, one that only the kernel can make (SLAAC): the lab could not give it back.
    pub fn remove_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let (address, here) = (self.read("remove", address.into())?, self.here()?);
        let _turn = here.change();
        let interface = self.find(&here, &interface.into())?;
        let (fabric, there) = (self.lab()?, here.netlink.belongings()?);
        let is_it = |one: &&Kept| is_own(interface.index, address)(one);
        let old: Vec<Kept> = there.of(Class::Address).filter(is_it).cloned().collect();
        if old.is_empty() {
            // The kernel has the words for that.
            here.netlink.ask_all(&[self.removing(&interface, address)])?;
        }
        self.check_taking("remove", &with_newer(&there, &old))?;
        self.expecting(&fabric, None, || {
            self.noting(
                &fabric,
                &here,
                |_| false,
                || self.change(&here, &interface, address.address().is_ipv4(), &old, None),
            )
        })
    }

    /// Puts an address in the place of all those that the interface has of its family, but for the
    /// link-local one. Routes through the interface stay if their gateways can be reached with it, and go
    /// otherwise, in IPv4 and IPv6 alike: also the default route.
    ///
    /// # Errors
    ///
    /// As [`remove_addr`](Self::remove_addr), but that the interface may have the address. All is as it was
    /// then.
    pub fn set_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let (address, here) = (self.read("set", address.into())?, self.here()?);
        let _turn = here.change();
        let interface = self.find(&here, &interface.into())?;
        let is_ipv4 = address.address().is_ipv4();
        let old = of_family(&here, &interface, is_ipv4)?.into_iter();
        let is_old = |one: &Kept| !one.as_address().is_some_and(|own| is_link_local(own.0));
        let old: Vec<Kept> = old.filter(is_old).collect();
        if let [only] = old.as_slice() {
            if is_own(interface.index, address)(only) {
                return Ok(());
            }
        }
        self.check_taking("remove", &with_newer(&here.netlink.belongings()?, &old))?;
        let (fabric, new) = (self.lab()?, Some(address));
        self.expecting(&fabric, new, || {
            self.noting(&fabric, &here, is_own(interface.index, address), || {
                self.change(&here, &interface, is_ipv4, &old, new)
            })
        })
    }

    /// Takes `old` addresses away and adds a `new` one. With the last address of IPv4 the kernel drops all
    /// routes through the interface, and with the first one of a subnet the others: they are put back. What
    /// is refused leaves all as it was.
    fn change(
        &self,
        here: &Here,
        interface: &Found,
        is_ipv4: bool,
        old: &[Kept],
        new: Option<Cidr>,
    ) -> Result<()> {
        let netlink = &here.netlink;
        let routes = netlink.kept_routes()?.into_iter().filter(Kept::is_added);
        let mut routes: Vec<Kept> = routes.filter(|one| one.is_ipv4() == is_ipv4).collect();
        // A gateway may be on a subnet that only another route leads to.
        routes.sort_by_key(Kept::has_gateway);
        let before = of_family(here, interface, is_ipv4)?;
        if let Some(new) = new {
            self.try_out(here, interface, (&before, new))?;
        }
        // Secondary addresses come last, and would go with the first of their subnet.
        let removing = old.iter().rev().map(Kept::remove);
        let adding = new.into_iter().map(|one| self.adding(interface, one));
        let changed = netlink.ask_all(&removing.chain(adding).collect::<Vec<_>>());
        let is_wanted = |one: &&Kept| changed.is_err() || !old.contains(one);
        let there = of_family(here, interface, is_ipv4)?;
        let lost = before.iter().filter(is_wanted);
        let lost = lost.filter(|one| !there.iter().any(|there| there.is_like(one)));
        let lost: Vec<_> = lost.flat_map(Kept::again).collect();
        let put_back = netlink.ask_all(&lost);
        self.keep_routes(here, interface, &routes)?;
        let settled = self.settle(here, interface);
        changed.and(put_back)?;
        settled
    }

    /// Puts routes back that a change of addresses has taken, and removes those through the interface whose
    /// gateways cannot be reached any more: the kernel keeps such.
    fn keep_routes(&self, here: &Here, interface: &Found, routes: &[Kept]) -> Result<()> {
        let there = here.netlink.kept_routes()?;
        for route in routes {
            if !there.contains(route) {
                here.netlink.ask_all(&route.again()).ok();
                continue;
            }
            let is_alone = routes.iter().filter(|one| one.shares_list_with(route)).count() == 1;
            let is_meant = is_alone && route.indexes() == [interface.index];
            if is_meant && here.netlink.ask_all(&[route.again_in_place()]).is_err() {
                here.netlink.ask_all(&[route.remove()]).ok();
            }
        }
        Ok(())
    }

    /// Whether the kernel takes a new address, before any other goes.
    fn try_out(
        &self,
        here: &Here,
        interface: &Found,
        (before, new): (&[Kept], Cidr),
    ) -> Result<()> {
        let has = |one: &Kept| one.as_address().is_some_and(|own| own.0 == new.address());
        if !before.iter().any(has) {
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

    /// Waits until the addresses of the interface can be used.
    fn settle(&self, here: &Here, interface: &Found) -> Result<()> {
        // One that carries nothing hears nothing.
        if !(interface.is_up && interface.is_running) {
            return Ok(());
        }
        let label = format!("{} of {}", interface.name, self.name());
        let awaited = Awaited { index: interface.index, label };
        ready::wait_on(&here.netlink, &[awaited])
    }
}

/// The addresses of an interface of one family.
fn of_family(here: &Here, interface: &Found, is_ipv4: bool) -> Result<Vec<Kept>> {
    let all = here.netlink.belongings()?;
    let is_meant = |one: &&Kept| one.is_ipv4() == is_ipv4 && one.indexes() == [interface.index];
    Ok(all.of(Class::Address).filter(is_meant).cloned().collect())
}

/// Addresses that are to be taken, and those of IPv6 that have come to the interface later: to give them
/// back in their order, the lab has to make these anew, too.
fn with_newer(there: &Belongings, old: &[Kept]) -> Vec<Kept> {
    let mut found = old.to_vec();
    if let Some(first) = old.first().filter(|first| !first.is_ipv4()) {
        // The kernel lists the newest first.
        let list = there.of(Class::Address).filter(|one| one.shares_list_with(first));
        let list: Vec<&Kept> = list.collect();
        let last = list.iter().rposition(|one| old.contains(one)).unwrap_or_default();
        found.extend(list[..last].iter().filter(|one| !old.contains(one)).copied().cloned());
    }
    found
}

/// Whether something is this address on the interface with that index.
fn is_own(index: u32, address: Cidr) -> impl Fn(&Kept) -> bool {
    move |kept| {
        kept.as_address() == Some((address.address(), address.prefix()))
            && kept.indexes() == [index]
    }
}
