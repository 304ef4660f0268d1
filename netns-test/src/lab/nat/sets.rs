//! The sets and maps of a NAT, and what each NAT's rules have in common.

use std::net::{IpAddr, Ipv4Addr};

use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::{NatPlan, PortForwardPlan};
use crate::lab::topology::nat::model::{Filtering, Mapping, Transport};
use crate::netlink::nft::{Batch, Element, Kind, Rule, Set};

/// Set of the protocols that are mapped: ICMP, TCP, UDP.
pub(super) const MAPPED: &str = "mapped";
/// Set of those with ports.
pub(super) const WITH_PORTS: &str = "with-ports";

/// Numbers of protocols.
pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Keys and data of sets: address and port, with the protocol, and protocol and port alone.
const ENDPOINT: [Kind; 2] = [Kind::Ipv4, Kind::Port];
const INNER: [Kind; 3] = [Kind::Ipv4, Kind::Protocol, Kind::Port];
const PORT: [Kind; 2] = [Kind::Protocol, Kind::Port];

/// Names of the sets of a NAT.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Inside endpoint, and by kind of mapping the remote one, to external endpoint.
    pub(super) outward: String,
    /// External endpoint to inside endpoint.
    pub(super) inward: String,
    /// External endpoints in use.
    pub(super) ports: String,
    /// Inside endpoints with the remote addresses that they have sent to.
    pub(super) peers: String,
    /// Inside address to external address.
    pub(super) paired: String,
    /// Protocol and external port to inside endpoint, constant.
    pub(super) forwards: String,
    /// Inside endpoint to external address and port, constant.
    pub(super) forwards_back: String,
    /// Protocols and external ports that are forwarded, constant.
    pub(super) reserved: String,
    /// External addresses, constant.
    pub(super) pool: String,
    /// Index to external address, constant.
    pub(super) pool_by_index: String,
    /// As the three for forwarded ports, for ports that inside hosts have leased.
    pub(super) leases: String,
    pub(super) leases_back: String,
    pub(super) leased: String,
    /// 1:1 external address to inside address and back, constant.
    pub(super) inside_of: String,
    pub(super) external_of: String,
}

/// Names of the sets of ports that lead to a certain inside endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwards<'a> {
    /// Protocol and external port to inside endpoint.
    pub(super) inward: &'a str,
    /// Inside endpoint to external address and port.
    pub(super) outward: &'a str,
    /// Protocols and external ports.
    pub(super) reserved: &'a str,
}

/// A NAT, with what its rules need to know of the node.
#[derive(Clone, Debug)]
pub(super) struct OneNat<'a> {
    pub(super) nat: &'a NatPlan,
    pub(super) index: usize,
    pub(super) names: Names,
    /// Outside interfaces of all NATs of the node.
    pub(super) outsides: Vec<&'a str>,
    /// Planned address of the outside interface.
    pub(super) address: Option<Ipv4Addr>,
    pub(super) node: &'a NodePlan,
}

impl Names {
    pub(super) fn of(index: usize) -> Self {
        let name = |text: &str| format!("{text}-{index}");
        Self {
            outward: name("out"),
            inward: name("in"),
            ports: name("ports"),
            peers: name("peers"),
            paired: name("paired"),
            forwards: name("forwards"),
            forwards_back: name("forwards-back"),
            reserved: name("reserved"),
            pool: name("pool"),
            pool_by_index: name("pool-by-index"),
            inside_of: name("inside-of"),
            external_of: name("external-of"),
            leases: name("leases"),
            leases_back: name("leases-back"),
            leased: name("leased"),
        }
    }

    /// Returns the names of the sets that rules write.
    pub(super) fn dynamic(self) -> [String; 5] {
        [self.outward, self.inward, self.ports, self.peers, self.paired]
    }
}

impl<'a> OneNat<'a> {
    /// Returns all NATs of a node.
    pub(super) fn all(node: &'a NodePlan) -> Vec<Self> {
        let outsides: Vec<&str> = node.nats.iter().map(|nat| nat.outside.as_str()).collect();
        let one = |(index, nat): (usize, &'a NatPlan)| Self {
            nat,
            index,
            names: Names::of(index),
            outsides: outsides.clone(),
            address: address_of(node, &nat.outside),
            node,
        };
        node.nats.iter().enumerate().map(one).collect()
    }

    /// Creates a rule: `nat of home on eth0: keep the port`.
    pub(super) fn rule(&self, text: &str) -> Rule {
        Rule::new(format!("nat of {} on {}: {text}", self.node.name, self.nat.outside))
    }

    /// Returns the mark of hairpinned flows of the NAT, which matters if the node has several.
    pub(super) fn mark(&self) -> Option<u32> {
        (self.outsides.len() > 1).then_some(self.index as u32 + 1)
    }

    pub(super) fn has_pool(&self) -> bool {
        !self.nat.pool.is_empty()
    }

    pub(super) fn is_paired(&self) -> bool {
        self.nat.is_paired && self.nat.pool.len() > 1
    }

    pub(super) fn has_peers(&self) -> bool {
        self.nat.filtering == Filtering::AddressDependent
    }

    pub(super) fn has_forwards(&self) -> bool {
        !self.nat.forwards.is_empty()
    }

    /// Returns the sets of forwarded ports: those of the plan, and those that are leased.
    pub(super) fn forwards(&self) -> Vec<Forwards<'_>> {
        let Names { forwards, forwards_back, reserved, .. } = &self.names;
        let of_plan = Forwards { inward: forwards, outward: forwards_back, reserved };
        let Names { leases, leases_back, leased, .. } = &self.names;
        let of_leases = Forwards { inward: leases, outward: leases_back, reserved: leased };
        let has_leases = self.nat.port_mapping.is_some();
        let both = [(self.has_forwards(), of_plan), (has_leases, of_leases)];
        both.into_iter().filter(|(is_there, _)| *is_there).map(|(_, sets)| sets).collect()
    }

    pub(super) fn has_one_to_one(&self) -> bool {
        !self.nat.one_to_one.is_empty()
    }

    /// Restricts a rule to packets that neither come from nor go to an outside interface.
    pub(super) fn inside(&self, rule: Rule) -> Rule {
        let rule = self.outsides.iter().fold(rule, |rule, name| rule.not_from(name));
        self.outsides.iter().fold(rule, |rule, name| rule.not_to(name))
    }

    /// Returns the sets that rules write. They may survive a change of the rules.
    pub(super) fn dynamic_sets(&self) -> Vec<Set> {
        let remote: &[Kind] = match self.nat.mapping {
            Mapping::EndpointIndependent => &[],
            Mapping::AddressDependent => &[Kind::Ipv4],
            Mapping::AddressAndPortDependent => &ENDPOINT,
        };
        let inner = [&INNER[..], remote].concat();
        let names = self.names.clone();
        let mut sets = vec![
            Set::of(names.outward, &inner).to(&ENDPOINT).dynamic(),
            Set::of(names.inward, &INNER).to(&ENDPOINT).dynamic(),
            Set::of(names.ports, &INNER).dynamic(),
        ];
        if self.has_peers() {
            let key = [&INNER[..], &[Kind::Ipv4]].concat();
            sets.push(Set::of(names.peers, &key).dynamic());
        }
        if self.is_paired() {
            sets.push(Set::of(names.paired, &[Kind::Ipv4]).to(&[Kind::Ipv4]).dynamic());
        }
        sets
    }

    /// Returns the sets of leased ports, which survive a change of the rules.
    pub(super) fn lease_sets(&self) -> Vec<Set> {
        if self.nat.port_mapping.is_none() {
            return Vec::new();
        }
        let names = self.names.clone();
        [(names.leases, &PORT[..], &ENDPOINT[..]), (names.leases_back, &INNER, &ENDPOINT)]
            .into_iter()
            .chain([(names.leased, &PORT[..], &[][..])])
            .map(|(name, key, data)| Set::of(name, key).to(data).timed())
            .collect()
    }

    /// Adds the sets of constants.
    pub(super) fn add_constants(&self, batch: &mut Batch) {
        let names = &self.names;
        if self.has_forwards() {
            self.add_forwards(batch);
        }
        if self.has_pool() {
            let pool = self.nat.pool.iter();
            batch.set(&Set::of(&*names.pool, &[Kind::Ipv4]));
            let addresses: Vec<_> =
                pool.clone().map(|one| Element::key(&[&one.octets()])).collect();
            batch.elements(&names.pool, &addresses);
            batch.set(&Set::of(&*names.pool_by_index, &[Kind::Integer]).to(&[Kind::Ipv4]));
            let numbered: Vec<_> = (0_u32..)
                .zip(pool)
                .map(|(index, one)| Element::key(&[&index.to_ne_bytes()]).to(&[&one.octets()]))
                .collect();
            batch.elements(&names.pool_by_index, &numbered);
        }
        if self.has_one_to_one() {
            let pair = |from: &Ipv4Addr, to: &Ipv4Addr| {
                Element::key(&[&from.octets()]).to(&[&to.octets()])
            };
            let pairs = self.nat.one_to_one.iter();
            let inward: Vec<_> = pairs.clone().map(|(outer, inner)| pair(outer, inner)).collect();
            let outward: Vec<_> = pairs.map(|(outer, inner)| pair(inner, outer)).collect();
            for (name, elements) in [(&names.inside_of, inward), (&names.external_of, outward)] {
                batch.set(&Set::of(&**name, &[Kind::Ipv4]).to(&[Kind::Ipv4]));
                batch.elements(name, &elements);
            }
        }
    }

    fn add_forwards(&self, batch: &mut Batch) {
        let names = &self.names;
        let outer = |one: &PortForwardPlan| {
            Element::key(&[&[number(one.protocol)], &one.external_port.to_be_bytes()])
        };
        let forwards = &self.nat.forwards;
        batch.set(&Set::of(&*names.forwards, &PORT).to(&ENDPOINT));
        let inward = |one| outer(one).to(&[&one.to.octets(), &one.port.to_be_bytes()]);
        batch.elements(&names.forwards, &forwards.iter().map(inward).collect::<Vec<_>>());
        batch.set(&Set::of(&*names.reserved, &PORT));
        batch.elements(&names.reserved, &forwards.iter().map(outer).collect::<Vec<_>>());
        // The address counts in a pool only; else it is that of the interface.
        let address = self.nat.pool.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let mut outward: Vec<Element> = Vec::new();
        for one in forwards {
            let key = [&one.to.octets()[..], &[number(one.protocol)], &one.port.to_be_bytes()];
            let element = Element::key(&key);
            // Of two external ports of one endpoint, the first is that of its own packets.
            if outward.iter().all(|other| other.key != element.key) {
                outward.push(element.to(&[&address.octets(), &one.external_port.to_be_bytes()]));
            }
        }
        batch.set(&Set::of(&*names.forwards_back, &INNER).to(&ENDPOINT));
        batch.elements(&names.forwards_back, &outward);
    }
}

/// Adds the sets that all NATs use.
pub(super) fn add_common(batch: &mut Batch) {
    for (name, protocols) in [(MAPPED, &[ICMP, TCP, UDP][..]), (WITH_PORTS, &[TCP, UDP])] {
        batch.set(&Set::of(name, &[Kind::Protocol]));
        let elements: Vec<_> = protocols.iter().map(|one| Element::key(&[&[*one]])).collect();
        batch.elements(name, &elements);
    }
}

/// Returns the first IPv4 address of an interface.
pub(super) fn address_of(node: &NodePlan, name: &str) -> Option<Ipv4Addr> {
    let interface = node.interfaces.iter().find(|one| one.name == name)?;
    interface.addresses.iter().find_map(|one| match one.address() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

pub(super) fn number(protocol: Transport) -> u8 {
    match protocol {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    }
}
