//! Addresses of a running host.

use crate::error::Result;
use crate::lab::build::ready::{self, Awaited};
use crate::lab::cidr::Cidr;
use crate::lab::given::{GivenAddr, Interface};
use crate::lab::host::{Here, Host};
use crate::netlink::state::Interface as Found;
use crate::netlink::tables::Address;
use crate::netlink::{Request, requests};

/// Changes of addresses and routes. `/etc/hosts` keeps what the plan says; the plan does, too.
///
/// An interface is given by its name, or by the link that ends there.
impl Host {
    /// Gives an interface one more address, with the length of its prefix: `10.9.0.1/24`. It can be used
    /// at once.
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
        let interface = self.find(&here, &interface.into())?;
        here.netlink.ask_all(&[self.adding(&interface, address)])?;
        self.settle(&here, &interface)
    }

    /// Takes an address away from an interface, with the routes that need it. Without a prefix that is
    /// the address's own it is refused, as `ip address del` does.
    ///
    /// Where it is IPv4 and the first of its subnet, the others of that subnet stay.
    ///
    /// # Errors
    ///
    /// As [`add_addr`](Self::add_addr); EADDRNOTAVAIL for an address that the interface does not have.
    pub fn remove_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let (address, here) = (self.read("remove", address.into())?, self.here()?);
        let interface = self.find(&here, &interface.into())?;
        self.change(&here, &interface, address, &[address], None)
    }

    /// Puts an address in the place of all those that the interface has of its family, but for the
    /// link-local one. Routes through the interface stay if their gateways can be reached with it.
    ///
    /// # Errors
    ///
    /// As [`add_addr`](Self::add_addr), but that the interface may have the address.
    pub fn set_addr(
        &self,
        interface: impl Into<Interface>,
        address: impl Into<GivenAddr>,
    ) -> Result<()> {
        let (address, here) = (self.read("set", address.into())?, self.here()?);
        let interface = self.find(&here, &interface.into())?;
        let is_old = |one: &Address| {
            one.index == interface.index
                && one.address.is_ipv4() == address.address().is_ipv4()
                && !is_link_local(one)
        };
        let there = here.netlink.addresses()?;
        let old = there.iter().filter(|one| is_old(one));
        let old = old.map(|one| Cidr::new(one.address, one.prefix).expect("the kernel has it"));
        let old: Vec<Cidr> = old.collect();
        if old == [address] {
            return Ok(());
        }
        self.change(&here, &interface, address, &old, Some(address))
    }

    /// Takes `old` addresses away and adds a `new` one. With the last address of IPv4 the kernel drops all
    /// routes through the interface, and with the first one of a subnet the others: they are put back.
    fn change(
        &self,
        here: &Here,
        interface: &Found,
        like: Cidr,
        old: &[Cidr],
        new: Option<Cidr>,
    ) -> Result<()> {
        let is_ipv4 = like.address().is_ipv4();
        let routes = here.netlink.routes_through(interface.index, is_ipv4)?;
        let others: Vec<Cidr> = here
            .netlink
            .addresses()?
            .into_iter()
            .filter(|one| one.index == interface.index && one.address.is_ipv4() == is_ipv4)
            .filter_map(|one| Cidr::new(one.address, one.prefix).ok())
            .filter(|one| !old.contains(one) && Some(*one) != new)
            .collect();
        let removing = old.iter().map(|one| self.removing(interface, *one));
        let adding = new.into_iter().map(|one| self.adding(interface, one));
        here.netlink.ask_all(&removing.chain(adding).collect::<Vec<_>>())?;
        let there = here.netlink.addresses()?;
        let is_there = |one: &&Cidr| {
            there.iter().any(|own| (own.index, own.address) == (interface.index, one.address()))
        };
        let lost = others.iter().filter(|one| !is_there(one));
        let lost: Vec<_> = lost.map(|one| self.adding(interface, *one)).collect();
        here.netlink.ask_all(&lost)?;
        for route in routes {
            // One whose gateway cannot be reached any more is lost.
            drop(here.netlink.ask_all(&[route]));
        }
        self.settle(here, interface)
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

    /// Waits until the interface hears who asks for its addresses, and has partitions hold for them.
    fn settle(&self, here: &Here, interface: &Found) -> Result<()> {
        let fabric = self.lab()?;
        // One that carries nothing hears nothing.
        if interface.is_up && interface.is_running {
            let all = here.netlink.addresses()?.into_iter();
            let own = all.filter(|own| own.index == interface.index).map(|own| own.address);
            let label = format!("{} of {}", interface.name, self.name());
            let awaited = Awaited { index: interface.index, label, addresses: own.collect() };
            ready::wait_on(&here.netlink, &[awaited])?;
        }
        fabric.partitions.refresh(&fabric)
    }
}

fn is_link_local(one: &Address) -> bool {
    match one.address {
        std::net::IpAddr::V4(_) => false,
        std::net::IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    }
}
