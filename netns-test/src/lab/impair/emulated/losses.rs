//! The list of what a link has lost. Pure.

use std::collections::VecDeque;
use std::ops::Range;

use crate::lab::impair::flow::name::FlowId;
use crate::lab::impair::flow::position::{Class, Position};
use crate::lab::impair::passage::Direction;
use crate::lab::impair::stats::{Lost, LostPacket};

/// Most losses that are listed.
const MOST: usize = 10_000;

/// Packets that the loss has taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Losses {
    /// The last losses, in order of arrival. The field `from` of each is empty.
    pub(crate) last: VecDeque<(Direction, Lost)>,
    /// Losses before these, which are no longer listed.
    pub(crate) earlier: u64,
}

impl Losses {
    pub(super) fn push(&mut self, direction: Direction, flow: &FlowId, packet: LostPacket) {
        if self.last.len() == MOST {
            self.last.pop_front();
            self.earlier += 1;
        }
        let lost = Lost { from: String::new(), flow: flow.name(), packet };
        self.last.push_back((direction, lost));
    }
}

/// Returns what was lost at a position. `slot` is the length of a slot, `bytes` are those of the
/// segment.
pub(super) fn lost_packet(position: &Position, slot: u64, bytes: Option<Range<u64>>) -> LostPacket {
    let &Position { class, number, attempt, .. } = position;
    let data = |bytes| LostPacket::Data { bytes, attempt: attempt.try_into().unwrap_or(u32::MAX) };
    match class {
        Class::Slot => data(number * slot..(number + 1) * slot),
        Class::Segment => data(bytes.unwrap_or(number..number)),
        Class::Control => LostPacket::Control { flags: number as u8, nth: attempt },
        Class::Ack => LostPacket::Ack { acknowledged: number, repeat: attempt },
        Class::Other | Class::Shared => LostPacket::Nth(number),
    }
}
