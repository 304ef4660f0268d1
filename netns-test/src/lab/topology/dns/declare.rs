//! Declarations of name servers in a topology. Pure.

use crate::lab::topology::Topology;
use crate::lab::topology::dns::DnsSpec;
use crate::lab::topology::dns::declared::{DeclaredDns, DnsPlace};
use crate::lab::topology::id::NodeId;

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
    /// The lab serves it by a thread of the test's process. While the node is off, nothing answers.
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
        DnsSpec::new(&mut self.dns[at], &self.ids)
    }
}
