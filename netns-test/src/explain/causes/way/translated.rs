//! The causes for packets that a NAT does not pass on. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::evidence::facts::network::Protocol;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::filters::dropped;
use crate::explain::path::Obstacle;
use crate::explain::scene::{Scene, node_name};
use crate::explain::sockets::is_server;

/// Most forwarded ports that are listed.
const MOST: usize = 4;

/// Returns the cause for an obstacle that a NAT is.
pub(super) fn explain(
    scene: &Scene<'_>,
    obstacle: &Obstacle<'_>,
    certainty: Certainty,
    (from, way): (&str, &str),
) -> Option<Cause> {
    match obstacle {
        Obstacle::NotForwarded { node, to, protocol } => {
            // Else a mapping of an inside node may have led there.
            let is_counted = dropped::has_no_mapping(scene, node, *to, *protocol);
            let is_sure = certainty == Certainty::Certain && is_counted;
            Some(not_forwarded(scene, node, (*to, *protocol), Certainty::if_sure(is_sure)))
        }
        Obstacle::Hidden { node, to } => Some(hidden(scene, node, (from, *to), certainty)),
        Obstacle::NoExternal { node, source } => Some(
            Cause::new(
                certainty,
                format!("the NAT of {node} has no external address for {source}"),
            )
            .shown_by(format!("it is in no prefix that it translates, and it is {way}"))
            .try_to("send from an address of the lab's plan, or translate a prefix that has it")
            .on(node)
            .on(from),
        ),
        Obstacle::Blocked(node) => Some(
            Cause::new(certainty, format!("the NAT of {node} does not forward IPv6"))
                .shown_by(format!("it is {way}"))
                .try_to("use IPv4, or another treatment of IPv6: `Nat::ipv6`")
                .on(node),
        ),
        _ => None,
    }
}

fn not_forwarded(
    scene: &Scene<'_>,
    node: &str,
    (to, protocol): (SocketAddr, Protocol),
    certainty: Certainty,
) -> Cause {
    let (name, port) = (protocol.word(), to.port());
    let upper = name.to_uppercase();
    let cause = Cause::new(certainty, format!("{node} forwards no {upper} port {port}"))
        .shown_by(format!("{to} is the external address of its NAT, on which nothing listens"))
        .on(node);
    let nats =
        scene.facts.lab().and_then(|lab| lab.node(node)).into_iter().flat_map(|one| &one.nats);
    let forwards = nats.flat_map(|nat| &nat.forwards).take(MOST);
    let listed = forwards.map(|one| format!("{} {} to {}", one.protocol.word(), one.port, one.to));
    let listed: Vec<String> = listed.collect();
    let cause = match certainty {
        Certainty::Certain => {
            cause.shown_by("a packet to it has come, and was for the router itself")
        }
        Certainty::Likely => cause,
    };
    let cause = match listed.is_empty() {
        true => cause.shown_by("it forwards no port at all"),
        false => cause.shown_by(format!("it forwards {}", listed.join(", "))),
    };
    let inside = inside_server(scene, node, port, protocol);
    let cause = match &inside {
        Some(server) => cause.shown_by(format!("{server} behind it has a server on that port")),
        None => cause,
    };
    let server = inside.unwrap_or("inside");
    let variant = if protocol == Protocol::Udp { "Udp" } else { "Tcp" };
    cause.try_to(format!(
        "forward it: `net.forward_port({node}, link, Transport::{variant}, {port}, {server}, {port})`"
    ))
}

/// Returns a node behind a NAT with a server on a port.
fn inside_server<'a>(
    scene: &Scene<'a>,
    router: &str,
    port: u16,
    protocol: Protocol,
) -> Option<&'a str> {
    let lab = scene.facts.lab()?;
    let serves = |node: &str| {
        let network = scene.network(node);
        network.is_some_and(|network| {
            network.sockets.iter().any(|one| {
                let has_port = one.local.is_some_and(|local| local.port() == port);
                is_server(one) && one.protocol == protocol && has_port
            })
        })
    };
    let is_behind = |node: &&crate::evidence::facts::topology::LabNode| {
        let mut all = node.interfaces.iter().flat_map(|one| &one.addresses);
        all.any(|address| {
            let hidden = scene.map().hidden_by_router(router, &node.name, *address);
            hidden && serves(&node.name)
        })
    };
    lab.nodes.iter().find(is_behind).map(|node| node.name.as_str())
}

fn hidden(
    scene: &Scene<'_>,
    node: &str,
    (from, to): (&str, IpAddr),
    certainty: Certainty,
) -> Cause {
    let found = scene.map().hidden_by(from, to).or_else(|| scene.map().hidden_by(node, to));
    let (owner, router) = match &found {
        Some((owner, router, _)) => (*owner, router.name.as_str()),
        None => (scene.map().owner_for(to, Some(node)).unwrap_or_default(), node),
    };
    let subject = if owner.is_empty() { to.to_string() } else { format!("{owner} ({to})") };
    let cause = Cause::new(certainty, format!("{subject} is behind the NAT of {router}"))
        .shown_by(format!("{} is outside of it, and does not know that address", node_name(from)))
        .on(router)
        .on(owner)
        .on(from);
    if let Some((_, _, nat)) = found.filter(|(_, _, nat)| nat.has_prefixes(to)) {
        return match nat.external_of(to) {
            Some(external) => cause.try_to(format!("send to {external}, its address outside")),
            None => cause.try_to("give it an address in a prefix that the NAT translates"),
        };
    }
    let external = found.and_then(|(_, _, nat)| nat.external_of(to));
    let external = external.map_or_else(String::new, |external| format!(", {external},"));
    cause.try_to(format!(
        "send to the external address of {router}{external} and a port that it forwards"
    ))
}
