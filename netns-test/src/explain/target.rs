//! What the failed operation was about: the remote end, as far as it is known. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use crate::evidence::facts::network::{Attempt, AttemptKind, Network, Protocol, SocketState};
use crate::explain::scene::{Scene, node_name};
use crate::explain::sockets::plain;
use crate::explain::trouble::{self, Trouble};

/// A remote end that a node tried to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Node that tried it, if it is known.
    pub(crate) from: Option<&'a str>,
    /// Local end, if it is known.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) to: SocketAddr,
    /// Node that the packets go to: the one that has the address, or to which a NAT forwards the
    /// port; none if no node has the address.
    pub(crate) node: Option<&'a str>,
    /// Address and port of that node that the packets go to.
    pub(crate) server: SocketAddr,
    /// Router that forwards the port.
    pub(crate) via: Option<&'a str>,
    pub(crate) protocol: Protocol,
    /// Whether the failed operation was about it, and not only another one.
    pub(crate) is_sure: bool,
    /// Time at which it was refused, if that is known.
    pub(crate) at: Option<Duration>,
    /// Sentence that shows it.
    pub(crate) proof: String,
}

/// Returns the targets of the failed operation, the best known first. If it may have been about
/// several, none of them is sure.
pub(crate) fn targets<'a>(scene: &Scene<'a>) -> Vec<Target<'a>> {
    let mut found = of_message(scene);
    // What is still being made was not refused.
    if found.is_empty() && scene.trouble != Trouble::Refused {
        found = under_way(scene);
    }
    if found.is_empty() {
        found = recorded(scene);
    }
    let place = |target: &Target<'a>| (target.node, target.to.port());
    let is_one = found.iter().all(|target| place(target) == place(&found[0]));
    for target in &mut found {
        target.is_sure &= is_one;
    }
    found
}

/// Time before a failure within which an attempt may have to do with it, if only words of the test
/// join them.
const RECENT: Duration = Duration::from_secs(10);

/// Returns whether a flight recorder, or a connection that is being made, shows the trouble in the
/// time before the failure.
pub(crate) fn is_recorded(scene: &Scene<'_>) -> bool {
    let is_recent = |at: Option<Duration>| {
        at.is_none_or(|at| at <= scene.at && scene.at.saturating_sub(at) <= RECENT)
    };
    match scene.trouble {
        Trouble::TimedOut => !under_way(scene).is_empty() || !recorded(scene).is_empty(),
        Trouble::Refused | Trouble::HostUnreachable | Trouble::NetworkUnreachable => {
            recorded(scene).iter().any(|target| is_recent(target.at))
        }
        Trouble::Reset => {
            let mut all = scene.networks.iter().flat_map(|one| one.attempts.iter().flatten());
            all.any(|one| one.kind == AttemptKind::Reset && is_recent(one.at))
        }
        _ => false,
    }
}

/// Returns the addresses that the message names.
fn of_message<'a>(scene: &Scene<'a>) -> Vec<Target<'a>> {
    let is_about_remote = !matches!(
        scene.trouble,
        Trouble::AddrInUse | Trouble::AddrNotAvailable | Trouble::TimeLimit | Trouble::Other
    );
    if !is_about_remote {
        return Vec::new();
    }
    let of = |to: SocketAddr| {
        let proof = format!("the message names {to}");
        Target { is_sure: true, ..aimed(scene, scene.node, to, Protocol::Tcp, proof) }
    };
    let mut found: Vec<_> = trouble::addresses(scene.message).into_iter().map(of).collect();
    for (name, port) in trouble::named_ports(scene.message) {
        let node = scene.facts.lab().and_then(|lab| lab.node(&name));
        let addresses = node.iter().flat_map(|node| &node.interfaces);
        let first = addresses.flat_map(|interface| &interface.addresses).next();
        if let Some(address) = first {
            let proof = format!("the message names {name}:{port}");
            found.push(Target { proof, ..of(SocketAddr::new(*address, port)) });
        }
    }
    if scene.trouble == Trouble::Refused {
        found.iter_mut().for_each(|target| confirm(scene, target));
    }
    found
}

/// Adds what the flight recorders know of a refusal that the message names. Without that it may be
/// of anything else.
fn confirm(scene: &Scene<'_>, target: &mut Target<'_>) {
    let is_it = |to: SocketAddr| {
        to.port() == target.to.port()
            && (plain(to.ip()) == plain(target.to.ip())
                || target.node.is_some() && scene.owner(to.ip(), target.from) == target.node)
    };
    let refusals = recorded(scene);
    let known = refusals.iter().find(|known| is_it(known.to));
    target.is_sure = known.is_some();
    if let Some(known) = known {
        (target.at, target.protocol) = (known.at, known.protocol);
        target.proof = format!("{}; {}", target.proof, known.proof);
    }
}

/// Returns connections that are being made.
fn under_way<'a>(scene: &Scene<'a>) -> Vec<Target<'a>> {
    let mut found = Vec::new();
    for network in scene.networks {
        let waiting = network.sockets.iter().filter(|one| one.state == SocketState::SynSent);
        for socket in waiting {
            let Some(to) = socket.remote else { continue };
            let who = scene.holder(socket.inode).unwrap_or_else(|| "a process".to_owned());
            let tries = socket.retransmits;
            let proof = format!("{who} is connecting to {to}: SYN-SENT, {tries} retransmissions");
            let target = target(scene, network, to, Protocol::Tcp, proof);
            found.push(Target { local: socket.local, ..target });
        }
    }
    found
}

/// Returns what flight recorders have kept and that fits the trouble.
fn recorded<'a>(scene: &Scene<'a>) -> Vec<Target<'a>> {
    let mut found: Vec<(Option<Duration>, Target<'a>)> = Vec::new();
    let is_seen = is_complete(scene);
    let is_own = |network: &&Network| scene.node.is_none_or(|node| node == network.node);
    for network in scene.networks.iter().filter(is_own) {
        for attempt in network.attempts.iter().flatten() {
            let Some((to, proof)) = remote(scene.trouble, attempt, network) else { continue };
            let mut target = target(scene, network, to, attempt.protocol, proof);
            target.is_sure = is_seen && is_of_connection(scene);
            target.local = attempt.from.filter(|_| attempt.kind == AttemptKind::Syn);
            target.at = attempt.at.filter(|at| *at <= scene.at);
            // It has come after the failure, or its time was not noted.
            let is_later = target.at.is_none() && attempt.at.is_some();
            target.is_sure &= !is_later && may_have_refused(scene, network, attempt.protocol);
            found.push((attempt.at, target));
        }
    }
    // The latest is the one that failed. Of a refusal, or without times, each one may be.
    found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let is_timed = found.iter().all(|(at, _)| at.is_some());
    if scene.trouble != Trouble::Refused && is_timed {
        let last = found.first().map(|(_, target)| (target.node, target.to.port()));
        found.retain(|(_, target)| Some((target.node, target.to.port())) == last);
    }
    let mut found: Vec<Target<'a>> = found.into_iter().map(|(_, target)| target).collect();
    if scene.trouble == Trouble::Refused {
        compare(scene.statement, &mut found);
    }
    found
}

/// Returns whether a connection of a network was refused, by its counter. A RST may also be of one
/// that was made before.
fn may_have_refused(scene: &Scene<'_>, network: &Network, protocol: Protocol) -> bool {
    let is_refusal = scene.trouble == Trouble::Refused && protocol == Protocol::Tcp;
    !is_refusal || network.counters.is_empty() || network.counter("Tcp.AttemptFails") > 0
}

/// Compares refusals with the statement that has failed. If it names some, the failure is of one of
/// them. If it is about another kind of socket, or does not say which, it may be of none: a UNIX
/// socket may refuse, too, and leaves no trace.
fn compare(statement: &str, found: &mut Vec<Target<'_>>) {
    if found.iter().any(|target| names(statement, target)) {
        found.retain(|target| names(statement, target));
    } else {
        let kinds = |protocol| match protocol {
            Protocol::Udp => ["UdpSocket", "UdpFramed"],
            _ => ["TcpStream", "TcpSocket"],
        };
        for target in &mut *found {
            target.is_sure &= kinds(target.protocol).iter().any(|kind| statement.contains(kind));
        }
    }
    let may_be_unix = statement.contains("Unix") || statement.contains("unix");
    found.iter_mut().for_each(|target| target.is_sure &= !may_be_unix);
}

/// Returns whether a statement names a remote end: address or node, and port.
fn names(statement: &str, target: &Target<'_>) -> bool {
    let to = SocketAddr::new(plain(target.to.ip()), target.to.port());
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let has = |word: &str| statement.split(|c| !is_of_name(c)).any(|other| other == word);
    let ip = to.ip().to_string();
    let has_ip = if to.is_ipv4() { has(&ip) } else { statement.contains(&ip) };
    let named = [target.node, target.via].into_iter().flatten();
    has(&to.port().to_string()) && (has_ip || named.into_iter().any(has))
}

fn target<'a>(
    scene: &Scene<'a>,
    network: &'a Network,
    to: SocketAddr,
    protocol: Protocol,
    proof: String,
) -> Target<'a> {
    let from = network.node.as_str();
    let is_sure = scene.trouble != Trouble::WouldBlock;
    Target { is_sure, ..aimed(scene, Some(from), to, protocol, proof) }
}

/// Returns a target, of which it is not known whether the failure is about it.
fn aimed<'a>(
    scene: &Scene<'a>,
    from: Option<&'a str>,
    to: SocketAddr,
    protocol: Protocol,
    proof: String,
) -> Target<'a> {
    let node = scene.owner(to.ip(), from);
    let plain_to = SocketAddr::new(plain(to.ip()), to.port());
    let target = Target {
        from,
        local: None,
        to,
        node,
        server: plain_to,
        via: None,
        protocol,
        is_sure: false,
        at: None,
        proof,
    };
    let Some(found) = scene.map().forwarded(from, plain_to, protocol) else { return target };
    let (router, server) = (found.router, found.to);
    let owner = found.node.map_or_else(|| server.ip().to_string(), str::to_owned);
    let proof = format!("{}; {router} forwards that port to {owner}", target.proof);
    Target { node: found.node, server, via: Some(router), proof, ..target }
}

/// Returns whether the failed connection is among those that are recorded: a network may have no
/// recorder, and the kernel may report an unanswered connection only after a while.
fn is_complete(scene: &Scene<'_>) -> bool {
    let sum = |name| scene.networks.iter().map(|network| network.counter(name)).sum::<u64>();
    let recorded = |kind| {
        let all = scene.networks.iter().flat_map(|network| network.attempts.iter().flatten());
        all.filter(|one| one.kind == kind).map(|one| one.count.max(1)).sum::<u64>()
    };
    let is_unrecorded = |network: &Network| {
        network.attempts.is_none()
            && network.counter("Tcp.ActiveOpens") + network.counter("Udp.OutDatagrams") > 0
    };
    if scene.networks.iter().any(is_unrecorded) {
        return false;
    }
    let failed = sum("Tcp.AttemptFails");
    if scene.trouble == Trouble::Refused {
        return failed <= recorded(AttemptKind::Reset);
    }
    // Of all connections, each one was refused, or accepted, or is being made, or unanswered.
    let sockets = scene.networks.iter().flat_map(|network| &network.sockets);
    let under_way = sockets.filter(|one| one.state == SocketState::SynSent).count() as u64;
    let known = failed + sum("Tcp.PassiveOpens") + under_way + recorded(AttemptKind::Syn);
    sum("Tcp.ActiveOpens") <= known
}

/// Returns whether the message is of a connection: any other operation may have a time limit, too.
fn is_of_connection(scene: &Scene<'_>) -> bool {
    let words = ["connection timed out", "Connection timed out", "code: 110", "os error 110"];
    scene.trouble != Trouble::TimedOut || words.iter().any(|word| scene.message.contains(word))
}

/// Returns the remote end of an attempt that fits the trouble.
fn remote(trouble: Trouble, attempt: &Attempt, own: &Network) -> Option<(SocketAddr, String)> {
    let from = node_name(&own.node);
    match (trouble, attempt.kind) {
        (Trouble::Refused, AttemptKind::Reset) => {
            let to = attempt.from?;
            Some((to, format!("{from} has received a RST from {to}")))
        }
        (Trouble::Refused, AttemptKind::IcmpError) if attempt.text.contains("port") => {
            let to = attempt.to.or(attempt.from)?;
            let by = attempt.from.map_or(to.ip(), |by| by.ip());
            let text =
                format!("{from} has received \"{}\" (ICMP) from {}", attempt.text, plain(by));
            (to.port() != 0).then_some((to, text))
        }
        (
            Trouble::TimedOut | Trouble::HostUnreachable | Trouble::NetworkUnreachable,
            AttemptKind::Syn,
        ) => {
            let to = attempt.to?;
            Some((to, format!("{from} has tried to connect to {to}, without an answer")))
        }
        _ => None,
    }
}
