//! A stand-in for the engine: a bridge for each link.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use crate::error::Result;
use crate::lab::fabric::on_thread;
use crate::lab::impair::emulated::EmulatedLink;
use crate::lab::impair::passage::{Departure, Nanos};
use crate::netlink;
use crate::netlink::Netlink;
use crate::netlink::link::{Kind, New};
use crate::sys::lock::lock;
use crate::sys::ns::nsfs;

#[derive(Debug)]
pub(crate) struct Engine {
    network: OwnedFd,
    links: Mutex<Vec<EmulatedLink>>,
}

#[derive(Debug)]
pub(crate) struct LinkPorts {
    pub(crate) indexes: [u32; 2],
    pub(crate) link: EmulatedLink,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot(usize);

impl Engine {
    pub(crate) fn start(hub: BorrowedFd<'_>) -> Result<Self> {
        let network = hub.try_clone_to_owned().map_err(crate::error::Error::from)?;
        Ok(Self { network, links: Mutex::default() })
    }

    pub(crate) fn add(&self, ports: LinkPorts) -> Result<Slot> {
        let LinkPorts { indexes: ends, link } = ports;
        let index = ends[0] + (1 << 29);
        let name = format!("s{}", ends[0]);
        let own = New { name: &name, index, mac: None, mtu: None };
        let bridge = netlink::link::create(name.clone(), own, Kind::Bridge { stp: false });
        let ports = ends.map(|end| netlink::link::set_up(String::new(), end, true, Some(index)));
        let all: Vec<_> = [bridge].into_iter().chain(ports).collect();
        on_thread::fresh(|| {
            drop(nsfs::enter_network(&self.network));
            Netlink::open()?.ask_all(&all)
        })?;
        let mut links = lock(&self.links);
        links.push(link);
        Ok(Slot(links.len() - 1))
    }

    pub(crate) fn with<T>(
        &self,
        slot: Slot,
        change: impl FnOnce(&mut EmulatedLink, Nanos, &mut Vec<Departure<'static>>) -> T,
    ) -> Result<T> {
        Ok(change(&mut lock(&self.links)[slot.0], 0, &mut Vec::new()))
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        None
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    pub(crate) fn stop(self) -> Option<String> {
        None
    }
}
