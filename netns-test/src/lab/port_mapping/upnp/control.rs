//! Actions of the services.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::lab::port_mapping::desk::Desk;
use crate::lab::port_mapping::leases::{Ask, Lease, Refusal};
use crate::lab::port_mapping::model::{PortMappingAction, PortMappingAnswer};
use crate::lab::port_mapping::upnp::description::{ACTIONS, CONTROLS, SERVICES};
use crate::lab::port_mapping::upnp::http::Request;
use crate::lab::port_mapping::upnp::soap::{self, Call, Outcome};
use crate::lab::topology::PortMappingProtocol::Upnp;
use crate::lab::topology::{PortMappingFault, Transport};

/// Carries out the call in a request to the path of a service. Returns the status and the text of
/// the response; none for another path.
pub(super) fn control(
    desk: &mut Desk<'_>,
    request: &Request,
    from: SocketAddrV4,
) -> Option<(u16, String)> {
    let at = CONTROLS.iter().position(|path| *path == request.path)?;
    let Some(call) = Call::parse(&request.body, request.head.extended("soapaction")) else {
        let (action, code) = (PortMappingAction::Other("mistake".to_owned()), soap::INVALID_ARGS);
        desk.note(Upnp, from, action, PortMappingAnswer::Refused(code));
        return Some(soap::response(SERVICES[at], "", &Err(code)));
    };
    let is_known = ACTIONS[at].iter().any(|(name, ..)| *name == call.action);
    let (action, answer, outcome) = if is_known {
        carry_out(desk, &call, from)
    } else {
        let action = PortMappingAction::Other(call.action.clone());
        (action, PortMappingAnswer::Done, Err(soap::INVALID_ACTION))
    };
    let answer = outcome.as_ref().err().map_or(answer, |code| PortMappingAnswer::Refused(*code));
    desk.note(Upnp, from, action, answer);
    Some(soap::response(SERVICES[at], &call.action, &outcome))
}

type Done = (PortMappingAction, PortMappingAnswer, Outcome);

fn carry_out(desk: &mut Desk<'_>, call: &Call, from: SocketAddrV4) -> Done {
    match call.action.as_str() {
        "AddPortMapping" => add(desk, call, from),
        "DeletePortMapping" => delete(desk, call, from),
        "GetExternalIPAddress" => {
            let address = desk.external().map_err(code);
            let answer = address.map_or(PortMappingAnswer::Done, PortMappingAnswer::Address);
            let outcome = address.map(|one| vec![("NewExternalIPAddress", one.to_string())]);
            (PortMappingAction::ExternalAddress, answer, outcome)
        }
        name => {
            let action = PortMappingAction::Other(name.to_owned());
            (action, PortMappingAnswer::Done, look_up(desk, call))
        }
    }
}

/// Actions that only look.
fn look_up(desk: &mut Desk<'_>, call: &Call) -> Outcome {
    let text = str::to_owned;
    match call.action.as_str() {
        "GetConnectionTypeInfo" => Ok(vec![
            ("NewConnectionType", text("IP_Routed")),
            ("NewPossibleConnectionTypes", text("IP_Routed")),
        ]),
        "GetStatusInfo" => {
            let status = if desk.external().is_ok() { "Connected" } else { "Disconnected" };
            let uptime = desk.state.epoch(Upnp, desk.now);
            Ok(vec![
                ("NewConnectionStatus", text(status)),
                ("NewLastConnectionError", text("ERROR_NONE")),
                ("NewUptime", uptime.to_string()),
            ])
        }
        "GetNATRSIPStatus" => {
            Ok(vec![("NewRSIPAvailable", text("0")), ("NewNATEnabled", text("1"))])
        }
        "GetCommonLinkProperties" => Ok(vec![
            ("NewWANAccessType", text("Ethernet")),
            ("NewLayer1UpstreamMaxBitRate", text("0")),
            ("NewLayer1DownstreamMaxBitRate", text("0")),
            ("NewPhysicalLinkStatus", text("Up")),
        ]),
        "GetGenericPortMappingEntry" => {
            let index: usize = call.number("NewPortMappingIndex")?;
            let lease = desk.state.leases.all().get(index).ok_or(soap::INDEX_INVALID)?;
            let protocol = protocol_name(lease.transport);
            let key = vec![
                ("NewRemoteHost", String::new()),
                ("NewExternalPort", lease.external_port.to_string()),
                ("NewProtocol", protocol.to_owned()),
            ];
            Ok([key, entry(desk, lease)].concat())
        }
        "GetSpecificPortMappingEntry" => {
            let (transport, port) = key(call)?;
            let lease = desk.state.leases.of_port(transport, port).ok_or(soap::NO_SUCH_ENTRY)?;
            Ok(entry(desk, lease))
        }
        _ => Err(soap::INVALID_ACTION),
    }
}

fn entry(desk: &Desk<'_>, lease: &Lease) -> Vec<(&'static str, String)> {
    let left = lease.ends.map_or(0, |end| {
        // 0 would be a lease without end.
        let left = end.saturating_duration_since(desk.now).as_secs_f64();
        left.ceil().max(1.0) as u64
    });
    vec![
        ("NewInternalPort", lease.inside.port().to_string()),
        ("NewInternalClient", lease.inside.ip().to_string()),
        ("NewEnabled", u8::from(lease.is_enabled).to_string()),
        ("NewPortMappingDescription", lease.description.clone()),
        ("NewLeaseDuration", left.to_string()),
    ]
}

fn add(desk: &mut Desk<'_>, call: &Call, from: SocketAddrV4) -> Done {
    let (ask, client) = match asked(call) {
        Ok(asked) => asked,
        Err(code) => {
            let action = PortMappingAction::Other(call.action.clone());
            return (action, PortMappingAnswer::Done, Err(code));
        }
    };
    let Ask { transport, inside, external_port, lifetime, .. } = ask;
    let inside_port = inside.port();
    let action = PortMappingAction::Map { transport, inside_port, external_port, lifetime };
    // Hosts lease ports for themselves only.
    let granted = if client == *from.ip() { desk.lease(&ask) } else { Err(Refusal::NotAuthorized) };
    let answer = granted.map_or(PortMappingAnswer::Done, |granted| PortMappingAnswer::Mapped {
        external: granted.external,
        lifetime: granted.lifetime,
    });
    (action, answer, granted.map(|_| Vec::new()).map_err(code))
}

/// Parses the arguments of `AddPortMapping`. Returns the request, and the host that it is for.
fn asked(call: &Call) -> Result<(Ask, Ipv4Addr), u16> {
    let (transport, external_port) = key(call)?;
    let client: Ipv4Addr = call.number("NewInternalClient")?;
    let inside_port: u16 = call.number("NewInternalPort")?;
    if inside_port == 0 {
        return Err(soap::INVALID_ARGS);
    }
    let seconds: u32 = call.number("NewLeaseDuration")?;
    let lifetime = (seconds != 0).then(|| Duration::from_secs(seconds.into()));
    let is_enabled = match call.argument("NewEnabled")?.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => true,
        "0" | "false" | "no" => false,
        _ => return Err(soap::INVALID_ARGS),
    };
    // Some clients leave it out.
    let description = call.argument("NewPortMappingDescription").unwrap_or_default().to_owned();
    let ask = Ask {
        by: Upnp,
        transport,
        inside: SocketAddrV4::new(client, inside_port),
        external_port: Some(external_port),
        is_strict: true,
        lifetime,
        is_enabled,
        nonce: None,
        description,
    };
    Ok((ask, client))
}

fn delete(desk: &mut Desk<'_>, call: &Call, from: SocketAddrV4) -> Done {
    let (transport, port) = match key(call) {
        Ok(key) => key,
        Err(code) => {
            let action = PortMappingAction::Other(call.action.clone());
            return (action, PortMappingAnswer::Done, Err(code));
        }
    };
    let action = PortMappingAction::Unmap { transport: Some(transport), port: Some(port) };
    let fault = desk.state.port_mapping().and_then(|one| one.fault);
    let is_refused = matches!(fault, Some(PortMappingFault::Refuse | PortMappingFault::NoAnswer));
    let owner = desk.state.leases.of_port(transport, port).map(|one| *one.inside.ip());
    let is_it = |one: &Lease| (one.transport, one.external_port) == (transport, port);
    let done = match owner {
        _ if is_refused => Err(Refusal::NotAuthorized),
        None => Err(Refusal::NoSuchLease),
        Some(owner) if owner != *from.ip() => Err(Refusal::NotAuthorized),
        Some(_) => desk.end(is_it).map(drop),
    };
    (action, PortMappingAnswer::Done, done.map(|()| Vec::new()).map_err(code))
}

/// Parses the arguments that name a mapping: protocol and external port.
fn key(call: &Call) -> Result<(Transport, u16), u16> {
    let transport = match call.argument("NewProtocol")?.to_ascii_uppercase().as_str() {
        "TCP" => Transport::Tcp,
        "UDP" => Transport::Udp,
        _ => return Err(soap::INVALID_ARGS),
    };
    let remote = call.argument("NewRemoteHost").unwrap_or_default();
    if !["", "*", "0.0.0.0"].contains(&remote) {
        return Err(soap::ONLY_ANY_HOST);
    }
    match call.number("NewExternalPort")? {
        0 => Err(soap::NO_WILD_PORT),
        port => Ok((transport, port)),
    }
}

fn protocol_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
    }
}

fn code(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::NotAuthorized => soap::NOT_AUTHORIZED,
        Refusal::Conflict => soap::CONFLICT,
        Refusal::OnlyPermanent => soap::ONLY_PERMANENT,
        Refusal::NoSuchLease => soap::NO_SUCH_ENTRY,
        Refusal::NoResources | Refusal::NoAddress | Refusal::Failed => soap::ACTION_FAILED,
    }
}
