//! Snapshot as text, in the format of `ip` and `ss`.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use crate::addr::cidr::Cidr;
use crate::lab::observe::snapshot::{
    Counters, InterfaceState, NatState, NeighbourState, NextHopState, NodeState, RouteState,
    RuleState, Snapshot, SocketState, TcpState,
};
use crate::lab::observe::sockets::Protocol;
use crate::lab::plan::nat::NatPlan;
use crate::lab::topology::NodeKind;
use crate::netlink::route::MAIN;
use crate::netlink::rule::name_of_table;

/// Prints the nodes, then the links that can be impaired, with an empty line between.
impl Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, node) in self.nodes.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            node.fmt(f)?;
        }
        if self.links.iter().any(|link| link.from.is_some()) {
            writeln!(f, "\nlinks")?;
        }
        self.links.iter().try_for_each(|link| link.fmt(f))
    }
}

impl Display for NodeState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NodeKind::Host => "host",
            NodeKind::Local => "local host",
            NodeKind::Router => "router",
            NodeKind::Switch => "switch",
        };
        writeln!(f, "{kind} {}{}", self.name, if self.is_on { "" } else { ": powered off" })?;
        self.interfaces.iter().try_for_each(|interface| write!(f, "{interface}"))?;
        part(f, "routes", &self.routes)?;
        for (title, is_ipv4) in [("rules", true), ("rules of IPv6", false)] {
            let own = self.rules.iter().filter(|rule| rule.is_ipv4 == is_ipv4);
            let own: Vec<&RuleState> = own.collect();
            // The rules that every network namespace has.
            let is_usual =
                own.iter().all(|rule| rule.is_default) && own.len() == 2 + usize::from(is_ipv4);
            part(f, title, if is_usual { &[] } else { &own })?;
        }
        part(f, "neighbours", &self.neighbours)?;
        part(f, "sockets", &self.sockets)?;
        self.nats.iter().try_for_each(|nat| nat.fmt(f))?;
        part(f, "filters", &self.filters)
    }
}

fn part(f: &mut Formatter<'_>, title: &str, lines: &[impl Display]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "  {title}:")?;
    lines.iter().try_for_each(|line| writeln!(f, "    {line}"))
}

/// Prints several lines, as `ip -s address` does.
impl Display for InterfaceState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let state = match (self.is_up, self.is_running) {
            (true, true) => "<UP,LOWER_UP>",
            (true, false) => "<NO-CARRIER,UP>",
            (false, _) => "<>",
        };
        write!(f, "  {}: {state} mtu {} {}", self.name, self.mtu, self.kind)?;
        if let Some(bridge) = &self.bridge {
            write!(f, " master {bridge}")?;
        }
        writeln!(f)?;
        if let Some(mac) = self.mac {
            writeln!(f, "    link/ether {mac}")?;
        }
        for (at, address) in self.addresses.iter().enumerate() {
            let family = if address.address().is_ipv4() { "inet" } else { "inet6" };
            let details = self.address_details.get(at).map_or(&[][..], Vec::as_slice);
            match details.first().filter(|words| words.starts_with("peer ")) {
                Some(_) => write!(f, "    {family} {}", address.address())?,
                None => write!(f, "    {family} {address}")?,
            }
            let shown = details.iter().filter(|words| !is_usual_of(*address, &self.name, words));
            shown.into_iter().try_for_each(|words| write!(f, " {words}"))?;
            writeln!(f)?;
        }
        self.counters.iter().try_for_each(|counters| write!(f, "{counters}"))
    }
}

impl Display for Counters {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sides = [
            ("RX", self.rx_bytes, self.rx_packets, self.rx_dropped),
            ("TX", self.tx_bytes, self.tx_packets, self.tx_dropped),
        ];
        sides.into_iter().try_for_each(|(side, bytes, packets, dropped)| {
            writeln!(f, "    {side}: {bytes} bytes {packets} packets {dropped} dropped")
        })
    }
}

impl Display for RouteState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.kind != "unicast" {
            write!(f, "{} ", self.kind)?;
        }
        let destination = self.destination;
        if destination.prefix() == 0 {
            f.write_str("default")?;
        } else if destination.host_bits() == 0 {
            write!(f, "{}", destination.network())?;
        } else {
            write!(f, "{destination}")?;
        }
        for (at, hop) in self.next_hops.iter().enumerate() {
            if at > 0 {
                f.write_str(" nexthop")?;
            }
            write!(f, "{hop}")?;
        }
        if self.table != MAIN {
            write!(f, " table {}", name_of_table(self.table))?;
        }
        let is_usual = if self.destination.is_ipv4() { [0; 2] } else { [256, 1024] };
        if !is_usual.contains(&self.metric) {
            write!(f, " metric {}", self.metric)?;
        }
        let shown = self.details.iter().filter(|words| !self.is_usual(words));
        shown.into_iter().try_for_each(|words| write!(f, " {words}"))?;
        let is_down = self.kind == "unicast" && !self.is_usable;
        let is_shown =
            self.next_hops.iter().any(|hop| hop.details.iter().any(|one| is_down_word(one)));
        if is_down && !is_shown { f.write_str(" linkdown") } else { Ok(()) }
    }
}

impl RouteState {
    /// Returns whether an attribute is not printed, as most routes have it: the protocols of the
    /// lab and the kernel, and values that follow from the rest.
    fn is_usual(&self, words: &str) -> bool {
        let is_of_kernel = self.details.iter().any(|one| one == "proto kernel");
        let has_gateway = self.next_hops.iter().any(|hop| hop.via.is_some());
        match words.split_once(' ') {
            Some(("proto", origin)) => ["kernel", "boot", "static"].contains(&origin),
            Some(("pref", value)) => value == "medium",
            Some(("src", _)) => is_of_kernel,
            Some(("scope", scope)) => match scope {
                "global" => has_gateway || self.next_hops.is_empty(),
                "link" => !has_gateway,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Returns whether an attribute is not printed, as most addresses have it.
fn is_usual_of(address: Cidr, interface: &str, words: &str) -> bool {
    let is_own = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    };
    let is_link_local = matches!(address.address(), IpAddr::V6(own) if own.is_unicast_link_local());
    match words.split_once(' ') {
        Some(("label", label)) => label == interface,
        Some(("brd", broadcast)) => {
            let subnet = address.subnet();
            broadcast.parse() == Ok(subnet.at(subnet.highest()).address())
        }
        Some(("proto", origin)) => origin.starts_with("kernel"),
        Some(("scope", scope)) => match scope {
            "host" => is_own(address.address()),
            "link" => is_link_local,
            scope => scope == "global" && !is_own(address.address()) && !is_link_local,
        },
        _ => words == "nodad",
    }
}

/// Prints ` via 10.0.0.2 dev eth0 weight 3`.
impl Display for NextHopState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let encap = self.details.iter().filter(|words| words.starts_with("encap "));
        encap.into_iter().try_for_each(|words| write!(f, " {words}"))?;
        self.via.iter().try_for_each(|via| write!(f, " via {via}"))?;
        self.dev.iter().try_for_each(|dev| write!(f, " dev {dev}"))?;
        self.weight.iter().try_for_each(|weight| write!(f, " weight {weight}"))?;
        let all = self.details.iter().filter(|words| !words.starts_with("encap "));
        all.into_iter().try_for_each(|words| write!(f, " {words}"))
    }
}

fn is_down_word(words: &str) -> bool {
    words == "linkdown" || words == "dead"
}

/// Prints `32765: from 10.9.9.9 blackhole`.
impl Display for RuleState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.priority, self.selector, self.action)
    }
}

/// Prints a line for the NAT, and one for each mapping.
impl Display for NatState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let NatPlan { outside, mapping, filtering, .. } = &self.nat;
        writeln!(f, "  NAT on {outside}: {mapping} mapping, {filtering} filtering")?;
        self.mappings.iter().try_for_each(|mapping| writeln!(f, "    {mapping}"))
    }
}

impl Display for NeighbourState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} dev {}", self.address, self.dev)?;
        self.mac.iter().try_for_each(|mac| write!(f, " lladdr {mac}"))?;
        write!(f, " {}", self.state)
    }
}

impl Display for SocketState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let state = match (self.protocol, self.state) {
            (Protocol::Udp, TcpState::Close) => "UNCONN".to_owned(),
            (_, state) => state.to_string(),
        };
        write!(f, "{} {state} {}", self.protocol, self.local)?;
        match self.remote {
            Some(remote) => write!(f, " {remote}")?,
            None => f.write_str(" *")?,
        }
        if self.is_ipv6_only == Some(true) {
            f.write_str(" v6only")?;
        }
        match self.drops {
            None | Some(0) => Ok(()),
            Some(drops) => write!(f, " drops {drops}"),
        }
    }
}

impl Display for TcpState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listen => "LISTEN",
            Self::Established => "ESTAB",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECV",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::TimeWait => "TIME-WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Closing => "CLOSING",
        })
    }
}
