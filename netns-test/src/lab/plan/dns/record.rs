//! Records and faults of a plan, checked. Pure.

use std::net::IpAddr;
use std::time::Duration;

use crate::addr::cidr::Subnet;
use crate::lab::topology::Transport;
use crate::lab::topology::dns::fault::{DnsFault, FaultKind};
use crate::lab::topology::dns::name;
use crate::lab::topology::dns::record::{
    ClientKind, DnsClient, Record, RecordData, RecordType, TTL, target,
};
use crate::lab::topology::id::Ids;

/// Most bytes of the data of a record, so that a message of TCP has room for it.
const MOST_DATA: usize = 65_000;

/// Reason, with advice, for which the first name of a zone cannot be an alias.
pub(crate) const APEX_ALIAS: &str =
    "a zone begins there, and cannot be an alias; give it addresses";

/// Largest time to live (RFC 2181, section 8).
const LONGEST_TTL: u64 = (1 << 31) - 1;

/// A record with its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordPlan {
    pub(crate) name: String,
    /// Seconds.
    pub(crate) ttl: u32,
    pub(crate) data: Data,
    /// Clients that see it; empty for all.
    pub(crate) clients: Vec<ClientPlan>,
}

/// Data of a record. Names are canonical.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Address(IpAddr),
    /// Addresses of a node, as the client sees it.
    Node(usize),
    Cname(String),
    Mx(u16, String),
    Ns(String),
    Ptr(String),
    Soa {
        host: String,
        serial: u32,
        minimum: u32,
    },
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Txt(Vec<Vec<u8>>),
    Other(u16, Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientPlan {
    Node(usize),
    Network(Subnet),
}

/// A fault of the names that a pattern matches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FaultPlan {
    /// A canonical name, or one that begins with the label `*`.
    pub(crate) names: String,
    pub(crate) kind: FaultKind,
    pub(crate) times: Option<usize>,
    pub(crate) types: Vec<RecordType>,
    pub(crate) transport: Option<Transport>,
    pub(crate) clients: Vec<ClientPlan>,
}

impl RecordPlan {
    /// Returns a record for all clients, with the usual time to live.
    pub(crate) fn usual(name: &str, data: Data) -> Self {
        Self { name: name.to_owned(), ttl: TTL, data, clients: Vec::new() }
    }
}

impl Data {
    /// Returns the type; none for the addresses of a node, which have one each.
    pub(crate) fn record_type(&self) -> Option<RecordType> {
        Some(match self {
            Self::Address(address) if address.is_ipv4() => RecordType::A,
            Self::Address(_) => RecordType::AAAA,
            Self::Node(_) => return None,
            Self::Cname(_) => RecordType::CNAME,
            Self::Mx(..) => RecordType::MX,
            Self::Ns(_) => RecordType::NS,
            Self::Ptr(_) => RecordType::PTR,
            Self::Soa { .. } => RecordType::SOA,
            Self::Srv { .. } => RecordType::SRV,
            Self::Txt(_) => RecordType::TXT,
            Self::Other(number, _) => RecordType(*number),
        })
    }
}

/// Returns a record as a server has it. The error is a reason with advice.
pub(crate) fn record(name: &str, record: &Record, ids: &Ids) -> Result<RecordPlan, String> {
    let Record { data, ttl, clients } = record;
    let name = name::owner(name)?;
    let data = checked(data, ids)?;
    if name.is_empty() {
        return Err("the root has no records of its own; give a name below it".to_owned());
    }
    let clients = clients.iter().map(|client| self::client(client, ids));
    Ok(RecordPlan { name, ttl: seconds(*ttl)?, data, clients: clients.collect::<Result<_, _>>()? })
}

/// Returns a time to live in seconds.
pub(crate) fn seconds(ttl: Duration) -> Result<u32, String> {
    if ttl.subsec_nanos() != 0 || ttl.as_secs() > LONGEST_TTL {
        return Err(format!(
            "a time to live of {ttl:?}; give whole seconds, from 0 to {LONGEST_TTL}"
        ));
    }
    Ok(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX))
}

/// Returns a fault as a server has it. The error is a reason with advice.
pub(crate) fn fault(names: &str, fault: &DnsFault, ids: &Ids) -> Result<FaultPlan, String> {
    let DnsFault { kind, times, types, transport, clients } = fault;
    let names = name::owner(names)?;
    if *times == Some(0) {
        return Err("it applies 0 times; give 1 or more, or leave it out".to_owned());
    }
    let clients = clients.iter().map(|client| self::client(client, ids));
    Ok(FaultPlan {
        names,
        kind: *kind,
        times: *times,
        types: types.clone(),
        transport: *transport,
        clients: clients.collect::<Result<_, _>>()?,
    })
}

fn client(client: &DnsClient, ids: &Ids) -> Result<ClientPlan, String> {
    match &client.0 {
        ClientKind::Node(node) => node.node(ids).map(ClientPlan::Node).ok_or_else(foreign),
        ClientKind::Network(subnet) => match &subnet.0 {
            Ok(subnet) => Ok(ClientPlan::Network(*subnet)),
            Err(error) => Err(error.to_string()),
        },
    }
}

fn foreign() -> String {
    "a node of another topology; use the ids that this one returned".to_owned()
}

fn checked(data: &RecordData, ids: &Ids) -> Result<Data, String> {
    Ok(match data {
        RecordData::Address(address) => Data::Address(*address),
        RecordData::Node(node) => Data::Node(node.node(ids).ok_or_else(foreign)?),
        RecordData::Cname(to) => Data::Cname(target(to)?),
        RecordData::Mx(preference, host) => Data::Mx(*preference, target(host)?),
        RecordData::Ns(host) => Data::Ns(target(host)?),
        RecordData::Ptr(to) => Data::Ptr(target(to)?),
        RecordData::Srv { priority, weight, port, target: to } => {
            let (priority, weight, port) = (*priority, *weight, *port);
            Data::Srv { priority, weight, port, target: target(to)? }
        }
        RecordData::Txt(strings) => {
            if let Some(long) = strings.iter().find(|one| one.len() > 255) {
                let length = long.len();
                return Err(format!("a string of {length} bytes; at most 255, or use `txt`"));
            }
            if strings.is_empty() {
                return Err("a TXT without a string; give one, which may be empty".to_owned());
            }
            length(strings.iter().map(|one| one.len() + 1).sum())?;
            Data::Txt(strings.clone())
        }
        RecordData::Other(number, data) => {
            let record_type = RecordType(*number);
            if record_type.is_meta() {
                return Err(format!("{record_type} is no type of data; give another"));
            }
            if [RecordType::CNAME, RecordType::NS, RecordType::SOA].contains(&record_type) {
                return Err(format!(
                    "a record {record_type} by its bytes; use `cname` or `ns`, and `zone` for SOA"
                ));
            }
            length(data.len())?;
            Data::Other(*number, data.clone())
        }
    })
}

fn length(bytes: usize) -> Result<(), String> {
    if bytes > MOST_DATA {
        return Err(format!("data of {bytes} bytes; at most {MOST_DATA} fit into a message"));
    }
    Ok(())
}

/// Returns the reason, with advice, for which a name cannot have these records together.
pub(crate) fn conflict(records: &[RecordPlan]) -> Option<&'static str> {
    // Records for some clients replace those for all.
    for one in records.iter().filter(|one| matches!(one.data, Data::Cname(_))) {
        let same = records.iter().filter(|other| other.clients == one.clients);
        if same.count() > 1 {
            return Some(
                "it has a CNAME and another record: an alias has no other (RFC 1034, section \
                 3.6.2); remove one",
            );
        }
    }
    None
}
