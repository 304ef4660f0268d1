//! Changes of the addresses of a running node.

use crate::addr::cidr::Cidr;
use crate::addr::link_local::is_link_local;
use crate::error::Result;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::ready;
use crate::lab::fabric::ready::Awaited;
use crate::lab::fabric::state::Fabric;
use crate::lab::run::node::Node;
use crate::lab::topology::input::{AddrArg, InterfaceArg};
use crate::netlink;
use crate::netlink::Request;
use crate::netlink::kept::belongings::Belongings;
use crate::netlink::kept::{Class, Kept};
use crate::netlink::link::Interface;

impl Node {
    pub(crate) fn add_address(&self, interface: &InterfaceArg, address: AddrArg) -> Result<()> {
        let address = self.parsed("add", address)?;
        self.note(interface, address, "added");
        self.changing(interface, Some(address), |fabric, here, interface| {
            self.journaled(fabric, here, is_own(interface.index, address), || {
                Ok(here.netlink.ask_all(&[self.adding(interface, address)])?)
            })?;
            self.settle(here, interface)
        })
    }

    pub(crate) fn remove_address(&self, interface: &InterfaceArg, address: AddrArg) -> Result<()> {
        let address = self.parsed("remove", address)?;
        self.note(interface, address, "removed");
        self.changing(interface, None, |fabric, here, interface| {
            let there = here.netlink.belongings()?;
            let is_it = |one: &&Kept| is_own(interface.index, address)(one);
            let old: Vec<Kept> = there.of(Class::Address).filter(is_it).cloned().collect();
            if old.is_empty() {
                // The kernel reports why.
                here.netlink.ask_all(&[self.removing(interface, address)])?;
            }
            self.check_removal("remove", &with_newer(&there, &old))?;
            let is_ipv4 = address.address().is_ipv4();
            let work = || self.change(here, interface, is_ipv4, &old, None);
            self.journaled(fabric, here, |_| false, work)?;
            fabric.forget_mappings(self.position(), &interface.name)
        })
    }

    /// Notes a change of addresses in the log of the test.
    fn note(&self, interface: &InterfaceArg, address: Cidr, what: &str) {
        log::note(|| {
            let text = format!("{address} of {:?} {what}", interface.0);
            Event::of(EventKind::Address, self.name(), text).with("address", address)
        });
    }

    pub(crate) fn set_address(&self, interface: &InterfaceArg, address: AddrArg) -> Result<()> {
        let address = self.parsed("set", address)?;
        self.note(interface, address, "set");
        self.changing(interface, Some(address), |fabric, here, interface| {
            let is_ipv4 = address.address().is_ipv4();
            let old = of_family(here, interface, is_ipv4)?.into_iter();
            let old: Vec<Kept> = old.filter(|one| !is_link_local_of_kernel(one)).collect();
            if let [only] = old.as_slice() {
                if is_own(interface.index, address)(only) {
                    return Ok(());
                }
            }
            self.check_removal("remove", &with_newer(&here.netlink.belongings()?, &old))?;
            let work = || self.change(here, interface, is_ipv4, &old, Some(address));
            self.journaled(fabric, here, is_own(interface.index, address), work)?;
            fabric.forget_mappings(self.position(), &interface.name)
        })
    }

    /// Changes addresses of an interface. Other changes of the node wait, and partitions hold.
    fn changing(
        &self,
        interface: &InterfaceArg,
        new: Option<Cidr>,
        work: impl FnOnce(&Fabric, &Namespaces, &Interface) -> Result<()>,
    ) -> Result<()> {
        let (here, fabric) = (self.here()?, self.fabric());
        let changed = self.find(&here, interface).and_then(|found| {
            let turn = here.change();
            self.partitioned(fabric, new, || work(fabric, &here, &found))?;
            drop(turn);
            // Neighbours may have failed to resolve the new address before it was added.
            new.map_or(Ok(()), |_| fabric.forget_failures(&fabric.links.lock()))
        });
        changed.map_err(|error| match self.is_still(&here) {
            true => error,
            false => error.by_power_cut(format!("{} was powered off meanwhile", self.name())),
        })
    }

    /// Removes `old` addresses and adds a `new` one. With the last IPv4 address the kernel removes
    /// all routes through the interface, and with the first address of a subnet the secondary ones:
    /// this adds them again. If the kernel refuses a step, addresses and routes are as before.
    fn change(
        &self,
        here: &Namespaces,
        interface: &Interface,
        is_ipv4: bool,
        old: &[Kept],
        new: Option<Cidr>,
    ) -> Result<()> {
        let netlink = &here.netlink;
        let routes = netlink.kept_routes()?.into_iter().filter(Kept::is_added);
        let mut routes: Vec<Kept> = routes.filter(|one| one.is_ipv4() == is_ipv4).collect();
        // A gateway may be reachable by another route only, which is added first.
        routes.sort_by_key(Kept::has_gateway);
        let before = of_family(here, interface, is_ipv4)?;
        if let Some(new) = new {
            self.try_out(here, interface, (&before, new))?;
        }
        // Secondary addresses come last in the list, and would go with the first one of their
        // subnet.
        let removing = old.iter().rev().map(Kept::remove);
        let adding = new.into_iter().map(|one| self.adding(interface, one));
        let changed = netlink.ask_all(&removing.chain(adding).collect::<Vec<_>>());
        // Link-local addresses come and go with the state of the link.
        let is_wanted =
            |one: &&Kept| (changed.is_err() || !old.contains(one)) && !is_link_local_of_kernel(one);
        let there = of_family(here, interface, is_ipv4)?;
        let lost = before.iter().filter(is_wanted);
        let lost = lost.filter(|one| !there.iter().any(|there| there.is_like(one)));
        let is_there = |new: Cidr| there.iter().any(|one| is_own(interface.index, new)(one));
        let new = new.filter(|new| changed.is_ok() && !is_there(*new));
        let new = new.map(|new| self.adding(interface, new));
        let lost: Vec<_> = lost.flat_map(Kept::again).chain(new).collect();
        let put_back = netlink.ask_all(&lost);
        self.keep_routes(here, interface, &routes)?;
        let settled = self.settle(here, interface);
        changed.and(put_back)?;
        settled
    }

    /// Adds the routes again that the kernel has removed with an address, and removes routes
    /// through the interface whose gateways are no longer reachable, which the kernel keeps.
    fn keep_routes(&self, here: &Namespaces, interface: &Interface, routes: &[Kept]) -> Result<()> {
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

    /// Adds and removes the new address, so that the kernel refuses it before an old address is
    /// removed.
    fn try_out(
        &self,
        here: &Namespaces,
        interface: &Interface,
        (before, new): (&[Kept], Cidr),
    ) -> Result<()> {
        let has = |one: &Kept| one.as_address().is_some_and(|own| own.address() == new.address());
        if !before.iter().any(has) {
            here.netlink.ask_all(&[self.adding(interface, new)])?;
            here.netlink.ask_all(&[self.removing(interface, new)])?;
        }
        Ok(())
    }

    /// Applies the partitions to a new address before it can be used.
    fn partitioned(
        &self,
        fabric: &Fabric,
        new: Option<Cidr>,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let at = fabric.plan.nodes().iter().position(|node| node.name == self.name());
        let new: Vec<_> = at.zip(new).map(|(at, new)| (at, new.address())).into_iter().collect();
        let done = fabric.partitions.expect(&fabric.nodes, &new, None).and_then(|()| work());
        let held = fabric.partitions.arrived(&fabric.nodes, &new);
        done.and(held)
    }

    fn parsed(&self, step: &str, given: AddrArg) -> Result<Cidr> {
        given.0.map_err(|error| self.invalid(step, "an address", &error).into())
    }

    fn adding(&self, interface: &Interface, address: Cidr) -> Request {
        let object = self.label(interface, address);
        netlink::addr::add(object, interface.index, address)
    }

    fn removing(&self, interface: &Interface, address: Cidr) -> Request {
        let object = self.label(interface, address);
        netlink::addr::remove(object, interface.index, address)
    }

    fn label(&self, interface: &Interface, address: Cidr) -> String {
        format!("{address} on {} of {}", interface.name, self.name())
    }

    /// Waits until the addresses of the interface are usable. An interface without carrier has no
    /// DAD to wait for.
    fn settle(&self, here: &Namespaces, interface: &Interface) -> Result<()> {
        let label = format!("{} of {}", interface.name, self.name());
        let awaited = Awaited { index: interface.index, label, may_be_down: true };
        ready::wait_on(here, &[awaited])
    }
}

/// Returns the addresses of an interface of one family.
fn of_family(here: &Namespaces, interface: &Interface, is_ipv4: bool) -> Result<Vec<Kept>> {
    let all = here.netlink.belongings()?;
    let is_meant = |one: &&Kept| one.is_ipv4() == is_ipv4 && one.indexes() == [interface.index];
    Ok(all.of(Class::Address).filter(is_meant).cloned().collect())
}

/// Returns the addresses to remove, and the IPv6 addresses that were added later. To restore the
/// former in their order, the lab must add the latter again, too.
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

/// Returns a test for this address on the interface with this index.
fn is_own(index: u32, address: Cidr) -> impl Fn(&Kept) -> bool {
    move |kept| kept.as_address() == Some(address) && kept.indexes() == [index]
}

/// Returns whether the kernel has made the address when the link came up.
fn is_link_local_of_kernel(one: &Kept) -> bool {
    one.as_address().is_some_and(|own| is_link_local(own.address()))
}
