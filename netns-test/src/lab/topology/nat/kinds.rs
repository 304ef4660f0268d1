//! NATs and firewalls that people know, by the words of RFC 4787. Pure.

use crate::lab::topology::nat::Nat;
use crate::lab::topology::nat::firewall::Firewall;
use crate::lab::topology::nat::model::{Filtering, Mapping, Traffic};

/// Named kinds.
impl Nat {
    /// A home router: endpoint-independent mapping, address- and port-dependent filtering, port
    /// preservation, no hairpinning ("port-restricted cone").
    #[must_use]
    pub fn home() -> Self {
        Self::new().filtering(Filtering::AddressAndPortDependent).hairpinning(false)
    }

    /// A "full cone": endpoint-independent mapping and filtering, hairpinning.
    #[must_use]
    pub fn full_cone() -> Self {
        Self::new().filtering(Filtering::EndpointIndependent)
    }

    /// A "symmetric" NAT: mapping and filtering depend on address and port, ports are random, no
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

/// Named kinds.
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
}
