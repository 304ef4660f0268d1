//! Builder of a name server. It stores what the caller passes; `Topology::plan` checks it. Pure.

pub(crate) mod fault;
pub(crate) mod name;
pub(crate) mod record;
pub(crate) mod text;

use std::time::Duration;

use crate::lab::topology::Topology;
use crate::lab::topology::dns::fault::DnsFault;
use crate::lab::topology::dns::record::Record;
use crate::lab::topology::id::{Ids, NodeId};

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

impl Topology {
    /// Puts a name server on a node, at port 53 of all its addresses. A second call for the same
    /// node continues the declaration.
    ///
    /// The server knows all nodes by their names, forward and reverse: each client gets the
    /// addresses at which it reaches a node. Any other name is one of the
    /// [records](DnsSpec::record), or does not exist: nothing is forwarded out of the lab.
    ///
    /// The nodes of the lab ask it, if they do not have another one by
    /// [`used_by`](DnsSpec::used_by): their `/etc/resolv.conf` has its address, and their
    /// `/etc/hosts` only `localhost` and themselves, so that faults of the server are theirs. The
    /// first server that is declared without `used_by` is that of all.
    ///
    /// The lab serves it by a thread of the test's process. While the node is off, nobody answers.
    /// A program of the node that wants port 53 gets EADDRINUSE.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::Record;
    ///
    /// let mut net = Topology::new();
    /// let (client, web, ns) = (net.host("client"), net.host("web"), net.host("ns"));
    /// let switch = net.switch("switch");
    /// for node in [client, web, ns] {
    ///     net.link(node, switch);
    /// }
    /// net.dns(ns)
    ///     .record("www.example.com", Record::cname("web"))
    ///     .record("example.com", Record::mx(10, "web"))
    ///     .record("*.test.example.com", Record::address([192, 0, 2, 7]));
    /// assert_eq!(net.plan()?.resolv_conf(client), "nameserver 10.0.0.3\n");
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn dns(&mut self, node: NodeId) -> DnsSpec<'_> {
        let place = DnsPlace::Node(self.ids.node(node));
        self.dns_at(place)
    }

    /// Puts a name server on no node in particular: each node reaches it at 127.0.0.53, over its
    /// own loopback interface, with links and routes in any state. A second call continues the
    /// declaration.
    ///
    /// It does the same as [`dns`](Self::dns), and knows for sure which node asks. Nodes with a
    /// server of [`dns`](Self::dns) ask that one.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::Record;
    ///
    /// let mut net = Topology::new();
    /// let (client, web) = (net.host("client"), net.host("web"));
    /// net.link(client, web);
    /// net.dns_everywhere().record("www.example.com", Record::node(web));
    /// assert_eq!(net.plan()?.resolv_conf(client), "nameserver 127.0.0.53\n");
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    pub fn dns_everywhere(&mut self) -> DnsSpec<'_> {
        self.dns_at(DnsPlace::Everywhere)
    }

    fn dns_at(&mut self, place: DnsPlace) -> DnsSpec<'_> {
        let is_it = |one: &DeclaredDns| one.place == place && place != DnsPlace::Node(None);
        let known = self.dns.iter().position(is_it);
        let at = known.unwrap_or(self.dns.len());
        if known.is_none() {
            self.dns.push(DeclaredDns::new(place));
        }
        DnsSpec { server: &mut self.dns[at], ids: &self.ids }
    }
}

#[expect(clippy::must_use_candidate, reason = "each call changes the server; chaining is optional")]
impl DnsSpec<'_> {
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

impl DeclaredDns {
    fn new(place: DnsPlace) -> Self {
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
