//! Builder of a name server. It stores what the caller passes; `Topology::plan` checks it. Pure.

pub(crate) mod declare;
pub(crate) mod declared;
pub(crate) mod fault;
pub(crate) mod name;
pub(crate) mod record;
pub(crate) mod text;

use std::time::Duration;

use crate::lab::topology::dns::declared::DeclaredDns;
use crate::lab::topology::dns::fault::DnsFault;
use crate::lab::topology::dns::record::Record;
use crate::lab::topology::id::{Ids, NodeId};

/// Declares what a name server knows, and who uses it; returned by
/// [`Topology::dns`](crate::Topology::dns) and
/// [`Topology::dns_everywhere`](crate::Topology::dns_everywhere).
///
/// Values that cannot be used, such as a record beside a CNAME, are reported by
/// [`Topology::plan`](crate::Topology::plan).
#[derive(Debug)]
pub struct DnsSpec<'a> {
    server: &'a mut DeclaredDns,
    ids: &'a Ids,
}

#[expect(clippy::must_use_candidate, reason = "each call changes the server; chaining is optional")]
impl<'a> DnsSpec<'a> {
    pub(crate) fn new(server: &'a mut DeclaredDns, ids: &'a Ids) -> Self {
        Self { server, ids }
    }

    /// Adds a record of a name. A name can have several, of one type too; a client gets them in
    /// this order. As the first label, `*` stands for all names that have no record themselves
    /// (RFC 4592).
    ///
    /// The records of a name and type replace those that the server knows from the nodes.
    pub fn record(self, name: impl Into<String>, mut record: Record) -> Self {
        record.resolve(self.ids);
        self.server.records.push((name.into(), record));
        self
    }

    /// Makes the server the authority for a zone: it has records SOA and NS then, and negative
    /// answers about names in it have its SOA. All other names are of the zone `.`.
    pub fn zone(self, name: impl Into<String>) -> Self {
        self.server.zones.push(name.into());
        self
    }

    /// Delegates a zone to the name server of another node, which declares it as its
    /// [`zone`](Self::zone), or which is a program of the test. Several calls delegate it to
    /// several nodes.
    ///
    /// A query without the flag RD, such as that of a recursive resolver, gets a referral: NS, and
    /// the addresses of the node as glue. For a query with RD, as that of `getaddrinfo(3)`, the
    /// server asks the node itself, by UDP over the network of the lab, and passes the answer on.
    pub fn delegate(self, zone: impl Into<String>, to: NodeId) -> Self {
        let to = self.ids.node(to);
        self.server.delegations.push((zone.into(), to));
        self
    }

    /// Applies a fault to a name, from the build on. `*.example.com` is all names below
    /// `example.com`, and `*` all names. If several faults match, that of the last call applies.
    pub fn fault(self, names: impl Into<String>, mut fault: DnsFault) -> Self {
        fault.resolve(self.ids);
        self.server.faults.push((names.into(), fault));
        self
    }

    /// Makes these nodes the ones that use the server, and none else. With an empty list it is for
    /// delegations and for programs that know it.
    pub fn used_by(self, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let nodes = nodes.into_iter().map(|node| self.ids.node(node)).collect::<Vec<_>>();
        self.server.clients.get_or_insert_default().extend(nodes);
        self
    }

    /// Adds a domain in which the nodes that use the server seek names without a dot (`search` of
    /// resolv.conf(5)).
    pub fn search(self, domain: impl Into<String>) -> Self {
        self.server.search.push(domain.into());
        self
    }

    /// Makes the server know nothing but its [zones](Self::zone): it refuses all other names,
    /// nodes among them, and does not ask others.
    pub fn authoritative_only(self) -> Self {
        self.server.is_authoritative = true;
        self
    }

    /// Sets the time in whole seconds for which a client may remember that a name or a type does
    /// not exist (RFC 2308). The default is 60 seconds.
    pub fn negative_ttl(self, time: Duration) -> Self {
        self.server.negative_ttl = time;
        self
    }
}
