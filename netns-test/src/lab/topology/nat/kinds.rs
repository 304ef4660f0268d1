//! NATs and firewalls that people know, by the words of RFC 4787. Pure.

use std::time::Duration;

use crate::lab::topology::id::NodeId;
use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::{
    Filtering, FirewallAction, FirewallDirection, Ipv6Nat, Mapping, Traffic,
};
use crate::lab::topology::nat::port_mapping::PortMapping;

/// External ports of a subscriber of a carrier.
const PORTS_OF_SUBSCRIBER: u16 = 1024;

/// # Named kinds
///
/// A further call replaces a property: `Nat::home().hairpinning(true)`. "Cone" and "symmetric" are
/// words of RFC 3489, which RFC 5389 withdrew because most devices are none of them exactly; the
/// words of RFC 4787 follow in the description of each.
impl Nat {
    /// A home router: endpoint-independent mapping, address and port-dependent filtering, port
    /// preservation, no hairpinning.
    #[must_use]
    pub fn home() -> Self {
        Self::new().filtering(Filtering::AddressAndPortDependent).hairpinning(false)
    }

    /// A home router as [`home`](Self::home), on which hosts lease ports by PCP, NAT-PMP and UPnP.
    #[must_use]
    pub fn home_upnp() -> Self {
        Self::home().port_mapping(PortMapping::all())
    }

    /// A company's: address and port-dependent mapping and filtering, random ports, no hairpinning;
    /// UDP mappings last 30 seconds, TCP connections one hour, and IPv6 is not forwarded.
    #[must_use]
    pub fn corporate() -> Self {
        Self::symmetric()
            .udp_timeout(seconds(30))
            .tcp_established_timeout(seconds(3600))
            .ipv6(Ipv6Nat::Blocked)
    }

    /// A carrier-grade NAT (RFC 6888): endpoint-independent mapping and filtering (REQ-1, REQ-7),
    /// hairpinning, random ports out of a block of 1024 for each subscriber (REQ-4), paired pooling
    /// (REQ-2). Links to subscribers should have a subnet of `100.64.0.0/10` (RFC 6598). With
    /// `.port_mapping(PortMapping::new().pcp())` subscribers lease ports of their block (REQ-9).
    #[must_use]
    pub fn carrier() -> Self {
        Self::full_cone().port_preservation(false).ports_per_host(PORTS_OF_SUBSCRIBER)
    }

    /// A hotel's, as [`symmetric`](Self::symmetric): address and port-dependent mapping and
    /// filtering, random ports, no hairpinning; UDP mappings last 30 seconds, and IPv6 is not
    /// forwarded. [`Firewall::hotel`] is its captive portal.
    #[must_use]
    pub fn hotel() -> Self {
        Self::symmetric().udp_timeout(seconds(30)).ipv6(Ipv6Nat::Blocked)
    }

    /// A cloud's: instances with a public address by [`one_to_one`](Self::one_to_one), and a NAT
    /// gateway for all others, which has address and port-dependent mapping and filtering, random
    /// ports, no hairpinning, and forgets idle flows of TCP and UDP after 350 seconds.
    #[must_use]
    pub fn cloud() -> Self {
        Self::symmetric().udp_timeout(seconds(350)).tcp_established_timeout(seconds(350))
    }

    /// A "full cone": endpoint-independent mapping and filtering, port preservation, hairpinning.
    #[must_use]
    pub fn full_cone() -> Self {
        Self::new().filtering(Filtering::EndpointIndependent)
    }

    /// A "restricted cone": endpoint-independent mapping, address-dependent filtering, port
    /// preservation, hairpinning. It is what [`new`](Self::new) returns.
    #[must_use]
    pub fn restricted_cone() -> Self {
        Self::new().filtering(Filtering::AddressDependent)
    }

    /// A "port-restricted cone": endpoint-independent mapping, address and port-dependent
    /// filtering, port preservation, hairpinning.
    #[must_use]
    pub fn port_restricted() -> Self {
        Self::new().filtering(Filtering::AddressAndPortDependent)
    }

    /// A "symmetric" NAT: address and port-dependent mapping and filtering, random ports, no
    /// hairpinning.
    #[must_use]
    pub fn symmetric() -> Self {
        Self::new()
            .mapping(Mapping::AddressAndPortDependent)
            .filtering(Filtering::AddressAndPortDependent)
            .port_preservation(false)
            .hairpinning(false)
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// # Named kinds
///
/// A further rule comes after those of the kind, and before its defaults:
/// `Firewall::home().allow_in(Traffic::tcp(22))`.
impl Firewall {
    /// A home router's: all may go out, nothing unasked comes in.
    #[must_use]
    pub fn home() -> Self {
        Self::new().deny_in()
    }

    /// A company's: TCP to 80 and 443 and DNS go out, nothing else, nothing unasked comes in.
    #[must_use]
    pub fn corporate() -> Self {
        Self::new()
            .allow_out(Traffic::tcp(80).and_port(443))
            .allow_out(Traffic::udp(53))
            .allow_out(Traffic::tcp(53))
            .deny_out()
            .deny_in()
    }

    /// A network without UDP: all but UDP may go out, nothing unasked comes in.
    #[must_use]
    pub fn block_udp() -> Self {
        Self::home().rule(FirewallDirection::Out, Traffic::all_udp(), FirewallAction::Drop)
    }

    /// A network for browsers only: TCP to 80 and 443 goes out, nothing else, not even DNS;
    /// nothing unasked comes in.
    #[must_use]
    pub fn web_only() -> Self {
        Self::new().allow_out(Traffic::tcp(80).and_port(443)).deny_out().deny_in()
    }

    /// A hotel's captive network before the guest has logged in: DNS and all to the portal go out,
    /// nothing else, nothing unasked comes in.
    #[must_use]
    pub fn hotel(portal: NodeId) -> Self {
        Self::new()
            .allow_out(Traffic::any().to(portal))
            .allow_out(Traffic::udp(53))
            .allow_out(Traffic::tcp(53))
            .deny_out()
            .deny_in()
    }
}
