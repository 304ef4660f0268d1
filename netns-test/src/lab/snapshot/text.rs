//! A snapshot as text, in the words of `ip` and `ss`.

use std::fmt::{self, Display, Formatter};

use super::{
    Counters, HostState, LinkState, NeighbourState, RouteState, Snapshot, SocketState, TcpState,
};
use crate::lab::sockets::Protocol;
use crate::lab::topology::NodeKind;

/// The nodes, with an empty line between.
impl Display for Snapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (order, host) in self.hosts.iter().enumerate() {
            if order > 0 {
                writeln!(f)?;
            }
            host.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for HostState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NodeKind::Host => "host",
            NodeKind::Local => "local host",
            NodeKind::Router => "router",
            NodeKind::Switch => "switch",
        };
        writeln!(f, "{kind} {}{}", self.name, if self.is_on { "" } else { ": powered off" })?;
        self.links.iter().try_for_each(|link| write!(f, "{link}"))?;
        part(f, "routes", &self.routes)?;
        part(f, "neighbours", &self.neighbours)?;
        part(f, "sockets", &self.sockets)
    }
}

fn part(f: &mut Formatter<'_>, title: &str, lines: &[impl Display]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "  {title}:")?;
    lines.iter().try_for_each(|line| writeln!(f, "    {line}"))
}

/// Several lines, as `ip -s address` prints them.
impl Display for LinkState {
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
        for address in &self.addresses {
            let family = if address.address().is_ipv4() { "inet" } else { "inet6" };
            writeln!(f, "    {family} {address}")?;
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
        self.via.iter().try_for_each(|via| write!(f, " via {via}"))?;
        self.dev.iter().try_for_each(|dev| write!(f, " dev {dev}"))?;
        let is_down = self.kind == "unicast" && !self.is_usable;
        if is_down { f.write_str(" linkdown") } else { Ok(()) }
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
            Some(remote) => write!(f, " {remote}"),
            None => f.write_str(" *"),
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
