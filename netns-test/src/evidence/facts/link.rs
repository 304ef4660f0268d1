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

/// Numbers of a direction in memory that the body shares with init.
pub(crate) const NUMBERS: usize = 16;

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
        let parts = [
            (self.lost, "lost"),
            (self.dropped_by_rule, "dropped by a rule"),
            (self.dropped_by_queue, "dropped by the full queue"),
            (self.waiting, if self.is_held { "held" } else { "delayed or queued" }),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        parts.map(|(count, what)| format!("{count} {what}")).collect()
    }

    /// Returns it as numbers, without its place. `protocol` is the number of the last one's.
    #[cfg(any(feature = "lab", test))]
    pub(crate) fn to_numbers(&self, protocol: u8) -> [u64; NUMBERS] {
        let ends = |packet: &Packet| packet.from.zip(packet.to);
        let last = self.last.as_ref().and_then(ends);
        let [from, to] = last.map_or([[0; 3]; 2], |(from, to)| [from, to].map(end));
        [
            self.received,
            self.lost,
            self.dropped_by_rule,
            self.dropped_by_queue,
            self.waiting,
            self.is_held.into(),
            self.passed,
            self.in_a_row,
            if last.is_some() { u64::from(protocol) + 1 } else { 0 },
            from[0],
            from[1],
            from[2],
            to[0],
            to[1],
            to[2],
            0,
        ]
    }

    /// Undoes [`Self::to_numbers`]. The numbers may have any value.
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
            number,
            ends @ ..,
        ] = *numbers;
        let last = number.checked_sub(1).map(|number| {
            let found = PROTOCOLS.iter().find(|(other, _)| *other == number);
            Packet {
                protocol: found.map_or("?", |(_, protocol)| protocol).to_owned(),
                from: Some(of_end([ends[0], ends[1], ends[2]])),
                to: Some(of_end([ends[3], ends[4], ends[5]])),
            }
        });
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
            last,
        }
    }
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
        let packet = |from: &str, to: &str| Packet {
            protocol: "udp".into(),
            from: from.parse().ok(),
            to: to.parse().ok(),
        };
        for last in [
            None,
            Some(packet("10.0.0.1:9", "10.0.0.2:65535")),
            Some(packet("[fd00::1]:9", "[fd00::2]:0")),
        ] {
            let way = Way {
                lab: 1,
                link: 2,
                is_back: true,
                received: u64::MAX,
                is_held: true,
                in_a_row: 3,
                last,
                ..Way::default()
            };
            assert_eq!(Way::of_numbers((1, 2, true), &way.to_numbers(17)), way);
        }
        // A body may write anything.
        let way = Way::of_numbers((0, 0, false), &[u64::MAX; NUMBERS]);
        assert_eq!((way.dropped(), way.last.unwrap().protocol), (u64::MAX, "?".to_owned()));
    }
}
