//! Faults of a name server. Pure.

use std::fmt;
use std::time::Duration;

use crate::lab::topology::dns::record::{DnsClient, RecordType};
use crate::lab::topology::id::Ids;
use crate::lab::topology::nat::model::Transport;

/// Fault of a name server: a value, which [`LabDns::fault`](crate::lab::LabDns::fault) and
/// [`DnsSpec::fault`](super::DnsSpec::fault) apply to names.
///
/// ```
/// use netns_test::lab::{DnsFault, RecordType, Transport};
///
/// let fault = DnsFault::no_answer().times(2).of_type(RecordType::AAAA).over(Transport::Udp);
/// assert_eq!(fault.to_string(), "no answer, 2 times, for AAAA, over udp");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DnsFault {
    pub(crate) kind: FaultKind,
    /// Number of queries that it applies to; `None` for all.
    pub(crate) times: Option<usize>,
    /// Types of queries; empty for all.
    pub(crate) types: Vec<RecordType>,
    pub(crate) transport: Option<Transport>,
    /// Clients; empty for all.
    pub(crate) clients: Vec<DnsClient>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    ServFail,
    NxDomain,
    Refused,
    NoAnswer,
    Slow(Duration),
    Truncated,
    WrongId,
    Lame,
}

impl DnsFault {
    /// Creates SERVFAIL: the server has a failure.
    #[must_use]
    pub fn servfail() -> Self {
        Self::new(FaultKind::ServFail)
    }

    /// Creates NXDOMAIN: the name does not exist.
    #[must_use]
    pub fn nxdomain() -> Self {
        Self::new(FaultKind::NxDomain)
    }

    /// Creates REFUSED: the server does not want to answer.
    #[must_use]
    pub fn refused() -> Self {
        Self::new(FaultKind::Refused)
    }

    /// Creates silence: queries get no answer. A connection by TCP stays open.
    #[must_use]
    pub fn no_answer() -> Self {
        Self::new(FaultKind::NoAnswer)
    }

    /// Creates a delay: the right answer comes this much later.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self::new(FaultKind::Slow(delay))
    }

    /// Creates truncation: answers by UDP have no records and the flag TC, so that clients ask by
    /// TCP. Answers by TCP are right.
    #[must_use]
    pub fn truncated() -> Self {
        Self::new(FaultKind::Truncated)
    }

    /// Creates a wrong id: the right answer, with an id that is of no query.
    #[must_use]
    pub fn wrong_id() -> Self {
        Self::new(FaultKind::WrongId)
    }

    /// Creates a lame delegation: the server says that it does not serve the zone, by a referral to
    /// the root (RFC 1912, section 2.8).
    #[must_use]
    pub fn lame() -> Self {
        Self::new(FaultKind::Lame)
    }

    /// Limits the fault to this number of queries, from the first one on.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self { times: Some(count), ..self }
    }

    /// Limits the fault to queries for this type, and those of further calls.
    #[must_use]
    pub fn of_type(mut self, record_type: RecordType) -> Self {
        self.types.push(record_type);
        self
    }

    /// Limits the fault to queries by UDP or by TCP.
    #[must_use]
    pub fn over(self, transport: Transport) -> Self {
        Self { transport: Some(transport), ..self }
    }

    /// Limits the fault to queries of this client, and those of further calls.
    #[must_use]
    pub fn only_for(mut self, client: impl Into<DnsClient>) -> Self {
        self.clients.push(client.into());
        self
    }

    fn new(kind: FaultKind) -> Self {
        Self { kind, times: None, types: Vec::new(), transport: None, clients: Vec::new() }
    }

    /// Replaces ids of nodes by positions.
    pub(crate) fn resolve(&mut self, ids: &Ids) {
        self.clients.iter_mut().for_each(|client| client.resolve(ids));
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::Refused => "REFUSED",
            Self::NoAnswer => "no answer",
            Self::Slow(delay) => return write!(f, "answer after {delay:?}"),
            Self::Truncated => "truncated answer",
            Self::WrongId => "answer with a wrong id",
            Self::Lame => "lame delegation",
        })
    }
}

/// Writes `SERVFAIL, 2 times`.
impl fmt::Display for DnsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, times, types, transport, clients } = self;
        write!(f, "{kind}")?;
        if let Some(times) = times {
            write!(f, ", {times} times")?;
        }
        for (at, one) in types.iter().enumerate() {
            write!(f, "{}{one}", if at == 0 { ", for " } else { " and " })?;
        }
        if let Some(transport) = transport {
            write!(f, ", over {transport}")?;
        }
        if !clients.is_empty() {
            f.write_str(", for some clients")?;
        }
        Ok(())
    }
}
