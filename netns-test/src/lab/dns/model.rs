//! Queries that servers have got, and their answers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::lab::plan::dns::record::Data;
use crate::lab::topology::Transport;
use crate::lab::topology::dns::fault::FaultKind;
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::{RecordData, RecordType};

/// Query that a name server has got, and its answer
/// ([`LabDns::queries`](crate::lab::LabDns::queries)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsQuery {
    /// Node of the server; for the server of all nodes the node that has asked.
    pub server: String,
    /// Node that has asked, by its address: behind a NAT the router. `None` if no node has it.
    pub node: Option<String>,
    /// Address and port of the client.
    pub from: SocketAddr,
    /// Name in lower case, without a dot at the end; `.` is the root.
    pub name: String,
    /// Type.
    pub record_type: RecordType,
    /// UDP or TCP.
    pub transport: Transport,
    /// Time of the arrival.
    pub at: Instant,
    /// The answer.
    pub answer: DnsAnswer,
    /// True if a fault has decided the answer.
    pub is_fault: bool,
}

/// Answer of a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsAnswer {
    /// Records, each as `A 10.0.0.1`.
    Records(Vec<String>),
    /// The name exists, without a record of the type (NODATA of RFC 2308).
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Other servers know more.
    Referral,
    /// The flag TC: the answer was too long for UDP.
    Truncated,
    /// Failure of the server, or of another one that it has asked.
    ServFail,
    /// The server does not serve the zone, or does not want to answer.
    Refused,
    /// The query was no DNS message, or an opcode or version that the server does not know.
    Malformed,
    /// No answer.
    Nothing,
}

/// Writes `client 10.0.0.1:40000 asked ns for web A by udp: A 10.0.0.2`.
impl fmt::Display for DnsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, node, from, record_type, transport, answer, is_fault, .. } = self;
        let node = node.as_deref().unwrap_or("?");
        let (name, how) = (&self.name, if *is_fault { " (fault)" } else { "" });
        write!(
            f,
            "{node} {from} asked {server} for {name} {record_type} by {transport}: {answer}{how}"
        )
    }
}

impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records(records) => return f.write_str(&records.join(", ")),
            Self::NoData => "no such record",
            Self::NxDomain => "NXDOMAIN",
            Self::Referral => "referral",
            Self::Truncated => "truncated",
            Self::ServFail => "SERVFAIL",
            Self::Refused => "REFUSED",
            Self::Malformed => "malformed",
            Self::Nothing => "no answer",
        })
    }
}

impl DnsAnswer {
    /// Returns the answer that a fault stands for; none if it is the right one.
    pub(crate) fn of_fault(kind: FaultKind) -> Option<Self> {
        Some(match kind {
            FaultKind::ServFail => Self::ServFail,
            FaultKind::NxDomain => Self::NxDomain,
            FaultKind::Refused => Self::Refused,
            FaultKind::NoAnswer => Self::Nothing,
            FaultKind::Truncated => Self::Truncated,
            FaultKind::Lame => Self::Referral,
            FaultKind::Slow(_) | FaultKind::WrongId => return None,
        })
    }
}

/// Returns type and data of a record: `A 10.0.0.1`.
pub(crate) fn data_text(data: &Data) -> String {
    let name = |text: &str| name::text(text).to_owned();
    match data {
        Data::Address(IpAddr::V4(address)) => format!("A {address}"),
        Data::Address(IpAddr::V6(address)) => format!("AAAA {address}"),
        Data::Node(node) => format!("addresses of node {node}"),
        Data::Cname(target) => format!("CNAME {}", name(target)),
        Data::Mx(preference, host) => format!("MX {preference} {}", name(host)),
        Data::Ns(host) => format!("NS {}", name(host)),
        Data::Ptr(target) => format!("PTR {}", name(target)),
        Data::Soa { host, serial, .. } => format!("SOA {} {serial}", name(host)),
        Data::Srv { priority, weight, port, target } => {
            format!("SRV {priority} {weight} {port} {}", name(target))
        }
        Data::Txt(strings) => RecordData::Txt(strings.clone()).to_string(),
        Data::Other(number, bytes) => RecordData::Other(*number, bytes.clone()).to_string(),
    }
}

/// Returns the text of a canonical name.
pub(crate) fn shown(name: &str) -> String {
    name::text(name).to_owned()
}
