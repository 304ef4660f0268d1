//! Hole punching by UDP between two hosts behind NATs, computed from the words of RFC 4787, and of
//! the sessions of RFC 2663: all packets with one remote endpoint are translated alike, so answers
//! to a packet from outside leave by the endpoint to which it came.

use std::collections::{HashMap, HashSet};

use netns_test::lab::{Filtering, Mapping};

/// Behaviour of a NAT; `None` for a host without one.
pub(crate) type Kind = Option<(Mapping, Filtering)>;

/// Endpoint outside: address and port. The server has address 0, the two sides 1 and 2.
type Endpoint = (u8, u16);

/// Port of a host, inside and, where ports are preserved, outside.
const PORT: u16 = 5000;

const SERVER: Endpoint = (0, 3478);

/// Rounds in which both sides send to all endpoints that they know of the other.
const ROUNDS: usize = 5;

/// One host, the NAT in front of it, and what the host knows of the other side.
struct Side {
    address: u8,
    kind: Kind,
    /// External ports by what the mapping depends on.
    mappings: HashMap<Option<(u8, Option<u16>)>, u16>,
    /// External ports of the sessions by their remote endpoint.
    sessions: HashMap<Endpoint, u16>,
    /// Endpoints to which the host has sent.
    contacted: HashSet<Endpoint>,
    /// Endpoints of the other side: the one that the server sees, and those that were heard.
    peers: Vec<Endpoint>,
    has_heard: bool,
}

impl Side {
    fn new(address: u8, kind: Kind) -> Self {
        let (mappings, sessions, contacted) = (HashMap::new(), HashMap::new(), HashSet::new());
        let peers = Vec::new();
        Self { address, kind, mappings, sessions, contacted, peers, has_heard: false }
    }

    /// Returns the source that a packet to `to` has outside.
    fn send(&mut self, to: Endpoint) -> Endpoint {
        self.contacted.insert(to);
        let Some((mapping, _)) = self.kind else { return (self.address, PORT) };
        if let Some(port) = self.sessions.get(&to) {
            return (self.address, *port);
        }
        let key = match mapping {
            Mapping::EndpointIndependent => None,
            Mapping::AddressDependent => Some((to.0, None)),
            _ => Some((to.0, Some(to.1))),
        };
        // Two mappings never share a port.
        let next = PORT + u16::try_from(self.mappings.len()).unwrap();
        let port = *self.mappings.entry(key).or_insert(next);
        self.sessions.insert(to, port);
        (self.address, port)
    }

    /// Takes a packet from outside, if the NAT lets it in.
    fn receive(&mut self, from: Endpoint, port: u16) {
        let passes = match self.kind {
            None => port == PORT,
            Some((_, filtering)) => {
                self.mappings.values().any(|own| *own == port)
                    && self.sessions.get(&from).is_none_or(|own| *own == port)
                    && match filtering {
                        Filtering::EndpointIndependent => true,
                        Filtering::AddressDependent => {
                            self.contacted.iter().any(|(address, _)| *address == from.0)
                        }
                        _ => self.contacted.contains(&from),
                    }
            }
        };
        if passes {
            self.sessions.insert(from, port);
            self.has_heard = true;
            if !self.peers.contains(&from) {
                self.peers.push(from);
            }
        }
    }
}

/// Returns whether two hosts hear each other: both ask a server for their external endpoints, learn
/// the other's from it, and send to all that they know.
pub(crate) fn can_punch(kinds: [Kind; 2]) -> bool {
    let [mut one, mut other] = [Side::new(1, kinds[0]), Side::new(2, kinds[1])];
    let (of_one, of_other) = (one.send(SERVER), other.send(SERVER));
    one.peers.push(of_other);
    other.peers.push(of_one);
    for _ in 0..ROUNDS {
        pass(&mut one, &mut other);
        pass(&mut other, &mut one);
    }
    one.has_heard && other.has_heard
}

fn pass(from: &mut Side, to: &mut Side) {
    for peer in from.peers.clone() {
        let source = from.send(peer);
        to.receive(source, peer.1);
    }
}

#[test]
fn theory_says_what_is_known_of_the_old_words() {
    let [full, restricted, port_restricted] = [
        Filtering::EndpointIndependent,
        Filtering::AddressDependent,
        Filtering::AddressAndPortDependent,
    ]
    .map(|filtering| Some((Mapping::EndpointIndependent, filtering)));
    let symmetric = Some((Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent));
    let kinds = [None, full, restricted, port_restricted, symmetric];
    // RFC 5128, section 3.3; the table is in every text about STUN.
    for one in kinds {
        for other in kinds {
            let is_hard = |kind: Kind| kind == symmetric || kind == port_restricted;
            let fails =
                (one == symmetric && is_hard(other)) || (other == symmetric && is_hard(one));
            assert_eq!(can_punch([one, other]), !fails, "{one:?} {other:?}");
        }
    }
}
