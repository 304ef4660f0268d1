//! Packets that links have dropped, on the timeline of a failed test.

use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::fabric::ends::End;
use crate::lab::fabric::hub::Hub;
use crate::lab::plan::Plan;

/// Notes for each direction of a link what it has dropped since the build.
pub(crate) fn note_lost(hub: &Hub, plan: &Plan, links: &[[End; 2]]) {
    // Without an answer there is nothing to note: the end of the lab reports why.
    for (at, stats) in hub.visit(|model| model.stats()).unwrap_or_default() {
        let label = plan.link_name(at);
        let names = links[at].each_ref().map(|end| plan.nodes()[end.node].name.as_str());
        let ways = [[names[0], names[1]], [names[1], names[0]]];
        for ([from, to], stats) in ways.into_iter().zip(&stats).filter(|way| way.1.has_dropped()) {
            log::note(|| {
                let text = format!("{label}: {from} to {to}: {stats}");
                Event::of(EventKind::Link, "", text).with("link", at)
            });
        }
    }
}
