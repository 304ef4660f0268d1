//! What inside hosts have asked of a router, and its answers. Pure.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::lab::topology::{PortMappingProtocol, Transport};

/// Request that a router has got by a port mapping protocol
/// ([`NodeNat::requests`](crate::lab::NodeNat::requests)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortMappingRequest {
    /// Protocol.
    pub protocol: PortMappingProtocol,
    /// Host that has asked.
    pub from: SocketAddrV4,
    /// The request.
    pub action: PortMappingAction,
    /// The answer of the router.
    pub answer: PortMappingAnswer,
}

/// Request of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortMappingAction {
    /// Whether there is a router: SSDP search, or PCP ANNOUNCE.
    Discover,
    /// The external address.
    ExternalAddress,
    /// A lease, or more time for one.
    Map {
        /// Protocol of the port.
        transport: Transport,
        /// Port of the host.
        inside_port: u16,
        /// External port that it suggests, or with UPnP demands.
        external_port: Option<u16>,
        /// Time of the lease; `None` for one without end.
        lifetime: Option<Duration>,
    },
    /// The end of a lease.
    Unmap {
        /// Protocol of the port; `None` for all.
        transport: Option<Transport>,
        /// Port of the host, of PCP and NAT-PMP, or external port, of UPnP; `None` for all.
        port: Option<u16>,
    },
    /// Anything else, by its name.
    Other(String),
}

/// Answer of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortMappingAnswer {
    /// Success.
    Done,
    /// The external address.
    Address(Ipv4Addr),
    /// A lease.
    Mapped {
        /// External endpoint.
        external: SocketAddrV4,
        /// Time of the lease; `None` for one without end.
        lifetime: Option<Duration>,
    },
    /// A refusal, with the code of the protocol.
    Refused(u16),
    /// No answer.
    Nothing,
}

/// Writes `NAT-PMP 192.168.1.1:40000: map tcp 80 to 8080 for 60 s: 203.0.113.1:8080 for 60 s`.
impl fmt::Display for PortMappingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, from, action, answer } = self;
        write!(f, "{protocol} {from}: {action}: {answer}")
    }
}

/// Writes `map tcp 80 to 8080 for 60 s` and so on.
impl fmt::Display for PortMappingAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |port: Option<u16>| port.map_or("any".to_owned(), |port| port.to_string());
        match self {
            Self::Discover => f.write_str("discover"),
            Self::ExternalAddress => f.write_str("external address"),
            Self::Map { transport, inside_port, external_port, lifetime } => {
                let external = number(*external_port);
                write!(f, "map {transport} {inside_port} to {external} {}", time(*lifetime))
            }
            Self::Unmap { transport, port } => {
                let transport = transport.map_or("all".to_owned(), |one| one.to_string());
                write!(f, "unmap {transport} {}", number(*port))
            }
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Writes `203.0.113.1:8080 for 60 s` and so on.
impl fmt::Display for PortMappingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Mapped { external, lifetime } => write!(f, "{external} {}", time(*lifetime)),
            Self::Refused(code) => write!(f, "refused, code {code}"),
            Self::Nothing => f.write_str("no answer"),
        }
    }
}

fn time(time: Option<Duration>) -> String {
    time.map_or("without a limit".to_owned(), |time| format!("for {} s", time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let from = "192.168.1.1:40000".parse().unwrap();
        let lifetime = Some(Duration::from_secs(60));
        let action = PortMappingAction::Map {
            transport: Transport::Tcp,
            inside_port: 80,
            external_port: Some(8080),
            lifetime,
        };
        let external = "203.0.113.1:8081".parse().unwrap();
        let answer = PortMappingAnswer::Mapped { external, lifetime };
        let protocol = PortMappingProtocol::NatPmp;
        assert_eq!(
            PortMappingRequest { protocol, from, action, answer }.to_string(),
            "NAT-PMP 192.168.1.1:40000: map tcp 80 to 8080 for 60 s: 203.0.113.1:8081 for 60 s"
        );
        let action = PortMappingAction::Unmap { transport: None, port: None };
        assert_eq!(action.to_string(), "unmap all any");
    }
}
