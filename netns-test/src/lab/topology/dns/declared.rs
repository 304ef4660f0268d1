//! Declared name servers as the topology stores them. Pure.

use std::time::Duration;

use crate::lab::topology::dns::fault::DnsFault;
use crate::lab::topology::dns::record::Record;

/// Time for which a client may remember that a name does not exist, if none is given.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);

/// A declared name server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredDns {
    pub(crate) place: DnsPlace,
    pub(crate) zones: Vec<String>,
    pub(crate) records: Vec<(String, Record)>,
    /// Zones that other nodes serve; `None` for the id of another topology.
    pub(crate) delegations: Vec<(String, Option<usize>)>,
    pub(crate) faults: Vec<(String, DnsFault)>,
    /// Nodes that use it; `None` for all that have no server of their own.
    pub(crate) clients: Option<Vec<Option<usize>>>,
    /// Domains in which its clients seek a name.
    pub(crate) search: Vec<String>,
    pub(crate) is_authoritative: bool,
    pub(crate) negative_ttl: Duration,
}

/// Place of a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DnsPlace {
    /// `None` for the id of another topology.
    Node(Option<usize>),
    /// On every node, at an address of its own.
    Everywhere,
}

impl DeclaredDns {
    pub(crate) fn new(place: DnsPlace) -> Self {
        Self {
            place,
            zones: Vec::new(),
            records: Vec::new(),
            delegations: Vec::new(),
            faults: Vec::new(),
            clients: None,
            search: Vec::new(),
            is_authoritative: false,
            negative_ttl: NEGATIVE_TTL,
        }
    }
}
