//! Takes a snapshot: interfaces, addresses, routes, neighbours and sockets over netlink.

use std::fs;
use std::ops::RangeInclusive;

use crate::addr::mac::Mac;
use crate::error::{Error, Failure, Result, located};
use crate::lab::build::nat as rules;
use crate::lab::fabric::node::LiveNode;
use crate::lab::fabric::node::Namespaces;
use crate::lab::fabric::on_thread;
use crate::lab::nat;
use crate::lab::nat::model::{FirewallCounter, NatMapping};
use crate::lab::observe::snapshot::links;
use crate::lab::observe::snapshot::{
    Counters, InterfaceState, NatState, NeighbourState, NextHopState, NodeState, RouteState,
    RuleState, Snapshot, SocketState, TcpState,
};
use crate::lab::observe::sockets;
use crate::lab::observe::sockets::Protocol;
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::NatPlan;
use crate::lab::run::lab::Lab;
use crate::lab::run::node::Node;
use crate::netlink::addr::Shown;
use crate::netlink::link::{Interface, LOOPBACK, Stats64};
use crate::netlink::nft::Nft;
use crate::netlink::route::{Hop, LOCAL, MAIN, Route};
use crate::netlink::rule::Rule;
use crate::netlink::sock_diag::{Reader, Socket, Wanted};
use crate::sys::errno;

/// Default range of ephemeral ports (`ip_local_port_range` of ip(7)).
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

impl Lab {
    /// Returns the current state of all nodes: interfaces, addresses, routes, rules, neighbour
    /// entries and sockets; and of all links: impairments, holds and rules. The nodes are read one
    /// after another while the network runs.
    ///
    /// # Errors
    ///
    /// EMFILE if the table of descriptors is full; EAGAIN if no thread can be started.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn test(lab: netns_test::Lab, server: netns_test::NodeId) -> netns_test::Result<()> {
    /// let before = lab.snapshot()?;
    /// println!("{}", before[server]);
    /// assert_eq!(before.stable(), lab.snapshot()?.stable());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn snapshot(&self) -> Result<Snapshot> {
        let ids = (0..self.plan().nodes().len()).map(|at| self.plan().id(at)).collect();
        located(self.fabric().reflect_all())?;
        let links = located(links::read(self.fabric()))?;
        // No rule is replaced meanwhile.
        let _links = self.fabric().links.lock();
        let planned = self.fabric().now();
        let read = |(one, planned)| node(one, planned);
        let read_all =
            || self.nodes().zip(planned.nodes()).map(read).collect::<Result<_, Failure>>();
        let nodes = on_thread::fresh(read_all).map_err(Error::from);
        located(nodes.map(|nodes| Snapshot::new(nodes, links, ids)))
    }
}

/// Reads one node, of which this plan has the NATs and the firewall. Moves the calling thread to
/// its network.
fn node(node: &Node, planned: &NodePlan) -> Result<NodeState, Failure> {
    let mut state = NodeState {
        name: node.name().to_owned(),
        kind: node.kind(),
        is_on: false,
        interfaces: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        neighbours: Vec::new(),
        sockets: Vec::new(),
        nats: Vec::new(),
        filters: Vec::new(),
        ephemeral: EPHEMERAL,
    };
    if let Ok(here) = node.here() {
        state.is_on = true;
        let interfaces = here.netlink.interfaces()?;
        let addresses = here.netlink.shown_addresses()?;
        state.interfaces =
            interfaces.iter().map(|one| interface(one, &interfaces, &addresses)).collect();
        state.routes = routes(&here, &interfaces)?;
        state.rules = here.netlink.rules()?.iter().map(rule).collect();
        state.neighbours = neighbours(&here, &interfaces)?;
        let failed = |error| errno::failure("setns", format!("to {}", node.name()), &error);
        here.place.enter_network().map_err(failed)?;
        state.sockets = open(node.name())?;
        if rules::has_rules(planned) {
            (state.nats, state.filters) = rules_of(planned, node.live())?;
        }
        // It says which ports of the sockets the kernel has chosen.
        if !state.sockets.is_empty() {
            state.ephemeral = ephemeral();
        }
    }
    Ok(state)
}

fn interface(one: &Interface, all: &[Interface], addresses: &[Shown]) -> InterfaceState {
    let own = addresses.iter().filter(|address| address.index == one.index);
    let own = own.map(|own| (own.cidr, details(own)));
    let (addresses, address_details) = own.unzip();
    let none = if one.index == LOOPBACK { "loopback" } else { "device" };
    InterfaceState {
        name: one.name.clone(),
        kind: one.kind.clone().unwrap_or_else(|| none.to_owned()),
        mac: one.mac.as_deref().and_then(mac),
        mtu: one.mtu,
        is_up: one.is_up,
        is_running: one.is_up && one.is_running,
        bridge: one.bridge.map(|bridge| name_of(all, bridge)),
        addresses,
        address_details,
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

fn details(own: &Shown) -> Vec<String> {
    let peer = own.peer.map(|peer| format!("peer {peer}/{}", own.cidr.prefix()));
    peer.into_iter().chain(own.more.iter().cloned()).collect()
}

fn routes(here: &Namespaces, interfaces: &[Interface]) -> Result<Vec<RouteState>, Failure> {
    let all = here.netlink.routes()?.into_iter();
    // Routes of the node's own addresses and of multicast groups. Some kernels keep these in the
    // main table.
    let is_own = |route: &Route| {
        let to_lo = route.hops.iter().all(|hop| hop.index == Some(LOOPBACK) && hop.via.is_none());
        let is_unicast = route.kind == "unicast" && route.table != LOCAL;
        ["kernel", "unspec"].contains(&route.protocol.as_str()) && (!is_unicast || to_lo)
    };
    let shown = all.filter(|route| !is_own(route));
    let mut found: Vec<RouteState> = shown.map(|own| route(own, interfaces)).collect();
    // The order of several routes to one destination matters in IPv4; in IPv6 the metric decides.
    found.sort_by(|one, other| {
        let key = |route: &RouteState| {
            let is_ipv6 = !route.destination.is_ipv4();
            let of_ipv6 = is_ipv6.then(|| (route.metric, route.via, route.dev.clone()));
            (is_ipv6, route.table != MAIN, route.table, route.destination, of_ipv6)
        };
        key(one).cmp(&key(other))
    });
    Ok(found)
}

fn route(route: Route, interfaces: &[Interface]) -> RouteState {
    let hop = |hop: Hop| NextHopState {
        via: hop.via,
        dev: hop.index.map(|index| name_of(interfaces, index)),
        weight: hop.is_one_of_several.then_some(hop.weight),
        details: hop.more,
    };
    // An IPv6 route that drops packets has `lo` for its interface.
    let refuses = ["blackhole", "unreachable", "prohibit", "throw"].contains(&route.kind);
    let leads = |hop: &Hop| !refuses || hop.index != Some(LOOPBACK);
    let next_hops: Vec<_> = route.hops.into_iter().filter(leads).map(hop).collect();
    let only = if let [only] = next_hops.as_slice() { Some(only) } else { None };
    let mut details = vec![format!("proto {}", route.protocol)];
    details.extend(route.more);
    RouteState {
        destination: route.destination,
        via: only.and_then(|only| only.via),
        dev: only.and_then(|only| only.dev.clone()),
        table: route.table,
        metric: route.metric,
        details,
        kind: route.kind.to_owned(),
        is_usable: route.is_usable,
        next_hops,
    }
}

fn rule(rule: &Rule) -> RuleState {
    let more = rule.more.iter().map(|words| format!(" {words}"));
    RuleState {
        is_ipv4: rule.is_ipv4,
        priority: rule.priority,
        selector: rule.selector.clone(),
        action: format!("{}{}", rule.action, more.collect::<String>()),
        is_default: rule.is_default(),
    }
}

fn neighbours(here: &Namespaces, interfaces: &[Interface]) -> Result<Vec<NeighbourState>, Failure> {
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

/// Returns the sockets of the calling thread's network namespace, which is that of `name`.
fn open(name: &str) -> Result<Vec<SocketState>, Failure> {
    let all = sockets::read(&mut Reader::open(), Wanted::All, name)?;
    let mut found: Vec<SocketState> = all.iter().map(socket).collect();
    found.sort_unstable();
    Ok(found)
}

fn socket(one: &Socket) -> SocketState {
    let is_udp = one.protocol == Protocol::Udp;
    SocketState {
        protocol: one.protocol,
        local: one.local,
        remote: one.peer(),
        state: TcpState::of(one.protocol, one.state),
        is_ipv6_only: one.is_ipv6_only,
        drops: one.drops.filter(|_| is_udp),
    }
}

/// Returns the NATs and the rules of a node, in whose network the calling thread is.
fn rules_of(
    node: &NodePlan,
    live: &LiveNode,
) -> Result<(Vec<NatState>, Vec<FirewallCounter>), Failure> {
    let mut nft = Nft::open()?;
    let mut mappings = nat::mappings(&mut nft, node)?;
    live.mapper.add_leases(&mut nft, &mut mappings)?;
    let of_one = |nat: &NatPlan| {
        let own: Vec<NatMapping> =
            mappings.iter().filter(|one| one.interface == nat.outside).cloned().collect();
        mappings.retain(|one| one.interface != nat.outside);
        NatState { nat: nat.clone(), mappings: own }
    };
    let nats = node.nats.iter().map(of_one).collect();
    Ok((nats, nat::counters(&mut nft, node)?))
}

/// Returns the range of the calling thread's network namespace.
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

/// Returns none for the address of `lo`, which is all zeros.
fn mac(octets: &[u8]) -> Option<Mac> {
    Mac::new(octets.try_into().ok()?).ok()
}

impl TcpState {
    /// Reads the numbers of the kernel's `include/net/tcp_states.h`.
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
