//! A refused connection: what listens instead, and where. Pure.

mod closed;
mod somewhere;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crate::evidence::facts::network::{Network, Protocol, Socket};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::{earlier, filters};
use crate::explain::code;
use crate::explain::listener::{rejects, shown};
use crate::explain::scene::{Scene, node_name, on_node};
use crate::explain::sockets::{accepts, is_loopback, is_server, plain};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    if scene.trouble != Trouble::Refused {
        return Vec::new();
    }
    // A filter refuses whatever listens.
    let is_filtered = |target: &Target<'_>| {
        let network = target.node.and_then(|node| scene.network(node));
        let listens = network.is_some_and(|network| accepting(network, target).is_some());
        listens && filters::has_rejected(scene, target)
            || filters::dropped::has_rejected(scene, target)
    };
    // Either of two nodes with one address may have refused: that they have it is the cause.
    let is_duplicate = |target: &Target<'_>| {
        let ip = plain(target.to.ip());
        let places = scene.networks.iter().flat_map(|network| {
            let all = network.interfaces.iter();
            let found = all.filter(|on| on.addresses.iter().any(|one| one.address == ip));
            found.map(|on| (network.node.as_str(), on.name.as_str()))
        });
        let places: Vec<_> = places.collect();
        let is_other = |one: &(&str, &str), other: &(&str, &str)| {
            one.0 != other.0 && scene.map().share_a_realm(*one, *other, ip.is_ipv4())
        };
        !is_loopback(ip) && places.iter().any(|one| places.iter().any(|two| is_other(one, two)))
    };
    if targets.iter().any(|target| is_filtered(target) || is_duplicate(target)) {
        return Vec::new();
    }
    let known = match of_unix(scene) {
        Some(cause) => return vec![cause],
        None => one_of_several(scene, targets),
    };
    let known = known.or_else(|| targets.iter().find_map(|target| at_target(scene, target)));
    known.or_else(|| somewhere::cause(scene)).into_iter().collect()
}

/// Explains a statement about a UNIX socket, whose refusal has one reason (unix(7)).
fn of_unix(scene: &Scene<'_>) -> Option<Cause> {
    let names = |names: &[&str]| names.iter().any(|name| scene.statement.contains(name));
    let is_unix = names(&["UnixStream", "UnixDatagram", "UnixSocket"]);
    (is_unix && !names(&["TcpS", "UdpS"])).then(|| {
        Cause::likely("no process has the UNIX socket of that path open any more")
            .shown_by("the statement that has failed is about a UNIX socket")
            .shown_by("its file is left over: without one the error would be ENOENT")
            .try_to("keep the listener while others connect, and remove the file after it")
    })
}

/// Most refusals that are listed.
const MOST: usize = 3;

/// Explains a failure of which it is not known which of several refusals it was.
fn one_of_several(scene: &Scene<'_>, targets: &[Target<'_>]) -> Option<Cause> {
    let mut different: Vec<&Target<'_>> = Vec::new();
    for target in targets {
        let is_same =
            |other: &&Target<'_>| (other.node, other.to.port()) == (target.node, target.to.port());
        if !different.iter().any(is_same) {
            different.push(target);
        }
    }
    if different.len() < 2 || different.iter().any(|target| target.is_sure) {
        return None;
    }
    let ends: Vec<String> = different.iter().map(|one| one.to.to_string()).take(MOST).collect();
    let (count, ends) = (different.len(), ends.join(" or "));
    let causes = different.iter().take(MOST).filter_map(|target| at_target(scene, target));
    let mut all = Cause::likely(format!(
        "the error is that of one of {count} refused connections: to {ends}"
    ));
    for cause in causes {
        all = all.shown_by(cause.text);
        all = cause.nodes.iter().fold(all, |all, node| all.on(node));
        all = cause.sockets.into_iter().fold(all, Cause::socket);
    }
    Some(all.try_to(
        "handle the error of each connection where it is made: the report then knows which one it \
         was",
    ))
}

/// Explains the refusal of a known address.
fn at_target(scene: &Scene<'_>, target: &Target<'_>) -> Option<Cause> {
    let node = target.node?;
    let network = scene.network(node)?;
    if !scene.has_sockets {
        return Some(closed::cause(scene, network, target));
    }
    let to = target.server;
    let all: Vec<&Socket> = network.sockets.iter().filter(|one| is_server(one)).collect();
    let listeners = of_protocol(&all, target.protocol);
    if let Some(now) = accepting(network, target) {
        return Some(too_late(scene, node, now, target));
    }
    let refusal = Refusal {
        target,
        to,
        network,
        // A filter may refuse, too.
        is_sure: target.is_sure
            && target.via.is_none()
            && network.gaps.is_empty()
            && rejects(scene).is_none(),
    };
    if let Some(found) = elsewhere(scene, network, &listeners, to) {
        return refusal.by_listener(scene, found);
    }
    refusal
        .by_ended_program(scene)
        .or_else(|| refusal.by_other_node(scene))
        .or_else(|| Some(refusal.by_nothing(scene)))
}

/// Returns the socket of a node that accepts what is sent to a target.
fn accepting<'a>(network: &'a Network, target: &Target<'_>) -> Option<&'a Socket> {
    let mut all = network.sockets.iter().filter(|one| is_server(one));
    all.find(|one| one.protocol == target.protocol && accepts(one, target.server))
}

/// A refusal by a node on which nothing accepts the address.
struct Refusal<'a> {
    target: &'a Target<'a>,
    to: SocketAddr,
    network: &'a Network,
    is_sure: bool,
}

impl Refusal<'_> {
    fn cause(&self, is_sure: bool, text: &str) -> Cause {
        let (what, here) = (noun(self.target.protocol), on_node(&self.network.node));
        let text = format!("nothing {here} {what} {}{text}", self.to);
        Cause::new(Certainty::if_sure(is_sure && self.is_sure), text)
            .shown_by(self.target.proof.clone())
            .on(&self.network.node)
    }

    /// Adds that a socket may have changed since, if it may.
    fn as_of_now(&self, scene: &Scene<'_>, cause: Cause) -> Cause {
        if cause.certainty == Certainty::Certain {
            return cause;
        }
        let after = self.target.at.map(|at| scene.at.saturating_sub(at).as_secs_f64());
        let after =
            after.map_or_else(String::new, |after| format!(", {after:.3} s after the refusal"));
        cause.shown_by(format!("the sockets are those of the moment of the failure{after}"))
    }

    /// Explains it by a listener of the node, which accepts other addresses.
    fn by_listener(&self, scene: &Scene<'_>, found: &Socket) -> Option<Cause> {
        let (to, what) = (self.to, noun(self.target.protocol));
        let who = scene.holder(found.inode).unwrap_or_else(|| "a socket".to_owned());
        let (local, advice) = (found.local?, advice(found, to));
        let is_sure = scene.is_unchanged(&self.network.node, self.target.at);
        let cause = self.cause(is_sure, &format!(": {who} {what} {}", shown(found, local)));
        let cause = cause.shown_by(format!("{who} {what} {local}, {}", why_not(found, to)));
        let cause = self.as_of_now(scene, cause);
        Some(cause.try_to(advice.replace("{who}", &who)).socket(found.inode))
    }

    /// Explains it by a program of the node that had ended. That it was to listen is not known.
    fn by_ended_program(&self, scene: &Scene<'_>) -> Option<Cause> {
        let what = noun(self.target.protocol);
        let node = Some(self.network.node.as_str());
        let (ended, program) = earlier::ended_program(scene, node, self.target.at)?;
        Some(
            self.cause(false, &format!(", and {program}"))
                .shown_by_all(ended.proof)
                .try_to(format!(
                    "look at why it ended; if it may end, start what {what} {}",
                    self.to
                ))
                .event(*ended.events.first()?),
        )
    }

    /// Explains it by another node, which serves the port.
    fn by_other_node(&self, scene: &Scene<'_>) -> Option<Cause> {
        let (what, node) = (noun(self.target.protocol), self.network.node.as_str());
        let (other, socket) = on_other_node(scene, node, self.target)?;
        let who = scene.holder(socket.inode).unwrap_or_else(|| "a socket".to_owned());
        let name = node_name(other);
        let is_sure = scene.is_unchanged(other, self.target.at);
        let cause = self
            .cause(is_sure, &format!(": {who} {what} that port on {name} instead"))
            .shown_by(format!("{who} {what} {} on {name}", socket.local?));
        let cause = self.as_of_now(scene, cause);
        let remedy = format!("connect to {name}, or start it {}", on_node(node));
        Some(cause.try_to(remedy).socket(socket.inode).on(other))
    }

    /// Says what is known of a node without any such socket.
    fn by_nothing(&self, scene: &Scene<'_>) -> Cause {
        let what = noun(self.target.protocol);
        let closed = closed::near(self.network, self.to);
        let node = self.network.node.as_str();
        let is_unchanged = node.is_empty() || scene.is_unchanged(node, self.target.at);
        let cause = self.cause(closed.is_none() && is_unchanged, "");
        let cause = cause.shown_by(closed::started(scene, &self.network.node, what));
        let to = self.to;
        if let Some((text, _)) = closed {
            let remedy = format!("let what serves {to} listen before the connection, and keep it");
            return cause.shown_by(text).try_to(remedy);
        }
        let wait = wait(self.target, &self.network.node);
        cause.try_to(format!("start what is to serve {to} before the connection{wait}"))
    }
}

/// Returns the advice to wait for a server, as code.
fn wait(target: &Target<'_>, node: &str) -> String {
    if node.is_empty() {
        return ", and wait until it listens".to_owned();
    }
    let (to, udp) = (target.server.port(), target.protocol == Protocol::Udp);
    let what = if udp { "bound" } else { "listening" };
    let wait = |node: &str| format!("lab[{node}].wait(limit).{what}({to})?");
    format!(", and wait for it: {}", code::about("node", node, wait))
}

/// Explains a listener that is there now.
fn too_late(scene: &Scene<'_>, node: &str, now: &Socket, target: &Target<'_>) -> Cause {
    let who = scene.holder(now.inode).unwrap_or_else(|| "a socket".to_owned());
    let (to, here) = (target.server, node_name(node));
    Cause::likely(format!("{here} did not listen on {to} yet when the connection came"))
        .shown_by(target.proof.clone())
        .shown_by(format!("now {who} listens there"))
        .try_to(format!("start it before the connection{}", wait(target, node)))
        .socket(now.inode)
        .on(node)
}

/// Returns the socket of the node that comes nearest to the address.
fn elsewhere<'a>(
    scene: &Scene<'_>,
    network: &Network,
    listeners: &[&'a Socket],
    to: SocketAddr,
) -> Option<&'a Socket> {
    let port = |one: &&&Socket| one.local.is_some_and(|local| local.port() == to.port());
    if let Some(found) = listeners.iter().find(port) {
        return Some(found);
    }
    // Another port says something only if nothing has ended there, and no other node serves it.
    let has_ended = earlier::ended_program(scene, Some(&network.node), None).is_some();
    let is_served = scene.nodes().any(|other| {
        other.node != network.node && other.sockets.iter().any(|one| is_server(one) && port(&&one))
    });
    listeners.first().filter(|_| !has_ended && !is_served).copied()
}

/// Returns a node other than `node` that serves the port.
fn on_other_node<'a>(
    scene: &Scene<'a>,
    node: &str,
    target: &Target<'_>,
) -> Option<(&'a str, &'a Socket)> {
    let serves = |one: &&Socket| {
        is_server(one)
            && one.protocol == target.protocol
            && one.local.is_some_and(|local| local.port() == target.server.port())
    };
    let others = scene.nodes().filter(|network| network.node != node);
    let mut found = others
        .filter_map(|network| Some((network.node.as_str(), network.sockets.iter().find(serves)?)));
    found.next()
}

fn of_protocol<'a>(sockets: &[&'a Socket], protocol: Protocol) -> Vec<&'a Socket> {
    sockets.iter().filter(|one| one.protocol == protocol).copied().collect()
}

/// Returns why a socket does not take what is sent to an address.
fn why_not(socket: &Socket, to: SocketAddr) -> String {
    let Some(local) = socket.local else { return String::new() };
    if local.port() != to.port() {
        return format!("which is another port than {}", to.port());
    }
    if is_loopback(local.ip()) && !is_loopback(to.ip()) {
        return "which no other node reaches".to_owned();
    }
    let family = |is_ipv4: bool| if is_ipv4 { "IPv4" } else { "IPv6" };
    if local.ip().is_unspecified() || local.is_ipv4() != to.is_ipv4() {
        let only = if local.is_ipv6() { " (IPV6_V6ONLY)" } else { "" };
        let (own, other) = (family(local.is_ipv4()), family(to.is_ipv4()));
        return format!("which is for {own} only{only}, and the connection was by {other}");
    }
    format!("and not on {}", to.ip())
}

fn advice(socket: &Socket, to: SocketAddr) -> String {
    let Some(local) = socket.local else { return String::new() };
    if local.port() != to.port() {
        return format!("connect to port {}, or let {{who}} bind port {}", local.port(), to.port());
    }
    let is_other_family = local.ip().is_unspecified() || local.is_ipv4() != to.is_ipv4();
    if is_other_family && !is_loopback(local.ip()) {
        let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
        return format!(
            "let {{who}} bind {any}:{} as well, or connect by the other family",
            to.port()
        );
    }
    let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
    format!("let {{who}} bind {any}:{} or {to}", to.port())
}

const fn noun(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "is bound to",
        _ => "listens on",
    }
}
