//! Frames that wait for their time, in order of it. Pure.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::lab::impair::passage::{Departure, Nanos};

/// Departures in order of their time; those of one time in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Reverse<Waiting>>,
    /// Number of departures that were ever added.
    added: u64,
    /// Bytes of the waiting frames.
    bytes: usize,
}

/// A departure of a link.
#[derive(Debug)]
pub(crate) struct Leaving<'a> {
    /// Number of the link.
    pub(crate) link: usize,
    pub(crate) departure: Departure<'a>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    leaving: Leaving<'static>,
}

/// Limit of the memory for waiting frames.
pub(crate) const MOST_BYTES: usize = 256 << 20;

impl Schedule {
    /// Adds a departure. Returns it if there is no room for it.
    pub(crate) fn add(&mut self, leaving: Leaving<'static>) -> Result<(), Leaving<'static>> {
        let bytes = leaving.departure.bytes.len();
        if self.bytes.saturating_add(bytes) > MOST_BYTES {
            return Err(leaving);
        }
        (self.bytes, self.added) = (self.bytes + bytes, self.added + 1);
        self.heap.push(Reverse(Waiting { number: self.added, leaving }));
        Ok(())
    }

    /// Returns the time of the next departure.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.heap.peek().map(|Reverse(waiting)| waiting.due())
    }

    /// Takes the next departure, if its time has come.
    pub(crate) fn take(&mut self, now: Nanos) -> Option<Leaving<'static>> {
        if self.next()? > now {
            return None;
        }
        let Reverse(Waiting { leaving, .. }) = self.heap.pop()?;
        self.bytes -= leaving.departure.bytes.len();
        Some(leaving)
    }

    /// Returns whether a departure may leave at once: its time has come, and no earlier one waits.
    pub(crate) fn lets_pass(&self, due: Nanos, now: Nanos) -> bool {
        due <= now && self.next().is_none_or(|next| due < next)
    }
}

impl Waiting {
    fn due(&self) -> Nanos {
        self.leaving.departure.due
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due(), self.number).cmp(&(other.due(), other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::impair::offload::Offload;
    use crate::lab::impair::passage::Direction;

    fn leaving(due: Nanos, bytes: Vec<u8>) -> Leaving<'static> {
        let (direction, offload) = (Direction::Forth, Offload::default());
        let bytes = bytes.into();
        Leaving { link: 0, departure: Departure { direction, due, bytes, offload, of: None } }
    }

    #[test]
    fn departures_leave_by_time_and_then_by_number() {
        let mut schedule = Schedule::default();
        for (number, due) in [30, 10, 20, 10, 30, 10].into_iter().enumerate() {
            schedule.add(leaving(due, vec![number as u8])).unwrap();
        }
        assert_eq!(schedule.next(), Some(10));
        assert!(schedule.take(9).is_none());
        let mut take = |now| schedule.take(now).map(|leaving| leaving.departure.bytes[0]);
        let order: Vec<u8> = std::iter::from_fn(|| take(20)).collect();
        assert_eq!(order, [1, 3, 5, 2]);
        assert_eq!([take(30), take(30), take(30)], [Some(0), Some(4), None]);
        assert_eq!((schedule.next(), schedule.bytes), (None, 0));
    }

    #[test]
    fn a_frame_does_not_overtake_a_waiting_one() {
        let mut schedule = Schedule::default();
        assert!(schedule.lets_pass(5, 5) && !schedule.lets_pass(6, 5));
        schedule.add(leaving(4, vec![0])).unwrap();
        assert!(!schedule.lets_pass(5, 5) && !schedule.lets_pass(4, 5) && schedule.lets_pass(3, 5));
    }

    #[test]
    fn memory_has_a_limit() {
        let mut schedule = Schedule::default();
        let large = || leaving(1, vec![0; MOST_BYTES / 2]);
        assert!(schedule.add(large()).is_ok() && schedule.add(large()).is_ok());
        assert!(schedule.add(leaving(1, vec![0])).is_err());
        assert!(schedule.take(1).is_some() && schedule.add(large()).is_ok());
    }
}
