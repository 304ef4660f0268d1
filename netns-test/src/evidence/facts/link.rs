//! One direction of a link that passes the engine: what it has passed on, and what not. Pure.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::evidence::code::facts;

facts! {
    /// A direction of a link.
    struct Way {
        /// Number of the lab.
        lab: u32,
        /// Position of the link in the list of its lab.
        link: u32,
        /// Whether it leads from the second end of the link to the first one.
        is_back: bool,
        received: u64,
        lost: u64,
        dropped_by_rule: u64,
        dropped_by_queue: u64,
        /// Packets that are held, in the queue, or delayed.
        waiting: u64,
        is_held: bool,
        /// Frames that were passed on, without neighbour resolution and multicast.
        passed: u64,
        /// Such frames that were lost, dropped or held since one was passed on.
        in_a_row: u64,
        /// The last one of these.
        last: Option<Packet>,
        /// Flows of which such frames were stopped: the last few, the last one last.
        flows: Vec<Stopped>,
        /// Number of such flows before these.
        others: u64,
    }
}

facts! {
    /// Flow of a packet. A port is 0 where there is none.
    struct Packet {
        /// `tcp`, `udp`, `icmp`, or `?`.
        protocol: String,
        from: Option<SocketAddr>,
        to: Option<SocketAddr>,
    }
}

facts! {
    /// Packets of a flow that a direction of a link has stopped.
    struct Stopped {
        packet: Packet,
        lost: u64,
        dropped_by_rule: u64,
        dropped_by_queue: u64,
        /// Packets that are held now.
        held: u64,
        /// Frames that were stopped since one was passed on.
        in_a_row: u64,
        /// Frames that were passed on since the first was stopped.
        passed: u64,
        /// Whether none was passed on before: it begins with a TCP SYN or its answer.
        is_whole: bool,
    }
}

/// Numbers of a direction in memory that the body shares with init.
pub(crate) const NUMBERS: usize = FIRST_FLOW + FLOWS * OF_FLOW;

/// Place of the number that is odd while the others are written.
pub(crate) const VERSION: usize = 15;

/// Most flows of a direction.
pub(crate) const FLOWS: usize = 4;

/// The numbers before those of the last packet and of flows, which change more often.
pub(crate) const COUNTS: usize = 8;

const LAST: usize = COUNTS;
const OTHERS: usize = 16;
const FIRST_FLOW: usize = 17;

/// Numbers of the ends of a packet with its protocol, and of a flow.
const OF_PACKET: usize = 7;
const OF_FLOW: usize = OF_PACKET + 7;

/// Protocols by their numbers (RFC 5237).
const PROTOCOLS: [(u64, &str); 4] = [(6, "tcp"), (17, "udp"), (1, "icmp"), (58, "icmp")];

impl Way {
    /// Returns the packets that were not passed on and do not wait.
    pub(crate) const fn dropped(&self) -> u64 {
        self.lost.saturating_add(self.dropped_by_rule).saturating_add(self.dropped_by_queue)
    }

    /// Returns the packets that have not passed in words, by what has stopped them; none if all
    /// have.
    pub(crate) fn stopped(&self) -> Vec<String> {
        let waits = if self.is_held { "held" } else { "delayed or queued" };
        words([self.lost, self.dropped_by_rule, self.dropped_by_queue], (self.waiting, waits))
    }

    /// Returns its first numbers: all but its last packet and its flows ([`of_flows`]).
    #[cfg(any(feature = "lab", test))]
    pub(crate) fn to_counts(&self) -> [u64; COUNTS] {
        [
            self.received,
            self.lost,
            self.dropped_by_rule,
            self.dropped_by_queue,
            self.waiting,
            self.is_held.into(),
            self.passed,
            self.in_a_row,
        ]
    }

    /// Returns a direction from its numbers, which may have any value.
    pub(crate) fn of_numbers(place: (u32, u32, bool), numbers: &[u64; NUMBERS]) -> Self {
        let (lab, link, is_back) = place;
        let [
            received,
            lost,
            dropped_by_rule,
            dropped_by_queue,
            waiting,
            is_held,
            passed,
            in_a_row,
            ..,
        ] = *numbers;
        let flow = |numbers: &[u64]| {
            let (packet, counts) = numbers.split_at(OF_PACKET);
            let packet = Packet::of_numbers(packet)?;
            Some(Stopped {
                packet,
                lost: counts[0],
                dropped_by_rule: counts[1],
                dropped_by_queue: counts[2],
                held: counts[3],
                in_a_row: counts[4],
                passed: counts[5],
                is_whole: counts[6] != 0,
            })
        };
        Self {
            lab,
            link,
            is_back,
            received,
            lost,
            dropped_by_rule,
            dropped_by_queue,
            waiting,
            is_held: is_held != 0,
            passed,
            in_a_row,
            last: Packet::of_numbers(&numbers[LAST..VERSION]),
            flows: numbers[FIRST_FLOW..].chunks(OF_FLOW).filter_map(flow).collect(),
            others: numbers[OTHERS],
        }
    }

    /// Returns numbers without those of flows, and with one more flow that is not listed.
    pub(crate) fn without_flows(mut numbers: [u64; NUMBERS]) -> [u64; NUMBERS] {
        numbers[LAST..].fill(0);
        numbers[OTHERS] = 1;
        numbers
    }
}

impl Stopped {
    /// Returns the packets that are lost for good.
    pub(crate) const fn dropped(&self) -> u64 {
        self.lost.saturating_add(self.dropped_by_rule).saturating_add(self.dropped_by_queue)
    }

    /// Returns the packets that have not passed in words, by what has stopped them.
    pub(crate) fn stopped(&self) -> Vec<String> {
        words([self.lost, self.dropped_by_rule, self.dropped_by_queue], (self.held, "held"))
    }
}

impl Packet {
    fn of_numbers(numbers: &[u64]) -> Option<Self> {
        Some(Self {
            protocol: word(numbers[0].checked_sub(1)?).to_owned(),
            from: Some(of_end([numbers[1], numbers[2], numbers[3]])),
            to: Some(of_end([numbers[4], numbers[5], numbers[6]])),
        })
    }
}

/// A flow as the number of its protocol and its ends.
#[cfg(any(feature = "lab", test))]
pub(crate) type Ends = (u8, SocketAddr, SocketAddr);

/// Counts of a flow: the fields of [`Stopped`] in their order.
#[cfg(any(feature = "lab", test))]
pub(crate) type Counts = [u64; OF_FLOW - OF_PACKET];

/// Returns the numbers of a direction that concern its last packet and its flows, at most
/// [`FLOWS`], which were stopped. All others, and [`VERSION`], are 0.
#[cfg(any(feature = "lab", test))]
pub(crate) fn of_flows(
    last: Option<Ends>,
    flows: impl Iterator<Item = (Ends, Counts)>,
    others: u64,
) -> [u64; NUMBERS] {
    let mut numbers = [0; NUMBERS];
    if let Some(last) = last {
        numbers[LAST..VERSION].copy_from_slice(&packet(last));
    }
    for (place, (flow, counts)) in numbers[FIRST_FLOW..].chunks_exact_mut(OF_FLOW).zip(flows) {
        place[..OF_PACKET].copy_from_slice(&packet(flow));
        place[OF_PACKET..].copy_from_slice(&counts);
    }
    numbers[OTHERS] = others;
    numbers
}

#[cfg(any(feature = "lab", test))]
fn packet((protocol, from, to): Ends) -> [u64; OF_PACKET] {
    let [from, to] = [end(from), end(to)];
    // 0 is no packet.
    [u64::from(protocol) + 1, from[0], from[1], from[2], to[0], to[1], to[2]]
}

/// Returns the counts that are not 0 with their words: by loss, rule and queue, and of what waits.
fn words([lost, by_rule, by_queue]: [u64; 3], waiting: (u64, &str)) -> Vec<String> {
    let parts = [
        (lost, "lost"),
        (by_rule, "dropped by a rule"),
        (by_queue, "dropped by the full queue"),
        waiting,
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, what)| format!("{count} {what}")).collect()
}

/// Returns the word of a protocol.
fn word(number: u64) -> &'static str {
    PROTOCOLS.iter().find(|(other, _)| *other == number).map_or("?", |(_, word)| word)
}

#[cfg(any(feature = "lab", test))]
fn end(end: SocketAddr) -> [u64; 3] {
    let ip = match end.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let bits = u128::from(ip);
    [(bits >> 64) as u64, bits as u64, end.port().into()]
}

fn of_end([high, low, port]: [u64; 3]) -> SocketAddr {
    let ip = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low));
    SocketAddr::new(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4), port as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        let ends = |from: &str, to: &str| (from.parse().unwrap(), to.parse().unwrap());
        let (one, other) = ends("10.0.0.1:9", "10.0.0.2:65535");
        let (six, more) = ends("[fd00::1]:0", "[fd00::2]:0");
        for (word, (protocol, from, to)) in
            [("udp", (17, one, other)), ("icmp", (58, six, more)), ("?", (132, other, six))]
        {
            let packet = Packet { protocol: word.into(), from: Some(from), to: Some(to) };
            let mut way = Way {
                lab: 1,
                link: 2,
                is_back: true,
                received: u64::MAX,
                is_held: true,
                in_a_row: 3,
                others: 7,
                ..Way::default()
            };
            let ends = (protocol, from, to);
            for count in 0..=FLOWS {
                let flows = std::iter::repeat_n((ends, [1, 2, 3, 4, 5, 6, 1]), count);
                let mut numbers = of_flows((count > 0).then_some(ends), flows, 7);
                assert_eq!(numbers[VERSION], 0);
                numbers[..COUNTS].copy_from_slice(&way.to_counts());
                assert_eq!(Way::of_numbers((1, 2, true), &numbers), way);
                way.last = Some(packet.clone());
                way.flows.push(Stopped {
                    packet: packet.clone(),
                    lost: 1,
                    dropped_by_rule: 2,
                    dropped_by_queue: 3,
                    held: 4,
                    in_a_row: 5,
                    passed: 6,
                    is_whole: true,
                });
            }
        }
        // A body may write anything.
        let way = Way::of_numbers((0, 0, false), &[u64::MAX; NUMBERS]);
        assert_eq!((way.dropped(), way.last.unwrap().protocol), (u64::MAX, "?".to_owned()));
        assert_eq!(way.flows[FLOWS - 1].dropped(), u64::MAX);
    }
}
