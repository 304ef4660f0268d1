//! Packets between hosts that a direction has passed on, and those that it has not. Pure.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::lab::impair::frame::{ACK, Frame, SYN, Transport};

/// Most flows whose stopped packets are counted by themselves: those that were stopped last.
pub(crate) const FLOWS: usize = 4;

/// Most flows of which it is known that their first packet has passed: those of the last ones.
const BEGUN: usize = 16;

/// Packets of a direction without neighbour resolution and multicast, which every link has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Frames that were passed on.
    pub(crate) passed: u64,
    /// Frames that were lost, dropped or held since one was passed on.
    pub(crate) in_a_row: u64,
    /// Flow of the last one that was lost, dropped or held.
    pub(crate) last: Option<Flow>,
    /// The flows of which packets were stopped, the last one last.
    pub(crate) flows: Vec<Stopped>,
    /// Earlier flows of which packets were stopped, which are no longer listed.
    pub(crate) others: u64,
    /// Number of changes of `last`, `flows` and `others`: who has seen them need not look again.
    pub(crate) changes: u64,
    /// Flows whose SYN, or its answer, has passed; `None` in place of those no longer listed.
    begun: VecDeque<Option<Flow>>,
}

/// Flow of a packet. A port is 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) protocol: u8,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// Reason for which a packet was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Loss,
    Rule,
    Queue,
    Hold,
}

/// Packets of a flow that were stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) flow: Flow,
    pub(crate) lost: u64,
    pub(crate) dropped_by_rule: u64,
    pub(crate) dropped_by_queue: u64,
    /// Packets that are held now.
    pub(crate) held: u64,
    /// Frames that were stopped since one was passed on.
    pub(crate) in_a_row: u64,
    /// Frames that were passed on since the first was stopped.
    pub(crate) passed: u64,
    /// Whether no packet was passed on before: the first that was stopped is a SYN or its answer,
    /// and none was passed on.
    pub(crate) is_whole: bool,
}

impl Trace {
    pub(super) fn pass(&mut self, frame: &Frame<'_>) {
        let Some(flow) = flow(frame) else { return };
        (self.passed, self.in_a_row) = (self.passed + 1, 0);
        if let Some(stopped) = self.flows.iter_mut().find(|one| one.flow == flow) {
            (stopped.passed, stopped.in_a_row) = (stopped.passed + 1, 0);
            self.changes += 1;
        }
        if is_first(frame) && !self.begun.contains(&Some(flow)) {
            if self.begun.len() == BEGUN {
                self.begun.pop_front();
                // From now on, a flow that is not listed may have begun.
                self.begun[0] = None;
            }
            self.begun.push_back(Some(flow));
        }
    }

    /// Counts so many packets of a frame that were stopped.
    pub(super) fn stop(&mut self, frame: &Frame<'_>, by: By, packets: u64) {
        let Some(flow) = flow(frame) else { return };
        (self.in_a_row, self.last) = (self.in_a_row + 1, Some(flow));
        self.changes += 1;
        let stopped = self.stopped(flow, frame);
        stopped.in_a_row += 1;
        *stopped.count(by) += packets;
    }

    /// Counts packets of a frame that are no longer held.
    pub(super) fn let_go(&mut self, frame: &Frame<'_>, packets: u64) {
        let flow = flow(frame);
        if let Some(stopped) = self.flows.iter_mut().find(|one| Some(one.flow) == flow) {
            stopped.held = stopped.held.saturating_sub(packets);
            self.changes += 1;
        }
    }

    /// Returns the counters of a flow, the last of the list.
    fn stopped(&mut self, flow: Flow, frame: &Frame<'_>) -> &mut Stopped {
        match self.flows.iter().position(|one| one.flow == flow) {
            Some(at) => self.flows[at..].rotate_left(1),
            None => {
                if self.flows.len() == FLOWS {
                    self.flows.remove(0);
                    self.others += 1;
                }
                let has_begun = |begun: &Option<Flow>| begun.is_none_or(|begun| begun == flow);
                let is_whole = is_first(frame) && !self.begun.iter().any(has_begun);
                self.flows.push(Stopped::new(flow, is_whole));
            }
        }
        let last = self.flows.len() - 1;
        &mut self.flows[last]
    }
}

impl Stopped {
    const fn new(flow: Flow, is_whole: bool) -> Self {
        Self {
            flow,
            lost: 0,
            dropped_by_rule: 0,
            dropped_by_queue: 0,
            held: 0,
            in_a_row: 0,
            passed: 0,
            is_whole,
        }
    }

    fn count(&mut self, by: By) -> &mut u64 {
        match by {
            By::Loss => &mut self.lost,
            By::Rule => &mut self.dropped_by_rule,
            By::Queue => &mut self.dropped_by_queue,
            By::Hold => &mut self.held,
        }
    }
}

/// Returns whether a frame is a SYN or the answer to one.
fn is_first(frame: &Frame<'_>) -> bool {
    matches!(frame.transport, Transport::Tcp(tcp) if tcp.flags & !ACK & 0x3f == SYN)
}

fn flow(frame: &Frame<'_>) -> Option<Flow> {
    let is_of_one = frame.bytes.first().is_some_and(|first| first & 1 == 0);
    let ip = frame.ip.filter(|_| is_of_one && frame.neighbour.is_none())?;
    let (source, destination) = match frame.transport {
        Transport::Tcp(tcp) => (tcp.source, tcp.destination),
        Transport::Udp { source, destination } => (source, destination),
        _ => (0, 0),
    };
    let from = SocketAddr::new(ip.source, source);
    Some(Flow { protocol: ip.protocol, from, to: SocketAddr::new(ip.destination, destination) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::impair::frame::samples::Sample;
    use crate::lab::impair::frame::{FIN, PSH};

    fn tcp(flags: u8, port: u16) -> Vec<u8> {
        Sample { ports: [port, 80], ..Sample::tcp(flags, b"") }.build()
    }

    fn stop(trace: &mut Trace, bytes: &[u8], by: By) -> Stopped {
        trace.stop(&Frame::parse(bytes), by, 1);
        *trace.flows.last().unwrap()
    }

    #[test]
    fn packets_are_counted_by_flow_and_by_what_has_stopped_them() {
        let mut trace = Trace::default();
        let (one, other) = (tcp(SYN, 40_000), Sample::udp(b"x").v6().build());
        stop(&mut trace, &one, By::Loss);
        stop(&mut trace, &other, By::Rule);
        let seen = stop(&mut trace, &one, By::Queue);
        assert_eq!((seen.lost, seen.dropped_by_queue, seen.in_a_row, seen.passed), (1, 1, 2, 0));
        assert!(seen.is_whole);
        assert_eq!((trace.in_a_row, trace.flows.len(), trace.others), (3, 2, 0));
        trace.pass(&Frame::parse(&other));
        let other = trace.flows[0];
        assert_eq!((other.dropped_by_rule, other.in_a_row, other.passed), (1, 0, 1));
        assert!(!other.is_whole, "it has no SYN");
    }

    #[test]
    fn what_is_let_go_is_not_held() {
        let (mut trace, syn) = (Trace::default(), tcp(SYN, 40_000));
        assert_eq!(stop(&mut trace, &syn, By::Hold).held, 1);
        trace.let_go(&Frame::parse(&syn), 1);
        assert_eq!((trace.flows[0].held, trace.flows[0].in_a_row), (0, 1));
        trace.pass(&Frame::parse(&syn));
        assert_eq!(trace.flows[0].in_a_row, 0);
    }

    #[test]
    fn a_flow_whose_first_packet_has_passed_is_not_whole() {
        let mut trace = Trace::default();
        trace.pass(&Frame::parse(&tcp(SYN, 40_000)));
        assert!(!stop(&mut trace, &tcp(SYN, 40_000), By::Loss).is_whole);
        assert!(stop(&mut trace, &tcp(SYN, 40_001), By::Loss).is_whole);
        assert!(stop(&mut trace, &tcp(SYN | ACK, 40_002), By::Loss).is_whole);
        assert!(!stop(&mut trace, &tcp(ACK | FIN, 40_003), By::Loss).is_whole);
        assert!(!stop(&mut trace, &tcp(ACK | PSH, 40_004), By::Loss).is_whole);
        assert_eq!((trace.flows.len(), trace.others), (FLOWS, 1));
    }

    #[test]
    fn after_many_first_packets_none_is_known_to_be_whole() {
        let mut trace = Trace::default();
        for port in 0..BEGUN as u16 {
            trace.pass(&Frame::parse(&tcp(SYN, port)));
        }
        assert!(stop(&mut trace, &tcp(SYN, 40_000), By::Loss).is_whole);
        trace.pass(&Frame::parse(&tcp(SYN, 40_001)));
        assert!(!stop(&mut trace, &tcp(SYN, 40_002), By::Loss).is_whole);
        assert_eq!(trace.begun.len(), BEGUN);
    }
}
