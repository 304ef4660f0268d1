//! Packets that the engine of impaired links has lost, dropped or held, as it was set. Pure.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::evidence::facts::link::{Packet, Way};
use crate::evidence::facts::network::Protocol;
use crate::evidence::facts::topology::LabFacts;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::way;
use crate::explain::scene::Scene;
use crate::explain::sockets::plain;
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    let is_about_silence = matches!(
        scene.trouble,
        Trouble::TimedOut | Trouble::WouldBlock | Trouble::HostUnreachable | Trouble::TimeLimit
    );
    let Some(lab) = scene.facts.lab().filter(|_| is_about_silence) else { return Vec::new() };
    let known: Vec<On<'_>> =
        targets.iter().filter_map(|target| On::path(scene, lab, target)).collect();
    let is_known = targets.iter().any(|target| target.is_sure) && !known.is_empty();
    // What ends the path explains why no answer comes. It may be on the way of another packet.
    if !is_known && !way::causes(scene, targets).is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(&Way, Option<&On<'_>>)> = Vec::new();
    for way in scene.ways.iter().filter(|way| way.lab == lab.number && is_bad(way)) {
        let on = known.iter().find(|on| on.ways.contains(&(way.link as usize, way.is_back)));
        if on.is_some() || !is_known {
            found.push((way, on));
        }
    }
    // What passes nothing comes first, then what has stopped most.
    found.sort_by_key(|(way, on)| (on.is_none(), way.passed > 0, std::cmp::Reverse(way.in_a_row)));
    found.truncate(1);
    found.into_iter().filter_map(|(way, on)| explain(lab, way, on)).collect()
}

/// Returns whether it may have kept something from its receiver for good. TCP repeats what was lost
/// until something passes; a datagram is not repeated.
fn is_bad(way: &Way) -> bool {
    let is_datagram = way.last.as_ref().is_some_and(|last| last.protocol != Protocol::Tcp.word());
    let is_late = way.passed == 0 && way.waiting > 0;
    way.in_a_row > 0 || way.dropped() > 0 && is_datagram || is_late
}

/// The directions of links on the path to a target and back.
struct On<'a> {
    target: &'a Target<'a>,
    ways: Vec<(usize, bool)>,
    is_exact: bool,
}

impl<'a> On<'a> {
    fn path(scene: &Scene<'_>, lab: &LabFacts, target: &'a Target<'a>) -> Option<Self> {
        let from = target.from.or(scene.node)?;
        let there = scene.map().walk_to(from, target.protocol, target.to)?;
        let mut on = Self { target, ways: Vec::new(), is_exact: there.is_exact };
        on.add(lab, &there.hops);
        if there.end.is_ok() {
            let back = scene.map().walk_back(&there)?;
            on.is_exact &= back.is_exact;
            on.add(lab, &back.hops);
        }
        Some(on)
    }

    fn add(
        &mut self,
        lab: &LabFacts,
        hops: &[(&str, Option<&crate::evidence::facts::network::Interface>)],
    ) {
        for pair in hops.windows(2) {
            let ((node, out), (next, _)) = (pair[0], pair[1]);
            let ways = out.and_then(|out| between(lab, (node, &out.name), next));
            self.is_exact &= ways.is_some();
            self.ways.extend(ways.unwrap_or_default());
        }
    }

    /// Returns whether the last packet that was stopped is one of the connection to the target, or
    /// from it.
    fn has(&self, way: &Way) -> bool {
        let is = |end: Option<SocketAddr>| {
            end.is_some_and(|end| {
                plain(end.ip()) == plain(self.target.to.ip()) && end.port() == self.target.to.port()
            })
        };
        let is_it = |last: &Packet| {
            last.protocol == self.target.protocol.word() && (is(last.to) || is(last.from))
        };
        way.last.as_ref().is_some_and(is_it)
    }
}

/// Returns the directions of links from an interface of a node to the next node, over switches.
fn between(lab: &LabFacts, (node, out): (&str, &str), next: &str) -> Option<Vec<(usize, bool)>> {
    let position = |name: &str| lab.nodes.iter().position(|node| node.name == name);
    let (start, goal) = (position(node)?, position(next)?);
    let is_first = |link: usize| {
        lab.links[link].ends.iter().any(|end| end.node as usize == start && end.interface == out)
    };
    let mut queue = VecDeque::from([(start, Vec::new())]);
    let mut seen = vec![start];
    while let Some((at, ways)) = queue.pop_front() {
        if at == goal {
            return Some(ways);
        }
        let is_switch = lab.nodes.get(at).is_some_and(|node| node.kind == "switch");
        for (link, facts) in lab.links.iter().enumerate() {
            let [one, other] = facts.ends.as_slice() else { continue };
            let (other, is_back) = match at {
                _ if one.node as usize == at => (other.node as usize, false),
                _ if other.node as usize == at => (one.node as usize, true),
                _ => continue,
            };
            let is_usable = if at == start { is_first(link) } else { is_switch };
            if is_usable && !seen.contains(&other) {
                seen.push(other);
                queue.push_back((other, [ways.as_slice(), &[(link, is_back)]].concat()));
            }
        }
    }
    None
}

fn explain(lab: &LabFacts, way: &Way, on: Option<&On<'_>>) -> Option<Cause> {
    let link = lab.links.get(way.link as usize)?;
    let end = |at: usize| {
        let node = link.ends.get(at)?.node as usize;
        Some(lab.nodes.get(node)?.name.as_str())
    };
    let (from, to) = match way.is_back {
        false => (end(0)?, end(1)?),
        true => (end(1)?, end(0)?),
    };
    let Link { what, advice } = Link::of(way, &link.name);
    // That connection was not made, no packet has passed this direction of its path, and one of its
    // packets was stopped here.
    let is_sure = on.is_some_and(|on| {
        on.target.is_sure
            && on.is_exact
            && on.target.protocol == Protocol::Tcp
            && way.passed == 0
            && way.in_a_row > 0
            && on.has(way)
    });
    let mut cause = Cause::new(
        Certainty::if_sure(is_sure),
        format!("link {} {what} from {from} to {to}", link.name),
    )
    .shown_by(counted(way));
    if let Some(last) = way.last.as_ref().filter(|_| way.in_a_row > 0 || way.dropped() > 0) {
        let ends = last.from.zip(last.to);
        let flow = ends.map(|(from, to)| format!(": {} {from} -> {to}", last.protocol));
        let stopped = match (way.passed, way.in_a_row) {
            (_, 0) => "the last of these".to_owned(),
            (0, _) => "none has passed, but for ARP and the like; the last one".to_owned(),
            (_, 1) => "the last one has not passed".to_owned(),
            (_, count) => format!("none of the last {count} has passed; the last one"),
        };
        cause = cause.shown_by(format!("{stopped}{}", flow.unwrap_or_default()));
    }
    let cause = on.into_iter().fold(cause, |cause, on| cause.shown_by(on.target.proof.clone()));
    Some(cause.try_to(advice).on(from).on(to))
}

/// Words for a direction of a link, and what to do about it.
struct Link {
    what: &'static str,
    advice: String,
}

impl Link {
    fn of(way: &Way, name: &str) -> Self {
        let most = way.lost.max(way.dropped_by_rule).max(way.dropped_by_queue);
        let (what, advice) = match way {
            _ if way.is_held && way.waiting > 0 => {
                ("holds the packets", format!("release link {name} before an answer is needed"))
            }
            _ if most == 0 => (
                "has not yet passed on the packets",
                format!("lower the delay of link {name}, or let the test wait longer"),
            ),
            _ if most == way.lost => (
                if way.passed == 0 { "loses the packets" } else { "has lost packets" },
                format!("lower the loss of link {name}, or send again what may be lost"),
            ),
            _ if most == way.dropped_by_rule => (
                if way.passed == 0 { "drops the packets" } else { "has dropped packets" },
                format!("change the rule of link {name}, or send again what it may drop"),
            ),
            _ => (
                "had a full queue for packets",
                format!("raise rate or queue of link {name}, or send less at once"),
            ),
        };
        Self { what, advice }
    }
}

/// Returns the counters in words.
fn counted(way: &Way) -> String {
    format!("packets in that direction: {} in all, {}", way.received, way.stopped().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::facts::network::AttemptKind;
    use crate::explain::cause::Certainty::{Certain, Likely};
    use crate::explain::sample::Sample;

    const UNANSWERED: &str = "Os { code: 110, kind: TimedOut, message: \"\" }";

    /// A connection from client to server that was not answered.
    fn unanswered() -> Sample {
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Syn, "10.0.0.1:41234", "10.0.0.2:80");
        sample.panics(UNANSWERED)
    }

    fn packet(protocol: Protocol, from: &str, to: &str) -> Option<Packet> {
        let protocol = protocol.word().to_owned();
        Some(Packet { protocol, from: from.parse().ok(), to: to.parse().ok() })
    }

    fn lossy(sample: &mut Sample, is_back: bool) -> &mut Way {
        let lab = sample.facts.labs[0].number;
        let syn = packet(Protocol::Tcp, "10.0.0.1:41234", "10.0.0.2:80");
        let answer = packet(Protocol::Tcp, "10.0.0.2:80", "10.0.0.1:41234");
        let last = if is_back { answer } else { syn };
        let (received, lost, in_a_row) = (4, 3, 3);
        let ways = &mut sample.look().ways;
        ways.push(Way { lab, is_back, received, lost, in_a_row, last, ..Way::default() });
        ways.last_mut().unwrap()
    }

    #[test]
    fn a_connection_whose_packets_were_all_lost_is_certain() {
        for is_back in [false, true] {
            let mut sample = unanswered();
            lossy(&mut sample, is_back);
            let way = if is_back { "from server to client" } else { "from client to server" };
            let cause = sample.says(Certain, &format!("loses the packets {way}"));
            assert_eq!(cause.proof[0], "packets in that direction: 4 in all, 3 lost");
        }
    }

    #[test]
    fn what_may_have_passed_is_likely() {
        let mut sample = unanswered();
        lossy(&mut sample, false).passed = 7;
        sample.says(Likely, "has lost packets from client to server");
    }

    #[test]
    fn other_packets_are_no_proof() {
        let mut sample = unanswered();
        lossy(&mut sample, false).last = packet(Protocol::Udp, "10.0.0.1:7", "10.0.0.2:80");
        sample.says(Likely, "loses the packets from client to server");
    }

    #[test]
    fn losses_that_were_repeated_are_no_cause() {
        let mut sample = unanswered();
        let way = lossy(&mut sample, false);
        (way.passed, way.in_a_row) = (9, 0);
        sample.does_not_say("lost packets");
        sample.look().ways.clear();
        sample.does_not_say("lost packets");
    }

    #[test]
    fn a_link_that_is_down_comes_before_losses_on_an_unknown_path() {
        let mut sample = Sample::pair().panics("Os { code: 11, kind: WouldBlock, message: \"\" }");
        sample.datagrams("server", 1, "0.0.0.0:80");
        lossy(&mut sample, false).last = packet(Protocol::Udp, "10.0.0.1:7", "10.0.0.2:9");
        sample.says(Likely, "loses the packets");
        sample.interface("server", "eth0").is_up = false;
        sample.interface("client", "eth0").has_carrier = false;
        sample.says(Likely, "is down");
        sample.does_not_say("loses the packets");
    }

    #[test]
    fn a_refused_connection_was_not_lost() {
        let mut sample = Sample::pair();
        sample.attempt("client", AttemptKind::Reset, "10.0.0.2:80", "10.0.0.1:41234");
        let mut sample = sample.panics("Os { code: 111, kind: ConnectionRefused, message: \"\" }");
        lossy(&mut sample, false);
        sample.does_not_say("loses");
    }

    #[test]
    fn rules_holds_queues_and_delays_differ() {
        let texts = [
            ("drops the packets", Way { dropped_by_rule: 3, ..Way::default() }),
            ("had a full queue", Way { dropped_by_queue: 3, ..Way::default() }),
            ("holds the packets", Way { waiting: 3, is_held: true, ..Way::default() }),
        ];
        for (text, counts) in texts {
            let mut sample = unanswered();
            let way = lossy(&mut sample, false);
            let Way { received, in_a_row, last, .. } = way.clone();
            *way = Way { received, in_a_row, last, ..counts };
            sample.says(Certain, text);
        }
        let mut sample = unanswered();
        let way = lossy(&mut sample, false);
        *way = Way { received: 3, waiting: 3, ..Way::default() };
        sample.says(Likely, "has not yet passed on the packets from client to server");
    }
}
