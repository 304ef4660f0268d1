//! Packets between hosts that a direction has passed on, and those that it has not. Pure.

use std::net::SocketAddr;

use crate::lab::impair::frame::{Frame, Transport};

/// Packets of a direction without neighbour resolution and multicast, which every link has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Frames that were passed on.
    pub(crate) passed: u64,
    /// Frames that were lost, dropped or held since one was passed on.
    pub(crate) in_a_row: u64,
    /// Flow of the last one that was lost, dropped or held.
    pub(crate) last: Option<Flow>,
}

/// Flow of a packet. A port is 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) protocol: u8,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

impl Trace {
    pub(super) fn pass(&mut self, frame: &Frame<'_>) {
        if flow(frame).is_some() {
            (self.passed, self.in_a_row) = (self.passed + 1, 0);
        }
    }

    pub(super) fn stop(&mut self, frame: &Frame<'_>) {
        if let Some(flow) = flow(frame) {
            (self.in_a_row, self.last) = (self.in_a_row + 1, Some(flow));
        }
    }
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
