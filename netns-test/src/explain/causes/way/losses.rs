//! Packets that the engine of impaired links has lost, dropped or held, as it was set. Pure.

mod flows;
mod segment;
mod text;
mod waited;

use crate::evidence::facts::link::{Stopped, Way};
use crate::evidence::facts::network::{Interface, Protocol};
use crate::evidence::facts::topology::LabFacts;
use crate::explain::cause::{Cause, Certainty};
use crate::explain::causes::way;
use crate::explain::causes::way::losses::flows::Relation;
use crate::explain::causes::way::losses::segment::between;
use crate::explain::causes::way::losses::text::explain;
use crate::explain::scene::Scene;
use crate::explain::target::Target;
use crate::explain::trouble::Trouble;

pub(crate) fn causes(scene: &Scene<'_>, targets: &[Target<'_>]) -> Vec<Cause> {
    let is_about_silence = matches!(
        scene.trouble,
        Trouble::TimedOut | Trouble::WouldBlock | Trouble::HostUnreachable | Trouble::TimeLimit
    );
    let Some(lab) = scene.facts.lab().filter(|_| is_about_silence) else { return Vec::new() };
    let waited = waited::causes(scene, lab);
    if !waited.is_empty() {
        return waited;
    }
    let known: Vec<On<'_>> =
        targets.iter().filter_map(|target| On::path(scene, lab, target)).collect();
    let is_known = targets.iter().any(|target| target.is_sure) && !known.is_empty();
    // What ends the path explains why no answer comes. It may be on the way of another packet.
    if !is_known && !way::causes(scene, targets).is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Found<'_>> = Vec::new();
    for way in scene.ways.iter().filter(|way| way.lab == lab.number) {
        let on = known.iter().find(|on| on.ways.contains(&(way.link as usize, way.is_back)));
        let flow = on.and_then(|on| flows::of_target(scene, on.target, way));
        let relation = on.map(|on| flows::relation(scene, on.target, way));
        let is_bad = match (relation, flow) {
            // Losses of other flows are no reason.
            (Some(Relation::Foreign), _) => is_late(way),
            (_, Some(flow)) => is_missed(flow) || is_late(way),
            _ => is_bad(way),
        };
        if is_bad && (on.is_some() || !is_known) {
            found.push(Found { way, on, flow });
        }
    }
    // What passes nothing comes first, then what has stopped most.
    found.sort_by_key(|found| {
        let Found { way, on, flow } = found;
        let passed = flow.map_or(way.passed, |flow| flow.passed);
        let in_a_row = flow.map_or(way.in_a_row, |flow| flow.in_a_row);
        (on.is_none(), passed > 0, std::cmp::Reverse(in_a_row))
    });
    found.truncate(1);
    found.iter().filter_map(|found| of_target(lab, found)).collect()
}

/// A direction of a link that may be the reason.
struct Found<'a> {
    way: &'a Way,
    on: Option<&'a On<'a>>,
    /// Flow of the failed operation, as far as packets of it were stopped here.
    flow: Option<&'a Stopped>,
}

/// Returns whether it may have kept something from its receiver for good. TCP repeats what was lost
/// until something passes; a datagram is not repeated.
fn is_bad(way: &Way) -> bool {
    let is_datagram = way.last.as_ref().is_some_and(|last| last.protocol != Protocol::Tcp.word());
    way.in_a_row > 0 || way.dropped() > 0 && is_datagram || is_late(way)
}

/// Returns whether it has passed on nothing yet, and will.
fn is_late(way: &Way) -> bool {
    way.passed == 0 && way.waiting > 0
}

/// Returns whether something of a flow was kept from its receiver for good.
fn is_missed(flow: &Stopped) -> bool {
    flow.in_a_row > 0 || flow.dropped() > 0 && flow.packet.protocol != Protocol::Tcp.word()
}

/// Explains the failure of an operation, whose target may be known.
fn of_target(lab: &LabFacts, &Found { way, on, flow }: &Found<'_>) -> Option<Cause> {
    // That connection was not made, no packet of it has passed this direction of its path, and some
    // were stopped here.
    let is_sure = on.zip(flow).is_some_and(|(on, flow)| {
        on.target.is_sure
            && on.is_exact
            && on.target.protocol == Protocol::Tcp
            && flow.in_a_row > 0
            && flow.passed == 0
            && (flow.is_whole || way.passed == 0)
    });
    let cause = explain(lab, (way, flow), Certainty::if_sure(is_sure))?;
    Some(on.into_iter().fold(cause, |cause, on| cause.shown_by(on.target.proof.clone())))
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

    fn add(&mut self, lab: &LabFacts, hops: &[(&str, Option<&Interface>)]) {
        for pair in hops.windows(2) {
            let ((node, out), (next, _)) = (pair[0], pair[1]);
            let ways = out.and_then(|out| between(lab, (node, &out.name), next));
            self.is_exact &= ways.is_some();
            self.ways.extend(ways.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests;
