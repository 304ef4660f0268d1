//! Answers to datagrams of PCP and NAT-PMP, which share a port.

use std::net::SocketAddrV4;
use std::time::Duration;

use crate::lab::port_mapping::desk::Desk;
use crate::lab::port_mapping::leases::{Ask, Lease, Refusal};
use crate::lab::port_mapping::model::{PortMappingAction, PortMappingAnswer};
use crate::lab::port_mapping::{nat_pmp, pcp};
use crate::lab::topology::PortMappingProtocol::{NatPmp, Pcp};
use crate::lab::topology::{PortMappingFault, Transport};

/// Numbers of IP protocols.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Returns the answer to a datagram from a host, if there is one.
pub(crate) fn answer(desk: &mut Desk<'_>, bytes: &[u8], from: SocketAddrV4) -> Option<Vec<u8>> {
    let served = desk.state.port_mapping()?;
    let (has_pcp, has_nat_pmp) = (served.serves(Pcp), served.serves(NatPmp));
    let version = *bytes.first()?;
    let answer = match version {
        nat_pmp::VERSION if has_nat_pmp => of_nat_pmp(desk, bytes, from),
        _ if has_pcp => of_pcp(desk, bytes, from),
        _ if has_nat_pmp => of_other_version(desk, bytes, from),
        _ => None,
    };
    answer.filter(|_| !desk.state.is_silent())
}

fn of_other_version(desk: &mut Desk<'_>, bytes: &[u8], from: SocketAddrV4) -> Option<Vec<u8>> {
    let opcode = *bytes.get(1).filter(|opcode| **opcode < 0x80)?;
    let action = PortMappingAction::Other(format!("version {}", bytes[0]));
    desk.note(NatPmp, from, action, PortMappingAnswer::Refused(nat_pmp::UNSUPPORTED_VERSION));
    Some(nat_pmp::unsupported_version(opcode, desk.state.epoch(NatPmp, desk.now)))
}

fn of_nat_pmp(desk: &mut Desk<'_>, bytes: &[u8], from: SocketAddrV4) -> Option<Vec<u8>> {
    let request = nat_pmp::Request::parse(bytes)?;
    let epoch = desk.state.epoch(NatPmp, desk.now);
    let (action, result) = match request {
        nat_pmp::Request::ExternalAddress => {
            let done = desk.external().map(|address| {
                let bytes = nat_pmp::external_address(address, epoch);
                (PortMappingAnswer::Address(address), bytes)
            });
            (PortMappingAction::ExternalAddress, done.map_err(nat_pmp_code))
        }
        nat_pmp::Request::Map(map) => {
            let (action, done) = map_by_nat_pmp(desk, map, from);
            let done = done.map(|(answer, port, time)| (answer, map.granted(port, time, epoch)));
            (action, done.map_err(nat_pmp_code))
        }
        nat_pmp::Request::Unknown(opcode) => {
            let action = PortMappingAction::Other(format!("opcode {opcode}"));
            (action, Err(nat_pmp::UNSUPPORTED_OPCODE))
        }
    };
    let (answer, bytes) = result
        .unwrap_or_else(|code| (PortMappingAnswer::Refused(code), request.refused(code, epoch)));
    desk.note(NatPmp, from, action, answer);
    Some(bytes)
}

/// Answer, external port and lifetime.
type Mapped = (PortMappingAnswer, u16, u32);

fn map_by_nat_pmp(
    desk: &mut Desk<'_>,
    map: nat_pmp::Map,
    from: SocketAddrV4,
) -> (PortMappingAction, Result<Mapped, Refusal>) {
    let nat_pmp::Map { transport, inside_port, external_port, lifetime } = map;
    let inside = SocketAddrV4::new(*from.ip(), inside_port);
    let all = (inside_port == 0).then_some(());
    if lifetime == 0 {
        let port = all.is_none().then_some(inside_port);
        let action = PortMappingAction::Unmap { transport: Some(transport), port };
        let is_meant = |one: &Lease| {
            one.transport == transport
                && one.inside.ip() == inside.ip()
                && port.is_none_or(|port| one.inside.port() == port)
        };
        let done = end(desk, (transport, inside), is_meant);
        return (action, done.map(|()| (PortMappingAnswer::Done, 0, 0)));
    }
    let lifetime = limited(desk, lifetime);
    let external_port = Some(external_port).filter(|port| *port != 0);
    let action = PortMappingAction::Map { transport, inside_port, external_port, lifetime };
    if all.is_some() {
        return (action, Err(Refusal::NotAuthorized));
    }
    let ask = Ask {
        by: NatPmp,
        transport,
        inside,
        external_port,
        is_strict: false,
        lifetime,
        is_enabled: true,
        nonce: None,
        description: String::new(),
    };
    (action, mapped(desk, &ask))
}

/// Leases a port by PCP or NAT-PMP.
fn mapped(desk: &mut Desk<'_>, ask: &Ask) -> Result<Mapped, Refusal> {
    let granted = desk.lease(ask)?;
    let answer =
        PortMappingAnswer::Mapped { external: granted.external, lifetime: granted.lifetime };
    let time = granted.lifetime.map_or(u32::MAX, |time| time.as_secs() as u32);
    Ok((answer, granted.external.port(), time))
}

/// Ends leases of a host, whose endpoint is no forwarded one.
fn end(
    desk: &mut Desk<'_>,
    (transport, inside): (Transport, SocketAddrV4),
    is_meant: impl Fn(&Lease) -> bool,
) -> Result<(), Refusal> {
    refused_by_fault(desk)?;
    if desk.is_forwarded(transport, inside) {
        return Err(Refusal::NotAuthorized);
    }
    desk.end(is_meant).map(drop)
}

fn refused_by_fault(desk: &Desk<'_>) -> Result<(), Refusal> {
    match desk.state.port_mapping().and_then(|one| one.fault) {
        Some(PortMappingFault::Refuse | PortMappingFault::NoAnswer) => Err(Refusal::NotAuthorized),
        _ => Ok(()),
    }
}

/// Returns the time of a lease that is asked for: at most the longest one.
fn limited(desk: &Desk<'_>, seconds: u32) -> Option<Duration> {
    let longest = desk.state.port_mapping().map_or(u32::MAX, |one| one.longest_lease);
    Some(Duration::from_secs(seconds.min(longest).into()))
}

fn nat_pmp_code(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::NotAuthorized => nat_pmp::NOT_AUTHORIZED,
        Refusal::NoAddress => nat_pmp::NETWORK_FAILURE,
        _ => nat_pmp::OUT_OF_RESOURCES,
    }
}

fn of_pcp(desk: &mut Desk<'_>, bytes: &[u8], from: SocketAddrV4) -> Option<Vec<u8>> {
    let request = pcp::Request::parse(bytes, *from.ip())?;
    let epoch = desk.state.epoch(Pcp, desk.now);
    let (action, result) = match request {
        Err(code) => (PortMappingAction::Other("mistake".to_owned()), Err(code)),
        Ok(pcp::Request::Announce) => {
            let answer = (PortMappingAnswer::Done, pcp::announcement(epoch));
            (PortMappingAction::Discover, Ok(answer))
        }
        Ok(pcp::Request::Map(map)) => {
            let (action, done) = map_by_pcp(desk, &map, from);
            let done = done.and_then(|(answer, port, time)| {
                let external = desk.external().map_err(pcp_code)?;
                Ok((answer, map.granted((external, port), time, epoch)))
            });
            (action, done)
        }
    };
    let (answer, bytes) = result.unwrap_or_else(|code| {
        (PortMappingAnswer::Refused(code.into()), pcp::refused(bytes, code, epoch))
    });
    desk.note(Pcp, from, action, answer);
    Some(bytes)
}

fn map_by_pcp(
    desk: &mut Desk<'_>,
    map: &pcp::Map,
    from: SocketAddrV4,
) -> (PortMappingAction, Result<Mapped, u8>) {
    let inside = SocketAddrV4::new(*from.ip(), map.inside_port);
    let transport = match map.protocol {
        TCP => Some(Transport::Tcp),
        UDP => Some(Transport::Udp),
        _ => None,
    };
    if map.lifetime == 0 {
        let port = (map.inside_port != 0).then_some(map.inside_port);
        let action = PortMappingAction::Unmap { transport, port };
        if transport.is_none() && map.protocol != 0 {
            return (action, Err(pcp::UNSUPP_PROTOCOL));
        }
        let done = unmap_by_pcp(desk, map, (transport, inside)).map_err(pcp_code);
        return (action, done.map(|()| (PortMappingAnswer::Done, map.external_port, 0)));
    }
    let lifetime = limited(desk, map.lifetime);
    let Some(transport) = transport.filter(|_| map.inside_port != 0) else {
        let action = PortMappingAction::Other(format!("map protocol {}", map.protocol));
        return (action, Err(pcp::UNSUPP_PROTOCOL));
    };
    let external_port = Some(map.external_port).filter(|port| *port != 0);
    let ask = Ask {
        by: Pcp,
        transport,
        inside,
        external_port,
        is_strict: map.prefers_failure,
        lifetime,
        is_enabled: true,
        nonce: Some(map.nonce),
        description: String::new(),
    };
    let inside_port = map.inside_port;
    let action = PortMappingAction::Map { transport, inside_port, external_port, lifetime };
    let wanted = map.external_address.to_ipv4_mapped().filter(|one| !one.is_unspecified());
    if map.prefers_failure && wanted.is_some_and(|one| desk.external() != Ok(one)) {
        return (action, Err(pcp::CANNOT_PROVIDE_EXTERNAL));
    }
    (action, mapped(desk, &ask).map_err(pcp_code))
}

/// Ends the mapping of an endpoint, or all of a host, of those with the nonce of the request.
fn unmap_by_pcp(
    desk: &mut Desk<'_>,
    map: &pcp::Map,
    (transport, inside): (Option<Transport>, SocketAddrV4),
) -> Result<(), Refusal> {
    let is_known = |one: &Lease| one.nonce.is_none_or(|nonce| nonce == map.nonce);
    let Some(transport) = transport else {
        refused_by_fault(desk)?;
        return desk.end(|one| one.inside.ip() == inside.ip() && is_known(one)).map(drop);
    };
    let is_meant = |one: &Lease| {
        one.transport == transport
            && one.inside.ip() == inside.ip()
            && (inside.port() == 0 || one.inside == inside)
    };
    if desk.state.leases.all().iter().any(|one| is_meant(one) && !is_known(one)) {
        return Err(Refusal::NotAuthorized);
    }
    end(desk, (transport, inside), is_meant)
}

fn pcp_code(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::NotAuthorized => pcp::NOT_AUTHORIZED,
        Refusal::Conflict => pcp::CANNOT_PROVIDE_EXTERNAL,
        Refusal::NoAddress => pcp::NETWORK_FAILURE,
        _ => pcp::NO_RESOURCES,
    }
}
