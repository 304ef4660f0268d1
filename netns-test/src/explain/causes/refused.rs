//! A refused connection: what listens instead, and where. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::evidence::facts::event::EventKind;
use crate::evidence::facts::network::{Network, Protocol, Socket};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::earlier;
use crate::explain::scene::{Scene, is_loopback, is_server, node_name, plain};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    if scene.trouble != Trouble::Refused {
        return Vec::new();
    }
    let known = targets.iter().find_map(|target| at_target(scene, target));
    known.or_else(|| somewhere(scene)).into_iter().collect()
}

/// Explains the refusal of a known address.
fn at_target(scene: &Scene<'_>, target: &Target<'_>) -> Option<Cause> {
    let node = target.node?;
    let network = scene.network(node)?;
    let to = SocketAddr::new(plain(target.to.ip()), target.to.port());
    let all: Vec<&Socket> = network.sockets.iter().filter(|one| is_server(one)).collect();
    let listeners = of_protocol(&all, target.protocol);
    // A filter may refuse, too.
    let is_sure = target.is_sure && network.gaps.is_empty() && rejects(scene).is_none();
    if let Some(now) = listeners.iter().find(|one| accepts(one, to)) {
        return Some(too_late(scene, node, now, target));
    }
    let (what, here) = (noun(target.protocol), node_name(node));
    let nothing = format!("nothing on {here} {what} {to}");
    let cause = |text: String| {
        Cause::new(Certainty::if_sure(is_sure), text).shown_by(target.proof.clone()).on(node)
    };
    if let Some(found) = elsewhere(scene, network, &listeners, to) {
        let who = scene.holder(found.inode).unwrap_or_else(|| "a socket".to_owned());
        let (local, advice) = (found.local?, advice(found, to));
        return Some(
            cause(format!("{nothing}: {who} {what} {}", shown(found, local)))
                .shown_by(format!("{who} {what} {local}, {}", why_not(found, to)))
                .try_to(advice.replace("{who}", &who))
                .socket(found.inode),
        );
    }
    if let Some((ended, program)) = earlier::ended_program(scene, Some(node)) {
        return Some(
            cause(format!("{nothing}, and {program}"))
                .shown_by_all(ended.proof)
                .try_to(format!("look at why it ended; if it may end, start what {what} {to}"))
                .on(node)
                .event(*ended.events.first()?),
        );
    }
    if let Some((other, socket)) = on_other_node(scene, node, target) {
        let who = scene.holder(socket.inode).unwrap_or_else(|| "a socket".to_owned());
        return Some(
            cause(format!("{nothing}: {who} {what} that port on {other} instead"))
                .shown_by(format!("{who} {what} {} on {other}", socket.local?))
                .try_to(format!("connect to {other}, or start it on {here}"))
                .socket(socket.inode)
                .on(&other),
        );
    }
    let mut started = scene.events(EventKind::Spawn).filter(|(_, event)| event.node == node);
    let remains = match started.next() {
        Some((_, event)) => format!("{} was started there, and {what} no such address", event.text),
        None => format!("no program was started on {here}, and the test {what} none there"),
    };
    Some(cause(nothing).shown_by(remains).try_to(format!(
        "start what is to serve {to} before the connection, and wait for it: \
         `wait(limit).listening({})`",
        to.port()
    )))
}

/// Explains a refusal where the address is not known.
fn somewhere(scene: &Scene<'_>) -> Option<Cause> {
    let proof = refuser(scene);
    let at = proof.as_ref().map(|(node, _)| node.as_str());
    let seen = proof
        .as_ref()
        .map_or_else(|| "the error names no address".to_owned(), |(_, proof)| proof.clone());
    let is_there = |network: &&Network| at.is_none_or(|node| network.node == node);
    let servers = || {
        let networks = scene.nodes().filter(is_there);
        networks.flat_map(|network| {
            let all = network.sockets.iter().filter(|one| is_server(one));
            all.map(move |socket| (network, socket))
        })
    };
    if let Some((_, ended)) = earlier::ended_program(scene, at) {
        let (cause, _) = earlier::ended_program(scene, at)?;
        return Some(
            Cause::likely(format!("nothing listens at the address, and {ended}"))
                .shown_by(seen)
                .shown_by_all(cause.proof)
                .try_to("look at why it ended")
                .event(*cause.events.first()?),
        );
    }
    let is_limited = |socket: &Socket| socket.local.is_some_and(|local| is_loopback(local.ip()));
    let in_lab = scene.facts.lab().is_some_and(|lab| lab.nodes.len() > 1);
    if let Some((network, found)) = servers().find(|(_, one)| in_lab && is_limited(one)) {
        let who = scene.holder(found.inode).unwrap_or_else(|| "a socket".to_owned());
        let (node, local) = (node_name(&network.node), found.local?);
        return Some(
            Cause::likely(format!("{who} on {node} listens on {local} only"))
                .shown_by(seen)
                .shown_by(format!("no other node reaches {local}"))
                .try_to(format!(
                    "let {who} bind 0.0.0.0:{port} or [::]:{port}",
                    port = local.port()
                ))
                .socket(found.inode)
                .on(&network.node),
        );
    }
    let gaps = scene.networks.iter().any(|network| !network.gaps.is_empty());
    let any = scene.networks.iter().any(|network| network.sockets.iter().any(is_server));
    if !any && !scene.networks.is_empty() {
        let is_sure = !gaps && rejects(scene).is_none();
        let where_ = if in_lab { "on any node" } else { "in the test's network" };
        return Some(
            Cause::new(Certainty::if_sure(is_sure), format!("nothing listens {where_}"))
                .shown_by("no TCP socket listens, and no UDP socket waits for datagrams")
                .shown_by(seen)
                .try_to("start the server before the connection, and wait until it listens"),
        );
    }
    let mut all = servers().filter(|(_, one)| one.protocol == Protocol::Tcp);
    let (network, found) = all.next()?;
    let node = node_name(&network.node);
    let (local, list) = (found.local?, shown(found, found.local?));
    let who = scene.holder(found.inode).unwrap_or_else(|| "a socket".to_owned());
    let others: Vec<String> =
        all.filter_map(|(_, other)| Some(shown(other, other.local?))).take(4).collect();
    let text = if others.is_empty() {
        format!("the connection was to another address than {list}, on which {node} listens")
    } else {
        format!(
            "the connection was to none of {list}, {}, on which {node} listens",
            others.join(", ")
        )
    };
    let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
    Some(
        Cause::likely(text)
            .shown_by(seen)
            .shown_by(format!(
                "{who} listens on {list}, and accepts {family} at port {}",
                local.port()
            ))
            .try_to("compare node, port and family of the connection with the list of sockets")
            .socket(found.inode)
            .on(&network.node),
    )
}

/// Returns the only node that has refused anything, by its counters.
fn refuser(scene: &Scene<'_>) -> Option<(String, String)> {
    let counted = |network: &Network| {
        let names = ["Tcp.OutRsts", "Udp.NoPorts"];
        let found = names.iter().find(|name| network.counter(name) > 0)?;
        let count = network.counter(found);
        Some((
            network.node.clone(),
            format!("{} has counted {found} {count}", node_name(&network.node)),
        ))
    };
    let mut all = scene.networks.iter().filter_map(counted);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

/// Explains a listener that is there now.
fn too_late(scene: &Scene<'_>, node: &str, now: &Socket, target: &Target<'_>) -> Cause {
    let who = scene.holder(now.inode).unwrap_or_else(|| "a socket".to_owned());
    let (to, here) = (target.to, node_name(node));
    Cause::likely(format!("{here} did not listen on {to} yet when the connection came"))
        .shown_by(target.proof.clone())
        .shown_by(format!("now {who} listens there"))
        .try_to(format!("wait before the connection: `wait(limit).listening({})`", to.port()))
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
    let has_ended = earlier::ended_program(scene, Some(&network.node)).is_some();
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
) -> Option<(String, &'a Socket)> {
    let serves = |one: &&Socket| {
        is_server(one)
            && one.protocol == target.protocol
            && one.local.is_some_and(|local| local.port() == target.to.port())
    };
    let others = scene.nodes().filter(|network| network.node != node);
    let mut found = others.filter_map(|network| {
        Some((node_name(&network.node).to_owned(), network.sockets.iter().find(serves)?))
    });
    found.next()
}

/// Returns the first filter that has rejected a packet.
fn rejects<'a>(scene: &Scene<'a>) -> Option<&'a str> {
    let mut filters = scene.networks.iter().flat_map(|network| &network.filters);
    filters.find(|filter| filter.verdict.contains("reject")).map(|filter| filter.text.as_str())
}

fn of_protocol<'a>(sockets: &[&'a Socket], protocol: Protocol) -> Vec<&'a Socket> {
    sockets.iter().filter(|one| one.protocol == protocol).copied().collect()
}

/// Returns whether a socket takes what is sent to an address.
fn accepts(socket: &Socket, to: SocketAddr) -> bool {
    let Some(local) = socket.local else { return false };
    let ip = plain(local.ip());
    let takes_all = match ip {
        IpAddr::V4(ip) => ip.is_unspecified() && to.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified() && (to.is_ipv6() || socket.is_v6_only != Some(true)),
    };
    local.port() == to.port() && (takes_all || ip == to.ip())
}

/// Returns why a socket does not take what is sent to an address.
fn why_not(socket: &Socket, to: SocketAddr) -> String {
    let Some(local) = socket.local else { return String::new() };
    if local.port() != to.port() {
        return format!("which is another port than {}", to.port());
    }
    let family = |is_ipv4: bool| if is_ipv4 { "IPv4" } else { "IPv6" };
    if local.ip().is_unspecified() || local.is_ipv4() != to.is_ipv4() {
        let only = if local.is_ipv6() { " (IPV6_V6ONLY)" } else { "" };
        let (own, other) = (family(local.is_ipv4()), family(to.is_ipv4()));
        return format!("which is for {own} only{only}, and the connection was by {other}");
    }
    if is_loopback(local.ip()) {
        return "which no other node reaches".to_owned();
    }
    format!("and not on {}", to.ip())
}

fn advice(socket: &Socket, to: SocketAddr) -> String {
    let Some(local) = socket.local else { return String::new() };
    if local.port() != to.port() {
        return format!("connect to port {}, or let {{who}} bind port {}", local.port(), to.port());
    }
    if local.ip().is_unspecified() || local.is_ipv4() != to.is_ipv4() {
        let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
        return format!(
            "let {{who}} bind {any}:{} as well, or connect by the other family",
            to.port()
        );
    }
    let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
    format!("let {{who}} bind {any}:{} or {to}", to.port())
}

/// Returns how a listening socket is called in texts.
fn shown(socket: &Socket, local: SocketAddr) -> String {
    let is_limited = is_loopback(local.ip()) || socket.is_v6_only == Some(true);
    if is_limited { format!("{local} only") } else { local.to_string() }
}

const fn noun(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "is bound to",
        _ => "listens on",
    }
}

#[cfg(test)]
mod tests {
    use crate::evidence::facts::network::{AttemptKind, Filter};
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::Sample;

    const REFUSED: &str = "Os { code: 111, kind: ConnectionRefused, message: \"\" }";

    /// Returns a lab in which 10.0.0.2:8080 has refused, by the flight recorder.
    fn refused() -> Sample {
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41234");
        sample.panics(REFUSED)
    }

    #[test]
    fn a_listener_elsewhere_is_found() {
        let samples = [
            ("127.0.0.1:8080", "listens on 127.0.0.1:8080 only"),
            ("10.0.0.2:8081", "listens on 10.0.0.2:8081"),
            ("[::1]:8080", "listens on [::1]:8080 only"),
        ];
        for (local, text) in samples {
            let mut sample = refused();
            sample.socket("server", 1, local, "");
            let text = format!("nothing on server listens on 10.0.0.2:8080: the test {text}");
            let cause = sample.says(Certain, &text);
            assert_eq!((cause.sockets, cause.nodes), (vec![1], vec!["server".to_owned()]));
        }
        let mut sample = refused();
        sample.socket("server", 1, "[::]:8080", "").is_v6_only = Some(true);
        let cause = sample.says(Certain, "the test listens on [::]:8080 only");
        assert!(cause.proof[1].contains("IPV6_V6ONLY"), "{cause:?}");
    }

    #[test]
    fn a_listener_that_accepts_came_too_late() {
        for local in ["0.0.0.0:8080", "10.0.0.2:8080", "[::]:8080"] {
            let mut sample = refused();
            sample.socket("server", 1, local, "").is_v6_only = Some(false);
            sample.says(Likely, "server did not listen on 10.0.0.2:8080 yet");
            sample.does_not_say("nothing on server");
        }
    }

    #[test]
    fn a_program_that_has_died_and_another_node_are_found() {
        let mut sample = refused();
        sample.program("server", "exited with status 3", "cannot open config");
        let cause = sample.says(Certain, "and app (process 7) exited with status 3");
        assert!(cause.proof.iter().any(|line| line.contains("cannot open config")), "{cause:?}");
        let mut sample = refused();
        sample.socket("client", 1, "0.0.0.0:8080", "");
        sample.says(Certain, "listens on that port on client instead");
        refused().says(Certain, "nothing on server listens on 10.0.0.2:8080");
    }

    #[test]
    fn two_refusals_leave_open_which_has_failed() {
        let mut sample = refused();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:9090", "10.0.0.1:41234");
        sample.says(Likely, "nothing on server");
        // The same server by its other address is one.
        let mut sample = refused();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41236");
        sample.says(Certain, "nothing on server");
    }

    #[test]
    fn a_filter_may_have_refused() {
        let mut sample = refused();
        let filter = Filter { verdict: "reject".into(), packets: 1, ..Filter::default() };
        sample.network("server").filters.push(filter);
        let causes = sample.causes();
        assert!(causes.iter().all(|cause| cause.certainty == Likely), "{causes:?}");
    }

    #[test]
    fn without_a_recorder_the_sockets_must_do() {
        let without = || Sample::pair().panics(REFUSED);
        without().says(Certain, "nothing listens on any node");
        let mut sample = without();
        sample.socket("server", 1, "127.0.0.1:8080", "");
        sample.says(Likely, "the test on server listens on 127.0.0.1:8080 only");
        let mut sample = without();
        sample.socket("server", 1, "0.0.0.0:8081", "");
        sample.says(Likely, "another address than 0.0.0.0:8081, on which server listens");
        sample.program("server", "exited with status 3", "cannot open config");
        sample.says(Likely, "app (process 7) exited with status 3");
        let mut sample = without();
        sample.network("server").gaps.push("sockets: no".into());
        sample.says(Likely, "nothing listens on any node");
    }
}
