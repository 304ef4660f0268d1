//! The trap for packets that no other route takes: a veth pair with default routes of the lowest
//! priority. Without it the kernel makes no such packet, and its destination is not known.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, OwnedFd};

use crate::error::Failure;
use crate::evidence::facts::network::Attempt;
use crate::examine::recorder::parse;
use crate::sys::errno;
use crate::sys::net::route::{End, Kind, Requests, Route, Socket, Table};
use crate::sys::net::{failures, ifreq};
use crate::sys::ns::nsfs;

/// Names and MAC addresses of the two ends, which are both in the network.
const NEAR: (&str, [u8; 6]) = ("escape", [0x02, 0x6e, 0x74, 0xff, 0, 1]);
const FAR: (&str, [u8; 6]) = ("escape-end", [0x02, 0x6e, 0x74, 0xff, 0, 2]);

/// Most packets that are read.
const MOST: usize = 1000;

/// A trap: the socket that receives its packets.
#[derive(Debug)]
pub(crate) struct Trap(OwnedFd);

impl Trap {
    /// Sets a trap in the network of the calling thread.
    pub(crate) fn set() -> Result<Self, Failure> {
        let failed = |error: io::Error| errno::failure("set up", "the interface escape", &error);
        let here = nsfs::own_network().map_err(failed)?;
        let routes = Socket::open().map_err(failed)?;
        let ask = |requests: &Requests| match routes.ask(requests, |_| {}) {
            Ok(answer) => answer.map_err(|refusal| failed(refusal.error)),
            Err(error) => Err(failed(error)),
        };
        let mut pair = Requests::default();
        let end = |(name, mac)| End { name, mac, index: None };
        pair.veth(end(NEAR), end(FAR), here.as_fd());
        ask(&pair)?;
        let socket = ifreq::socket().map_err(failed)?;
        let index = |name| ifreq::index_of(&socket, name).map_err(failed);
        let (near, far) = (index(NEAR.0)?, index(FAR.0)?);
        let packets = failures::packets(far).map_err(failed)?;
        let mut up = Requests::default();
        up.no_link_local(far);
        up.up(far);
        // A destination is not asked for its MAC address: it has none.
        up.up_without_arp(near);
        up.route(&default_route(Ipv4Addr::UNSPECIFIED.into(), Table::Default, near));
        ask(&up)?;
        let mut more = Requests::default();
        more.route(&default_route(Ipv6Addr::UNSPECIFIED.into(), Table::Main, near));
        // Refused by a kernel without IPv6.
        drop(ask(&more));
        Ok(Self(packets))
    }

    /// Returns the packets since the last call.
    pub(super) fn read(&self) -> impl Iterator<Item = Attempt> {
        let all = (0..MOST).map_while(|_| failures::receive(self.0.as_fd()).ok()?);
        all.filter_map(|received| parse::escaped(&received.bytes))
    }

    /// Returns the descriptor that it needs.
    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }
}

fn default_route(to: IpAddr, table: Table, device: u32) -> Route {
    let (kind, metric) = (Kind::Unicast, Some(u32::MAX));
    Route { kind, table, to: (to, 0), device, source: None, metric }
}
