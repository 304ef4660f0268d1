//! The network of the hub, with the inner ends of links.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::error::Failure;
use crate::lab::impair::engine::canary::LOOPBACK;
use crate::lab::plan::Plan;
use crate::netlink;
use crate::netlink::link::New;
use crate::netlink::{Netlink, Request};
use crate::sys::errno;

/// MTU of inner ends: each frame that an outer end may send.
const MTU: u32 = 65535;

/// Index of the inner end of the first link. A veth pair with equal indexes is not recognised as a
/// pair by the kernel (`net/core/link_watch.c`); no interface of a node has one as high.
const FIRST: u32 = 1 << 30;

/// A network namespace without addresses, and a netlink socket in it.
#[derive(Debug)]
pub(crate) struct HubNetwork {
    network: OwnedFd,
    pub(super) netlink: Netlink,
    /// Whether its interfaces would get IPv6 addresses, as that could not be turned off.
    has_ipv6: bool,
}

/// Returns the index of an inner end.
pub(crate) fn index(link: usize, side: usize) -> u32 {
    let place = u32::try_from(2 * link + side).unwrap_or(u32::MAX);
    FIRST.saturating_add(place)
}

/// Returns the name of an inner end.
pub(crate) fn name(link: usize, side: usize) -> String {
    format!("l{link}{}", ["a", "b"][side])
}

/// Returns an inner end to be created.
pub(crate) fn inner_end(name: &str, link: usize, side: usize) -> New<'_> {
    New { name, index: index(link, side), mac: None, mtu: Some(MTU) }
}

impl HubNetwork {
    pub(crate) fn new(network: OwnedFd, netlink: Netlink, has_ipv6: bool) -> Self {
        Self { network, netlink, has_ipv6 }
    }

    pub(crate) fn network(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    /// Sets up the inner ends of the links of a plan, from the position `first` on. The ends in the
    /// nodes get carrier.
    pub(crate) fn set_up(&self, plan: &Plan, first: usize) -> Result<(), Failure> {
        let all = plan.links().iter().enumerate().skip(first);
        let impaired = all.filter(|(_, link)| link.impairments.is_some());
        let places = impaired.flat_map(|(at, _)| [(at, 0), (at, 1)]);
        let requests = places.flat_map(|place| {
            let quiet = self.has_ipv6.then(|| quiet(place));
            quiet.into_iter().chain([state(place, true)])
        });
        self.netlink.ask_all(&requests.collect::<Vec<_>>())
    }

    /// Sets up the loopback device, by which the engine knows what was sent to it. The kernel adds
    /// 127.0.0.1; no socket of the hub uses it.
    pub(crate) fn set_up_loopback(&self) -> Result<(), Failure> {
        let object = "lo of the hub".to_owned();
        self.netlink.ask_all(&[netlink::link::set_up(object, LOOPBACK, true, None)])
    }

    /// Deletes the links of a plan from the position `first` on, as far as they exist.
    pub(crate) fn delete_from(&self, plan: &Plan, first: usize) {
        let all = plan.links().iter().enumerate().skip(first);
        let impaired = all.filter(|(_, link)| link.impairments.is_some());
        for place in impaired.flat_map(|(at, _)| [(at, 0), (at, 1)]) {
            drop(self.delete(place));
        }
    }

    /// Sets both inner ends of a link up or down, as far as they exist.
    pub(super) fn set(&self, link: usize, are_up: bool) -> Result<(), Failure> {
        let requests = [0, 1].map(|side| state((link, side), are_up));
        match self.netlink.ask_all(&requests) {
            Err(failure) if failure.errno == Some(errno::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Returns whether an inner end exists.
    pub(super) fn has(&self, (link, side): (usize, usize)) -> Result<bool, Failure> {
        Ok(self.netlink.interface(index(link, side))?.is_some())
    }

    /// Deletes an inner end, if it exists, and the outer end with it.
    pub(super) fn delete(&self, (link, side): (usize, usize)) -> Result<(), Failure> {
        let request = netlink::link::delete(label((link, side)), index(link, side));
        match self.netlink.ask_all(&[request]) {
            Err(failure) if failure.errno == Some(errno::ENODEV) => Ok(()),
            other => other,
        }
    }
}

fn state((link, side): (usize, usize), is_up: bool) -> Request {
    netlink::link::set_up(label((link, side)), index(link, side), is_up, None)
}

/// Keeps the kernel from giving an inner end a link-local address.
fn quiet((link, side): (usize, usize)) -> Request {
    netlink::link::without_link_local(label((link, side)), index(link, side))
}

fn label((link, side): (usize, usize)) -> String {
    format!("{} of the hub", name(link, side))
}
