//! Packets that are too large for a link on their way. Pure.

use crate::evidence::facts::network::{Interface, Network, Socket, SocketState};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::path::Map;
use crate::explain::scene::{Scene, node_name};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, _targets: &[Target<'_>]) -> Vec<Cause> {
    let found = match scene.trouble {
        Trouble::TooLong => too_long(scene),
        Trouble::TimedOut | Trouble::WouldBlock | Trouble::TimeLimit => stuck(scene),
        _ => None,
    };
    found.into_iter().collect()
}

/// Explains EMSGSIZE.
fn too_long(scene: &Scene<'_>) -> Option<Cause> {
    let networks = scene.nodes().filter(|one| scene.node.is_none_or(|node| node == one.node));
    let all = networks.flat_map(|network| {
        let interfaces = network.interfaces.iter().filter(|one| one.name != "lo" && one.mtu > 0);
        interfaces.map(move |interface| (network, interface))
    });
    let (network, interface) = all.min_by_key(|(_, interface)| interface.mtu)?;
    let (node, mtu) = (node_name(&network.node), interface.mtu);
    Some(
        Cause::likely(format!(
            "the datagram was longer than the path takes: {node} has an MTU of {mtu}"
        ))
        .shown_by(format!("the MTU of {} on {node} is {mtu}", interface.name))
        .shown_by("a datagram has at most 65507 bytes, and with IP_MTU_DISCOVER those of the MTU")
        .try_to("send less at once, or raise the MTU of the link")
        .on(&network.node),
    )
}

/// Finds a connection that sends the same segment again, over a path with a smaller MTU further on.
fn stuck(scene: &Scene<'_>) -> Option<Cause> {
    let map = Map { networks: scene.networks, lab: scene.facts.lab() };
    for network in scene.nodes() {
        let is_stuck = |socket: &&Socket| {
            socket.state == SocketState::Established && socket.unsent > 0 && socket.remote.is_some()
        };
        for socket in network.sockets.iter().filter(is_stuck) {
            let (local, remote) = (socket.local?, socket.remote?);
            let Some(path) = map.walk(&network.node, Some(local.ip()), remote.ip()) else {
                continue;
            };
            let Ok(end) = path.end else { continue };
            let Some((own, first)) = path.hops.first().and_then(|hop| Some((hop.0, hop.1?))) else {
                continue;
            };
            let Some((at, narrow)) = narrowest(map, &path.hops) else { continue };
            if narrow.mtu >= first.mtu || socket.unsent <= narrow.mtu.saturating_sub(80) {
                continue;
            }
            return Some(black_hole(scene, network, socket, &[own, at, end], first, narrow));
        }
    }
    None
}

/// Returns the interface of the smallest MTU on a path, at either end of each link.
fn narrowest<'a>(
    map: Map<'a>,
    hops: &[(&'a str, Option<&'a Interface>)],
) -> Option<(&'a str, &'a Interface)> {
    let mut all: Vec<(&str, &Interface)> = Vec::new();
    for (node, out) in hops.iter().filter_map(|(node, out)| Some((*node, (*out)?))) {
        all.push((node, out));
        let other = map.other_end(node, &out.name).and_then(|(other, name)| {
            let network = map.networks.iter().find(|network| network.node == other)?;
            let found = network.interfaces.iter().find(|one| one.name == name)?;
            Some((network.node.as_str(), found))
        });
        all.extend(other);
    }
    all.into_iter().filter(|(_, one)| one.mtu > 0).min_by_key(|(_, one)| one.mtu)
}

fn black_hole(
    scene: &Scene<'_>,
    network: &Network,
    socket: &Socket,
    [own, at, end]: &[&str; 3],
    first: &Interface,
    narrow: &Interface,
) -> Cause {
    let fails = |name| scene.network(at).map_or(0, |network| network.counter(name));
    let (v4, v6) = (fails("Ip.FragFails"), fails("Ip6FragFails"));
    let who = scene.holder(socket.inode).unwrap_or_else(|| "a socket".to_owned());
    let mut cause = Cause::new(
        // Unacknowledged bytes may have another reason, such as a filter.
        Certainty::Likely,
        format!(
            "packets of {} are too large for {} of {}: an MTU of {} behind one of {}",
            node_name(own),
            narrow.name,
            node_name(at),
            narrow.mtu,
            first.mtu
        ),
    )
    .shown_by(format!(
        "{who} has {} unacknowledged bytes on the way to {}, after {} retransmissions",
        socket.unsent,
        node_name(end),
        socket.retransmits
    ));
    if v4 + v6 > 0 {
        cause = cause.shown_by(format!(
            "{} has counted {} packets that it could not fragment; the ICMP error did not help",
            node_name(at),
            v4 + v6
        ));
    }
    cause
        .try_to("use one MTU on the whole path, or let ICMP \"fragmentation needed\" pass")
        .socket(socket.inode)
        .on(&network.node)
        .on(at)
}

#[cfg(test)]
mod tests {
    use crate::explain::cause::Certainty::Likely;
    use crate::explain::sample::Sample;

    #[test]
    fn a_smaller_mtu_on_the_path_of_a_stuck_connection_is_found() {
        let mut sample = Sample::routed();
        let socket = sample.socket("client", 1, "10.0.0.1:41234", "10.0.1.2:80");
        (socket.unsent, socket.retransmits) = (5000, 3);
        let mut sample = sample.hangs();
        sample.does_not_say("too large");
        sample.interface("router", "eth1").mtu = 1280;
        let cause = sample.says(Likely, "too large for eth1 of router: an MTU of 1280");
        assert_eq!(cause.nodes, ["client", "router"]);
        sample.network("client").sockets[0].unsent = 100;
        sample.does_not_say("too large");
        // The sender knows a small MTU of its own.
        sample.network("client").sockets[0].unsent = 5000;
        sample.interface("client", "eth0").mtu = 1280;
        sample.does_not_say("too large");
    }

    #[test]
    fn a_datagram_that_is_too_long_is_explained() {
        let sample = Sample::pair().panics("Message too long (os error 90)");
        sample.says(Likely, "the datagram was longer than the path takes");
    }
}
