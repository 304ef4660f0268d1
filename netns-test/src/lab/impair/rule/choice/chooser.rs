//! The state of a choice: what was counted. Pure.

use std::collections::HashMap;

use crate::lab::impair::frame::{Frame, SYN, Transport};
use crate::lab::impair::passage::Nanos;
use crate::lab::impair::rule::choice::flow::Flow;
use crate::lab::impair::rule::choice::streams::{Streams, Transmissions};
use crate::lab::impair::rule::choice::{Count, Which};
use crate::lab::impair::rule::packet::view::PacketView;

/// Counts the packets that match, and chooses among them.
#[derive(Debug)]
pub(crate) struct Chooser {
    which: Which,
    /// Time from which on no packet matches.
    end: Option<Nanos>,
    /// Packets of all flows.
    total: u64,
    /// Packets of each flow, if they are counted.
    flows: HashMap<Flow, u64>,
    transmissions: Transmissions,
    streams: Streams,
}

impl Chooser {
    pub(crate) fn new(which: Which, now: Nanos) -> Self {
        let nanos = |until: std::time::Duration| Nanos::try_from(until.as_nanos());
        Self {
            which,
            end: which.until.map(|until| now.saturating_add(nanos(until).unwrap_or(Nanos::MAX))),
            total: 0,
            flows: HashMap::new(),
            transmissions: Transmissions::default(),
            streams: Streams::default(),
        }
    }

    /// Returns whether the time of the rule is over.
    pub(crate) fn is_over(&self, at: Nanos) -> bool {
        self.end.is_some_and(|end| at >= end)
    }

    /// Returns whether no later packet can be chosen.
    pub(crate) fn is_exhausted(&self) -> bool {
        match self.which.count {
            Count::Nth(n) | Count::NthNew(n) | Count::First(n) if !self.which.is_per_flow => {
                self.total >= n
            }
            _ => false,
        }
    }

    /// Returns whether the frame must be observed even if it does not match: the start of a stream.
    pub(crate) fn observes(&self, frame: &Frame<'_>) -> bool {
        let is_start = || matches!(frame.transport, Transport::Tcp(tcp) if tcp.flags & SYN != 0);
        matches!(self.which.count, Count::FirstBytes(_)) && is_start()
    }

    /// Observes such a frame.
    pub(crate) fn observe(&mut self, packet: &PacketView<'_>) {
        self.streams.begin(packet);
    }

    /// Counts a packet that matches. Returns whether it is chosen.
    pub(crate) fn choose(&mut self, packet: &PacketView<'_>) -> bool {
        match self.which.count {
            Count::All => true,
            Count::Nth(n) => self.count(packet) == n,
            Count::NthNew(n) => self.transmissions.is_new(packet) && self.count(packet) == n,
            Count::Every(n) => n > 0 && self.count(packet) % n == 0,
            Count::First(n) => self.count(packet) <= n,
            Count::FirstBytes(n) => {
                let has_payload = !packet.payload().is_empty();
                has_payload && self.streams.place(packet).is_some_and(|place| place < n)
            }
        }
    }

    /// Returns the number of a packet, from 1.
    fn count(&mut self, packet: &PacketView<'_>) -> u64 {
        let counter = if self.which.is_per_flow {
            self.flows.entry(Flow::of(packet)).or_default()
        } else {
            &mut self.total
        };
        *counter += 1;
        *counter
    }
}
