//! Numbers of the verdicts that the packets of one sender have had. Pure.

use std::collections::BTreeMap;

use crate::lab::impair::flow::position::{Class, Position, Step};
use crate::lab::impair::frame::{ACK, FIN, RST, SYN};

/// Slots that are counted together.
const PAGE: u64 = 64;

/// Numbers of verdicts on the slots of a page.
type Page = [u16; PAGE as usize];

/// Most segments that are counted by their first byte; the oldest bytes are forgotten.
const MOST_SEGMENTS: usize = 65_536;

/// Numbers of verdicts on the packets that one end of a flow has sent in one direction.
#[derive(Debug)]
pub(super) struct Verdicts {
    /// On slots, by pages, without the current one.
    slots: BTreeMap<u64, Page>,
    /// The page of the last verdict on a slot.
    current: (u64, Page),
    /// On segments, by their first byte: their ordinal and the number.
    segments: BTreeMap<u64, (u64, u64)>,
    /// Segments that were new.
    new_segments: u64,
    /// On segments with control flags.
    controls: BTreeMap<u8, u64>,
    acks: Acks,
    /// On packets of other protocols.
    others: u64,
}

/// Verdicts on segments without data.
#[derive(Clone, Copy, Debug, Default)]
struct Acks {
    all: u64,
    /// Last acknowledged position, and the verdicts on it.
    last: Option<(u64, u64)>,
}

/// Returns the flags of a segment that make it a control segment, or `None`.
pub(super) fn control(flags: u8) -> Option<u8> {
    let with = if flags & SYN == 0 { FIN | SYN | RST } else { FIN | SYN | RST | ACK };
    (flags & (FIN | SYN | RST) != 0).then_some(flags & with)
}

impl Verdicts {
    pub(super) fn slot(&self, slot: u64) -> Position {
        let number = slot / PAGE;
        let is_current = number == self.current.0;
        let page = if is_current { Some(&self.current.1) } else { self.slots.get(&number) };
        let attempt = page.map_or(0, |page| page[(slot % PAGE) as usize].into());
        let step = Step { lane: attempt, index: slot };
        Position { class: Class::Slot, number: slot, attempt, step }
    }

    pub(super) fn segment(&self, start: u64) -> Position {
        let (index, attempt) = self.segments.get(&start).copied().unwrap_or((self.new_segments, 0));
        let step = Step { lane: attempt, index };
        Position { class: Class::Segment, number: start, attempt, step }
    }

    pub(super) fn control(&self, flags: u8) -> Position {
        let attempt = self.controls.get(&flags).copied().unwrap_or(0);
        let step = Step { lane: flags.into(), index: attempt };
        Position { class: Class::Control, number: flags.into(), attempt, step }
    }

    pub(super) fn ack(&self, acknowledged: u64) -> Position {
        let attempt = match self.acks.last {
            Some((last, count)) if last == acknowledged => count,
            _ => 0,
        };
        let step = Step { lane: 0, index: self.acks.all };
        Position { class: Class::Ack, number: acknowledged, attempt, step }
    }

    pub(super) fn other(&self) -> Position {
        Position::numbered(Class::Other, self.others)
    }

    /// Counts a verdict on a position that was returned last.
    pub(super) fn count(&mut self, position: &Position) {
        let Position { class, number, attempt, step } = *position;
        match class {
            Class::Slot => {
                self.turn_to(number / PAGE);
                let count = &mut self.current.1[(number % PAGE) as usize];
                *count = count.saturating_add(1);
            }
            Class::Segment => {
                self.new_segments = self.new_segments.max(step.index + 1);
                self.segments.insert(number, (step.index, attempt + 1));
                if self.segments.len() > MOST_SEGMENTS {
                    self.segments.pop_first();
                }
            }
            Class::Control => *self.controls.entry(number as u8).or_default() += 1,
            Class::Ack => {
                self.acks.all += 1;
                self.acks.last = Some((number, attempt + 1));
            }
            Class::Other => self.others += 1,
            Class::Shared => {}
        }
    }

    /// Makes a page the current one.
    fn turn_to(&mut self, number: u64) {
        if number != self.current.0 {
            let page = self.slots.remove(&number).unwrap_or([0; PAGE as usize]);
            let (before, counts) = std::mem::replace(&mut self.current, (number, page));
            self.slots.insert(before, counts);
        }
    }
}

impl Default for Verdicts {
    fn default() -> Self {
        Self {
            slots: BTreeMap::new(),
            current: (0, [0; PAGE as usize]),
            segments: BTreeMap::new(),
            new_segments: 0,
            controls: BTreeMap::new(),
            acks: Acks::default(),
            others: 0,
        }
    }
}
