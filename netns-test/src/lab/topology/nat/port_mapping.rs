//! Builder of the protocols by which inside hosts ask a NAT for mappings. Pure.

use std::fmt;
use std::time::Duration;

/// Protocols by which inside hosts lease external ports of a NAT, served by its router: a value,
/// which [`Nat::port_mapping`](crate::lab::Nat::port_mapping) takes.
///
/// The router answers on the addresses of its inside interfaces alone: PCP and NAT-PMP on UDP port
/// 5351, UPnP on UDP port 1900 (SSDP, also to the group 239.255.255.250) and TCP port 5000. At the
/// build it has been running for a day, so that a restart is visible by its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// PCP, NAT-PMP, UPnP.
    pub(crate) protocols: [bool; 3],
    pub(crate) longest_lease: Duration,
    pub(crate) fault: Option<PortMappingFault>,
}

/// Protocol for the lease of external ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PortMappingProtocol {
    /// Port Control Protocol (RFC 6887).
    Pcp,
    /// NAT Port Mapping Protocol (RFC 6886).
    NatPmp,
    /// Internet Gateway Device 1 of UPnP, with the service `WANIPConnection:1`.
    Upnp,
}

/// Fault of a router that serves port mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortMappingFault {
    /// Requests for mappings are refused: PCP `NOT_AUTHORIZED` (2), NAT-PMP "Not
    /// Authorized/Refused" (2), UPnP "Action not authorized" (606).
    Refuse,
    /// Nothing is answered. TCP connections are accepted.
    NoAnswer,
    /// No port is free: PCP `NO_RESOURCES` (8), NAT-PMP "Out of resources" (4), UPnP "Action
    /// Failed" (501).
    NoResources,
    /// The external port that a client wants is always another one's: UPnP
    /// `ConflictInMappingEntry` (718), PCP with `PREFER_FAILURE` `CANNOT_PROVIDE_EXTERNAL` (11).
    /// Otherwise PCP and NAT-PMP assign another port.
    Conflict,
    /// UPnP takes a lease without end only, otherwise `OnlyPermanentLeasesSupported` (725). PCP and
    /// NAT-PMP have no such leases, and are as without a fault.
    OnlyPermanentLeases,
}

impl PortMapping {
    /// Creates a value without a protocol.
    #[must_use]
    pub fn new() -> Self {
        Self { protocols: [false; 3], longest_lease: Duration::from_secs(86_400), fault: None }
    }

    /// Creates a value with all protocols.
    #[must_use]
    pub fn all() -> Self {
        Self::new().pcp().nat_pmp().upnp()
    }

    /// Adds PCP (RFC 6887): opcodes ANNOUNCE and MAP, option `PREFER_FAILURE`.
    #[must_use]
    pub fn pcp(self) -> Self {
        self.with(PortMappingProtocol::Pcp)
    }

    /// Adds NAT-PMP (RFC 6886).
    #[must_use]
    pub fn nat_pmp(self) -> Self {
        self.with(PortMappingProtocol::NatPmp)
    }

    /// Adds UPnP IGD 1.
    #[must_use]
    pub fn upnp(self) -> Self {
        self.with(PortMappingProtocol::Upnp)
    }

    /// Limits leases of PCP and NAT-PMP, in whole seconds. The default is 24 hours (RFC 6887,
    /// section 15). A client that asks for more gets this.
    #[must_use]
    pub fn longest_lease(self, time: Duration) -> Self {
        Self { longest_lease: time, ..self }
    }

    /// Sets the fault of the server, in place of the one that it has.
    #[must_use]
    pub fn fault(self, fault: PortMappingFault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    fn with(mut self, protocol: PortMappingProtocol) -> Self {
        self.protocols[protocol as usize] = true;
        self
    }

    /// Returns the protocols.
    pub(crate) fn served(&self) -> Vec<PortMappingProtocol> {
        let all = PortMappingProtocol::ALL.into_iter();
        all.filter(|one| self.protocols[*one as usize]).collect()
    }
}

impl Default for PortMapping {
    fn default() -> Self {
        Self::new()
    }
}

impl PortMappingProtocol {
    pub(crate) const ALL: [Self; 3] = [Self::Pcp, Self::NatPmp, Self::Upnp];
}

/// Writes `PCP`, `NAT-PMP` or `UPnP`.
impl fmt::Display for PortMappingProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// Writes `all requests refused` and so on.
impl fmt::Display for PortMappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refuse => "all requests refused",
            Self::NoAnswer => "no answers",
            Self::NoResources => "no free ports",
            Self::Conflict => "wanted ports taken",
            Self::OnlyPermanentLeases => "permanent leases only",
        })
    }
}

/// Writes `port mapping by PCP and UPnP`, and what differs from [`PortMapping::new`].
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.served(), self.longest_lease.as_secs(), self.fault))
    }
}

/// Returns the text of port mapping with these protocols.
pub(crate) fn text(
    served: &[PortMappingProtocol],
    longest_lease: u64,
    fault: Option<PortMappingFault>,
) -> String {
    let names: Vec<String> = served.iter().map(ToString::to_string).collect();
    let mut text = format!("port mapping by {}", names.join(" and "));
    if longest_lease != PortMapping::new().longest_lease.as_secs() {
        text.push_str(&format!(" for at most {longest_lease} s"));
    }
    if let Some(fault) = fault {
        text.push_str(&format!(" with {fault}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(PortMapping::all().to_string(), "port mapping by PCP and NAT-PMP and UPnP");
        let other = PortMapping::new().upnp().longest_lease(Duration::from_secs(60));
        assert_eq!(
            other.fault(PortMappingFault::Refuse).to_string(),
            "port mapping by UPnP for at most 60 s with all requests refused"
        );
    }
}
