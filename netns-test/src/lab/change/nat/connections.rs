//! Open TCP connections of a lab, from the sockets of its nodes. A firewall on a node that had no
//! rules learns from them which connections were there before, and who opened each.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::Failure;
use crate::lab::fabric::node::LiveNode;
use crate::lab::fabric::on_thread;
use crate::lab::nat::{self, Running};
use crate::lab::plan::NodePlan;
use crate::netlink::sock_diag::{LISTENING, Protocol, Reader, Socket, Wanted};

/// States of connections that both ends know and neither has ended (`include/net/tcp_states.h`):
/// established, and those in which one end has closed.
const OPEN: [u8; 6] = [1, 4, 5, 8, 9, 11];

/// First port that Linux assigns to clients (`ip_local_port_range` of ip(7)).
const OF_CLIENTS: u16 = 32768;

/// Returns what a change of rules needs to know: the addresses of the node at a position, and the
/// connections of all nodes that are on.
pub(crate) fn running(
    nodes: &[Arc<LiveNode>],
    at: usize,
    rules: [&NodePlan; 2],
) -> Result<Running, Failure> {
    if rules[1].firewall.is_none() {
        return Ok(Running::default());
    }
    let addresses = nodes[at].here()?.netlink.addresses()?;
    let own = addresses.iter().map(|one| one.cidr.address()).collect();
    let mut ends = Ends::default();
    for node in nodes.iter().filter(|_| nat::learns_open(rules)) {
        let Ok(here) = node.here() else { continue };
        let read = || Reader::open().read(Wanted::All);
        ends.add(&on_thread::within(&here.place, node.name(), read)?);
    }
    Ok(Running { own, open: ends.connections() })
}

/// Ends of connections, local and remote, and whether the local one is that of a listener.
#[derive(Debug, Default)]
struct Ends(HashMap<(SocketAddr, SocketAddr), bool>);

impl Ends {
    /// Adds those of a node.
    fn add(&mut self, sockets: &[Socket]) {
        let of_tcp = || sockets.iter().filter(|one| one.protocol == Protocol::Tcp);
        let listeners = of_tcp().filter(|one| one.state == LISTENING);
        let ports: HashSet<u16> = listeners.map(|one| one.local.port()).collect();
        for one in of_tcp().filter(|one| OPEN.contains(&one.state)) {
            self.0.insert((one.local, one.remote), ports.contains(&one.local.port()));
        }
    }

    /// Returns clients and servers.
    fn connections(&self) -> Vec<[SocketAddr; 2]> {
        let mut found = HashSet::new();
        for (&(local, remote), &is_service) in &self.0 {
            let is_other_service = self.0.get(&(remote, local)).copied().unwrap_or(false);
            let [low, other_low] = [local, remote].map(|end| end.port() < OF_CLIENTS);
            let (is_server, is_client) = match is_service == is_other_service {
                false => (is_service, is_other_service),
                // The listener is gone.
                true if low != other_low => (low, other_low),
                true => (true, true),
            };
            found.extend(is_server.then_some([remote, local]));
            found.extend(is_client.then_some([local, remote]));
        }
        found.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(all: &[(&str, &str, bool)]) -> Vec<[String; 2]> {
        let parsed = all.iter().map(|(local, remote, is_service)| {
            ((local.parse().unwrap(), remote.parse().unwrap()), *is_service)
        });
        let all = Ends(parsed.collect()).connections();
        let mut all: Vec<_> = all.iter().map(|ends| ends.map(|end| end.to_string())).collect();
        all.sort();
        all
    }

    #[test]
    fn the_end_with_a_listener_is_the_server() {
        let (client, server) = ("10.0.0.1:40000", "10.0.0.2:50000");
        let both = ends(&[(client, server, false), (server, client, true)]);
        assert_eq!(both, [[client, server]]);
        assert_eq!(ends(&[(server, client, true)]), [[client, server]]);
    }

    #[test]
    fn without_a_listener_it_is_the_end_with_the_lower_port() {
        let (client, server) = ("10.0.0.1:40000", "10.0.0.2:80");
        let both = ends(&[(client, server, false), (server, client, false)]);
        assert_eq!(both, [[client, server]]);
        assert_eq!(ends(&[(client, server, false)]), [[client, server]]);
        let server = "10.0.0.2:50000";
        assert_eq!(ends(&[(client, server, false)]), [[client, server], [server, client]]);
    }
}
