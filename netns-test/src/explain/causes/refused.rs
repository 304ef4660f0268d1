//! A refused connection: what listens instead, and where. Pure.

mod closed;
mod somewhere;

use std::net::SocketAddr;

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::facts::network::{Network, Protocol, Socket};
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::earlier;
use crate::explain::code;
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
    if !scene.has_sockets {
        return Some(closed::cause(scene, network, target));
    }
    let to = SocketAddr::new(plain(target.to.ip()), target.to.port());
    let all: Vec<&Socket> = network.sockets.iter().filter(|one| is_server(one)).collect();
    let listeners = of_protocol(&all, target.protocol);
    if let Some(now) = listeners.iter().find(|one| accepts(one, to)) {
        return Some(too_late(scene, node, now, target));
    }
    let refusal = Refusal {
        target,
        to,
        network,
        // A filter may refuse, too.
        is_sure: target.is_sure && network.gaps.is_empty() && rejects(scene).is_none(),
    };
    if let Some(found) = elsewhere(scene, network, &listeners, to) {
        return refusal.by_listener(scene, found);
    }
    refusal
        .by_ended_program(scene)
        .or_else(|| refusal.by_other_node(scene))
        .or_else(|| Some(refusal.by_nothing(scene)))
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
        let after = after.map_or_else(String::new, |after| format!(", {after:.3} s after that"));
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
        let (what, here) = (noun(self.target.protocol), on_node(&self.network.node));
        let closed = closed::near(self.network, self.to);
        let node = self.network.node.as_str();
        let is_unchanged = node.is_empty() || scene.is_unchanged(node, self.target.at);
        let cause = self.cause(closed.is_none() && is_unchanged, "");
        let cause = cause.shown_by(started(scene, &self.network.node, what));
        let to = self.to;
        if let Some((text, _)) = closed {
            let remedy = format!("let what serves {to} listen before the connection, and keep it");
            return cause.shown_by(text).try_to(remedy);
        }
        let wait = wait(self.target, &self.network.node);
        cause.try_to(format!("start what is to serve {to} before the connection{wait}"))
    }
}

/// Returns what was started on a node, and is no server.
fn started(scene: &Scene<'_>, node: &str, what: &str) -> String {
    let is_there = |event: &Event| event.node == node;
    let Some((_, event)) = scene.events(EventKind::Spawn).filter(|(_, one)| is_there(one)).last()
    else {
        return format!(
            "no program was started {}, and no socket of the test {what} it",
            on_node(node)
        );
    };
    let is_its = |one: &Event| is_there(one) && one.detail("pid") == event.detail("pid");
    let mut ends = scene.events(EventKind::Exit).filter(|(_, one)| one.at >= event.at);
    match ends.find(|(_, one)| is_its(one)) {
        Some((_, end)) => {
            let status = end.detail("status").unwrap_or("has ended");
            format!("{} was started there, and {status}", event.text)
        }
        None => format!("{} was started there, and {what} no such address", event.text),
    }
}

/// Returns the advice to wait for a server, as code.
fn wait(target: &Target<'_>, node: &str) -> String {
    if node.is_empty() {
        return ", and wait until it listens".to_owned();
    }
    let (to, udp) = (target.to.port(), target.protocol == Protocol::Udp);
    let what = if udp { "bound" } else { "listening" };
    let wait = |node: &str| format!("lab[{node}].wait(limit).{what}({to})?");
    format!(", and wait for it: {}", code::about("node", node, wait))
}

/// Explains a listener that is there now.
fn too_late(scene: &Scene<'_>, node: &str, now: &Socket, target: &Target<'_>) -> Cause {
    let who = scene.holder(now.inode).unwrap_or_else(|| "a socket".to_owned());
    let (to, here) = (target.to, node_name(node));
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
            && one.local.is_some_and(|local| local.port() == target.to.port())
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

    /// Returns a lab in which 10.0.0.2:8080 has refused, by the flight recorder, at 10.8 s. The
    /// statement that failed names it, and no thread was on the server since 10.7 s.
    fn refused() -> Sample {
        let mut sample = unnamed();
        sample.ending.statement = "TcpStream::connect(\"10.0.0.2:8080\").unwrap();".into();
        sample.visited(&["0 10850 client", "0 10700 server"]);
        sample
    }

    fn unnamed() -> Sample {
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41234");
        sample.panics(REFUSED)
    }

    const NOW: &str = "the sockets are those of the moment of the failure, 0.100 s after that";

    #[test]
    fn a_listener_that_may_have_come_later_is_likely() {
        let visits: [&[&str]; 4] =
            [&["0 10850 server"], &["1 10700 server"], &[], &["0 10850 client", "0 10700 server"]];
        for (at, rows) in visits.iter().enumerate() {
            let mut sample = unnamed();
            sample.ending.statement = "TcpStream::connect(to).unwrap();".into();
            sample.visited(rows);
            sample.socket("server", 1, "127.0.0.1:8080", "");
            if at == 3 {
                sample.says(Certain, "the test listens on 127.0.0.1:8080 only");
                // A thread of the test is there.
                sample.thread("server", 9, "futex", None);
            }
            let cause = sample.says(Likely, "the test listens on 127.0.0.1:8080 only");
            assert!(cause.proof.iter().any(|line| line == NOW), "{cause:?}");
        }
        // Without the time of the refusal.
        let mut sample = refused();
        sample.socket("server", 1, "127.0.0.1:8080", "");
        sample.network("client").attempts.as_mut().unwrap()[0].at = None;
        sample.says(Likely, "the test listens on 127.0.0.1:8080 only");
    }

    #[test]
    fn a_refusal_of_another_socket_is_not_joined_with_the_error() {
        let statements = [
            "",
            "connect(to).unwrap();",
            "UnixStream::connect(path).unwrap();",
            "let _ = TcpStream::connect(\"10.0.0.2:8080\").ok(); UnixStream::connect(p).unwrap();",
        ];
        for statement in statements {
            let mut sample = unnamed();
            sample.ending.statement = statement.into();
            sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
        }
        // The message names another address, which has not refused anything.
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:8080", "10.0.0.1:41234");
        let other = "connect 10.0.0.2:9090: Connection refused (os error 111)";
        sample.clone().panics(other).says(Likely, "nothing on server listens on 10.0.0.2:9090");
        let named = "connect 10.0.0.2:8080: Connection refused (os error 111)";
        let mut sample = sample.panics(named);
        sample.visited(&["0 10700 server"]);
        sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
        // It came after the failure.
        let mut sample = refused();
        sample.network("client").attempts.as_mut().unwrap()[0].at =
            Some(std::time::Duration::from_secs(11));
        sample.says(Likely, "nothing on server");
    }

    #[test]
    fn a_socket_that_was_closed_may_have_listened() {
        let mut sample = refused();
        sample.attempt("server", AttemptKind::Closed, "0.0.0.0:8080", "");
        let cause = sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
        assert!(cause.proof[2].contains("a TCP socket on 0.0.0.0:8080 on server is closed"));
        // A connection that was refused has closed its socket.
        let mut sample = refused();
        sample.attempt("server", AttemptKind::Reset, "10.0.0.1:80", "10.0.0.2:41234");
        sample.attempt("server", AttemptKind::Closed, "0.0.0.0:41234", "");
        sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
        // A listener may have come and gone.
        let mut sample = unnamed();
        sample.ending.statement = "TcpStream::connect(\"10.0.0.2:8080\").unwrap();".into();
        sample.visited(&["0 10850 server"]);
        sample.says(Likely, "nothing on server listens on 10.0.0.2:8080");
        // One of another node says nothing.
        let mut sample = refused();
        sample.attempt("client", AttemptKind::Closed, "0.0.0.0:8080", "");
        sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    }

    #[test]
    fn after_the_end_the_sockets_are_not_known() {
        use crate::evidence::facts::Reason;
        let mut sample = refused();
        sample.look().reason = Reason::End;
        let text = "nothing on server listened on 10.0.0.2:8080 when the connection came";
        sample.says(Likely, text);
        sample.attempt("server", AttemptKind::Closed, "127.0.0.1:8080", "");
        let cause = sample.says(Likely, text);
        assert!(cause.proof[1].contains("had 127.0.0.1:8080, which no other node reaches"));
        sample.does_not_say("no program");
        let mut without = Sample::pair().panics(REFUSED);
        without.look().reason = Reason::End;
        without.does_not_say("nothing listens");
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
        let cause = sample.says(Likely, "and app (process 7) exited with status 3");
        assert!(cause.proof.iter().any(|line| line.contains("cannot open config")), "{cause:?}");
        let mut sample = refused();
        sample.socket("client", 1, "0.0.0.0:8080", "");
        sample.says(Likely, "listens on that port on client instead");
        let mut sample = unnamed();
        sample.ending.statement = "TcpStream::connect(\"10.0.0.2:8080\").unwrap();".into();
        sample.visited(&["0 10850 server", "0 10700 client"]);
        sample.socket("client", 1, "0.0.0.0:8080", "");
        sample.says(Certain, "listens on that port on client instead");
        refused().says(Certain, "nothing on server listens on 10.0.0.2:8080");
        // It has done its work, or has ended later.
        let mut sample = refused();
        sample.program("server", "exited with status 0", "bye");
        let cause = sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
        assert!(cause.proof[1].ends_with("and exited with status 0"), "{cause:?}");
        sample.socket("server", 1, "10.0.0.2:8081", "");
        sample.says(Certain, "the test listens on 10.0.0.2:8081");
        let mut late = refused();
        late.program("server", "exited with status 3", "boom");
        let last = late.facts.events.last_mut().unwrap();
        last.at = std::time::Duration::from_millis(10_850);
        late.says(Certain, "nothing on server listens on 10.0.0.2:8080");
    }

    #[test]
    fn two_refusals_leave_open_which_has_failed() {
        let mut sample = refused();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:9090", "10.0.0.1:41234");
        sample.says(Certain, "nothing on server listens on 10.0.0.2:8080");
        sample.ending.statement = "TcpStream::connect(to).unwrap();".into();
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
