//! Schedule of changes of a network: a value. Pure.

use std::fmt;
use std::time::Duration;

use crate::lab::topology::step::{Cut, Step};
use crate::lab::topology::{LinkId, NodeId, Topology};

/// Most steps of a schedule: what a mistyped number of repetitions would exceed.
const MOST_STEPS: usize = 100_000;

/// Changes of a network at times from the start of the schedule on: a value.
///
/// `Display` writes a line for each step, in the order of time, with the positions of nodes and
/// links; [`text`](Self::text) has their names.
///
/// ```
/// use std::time::Duration;
/// use netns_test::{Topology, lab::Schedule};
///
/// let s = Duration::from_secs;
/// let mut net = Topology::new();
/// let (home, server) = (net.router("home"), net.host("server"));
/// let wan = net.link(home, server).name("wan").id();
/// let schedule = Schedule::new().at(s(5), wan.up()).at(s(2), wan.down());
/// assert_eq!(schedule.text(&net), "2s  wan down\n5s  wan up\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a schedule is a value; it changes nothing by itself"]
pub struct Schedule {
    /// Steps in the order of time, and of their declaration at the same time.
    steps: Vec<(Duration, Step)>,
}

impl Schedule {
    /// Creates a schedule without steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step. Steps at the same time are taken in the order in which they were added.
    ///
    /// # Panics
    ///
    /// Panics if the schedule would have more than 100,000 steps. This applies to all methods that
    /// add steps.
    #[track_caller]
    pub fn at(self, time: Duration, step: Step) -> Self {
        self.with(vec![(time, step)])
    }

    /// Adds the steps of another schedule, whose start is at `time`.
    ///
    /// # Panics
    ///
    /// Panics if the schedule would have more than 100,000 steps.
    #[track_caller]
    pub fn after(self, time: Duration, other: &Self) -> Self {
        self.with(other.steps.iter().map(|(at, step)| (time.saturating_add(*at), step.clone())))
    }

    /// Repeats all steps so far: the schedule has them `times` times, each time `every` later.
    ///
    /// # Panics
    ///
    /// Panics if the schedule would have more than 100,000 steps.
    #[track_caller]
    pub fn repeated(self, every: Duration, times: u32) -> Self {
        let once = self.steps;
        assert_length(once.len().saturating_mul(times as usize));
        let copies = (0..times).flat_map(|time| {
            let start = every.saturating_mul(time);
            once.iter().map(move |(at, step)| (start.saturating_add(*at), step.clone()))
        });
        Self::new().with(copies)
    }

    /// Takes a link down at `time`, up after `down`, down again after `up`, and so on: `times`
    /// times. It is up at the end.
    ///
    /// # Panics
    ///
    /// Panics if the schedule would have more than 100,000 steps.
    #[track_caller]
    pub fn flap(
        self,
        link: LinkId,
        time: Duration,
        down: Duration,
        up: Duration,
        times: u32,
    ) -> Self {
        let once = Self::new().at(Duration::ZERO, link.down()).at(down, link.up());
        self.after(time, &once.repeated(down.saturating_add(up), times))
    }

    /// Drops the packets between two groups of nodes from `time` on, for the duration `length`.
    ///
    /// # Panics
    ///
    /// Panics if the schedule would have more than 100,000 steps.
    #[track_caller]
    pub fn partition(
        self,
        time: Duration,
        length: Duration,
        a: impl IntoIterator<Item = NodeId>,
        b: impl IntoIterator<Item = NodeId>,
    ) -> Self {
        let groups = [a.into_iter().collect(), b.into_iter().collect()];
        self.cut(time, length, Cut { groups, is_one_way: false })
    }

    /// Drops the packets from one group of nodes to another from `time` on, for the duration
    /// `length`. Those of the other direction arrive.
    ///
    /// # Panics
    ///
    /// Panics if the schedule would have more than 100,000 steps.
    #[track_caller]
    pub fn partition_one_way(
        self,
        time: Duration,
        length: Duration,
        from: impl IntoIterator<Item = NodeId>,
        to: impl IntoIterator<Item = NodeId>,
    ) -> Self {
        let groups = [from.into_iter().collect(), to.into_iter().collect()];
        self.cut(time, length, Cut { groups, is_one_way: true })
    }

    /// Returns the steps with their times, in the order in which they are taken.
    pub fn steps(&self) -> &[(Duration, Step)] {
        &self.steps
    }

    /// Returns the time of the last step, 0 without steps.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.steps.last().map_or(Duration::ZERO, |(time, _)| *time)
    }

    /// Returns a line for each step, with the names of the nodes and links.
    #[must_use]
    pub fn text(&self, net: &Topology) -> String {
        let node = |id| net.ids.node(id).map(|node| net.nodes[node].name.clone());
        let link = |id| net.ids.link(id).map(|link| net.link_name(link));
        let node = |id| node(id).unwrap_or_else(|| "an unknown node".to_owned());
        let link = |id| link(id).unwrap_or_else(|| "an unknown link".to_owned());
        self.lines(&node, &link)
    }

    fn lines(&self, node: &dyn Fn(NodeId) -> String, link: &dyn Fn(LinkId) -> String) -> String {
        let times: Vec<String> = self.steps.iter().map(|(time, _)| format!("{time:?}")).collect();
        let width = times.iter().map(|time| time.chars().count()).max().unwrap_or(0);
        let lines = times.iter().zip(&self.steps);
        lines
            .map(|(time, (_, step))| format!("{time:width$}  {}\n", step.text(node, link)))
            .collect()
    }

    #[track_caller]
    fn cut(self, time: Duration, length: Duration, cut: Cut) -> Self {
        let end = time.saturating_add(length);
        self.with([(time, Step::Partition(cut.clone())), (end, Step::Heal(cut))])
    }

    #[track_caller]
    fn with(mut self, steps: impl IntoIterator<Item = (Duration, Step)>) -> Self {
        self.steps.extend(steps);
        assert_length(self.steps.len());
        // A stable sort keeps the order of steps at the same time.
        self.steps.sort_by_key(|(time, _)| *time);
        self
    }
}

#[track_caller]
fn assert_length(steps: usize) {
    assert!(steps <= MOST_STEPS, "a schedule has at most {MOST_STEPS} steps, not {steps}");
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines(&|node| node.to_string(), &|link| link.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::topology::Impairment;

    const S: Duration = Duration::from_secs(1);

    fn net() -> (Topology, [NodeId; 3], [LinkId; 2]) {
        let mut net = Topology::new();
        let [a, b, c] = ["a", "b", "c"].map(|name| net.host(name));
        let links = [net.link(a, b).name("wan").id(), net.link(b, c).id()];
        (net, [a, b, c], links)
    }

    #[test]
    fn steps_are_in_the_order_of_time_and_of_declaration() {
        let (net, [a, b, c], [wan, other]) = net();
        let schedule = Schedule::new()
            .at(5 * S, wan.up())
            .at(S / 2, wan.impair(Impairment::new().loss("1%")))
            .at(2 * S, wan.down())
            .at(2 * S, other.hold())
            .at(5 * S, other.release())
            .partition(3 * S, 3 * S, [a, b], [c])
            .partition_one_way(7 * S, S, [c], [a])
            .at(9 * S, other.hold_from(b))
            .at(10 * S, other.release_from(b))
            .at(60 * S, a.power_off())
            .at(61 * S, a.power_on())
            .at(S, other.impair_from(c, Impairment::dsl().reversed()));
        let expected = "\
500ms  wan: loss 1%
1s     b to c from c: rate 1500kbit, delay 25ms; back: rate 384kbit, delay 25ms
2s     wan down
2s     b to c holds packets
3s     partition a, b and c
5s     wan up
5s     b to c releases packets
6s     heal a, b and c
7s     partition c to a
8s     heal c to a
9s     b to c holds packets from b
10s    b to c releases packets from b
60s    a off
61s    a on
";
        assert_eq!(schedule.text(&net), expected);
        assert_eq!(schedule.length(), 61 * S);
        assert_eq!(schedule.steps()[2], (2 * S, Step::Down(wan)));
        assert!(schedule.to_string().contains("2s     link 0 down\n"), "{schedule}");
        assert!(schedule.to_string().contains("6s     heal node 0, node 1 and node 2\n"));
        let unknown = Schedule::new().at(S, Topology::new().host("x").power_off());
        assert_eq!(unknown.text(&net), "1s  an unknown node off\n");
        assert_eq!(Schedule::new().to_string(), "");
        assert_eq!(Schedule::new().length(), Duration::ZERO);
    }

    #[test]
    fn flaps_and_repetitions_are_expanded() {
        let (net, _, [wan, other]) = net();
        let schedule = Schedule::new().flap(wan, 10 * S, S, 4 * S, 3);
        let times = |schedule: &Schedule| -> Vec<u64> {
            schedule.steps().iter().map(|(time, _)| time.as_secs()).collect()
        };
        assert_eq!(times(&schedule), [10, 11, 15, 16, 20, 21]);
        assert_eq!(schedule.steps().last(), Some(&(21 * S, Step::Up(wan))));
        let twice =
            schedule.repeated(100 * S, 2).after(50 * S, &Schedule::new().at(S, other.down()));
        assert_eq!(times(&twice), [10, 11, 15, 16, 20, 21, 51, 110, 111, 115, 116, 120, 121]);
        assert!(twice.text(&net).contains("51s   b to c down\n"), "{}", twice.text(&net));
        assert_eq!(twice.clone().repeated(S, 1), twice);
        assert_eq!(twice.repeated(S, 0), Schedule::new());
        // A time is never out of range.
        let late = Schedule::new().at(Duration::MAX, wan.up()).repeated(Duration::MAX, 3);
        assert_eq!(late.length(), Duration::MAX);
    }

    #[test]
    #[should_panic = "a schedule has at most 100000 steps, not 8589934590"]
    fn a_mistyped_number_is_refused() {
        let (_, _, [wan, _]) = net();
        let _ = Schedule::new().flap(wan, S, S, S, u32::MAX);
    }
}
