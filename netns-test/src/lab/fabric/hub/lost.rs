//! Packets that links have dropped, on the timeline of a failed test.

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::hub::Hub;
use crate::lab::impair::stats::DirectionStats;
use crate::lab::plan::Plan;

/// Notes for each direction of a link what it has dropped since the build.
pub(crate) fn note_lost(hub: &Hub, plan: &Plan, links: &[[End; 2]]) {
    // Without an answer there is nothing to note: the end of the lab reports why.
    for (at, stats) in hub.visit(|model| model.stats()).unwrap_or_default() {
        let label = plan.link_label(at);
        let names = links[at].each_ref().map(|end| plan.nodes()[end.node].name.as_str());
        let ways = [[names[0], names[1]], [names[1], names[0]]];
        for ([from, to], stats) in ways.into_iter().zip(&stats) {
            if let Some(text) = text(stats) {
                log::note(|| {
                    let text = format!("{label}: {text} from {from} to {to}");
                    Event::of(EventKind::Link, "", text).with("link", at)
                });
            }
        }
    }
}

/// Returns what a direction has dropped; none if it has passed all packets on.
fn text(stats: &DirectionStats) -> Option<String> {
    let DirectionStats { received, lost, dropped_by_rule, dropped_by_queue, .. } = stats;
    let of_rules = format!("{dropped_by_rule} dropped by rules");
    let of_queue = format!("{dropped_by_queue} dropped by the queue");
    let parts = [
        (*lost, format!("{lost} lost")),
        (*dropped_by_rule, of_rules),
        (*dropped_by_queue, of_queue),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    (!parts.is_empty()).then(|| format!("{} of {received} packets", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_dropped_is_said() {
        let mut stats = DirectionStats { received: 10, sent: 10, ..DirectionStats::default() };
        assert_eq!(text(&stats), None);
        (stats.lost, stats.dropped_by_queue) = (3, 1);
        let expected = "3 lost, 1 dropped by the queue of 10 packets";
        assert_eq!(text(&stats).as_deref(), Some(expected));
    }
}
