//! A refused connection: what listens instead, and where. Pure.

mod somewhere;

use std::net::SocketAddr;

use crate::evidence::facts::event::EventKind;
use crate::evidence::facts::network::{Network, Protocol, Socket};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::earlier;
use crate::explain::listener::{accepts, rejects, shown};
use crate::explain::scene::{Scene, is_loopback, is_server, node_name, on_node, plain};
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    if scene.trouble != Trouble::Refused {
        return Vec::new();
    }
    let known = targets.iter().find_map(|target| at_target(scene, target));
    known.or_else(|| somewhere::cause(scene)).into_iter().collect()
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
    let (what, here) = (noun(target.protocol), on_node(node));
    let nothing = format!("nothing {here} {what} {to}");
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
                .try_to(format!("connect to {other}, or start it {here}"))
                .socket(socket.inode)
                .on(&other),
        );
    }
    let mut started = scene.events(EventKind::Spawn).filter(|(_, event)| event.node == node);
    let remains = match started.next() {
        Some((_, event)) => format!("{} was started there, and {what} no such address", event.text),
        None => format!("no program was started {here}, and no socket of the test {what} it"),
    };
    Some(cause(nothing).shown_by(remains).try_to(format!(
        "start what is to serve {to} before the connection, and wait for it: \
         `wait(limit).listening({})`",
        to.port()
    )))
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

fn of_protocol<'a>(sockets: &[&'a Socket], protocol: Protocol) -> Vec<&'a Socket> {
    sockets.iter().filter(|one| one.protocol == protocol).copied().collect()
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
        without().says(Likely, "nothing listens on any node");
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
