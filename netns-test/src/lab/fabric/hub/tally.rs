//! Counters of links in memory that init reads: what a link has lost is known after any end of the
//! test.

use crate::evidence::facts::link::{NUMBERS, Packet, Way};
use crate::evidence::log;
use crate::evidence::record::{LinkNumbers, Record};
use crate::lab::impair::emulated::Seen;
use crate::lab::impair::engine::Observe;
use crate::lab::impair::passage::Direction;
use crate::sys::shared_log::Numbers;

/// Both directions of a link, in this order.
#[derive(Debug)]
struct Tally(Numbers);

/// Returns what keeps the counters of a link, if a failure of this process is reported.
pub(super) fn of_link(lab: u32, link: usize) -> Option<Box<dyn Observe>> {
    let numbers = log::numbers(2 * NUMBERS)?;
    let (link, first) = (u32::try_from(link).ok()?, numbers.first());
    log::append(|| Record::Link(LinkNumbers { lab, link, first }));
    Some(Box::new(Tally(numbers)))
}

impl Observe for Tally {
    fn see(&self, direction: Direction, Seen { stats, trace, is_held }: Seen<'_>) {
        let protocol = trace.last.map_or(0, |flow| flow.protocol);
        let last = trace.last.map(|flow| Packet {
            from: Some(flow.from),
            to: Some(flow.to),
            ..Packet::default()
        });
        let way = Way {
            received: stats.received,
            lost: stats.lost,
            dropped_by_rule: stats.dropped_by_rule,
            dropped_by_queue: stats.dropped_by_queue,
            waiting: stats.in_transit,
            is_held,
            passed: trace.passed,
            in_a_row: trace.in_a_row,
            last,
            ..Way::default()
        };
        let first = direction.index() * NUMBERS;
        for (at, number) in way.to_numbers(protocol).into_iter().enumerate() {
            self.0.set(first + at, number);
        }
    }
}
