//! The flows of a link. Pure.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::lab::impair::flow::name::{Ends, FlowId, stable_port};
use crate::lab::impair::flow::position::{Class, Position, Step, Unit};
use crate::lab::impair::flow::sequence::Sequence;
use crate::lab::impair::flow::verdicts::{Verdicts, control};
use crate::lab::impair::frame::{ACK, Frame, RST, SYN, Tcp, Transport};
use crate::lab::impair::passage::Direction;

/// Most flows that are known at once. Of more, those that were not used for the longest time are
/// forgotten; the same ends begin a new flow later.
pub(super) const MOST_FLOWS: usize = 65_536;

/// Most services whose flows are numbered. Flows to further ones all have the ordinal 0.
const MOST_SERVICES: usize = 65_536;

/// Addresses of opener and other end, protocol, and service.
type ServiceKey = (IpAddr, IpAddr, u32, u32);

/// Flows of a link, over both of its directions.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    flows: BTreeMap<Tuple, Flow>,
    /// Numbers of the flows that were opened.
    ordinals: BTreeMap<ServiceKey, u64>,
    /// Packets so far.
    clock: u64,
}

/// A packet in its flow.
#[derive(Debug)]
pub(crate) struct Packet<'f> {
    pub(crate) id: FlowId,
    tcp: Option<Segment>,
    verdicts: &'f mut Verdicts,
}

/// Position of a TCP segment in the streams of its connection.
#[derive(Clone, Copy, Debug)]
struct Segment {
    flags: u8,
    /// Bytes of the own stream before the payload.
    start: u64,
    /// Bytes of the payload.
    length: usize,
    /// Bytes of the other stream before the acknowledgement number.
    acknowledged: u64,
}

/// Ends of a flow, in an order that is the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tuple {
    ends: [SocketAddr; 2],
    protocol: u32,
    service: u32,
}

/// Both directions of a flow. Sides are indexes of the ends of its tuple.
#[derive(Debug)]
struct Flow {
    /// Side that opened the flow.
    opener: usize,
    service: u32,
    ordinal: u64,
    /// Streams of TCP, by the side that sends.
    sequences: [Option<Sequence>; 2],
    /// Verdicts by direction of the link, then by the side that sends: a packet may pass the link
    /// in both directions, as between VLANs of one router.
    verdicts: [[Verdicts; 2]; 2],
    /// The clock of the table at the last packet.
    used: u64,
}

impl Flows {
    /// Returns the packet of a frame in its flow, which begins if the packet is its first one.
    pub(crate) fn packet(&mut self, frame: &Frame<'_>, direction: Direction) -> Packet<'_> {
        let ends = Ends::of(frame);
        let (tuple, side) = Tuple::of(&ends);
        let tcp = tcp(frame);
        self.clock += 1;
        if self.flows.len() >= MOST_FLOWS {
            self.forget();
        }
        let ordinals = &mut self.ordinals;
        let flow = match self.flows.entry(tuple) {
            Entry::Vacant(entry) => entry.insert(Flow::open(ordinals, &ends, side, tcp)),
            Entry::Occupied(entry) => {
                let flow = entry.into_mut();
                if tcp.is_some_and(|tcp| flow.is_reopened(side, tcp)) {
                    *flow = Flow::open(ordinals, &ends, side, tcp);
                }
                flow
            }
        };
        flow.used = self.clock;
        let segment = tcp.map(|tcp| flow.segment(side, tcp, frame.payload.len()));
        Packet {
            id: flow.id(ends, side),
            tcp: segment,
            verdicts: &mut flow.verdicts[direction.index()][side],
        }
    }

    /// Returns the number of flows that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// Forgets the half of the flows that was not used for the longest time.
    fn forget(&mut self) {
        let mut used: Vec<u64> = self.flows.values().map(|flow| flow.used).collect();
        let middle = used.len() / 2;
        let (_, &mut limit, _) = used.select_nth_unstable(middle);
        self.flows.retain(|_, flow| flow.used > limit);
    }
}

impl Packet<'_> {
    /// Appends the positions of a part of the payload, in bytes as of `gso::segments`, and of the
    /// flags of the packet, which belong to the last part.
    pub(crate) fn positions(&self, part: Range<usize>, unit: Unit, out: &mut Vec<Position>) {
        let Some(tcp) = self.tcp else { return out.push(self.verdicts.other()) };
        let control = control(tcp.flags);
        if part.end == tcp.length {
            out.extend(control.map(|flags| self.verdicts.control(flags)));
        }
        let bytes = tcp.start + part.start as u64..tcp.start + part.end as u64;
        match unit {
            _ if tcp.length == 0 && control.is_none() => {
                out.push(self.verdicts.ack(tcp.acknowledged));
            }
            Unit::Slot(size) => {
                let slots = bytes.start.div_ceil(size)..bytes.end.div_ceil(size);
                out.extend(slots.map(|slot| self.verdicts.slot(slot)));
            }
            Unit::Segment if tcp.length > 0 => out.push(self.verdicts.segment(bytes.start)),
            Unit::Segment | Unit::Nothing => {}
        }
    }

    /// Returns whether this is nothing but TCP data, which has positions by its units alone.
    pub(crate) fn is_data(&self) -> bool {
        self.tcp.is_some_and(|tcp| tcp.length > 0 && control(tcp.flags).is_none())
    }

    /// Returns the position of a part of the payload that has none of a slot.
    pub(crate) fn position(&self, part: &Range<usize>) -> Position {
        let Some(tcp) = self.tcp else { return self.verdicts.other() };
        let number = tcp.start + part.start as u64;
        let step = Step { lane: 0, index: number };
        Position { class: Class::Segment, number, attempt: 0, step }
    }

    /// Returns the bytes of the stream in a part of the payload, or `None` for no TCP.
    pub(crate) fn bytes(&self, part: &Range<usize>) -> Option<Range<u64>> {
        let start = self.tcp?.start;
        Some(start + part.start as u64..start + part.end as u64)
    }

    /// Counts a verdict on a position of this packet.
    pub(crate) fn count(&mut self, position: &Position) {
        self.verdicts.count(position);
    }
}

impl Tuple {
    /// Returns the tuple of both directions, and the side of the source.
    fn of(&Ends { source, destination, protocol, service }: &Ends) -> (Self, usize) {
        let side = usize::from(source > destination);
        let ends = if side == 0 { [source, destination] } else { [destination, source] };
        (Self { ends, protocol, service }, side)
    }
}

impl Flow {
    /// Begins a flow with a packet that is sent by `side`.
    fn open(
        ordinals: &mut BTreeMap<ServiceKey, u64>,
        ends: &Ends,
        side: usize,
        tcp: Option<Tcp>,
    ) -> Self {
        let by_source = is_opened_by_source(ends, tcp);
        let (opener, other) = if by_source {
            (ends.source, ends.destination)
        } else {
            (ends.destination, ends.source)
        };
        let port = stable_port(other.port());
        let service = if ends.have_ports() { port.into() } else { ends.service };
        let key = (opener.ip(), other.ip(), ends.protocol, service);
        Self {
            opener: if by_source { side } else { 1 - side },
            service,
            ordinal: next(ordinals, key),
            sequences: [None; 2],
            verdicts: Default::default(),
            used: 0,
        }
    }

    /// Returns whether a segment of `side` begins another connection of the same ends.
    fn is_reopened(&self, side: usize, tcp: Tcp) -> bool {
        let is_new = self.sequences[side].is_some_and(|own| own.initial != tcp.seq);
        tcp.flags & (SYN | ACK) == SYN && is_new
    }

    /// Returns where a segment of `side` is in the streams, and moves their ends.
    fn segment(&mut self, side: usize, tcp: Tcp, length: usize) -> Segment {
        let [own, other] = [side, 1 - side];
        let first = if tcp.flags & SYN == 0 { tcp.seq } else { tcp.seq.wrapping_add(1) };
        let initial = first.wrapping_sub(1);
        if tcp.flags & SYN != 0 && self.sequences[own].is_none_or(|own| own.initial != initial) {
            self.sequences[own] = Some(Sequence::new(initial));
        }
        let sequence = self.sequences[own].get_or_insert(Sequence::new(initial));
        let start = sequence.position(first);
        sequence.advance(start + length as u64);
        let acknowledged = if tcp.flags & ACK == 0 || tcp.flags & RST != 0 {
            0
        } else {
            let other = &mut self.sequences[other];
            other.get_or_insert(Sequence::new(tcp.ack.wrapping_sub(1))).position(tcp.ack)
        };
        Segment { flags: tcp.flags, start, length, acknowledged }
    }

    fn id(&self, ends: Ends, side: usize) -> FlowId {
        let has_roles = ends.source.port() != ends.destination.port();
        let role = u32::from(has_roles && side != self.opener);
        FlowId { ends, service: self.service, role, ordinal: self.ordinal }
    }
}

/// Returns the number of earlier flows with a key, and counts one more.
fn next(ordinals: &mut BTreeMap<ServiceKey, u64>, key: ServiceKey) -> u64 {
    let has_room = ordinals.len() < MOST_SERVICES;
    match ordinals.entry(key) {
        Entry::Occupied(entry) => {
            let next = entry.into_mut();
            *next += 1;
            *next - 1
        }
        Entry::Vacant(entry) => {
            if has_room {
                entry.insert(1);
            }
            0
        }
    }
}

/// Returns whether the source of its first packet opened a flow.
fn is_opened_by_source(ends: &Ends, tcp: Option<Tcp>) -> bool {
    match tcp.map(|tcp| tcp.flags & (SYN | ACK)) {
        Some(SYN) => return true,
        Some(flags) if flags & SYN != 0 => return false,
        _ => {}
    }
    let [source, destination] = [ends.source.port(), ends.destination.port()];
    let are_chosen = [source, destination].map(|port| stable_port(port) != port) == [true; 2];
    are_chosen || source >= destination
}

fn tcp(frame: &Frame<'_>) -> Option<Tcp> {
    let is_fragment = frame.ip.is_some_and(|ip| ip.fragment.is_some());
    match frame.transport {
        Transport::Tcp(tcp) if !is_fragment => Some(tcp),
        _ => None,
    }
}
