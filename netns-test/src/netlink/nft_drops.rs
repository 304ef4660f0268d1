//! Flows whose packets rules of a lab have dropped or rejected: sets that the rules write, since a
//! counter does not say what it has counted.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::Failure;
use crate::netlink::nft::expression::{Header, Meta};
use crate::netlink::nft::list::ElementThere;
use crate::netlink::nft::{Kind, Nft, Rule, Set};

/// Name of the table of a node's NATs and firewall, of family `inet`.
pub(crate) const TABLE: &str = "netns-test";

/// Names of the sets for IPv4 and IPv6.
const NAMES: [&str; 2] = ["dropped", "dropped-6"];

/// Time after which a flow is forgotten.
const TIME: Duration = Duration::from_secs(3600);

/// Packet that a rule sees, by the flow that is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// A packet of the flow.
    Packet,
    /// The answer to a packet of the flow.
    Question,
    /// An ICMP error that has a packet of the flow in it, whose header has no options.
    Quoted,
}

/// A flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Number of the protocol.
    pub(crate) protocol: u8,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

/// Returns the sets.
pub(crate) fn sets() -> [Set; 2] {
    [(NAMES[0], Kind::Ipv4), (NAMES[1], Kind::Ipv6)].map(|(name, address)| {
        Set::of(name, &[address, Kind::Port, Kind::Protocol, address, Kind::Port]).dynamic()
    })
}

/// Ends a rule for packets of a family with the note of their flow. It has no verdict: a full set
/// changes nothing.
pub(crate) fn note(rule: Rule, version: u8, what: Noted) -> Rule {
    let (network, transport) = (Header::Network, Header::Transport);
    if version == 6 {
        let rule = rule.payload(network, 8, 16, 0).payload(transport, 0, 2, 4);
        let rule = rule.meta(Meta::Protocol, 5).payload(network, 24, 16, 6);
        return rule.payload(transport, 2, 2, 10).update(NAMES[1], 0, None, TIME);
    }
    let rule = match what {
        Noted::Packet | Noted::Question => {
            let (from, to) =
                if what == Noted::Packet { ((12, 0), (16, 2)) } else { ((16, 2), (12, 0)) };
            let rule = rule.payload(network, from.0, 4, 0).payload(transport, from.1, 2, 1);
            let rule = rule.meta(Meta::Protocol, 2).payload(network, to.0, 4, 3);
            rule.payload(transport, to.1, 2, 4)
        }
        Noted::Quoted => {
            /// Offset of the packet in an ICMP error, and of the ports in that.
            const QUOTED: u32 = 8;
            const PORTS: u32 = QUOTED + 20;
            let rule = rule.payload(transport, QUOTED + 12, 4, 0).payload(transport, PORTS, 2, 1);
            let rule = rule.payload(transport, QUOTED + 9, 1, 2);
            let rule = rule.payload(transport, QUOTED + 16, 4, 3);
            rule.payload(transport, PORTS + 2, 2, 4)
        }
    };
    rule.update(NAMES[0], 0, None, TIME)
}

/// Lists the flows of the calling thread's network, the latest first.
pub(crate) fn read() -> Result<Vec<Dropped>, Failure> {
    let mut nft = Nft::open()?;
    let mut found = Vec::new();
    for name in NAMES {
        found.extend(nft.elements(TABLE, name)?);
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.expires));
    Ok(found.iter().filter_map(dropped).collect())
}

/// Parses an element, each part of which takes whole words of four bytes.
fn dropped(element: &ElementThere) -> Option<Dropped> {
    let key = element.key.as_slice();
    let length = match key.len() {
        20 => 4,
        44 => 16,
        _ => return None,
    };
    let address = |at: usize| -> Option<IpAddr> {
        let bytes = key.get(at..at + length)?;
        match length {
            4 => Some(IpAddr::from(*bytes.first_chunk::<4>()?)),
            _ => Some(IpAddr::from(*bytes.first_chunk::<16>()?)),
        }
    };
    let port = |at: usize| Some(u16::from_be_bytes(*key.get(at..)?.first_chunk()?));
    let from = SocketAddr::new(address(0)?, port(length)?);
    let to = SocketAddr::new(address(length + 8)?, port(2 * length + 8)?);
    Some(Dropped { protocol: *key.get(length + 4)?, from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_parsed() {
        let element = |key: Vec<u8>| ElementThere { key, data: Vec::new(), expires: None };
        let v4 = [10, 0, 0, 1, 0, 80, 0, 0, 17, 0, 0, 0, 10, 0, 0, 2, 0, 53, 0, 0];
        let found = dropped(&element(v4.to_vec())).unwrap();
        let ends = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:53".parse().unwrap());
        assert_eq!((found.protocol, found.from, found.to), (17, ends.0, ends.1));
        let mut v6 = vec![0; 44];
        (v6[0], v6[15], v6[17], v6[20], v6[24], v6[39], v6[41]) = (0xfd, 1, 80, 6, 0xfd, 2, 53);
        let found = dropped(&element(v6)).unwrap();
        let ends = ("[fd00::1]:80".parse().unwrap(), "[fd00::2]:53".parse().unwrap());
        assert_eq!((found.protocol, found.from, found.to), (6, ends.0, ends.1));
        for length in (0..44).filter(|length| *length != 20) {
            assert_eq!(dropped(&element(vec![0; length])), None, "{length}");
        }
    }
}
