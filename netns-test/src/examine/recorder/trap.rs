//! The trap for packets that no other route takes: a TUN device with default routes of the lowest
//! priority. Without it the kernel never makes such a packet, and its destination is unknown.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use crate::error::Failure;
use crate::evidence::facts::network::Attempt;
use crate::examine::recorder::parse;
use crate::sys::net::route::{Kind, Requests, Route, Socket, Table};
use crate::sys::net::{ifreq, tun};
use crate::sys::{errno, fds};

/// Name of the device.
const NAME: &str = "escape";

/// Most packets that are read: as many as the device keeps.
const MOST: usize = 500;

/// A trap. It exists as long as this value.
#[derive(Debug)]
pub(crate) struct Trap(OwnedFd);

impl Trap {
    /// Sets a trap in the network of the calling thread.
    pub(crate) fn set() -> Result<Self, Failure> {
        let device = tun::create(NAME)?;
        let failed = |step: &'static str| {
            move |error: io::Error| errno::failure(step, format!("the interface {NAME}"), &error)
        };
        fds::set_nonblocking(&device).map_err(failed("fcntl"))?;
        let index = ifreq::socket().and_then(|socket| ifreq::index_of(&socket, NAME));
        let index = index.map_err(failed("find"))?;
        let routes = Socket::open().map_err(failed("open a socket for"))?;
        let mut up = Requests::default();
        up.up(index);
        up.route(&default_route(Ipv4Addr::UNSPECIFIED.into(), Table::Default, index));
        let added = routes.ask(&up, |_| {}).map_err(failed("send requests for"))?;
        added.map_err(|refusal| failed("set up")(refusal.error))?;
        let mut more = Requests::default();
        more.route(&default_route(Ipv6Addr::UNSPECIFIED.into(), Table::Main, index));
        // Refused by a kernel without IPv6.
        drop(routes.ask(&more, |_| {}));
        Ok(Self(device))
    }

    /// Returns the packets since the last call. Equal ones are counted.
    pub(super) fn read(&self) -> impl Iterator<Item = Attempt> {
        let mut buffer = vec![0; 64 << 10];
        (0..MOST)
            .map_while(move |_| {
                let length = fds::read_available(&self.0, &mut buffer).ok()??;
                Some(parse::escaped(&buffer[..length]))
            })
            .flatten()
    }

    /// Returns the descriptor that holds it.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }
}

fn default_route(to: std::net::IpAddr, table: Table, device: u32) -> Route {
    let (kind, metric) = (Kind::Unicast, Some(u32::MAX));
    Route { kind, table, to: (to, 0), device, source: None, metric }
}
