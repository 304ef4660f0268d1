//! Counters of links in memory that init reads: what a link has lost is known after any end of the
//! test.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::evidence::facts::link::{self, COUNTS, Counts, Ends, NUMBERS, VERSION, Way};
use crate::evidence::log;
use crate::evidence::record::{LinkNumbers, Record};
use crate::lab::impair::emulated::Seen;
use crate::lab::impair::emulated::trace::{self, Flow, Stopped};
use crate::lab::impair::engine::Observe;
use crate::lab::impair::passage::Direction;
use crate::sys::shared_log::Numbers;

/// Both directions of a link, in this order.
#[derive(Debug)]
struct Tally {
    numbers: Numbers,
    /// Last version of the numbers of each direction.
    versions: [AtomicU64; 2],
    /// Changes of flows that the numbers of each direction have.
    changes: [AtomicU64; 2],
}

/// Returns what keeps the counters of a link, if a failure of this process is reported.
pub(super) fn of_link(lab: u32, link: usize) -> Option<Box<dyn Observe>> {
    let numbers = log::numbers(2 * NUMBERS)?;
    let (link, first) = (u32::try_from(link).ok()?, numbers.first());
    log::append(|| Record::Link(LinkNumbers { lab, link, first }));
    Some(Box::new(Tally { numbers, versions: Default::default(), changes: Default::default() }))
}

impl Observe for Tally {
    fn see(&self, direction: Direction, Seen { stats, trace, is_held }: Seen<'_>) {
        let way = Way {
            received: stats.received,
            lost: stats.lost,
            dropped_by_rule: stats.dropped_by_rule,
            dropped_by_queue: stats.dropped_by_queue,
            waiting: stats.in_transit,
            is_held,
            passed: trace.passed,
            in_a_row: trace.in_a_row,
            ..Way::default()
        };
        let seen = self.changes[direction.index()].swap(trace.changes, Ordering::Relaxed);
        let flows = (seen != trace.changes).then(|| {
            let flows = trace.flows.iter().map(|one| (ends(&one.flow), counts(one)));
            link::of_flows(trace.last.as_ref().map(ends), flows, trace.others)
        });
        self.write(direction.index(), &way.to_counts(), flows.as_ref());
    }
}

impl Tally {
    /// Writes the numbers of a direction, so that a reader notices what changes meanwhile. Those of
    /// flows are left as they are if there are none.
    fn write(&self, way: usize, counts: &[u64; COUNTS], flows: Option<&[u64; NUMBERS]>) {
        let first = way * NUMBERS;
        let version = self.versions[way].fetch_add(2, Ordering::Relaxed);
        self.numbers.set(first + VERSION, version + 1);
        let flows = flows.into_iter().flatten().enumerate().skip(COUNTS);
        let flows = flows.filter(|(at, _)| *at != VERSION);
        for (at, number) in counts.iter().enumerate().chain(flows) {
            self.numbers.set(first + at, *number);
        }
        self.numbers.set(first + VERSION, version + 2);
    }
}

const _: () = assert!(trace::FLOWS == link::FLOWS, "there is a place for each flow");

fn ends(flow: &Flow) -> Ends {
    (flow.protocol, flow.from, flow.to)
}

fn counts(one: &Stopped) -> Counts {
    [
        one.lost,
        one.dropped_by_rule,
        one.dropped_by_queue,
        one.held,
        one.in_a_row,
        one.passed,
        one.is_whole.into(),
    ]
}
