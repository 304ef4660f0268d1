//! Leases of external ports, and the choice of a port.

use std::net::SocketAddrV4;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::lab::plan::nat::NatPlan;
use crate::lab::topology::{PortMappingFault, PortMappingProtocol, Transport};

/// External port that an inside endpoint has leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) by: PortMappingProtocol,
    pub(crate) transport: Transport,
    pub(crate) inside: SocketAddrV4,
    pub(crate) external_port: u16,
    /// `None` if it does not end.
    pub(crate) ends: Option<Instant>,
    /// False if the host has leased the port without using it (`NewEnabled` of UPnP).
    pub(crate) is_enabled: bool,
    /// Mapping nonce of PCP, by which the client that has made it is known.
    pub(crate) nonce: Option<[u8; 12]>,
    pub(crate) description: String,
}

/// Request for a lease, or for more time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) by: PortMappingProtocol,
    pub(crate) transport: Transport,
    pub(crate) inside: SocketAddrV4,
    /// `None` for any.
    pub(crate) external_port: Option<u16>,
    /// True if another port is of no use.
    pub(crate) is_strict: bool,
    /// `None` for one that does not end.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) is_enabled: bool,
    pub(crate) nonce: Option<[u8; 12]>,
    pub(crate) description: String,
}

/// Reason for which a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotAuthorized,
    /// Another inside endpoint has the external port.
    Conflict,
    NoResources,
    /// The router has no external address.
    NoAddress,
    OnlyPermanent,
    NoSuchLease,
    /// The kernel has refused the change.
    Failed,
}

/// Conditions for a request, besides the leases that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) nat: &'a NatPlan,
    /// External ports of mappings that packets have made.
    pub(crate) in_use: &'a [(Transport, u16, SocketAddrV4)],
}

/// The leases of a router, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(Vec<Lease>);

impl Leases {
    pub(crate) fn all(&self) -> &[Lease] {
        &self.0
    }

    /// Removes leases that have ended.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.0.retain(|one| one.ends.is_none_or(|end| end > now));
    }

    /// Adds a lease, or changes the one that the endpoint has.
    pub(crate) fn add(
        &mut self,
        ask: Ask,
        rules: Rules<'_>,
        now: Instant,
    ) -> Result<Lease, Refusal> {
        self.check(&ask, rules.fault())?;
        let external_port = self.port_for(&ask, rules)?;
        let Ask { by, transport, inside, lifetime, is_enabled, nonce, description, .. } = ask;
        // Further than the clock reaches is as good as never.
        let ends = lifetime.and_then(|time| now.checked_add(time));
        let lease =
            Lease { by, transport, inside, external_port, ends, is_enabled, nonce, description };
        let is_it = |one: &&mut Lease| {
            (one.transport, one.external_port) == (lease.transport, lease.external_port)
        };
        match self.0.iter_mut().find(is_it) {
            Some(old) => old.clone_from(&lease),
            None => self.0.push(lease.clone()),
        }
        Ok(lease)
    }

    /// Removes leases. Returns how many there were.
    pub(crate) fn remove(&mut self, is_meant: impl Fn(&Lease) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(|one| !is_meant(one));
        before - self.0.len()
    }

    /// Returns the lease of an inside endpoint that is not one of several.
    pub(crate) fn of_endpoint(&self, transport: Transport, inside: SocketAddrV4) -> Option<&Lease> {
        self.0.iter().find(|one| (one.transport, one.inside) == (transport, inside))
    }

    /// Returns the lease of an external port.
    pub(crate) fn of_port(&self, transport: Transport, port: u16) -> Option<&Lease> {
        self.0.iter().find(|one| (one.transport, one.external_port) == (transport, port))
    }

    fn check(&self, ask: &Ask, fault: Option<PortMappingFault>) -> Result<(), Refusal> {
        match fault {
            Some(PortMappingFault::Refuse | PortMappingFault::NoAnswer) => {
                return Err(Refusal::NotAuthorized);
            }
            Some(PortMappingFault::NoResources) => return Err(Refusal::NoResources),
            Some(PortMappingFault::OnlyPermanentLeases)
                if ask.by == PortMappingProtocol::Upnp && ask.lifetime.is_some() =>
            {
                return Err(Refusal::OnlyPermanent);
            }
            _ => {}
        }
        // By PCP, the nonce of the client that has made a mapping changes it (RFC 6887, 11.3).
        let known = self.of_endpoint(ask.transport, ask.inside).and_then(|one| one.nonce);
        match (known, ask.nonce) {
            (Some(known), Some(nonce)) if known != nonce => Err(Refusal::NotAuthorized),
            _ => Ok(()),
        }
    }

    /// Chooses the external port.
    fn port_for(&self, ask: &Ask, rules: Rules<'_>) -> Result<u16, Refusal> {
        let own = self.of_endpoint(ask.transport, ask.inside).map(|one| one.external_port);
        if ask.by != PortMappingProtocol::Upnp {
            // An inside endpoint has one mapping, whatever it suggests now.
            if let Some(port) = own {
                let is_other = ask.is_strict && ask.external_port != Some(port);
                return if is_other { Err(Refusal::Conflict) } else { Ok(port) };
            }
        }
        let is_taken = rules.fault() == Some(PortMappingFault::Conflict);
        let is_free = |port: &u16| self.is_free(*port, ask, rules);
        let wanted = ask.external_port.filter(is_free).filter(|_| !is_taken);
        if let Some(port) = wanted {
            return Ok(port);
        }
        if ask.is_strict {
            return Err(Refusal::Conflict);
        }
        let range = rules.range(ask.inside);
        let inside = Some(ask.inside.port()).filter(|port| range.contains(port));
        let inside = inside.filter(|port| !(is_taken && ask.external_port == Some(*port)));
        let from = inside.unwrap_or(*range.start());
        let more = (from..=*range.end()).chain(*range.start()..from);
        let mut more = more.filter(|port| !(is_taken && ask.external_port == Some(*port)));
        more.find(is_free).ok_or(Refusal::NoResources)
    }

    fn is_free(&self, port: u16, ask: &Ask, rules: Rules<'_>) -> bool {
        let Ask { by, transport, inside, .. } = ask;
        let is_same = |other: Transport, of: u16| (other, of) == (*transport, port);
        let is_other_lease = |one: &Lease| {
            let is_others = one.inside != *inside
                && !(*by == PortMappingProtocol::Upnp && one.inside.ip() == inside.ip());
            // The same port of the other protocol is for the same host (RFC 6886, 3.3).
            let is_companion = [one.by, *by].contains(&PortMappingProtocol::NatPmp)
                && one.external_port == port
                && one.inside.ip() != inside.ip();
            is_same(one.transport, one.external_port) && is_others || is_companion
        };
        let mut in_use = rules.in_use.iter();
        let mut forwards = rules.nat.forwards.iter();
        port != 0
            && rules.may_lease(inside, port)
            && !forwards.any(|one| is_same(one.protocol, one.external_port))
            && !in_use.any(|(other, of, by)| is_same(*other, *of) && by != inside)
            && !self.0.iter().any(is_other_lease)
    }
}

impl Rules<'_> {
    fn fault(&self) -> Option<PortMappingFault> {
        self.nat.port_mapping.as_ref().and_then(|one| one.fault)
    }

    /// Returns the ports that a host is given.
    fn range(&self, inside: SocketAddrV4) -> RangeInclusive<u16> {
        let mut blocks = self.nat.blocks.iter();
        let block = blocks.find(|(host, _)| host == inside.ip()).map(|(_, ports)| ports);
        block.unwrap_or(&self.nat.ports).clone()
    }

    /// Returns whether a host may have a port: with blocks, one of its own.
    fn may_lease(&self, inside: &SocketAddrV4, port: u16) -> bool {
        self.nat.blocks.is_empty() || self.range(*inside).contains(&port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::topology::{Nat, PortMapping, Topology};

    fn plan(mapping: PortMapping) -> NatPlan {
        let mut net = Topology::new();
        let [inside, other, outside] = ["inside", "other", "outside"].map(|name| net.host(name));
        let (lan, home) = (net.switch("lan"), net.router("home"));
        for host in [inside, other] {
            net.link(host, lan);
        }
        net.link(home, lan).subnet("192.168.1.0/24");
        let wan = net.link(home, outside).id();
        net.nat(home, wan, Nat::home().port_mapping(mapping));
        net.forward_port(home, wan, Transport::Tcp, 22, inside, 22);
        let plan = net.plan().unwrap();
        plan.nodes()[plan.position(home).unwrap()].nats[0].clone()
    }

    fn ask(by: PortMappingProtocol, inside: &str, wanted: u16) -> Ask {
        Ask {
            by,
            transport: Transport::Tcp,
            inside: inside.parse().unwrap(),
            external_port: Some(wanted).filter(|port| *port != 0),
            is_strict: by == Upnp,
            lifetime: Some(Duration::from_secs(60)),
            is_enabled: true,
            nonce: None,
            description: String::new(),
        }
    }

    use PortMappingProtocol::{NatPmp, Pcp, Upnp};

    const A: &str = "192.168.1.1:80";
    const B: &str = "192.168.1.2:80";

    #[test]
    fn the_second_host_gets_another_port() {
        let (nat, now) = (plan(PortMapping::all()), Instant::now());
        let rules = Rules { nat: &nat, in_use: &[] };
        for by in [Pcp, NatPmp] {
            let mut leases = Leases::default();
            let mut port = |inside, wanted| {
                leases.add(ask(by, inside, wanted), rules, now).map(|one| one.external_port)
            };
            assert_eq!(port(A, 8080), Ok(8080));
            // Whatever it suggests later.
            assert_eq!(port(A, 9090), Ok(8080));
            assert_eq!(port(B, 8080), Ok(1024));
            assert_eq!(port("192.168.1.1:5000", 0), Ok(5000));
            assert_eq!(port("192.168.1.2:5000", 0), Ok(5001));
            // A forwarded port.
            assert_eq!(port("192.168.1.1:22", 22), Ok(1025));
        }
    }

    #[test]
    fn upnp_is_strict_and_a_host_may_change_its_mappings() {
        let (nat, now) = (plan(PortMapping::all()), Instant::now());
        let rules = Rules { nat: &nat, in_use: &[] };
        let mut leases = Leases::default();
        let mut port = |inside, wanted| {
            leases.add(ask(Upnp, inside, wanted), rules, now).map(|one| one.external_port)
        };
        assert_eq!(port(A, 8080), Ok(8080));
        assert_eq!(port(A, 8081), Ok(8081));
        assert_eq!(port("192.168.1.1:81", 8080), Ok(8080));
        assert_eq!(port(B, 8080), Err(Refusal::Conflict));
        assert_eq!(port(A, 22), Err(Refusal::Conflict));
        assert_eq!(leases.all().len(), 2);
    }

    #[test]
    fn a_port_of_a_mapping_is_that_of_its_endpoint() {
        let (nat, now) = (plan(PortMapping::all()), Instant::now());
        let in_use = [(Transport::Tcp, 8080, A.parse().unwrap())];
        let rules = Rules { nat: &nat, in_use: &in_use };
        let port = |inside| {
            let mut leases = Leases::default();
            leases.add(ask(NatPmp, inside, 8080), rules, now).map(|one| one.external_port)
        };
        assert_eq!([port(A), port(B)], [Ok(8080), Ok(1024)]);
    }

    /// RFC 6886, section 3.3.
    #[test]
    fn the_companion_port_is_for_the_same_host() {
        let (nat, now) = (plan(PortMapping::all()), Instant::now());
        let rules = Rules { nat: &nat, in_use: &[] };
        let mut leases = Leases::default();
        leases.add(ask(NatPmp, A, 8080), rules, now).unwrap();
        let mut udp = |inside| {
            let ask = Ask { transport: Transport::Udp, ..ask(NatPmp, inside, 8080) };
            leases.add(ask, rules, now).map(|one| one.external_port)
        };
        assert_eq!([udp(B), udp(A)], [Ok(1024), Ok(8080)]);
    }

    #[test]
    fn leases_end() {
        let (nat, now) = (plan(PortMapping::all()), Instant::now());
        let rules = Rules { nat: &nat, in_use: &[] };
        let mut leases = Leases::default();
        leases.add(ask(Pcp, A, 8080), rules, now).unwrap();
        leases.add(Ask { lifetime: None, ..ask(Upnp, A, 8081) }, rules, now).unwrap();
        leases.expire(now + Duration::from_secs(59));
        assert_eq!(leases.all().len(), 2);
        leases.expire(now + Duration::from_secs(60));
        assert_eq!(leases.all().len(), 1);
        assert_eq!(leases.remove(|one| one.external_port == 8081), 1);
    }

    #[test]
    fn another_nonce_changes_nothing() {
        let (nat, now) = (plan(PortMapping::all()), Instant::now());
        let rules = Rules { nat: &nat, in_use: &[] };
        let mut leases = Leases::default();
        let mut with = |nonce: u8| {
            let ask = Ask { nonce: Some([nonce; 12]), ..ask(Pcp, A, 8080) };
            leases.add(ask, rules, now).map(|one| one.external_port)
        };
        assert_eq!([with(1), with(2), with(1)], [Ok(8080), Err(Refusal::NotAuthorized), Ok(8080)]);
    }

    #[test]
    fn faults() {
        let now = Instant::now();
        let get = |fault, by, wanted| {
            let nat = plan(PortMapping::all().fault(fault));
            let rules = Rules { nat: &nat, in_use: &[] };
            Leases::default().add(ask(by, A, wanted), rules, now).map(|one| one.external_port)
        };
        use PortMappingFault::{Conflict, NoResources, OnlyPermanentLeases, Refuse};
        assert_eq!(get(Refuse, Pcp, 8080), Err(Refusal::NotAuthorized));
        assert_eq!(get(NoResources, Upnp, 8080), Err(Refusal::NoResources));
        assert_eq!(get(Conflict, Upnp, 8080), Err(Refusal::Conflict));
        assert_eq!(get(Conflict, NatPmp, 1024), Ok(1025));
        assert_eq!(get(OnlyPermanentLeases, Upnp, 8080), Err(Refusal::OnlyPermanent));
        assert_eq!(get(OnlyPermanentLeases, Pcp, 8080), Ok(8080));
    }
}
