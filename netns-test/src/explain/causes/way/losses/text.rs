//! What a direction of a link has done to packets, in words. Pure.

use crate::evidence::facts::link::{Stopped, Way};
use crate::evidence::facts::topology::LabFacts;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::way::losses::flows;

/// Says what a direction of a link has done to the packets, those of a flow if it is known.
pub(super) fn explain(
    lab: &LabFacts,
    (way, flow): (&Way, Option<&Stopped>),
    certainty: Certainty,
) -> Option<Cause> {
    let link = lab.links.get(way.link as usize)?;
    let end = |at: usize| {
        let node = link.ends.get(at)?.node as usize;
        Some(lab.nodes.get(node)?.name.as_str())
    };
    let (from, to) = match way.is_back {
        false => (end(0)?, end(1)?),
        true => (end(1)?, end(0)?),
    };
    let Link { what, advice } = Link::of(way, flow, &link.name);
    let cause = Cause::new(certainty, format!("link {} {what} from {from} to {to}", link.name))
        .shown_by(counted(way))
        .shown_by_all(flow.map(flows::shown).or_else(|| last(way)));
    Some(cause.try_to(advice).on(from).on(to))
}

/// Returns a sentence about the last packet that was stopped.
fn last(way: &Way) -> Option<String> {
    let last = way.last.as_ref().filter(|_| way.in_a_row > 0 || way.dropped() > 0)?;
    let ends = last.from.zip(last.to);
    let flow = ends.map(|(from, to)| format!(": {} {from} -> {to}", last.protocol));
    let stopped = match (way.passed, way.in_a_row) {
        (_, 0) => "the last of these".to_owned(),
        (0, _) => "none has passed, but for ARP and the like; the last one".to_owned(),
        (_, 1) => "the last one has not passed".to_owned(),
        (_, count) => format!("none of the last {count} has passed; the last one"),
    };
    Some(format!("{stopped}{}", flow.unwrap_or_default()))
}

/// Words for a direction of a link, and what to do about it.
struct Link {
    what: &'static str,
    advice: String,
}

impl Link {
    fn of(way: &Way, flow: Option<&Stopped>, name: &str) -> Self {
        let [lost, by_rule, by_queue, held] = match flow {
            Some(one) => [one.lost, one.dropped_by_rule, one.dropped_by_queue, one.held],
            None => {
                let held = if way.is_held { way.waiting } else { 0 };
                [way.lost, way.dropped_by_rule, way.dropped_by_queue, held]
            }
        };
        let passes = flow.map_or(way.passed, |flow| flow.passed) > 0;
        let most = lost.max(by_rule).max(by_queue);
        let (what, advice) = match most {
            _ if held > 0 => {
                ("holds the packets", format!("release link {name} before an answer is needed"))
            }
            0 => (
                "has not yet passed on the packets",
                format!("lower the delay of link {name}, or let the test wait longer"),
            ),
            _ if most == lost => (
                if passes { "has lost packets" } else { "loses the packets" },
                format!("lower the loss of link {name}, or repeat what may be lost"),
            ),
            _ if most == by_rule => (
                if passes { "has dropped packets" } else { "drops the packets" },
                format!("change the rule of link {name}, or repeat what it may drop"),
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
