//! Builder of a network address translator. It stores what the caller passes; `Topology::plan`
//! checks it. Pure.

#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod change;
pub(crate) mod declare;
pub(crate) mod declared;
pub(crate) mod firewall;
pub(crate) mod kinds;
pub(crate) mod model;
pub(crate) mod port_mapping;
pub(crate) mod reference;
pub(crate) mod text;

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::addr::cidr::CidrError;
use crate::lab::topology::id::{Ids, NodeId};
use crate::lab::topology::input::SubnetArg;
use crate::lab::topology::nat::model::{Filtering, Ipv6Nat, Mapping};
use crate::lab::topology::nat::port_mapping::PortMapping;
use crate::lab::topology::nat::reference::Reference;

/// Network address translation of a router: a value, which [`Topology::nat`](super::Topology::nat)
/// puts on one of its links.
///
/// The router translates IPv4 between the link, which is its outside, and all its other interfaces,
/// which are its inside. It does so by the words of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508
/// (ICMP), all alike for the three protocols.
///
/// A NAT is a border: subnets of the inside are not routed outside, names of nodes there do not
/// resolve to inside addresses outside, and two insides may have the same subnet.
///
/// Values that cannot be used are reported by [`Topology::plan`](super::Topology::plan), and by
/// [`Node::set_nat`](crate::lab::Node::set_nat).
#[derive(Clone, Debug, PartialEq)]
pub struct Nat {
    pub(crate) mapping: Mapping,
    pub(crate) filtering: Filtering,
    pub(crate) port_preservation: bool,
    pub(crate) hairpinning: bool,
    pub(crate) inbound_refresh: bool,
    /// External addresses; empty for the addresses of the outside interface.
    pub(crate) pool: Vec<Ipv4Addr>,
    pub(crate) is_paired: bool,
    pub(crate) ports: RangeInclusive<u16>,
    /// Ports for each inside host; `None` if all hosts share all ports.
    pub(crate) block: Option<u16>,
    pub(crate) udp_timeout: Duration,
    pub(crate) tcp_established_timeout: Duration,
    pub(crate) tcp_transitory_timeout: Duration,
    pub(crate) icmp_timeout: Duration,
    /// Inside nodes with an external address of their own.
    pub(crate) one_to_one: Vec<(Ipv4Addr, Reference<NodeId>)>,
    pub(crate) ipv6: Result<Ipv6Nat, CidrError>,
    /// Protocols by which inside hosts lease ports; `None` if there is none.
    pub(crate) port_mapping: Option<PortMapping>,
}

impl Nat {
    /// Creates a NAT as RFC 4787 and 5382 ask for: endpoint-independent mapping, address-dependent
    /// filtering, hairpinning, port preservation; UDP mappings last 5 minutes, TCP connections
    /// 2 hours and 4 minutes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            mapping: Mapping::EndpointIndependent,
            filtering: Filtering::AddressDependent,
            port_preservation: true,
            hairpinning: true,
            inbound_refresh: true,
            pool: Vec::new(),
            is_paired: true,
            ports: 1024..=65535,
            block: None,
            udp_timeout: Duration::from_secs(300),
            tcp_established_timeout: Duration::from_secs(7440),
            tcp_transitory_timeout: Duration::from_secs(240),
            icmp_timeout: Duration::from_secs(60),
            one_to_one: Vec::new(),
            ipv6: Ok(Ipv6Nat::Routed),
            port_mapping: None,
        }
    }

    /// Sets when two packets from one inside endpoint get the same external endpoint (RFC 4787,
    /// section 4.1).
    #[must_use]
    pub fn mapping(self, mapping: Mapping) -> Self {
        Self { mapping, ..self }
    }

    /// Sets which outside endpoints may send to a mapping (RFC 4787, section 5).
    #[must_use]
    pub fn filtering(self, filtering: Filtering) -> Self {
        Self { filtering, ..self }
    }

    /// Sets whether a mapping gets the inside port as its external port while that is free (RFC
    /// 4787, section 4.2.1). Without it, the port is drawn at random. Two mappings never share an
    /// external port.
    #[must_use]
    pub fn port_preservation(self, is_on: bool) -> Self {
        Self { port_preservation: is_on, ..self }
    }

    /// Sets whether inside hosts reach each other by external endpoints; the source is the external
    /// one, too (RFC 4787, section 6).
    #[must_use]
    pub fn hairpinning(self, is_on: bool) -> Self {
        Self { hairpinning: is_on, ..self }
    }

    /// Sets whether packets from outside keep a mapping, as those from inside always do (RFC 4787,
    /// section 4.3).
    #[must_use]
    pub fn inbound_refresh(self, is_on: bool) -> Self {
        Self { inbound_refresh: is_on, ..self }
    }

    /// Sets the external addresses, in place of those of the outside interface. The router gets
    /// them all.
    #[must_use]
    pub fn pool(self, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        Self { pool: addresses.into_iter().collect(), ..self }
    }

    /// Sets whether all mappings of an inside host have the same external address of the pool (RFC
    /// 4787, section 4.1: "Paired"). The default is true.
    #[must_use]
    pub fn paired_pooling(self, is_on: bool) -> Self {
        Self { is_paired: is_on, ..self }
    }

    /// Sets the external ports, by default 1024 to 65535.
    #[must_use]
    pub fn ports(self, ports: RangeInclusive<u16>) -> Self {
        Self { ports, ..self }
    }

    /// Sets the number of external ports in the block that each inside host has for itself (RFC
    /// 6888, section 3).
    #[must_use]
    pub fn ports_per_host(self, ports: u16) -> Self {
        Self { block: Some(ports), ..self }
    }

    /// Sets how long an unused UDP mapping lasts, in whole seconds.
    #[must_use]
    pub fn udp_timeout(self, timeout: Duration) -> Self {
        Self { udp_timeout: timeout, ..self }
    }

    /// Sets how long an idle TCP connection lasts, in whole seconds (RFC 5382, section 5).
    #[must_use]
    pub fn tcp_established_timeout(self, timeout: Duration) -> Self {
        Self { tcp_established_timeout: timeout, ..self }
    }

    /// Sets how long a TCP connection lasts that is being opened or closed, in whole seconds.
    #[must_use]
    pub fn tcp_transitory_timeout(self, timeout: Duration) -> Self {
        Self { tcp_transitory_timeout: timeout, ..self }
    }

    /// Sets how long an unused mapping of ICMP queries lasts, in whole seconds (RFC 5508, REQ-2).
    #[must_use]
    pub fn icmp_timeout(self, timeout: Duration) -> Self {
        Self { icmp_timeout: timeout, ..self }
    }

    /// Assigns an external address of its own to an inside node, with all ports, in both
    /// directions (1:1 NAT, "basic NAT" of RFC 3022). The router answers for the address outside.
    #[must_use]
    pub fn one_to_one(mut self, external: Ipv4Addr, inside: NodeId) -> Self {
        self.one_to_one.push((external, Reference::Id(inside)));
        self
    }

    /// Sets what happens to IPv6, which is routed without translation by default.
    #[must_use]
    pub fn ipv6(self, ipv6: Ipv6Nat) -> Self {
        Self { ipv6: Ok(ipv6), ..self }
    }

    /// Translates prefixes of IPv6 addresses (RFC 6296): outside nodes know an address with
    /// the prefix `inside` by one with the prefix `outside`. Both directions work, without state,
    /// and checksums stay valid: a 16-bit word of the address changes with the prefix.
    ///
    /// Outside nodes get routes to the prefix `outside`, and the names of inside nodes resolve to
    /// addresses with it.
    ///
    /// # Examples
    ///
    /// The addresses of RFC 6296, section 2.1:
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::Nat;
    ///
    /// let mut net = Topology::new();
    /// let (pc, home, server) = (net.host("pc"), net.router("home"), net.host("server"));
    /// net.link(pc, home).addrs("fd01:203:405:1::1234/64", ());
    /// let wan = net.link(home, server).id();
    /// net.nat(home, wan, Nat::home().nptv6("fd01:203:405::/48", "2001:db8:1::/48"));
    /// let plan = net.plan()?;
    /// assert!(plan.hosts_file(server).contains("2001:db8:1:d550::1234\tpc\n"));
    /// assert!(plan.can_reach(server, pc).ipv6);
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    #[must_use]
    pub fn nptv6(self, inside: impl Into<SubnetArg>, outside: impl Into<SubnetArg>) -> Self {
        let (inside, outside) = (inside.into().0, outside.into().0);
        let both = inside.and_then(|inside| Ok(Ipv6Nat::Prefix { inside, outside: outside? }));
        Self { ipv6: both, ..self }
    }

    /// Lets inside hosts lease external ports: the router serves these protocols.
    ///
    /// # Examples
    ///
    /// ```
    /// use netns_test::Topology;
    /// use netns_test::lab::{Nat, PortMapping};
    ///
    /// let mut net = Topology::new();
    /// let (laptop, home, server) = (net.host("laptop"), net.router("home"), net.host("server"));
    /// net.link(laptop, home);
    /// let wan = net.link(home, server).id();
    /// net.nat(home, wan, Nat::home().port_mapping(PortMapping::new().pcp().nat_pmp()));
    /// let plan = net.plan()?;
    /// assert!(plan.to_string().contains("port mapping by PCP and NAT-PMP"));
    /// # Ok::<(), netns_test::lab::TopologyErrors>(())
    /// ```
    #[must_use]
    pub fn port_mapping(self, protocols: PortMapping) -> Self {
        Self { port_mapping: Some(protocols), ..self }
    }

    /// Replaces ids by indexes.
    pub(crate) fn resolve(&mut self, ids: &Ids) {
        self.one_to_one.iter_mut().for_each(|(_, inside)| inside.resolve(ids));
    }
}

impl Default for Nat {
    fn default() -> Self {
        Self::new()
    }
}
