//! State of the server of a router: its leases, what was asked, and its epochs; and what the kernel
//! has of that.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::evidence::facts::event::{Event, EventKind};
use crate::evidence::log;
use crate::lab::nat;
use crate::lab::nat::model::{LeasedPort, NatMapping, NatProtocol};
use crate::lab::plan::NodePlan;
use crate::lab::plan::nat::NatPlan;
use crate::lab::plan::nat::port_mapping::PortMappingPlan;
use crate::lab::port_mapping::leases::{Ask, Lease, Leases, Refusal, Rules};
use crate::lab::port_mapping::model::{PortMappingAction, PortMappingAnswer, PortMappingRequest};
use crate::lab::topology::{PortMappingFault, PortMappingProtocol, Transport};
use crate::netlink::Netlink;
use crate::netlink::nft::Nft;
use crate::sys::errno;

/// Time for which a router has been running when its lab is built.
const BEFORE: u32 = 86_400;

/// Attempts to lease a port that no packet makes a mapping of meanwhile.
const ATTEMPTS: usize = 4;

/// State that outlives the server's thread.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Plan of the node; none until a server runs.
    pub(crate) node: Option<NodePlan>,
    pub(crate) leases: Leases,
    pub(crate) requests: Vec<PortMappingRequest>,
    /// Begins of the epochs of NAT-PMP and of PCP.
    epochs: Option<[Epoch; 2]>,
    /// Failures of the server, which fail the test.
    pub(crate) faults: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Epoch {
    begin: Instant,
    /// Seconds at the begin.
    offset: u32,
}

/// Sockets to the kernel, in the network of the node.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) nft: Nft,
    pub(crate) netlink: Netlink,
}

/// The state while a request is answered.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) kernel: &'a mut Kernel,
    pub(crate) now: Instant,
}

/// A lease as an answer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) external: SocketAddrV4,
    /// `None` if it does not end.
    pub(crate) lifetime: Option<Duration>,
}

impl State {
    /// Returns the NAT whose ports are leased.
    pub(crate) fn nat(&self) -> Option<&NatPlan> {
        self.node.as_ref()?.nats.iter().find(|nat| nat.port_mapping.is_some())
    }

    pub(crate) fn port_mapping(&self) -> Option<&PortMappingPlan> {
        self.nat()?.port_mapping.as_ref()
    }

    pub(crate) fn is_silent(&self) -> bool {
        let fault = self.port_mapping().and_then(|one| one.fault);
        fault == Some(PortMappingFault::NoAnswer)
    }

    /// Returns the seconds since the begin of an epoch.
    pub(crate) fn epoch(&self, protocol: PortMappingProtocol, now: Instant) -> u32 {
        let epochs = self.epochs.unwrap_or([Epoch { begin: now, offset: BEFORE }; 2]);
        let Epoch { begin, offset } = epochs[usize::from(protocol == PortMappingProtocol::Pcp)];
        let seconds = now.saturating_duration_since(begin).as_secs();
        offset.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// Begins the epochs, if they have not begun. Returns whether the server was there before.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let was_there = self.epochs.is_some();
        self.epochs.get_or_insert([Epoch { begin: now, offset: BEFORE }; 2]);
        was_there
    }

    /// Forgets all leases, as a restart of the router does.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.leases = Leases::default();
        if self.epochs.is_some() {
            self.epochs = Some([Epoch { begin: now, offset: 0 }; 2]);
        }
    }

    /// Begins the epoch of PCP anew, as for another external address (RFC 6887, section 8.5).
    pub(crate) fn restart_pcp(&mut self, now: Instant) {
        if let Some([_, pcp]) = &mut self.epochs {
            *pcp = Epoch { begin: now, offset: 0 };
        }
    }

    /// Adds the leases that the kernel has to mappings that packets have made.
    pub(crate) fn add_leases(
        &self,
        mappings: &mut Vec<NatMapping>,
        external: Option<Ipv4Addr>,
        there: &[LeasedPort],
    ) {
        let Some(interface) = self.nat().map(|nat| nat.outside.clone()) else { return };
        for one in there {
            let lease = self.leases.of_port(one.protocol, one.external_port);
            let Some(lease) = lease else { continue };
            let external = external.unwrap_or(Ipv4Addr::UNSPECIFIED);
            let mapping = NatMapping {
                interface: interface.clone(),
                protocol: one.protocol.into(),
                inside: one.inside,
                outside: SocketAddrV4::new(external, one.external_port),
                expires: one.expires,
                leased_by: Some(lease.by),
            };
            let is_same = |one: &NatMapping| {
                (one.protocol, one.inside, one.outside.port())
                    == (mapping.protocol, mapping.inside, mapping.outside.port())
            };
            // Packets have used it before it was leased.
            mappings.retain(|one| !is_same(one));
            mappings.push(mapping);
        }
        mappings.sort_by_key(|one| (one.protocol, one.inside, one.outside));
    }
}

impl Desk<'_> {
    /// Returns the external address that is leased with ports.
    pub(crate) fn external(&self) -> Result<Ipv4Addr, Refusal> {
        let found = self.state.nat().map(|nat| external(&self.kernel.netlink, nat));
        match found {
            Some(Ok(Some(address))) => Ok(address),
            _ => Err(Refusal::NoAddress),
        }
    }

    /// Leases a port.
    pub(crate) fn lease(&mut self, ask: &Ask) -> Result<Granted, Refusal> {
        let external = self.external()?;
        for _ in 0..ATTEMPTS {
            let in_use = self.in_use()?;
            let before = self.state.leases.clone();
            let Some(nat) = self.state.nat().cloned() else { return Err(Refusal::Failed) };
            let rules = Rules { nat: &nat, in_use: &in_use };
            let lease = self.state.leases.add(ask.clone(), rules, self.now)?;
            let is_others = |(transport, port, inside): &(Transport, u16, SocketAddrV4)| {
                (*transport, *port) == (lease.transport, lease.external_port)
                    && *inside != lease.inside
            };
            let done = self.write();
            if done.is_ok() && !self.in_use()?.iter().any(is_others) {
                let external = SocketAddrV4::new(external, lease.external_port);
                return Ok(Granted { external, lifetime: ask.lifetime });
            }
            // A packet has made a mapping of the port in this moment.
            self.state.leases = before;
            done.and_then(|()| self.write())?;
        }
        Err(Refusal::NoResources)
    }

    /// Ends leases. Returns how many there were.
    pub(crate) fn end(&mut self, is_meant: impl Fn(&Lease) -> bool) -> Result<usize, Refusal> {
        match self.state.leases.remove(is_meant) {
            0 => Ok(0),
            count => self.write().map(|()| count),
        }
    }

    /// Returns whether the plan forwards a port to an inside endpoint; no host may change that.
    pub(crate) fn is_forwarded(&self, transport: Transport, inside: SocketAddrV4) -> bool {
        let forwards = self.state.nat().into_iter().flat_map(|nat| &nat.forwards);
        let mut forwards = forwards.filter(|one| one.protocol == transport);
        forwards.any(|one| SocketAddrV4::new(one.to, one.port) == inside)
    }

    /// Passes the leases on to the kernel.
    pub(crate) fn write(&mut self) -> Result<(), Refusal> {
        let Some(node) = &self.state.node else { return Ok(()) };
        let leases = self.state.leases.all().iter().filter(|one| one.is_enabled);
        let leased = leases.map(|one| LeasedPort {
            protocol: one.transport,
            external_port: one.external_port,
            inside: one.inside,
            expires: one.ends.map(|end| end.saturating_duration_since(self.now)),
        });
        let done = nat::set_leases(&mut self.kernel.nft, node, &leased.collect::<Vec<_>>());
        done.map_err(|failure| self.failed(&failure))
    }

    /// Notes a request and its answer.
    pub(crate) fn note(
        &mut self,
        protocol: PortMappingProtocol,
        from: SocketAddrV4,
        action: PortMappingAction,
        answer: PortMappingAnswer,
    ) {
        let answer = if self.state.is_silent() { PortMappingAnswer::Nothing } else { answer };
        let request = PortMappingRequest { protocol, from, action, answer };
        if let Some(node) = &self.state.node {
            log::note(|| Event::of(EventKind::Rules, &node.name, request.to_string()));
        }
        self.state.requests.push(request);
    }

    /// Returns the external ports of mappings that packets have made.
    fn in_use(&mut self) -> Result<Vec<(Transport, u16, SocketAddrV4)>, Refusal> {
        let Some(node) = &self.state.node else { return Ok(Vec::new()) };
        let found = nat::mappings(&mut self.kernel.nft, node);
        let found = found.map_err(|failure| self.failed(&failure))?;
        let outside = self.state.nat().map(|nat| nat.outside.as_str());
        let port = |one: &NatMapping| {
            let transport = match one.protocol {
                NatProtocol::Tcp => Transport::Tcp,
                NatProtocol::Udp => Transport::Udp,
                NatProtocol::Icmp => return None,
            };
            let is_own = Some(one.interface.as_str()) == outside;
            is_own.then_some((transport, one.outside.port(), one.inside))
        };
        Ok(found.iter().filter_map(port).collect())
    }

    fn failed(&mut self, failure: &Failure) -> Refusal {
        // Without the NAT, which is being removed, there is no table.
        if failure.errno != Some(errno::ENOENT) {
            self.state.faults.push(format!("the server of port mapping: {failure}"));
        }
        Refusal::Failed
    }
}

/// Returns the external address of a NAT: the first one of its pool, or of its outside interface.
pub(crate) fn external(netlink: &Netlink, nat: &NatPlan) -> Result<Option<Ipv4Addr>, Failure> {
    if let Some(first) = nat.pool.first() {
        return Ok(Some(*first));
    }
    let interfaces = netlink.interfaces()?;
    let Some(outside) = interfaces.iter().find(|one| one.name == nat.outside) else {
        return Ok(None);
    };
    let addresses = netlink.addresses()?;
    let own = addresses.iter().filter(|one| one.index == outside.index);
    let is_shared = |one: &Ipv4Addr| nat.one_to_one.iter().all(|(external, _)| external != one);
    Ok(own.filter_map(|one| ipv4(one.cidr.address())).find(is_shared))
}

pub(crate) fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
