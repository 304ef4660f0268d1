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

/// Most bytes of a datagram over IPv4 and IPv6: a length of 16 bits (RFC 768), without headers.
const MOST: [u32; 2] = [65_507, 65_527];

/// Explains EMSGSIZE. The kernel returns it for a datagram that is longer than any, and for one
/// that is longer than the MTU only with `IP_MTU_DISCOVER`.
fn too_long(scene: &Scene<'_>) -> Option<Cause> {
    let [v4, v6] = MOST;
    let length = length(scene.statement).or_else(|| length(scene.message));
    // A smaller number may be a port.
    if let Some(length) = length.filter(|length| *length > u64::from(u16::MAX)) {
        return Some(
            Cause::likely(format!(
                "a datagram of {length} bytes is longer than any: UDP has at most {v4} over IPv4"
            ))
            .shown_by(format!("the length {length} is in the statement or message that failed"))
            .shown_by(format!(
                "the limit is {v4} bytes over IPv4 and {v6} over IPv6, whatever the MTU"
            ))
            .try_to("send it in several datagrams, or by TCP"),
        );
    }
    let networks = scene.nodes().filter(|one| scene.node.is_none_or(|node| node == one.node));
    let mtus = networks.flat_map(|network| {
        let interfaces = network.interfaces.iter().filter(|one| one.name != "lo" && one.mtu > 0);
        interfaces.map(move |one| (node_name(&network.node), one.name.as_str(), one.mtu))
    });
    let least = mtus.min_by_key(|(_, _, mtu)| *mtu);
    let cause = Cause::likely(format!(
        "the datagram was longer than one may be: UDP has at most {v4} bytes over IPv4"
    ))
    .shown_by(format!("the limit is {v4} bytes over IPv4 and {v6} over IPv6, whatever the MTU"));
    let cause = match least {
        Some((node, interface, mtu)) => cause.shown_by(format!(
            "a socket that forbids fragments (IP_MTU_DISCOVER) has the MTU as its limit: {mtu} at \
             {interface} of {node}"
        )),
        None => cause,
    };
    Some(cause.try_to("send less at once: several datagrams, or TCP"))
}

/// Returns the greatest number in a text that may be the length of a datagram.
fn length(text: &str) -> Option<u64> {
    let is_of_number = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let numbers = text.split(|c| !is_of_number(c)).filter_map(|word| {
        let word = word.replace('_', "");
        let word = word.strip_suffix("usize").or(word.strip_suffix("u8")).unwrap_or(&word);
        word.parse::<u64>().ok()
    });
    numbers.max()
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
            "{} has counted {} packets that it could not fragment; its ICMP errors had no effect",
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
    fn a_datagram_that_is_too_long_is_no_matter_of_the_mtu() {
        let mut sample = Sample::pair().panics("Message too long (os error 90)");
        let cause = sample.says(Likely, "UDP has at most 65507 bytes over IPv4");
        assert!(cause.proof[1].contains("IP_MTU_DISCOVER") && cause.proof[1].contains("1500"));
        sample.ending.statement = "sender.send_to(&vec![0; 70_000], to).unwrap();".into();
        let cause = sample.says(Likely, "a datagram of 70000 bytes is longer than any");
        assert!(cause.proof.iter().all(|line| !line.contains("1500")), "{cause:?}");
        assert!(cause.remedy.iter().all(|line| !line.contains("MTU")), "{cause:?}");
        sample.ending.statement = "sender.send_to(&[0; 2000], to).unwrap();".into();
        sample.says(Likely, "the datagram was longer than one may be");
    }
}
