//! Takes a snapshot: links, addresses, routes and neighbours over netlink, sockets from `/proc`.

use std::fs;
use std::ops::RangeInclusive;

use super::{
    Counters, HostState, LinkState, NeighbourState, RouteState, Snapshot, SocketState, TcpState,
};
use crate::error::{Result, located};
use crate::lab::cidr::{Cidr, Subnet};
use crate::lab::host::{Here, Host};
use crate::lab::mac::Mac;
use crate::lab::running::Lab;
use crate::lab::sockets::{self, Protocol, Socket};
use crate::lab::within::There;
use crate::netlink::requests::LOOPBACK;
use crate::netlink::state::{Interface, Route, Stats64};
use crate::netlink::tables::Address;

/// `RT_TABLE_MAIN` of linux/rtnetlink.h.
const MAIN: u32 = 254;

/// The kernel's own range, of `ip_local_port_range` in ip(7).
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

impl Lab {
    /// The state of all nodes now: links, addresses, routes, neighbours, sockets and counters, as plain
    /// data. Nodes are looked at one after the other while the network goes on.
    ///
    /// # Errors
    ///
    /// ENOENT without a `/proc`; where a thread cannot be started.
    #[track_caller]
    pub fn snapshot(&self) -> Result<Snapshot> {
        let hosts: Result<_> = self.hosts().map(host).collect();
        located(hosts.map(|hosts| Snapshot { hosts }))
    }
}

fn host(host: &Host) -> Result<HostState> {
    let mut state = HostState {
        name: host.name().to_owned(),
        kind: host.kind(),
        is_on: false,
        links: Vec::new(),
        routes: Vec::new(),
        neighbours: Vec::new(),
        sockets: Vec::new(),
        ephemeral: EPHEMERAL,
    };
    if let Ok(here) = host.here() {
        state.is_on = true;
        let interfaces = here.netlink.interfaces()?;
        let addresses = here.netlink.addresses()?;
        state.links = interfaces.iter().map(|one| link(one, &interfaces, &addresses)).collect();
        state.routes = routes(&here, &interfaces)?;
        state.neighbours = neighbours(&here, &interfaces)?;
        let name = host.name();
        (state.sockets, state.ephemeral) =
            There::on(&here, host).run(|| Ok((open(&sockets::read(name)?), ephemeral())))?;
    }
    Ok(state)
}

fn link(one: &Interface, all: &[Interface], addresses: &[Address]) -> LinkState {
    let own = addresses.iter().filter(|address| address.index == one.index);
    let none = if one.index == LOOPBACK { "loopback" } else { "device" };
    LinkState {
        name: one.name.clone(),
        kind: one.kind.clone().unwrap_or_else(|| none.to_owned()),
        mac: one.mac.as_deref().and_then(mac),
        mtu: one.mtu,
        is_up: one.is_up,
        is_running: one.is_up && one.is_running,
        bridge: one.bridge.map(|bridge| name_of(all, bridge)),
        addresses: own.filter_map(|own| Cidr::new(own.address, own.prefix).ok()).collect(),
        counters: one.counters.map(counters),
    }
}

fn counters(all: Stats64) -> Counters {
    Counters {
        rx_packets: all.rx_packets,
        rx_bytes: all.rx_bytes,
        rx_dropped: all.rx_dropped,
        tx_packets: all.tx_packets,
        tx_bytes: all.tx_bytes,
        tx_dropped: all.tx_dropped,
    }
}

fn routes(here: &Here, interfaces: &[Interface]) -> Result<Vec<RouteState>> {
    let all = here.netlink.routes()?.into_iter();
    // Some kernels have `::1` there, and others with the node's own addresses.
    let is_own = |route: &Route| route.index == Some(LOOPBACK) && route.via.is_none();
    let shown =
        all.filter(|route| route.table == MAIN && route.kind != "multicast" && !is_own(route));
    let found = shown.filter_map(|route| {
        let (network, prefix) = route.destination;
        Some(RouteState {
            destination: Subnet::new(network, prefix).ok()?,
            via: route.via,
            dev: route.index.map(|index| name_of(interfaces, index)),
            kind: route.kind,
            is_usable: route.is_usable,
        })
    });
    let mut found: Vec<RouteState> = found.collect();
    found.sort_by(|one, other| {
        let key = |route: &RouteState| {
            (!route.destination.is_ipv4(), route.destination, route.via, route.dev.clone())
        };
        key(one).cmp(&key(other))
    });
    Ok(found)
}

fn neighbours(here: &Here, interfaces: &[Interface]) -> Result<Vec<NeighbourState>> {
    let all = here.netlink.neighbours()?.into_iter();
    let mut found: Vec<NeighbourState> = all
        .map(|one| NeighbourState {
            address: one.address,
            dev: name_of(interfaces, one.index),
            mac: one.mac.as_deref().and_then(mac),
            state: one.state,
        })
        .collect();
    found.sort_by(|one, other| (&one.dev, one.address).cmp(&(&other.dev, other.address)));
    Ok(found)
}

fn open(sockets: &[Socket]) -> Vec<SocketState> {
    let state = |socket: &Socket| SocketState {
        protocol: socket.protocol(),
        local: socket.local(),
        remote: socket.remote(),
        state: TcpState::of(socket.protocol(), socket.state()),
    };
    let mut found: Vec<SocketState> = sockets.iter().map(state).collect();
    found.sort_unstable();
    found
}

/// That of the calling thread's network.
fn ephemeral() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse().ok());
    match (bounds.next(), bounds.next()) {
        (Some(first), Some(last)) => first..=last,
        _ => EPHEMERAL,
    }
}

fn name_of(interfaces: &[Interface], index: u32) -> String {
    let found = interfaces.iter().find(|interface| interface.index == index);
    found.map_or_else(|| format!("#{index}"), |interface| interface.name.clone())
}

/// None for that of `lo`, which is all zeros.
fn mac(octets: &[u8]) -> Option<Mac> {
    Mac::new(octets.try_into().ok()?).ok()
}

impl TcpState {
    /// By the numbers of `include/net/tcp_states.h`.
    fn of(protocol: Protocol, state: u8) -> Self {
        match state {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 if protocol == Protocol::Tcp => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => Self::Close,
        }
    }
}
