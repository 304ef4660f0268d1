//! Records of a name server, and their types. Pure.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::addr::cidr::Subnet;
use crate::lab::topology::dns::name;
use crate::lab::topology::id::{Ids, NodeId};
use crate::lab::topology::input::SubnetArg;
use crate::lab::topology::nat::reference::Reference;

/// Time to live of a record, if none is given.
pub(crate) const TTL: u32 = 60;

/// Resource record of a name server (RFC 1035, section 3.2): a value, which
/// [`DnsSpec::record`](super::DnsSpec::record) and [`LabDns::set`](crate::lab::LabDns::set) give a
/// name.
///
/// Names are texts such as `www.example.com`, with or without a dot at the end; case does not
/// matter. Values that cannot be used are reported by [`Topology::plan`](crate::Topology::plan).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub(crate) data: RecordData,
    pub(crate) ttl: Duration,
    /// Clients that see it; empty for all.
    pub(crate) clients: Vec<DnsClient>,
}

/// Data of a record, as the caller has written it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RecordData {
    Address(IpAddr),
    /// Addresses at which the client reaches a node.
    Node(Reference<NodeId>),
    Cname(String),
    Mx(u16, String),
    Ns(String),
    Ptr(String),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Txt(Vec<Vec<u8>>),
    Other(u16, Vec<u8>),
}

/// Client of a name server, for records and faults that not all clients see: a node, or all nodes
/// of a subnet (`"10.1.0.0/16"`), by the address from which they ask.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsClient(pub(crate) ClientKind);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClientKind {
    Node(Reference<NodeId>),
    Network(SubnetArg),
}

/// Type of a record, by its number. `Display` writes `AAAA` or `TYPE65`, as RFC 3597 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

impl Record {
    /// Creates a record A or AAAA.
    ///
    /// ```
    /// use netns_test::lab::Record;
    ///
    /// assert_eq!(Record::address([192, 0, 2, 7]).to_string(), "60 A 192.0.2.7");
    /// ```
    #[must_use]
    pub fn address(address: impl Into<IpAddr>) -> Self {
        Self::new(RecordData::Address(address.into()))
    }

    /// Creates records A and AAAA with the addresses of a node. Each client gets those at which it
    /// reaches the node, as in `/etc/hosts`.
    #[must_use]
    pub fn node(node: NodeId) -> Self {
        Self::new(RecordData::Node(Reference::Id(node)))
    }

    /// Creates a record CNAME: the name is an alias of `target`, and can have no other record.
    #[must_use]
    pub fn cname(target: impl Into<String>) -> Self {
        Self::new(RecordData::Cname(target.into()))
    }

    /// Creates a record MX: mail for the name goes to `host`. The lowest preference comes first.
    #[must_use]
    pub fn mx(preference: u16, host: impl Into<String>) -> Self {
        Self::new(RecordData::Mx(preference, host.into()))
    }

    /// Creates a record NS: the zone of this name is served by `host`. Below the top of a zone it
    /// is a delegation; [`DnsSpec::delegate`](super::DnsSpec::delegate) writes it with addresses.
    #[must_use]
    pub fn ns(host: impl Into<String>) -> Self {
        Self::new(RecordData::Ns(host.into()))
    }

    /// Creates a record PTR, such as for `7.2.0.192.in-addr.arpa`.
    #[must_use]
    pub fn ptr(target: impl Into<String>) -> Self {
        Self::new(RecordData::Ptr(target.into()))
    }

    /// Creates a record SRV (RFC 2782), for a name such as `_sip._udp.example.com`.
    #[must_use]
    pub fn srv(priority: u16, weight: u16, port: u16, target: impl Into<String>) -> Self {
        Self::new(RecordData::Srv { priority, weight, port, target: target.into() })
    }

    /// Creates a record TXT. A text of more than 255 bytes becomes several strings of the record.
    #[must_use]
    pub fn txt(text: impl AsRef<[u8]>) -> Self {
        let parts: Vec<Vec<u8>> = text.as_ref().chunks(255).map(<[u8]>::to_vec).collect();
        Self::new(RecordData::Txt(if parts.is_empty() { vec![Vec::new()] } else { parts }))
    }

    /// Creates a record TXT of these strings, each of at most 255 bytes.
    #[must_use]
    pub fn txt_strings<T: AsRef<[u8]>>(strings: impl IntoIterator<Item = T>) -> Self {
        let strings = strings.into_iter().map(|one| one.as_ref().to_vec());
        Self::new(RecordData::Txt(strings.collect()))
    }

    /// Creates a record of another type, such as CAA (257), with its data as in a message (RFC
    /// 3597). Names in the data are not compressed.
    #[must_use]
    pub fn other(record_type: RecordType, data: impl Into<Vec<u8>>) -> Self {
        Self::new(RecordData::Other(record_type.0, data.into()))
    }

    /// Sets the time to live in whole seconds, from 0 to 2³¹ − 1 (RFC 2181, section 8). The default
    /// is 60 seconds.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// Shows the record to this client only, and to those of further calls. For them it replaces
    /// the records of this name and type that all clients see: a split view.
    #[must_use]
    pub fn only_for(mut self, client: impl Into<DnsClient>) -> Self {
        self.clients.push(client.into());
        self
    }

    fn new(data: RecordData) -> Self {
        Self { data, ttl: Duration::from_secs(TTL.into()), clients: Vec::new() }
    }

    /// Replaces ids of nodes by positions.
    pub(crate) fn resolve(&mut self, ids: &Ids) {
        if let RecordData::Node(node) = &mut self.data {
            node.resolve(ids);
        }
        self.clients.iter_mut().for_each(|client| client.resolve(ids));
    }
}

impl DnsClient {
    pub(crate) fn resolve(&mut self, ids: &Ids) {
        if let ClientKind::Node(node) = &mut self.0 {
            node.resolve(ids);
        }
    }
}

impl From<NodeId> for DnsClient {
    fn from(node: NodeId) -> Self {
        Self(ClientKind::Node(Reference::Id(node)))
    }
}

impl From<&str> for DnsClient {
    fn from(subnet: &str) -> Self {
        Self(ClientKind::Network(subnet.into()))
    }
}

impl From<Subnet> for DnsClient {
    fn from(subnet: Subnet) -> Self {
        Self(ClientKind::Network(subnet.into()))
    }
}

impl RecordType {
    /// Address, IPv4.
    pub const A: Self = Self(1);
    /// Name server.
    pub const NS: Self = Self(2);
    /// Alias.
    pub const CNAME: Self = Self(5);
    /// Start of a zone.
    pub const SOA: Self = Self(6);
    /// Name of an address.
    pub const PTR: Self = Self(12);
    /// Host for mail.
    pub const MX: Self = Self(15);
    /// Text.
    pub const TXT: Self = Self(16);
    /// Address, IPv6 (RFC 3596).
    pub const AAAA: Self = Self(28);
    /// Service (RFC 2782).
    pub const SRV: Self = Self(33);
    /// Request for all types.
    pub const ANY: Self = Self(255);

    const NAMES: [(Self, &str); 18] = [
        (Self::A, "A"),
        (Self::NS, "NS"),
        (Self::CNAME, "CNAME"),
        (Self::SOA, "SOA"),
        (Self::PTR, "PTR"),
        (Self::MX, "MX"),
        (Self::TXT, "TXT"),
        (Self::AAAA, "AAAA"),
        (Self::SRV, "SRV"),
        (Self::ANY, "ANY"),
        (Self(35), "NAPTR"),
        (Self(43), "DS"),
        (Self(48), "DNSKEY"),
        (Self(52), "TLSA"),
        (Self(64), "SVCB"),
        (Self(65), "HTTPS"),
        (Self(252), "AXFR"),
        (Self(257), "CAA"),
    ];

    /// Returns whether records of this type are no data of a zone: queries and signatures of
    /// messages (RFC 6895, section 3.1).
    pub(crate) const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(one, _)| one == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// Writes the time to live, the type and the data: `60 MX 10 mail.example.com`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ttl.as_secs(), self.data)
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) if address.is_ipv4() => write!(f, "A {address}"),
            Self::Address(address) => write!(f, "AAAA {address}"),
            Self::Node(Reference::Id(node)) => write!(f, "addresses of {node}"),
            Self::Node(Reference::Index(Some(index))) => write!(f, "addresses of node {index}"),
            Self::Node(Reference::Index(None)) => f.write_str("addresses of an unknown node"),
            Self::Cname(target) => write!(f, "CNAME {target}"),
            Self::Mx(preference, host) => write!(f, "MX {preference} {host}"),
            Self::Ns(host) => write!(f, "NS {host}"),
            Self::Ptr(target) => write!(f, "PTR {target}"),
            Self::Srv { priority, weight, port, target } => {
                write!(f, "SRV {priority} {weight} {port} {target}")
            }
            Self::Txt(strings) => {
                f.write_str("TXT")?;
                strings.iter().try_for_each(|one| write!(f, " \"{}\"", one.escape_ascii()))
            }
            Self::Other(number, data) => {
                write!(f, "{} \\# {} ", RecordType(*number), data.len())?;
                data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// Returns the name under which an address is looked up (RFC 1035, section 3.5; RFC 3596).
pub(crate) fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let octets = address.octets();
            let nibbles = octets.iter().rev().map(|one| format!("{:x}.{:x}.", one & 15, one >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    }
}

/// Returns the labels of a canonical name in reverse order: names below another one are a range of
/// these texts.
pub(crate) fn sort_key(name: &str) -> String {
    name.rsplit('.').filter(|label| !label.is_empty()).map(|label| format!("{label}\0")).collect()
}

/// Returns the mistake in a name that a record refers to, or its form.
pub(crate) fn target(text: &str) -> Result<String, String> {
    name::canonical(text).map_err(|why| format!("the name `{text}`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (record, text) in [
            (Record::address([10, 0, 0, 7]), "60 A 10.0.0.7"),
            (Record::cname("a.b").ttl(Duration::ZERO), "0 CNAME a.b"),
            (Record::srv(1, 2, 443, "x"), "60 SRV 1 2 443 x"),
            (Record::txt("say \"hi\""), "60 TXT \"say \\\"hi\\\"\""),
            (Record::other(RecordType(65), [1, 171]), "60 HTTPS \\# 2 01ab"),
        ] {
            assert_eq!(record.to_string(), text);
        }
        let RecordData::Txt(strings) = Record::txt("a".repeat(600)).data else { panic!() };
        assert_eq!(strings.iter().map(Vec::len).collect::<Vec<_>>(), [255, 255, 90]);
        assert_eq!(RecordType(65_400).to_string(), "TYPE65400");
    }

    #[test]
    fn addresses_have_reverse_names() {
        assert_eq!(reverse([192, 0, 2, 7].into()), "7.2.0.192.in-addr.arpa");
        let v6: IpAddr = "2001:db8::567:89ab".parse().unwrap();
        let name = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(reverse(v6), name);
    }
}
